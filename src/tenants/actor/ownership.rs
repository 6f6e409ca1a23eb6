//! Whether this node sends for the tenant, and how the actor takes that up and lets go of it.

use std::collections::HashSet;

use actix::{AsyncContext, Context, Handler};

use super::{
    TenantActor,
    messages::{Expect, Found, LookAgain, Own, Release, Report, Waiting},
    reads::read_agenda,
};

/// How long to wait before what waits is read again.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

impl TenantActor {
    /// Whether an attempt may start now.
    pub(super) fn may_send(&self) -> bool {
        !self.is_suspended
            && !self.directory.is_stopping()
            && self.epoch.is_some()
            && self.shared.held.epoch(self.partition) == self.epoch
    }

    /// Brings the lanes in line with what this node holds.
    pub(super) fn own(&mut self, ctx: &mut Context<Self>) {
        let epoch = self.shared.held.epoch(self.partition);
        if epoch == self.epoch {
            let ids: Vec<_> = self.lanes.keys().copied().collect();
            for id in ids {
                self.look_at(id, ctx);
            }
            self.pump(ctx);
        } else if epoch.is_some() {
            self.forget_lanes();
            self.epoch = epoch;
            self.read_waiting(ctx);
        }
    }

    /// Forgets everything that is to be sent; it stands in the view. Attempts under way go on.
    fn forget_lanes(&mut self) {
        for lane in self.lanes.values() {
            self.elsewhere.extend(lane.in_flight());
        }
        self.lanes.clear();
        self.lanes_begun += 1;
        self.open_circuits.forget();
        self.runnable.clear();
        self.is_runnable.clear();
        self.wakes.clear();
        self.wake_of.clear();
        self.slots.clear();
    }

    /// Reads again what is to be sent: what is held here may have been cancelled meanwhile.
    pub(super) fn start_over(&mut self, ctx: &mut Context<Self>) {
        self.forget_lanes();
        self.read_waiting(ctx);
    }

    /// Reads which webhooks have something waiting, and whether there are recoveries.
    fn read_waiting(&mut self, ctx: &mut Context<Self>) {
        let Some(epoch) = self.epoch else { return };
        let (shared, tenant, addr) = (self.shared.clone(), self.tenant.clone(), ctx.address());
        let read = async move {
            let found = read_agenda(&shared, &tenant).await;
            addr.do_send(Waiting { epoch, found });
        };
        self.tasks.spawn_on(read, &self.shared.runtime);
    }

    /// Tells those who wait for it when nothing is under way.
    pub(super) fn tell_if_released(&mut self) {
        if self.in_flight == 0 && self.accepting == 0 {
            for reply in self.released.drain(..) {
                // Whoever asked may not wait any more.
                let _ = reply.send(());
            }
        }
    }
}

impl Handler<Own> for TenantActor {
    type Result = ();

    fn handle(&mut self, _: Own, ctx: &mut Context<Self>) {
        self.begun();
        self.own(ctx);
    }
}

impl Handler<Release> for TenantActor {
    type Result = ();

    fn handle(&mut self, release: Release, _: &mut Context<Self>) {
        self.begun();
        // It may have come back meanwhile, and `Own` with it.
        if self.shared.held.epoch(self.partition).is_none() {
            self.forget_lanes();
            self.epoch = None;
        }
        self.released.extend(release.reply);
        self.tell_if_released();
    }
}

impl Handler<LookAgain> for TenantActor {
    type Result = ();

    fn handle(&mut self, _: LookAgain, ctx: &mut Context<Self>) {
        self.begun();
        self.start_over(ctx);
    }
}

impl Handler<Waiting> for TenantActor {
    type Result = ();

    fn handle(&mut self, waiting: Waiting, ctx: &mut Context<Self>) {
        if Some(waiting.epoch) != self.epoch {
            return;
        }
        match waiting.found {
            Ok((found, has_recoveries)) => {
                for waiting in found {
                    self.lane(waiting.webhook_id, None).doubt(waiting.due_at);
                    self.look_at(waiting.webhook_id, ctx);
                }
                self.pump(ctx);
                if has_recoveries {
                    self.recover(ctx);
                }
            }
            Err(error) => {
                tracing::warn!(%error, tenant = %self.tenant, "cannot read what waits");
                ctx.run_later(RETRY, Self::read_waiting);
            }
        }
    }
}

impl Handler<Expect> for TenantActor {
    type Result = ();

    fn handle(&mut self, _: Expect, _: &mut Context<Self>) {
        self.begun();
        self.expected += 1;
    }
}

impl Handler<Found> for TenantActor {
    type Result = ();

    fn handle(&mut self, found: Found, ctx: &mut Context<Self>) {
        self.begun();
        if self.reloading > 0 {
            // Whoever published it may have changed a webhook before.
            self.found_later.push(found);
        } else {
            self.take_found(found, ctx);
        }
    }
}

impl TenantActor {
    /// Gives the lanes what another node has scheduled.
    pub(super) fn take_found(&mut self, Found(entries): Found, ctx: &mut Context<Self>) {
        // An actor that began since then has read it, or is about to.
        let is_expected = self.expected > 0;
        self.expected = self.expected.saturating_sub(1);
        let touched = if self.expected == 0 {
            std::mem::take(&mut self.touched)
        } else {
            self.touched.clone()
        };
        match entries {
            Some(entries) if is_expected && self.epoch.is_some() => {
                let now = self.shared.clock.now();
                let touched: HashSet<_> = touched.union(&self.elsewhere).copied().collect();
                for (webhook, entries) in entries {
                    self.lane(webhook, None).found(entries, &touched, now);
                    self.look_at(webhook, ctx);
                }
                self.pump(ctx);
            }
            _ => self.read_waiting(ctx),
        }
    }
}

impl Handler<Report> for TenantActor {
    type Result = ();

    fn handle(&mut self, Report(reply): Report, _: &mut Context<Self>) {
        let now = self.shared.clock.now();
        let lanes = self.lanes.values().filter(|_| self.may_send());
        // Whoever asked may not wait any more.
        let _ = reply.send(lanes.filter_map(|lane| lane.due_since(now)).min());
    }
}
