//! Stripe's callbacks: each has its effect once, whoever's it is, in whatever order they come.

mod effect;
mod waiting;

use std::{sync::Arc, time::Duration};

use hookledger_domain::{
    actor::Origin,
    callback::{
        Callback, Candidate, Candidates, Ignorance, Outcome, Owner, Rules, Unassigned,
        UnassignedCommand, UnassignedError, owner,
    },
    stripe::{Notice, StripeId, Subject},
    tenant::TenantId,
};
use quick_cache::sync::Cache;
use tokio::sync::{Mutex, Semaphore, oneshot};

use super::{Error, Tenants};
use crate::{
    nodes::Partition,
    store::{self, CommandError},
};
use effect::{Link, Taking};

pub use waiting::Assigned;

/// How long whoever brings or frees callbacks waits for their effect, at most. Work goes on after that.
const ANSWER_WITHIN: Duration = Duration::from_millis(900);
/// How often a callback is decided anew after somebody else was first.
const CONFLICTS_MAX: usize = 10;
/// Callbacks that are being taken at a time; more are told to come again.
const UNDER_WAY_MAX: usize = 256;
/// Tenants share this many turns.
const TURNS: usize = 64;

/// Billings that are kept in memory: with 100 subscriptions and 100 invoices one has some 60 KiB, and 320 KiB
/// if all texts in it are as long as they may be.
const BILLINGS_MAX: usize = 128;

/// Where callbacks are taken.
pub(super) struct Desk {
    rules: Rules,
    under_way: Arc<Semaphore>,
    /// Held by whoever gives a customer to a tenant, from before it is seen that no other tenant has it.
    /// Other nodes do not see it: two tenants may have one customer then, which is told.
    linking: Mutex<()>,
    /// A tenant's callbacks are applied one after the other, by its partition. They would come
    /// through without that, too, but stand in each other's way.
    turns: [Mutex<()>; TURNS],
    /// The billings of the tenants that had callbacks last, so that they need not be read each time:
    /// they have as many events as the tenant had callbacks.
    billings: Cache<TenantId, effect::Known>,
}

impl Desk {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            under_way: Arc::new(Semaphore::new(UNDER_WAY_MAX)),
            linking: Mutex::default(),
            turns: std::array::from_fn(|_| Mutex::default()),
            billings: Cache::new(BILLINGS_MAX),
        }
    }

    fn turn(&self, tenant: &TenantId) -> &Mutex<()> {
        let place = usize::from(Partition::of(tenant).0) % TURNS;
        &self.turns[place]
    }
}

/// What became of a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// What it has led to.
    pub outcome: Outcome,
    /// It was known already.
    pub duplicate: bool,
}

impl Tenants {
    /// Takes a callback that was verified. When this returns, it and its effect are on disk.
    ///
    /// Fails with [`Error::Unavailable`] if it cannot be told in time whether they are, and with
    /// [`Error::Busy`] if too much waits.
    pub async fn take_callback(
        &self,
        id: StripeId,
        notice: Notice,
        origin: Origin,
    ) -> Result<Taken, Error> {
        let permit = self.shared.callbacks.under_way.clone().try_acquire_owned();
        let permit = permit.map_err(|_| BUSY)?;
        let (reply, mut answer) = oneshot::channel();
        let this = self.clone();
        let work = self.shared.runtime.spawn(async move {
            let _permit = permit;
            let origin = origin.because_of(&id);
            let taken = this.take(&id, &notice, &origin).await;
            let is_taken = taken.is_ok();
            // Whoever asked may wait no more.
            drop(reply.send(taken));
            // Also when nobody has its customer: somebody may have got it meanwhile.
            if let Some(customer) = notice.customer_id.as_ref().filter(|_| is_taken) {
                this.settle(customer, &origin, &|| {}).await;
            }
        });
        if let Ok(Err(error)) = tokio::time::timeout(ANSWER_WITHIN, work).await {
            tracing::error!(%error, "taking a callback panicked");
        }
        answer.try_recv().unwrap_or(Err(Error::Unavailable))
    }

    async fn take(&self, id: &StripeId, notice: &Notice, origin: &Origin) -> Result<Taken, Error> {
        for _ in 0..CONFLICTS_MAX {
            if let Some(outcome) = self.outcome_of(id).await? {
                return Ok(Taken {
                    outcome,
                    duplicate: true,
                });
            }
            match self.try_take(id, notice, origin).await {
                Err(Taking::Conflict) => {}
                Err(Taking::Failed(error)) => return Err(error),
                Ok(outcome) => {
                    return Ok(Taken {
                        outcome,
                        duplicate: false,
                    });
                }
            }
        }
        Err(BUSY)
    }

