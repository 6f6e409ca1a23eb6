use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use cqrs_es::persist::SerializedEvent;
use hookledger_domain::{
    ids::{AttemptId, DeliveryId, MessageId, TokenId, WebhookId},
    tenant::TenantId,
};
use hookledger_projections::{
    query::{AttemptFilter, DeliveryFilter, Page, Rows},
    rows::{DeliveryRow, Secrets, TenantRow, TokenRow, TopicRow, WebhookRow},
};

use super::{Commit, Error, LoggedAttempt, Message, StoredEvent};

/// A webhook with pending deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Which webhook.
    pub webhook_id: WebhookId,
    /// When the first of them is due.
    pub due_at: DateTime<Utc>,
}

/// The secrets of a webhook that is not deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSecrets {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Which webhook.
    pub webhook_id: WebhookId,
    /// Its secrets, sealed.
    pub secrets: Secrets,
}

/// What a database must be able to do. Everything above it is the same for all engines.
#[async_trait]
pub(super) trait Engine: Send + Sync + 'static {
    /// Appends; returns when it would survive a power cut.
    async fn commit(&self, commit: Commit) -> Result<(), Error>;
    /// All events of the given aggregates of one type, each aggregate's in order.
    async fn events_of(
        &self,
        aggregate_type: &str,
        ids: &[String],
    ) -> Result<Vec<SerializedEvent>, Error>;
    /// The events after a position in the order of the ledger, at most `limit`: none only at its
    /// end. A page is shorter when its bodies grow large.
    async fn events_after(&self, position: u64, limit: u32) -> Result<Vec<StoredEvent>, Error>;
    /// The position of the last event; 0 if there is none.
    async fn last_position(&self) -> Result<u64, Error>;
    /// Keeps everybody else from appending until the store is closed.
    async fn hold(&self) -> Result<(), Error>;
    /// Appends events of another ledger in one transaction, where they stood there, and makes the
    /// views of them. Their positions must rise and come after all that are taken, and the store
    /// must be held.
    async fn import(&self, events: Vec<StoredEvent>) -> Result<(), Error>;
    /// Does what makes reading quick after much was imported.
    async fn finish_import(&self) -> Result<(), Error>;
    /// Whether a write would work now.
    async fn check_writable(&self) -> Result<(), Error>;
    /// Writes what was handed in and lets go of the files.
    async fn close(&self);

    async fn tenant(&self, id: &TenantId) -> Result<Option<TenantRow>, Error>;
    async fn tenants(&self, page: Page<TenantId>) -> Result<Rows<TenantRow, TenantId>, Error>;
    async fn token(&self, id: TokenId) -> Result<Option<(TokenRow, TenantRow)>, Error>;
    async fn tokens(
        &self,
        tenant: &TenantId,
        page: Page<TokenId>,
    ) -> Result<Rows<TokenRow, TokenId>, Error>;
    async fn topics(&self) -> Result<Vec<TopicRow>, Error>;
    async fn webhook(&self, tenant: &TenantId, id: WebhookId) -> Result<Option<WebhookRow>, Error>;
    async fn webhook_secrets(
        &self,
        after: Option<(&TenantId, WebhookId)>,
        limit: u32,
    ) -> Result<Vec<WebhookSecrets>, Error>;
    async fn webhooks(&self, tenant: &TenantId) -> Result<Vec<WebhookRow>, Error>;
    async fn message(&self, tenant: &TenantId, id: MessageId) -> Result<Option<Message>, Error>;
    async fn message_by_key(&self, tenant: &TenantId, key: &str) -> Result<Option<Message>, Error>;
    async fn messages(
        &self,
        tenant: &TenantId,
        page: Page<MessageId>,
    ) -> Result<Rows<Message, MessageId>, Error>;
    async fn message_body(&self, tenant: &TenantId, id: MessageId) -> Result<Option<Bytes>, Error>;
    async fn delivery(
        &self,
        tenant: &TenantId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRow>, Error>;
    async fn deliveries(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: Page<DeliveryId>,
    ) -> Result<Rows<DeliveryRow, DeliveryId>, Error>;
    async fn attempts(
        &self,
        tenant: &TenantId,
        filter: &AttemptFilter,
        page: Page<AttemptId>,
    ) -> Result<Rows<LoggedAttempt, AttemptId>, Error>;
    async fn next_waiting(
        &self,
        after: Option<(&TenantId, WebhookId)>,
    ) -> Result<Option<Waiting>, Error>;
    async fn due_ids(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        only_tests: bool,
        limit: u32,
    ) -> Result<Vec<String>, Error>;
}
