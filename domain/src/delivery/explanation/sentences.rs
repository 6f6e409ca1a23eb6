//! What is said of the steps, in words.

use chrono::{DateTime, Utc};

use super::WaitReason;
use crate::{
    actor::Actor,
    clock::rfc3339,
    delivery::{
        CancelReason,
        attempt::{Attempt, Trigger},
    },
};

/// The rest of a sentence about how it was made, which begins with who did it.
pub(super) fn made(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Test => "asked for a test of the webhook; the delivery was scheduled",
        _ => "published the message; the delivery was scheduled",
    }
}

/// What came of an attempt.
pub(super) fn outcome(attempt: &Attempt) -> String {
    let (number, duration_ms) = (attempt.number, attempt.duration_ms);
    if attempt.failure.is_some() {
        let failure = failure(attempt);
        return format!("Attempt {number} failed after {duration_ms} ms: {failure}");
    }
    let answer = match &attempt.response {
        Some(response) => format!(": the receiver answered {}", response.status),
        None => String::new(),
    };
    format!("Attempt {number} succeeded after {duration_ms} ms{answer}")
}

/// Why a delivery has succeeded.
pub(super) fn taken(attempt: &Attempt) -> String {
    let number = attempt.number;
    match &attempt.response {
        Some(response) => format!(
            "attempt {number} succeeded: the receiver answered {}",
            response.status
        ),
        None => format!("attempt {number} succeeded"),
    }
}

/// Why an attempt failed.
pub(super) fn failure(attempt: &Attempt) -> &str {
    let failure = attempt.failure.as_ref();
    failure.map_or("", |failure| &failure.message)
}

/// Who called something off, and why.
pub(super) fn called_off(actor: &Actor, what: &str, reason: CancelReason) -> String {
    let why = match reason {
        CancelReason::WebhookDeleted => ": the webhook was deleted",
        CancelReason::Requested => "",
    };
    format!("{} {what}{why}", actor.called())
}

/// What held it back until then; `None`: what still does.
pub(super) fn held_back(until: Option<DateTime<Utc>>, reason: WaitReason) -> String {
    let Some(until) = until else {
        let why = match reason {
            WaitReason::Inactive => "the webhook is switched off",
            WaitReason::Suspended => "the tenant is suspended",
            _ => return "It is due: it waits for its turn, or an attempt is under way".to_owned(),
        };
        return format!("It is due and waits: {why}");
    };
    let why = match reason {
        WaitReason::Inactive => "the webhook was switched off",
        WaitReason::Suspended => "the tenant was suspended",
        _ => "it was not its turn",
    };
    format!("It waited until {}: {why}", rfc3339(until))
}
