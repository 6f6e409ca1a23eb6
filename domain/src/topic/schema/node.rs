//! A message's data as the validator looks at it: each look is counted, and when there were too
//! many, it is over.

use std::{borrow::Cow, cell::Cell, cmp::Ordering};

use jsonschema::{
    json::{self, JsonNumber, NodeIdentity},
    types::JsonType,
};
use serde_json::Value;

use crate::json::{Json, Map, Number};

/// What of a message's data may still be looked at.
pub(super) struct Meter(Cell<u64>);

/// What ends a check that takes too long.
pub(super) struct TooManyLooks;

impl Meter {
    pub(super) fn new(looks: u64) -> Self {
        Self(Cell::new(looks))
    }

    /// The validator cannot be told to stop, and with schemas that refer to themselves it may go on
    /// for ever. So its stack is unwound: no message, no backtrace, only the way out.
    fn spend(&self, looks: u64) {
        match self.0.get().checked_sub(looks) {
            Some(left) => self.0.set(left),
            None => std::panic::resume_unwind(Box::new(TooManyLooks)),
        }
    }
}

/// Data in the form that the validator asks for.
pub(super) struct Data;

impl json::Json for Data {
    type Node<'a> = Node<'a>;
    type PreparedKey = String;
    type StringBuffer = Meter;

    const KEYS_PER_LOOKUP: usize = 2;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(meter: &mut Meter, string: &str, work: impl FnOnce(Node<'_>) -> T) -> T {
        work(Node {
            seen: Seen::Name(string),
            meter,
        })
    }
}

/// For names that no object gives out, of which there are none: an object gives its own.
impl Default for Meter {
    fn default() -> Self {
        Self::new(u64::MAX)
    }
}

/// A value, or the name of a property.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    seen: Seen<'a>,
    meter: &'a Meter,
}

#[derive(Clone, Copy)]
enum Seen<'a> {
    Value(&'a Json<'a>),
    Name(&'a str),
}

impl<'a> Node<'a> {
    pub(super) fn new(data: &'a Json<'a>, meter: &'a Meter) -> Self {
        Self {
            seen: Seen::Value(data),
            meter,
        }
    }

    fn value(self) -> Option<&'a Json<'a>> {
        self.meter.spend(1);
        match self.seen {
            Seen::Value(value) => Some(value),
            Seen::Name(_) => None,
        }
    }
}

impl<'a> json::Node<'a, Data> for Node<'a> {
    type Object = Members<'a>;
    type Array = Elements<'a>;
    type Number = Number;

    fn as_object(&self) -> Option<Members<'a>> {
        match self.value()? {
            Json::Map(map) => Some(Members {
                map,
                meter: self.meter,
            }),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<Elements<'a>> {
        match self.value()? {
            Json::List(list) => Some(Elements {
                list,
                meter: self.meter,
            }),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        let text: &'a str = match (self.value(), self.seen) {
            (Some(Json::Text(text)), _) => text,
            (_, Seen::Name(name)) => name,
            _ => return None,
        };
        self.meter.spend(text.len() as u64 / 8);
        Some(Cow::Borrowed(text))
    }

    fn as_number(&self) -> Option<Number> {
        match self.value()? {
            Json::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        match self.value()? {
            Json::Bool(bool) => Some(*bool),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self.value(), Some(Json::Null))
    }

    fn json_type(&self) -> JsonType {
        match self.value() {
            Some(Json::Null) => JsonType::Null,
            Some(Json::Bool(_)) => JsonType::Boolean,
            Some(Json::Number(_)) => JsonType::Number,
            Some(Json::Text(_)) | None => JsonType::String,
            Some(Json::List(_)) => JsonType::Array,
            Some(Json::Map(_)) => JsonType::Object,
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        match (self.value(), self.seen) {
            (Some(value), _) => are_equal(value, expected),
            (None, Seen::Name(name)) => expected == name,
            (None, Seen::Value(_)) => false,
        }
    }

    /// Is shown in errors only, which do not show it: the data are the publisher's.
    fn to_value(&self) -> Cow<'a, Value> {
        self.meter.spend(10);
        Cow::Borrowed(&Value::Null)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        let value = self.value()?;
        Some(NodeIdentity::new(std::ptr::from_ref(value) as usize))
    }
}

/// Equality as JSON Schema has it, with a part of a schema.
fn are_equal(value: &Json<'_>, expected: &Value) -> bool {
    match (value, expected) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(a), Value::Bool(b)) => a == b,
        (Json::Number(a), Value::Number(b)) => *a == number(b),
        (Json::Text(a), Value::String(b)) => a == b,
        (Json::List(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| are_equal(a, b))
        }
        (Json::Map(a), Value::Object(b)) => {
            let has = |(key, b): (&String, &Value)| a.get(key).is_some_and(|a| are_equal(a, b));
            a.len() == b.len() && b.iter().all(has)
        }
        _ => false,
    }
}

