//! What an expression gives here is what the crate's own interpreter gives, which is tested with the
//! suite of the specification.

use std::{collections::HashMap, sync::LazyLock};

use cel::{Context, Env, objects::Map};
use proptest::prelude::*;

use super::*;

const DATA: &str = r#"{
    "i": 3, "z": 0, "n": -2, "d": 2.5, "s": "ab", "e": "", "u": "é", "t": true, "f": false, "x": null,
    "l": [1, 2, 3], "m": {"a": 1, "b": "x"}, "o": [{"k": "ab", "v": 1}, {"k": "c", "v": 2.5}, {"k": null}],
    "at": "2026-03-24T23:11:25Z"
}"#;

fn to_cel(json: &Json<'_>) -> cel::Value {
    match json {
        Json::Null => cel::Value::Null,
        Json::Bool(bool) => cel::Value::Bool(*bool),
        Json::Number(crate::json::Number::Int(int)) => cel::Value::Int(*int),
        Json::Number(crate::json::Number::Uint(uint)) => cel::Value::UInt(*uint),
        Json::Number(crate::json::Number::Double(double)) => cel::Value::Float(*double),
        Json::Text(text) => cel::Value::String(text.to_string().into()),
        Json::List(list) => cel::Value::List(list.iter().map(to_cel).collect::<Vec<_>>().into()),
        Json::Map(map) => {
            let entries = map.iter().map(|(k, v)| (k.to_string(), to_cel(v)));
            cel::Value::Map(Map::from(entries.collect::<HashMap<_, _>>()))
        }
    }
}

