//! What those see who run the server.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::{App, Receiver, Reply, eventually, hookledger};

#[tokio::test]
async fn a_server_says_how_it_is() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let anonymous = app.anonymous();
    assert_eq!(
        anonymous.get("/healthz").await.expect(200),
        json!({"status": "ok"})
    );
    let node = eventually("a node that holds everything", async || {
        let ready = anonymous.get("/readyz").await.expect(200);
        (ready["node"]["partitions"] == 256).then(|| ready["node"]["id"].clone())
    })
    .await;
    let nodes = app.platform().get("/api/platform/nodes").await.expect(200);
    let listed = &nodes["data"][0];
    assert_eq!(
        (&listed["id"], &listed["is_alive"], &nodes["data"][1]),
        (&node, &json!(true), &json!(null))
    );
    assert_eq!(listed["partitions"], json!((0..256).collect::<Vec<_>>()));
    assert_eq!(listed["address"], app.address().to_string());
    assert_eq!(listed["lease_expires_at"].is_null(), !app.is_postgres());
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant
        .publish("ticket.created", serde_json::json!({}))
        .await;
    tenant.until(&message, "succeeded").await;
    let metrics = anonymous.get("/metrics").await;
    assert!(
        metrics
            .header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    let metrics = metrics.text();
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    assert!(
        metrics
            .lines()
            .filter(|line| line.starts_with("hookledger_"))
            .count()
            > 5,
        "{metrics}"
    );
    let docs = anonymous.get("/docs").await;
    assert!((200..400).contains(&docs.status), "{}", docs.status);
}

#[tokio::test]
async fn what_happens_is_counted() {
    let settings = [("RETRY_SCHEDULE", "0ms")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/sick", |_| Reply::status(500));
    receiver.on("/closed", |_| Reply::Close);
    let tenant = app.tenant("acme").await;
    for path in ["/good", "/sick", "/closed"] {
        tenant.webhook(&receiver.url(path), &["*"]).await;
    }
    tenant.publish("ticket.created", json!({})).await;
    tenant.publish("ticket.updated", json!({})).await;
    tenant.until_nothing_is_pending().await;
    let expected = [
        "hookledger_messages_accepted_total 2",
        "hookledger_deliveries_scheduled_total 6",
        r#"hookledger_deliveries_ended_total{status="succeeded"} 2"#,
        r#"hookledger_deliveries_ended_total{status="exhausted"} 4"#,
        r#"hookledger_deliveries_ended_total{status="cancelled"} 0"#,
        r#"hookledger_attempts_total{outcome="succeeded"} 2"#,
        r#"hookledger_attempts_total{outcome="failed"} 8"#,
        r#"hookledger_attempt_failures_total{code="http_status"} 4"#,
        r#"hookledger_attempt_failures_total{code="connection_closed"} 4"#,
        r#"hookledger_attempt_failures_total{code="timeout"} 0"#,
        "hookledger_attempts_in_flight 0",
        "hookledger_commits_waiting 0",
    ];
    // An end is counted a little after it can be seen.
    let metrics = eventually("all that was counted", async || {
        let metrics = app.anonymous().get("/metrics").await.text();
        let is_there = |line: &&str| metrics.lines().any(|found| found == *line);
        expected.iter().all(is_there).then_some(metrics)
    })
    .await;
    // What promtool asks for: a help and a type for every family, counters that end with _total.
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family = name.strip_suffix("_total").unwrap_or(name);
        let kind = if family == name { "gauge" } else { "counter" };
        assert!(
            metrics.contains(&format!("# TYPE {family} {kind}\n")),
            "{name}"
        );
        assert!(metrics.contains(&format!("# HELP {family} ")), "{name}");
    }
}

#[tokio::test]
async fn the_data_directory_is_for_its_owner_only() {
    let app = App::with(&[("PLATFORM_TOKEN", "")]).await;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let directory = app.data_dir();
    assert_eq!(mode(&directory), 0o700);
    // Nodes on one database are given their key.
    let files = ["platform-token", "master.key"];
    for file in &files[..if app.is_postgres() { 1 } else { 2 }] {
        assert_eq!(mode(&directory.join(file)), 0o600, "{file}");
    }
    let token = std::fs::read_to_string(directory.join("platform-token")).unwrap();
    let platform = app.anonymous().with_token(token.trim());
    platform.get("/api/platform/tenants").await.expect(200);
    assert!(!app.log().contains(token.trim()), "the token is in the log");
}

#[tokio::test]
async fn the_document_describes_the_routes() {
    let app = App::start().await;
    let document = app.anonymous().get("/openapi.json").await.expect(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    for path in [
        "/api/events",
        "/api/events/batch",
        "/api/admin/webhooks/{id}",
        "/readyz",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
}

/// The README's first command: it succeeds only if all that it tells of has happened.
#[tokio::test]
async fn the_demo_succeeds() {
    let directory = tempfile::TempDir::new().unwrap();
    let mut command = hookledger();
    command.arg("demo").current_dir(directory.path());
    let run = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), run)
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for word in ["webhook-signature", "ticket.", "retr"] {
        assert!(said.to_lowercase().contains(word), "no {word} in: {said}");
    }
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        0,
        "it left something behind"
    );
}
