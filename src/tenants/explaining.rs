//! Why and how a delivery came to be and how it ended, told from events: its own, those of its
//! message and its webhook, and, if it had to wait, those of its tenant.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use hookledger_domain::{
    actor::{Actor, Origin},
    delivery::{
        self, Delivery,
        attempt::Trigger,
        explanation::{Hold, Holds, Matched, Story, Told},
    },
    ids::{DeliveryId, WebhookId},
    message::{self, Message},
    recovery::Recovery,
    tenant::{self, Tenant, TenantId},
    webhook::Webhook,
};

use super::Tenants;
use crate::store::{Error, Ledger, Replayed, StoredEvent};

/// So many events are read at once.
const PAGE: u32 = 200;
/// The most recoveries that are looked up for whoever started them.
const RECOVERIES_MAX: usize = 20;

/// A delivery as its events tell it.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The delivery as it is now.
    pub delivery: Delivery,
    /// When its message was accepted, and from whom.
    pub accepted: (DateTime<Utc>, Origin),
    /// What made it.
    pub trigger: Trigger,
    /// The version that the webhook had when it was made.
    pub webhook_version: u64,
    /// Why the webhook got the message.
    pub matched: Matched,
    /// What happened since, and how it ended.
    pub told: Told,
    /// The webhook as it was when attempts were made, oldest first.
    pub configurations: Vec<Replayed<Webhook>>,
}

impl Tenants {
    /// Explains a delivery at the present moment; `None` if the tenant has no such delivery.
    ///
    /// Fails with [`Error::Unavailable`] when the database cannot be asked.
    pub async fn explain_delivery(
        &self,
        tenant: &TenantId,
        id: DeliveryId,
    ) -> Result<Option<Explanation>, Error> {
        let reader = Reader {
            ledger: &self.shared.ledger,
            tenant,
        };
        let Some((mut story, first)) = reader.delivery(&id.to_string()).await? else {
            return Ok(None);
        };
        let (webhook_id, is_test) = (story.delivery().webhook_id(), story.delivery().is_test());
        let accepted = reader.message(&mut story).await?;
        let mut then = reader
            .webhook(webhook_id, first.position, story.versions())
            .await?;
        let now = self.shared.clock.now();
        if story.has_waited(now) {
            reader.suspensions(&mut then.holds).await?;
        }
        let delivery = story.delivery().clone();
        Ok(Some(Explanation {
            accepted,
            trigger: first.trigger,
            webhook_version: then.version,
            matched: Matched::of(&then.webhook, delivery.topic(), is_test),
            told: story.finish(&then.holds, now),
            configurations: then.configurations,
            delivery,
        }))
    }
}

/// How a delivery began.
struct First {
    /// Where in the ledger.
    position: u64,
    /// By what.
    trigger: Trigger,
}

/// What of a webhook matters to a delivery.
#[derive(Default)]
struct Then {
    /// The webhook as it was when the delivery was made.
    webhook: Webhook,
    /// The version that it had.
    version: u64,
    /// When it was switched off.
    holds: Holds,
    /// As it was with the versions that attempts were made with.
    configurations: Vec<Replayed<Webhook>>,
}

/// Reads a tenant's streams.
struct Reader<'a> {
    ledger: &'a Ledger,
    tenant: &'a TenantId,
}

