//! What a callback changes: its tenant's billing, perhaps the tenant itself, and the message that tells of
//! it. All of that is one commit, or nothing.

use std::sync::Arc;

use cqrs_es::{Aggregate, event_sink::EventSink};
use hookledger_domain::{
    actor::Origin,
    billing::{self, Billing, News, Seen, Shown},
    callback::{self, Callback, Effect, Ignorance, Outcome},
    fact::Fact,
    stripe::{Notice, StripeId, Subject},
    tenant::{self, Tenant, TenantId},
    topic::Topic,
};

use crate::{
    store::{Commit, Stream},
    tenants::{
        Error, Shared, Tenants,
        accept::{Failed, Placed, Prepared, Together},
    },
};

/// Whether a tenant has a callback's customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// It has, or there is none.
    Known,
    /// It has from now on, for it has none.
    New,
    /// It has from now on, instead of another one.
    Replaced,
}

/// Why a callback was not taken.
#[derive(Debug)]
pub(super) enum Taking {
    /// Somebody else was first, so it is to be decided anew.
    Conflict,
    /// It cannot be.
    Failed(Error),
}

/// What a callback leads to within its tenant.
struct Consequences {
    events: Vec<Placed>,
    news: Option<News>,
    outcome: Outcome,
    /// The tenant is suspended by it, or resumed.
    changes_access: bool,
}

/// Appends that a callback is not handled. It is nobody's.
pub(super) async fn ignore(
    shared: &Shared,
    id: &StripeId,
    notice: &Notice,
    reason: Ignorance,
    origin: &Origin,
) -> Result<(), Taking> {
    let mut commit = Commit::new(origin, shared.clock.now());
    taken(id, notice, Effect::Ignore(reason))
        .await?
        .push(&mut commit)?;
    Ok(shared.ledger.commit(commit).await?)
}

impl Tenants {
    /// Appends what a callback changes within its tenant.
    pub(super) async fn apply_callback(
        &self,
        id: &StripeId,
        notice: &Notice,
        tenant: &TenantId,
        link: Link,
        origin: &Origin,
    ) -> Result<Outcome, Taking> {
        let shared = &self.shared;
        let mut origin = origin.clone();
        origin.tenant = Some(tenant.clone());
        let consequences = consequences(shared, id, notice, tenant, link).await?;
        let (outcome, changes_access) = (consequences.outcome, consequences.changes_access);
        match message(consequences.news.as_ref(), notice)? {
            None => {
                let mut commit = Commit::new(&origin, shared.clock.now());
                for placed in &consequences.events {
                    placed.push(&mut commit)?;
                }
                shared.ledger.commit(commit).await?;
            }
            Some(message) => {
                let together = Together {
                    webhook_id: None,
                    events: consequences.events,
                };
                let message = Prepared {
                    together: Some(Arc::new(together)),
                    ..message
                };
                self.publish_together(tenant, message, origin).await?;
            }
        }
        if changes_access {
            self.directory.reload(tenant).await;
        }
        Ok(outcome)
    }

    async fn publish_together(
        &self,
        tenant: &TenantId,
        message: Prepared,
        origin: Origin,
    ) -> Result<(), Taking> {
        let accepted = self.directory.accept(tenant, vec![message], origin).await?;
        match accepted.into_iter().next() {
            Some(Ok(_)) => Ok(()),
            Some(Err(Failed::Store(error))) => Err(error.into()),
            Some(Err(Failed::Actor(error))) => Err(error.into()),
            None => Err(Error::Internal.into()),
        }
    }
}

