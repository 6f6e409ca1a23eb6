use super::{functions::Function, pattern::Pattern, value::Kind};
use crate::json::Number;

/// An expression, or a part of one, ready to be evaluated.
#[derive(Debug)]
pub(super) enum Node {
    /// A value that stands there.
    Literal(Literal),
    /// The topic.
    Event,
    /// The message's data.
    Data,
    /// The variable of a macro around it.
    Variable {
        /// Its place among the variables, the outermost macro's first.
        slot: usize,
        /// As it is called.
        name: Box<str>,
    },
    /// `operand.field`
    Select(Box<Node>, Box<str>),
    /// `has(operand.field)`
    Has(Box<Node>, Box<str>),
    /// `operand[key]`
    Index(Box<[Node; 2]>),
    /// `[…]`
    List(Vec<Node>),
    /// `{…}`
    Map(Vec<(Node, Node)>),
    /// An operator that takes one value.
    Unary(Unary, Box<Node>),
    /// An operator that takes two and always looks at both.
    Binary(Binary, Box<[Node; 2]>),
    /// `&&` (decided by false) or `||` (decided by true): the second value is looked at only if the
    /// first one does not decide.
    Logic {
        /// The value that decides.
        decisive: bool,
        /// What stands on both sides.
        operands: Box<[Node; 2]>,
    },
    /// `condition ? this : that`
    Conditional(Box<[Node; 3]>),
    /// A function, with the value on which it is called first.
    Call(Function, Vec<Node>),
    /// `text.matches(pattern)`
    Matches(Box<Node>, Pattern),
    /// A macro that goes through a list, or the keys of a map.
    Each(Box<Each>),
}

/// A value that stands in an expression.
#[derive(Debug)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Number(Number),
    Text(Box<str>),
    Type(Kind),
}

/// An operator with one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unary {
    Not,
    Negate,
}

/// An operator with two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Binary {
    /// As it is written.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// A macro over the elements of a list or the keys of a map.
#[derive(Debug)]
pub(super) struct Each {
    /// What it makes of them.
    pub(super) kind: EachKind,
    /// What it goes through.
    pub(super) range: Node,
    /// What is asked of, or made of, each.
    pub(super) body: Node,
    /// Of `map` with three parts: which ones are taken.
    pub(super) condition: Option<Node>,
}

/// What a macro makes of the elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EachKind {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

impl EachKind {
    /// As it is written.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exists => "exists",
            Self::ExistsOne => "exists_one",
            Self::Filter => "filter",
            Self::Map => "map",
        }
    }
}
