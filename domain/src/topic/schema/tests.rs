use jsonschema::options;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn schema(schema: &Value) -> Schema {
    Schema::parse(&schema.to_string()).unwrap_or_else(|error| panic!("{schema}: {error}"))
}

fn errors(schema: &Schema, data: &Value) -> Vec<(String, String)> {
    let errors = schema.check(&data.to_string()).err().unwrap_or_default();
    let told = errors.into_iter().inspect(|error| {
        assert_eq!(error.code, "schema_mismatch");
        assert!(error.message.chars().count() <= MESSAGE_CHARACTERS_MAX);
        assert!(error.field.chars().count() <= MESSAGE_CHARACTERS_MAX);
    });
    told.map(|error| (error.field, error.message)).collect()
}

fn ticket() -> Schema {
    schema(&json!({
        "type": "object",
        "required": ["ticket"],
        "properties": {
            "ticket": {
                "type": "object",
                "required": ["id", "priority"],
                "properties": {
                    "id": {"type": "integer", "minimum": 1},
                    "priority": {"enum": ["low", "high"]},
                },
            },
            "items": {"type": "array", "items": {"properties": {"name": {"type": "string", "maxLength": 3}}}},
        },
        "additionalProperties": false,
    }))
}

#[test]
fn data_that_meet_the_schema_pass() {
    let data = json!({"ticket": {"id": 1.0, "priority": "high"}, "items": [{"name": "abc"}, {}]});
    assert_eq!(errors(&ticket(), &data), []);
}

#[test]
fn every_place_that_does_not_is_named() {
    let data = json!({
        "ticket": {"priority": "urgent"}, "items": [{"name": "a"}, {"name": 5}, {"name": "long"}], "more": 1,
    });
    let mut found = errors(&ticket(), &data);
    found.sort();
    let expected = [
        (
            "data",
            "Additional properties are not allowed ('more' was unexpected)",
        ),
        ("data.items[1].name", "the value is not of type \"string\""),
        (
            "data.items[2].name",
            "the value is longer than 3 characters",
        ),
        ("data.ticket", "\"id\" is a required property"),
        (
            "data.ticket.priority",
            "the value is not one of \"low\" or \"high\"",
        ),
    ];
    let expected = expected.map(|(field, message)| (field.to_owned(), message.to_owned()));
    assert_eq!(found, expected);
    let missing = errors(&ticket(), &json!({}));
    assert_eq!(
        missing,
        [(
            "data".to_owned(),
            "\"ticket\" is a required property".to_owned()
        )]
    );
}

#[test]
fn answers_are_bounded_and_show_no_data() {
    let long = "secret".repeat(1000);
    let key = "k".repeat(5000);
    let strict = schema(&json!({"additionalProperties": {"type": "integer"}}));
    let many: Value = (0..50)
        .map(|n| (format!("{key}{n}"), json!(long)))
        .collect();
    let found = errors(&strict, &many);
    assert_eq!(
        found.len(),
        1,
        "names are cut before they differ: {found:?}"
    );
    let many: Value = (0..50).map(|n| (format!("k{n:02}"), json!(long))).collect();
    let found = errors(&strict, &many);
    assert_eq!(found.len(), ERRORS_MAX);
    assert!(
        found.iter().all(|(_, message)| !message.contains("secret")),
        "{found:?}"
    );
    let closed = schema(&json!({"additionalProperties": false}));
    assert_eq!(errors(&closed, &many).len(), 1);
}

