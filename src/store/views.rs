use std::sync::Arc;

use bytes::Bytes;
use hookledger_domain::{
    delivery::Status,
    ids::{AttemptId, DeliveryId, MessageId, RecoveryId, TokenId, WebhookId},
    recovery::Selection,
    stripe::StripeId,
    tenant::TenantId,
};
use hookledger_projections::{
    query::{AttemptFilter, DeliveryFilter, Page, Rows, UnassignedPlace},
    rows::{
        AttemptRow, DeliveryRow, InvoiceRow, MessageRow, RecoveryRow, SubscriptionRow, TenantRow,
        TokenRow, TopicRow, UnassignedRow, WebhookRow,
    },
};

use super::{Error, Waiting, WebhookSecrets, engine::Engine, stats::Turns};

/// How many bytes of bodies a page of messages or of events holds at most, beyond one body.
pub(super) const PAGE_BODY_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A message with its body and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The message itself.
    pub row: MessageRow,
    /// The exact text that is signed and sent; `None` once erased.
    pub body: Option<String>,
    /// Its deliveries in the order in which they were made.
    pub deliveries: Vec<(DeliveryId, WebhookId, Status)>,
}

/// An attempt with what came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedAttempt {
    /// The attempt itself.
    pub row: AttemptRow,
    /// The body of the answer, as far as it is kept; `None` if it was empty, if there was none, and
    /// once erased.
    pub response_body: Option<String>,
}

/// Asks the views. Every query names the tenant whose rows it may see.
///
/// All of them fail with [`Error::Unavailable`] when the database cannot be asked, and with
/// [`Error::Corrupt`] when a row cannot be read.
#[derive(Clone)]
pub struct Views {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) turns: Arc<Turns>,
}

macro_rules! queries {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => {
        impl Views {
            $($(#[$doc])*
            pub async fn $name(&self, $($argument: $type),*) -> Result<$answer, Error> {
                self.engine.$name($($argument),*).await
            })+
        }
    };
}

queries! {
    /// A tenant.
    tenant(id: &TenantId) -> Option<TenantRow>;
    /// The tenants, by descending id.
    tenants(page: Page<TenantId>) -> Rows<TenantRow, TenantId>;
    /// A live token and its tenant.
    token(id: TokenId) -> Option<(TokenRow, TenantRow)>;
    /// A tenant's live tokens, the newest first.
    tokens(tenant: &TenantId, page: Page<TokenId>) -> Rows<TokenRow, TokenId>;
    /// The custom topics.
    topics() -> Vec<TopicRow>;
    /// A webhook, also a deleted one.
    webhook(tenant: &TenantId, id: WebhookId) -> Option<WebhookRow>;
    /// All webhooks of a tenant that are not deleted, the newest first.
    webhooks(tenant: &TenantId) -> Vec<WebhookRow>;
    /// A message.
    message(tenant: &TenantId, id: MessageId) -> Option<Message>;
    /// The message that was published with this idempotency key.
    message_by_key(tenant: &TenantId, key: &str) -> Option<Message>;
    /// A tenant's messages, the newest first. A page ends early when its bodies grow large.
    messages(tenant: &TenantId, page: Page<MessageId>) -> Rows<Message, MessageId>;
    /// The body of a message; `None` once erased.
    message_body(tenant: &TenantId, id: MessageId) -> Option<Bytes>;
    /// A delivery.
    delivery(tenant: &TenantId, id: DeliveryId) -> Option<DeliveryRow>;
    /// A tenant's deliveries, the newest first.
    deliveries(tenant: &TenantId, filter: &DeliveryFilter, page: Page<DeliveryId>)
        -> Rows<DeliveryRow, DeliveryId>;
    /// An attempt.
    attempt(tenant: &TenantId, id: AttemptId) -> Option<LoggedAttempt>;
    /// A tenant's attempts, the newest first.
    attempts(tenant: &TenantId, filter: &AttemptFilter, page: Page<AttemptId>)
        -> Rows<LoggedAttempt, AttemptId>;
    /// A recovery.
    recovery(tenant: &TenantId, id: RecoveryId) -> Option<RecoveryRow>;
    /// The recoveries of a webhook, the newest first.
    recoveries(tenant: &TenantId, webhook: WebhookId, page: Page<RecoveryId>)
        -> Rows<RecoveryRow, RecoveryId>;
    /// The recoveries that are not over, of one tenant or of all of them.
    running_recoveries(tenant: Option<&TenantId>) -> Vec<RecoveryRow>;
    /// The deliveries of a webhook, tests aside, from the first id on and before the second, in
    /// the order of their ids, at most `limit`.
    recoverable(tenant: &TenantId, webhook: WebhookId, selection: Selection,
        span: (DeliveryId, DeliveryId), limit: u32) -> Vec<DeliveryId>;
    /// The tenants that have a customer of Stripe's, at most two: there should be one.
    tenants_of_customer(customer: &str) -> Vec<TenantId>;
    /// A tenant's subscriptions, the one that was made last first.
    subscriptions(tenant: &TenantId, limit: u32) -> Vec<SubscriptionRow>;
    /// A tenant's invoices, likewise.
    invoices(tenant: &TenantId, limit: u32) -> Vec<InvoiceRow>;
    /// Callbacks of Stripe's of which nobody knows whose they are, the newest first.
    unassigned(page: Page<UnassignedPlace>) -> Rows<UnassignedRow, UnassignedPlace>;
    /// Those of a customer, the oldest first, at most `limit`.
    unassigned_of_customer(customer: &StripeId, limit: u32) -> Vec<UnassignedRow>;
    /// Those that need not wait, likewise: one tenant has their customer, or they have had their effect.
    settleable(limit: u32) -> Vec<UnassignedRow>;
    /// Whether a write would work now.
    check_writable() -> ();
}

impl Views {
    pub(super) fn new(engine: Arc<dyn Engine>, turns: Arc<Turns>) -> Self {
        Self { engine, turns }
    }

    /// The first webhook after `after`, in the order of tenants and webhooks, that has something to be
    /// sent.
    pub async fn next_waiting(
        &self,
        after: Option<(&TenantId, WebhookId)>,
    ) -> Result<Option<Waiting>, Error> {
        self.engine.next_waiting(after).await
    }

    /// The secrets of all webhooks that are not deleted, whoever's they are: those after `after` in
    /// the order of tenants and webhooks, at most `limit`. There are none only at the end.
    pub async fn webhook_secrets(
        &self,
        after: Option<(&TenantId, WebhookId)>,
        limit: u32,
    ) -> Result<Vec<WebhookSecrets>, Error> {
        self.engine.webhook_secrets(after, limit).await
    }

    /// The webhooks of one tenant that have something to be sent.
    pub async fn waiting_of(&self, tenant: &TenantId) -> Result<Vec<Waiting>, Error> {
        let mut found = Vec::new();
        let mut after = WebhookId::default();
        while let Some(waiting) = self.engine.next_waiting(Some((tenant, after))).await? {
            if waiting.tenant_id != *tenant {
                break;
            }
            after = waiting.webhook_id;
            found.push(waiting);
        }
        Ok(found)
    }
}
