//! What the engine answers.

use std::fmt::Display;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use cqrs_es::persist::SerializedEvent;
use hookledger_domain::{
    ids::{AttemptId, DeliveryId, MessageId, TokenId, WebhookId},
    tenant::TenantId,
    topic::Topic,
};
use hookledger_projections::{
    query::{AttemptFilter, DeliveryFilter, Page, Rows},
    rows::{DeliveryRow, TenantRow, TokenRow, TopicRow, WebhookRow},
};
use sqlx::{Row, sqlite::SqliteRow};
use tokio::sync::{mpsc::error::TrySendError, oneshot};

use super::{Sqlite, filters, rows, writer::Task};
use crate::store::{
    Commit, Error, LoggedAttempt, Message, StoredEvent,
    engine::{Engine, WebhookSecrets},
    erasure::{Mark, Step},
    stats::{Beginning, MeasuredPage, Scope, Told},
    views::PAGE_BODY_BYTES_MAX,
};

impl Sqlite {
    pub(super) async fn ask<T>(
        &self,
        task: Task,
        answer: oneshot::Receiver<Result<T, Error>>,
    ) -> Result<T, Error> {
        self.tasks.try_send(task).map_err(|error| match error {
            TrySendError::Full(_) => Error::Busy,
            TrySendError::Closed(_) => Error::unavailable("the ledger is closed"),
        })?;
        answer
            .await
            .unwrap_or_else(|_| Err(Error::unavailable("the ledger's writer has stopped")))
    }

    pub(super) async fn one<T>(
        &self,
        sql: &'static str,
        values: &[&str],
        read: impl Fn(&SqliteRow) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let mut query = sqlx::query(sql);
        for value in values {
            query = query.bind(*value);
        }
        let row = query.fetch_optional(&self.readers).await?;
        row.as_ref().map(read).transpose()
    }

    async fn page<T, Id: Display>(
        &self,
        sql: &'static str,
        first: &str,
        page: &Page<Id>,
        read: impl Fn(&SqliteRow) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let rows = sqlx::query(sql)
            .bind(first)
            .bind(page.after.as_ref().map(ToString::to_string))
            .bind(i64::from(page.limit) + 1)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(read).collect()
    }

    /// Reads the body and the deliveries of a message whose row was read.
    async fn complete(&self, row: SqliteRow) -> Result<Message, Error> {
        let row = rows::message(&row)?;
        let body = self.message_body(&row.tenant_id, row.id).await?;
        let deliveries = sqlx::query(sql!("select_deliveries_of_message"))
            .bind(row.tenant_id.as_str())
            .bind(row.id.to_string())
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(|row| {
                Ok((
                    rows::parsed(row, "id")?,
                    rows::parsed(row, "webhook_id")?,
                    rows::delivery_status(row)?,
                ))
            })
            .collect::<Result<_, Error>>()?;
        Ok(Message {
            row,
            body: body.map(|body| String::from_utf8_lossy(&body).into_owned()),
            deliveries,
        })
    }

    async fn complete_optional(&self, row: Option<SqliteRow>) -> Result<Option<Message>, Error> {
        match row {
            Some(row) => self.complete(row).await.map(Some),
            None => Ok(None),
        }
    }
}

