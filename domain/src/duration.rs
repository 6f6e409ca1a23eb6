//! Durations as settings and parameters spell them: `500ms`, `10s`, `5m`, `2h`, `1d`.

use std::time::Duration;

/// The units with their length in milliseconds, longest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A text that is not a whole number followed by `ms`, `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration such as 500ms, 10s, 5m, 2h or 1d")]
pub struct InvalidDuration;

/// Reads one duration: a whole number with one unit, in whole milliseconds.
///
/// # Errors
/// The text has another shape, or is longer than 64 bits of milliseconds.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .ok_or(InvalidDuration)?;
    let (digits, unit) = text.split_at(unit_at);
    let count: u64 = digits.parse().map_err(|_| InvalidDuration)?;
    UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .and_then(|(_, unit_ms)| count.checked_mul(*unit_ms))
        .map(Duration::from_millis)
        .ok_or(InvalidDuration)
}

/// Writes a duration in the longest unit that divides it, so that [`parse`] reads it back.
/// What is shorter than a millisecond is dropped.
pub fn format(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    UNITS
        .iter()
        .find(|(_, unit_ms)| ms != 0 && ms.is_multiple_of(*unit_ms))
        .map_or_else(
            || "0s".to_owned(),
            |(name, unit_ms)| format!("{}{name}", ms / unit_ms),
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, ms) in [
            ("0s", 0),
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "1.5s",
            "5 s",
            " 5s",
            "5s ",
            "5w",
            "5S",
            "1h30m",
            "+5s",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert_eq!(parse(text), Err(InvalidDuration), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_written_duration_is_read_back(ms in any::<u64>()) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn a_duration_of_whole_units_is_written_in_them(count in 1u64..1000, unit in 0usize..5) {
            let (_, unit_ms) = UNITS[unit];
            let text = format(Duration::from_millis(count * unit_ms));
            let written: u64 = text.trim_end_matches(char::is_alphabetic).parse().unwrap();
            prop_assert!(written <= count, "{}", text);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}
