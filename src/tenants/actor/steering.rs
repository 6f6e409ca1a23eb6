//! How the actor takes what people do with deliveries by hand, and works on recoveries.

use std::{panic::AssertUnwindSafe, sync::Arc};

use actix::{AsyncContext, Context, Handler};
use futures_util::FutureExt;
use hookledger_domain::{delivery::Delivery, ids::DeliveryId};

use super::{
    TenantActor,
    messages::{Broken, Changed, Recover, RecoveriesDone, Refreshed},
};
use crate::{
    nodes::Partition,
    store::{self, Stream},
    tenants::{Shared, lane::Entry, recovering},
};

impl Handler<Changed> for TenantActor {
    type Result = ();

    fn handle(&mut self, Changed(ids): Changed, ctx: &mut Context<Self>) {
        self.begun();
        if self.epoch.is_none() {
            return;
        }
        let (shared, addr) = (self.shared.clone(), ctx.address());
        let epoch = self.epoch;
        let read = async move {
            let found = read_streams(&shared, &ids).await;
            if let Err(error) = &found {
                tracing::warn!(%error, "cannot read what was changed by hand");
            }
            addr.do_send(Refreshed {
                epoch,
                found: found.ok(),
            });
        };
        self.tasks.spawn_on(read, &self.shared.runtime);
    }
}

async fn read_streams(
    shared: &Arc<Shared>,
    ids: &[DeliveryId],
) -> Result<Vec<(DeliveryId, Stream<Delivery>)>, store::Error> {
    let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let streams = shared.ledger.load_many::<Delivery>(&texts).await?;
    Ok(streams
        .into_iter()
        .filter_map(|(id, stream)| Some((id.parse().ok()?, stream)))
        .collect())
}

impl Handler<Refreshed> for TenantActor {
    type Result = ();

    fn handle(&mut self, refreshed: Refreshed, ctx: &mut Context<Self>) {
        // Under another epoch it is read from the view.
        if refreshed.epoch != self.epoch {
            return;
        }
        let Some(found) = refreshed.found else {
            self.start_over(ctx);
            return;
        };
        let now = self.shared.clock.now();
        for (id, stream) in found {
            // One that is being accepted is offered; one that is under way comes back.
            if self.elsewhere.contains(&id) {
                continue;
            }
            let webhook = stream.state.webhook_id();
            let queue = stream.state.queue().map(str::to_owned);
            let fresh = stream.state.due_at().is_some().then_some(Entry {
                id,
                stream,
                body: None,
            });
            self.lane(webhook, None)
                .changed(id, fresh, queue.as_deref(), now);
            self.look_at(webhook, ctx);
        }
        self.pump(ctx);
    }
}

impl Handler<Recover> for TenantActor {
    type Result = ();

    fn handle(&mut self, _: Recover, ctx: &mut Context<Self>) {
        self.begun();
        self.recover(ctx);
    }
}

impl TenantActor {
    /// Works on the tenant's recoveries, if it does not already.
    pub(super) fn recover(&mut self, ctx: &mut Context<Self>) {
        let Some(epoch) = self.epoch else { return };
        if self.is_recovering {
            self.recovers_again = true;
            return;
        }
        self.is_recovering = true;
        let (shared, tenant, addr) = (self.shared.clone(), self.tenant.clone(), ctx.address());
        let directory = self.directory.clone();
        let work = async move {
            let is_wanted = || {
                let is_held = shared.held.epoch(Partition::of(&tenant)) == Some(epoch);
                is_held && addr.connected() && !directory.is_stopping()
            };
            let told = |found| {
                addr.do_send(Refreshed {
                    epoch: Some(epoch),
                    found: Some(found),
                });
            };
            let work = recovering::run(&shared, &tenant, is_wanted, told);
            match AssertUnwindSafe(work).catch_unwind().await {
                Ok(()) => addr.do_send(RecoveriesDone),
                Err(_) => addr.do_send(Broken),
            }
        };
        self.tasks.spawn_on(work, &self.shared.runtime);
    }
}

impl Handler<RecoveriesDone> for TenantActor {
    type Result = ();

    fn handle(&mut self, _: RecoveriesDone, ctx: &mut Context<Self>) {
        self.is_recovering = false;
        if std::mem::take(&mut self.recovers_again) {
            self.recover(ctx);
        }
    }
}
