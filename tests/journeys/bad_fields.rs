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

fn texts() -> Vec<Case> {
    let long = |characters| "x".repeat(characters);
    vec![
        case("name", "", "name", "invalid_length", "1 to 200 characters"),
        case(
            "name",
            long(201),
            "name",
            "invalid_length",
            "1 to 200 characters",
        ),
        case(
            "name",
            "a\nb",
            "name",
            "invalid_characters",
            "must not contain control characters",
        ),
        case("name", 5, "name", "invalid_type", "must be a string"),
        case(
            "name",
            Value::Null,
            "name",
            "invalid_type",
            "must be a string",
        ),
        case(
            "name",
            json!({}),
            "name",
            "invalid_type",
            "must be a string",
        ),
        case(
            "description",
            long(1001),
            "description",
            "invalid_length",
            "0 to 1000 characters",
        ),
        case(
            "description",
            "a\u{0}",
            "description",
            "invalid_characters",
            "must not contain control characters",
        ),
        case(
            "description",
            Value::Null,
            "description",
            "invalid_type",
            "must be a string",
        ),
        case(
            "description",
            json!(["x"]),
            "description",
            "invalid_type",
            "must be a string",
        ),
        case(
            "url",
            "",
            "url",
            "invalid_url",
            "must start with `https://`",
        ),
        case(
            "url",
            "ftp://example.com/",
            "url",
            "invalid_url",
            "must start with `https://`",
        ),
        case("url", "https://", "url", "invalid_url", "must name a host"),
        case(
            "url",
            "https://u:p@example.com/",
            "url",
            "invalid_url",
            "use a header",
        ),
        case(
            "url",
            "https://example.com/a b",
            "url",
            "invalid_url",
            "percent-encode",
        ),
        case(
            "url",
            format!("https://example.com/{}", long(2048)),
            "url",
            "invalid_url",
            "at most 2048 bytes",
        ),
        case(
            "url",
            "https://localhost/",
            "url",
            "refused_target",
            "must be a public DNS name",
        ),
        case(
            "url",
            "https://10.0.0.1/",
            "url",
            "refused_target",
            "only public addresses",
        ),
        case(
            "url",
            "https://example.com:25/",
            "url",
            "refused_target",
            "use 443 or another port",
        ),
        case(
            "url",
            Value::Null,
            "url",
            "invalid_type",
            "must be a string",
        ),
        case("url", 5, "url", "invalid_type", "must be a string"),
    ]
}

fn choices() -> Vec<Case> {
    let topics = |count| vec!["ticket.created"; count];
    let pattern = "all topics below a prefix (ticket.*) or all topics (*)";
    vec![
        case(
            "events",
            json!([]),
            "events",
            "invalid_length",
            "1 to 100 topics",
        ),
        case(
            "events",
            topics(101),
            "events",
            "invalid_length",
            "at most 100 elements, has 101",
        ),
        case(
            "events",
            topics(1000),
            "events",
            "invalid_length",
            "at most 100 elements, has 1000",
        ),
        case(
            "events",
            "*",
            "events",
            "invalid_type",
            "must be a list of at most 100",
        ),
        case(
            "events",
            Value::Null,
            "events",
            "invalid_type",
            "must be a list of at most 100",
        ),
        case(
            "events",
            json!(["*", 5]),
            "events[1]",
            "invalid_type",
            "must be a string",
        ),
        case(
            "events",
            json!(["Ticket"]),
            "events[0]",
            "invalid_topic",
            pattern,
        ),
        case(
            "events",
            json!(["tick*"]),
            "events[0]",
            "invalid_topic",
            pattern,
        ),
        case(
            "events",
            json!(["*.created"]),
            "events[0]",
            "invalid_topic",
            pattern,
        ),
        case(
            "events",
            json!(["*", "ticket.updatd"]),
            "events[1]",
            "unknown_topic",
            "the nearest known topic is ticket.updated",
        ),
        case(
            "events",
            json!(["tickets.*"]),
            "events[0]",
            "unknown_topic",
            "the nearest known topic is ticket.",
        ),
        case(
            "is_active",
            "true",
            "is_active",
            "invalid_type",
            "must be true or false",
        ),
        case(
            "is_active",
            1,
            "is_active",
            "invalid_type",
            "must be true or false",
        ),
        case(
            "is_active",
            Value::Null,
            "is_active",
            "invalid_type",
            "must be true or false",
        ),
        case(
            "headers",
            json!([]),
            "headers",
            "invalid_type",
            "must be an object of header names and strings",
        ),
        case(
            "headers",
            Value::Null,
            "headers",
            "invalid_type",
            "must be an object of header names and strings",
        ),
        case(
            "headers",
            json!({"X-A": 1}),
            "headers.X-A",
            "invalid_type",
            "must be a string",
        ),
        case(
            "headers",
            json!({"Host": "x"}),
            "headers",
            "invalid_header",
            "use another name",
        ),
        case(
            "headers",
            json!({"webhook-id": "x"}),
            "headers",
            "invalid_header",
            "use another name",
        ),
        case(
            "headers",
            json!({"a b": "x"}),
            "headers",
            "invalid_header",
            "use letters, digits and",
        ),
        case(
            "headers",
            json!({"X-A": "a\r\nb"}),
            "headers",
            "invalid_header",
            "must not contain control characters",
        ),
        case(
            "headers",
            json!({"X-A": "v".repeat(4096)}),
            "headers",
            "invalid_header",
            "4096 bytes in sum",
        ),
        case(
            "headers",
            json!({"X-A": "1", "x-a": "2"}),
            "headers",
            "invalid_header",
            "the same in upper and lower case",
        ),
        case(
            "headers",
            (0..21)
                .map(|n| (format!("X-{n}"), json!("v")))
                .collect::<Value>(),
            "headers",
            "invalid_header",
            "at most 20 headers",
        ),
        case(
            "ordering",
            "lifo",
            "ordering",
            "invalid_value",
            "must be \"none\" or \"fifo\"",
        ),
        case(
            "ordering",
            "FIFO",
            "ordering",
            "invalid_value",
            "must be \"none\" or \"fifo\"",
        ),
        case(
            "ordering",
            "",
            "ordering",
            "invalid_value",
            "must be \"none\" or \"fifo\"",
        ),
        case(
            "ordering",
            Value::Null,
            "ordering",
            "invalid_type",
            "must be \"none\" or \"fifo\"",
        ),
        case(
            "ordering",
            1,
            "ordering",
            "invalid_type",
            "must be \"none\" or \"fifo\"",
        ),
    ]
}

