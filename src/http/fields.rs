//! Reads JSON bodies field by field, so that one answer names everything that is wrong, and so
//! that an absent field and one that is `null` stay apart.

use std::{borrow::Cow, fmt};

use hookledger_domain::validation::FieldError;
use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::problem::Problem;

mod readers;

pub(super) use readers::{
    boolean, headers, integer, integers, json, object, parse_time, role, text, texts, time,
};

/// How many errors an answer names at most.
const ERRORS_MAX: usize = 50;
/// How many fields are looked at; no body has that many of its own.
const FIELDS_MAX: usize = 100;

/// A body that a route takes.
pub(super) trait Body: Sized {
    /// Takes its fields. `None` only after an error was noted.
    fn read(fields: &mut Fields<'_>) -> Option<Self>;
}

/// Reads a whole body.
pub(super) fn read<T: Body>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Problem::malformed_json(format!("the body is no UTF-8: {error}")))?;
    let mut fields = Fields::parse(text)?;
    let value = T::read(&mut fields);
    fields.finish(value)
}

/// What is wrong so far.
#[derive(Debug, Default)]
pub(super) struct Errors(Vec<FieldError>);

impl Errors {
    /// Notes one more; beyond the bound they are dropped.
    pub(super) fn push(
        &mut self,
        field: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) {
        if self.0.len() < ERRORS_MAX {
            self.0.push(FieldError::new(field, code, message));
        }
    }

    fn extend(&mut self, error: Option<FieldError>) {
        if let Some(error) = error.filter(|_| self.0.len() < ERRORS_MAX) {
            self.0.push(error);
        }
    }
}

/// How a field's value is read: notes an error and gives `None` if it is wrong.
pub(super) type Reader<T> = fn(field: &str, value: &RawValue, errors: &mut Errors) -> Option<T>;

/// The fields of a JSON object that nobody has taken yet.
pub(super) struct Fields<'a> {
    given: Vec<(Cow<'a, str>, &'a RawValue)>,
    errors: Errors,
}

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Result<Self, Problem> {
        match serde_json::from_str::<Entries<'a>>(text) {
            Ok(entries) => Ok(Self {
                given: entries.0,
                errors: Errors::default(),
            }),
            Err(_) => match serde_json::from_str::<&RawValue>(text) {
                Ok(_) => Err(Problem::invalid_field(
                    "",
                    "invalid_type",
                    "must be a JSON object",
                )),
                Err(error) => Err(Problem::malformed_json(format!(
                    "the body is no JSON: {error}"
                ))),
            },
        }
    }

    /// A field that must be there.
    pub(super) fn required<T>(&mut self, name: &'static str, reader: Reader<T>) -> Option<T> {
        match self.take(name) {
            Some(value) => reader(name, value, &mut self.errors),
            None => {
                self.errors.push(name, "missing_field", "must be given");
                None
            }
        }
    }

    /// A field that may be absent, but not `null`.
    pub(super) fn optional<T>(&mut self, name: &'static str, reader: Reader<T>) -> Option<T> {
        let value = self.take(name)?;
        reader(name, value, &mut self.errors)
    }

    /// A field that may be absent (`None`) or `null` (`Some(None)`).
    pub(super) fn nullable<T>(
        &mut self,
        name: &'static str,
        reader: Reader<T>,
    ) -> Option<Option<T>> {
        let value = self.take(name)?;
        if value.get() == "null" {
            return Some(None);
        }
        Some(reader(name, value, &mut self.errors))
    }

    /// Notes an error that no reader can see.
    pub(super) fn check(&mut self, result: Result<(), FieldError>) {
        self.errors.extend(result.err());
    }

    fn take(&mut self, name: &'static str) -> Option<&'a RawValue> {
        let at = self.given.iter().position(|(given, _)| given == name)?;
        let (_, value) = self.given.swap_remove(at);
        let count = self.given.len();
        self.given.retain(|(given, _)| given != name);
        if self.given.len() != count {
            self.errors
                .push(name, "duplicate_field", "must be given once");
        }
        Some(value)
    }

    fn finish<T>(mut self, value: Option<T>) -> Result<T, Problem> {
        for (name, _) in &self.given {
            let shown: String = name.chars().take(100).collect();
            self.errors
                .push(shown, "unknown_field", "is no field of this request");
        }
        match value {
            Some(value) if self.errors.0.is_empty() => Ok(value),
            _ => Err(Problem::invalid(self.errors.0)),
        }
    }
}

/// A key without a copy where it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The entries of an object, as they stand there, duplicates too; cut after [`FIELDS_MAX`], of
/// which at least one is then unknown or a duplicate.
struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(8);
                while entries.len() < FIELDS_MAX {
                    match map.next_entry::<Key<'de>, &'de RawValue>()? {
                        Some((Key(name), value)) => entries.push((name, value)),
                        None => return Ok(Entries(entries)),
                    }
                }
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Read)
    }
}

/// At most `MAX` elements of an array, and how many it has.
pub(super) struct Elements<'a, const MAX: usize> {
    /// The first elements.
    pub(super) first: Vec<&'a RawValue>,
    /// How many there are.
    pub(super) count: usize,
}

impl<'de, const MAX: usize> Deserialize<'de> for Elements<'de, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<const MAX: usize>;

        impl<'de, const MAX: usize> Visitor<'de> for Read<MAX> {
            type Value = Elements<'de, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut first = Vec::new();
                let mut count = 0;
                while first.len() < MAX {
                    match seq.next_element()? {
                        Some(element) => first.push(element),
                        None => {
                            return Ok(Elements {
                                count: first.len(),
                                first,
                            });
                        }
                    }
                    count += 1;
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Elements { first, count })
            }
        }

        deserializer.deserialize_seq(Read)
    }
}

/// Reads one element of an array as a body of its own.
pub(super) fn read_element<T: Body>(value: &RawValue) -> Result<T, Problem> {
    let mut fields = Fields::parse(value.get())?;
    let value = T::read(&mut fields);
    fields.finish(value)
}

#[cfg(test)]
mod tests;
