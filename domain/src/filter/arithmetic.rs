use chrono::TimeDelta;

use super::{
    Failure,
    evaluate::{Evaluation, cost, no_overload},
    expression::Binary,
    time,
    value::{List, Text, Value},
};
use crate::json::Number;

/// `+ - * / %`
pub(super) fn arithmetic<'a>(
    operator: Binary,
    a: Value<'a>,
    b: Value<'a>,
    evaluation: &mut Evaluation<'a>,
) -> Result<Value<'a>, Failure> {
    let name = operator.as_str();
    let overflow = || Failure::Overflow(name);
    match (operator, &a, &b) {
        (_, Value::Number(x), Value::Number(y)) => match numbers(operator, *x, *y)? {
            Some(number) => Ok(Value::Number(number)),
            None => Err(no_overload(name, &[&a, &b])),
        },
        (Binary::Add, Value::Text(a), Value::Text(b)) => {
            let (a, b) = (a.as_str(), b.as_str());
            evaluation.spend(cost::WORK + cost::text(a.len() + b.len()))?;
            Ok(Value::Text(Text::Made([a, b].concat().into())))
        }
        (Binary::Add, Value::List(a), Value::List(b)) => {
            let length = a.len() + b.len();
            evaluation.spend(cost::ELEMENT * length as u64)?;
            let elements = (0..length).filter_map(|index| match index.checked_sub(a.len()) {
                Some(index) => b.get(index),
                None => a.get(index),
            });
            Ok(Value::List(List::Made(elements.collect())))
        }
        (Binary::Add, Value::Timestamp(at), Value::Duration(by))
        | (Binary::Add, Value::Duration(by), Value::Timestamp(at)) => time::add(*at, *by)
            .map(Value::Timestamp)
            .ok_or_else(overflow),
        (Binary::Subtract, Value::Timestamp(at), Value::Duration(by)) => time::add(*at, -*by)
            .map(Value::Timestamp)
            .ok_or_else(overflow),
        (Binary::Subtract, Value::Timestamp(a), Value::Timestamp(b)) => {
            Ok(Value::Duration(a.signed_duration_since(b)))
        }
        (Binary::Add, Value::Duration(a), Value::Duration(b)) => duration(*a, *b, name),
        (Binary::Subtract, Value::Duration(a), Value::Duration(b)) => duration(*a, -*b, name),
        _ => Err(no_overload(name, &[&a, &b])),
    }
}

fn duration<'a>(a: TimeDelta, b: TimeDelta, name: &'static str) -> Result<Value<'a>, Failure> {
    time::sum(a, b)
        .map(Value::Duration)
        .ok_or(Failure::Overflow(name))
}

/// Whole numbers stay whole and must fit; with a floating-point one it is floating-point. JSON does
/// not tell 10 from 10.0, so they may be mixed, other than in CEL elsewhere.
fn numbers(operator: Binary, a: Number, b: Number) -> Result<Option<Number>, Failure> {
    let name = operator.as_str();
    let (Some(x), Some(y)) = (a.whole(), b.whole()) else {
        let (x, y) = (a.double(), b.double());
        return Ok(match operator {
            Binary::Add => Some(Number::Double(x + y)),
            Binary::Subtract => Some(Number::Double(x - y)),
            Binary::Multiply => Some(Number::Double(x * y)),
            Binary::Divide => Some(Number::Double(x / y)),
            _ => None,
        });
    };
    let result = match operator {
        Binary::Add => x + y,
        Binary::Subtract => x - y,
        Binary::Multiply => x.checked_mul(y).ok_or(Failure::Overflow(name))?,
        Binary::Divide if y == 0 => return Err(Failure::ByZero("division")),
        Binary::Divide => x / y,
        Binary::Remainder if y == 0 => return Err(Failure::ByZero("remainder")),
        Binary::Remainder => x % y,
        _ => return Ok(None),
    };
    let int = || i64::try_from(result).map(Number::Int).ok();
    let uint = || u64::try_from(result).map(Number::Uint).ok();
    let fitting = match (a, b) {
        (Number::Int(_), Number::Int(_)) => int(),
        (Number::Uint(_), Number::Uint(_)) => uint(),
        _ => int().or_else(uint),
    };
    fitting.map(Some).ok_or(Failure::Overflow(name))
}
