//! Receivers that hang, drip, flood, lie or break off: each attempt ends by its deadline with one
//! row in the log, and the server stays small.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{App, Receiver, Reply, Request, Tenant, eventually};

const TIMEOUT_MS: u64 = 1000;
/// By how much a loaded machine may be late to notice a deadline.
const LATE_MS: u64 = 1000;
const MEMORY_BYTES_MAX: u64 = 150 * 1024 * 1024;

/// What the log must say: the answer's status, if there was one, the error's code, and whether the
/// body was cut.
type Expected = (Option<u16>, Option<&'static str>, bool);

fn hostile(own: &str) -> Vec<(&'static str, Reply, Expected)> {
    let many = |count: usize, bytes: usize| {
        (0..count).fold(Reply::ok(), |reply, n| {
            reply.header(&format!("X-{n}"), &"v".repeat(bytes))
        })
    };
    vec![
        ("/hang", Reply::Hang, (None, Some("timeout"), false)),
        ("/drip", Reply::Drip, (None, Some("timeout"), false)),
        ("/drip-body", Reply::DripBody(200), (Some(200), None, true)),
        (
            "/drip-error",
            Reply::DripBody(500),
            (Some(500), Some("http_status"), true),
        ),
        ("/endless", Reply::Endless(200), (Some(200), None, true)),
        (
            "/endless-error",
            Reply::Endless(404),
            (Some(404), Some("http_status"), true),
        ),
        (
            "/unfinished",
            Reply::Unfinished(201),
            (Some(201), None, true),
        ),
        (
            "/nul",
            Reply::body(200, b"\0\xff\xfe \xc3\xa9"),
            (Some(200), None, false),
        ),
        (
            "/reset",
            Reply::Reset,
            (None, Some("connection_closed"), false),
        ),
        (
            "/close",
            Reply::Close,
            (None, Some("connection_closed"), false),
        ),
        (
            "/garbage",
            Reply::Garbage,
            (None, Some("invalid_response"), false),
        ),
        (
            "/redirect",
            Reply::status(302).header("Location", own),
            (Some(302), Some("http_status"), false),
        ),
        (
            "/redirect-post",
            Reply::status(307).header("Location", own),
            (Some(307), Some("http_status"), false),
        ),
        ("/headers", many(60, 1100), (Some(200), None, false)),
        ("/header", many(1, 64 * 1024), (Some(200), None, false)),
        (
            "/too-many-headers",
            many(200, 10),
            (None, Some("invalid_response"), false),
        ),
        (
            "/too-large-headers",
            many(90, 60_000),
            (None, Some("invalid_response"), false),
        ),
        ("/empty", Reply::status(204), (Some(204), None, false)),
        (
            "/teapot",
            Reply::status(418),
            (Some(418), Some("http_status"), false),
        ),
    ]
}

/// Besides these there are targets where nobody listens and where nobody speaks TLS.
async fn register_all(tenant: &Tenant, receiver: &Receiver) {
    for (path, reply, _) in hostile(&receiver.url("/secret")) {
        receiver.on(path, move |_: &Request| reply.clone());
        tenant.webhook(&receiver.url(path), &["*"]).await;
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    tenant
        .webhook(&format!("http://{closed}/closed"), &["*"])
        .await;
    let tls = receiver.url("/tls").replacen("http:", "https:", 1);
    tenant.webhook(&tls, &["*"]).await;
}

fn row<'a>(rows: &'a [Value], path: &str) -> &'a Value {
    let mut found = rows
        .iter()
        .filter(|row| row["url"].as_str().unwrap().ends_with(path));
    let row = found.next().unwrap_or_else(|| panic!("no row for {path}"));
    assert!(found.next().is_none(), "two rows for {path}");
    row
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_ends_by_its_deadline_with_one_row() {
    let settings = [("DELIVERY_TIMEOUT", "1s"), ("RETRY_SCHEDULE", "")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    register_all(&tenant, &receiver).await;
    tenant.publish("ticket.created", json!({"n": 1})).await;
    tenant.until_nothing_is_pending().await;

    let rows = tenant.logs("").await;
    for (path, _, (status, code, is_cut)) in hostile("") {
        let row = row(&rows, path);
        assert_eq!(row["response_status"], json!(status), "{row}");
        assert_eq!(row["error"]["code"], json!(code), "{row}");
        assert_eq!(row["response_body_truncated"], is_cut, "{row}");
        let outcome = if code.is_none() {
            "succeeded"
        } else {
            "failed"
        };
        assert_eq!(row["outcome"], outcome, "{row}");
        let took = row["duration_ms"].as_u64().unwrap();
        assert!(took <= TIMEOUT_MS + LATE_MS, "{path} took {took} ms");
        assert_eq!(receiver.requests_at(path).len(), 1, "{path}");
    }
    assert_eq!(row(&rows, "/closed")["error"]["code"], "connect");
    assert_eq!(row(&rows, "/tls")["error"]["code"], "tls");
    assert_eq!(rows.len(), hostile("").len() + 2);
    assert!(
        receiver.requests_at("/secret").is_empty(),
        "a redirect was followed"
    );
    let body = |path: &str| {
        row(&rows, path)["response_body"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(body("/nul"), "\u{fffd}\u{fffd}\u{fffd} é");
    assert_eq!(body("/unfinished"), "begun");
    assert_eq!(body("/endless").len(), 16 * 1024);
    assert_eq!(body("/empty"), "");
    assert!(row(&rows, "/headers")["response_headers"].to_string().len() < 20_000);
    let statuses = tenant.deliveries("").await;
    assert!(statuses.iter().all(|delivery| delivery["attempts"] == 1));
}

/// Many at once, again and again: what they send is not kept in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_bounded() {
    let settings = [("DELIVERY_TIMEOUT", "1s"), ("RETRY_SCHEDULE", "10ms")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    register_all(&tenant, &receiver).await;
    let large = "x".repeat(100_000);
    for n in 0..40 {
        tenant
            .publish("ticket.created", json!({"n": n, "large": large}))
            .await;
    }
    tenant.until_nothing_is_pending().await;
    let peak = app.peak_memory_bytes();
    assert!(peak < MEMORY_BYTES_MAX, "{} MiB", peak / 1024 / 1024);
    let rows = tenant.logs("").await;
    let failing = hostile("")
        .iter()
        .filter(|(_, _, (_, code, _))| code.is_some())
        .count()
        + 2;
    let good = hostile("").len() + 2 - failing;
    assert_eq!(rows.len(), 40 * (2 * failing + good));
}

/// A webhook's own limit shortens the server's.
#[tokio::test]
async fn a_webhook_may_wait_less() {
    let (app, receiver) = (
        App::with(&[("RETRY_SCHEDULE", "")]).await,
        Receiver::start().await,
    );
    receiver.on("/hang", |_| Reply::Hang);
    let tenant = app.tenant("acme").await;
    let url = receiver.url("/hang");
    tenant
        .webhook_with(json!({"name": "x", "url": url, "events": ["*"], "timeout_seconds": 1}))
        .await;
    let message = tenant.publish("ticket.created", json!({})).await;
    let delivery = tenant.until(&message, "exhausted").await;
    assert_eq!(delivery["last_error"]["code"], "timeout");
    let took = delivery["log"][0]["duration_ms"].as_u64().unwrap();
    assert!(
        (TIMEOUT_MS..TIMEOUT_MS + LATE_MS).contains(&took),
        "{took} ms"
    );
}

/// A receiver that takes the request and is gone before it answers is tried again.
#[tokio::test]
async fn an_answer_that_never_came_is_asked_for_again() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    receiver.on("/hooks", |request| match request.nth {
        1 => Reply::Reset,
        2 => Reply::Close,
        3 => Reply::Garbage,
        _ => Reply::ok().after(Duration::from_millis(10)),
    });
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({})).await;
    let delivery = tenant.until(&message, "succeeded").await;
    let codes: Vec<&Value> = delivery["log"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|row| &row["error"]["code"])
        .collect();
    assert_eq!(
        codes,
        [
            &json!("connection_closed"),
            &json!("connection_closed"),
            &json!("invalid_response"),
            &Value::Null
        ]
    );
    let requests = receiver.requests();
    assert_eq!(requests.len(), 4);
    assert!(
        requests
            .iter()
            .all(|request| request.body == requests[0].body)
    );
    eventually("a ready server", async || {
        (app.anonymous().get("/readyz").await.status == 200).then_some(())
    })
    .await;
}
