//! JSON Schemas that the data of a topic's messages must meet.

use std::{fmt, panic::AssertUnwindSafe};

use jsonschema::{
    PatternOptions, ValidationError, Validator,
    error::ValidationErrorKind,
    paths::{Location, LocationSegment},
};
use serde_json::Value;

use crate::{
    json::{self, Json},
    validation::FieldError,
};

mod node;

use node::{Data, Meter, Node, TooManyLooks};

/// The longest schema, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// How deep a schema may be nested.
pub const DEPTH_MAX: usize = 64;
/// How many places of a message are named where it does not meet a schema.
pub const ERRORS_MAX: usize = 10;
/// How often a check may look at a part of the data: so often, and so often for each byte of them.
const LOOKS_MAX: u64 = 100_000;
const LOOKS_PER_BYTE_MAX: u64 = 16;
/// The most bytes of a compiled pattern, and of what it remembers while it is matched.
const PATTERN_BYTES_MAX: usize = 256 * 1024;
/// The most characters of a message, and of the name of a field.
const MESSAGE_CHARACTERS_MAX: usize = 200;

/// A schema, ready to check data.
pub struct Schema {
    text: Box<str>,
    /// Nothing if an older version took the schema, and this one does not.
    validator: Option<Validator<Data>>,
}

/// What is no schema, or none that is supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchema {
    /// It has too many bytes.
    #[error("must have at most {TEXT_BYTES_MAX} bytes, has {0}")]
    TooLong(usize),
    /// It is nested too deep.
    #[error("must not be nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// It has an escape or a number that nothing stands for.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// A part of it is not as JSON Schema has it.
    #[error("must be a JSON Schema; at {place}: {why}")]
    Invalid {
        /// Which part: a JSON Pointer, or that it is the whole.
        place: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Schema {
    /// Compiles a schema that was taken before. One that is not taken any more meets no data, so that
    /// nothing passes unchecked.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|_| Self {
            text: text.into(),
            validator: None,
        })
    }

    /// Compiles a schema. Nothing is fetched for it: all that it refers to must be in it, or be a
    /// meta-schema of JSON Schema itself.
    pub fn parse(text: &str) -> Result<Self, InvalidSchema> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(InvalidSchema::TooLong(text.len()));
        }
        if json::is_deeper(text, DEPTH_MAX) {
            return Err(InvalidSchema::TooDeep);
        }
        let schema: Value = serde_json::from_str(text)
            .map_err(|error| InvalidSchema::Unreadable(error.to_string()))?;
        let patterns = PatternOptions::regex()
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_BYTES_MAX);
        let validator = jsonschema::options_for::<Data>()
            .offline()
            .with_pattern_options(patterns)
            .build(&schema)
            .map_err(|error| invalid(&error))?;
        Ok(Self {
            text: text.into(),
            validator: Some(validator),
        })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Checks the data of a message. Fails with the places that do not meet the schema, at most
    /// [`ERRORS_MAX`], under `data`.
    pub fn check(&self, data: &str) -> Result<(), Vec<FieldError>> {
        let alone = |message: String| vec![mismatch("data".to_owned(), &message)];
        let Some(validator) = &self.validator else {
            let message = "the topic's schema cannot be used any more: it must be put anew";
            return Err(alone(message.to_owned()));
        };
        let looks = LOOKS_MAX + LOOKS_PER_BYTE_MAX * data.len() as u64;
        let data = Json::read(data).map_err(|error| alone(error.to_string()))?;
        let meter = Meter::new(looks);
        match within_bounds(|| validator.is_valid(Node::new(&data, &meter))) {
            Some(true) => return Ok(()),
            Some(false) => {}
            None => {
                let message = "takes too long to be checked against the topic's schema";
                return Err(alone(message.to_owned()));
            }
        }
        // To tell why can take much longer than to tell that.
        let meter = Meter::new(looks);
        let errors = within_bounds(|| {
            let errors = validator.iter_errors(Node::new(&data, &meter));
            let mut named: Vec<FieldError> = Vec::new();
            for error in errors {
                let message = error.masked_with("the value").to_string();
                let error = mismatch(field(error.instance_path()), &message);
                if named.len() < ERRORS_MAX && !named.contains(&error) {
                    named.push(error);
                }
            }
            named
        });
        match errors {
            Some(errors) if !errors.is_empty() => Err(errors),
            _ => Err(alone("must meet the topic's schema".to_owned())),
        }
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.text).finish()
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Schema {}

/// Nothing if it looked at the data too often.
fn within_bounds<T>(check: impl FnOnce() -> T) -> Option<T> {
    // What is unwound is used no more.
    match std::panic::catch_unwind(AssertUnwindSafe(check)) {
        Ok(result) => Some(result),
        Err(cause) if cause.is::<TooManyLooks>() => None,
        Err(cause) => std::panic::resume_unwind(cause),
    }
}

fn mismatch(field: String, message: &str) -> FieldError {
    FieldError::new(field, "schema_mismatch", shown(message))
}

/// A place in the data as a field: `data.items[2].name`.
fn field(place: &Location) -> String {
    let mut field = "data".to_owned();
    for segment in place.segments() {
        match segment {
            LocationSegment::Property(name) => {
                field.push('.');
                field.extend(name.chars().map(|c| if c.is_control() { '�' } else { c }));
            }
            LocationSegment::Index(index) => {
                field.push('[');
                field.push_str(&index.to_string());
                field.push(']');
            }
        }
    }
    shown(&field)
}

/// What is wrong with a schema.
fn invalid(error: &ValidationError<'_>) -> InvalidSchema {
    let place = match error.instance_path().as_str() {
        "" => "its root".to_owned(),
        pointer => shown(pointer),
    };
    let why = match error.kind() {
        ValidationErrorKind::Format { format } if format == "regex" => {
            "is no regular expression that takes linear time (no look-around, no back-references), or is too large".to_owned()
        }
        ValidationErrorKind::AnyOf { .. } if place.ends_with("/type") => {
            "must be null, boolean, object, array, number, string or integer, or a list of them".to_owned()
        }
        ValidationErrorKind::Referencing(error) => {
            format!("what is referred to must be in the schema itself: {error}")
        }
        _ => error.to_string(),
    };
    InvalidSchema::Invalid {
        place,
        why: shown(&why),
    }
}

/// The start of a text.
fn shown(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARACTERS_MAX) {
        None => text.to_owned(),
        Some(_) => {
            let start = text.chars().take(MESSAGE_CHARACTERS_MAX - 1);
            start.chain(['…']).collect()
        }
    }
}

#[cfg(test)]
mod tests;
