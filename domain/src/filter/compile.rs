use cel::common::ast::{
    CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, MapExpr, SourceInfo, operators,
};

use super::{
    DEPTH_MAX, OPERATIONS_MAX, Place, Reason, Refusal, TEXT_BYTES_MAX,
    expression::{Binary, Each, EachKind, Literal, Node, Unary},
    functions::{MACROS, SIGNATURES, Signature},
    pattern::{Pattern, TABLES_BYTES_MAX},
    value::Kind,
};
use crate::json::Number;

/// Reads an expression.
pub(super) fn compile(text: &str) -> Result<Node, Refusal> {
    let whole = |reason| Refusal {
        place: None,
        reason,
    };
    if text.len() > TEXT_BYTES_MAX {
        return Err(whole(Reason::TooLong(text.len())));
    }
    if text.trim().is_empty() {
        return Err(whole(Reason::Empty));
    }
    let operations = operations(text);
    if operations > OPERATIONS_MAX {
        return Err(whole(Reason::TooMany(operations)));
    }
    // Without macros: they are read here, and evaluated without the detour over a general loop.
    let parser = cel::Env::default()
        .with_optional_support(false)
        .parser()
        .max_recursion_depth(DEPTH_MAX as u16)
        .enable_ident_escape_syntax(true);
    let (expression, places) = parser
        .parse_with_source_info(text)
        .map_err(|errors| not_parsed(&errors))?;
    let mut compiler = Compiler {
        text,
        places: &places,
        variables: Vec::new(),
        depth: 0,
        tables_bytes_left: TABLES_BYTES_MAX,
    };
    compiler.node(&expression)
}

/// At least as many as there are operators, selections and calls: those in strings count, too. `&&`
/// and `||` do not, because the parser makes no deep trees of them.
///
/// Of the others it does (`1+1+1+…`), and goes through its trees by recursion, as does whoever drops
/// them. So what could become too deep for a thread's stack is refused before it is parsed.
fn operations(text: &str) -> usize {
    let (mut count, mut is_operator) = (0, false);
    for byte in text.bytes() {
        let was_operator = std::mem::replace(&mut is_operator, b"+-*/%<>=!".contains(&byte));
        count += usize::from(is_operator && !was_operator);
        count += usize::from(b".[({?".contains(&byte));
    }
    count + text.matches("in").count()
}

/// The first of the errors tells most.
fn not_parsed(errors: &cel::ParseErrors) -> Refusal {
    let is_too_deep = |error: &cel::ParseError| error.msg.contains("Recursion limit");
    if errors.errors.iter().any(is_too_deep) {
        return Refusal {
            place: None,
            reason: Reason::TooDeep,
        };
    }
    let Some(first) = errors.errors.first() else {
        return Refusal {
            place: None,
            reason: Reason::Syntax("it cannot be parsed".to_owned()),
        };
    };
    let place = |count: isize| usize::try_from(count).ok().filter(|count| *count > 0);
    Refusal {
        place: place(first.pos.0)
            .zip(place(first.pos.1))
            .map(|(line, column)| Place { line, column }),
        reason: Reason::Syntax(first.msg.replace("Syntax error: ", "")),
    }
}

struct Compiler<'a> {
    text: &'a str,
    places: &'a SourceInfo,
    /// Of the macros around, the outermost first.
    variables: Vec<String>,
    depth: usize,
    tables_bytes_left: usize,
}

