//! What the engine answers.

use std::collections::HashMap;

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
    rows::{DeliveryRow, MessageRow, TenantRow, TokenRow, TopicRow, WebhookRow},
};
use sqlx::{Connection, Row, postgres::PgRow};
use tokio::sync::{mpsc::error::TrySendError, oneshot};
use uuid::Uuid;

use super::{
    Postgres,
    ask::Value::{self, Id, Ids, Number, OptionalId, OptionalText, Text, Texts},
    filters, rows,
    writer::Task,
};
use crate::store::{
    Commit, Error, LoggedAttempt, Message, StoredEvent,
    engine::{Engine, WebhookSecrets},
    erasure::{Mark, Step},
    stats::{Beginning, MeasuredPage, Scope, Told},
    views::PAGE_BODY_BYTES_MAX,
};

impl Postgres {
    /// Reads the bodies and the deliveries of messages whose rows were read.
    async fn complete(&self, rows: Vec<MessageRow>) -> Result<Vec<Message>, Error> {
        let Some(first) = rows.first() else {
            return Ok(Vec::new());
        };
        let tenant = first.tenant_id.to_string();
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id.uuid()).collect();
        let values = [Text(&tenant), Ids(&ids)];
        let mut bodies: HashMap<Uuid, String> = self
            .asker
            .list(sql!("bodies_of_messages"), &values, |row| {
                Ok((row.try_get("id")?, row.try_get("text")?))
            })
            .await?
            .into_iter()
            .collect();
        let mut deliveries: HashMap<Uuid, Vec<_>> = HashMap::new();
        let found = self
            .asker
            .list(sql!("select_deliveries_of_message"), &values, |row| {
                let of_message = (
                    rows::id(row, "id", DeliveryId::from_uuid)?,
                    rows::id(row, "webhook_id", WebhookId::from_uuid)?,
                    rows::delivery_status(row)?,
                );
                Ok((row.try_get::<Uuid, _>("message_id")?, of_message))
            })
            .await?;
        for (message, delivery) in found {
            deliveries.entry(message).or_default().push(delivery);
        }
        let complete = |row: MessageRow| Message {
            body: bodies.remove(&row.id.uuid()),
            deliveries: deliveries.remove(&row.id.uuid()).unwrap_or_default(),
            row,
        };
        Ok(rows.into_iter().map(complete).collect())
    }

    /// The message of a question's answer, complete.
    async fn message_of(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Option<Message>, Error> {
        let row = self.asker.one(sql, values, rows::message).await?;
        Ok(self.complete(row.into_iter().collect()).await?.pop())
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

    async fn erase_bodies(
        &self,
        before: DateTime<Utc>,
        after: Option<Mark>,
    ) -> Result<Step, Error> {
        self.erase_step(before, after).await
    }

    async fn finish_erasing(&self) -> Result<(), Error> {
        self.eraser.lock().await.close().await;
        Ok(())
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
        self.eraser.lock().await.close().await;
        if let Some(connection) = self.holder.lock().await.take() {
            // The server lets go of the lock, too, when it finds the connection gone.
            let _ = connection.close().await;
        }
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
        self.hold_appends().await
    }

    async fn import(&self, events: Vec<StoredEvent>) -> Result<(), Error> {
        self.append_stored(events).await
    }

    async fn finish_import(&self) -> Result<(), Error> {
        self.gather_statistics().await
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

    async fn webhook_secrets(
        &self,
        after: Option<(&TenantId, WebhookId)>,
        limit: u32,
    ) -> Result<Vec<WebhookSecrets>, Error> {
        let [tenant, webhook] = place(after);
        let values = [tenant, webhook, Number(limit.into())];
        self.asker
            .list(
                sql!("select_webhook_secrets"),
                &values,
                rows::webhook_secrets,
            )
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
        self.message_of(sql!("select_message"), &values).await
    }

    async fn message_by_key(&self, tenant: &TenantId, key: &str) -> Result<Option<Message>, Error> {
        let values = [Text(tenant.as_str()), Text(key)];
        self.message_of(sql!("select_message_by_key"), &values)
            .await
    }

    async fn messages(
        &self,
        tenant: &TenantId,
        page: Page<MessageId>,
    ) -> Result<Rows<Message, MessageId>, Error> {
        let after = OptionalId(page.after.map(|id| id.uuid()));
        let values = [Text(tenant.as_str()), after, limit(page.limit)];
        let mut rows = self
            .asker
            .list(sql!("select_messages"), &values, rows::message)
            .await?;
        // Bodies are large: a page ends where they become too many, after one message at least.
        let mut bytes = 0;
        let mut fits = |row: &MessageRow| {
            bytes += row.body_bytes;
            bytes <= PAGE_BODY_BYTES_MAX
        };
        let fitting = u32::try_from(rows.iter().take_while(|row| fits(row)).count().max(1));
        let limit = fitting.unwrap_or(u32::MAX).min(page.limit);
        // The one after the last only shows that there are more.
        let rest = rows.split_off(rows.len().min(limit as usize));
        let next = rows.last().map(|row| row.id).filter(|_| !rest.is_empty());
        Ok(Rows {
            rows: self.complete(rows).await?,
            next,
        })
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

    async fn attempt(
        &self,
        tenant: &TenantId,
        id: AttemptId,
    ) -> Result<Option<LoggedAttempt>, Error> {
        let values = [Text(tenant.as_str()), Id(id.uuid())];
        self.asker
            .one(sql!("select_attempt"), &values, rows::attempt)
            .await
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
        _before: Option<i64>,
    ) -> Result<MeasuredPage, Error> {
        self.read_measured(scope, topic, first).await
    }
}

/// One row more than the page has shows whether there are more.
pub(super) fn limit(limit: u32) -> Value<'static> {
    Number(i64::from(limit) + 1)
}

/// Where a walk over tenants and webhooks goes on; no tenant comes before the empty text.
pub(super) fn place(after: Option<(&TenantId, WebhookId)>) -> [Value<'_>; 2] {
    match after {
        Some((tenant, webhook)) => [Text(tenant.as_str()), Id(webhook.uuid())],
        None => [Text(""), Id(WebhookId::default().uuid())],
    }
}
