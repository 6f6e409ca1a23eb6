//! How the actor takes what people do with deliveries by hand, and works on recoveries.

use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::Arc,
};

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
        let (epoch, number) = (self.epoch, self.refreshing.begin(&ids));
        let read = async move {
            let found = read_streams(&shared, &ids).await;
            if let Err(error) = &found {
                tracing::warn!(%error, "cannot read what was changed by hand");
            }
            addr.do_send(Refreshed {
                epoch,
                number: Some(number),
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

/// Deliveries that are being read because they were changed by hand, and what was recorded meanwhile:
/// what was read of those may be old.
#[derive(Debug, Default)]
pub(super) struct Refreshing {
    begun: u64,
    under_way: usize,
    /// The last reading of each delivery.
    last: HashMap<DeliveryId, u64>,
    recorded: HashSet<DeliveryId>,
}

impl Refreshing {
    fn begin(&mut self, ids: &[DeliveryId]) -> u64 {
        self.begun += 1;
        self.under_way += 1;
        self.last.extend(ids.iter().map(|id| (*id, self.begun)));
        self.begun
    }

    /// Takes note that an attempt of a delivery was recorded.
    pub(super) fn recorded(&mut self, id: DeliveryId, is_recovering: bool) {
        if self.under_way > 0 || is_recovering {
            self.recorded.insert(id);
        }
    }

    /// What the reading of this number tells of a delivery; without a number it was changed here.
    fn judge(&mut self, id: DeliveryId, number: Option<u64>) -> News {
        let last = self.last.get(&id).copied();
        if number.is_some() && last != number {
            return News::Passed;
        }
        self.last.remove(&id);
        match self.recorded.remove(&id) || (number.is_none() && last.is_some()) {
            true => News::Unsure,
            false => News::True,
        }
    }

    fn end(&mut self, number: Option<u64>, is_recovering: bool) {
        self.under_way -= usize::from(number.is_some());
        if self.under_way == 0 && !is_recovering {
            self.recorded.clear();
            self.last.clear();
        }
    }
}

/// What is to be made of what was read of a delivery.
enum News {
    /// It is as it was read.
    True,
    /// It may be otherwise by now: the view tells.
    Unsure,
    /// A later reading will tell.
    Passed,
}

impl Handler<Refreshed> for TenantActor {
    type Result = ();

    fn handle(&mut self, refreshed: Refreshed, ctx: &mut Context<Self>) {
        let number = refreshed.number;
        // Under another epoch it is read from the view.
        let found = match refreshed.found {
            Some(found) if refreshed.epoch == self.epoch => found,
            Some(_) => Vec::new(),
            None => {
                self.start_over(ctx);
                Vec::new()
            }
        };
        let now = self.shared.clock.now();
        for (id, stream) in found {
            let webhook = stream.state.webhook_id();
            let news = self.refreshing.judge(id, number);
            // One that is being accepted is offered; one that is under way comes back.
            if self.elsewhere.contains(&id) {
                continue;
            }
            let entry = Entry {
                id,
                stream,
                body: None,
            };
            match news {
                News::True => self.lane(webhook, None).changed(entry, now),
                News::Unsure => self.lane(webhook, None).doubt(now),
                News::Passed => continue,
            }
            self.look_at(webhook, ctx);
        }
        self.refreshing.end(number, self.is_recovering);
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
                    number: None,
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
        self.refreshing.end(None, false);
        if std::mem::take(&mut self.recovers_again) {
            self.recover(ctx);
        }
    }
}
