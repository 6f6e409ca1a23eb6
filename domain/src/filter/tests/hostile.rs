//! Expressions and data of people who mean harm.

use proptest::prelude::*;

use super::*;

fn numbers(count: usize) -> String {
    let list: Vec<String> = (0..count).map(|n| n.to_string()).collect();
    format!(r#"{{"a":[{}]}}"#, list.join(","))
}

/// As many as fit into the largest message.
fn items(count: usize) -> String {
    let list: Vec<String> = (0..count).map(|n| format!(r#"{{"sku":"{n}"}}"#)).collect();
    format!(r#"{{"items":[{}]}}"#, list.join(","))
}

#[test]
fn what_takes_too_long_is_given_up() {
    let long = format!(r#"{{"a":"{}"}}"#, "ab".repeat(250_000));
    let doubling = "[1,2].map(a, [1,2].map(b, [1,2].map(c, [1,2].map(d, [1,2].map(e, [1,2].map(f, [1,2].map(g, [1,2].map(h, [1,2].map(i, [1,2].map(j, [1,2].map(k, [1,2].map(l, [1,2].map(m, [1,2].map(n, [1,2].map(o, [1,2].map(p, [1,2].map(q, [1,2].map(r, [1,2].map(s, [1,2].map(t, 1)))))))))))))))))))) == []";
    for (text, data) in [
        (
            "data.a.all(x, data.a.all(y, data.a.all(z, x < 1000000)))",
            &numbers(1000),
        ),
        (
            "data.a.map(x, data.a) == data.a.map(x, data.a + data.a)",
            &numbers(50_000),
        ),
        (
            "data.a.exists(x, x in data.a.filter(y, y > x))",
            &numbers(50_000),
        ),
        (doubling, &numbers(1)),
        (
            "[1,2,3,4,5,6,7,8].map(x, data.a + data.a + data.a + data.a) == []",
            &long,
        ),
        (
            "[data.a].map(a, a+a).map(a, a+a).map(a, a+a).map(a, a+a).map(a, a+a) == []",
            &long,
        ),
        (
            "[1,2,3,4,5,6,7,8,9,10].all(x, data.a.matches('^(a|b|ab)*$') && size(data.a) > 1)",
            &long,
        ),
        (
            "[1,2,3,4,5,6,7,8,9,10].all(x, !data.a.contains('bbb') && data.a.upperAscii() != '')",
            &long,
        ),
        (
            "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20].map(x, [1,2,3,4,5,6,7,8,9,10].all(y, data.a == data.a)).all(x, [1,2,3,4,5,6,7,8,9,10].all(y, data.a == data.a + ''))",
            &long,
        ),
        // Nothing that gives an answer without it hides it.
        (
            "data.a.all(x, data.a.all(y, data.a.all(z, x >= 0))) || true",
            &numbers(1000),
        ),
        (
            "data.a.exists(x, data.a.all(y, data.a.all(z, z >= 0 && y >= 0)) && false) || event != ''",
            &numbers(1000),
        ),
    ] {
        assert_eq!(of(text, data), Err(Failure::TooManySteps), "{text}");
    }
}

#[test]
fn the_largest_messages_can_be_searched() {
    let data = items(32_000);
    assert!(data.len() > 500_000);
    assert_eq!(
        of("data.items.exists(i, i.sku == 'none')", &data),
        Ok(false)
    );
    assert_eq!(
        of("data.items.exists(i, i.sku == '31999')", &data),
        Ok(true)
    );
    assert_eq!(
        of("data.items.all(i, i.sku.matches('^[0-9]+$'))", &data),
        Ok(true)
    );
    assert_eq!(
        of("size(data.items.filter(i, i.sku == '7')) == 1", &data),
        Ok(true)
    );
    let data = numbers(70_000);
    assert_eq!(of("data.a.exists(x, x == 69999)", &data), Ok(true));
    assert_eq!(of("69999 in data.a && data.a[69999] > 5", &data), Ok(true));
    let long = format!(r#"{{"a":"{}"}}"#, "ab".repeat(250_000));
    assert_eq!(
        of("data.a.contains('c') || data.a.matches('c$')", &long),
        Ok(false)
    );
}

/// Parts of expressions, valid or not.
const TOKENS: &[&str] = &[
    "data",
    "event",
    "data.a",
    "data.b.c",
    "x",
    "y",
    "in",
    "true",
    "false",
    "null",
    "0",
    "1",
    "7u",
    "-1",
    "1.5",
    "9223372036854775807",
    "-9223372036854775808",
    "'s'",
    "'é'",
    "r'\\d'",
    "'''a'''",
    "'",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    ":",
    "?",
    "&&",
    "||",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "has(",
    "has(data.a)",
    ".all(x,",
    ".exists(x,",
    ".map(y,",
    ".exists_one(x,",
    ".filter(x,",
    ".map(x, true,",
    "size(",
    "int(",
    "string(",
    "type(",
    "timestamp(",
    "duration(",
    ".matches('a')",
    ".contains('a')",
    ".startsWith(",
    ".a",
    "[0]",
    "`a-b`",
    "//",
    "\n",
    "é",
    "\u{1f600}",
    "\0",
    "@",
    "#",
    "b'x'",
    "a{",
    "data.a.map(x, x)",
    "[1, 2, 3]",
    "{'a': 1}",
    "timestamp('2026-01-01T00:00:00Z')",
    "duration('1h')",
];

fn any_text() -> impl Strategy<Value = String> {
    let token = prop::sample::select(TOKENS);
    prop_oneof![
        4 => prop::collection::vec(token, 1..30).prop_map(|tokens| tokens.concat()),
        1 => prop::collection::vec(prop::sample::select(TOKENS), 1..30).prop_map(|tokens| tokens.join(" ")),
        1 => ".{0,60}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever the text and the data are, there is an answer, and it is bounded.
    #[test]
    fn no_text_does_harm(text in any_text(), a in "[0-9a]{0,4}", n in any::<i64>()) {
        let data = format!(r#"{{"a":"{a}","b":{{"c":[{n},null,1.5,{{"a":true}}]}}}}"#);
        match Filter::parse(&text) {
            Ok(filter) => {
                let data = Json::read(&data).unwrap();
                let mut steps = Steps::default();
                let result = filter.matches(&"ticket.updated".parse().unwrap(), &data, &mut steps);
                prop_assert!(steps.left() >= MESSAGE_STEPS_MAX - STEPS_MAX);
                if let Err(failure) = result {
                    prop_assert!(failure.detail().chars().count() <= 200);
                }
            }
            Err(refusal) => {
                let says = refusal.to_string();
                prop_assert!(says.chars().count() < 900, "{}", says);
            }
        }
    }
}
