//! When a failed delivery is tried again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

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

/// The longest wait that a receiver may ask for.
pub const RETRY_AFTER_MAX: chrono::Duration = chrono::Duration::hours(24);

/// Until when a receiver asks to be left alone: `Retry-After` of a 429 or 503 (RFC 9110, section
/// 10.2.3), in seconds from `ended_at` or as a date, at most [`RETRY_AFTER_MAX`] ahead. What is
/// neither, or of another status, is ignored. `headers` have lower-case names.
pub fn retry_after(
    status: u16,
    headers: &BTreeMap<String, String>,
    ended_at: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    if !matches!(status, 429 | 503) {
        return None;
    }
    let text = headers.get("retry-after")?.trim();
    let latest = ended_at.checked_add_signed(RETRY_AFTER_MAX)?;
    let is_seconds = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_seconds {
        // More than fits is more than the most.
        let seconds = text.parse::<i64>().unwrap_or(i64::MAX);
        let wait = chrono::Duration::seconds(seconds.min(RETRY_AFTER_MAX.num_seconds()));
        return ended_at.checked_add_signed(wait);
    }
    let date: DateTime<Utc> = httpdate::parse_http_date(text).ok()?.into();
    Some(date.min(latest))
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

    fn asked(status: u16, text: &str) -> Option<i64> {
        let headers = BTreeMap::from([("retry-after".to_owned(), text.to_owned())]);
        let ended_at = Utc.timestamp_opt(1_800_000_000, 0).unwrap();
        let until = retry_after(status, &headers, ended_at)?;
        Some((until - ended_at).num_seconds())
    }

    #[test]
    fn a_receiver_may_ask_for_time_in_seconds_or_until_a_date() {
        assert_eq!(asked(429, "120"), Some(120));
        assert_eq!(asked(503, " 0 "), Some(0));
        assert_eq!(asked(503, "Fri, 15 Jan 2027 08:01:00 GMT"), Some(60));
        assert_eq!(asked(503, "Friday, 15-Jan-27 08:01:00 GMT"), Some(60));
        assert_eq!(asked(503, "Fri, 15 Jan 2027 07:59:00 GMT"), Some(-60));
    }

    #[test]
    fn nobody_is_left_alone_for_more_than_a_day() {
        let day = Some(24 * 3600);
        for long in [
            "86401",
            "999999999999",
            "99999999999999999999999999",
            "Fri, 15 Jan 2038 08:00:00 GMT",
        ] {
            assert_eq!(asked(429, long), day, "{long}");
        }
    }

    #[test]
    fn nonsense_and_other_answers_ask_for_nothing() {
        for nonsense in [
            "",
            "soon",
            "-1",
            "1.5",
            "1 minute",
            "0x10",
            "2027-01-15T08:01:00Z",
        ] {
            assert_eq!(asked(503, nonsense), None, "{nonsense}");
        }
        assert_eq!(asked(500, "120"), None);
        assert_eq!(asked(200, "120"), None);
    }

    #[test]
    fn an_empty_schedule_never_tries_again() {
        assert_eq!(Schedule::never().next(1, Utc::now(), 0.5), None);
    }
}