#[async_trait]
impl Engine for Sqlite {
    async fn commit(&self, commit: Commit) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.ask(Task::Commit { commit, reply }, answer).await
    }

    async fn erase_bodies(
        &self,
        before: DateTime<Utc>,
        after: Option<Mark>,
    ) -> Result<Step, Error> {
        self.erase_step(before, after).await
    }

    async fn finish_erasing(&self) -> Result<(), Error> {
        self.empty_log().await
    }

    async fn check_writable(&self) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.ask(Task::Check { reply }, answer).await
    }

    async fn close(&self) {
        // The last connection to go moves the log into the database, which readers may not.
        self.readers.close().await;
        // A full queue is no reason not to close: this waits for its turn.
        let _ = self.tasks.send(Task::Close).await;
        let writer = self.writer.lock().ok().and_then(|mut writer| writer.take());
        if let Some(writer) = writer {
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        }
    }

    async fn events_of(
        &self,
        aggregate_type: &str,
        ids: &[String],
    ) -> Result<Vec<SerializedEvent>, Error> {
        let rows = sqlx::query(sql!("select_events_of"))
            .bind(aggregate_type)
            .bind(serde_json::to_string(ids)?)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(rows::event).collect()
    }

    async fn stream(
        &self,
        tenant: &TenantId,
        aggregate: (&str, &str),
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, Error> {
        self.read_stream(tenant, aggregate, after, limit).await
    }

    async fn events_after(&self, position: u64, limit: u32) -> Result<Vec<StoredEvent>, Error> {
        self.read_after(position, limit).await
    }

    async fn hold(&self) -> Result<(), Error> {
        // The lock on the file does that already.
        Ok(())
    }

    async fn import(&self, events: Vec<StoredEvent>) -> Result<(), Error> {
        self.append_stored(events).await
    }

    async fn finish_import(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn tenant(&self, id: &TenantId) -> Result<Option<TenantRow>, Error> {
        self.one(sql!("select_tenant"), &[id.as_str()], rows::tenant)
            .await
    }

    async fn tenants(&self, page: Page<TenantId>) -> Result<Rows<TenantRow, TenantId>, Error> {
        let rows = self
            .page(sql!("select_tenants"), "", &page, rows::tenant)
            .await?;
        Ok(Rows::cut(rows, page.limit, |row| row.id.clone()))
    }

    async fn token(&self, id: TokenId) -> Result<Option<(TokenRow, TenantRow)>, Error> {
        let read = |row: &SqliteRow| Ok((rows::token(row)?, rows::tenant(row)?));
        self.one(sql!("select_token"), &[&id.to_string()], read)
            .await
    }

    async fn tokens(
        &self,
        tenant: &TenantId,
        page: Page<TokenId>,
    ) -> Result<Rows<TokenRow, TokenId>, Error> {
        let rows = self
            .page(sql!("select_tokens"), tenant.as_str(), &page, rows::token)
            .await?;
        Ok(Rows::cut(rows, page.limit, |row| row.id))
    }

    async fn topics(&self) -> Result<Vec<TopicRow>, Error> {
        let rows = sqlx::query(sql!("select_topics"))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(rows::topic).collect()
    }

    async fn webhook(&self, tenant: &TenantId, id: WebhookId) -> Result<Option<WebhookRow>, Error> {
        let id = id.to_string();
        self.one(
            sql!("select_webhook"),
            &[tenant.as_str(), &id],
            rows::webhook,
        )
        .await
    }

    async fn webhook_secrets(
        &self,
        after: Option<(&TenantId, WebhookId)>,
        limit: u32,
    ) -> Result<Vec<WebhookSecrets>, Error> {
        let (tenant, webhook) = place(after);
        let rows = sqlx::query(sql!("select_webhook_secrets"))
            .bind(tenant)
            .bind(webhook)
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(rows::webhook_secrets).collect()
    }

    async fn webhooks(&self, tenant: &TenantId) -> Result<Vec<WebhookRow>, Error> {
        let rows = sqlx::query(sql!("select_webhooks"))
            .bind(tenant.as_str())
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(rows::webhook).collect()
    }

    async fn message(&self, tenant: &TenantId, id: MessageId) -> Result<Option<Message>, Error> {
        let row = sqlx::query(sql!("select_message"))
            .bind(tenant.as_str())
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?;
        self.complete_optional(row).await
    }

    async fn message_by_key(&self, tenant: &TenantId, key: &str) -> Result<Option<Message>, Error> {
        let row = sqlx::query(sql!("select_message_by_key"))
            .bind(tenant.as_str())
            .bind(key)
            .fetch_optional(&self.readers)
            .await?;
        self.complete_optional(row).await
    }

    async fn messages(
        &self,
        tenant: &TenantId,
        page: Page<MessageId>,
    ) -> Result<Rows<Message, MessageId>, Error> {
        let found = sqlx::query(sql!("select_messages"))
            .bind(tenant.as_str())
            .bind(page.after.map(|id| id.to_string()))
            .bind(i64::from(page.limit) + 1)
            .fetch_all(&self.readers)
            .await?;
        let (mut messages, mut bytes) = (Vec::new(), 0);
        let mut limit = page.limit;
        for row in found {
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
        let id = id.to_string();
        let read = |row: &SqliteRow| Ok(Bytes::from(row.try_get::<String, _>("text")?));
        self.one(sql!("select_message_body"), &[tenant.as_str(), &id], read)
            .await
    }

    async fn delivery(
        &self,
        tenant: &TenantId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRow>, Error> {
        let id = id.to_string();
        self.one(
            sql!("select_delivery"),
            &[tenant.as_str(), &id],
            rows::delivery,
        )
        .await
    }

    async fn deliveries(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: Page<DeliveryId>,
    ) -> Result<Rows<DeliveryRow, DeliveryId>, Error> {
        let mut query = filters::deliveries(tenant, filter, page);
        let found = query.build().fetch_all(&self.readers).await?;
        let rows = found.iter().map(rows::delivery).collect::<Result<_, _>>()?;
        Ok(Rows::cut(rows, page.limit, |row: &DeliveryRow| row.id))
    }

    async fn attempt(
        &self,
        tenant: &TenantId,
        id: AttemptId,
    ) -> Result<Option<LoggedAttempt>, Error> {
        let id = id.to_string();
        let values = [tenant.as_str(), &id];
        self.one(sql!("select_attempt"), &values, rows::attempt)
            .await
    }

    async fn attempts(
        &self,
        tenant: &TenantId,
        filter: &AttemptFilter,
        page: Page<AttemptId>,
    ) -> Result<Rows<LoggedAttempt, AttemptId>, Error> {
        let mut query = filters::attempts(tenant, filter, page);
        let found = query.build().fetch_all(&self.readers).await?;
        let rows = found.iter().map(rows::attempt).collect::<Result<_, _>>()?;
        Ok(Rows::cut(rows, page.limit, |attempt: &LoggedAttempt| {
            attempt.row.id
        }))
    }

    async fn last_attempts(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        limit: u32,
    ) -> Result<Vec<Told>, Error> {
        self.read_last_attempts(tenant, webhook, limit).await
    }

    async fn begin_measuring(&self, scope: &Scope<'_>) -> Result<Beginning, Error> {
        self.read_beginning(scope).await
    }

    async fn measured(
        &self,
        scope: &Scope<'_>,
        topic: &Topic,
        first: AttemptId,
        before: Option<i64>,
    ) -> Result<MeasuredPage, Error> {
        self.read_measured(scope, topic, first, before).await
    }
}

/// Where a walk over tenants and webhooks goes on; the empty texts come before all others.
pub(super) fn place(after: Option<(&TenantId, WebhookId)>) -> (&str, String) {
    match after {
        Some((tenant, webhook)) => (tenant.as_str(), webhook.to_string()),
        None => ("", String::new()),
    }
}
