use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn data(text: &str) -> Json<'_> {
    Json::read(text).unwrap()
}

/// The field `x` of the data.
fn x(text: &str) -> Json<'_> {
    match data(text) {
        Json::Map(map) => map.get("x").unwrap().clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_kinds_of_values_are_read() {
    let text = r#"{"n":null,"b":true,"i":-1,"u":18446744073709551615,"d":1.5,"t":"ab","e":"a\nb","l":[1,[]],"m":{}}"#;
    let Json::Map(map) = data(text) else {
        panic!("no map")
    };
    assert_eq!(map.get("n"), Some(&Json::Null));
    assert_eq!(map.get("b"), Some(&Json::Bool(true)));
    assert_eq!(map.get("i"), Some(&Json::Number(Number::Int(-1))));
    assert_eq!(map.get("u"), Some(&Json::Number(Number::Uint(u64::MAX))));
    assert_eq!(map.get("d"), Some(&Json::Number(Number::Double(1.5))));
    assert!(matches!(
        map.get("t"),
        Some(Json::Text(Cow::Borrowed("ab")))
    ));
    assert_eq!(map.get("e"), Some(&Json::Text("a\nb".into())));
    assert!(matches!(map.get("l"), Some(Json::List(list)) if list.len() == 2));
    assert!(matches!(map.get("m"), Some(Json::Map(map)) if map.is_empty()));
    assert_eq!(map.get("z"), None);
    assert_eq!(map.len(), 9);
}

/// A message of half a megabyte must not become one of fifty.
#[test]
fn a_value_is_small() {
    assert_eq!(size_of::<Json<'_>>(), 24);
}

#[test]
fn of_a_repeated_key_the_last_value_counts() {
    assert_eq!(
        x(r#"{"x":1,"x":2,"y":0,"x":3}"#),
        Json::Number(Number::Int(3))
    );
    assert_eq!(x(r#"{"x":{"x":1,"x":2}}"#), x(r#"{"x":{"x":2}}"#));
}

#[test]
fn data_may_be_nested_128_levels_deep() {
    let nested = |levels: usize| {
        format!(
            r#"{{"a":{}{}}}"#,
            "[".repeat(levels - 1),
            "]".repeat(levels - 1)
        )
    };
    assert!(Json::read(&nested(128)).is_ok());
    assert!(Json::read(&nested(129)).is_err());
}

#[test]
fn what_stands_for_nothing_is_refused() {
    for text in [
        r#"{"a":"\ud800"}"#,
        r#"{"\ud800":1}"#,
        r#"{"a":1e999}"#,
        "[]",
        "5",
        "{",
        "",
    ] {
        let error = Json::read(text).unwrap_err();
        assert!(error.to_string().starts_with("cannot be read: "), "{error}");
    }
}

#[test]
fn numbers_are_compared_by_value() {
    let order = |a: Number, b: Number| a.compare(b);
    let (int, uint, double) = (Number::Int, Number::Uint, Number::Double);
    assert_eq!(order(int(1), double(1.0)), Some(Ordering::Equal));
    assert_eq!(order(int(-1), uint(u64::MAX)), Some(Ordering::Less));
    assert_eq!(order(double(1.5), int(1)), Some(Ordering::Greater));
    assert_eq!(order(double(-1.5), int(-1)), Some(Ordering::Less));
    assert_eq!(order(int(0), double(f64::NAN)), None);
    assert_eq!(
        order(int(i64::MAX), double(f64::INFINITY)),
        Some(Ordering::Less)
    );
    assert_eq!(
        order(int(i64::MIN), double(f64::NEG_INFINITY)),
        Some(Ordering::Greater)
    );
    // 2^53 + 1 has no floating-point number of its own.
    let above = 9_007_199_254_740_993;
    assert_eq!(
        order(int(above), double(9_007_199_254_740_992.0)),
        Some(Ordering::Greater)
    );
    assert_eq!(order(double(-0.0), int(0)), Some(Ordering::Equal));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        (-3_i32..3).prop_map(|half| Value::from(f64::from(half) / 2.0)),
        "[ab\"\\\\é]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Equality by value, written down plainly.
fn are_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| are_equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = |(key, a): (&String, &Value)| b.get(key).is_some_and(|b| are_equal(a, b));
            a.len() == b.len() && a.iter().all(same)
        }
        (a, b) => a == b,
    }
}

proptest! {
    #[test]
    fn the_order_knows_what_is_equal(a in any_json(), b in any_json(), c in any_json()) {
        let texts = [&a, &b, &c].map(|value| format!(r#"{{"x":{value}}}"#));
        let [p, q, r] = [x(&texts[0]), x(&texts[1]), x(&texts[2])];
        prop_assert_eq!(p.order(&q).is_eq(), are_equal(&a, &b));
        prop_assert_eq!(p.order(&p), Ordering::Equal);
        prop_assert_eq!(p.order(&q), q.order(&p).reverse());
        if p.order(&q).is_le() && q.order(&r).is_le() {
            prop_assert!(p.order(&r).is_le());
        }
    }
}
