//! Webhooks that want their deliveries in order.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::support::{App, Gate, Receiver, Reply, Request, Tenant, Webhook, eventually};

async fn fifo(tenant: &Tenant, receiver: &Receiver) -> Webhook {
    let body = json!({
        "name": "In order", "url": receiver.url("/hooks"), "events": ["*"], "ordering": "fifo"
    });
    tenant.webhook_with(body).await
}

async fn publish(tenant: &Tenant, key: Option<&str>, n: usize) -> String {
    let mut body = json!({"event": "ticket.updated", "data": {"n": n, "key": key}});
    if let Some(key) = key {
        body["ordering_key"] = key.into();
    }
    let accepted = tenant.api.post("/api/events", body).await.expect(202);
    accepted["id"].as_str().unwrap().to_owned()
}

fn number(request: &Request) -> u64 {
    request.json()["data"]["n"].as_u64().unwrap()
}

fn key(request: &Request) -> String {
    request.json()["data"]["key"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// The numbers that arrived with each key, in the order of their first arrival.
fn arrivals(receiver: &Receiver) -> HashMap<String, Vec<u64>> {
    let mut arrivals: HashMap<String, Vec<u64>> = HashMap::new();
    for request in receiver.requests() {
        let numbers = arrivals.entry(key(&request)).or_default();
        if !numbers.contains(&number(&request)) {
            numbers.push(number(&request));
        }
    }
    arrivals
}

/// A key whose delivery fails waits; the others, and what has no key, go on.
#[tokio::test]
async fn a_failing_delivery_holds_back_its_own_key_only() {
    let settings = [("RETRY_SCHEDULE", "1h,1h")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/hooks", |request| {
        match (key(request).as_str(), number(request)) {
            ("b", 1) => Reply::status(500),
            _ => Reply::ok(),
        }
    });
    let tenant = app.tenant("acme").await;
    fifo(&tenant, &receiver).await;
    let mut held = Vec::new();
    for n in 0..5 {
        for key in [Some("a"), Some("b"), None] {
            let message = publish(&tenant, key, n).await;
            if key == Some("b") && n > 0 {
                held.push(message);
            } else {
                tenant.until(&message, "succeeded").await;
            }
        }
    }
    let arrived = arrivals(&receiver);
    assert_eq!(arrived["a"], [0, 1, 2, 3, 4]);
    assert_eq!(arrived[""], [0, 1, 2, 3, 4]);
    assert_eq!(arrived["b"], [0, 1]);

    // By hand: one that is not the head waits for its turn, the head goes at once.
    let waiting = tenant.delivery_of(&held[2]).await;
    let redeliver = |delivery: &Value| {
        format!(
            "/api/admin/deliveries/{}/redeliver",
            delivery["id"].as_str().unwrap()
        )
    };
    tenant
        .api
        .post(&redeliver(&waiting), json!({}))
        .await
        .expect(202);
    let probe = publish(&tenant, Some("a"), 5).await;
    tenant.until(&probe, "succeeded").await;
    assert_eq!(tenant.delivery_of(&held[2]).await["attempts"], 0);
    receiver.on("/hooks", |_| Reply::ok());
    let head = tenant.delivery_of(&held[0]).await;
    tenant
        .api
        .post(&redeliver(&head), json!({}))
        .await
        .expect(202);
    for message in &held {
        tenant.until(message, "succeeded").await;
    }
    assert_eq!(arrivals(&receiver)["b"], [0, 1, 2, 3, 4]);
    let log = tenant.delivery_of(&held[2]).await["log"].clone();
    assert_eq!(log[0]["trigger"], "redeliver");
}

/// A key's next delivery comes when the one before has ended, however it ends.
#[tokio::test]
async fn a_key_goes_on_after_a_delivery_that_is_exhausted_or_cancelled() {
    let settings = [("RETRY_SCHEDULE", "1h")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/hooks", |request| match number(request) {
        0 => Reply::status(500),
        _ => Reply::ok(),
    });
    let tenant = app.tenant("acme").await;
    let webhook = fifo(&tenant, &receiver).await;
    let first = publish(&tenant, None, 0).await;
    let second = publish(&tenant, None, 1).await;
    eventually("the first attempt", async || {
        (tenant.delivery_of(&first).await["attempts"] == 1).then_some(())
    })
    .await;
    assert_eq!(tenant.delivery_of(&second).await["attempts"], 0);
    let delivery = tenant.delivery_of(&first).await;
    let path = format!(
        "/api/admin/deliveries/{}/cancel",
        delivery["id"].as_str().unwrap()
    );
    tenant.api.post(&path, json!({})).await.expect(202);
    tenant.until(&second, "succeeded").await;

    let schedule = json!({"retry_schedule": []});
    tenant
        .api
        .patch(&webhook.path(), schedule)
        .await
        .expect(200);
    let first = publish(&tenant, None, 0).await;
    let second = publish(&tenant, None, 2).await;
    tenant.until(&first, "exhausted").await;
    tenant.until(&second, "succeeded").await;

    // What has ended and is sent again takes its turn, too, and holds nothing back afterwards.
    let gate = Gate::closed();
    let behind = gate.clone();
    receiver.on("/hooks", move |request| match number(request) {
        0 => Reply::status(500).behind(&behind),
        _ => Reply::ok(),
    });
    let exhausted = tenant.delivery_of(&first).await;
    let path = format!(
        "/api/admin/deliveries/{}/redeliver",
        exhausted["id"].as_str().unwrap()
    );
    tenant.api.post(&path, json!({})).await.expect(202);
    receiver.arrived("/hooks", 5).await;
    let third = publish(&tenant, None, 3).await;
    let other = publish(&tenant, Some("other"), 4).await;
    tenant.until(&other, "succeeded").await;
    assert_eq!(tenant.delivery_of(&third).await["attempts"], 0);
    gate.open();
    tenant.until(&third, "succeeded").await;
}

