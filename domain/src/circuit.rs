//! Whether a webhook's receiver can be reached: after several attempts in a row that nobody answered,
//! its deliveries wait a little, and one of them at a time tries whether it is back.

use chrono::{DateTime, Duration, Utc};

use crate::delivery::attempt::FailureCode;

/// After so many attempts in a row that nobody answered the circuit opens.
pub const FAILURES_TO_OPEN: u32 = 5;
/// How long an open circuit waits for its first probe; twice as long after each that fails.
const WAIT_FIRST: Duration = Duration::seconds(1);
/// The longest wait between two probes: what comes due waits hardly longer than for a retry.
const WAIT_MAX: Duration = Duration::seconds(5);
/// How long it puts off what is due. What has waited for so long is sent all the same, so that every
/// delivery gets through its schedule and to its end.
pub const PUT_OFF_MAX: Duration = Duration::seconds(5);
/// So many attempts at most are under way at one time at a receiver that nobody can reach: each of them
/// may last until its time-out.
pub const OVERDUE_IN_FLIGHT_MAX: usize = 4;
/// More failures than so many make no difference.
const FAILURES_MAX: u32 = 8;

/// So many of a webhook's last attempts are enough to tell its circuit.
pub const ATTEMPTS_THAT_TELL: u32 = FAILURES_MAX;

/// A webhook's circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Circuit {
    failures: u32,
    failed_at: DateTime<Utc>,
}

/// What a circuit lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Everything.
    Closed,
    /// Nothing, for a short while, but what has been put off for long enough.
    Open,
    /// One attempt, to try whether the receiver is back; the others as while it is open.
    HalfOpen,
}

impl State {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Circuit {
    /// Takes note of an attempt that ended. An answer, whatever it says, closes the circuit; what
    /// was refused before it was sent says nothing.
    pub fn note(&mut self, failure: Option<FailureCode>, ended_at: DateTime<Utc>) {
        match failure {
            Some(FailureCode::RefusedTarget) => {}
            Some(code) if code.is_unreachable() => {
                self.failures = (self.failures + 1).min(FAILURES_MAX);
                self.failed_at = self.failed_at.max(ended_at);
            }
            _ => *self = Self::default(),
        }
    }

    /// The circuit that a log tells: attempts with their failures and ends, the newest first, at
    /// least [`ATTEMPTS_THAT_TELL`] if there are so many.
    pub fn of_log(
        attempts: impl DoubleEndedIterator<Item = (Option<FailureCode>, DateTime<Utc>)>,
    ) -> Self {
        let mut circuit = Self::default();
        for (failure, ended_at) in attempts.rev() {
            circuit.note(failure, ended_at);
        }
        circuit
    }

    /// What it lets through at `now`.
    pub fn state(&self, now: DateTime<Utc>) -> State {
        match self.probe_at() {
            None => State::Closed,
            Some(probe_at) if now < probe_at => State::Open,
            Some(_) => State::HalfOpen,
        }
    }

    /// From when on it lets one attempt through; `None` while it is closed.
    pub fn probe_at(&self) -> Option<DateTime<Utc>> {
        let beyond = self.failures.checked_sub(FAILURES_TO_OPEN)?;
        Some(self.failed_at + (WAIT_FIRST * (1 << beyond)).min(WAIT_MAX))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    const TIMEOUT: Option<FailureCode> = Some(FailureCode::Timeout);

    fn at(seconds: i64) -> DateTime<Utc> {
        Utc.timestamp_opt(1_800_000_000 + seconds, 0).unwrap()
    }

    fn after(failures: u32) -> Circuit {
        let mut circuit = Circuit::default();
        (0..failures).for_each(|_| circuit.note(TIMEOUT, at(0)));
        circuit
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_a_probe_through() {
        assert_eq!(after(FAILURES_TO_OPEN - 1).state(at(0)), State::Closed);
        let circuit = after(FAILURES_TO_OPEN);
        assert_eq!(circuit.state(at(0)), State::Open);
        assert_eq!(circuit.state(at(1)), State::HalfOpen);
    }

    #[test]
    fn it_waits_longer_after_each_probe_up_to_a_bound() {
        let waits: Vec<i64> = (FAILURES_TO_OPEN..FAILURES_TO_OPEN + 6)
            .map(|failures| (after(failures).probe_at().unwrap() - at(0)).num_seconds())
            .collect();
        assert_eq!(waits, [1, 2, 4, 5, 5, 5]);
    }

    #[test]
    fn any_answer_closes_it() {
        for answered in [
            None,
            Some(FailureCode::HttpStatus),
            Some(FailureCode::InvalidResponse),
        ] {
            let mut circuit = after(20);
            circuit.note(answered, at(1));
            assert_eq!(circuit, Circuit::default());
        }
    }

    #[test]
    fn what_was_not_sent_says_nothing() {
        let mut circuit = after(FAILURES_TO_OPEN);
        circuit.note(Some(FailureCode::RefusedTarget), at(1));
        assert_eq!(circuit, after(FAILURES_TO_OPEN));
    }

    proptest! {
        #[test]
        fn the_last_attempts_tell_it(
            reached in prop::collection::vec(prop::bool::weighted(0.2), 0..40),
        ) {
            let log: Vec<_> = reached
                .iter()
                .zip(0..)
                .map(|(reached, second)| ((!reached).then_some(FailureCode::Connect), at(second)))
                .collect();
            let mut lived = Circuit::default();
            for (failure, ended_at) in &log {
                lived.note(*failure, *ended_at);
            }
            let told = log.iter().rev().take(ATTEMPTS_THAT_TELL as usize).copied();
            prop_assert_eq!(Circuit::of_log(told.collect::<Vec<_>>().into_iter()), lived);
        }
    }
}