impl Reader<'_> {
    /// Hands every event of a stream over, page by page.
    async fn each<A: Aggregate>(
        &self,
        id: &str,
        mut see: impl AsyncFnMut(StoredEvent) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut after = 0;
        loop {
            let page = self
                .ledger
                .stream::<A>(self.tenant, id, after, PAGE)
                .await?;
            let is_last = page.len() < PAGE as usize;
            for event in page {
                after = event.sequence;
                see(event).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// The delivery's own story.
    async fn delivery(&self, id: &str) -> Result<Option<(Story, First)>, Error> {
        let (mut story, mut first) = (Story::default(), None);
        let mut recoverers = HashMap::new();
        self.each::<Delivery>(id, async |stored| {
            let (event, origin) = (stored.event::<Delivery>()?, stored.origin()?);
            let mut actor = origin.actor.clone();
            match &event {
                delivery::Event::Scheduled(scheduled) => {
                    first = Some(First {
                        position: stored.position,
                        trigger: scheduled.trigger,
                    });
                }
                delivery::Event::AttemptRequested {
                    trigger: Trigger::Recover,
                    ..
                } => {
                    if let Some(found) = self.recoverer(&origin, &mut recoverers).await? {
                        actor = found;
                    }
                }
                _ => {}
            }
            story.tell(event, stored.recorded_at, &actor);
            Ok(())
        })
        .await?;
        Ok(first.map(|first| (story, first)))
    }

    /// Who started the recovery because of which something was asked for.
    async fn recoverer(
        &self,
        origin: &Origin,
        known: &mut HashMap<String, Option<Actor>>,
    ) -> Result<Option<Actor>, Error> {
        let Some(recovery) = origin.cause.as_deref() else {
            return Ok(None);
        };
        if let Some(actor) = known.get(recovery) {
            return Ok(actor.clone());
        }
        if known.len() >= RECOVERIES_MAX {
            return Ok(None);
        }
        let events = self.ledger.stream::<Recovery>(self.tenant, recovery, 0, 1);
        let started = events.await?.pop();
        let started = started.map(|started| started.origin()).transpose()?;
        let actor = started.map(|started| started.actor);
        known.insert(recovery.to_owned(), actor.clone());
        Ok(actor)
    }

    /// How the message was accepted; what happened to its body is told.
    async fn message(&self, story: &mut Story) -> Result<(DateTime<Utc>, Origin), Error> {
        let id = story.delivery().message_id().to_string();
        let mut accepted = None;
        self.each::<Message>(&id, async |stored| {
            let origin = stored.origin()?;
            match stored.event::<Message>()? {
                message::Event::Accepted(_) => accepted = Some((stored.recorded_at, origin)),
                message::Event::BodyErased => {
                    story.tell_of_erased_message(stored.recorded_at, &origin.actor);
                }
            }
            Ok(())
        })
        .await?;
        accepted.ok_or_else(|| Error::corrupt("a delivery without message"))
    }

    /// The webhook as it was before the event at `position`, and what else of it matters.
    async fn webhook(
        &self,
        id: WebhookId,
        position: u64,
        versions: &BTreeSet<u64>,
    ) -> Result<Then, Error> {
        let mut then = Then::default();
        let mut webhook = Webhook::default();
        let mut created_at = None;
        self.each::<Webhook>(&id.to_string(), async |stored| {
            webhook.apply(stored.event::<Webhook>()?);
            let is_off = !webhook.is_active();
            then.holds.note(Hold::Inactive, is_off, stored.recorded_at);
            // Positions tell the order also of what was recorded in the same millisecond.
            if stored.position < position {
                (then.webhook, then.version) = (webhook.clone(), stored.sequence);
            }
            let created_at = *created_at.get_or_insert(stored.recorded_at);
            if versions.contains(&stored.sequence) {
                then.configurations.push(Replayed {
                    state: webhook.clone(),
                    sequence: stored.sequence,
                    created_at,
                    updated_at: stored.recorded_at,
                });
            }
            Ok(())
        })
        .await?;
        Ok(then)
    }

    /// When the tenant was suspended.
    async fn suspensions(&self, holds: &mut Holds) -> Result<(), Error> {
        self.each::<Tenant>(self.tenant.as_str(), async |stored| {
            let is_suspended = match stored.event::<Tenant>()? {
                tenant::Event::Suspended | tenant::Event::SuspendedForBilling => true,
                tenant::Event::Resumed => false,
                _ => return Ok(()),
            };
            holds.note(Hold::Suspended, is_suspended, stored.recorded_at);
            Ok(())
        })
        .await
    }
}
