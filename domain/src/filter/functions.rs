use chrono::{Datelike, Timelike};

use super::{
    Failure,
    evaluate::{Evaluation, cost, no_overload},
    time,
    value::{Text, Value},
};
use crate::json::Number;

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    LowerAscii,
    UpperAscii,
    Trim,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Timestamp,
    Duration,
    Type,
    Dyn,
    Part(Part),
}

/// A part of a time or a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

/// How a function can be called.
pub(super) struct Signature {
    pub(super) name: &'static str,
    /// Whether it is called on a value: `value.name(…)`.
    pub(super) is_member: bool,
    /// How many arguments it takes besides that value.
    pub(super) arguments: usize,
    pub(super) function: Function,
    /// An example.
    pub(super) usage: &'static str,
}

const fn global(name: &'static str, function: Function, usage: &'static str) -> Signature {
    Signature {
        name,
        is_member: false,
        arguments: 1,
        function,
        usage,
    }
}

const fn member(
    name: &'static str,
    arguments: usize,
    function: Function,
    usage: &'static str,
) -> Signature {
    Signature {
        name,
        is_member: true,
        arguments,
        function,
        usage,
    }
}

const fn part(name: &'static str, part: Part, usage: &'static str) -> Signature {
    member(name, 0, Function::Part(part), usage)
}

/// All of them.
#[rustfmt::skip]
pub(super) const SIGNATURES: &[Signature] = &[
    global("size", Function::Size, "size(data.items)"),
    member("size", 0, Function::Size, "data.items.size()"),
    member("contains", 1, Function::Contains, "data.title.contains(\"error\")"),
    member("startsWith", 1, Function::StartsWith, "event.startsWith(\"ticket.\")"),
    member("endsWith", 1, Function::EndsWith, "data.email.endsWith(\"@example.com\")"),
    member("lowerAscii", 0, Function::LowerAscii, "data.name.lowerAscii()"),
    member("upperAscii", 0, Function::UpperAscii, "data.name.upperAscii()"),
    member("trim", 0, Function::Trim, "data.name.trim()"),
    global("bool", Function::Bool, "bool(data.flag)"),
    global("int", Function::Int, "int(data.amount)"),
    global("uint", Function::Uint, "uint(data.amount)"),
    global("double", Function::Double, "double(data.amount)"),
    global("string", Function::String, "string(data.id)"),
    global("timestamp", Function::Timestamp, "timestamp(data.created_at)"),
    global("duration", Function::Duration, "duration(\"1h30m\")"),
    global("type", Function::Type, "type(data.id) == string"),
    global("dyn", Function::Dyn, "dyn(data.id)"),
    part("getFullYear", Part::FullYear, "timestamp(data.at).getFullYear()"),
    part("getMonth", Part::Month, "timestamp(data.at).getMonth()"),
    part("getDate", Part::Date, "timestamp(data.at).getDate()"),
    part("getDayOfMonth", Part::DayOfMonth, "timestamp(data.at).getDayOfMonth()"),
    part("getDayOfWeek", Part::DayOfWeek, "timestamp(data.at).getDayOfWeek()"),
    part("getDayOfYear", Part::DayOfYear, "timestamp(data.at).getDayOfYear()"),
    part("getHours", Part::Hours, "timestamp(data.at).getHours()"),
    part("getMinutes", Part::Minutes, "timestamp(data.at).getMinutes()"),
    part("getSeconds", Part::Seconds, "timestamp(data.at).getSeconds()"),
    part("getMilliseconds", Part::Milliseconds, "timestamp(data.at).getMilliseconds()"),
];

/// What is written like a function and is none: its name and an example.
pub(super) const MACROS: &[(&str, &str)] = &[
    ("has", "has(data.ticket)"),
    ("all", "data.items.all(x, x.price > 0)"),
    ("exists", "data.items.exists(x, x.sku == \"A1\")"),
    ("exists_one", "data.items.exists_one(x, x.sku == \"A1\")"),
    ("existsOne", "data.items.existsOne(x, x.sku == \"A1\")"),
    ("filter", "data.items.filter(x, x.price > 0)"),
    (
        "map",
        "data.items.map(x, x.price), data.items.map(x, x.price > 0, x.sku)",
    ),
    ("matches", "data.title.matches(\"^INC-[0-9]+$\")"),
];

/// The names of all functions and macros, for people.
pub(super) fn names() -> String {
    let macros = MACROS.iter().map(|(name, _)| *name);
    let mut names: Vec<&str> = macros
        .chain(SIGNATURES.iter().map(|signature| signature.name))
        .collect();
    names.dedup();
    names.join(", ")
}

/// Calls a function.
pub(super) fn call<'a>(
    function: Function,
    arguments: &[Value<'a>],
    evaluation: &mut Evaluation<'a>,
) -> Result<Value<'a>, Failure> {
    match (function, arguments) {
        (Function::Type, [value]) => Ok(Value::Type(value.kind())),
        (Function::Dyn, [value]) => Ok(value.clone()),
        (Function::Part(part), [value]) => part_of(part, value),
        (Function::Size, [Value::List(list)]) => Ok(Value::count(list.len())),
        (Function::Size, [Value::Map(map)]) => Ok(Value::count(map.len())),
        (_, [Value::Text(text)]) => of_text(function, text, evaluation),
        (_, [Value::Text(text), Value::Text(part)]) => {
            let (text, part) = (text.as_str(), part.as_str());
            let bytes = match function {
                Function::Contains => text.len() + part.len(),
                _ => part.len(),
            };
            evaluation.spend(cost::text(bytes))?;
            Ok(Value::Bool(match function {
                Function::Contains => text.contains(part),
                Function::StartsWith => text.starts_with(part),
                _ => text.ends_with(part),
            }))
        }
        (_, [value]) => {
            evaluation.spend(cost::WORK)?;
            convert(function, value)
        }
        _ => Err(refuse(function, arguments)),
    }
}