impl Compiler<'_> {
    fn refuse<T>(&self, at: &IdedExpr, reason: Reason) -> Result<T, Refusal> {
        Err(Refusal {
            place: self.place(at.id),
            reason,
        })
    }

    fn place(&self, id: u64) -> Option<Place> {
        let (start, _) = self.places.offset_for(id)?;
        let before = self.text.get(..usize::try_from(start).ok()?)?;
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Some(Place { line, column })
    }

    fn node(&mut self, expression: &IdedExpr) -> Result<Node, Refusal> {
        if self.depth == DEPTH_MAX {
            return self.refuse(expression, Reason::TooDeep);
        }
        self.depth += 1;
        let node = match &expression.expr {
            Expr::Literal(literal) => self.literal(expression, literal),
            Expr::Ident(name) => self.name(expression, name),
            Expr::Select(select) => Ok(Node::Select(
                self.boxed(&select.operand)?,
                select.field.as_str().into(),
            )),
            Expr::Call(call) => self.call(expression, call),
            Expr::List(list) => self.nodes(&list.elements).map(Node::List),
            Expr::Map(map) => self.map(map),
            Expr::Struct(_) => self.refuse(expression, Reason::NotInJson("a message type")),
            // Only macros make the one and errors the other, and there are neither.
            Expr::Comprehension(_) | Expr::Unspecified => {
                self.refuse(expression, Reason::Syntax("it cannot be parsed".to_owned()))
            }
        };
        self.depth -= 1;
        node
    }

    fn boxed(&mut self, expression: &IdedExpr) -> Result<Box<Node>, Refusal> {
        self.node(expression).map(Box::new)
    }

    fn pair(&mut self, a: &IdedExpr, b: &IdedExpr) -> Result<Box<[Node; 2]>, Refusal> {
        Ok(Box::new([self.node(a)?, self.node(b)?]))
    }

    fn nodes(&mut self, expressions: &[IdedExpr]) -> Result<Vec<Node>, Refusal> {
        expressions.iter().map(|one| self.node(one)).collect()
    }

    fn literal(&self, at: &IdedExpr, literal: &LiteralValue) -> Result<Node, Refusal> {
        Ok(Node::Literal(match literal {
            LiteralValue::Null => Literal::Null,
            LiteralValue::Boolean(bool) => Literal::Bool(*bool.inner()),
            LiteralValue::Int(int) => Literal::Number(Number::Int(*int.inner())),
            LiteralValue::UInt(uint) => Literal::Number(Number::Uint(*uint.inner())),
            LiteralValue::Double(double) => Literal::Number(Number::Double(*double.inner())),
            LiteralValue::String(text) => Literal::Text(text.inner().into()),
            LiteralValue::Bytes(_) => return self.refuse(at, Reason::NotInJson("bytes")),
        }))
    }

    fn name(&self, at: &IdedExpr, name: &str) -> Result<Node, Refusal> {
        if let Some(slot) = self.variables.iter().rposition(|known| known == name) {
            let name = name.into();
            return Ok(Node::Variable { slot, name });
        }
        // With a dot before it a name is not that of a macro's variable.
        let name = name.strip_prefix('.').unwrap_or(name);
        let is_type = |kind: &&Kind| kind.as_str() == name;
        match (name, Kind::NAMED.iter().find(is_type)) {
            ("event", _) => Ok(Node::Event),
            ("data", _) => Ok(Node::Data),
            (_, Some(kind)) => Ok(Node::Literal(Literal::Type(*kind))),
            (_, None) => self.refuse(at, Reason::UnknownVariable(name.to_owned())),
        }
    }

    fn map(&mut self, map: &MapExpr) -> Result<Node, Refusal> {
        let mut entries = Vec::with_capacity(map.entries.len());
        for entry in &map.entries {
            if let EntryExpr::MapEntry(entry) = &entry.expr {
                entries.push((self.node(&entry.key)?, self.node(&entry.value)?));
            }
        }
        Ok(Node::Map(entries))
    }

    fn call(&mut self, at: &IdedExpr, call: &CallExpr) -> Result<Node, Refusal> {
        if call.target.is_none()
            && let Some(node) = self.operator(call)?
        {
            return Ok(node);
        }
        let name = call.func_name.as_str();
        if let Some((name, usage)) = MACROS.iter().find(|(known, _)| *known == name) {
            return match self.each_or_has(name, call)? {
                Some(node) => Ok(node),
                None => self.refuse(at, Reason::WrongCall { name, usage }),
            };
        }
        let same_name = |signature: &&Signature| signature.name == name;
        let fits = |signature: &&Signature| {
            signature.is_member == call.target.is_some() && signature.arguments == call.args.len()
        };
        let mut found = SIGNATURES.iter().filter(same_name);
        let Some(first) = found.clone().next() else {
            return self.refuse(at, Reason::UnknownFunction(name.to_owned()));
        };
        let Some(signature) = found.find(fits) else {
            let (name, usage) = (first.name, first.usage);
            return self.refuse(at, Reason::WrongCall { name, usage });
        };
        let mut arguments = Vec::with_capacity(2);
        if let Some(target) = &call.target {
            arguments.push(self.node(target)?);
        }
        arguments.extend(self.nodes(&call.args)?);
        Ok(Node::Call(signature.function, arguments))
    }

    /// Operators are calls of functions with names that nobody can write.
    fn operator(&mut self, call: &CallExpr) -> Result<Option<Node>, Refusal> {
        let name = call.func_name.as_str();
        Ok(Some(match call.args.as_slice() {
            [operand] => match name {
                operators::LOGICAL_NOT => Node::Unary(Unary::Not, self.boxed(operand)?),
                operators::NEGATE => Node::Unary(Unary::Negate, self.boxed(operand)?),
                _ => return Ok(None),
            },
            [a, b] => match name {
                operators::LOGICAL_AND | operators::LOGICAL_OR => Node::Logic {
                    decisive: name == operators::LOGICAL_OR,
                    operands: self.pair(a, b)?,
                },
                operators::INDEX => Node::Index(self.pair(a, b)?),
                _ => match binary(name) {
                    Some(operator) => Node::Binary(operator, self.pair(a, b)?),
                    None => return Ok(None),
                },
            },
            [condition, this, that] if name == operators::CONDITIONAL => {
                let parts = [self.node(condition)?, self.node(this)?, self.node(that)?];
                Node::Conditional(Box::new(parts))
            }
            _ => return Ok(None),
        }))
    }

    /// What is written like a function and is none; nothing if it is written otherwise than it can
    /// be.
    fn each_or_has(&mut self, name: &str, call: &CallExpr) -> Result<Option<Node>, Refusal> {
        let (kind, target) = match (name, call.target.as_deref(), call.args.as_slice()) {
            ("has", None, [one]) => return self.has(one),
            ("matches", Some(text), [pattern]) | ("matches", None, [text, pattern]) => {
                return self.matches(text, pattern).map(Some);
            }
            ("all", Some(target), [_, _]) => (EachKind::All, target),
            ("exists", Some(target), [_, _]) => (EachKind::Exists, target),
            ("exists_one" | "existsOne", Some(target), [_, _]) => (EachKind::ExistsOne, target),
            ("filter", Some(target), [_, _]) => (EachKind::Filter, target),
            ("map", Some(target), [_, _] | [_, _, _]) => (EachKind::Map, target),
            _ => return Ok(None),
        };
        let [variable, parts @ ..] = call.args.as_slice() else {
            return Ok(None);
        };
        let range = self.node(target)?;
        let Expr::Ident(name) = &variable.expr else {
            return self.refuse(variable, Reason::NoName);
        };
        if name.starts_with('.') {
            return self.refuse(variable, Reason::NoName);
        }
        self.variables.push(name.clone());
        let nodes = self.nodes(parts);
        self.variables.pop();
        let mut nodes = nodes?;
        let Some(body) = nodes.pop() else {
            return Ok(None);
        };
        Ok(Some(Node::Each(Box::new(Each {
            kind,
            range,
            body,
            condition: nodes.pop(),
        }))))
    }

    fn has(&mut self, argument: &IdedExpr) -> Result<Option<Node>, Refusal> {
        match &argument.expr {
            Expr::Select(select) => Ok(Some(Node::Has(
                self.boxed(&select.operand)?,
                select.field.as_str().into(),
            ))),
            _ => Ok(None),
        }
    }

    fn matches(&mut self, text: &IdedExpr, pattern: &IdedExpr) -> Result<Node, Refusal> {
        let text = self.boxed(text)?;
        let Expr::Literal(LiteralValue::String(literal)) = &pattern.expr else {
            return self.refuse(pattern, Reason::PatternNotLiteral);
        };
        match Pattern::parse(literal.inner(), self.tables_bytes_left) {
            Ok(made) => {
                self.tables_bytes_left = self.tables_bytes_left.saturating_sub(made.bytes());
                Ok(Node::Matches(text, made))
            }
            Err(reason) => self.refuse(pattern, reason),
        }
    }
}

fn binary(name: &str) -> Option<Binary> {
    Some(match name {
        operators::EQUALS => Binary::Equal,
        operators::NOT_EQUALS => Binary::NotEqual,
        operators::LESS => Binary::Less,
        operators::LESS_EQUALS => Binary::LessOrEqual,
        operators::GREATER => Binary::Greater,
        operators::GREATER_EQUALS => Binary::GreaterOrEqual,
        operators::IN => Binary::In,
        operators::ADD => Binary::Add,
        operators::SUBSTRACT => Binary::Subtract,
        operators::MULTIPLY => Binary::Multiply,
        operators::DIVIDE => Binary::Divide,
        operators::MODULO => Binary::Remainder,
        _ => return None,
    })
}
