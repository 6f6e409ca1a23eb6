use super::{
    Failure, Kind,
    arithmetic::arithmetic,
    expression::{Binary, Literal, Node, Unary},
    functions,
    value::{Compared, List, Map, Text, Value},
};
use crate::json::{Json, Number};

/// What things cost, in steps. Looking at a node of the expression costs one; what is here comes on
/// top, so that a step takes about the same time and memory whatever is done.
pub(super) mod cost {
    /// Of making one element of a list or one entry of a map.
    pub(in crate::filter) const ELEMENT: u64 = 2;
    /// Of what allocates or is otherwise more work than to look at a value.
    pub(in crate::filter) const WORK: u64 = 4;

    /// Of looking at every byte of a text, or of copying it.
    pub(in crate::filter) fn text(bytes: usize) -> u64 {
        bytes as u64 / 8 + 1
    }

    /// Of comparing texts that have so many bytes in common at most.
    pub(in crate::filter) fn comparison(bytes: usize) -> u64 {
        bytes as u64 / 64
    }

    /// Of looking up a key among so many.
    pub(in crate::filter) fn look_up(entries: usize, key: &str) -> u64 {
        (1 + comparison(key.len())) * (1 + u64::from(entries.max(1).ilog2()))
    }
}

/// An expression under way, with what it may still cost.
pub(super) struct Evaluation<'a> {
    event: &'a str,
    data: &'a Json<'a>,
    /// Those of the macros around, the outermost one's first.
    pub(super) variables: Vec<Value<'a>>,
    steps_left: u64,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(event: &'a str, data: &'a Json<'a>, steps: u64) -> Self {
        Self {
            event,
            data,
            variables: Vec::new(),
            steps_left: steps,
        }
    }

    pub(super) fn steps_left(&self) -> u64 {
        self.steps_left
    }

    /// Pays for something before it is done.
    pub(super) fn spend(&mut self, steps: u64) -> Result<(), Failure> {
        match self.steps_left.checked_sub(steps) {
            Some(left) => {
                self.steps_left = left;
                Ok(())
            }
            None => {
                self.steps_left = 0;
                Err(Failure::TooManySteps)
            }
        }
    }

    /// The value of a node.
    pub(super) fn value(&mut self, node: &'a Node) -> Result<Value<'a>, Failure> {
        self.spend(1)?;
        match node {
            Node::Literal(literal) => Ok(of_literal(literal)),
            Node::Event => Ok(Value::Text(Text::Of(self.event))),
            Node::Data => Ok(Value::of(self.data)),
            Node::Variable { slot, .. } => {
                Ok(self.variables.get(*slot).cloned().unwrap_or(Value::Null))
            }
            Node::Select(operand, field) => match self.field(operand, field)? {
                Some(value) => Ok(value),
                None => {
                    self.spend(cost::WORK)?;
                    Err(Failure::NoSuchKey(path(node)))
                }
            },
            Node::Has(operand, field) => Ok(Value::Bool(self.field(operand, field)?.is_some())),
            Node::Index(operands) => self.index(node, operands),
            Node::List(elements) => self.list(elements),
            Node::Map(entries) => self.map(entries),
            Node::Unary(operator, operand) => self.unary(*operator, operand),
            Node::Binary(operator, operands) => self.binary(*operator, operands),
            Node::Logic { decisive, operands } => self.logic(*decisive, operands),
            Node::Conditional(parts) => {
                let [condition, this, that] = parts.as_ref();
                let is_this = self.truth(condition, "? :")?;
                self.value(if is_this { this } else { that })
            }
            Node::Call(function, arguments) => {
                let arguments = arguments.iter().map(|argument| self.value(argument));
                let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
                functions::call(*function, &arguments, self)
            }
            Node::Matches(text, pattern) => match self.value(text)? {
                Value::Text(text) => {
                    self.spend(cost::WORK + cost::text(text.as_str().len()))?;
                    Ok(Value::Bool(pattern.is_match(text.as_str())))
                }
                other => Err(no_overload("matches", &[&other])),
            },
            Node::Each(each) => self.each(each),
        }
    }

    /// The value of a node that must be true or false.
    pub(super) fn truth(
        &mut self,
        node: &'a Node,
        operation: &'static str,
    ) -> Result<bool, Failure> {
        match self.value(node)? {
            Value::Bool(truth) => Ok(truth),
            other => Err(no_overload(operation, &[&other])),
        }
    }

    fn field(&mut self, operand: &'a Node, field: &'a str) -> Result<Option<Value<'a>>, Failure> {
        match self.value(operand)? {
            Value::Map(map) => self.entry(&map, &Value::Text(Text::Of(field))),
            other => Err(Failure::NoFields {
                path: path(operand),
                kind: other.kind(),
            }),
        }
    }

    fn index(&mut self, node: &'a Node, operands: &'a [Node; 2]) -> Result<Value<'a>, Failure> {
        let (operand, key) = (self.value(&operands[0])?, self.value(&operands[1])?);
        match (&operand, &key) {
            (Value::Map(map), key) if can_be_key(key) => self
                .entry(map, key)?
                .ok_or_else(|| Failure::NoSuchKey(path(node))),
            (Value::List(list), Value::Number(number)) => {
                let Some(index) = whole(*number) else {
                    return Err(no_overload("[ ]", &[&operand, &key]));
                };
                let found = usize::try_from(index).ok().and_then(|at| list.get(at));
                found.ok_or(Failure::OutOfBounds {
                    length: list.len(),
                    index,
                })
            }
            _ => Err(no_overload("[ ]", &[&operand, &key])),
        }
    }

    /// The value of a key in a map.
    fn entry(&mut self, map: &Map<'a>, key: &Value<'a>) -> Result<Option<Value<'a>>, Failure> {
        match map {
            Map::Of(map) => {
                let Value::Text(key) = key else {
                    return Ok(None);
                };
                self.spend(cost::look_up(map.len(), key.as_str()))?;
                Ok(map.get(key.as_str()).map(Value::of))
            }
            Map::Made(entries) => {
                for (known, value) in entries.iter() {
                    if self.are_equal(known, key)? {
                        return Ok(Some(value.clone()));
                    }
                }
                Ok(None)
            }
        }
    }

    fn list(&mut self, elements: &'a [Node]) -> Result<Value<'a>, Failure> {
        self.spend(cost::ELEMENT * elements.len() as u64)?;
        let values = elements.iter().map(|element| self.value(element));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        Ok(Value::List(List::Made(values.into())))
    }

    fn map(&mut self, entries: &'a [(Node, Node)]) -> Result<Value<'a>, Failure> {
        let mut made: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            self.spend(2 * cost::ELEMENT)?;
            let (key, value) = (self.value(key)?, self.value(value)?);
            let mut is_new = can_be_key(&key) && key.kind() != Kind::Double;
            for (known, _) in &made {
                is_new = is_new && !self.are_equal(known, &key)?;
            }
            if !is_new {
                return Err(Failure::Key);
            }
            made.push((key, value));
        }
        Ok(Value::Map(Map::Made(made.into())))
    }

    fn unary(&mut self, operator: Unary, operand: &'a Node) -> Result<Value<'a>, Failure> {
        let value = self.value(operand)?;
        match (operator, &value) {
            (Unary::Not, Value::Bool(bool)) => Ok(Value::Bool(!bool)),
            (Unary::Not, _) => Err(no_overload("!", &[&value])),
            (Unary::Negate, Value::Number(Number::Int(int))) => int
                .checked_neg()
                .map(|int| Value::Number(Number::Int(int)))
                .ok_or(Failure::Overflow("-")),
            (Unary::Negate, Value::Number(Number::Double(double))) => {
                Ok(Value::Number(Number::Double(-double)))
            }
            (Unary::Negate, _) => Err(no_overload("-", &[&value])),
        }
    }

    fn binary(&mut self, operator: Binary, operands: &'a [Node; 2]) -> Result<Value<'a>, Failure> {
        let (a, b) = (self.value(&operands[0])?, self.value(&operands[1])?);
        match operator {
            Binary::Equal => Ok(Value::Bool(self.are_equal(&a, &b)?)),
            Binary::NotEqual => Ok(Value::Bool(!self.are_equal(&a, &b)?)),
            Binary::In => Ok(Value::Bool(self.is_in(&a, &b)?)),
            Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
                if let (Value::Text(a), Value::Text(b)) = (&a, &b) {
                    let bytes = a.as_str().len().min(b.as_str().len());
                    self.spend(cost::comparison(bytes))?;
                }
                let compared = a
                    .compare(&b)
                    .ok_or_else(|| no_overload(operator.as_str(), &[&a, &b]))?;
                Ok(Value::Bool(holds(operator, compared)))
            }
            _ => arithmetic(operator, a, b, self),
        }
    }

    /// Equality between any two values; those of different types are not equal, except for numbers.
    pub(super) fn are_equal(&mut self, a: &Value<'a>, b: &Value<'a>) -> Result<bool, Failure> {
        self.spend(1)?;
        match (a, b) {
            (Value::Null, Value::Null) => Ok(true),
            (Value::Type(a), Value::Type(b)) => Ok(a == b),
            (Value::Text(a), Value::Text(b)) => {
                let (a, b) = (a.as_str(), b.as_str());
                if a.len() != b.len() {
                    return Ok(false);
                }
                self.spend(cost::comparison(a.len()))?;
                Ok(a == b)
            }
            (Value::List(a), Value::List(b)) => {
                let mut are_equal = a.len() == b.len();
                let mut index = 0;
                while let (true, Some(a), Some(b)) = (are_equal, a.get(index), b.get(index)) {
                    are_equal = self.are_equal(&a, &b)?;
                    index += 1;
                }
                Ok(are_equal)
            }
            (Value::Map(a), Value::Map(b)) => {
                let mut are_equal = a.len() == b.len();
                let mut index = 0;
                while let (true, Some((key, value))) = (are_equal, a.entry(index)) {
                    are_equal = match self.entry(b, &key)? {
                        Some(other) => self.are_equal(&value, &other)?,
                        None => false,
                    };
                    index += 1;
                }
                Ok(are_equal)
            }
            _ => Ok(a
                .compare(b)
                .is_some_and(|compared| holds(Binary::Equal, compared))),
        }
    }

    fn is_in(&mut self, value: &Value<'a>, container: &Value<'a>) -> Result<bool, Failure> {
        match container {
            Value::Map(map) if can_be_key(value) => Ok(self.entry(map, value)?.is_some()),
            Value::List(list) => {
                let mut index = 0;
                while let Some(element) = list.get(index) {
                    if self.are_equal(&element, value)? {
                        return Ok(true);
                    }
                    index += 1;
                }
                Ok(false)
            }
            _ => Err(no_overload("in", &[value, container])),
        }
    }

    /// An error on one side does not matter if the other side decides.
    fn logic(&mut self, decisive: bool, operands: &'a [Node; 2]) -> Result<Value<'a>, Failure> {
        let operation = if decisive { "||" } else { "&&" };
        let first = self.truth(&operands[0], operation);
        match first {
            Ok(truth) if truth == decisive => return Ok(Value::Bool(decisive)),
            Err(Failure::TooManySteps) => return Err(Failure::TooManySteps),
            _ => {}
        }
        match self.truth(&operands[1], operation) {
            Ok(truth) if truth == decisive => Ok(Value::Bool(decisive)),
            second => {
                first?;
                second?;
                Ok(Value::Bool(!decisive))
            }
        }
    }
}

fn of_literal(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(bool) => Value::Bool(*bool),
        Literal::Number(number) => Value::Number(*number),
        Literal::Text(text) => Value::Text(Text::Of(text)),
        Literal::Type(kind) => Value::Type(*kind),
    }
}

fn holds(operator: Binary, compared: Compared) -> bool {
    let Compared::Order(order) = compared else {
        return false;
    };
    match operator {
        Binary::Less => order.is_lt(),
        Binary::LessOrEqual => order.is_le(),
        Binary::Greater => order.is_gt(),
        Binary::GreaterOrEqual => order.is_ge(),
        _ => order.is_eq(),
    }
}

/// What can be asked for in a map. (2.0 is 2, so it can be, but not made.)
fn can_be_key(value: &Value<'_>) -> bool {
    matches!(value, Value::Text(_) | Value::Number(_) | Value::Bool(_))
}

/// A number as an index: 1.0 is one, 1.5 is none.
fn whole(number: Number) -> Option<i128> {
    number.whole().or_else(|| {
        let double = number.double();
        (double.fract() == 0.0).then_some(double as i128)
    })
}

pub(super) fn no_overload(operation: &'static str, operands: &[&Value<'_>]) -> Failure {
    Failure::NoOverload {
        operation,
        operands: operands.iter().map(|operand| operand.kind()).collect(),
    }
}

/// How a node is called, for people.
fn path(node: &Node) -> String {
    match node {
        Node::Data => "data".to_owned(),
        Node::Event => "event".to_owned(),
        Node::Variable { name, .. } => name.to_string(),
        Node::Select(operand, field) => format!("{}.{field}", path(operand)),
        Node::Index(operands) => {
            let [operand, key] = operands.as_ref();
            let key = match key {
                Node::Literal(Literal::Text(text)) => format!("{text:?}"),
                Node::Literal(Literal::Number(number)) => number.double().to_string(),
                _ => "…".to_owned(),
            };
            format!("{}[{key}]", path(operand))
        }
        _ => "(…)".to_owned(),
    }
}
