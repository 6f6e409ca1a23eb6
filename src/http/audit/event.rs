//! One event, without what is secret in it.

use hookledger_domain::{
    actor::{Actor, Origin},
    clock::rfc3339,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    http::openapi::Time,
    store::{Error, StoredEvent},
};

/// An event of the ledger.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(in crate::http) struct EventView {
    /// Its place in the ledger; rises in the order of appending.
    #[schema(minimum = 1)]
    position: u64,
    /// The kind of its aggregate.
    #[schema(example = "webhook")]
    aggregate_type: String,
    /// The id of its aggregate.
    aggregate_id: String,
    /// Its number within its aggregate.
    #[schema(minimum = 1)]
    sequence: u64,
    /// What happened, in one word.
    #[schema(example = "changed")]
    event_type: String,
    /// The version of the payload's shape.
    #[schema(example = "1")]
    event_version: String,
    /// When it was appended.
    #[schema(value_type = Time)]
    recorded_at: String,
    /// Who acted.
    actor: ActorView,
    /// The id of the HTTP request that led to it, if one did.
    #[schema(required = true)]
    request_id: Option<String>,
    /// What happened, as it was written; `[hidden]` stands for what is secret.
    payload: Value,
    /// What chains it to the events before it, hexadecimal.
    #[schema(
        pattern = "^[0-9a-f]{64}$",
        example = "0d103094993a21ddc14d820354fa39ed3e5d018bd93b3fa85a0f7c52371f3f1e"
    )]
    hash: String,
}

/// Somebody who acted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Actor)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ActorView {
    /// `platform`: somebody with the platform token; `token`: an API token; `user`: a user of the
    /// platform's identity provider; `system`: Hookledger itself, by one of its rules; `stripe`: its
    /// callbacks.
    #[schema(pattern = "^(platform|token|user|system|stripe)$", example = "token")]
    kind: &'static str,
    /// The token's id, the user's id, or the rule's name.
    id: String,
    /// For people: the token's or the user's name.
    name: String,
}

impl From<&Actor> for ActorView {
    fn from(actor: &Actor) -> Self {
        Self {
            kind: actor.kind.as_str(),
            id: actor.id.to_string(),
            name: actor.name.to_string(),
        }
    }
}

impl EventView {
    /// Shows an event with its origin, which was read from it.
    ///
    /// Fails if its payload is no JSON.
    pub(in crate::http) fn new(event: StoredEvent, origin: &Origin) -> Result<Self, Error> {
        Ok(Self {
            payload: event.shown_payload()?,
            position: event.position,
            aggregate_type: event.aggregate_type,
            aggregate_id: event.aggregate_id,
            sequence: event.sequence,
            event_type: event.event_type,
            event_version: event.event_version,
            recorded_at: rfc3339(event.recorded_at),
            actor: ActorView::from(&origin.actor),
            request_id: origin.request_id.as_deref().map(str::to_owned),
            hash: event.hash.to_string(),
        })
    }
}
