//! How the actor takes messages: it decides who gets them, lets them be written, and gives their
//! deliveries to the lanes.

use actix::{AsyncContext, Context, Handler};
use hookledger_domain::{
    actor::Origin,
    message::{self, FanOut, Recipient},
    tenant::TenantId,
};

use super::{
    TenantActor,
    messages::{Accept, Accepted, Offer},
};
use crate::tenants::{
    Error, Shared,
    accept::{Prepared, accept},
};

/// Messages of a batch whose commits are under way at one time.
const BATCH_COMMITS_MAX: usize = 64;

impl TenantActor {
    /// Decides who gets a message; nobody but a test's webhook gets a test.
    fn fan_out(&self, item: &Prepared) -> FanOut {
        let now = self.shared.clock.now();
        let delivery_id = || self.shared.ids.delivery(now);
        match item.only {
            None => {
                let webhooks = self
                    .webhooks
                    .iter()
                    .map(|(id, webhook)| (*id, webhook.webhook()));
                message::fan_out(&item.topic, webhooks, delivery_id)
            }
            Some(webhook_id) => FanOut {
                deliveries: vec![Recipient {
                    delivery_id: delivery_id(),
                    webhook_id,
                }],
                not_delivered: Vec::new(),
            },
        }
    }
}

impl Handler<Accept> for TenantActor {
    type Result = ();

    fn handle(&mut self, message: Accept, ctx: &mut Context<Self>) {
        self.begun();
        if self.is_suspended {
            drop(message.reply.send(Err(Error::Suspended)));
            return;
        }
        let items: Vec<(Prepared, FanOut)> = message
            .batch
            .into_iter()
            .map(|item| {
                let fan_out = self.fan_out(&item);
                self.accepting
                    .extend(fan_out.deliveries.iter().map(|to| to.delivery_id));
                (item, fan_out)
            })
            .collect();
        let (shared, tenant, addr) = (self.shared.clone(), self.tenant.clone(), ctx.address());
        let (origin, permit, reply) = (message.origin, message.permit, message.reply);
        let work = async move {
            let _permit = permit;
            let mut accepted = Accepted::with_capacity(items.len());
            let mut items = items.into_iter().peekable();
            while items.peek().is_some() {
                let chunk: Vec<_> = items.by_ref().take(BATCH_COMMITS_MAX).collect();
                let (offer, results) = accept_all(&shared, &tenant, chunk, &origin).await;
                accepted.extend(results);
                addr.do_send(offer);
            }
            // Whoever asked may have gone away; the messages are accepted all the same.
            drop(reply.send(Ok(accepted)));
        };
        self.tasks.spawn_on(work, &self.shared.runtime);
    }
}

/// Accepts messages side by side, so that they share the writer's transactions.
async fn accept_all(
    shared: &Shared,
    tenant: &TenantId,
    items: Vec<(Prepared, FanOut)>,
    origin: &Origin,
) -> (Offer, Accepted) {
    let recipients: Vec<Vec<Recipient>> = items
        .iter()
        .map(|(_, fan_out)| fan_out.deliveries.clone())
        .collect();
    let commits = items
        .into_iter()
        .map(|(item, fan_out)| accept(shared, tenant, item, fan_out, origin));
    let results = futures_util::future::join_all(commits).await;
    let mut offer = Offer::default();
    let mut accepted = Accepted::with_capacity(results.len());
    for (recipients, result) in recipients.into_iter().zip(results) {
        offer
            .settled
            .extend(recipients.iter().map(|to| to.delivery_id));
        if matches!(&result, Err(error) if error.is_unavailable()) {
            offer
                .unsure
                .extend(recipients.iter().map(|to| to.webhook_id));
        }
        accepted.push(result.map(|message| {
            let first = message.entries.first().map(|(_, entry)| entry.id);
            offer.fresh.extend(message.entries);
            (message.published, first)
        }));
    }
    (offer, accepted)
}

impl Handler<Offer> for TenantActor {
    type Result = ();

    fn handle(&mut self, offer: Offer, ctx: &mut Context<Self>) {
        let now = self.shared.clock.now();
        for id in &offer.settled {
            self.accepting.remove(id);
        }
        for (webhook, entry) in offer.fresh {
            self.lane(webhook, None).offer(entry, now);
            self.look_at(webhook, ctx);
        }
        for webhook in offer.unsure {
            self.lane(webhook, None).doubt(now);
            self.look_at(webhook, ctx);
        }
        self.pump(ctx);
    }
}