/// What the crate gives: true, false, something else, or an error.
fn by_cel(text: &str) -> Result<Option<bool>, String> {
    static ENV: LazyLock<std::sync::Arc<Env>> = LazyLock::new(|| Env::stdlib().into());
    let mut context = Context::with_env(ENV.clone());
    context.add_variable_from_value("event", "ticket.updated");
    context.add_variable_from_value("data", to_cel(&Json::read(DATA).unwrap()));
    let program = ENV.compile(text).map_err(|error| error.to_string())?;
    match program.execute(&context) {
        Ok(cel::Value::Bool(bool)) => Ok(Some(bool)),
        Ok(_) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn by_us(text: &str) -> Result<Option<bool>, Failure> {
    match of(text, DATA) {
        Ok(bool) => Ok(Some(bool)),
        Err(Failure::NoBool(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Makes expressions of a type, or now and then of another one.
struct Maker {
    state: u64,
}

impl Maker {
    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 20) as usize % limit
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn any(&mut self, depth: usize) -> String {
        match self.below(5) {
            0 => self.bool(depth),
            1 => self.number(depth),
            2 => self.text(depth),
            3 => self.list(depth),
            _ => self
                .one(&[
                    "data",
                    "data.m",
                    "data.x",
                    "null",
                    "data.o[0]",
                    "{'a': 1}",
                    "data.nothing",
                ])
                .to_owned(),
        }
    }

    fn bool(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .one(&[
                    "true",
                    "false",
                    "data.t",
                    "data.f",
                    "has(data.i)",
                    "has(data.q)",
                ])
                .to_owned();
        }
        let below = depth - 1;
        match self.below(16) {
            0 | 1 => format!("({} && {})", self.bool(below), self.bool(below)),
            2 | 3 => format!("({} || {})", self.bool(below), self.bool(below)),
            4 => format!("!{}", self.bool(below)),
            5 => format!(
                "({} ? {} : {})",
                self.bool(below),
                self.bool(below),
                self.bool(below)
            ),
            6 => {
                let operator = self.one(&["==", "!=", "<", "<=", ">", ">="]);
                format!("({} {operator} {})", self.number(below), self.number(below))
            }
            7 => {
                let operator = self.one(&["==", "!=", "<", ">="]);
                format!("({} {operator} {})", self.text(below), self.text(below))
            }
            8 => format!("({} == {})", self.any(below), self.any(below)),
            9 => format!("({} in {})", self.any(below), self.range(below)),
            10 => format!("({} in data.m)", self.text(below)),
            11 => {
                let each = self.one(&["all", "exists", "exists_one"]);
                let range = self.range(below);
                format!("{range}.{each}(y, {})", self.with_variable(below))
            }
            12 => {
                let function = self.one(&["contains", "startsWith", "endsWith"]);
                format!("{}.{function}({})", self.text(below), self.text(below))
            }
            13 => format!(
                "{}.matches({})",
                self.text(below),
                self.one(&["'a'", "'^ab$'", "'[0-9]+'", "''"])
            ),
            14 => {
                let names = [
                    "int",
                    "double",
                    "string",
                    "bool",
                    "list",
                    "map",
                    "null_type",
                ];
                format!("(type({}) == {})", self.any(below), self.one(&names))
            }
            _ => self.any(below),
        }
    }

    /// What can be asked of the elements of a list.
    fn with_variable(&mut self, depth: usize) -> String {
        match self.below(5) {
            0 => format!("y == {}", self.any(depth)),
            1 => format!("y > {}", self.number(depth)),
            2 => format!("y.k == {}", self.text(depth)),
            3 => format!("has(y.v) && {}", self.bool(depth)),
            _ => self.bool(depth),
        }
    }

    fn number(&mut self, depth: usize) -> String {
        match self.below(2) {
            0 => self.whole(depth),
            _ => self.double(depth),
        }
    }

    /// Whole numbers and others are not mixed in sums and products: here they may be, in the crate
    /// they may not.
    fn whole(&mut self, depth: usize) -> String {
        if depth == 0 {
            let leaves = [
                "0",
                "1",
                "-7",
                "3",
                "data.i",
                "data.n",
                "data.z",
                "9223372036854775807",
            ];
            return self.one(&leaves).to_owned();
        }
        let below = depth - 1;
        match self.below(7) {
            0..=3 => {
                let operator = self.one(&["+", "-", "*", "/", "%"]);
                format!("({} {operator} {})", self.whole(below), self.whole(below))
            }
            4 => format!("size({})", self.any(below)),
            5 => format!("int({})", self.any(below)),
            _ => self
                .one(&[
                    "data.l[0]",
                    "data.l[9]",
                    "data.m.a",
                    "data.m.q",
                    "data.s",
                    "-data.i",
                ])
                .to_owned(),
        }
    }

    fn double(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .one(&["0.5", "2.5", "-1e3", "data.d", "data.o[1].v", "-data.d"])
                .to_owned();
        }
        let below = depth - 1;
        match self.below(4) {
            0 => format!("double({})", self.any(below)),
            _ => {
                // What is no number is less than nothing here, and an error in the crate.
                let operator = self.one(&["+", "-", "*", "% 1.0 +", "/ 0.5 +"]);
                format!("({} {operator} {})", self.double(below), self.double(below))
            }
        }
    }

    fn text(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .one(&[
                    "'a'", "'ab'", "''", "'é'", "event", "data.s", "data.e", "data.u", "data.m.b",
                ])
                .to_owned();
        }
        let below = depth - 1;
        match self.below(4) {
            0 => format!(
                "({} + {})",
                self.text(0),
                self.one(&["'é'", "data.s", "data.t", "data.l"])
            ),
            1 => format!("string({})", self.any(below)),
            2 => format!("data.o[{}].k", self.number(below)),
            _ => self.any(below),
        }
    }

    fn list(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .one(&["[]", "[1, 2]", "['ab', 3, null]", "data.l", "data.o"])
                .to_owned();
        }
        let below = depth - 1;
        match self.below(5) {
            0 => format!("[{}, {}]", self.any(below), self.any(below)),
            1 => format!(
                "{}.map(y, {})",
                self.list(below),
                self.one(&["y", "y == 1", "[y]", "y.k"])
            ),
            2 => format!(
                "{}.filter(y, {})",
                self.list(below),
                self.with_variable(below)
            ),
            3 => format!("({} + {})", self.list(below), self.list(below)),
            _ => self.one(&["data.l", "data.o", "data.x"]).to_owned(),
        }
    }

    /// What a macro goes through. (The crate adds a map to a list; the specification does not.)
    fn range(&mut self, depth: usize) -> String {
        match self.below(4) {
            0 => self
                .one(&["data.m", "{'a': 1, 'b': 2}", "data.s"])
                .to_owned(),
            _ => self.list(depth),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn expressions_give_the_same(seed in 1..u64::MAX, depth in 1_usize..5) {
        let text = Maker { state: seed }.bool(depth);
        prop_assume!(text.len() < TEXT_BYTES_MAX && Filter::parse(&text).is_ok());
        let (ours, theirs) = (by_us(&text), by_cel(&text));
        match (&ours, &theirs) {
            (Ok(a), Ok(b)) => prop_assert_eq!(a, b, "{}", text),
            (Err(_), Err(_)) => {}
            _ => prop_assert!(false, "{}: {:?}, not {:?}", text, ours, theirs),
        }
    }
}
