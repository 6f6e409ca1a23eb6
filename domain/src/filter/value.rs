use std::{cmp::Ordering, fmt, rc::Rc};

use chrono::{DateTime, TimeDelta, Utc};

use crate::json::{self, Json, Number};

/// What a part of an expression gives. What comes from the message or the expression is borrowed;
/// what was made is shared, so a clone is cheap.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Text<'a>),
    List(List<'a>),
    Map(Map<'a>),
    Timestamp(DateTime<Utc>),
    Duration(TimeDelta),
    Type(Kind),
}

/// A string.
#[derive(Debug, Clone)]
pub(super) enum Text<'a> {
    Of(&'a str),
    Made(Rc<str>),
}

/// A list.
#[derive(Debug, Clone)]
pub(super) enum List<'a> {
    Of(&'a [Json<'a>]),
    Made(Rc<[Value<'a>]>),
}

/// A map.
#[derive(Debug, Clone)]
pub(super) enum Map<'a> {
    Of(&'a json::Map<'a>),
    Made(Rc<[(Value<'a>, Value<'a>)]>),
}

/// A type of CEL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of CEL")]
pub enum Kind {
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    List,
    Map,
    Timestamp,
    Duration,
    Type,
}

impl Kind {
    /// Those that have a simple name in an expression, such as in `type(data.x) == string`.
    pub(super) const NAMED: &'static [Self] = &[
        Self::Null,
        Self::Bool,
        Self::Int,
        Self::Uint,
        Self::Double,
        Self::String,
        Self::List,
        Self::Map,
        Self::Type,
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::List => "list",
            Self::Map => "map",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Type => "type",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'a> Value<'a> {
    /// A value of the message.
    pub(super) fn of(json: &'a Json<'a>) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(bool) => Self::Bool(*bool),
            Json::Number(number) => Self::Number(*number),
            Json::Text(text) => Self::Text(Text::Of(text)),
            Json::List(list) => Self::List(List::Of(list)),
            Json::Map(map) => Self::Map(Map::Of(map)),
        }
    }

    /// A text that was made.
    pub(super) fn text(text: String) -> Self {
        Self::Text(Text::Made(text.into()))
    }

    /// A whole number that was counted.
    pub(super) fn count(count: usize) -> Self {
        Self::Number(Number::Int(i64::try_from(count).unwrap_or(i64::MAX)))
    }

    /// Its type.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Number(Number::Int(_)) => Kind::Int,
            Self::Number(Number::Uint(_)) => Kind::Uint,
            Self::Number(Number::Double(_)) => Kind::Double,
            Self::Text(_) => Kind::String,
            Self::List(_) => Kind::List,
            Self::Map(_) => Kind::Map,
            Self::Timestamp(_) => Kind::Timestamp,
            Self::Duration(_) => Kind::Duration,
            Self::Type(_) => Kind::Type,
        }
    }

    /// Its place beside another one, if they are of types that have an order between them.
    pub(super) fn compare(&self, other: &Self) -> Option<Compared> {
        let order = match (self, other) {
            (Self::Number(a), Self::Number(b)) => {
                return Some(a.compare(*b).map_or(Compared::Apart, Compared::Order));
            }
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.as_str().cmp(b.as_str()),
            (Self::Timestamp(a), Self::Timestamp(b)) => a.cmp(b),
            (Self::Duration(a), Self::Duration(b)) => a.cmp(b),
            _ => return None,
        };
        Some(Compared::Order(order))
    }
}

/// How two values of comparable types stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    Order(Ordering),
    /// One of them is NaN.
    Apart,
}

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Of(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Of(list) => list.len(),
            Self::Made(list) => list.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Of(list) => list.get(index).map(Value::of),
            Self::Made(list) => list.get(index).cloned(),
        }
    }
}

impl<'a> Map<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Of(map) => map.len(),
            Self::Made(map) => map.len(),
        }
    }

    /// An entry by its place, in no order that means something.
    pub(super) fn entry(&self, index: usize) -> Option<(Value<'a>, Value<'a>)> {
        match self {
            Self::Of(map) => {
                let (key, value) = map.at(index)?;
                Some((Value::Text(Text::Of(key)), Value::of(value)))
            }
            Self::Made(map) => map.get(index).cloned(),
        }
    }
}
