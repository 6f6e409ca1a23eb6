//! Bad input gets a problem that says what is wrong, and never a 5xx.

use serde_json::json;

use crate::support::{App, Receiver};

const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];
/// Every route that takes a body; `{webhook}` is a real one.
const TAKE_BODIES: [(&str, &str); 10] = [
    ("POST", "/api/events"),
    ("POST", "/api/events/batch"),
    ("POST", "/api/admin/webhooks"),
    ("PATCH", "/api/admin/webhooks/{webhook}"),
    ("PUT", "/api/admin/webhooks/{webhook}"),
    ("POST", "/api/admin/webhooks/{webhook}/secret/rotate"),
    ("POST", "/api/admin/webhooks/{webhook}/test"),
    ("POST", "/api/admin/tokens"),
    ("POST", "/api/platform/tenants"),
    ("PATCH", "/api/platform/tenants/acme"),
];
const LISTS: [&str; 11] = [
    "/api/admin/audit",
    "/api/platform/audit",
    "/api/platform/audit/seals",
    "/api/events",
    "/api/admin/webhooks",
    "/api/admin/deliveries",
    "/api/admin/logs",
    "/api/admin/tokens",
    "/api/admin/topics",
    "/api/platform/tenants",
    "/api/platform/topics",
];

#[tokio::test]
async fn bodies_that_are_wrong_as_a_whole() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let api = app.platform().for_tenant("acme");
    let (deep_array, deep_object) = ("[".repeat(60_000), r#"{"a":"#.repeat(10_000));
    for (method, path) in TAKE_BODIES {
        let path = path.replace("{webhook}", &webhook.id);
        for body in [
            "{",
            "",
            " ",
            "{\"name\":}",
            "{'name':1}",
            "nul",
            "{}{}",
            "[1,",
            &deep_array,
            &deep_object,
            "{\"a\":01}",
        ] {
            let answer = api.send_json(method, &path, body).await;
            if body.is_empty() && (path.ends_with("/rotate") || path.ends_with("/test")) {
                assert!(answer.status < 300, "{path} needs no body");
                continue;
            }
            answer.problem(400, "malformed_json");
        }
        for bytes in [
            &b"{\"name\":\"\xff\"}"[..],
            b"\xef\xbb\xbf{}",
            b"\0",
            b"\xfe\xff\0{\0}",
        ] {
            api.send(method, &path, &JSON, Some(bytes))
                .await
                .problem(400, "malformed_json");
        }
        for body in ["[]", "\"text\"", "5", "null", "true"] {
            api.send_json(method, &path, body)
                .await
                .problem(422, "invalid_content");
        }
        let problem = api
            .send_json(method, &path, r#"{"surprise":1}"#)
            .await
            .problem(422, "invalid_content");
        let has = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .any(|error| error["field"] == "surprise" && error["code"] == "unknown_field");
        assert!(has, "{path}: {problem}");
        for content_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonx",
            "",
        ] {
            let headers = [("Content-Type", content_type)];
            let answer = api.send(method, &path, &headers, Some(b"{}")).await;
            answer.problem(415, "unsupported_media_type");
        }
        let headers = [JSON[0], ("Content-Encoding", "gzip")];
        api.send(method, &path, &headers, Some(b"{}"))
            .await
            .problem(415, "unsupported_media_type");
    }
    tenant.api.get(&webhook.path()).await.expect(200);
}

#[tokio::test]
async fn bodies_over_the_limit() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let api = app.platform().for_tenant("acme");
    for (method, path) in TAKE_BODIES {
        let limit = match path {
            "/api/events" => 512 * 1024,
            "/api/events/batch" => 5 * 1024 * 1024,
            _ => 64 * 1024,
        };
        let path = path.replace("{webhook}", &webhook.id);
        let padded = |bytes: usize| format!("{{\"surprise\":1{}}}", " ".repeat(bytes - 14));
        api.send_json(method, &path, &padded(limit))
            .await
            .problem(422, "invalid_content");
        api.send_json(method, &path, &padded(limit + 1))
            .await
            .problem(413, "body_too_large");
    }
    let data = |bytes: usize| {
        format!(
            r#"{{"event":"ticket.created","data":{{"x":"{}"}}}}"#,
            "x".repeat(bytes)
        )
    };
    let largest = 512 * 1024 - data(0).len() - r#","timestamp":"2026-01-01T00:00:00.000Z""#.len();
    api.send_json("POST", "/api/events", &data(largest))
        .await
        .expect(202);
    api.send_json("POST", "/api/events", &data(512 * 1024))
        .await
        .problem(413, "body_too_large");
    let requests = receiver.arrived("/hooks", 1).await;
    assert_eq!(
        requests[0].json()["data"]["x"].as_str().unwrap().len(),
        largest
    );
}

