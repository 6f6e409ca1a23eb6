//! How the actor takes messages: it decides who gets them, lets them be written, and gives their
//! deliveries to the lanes.

use std::sync::Arc;

use actix::{Addr, AsyncContext, Context, Handler};
use hookledger_domain::{
    actor::Origin,
    ids::DeliveryId,
    message::{self, FanOut, Recipient, SkipReason, Skipped},
    tenant::TenantId,
    webhook::Ordering,
};
use tokio::sync::{Mutex, oneshot};

use super::{
    TenantActor,
    messages::{Accept, Accepted, FanOutAgain, FannedOut, Offer, Reread},
};
use crate::{
    store,
    tenants::{
        Error, Shared,
        accept::{Failed, Fresh, Prepared, accept},
        filtering::Filtering,
        publish::Published,
    },
};

/// Messages of a batch whose commits are under way at one time.
const BATCH_COMMITS_MAX: usize = 64;
/// How often it is decided anew who gets a message because the tenant has changed meanwhile.
const FAN_OUTS_MAX: usize = 10;

impl TenantActor {
    /// Decides who gets messages, and notes that their deliveries are being accepted.
    fn fan_out_all(&mut self, items: Vec<Prepared>) -> FannedOut {
        let mut filtering = Filtering::default();
        let items: Vec<(Prepared, FanOut)> = items
            .into_iter()
            .map(|item| {
                let fan_out = self.fan_out(&item);
                let ids = fan_out.deliveries.iter().map(|to| to.delivery_id);
                self.accepting += fan_out.deliveries.len();
                self.elsewhere.extend(ids);
                filtering.note(&fan_out, &self.webhooks);
                (item, fan_out)
            })
            .collect();
        let is_ordered = items
            .iter()
            .flat_map(|(_, fan_out)| &fan_out.deliveries)
            .filter_map(|to| self.webhooks.get(&to.webhook_id))
            .any(|webhook| webhook.webhook().config().ordering == Ordering::Fifo);
        FannedOut {
            items,
            generation: self.generation,
            is_ordered,
            filtering: filtering.into(),
        }
    }

