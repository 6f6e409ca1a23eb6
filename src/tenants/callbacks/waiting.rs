//! Callbacks that belong to nobody wait. They are given to a tenant as soon as it is known who has their
//! customer: right after whatever has linked the two, or when the platform says so. What was cut off
//! then is found once a minute.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hookledger_domain::{
    actor::{Actor, Origin},
    callback::{Callback, Unassigned, UnassignedCommand},
    stripe::{Notice, StripeId},
    tenant::{self, TenantId},
    validation::FieldError,
};
use hookledger_projections::rows::{TenantRow, UnassignedRow};

use super::{
    ANSWER_WITHIN, BUSY, CONFLICTS_MAX,
    effect::{Link, Taking, ignore},
};
use crate::{
    store,
    tenants::{Error, Tenants},
};

/// Callbacks that are read at a time.
const PAGE: u32 = 50;
/// How often it is looked for those that need not wait, and when first.
const EVERY: Duration = Duration::from_secs(60);
const FIRST: Duration = Duration::from_secs(1);

/// A callback that somebody has given to a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// The customer that the tenant has since then, if the callback names one.
    pub customer_id: Option<StripeId>,
    /// How many callbacks were given to the tenant so far: this one, and others of that customer that
    /// were waiting.
    pub callbacks: u64,
}

/// What became of a callback that waited.
enum Given {
    /// It is this tenant's, now or since before.
    To(TenantId),
    /// It is not handled any more.
    Dismissed,
    /// It was not waiting.
    Nothing,
}

impl Tenants {
    /// Gives the waiting callbacks of a customer to the tenant that has it, if there is one; the oldest
    /// first. `tell` is called for each. What fails is done later.
    pub(super) async fn settle(
        &self,
        customer: &StripeId,
        origin: &Origin,
        tell: &(dyn Fn() + Send + Sync),
    ) {
        let mut last = BTreeSet::new();
        loop {
            let rows = self
                .shared
                .views
                .unassigned_of_customer(customer, PAGE)
                .await;
            if !self.settle_page(rows, origin, &mut last, tell).await {
                return;
            }
        }
    }

    /// The same without waiting long for it. Says how many were given within that time.
    async fn settle_soon(&self, customer: StripeId, origin: Origin) -> u64 {
        let given = Arc::new(AtomicU64::new(0));
        let (this, counted) = (self.clone(), given.clone());
        let work = self.shared.runtime.spawn(async move {
            let count = || {
                counted.fetch_add(1, Ordering::Relaxed);
            };
            this.settle(&customer, &origin, &count).await;
        });
        drop(tokio::time::timeout(ANSWER_WITHIN, work).await);
        given.load(Ordering::Relaxed)
    }

    /// Gives callbacks that need not wait to their tenants, again and again, without an end: whoever should
    /// have done it may have been cut off. Each step is carried out wholly or not at all.
    pub async fn settle_callbacks(&self) {
        let origin = Origin {
            tenant: None,
            actor: Actor::stripe(),
            request_id: None,
            client: None,
            cause: None,
        };
        let mut wait = FIRST;
        loop {
            tokio::time::sleep(wait).await;
            wait = EVERY;
            let mut last = BTreeSet::new();
            while self.shared.held.has_turn() {
                let rows = self.shared.views.settleable(PAGE).await;
                if !self.settle_page(rows, &origin, &mut last, &|| {}).await {
                    break;
                }
            }
        }
    }