/// What takes one text.
fn of_text<'a>(
    function: Function,
    text: &Text<'a>,
    evaluation: &mut Evaluation<'a>,
) -> Result<Value<'a>, Failure> {
    let value = Value::Text(text.clone());
    let text = text.as_str();
    evaluation.spend(cost::WORK + cost::text(text.len()))?;
    let read = match function {
        Function::Size => Some(Value::count(text.chars().count())),
        Function::LowerAscii => Some(Value::text(text.to_ascii_lowercase())),
        Function::UpperAscii => Some(Value::text(text.to_ascii_uppercase())),
        Function::Trim => Some(Value::text(text.trim().to_owned())),
        Function::String => Some(value),
        Function::Bool => read_bool(text).map(Value::Bool),
        Function::Int => text.parse().ok().map(Number::Int).map(Value::Number),
        Function::Uint => text.parse().ok().map(Number::Uint).map(Value::Number),
        Function::Double => text.parse().ok().map(Number::Double).map(Value::Number),
        Function::Timestamp => time::read_timestamp(text).map(Value::Timestamp),
        Function::Duration => time::read_duration(text).map(Value::Duration),
        _ => return Err(refuse(function, &[value])),
    };
    read.ok_or_else(|| Failure::conversion(name(function), text))
}

fn read_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Conversions of what is no text.
fn convert<'a>(function: Function, value: &Value<'a>) -> Result<Value<'a>, Failure> {
    let converted = match (function, value) {
        (Function::Bool, Value::Bool(_))
        | (Function::Timestamp, Value::Timestamp(_))
        | (Function::Duration, Value::Duration(_)) => Some(value.clone()),
        (Function::Int, Value::Number(number)) => {
            let whole = whole(*number).and_then(|whole| i64::try_from(whole).ok());
            whole.map(Number::Int).map(Value::Number)
        }
        (Function::Uint, Value::Number(number)) => {
            let whole = whole(*number).and_then(|whole| u64::try_from(whole).ok());
            whole.map(Number::Uint).map(Value::Number)
        }
        (Function::Int, Value::Timestamp(at)) => Some(Value::Number(Number::Int(at.timestamp()))),
        (Function::Double, Value::Number(number)) => {
            Some(Value::Number(Number::Double(number.double())))
        }
        (Function::Timestamp, Value::Number(Number::Int(seconds))) => {
            time::timestamp_of_seconds(*seconds).map(Value::Timestamp)
        }
        (Function::String, Value::Number(number)) => Some(Value::text(match number {
            Number::Int(int) => int.to_string(),
            Number::Uint(uint) => uint.to_string(),
            Number::Double(double) => double.to_string(),
        })),
        (Function::String, Value::Bool(bool)) => Some(Value::text(bool.to_string())),
        (Function::String, Value::Timestamp(at)) => Some(Value::text(time::write_timestamp(*at))),
        (Function::String, Value::Duration(duration)) => {
            Some(Value::text(time::write_duration(*duration)))
        }
        _ => return Err(refuse(function, std::slice::from_ref(value))),
    };
    converted.ok_or(Failure::Overflow(name(function)))
}

/// The whole part of a number that is not too far away.
fn whole(number: Number) -> Option<i128> {
    number.whole().or_else(|| {
        let double = number.double();
        (double.abs() < 1e30).then_some(double.trunc() as i128)
    })
}

fn part_of<'a>(part: Part, value: &Value<'a>) -> Result<Value<'a>, Failure> {
    let number = match value {
        Value::Timestamp(at) => match part {
            Part::FullYear => i64::from(at.year()),
            Part::Month => i64::from(at.month0()),
            Part::Date => i64::from(at.day()),
            Part::DayOfMonth => i64::from(at.day0()),
            Part::DayOfWeek => i64::from(at.weekday().num_days_from_sunday()),
            Part::DayOfYear => i64::from(at.ordinal0()),
            Part::Hours => i64::from(at.hour()),
            Part::Minutes => i64::from(at.minute()),
            Part::Seconds => i64::from(at.second()),
            Part::Milliseconds => i64::from(at.timestamp_subsec_millis() % 1000),
        },
        Value::Duration(duration) => match part {
            Part::Hours => duration.num_hours(),
            Part::Minutes => duration.num_minutes(),
            Part::Seconds => duration.num_seconds(),
            Part::Milliseconds => i64::from(duration.subsec_millis()),
            _ => return Err(refuse(Function::Part(part), std::slice::from_ref(value))),
        },
        _ => return Err(refuse(Function::Part(part), std::slice::from_ref(value))),
    };
    Ok(Value::Number(Number::Int(number)))
}

fn refuse(function: Function, arguments: &[Value<'_>]) -> Failure {
    no_overload(name(function), &arguments.iter().collect::<Vec<_>>())
}

fn name(function: Function) -> &'static str {
    SIGNATURES
        .iter()
        .find(|signature| signature.function == function)
        .map_or("a function", |signature| signature.name)
}