async fn consequences(
    shared: &Shared,
    id: &StripeId,
    notice: &Notice,
    tenant: &TenantId,
    link: Link,
) -> Result<Consequences, Taking> {
    let shown = match &notice.subject {
        Subject::Subscription(one) => Some(Shown::Subscription(one.clone())),
        Subject::Invoice(one) => Some(Shown::Invoice(one.clone())),
        Subject::Checkout | Subject::Other | Subject::Nothing => None,
    };
    let own: Stream<Tenant> = shared.ledger.load(tenant.as_str()).await?;
    // Whoever is suspended already has been for another reason, which does not end with this one.
    let suspends = shared.billing.suspends && !own.state.is_suspended();
    let mut events = Vec::new();
    let (mut news, mut access, mut is_stale) = (None, None, false);
    if let Some(shown) = shown {
        let stream: Stream<Billing> = shared.ledger.load(tenant.as_str()).await?;
        let before = stream.state.clone();
        let command = billing::Command {
            seen: Seen {
                at: notice.created_at,
                kind: notice.kind.clone(),
                callback_id: id.clone(),
            },
            shown: shown.clone(),
            suspends,
        };
        let decided = decide(stream.state, command).await?;
        is_stale = decided.is_empty();
        access = decided.iter().find_map(|event| match event {
            billing::Event::AccessWithdrawn => Some(true),
            billing::Event::AccessRestored => Some(false),
            _ => None,
        });
        news = News::of(&before, &notice.kind, &shown).filter(|_| !is_stale);
        events.extend(Placed::after(stream.sequence, tenant.as_str(), decided));
    }
    let customer = notice.customer_id.clone();
    let changed = change_tenant(own, tenant, (link, customer), access).await?;
    let changes_access = changed.iter().any(|placed| {
        matches!(
            placed.fact,
            Fact::Tenant(tenant::Event::Suspended | tenant::Event::Resumed)
        )
    });
    events.extend(changed);
    let effect = if is_stale {
        Effect::BeStale
    } else {
        Effect::Apply
    };
    events.insert(0, taken(id, notice, effect).await?);
    Ok(Consequences {
        events,
        news,
        outcome: if is_stale {
            Outcome::Stale
        } else {
            Outcome::Applied
        },
        changes_access,
    })
}

/// What changes of the tenant itself: its customer, and whether it is suspended.
async fn change_tenant(
    stream: Stream<Tenant>,
    id: &TenantId,
    (link, customer): (Link, Option<StripeId>),
    is_suspended: Option<bool>,
) -> Result<Vec<Placed>, Taking> {
    let customer = customer.filter(|_| link != Link::Known);
    let known = stream.state.stripe_customer_id();
    // Another callback has made it somebody's customer since it was asked whether it is one.
    let is_late = |customer: &StripeId| known.is_some_and(|known| known != customer.as_str());
    if link == Link::New && customer.as_ref().is_some_and(is_late) {
        return Err(Taking::Conflict);
    }
    if customer.is_none() && is_suspended.is_none() {
        return Ok(Vec::new());
    }
    let command = tenant::Command::Change {
        name: None,
        stripe_customer_id: customer.map(|id| Some(id.to_string())),
        is_suspended,
    };
    let events = decide(stream.state, command).await?;
    Ok(Placed::after(stream.sequence, id.as_str(), events).collect())
}

/// The event by which a callback is taken, its first and last.
async fn taken(id: &StripeId, notice: &Notice, effect: Effect) -> Result<Placed, Taking> {
    let command = callback::Command {
        notice: notice.clone(),
        effect,
    };
    let events = decide(Callback::default(), command).await?;
    let placed = Placed::after(0, id.as_str(), events).next();
    placed.ok_or_else(|| Error::Internal.into())
}

async fn decide<A>(mut aggregate: A, command: A::Command) -> Result<Vec<A::Event>, Taking>
where
    A: Aggregate<Services = ()>,
    A::Error: std::fmt::Display,
{
    let sink = EventSink::default();
    if let Err(error) = aggregate.handle(command, &(), &sink).await {
        tracing::error!(%error, "an aggregate refuses what a callback asks of it");
        return Err(Error::Internal.into());
    }
    Ok(sink.collect().await)
}

/// The message that tells the tenant's webhooks. Where they want order, those of one customer keep it.
fn message(news: Option<&News>, notice: &Notice) -> Result<Option<Prepared>, Error> {
    let Some(news) = news else { return Ok(None) };
    let customer = notice.customer_id.as_ref().map(StripeId::as_str);
    let data = news.data(customer).map_err(|_| Error::Internal)?;
    let topic: Topic = news.topic().parse().map_err(|_| Error::Internal)?;
    let mut message = Prepared::new(topic, notice.created_at, &data);
    message.ordering_key = customer.map(str::to_owned);
    Ok(Some(message))
}
