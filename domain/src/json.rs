//! The data of a message, taken apart so that it can be looked at. What is sent is never made of
//! this: receivers get the publisher's text.

use std::{borrow::Cow, cmp::Ordering, fmt};

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// A JSON value. Texts without escapes are borrowed. It takes at most 15 times the memory of the
/// text that it was read from, plus what that text borrows.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    List(Box<[Json<'a>]>),
    /// An object.
    Map(Map<'a>),
}

/// A text that is no JSON, or has a number or an escape that nothing stands for.
#[derive(Debug, thiserror::Error)]
#[error("cannot be read: {0}")]
pub struct Unreadable(#[from] serde_json::Error);

impl<'a> Json<'a> {
    /// Reads the data of a message, an object nested at most 128 levels deep.
    pub fn read(text: &'a str) -> Result<Self, Unreadable> {
        // The parser's own limit is 127 levels, so the outermost one is taken off first.
        let outer: Outer<'a> = serde_json::from_str(text)?;
        let read = |(key, value): (Cow<'a, str>, &'a RawValue)| {
            Ok((key, serde_json::from_str(value.get())?))
        };
        let entries: Result<_, serde_json::Error> = outer.0.into_iter().map(read).collect();
        Ok(Self::Map(Map::new(entries?)))
    }

    /// A total order of which only this is meant to be known: equal is what JSON Schema calls equal.
    /// Numbers are compared by value, objects without regard to the order of their keys.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            // JSON has no number that is none.
            (Self::Number(a), Self::Number(b)) => a.compare(*b).unwrap_or(Ordering::Equal),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::List(a), Self::List(b)) => {
                let pairs = a.iter().zip(b).map(|(a, b)| a.order(b));
                first_difference(pairs).then(a.len().cmp(&b.len()))
            }
            (Self::Map(a), Self::Map(b)) => {
                let pairs = a.iter().zip(b.iter());
                let pairs = pairs.map(|((k, a), (l, b))| k.cmp(l).then_with(|| a.order(b)));
                first_difference(pairs).then(a.len().cmp(&b.len()))
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::Text(_) => 3,
            Self::List(_) => 4,
            Self::Map(_) => 5,
        }
    }
}

/// Whether the arrays and objects of a JSON text are nested deeper than so many levels.
pub fn is_deeper(json: &str, levels_max: usize) -> bool {
    let mut depth = 0_usize;
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > levels_max {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    false
}

fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => return,
            _ => {}
        }
    }
}

fn first_difference(mut pairs: impl Iterator<Item = Ordering>) -> Ordering {
    pairs.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// A JSON object: its entries by key.
#[derive(Debug, Clone, PartialEq)]
pub struct Map<'a>(Box<[(Cow<'a, str>, Json<'a>)]>);

impl<'a> Map<'a> {
    /// Of entries that have the same key the last one counts.
    fn new(mut entries: Vec<(Cow<'a, str>, Json<'a>)>) -> Self {
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                std::mem::swap(later, earlier);
            }
            is_same
        });
        Self(entries.into_boxed_slice())
    }

    /// The value of a key. Costs the logarithm of the size.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        let at = self
            .0
            .binary_search_by(|(known, _)| known.as_ref().cmp(key));
        at.ok().map(|at| &self.0[at].1)
    }

    /// An entry by its place in the order of the keys.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<(&str, &Json<'a>)> {
        let (key, value) = self.0.get(index)?;
        Some((key, value))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries in the order of their keys.
    pub fn iter(&self) -> std::slice::Iter<'_, (Cow<'a, str>, Json<'a>)> {
        self.0.iter()
    }
}

/// A number.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    /// A whole one.
    Int(i64),
    /// A whole one that need not fit into the other kind.
    Uint(u64),
    /// Any other.
    Double(f64),
}

impl Number {
    /// The value of a whole number.
    #[must_use]
    pub fn whole(self) -> Option<i128> {
        match self {
            Self::Int(int) => Some(int.into()),
            Self::Uint(uint) => Some(uint.into()),
            Self::Double(_) => None,
        }
    }

    /// The nearest floating-point number.
    #[must_use]
    pub fn double(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Uint(uint) => uint as f64,
            Self::Double(double) => double,
        }
    }

    /// Compares the values exactly; nothing if one of them is no number.
    #[must_use]
    pub fn compare(self, other: Self) -> Option<Ordering> {
        match (self.whole(), other.whole()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            (None, None) => self.double().partial_cmp(&other.double()),
            (Some(a), None) => compare_whole(a, other.double()),
            (None, Some(b)) => compare_whole(b, self.double()).map(Ordering::reverse),
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.compare(*other) == Some(Ordering::Equal)
    }
}

/// A whole number of 64 bits has no exact neighbour among the floating-point ones, so it is the
/// other one that is converted: its whole part can be.
fn compare_whole(whole: i128, double: f64) -> Option<Ordering> {
    /// 2^100, which is more than any whole number here.
    const FAR: f64 = 1_267_650_600_228_229_401_496_703_205_376.0;
    if double.is_nan() {
        return None;
    }
    let double = double.clamp(-FAR, FAR);
    let floor = double.floor();
    let order = whole.cmp(&(floor as i128));
    Some(order.then(if double > floor {
        Ordering::Less
    } else {
        Ordering::Equal
    }))
}

/// A key or text without a copy where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The entries of an object, their values not yet taken apart.
struct Outer<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Outer<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Outer<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((Text(key), value)) = map.next_entry()? {
                    entries.push((key, value));
                }
                Ok(Outer(entries))
            }
        }

        deserializer.deserialize_map(Read)
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadJson)
    }
}

struct ReadJson;

impl<'de> Visitor<'de> for ReadJson {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Number(Number::Int(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        let number = i64::try_from(value).map_or(Number::Uint(value), Number::Int);
        Ok(Json::Number(number))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Json::Number(Number::Double(value)))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(Json::List(elements.into_boxed_slice()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((Text(key), value)) = map.next_entry()? {
            entries.push((key, value));
        }
        Ok(Json::Map(Map::new(entries)))
    }
}

#[cfg(test)]
mod tests;
