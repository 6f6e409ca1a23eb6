//! Stripe's callbacks: each has its effect once, whoever's it is, in whatever order they come.

mod effect;
mod waiting;

use std::time::Duration;

use hookledger_domain::{
    actor::Origin,
    callback::{
        Callback, Candidate, Candidates, Ignorance, Outcome, Owner, Unassigned, UnassignedCommand,
        UnassignedError, owner,
    },
    stripe::{Notice, StripeId, Subject},
    tenant::TenantId,
};
use tokio::sync::oneshot;

use super::{Error, Tenants};
use crate::store::{self, CommandError};
use effect::{Link, Taking};

pub use waiting::Assigned;

/// How long whoever brings or frees callbacks waits for their effect, at most. Work goes on after that.
const ANSWER_WITHIN: Duration = Duration::from_millis(900);
/// How often a callback is decided anew after somebody else was first.
const CONFLICTS_MAX: usize = 10;

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
        let (reply, mut answer) = oneshot::channel();
        let this = self.clone();
        let work = self.shared.runtime.spawn(async move {
            let origin = origin.because_of(&id);
            let taken = this.take(&id, &notice, &origin).await;
            let is_taken = taken.is_ok();
            // Whoever asked may wait no more.
            drop(reply.send(taken));
            if let Some(customer) = notice.customer_id.as_ref().filter(|_| is_taken) {
                this.settle(customer, &origin).await;
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
        Err(Error::Busy {
            retry_after_seconds: 1,
        })
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
        let shared = &self.shared;
        if let Some(reason) = self.ignorance(notice) {
            effect::ignore(shared, id, notice, reason, origin).await?;
            return Ok(Outcome::Ignored);
        }
        match owner(notice, self.candidates(notice).await?) {
            Owner::Nobody(reason) => {
                let command = UnassignedCommand::Receive {
                    notice: Box::new(notice.clone()),
                    reason,
                };
                self.execute_unassigned(id, command, origin).await?;
                Ok(Outcome::Unassigned)
            }
            Owner::Tenant {
                tenant_id,
                is_linked_now,
            } => {
                let link = if is_linked_now {
                    Link::New
                } else {
                    Link::Known
                };
                self.apply_callback(id, notice, &tenant_id, link, origin)
                    .await
            }
        }
    }

    fn ignorance(&self, notice: &Notice) -> Option<Ignorance> {
        match &notice.subject {
            Subject::Other => Some(Ignorance::UnhandledType),
            _ if !self.shared.billing.mode.wants(notice.livemode) => Some(Ignorance::OtherMode),
            Subject::Nothing => Some(Ignorance::NothingShown),
            Subject::Checkout if notice.customer_id.is_none() => Some(Ignorance::NothingShown),
            Subject::Checkout | Subject::Subscription(_) | Subject::Invoice(_) => None,
        }
    }

    async fn candidates(&self, notice: &Notice) -> Result<Candidates, Error> {
        // Those that are named first: if one of them gets the callback's customer meanwhile, it is found
        // among those who have it. The other way round it would seem to have another one.
        let by_metadata = self.candidate(notice.metadata_tenant.as_deref()).await?;
        let by_reference = self.candidate(notice.client_reference.as_deref()).await?;
        let views = &self.shared.views;
        let by_customer = match &notice.customer_id {
            Some(customer) => views.tenants_of_customer(customer.as_str()).await?,
            None => Vec::new(),
        };
        Ok(Candidates {
            by_customer,
            by_metadata,
            by_reference,
        })
    }

    async fn candidate(&self, name: Option<&str>) -> Result<Option<Candidate>, Error> {
        let Some(Ok(id)) = name.map(str::parse::<TenantId>) else {
            return Ok(None);
        };
        let row = self.shared.views.tenant(&id).await?;
        Ok(row.map(|row| Candidate {
            tenant_id: row.id,
            customer_id: row.stripe_customer_id,
        }))
    }

    async fn execute_unassigned(
        &self,
        id: &StripeId,
        command: UnassignedCommand,
        origin: &Origin,
    ) -> Result<(), Taking> {
        // All events of a stream are of one tenant, these of none, whoever has brought it about.
        let origin = Origin {
            tenant: None,
            ..origin.clone()
        };
        let executed = self
            .shared
            .ledger
            .execute::<Unassigned>(id.as_str(), command, &(), None, &origin)
            .await;
        match executed {
            Ok(_) => Ok(()),
            // Somebody else has said so before.
            Err(CommandError::Refused(UnassignedError::NotWaiting)) => Ok(()),
            // The same callback came twice at once: the second one is a duplicate.
            Err(
                CommandError::Refused(UnassignedError::AlreadyReceived)
                | CommandError::WrongVersion,
            ) => Err(Taking::Conflict),
            Err(CommandError::Store(error)) => Err(error.into()),
        }
    }
}

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