    /// Gives the callbacks of a page to their tenants, if they have one; what was on the page before and is
    /// still here is left for later. Says whether there may be more.
    async fn settle_page(
        &self,
        rows: Result<Vec<UnassignedRow>, store::Error>,
        origin: &Origin,
        last: &mut BTreeSet<StripeId>,
        tell: &(dyn Fn() + Send + Sync),
    ) -> bool {
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(%error, "callbacks that wait are given to their tenants later");
                return false;
            }
        };
        let is_new = |row: &&UnassignedRow| !last.contains(&row.id);
        for row in rows.iter().filter(is_new) {
            match self.settle_row(row, origin).await {
                Ok(Given::To(_)) => tell(),
                Ok(Given::Dismissed | Given::Nothing) => {}
                Err(error) => {
                    tracing::warn!(%error, callback = %row.id, "a callback is given to its tenant later");
                }
            }
        }
        let has_new = rows.iter().any(|row| !last.contains(&row.id));
        *last = rows.into_iter().map(|row| row.id).collect();
        has_new
    }

    async fn settle_row(&self, row: &UnassignedRow, origin: &Origin) -> Result<Given, Error> {
        let owners = self.owners(row.customer_id.as_ref()).await?;
        let tenant = match owners.as_slice() {
            [one] => Some(one),
            _ => None,
        };
        self.give(&row.id, tenant, Link::Known, origin).await
    }

    /// Gives a waiting callback to a tenant. Each step may be done already: by somebody else, or before
    /// the process ended. Without a tenant only what was begun is brought to its end.
    async fn give(
        &self,
        id: &StripeId,
        tenant: Option<&TenantId>,
        link: Link,
        origin: &Origin,
    ) -> Result<Given, Error> {
        let origin = origin.clone().because_of(id);
        for _ in 0..CONFLICTS_MAX {
            match self.try_give(id, tenant, link, &origin).await {
                Ok(given) => return Ok(given),
                Err(Taking::Conflict) => {}
                Err(Taking::Failed(error)) => return Err(error),
            }
        }
        Err(BUSY)
    }

    async fn try_give(
        &self,
        id: &StripeId,
        tenant: Option<&TenantId>,
        link: Link,
        origin: &Origin,
    ) -> Result<Given, Taking> {
        let ledger = &self.shared.ledger;
        let unassigned = ledger.load::<Unassigned>(id.as_str()).await?.state;
        let Some(notice) = unassigned.waiting() else {
            return Ok(Given::Nothing);
        };
        let callback = ledger.load::<Callback>(id.as_str()).await?.state;
        let owner = match (callback.outcome(), tenant) {
            (Some(_), _) => callback.tenant_id().cloned(),
            (None, Some(tenant)) => self.effect_of(id, notice, tenant, link, origin).await?,
            (None, None) => return Ok(Given::Nothing),
        };
        let (command, given) = match owner {
            Some(tenant_id) => (
                UnassignedCommand::Assign {
                    tenant_id: tenant_id.clone(),
                },
                Given::To(tenant_id),
            ),
            None => (UnassignedCommand::Dismiss, Given::Dismissed),
        };
        self.execute_unassigned(id, command, origin).await?;
        Ok(given)
    }

    /// Lets a callback have its effect at last; gives the tenant, if it is handled still.
    async fn effect_of(
        &self,
        id: &StripeId,
        notice: &Notice,
        tenant: &TenantId,
        link: Link,
        origin: &Origin,
    ) -> Result<Option<TenantId>, Taking> {
        if let Some(reason) = self.ignorance(notice) {
            ignore(&self.shared, id, notice, reason, origin).await?;
            return Ok(None);
        }
        self.apply_callback(id, notice, tenant, link, origin)
            .await?;
        Ok(Some(tenant.clone()))
    }

    /// Gives a waiting callback to a tenant, as the platform says. The tenant has its customer from then
    /// on, and gets what else of that customer waits.
    ///
    /// # Errors
    /// No such callback waits, there is no such tenant, another tenant has the customer, or the callback
    /// is not handled any more.
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
            return Err(already_assigned());
        };
        let customer = notice.customer_id.clone();
        let linking = shared.callbacks.linking.lock().await;
        let Some(row) = shared.views.tenant(tenant).await? else {
            return Err(Error::invalid(FieldError::new(
                "tenant_id",
                "unknown_tenant",
                "there is no such tenant",
            )));
        };
        let link = self.link(customer.as_ref(), &row).await?;
        let given = self.give(id, Some(tenant), link, origin).await?;
        drop(linking);
        match given {
            Given::To(owner) if owner == *tenant => {}
            Given::To(_) | Given::Nothing => return Err(already_assigned()),
            Given::Dismissed => {
                let detail = "callbacks of this mode are ignored, see HOOKLEDGER_STRIPE_MODE";
                return Err(Error::conflict("callback_ignored", detail));
            }
        }
        let others = match customer.clone() {
            Some(customer) => self.settle_soon(customer, origin.clone()).await,
            None => 0,
        };
        Ok(Assigned {
            customer_id: customer,
            callbacks: 1 + others,
        })
    }

    async fn link(&self, customer: Option<&StripeId>, row: &TenantRow) -> Result<Link, Error> {
        let Some(customer) = customer else {
            return Ok(Link::Known);
        };
        self.check_customer(customer, &row.id).await?;
        let is_known = row.stripe_customer_id.as_deref() == Some(customer.as_str());
        Ok(if is_known { Link::Known } else { Link::Instead })
    }

    /// Carries out a command that changes the customer of a tenant, and gives the tenants what waits of this
    /// one, and of the one before, of which one owner may be left.
    pub(in crate::tenants) async fn change_customer(
        &self,
        tenant: &TenantId,
        customer: Option<String>,
        command: tenant::Command,
        origin: Origin,
    ) -> Result<(), Error> {
        // What is no id of Stripe's no callback can name.
        let stripe_id = |text: Option<String>| text.and_then(|text| text.parse::<StripeId>().ok());
        let linking = self.shared.callbacks.linking.lock().await;
        let before = stripe_id(self.tenant_row(tenant).await?.stripe_customer_id);
        let customer = stripe_id(customer);
        if let Some(customer) = &customer {
            self.check_customer(customer, tenant).await?;
        }
        self.execute_tenant(tenant, command, origin.clone()).await?;
        drop(linking);
        for customer in [customer, before].into_iter().flatten() {
            self.settle_soon(customer, origin.clone()).await;
        }
        Ok(())
    }

    /// A customer belongs to one tenant, or nobody could say whose its callbacks are.
    async fn check_customer(&self, customer: &StripeId, tenant: &TenantId) -> Result<(), Error> {
        let owners = self.owners(Some(customer)).await?;
        match owners.into_iter().find(|owner| owner != tenant) {
            Some(other) => Err(Error::conflict(
                "stripe_customer_taken",
                format!("the tenant {other} has this customer"),
            )),
            None => Ok(()),
        }
    }
}

fn already_assigned() -> Error {
    Error::conflict("already_assigned", "this callback was assigned before")
}
