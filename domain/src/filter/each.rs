//! The macros that go through the elements of a list, or the keys of a map.

use super::{
    Failure,
    evaluate::{Evaluation, cost, no_overload},
    expression::{Each, EachKind, Node},
    value::{List, Value},
};

impl<'a> Evaluation<'a> {
    pub(super) fn each(&mut self, each: &'a Each) -> Result<Value<'a>, Failure> {
        let range = self.value(&each.range)?;
        let length = match &range {
            Value::List(list) => list.len(),
            Value::Map(map) => map.len(),
            other => return Err(no_overload(each.kind.as_str(), &[other])),
        };
        let elements = (0..length).filter_map(|index| match &range {
            Value::List(list) => list.get(index),
            Value::Map(map) => map.entry(index).map(|(key, _)| key),
            _ => None,
        });
        match each.kind {
            EachKind::All => self.decide(false, elements, &each.body),
            EachKind::Exists => self.decide(true, elements, &each.body),
            EachKind::ExistsOne => {
                let mut count = 0;
                for element in elements {
                    let truth = self.with(element, |this| this.truth(&each.body, "exists_one"))?;
                    count += usize::from(truth);
                }
                Ok(Value::Bool(count == 1))
            }
            EachKind::Filter | EachKind::Map => self.collect(each, elements),
        }
    }

    /// `all` is decided by false, `exists` by true: then errors before it do not matter.
    fn decide(
        &mut self,
        decisive: bool,
        elements: impl Iterator<Item = Value<'a>>,
        body: &'a Node,
    ) -> Result<Value<'a>, Failure> {
        let operation = if decisive { "exists" } else { "all" };
        let mut failure = None;
        for element in elements {
            match self.with(element, |this| this.truth(body, operation)) {
                Ok(truth) if truth == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(Failure::TooManySteps) => return Err(Failure::TooManySteps),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn collect(
        &mut self,
        each: &'a Each,
        elements: impl Iterator<Item = Value<'a>>,
    ) -> Result<Value<'a>, Failure> {
        let mut made = Vec::new();
        for element in elements {
            let value = self.with(element.clone(), |this| match &each.condition {
                Some(condition) if !this.truth(condition, "map")? => Ok(None),
                _ if each.kind == EachKind::Map => this.value(&each.body).map(Some),
                _ => Ok(this.truth(&each.body, "filter")?.then_some(element)),
            })?;
            if let Some(value) = value {
                self.spend(cost::ELEMENT)?;
                made.push(value);
            }
        }
        Ok(Value::List(List::Made(made.into())))
    }

    /// Does something with one more variable.
    fn with<T>(
        &mut self,
        element: Value<'a>,
        work: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.variables.push(element);
        let result = work(self);
        self.variables.pop();
        result
    }
}
