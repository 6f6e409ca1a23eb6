use std::fmt;

use super::{
    DEPTH_MAX, MESSAGE_STEPS_MAX, OPERATIONS_MAX, STEPS_MAX, TEXT_BYTES_MAX, functions, value::Kind,
};

/// The most characters of a message about a failure.
const DETAIL_CHARACTERS_MAX: usize = 200;
/// The most characters that are shown of a name or a text.
const SHOWN_CHARACTERS_MAX: usize = 60;

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Where in the text, if it is about a place.
    pub place: Option<Place>,
    /// What is wrong.
    pub reason: Reason,
}

/// A place in a text. Both count from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column }) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        self.reason.fmt(f)
    }
}

impl std::error::Error for Refusal {}

/// What is wrong with a text that is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// There is nothing.
    #[error(
        "must be a CEL expression that gives true or false, such as data.priority == \"high\", or null"
    )]
    Empty,
    /// It has too many bytes.
    #[error("must have at most {TEXT_BYTES_MAX} bytes, has {0}")]
    TooLong(usize),
    /// It has too many operators, selections and calls.
    #[error(
        "must have at most {OPERATIONS_MAX} operators, selections and calls besides && and ||, has about {0}"
    )]
    TooMany(usize),
    /// It is nested too deep.
    #[error("must not be nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// It is no CEL.
    #[error("is no CEL expression: {}; one is, for example, data.priority == \"high\"", shown(.0, 120))]
    Syntax(String),
    /// It names something that is not there.
    #[error("there is no variable {}; there are event (the topic, a string) and data (the message's data)", short(.0))]
    UnknownVariable(String),
    /// It calls something that is not there.
    #[error("there is no function {}; there are {}", short(.0), functions::names())]
    UnknownFunction(String),
    /// It calls something otherwise than it can be called.
    #[error("{name} is called so: {usage}")]
    WrongCall {
        /// What it calls.
        name: &'static str,
        /// How that is called.
        usage: &'static str,
    },
    /// The variable of a macro is none.
    #[error("must be a simple name for the element, such as x")]
    NoName,
    /// It has what messages never have.
    #[error("{0} cannot be used here: data is JSON")]
    NotInJson(&'static str),
    /// The pattern of `matches` comes from somewhere else.
    #[error("the pattern of matches must be a string that stands there, such as \"^INC-[0-9]+$\"")]
    PatternNotLiteral,
    /// The pattern of `matches` is no regular expression.
    #[error("the pattern is no regular expression (RE2, without back-references and look-around): {}", shown(.0, 200))]
    Pattern(String),
    /// The patterns of `matches` take too much memory.
    #[error("the patterns of matches are too large together; repeat less, or ask for less exactly")]
    PatternTooLarge,
}

/// Why an expression gave neither true nor false. Such a message does not match.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// Something is selected that is not there.
    #[error("there is no {0}")]
    NoSuchKey(String),
    /// A field is selected of something that has none.
    #[error("{path} is of type {kind} and has no fields")]
    NoFields {
        /// Of what.
        path: String,
        /// What it is.
        kind: Kind,
    },
    /// An operator or a function does not know such values.
    #[error("{operation} does not work with {}", kinds(.operands))]
    NoOverload {
        /// Which one.
        operation: &'static str,
        /// What it was given.
        operands: Vec<Kind>,
    },
    /// A list is shorter.
    #[error("the list has {length} elements, the index is {index}")]
    OutOfBounds {
        /// How many elements it has.
        length: usize,
        /// What was asked for.
        index: i128,
    },
    /// A number is too large or too small for its type.
    #[error("the result of {0} is out of range")]
    Overflow(&'static str),
    /// A whole number is divided by 0.
    #[error("{0} by zero")]
    ByZero(&'static str),
    /// A text does not say what it should.
    #[error("{function} cannot read {:?}", short(.text))]
    Conversion {
        /// What reads it.
        function: &'static str,
        /// The text, not all of it.
        text: String,
    },
    /// A map has a key twice, or one that cannot be a key.
    #[error("a map has unique keys that are strings, whole numbers or bools")]
    Key,
    /// It is something else.
    #[error("gives a value of type {0}, not true or false")]
    NoBool(Kind),
    /// The message has something that no text or number stands for.
    #[error("the data {0}")]
    Data(String),
    /// An older version took the filter, and this one does not.
    #[error("the filter cannot be used any more: {0}")]
    Outdated(String),
    /// It takes too long.
    #[error(
        "takes too long with these data: more than {STEPS_MAX} steps, or {MESSAGE_STEPS_MAX} with the tenant's other filters"
    )]
    TooManySteps,
}

impl Failure {
    /// What a reader of the log is told: at most 200 characters.
    #[must_use]
    pub fn detail(&self) -> String {
        shown(&self.to_string(), DETAIL_CHARACTERS_MAX)
    }

    /// A failure to convert a text, which may be long.
    pub(super) fn conversion(function: &'static str, text: &str) -> Self {
        Self::Conversion {
            function,
            text: text.chars().take(SHOWN_CHARACTERS_MAX + 1).collect(),
        }
    }
}

fn short(text: &str) -> String {
    shown(text, SHOWN_CHARACTERS_MAX)
}

/// The start of a text.
fn shown(text: &str, characters_max: usize) -> String {
    match text.char_indices().nth(characters_max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(characters_max - 1).chain(['…']).collect(),
    }
}

fn kinds(kinds: &[Kind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    names.join(" and ")
}
