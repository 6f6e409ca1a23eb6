//! Webhooks that the server disables: their receiver is gone, or has failed for long.

use serde_json::{Value, json};

use crate::support::{App, Receiver, Reply, Tenant, Webhook, eventually};

async fn shown(tenant: &Tenant, webhook: &Webhook) -> Value {
    tenant.api.get(&webhook.path()).await.expect(200)
}

async fn until_disabled(tenant: &Tenant, webhook: &Webhook) -> Value {
    eventually("a disabled webhook", async || {
        let shown = shown(tenant, webhook).await;
        (shown["is_active"] == false).then_some(shown)
    })
    .await
}

/// Everything that the contract says about 410, over a restart.
#[tokio::test]
async fn a_receiver_that_is_gone_disables_its_webhook() {
    let settings = [("RETRY_SCHEDULE", "50ms,50ms,50ms")];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/gone", |_| Reply::status(410));
    let tenant = app.tenant("acme").await;
    let other = tenant
        .webhook(&receiver.url("/other"), &["webhook.*"])
        .await;
    let webhook = tenant.webhook(&receiver.url("/gone"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let disabled = until_disabled(&tenant, &webhook).await;
    assert_eq!(disabled["disabled_reason"], "gone");

    // The tenant's other webhooks are told, once, with a signed message.
    let told = receiver.arrived("/other", 1).await;
    told[0].verify(&other.secret);
    let told = told[0].json();
    assert_eq!(told["event"], "webhook.disabled");
    assert_eq!(told["data"]["webhook_id"], webhook.id);
    assert_eq!(told["data"]["reason"], "gone");
    let row = tenant.api.get("/api/events").await.expect(200);
    let row = &row["data"][0];
    assert_eq!(row["event"], "webhook.disabled");
    let skipped = json!([{"webhook_id": webhook.id, "reason": "inactive", "detail": null}]);
    assert_eq!(row["not_delivered"], skipped);

    // What is pending waits, with its attempt logged.
    let waiting = tenant.delivery_of(&message).await;
    assert_eq!(waiting["status"], "pending");
    assert_eq!(waiting["log"][0]["response_status"], 410);
    app.kill();
    app.restart().await;
    let tested = tenant
        .api
        .post(&format!("{}/test", webhook.path()), json!({}))
        .await
        .expect(202);
    tenant
        .until_ended(tested["delivery_id"].as_str().unwrap())
        .await;
    assert_eq!(tenant.delivery_of(&message).await["attempts"], 1);
    assert_eq!(shown(&tenant, &webhook).await["disabled_reason"], "gone");

    // It goes on with the configuration of then.
    let body = json!({"is_active": true, "url": receiver.url("/back")});
    let activated = tenant.api.patch(&webhook.path(), body).await.expect(200);
    assert_eq!(activated["disabled_reason"], Value::Null);
    tenant.until(&message, "succeeded").await;
    assert_eq!(receiver.requests_at("/back").len(), 1);
    assert_eq!(receiver.requests_at("/other").len(), 1);
}

/// Of many attempts that are under way at once, all answered 410, one disables.
#[tokio::test]
async fn it_is_disabled_and_told_of_once() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    receiver.on("/gone", |_| Reply::status(410));
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/gone"), &["ticket.*"]).await;
    tenant.webhook(&receiver.url("/other"), &["*"]).await;
    tenant.publish_many("ticket.created", 50).await;
    until_disabled(&tenant, &webhook).await;
    let last = tenant.publish("ticket.closed", json!({})).await;
    tenant.until(&last, "succeeded").await;
    let told = receiver.requests_at("/other");
    let told = told
        .iter()
        .filter(|request| request.json()["event"] == "webhook.disabled");
    assert_eq!(told.count(), 1);
    let pending = format!("webhook_id={}&status=pending", webhook.id);
    assert_eq!(tenant.deliveries(&pending).await.len(), 50);
}

/// A success and an activation begin the time anew.
#[tokio::test]
async fn a_webhook_that_fails_for_long_is_disabled() {
    let schedule = ["100ms"; 40].join(",");
    let settings = [("DISABLE_AFTER", "1s"), ("RETRY_SCHEDULE", &schedule)];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/failing", |_| Reply::status(500));
    // Every fifth attempt succeeds.
    receiver.on("/flaky", |request| match request.nth % 5 {
        0 => Reply::ok(),
        _ => Reply::status(500),
    });
    let tenant = app.tenant("acme").await;
    let webhook = tenant
        .webhook(&receiver.url("/failing"), &["ticket.*"])
        .await;
    let flaky = tenant.webhook(&receiver.url("/flaky"), &["ticket.*"]).await;
    tenant
        .webhook(&receiver.url("/other"), &["webhook.disabled"])
        .await;
    tenant.publish("ticket.created", json!({"n": 1})).await;
    let disabled = until_disabled(&tenant, &webhook).await;
    assert_eq!(disabled["disabled_reason"], "failing");
    let told = receiver.arrived("/other", 1).await;
    assert_eq!(told[0].json()["data"]["reason"], "failing");
    let pending = format!("webhook_id={}&status=pending", webhook.id);
    let waiting = tenant.deliveries(&pending).await;
    assert_eq!(waiting.len(), 1);
    assert!(waiting[0]["attempts"].as_u64().unwrap() > 5);

    // Activated, it fails once more before its time is over again.
    let sent = receiver.requests_at("/failing").len();
    tenant.set_active(&webhook, true).await;
    receiver.arrived("/failing", sent + 3).await;
    assert_eq!(shown(&tenant, &webhook).await["is_active"], true);
    until_disabled(&tenant, &webhook).await;
    assert_eq!(shown(&tenant, &flaky).await["is_active"], true);
}

/// How long it has failed is known over restarts, and a success of before them counts.
#[tokio::test]
async fn how_long_it_has_failed_survives_a_kill() {
    let settings = [("DISABLE_AFTER", "2s"), ("RETRY_SCHEDULE", "")];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/failing", |_| Reply::status(500));
    let tenant = app.tenant("acme").await;
    let webhook = tenant
        .webhook(&receiver.url("/failing"), &["ticket.*"])
        .await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let first = tenant.until(&message, "exhausted").await;
    app.kill();
    app.restart().await;
    until_passed(&first["log"][0]["started_at"], 2100).await;
    // The next failure is the last one.
    assert_eq!(shown(&tenant, &webhook).await["is_active"], true);
    tenant.publish("ticket.created", json!({"n": 2})).await;
    until_disabled(&tenant, &webhook).await;
    assert_eq!(receiver.requests_at("/failing").len(), 2);
}

/// A receiver that has just been put in its place is not blamed for what failed before.
#[tokio::test]
async fn a_change_of_the_webhook_begins_the_time_anew() {
    let settings = [("DISABLE_AFTER", "2s"), ("RETRY_SCHEDULE", "")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    for path in ["/old", "/new"] {
        receiver.on(path, |_| Reply::status(500));
    }
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/old"), &["ticket.*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let first = tenant.until(&message, "exhausted").await;
    until_passed(&first["log"][0]["started_at"], 2100).await;
    let body = json!({"url": receiver.url("/new")});
    tenant.api.patch(&webhook.path(), body).await.expect(200);
    for n in 2..4 {
        let message = tenant.publish("ticket.created", json!({"n": n})).await;
        tenant.until(&message, "exhausted").await;
    }
    assert_eq!(shown(&tenant, &webhook).await["is_active"], true);
}

/// Waits until so many milliseconds have passed since then.
async fn until_passed(since: &Value, millis: i64) {
    let since = chrono::DateTime::parse_from_rfc3339(since.as_str().unwrap()).unwrap();
    eventually("the end of its time", async || {
        let passed = chrono::Utc::now().signed_duration_since(since);
        (passed > chrono::Duration::milliseconds(millis)).then_some(())
    })
    .await;
}
