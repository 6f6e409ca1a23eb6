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
use sqlx::{Row, sqlite::SqliteRow};

use super::{Sqlite, reads::place, rows};
use crate::store::{
    Error,
    engine::{Agenda, Waiting},
};

#[async_trait]
impl Agenda for Sqlite {
    async fn next_waiting(
        &self,
        after: Option<(&TenantId, WebhookId)>,
    ) -> Result<Option<Waiting>, Error> {
        let (tenant, webhook) = place(after);
        let read = |row: &SqliteRow| {
            Ok(Waiting {
                tenant_id: rows::parsed(row, "tenant_id")?,
                webhook_id: rows::parsed(row, "webhook_id")?,
                due_at: rows::time(row, "next_attempt_at")?,
            })
        };
        self.one(sql!("select_next_waiting"), &[tenant, &webhook], read)
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
        let rows = sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(webhook.to_string())
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| Ok(row.try_get("id")?)).collect()
    }

    async fn queued_ids(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        after: Option<&str>,
        queues: u32,
        each: u32,
    ) -> Result<Vec<String>, Error> {
        let rows = sqlx::query(sql!("select_queued_ids"))
            .bind(tenant.as_str())
            .bind(webhook.to_string())
            .bind(after)
            .bind(i64::from(queues))
            .bind(i64::from(each))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| Ok(row.try_get("id")?)).collect()
    }

    async fn ids_of_queues(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        queues: &[String],
        each: u32,
    ) -> Result<Vec<String>, Error> {
        let rows = sqlx::query(sql!("select_ids_of_queues"))
            .bind(tenant.as_str())
            .bind(webhook.to_string())
            .bind(serde_json::to_string(queues)?)
            .bind(i64::from(each))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| Ok(row.try_get("id")?)).collect()
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
        let rows = sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(webhook.to_string())
            .bind(first.to_string())
            .bind(end.to_string())
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| rows::parsed(row, "id")).collect()
    }

    async fn recovery(
        &self,
        tenant: &TenantId,
        id: RecoveryId,
    ) -> Result<Option<RecoveryRow>, Error> {
        let values = [tenant.as_str(), &id.to_string()];
        self.one(sql!("select_recovery"), &values, rows::recovery)
            .await
    }

    async fn recoveries(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        page: Page<RecoveryId>,
    ) -> Result<Rows<RecoveryRow, RecoveryId>, Error> {
        let found = sqlx::query(sql!("select_recoveries"))
            .bind(tenant.as_str())
            .bind(webhook.to_string())
            .bind(page.after.map(|id| id.to_string()))
            .bind(i64::from(page.limit) + 1)
            .fetch_all(&self.readers)
            .await?;
        let rows = found.iter().map(rows::recovery).collect::<Result<_, _>>()?;
        Ok(Rows::cut(rows, page.limit, |row: &RecoveryRow| row.id))
    }

    async fn running_recoveries(
        &self,
        tenant: Option<&TenantId>,
    ) -> Result<Vec<RecoveryRow>, Error> {
        let found = sqlx::query(sql!("select_running_recoveries"))
            .bind(tenant.map(TenantId::as_str))
            .fetch_all(&self.readers)
            .await?;
        found.iter().map(rows::recovery).collect()
    }
}
