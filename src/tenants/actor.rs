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
    webhook::Webhook,
};
use tokio_util::task::TaskTracker;

use super::{
    Limits, Shared,
    directory::Directory,
    lane::{Lane, Mode},
    live::LiveWebhook,
    slots::Slot,
};
use crate::store::Stream;

mod dispatch;
mod intake;
mod messages;
mod reads;

pub(super) use messages::{Accept, Refresh, Suspend};
use messages::{Broken, Done, Granted, Loaded};
use reads::{Beginning, read_beginning};

/// How long an actor with nothing to do stays.
const IDLE: Duration = Duration::from_secs(60);

/// The actor.
pub(super) struct TenantActor {
    tenant: TenantId,
    shared: Arc<Shared>,
    directory: Directory,
    /// Messages in the mailbox that count.
    waiting: Arc<AtomicUsize>,
    tasks: TaskTracker,
    webhooks: BTreeMap<WebhookId, Arc<LiveWebhook>>,
    is_suspended: bool,
    lanes: HashMap<WebhookId, Lane>,
    /// Deliveries that are being accepted: they may be in the view before they are offered.
    accepting: HashSet<DeliveryId>,
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
            tenant,
            shared,
            directory,
            waiting,
            tasks,
            webhooks: BTreeMap::new(),
            is_suspended: false,
            lanes: HashMap::new(),
            accepting: HashSet::new(),
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

    fn begin(&mut self, beginning: Beginning, ctx: &mut Context<Self>) {
        self.is_suspended = beginning.is_suspended;
        self.webhooks = beginning
            .webhooks
            .into_iter()
            .map(|(id, webhook)| (id, Arc::new(webhook)))
            .collect();
        for waiting in beginning.waiting {
            self.lane(waiting.webhook_id, Some(waiting.due_at));
            self.look_at(waiting.webhook_id, ctx);
        }
        self.pump(ctx);
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
            read_beginning(&shared, &tenant).await
        };
        let begin = read.into_actor(self).map(|beginning, actor, ctx| match beginning {
            Ok(beginning) => actor.begin(beginning, ctx),
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
        self.last_busy = Instant::now();
        self.in_flight -= 1;
        if let Some(lane) = self.lanes.get_mut(&done.webhook) {
            lane.done(done.delivery, done.again, self.shared.clock.now());
        }
        self.look_at(done.webhook, ctx);
        self.pump(ctx);
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
        let Some(lane) = self.lanes.get_mut(&loaded.webhook) else {
            return;
        };
        match loaded.entries {
            Ok(entries) => lane.loaded(loaded.load, entries, &self.accepting, now),
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

impl Handler<Refresh> for TenantActor {
    type Result = ();

    fn handle(&mut self, message: Refresh, ctx: &mut Context<Self>) {
        self.begun();
        let (id, stream) = (message.id, message.stream);
        let known = self
            .webhooks
            .get(&id)
            .map_or(0, |webhook| webhook.version());
        if stream.sequence > known {
            self.replace(id, stream);
        }
        self.configure_lane(id, ctx);
        self.pump(ctx);
        let _ = message.reply.send(());
    }
}

impl TenantActor {
    fn replace(&mut self, id: WebhookId, stream: Stream<Webhook>) {
        if !stream.state.exists() {
            self.webhooks.remove(&id);
            return;
        }
        let now = self.shared.clock.now();
        match LiveWebhook::open(&self.shared.vault, &self.tenant, id, stream, now) {
            Ok(webhook) => drop(self.webhooks.insert(id, Arc::new(webhook))),
            Err(error) => {
                tracing::error!(%error, webhook = %id, "a webhook's secrets cannot be opened")
            }
        }
    }

    /// Brings a lane in line with its webhook. One that has no lane may have deliveries waiting
    /// all the same, which the first load shows.
    fn configure_lane(&mut self, id: WebhookId, ctx: &mut Context<Self>) {
        let (mode, in_flight_max, rate_limit) = wanted(&self.webhooks, self.shared.limits, id);
        self.lane(id, Some(DateTime::UNIX_EPOCH))
            .configure(mode, in_flight_max, rate_limit);
        self.look_at(id, ctx);
    }
}

impl Handler<Suspend> for TenantActor {
    type Result = ();

    fn handle(&mut self, message: Suspend, ctx: &mut Context<Self>) {
        self.begun();
        self.is_suspended = message.is_suspended;
        let ids: Vec<WebhookId> = self.lanes.keys().copied().collect();
        for id in ids {
            self.look_at(id, ctx);
        }
        self.pump(ctx);
        let _ = message.reply.send(());
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
