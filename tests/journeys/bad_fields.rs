//! Every field of a webhook that can be set, with values that it cannot have: the answer names the
//! field, a code, and what is allowed.

use serde_json::{Value, json};

use crate::support::{Answer, App, Receiver};

/// A field, a value, and of the error: its field, its code, and a part of its message.
type Case = (
    &'static str,
    Value,
    &'static str,
    &'static str,
    &'static str,
);

fn case(
    name: &'static str,
    value: impl Into<Value>,
    field: &'static str,
    code: &'static str,
    allowed: &'static str,
) -> Case {
    (name, value.into(), field, code, allowed)
}

/// Cases of a field whose errors name it itself.
fn of(name: &'static str, cases: Vec<(Value, &'static str, &'static str)>) -> Vec<Case> {
    let one = |(value, code, allowed)| (name, value, name, code, allowed);
    cases.into_iter().map(one).collect()
}

fn long(characters: usize) -> Value {
    json!("x".repeat(characters))
}

fn names() -> Vec<Case> {
    let (string, control) = ("must be a string", "must not contain control characters");
    let name = vec![
        (json!(""), "invalid_length", "1 to 200 characters"),
        (long(201), "invalid_length", "1 to 200 characters"),
        (json!("a\nb"), "invalid_characters", control),
        (json!(5), "invalid_type", string),
        (json!(null), "invalid_type", string),
        (json!({}), "invalid_type", string),
    ];
    let description = vec![
        (long(1001), "invalid_length", "0 to 1000 characters"),
        (json!("a\u{0}"), "invalid_characters", control),
        (json!(null), "invalid_type", string),
        (json!(["x"]), "invalid_type", string),
    ];
    [of("name", name), of("description", description)].concat()
}

fn urls() -> Vec<Case> {
    let endless = format!("https://example.com/{}", "x".repeat(2048));
    let refused = [
        ("", "must start with `https://`"),
        ("ftp://example.com/", "must start with `https://`"),
        ("https://", "must name a host"),
        ("https://u:p@example.com/", "use a header"),
        ("https://example.com/a b", "percent-encode"),
        (endless.as_str(), "at most 2048 bytes"),
    ]
    .map(|(url, allowed)| (json!(url), "invalid_url", allowed));
    let unreachable = [
        ("https://10.0.0.1/", "only public addresses"),
        ("https://example.com:25/", "use 443 or another port"),
    ]
    .map(|(url, allowed)| (json!(url), "refused_target", allowed));
    let types = [json!(null), json!(5), json!([])];
    let types = types.map(|value| (value, "invalid_type", "must be a string"));
    let all = refused.into_iter().chain(unreachable).chain(types);
    of("url", all.collect())
}

fn events() -> Vec<Case> {
    let topics = |count| json!(vec!["ticket.created"; count]);
    let many = "at most 100 elements";
    let mut cases = of(
        "events",
        vec![
            (json!([]), "invalid_length", "1 to 100 topics"),
            (topics(101), "invalid_length", many),
            (topics(1000), "invalid_length", many),
            (json!("*"), "invalid_type", many),
            (json!(null), "invalid_type", many),
        ],
    );
    let pattern = "all topics below a prefix (ticket.*) or all topics (*)";
    let nearest = "the nearest known topic is ticket.";
    for (second, code, allowed) in [
        (json!(5), "invalid_type", "must be a string"),
        (json!("Ticket"), "invalid_topic", pattern),
        (json!("tick*"), "invalid_topic", pattern),
        (json!("*.created"), "invalid_topic", pattern),
        (json!("ticket.updatd"), "unknown_topic", nearest),
        (json!("tickets.*"), "unknown_topic", nearest),
    ] {
        cases.push(("events", json!(["*", second]), "events[1]", code, allowed));
    }
    cases
}

