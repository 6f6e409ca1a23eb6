//! Webhooks that are switched off and on, and tests of webhooks.

use serde_json::{Value, json};

use crate::support::{App, Gate, Receiver, Reply, Tenant, Webhook, eventually, fail_first};

async fn test(tenant: &Tenant, webhook: &Webhook, body: Value) -> Value {
    let accepted = tenant
        .api
        .post(&format!("{}/test", webhook.path()), body)
        .await
        .expect(202);
    assert_eq!(accepted.as_object().unwrap().len(), 1);
    tenant
        .until_ended(accepted["delivery_id"].as_str().unwrap())
        .await
}

/// What is pending waits while a webhook is inactive, also over a restart, and goes on then.
#[tokio::test]
async fn pending_deliveries_wait_for_an_inactive_webhook() {
    let settings = [("RETRY_SCHEDULE", "200ms,200ms")];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/hooks", fail_first(1));
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    eventually("the first attempt", async || {
        (tenant.delivery_of(&message).await["attempts"] == 1).then_some(())
    })
    .await;
    tenant.set_active(&webhook, false).await;
    let waiting = tenant.delivery_of(&message).await;
    assert_eq!(waiting["status"], "pending");
    let missed = tenant.publish("ticket.created", json!({"n": 2})).await;
    assert!(
        tenant
            .deliveries(&format!("message_id={missed}"))
            .await
            .is_empty()
    );

    app.kill();
    app.restart().await;
    // Two tests come and go, well after the pending one was due: it is not sent beside them.
    for _ in 0..2 {
        test(&tenant, &webhook, json!({})).await;
        let due = waiting["next_attempt_at"].as_str().unwrap();
        eventually("the time of the retry", async || {
            (now().as_str() > due).then_some(())
        })
        .await;
    }
    assert_eq!(tenant.delivery_of(&message).await["status"], "pending");
    let sent = receiver
        .requests()
        .iter()
        .filter(|request| request.message() == message)
        .count();
    assert_eq!(sent, 1);

    tenant.set_active(&webhook, true).await;
    let delivery = tenant.until(&message, "succeeded").await;
    assert_eq!(delivery["attempts"], 2);
    assert!(
        tenant
            .deliveries(&format!("message_id={missed}"))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_test_is_one_attempt_to_one_webhook_active_or_not() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    receiver.on("/bad", |_| Reply::status(500));
    let tenant = app.tenant("acme").await;
    let others = tenant.webhook(&receiver.url("/other"), &["*"]).await;
    let webhook = tenant
        .webhook(&receiver.url("/hooks"), &["ticket.created"])
        .await;
    tenant.set_active(&webhook, false).await;

    let delivery = test(&tenant, &webhook, json!({})).await;
    assert_eq!(
        (&delivery["status"], &delivery["event"]),
        (&json!("succeeded"), &json!("webhook.test"))
    );
    assert_eq!(delivery["log"][0]["trigger"], "test");
    let request = receiver.arrived("/hooks", 1).await.remove(0);
    request.verify(&webhook.secret);
    assert_eq!(request.header("x-webhook-event"), "webhook.test");
    let keys: Vec<String> = request
        .json()
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(keys, ["data", "event", "timestamp"]);

    let body = json!({"event": "service.updated", "data": {"x": 1}});
    let delivery = test(&tenant, &webhook, body).await;
    assert_eq!(delivery["event"], "service.updated");
    assert_eq!(
        receiver.requests_at("/hooks")[1].json()["data"],
        json!({"x": 1})
    );
    let path = format!("{}/test", webhook.path());
    let bodyless = tenant.api.send("POST", &path, &[], None).await.expect(202);
    tenant
        .until_ended(bodyless["delivery_id"].as_str().unwrap())
        .await;

    let changes = json!({"url": receiver.url("/bad")});
    tenant.api.patch(&webhook.path(), changes).await.expect(200);
    let delivery = test(&tenant, &webhook, json!({})).await;
    assert_eq!(
        (&delivery["status"], &delivery["attempts"]),
        (&json!("exhausted"), &json!(1))
    );
    assert_eq!(receiver.requests_at("/bad").len(), 1);
    assert!(
        receiver.requests_at("/other").is_empty(),
        "{others:?} was tested, too"
    );

    tenant
        .api
        .post(&path, json!({"event": "ticket.creatd"}))
        .await
        .problem(422, "invalid_content");
    tenant
        .api
        .post(&path, json!({"data": []}))
        .await
        .problem(422, "invalid_content");
}

#[tokio::test]
async fn no_more_attempts_at_one_time_than_the_webhook_wants() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let gate = Gate::closed();
    let held = gate.clone();
    receiver.on("/hooks", move |_| Reply::ok().behind(&held));
    let tenant = app.tenant("acme").await;
    let url = receiver.url("/hooks");
    tenant
        .webhook_with(
            json!({"name": "Narrow", "url": url, "events": ["ticket.*"], "max_in_flight": 2}),
        )
        .await;
    tenant
        .webhook(&receiver.url("/marker"), &["service.*"])
        .await;
    for n in 0..6 {
        tenant.publish("ticket.created", json!({"n": n})).await;
    }
    receiver.arrived("/hooks", 2).await;
    // Had a third one been allowed, it would have been sent before these.
    for n in 0..3 {
        let marker = tenant.publish("service.created", json!({"n": n})).await;
        tenant.until(&marker, "succeeded").await;
    }
    assert_eq!(receiver.requests_at("/hooks").len(), 2);
    gate.open();
    tenant.until_nothing_is_pending().await;
    assert_eq!(receiver.requests_at("/hooks").len(), 6);
}

#[tokio::test]
async fn a_rate_limit_holds() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let url = receiver.url("/hooks");
    tenant
        .webhook_with(json!({"name": "Slow", "url": url, "events": ["*"], "rate_limit": 10}))
        .await;
    for n in 0..8 {
        tenant.publish("ticket.created", json!({"n": n})).await;
    }
    let requests = receiver.arrived("/hooks", 8).await;
    // Seven gaps of 100 ms; a machine may be slow, but never fast here. 50 ms for coarse timers.
    let took = requests[7].at - requests[0].at;
    assert!(took.num_milliseconds() >= 650, "{took}");
}

fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
