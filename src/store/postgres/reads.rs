//! What the engine answers.

use async_trait::async_trait;
use bytes::Bytes;
use cqrs_es::persist::SerializedEvent;
use hookledger_domain::{
    ids::{AttemptId, DeliveryId, MessageId, TokenId, WebhookId},
    tenant::TenantId,
};
use hookledger_projections::{
    query::{AttemptFilter, DeliveryFilter, Page, Rows},
    rows::{DeliveryRow, TenantRow, TokenRow, TopicRow, WebhookRow},
};
use sqlx::{Row, postgres::PgRow};
use tokio::sync::{mpsc::error::TrySendError, oneshot};

use super::{
    Postgres,
    ask::Value::{Id, Number, OptionalId, OptionalText, Text, Texts},
    filters, rows,
    writer::Task,
};
use crate::store::{
    Commit, Error, LoggedAttempt, Message,
    engine::{Engine, Waiting},
    views::PAGE_BODY_BYTES_MAX,
};

impl Postgres {
    /// Reads the body and the deliveries of a message whose row was read.
    async fn complete(&self, row: &PgRow) -> Result<Message, Error> {
        let row = rows::message(row)?;
        let (tenant, id) = (row.tenant_id.as_str(), row.id.uuid());
        let body = self.message_body(&row.tenant_id, row.id).await?;
        let values = [Text(tenant), Id(id)];
        let deliveries = self
            .asker
            .list(sql!("select_deliveries_of_message"), &values, |row| {
                Ok((
                    rows::id(row, "id", DeliveryId::from_uuid)?,
                    rows::id(row, "webhook_id", WebhookId::from_uuid)?,
                    rows::delivery_status(row)?,
                ))
            })
            .await?;
        Ok(Message {
            row,
            body: body.map(|body| String::from_utf8_lossy(&body).into_owned()),
            deliveries,
        })
    }

    async fn complete_first(&self, found: &[PgRow]) -> Result<Option<Message>, Error> {
        match found.first() {
            Some(row) => self.complete(row).await.map(Some),
            None => Ok(None),
        }
    }
}