fn number(number: &serde_json::Number) -> Number {
    match (number.as_i64(), number.as_u64()) {
        (Some(int), _) => Number::Int(int),
        (None, Some(uint)) => Number::Uint(uint),
        (None, None) => Number::Double(number.as_f64().unwrap_or(f64::NAN)),
    }
}

impl JsonNumber for Number {
    fn as_u64(&self) -> Option<u64> {
        self.whole().and_then(|whole| whole.try_into().ok())
    }

    fn as_i64(&self) -> Option<i64> {
        self.whole().and_then(|whole| whole.try_into().ok())
    }

    fn as_f64(&self) -> Option<f64> {
        Some(self.double())
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_number().to_string())
    }

    fn to_number(&self) -> Cow<'_, serde_json::Number> {
        Cow::Owned(match self {
            Self::Int(int) => (*int).into(),
            Self::Uint(uint) => (*uint).into(),
            // JSON has no others.
            Self::Double(double) => {
                serde_json::Number::from_f64(*double).unwrap_or_else(|| 0.into())
            }
        })
    }
}

/// An object.
pub(super) struct Members<'a> {
    map: &'a Map<'a>,
    meter: &'a Meter,
}

impl<'a> json::Object<'a, Data> for Members<'a> {
    type Node = Node<'a>;
    type MemberName = &'a str;
    type MembersIter = MemberNodes<'a>;

    fn len(&self) -> usize {
        self.map.len()
    }

    fn get(&self, key: &String) -> Option<Node<'a>> {
        self.meter
            .spend(1 + u64::from(self.map.len().max(1).ilog2()));
        let value = self.map.get(key)?;
        Some(Node::new(value, self.meter))
    }

    fn members(&self) -> Self::MembersIter {
        MemberNodes {
            map: self.map,
            meter: self.meter,
            next: 0,
        }
    }

    fn try_for_each_name_node<B>(
        &self,
        _: &mut Meter,
        mut work: impl FnMut(Node<'_>) -> std::ops::ControlFlow<B>,
    ) -> std::ops::ControlFlow<B> {
        for (name, _) in self.members() {
            work(Node {
                seen: Seen::Name(name),
                meter: self.meter,
            })?;
        }
        std::ops::ControlFlow::Continue(())
    }
}

/// The members of an object, each as a node.
pub(super) struct MemberNodes<'a> {
    map: &'a Map<'a>,
    meter: &'a Meter,
    next: usize,
}

impl<'a> Iterator for MemberNodes<'a> {
    type Item = (&'a str, Node<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.meter.spend(1);
        let (name, value) = self.map.at(self.next)?;
        self.next += 1;
        Some((name, Node::new(value, self.meter)))
    }
}

/// An array.
pub(super) struct Elements<'a> {
    list: &'a [Json<'a>],
    meter: &'a Meter,
}

impl<'a> json::Array<'a, Data> for Elements<'a> {
    type Node = Node<'a>;
    type ElementsIter = ElementNodes<'a>;

    fn len(&self) -> usize {
        self.list.len()
    }

    fn elements(&self) -> Self::ElementsIter {
        ElementNodes {
            list: self.list.iter(),
            meter: self.meter,
        }
    }

    fn is_unique(&self) -> bool {
        let count = self.list.len();
        let looks: u64 = self
            .list
            .iter()
            .map(|value| weight(value, self.meter))
            .sum();
        self.meter.spend(looks * u64::from(count.max(1).ilog2()));
        let mut sorted: Vec<&Json<'_>> = self.list.iter().collect();
        sorted.sort_unstable_by(|a, b| a.order(b));
        sorted
            .windows(2)
            .all(|pair| pair[0].order(pair[1]) != Ordering::Equal)
    }
}

/// How much there is to look at in a value.
fn weight(value: &Json<'_>, meter: &Meter) -> u64 {
    meter.spend(1);
    1 + match value {
        Json::Text(text) => text.len() as u64 / 64,
        Json::List(list) => list.iter().map(|value| weight(value, meter)).sum(),
        Json::Map(map) => map.iter().map(|(_, value)| weight(value, meter)).sum(),
        _ => 0,
    }
}

/// The elements of an array, each as a node.
pub(super) struct ElementNodes<'a> {
    list: std::slice::Iter<'a, Json<'a>>,
    meter: &'a Meter,
}

impl<'a> Iterator for ElementNodes<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        self.meter.spend(1);
        let value = self.list.next()?;
        Some(Node::new(value, self.meter))
    }
}
