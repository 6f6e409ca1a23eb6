use chrono::{DateTime, Utc};

use super::{
    CancelReason, Scheduled, Status,
    attempt::{Attempt, Trigger},
};
use crate::{ids::AttemptId, retry::Schedule};

/// What may be asked of a delivery.
#[derive(Debug, Clone)]
pub enum Command {
    /// Plan it.
    Schedule(Scheduled),
    /// Take note of an attempt that was made.
    RecordAttempt {
        /// The attempt.
        attempt: Attempt,
        /// When to try again if it failed.
        schedule: Schedule,
        /// From 0 to 1: the place within the schedule's jitter.
        random: f64,
    },
    /// Try once more, now, whatever became of it so far. While such an attempt is still to be
    /// made, asking again changes nothing.
    RequestAttempt {
        /// In which way it is asked for: redeliver or recover.
        trigger: Trigger,
        /// The present moment.
        now: DateTime<Utc>,
        /// Do nothing if it was asked for at this moment or later already.
        unless_since: Option<DateTime<Utc>>,
    },
    /// Call it off, and what was asked for by hand with it.
    Cancel {
        /// Why.
        reason: CancelReason,
    },
    /// Erase the body of what came back, whatever became of the delivery. Once that is done,
    /// asking again changes nothing.
    EraseResponseBody {
        /// Which of its attempts.
        attempt_id: AttemptId,
    },
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The id is taken.
    #[error("a delivery with this id was scheduled already")]
    AlreadyScheduled,
    /// There is no such delivery.
    #[error("no such delivery")]
    NotFound,
    /// It is over.
    #[error("the delivery is {} already", status.as_str())]
    Ended {
        /// How it ended.
        status: Status,
    },
    /// Another attempt was recorded in between.
    #[error("attempt {expected} is the next one")]
    WrongAttempt {
        /// The number that the next attempt has.
        expected: u32,
    },
}