#[tokio::test]
async fn fields_that_are_wrong() {
    let app = App::start().await;
    let tenant = app.tenant("acme").await;
    let long = "x".repeat(256);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    for (body, field) in [
        (r#"{"data":{}}"#.to_owned(), "event"),
        (r#"{"event":5,"data":{}}"#.to_owned(), "event"),
        (r#"{"event":null,"data":{}}"#.to_owned(), "event"),
        (r#"{"event":"","data":{}}"#.to_owned(), "event"),
        (r#"{"event":"ticket.*","data":{}}"#.to_owned(), "event"),
        (r#"{"event":"*","data":{}}"#.to_owned(), "event"),
        (r#"{"event":"\ud800","data":{}}"#.to_owned(), "event"),
        (r#"{"event":"ticket.created"}"#.to_owned(), "data"),
        (
            r#"{"event":"ticket.created","data":null}"#.to_owned(),
            "data",
        ),
        (r#"{"event":"ticket.created","data":[]}"#.to_owned(), "data"),
        (
            r#"{"event":"ticket.created","data":"{}"}"#.to_owned(),
            "data",
        ),
        (
            format!(r#"{{"event":"ticket.created","data":{deep}}}"#),
            "data",
        ),
        (
            r#"{"event":"ticket.created","data":{},"timestamp":1}"#.to_owned(),
            "timestamp",
        ),
        (
            r#"{"event":"ticket.created","data":{},"timestamp":"2026-01-01"}"#.to_owned(),
            "timestamp",
        ),
        (
            r#"{"event":"ticket.created","data":{},"timestamp":"2026-13-01T00:00:00Z"}"#.to_owned(),
            "timestamp",
        ),
        (
            r#"{"event":"ticket.created","data":{},"timestamp":"9999-12-31T23:59:59-01:00"}"#
                .to_owned(),
            "timestamp",
        ),
        (
            r#"{"event":"ticket.created","data":{},"ordering_key":""}"#.to_owned(),
            "ordering_key",
        ),
        (
            format!(r#"{{"event":"ticket.created","data":{{}},"ordering_key":"{long}"}}"#),
            "ordering_key",
        ),
        (
            r#"{"event":"ticket.created","event":"ticket.closed","data":{}}"#.to_owned(),
            "event",
        ),
    ] {
        let problem = tenant
            .api
            .send_json("POST", "/api/events", &body)
            .await
            .problem(422, "invalid_content");
        assert_eq!(problem["errors"][0]["field"], field, "{body}");
    }
    for (body, field) in [
        (json!({"id": "Acme", "name": "x"}), "id"),
        (json!({"id": "-a", "name": "x"}), "id"),
        (json!({"id": "", "name": "x"}), "id"),
        (json!({"id": "a".repeat(64), "name": "x"}), "id"),
        (json!({"id": "a/b", "name": "x"}), "id"),
        (json!({"id": "b", "name": ""}), "name"),
        (json!({"id": "b", "name": "x".repeat(201)}), "name"),
        (json!({"id": "b", "name": "a\u{0}b"}), "name"),
    ] {
        let problem = app
            .platform()
            .post("/api/platform/tenants", body.clone())
            .await
            .problem(422, "invalid_content");
        assert_eq!(problem["errors"][0]["field"], field, "{body}");
    }
    let again = json!({"id": "acme", "name": "x"});
    app.platform()
        .post("/api/platform/tenants", again)
        .await
        .problem(409, "already_exists");
    let longest = json!({"id": "a".repeat(63), "name": "x".repeat(200)});
    app.platform()
        .post("/api/platform/tenants", longest)
        .await
        .expect(201);
}

#[tokio::test]
async fn parameters_that_are_wrong() {
    let app = App::start().await;
    app.tenant("acme").await;
    let api = app.platform().for_tenant("acme");
    for list in LISTS {
        for limit in [
            "-1",
            "0",
            "201",
            "abc",
            "",
            "1.5",
            "%2B1",
            "99999999999999999999",
            "1%00",
        ] {
            let path = format!("{list}?limit={limit}");
            api.get(&path).await.problem(400, "invalid_parameter");
        }
        for cursor in [
            "",
            "x",
            "AAAA",
            "%00",
            "%FF%FE",
            "..%2F",
            "bXNnX1g",
            &"x".repeat(4000),
        ] {
            let path = format!("{list}?cursor={cursor}");
            api.get(&path).await.problem(400, "invalid_cursor");
        }
        for query in ["surprise=1", "limit=1&limit=2", "Limit=1", "="] {
            let path = format!("{list}?{query}");
            api.get(&path).await.problem(400, "invalid_parameter");
        }
        for query in ["limit=1", "limit=200", "", "&&"] {
            api.get(&format!("{list}?{query}")).await.expect(200);
        }
    }
    for (list, names) in [
        (
            "/api/admin/deliveries",
            &["webhook_id", "event", "status", "message_id", "from", "to"][..],
        ),
        (
            "/api/admin/logs",
            &[
                "webhook_id",
                "event",
                "outcome",
                "response_status",
                "delivery_id",
                "message_id",
                "from",
                "to",
            ],
        ),
        ("/api/admin/webhooks", &["is_active", "event"]),
    ] {
        for name in names {
            for value in ["", "!", "%00", "%FF", "wh_1", "' OR 1=1 --"] {
                if (*name, value) == ("event", "wh_1") {
                    continue; // This could be a topic.
                }
                let path = format!("{list}?{name}={}", value.replace(' ', "%20"));
                api.get(&path).await.problem(400, "invalid_parameter");
            }
        }
    }
    api.get("/api/admin/logs?response_status=99")
        .await
        .problem(400, "invalid_parameter");
    api.get("/api/admin/deliveries?from=2026-01-01")
        .await
        .problem(400, "invalid_parameter");
    api.get("/api/admin/webhooks?at=2026-01-01T00:00:00Z")
        .await
        .problem(400, "invalid_parameter");
}
