//! A tenant's actor: a thin shell that brings messages to the state and lets plain async code do
//! what takes time. It never waits for the network or the disk itself.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, WrapFuture,
};
use chrono::{DateTime, Utc};
use hookledger_domain::{
    ids::{DeliveryId, WebhookId},
    tenant::TenantId,
};
use tokio::sync::{Mutex, oneshot};
use tokio_util::task::TaskTracker;

use super::{
    Shared, attempt::Ended, directory::Directory, lane::Lane, live::LiveWebhook, slots::Slot,
};
use crate::nodes::Partition;

mod circuits;
mod disabling;
mod dispatch;
mod intake;
mod messages;
mod ownership;
mod reads;
mod reloading;
mod steering;

use circuits::OpenCircuits;
pub(super) use messages::{
    Accept, Changed, Expect, Found, LookAgain, Own, Recover, Release, Reload, Report,
};
use messages::{Broken, Done, Granted, Loaded};
use reads::{Versions, read_changes};
use steering::Refreshing;

/// How long an actor with nothing to do stays.
const IDLE: Duration = Duration::from_secs(60);

/// The actor.
pub(super) struct TenantActor {
    tenant: TenantId,
    partition: Partition,
    shared: Arc<Shared>,
    directory: Directory,
    /// Messages in the mailbox that count.
    waiting: Arc<AtomicUsize>,
    /// Held while the tenant's filters are asked about a message.
    filter_turn: Arc<Mutex<()>>,
    tasks: TaskTracker,
    /// Counts what has changed in the tenant. It is that of the webhooks and the suspension here.
    generation: u64,
    webhooks: BTreeMap<WebhookId, Arc<LiveWebhook>>,
    /// Webhooks that are known to be deleted.
    gone: HashSet<WebhookId>,
    /// Webhooks that have deliveries and are neither: registered since the last reading, or deleted
    /// long ago. Each with how many readings had begun when it was met.
    unknown: HashMap<WebhookId, u64>,
    /// How many readings of what has changed have begun, and how many of them are under way.
    reloads: u64,
    reloading: usize,
    /// One of them came to nothing.
    reloads_again: bool,
    /// What other nodes have scheduled since then: it waits for what has changed before.
    found_later: Vec<Found>,
    is_suspended: bool,
    /// Since when those webhooks whose attempts all fail have been failing.
    failing: HashMap<WebhookId, DateTime<Utc>>,
    /// Webhooks that are held, because it is being settled whether they are disabled.
    disabling: HashSet<WebhookId>,
    /// Webhooks whose circuit is not closed.
    open_circuits: OpenCircuits,
    /// Deliveries that are being read because they were changed by hand.
    refreshing: Refreshing,
    /// Recoveries are worked on, and whether to look for more of them after that.
    is_recovering: bool,
    recovers_again: bool,
    /// Under which the tenant's partition is this node's; the lanes are those of this epoch.
    epoch: Option<u64>,
    lanes: HashMap<WebhookId, Lane>,
    /// How often all lanes were forgotten.
    lanes_begun: u64,
    /// Deliveries that the view may show and that no lane is to take from there: those that are
    /// being accepted and will be offered, and those whose attempt began under an earlier epoch.
    elsewhere: HashSet<DeliveryId>,
    /// How many of them are being accepted.
    accepting: usize,
    /// Readings of other nodes' deliveries that are under way, and what was recorded meanwhile.
    expected: usize,
    touched: HashSet<DeliveryId>,
    /// Whom to tell when nothing is under way.
    released: Vec<oneshot::Sender<()>>,
    /// Lanes that have something to send, in turn.
    runnable: VecDeque<WebhookId>,
    is_runnable: HashSet<WebhookId>,
    /// When lanes want to be looked at.
    wakes: BTreeSet<(DateTime<Utc>, WebhookId)>,
    wake_of: HashMap<WebhookId, DateTime<Utc>>,
    timer: Option<(DateTime<Utc>, SpawnHandle)>,
    /// Slots that were handed over and are not used yet.
    slots: Vec<Slot>,
    in_flight: usize,
    last_busy: Instant,
    is_retired: bool,
}

impl TenantActor {
    /// An actor that has read nothing yet.
    pub(super) fn new(
        tenant: TenantId,
        shared: Arc<Shared>,
        directory: Directory,
        waiting: Arc<AtomicUsize>,
        tasks: TaskTracker,
    ) -> Self {
        let open_circuits = OpenCircuits::new(shared.metrics.circuits_open.clone());
        Self {
            partition: Partition::of(&tenant),
            tenant,
            shared,
            directory,
            waiting,
            filter_turn: Arc::default(),
            tasks,
            generation: 0,
            webhooks: BTreeMap::new(),
            gone: HashSet::new(),
            unknown: HashMap::new(),
            reloads: 0,
            reloading: 0,
            reloads_again: false,
            found_later: Vec::new(),
            is_suspended: false,
            failing: HashMap::new(),
            disabling: HashSet::new(),
            open_circuits,
            refreshing: Refreshing::default(),
            is_recovering: false,
            recovers_again: false,
            epoch: None,
            lanes: HashMap::new(),
            lanes_begun: 0,
            elsewhere: HashSet::new(),
            accepting: 0,
            expected: 0,
            touched: HashSet::new(),
            released: Vec::new(),
            runnable: VecDeque::new(),
            is_runnable: HashSet::new(),
            wakes: BTreeSet::new(),
            wake_of: HashMap::new(),
            timer: None,
            slots: Vec::new(),
            in_flight: 0,
            last_busy: Instant::now(),
            is_retired: false,
        }
    }

