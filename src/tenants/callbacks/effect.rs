//! What a callback changes: its tenant's billing, perhaps the tenant itself, and the message that tells of
//! it. All of that is one commit, or nothing.

use std::sync::Arc;

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
        accept::{Failed, Placed, Prepared, Together, decide_all},
    },
};

/// Whether a tenant has a callback's customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// It has, or there is none.
    Known,
    /// It has from now on, if it has no other one.
    First,
    /// It has from now on, instead of another one.
    Instead,
}

/// Why a callback was not taken.
#[derive(Debug)]
pub(super) enum Taking {
    /// Somebody else was first, so it is to be decided anew.
    Conflict,
    /// It cannot be.
    Failed(Error),
}

/// A tenant's billing, as this process knows it. Somebody else may have gone on meanwhile: then whatever
/// is appended to it conflicts, and what is stale by an older state is so by the newer one.
pub(super) type Known = Arc<Stream<Billing>>;

/// What a callback leads to within its tenant.
struct Consequences {
    events: Vec<Placed>,
    news: Option<News>,
    outcome: Outcome,
    /// The tenant is suspended by it, or resumed.
    changes_access: bool,
    /// The billing after that, if the callback shows something of it.
    billing: Option<Known>,
}

/// Appends that a callback is not handled. It is nobody's.
pub(super) async fn ignore(
    shared: &Shared,
    id: &StripeId,
    notice: &Notice,
    reason: Ignorance,
    origin: &Origin,
) -> Result<(), Taking> {
    let origin = origin.clone().within(None);
    let mut commit = Commit::new(&origin, shared.clock.now());
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
        let _turn = shared.callbacks.turn(tenant).lock().await;
        let origin = origin.clone().within(Some(tenant.clone()));
        let consequences = consequences(shared, id, notice, tenant, link).await?;
        let (outcome, changes_access) = (consequences.outcome, consequences.changes_access);
        if consequences.billing.is_some() {
            // Until it is appended nobody knows what it is.
            shared.callbacks.billings.remove(tenant);
        }
        let after = self.append(tenant, notice, consequences, origin).await?;
        if let Some(billing) = after {
            shared.callbacks.billings.insert(tenant.clone(), billing);
        }
        if changes_access {
            self.directory.reload(tenant).await;
        }
        Ok(outcome)
    }

    /// Appends all that a callback leads to, with the message if there is something to tell; gives the
    /// billing as it is then.
    async fn append(
        &self,
        tenant: &TenantId,
        notice: &Notice,
        consequences: Consequences,
        origin: Origin,
    ) -> Result<Option<Known>, Taking> {
        let shared = &self.shared;
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
        Ok(consequences.billing)
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
    let mut events = Vec::new();
    let mut commands = Vec::new();
    let (mut news, mut is_stale, mut billing) = (None, false, None);
    if let Some(customer_id) = &notice.customer_id {
        commands.extend(link.command(customer_id));
    }
    if let Some(shown) = shown {
        let before = known(shared, tenant).await?;
        let command = billing::Command {
            seen: Seen {
                at: notice.created_at,
                kind: notice.kind.clone(),
                callback_id: id.clone(),
            },
            shown: shown.clone(),
            suspends: shared.callbacks.rules.suspends,
        };
        let decided = decide_all(before.state.clone(), command, &()).await;
        let (state, decided) = decided.map_err(refused)?;
        is_stale = decided.is_empty();
        commands.extend(decided.iter().filter_map(access));
        news = News::of(&before.state, &notice.kind, &shown, is_stale);
        billing = Some(Arc::new(Stream {
            state,
            sequence: before.sequence + decided.len() as u64,
        }));
        events.extend(Placed::after(before.sequence, tenant.as_str(), decided));
    }
    let changed = change_tenant(shared, tenant, commands).await?;
    let changes_access = changed.iter().any(
        |placed| matches!(&placed.fact, Fact::Tenant(event) if event.decides_about_publishing()),
    );
    events.extend(changed);
    let (effect, outcome) = match is_stale {
        true => (Effect::BeStale(tenant.clone()), Outcome::Stale),
        false => (Effect::Apply(tenant.clone()), Outcome::Applied),
    };
    events.insert(0, taken(id, notice, effect).await?);
    Ok(Consequences {
        events,
        news,
        outcome,
        changes_access,
        billing,
    })
}

/// The tenant's billing: what was appended last, or what is read.
async fn known(shared: &Shared, tenant: &TenantId) -> Result<Known, Taking> {
    match shared.callbacks.billings.get(tenant) {
        Some(known) => Ok(known),
        None => Ok(Arc::new(shared.ledger.load(tenant.as_str()).await?)),
    }
}

impl Link {
    /// What it asks of the tenant.
    fn command(self, customer_id: &StripeId) -> Option<tenant::Command> {
        let customer_id = customer_id.to_string();
        match self {
            Self::Known => None,
            Self::First => Some(tenant::Command::LinkCustomer { customer_id }),
            Self::Instead => Some(tenant::Command::Change {
                name: None,
                stripe_customer_id: Some(Some(customer_id)),
                is_suspended: None,
            }),
        }
    }
}

/// What an event of the billing asks of the tenant.
fn access(event: &billing::Event) -> Option<tenant::Command> {
    match event {
        billing::Event::AccessWithdrawn => Some(tenant::Command::WithdrawAccess),
        billing::Event::AccessRestored => Some(tenant::Command::RestoreAccess),
        billing::Event::SubscriptionUpdated { .. } | billing::Event::InvoiceUpdated { .. } => None,
    }
}

/// What changes of the tenant itself: its customer, and whether it is suspended.
async fn change_tenant(
    shared: &Shared,
    id: &TenantId,
    commands: Vec<tenant::Command>,
) -> Result<Vec<Placed>, Taking> {
    if commands.is_empty() {
        return Ok(Vec::new());
    }
    let stream: Stream<Tenant> = shared.ledger.load(id.as_str()).await?;
    let (mut state, mut events) = (stream.state, Vec::new());
    for command in commands {
        let decided = decide_all(state, command, &())
            .await
            .map_err(|error| match error {
                // Somebody has given it another one meanwhile.
                tenant::Error::OtherCustomer => Taking::Conflict,
                other => refused(other),
            });
        let decided = decided?;
        state = decided.0;
        events.extend(decided.1);
    }
    Ok(Placed::after(stream.sequence, id.as_str(), events).collect())
}

/// The event by which a callback is taken, its first and last.
async fn taken(id: &StripeId, notice: &Notice, effect: Effect) -> Result<Placed, Taking> {
    let command = callback::Command {
        notice: notice.clone(),
        effect,
    };
    let decided = decide_all(Callback::default(), command, &()).await;
    let (_, events) = decided.map_err(refused)?;
    let placed = Placed::after(0, id.as_str(), events).next();
    placed.ok_or_else(|| Error::Internal.into())
}

fn refused(error: impl std::fmt::Display) -> Taking {
    tracing::error!(%error, "an aggregate refuses what a callback asks of it");
    Error::Internal.into()
}

/// The message that tells the tenant's webhooks. Where they want order, those of one customer keep it.
fn message(news: Option<&News>, notice: &Notice) -> Result<Option<Prepared>, Error> {
    let Some(news) = news else { return Ok(None) };
    let data = news.data().map_err(|_| Error::Internal)?;
    let topic: Topic = news.topic().parse().map_err(|_| Error::Internal)?;
    let mut message = Prepared::new(topic, notice.created_at, &data);
    message.ordering_key = notice.customer_id.as_ref().map(StripeId::to_string);
    Ok(Some(message))
}
