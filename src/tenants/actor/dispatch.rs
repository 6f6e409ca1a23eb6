//! How the actor brings its lanes' deliveries on their way.

use std::{panic::AssertUnwindSafe, sync::Arc};

use actix::{AsyncContext, Context};
use futures_util::FutureExt;
use hookledger_domain::ids::WebhookId;

use super::{
    TenantActor,
    messages::{Broken, Done, Granted, Loaded},
    reads::read_due,
};
use crate::tenants::{
    attempt::{self, Ended},
    lane::Next,
    slots::Slot,
};

impl TenantActor {
    /// After anything happened to a lane: loads what it lacks, puts it in turn if it has
    /// something to send, and notes when it wants to be looked at again.
    pub(super) fn look_at(&mut self, id: WebhookId, ctx: &mut Context<Self>) {
        let now = self.shared.clock.now();
        if let Some(wake_at) = self.wake_of.remove(&id) {
            self.wakes.remove(&(wake_at, id));
        }
        if !self.may_send() {
            return;
        }
        self.ask_about(id, ctx);
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        if let Some(load) = lane.start_load(self.elsewhere.len(), now) {
            let (shared, tenant, addr) = (self.shared.clone(), self.tenant.clone(), ctx.address());
            let lanes_begun = self.lanes_begun;
            self.shared.runtime.spawn(async move {
                let entries = read_due(&shared, &tenant, id, load).await;
                addr.do_send(Loaded {
                    lanes_begun,
                    webhook: id,
                    entries,
                });
            });
        }
        if lane.has_next(now) && self.is_runnable.insert(id) {
            self.runnable.push_back(id);
        }
        if let Some(wake_at) = lane.wake_at(now).filter(|wake_at| *wake_at > now) {
            self.wakes.insert((wake_at, id));
            self.wake_of.insert(id, wake_at);
        } else if lane.is_idle(now) && lane.is_empty() {
            self.lanes.remove(&id);
        }
        self.set_timer(ctx);
    }

    /// Sends as much as the limits allow, one delivery a lane in turn.
    pub(super) fn pump(&mut self, ctx: &mut Context<Self>) {
        while let Some(id) = self.runnable.front().copied() {
            if !self.may_send() {
                break;
            }
            let now = self.shared.clock.now();
            let has_next = self.lanes.get(&id).is_some_and(|lane| lane.has_next(now));
            if !has_next {
                self.runnable.pop_front();
                self.is_runnable.remove(&id);
                continue;
            }
            if self.in_flight >= self.shared.limits.in_flight_per_tenant {
                break;
            }
            let Some(slot) = self.take_slot(ctx) else {
                break;
            };
            match self.lanes.get_mut(&id).and_then(|lane| lane.next(now)) {
                Some(next) => self.launch(id, next, slot, ctx),
                None => drop(slot),
            }
            self.runnable.rotate_left(1);
        }
        // What is not needed goes to the next tenant.
        self.slots.clear();
    }

    fn take_slot(&mut self, ctx: &mut Context<Self>) -> Option<Slot> {
        if let Some(slot) = self.slots.pop() {
            return Some(slot);
        }
        let addr = ctx.address();
        self.shared.slots.take(&self.tenant, || {
            Box::new(move |slot| addr.do_send(Granted(slot)))
        })
    }

    fn launch(&mut self, id: WebhookId, next: Next, slot: Slot, ctx: &mut Context<Self>) {
        self.in_flight += 1;
        let (shared, tenant, addr) = (self.shared.clone(), self.tenant.clone(), ctx.address());
        let (webhook, epoch) = (self.webhooks.get(&id).map(Arc::clone), self.epoch);
        self.tasks.spawn_on(
            async move {
                let delivery = next.id();
                let attempt = async {
                    match (next, webhook) {
                        (Next::Send(entry), Some(webhook)) => {
                            attempt::send(&shared, &tenant, &webhook, epoch, entry).await
                        }
                        (Next::Cancel(entry), _) => attempt::cancel(&shared, &tenant, entry).await,
                        // Its webhook is not here any more: what that means, a reload tells.
                        (Next::Send(entry), None) => Ended {
                            again: Some(entry),
                            attempt: None,
                        },
                    }
                };
                let ended = AssertUnwindSafe(attempt).catch_unwind().await;
                drop(slot);
                match ended {
                    Ok(ended) => addr.do_send(Done {
                        webhook: id,
                        delivery,
                        ended,
                    }),
                    // What it had done is not known here; a new actor reads it from the ledger.
                    Err(_) => addr.do_send(Broken),
                }
            },
            &self.shared.runtime,
        );
    }

    /// One timer for the lane that wants to be looked at first.
    fn set_timer(&mut self, ctx: &mut Context<Self>) {
        let first = self.wakes.first().map(|(wake_at, _)| *wake_at);
        let set = self.timer.map(|(at, _)| at);
        let Some(first) = first.filter(|first| set.is_none_or(|set| *first < set)) else {
            return;
        };
        if let Some((_, handle)) = self.timer.take() {
            ctx.cancel_future(handle);
        }
        let wait = (first - self.shared.clock.now())
            .to_std()
            .unwrap_or_default();
        let handle = ctx.run_later(wait, |actor, ctx| {
            actor.timer = None;
            actor.wake_lanes(ctx);
        });
        self.timer = Some((first, handle));
    }

    fn wake_lanes(&mut self, ctx: &mut Context<Self>) {
        let now = self.shared.clock.now();
        while let Some((wake_at, id)) = self.wakes.first().copied() {
            if wake_at > now {
                break;
            }
            self.look_at(id, ctx);
        }
        self.set_timer(ctx);
        self.pump(ctx);
    }
}
