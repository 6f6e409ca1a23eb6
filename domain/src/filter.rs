//! Filters: [CEL](https://cel.dev) expressions by which a webhook chooses among the messages of its
//! topics.
//!
//! Whoever may configure a webhook may write any expression, and its messages may have any data. So
//! the grammar is that of the crate `cel`, but an expression is evaluated here, step by counted
//! step: see the decision `docs/decisions/0011-filters-are-metered.md`.

mod arithmetic;
mod compile;
mod each;
mod error;
mod evaluate;
mod expression;
mod functions;
mod pattern;
mod time;
mod value;

pub use error::{Failure, Place, Reason, Refusal};
pub use value::Kind;

use crate::{json::Json, topic::Topic};
use evaluate::Evaluation;
use expression::Node;
use value::Value;

/// The longest expression, in bytes.
pub const TEXT_BYTES_MAX: usize = 4096;
/// How deep an expression may be nested. (`&&` and `||` do not nest, however many there are.)
pub const DEPTH_MAX: usize = 50;
/// The most operators, selections and calls of an expression, besides `&&` and `||`.
pub const OPERATIONS_MAX: usize = 300;
/// The most steps of one evaluation. A step is about one operation on one value, or the look at
/// some bytes of a text; see `evaluate::cost`.
pub const STEPS_MAX: u64 = 400_000;
/// The most steps of all filters that are asked about one message.
pub const MESSAGE_STEPS_MAX: u64 = 10 * STEPS_MAX;

/// An expression that gives true for the messages that a webhook wants.
#[derive(Debug)]
pub struct Filter {
    root: Node,
}

/// The steps that are left for a message.
#[derive(Debug, Clone)]
pub struct Steps(u64);

impl Default for Steps {
    fn default() -> Self {
        Self(MESSAGE_STEPS_MAX)
    }
}

impl Steps {
    /// How many are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.0
    }
}

impl Filter {
    /// Reads an expression. Everything that can be told without a message is told here: whether it
    /// can be parsed, and whether all that it names exists.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let root = compile::compile(text)?;
        Ok(Self { root })
    }

    /// Whether a message matches. What it takes is subtracted from `steps`.
    ///
    /// Fails where the expression does (a field that is not there, types that do not fit), where it
    /// gives neither true nor false, and where it takes too many steps.
    pub fn matches(
        &self,
        topic: &Topic,
        data: &Json<'_>,
        steps: &mut Steps,
    ) -> Result<bool, Failure> {
        let allowed = steps.0.min(STEPS_MAX);
        let mut evaluation = Evaluation::new(topic.as_str(), data, allowed);
        let result = evaluation.value(&self.root);
        steps.0 -= allowed - evaluation.steps_left();
        match result? {
            Value::Bool(is_match) => Ok(is_match),
            other => Err(Failure::NoBool(other.kind())),
        }
    }
}

#[cfg(test)]
mod tests;
