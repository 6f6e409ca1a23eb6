//! Requests to routes that are not there, with headers that are wrong, and bytes that are no
//! request at all.

use crate::support::{App, Receiver};

const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

#[tokio::test]
async fn routes_and_methods_that_are_not_there() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    for path in [
        "/",
        "/api",
        "/api/admin",
        "/api/admin/webhooks/",
        "/api/admin/webhooks/x/y/z",
        "/api/Events",
        "//api/events",
        "/api/events/%2e%2e/x/y",
        "/wp-login.php",
    ] {
        tenant.api.get(path).await.problem(404, "not_found");
    }
    let id = webhook.path();
    for (method, path, allow) in [
        ("DELETE", "/api/events", "GET, HEAD, POST"),
        ("GET", "/api/events/batch/", ""),
        ("PUT", "/api/admin/webhooks", "GET, HEAD, POST"),
        ("POST", id.as_str(), "GET, HEAD, PUT, PATCH, DELETE"),
        ("POST", "/api/admin/logs", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("OPTIONS", "/api/events", "GET, HEAD, POST"),
        ("TRACE", "/api/events", "GET, HEAD, POST"),
        ("BREW", "/api/events", "GET, HEAD, POST"),
    ] {
        let answer = tenant.api.send(method, path, &[], None).await;
        if allow.is_empty() {
            answer.problem(404, "not_found");
            continue;
        }
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
        answer.problem(405, "method_not_allowed");
    }
    let head = tenant
        .api
        .send("HEAD", "/api/admin/webhooks", &[], None)
        .await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn headers_that_are_wrong() {
    let app = App::start().await;
    let tenant = app.tenant("acme").await;
    let body = br#"{"event":"ticket.created","data":{}}"#;
    for key in ["", &"k".repeat(256), "caf\u{e9}", "a\tb"] {
        let headers = [JSON[0], ("Idempotency-Key", key)];
        tenant
            .api
            .send("POST", "/api/events", &headers, Some(body))
            .await
            .problem(400, "invalid_parameter");
    }
    let twice = [JSON[0], ("Idempotency-Key", "a"), ("Idempotency-Key", "b")];
    tenant
        .api
        .send("POST", "/api/events", &twice, Some(body))
        .await
        .problem(400, "invalid_parameter");
    let answer = tenant
        .api
        .send("GET", "/healthz", &[("X-Request-Id", "mine-1")], None)
        .await;
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    let answer = tenant.api.get("/healthz").await;
    assert!(answer.header("x-request-id").unwrap().starts_with("req_"));
}

/// What no client sends: the connection ends or there is a 4xx, and the server goes on.
#[tokio::test]
async fn bytes_that_are_no_request() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let app = App::start().await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(20_000));
    for bytes in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "POST /api/events HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /api/events HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n{}",
        "POST /api/events HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /api/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        &long,
        &many,
    ] {
        let mut stream = tokio::net::TcpStream::connect(app.address()).await.unwrap();
        // It may be closed while this is written.
        drop(stream.write_all(bytes.as_bytes()).await);
        drop(stream.shutdown().await);
        let mut answer = Vec::new();
        let read = tokio::time::timeout(crate::support::DEADLINE, stream.read_to_end(&mut answer));
        drop(read.await.expect("the connection ends"));
        let start = String::from_utf8_lossy(&answer[..answer.len().min(12)]).into_owned();
        assert!(
            start.is_empty() || start.starts_with("HTTP/1.1 4"),
            "{start}"
        );
    }
    app.anonymous().get("/readyz").await.expect(200);
}