#[test]
fn a_schema_that_is_not_taken_any_more_lets_nothing_pass() {
    assert_eq!(Schema::stored("true").check("{}"), Ok(()));
    let outdated = Schema::stored(r#"{"type":"objekt"}"#);
    let found = outdated.check("{}").unwrap_err();
    assert_eq!((found.len(), found[0].field.as_str()), (1, "data"));
    assert!(found[0].message.contains("put anew"), "{found:?}");
}

#[test]
fn what_cannot_be_read_does_not_meet_a_schema() {
    for data in [r#"{"a":"\ud800"}"#, r#"{"a":1e999}"#] {
        let found = schema(&json!(true)).check(data).unwrap_err();
        assert_eq!((found.len(), found[0].field.as_str()), (1, "data"));
        assert!(
            found[0].message.starts_with("cannot be read: "),
            "{found:?}"
        );
    }
}

#[test]
fn what_is_no_schema_is_refused_with_the_place() {
    for (schema, place, why) in [
        (
            json!(5),
            "its root",
            "5 is not of types \"boolean\", \"object\"",
        ),
        (json!("x"), "its root", "\"x\" is not of types"),
        (
            json!({"type": "objekt"}),
            "/type",
            "must be null, boolean, object,",
        ),
        (
            json!({"properties": {"a": {"minimum": "x"}}}),
            "/properties/a/minimum",
            "\"x\" is not of type \"number\"",
        ),
        (
            json!({"required": "a"}),
            "/required",
            "\"a\" is not of type \"array\"",
        ),
        (json!({"pattern": "("}), "/pattern", "no regular expression"),
        (
            json!({"pattern": "(a)\\1"}),
            "/pattern",
            "no back-references",
        ),
        (json!({"pattern": "^(?!x)"}), "/pattern", "no look-around"),
        (
            json!({"pattern": "(a{1000}){1000}"}),
            "/pattern",
            "too large",
        ),
        (
            json!({"$schema": "https://example.com/own", "type": "object"}),
            "its root",
            "https://example.com/own",
        ),
    ] {
        let error = Schema::parse(&schema.to_string()).unwrap_err();
        let says = error.to_string();
        assert!(
            says.starts_with(&format!("must be a JSON Schema; at {place}: ")),
            "{schema}: {says}"
        );
        assert!(says.contains(why), "{schema}: {says}");
    }
}

/// A schema is data of the platform, not a request to go and look somewhere.
#[test]
fn nothing_is_fetched() {
    for reference in [
        "http://127.0.0.1:9/x.json",
        "https://example.com/x",
        "file:///etc/hostname",
        "other.json",
        "#/nowhere",
    ] {
        let error = Schema::parse(&json!({"$ref": reference}).to_string()).unwrap_err();
        let says = error.to_string();
        assert!(
            says.contains("must be in the schema itself"),
            "{reference}: {says}"
        );
    }
    let own = json!({"$id": "https://example.com/own", "$defs": {"a": {"$anchor": "a", "type": "object"}}, "$ref": "#a"});
    assert_eq!(errors(&schema(&own), &json!({})), []);
}

#[test]
fn size_and_depth_are_bounded() {
    let nested =
        |levels: usize| format!("{}true{}", r#"{"not":"#.repeat(levels), "}".repeat(levels));
    assert!(Schema::parse(&nested(DEPTH_MAX)).is_ok());
    for levels in [DEPTH_MAX + 1, 5000] {
        assert_eq!(Schema::parse(&nested(levels)), Err(InvalidSchema::TooDeep));
    }
    let long = format!(r#"{{"description":"{}"}}"#, "x".repeat(TEXT_BYTES_MAX));
    assert!(matches!(
        Schema::parse(&long),
        Err(InvalidSchema::TooLong(_))
    ));
    assert!(matches!(
        Schema::parse(r#"{"a":"\ud800"}"#),
        Err(InvalidSchema::Unreadable(_))
    ));
}

/// Schemas that refer to themselves, with data to go round in them for ever.
#[test]
fn no_check_takes_for_ever() {
    for circle in [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}]}),
        json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
        json!({"properties": {"c": {"$ref": "#"}}}),
    ] {
        assert_eq!(
            errors(&schema(&circle), &json!({"c": {"c": {}}})),
            [],
            "{circle}"
        );
    }
    let mut deep = json!({"x": 1, "y": 1, "c": 5});
    for _ in 0..120 {
        deep = json!({"c": deep, "x": 1, "y": 1});
    }
    let branch = |key: &str| json!({"type": "object", "required": [key], "properties": {"c": {"$ref": "#"}}});
    for all in ["anyOf", "allOf", "oneOf"] {
        let found = errors(&schema(&json!({ all: [branch("x"), branch("y")] })), &deep);
        assert_eq!(
            found,
            [("data".to_owned(), "must meet the topic's schema".to_owned())],
            "{all}"
        );
    }
    // 2^30 ways to the same place.
    let mut definitions = serde_json::Map::new();
    for level in 0..30 {
        let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
        definitions.insert(format!("d{level}"), json!({"anyOf": [next, next]}));
    }
    definitions.insert("d30".to_owned(), json!({"type": "string"}));
    let bomb = schema(&json!({"$defs": definitions, "$ref": "#/$defs/d0"}));
    let found = errors(&bomb, &json!({}));
    assert_eq!(
        found,
        [(
            "data".to_owned(),
            "takes too long to be checked against the topic's schema".to_owned()
        )]
    );
    // And the next message is checked as if nothing had been.
    assert_eq!(
        errors(&ticket(), &json!({"ticket": {"id": 1, "priority": "low"}})),
        []
    );
}

