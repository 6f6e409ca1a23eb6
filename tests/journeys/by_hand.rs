//! Deliveries that are sent again or called off by hand.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{App, Gate, Receiver, Reply, Tenant, eventually, fail_first};

async fn command(tenant: &Tenant, delivery: &Value, what: &str) {
    let answer = order(tenant, delivery, what).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.body, b"");
}

async fn order(tenant: &Tenant, delivery: &Value, what: &str) -> crate::support::Answer {
    let path = format!("/api/admin/deliveries/{}/{what}", id(delivery));
    tenant.api.send("POST", &path, &[], None).await
}

fn id(delivery: &Value) -> &str {
    delivery["id"].as_str().unwrap()
}

fn triggers(delivery: &Value) -> Vec<&str> {
    let log = delivery["log"].as_array().unwrap();
    let trigger = |row: &'_ Value| -> &'static str {
        match row["trigger"].as_str().unwrap() {
            "publish" => "publish",
            "retry" => "retry",
            "redeliver" => "redeliver",
            other => panic!("{other}"),
        }
    };
    log.iter().rev().map(trigger).collect()
}

async fn with_attempts(tenant: &Tenant, delivery: &Value, count: usize) -> Value {
    eventually(&format!("{count} attempts"), async || {
        let delivery = tenant.delivery(id(delivery)).await;
        (delivery["attempts"] == count).then_some(delivery)
    })
    .await
}

#[tokio::test]
async fn an_exhausted_delivery_that_is_redelivered_succeeds() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    receiver.on("/hooks", fail_first(5));
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let exhausted = tenant.until(&message, "exhausted").await;
    assert_eq!(exhausted["attempts"], 4);

    // It fails once more, which changes nothing but the log.
    command(&tenant, &exhausted, "redeliver").await;
    let again = with_attempts(&tenant, &exhausted, 5).await;
    assert_eq!(again["status"], "exhausted");
    assert_eq!(again["completed_at"], exhausted["completed_at"]);
    assert_eq!(again["next_attempt_at"], Value::Null);

    command(&tenant, &exhausted, "redeliver").await;
    let succeeded = tenant.until(&message, "succeeded").await;
    let expected = [
        "publish",
        "retry",
        "retry",
        "retry",
        "redeliver",
        "redeliver",
    ];
    assert_eq!(triggers(&succeeded), expected);
    assert_eq!(succeeded["last_error"], Value::Null);
    let requests = receiver.requests();
    for (number, request) in (1..).zip(&requests) {
        request.verify(&webhook.secret);
        assert_eq!(request.body, requests[0].body);
        assert_eq!(request.header("x-webhook-attempt"), number.to_string());
        assert_eq!(request.message(), message);
    }
    // What has succeeded can be sent again, too; a failure does not take that back.
    receiver.on("/hooks", |_| Reply::status(500));
    command(&tenant, &exhausted, "redeliver").await;
    let still = with_attempts(&tenant, &exhausted, 7).await;
    assert_eq!(still["status"], "succeeded");
    assert_eq!(still["last_response_status"], 500);
}

#[tokio::test]
async fn a_redelivery_that_fails_leaves_the_schedule_alone() {
    let settings = [("RETRY_SCHEDULE", "10ms,1h,1h")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/hooks", |_| Reply::status(500));
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let delivery = tenant.delivery_of(&message).await;
    let waiting = with_attempts(&tenant, &delivery, 2).await;
    for count in [3, 4] {
        command(&tenant, &waiting, "redeliver").await;
        let after = with_attempts(&tenant, &waiting, count).await;
        assert_eq!(after["status"], "pending");
        assert_eq!(after["next_attempt_at"], waiting["next_attempt_at"]);
    }
    receiver.on("/hooks", |_| Reply::ok());
    command(&tenant, &waiting, "redeliver").await;
    let ended = tenant.until(&message, "succeeded").await;
    assert_eq!(ended["next_attempt_at"], Value::Null);
    assert_eq!(receiver.requests().len(), 5);
}

/// Over a restart, too: what was answered 202 is sent.
#[tokio::test]
async fn a_redelivery_waits_for_an_inactive_webhook_and_survives_a_kill() {
    let (mut app, receiver) = (App::start().await, Receiver::start().await);
    receiver.on("/hooks", fail_first(4));
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let exhausted = tenant.until(&message, "exhausted").await;
    tenant.set_active(&webhook, false).await;
    command(&tenant, &exhausted, "redeliver").await;
    let waiting = tenant.delivery(id(&exhausted)).await;
    assert_eq!(waiting["status"], "exhausted");
    assert!(waiting["next_attempt_at"].is_string());
    app.kill();
    app.restart().await;
    assert_eq!(receiver.requests().len(), 4);
    tenant.set_active(&webhook, true).await;
    let succeeded = tenant.until(&message, "succeeded").await;
    assert_eq!(succeeded["attempts"], 5);
}

#[tokio::test]
async fn asking_again_before_it_is_sent_changes_nothing() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    receiver.on("/hooks", fail_first(4));
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let exhausted = tenant.until(&message, "exhausted").await;
    tenant.set_active(&webhook, false).await;
    let asked = (0..16).map(|_| command(&tenant, &exhausted, "redeliver"));
    futures_util::future::join_all(asked).await;
    tenant.set_active(&webhook, true).await;
    tenant.until(&message, "succeeded").await;
    // Another one comes after it, so no second attempt is on its way.
    let next = tenant.publish("ticket.created", json!({"n": 2})).await;
    tenant.until(&next, "exhausted").await;
    assert_eq!(tenant.delivery_of(&message).await["attempts"], 5);
}

