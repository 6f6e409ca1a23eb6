//! Why and how a delivery came to be, and how it ended, told from events.

use serde_json::{Value, json};

use crate::support::{App, Receiver, Reply, Tenant, eventually};

async fn explain(tenant: &Tenant, delivery: &str) -> Value {
    let path = format!("/api/admin/deliveries/{delivery}/explain");
    let answer = tenant.api.get(&path).await;
    let text = answer.text();
    for secret in ["whsec_", "sealed", "hlk_"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    answer.expect(200)
}

fn id(row: &Value) -> &str {
    row["id"].as_str().unwrap()
}

async fn order(tenant: &Tenant, delivery: &str, what: &str) {
    let path = format!("/api/admin/deliveries/{delivery}/{what}");
    let answer = tenant.api.send("POST", &path, &[], None).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}

async fn with_attempts(tenant: &Tenant, delivery: &str, count: usize) -> Value {
    eventually(&format!("{count} attempts"), async || {
        let delivery = tenant.delivery(delivery).await;
        (delivery["attempts"] == count).then_some(delivery)
    })
    .await
}

/// The kinds of the steps; a wait with its reason.
fn kinds(explained: &Value) -> Vec<String> {
    let steps = explained["steps"].as_array().unwrap();
    let kind = |step: &Value| match (step["kind"].as_str().unwrap(), step["reason"].as_str()) {
        ("wait", Some(reason)) => format!("wait: {reason}"),
        (kind, _) => kind.to_owned(),
    };
    steps.iter().map(kind).collect()
}

fn steps<'a>(explained: &'a Value, kind: &str) -> Vec<&'a Value> {
    let steps = explained["steps"].as_array().unwrap();
    steps.iter().filter(|step| step["kind"] == kind).collect()
}

