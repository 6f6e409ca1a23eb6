//! Failed attempts are made again until one succeeds or the schedule is spent.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::{App, Receiver, Reply, fail_first};

fn column<'a>(delivery: &'a Value, name: &str) -> Vec<&'a Value> {
    // The log is newest first.
    delivery["log"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|row| &row[name])
        .collect()
}

#[tokio::test]
async fn a_delivery_is_sent_until_it_succeeds() {
    // The second retry is more than a second after the first, so that the timestamps differ.
    let settings = [("RETRY_SCHEDULE", "10ms,1100ms")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/hooks", fail_first(2));
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let delivery = tenant.until(&message, "succeeded").await;

    let requests = receiver.requests();
    assert_eq!(requests.len(), 3);
    for (index, request) in requests.iter().enumerate() {
        request.verify(&webhook.secret);
        assert_eq!(request.body, requests[0].body);
        assert_eq!(request.header("webhook-id"), message);
        assert_eq!(request.header("x-webhook-attempt"), (index + 1).to_string());
        assert_eq!(
            request.header("x-webhook-delivery"),
            delivery["id"].as_str().unwrap()
        );
    }
    let timestamp = |index: usize| {
        requests[index]
            .header("webhook-timestamp")
            .parse::<i64>()
            .unwrap()
    };
    assert!(
        timestamp(2) > timestamp(0),
        "each attempt is signed with its own time"
    );
    assert_eq!(delivery["attempts"], 3);
    assert_eq!(delivery["last_error"], Value::Null);
    assert_eq!(column(&delivery, "attempt"), [1, 2, 3]);
    assert_eq!(column(&delivery, "trigger"), ["publish", "retry", "retry"]);
    assert_eq!(
        column(&delivery, "outcome"),
        ["failed", "failed", "succeeded"]
    );
    assert_eq!(column(&delivery, "response_status"), [500, 500, 200]);
    let failure = &delivery["log"][2]["error"];
    assert_eq!(failure["code"], "http_status");
    let ids: HashSet<_> = column(&delivery, "id").into_iter().collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn a_delivery_whose_attempts_are_spent_is_exhausted() {
    let settings = [("RETRY_SCHEDULE", "10ms,10ms")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/hooks", |_| Reply::body(503, b"not now"));
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let delivery = tenant.until(&message, "exhausted").await;
    assert_eq!(column(&delivery, "response_status"), [503, 503, 503]);
    assert_eq!(
        column(&delivery, "response_body"),
        ["not now", "not now", "not now"]
    );
    assert_eq!(delivery["attempts"], 3);
    assert_eq!(delivery["last_response_status"], 503);
    assert_eq!(delivery["last_error"]["code"], "http_status");
    assert_eq!(delivery["next_attempt_at"], Value::Null);
    assert!(delivery["completed_at"].is_string());
    assert_eq!(receiver.requests().len(), 3);
    let shown = tenant
        .api
        .get(&format!("/api/events/{message}"))
        .await
        .expect(200);
    assert_eq!(shown["deliveries"][0]["status"], "exhausted");
}

#[tokio::test]
async fn an_empty_schedule_means_one_attempt() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    receiver.on("/hooks", |_| Reply::status(500));
    let tenant = app.tenant("acme").await;
    let url = receiver.url("/hooks");
    tenant
        .webhook_with(json!({"name": "Once", "url": url, "events": ["*"], "retry_schedule": []}))
        .await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let delivery = tenant.until(&message, "exhausted").await;
    assert_eq!(
        (delivery["attempts"].clone(), receiver.requests().len()),
        (json!(1), 1)
    );
}

#[tokio::test]
async fn a_server_without_retries_tries_once() {
    let (app, receiver) = (
        App::with(&[("RETRY_SCHEDULE", "")]).await,
        Receiver::start().await,
    );
    receiver.on("/hooks", |_| Reply::status(500));
    let tenant = app.tenant("acme").await;
    let url = receiver.url("/hooks");
    tenant.webhook(&url, &["ticket.created"]).await;
    tenant
        .webhook_with(json!({"name": "Own", "url": url, "events": ["ticket.closed"], "retry_schedule": [0, 0]}))
        .await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    assert_eq!(tenant.until(&message, "exhausted").await["attempts"], 1);
    let message = tenant.publish("ticket.closed", json!({"n": 2})).await;
    assert_eq!(tenant.until(&message, "exhausted").await["attempts"], 3);
}

/// While it waits a delivery is pending, and its next attempt goes by what is configured then.
#[tokio::test]
async fn the_next_attempt_goes_by_the_present_configuration() {
    let settings = [("RETRY_SCHEDULE", "3s")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/old", |_| Reply::status(404));
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/old"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    receiver.arrived("/old", 1).await;
    let waiting = crate::support::eventually("the first attempt in the log", async || {
        let delivery = tenant.delivery_of(&message).await;
        (delivery["attempts"] == 1).then_some(delivery)
    })
    .await;
    assert_eq!(
        (&waiting["status"], &waiting["completed_at"]),
        (&json!("pending"), &Value::Null)
    );
    assert!(waiting["next_attempt_at"].as_str() > waiting["log"][0]["started_at"].as_str());
    assert_eq!(waiting["last_response_status"], 404);

    let changes = json!({"url": receiver.url("/new"), "headers": {"X-Env": "test é"}});
    tenant.api.patch(&webhook.path(), changes).await.expect(200);
    let delivery = tenant.until(&message, "succeeded").await;
    let request = &receiver.requests_at("/new")[0];
    assert_eq!(request.header("x-env"), "test é");
    request.verify(&webhook.secret);
    assert_eq!(column(&delivery, "webhook_version"), [1, 2]);
    assert_eq!(
        column(&delivery, "url"),
        [&receiver.url("/old"), &receiver.url("/new")]
    );
    assert_eq!(delivery["webhook_id"], webhook.id);
}

#[tokio::test]
async fn a_retry_comes_also_after_a_restart() {
    let settings = [("RETRY_SCHEDULE", "500ms")];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/hooks", fail_first(1));
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    crate::support::eventually("the first attempt in the log", async || {
        (tenant.delivery_of(&message).await["attempts"] == 1).then_some(())
    })
    .await;
    app.kill();
    app.restart().await;
    let delivery = tenant.until(&message, "succeeded").await;
    assert_eq!(column(&delivery, "trigger"), ["publish", "retry"]);
    assert_eq!(receiver.requests().len(), 2);
}
