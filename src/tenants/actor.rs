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
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::{
    Error, Limits, Shared,
    directory::Directory,
    lane::{Lane, Mode},
    live::LiveWebhook,
    slots::Slot,
};
use crate::nodes::Partition;

mod dispatch;
mod intake;
mod messages;
mod ownership;
mod reads;

pub(super) use messages::{Accept, Expect, Found, LookAgain, Own, Release, Reload, Report};
use messages::{Broken, Done, Granted, Loaded, ReadAgain, Reloaded};
use reads::{Changes, Versions, read_changes};

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
    tasks: TaskTracker,
    /// Counts what has changed in the tenant. It is that of the webhooks and the suspension here.
    generation: u64,
    webhooks: BTreeMap<WebhookId, Arc<LiveWebhook>>,
    is_suspended: bool,
    /// Under which the tenant's partition is this node's; the lanes are those of this epoch.
    epoch: Option<u64>,
    lanes: HashMap<WebhookId, Lane>,
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
        Self {
            partition: Partition::of(&tenant),
            tenant,
            shared,
            directory,
            waiting,
            tasks,
            generation: 0,
            webhooks: BTreeMap::new(),
            is_suspended: false,
            epoch: None,
            lanes: HashMap::new(),
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
        let (mode, in_flight_max, rate_limit) = wanted(&self.webhooks, self.shared.limits, id);
        self.lanes
            .entry(id)
            .or_insert_with(|| Lane::new(mode, in_flight_max, rate_limit, rest))
    }

    /// Stops for good if there is nothing to do and nothing on its way here.
    fn retire_if_idle(&mut self, ctx: &mut Context<Self>) {
        let quiet = self.last_busy.elapsed();
        let is_idle = quiet >= IDLE
            && self.in_flight == 0
            && self.expected == 0
            && self.tasks.is_empty()
            && self.lanes.values().all(Lane::is_idle);
        let wake_at = self.wakes.first().map(|(wake_at, _)| *wake_at);
        let is_soon = wake_at.is_some_and(|wake_at| {
            wake_at - self.shared.clock.now() < chrono::Duration::seconds(60)
        });
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
        let is_of_earlier_epoch = self.elsewhere.remove(&done.delivery);
        if let Some(lane) = self.lanes.get_mut(&done.webhook) {
            match &done.again {
                Some(entry) if is_of_earlier_epoch => lane.doubt(entry.stream.state.due_at()),
                _ => lane.done(done.delivery, done.again, now),
            }
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
        if loaded.epoch != self.epoch {
            return;
        }
        let Some(lane) = self.lanes.get_mut(&loaded.webhook) else {
            return;
        };
        match loaded.entries {
            Ok(entries) => lane.loaded(loaded.load, entries, &self.elsewhere, now),
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

impl Handler<Reload> for TenantActor {
    type Result = ();

    fn handle(&mut self, Reload { reply }: Reload, ctx: &mut Context<Self>) {
        self.begun();
        self.reload(reply, ctx);
    }
}

impl Handler<ReadAgain> for TenantActor {
    type Result = ();

    fn handle(&mut self, ReadAgain { reply }: ReadAgain, ctx: &mut Context<Self>) {
        self.reload(Some(reply), ctx);
    }
}

impl TenantActor {
    /// Lets a task read how the tenant is now.
    fn reload(&self, reply: Option<oneshot::Sender<Result<(), Error>>>, ctx: &mut Context<Self>) {
        let versions: Versions = self
            .webhooks
            .iter()
            .map(|(id, webhook)| (*id, webhook.version()))
            .collect();
        let (shared, tenant, addr) = (self.shared.clone(), self.tenant.clone(), ctx.address());
        let read = async move {
            let changes = read_changes(&shared, &tenant, &versions).await;
            addr.do_send(Reloaded { changes, reply });
        };
        self.tasks.spawn_on(read, &self.shared.runtime);
    }
}

impl Handler<Reloaded> for TenantActor {
    type Result = ();

    fn handle(&mut self, reloaded: Reloaded, ctx: &mut Context<Self>) {
        let result = match reloaded.changes {
            Ok(changes) => {
                self.apply(changes, ctx);
                Ok(())
            }
            Err(error) => {
                // It is read again before the next message is accepted: the store refuses what was
                // decided by an older generation.
                tracing::warn!(%error, tenant = %self.tenant, "cannot read what has changed");
                Err(error)
            }
        };
        if let Some(reply) = reloaded.reply {
            drop(reply.send(result));
        }
    }
}

impl TenantActor {
    /// Takes over what has changed. Of two readings that overlap the older one may come last.
    fn apply(&mut self, changes: Changes, ctx: &mut Context<Self>) {
        if changes.generation < self.generation {
            return;
        }
        self.generation = changes.generation;
        let was_suspended = std::mem::replace(&mut self.is_suspended, changes.is_suspended);
        let mut ids = changes.gone;
        for id in &ids {
            self.webhooks.remove(id);
        }
        for (id, webhook) in changes.changed {
            let known = self.webhooks.get(&id).map_or(0, |known| known.version());
            if webhook.version() > known {
                self.webhooks.insert(id, Arc::new(webhook));
                ids.push(id);
            }
        }
        if was_suspended != self.is_suspended {
            ids.extend(self.lanes.keys());
        }
        for id in ids {
            self.configure_lane(id, ctx);
        }
        self.pump(ctx);
    }

    /// Brings a lane in line with its webhook. One that has no lane may have deliveries waiting
    /// all the same, which the first load shows.
    fn configure_lane(&mut self, id: WebhookId, ctx: &mut Context<Self>) {
        if self.epoch.is_none() {
            return;
        }
        let (mode, in_flight_max, rate_limit) = wanted(&self.webhooks, self.shared.limits, id);
        self.lane(id, Some(DateTime::UNIX_EPOCH))
            .configure(mode, in_flight_max, rate_limit);
        self.look_at(id, ctx);
    }
}

/// What a lane does, how many attempts it may have at one time, and how many a second.
fn wanted(
    webhooks: &BTreeMap<WebhookId, Arc<LiveWebhook>>,
    limits: Limits,
    id: WebhookId,
) -> (Mode, usize, Option<u32>) {
    let limit = limits.in_flight_per_webhook;
    match webhooks.get(&id) {
        Some(webhook) => (
            webhook.mode(),
            webhook.in_flight_max(limit),
            webhook.webhook().config().rate_limit,
        ),
        // Pending deliveries of a webhook that is not there are those of a deleted one.
        None => (Mode::Cancel, limit, None),
    }
}
