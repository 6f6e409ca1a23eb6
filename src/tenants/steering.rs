//! What people do with deliveries by hand: redeliver, recover, cancel.

use chrono::{DateTime, Utc};
use hookledger_domain::{
    actor::Origin,
    delivery::{self, CancelReason, Delivery, attempt::Trigger},
    ids::{DeliveryId, RecoveryId, WebhookId},
    recovery::{self, DELIVERIES_MAX, Recovery, Selection, Started, State},
    tenant::TenantId,
    validation::FieldError,
};
use hookledger_projections::{
    query::{LIMIT_MAX, Page},
    rows::DeliveryRow,
};

use super::{Error, Tenants};
use crate::store::{self, CommandError};

/// Which deliveries of a webhook are to be sent again.
#[derive(Debug, Clone, Copy)]
pub struct Recover {
    /// Those that were scheduled at this moment or later.
    pub from: DateTime<Utc>,
    /// And before this one; now, if it does not say.
    pub to: Option<DateTime<Utc>>,
    /// Which of them.
    pub selection: Selection,
    /// Only count them.
    pub is_dry_run: bool,
}

/// By hand.
impl Tenants {
    /// Sends a delivery once more, whatever became of it so far, and leaves its schedule alone. If
    /// the webhook is inactive it waits until it is activated.
    ///
    /// Fails with a conflict if the webhook is deleted or the message's body erased.
    pub async fn redeliver(
        &self,
        tenant: &TenantId,
        id: DeliveryId,
        origin: Origin,
    ) -> Result<(), Error> {
        let row = self.delivery_row(tenant, id).await?;
        let webhook = self.shared.views.webhook(tenant, row.webhook_id).await?;
        if webhook.is_none_or(|webhook| webhook.is_deleted) {
            return Err(Error::conflict(
                "webhook_deleted",
                "the delivery's webhook is deleted",
            ));
        }
        let command = delivery::Command::RequestAttempt {
            trigger: Trigger::Redeliver,
            now: self.shared.clock.now(),
            unless_since: None,
        };
        self.execute_delivery(tenant, id, command, origin).await
    }

    /// Calls a delivery off: what is pending ends as cancelled, and what was asked for by hand is
    /// not sent. One that is cancelled already stays so.
    ///
    /// Fails with a conflict if nothing is to be sent any more.
    pub async fn cancel_delivery(
        &self,
        tenant: &TenantId,
        id: DeliveryId,
        origin: Origin,
    ) -> Result<(), Error> {
        self.delivery_row(tenant, id).await?;
        let command = delivery::Command::Cancel {
            reason: CancelReason::Requested,
        };
        match self.execute_delivery(tenant, id, command, origin).await {
            Err(Error::Conflict {
                code: "already_cancelled",
                ..
            }) => Ok(()),
            other => other,
        }
    }

    async fn delivery_row(&self, tenant: &TenantId, id: DeliveryId) -> Result<DeliveryRow, Error> {
        let row = self.shared.views.delivery(tenant, id).await?;
        row.ok_or(Error::NotFound)
    }

    async fn execute_delivery(
        &self,
        tenant: &TenantId,
        id: DeliveryId,
        command: delivery::Command,
        origin: Origin,
    ) -> Result<(), Error> {
        let (this, tenant) = (self.clone(), tenant.clone());
        self.finish(async move {
            this.shared
                .ledger
                .execute::<Delivery>(&id.to_string(), command, &(), None, &origin)
                .await
                .map_err(|error| match error {
                    CommandError::Store(store::Error::Stale) => Error::conflict(
                        "body_erased",
                        "the body of the message is erased, so it cannot be sent again",
                    ),
                    other => other.into(),
                })?;
            this.directory.tell_changed(&tenant, vec![id]);
            Ok(())
        })
        .await
    }
}

/// Recoveries.
impl Tenants {
    /// Sends deliveries of a webhook once more, as work in the background. Returns how many there
    /// are, and the recovery, if there are any and they are not only to be counted.
    ///
    /// A delivery that another recovery, which runs at the same time, has asked for or will ask for
    /// is sent once for both.
    pub async fn recover(
        &self,
        tenant: &TenantId,
        webhook_id: WebhookId,
        recover: Recover,
        origin: Origin,
    ) -> Result<(u64, Option<RecoveryId>), Error> {
        let asked_at = self.shared.clock.now();
        self.webhook_row(tenant, webhook_id).await?;
        // The list is read later than this is answered: what is accepted in between is not meant.
        let to = recover.to.map_or(asked_at, |to| to.min(asked_at));
        if to <= recover.from {
            return Err(Error::invalid(FieldError::new(
                "to",
                "out_of_range",
                "must be later than from; without it, now is meant",
            )));
        }
        let limit = u32::try_from(DELIVERIES_MAX + 1).unwrap_or(u32::MAX);
        let span = (DeliveryId::first_at(recover.from), DeliveryId::first_at(to));
        let views = &self.shared.views;
        let found = views.recoverable(tenant, webhook_id, recover.selection, span, limit);
        let matched = found.await?.len() as u64;
        if matched > DELIVERIES_MAX {
            return Err(Error::invalid(FieldError::new(
                "from",
                "too_many",
                format!("matches more than {DELIVERIES_MAX} deliveries; ask for a shorter time"),
            )));
        }
        if matched == 0 || recover.is_dry_run {
            return Ok((matched, None));
        }
        let id = self.shared.ids.recovery(asked_at);
        let started = Started {
            tenant_id: tenant.clone(),
            webhook_id,
            from: recover.from,
            to,
            selection: recover.selection,
            matched,
            unless_since: self.running_since(tenant, webhook_id, asked_at).await?,
        };
        let command = recovery::Command::Start(started);
        self.execute_recovery(tenant, id, command, origin).await?;
        Ok((matched, Some(id)))
    }

    /// Calls a recovery off. What it has asked for already is sent.
    ///
    /// Fails with a conflict if it is over.
    pub async fn cancel_recovery(
        &self,
        tenant: &TenantId,
        webhook_id: WebhookId,
        id: RecoveryId,
        origin: Origin,
    ) -> Result<(), Error> {
        let row = self.shared.views.recovery(tenant, id).await?;
        row.filter(|row| row.webhook_id == webhook_id)
            .ok_or(Error::NotFound)?;
        self.execute_recovery(tenant, id, recovery::Command::Cancel, origin)
            .await
    }

    /// Since when the recoveries of a webhook have been running that ran at the moment `asked_at`:
    /// what was asked for since then was asked for by them.
    async fn running_since(
        &self,
        tenant: &TenantId,
        webhook_id: WebhookId,
        asked_at: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, Error> {
        let newest = Page {
            limit: LIMIT_MAX,
            after: None,
        };
        let rows = self
            .shared
            .views
            .recoveries(tenant, webhook_id, newest)
            .await?
            .rows;
        Ok(rows
            .into_iter()
            .filter(|row| {
                let ended_before = row.completed_at.is_some_and(|ended| ended < asked_at);
                row.state == State::Running || !ended_before
            })
            .map(|row| row.id.time())
            .fold(asked_at, DateTime::min))
    }

    async fn execute_recovery(
        &self,
        tenant: &TenantId,
        id: RecoveryId,
        command: recovery::Command,
        origin: Origin,
    ) -> Result<(), Error> {
        let (this, tenant) = (self.clone(), tenant.clone());
        self.finish(async move {
            this.shared
                .ledger
                .execute::<Recovery>(&id.to_string(), command, &(), None, &origin)
                .await?;
            this.directory.tell_to_recover(&tenant);
            Ok(())
        })
        .await
    }
}