fn check_order(explained: &Value) {
    let steps = explained["steps"].as_array().unwrap();
    let times: Vec<&str> = steps.iter().map(|s| s["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{explained}");
    let says = |step: &Value| {
        step["summary"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    };
    assert!(steps.iter().all(says), "{explained}");
    assert_eq!(explained["truncated"], false);
}

#[tokio::test]
async fn failures_a_change_and_a_redelivery_are_told() {
    let settings = [("RETRY_SCHEDULE", "20ms,1h")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    receiver.on("/first", |_| Reply::status(500));
    let webhook = tenant
        .webhook(&receiver.url("/first"), &["service.*", "ticket.*", "*"])
        .await;
    let publisher = tenant.with_role("publisher").await;
    let body = json!({"event": "ticket.created", "data": {"n": 1}});
    let headers = [
        ("Content-Type", "application/json"),
        ("X-Request-Id", "of-the-publisher"),
    ];
    let body = body.to_string();
    let body = Some(body.as_bytes());
    let published = publisher.send("POST", "/api/events", &headers, body).await;
    let message = published.expect(202)["id"].as_str().unwrap().to_owned();
    let delivery = tenant.delivery_of(&message).await;
    let delivery = id(&delivery);
    with_attempts(&tenant, delivery, 2).await;
    let change = json!({"url": receiver.url("/second"), "events": ["*"]});
    tenant.api.patch(&webhook.path(), change).await.expect(200);
    order(&tenant, delivery, "redeliver").await;
    let ended = tenant.until(&message, "succeeded").await;

    let told = explain(&tenant, delivery).await;
    for (field, expected) in [
        ("id", json!(delivery)),
        ("message_id", json!(message)),
        ("webhook_id", json!(webhook.id)),
        ("event", json!("ticket.created")),
        ("status", json!("succeeded")),
    ] {
        assert_eq!(told[field], expected, "{field}");
    }
    let accepted = &told["accepted"];
    assert_eq!(accepted["actor"]["kind"], "token");
    assert_eq!(accepted["actor"]["name"], "publisher");
    assert_eq!(accepted["request_id"], "of-the-publisher");
    assert_eq!(accepted["client"], "127.0.0.1");
    let matched = json!({
        "reason": "subscribed",
        "trigger": "publish",
        "webhook_version": 1,
        "events": ["service.*", "ticket.*", "*"],
        "pattern": "ticket.*",
        "filter": null,
    });
    assert_eq!(told["matched"], matched);
    let expected = [
        "scheduled",
        "attempt",
        "wait: schedule",
        "attempt",
        "wait: schedule",
        "requested",
        "attempt",
    ];
    assert_eq!(kinds(&told), expected);
    check_order(&told);
    check_attempts(&told, &ended, &receiver);
    let requested = steps(&told, "requested")[0];
    assert_eq!(requested["summary"], "admin asked to send it again");
    assert_eq!(requested["actor"]["name"], "admin");
    assert_eq!(requested["trigger"], "redeliver");
    assert_eq!(told["ended"]["at"], ended["completed_at"]);
    assert_eq!(told["ended"]["how"], "succeeded");
    let because = "attempt 3 succeeded: the receiver answered 200";
    assert_eq!(told["ended"]["because"], because);
    // The configurations are those that the webhook shows of these versions.
    let mut versions = Vec::new();
    for version in [1, 2] {
        let path = format!("{}?version={version}", webhook.path());
        versions.push(tenant.api.get(&path).await.expect(200));
    }
    assert_eq!(told["configurations"], json!(versions));
}

/// The steps of attempts are the same as the log.
fn check_attempts(told: &Value, delivery: &Value, receiver: &Receiver) {
    let attempts = steps(told, "attempt");
    let log = delivery["log"].as_array().unwrap();
    assert_eq!(attempts.len(), log.len());
    for (step, row) in attempts.iter().zip(log.iter().rev()) {
        for field in [
            "id",
            "attempt",
            "trigger",
            "webhook_version",
            "url",
            "started_at",
            "duration_ms",
            "outcome",
            "response_status",
            "error",
        ] {
            assert_eq!(step[field], row[field], "{field}: {step}");
        }
    }
    let of = |field: &str| -> Vec<Value> { attempts.iter().map(|s| s[field].clone()).collect() };
    assert_eq!(json!(of("webhook_version")), json!([1, 1, 2]));
    assert_eq!(of("url")[2], receiver.url("/second"));
    assert_eq!(
        json!(of("trigger")),
        json!(["publish", "retry", "redeliver"])
    );
}

#[tokio::test]
async fn a_test_is_told_as_one() {
    let settings = [("RETRY_SCHEDULE", "20ms")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    receiver.on("/hooks", |_| Reply::status(500));
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["ticket.*"]).await;
    tenant.set_active(&webhook, false).await;
    let path = format!("{}/test", webhook.path());
    let made = tenant.api.post(&path, json!({})).await.expect(202);
    let delivery = made["delivery_id"].as_str().unwrap();
    tenant.until_ended(delivery).await;
    let told = explain(&tenant, delivery).await;
    assert_eq!(told["matched"]["reason"], "test");
    assert_eq!(told["matched"]["pattern"], Value::Null);
    assert_eq!(told["matched"]["webhook_version"], 2);
    assert_eq!(kinds(&told), ["scheduled", "attempt"]);
    assert_eq!(told["ended"]["how"], "exhausted");
    assert_eq!(told["accepted"]["actor"]["name"], "admin");
}

#[tokio::test]
async fn what_waits_for_an_inactive_webhook_and_is_cancelled_is_told() {
    let settings = [("RETRY_SCHEDULE", "1s,1s")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    receiver.on("/hooks", |_| Reply::status(500));
    let webhook = tenant
        .webhook_with(json!({
            "name": "Filtered",
            "url": receiver.url("/hooks"),
            "events": ["ticket.*"],
            "filter": "data.n == 1",
        }))
        .await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let delivery = tenant.delivery_of(&message).await;
    let delivery = id(&delivery);
    with_attempts(&tenant, delivery, 1).await;
    tenant.set_active(&webhook, false).await;
    // The filter that it has since does not count.
    let change = json!({"filter": "data.n == 2"});
    tenant.api.patch(&webhook.path(), change).await.expect(200);
    let waiting = eventually("a delivery that waits", async || {
        let told = explain(&tenant, delivery).await;
        let is_held = kinds(&told).iter().any(|kind| kind == "wait: inactive");
        is_held.then_some(told)
    })
    .await;
    assert_eq!(waiting["status"], "pending");
    assert_eq!(waiting["ended"], Value::Null);
    assert_eq!(waiting["matched"]["filter"], "data.n == 1");
    assert_eq!(waiting["matched"]["pattern"], "ticket.*");
    let last = waiting["steps"].as_array().unwrap().last().unwrap();
    assert_eq!(last["until"], Value::Null);
    assert_eq!(
        last["summary"],
        "It is due and waits: the webhook is switched off"
    );

    tenant.suspend(true).await;
    eventually("a delivery of a suspended tenant", async || {
        let told = explain(&tenant, delivery).await;
        let last = kinds(&told).pop();
        (last.as_deref() == Some("wait: suspended")).then_some(())
    })
    .await;
    order(&tenant, delivery, "cancel").await;
    let cancelled = tenant.until(&message, "cancelled").await;
    let told = explain(&tenant, delivery).await;
    check_order(&told);
    let cancel = steps(&told, "cancelled")[0];
    assert_eq!(cancel["reason"], "requested");
    assert_eq!(cancel["actor"]["name"], "admin");
    assert_eq!(told["ended"]["because"], "admin cancelled it");
    assert_eq!(told["ended"]["at"], cancelled["completed_at"]);
    // What is erased is told, too.
    let path = format!("/api/events/{message}/body");
    tenant.api.delete(&path).await.expect(204);
    let told = explain(&tenant, delivery).await;
    let erased = steps(&told, "erased")[0];
    assert_eq!(erased["attempt_id"], Value::Null);
    assert_eq!(erased["summary"], "admin erased the body of the message");
    assert_eq!(told["matched"]["filter"], "data.n == 1");
}

/// Also where a webhook changes in the millisecond in which a message is accepted.
#[tokio::test]
async fn a_message_is_explained_by_the_configuration_that_it_met() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let mut met = Vec::new();
    for version in 1..=20 {
        let message = tenant.publish("ticket.created", json!({})).await;
        met.push((message, version));
        let change = json!({"filter": format!("{version} > 0")});
        tenant.api.patch(&webhook.path(), change).await.expect(200);
    }
    for (message, version) in met {
        let delivery = tenant.delivery_of(&message).await;
        let matched = &explain(&tenant, id(&delivery)).await["matched"];
        assert_eq!(matched["webhook_version"], version);
        let filter = (version > 1).then(|| format!("{} > 0", version - 1));
        assert_eq!(matched["filter"], json!(filter));
    }
}

/// Who started a recovery asked for each of its deliveries.
#[tokio::test]
async fn a_recovery_is_told_with_whoever_started_it() {
    let settings = [("RETRY_SCHEDULE", "")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    receiver.on("/hooks", |_| Reply::status(500));
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let delivery = tenant.until(&message, "exhausted").await;
    receiver.on("/hooks", |_| Reply::ok());
    let operator = tenant.with_role("operator").await;
    let path = format!("{}/recover", webhook.path());
    let from = json!({"from": "2020-01-01T00:00:00Z"});
    operator.post(&path, from).await.expect(202);
    tenant.until(&message, "succeeded").await;
    tenant.api.delete(&webhook.path()).await.expect(204);
    let told = explain(&tenant, id(&delivery)).await;
    let requested = steps(&told, "requested")[0];
    assert_eq!(requested["trigger"], "recover");
    assert_eq!(requested["actor"]["name"], "operator");
    // The webhook is deleted, and all of that stands in the ledger.
    assert_eq!(told["configurations"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn only_those_who_may_read_deliveries_are_told() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let (tenant, other) = (app.tenant("acme").await, app.tenant("globex").await);
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let delivery = tenant.until(&message, "succeeded").await;
    let path = format!("/api/admin/deliveries/{}/explain", id(&delivery));
    let viewer = tenant.with_role("viewer").await;
    viewer.get(&path).await.expect(200);
    let publisher = tenant.with_role("publisher").await;
    publisher
        .get(&path)
        .await
        .problem(403, "missing_permission");
    other.api.get(&path).await.problem(404, "not_found");
    let parameter = format!("{path}?limit=5");
    tenant
        .api
        .get(&parameter)
        .await
        .problem(400, "invalid_parameter");
}
