//! What the engine tells of what is to be sent.

use async_trait::async_trait;
use hookledger_domain::{
    ids::{DeliveryId, RecoveryId, WebhookId},
    recovery::Selection,
    tenant::TenantId,
};
use hookledger_projections::{
    query::{Page, Rows},
    rows::RecoveryRow,
};
use sqlx::postgres::PgRow;

use super::{
    Postgres,
    ask::Value::{Id, Number, OptionalId, OptionalText, Text, Texts},
    reads::{limit, place},
    rows,
};
use crate::store::{
    Error,
    engine::{Agenda, Waiting},
};

#[async_trait]
impl Agenda for Postgres {
    async fn next_waiting(
        &self,
        after: Option<(&TenantId, WebhookId)>,
    ) -> Result<Option<Waiting>, Error> {
        let values = place(after);
        let read = |row: &PgRow| {
            Ok(Waiting {
                tenant_id: rows::parsed(row, "tenant_id")?,
                webhook_id: rows::id(row, "webhook_id", WebhookId::from_uuid)?,
                due_at: rows::time(row, "next_attempt_at")?,
            })
        };
        self.asker
            .one(sql!("select_next_waiting"), &values, read)
            .await
    }

    async fn due_ids(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        only_tests: bool,
        limit: u32,
    ) -> Result<Vec<String>, Error> {
        let sql = if only_tests {
            sql!("select_due_test_ids")
        } else {
            sql!("select_due_ids")
        };
        let values = [
            Text(tenant.as_str()),
            Id(webhook.uuid()),
            Number(limit.into()),
        ];
        let read = |row: &PgRow| Ok(rows::id(row, "id", DeliveryId::from_uuid)?.to_string());
        self.asker.list(sql, &values, read).await
    }

    async fn queued_ids(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        after: Option<&str>,
        queues: u32,
        each: u32,
    ) -> Result<Vec<String>, Error> {
        let values = [
            Text(tenant.as_str()),
            Id(webhook.uuid()),
            OptionalText(after),
            Number(queues.into()),
            Number(each.into()),
        ];
        let read = |row: &PgRow| Ok(rows::id(row, "id", DeliveryId::from_uuid)?.to_string());
        self.asker
            .list(sql!("select_queued_ids"), &values, read)
            .await
    }

    async fn ids_of_queues(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        queues: &[String],
        each: u32,
    ) -> Result<Vec<String>, Error> {
        let values = [
            Text(tenant.as_str()),
            Id(webhook.uuid()),
            Texts(queues),
            Number(each.into()),
        ];
        let read = |row: &PgRow| Ok(rows::id(row, "id", DeliveryId::from_uuid)?.to_string());
        self.asker
            .list(sql!("select_ids_of_queues"), &values, read)
            .await
    }

    async fn recoverable(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        selection: Selection,
        (first, end): (DeliveryId, DeliveryId),
        limit: u32,
    ) -> Result<Vec<DeliveryId>, Error> {
        let sql = match selection {
            Selection::Any => sql!("select_recoverable"),
            Selection::Exhausted => sql!("select_recoverable_exhausted"),
        };
        let values = [
            Text(tenant.as_str()),
            Id(webhook.uuid()),
            Id(first.uuid()),
            Id(end.uuid()),
            Number(limit.into()),
        ];
        let read = |row: &PgRow| rows::id(row, "id", DeliveryId::from_uuid);
        self.asker.list(sql, &values, read).await
    }

    async fn recovery(
        &self,
        tenant: &TenantId,
        id: RecoveryId,
    ) -> Result<Option<RecoveryRow>, Error> {
        let values = [Text(tenant.as_str()), Id(id.uuid())];
        self.asker
            .one(sql!("select_recovery"), &values, rows::recovery)
            .await
    }

    async fn recoveries(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        page: Page<RecoveryId>,
    ) -> Result<Rows<RecoveryRow, RecoveryId>, Error> {
        let values = [
            Text(tenant.as_str()),
            Id(webhook.uuid()),
            OptionalId(page.after.map(|id| id.uuid())),
            limit(page.limit),
        ];
        let rows = self
            .asker
            .list(sql!("select_recoveries"), &values, rows::recovery)
            .await?;
        Ok(Rows::cut(rows, page.limit, |row| row.id))
    }

    async fn running_recoveries(
        &self,
        tenant: Option<&TenantId>,
    ) -> Result<Vec<RecoveryRow>, Error> {
        let values = [OptionalText(tenant.map(TenantId::as_str))];
        self.asker
            .list(sql!("select_running_recoveries"), &values, rows::recovery)
            .await
    }
}
