use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::attempt::{Attempt, Trigger};
use crate::{
    ids::{AttemptId, MessageId, WebhookId},
    tenant::TenantId,
    topic::Topic,
};

/// What happened to a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It was planned.
    Scheduled(Scheduled),
    /// An attempt failed and another will follow.
    AttemptFailed {
        /// The attempt.
        attempt: Attempt,
        /// When the next one is due.
        next_attempt_at: DateTime<Utc>,
    },
    /// The receiver took it.
    Succeeded {
        /// The attempt that succeeded.
        attempt: Attempt,
    },
    /// An attempt failed and was the last one.
    Exhausted {
        /// The last attempt.
        attempt: Attempt,
    },
    /// It was called off.
    Cancelled {
        /// Why.
        reason: CancelReason,
    },
    /// Somebody asked for one more attempt, whatever became of it so far. Also when one of the
    /// schedule, which was under way at the time, has failed since: what was asked for still holds.
    AttemptRequested {
        /// In which way they asked.
        trigger: Trigger,
        /// When; it is due from then on.
        at: DateTime<Utc>,
    },
    /// An attempt failed that counts for nothing: it was asked for by hand, or the delivery had
    /// ended meanwhile. Where the delivery stands and when it is tried next stays as it was.
    ExtraAttemptFailed {
        /// The attempt.
        attempt: Attempt,
        /// When the next one is due, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_attempt_at: Option<DateTime<Utc>>,
    },
    /// An attempt that was asked for after the delivery had ended is not wanted any more.
    RequestWithdrawn {
        /// Why.
        reason: CancelReason,
    },
    /// Somebody had the body of what came back erased. Its size and its digest stay known.
    ResponseBodyErased {
        /// Of which attempt.
        attempt_id: AttemptId,
    },
}

/// What a delivery is to do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scheduled {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// What is to be sent.
    pub message_id: MessageId,
    /// To which webhook.
    pub webhook_id: WebhookId,
    /// What the message is about.
    pub topic: Topic,
    /// What made it.
    pub trigger: Trigger,
    /// When its first attempt is due.
    pub due_at: DateTime<Utc>,
    /// What it is kept in order by, at a webhook that wants order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordering_key: Option<String>,
}

impl Scheduled {
    /// What it is kept in order by, at a webhook that wants order: its ordering key, empty without
    /// one. A test has no place in any order.
    pub fn queue(&self) -> Option<&str> {
        let is_test = self.trigger == Trigger::Test;
        (!is_test).then(|| self.ordering_key.as_deref().unwrap_or_default())
    }
}

/// Why a delivery was called off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// Its webhook was deleted.
    WebhookDeleted,
    /// Somebody asked for that.
    Requested,
}

impl CancelReason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebhookDeleted => "webhook_deleted",
            Self::Requested => "requested",
        }
    }
}

impl cqrs_es::DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Scheduled(_) => "scheduled",
            Self::AttemptFailed { .. } => "attempt_failed",
            Self::Succeeded { .. } => "succeeded",
            Self::Exhausted { .. } => "exhausted",
            Self::Cancelled { .. } => "cancelled",
            Self::AttemptRequested { .. } => "attempt_requested",
            Self::ExtraAttemptFailed { .. } => "extra_attempt_failed",
            Self::RequestWithdrawn { .. } => "request_withdrawn",
            Self::ResponseBodyErased { .. } => "response_body_erased",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        match self {
            // 2 since `trigger` is in it; `upcast` knows the older one.
            Self::Scheduled(_) => "2",
            _ => "1",
        }
        .to_owned()
    }
}
