//! One HTTP try of a delivery and what it gave.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{AttemptId, MessageId, WebhookId},
    topic::Topic,
};

/// What one HTTP try gave. A receiver's 500 is an outcome, no error of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// From the start of the try (before DNS) to its end.
    pub duration_ms: u64,
    /// The answer, if its head arrived, also when its body did not end.
    pub response: Option<Response>,
    /// Why the try failed; `None` is a success.
    pub failure: Option<Failure>,
}

/// A receiver's answer, already capped and made storable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status code.
    pub status: u16,
    /// Lower-case names; values of a repeated header are joined with `, `.
    pub headers: BTreeMap<String, String>,
    /// Lossy UTF-8 without NUL, at most [`Response::BODY_BYTES_MAX`].
    pub body: String,
    /// The body was longer than what is kept, or did not end in time.
    pub body_truncated: bool,
}

impl Response {
    /// How many bytes of a response's body are kept.
    pub const BODY_BYTES_MAX: usize = 16 * 1024;
    /// How many bytes of names and values of a response's headers are kept.
    pub const HEADER_BYTES_MAX: usize = 8 * 1024;
}

/// Why a try failed, in words that may be shown to the tenant: never a URL's query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stable code.
    pub code: FailureCode,
    /// One sentence for people.
    pub message: String,
}

/// The stable codes of failed tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The deadline passed before the answer's head was there.
    Timeout,
    /// The name did not resolve.
    Dns,
    /// No connection could be made.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The URL or the resolved or connected address may not be reached.
    RefusedTarget,
    /// The connection ended before the answer's head was there.
    ConnectionClosed,
    /// What came back is no HTTP answer that can be read.
    InvalidResponse,
    /// The answer's status is no 2xx.
    HttpStatus,
}

impl FailureCode {
    /// All codes.
    pub const ALL: [Self; 8] = [
        Self::Timeout,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::RefusedTarget,
        Self::ConnectionClosed,
        Self::InvalidResponse,
        Self::HttpStatus,
    ];

    /// The code as it stands on the wire and in views.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::RefusedTarget => "refused_target",
            Self::ConnectionClosed => "connection_closed",
            Self::InvalidResponse => "invalid_response",
            Self::HttpStatus => "http_status",
        }
    }
}

impl FailureCode {
    /// Whether nobody answered at all: what opens a webhook's circuit.
    pub fn is_unreachable(self) -> bool {
        match self {
            Self::Timeout | Self::Dns | Self::Connect | Self::Tls | Self::ConnectionClosed => true,
            Self::RefusedTarget | Self::InvalidResponse | Self::HttpStatus => false,
        }
    }
}

/// What made a try happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The message was published.
    #[default]
    Publish,
    /// An earlier try failed.
    Retry,
    /// Somebody asked for this delivery again.
    Redeliver,
    /// Somebody asked for all deliveries of a time range again.
    Recover,
    /// Somebody tests the webhook.
    Test,
}

impl Trigger {
    /// Whether somebody asked for this try by hand, so that it is none of the schedule's.
    pub fn is_by_hand(self) -> bool {
        matches!(self, Self::Redeliver | Self::Recover)
    }

    /// The word on the wire and in views.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Retry => "retry",
            Self::Redeliver => "redeliver",
            Self::Recover => "recover",
            Self::Test => "test",
        }
    }
}

/// A try as it stands in the ledger. The response's body lies beside the events, under the
/// attempt's id; here are its size and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The attempt's own id; its time is when the try started.
    pub id: AttemptId,
    /// 1 for the delivery's first try.
    pub number: u32,
    /// What was sent.
    pub message_id: MessageId,
    /// To which webhook.
    pub webhook_id: WebhookId,
    /// What the message is about.
    pub topic: Topic,
    /// The version of the webhook's configuration that was used.
    pub webhook_version: u64,
    /// What made it happen.
    pub trigger: Trigger,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration_ms: u64,
    /// The URL that was called.
    pub url: String,
    /// The answer's head, if one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseHead>,
    /// Why it failed; `None` is a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl Attempt {
    /// When it ended.
    pub fn ended_at(&self) -> DateTime<Utc> {
        let duration = i64::try_from(self.duration_ms).unwrap_or(i64::MAX / 2);
        self.started_at + chrono::Duration::milliseconds(duration)
    }
}

/// A response without its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHead {
    /// The HTTP status code.
    pub status: u16,
    /// Lower-case names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Size of the body that is kept, in bytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub body_bytes: u64,
    /// SHA-256 of the body that is kept, lower-case hexadecimal; empty for an empty body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body_sha256: String,
    /// More came than is kept, or the body did not end in time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub body_truncated: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