/// Of each key one at a time, whatever is in the way: failures, batches, a kill.
#[tokio::test]
async fn batches_keep_their_order() {
    let (mut app, receiver) = (App::start().await, Receiver::start().await);
    // Every seventh message fails twice.
    receiver.on("/hooks", |request| match number(request) % 7 {
        3 if request.nth_of_delivery <= 2 => Reply::status(500),
        _ => Reply::ok(),
    });
    let tenant = app.tenant("acme").await;
    fifo(&tenant, &receiver).await;
    for batch in 0..3 {
        let events: Vec<Value> = (0..300)
            .map(|n| {
                let key = format!("key-{}", n % 10);
                json!({
                    "event": "ticket.updated", "ordering_key": key,
                    "data": {"n": batch * 300 + n, "key": key}
                })
            })
            .collect();
        let accepted = tenant
            .api
            .post("/api/events/batch", json!({"events": events}))
            .await;
        accepted.expect(202);
        if batch == 1 {
            receiver.arrived("/hooks", 100).await;
            app.kill();
            app.restart().await;
        }
    }
    tenant.until_nothing_is_pending().await;
    let arrived = arrivals(&receiver);
    assert_eq!(arrived.len(), 10);
    for (key, numbers) in arrived {
        assert_eq!(numbers.len(), 90, "{key}");
        assert!(numbers.is_sorted(), "{key}: {numbers:?}");
    }
}

/// What waits is taken over when a webhook is switched between the two.
#[tokio::test]
async fn order_can_be_switched_on_and_off() {
    let settings = [("RETRY_SCHEDULE", "1h")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/hooks", |_| Reply::status(500));
    let tenant = app.tenant("acme").await;
    let webhook = fifo(&tenant, &receiver).await;
    for n in 0..3 {
        publish(&tenant, Some("a"), n).await;
    }
    receiver.arrived("/hooks", 1).await;
    // Without order all of them are due.
    let unordered = json!({"ordering": "none"});
    tenant
        .api
        .patch(&webhook.path(), unordered)
        .await
        .expect(200);
    receiver.arrived("/hooks", 3).await;
    eventually("the end of the attempts", async || {
        let rows = tenant.deliveries("status=pending").await;
        rows.iter().all(|row| row["attempts"] == 1).then_some(())
    })
    .await;
    // With order the first one, which waits for its retry, holds the others back.
    let ordered = json!({"ordering": "fifo"});
    tenant.api.patch(&webhook.path(), ordered).await.expect(200);
    receiver.on("/hooks", |_| Reply::ok());
    let next = publish(&tenant, Some("a"), 3).await;
    let other = publish(&tenant, Some("b"), 4).await;
    tenant.until(&other, "succeeded").await;
    assert_eq!(tenant.delivery_of(&next).await["attempts"], 0);
    // A test is in no queue.
    let tested = tenant
        .api
        .post(&format!("{}/test", webhook.path()), json!({}))
        .await
        .expect(202);
    let tested = tenant
        .until_ended(tested["delivery_id"].as_str().unwrap())
        .await;
    assert_eq!(tested["status"], "succeeded");
    let unordered = json!({"ordering": "none"});
    tenant
        .api
        .patch(&webhook.path(), unordered)
        .await
        .expect(200);
    tenant.until(&next, "succeeded").await;
}
