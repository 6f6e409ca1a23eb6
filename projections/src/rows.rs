//! The rows of the views.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hookledger_domain::{
    billing::{Invoice, Subscription},
    callback::Reason,
    delivery::{
        Status,
        attempt::{Failure, Trigger},
    },
    ids::{AttemptId, DeliveryId, MessageId, RecoveryId, TokenId, WebhookId},
    message::{IdempotencyKey, Skipped},
    permission::Role,
    recovery::{Selection, State},
    stripe::StripeId,
    tenant::TenantId,
    topic::Topic,
    webhook::{Config, DisableReason, PreviousSecret, SealedSecret},
};
use serde::{Deserialize, Serialize};

use crate::query::UnassignedPlace;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRow {
    /// Its id.
    pub id: TenantId,
    /// Its name, for people.
    pub name: String,
    /// Its customer id at Stripe.
    pub stripe_customer_id: Option<String>,
    /// Publishing is refused and nothing is sent.
    pub is_suspended: bool,
    /// How often what decides about its publishing has changed: its webhooks, its suspension.
    pub generation: u64,
}

/// A live API token; a revoked one has no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its id.
    pub id: TokenId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Its name, for people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// SHA-256 of the whole token, lower-case hexadecimal.
    pub token_sha256: String,
    /// From when on it is refused.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A custom topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRow {
    /// Its name.
    pub name: Topic,
    /// What it is about, for people.
    pub description: String,
    /// The text of the JSON Schema that the data of its messages must meet.
    pub schema: Option<String>,
}

/// A webhook; a deleted one keeps its row, so that its logs stay reachable.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookRow {
    /// Its id.
    pub id: WebhookId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Its configuration.
    pub config: Config,
    /// Deliveries are sent.
    pub is_active: bool,
    /// Why Hookledger itself disabled it, until it is activated again.
    pub disabled_reason: Option<DisableReason>,
    /// Since when all its attempts have failed: the start of the first that failed after the last
    /// success or since it was activated.
    pub failing_since: Option<DateTime<Utc>>,
    /// Its secrets, sealed.
    pub secrets: Secrets,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// The sequence of its last event.
    pub version: u64,
    /// It is gone.
    pub is_deleted: bool,
}

/// The secrets of a webhook, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// What it signs with.
    pub current: SealedSecret,
    /// Older ones with their ends, the newest first; some may be over.
    pub previous: Vec<PreviousSecret>,
}

/// A message. Its body lies in `bodies`, its deliveries are rows of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// Its id.
    pub id: MessageId,
    /// Whose webhooks get it.
    pub tenant_id: TenantId,
    /// What it is about.
    pub topic: Topic,
    /// When what it tells happened.
    pub timestamp: DateTime<Utc>,
    /// When it was accepted.
    pub accepted_at: DateTime<Utc>,
    /// What it is kept in order by.
    pub ordering_key: Option<String>,
    /// Size of the body.
    pub body_bytes: u64,
    /// SHA-256 of the body, lower-case hexadecimal.
    pub body_sha256: String,
    /// What a repetition is recognised by.
    pub idempotency: Option<IdempotencyKey>,
    /// How many webhooks get it.
    pub deliveries: u32,
    /// The webhooks that do not get it.
    pub not_delivered: Vec<Skipped>,
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its id.
    pub id: DeliveryId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// What is sent.
    pub message_id: MessageId,
    /// To which webhook.
    pub webhook_id: WebhookId,
    /// What the message is about.
    pub topic: Topic,
    /// What made it.
    pub trigger: Trigger,
    /// What it is kept in order by at a webhook that wants order: the message's ordering key, empty
    /// without one; a test has no place in any order.
    pub queue: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// How many attempts were made.
    pub attempts: u32,
    /// When it was scheduled.
    pub created_at: DateTime<Utc>,
    /// When the next attempt is due: while it is pending, and when one was asked for by hand.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// The status of the last answer, if the last attempt had one.
    pub last_response_status: Option<u16>,
    /// Why the last attempt failed.
    pub last_error: Option<Failure>,
}

/// An attempt. Its response's body lies in `bodies`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// Its id.
    pub id: AttemptId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Of which delivery.
    pub delivery_id: DeliveryId,
    /// What was sent.
    pub message_id: MessageId,
    /// To which webhook.
    pub webhook_id: WebhookId,
    /// With which version of its configuration.
    pub webhook_version: u64,
    /// What the message is about.
    pub topic: Topic,
    /// 1 for the delivery's first.
    pub number: u32,
    /// What made it happen.
    pub trigger: Trigger,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration_ms: u64,
    /// The URL that was called.
    pub url: String,
    /// The answer's head.
    pub response: Option<ResponseRow>,
    /// Why it failed; `None` is a success.
    pub error: Option<Failure>,
}

/// The head of a receiver's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseRow {
    /// The HTTP status code.
    pub status: u16,
    /// Lower-case names.
    pub headers: BTreeMap<String, String>,
    /// Size of the body that was kept, also after it was erased.
    pub body_bytes: u64,
    /// More came than is kept, or the body did not end in time.
    pub body_truncated: bool,
}

/// A recovery: deliveries of a stretch of time that are sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryRow {
    /// Its id; its time is when it was asked for.
    pub id: RecoveryId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Of which webhook.
    pub webhook_id: WebhookId,
    /// Deliveries that were scheduled at this moment or later.
    pub from: DateTime<Utc>,
    /// And before this one.
    pub to: DateTime<Utc>,
    /// Which of them.
    pub selection: Selection,
    /// Where it stands.
    pub state: State,
    /// How many deliveries there were when it started.
    pub matched: u64,
    /// How many of them were asked for so far.
    pub requested: u64,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
}

/// A subscription of a tenant, as Stripe has shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The subscription.
    pub subscription: Subscription,
}

/// An invoice of a tenant, likewise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceRow {
    /// Who is to pay.
    pub tenant_id: TenantId,
    /// The invoice.
    pub invoice: Invoice,
}

/// A callback of Stripe's of which nobody knows whose it is; one that was assigned has no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnassignedRow {
    /// Its id at Stripe.
    pub id: StripeId,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// Why nobody knows.
    pub reason: Reason,
    /// What happened, in Stripe's words.
    pub kind: String,
    /// When it happened.
    pub created_at: DateTime<Utc>,
    /// It is about money, not about a test; `None`: it does not say.
    pub livemode: Option<bool>,
    /// The customer whom it is about.
    pub customer_id: Option<StripeId>,
    /// The tenant that its metadata names.
    pub metadata_tenant: Option<String>,
    /// The tenant that it gives as `client_reference_id`.
    pub client_reference: Option<TenantId>,
}

impl UnassignedRow {
    /// Its place in the list.
    #[must_use]
    pub fn place(&self) -> UnassignedPlace {
        UnassignedPlace {
            received_at: self.received_at,
            id: self.id.clone(),
        }
    }
}
