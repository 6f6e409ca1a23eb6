//! When a failed delivery is tried again.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

/// The waits after each failed attempt, spread by jitter so that the deliveries that failed
/// together do not come back together.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    waits: Arc<[Duration]>,
    jitter: f64,
}

impl Schedule {
    /// The most waits that a schedule may have.
    pub const WAITS_MAX: usize = 50;
    /// The longest single wait: 7 days, in seconds.
    pub const WAIT_SECONDS_MAX: u64 = 7 * 24 * 3600;

    /// A schedule of these waits; `jitter` from 0 (none) to 1 (from nothing to the double) is
    /// clamped to that.
    pub fn new(waits: impl Into<Arc<[Duration]>>, jitter: f64) -> Self {
        Self {
            waits: waits.into(),
            jitter: if jitter.is_nan() {
                0.0
            } else {
                jitter.clamp(0.0, 1.0)
            },
        }
    }

    /// The same jitter over other waits.
    #[must_use]
    pub fn with_waits(&self, waits: impl Into<Arc<[Duration]>>) -> Self {
        Self {
            waits: waits.into(),
            jitter: self.jitter,
        }
    }

    /// A schedule that never tries again.
    pub fn never() -> Self {
        Self::new(Vec::new(), 0.0)
    }

    /// When to try again after `attempts` attempts of which the last ended at `ended_at`; `None`
    /// if they were all. `random` from 0 to 1 picks the place within the jitter.
    pub fn next(
        &self,
        attempts: u32,
        ended_at: DateTime<Utc>,
        random: f64,
    ) -> Option<DateTime<Utc>> {
        let index = usize::try_from(attempts.checked_sub(1)?).ok()?;
        let wait = *self.waits.get(index)?;
        let factor = 1.0 - self.jitter + 2.0 * self.jitter * random.clamp(0.0, 1.0);
        let millis = (wait.as_secs_f64() * factor * 1000.0).round();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "bounded by WAIT_SECONDS_MAX"
        )]
        let wait = chrono::Duration::milliseconds(millis as i64);
        ended_at.checked_add_signed(wait)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_stay_within_the_jitter(
            waits in prop::collection::vec(0u64..Schedule::WAIT_SECONDS_MAX, 0..10),
            jitter in 0.0f64..=1.0,
            random in 0.0f64..=1.0,
            attempts in 0u32..12,
        ) {
            let ended_at = Utc.timestamp_millis_opt(1_800_000_000_000).unwrap();
            let durations: Vec<_> = waits.iter().map(|s| Duration::from_secs(*s)).collect();
            let next = Schedule::new(durations, jitter).next(attempts, ended_at, random);
            let expected = attempts.checked_sub(1).and_then(|i| waits.get(i as usize));
            prop_assert_eq!(next.is_some(), expected.is_some());
            if let (Some(next), Some(wait)) = (next, expected) {
                let waited = (next - ended_at).num_milliseconds() as f64;
                let planned = *wait as f64 * 1000.0;
                prop_assert!(waited >= planned * (1.0 - jitter) - 1.0);
                prop_assert!(waited <= planned * (1.0 + jitter) + 1.0);
            }
        }
    }

    #[test]
    fn an_empty_schedule_never_tries_again() {
        assert_eq!(Schedule::never().next(1, Utc::now(), 0.5), None);
    }
}