fn headers() -> Vec<Case> {
    let object = "must be an object of header names and strings";
    let many: Value = (0..21).map(|n| (format!("X-{n}"), json!("v"))).collect();
    let mut cases = of(
        "headers",
        vec![
            (json!([]), "invalid_type", object),
            (json!(null), "invalid_type", object),
            (many, "invalid_header", "at most 20 headers"),
        ],
    );
    for (headers, allowed) in [
        (json!({"Host": "x"}), "use another name"),
        (json!({"webhook-id": "x"}), "use another name"),
        (json!({"a b": "x"}), "use letters, digits and"),
        (
            json!({"X-A": "a\r\nb"}),
            "must not contain control characters",
        ),
        (json!({"X-A": long(4096)}), "4096 bytes in sum"),
        (
            json!({"X-A": "1", "x-a": "2"}),
            "the same in upper and lower case",
        ),
    ] {
        cases.push(("headers", headers, "headers", "invalid_header", allowed));
    }
    let string = "must be a string";
    cases.push((
        "headers",
        json!({"X-A": 1}),
        "headers.X-A",
        "invalid_type",
        string,
    ));
    cases
}

fn choices() -> Vec<Case> {
    let switches = [json!("true"), json!(1), json!(null)];
    let switches = switches.map(|value| (value, "invalid_type", "must be true or false"));
    let allowed = "must be \"none\" or \"fifo\"";
    let words = ["lifo", "FIFO", ""].map(|word| (json!(word), "invalid_value", allowed));
    let types = [json!(null), json!(1)].map(|value| (value, "invalid_type", allowed));
    let orders = words.into_iter().chain(types).collect();
    [of("is_active", switches.into()), of("ordering", orders)].concat()
}

fn filters() -> Vec<Case> {
    let endless = format!("event == '{}'", "x".repeat(4096));
    let nested = format!("{}true{}", "(".repeat(100), ")".repeat(100));
    let sum = ["1"; 400].join("+");
    let texts = [
        ("", "must be a CEL expression"),
        ("data.", "line 1, column 6: is no CEL expression"),
        ("data.priority = 'high'", "data.priority == \"high\""),
        (
            "priority == 'high'",
            "there are event (the topic, a string) and data",
        ),
        ("data.items.any(i, i.x)", "there are has, all, exists,"),
        ("size() == 1", "size(data.items)"),
        ("event.matches('(')", "no regular expression (RE2"),
        (
            "event.matches(data.x)",
            "must be a string that stands there",
        ),
        (endless.as_str(), "at most 4096 bytes"),
        (nested.as_str(), "nested deeper than 50"),
        (sum.as_str(), "at most 300 operators"),
    ];
    let texts = texts.map(|(text, allowed)| (json!(text), "invalid_filter", allowed));
    let types = [json!(5), json!(true), json!({})];
    let types = types.map(|value| (value, "invalid_type", "must be a string"));
    of("filter", texts.into_iter().chain(types).collect())
}

fn numbers() -> Vec<Case> {
    let (list, wait) = ("at most 50 elements", "from 0 to 604800");
    let mut cases = of(
        "retry_schedule",
        vec![
            (json!("1"), "invalid_type", list),
            (json!(5), "invalid_type", list),
            (json!(vec![1; 51]), "invalid_length", list),
            (json!(vec![1; 500]), "invalid_length", list),
        ],
    );
    for (second, code) in [
        (json!(-1), "out_of_range"),
        (json!(604_801), "out_of_range"),
        (json!(1.5), "invalid_type"),
        (json!("1"), "invalid_type"),
        (json!(null), "invalid_type"),
    ] {
        let waits = json!([1, second]);
        cases.push(("retry_schedule", waits, "retry_schedule[1]", code, wait));
    }
    for (name, too_many, allowed) in [
        ("rate_limit", 10_001, "from 1 to 10000"),
        ("max_in_flight", 1001, "from 1 to 1000"),
        ("timeout_seconds", 31, "from 1 to 30"),
    ] {
        let numbers = [
            json!(0),
            json!(-1),
            json!(too_many),
            json!(u64::MAX),
            json!(1e300),
        ];
        let numbers = numbers.map(|value| (value, "out_of_range", allowed));
        let types = [json!(1.5), json!("5"), json!(true), json!([])];
        let types = types.map(|value| (value, "invalid_type", allowed));
        cases.extend(of(name, numbers.into_iter().chain(types).collect()));
    }
    cases
}