#[async_trait]
impl Engine for Postgres {
    async fn commit(&self, commit: Commit) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        let task = Task::Commit { commit, reply };
        self.tasks.try_send(task).map_err(|error| match error {
            TrySendError::Full(_) => Error::Busy,
            TrySendError::Closed(_) => Error::unavailable("the ledger is closed"),
        })?;
        answer
            .await
            .unwrap_or_else(|_| Err(Error::unavailable("the ledger's writers have stopped")))
    }

    async fn check_writable(&self) -> Result<(), Error> {
        let read = |row: &PgRow| Ok(row.try_get::<bool, _>(0)?);
        match self.asker.one(sql!("is_writable"), &[], read).await? {
            Some(true) => Ok(()),
            _ => Err(Error::unavailable("the database takes no writes")),
        }
    }

    async fn close(&self) {
        self.readers().close().await;
        let mut writers = self.writers.lock().await;
        for _ in 0..writers.len() {
            // A full queue is no reason not to close: this waits for its turn.
            let _ = self.tasks.send(Task::Close).await;
        }
        while writers.join_next().await.is_some() {}
    }

    async fn events_of(
        &self,
        aggregate_type: &str,
        ids: &[String],
    ) -> Result<Vec<SerializedEvent>, Error> {
        let values = [Text(aggregate_type), Texts(ids)];
        self.asker
            .list(sql!("select_events_of"), &values, rows::event)
            .await
    }

    async fn tenant(&self, id: &TenantId) -> Result<Option<TenantRow>, Error> {
        self.asker
            .one(sql!("select_tenant"), &[Text(id.as_str())], rows::tenant)
            .await
    }

    async fn tenants(&self, page: Page<TenantId>) -> Result<Rows<TenantRow, TenantId>, Error> {
        let after = page.after.as_ref().map(TenantId::as_str);
        let values = [OptionalText(after), limit(page.limit)];
        let rows = self
            .asker
            .list(sql!("select_tenants"), &values, rows::tenant)
            .await?;
        Ok(Rows::cut(rows, page.limit, |row| row.id.clone()))
    }

    async fn token(&self, id: TokenId) -> Result<Option<(TokenRow, TenantRow)>, Error> {
        let read = |row: &PgRow| Ok((rows::token(row)?, rows::tenant(row)?));
        self.asker
            .one(sql!("select_token"), &[Id(id.uuid())], read)
            .await
    }

    async fn tokens(
        &self,
        tenant: &TenantId,
        page: Page<TokenId>,
    ) -> Result<Rows<TokenRow, TokenId>, Error> {
        let after = OptionalId(page.after.map(|id| id.uuid()));
        let values = [Text(tenant.as_str()), after, limit(page.limit)];
        let rows = self
            .asker
            .list(sql!("select_tokens"), &values, rows::token)
            .await?;
        Ok(Rows::cut(rows, page.limit, |row| row.id))
    }

    async fn topics(&self) -> Result<Vec<TopicRow>, Error> {
        self.asker
            .list(sql!("select_topics"), &[], rows::topic)
            .await
    }

    async fn webhook(&self, tenant: &TenantId, id: WebhookId) -> Result<Option<WebhookRow>, Error> {
        let values = [Text(tenant.as_str()), Id(id.uuid())];
        self.asker
            .one(sql!("select_webhook"), &values, rows::webhook)
            .await
    }

    async fn any_webhook(&self) -> Result<Option<WebhookRow>, Error> {
        self.asker
            .one(sql!("select_any_webhook"), &[], rows::webhook)
            .await
    }

    async fn webhooks(&self, tenant: &TenantId) -> Result<Vec<WebhookRow>, Error> {
        self.asker
            .list(
                sql!("select_webhooks"),
                &[Text(tenant.as_str())],
                rows::webhook,
            )
            .await
    }

    async fn message(&self, tenant: &TenantId, id: MessageId) -> Result<Option<Message>, Error> {
        let values = [Text(tenant.as_str()), Id(id.uuid())];
        let found = self.asker.all(sql!("select_message"), &values).await?;
        self.complete_first(&found).await
    }

    async fn message_by_key(&self, tenant: &TenantId, key: &str) -> Result<Option<Message>, Error> {
        let values = [Text(tenant.as_str()), Text(key)];
        let found = self
            .asker
            .all(sql!("select_message_by_key"), &values)
            .await?;
        self.complete_first(&found).await
    }

    async fn messages(
        &self,
        tenant: &TenantId,
        page: Page<MessageId>,
    ) -> Result<Rows<Message, MessageId>, Error> {
        let after = OptionalId(page.after.map(|id| id.uuid()));
        let values = [Text(tenant.as_str()), after, limit(page.limit)];
        let found = self.asker.all(sql!("select_messages"), &values).await?;
        let (mut messages, mut bytes) = (Vec::new(), 0);
        let mut limit = page.limit;
        for row in &found {
            let message = self.complete(row).await?;
            bytes += message.row.body_bytes;
            messages.push(message);
            let read = u32::try_from(messages.len()).unwrap_or(u32::MAX);
            if bytes > PAGE_BODY_BYTES_MAX && read > 1 {
                // The one just read only shows that there are more.
                limit = limit.min(read - 1);
                break;
            }
        }
        Ok(Rows::cut(messages, limit, |message| message.row.id))
    }

    async fn message_body(&self, tenant: &TenantId, id: MessageId) -> Result<Option<Bytes>, Error> {
        let read = |row: &PgRow| Ok(Bytes::from(row.try_get::<String, _>("text")?));
        let values = [Text(tenant.as_str()), Id(id.uuid())];
        self.asker
            .one(sql!("select_message_body"), &values, read)
            .await
    }

    async fn delivery(
        &self,
        tenant: &TenantId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRow>, Error> {
        let values = [Text(tenant.as_str()), Id(id.uuid())];
        self.asker
            .one(sql!("select_delivery"), &values, rows::delivery)
            .await
    }

    async fn deliveries(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: Page<DeliveryId>,
    ) -> Result<Rows<DeliveryRow, DeliveryId>, Error> {
        let build = || filters::deliveries(tenant, filter, page);
        let found = self.asker.built(build).await?;
        let rows = found.iter().map(rows::delivery).collect::<Result<_, _>>()?;
        Ok(Rows::cut(rows, page.limit, |row: &DeliveryRow| row.id))
    }

    async fn attempts(
        &self,
        tenant: &TenantId,
        filter: &AttemptFilter,
        page: Page<AttemptId>,
    ) -> Result<Rows<LoggedAttempt, AttemptId>, Error> {
        let build = || filters::attempts(tenant, filter, page);
        let found = self.asker.built(build).await?;
        let rows = found.iter().map(rows::attempt).collect::<Result<_, _>>()?;
        Ok(Rows::cut(rows, page.limit, |attempt: &LoggedAttempt| {
            attempt.row.id
        }))
    }

    async fn next_waiting(
        &self,
        after: Option<(&TenantId, WebhookId)>,
    ) -> Result<Option<Waiting>, Error> {
        let (tenant, webhook) = match after {
            Some((tenant, webhook)) => (tenant.as_str(), webhook),
            None => ("", WebhookId::default()),
        };
        let values = [Text(tenant), Id(webhook.uuid())];
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
}

/// One row more than the page has shows whether there are more.
fn limit(limit: u32) -> super::ask::Value<'static> {
    Number(i64::from(limit) + 1)
}