fn filters() -> Vec<Case> {
    let invalid = |text: &str, allowed| case("filter", text, "filter", "invalid_filter", allowed);
    vec![
        invalid("", "must be a CEL expression"),
        invalid("data.", "line 1, column 6: is no CEL expression"),
        invalid("data.priority = 'high'", "data.priority == \"high\""),
        invalid(
            "priority == 'high'",
            "there are event (the topic, a string) and data",
        ),
        invalid("data.items.any(i, i.x)", "there are has, all, exists,"),
        invalid("size() == 1", "size(data.items)"),
        invalid("event.matches('(')", "no regular expression (RE2"),
        invalid(
            "event.matches(data.x)",
            "must be a string that stands there",
        ),
        invalid(
            &format!("event == '{}'", "x".repeat(4096)),
            "at most 4096 bytes",
        ),
        invalid(
            &format!("{}true{}", "(".repeat(100), ")".repeat(100)),
            "nested deeper than 50",
        ),
        invalid(&["1"; 400].join("+"), "at most 300 operators"),
        case("filter", 5, "filter", "invalid_type", "must be a string"),
        case("filter", true, "filter", "invalid_type", "must be a string"),
        case(
            "filter",
            json!({}),
            "filter",
            "invalid_type",
            "must be a string",
        ),
    ]
}

fn numbers() -> Vec<Case> {
    let mut cases = vec![
        case(
            "retry_schedule",
            "1",
            "retry_schedule",
            "invalid_type",
            "must be a list of at most 50",
        ),
        case(
            "retry_schedule",
            5,
            "retry_schedule",
            "invalid_type",
            "must be a list of at most 50",
        ),
        case(
            "retry_schedule",
            vec![1; 51],
            "retry_schedule",
            "invalid_length",
            "at most 50 elements, has 51",
        ),
        case(
            "retry_schedule",
            vec![1; 500],
            "retry_schedule",
            "invalid_length",
            "at most 50 elements, has 500",
        ),
        case(
            "retry_schedule",
            json!([1, -1]),
            "retry_schedule[1]",
            "out_of_range",
            "from 0 to 604800",
        ),
        case(
            "retry_schedule",
            json!([604_801]),
            "retry_schedule[0]",
            "out_of_range",
            "from 0 to 604800",
        ),
        case(
            "retry_schedule",
            json!([1.5]),
            "retry_schedule[0]",
            "invalid_type",
            "from 0 to 604800",
        ),
        case(
            "retry_schedule",
            json!(["1"]),
            "retry_schedule[0]",
            "invalid_type",
            "from 0 to 604800",
        ),
        case(
            "retry_schedule",
            json!([null]),
            "retry_schedule[0]",
            "invalid_type",
            "from 0 to 604800",
        ),
    ];
    for (name, too_many, allowed) in [
        ("rate_limit", 10_001, "from 1 to 10000"),
        ("max_in_flight", 1001, "from 1 to 1000"),
        ("timeout_seconds", 31, "from 1 to 30"),
    ] {
        for (value, code) in [
            (json!(0), "out_of_range"),
            (json!(-1), "out_of_range"),
            (json!(too_many), "out_of_range"),
            (json!(u64::MAX), "out_of_range"),
            (json!(1e300), "out_of_range"),
            (json!(1.5), "invalid_type"),
            (json!("5"), "invalid_type"),
            (json!(true), "invalid_type"),
            (json!([]), "invalid_type"),
        ] {
            cases.push((name, value, name, code, allowed));
        }
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
    for case in [texts(), choices(), filters(), numbers(), strangers()].concat() {
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