    /// The lane of a webhook; a new one has something to load from `rest` on, if it says so.
    fn lane(&mut self, id: WebhookId, rest: Option<DateTime<Utc>>) -> &mut Lane {
        let terms = self.terms(id);
        self.lanes
            .entry(id)
            .or_insert_with(|| Lane::new(terms, rest))
    }

    /// Stops for good if there is nothing to do and nothing on its way here.
    fn retire_if_idle(&mut self, ctx: &mut Context<Self>) {
        let quiet = self.last_busy.elapsed();
        let now = self.shared.clock.now();
        let is_idle = quiet >= IDLE
            && self.in_flight == 0
            && self.expected == 0
            && self.tasks.is_empty()
            && self.lanes.values().all(|lane| lane.is_idle(now));
        let wake_at = self.wakes.first().map(|(wake_at, _)| *wake_at);
        let is_soon = wake_at.is_some_and(|wake_at| wake_at - now < chrono::Duration::seconds(60));
        if is_idle && !is_soon && self.directory.retire(&self.tenant, wake_at) {
            self.is_retired = true;
            ctx.stop();
        } else {
            let wait = IDLE.saturating_sub(quiet).max(Duration::from_secs(1));
            ctx.run_later(wait, Self::retire_if_idle);
        }
    }

    fn begun(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.last_busy = Instant::now();
    }
}

impl Actor for TenantActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let (shared, tenant, tasks) =
            (self.shared.clone(), self.tenant.clone(), self.tasks.clone());
        let read = async move {
            // What a predecessor had under way must be recorded before the view is read, or it
            // would be sent twice.
            tasks.close();
            tasks.wait().await;
            tasks.reopen();
            read_changes(&shared, &tenant, &Versions::new()).await
        };
        let begin = read.into_actor(self).map(|changes, actor, ctx| match changes {
            Ok(changes) => {
                actor.apply(changes, ctx);
                actor.own(ctx);
            }
            Err(error) => {
                tracing::warn!(%error, tenant = %actor.tenant, "a tenant's actor cannot start yet");
                ctx.stop();
            }
        });
        ctx.wait(begin);
        ctx.run_later(IDLE, Self::retire_if_idle);
    }
}

impl Drop for TenantActor {
    fn drop(&mut self) {
        if !self.is_retired && !self.directory.is_stopping() {
            tracing::error!(tenant = %self.tenant, "a tenant's actor ended unexpectedly and is started anew");
            self.directory.revive(self.tenant.clone());
        }
    }
}

impl Handler<Done> for TenantActor {
    type Result = ();

    fn handle(&mut self, done: Done, ctx: &mut Context<Self>) {
        let now = self.shared.clock.now();
        self.last_busy = Instant::now();
        self.in_flight -= 1;
        if self.expected > 0 {
            self.touched.insert(done.delivery);
        }
        self.refreshing.recorded(done.delivery, self.is_recovering);
        self.elsewhere.remove(&done.delivery);
        let Ended { again, attempt } = done.ended;
        // Its lane may be gone: one that saw nothing in the view but this, under an earlier epoch, was
        // dropped.
        if self.epoch.is_some() {
            let lane = self.lane(done.webhook, None);
            if let Some(made) = &attempt {
                lane.note(made.failure, made.ended_at);
            }
            lane.done(done.delivery, again, now);
            let state = lane.circuit_state(now);
            self.open_circuits.note(done.webhook, state);
        }
        if let Some(made) = &attempt {
            self.judge(done.webhook, made, ctx);
        }
        self.look_at(done.webhook, ctx);
        self.pump(ctx);
        self.tell_if_released();
    }
}

impl Handler<Broken> for TenantActor {
    type Result = ();

    fn handle(&mut self, _: Broken, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

impl Handler<Loaded> for TenantActor {
    type Result = ();

    fn handle(&mut self, loaded: Loaded, ctx: &mut Context<Self>) {
        let now = self.shared.clock.now();
        // What was read for a lane that is forgotten would be taken for what its successor asked for.
        if loaded.lanes_begun != self.lanes_begun {
            return;
        }
        let Some(lane) = self.lanes.get_mut(&loaded.webhook) else {
            return;
        };
        match loaded.entries {
            Ok(entries) => lane.loaded(entries, &self.elsewhere, now),
            Err(error) => {
                tracing::warn!(%error, tenant = %self.tenant, "cannot read what is due");
                lane.load_failed(now + chrono::Duration::seconds(1));
            }
        }
        self.look_at(loaded.webhook, ctx);
        self.pump(ctx);
    }
}

impl Handler<Granted> for TenantActor {
    type Result = ();

    fn handle(&mut self, Granted(slot): Granted, ctx: &mut Context<Self>) {
        self.slots.push(slot);
        self.pump(ctx);
    }
}