fn strangers() -> Vec<Case> {
    ["version", "secret", "disabled_reason", "id", "Name", ""]
        .map(|name| {
            case(
                name,
                "x",
                name,
                "unknown_field",
                "is no field of this request",
            )
        })
        .into()
}

#[track_caller]
fn assert_refused(answer: Answer, (name, value, field, code, allowed): &Case) {
    let problem = answer.problem(422, "invalid_content");
    let [error] = problem["errors"].as_array().unwrap().as_slice() else {
        panic!("{name}: {value}: not one error: {problem}")
    };
    let found = (error["field"].as_str(), error["code"].as_str());
    assert_eq!(
        found,
        (Some(*field), Some(*code)),
        "{name}: {value}: {problem}"
    );
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(allowed), "{name}: {value}: {message}");
    assert!(message.len() < 1000, "{message}");
}

#[tokio::test]
async fn every_field_says_what_is_allowed() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let api = &tenant.api;
    let all = [
        names(),
        urls(),
        events(),
        headers(),
        choices(),
        filters(),
        numbers(),
        strangers(),
    ];
    for case in all.concat() {
        let (name, value) = (case.0, case.1.clone());
        let mut whole = json!({"name": "x", "url": receiver.url("/x"), "events": ["*"]});
        whole[name] = value.clone();
        assert_refused(api.post("/api/admin/webhooks", whole.clone()).await, &case);
        assert_refused(api.put(&webhook.path(), whole).await, &case);
        assert_refused(
            api.patch(&webhook.path(), json!({ name: value })).await,
            &case,
        );
    }
    let webhooks = api.walk("/api/admin/webhooks", 10).await;
    assert_eq!(webhooks.len(), 1);
    assert_eq!(webhooks[0]["version"], 1, "nothing was changed");
}

#[tokio::test]
async fn what_must_be_given_is_named() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    for name in ["name", "url", "events"] {
        let mut whole = json!({"name": "x", "url": receiver.url("/x"), "events": ["*"]});
        whole.as_object_mut().unwrap().remove(name);
        let case = case(name, Value::Null, name, "missing_field", "must be given");
        let created = tenant.api.post("/api/admin/webhooks", whole.clone()).await;
        assert_refused(created, &case);
        assert_refused(tenant.api.put(&webhook.path(), whole).await, &case);
    }
}

#[tokio::test]
async fn a_rotation_says_what_is_allowed() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let path = format!("{}/secret/rotate", webhook.path());
    let grace = |value: Value, code| {
        (
            "grace_seconds",
            value,
            "grace_seconds",
            code,
            "from 0 to 604800",
        )
    };
    let secret = |text: &str, allowed| case("secret", text, "secret", "invalid_secret", allowed);
    for case in [
        grace(json!(-1), "out_of_range"),
        grace(json!(604_801), "out_of_range"),
        grace(json!(1e300), "out_of_range"),
        grace(json!(0.5), "invalid_type"),
        grace(json!("60"), "invalid_type"),
        grace(Value::Null, "invalid_type"),
        secret("", "starts with `whsec_`"),
        secret("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", "starts with `whsec_`"),
        secret("whsec_", "24 to 64 bytes"),
        secret("whsec_c2hvcnQ=", "24 to 64 bytes"),
        secret(&format!("whsec_{}", "A".repeat(88)), "24 to 64 bytes"),
        secret("whsec_not base64", "standard base64"),
        secret("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI", "standard base64"),
        case("secret", 5, "secret", "invalid_type", "must be a string"),
        case(
            "secret",
            Value::Null,
            "secret",
            "invalid_type",
            "must be a string",
        ),
        case(
            "grace",
            5,
            "grace",
            "unknown_field",
            "is no field of this request",
        ),
    ] {
        let body = json!({ case.0: case.1 });
        assert_refused(tenant.api.post(&path, body).await, &case);
    }
    let shown = tenant.api.get(&format!("{}/secret", webhook.path())).await;
    let shown = shown.expect(200);
    assert_eq!(shown["secret"], webhook.secret, "it is still the first one");
}
