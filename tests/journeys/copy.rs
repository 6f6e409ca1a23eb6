//! Moving a ledger from SQLite to PostgreSQL, and back.

use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::{
    App, Database, Gate, MASTER_KEY, Receiver, Reply, Server, Tenant, eventually, hookledger,
};

/// What a command left behind.
struct Done {
    status: ExitStatus,
    said: String,
    complained: String,
}

impl Done {
    #[track_caller]
    fn summary(&self) -> Value {
        assert!(self.status.success(), "{}", self.complained);
        serde_json::from_str(&self.said).expect("JSON, since nobody looks")
    }

    #[track_caller]
    fn failed(&self, code: i32, with: &str) {
        assert_eq!(self.status.code(), Some(code), "{}", self.complained);
        assert!(self.complained.contains(with), "{}", self.complained);
    }
}

fn copying(from: &str, to: &str) -> Command {
    let mut command = hookledger();
    command.args(["copy", "--from", from, "--to", to]);
    command
}

async fn run(mut command: Command) -> Done {
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    Done {
        status: output.status,
        said: String::from_utf8(output.stdout).unwrap(),
        complained: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn copy(from: &str, to: &str) -> Done {
    run(copying(from, to)).await
}

fn file(app: &App) -> String {
    format!("sqlite:{}/hookledger.db", app.data_dir().display())
}

/// A server on a file, with the key that a server on a database has.
async fn on_file(settings: &[(&str, &str)]) -> App {
    let key = [("MASTER_KEY", MASTER_KEY)];
    App::on_sqlite(&[&key, settings].concat()).await
}

async fn stop(app: &mut App) {
    app.terminate();
    assert!(app.ended().await.success());
}

/// Everything that a tenant sees, but for what is said about these messages.
async fn seen(tenant: &Tenant, but: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    for path in ["admin/webhooks", "events", "admin/deliveries", "admin/logs"] {
        let list = tenant.api.walk(&format!("/api/{path}"), 100).await;
        assert!(!list.is_empty(), "nothing in {path} was tried");
        rows.extend(list);
    }
    rows.retain(|row| row["id"] != but && row["message_id"] != but);
    rows
}

#[tokio::test]
async fn a_ledger_moves_to_postgres_and_goes_on() {
    let Some(server) = Server::shared() else {
        return;
    };
    let settings = [("RETRY_SCHEDULE", "1h")];
    let (mut app, receiver) = (on_file(&settings).await, Receiver::start().await);
    let gate = Gate::closed();
    let behind = Reply::Behind(gate.clone(), Box::new(Reply::ok()));
    receiver.on("/slow", move |_| behind.clone());
    receiver.on("/down", |_| Reply::body(500, b"not now"));
    let tenant = app.tenant("acme").await;
    let steady = tenant
        .webhook(&receiver.url("/steady"), &["ticket.*"])
        .await;
    tenant.webhook(&receiver.url("/down"), &["ticket.*"]).await;
    tenant.webhook(&receiver.url("/slow"), &["service.*"]).await;
    let gone = tenant.webhook(&receiver.url("/gone"), &["*"]).await;
    tenant.api.delete(&gone.path()).await.expect(204);
    for n in 0..10 {
        tenant.publish("ticket.created", json!({"n": n})).await;
    }
    receiver.arrived("/steady", 10).await;
    receiver.arrived("/down", 10).await;
    eventually("20 attempts in the log", async || {
        (tenant.logs("").await.len() == 20).then_some(())
    })
    .await;
    let pending = tenant.publish("service.updated", json!({})).await;
    receiver.arrived("/slow", 1).await;
    let before = seen(&tenant, &pending).await;
    app.kill();

    let database = Database::fresh(&server);
    let (from, to) = (file(&app), database.url());
    let summary = copy(&from, &to).await.summary();
    assert_eq!(summary["copied"], summary["events"]);
    assert_eq!(summary["verified"], true);
    // 10 messages with two deliveries and two attempts each; one message with a delivery.
    assert_eq!(summary["rows"], 52);
    // The messages' bodies, and those of the answers.
    assert_eq!(summary["bodies"], 31);

    let moved = App::on_database(&Arc::new(database), &settings).await;
    let tenant = tenant.through(&moved);
    assert_eq!(seen(&tenant, &pending).await, before);
    gate.open();
    tenant.until(&pending, "succeeded").await;
    let sent = receiver.arrived("/slow", 2).await;
    assert_eq!(sent[0].message(), sent[1].message());
    assert_eq!(sent[0].body, sent[1].body);
    let new = tenant.publish("ticket.created", json!({"n": "new"})).await;
    let sent = receiver.arrived("/steady", 11).await;
    assert_eq!(sent[10].message(), new);
    sent[10].verify(&steady.secret);
}

#[tokio::test]
async fn a_copy_that_is_killed_goes_on() {
    let Some(server) = Server::shared() else {
        return;
    };
    let mut app = on_file(&[]).await;
    let tenant = app.tenant("acme").await;
    let messages = |count: usize| {
        let message = |n| json!({"event": "ticket.created", "data": {"n": n}});
        json!({"events": (0..count).map(message).collect::<Vec<_>>()})
    };
    tenant
        .api
        .post("/api/events/batch", messages(1000))
        .await
        .expect(202);
    let path = "/api/platform/topics/weather.changed";
    let topic = json!({"description": "x"});
    app.platform().put(path, topic).await.expect(201);
    stop(&mut app).await;

    // The tables are there, and one that only the last event changes is not to be had.
    let database = Database::fresh(&server);
    let (from, to) = (file(&app), database.url());
    let mut compare = copying(&from, &to);
    compare.arg("--verify-only");
    run(compare).await.failed(1, "is missing in the target");
    let mut other = PgConnection::connect(&to).await.unwrap();
    let mut holder = other.begin().await.unwrap();
    sqlx::query("LOCK TABLE topics")
        .execute(&mut *holder)
        .await
        .unwrap();
    let mut child = copying(&from, &to)
        .args(["--database-statement-timeout", "1m"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let waiting =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'topics'::regclass";
    eventually("a copy that is in its last part", async || {
        let mut watcher = PgConnection::connect(&to).await.unwrap();
        let count: i64 = sqlx::query_scalar(waiting)
            .fetch_one(&mut watcher)
            .await
            .unwrap();
        (count > 0).then_some(())
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    holder.rollback().await.unwrap();

    let summary = copy(&from, &to).await.summary();
    let (copied, events) = (&summary["copied"], &summary["events"]);
    let (copied, events) = (copied.as_u64().unwrap(), events.as_u64().unwrap());
    assert!(
        events > 1000 && copied > 0 && copied <= events - 1000,
        "{summary}"
    );
    let again = copy(&from, &to).await.summary();
    assert_eq!(again["copied"], 0);
    // And back, into a file that is not there yet.
    let back = format!("{from}.back");
    let summary = copy(&to, &back).await.summary();
    assert_eq!(summary["copied"], events);
    let mut compare = copying(&from, &back);
    compare.arg("--verify-only");
    assert_eq!(run(compare).await.summary()["events"], events);
}

#[tokio::test]
async fn a_copy_that_cannot_be_made_says_why() {
    let Some(server) = Server::shared() else {
        return;
    };
    let mut app = on_file(&[]).await;
    app.tenant("acme").await;
    let database = Database::fresh(&server);
    let (from, to) = (file(&app), database.url());
    copy(&from, &to)
        .await
        .failed(1, "in use by another process");
    stop(&mut app).await;

    let mut moved = App::on_database(&Arc::new(database), &[]).await;
    copy(&from, &to).await.failed(1, "a node serves the target");
    moved.tenant("other").await;
    stop(&mut moved).await;
    copy(&from, &to)
        .await
        .failed(1, "the target holds other events than the source");
    let mut compare = copying(&from, &to);
    compare.arg("--verify-only");
    run(compare).await.failed(1, "the event at position 1");

    copy(&from, &from).await.failed(2, "are the same");
    let missing = format!("{from}.missing");
    copy(&missing, &to).await.failed(1, "there is no ledger");
    assert!(!std::path::Path::new(missing.trim_start_matches("sqlite:")).exists());
    let secret = "postgres://user:hunter2@127.0.0.1:1/nowhere";
    for (target, code) in [(secret, 1), ("mysql://user:hunter2@x/y", 2)] {
        let failed = copy(&from, target).await;
        failed.failed(code, "");
        let printed = format!("{}{}", failed.said, failed.complained);
        assert!(!printed.contains("hunter2"), "{printed}");
    }
    let mut one_sided = hookledger();
    one_sided.args(["copy", "--from", &from]);
    run(one_sided).await.failed(2, "--to");
}