#[tokio::test]
async fn a_cancelled_delivery_is_not_sent_any_more() {
    let settings = [("RETRY_SCHEDULE", "300ms,300ms")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/hooks", |_| Reply::status(500));
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let delivery = tenant.delivery_of(&message).await;
    with_attempts(&tenant, &delivery, 1).await;
    command(&tenant, &delivery, "cancel").await;
    let cancelled = tenant.until(&message, "cancelled").await;
    assert_eq!(cancelled["next_attempt_at"], Value::Null);
    assert!(cancelled["completed_at"].is_string());
    // Calling it off again is no error, but what has ended otherwise cannot be called off.
    command(&tenant, &delivery, "cancel").await;
    let other = tenant.publish("ticket.created", json!({"n": 2})).await;
    let exhausted = tenant.until(&other, "exhausted").await;
    let refused = order(&tenant, &exhausted, "cancel").await.expect(409);
    assert_eq!(refused["code"], "delivery_ended");
    assert_eq!(tenant.delivery(id(&delivery)).await["attempts"], 1);
    // By hand it can still be sent.
    receiver.on("/hooks", |_| Reply::ok());
    command(&tenant, &cancelled, "redeliver").await;
    tenant.until(&message, "succeeded").await;
}

/// The log shows all that was sent, and a receiver that took it has taken it.
#[tokio::test]
async fn an_attempt_under_way_ends_as_it_ends() {
    for (status, expected) in [(200, "succeeded"), (500, "cancelled")] {
        let (app, receiver) = (App::start().await, Receiver::start().await);
        let gate = Gate::closed();
        let behind = gate.clone();
        receiver.on("/hooks", move |_| Reply::status(status).behind(&behind));
        let tenant = app.tenant("acme").await;
        tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
        let message = tenant.publish("ticket.created", json!({"n": 1})).await;
        receiver.arrived("/hooks", 1).await;
        let delivery = tenant.delivery_of(&message).await;
        command(&tenant, &delivery, "cancel").await;
        tenant.until(&message, "cancelled").await;
        gate.open();
        let ended = with_attempts(&tenant, &delivery, 1).await;
        assert_eq!(ended["status"], expected);
        assert_eq!(ended["log"][0]["response_status"], status);
    }
}

/// What is asked for while an attempt is under way is tried after it, unless that one succeeds.
#[tokio::test]
async fn a_redelivery_that_is_asked_for_during_an_attempt_follows_it() {
    let settings = [("RETRY_SCHEDULE", "1h")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let gate = Gate::closed();
    let behind = gate.clone();
    receiver.on("/hooks", move |request| match request.nth {
        1 => Reply::status(500).behind(&behind),
        _ => Reply::ok().after(Duration::from_millis(10)),
    });
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    receiver.arrived("/hooks", 1).await;
    let delivery = tenant.delivery_of(&message).await;
    command(&tenant, &delivery, "redeliver").await;
    gate.open();
    let succeeded = tenant.until(&message, "succeeded").await;
    assert_eq!(triggers(&succeeded), ["publish", "redeliver"]);
}

#[tokio::test]
async fn what_goes_to_a_deleted_webhook_cannot_be_sent_again() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let delivery = tenant.until(&message, "succeeded").await;
    tenant.api.delete(&webhook.path()).await.expect(204);
    let refused = order(&tenant, &delivery, "redeliver").await.expect(409);
    assert_eq!(refused["code"], "webhook_deleted");
}

/// Whoever asks for a redelivery right before the webhook is deleted: it ends.
#[tokio::test]
async fn what_was_asked_for_ends_with_its_webhook() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    receiver.on("/hooks", fail_first(4));
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let exhausted = tenant.until(&message, "exhausted").await;
    tenant.set_active(&webhook, false).await;
    command(&tenant, &exhausted, "redeliver").await;
    tenant.api.delete(&webhook.path()).await.expect(204);
    let ended = eventually("the end of the request", async || {
        let delivery = tenant.delivery(id(&exhausted)).await;
        delivery["next_attempt_at"].is_null().then_some(delivery)
    })
    .await;
    assert_eq!(ended["status"], "exhausted");
    assert_eq!(receiver.requests().len(), 4);
}