    /// Decides who gets a message; nobody but a test's webhook gets a test.
    fn fan_out(&self, item: &Prepared) -> FanOut {
        let now = self.shared.clock.now();
        let delivery_id = || self.shared.ids.delivery(now);
        let disabled = item
            .together
            .as_ref()
            .and_then(|together| together.webhook_id);
        match item.only {
            None => {
                let webhooks = self
                    .webhooks
                    .iter()
                    .filter(|(id, _)| Some(**id) != disabled)
                    .map(|(id, webhook)| (*id, webhook.webhook()));
                let mut fan_out = message::fan_out(&item.topic, webhooks, delivery_id);
                fan_out
                    .not_delivered
                    .extend(disabled.map(|webhook_id| Skipped {
                        webhook_id,
                        reason: SkipReason::Inactive,
                        detail: None,
                    }));
                fan_out
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
        // Another node may have ended the suspension just now, so the store is asked before anybody
        // is refused.
        let fanned_out = if self.is_suspended {
            Err(message.batch)
        } else {
            Ok(self.fan_out_all(message.batch))
        };
        let intake = Intake {
            shared: self.shared.clone(),
            filter_turn: self.filter_turn.clone(),
            tenant: self.tenant.clone(),
            addr: ctx.address(),
            origin: message.origin,
        };
        let (permit, reply) = (message.permit, message.reply);
        let work = async move {
            let _permit = permit;
            let fanned_out = match fanned_out {
                Ok(fanned_out) => Ok(fanned_out),
                Err(items) => intake.fan_out_again(items).await,
            };
            let accepted = match fanned_out {
                Ok(fanned_out) => Ok(intake.accept(fanned_out).await),
                Err(error) => Err(error),
            };
            // Whoever asked may have gone away; the messages are accepted all the same.
            drop(reply.send(accepted));
        };
        self.tasks.spawn_on(work, &self.shared.runtime);
    }
}

impl Handler<FanOutAgain> for TenantActor {
    type Result = ();

    fn handle(&mut self, message: FanOutAgain, _: &mut Context<Self>) {
        // What is told of other events waits for the end of the suspension as what is pending does.
        let is_published = message.items.iter().any(|item| item.together.is_none());
        let fanned_out = if self.is_suspended && is_published {
            Err(Error::Suspended)
        } else {
            Ok(self.fan_out_all(message.items))
        };
        if let Err(Ok(unwanted)) = message.reply.send(fanned_out) {
            // The task that asked is gone, so nobody is going to accept them.
            for (_, fan_out) in unwanted.items {
                self.settle(fan_out.deliveries.iter().map(|to| to.delivery_id));
            }
        }
    }
}

impl TenantActor {
    fn settle(&mut self, ids: impl Iterator<Item = DeliveryId>) {
        for id in ids {
            self.accepting -= usize::from(self.elsewhere.remove(&id));
        }
    }
}

impl Handler<Offer> for TenantActor {
    type Result = ();

    fn handle(&mut self, offer: Offer, ctx: &mut Context<Self>) {
        let now = self.shared.clock.now();
        self.settle(offer.settled.into_iter());
        // Where another node sends, the store has told it.
        if self.epoch.is_some() {
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
        self.tell_if_released();
    }
}

/// Brings the messages of one request into the store.
pub(super) struct Intake {
    pub(super) shared: Arc<Shared>,
    /// The tenant's filters are asked about one message after another.
    pub(super) filter_turn: Arc<Mutex<()>>,
    pub(super) tenant: TenantId,
    pub(super) addr: Addr<TenantActor>,
    pub(super) origin: Origin,
}

impl Intake {
    async fn accept(&self, fanned_out: FannedOut) -> Accepted {
        let FannedOut {
            items,
            generation,
            is_ordered,
            filtering,
        } = fanned_out;
        let mut accepted = Accepted::with_capacity(items.len());
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            let chunk = FannedOut {
                items: items.by_ref().take(BATCH_COMMITS_MAX).collect(),
                generation,
                is_ordered,
                filtering: filtering.clone(),
            };
            accepted.extend(self.accept_chunk(chunk).await);
        }
        accepted
    }

    /// Accepts some messages. Those for which the tenant has changed meanwhile are decided anew.
    async fn accept_chunk(&self, mut fanned_out: FannedOut) -> Accepted {
        let mut places: Vec<usize> = (0..fanned_out.items.len()).collect();
        let mut accepted: Vec<_> = places.iter().map(|_| None).collect();
        for round in 1..=FAN_OUTS_MAX {
            let items: Vec<Prepared> = fanned_out
                .items
                .iter()
                .map(|(item, _)| item.clone())
                .collect();
            let results = self.accept_all(fanned_out).await;
            let mut stale = (Vec::new(), Vec::new());
            for ((place, item), result) in places.into_iter().zip(items).zip(results) {
                match result {
                    Err(Failed::Store(store::Error::Stale)) => {
                        stale.0.push(place);
                        stale.1.push(item);
                    }
                    other => accepted[place] = Some(other),
                }
            }
            places = stale.0;
            // What is fanned out counts as being accepted until somebody tries to.
            if places.is_empty() || round == FAN_OUTS_MAX {
                break;
            }
            match self.fan_out_again(stale.1).await {
                Ok(again) => fanned_out = again,
                Err(error) => {
                    for place in places {
                        accepted[place] = Some(Err(Failed::Actor(error.clone())));
                    }
                    break;
                }
            }
        }
        let busy = || Err(Failed::Store(store::Error::Busy));
        accepted
            .into_iter()
            .map(|result| result.unwrap_or_else(busy))
            .collect()
    }

    async fn fan_out_again(&self, items: Vec<Prepared>) -> Result<FannedOut, Error> {
        self.reread().await?;
        self.fan_out(items).await
    }

    /// Lets the actor read how the tenant is now.
    pub(super) async fn reread(&self) -> Result<(), Error> {
        let (reply, reloaded) = oneshot::channel();
        self.addr.do_send(Reread { reply });
        reloaded.await.map_err(|_| Error::Unavailable)?
    }

    /// Lets the actor decide who gets messages.
    pub(super) async fn fan_out(&self, items: Vec<Prepared>) -> Result<FannedOut, Error> {
        let (reply, answer) = oneshot::channel();
        self.addr.do_send(FanOutAgain { items, reply });
        answer.await.map_err(|_| Error::Unavailable)?
    }

    /// Accepts messages and offers the lanes what is to be sent.
    pub(super) async fn accept_all(&self, mut fanned_out: FannedOut) -> Accepted {
        // Those whose filters say no are noted as being accepted, too.
        let recipients: Vec<Vec<Recipient>> = fanned_out
            .items
            .iter()
            .map(|(_, fan_out)| fan_out.deliveries.clone())
            .collect();
        if !fanned_out.filtering.is_empty() {
            let _turn = self.filter_turn.lock().await;
            for (item, fan_out) in &mut fanned_out.items {
                fanned_out.filtering.ask(&self.shared, item, fan_out).await;
            }
        }
        let results = if fanned_out.is_ordered && fanned_out.items.len() > 1 {
            self.append_in_order(fanned_out).await
        } else {
            let FannedOut {
                items, generation, ..
            } = fanned_out;
            // Side by side, so that they share the writer's transactions.
            let commits = items.into_iter().map(|item| self.append(item, generation));
            futures_util::future::join_all(commits).await
        };
        let mut offer = Offer::default();
        let accepted = recipients
            .into_iter()
            .zip(results)
            .map(|(recipients, result)| note(&mut offer, &recipients, result))
            .collect();
        self.addr.do_send(offer);
        accepted
    }

    async fn append(
        &self,
        item: (Prepared, FanOut),
        generation: u64,
    ) -> Result<Fresh, store::Error> {
        let accepted = self.append_together(vec![item], generation).await?.pop();
        accepted.ok_or_else(|| store::Error::corrupt("a message that gave nothing"))
    }

    async fn append_together(
        &self,
        items: Vec<(Prepared, FanOut)>,
        generation: u64,
    ) -> Result<Vec<Fresh>, store::Error> {
        let (shared, tenant) = (&self.shared, &self.tenant);
        accept(shared, tenant, items, generation, &self.origin).await
    }

    /// Appends messages whose order counts: all at once, so that nobody sees a later one without an
    /// earlier one. If one of them is refused, one after the other.
    async fn append_in_order(&self, fanned_out: FannedOut) -> Vec<Result<Fresh, store::Error>> {
        let FannedOut {
            items, generation, ..
        } = fanned_out;
        match self.append_together(items.clone(), generation).await {
            Ok(accepted) => accepted.into_iter().map(Ok).collect(),
            Err(store::Error::Conflict) => {
                let mut results = Vec::with_capacity(items.len());
                for item in items {
                    results.push(self.append(item, generation).await);
                }
                results
            }
            Err(error) => items.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}

/// Notes in the offer what became of a message.
fn note(
    offer: &mut Offer,
    recipients: &[Recipient],
    result: Result<Fresh, store::Error>,
) -> Result<(Published, Option<DeliveryId>), Failed> {
    offer
        .settled
        .extend(recipients.iter().map(|to| to.delivery_id));
    if matches!(&result, Err(error) if error.is_unavailable()) {
        offer
            .unsure
            .extend(recipients.iter().map(|to| to.webhook_id));
    }
    let message = result.map_err(Failed::Store)?;
    let first = message.entries.first().map(|(_, entry)| entry.id);
    offer.fresh.extend(message.entries);
    Ok((message.published, first))
}