#[test]
fn the_largest_messages_can_be_checked() {
    let strict = schema(&json!({
        "properties": {"a": {"type": "array", "uniqueItems": true, "items": {
            "type": "object", "required": ["n"], "additionalProperties": false,
            "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 1000000}},
        }}},
    }));
    let list: Vec<Value> = (0..40_000).map(|n| json!({"n": n})).collect();
    assert_eq!(errors(&strict, &json!({"a": list})), []);
    let numbers = schema(
        &json!({"properties": {"a": {"items": {"type": "integer", "minimum": 0, "maximum": 9}}}}),
    );
    assert_eq!(errors(&numbers, &json!({"a": vec![7; 250_000]})), []);
}

fn any_data() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..12).prop_map(Value::from),
        Just(json!(u64::MAX)),
        (-3_i32..9).prop_map(|half| json!(f64::from(half) / 2.0)),
        "[abé]{0,4}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..4).prop_map(|map| json!(map)),
        ]
    });
    prop::collection::btree_map("[abc]", value, 0..4).prop_map(|map| json!(map))
}

fn any_rule() -> impl Strategy<Value = Value> {
    let part = prop::sample::select(vec![
        json!({"type": "string"}),
        json!({"type": "integer"}),
        json!({"type": ["number", "null"]}),
        json!({"type": "array"}),
        json!({"type": "object"}),
        json!({"const": {"a": [1, "b"]}}),
        json!({"const": 1.0}),
        json!({"enum": [null, 1, "ab", [], {"a": 1}]}),
        json!({"minimum": 1.5}),
        json!({"exclusiveMaximum": 8}),
        json!({"multipleOf": 2}),
        json!({"multipleOf": 0.5}),
        json!({"minLength": 2}),
        json!({"maxLength": 1}),
        json!({"pattern": "^a"}),
        json!({"minItems": 2}),
        json!({"maxItems": 1}),
        json!({"uniqueItems": true}),
        json!({"contains": {"type": "integer"}, "maxContains": 2}),
        json!({"required": ["a"]}),
        json!({"minProperties": 1}),
        json!({"maxProperties": 1}),
        json!({"propertyNames": {"pattern": "[ab]"}}),
        json!({"dependentRequired": {"a": ["b"]}}),
        json!(true),
        json!(false),
        json!({"const": u64::MAX}),
        json!({"unevaluatedProperties": false}),
        json!({"additionalProperties": {"type": "integer"}}),
    ]);
    part.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|all| json!({"allOf": all})),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|any| json!({"anyOf": any})),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|one| json!({"oneOf": one})),
            inner.clone().prop_map(|not| json!({"not": not})),
            inner.clone().prop_map(|items| json!({"items": items})),
            (inner.clone(), inner.clone()).prop_map(
                |(a, b)| json!({"properties": {"a": a}, "patternProperties": {"[bc]": b}})
            ),
            (inner.clone(), inner).prop_map(|(a, b)| json!({"if": a, "then": b})),
        ]
    })
}

proptest! {
    /// The data are shown to the validator in a form of our own. It must see the same as in its own.
    #[test]
    fn data_are_judged_as_the_validator_judges_its_own(rule in any_rule(), data in any_data()) {
        let theirs = options().build(&rule).unwrap();
        let ours = schema(&rule);
        prop_assert_eq!(errors(&ours, &data).is_empty(), theirs.is_valid(&data), "{} {}", rule, data);
    }
}