    /// What a callback has led to, if it is known.
    async fn outcome_of(&self, id: &StripeId) -> Result<Option<Outcome>, Error> {
        let ledger = &self.shared.ledger;
        let callback = ledger.load::<Callback>(id.as_str()).await?.state;
        if let Some(outcome) = callback.outcome() {
            return Ok(Some(outcome));
        }
        let unassigned = ledger.load::<Unassigned>(id.as_str()).await?.state;
        Ok(unassigned.is_known().then_some(Outcome::Unassigned))
    }

    async fn try_take(
        &self,
        id: &StripeId,
        notice: &Notice,
        origin: &Origin,
    ) -> Result<Outcome, Taking> {
        if let Some(reason) = self.ignorance(notice) {
            effect::ignore(&self.shared, id, notice, reason, origin).await?;
            return Ok(Outcome::Ignored);
        }
        let mut linking = None;
        loop {
            match owner(notice, self.candidates(notice).await?) {
                Owner::Nobody(reason) => {
                    let command = UnassignedCommand::Receive {
                        notice: Box::new(notice.clone()),
                        reason,
                    };
                    self.execute_unassigned(id, command, origin).await?;
                    return Ok(Outcome::Unassigned);
                }
                // Decided once more, while nobody else gives customers to tenants.
                Owner::Tenant { is_linked_now, .. } if is_linked_now && linking.is_none() => {
                    linking = Some(self.shared.callbacks.linking.lock().await);
                }
                Owner::Tenant {
                    tenant_id,
                    is_linked_now,
                } => {
                    let link = if is_linked_now {
                        Link::First
                    } else {
                        Link::Known
                    };
                    let applied = self.apply_callback(id, notice, &tenant_id, link, origin);
                    return applied.await;
                }
            }
        }
    }

    fn ignorance(&self, notice: &Notice) -> Option<Ignorance> {
        match &notice.subject {
            Subject::Other => Some(Ignorance::UnhandledType),
            _ if !self.shared.callbacks.rules.mode.wants(notice.livemode) => {
                Some(Ignorance::OtherMode)
            }
            Subject::Nothing => Some(Ignorance::NothingShown),
            Subject::Checkout if notice.customer_id.is_none() => Some(Ignorance::NothingShown),
            Subject::Checkout | Subject::Subscription(_) | Subject::Invoice(_) => None,
        }
    }

    async fn candidates(&self, notice: &Notice) -> Result<Candidates, Error> {
        // Those that are named first: if one of them gets the callback's customer meanwhile, it is found
        // among those who have it. The other way round it would seem to have another one.
        let named = notice.metadata_tenant.as_ref();
        let named = named.and_then(|text| text.parse().ok());
        let by_metadata = self.candidate(named.as_ref()).await?;
        let by_reference = self.candidate(notice.client_reference.as_ref()).await?;
        Ok(Candidates {
            by_customer: self.owners(notice.customer_id.as_ref()).await?,
            by_metadata,
            by_reference,
        })
    }

    /// The tenants that have a customer, at most two.
    async fn owners(&self, customer: Option<&StripeId>) -> Result<Vec<TenantId>, Error> {
        let Some(customer) = customer else {
            return Ok(Vec::new());
        };
        let views = &self.shared.views;
        Ok(views.tenants_of_customer(customer.as_str()).await?)
    }

    async fn candidate(&self, id: Option<&TenantId>) -> Result<Option<Candidate>, Error> {
        let Some(id) = id else { return Ok(None) };
        let row = self.shared.views.tenant(id).await?;
        Ok(row.map(|row| Candidate {
            tenant_id: row.id,
            customer_id: row.stripe_customer_id,
        }))
    }

    /// Carries out a command on a callback without tenant, whose events are of no tenant, too.
    async fn execute_unassigned(
        &self,
        id: &StripeId,
        command: UnassignedCommand,
        origin: &Origin,
    ) -> Result<(), Taking> {
        // All events of a stream are of one tenant, these of none, whoever has brought them about.
        let origin = origin.clone().within(None);
        let executed = self
            .shared
            .ledger
            .execute::<Unassigned>(id.as_str(), command, &(), None, &origin)
            .await;
        match executed {
            Ok(_) => Ok(()),
            // Somebody else has said so before.
            Err(CommandError::Refused(UnassignedError::NotWaiting)) => Ok(()),
            // The same callback came twice at one time: the second one is a duplicate.
            Err(
                CommandError::Refused(UnassignedError::AlreadyReceived)
                | CommandError::WrongVersion,
            ) => Err(Taking::Conflict),
            Err(CommandError::Store(error)) => Err(error.into()),
        }
    }
}

/// Others were first too often, or too much is under way.
const BUSY: Error = Error::Busy {
    retry_after_seconds: 1,
};

impl From<store::Error> for Taking {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Conflict | store::Error::Stale => Self::Conflict,
            other => Self::Failed(other.into()),
        }
    }
}

impl From<Error> for Taking {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}
