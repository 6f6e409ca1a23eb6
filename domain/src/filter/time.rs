//! Times and durations in CEL's way of writing.

use chrono::{DateTime, Datelike, SecondsFormat, TimeDelta, Utc};

/// CEL's times lie in the years that RFC 3339 can write.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;
/// CEL's durations are at most about as long as all those years.
const SECONDS_MAX: i128 = 315_576_000_000;
const NANOS: i128 = 1_000_000_000;

/// Reads `2026-03-24T23:11:25Z`.
pub(super) fn read_timestamp(text: &str) -> Option<DateTime<Utc>> {
    in_years(DateTime::parse_from_rfc3339(text).ok()?.to_utc())
}

/// The moment so many seconds after 1970 began.
pub(super) fn timestamp_of_seconds(seconds: i64) -> Option<DateTime<Utc>> {
    in_years(DateTime::from_timestamp(seconds, 0)?)
}

/// Adds a duration to a moment.
pub(super) fn add(timestamp: DateTime<Utc>, duration: TimeDelta) -> Option<DateTime<Utc>> {
    in_years(timestamp.checked_add_signed(duration)?)
}

fn in_years(timestamp: DateTime<Utc>) -> Option<DateTime<Utc>> {
    YEARS.contains(&timestamp.year()).then_some(timestamp)
}

/// Writes a moment as it can be read.
pub(super) fn write_timestamp(timestamp: DateTime<Utc>) -> String {
    timestamp.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Reads `1h30m`, `-1.5s`, `100ms`.
pub(super) fn read_duration(text: &str) -> Option<TimeDelta> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    if rest == "0" {
        return Some(TimeDelta::zero());
    }
    let mut nanos: i128 = 0;
    loop {
        let (part, after) = read_part(rest)?;
        nanos = nanos.checked_add(part)?;
        if after.is_empty() {
            return of_nanos(sign * nanos);
        }
        rest = after;
    }
}

/// One number with its unit, in nanoseconds, and what comes after it.
fn read_part(text: &str) -> Option<(i128, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let units: [(&str, i128); 6] = [
        ("ns", 1),
        ("us", 1000),
        ("ms", 1_000_000),
        ("h", 3600 * NANOS),
        ("m", 60 * NANOS),
        ("s", NANOS),
    ];
    let (nanos, rest) = units
        .iter()
        .find_map(|(unit, nanos)| Some((*nanos, rest.strip_prefix(unit)?)))?;
    let mut total = 0;
    if !whole.is_empty() {
        total = whole.parse::<u64>().ok()?.into();
        total *= nanos;
    }
    // Digits below the nanosecond are dropped.
    let mut place = nanos;
    for digit in fraction.bytes() {
        place /= 10;
        total += i128::from(digit - b'0') * place;
    }
    Some((total, rest))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

fn of_nanos(nanos: i128) -> Option<TimeDelta> {
    if nanos.abs() > SECONDS_MAX * NANOS {
        return None;
    }
    let seconds = i64::try_from(nanos.div_euclid(NANOS)).ok()?;
    let rest = u32::try_from(nanos.rem_euclid(NANOS)).ok()?;
    TimeDelta::new(seconds, rest)
}

/// A sum or difference of durations.
pub(super) fn sum(a: TimeDelta, b: TimeDelta) -> Option<TimeDelta> {
    of_nanos(nanos(a) + nanos(b))
}

/// A duration in nanoseconds.
pub(super) fn nanos(duration: TimeDelta) -> i128 {
    i128::from(duration.num_seconds()) * NANOS + i128::from(duration.subsec_nanos())
}

/// Writes a duration in seconds: `5400s`, `-1.5s`.
pub(super) fn write_duration(duration: TimeDelta) -> String {
    let nanos = nanos(duration);
    let sign = if nanos < 0 { "-" } else { "" };
    let (seconds, rest) = (nanos.abs() / NANOS, nanos.abs() % NANOS);
    if rest == 0 {
        return format!("{sign}{seconds}s");
    }
    let fraction = format!("{rest:09}");
    format!("{sign}{seconds}.{}s", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, written) in [
            ("1h30m", "5400s"),
            ("1.5h", "5400s"),
            ("-1.5s", "-1.5s"),
            ("100ms", "0.1s"),
            ("1us", "0.000001s"),
            ("1.5ns", "0.000000001s"),
            ("0", "0s"),
            ("-0", "0s"),
            (".5s", "0.5s"),
            ("1m1m", "120s"),
            ("315576000000s", "315576000000s"),
        ] {
            let read = read_duration(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(write_duration(read), written, "{text}");
        }
        for text in [
            "",
            "-",
            "1",
            "s",
            "1x",
            "1h ",
            "h1",
            "1.h.",
            "--1s",
            "1d",
            ".s",
            "315576000001s",
            "99999999999999999999999999s",
        ] {
            assert_eq!(read_duration(text), None, "{text}");
        }
    }

    #[test]
    fn moments_are_read_and_written() {
        for (text, written) in [
            ("2026-03-24T23:11:25Z", "2026-03-24T23:11:25Z"),
            ("2026-03-24T23:11:25.5+01:00", "2026-03-24T22:11:25.500Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ] {
            let read = read_timestamp(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(write_timestamp(read), written, "{text}");
        }
        for text in [
            "",
            "2026-03-24",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59-01:00",
        ] {
            assert_eq!(read_timestamp(text), None, "{text}");
        }
        assert_eq!(timestamp_of_seconds(i64::MAX), None);
        let first = timestamp_of_seconds(0).unwrap();
        assert_eq!(add(first, TimeDelta::MAX), None);
    }
}
