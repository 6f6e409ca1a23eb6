//! How the values of fields are read.

use std::{borrow::Cow, collections::BTreeMap};

use chrono::{DateTime, Datelike, Utc};
use hookledger_domain::{json, permission::Role};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{Elements, Entries, Errors};

/// How deep the arrays and objects of a message may be nested. Receivers' parsers have such
/// limits too; a message that they cannot read would fail until it is exhausted.
pub(in crate::http) const DEPTH_MAX: usize = 128;
/// The largest whole number up to which a floating-point number knows all of them: 2^53 - 1.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// A text.
pub(in crate::http) fn text(field: &str, value: &RawValue, errors: &mut Errors) -> Option<String> {
    match serde_json::from_str::<Text<'_>>(value.get()) {
        Ok(Text(text)) => Some(text.into_owned()),
        Err(_) if value.get().starts_with('"') => {
            errors.push(
                field,
                "invalid_characters",
                "has an escape that is no character",
            );
            None
        }
        Err(_) => {
            errors.push(field, "invalid_type", "must be a string");
            None
        }
    }
}

/// `true` or `false`.
pub(in crate::http) fn boolean(field: &str, value: &RawValue, errors: &mut Errors) -> Option<bool> {
    typed(field, value, errors, "must be true or false")
}

/// A whole number; to JSON, `5.0` is the whole number 5. Whether it lies within `MIN` and `MAX` is
/// for the domain to say; those that lie nowhere near are refused with them.
pub(in crate::http) fn integer<const MIN: u64, const MAX: u64>(
    field: &str,
    value: &RawValue,
    errors: &mut Errors,
) -> Option<u64> {
    if let Ok(number) = value.get().parse() {
        return Some(number);
    }
    let is_number = value
        .get()
        .starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let code = match serde_json::from_str::<f64>(value.get()) {
        Ok(number) if number.fract() != 0.0 => "invalid_type",
        // Texts of whole numbers up to here say the same as texts of floating-point ones.
        Ok(number) if (0.0..=MAX_SAFE_INTEGER).contains(&number) => {
            return format!("{number:.0}").parse().ok();
        }
        Ok(_) => "out_of_range",
        Err(_) if is_number => "out_of_range",
        Err(_) => "invalid_type",
    };
    errors.push(
        field,
        code,
        format!("must be a whole number from {MIN} to {MAX}"),
    );
    None
}

/// A list of at most so many whole numbers, each as for [`integer`].
pub(in crate::http) fn integers<const COUNT: usize, const MIN: u64, const MAX: u64>(
    field: &str,
    value: &RawValue,
    errors: &mut Errors,
) -> Option<Vec<u64>> {
    list::<u64, COUNT>(field, value, errors, integer::<MIN, MAX>)
}

/// A list of at most so many texts.
pub(in crate::http) fn texts<const COUNT: usize>(
    field: &str,
    value: &RawValue,
    errors: &mut Errors,
) -> Option<Vec<String>> {
    list::<String, COUNT>(field, value, errors, text)
}

/// An object whose values are texts.
pub(in crate::http) fn headers(
    field: &str,
    value: &RawValue,
    errors: &mut Errors,
) -> Option<BTreeMap<String, String>> {
    let Ok(Entries(entries)) = serde_json::from_str::<Entries<'_>>(value.get()) else {
        errors.push(
            field,
            "invalid_type",
            "must be an object of header names and strings",
        );
        return None;
    };
    let mut map = BTreeMap::new();
    for (name, value) in entries {
        let path = format!("{field}.{name}");
        let text = text(&path, value, errors)?;
        if map.insert(name.into_owned(), text).is_some() {
            errors.push(path, "duplicate_field", "must be given once");
        }
    }
    Some(map)
}

/// An RFC 3339 time, cut to milliseconds, in the years that RFC 3339 can write.
pub(in crate::http) fn time(
    field: &str,
    value: &RawValue,
    errors: &mut Errors,
) -> Option<DateTime<Utc>> {
    let time = parse_time(&text(field, value, errors)?);
    if time.is_none() {
        errors.push(
            field,
            "invalid_time",
            "must be an RFC 3339 time such as 2026-03-24T23:11:25Z",
        );
    }
    time
}

/// Reads an RFC 3339 time. Going by milliseconds turns a leap second into the second after it,
/// which every receiver can read.
pub(in crate::http) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    let time = DateTime::from_timestamp_millis(time.timestamp_millis())?;
    (0..=9999).contains(&time.year()).then_some(time)
}

/// A role.
pub(in crate::http) fn role(field: &str, value: &RawValue, errors: &mut Errors) -> Option<Role> {
    match text(field, value, errors)?.parse() {
        Ok(role) => Some(role),
        Err(_) => {
            errors.push(
                field,
                "invalid_value",
                "must be admin, operator, viewer or publisher",
            );
            None
        }
    }
}

/// Anything, its text kept as it is.
pub(in crate::http) fn json(_: &str, value: &RawValue, _: &mut Errors) -> Option<Box<RawValue>> {
    Some(value.to_owned())
}

/// A JSON object, its text kept as it is.
pub(in crate::http) fn object(
    field: &str,
    value: &RawValue,
    errors: &mut Errors,
) -> Option<Box<RawValue>> {
    if !value.get().starts_with('{') {
        errors.push(field, "invalid_type", "must be a JSON object");
        return None;
    }
    if json::is_deeper(value.get(), DEPTH_MAX) {
        let message = format!("must not be nested deeper than {DEPTH_MAX} levels");
        errors.push(field, "too_deep", message);
        return None;
    }
    Some(value.to_owned())
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn typed<T: DeserializeOwned>(
    field: &str,
    value: &RawValue,
    errors: &mut Errors,
    expected: &'static str,
) -> Option<T> {
    let read = serde_json::from_str(value.get()).ok();
    if read.is_none() {
        errors.push(field, "invalid_type", expected);
    }
    read
}

fn list<T, const COUNT: usize>(
    field: &str,
    value: &RawValue,
    errors: &mut Errors,
    reader: super::Reader<T>,
) -> Option<Vec<T>> {
    let Ok(elements) = serde_json::from_str::<Elements<'_, COUNT>>(value.get()) else {
        let message = format!("must be a list of at most {COUNT} elements");
        errors.push(field, "invalid_type", message);
        return None;
    };
    if elements.count > elements.first.len() {
        let message = format!("must have at most {COUNT} elements, has {}", elements.count);
        errors.push(field, "invalid_length", message);
        return None;
    }
    let read = |(index, element): (usize, &&RawValue)| {
        reader(&format!("{field}[{index}]"), element, errors)
    };
    // Every element is read, so that every wrong one is named.
    let all: Vec<Option<T>> = elements.first.iter().enumerate().map(read).collect();
    all.into_iter().collect()
}
