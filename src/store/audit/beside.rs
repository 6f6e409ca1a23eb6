//! Which body lies beside an event: what the event tells of it.

use serde::Deserialize;

use crate::store::chain::Content;

#[derive(Deserialize)]
struct Accepted {
    accepted: Digest,
}

#[derive(Deserialize)]
struct Tried {
    attempt: Attempt,
}

#[derive(Deserialize)]
struct Attempt {
    response: Digest,
}

#[derive(Deserialize)]
struct Digest {
    body_sha256: String,
}

/// SHA-256 of the body that an event tells of, lower-case hexadecimal; `None` if it tells of none.
pub(super) fn sha256(event: &Content<'_>) -> Option<String> {
    match event.aggregate_type {
        b"message" => {
            let payload: Accepted = serde_json::from_slice(event.payload).ok()?;
            Some(payload.accepted.body_sha256)
        }
        b"delivery" => {
            let payload: std::collections::HashMap<String, Tried> =
                serde_json::from_slice(event.payload).ok()?;
            let tried = payload.into_values().next()?;
            Some(tried.attempt.response.body_sha256)
        }
        _ => None,
    }
}
