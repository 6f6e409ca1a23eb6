//! How the actor keeps up with its tenant: its webhooks, and whether it is suspended.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use actix::{AsyncContext, Context, Handler};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use hookledger_domain::ids::WebhookId;
use tokio::sync::oneshot;

use super::{
    TenantActor,
    messages::{Broken, Reload, Reloaded, Reread},
    reads::{Changes, Versions, read_changes},
};
use crate::tenants::{
    Error,
    lane::{Mode, Terms},
};

/// How long to wait before what has changed is read again.
const RETRY: Duration = Duration::from_secs(1);

type Reply = Option<oneshot::Sender<Result<(), Error>>>;

impl TenantActor {
    /// Reads what has changed.
    fn start_reload(&mut self, reply: Reply, ctx: &mut Context<Self>) {
        self.reloads += 1;
        self.reloading += 1;
        let number = self.reloads;
        let versions: Versions = self
            .webhooks
            .iter()
            .map(|(id, webhook)| (*id, webhook.version()))
            .collect();
        let (shared, tenant, addr) = (self.shared.clone(), self.tenant.clone(), ctx.address());
        let read = async move {
            let changes = read_changes(&shared, &tenant, &versions);
            match AssertUnwindSafe(changes).catch_unwind().await {
                Ok(changes) => addr.do_send(Reloaded {
                    number,
                    changes,
                    reply,
                }),
                // Others wait for it: a new actor reads everything.
                Err(_) => addr.do_send(Broken),
            }
        };
        self.tasks.spawn_on(read, &self.shared.runtime);
    }

    /// If a webhook with deliveries is not known, a reading tells whether it is new or deleted. Its
    /// lane holds until then: nothing is cancelled on suspicion.
    pub(super) fn ask_about(&mut self, id: WebhookId, ctx: &mut Context<Self>) {
        let is_known = self.webhooks.contains_key(&id) || self.gone.contains(&id);
        if !is_known && self.unknown.insert(id, self.reloads).is_none() {
            self.start_reload(None, ctx);
        }
    }

    /// Takes over what has changed. Of two readings that overlap the older one may come last.
    pub(super) fn apply(&mut self, changes: Changes, ctx: &mut Context<Self>) {
        if changes.generation < self.generation {
            return;
        }
        self.generation = changes.generation;
        let was_suspended = std::mem::replace(&mut self.is_suspended, changes.is_suspended);
        self.failing = changes.failing;
        let mut ids = changes.gone;
        for id in &ids {
            self.webhooks.remove(id);
            self.gone.insert(*id);
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

    /// Those that a reading which began after they were met does not show are deleted.
    fn settle_unknown(&mut self, number: u64, ctx: &mut Context<Self>) {
        let settled: Vec<WebhookId> = self
            .unknown
            .iter()
            .filter(|(_, met)| **met < number)
            .map(|(id, _)| *id)
            .collect();
        for id in settled {
            self.unknown.remove(&id);
            if !self.webhooks.contains_key(&id) {
                self.gone.insert(id);
            }
            self.configure_lane(id, ctx);
        }
        self.pump(ctx);
    }

    /// Brings a lane in line with its webhook. One that has no lane may have deliveries waiting
    /// all the same, which the first load shows.
    pub(super) fn configure_lane(&mut self, id: WebhookId, ctx: &mut Context<Self>) {
        if self.epoch.is_none() {
            return;
        }
        let (terms, now) = (self.terms(id), self.shared.clock.now());
        let lane = self.lane(id, Some(DateTime::<Utc>::UNIX_EPOCH));
        lane.configure(terms);
        let state = lane.circuit_state(now);
        self.open_circuits.note(id, state);
        self.look_at(id, ctx);
    }

    /// What a webhook's lane goes by.
    pub(super) fn terms(&self, id: WebhookId) -> Terms {
        let limit = self.shared.limits.in_flight_per_webhook;
        let without_webhook = |mode| Terms {
            mode,
            is_fifo: false,
            in_flight_max: limit,
            rate_limit: None,
            version: 0,
        };
        match self.webhooks.get(&id) {
            Some(webhook) => {
                let mut terms = webhook.terms(limit);
                if self.disabling.contains(&id) {
                    terms.mode = Mode::Hold;
                }
                terms
            }
            None if self.gone.contains(&id) => without_webhook(Mode::Cancel),
            None => without_webhook(Mode::Hold),
        }
    }
}

impl Handler<Reload> for TenantActor {
    type Result = ();

    fn handle(&mut self, reload: Reload, ctx: &mut Context<Self>) {
        self.begun();
        self.start_reload(reload.reply, ctx);
    }
}

impl Handler<Reread> for TenantActor {
    type Result = ();

    fn handle(&mut self, reread: Reread, ctx: &mut Context<Self>) {
        self.start_reload(Some(reread.reply), ctx);
    }
}

impl Handler<Reloaded> for TenantActor {
    type Result = ();

    fn handle(&mut self, reloaded: Reloaded, ctx: &mut Context<Self>) {
        self.reloading -= 1;
        let result = match reloaded.changes {
            Ok(changes) => {
                self.apply(changes, ctx);
                self.settle_unknown(reloaded.number, ctx);
                Ok(())
            }
            Err(error) => {
                // What is accepted meanwhile is safe: the store refuses what was decided by an older
                // generation. What is to be sent is not, and may wait for this.
                tracing::warn!(%error, tenant = %self.tenant, "cannot read what has changed");
                self.reloads_again = true;
                Err(error)
            }
        };
        if let Some(reply) = reloaded.reply {
            // Whoever asked may not wait any more.
            drop(reply.send(result));
        }
        if self.reloading == 0 {
            if std::mem::take(&mut self.reloads_again) {
                ctx.run_later(RETRY, |actor, ctx| actor.start_reload(None, ctx));
            }
            for found in std::mem::take(&mut self.found_later) {
                self.take_found(found, ctx);
            }
        }
    }
}
