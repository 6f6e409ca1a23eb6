//! Callbacks that belong to nobody wait. They are given to a tenant as soon as it is known who has their
//! customer: right after whatever has linked the two, when the platform says so, and once more when the
//! server starts.

use std::time::Duration;

use hookledger_domain::{
    actor::{Actor, Origin},
    callback::{Callback, Unassigned, UnassignedCommand},
    stripe::StripeId,
    tenant::TenantId,
    validation::FieldError,
};
use hookledger_projections::{
    query::{LIMIT_MAX, Page},
    rows::TenantRow,
};

use super::{
    ANSWER_WITHIN, CONFLICTS_MAX,
    effect::{Link, Taking},
};
use crate::tenants::{Error, Tenants};

/// Waiting callbacks of a customer that are read at a time.
const PAGE: u32 = 50;
/// How long to wait before they are tried again; doubles up to the second value.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// How often that is tried.
const TRIES_MAX: usize = 20;

/// A callback that somebody has given to a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// The customer that the tenant has since then, if the callback names one.
    pub customer_id: Option<StripeId>,
    /// How many callbacks were given to the tenant: this one, and others of that customer that were
    /// waiting.
    pub callbacks: u64,
}

impl Tenants {
    /// Gives the waiting callbacks of a customer to the tenant that has it, if there is one; the oldest
    /// first. Tries again for a while when the store cannot be asked.
    pub(super) async fn settle(&self, customer: &StripeId, origin: &Origin) -> u64 {
        let (mut given, mut wait) = (0, RETRY.0);
        for _ in 0..TRIES_MAX {
            match self.try_settle(customer, origin, &mut given).await {
                Ok(()) => return given,
                Err(error) if self.is_stopping() => {
                    tracing::warn!(%error, "callbacks that wait are given to their tenant later");
                    return given;
                }
                Err(error) => tracing::warn!(%error, "callbacks that wait are not given yet"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY.1);
        }
        given
    }

    async fn try_settle(
        &self,
        customer: &StripeId,
        origin: &Origin,
        given: &mut u64,
    ) -> Result<(), Error> {
        let views = &self.shared.views;
        let mut last = None;
        loop {
            let waiting = views.unassigned_of_customer(customer, PAGE).await?;
            // One that was given and is still there is in the view only.
            let first = waiting.first().map(|row| row.id.clone());
            if first.is_none() || first == last {
                return Ok(());
            }
            last = first;
            let owners = views.tenants_of_customer(customer.as_str()).await?;
            let [tenant] = owners.as_slice() else {
                return Ok(());
            };
            for row in waiting {
                self.give(&row.id, tenant, Link::Known, origin).await?;
                *given += 1;
            }
        }
    }

    /// Gives a waiting callback to a tenant. Each step may be done already: by somebody else, or before
    /// the process ended.
    async fn give(
        &self,
        id: &StripeId,
        tenant: &TenantId,
        link: Link,
        origin: &Origin,
    ) -> Result<(), Error> {
        let ledger = &self.shared.ledger;
        let origin = origin.clone().because_of(id);
        for _ in 0..CONFLICTS_MAX {
            let unassigned = ledger.load::<Unassigned>(id.as_str()).await?.state;
            let Some(notice) = unassigned.waiting() else {
                return Ok(());
            };
            let callback = ledger.load::<Callback>(id.as_str()).await?.state;
            if callback.outcome().is_none() {
                let applied = self.apply_callback(id, notice, tenant, link, &origin).await;
                match applied {
                    Ok(_) => {}
                    Err(Taking::Conflict) => continue,
                    Err(Taking::Failed(error)) => return Err(error),
                }
            }
            let command = UnassignedCommand::Assign {
                tenant_id: tenant.clone(),
            };
            match self.execute_unassigned(id, command, &origin).await {
                Ok(()) => return Ok(()),
                Err(Taking::Conflict) => {}
                Err(Taking::Failed(error)) => return Err(error),
            }
        }
        Err(Error::Busy {
            retry_after_seconds: 1,
        })
    }

    /// The same without waiting long for it.
    pub(in crate::tenants) async fn settle_soon(&self, customer: StripeId, origin: Origin) {
        let this = self.clone();
        let work = self
            .shared
            .runtime
            .spawn(async move { this.settle(&customer, &origin).await });
        drop(tokio::time::timeout(ANSWER_WITHIN, work).await);
    }

    /// Gives all waiting callbacks to the tenants that have their customers: a process may have ended
    /// before it came to that.
    pub async fn settle_callbacks(&self) {
        let origin = Origin {
            tenant: None,
            actor: Actor::stripe(),
            request_id: None,
            client: None,
            cause: None,
        };
        let mut after = None;
        loop {
            let page = Page {
                limit: LIMIT_MAX,
                after,
            };
            let rows = match self.shared.views.unassigned(page).await {
                Ok(rows) => rows,
                Err(error) => {
                    tracing::warn!(%error, "callbacks that wait for a tenant cannot be read");
                    return;
                }
            };
            for customer in rows.rows.iter().filter_map(|row| row.customer_id.as_ref()) {
                self.settle(customer, &origin).await;
            }
            after = rows.next;
            if after.is_none() || self.is_stopping() {
                return;
            }
        }
    }

    /// Gives a waiting callback to a tenant, as the platform says. The tenant has its customer from then
    /// on, and gets what else of that customer waits.
    ///
    /// # Errors
    /// No such callback waits, there is no such tenant, or another tenant has the customer.
    pub async fn assign_callback(
        &self,
        id: StripeId,
        tenant: TenantId,
        origin: Origin,
    ) -> Result<Assigned, Error> {
        let this = self.clone();
        self.finish(async move { this.assign(&id, &tenant, &origin).await })
            .await
    }

    async fn assign(
        &self,
        id: &StripeId,
        tenant: &TenantId,
        origin: &Origin,
    ) -> Result<Assigned, Error> {
        let shared = &self.shared;
        let unassigned = shared.ledger.load::<Unassigned>(id.as_str()).await?.state;
        if !unassigned.is_known() {
            return Err(Error::NotFound);
        }
        let Some(notice) = unassigned.waiting() else {
            let detail = "this callback was assigned before";
            return Err(Error::conflict("already_assigned", detail));
        };
        let Some(row) = shared.views.tenant(tenant).await? else {
            let message = "there is no such tenant";
            return Err(Error::invalid(FieldError::new(
                "tenant_id",
                "unknown_tenant",
                message,
            )));
        };
        let customer = notice.customer_id.clone();
        let link = match &customer {
            Some(customer) => self.link(customer, &row).await?,
            None => Link::Known,
        };
        self.give(id, tenant, link, origin).await?;
        let others = match &customer {
            Some(customer) => self.settle(customer, origin).await,
            None => 0,
        };
        Ok(Assigned {
            customer_id: customer,
            callbacks: 1 + others,
        })
    }

    async fn link(&self, customer: &StripeId, row: &TenantRow) -> Result<Link, Error> {
        self.check_customer(customer.as_str(), &row.id).await?;
        let is_known = row.stripe_customer_id.as_deref() == Some(customer.as_str());
        Ok(if is_known {
            Link::Known
        } else {
            Link::Replaced
        })
    }

    /// A customer belongs to one tenant, or nobody could say whose its callbacks are.
    pub(in crate::tenants) async fn check_customer(
        &self,
        customer: &str,
        tenant: &TenantId,
    ) -> Result<(), Error> {
        let owners = self.shared.views.tenants_of_customer(customer).await?;
        match owners.into_iter().find(|owner| owner != tenant) {
            Some(other) => Err(Error::conflict(
                "stripe_customer_taken",
                format!("the tenant {other} has this customer"),
            )),
            None => Ok(()),
        }
    }
}
