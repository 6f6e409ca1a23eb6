use serde::{Deserialize, Serialize};

use super::Accepted;

/// What happened to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It was taken, for good. Its body lies beside the events, under the message's id.
    Accepted(Accepted),
    /// Somebody had its body erased. What it was, its size and its digest stay known.
    BodyErased,
}

/// What a publisher gave so that a repetition is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyKey {
    /// The key; unique within the tenant.
    pub key: String,
    /// SHA-256 of what was published with it, lower-case hexadecimal.
    pub content_sha256: String,
}

impl cqrs_es::DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Accepted(_) => "accepted",
            Self::BodyErased => "body_erased",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
