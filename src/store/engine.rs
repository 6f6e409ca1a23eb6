use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use cqrs_es::persist::SerializedEvent;
use hookledger_domain::{
    ids::{AttemptId, DeliveryId, MessageId, RecoveryId, TokenId, WebhookId},
    recovery::Selection,
    stripe::StripeId,
    tenant::TenantId,
    topic::Topic,
};
use hookledger_projections::{
    query::{AttemptFilter, DeliveryFilter, Page, Rows, UnassignedPlace},
    rows::{
        DeliveryRow, InvoiceRow, RecoveryRow, Secrets, SubscriptionRow, TenantRow, TokenRow,
        TopicRow, UnassignedRow, WebhookRow,
    },
};

use super::{
    Commit, Error, LoggedAttempt, Message, StoredEvent,
    audit::{Chained, Seal},
    erasure::{Mark, Step},
    rebuild::Rebuilds,
    stats::{Beginning, MeasuredPage, Scope, Told},
};

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

/// What a database must be able to tell of what is to be sent.
#[async_trait]
pub(super) trait Agenda: Send + Sync + 'static {
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
    /// What is to be sent of a webhook's queues, tests aside: by queue and id, at most `each` of a
    /// queue. The queues after `after`, or from the first on, at most `queues`.
    async fn queued_ids(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        after: Option<&str>,
        queues: u32,
        each: u32,
    ) -> Result<Vec<String>, Error>;
    /// The same of these queues.
    async fn ids_of_queues(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        queues: &[String],
        each: u32,
    ) -> Result<Vec<String>, Error>;
    /// Deliveries of a webhook, tests aside, in the order of their ids, at most `limit`: those from
    /// `first` on and before `end`, all or only those that are exhausted.
    async fn recoverable(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        selection: Selection,
        span: (DeliveryId, DeliveryId),
        limit: u32,
    ) -> Result<Vec<DeliveryId>, Error>;
    async fn recovery(
        &self,
        tenant: &TenantId,
        id: RecoveryId,
    ) -> Result<Option<RecoveryRow>, Error>;
    async fn recoveries(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        page: Page<RecoveryId>,
    ) -> Result<Rows<RecoveryRow, RecoveryId>, Error>;
    async fn running_recoveries(
        &self,
        tenant: Option<&TenantId>,
    ) -> Result<Vec<RecoveryRow>, Error>;
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

/// What a database must be able to tell of billing.
#[async_trait]
pub(super) trait Accounts: Send + Sync + 'static {
    async fn tenants_of_customer(&self, customer: &str) -> Result<Vec<TenantId>, Error>;
    async fn subscriptions(
        &self,
        tenant: &TenantId,
        limit: u32,
    ) -> Result<Vec<SubscriptionRow>, Error>;
    async fn invoices(&self, tenant: &TenantId, limit: u32) -> Result<Vec<InvoiceRow>, Error>;
    async fn unassigned(
        &self,
        page: Page<UnassignedPlace>,
    ) -> Result<Rows<UnassignedRow, UnassignedPlace>, Error>;
    async fn unassigned_of_customer(
        &self,
        customer: &StripeId,
        limit: u32,
    ) -> Result<Vec<UnassignedRow>, Error>;
    async fn settleable(&self, limit: u32) -> Result<Vec<UnassignedRow>, Error>;
}

/// The place before the first of the list of callbacks without tenant: the end of the year 9999, and
/// so later than what any of them says.
pub(super) const LATEST: DateTime<Utc> = match DateTime::from_timestamp(253_402_300_799, 0) {
    Some(time) => time,
    None => DateTime::<Utc>::MIN_UTC,
};

/// What a database must be able to do for auditors.
#[async_trait]
pub(super) trait Audited: Send + Sync + 'static {
    /// The side that only reads, which ends with the engine.
    fn chained(&self) -> Arc<dyn Chained>;
    /// Writes a seal down. Fails with [`Error::Conflict`] if there is one with its number.
    async fn insert_seal(&self, seal: &Seal) -> Result<(), Error>;
}

/// What a database must be able to do. Everything above it is the same for all engines.
#[async_trait]
pub(super) trait Engine: Accounts + Agenda + Audited + Rebuilds {
    /// Appends; returns when it would survive a power cut.
    async fn commit(&self, commit: Commit) -> Result<(), Error>;
    /// All events of the given aggregates of one type, each aggregate's in order.
    async fn events_of(
        &self,
        aggregate_type: &str,
        ids: &[String],
    ) -> Result<Vec<SerializedEvent>, Error>;
    /// The events of a tenant's aggregate, of this type and with this id, after a sequence, in order
    /// and without bodies.
    async fn stream(
        &self,
        tenant: &TenantId,
        aggregate: (&str, &str),
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, Error>;
    /// The events after a position in the order of the ledger, at most `limit`: none only at its
    /// end. A page is shorter when its bodies grow large.
    async fn events_after(&self, position: u64, limit: u32) -> Result<Vec<StoredEvent>, Error>;
    /// Keeps everybody else from appending until the store is closed.
    async fn hold(&self) -> Result<(), Error>;
    /// Appends events of another ledger in one transaction, where they stood there, and makes the
    /// views of them. Their positions must rise and come after all that are taken, and the store
    /// must be held.
    async fn import(&self, events: Vec<StoredEvent>) -> Result<(), Error>;
    /// Does what makes reading quick after much was imported.
    async fn finish_import(&self) -> Result<(), Error>;
    /// Erases some bodies from before a moment that nothing is to be sent of: those that come next
    /// after `after`.
    async fn erase_bodies(&self, before: DateTime<Utc>, after: Option<Mark>)
    -> Result<Step, Error>;
    /// Takes away what is left of erased bodies in the engine's log, and lets go of what erasing
    /// works with.
    async fn finish_erasing(&self) -> Result<(), Error>;
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
    async fn attempt(
        &self,
        tenant: &TenantId,
        id: AttemptId,
    ) -> Result<Option<LoggedAttempt>, Error>;
    async fn attempts(
        &self,
        tenant: &TenantId,
        filter: &AttemptFilter,
        page: Page<AttemptId>,
    ) -> Result<Rows<LoggedAttempt, AttemptId>, Error>;
    /// The newest attempts of a webhook by their start.
    async fn last_attempts(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        limit: u32,
    ) -> Result<Vec<Told>, Error>;
    /// What counting the attempts in scope begins with.
    async fn begin_measuring(&self, scope: &Scope<'_>) -> Result<Beginning, Error>;
    /// A page of the attempts in scope about a topic, from an id on, without those that the
    /// beginning has counted.
    async fn measured(
        &self,
        scope: &Scope<'_>,
        topic: &Topic,
        first: AttemptId,
        before: Option<i64>,
    ) -> Result<MeasuredPage, Error>;
}
