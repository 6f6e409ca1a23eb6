//! Order under load: many messages with many keys, failures, and the process killed in between.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::support::{App, Receiver, Reply, eventually};

const MESSAGES: usize = 10_000;
const KEYS: usize = 50;
/// One in so many messages fails once.
const FAILS: u64 = 20;
/// What has arrived when the process is killed.
const KILLED_AT: [usize; 2] = [2_000, 6_000];

fn message(n: usize) -> Value {
    let key = format!("ticket-{}", n % KEYS);
    json!({
        "event": "ticket.updated",
        "ordering_key": key,
        "data": {"key": key, "n": n / KEYS},
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_overtakes_another_with_its_key() {
    let settings = [("RETRY_SCHEDULE", "20ms,20ms,20ms")];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/hooks", |request| {
        let n = request.json()["data"]["n"].as_u64().unwrap();
        match n % FAILS {
            7 if request.nth_of_delivery == 1 => Reply::status(500),
            _ => Reply::ok(),
        }
    });
    let tenant = app.tenant("acme").await;
    let webhook = json!({
        "name": "In order", "url": receiver.url("/hooks"), "events": ["*"], "ordering": "fifo"
    });
    tenant.webhook_with(webhook).await;
    let numbers: Vec<usize> = (0..MESSAGES).collect();
    let mut kills = KILLED_AT.into_iter().peekable();
    for batch in numbers.chunks(1000) {
        let events: Vec<Value> = batch.iter().copied().map(message).collect();
        let accepted = tenant
            .api
            .post("/api/events/batch", json!({"events": events}));
        let results = accepted.await.expect(202)["results"].clone();
        assert!(
            results
                .as_array()
                .unwrap()
                .iter()
                .all(|one| one["deliveries"] == 1)
        );
        if kills
            .next_if(|at| receiver.requests().len() >= *at)
            .is_some()
        {
            app.kill();
            app.restart().await;
        }
    }
    for at in kills {
        receiver.arrived("/hooks", at).await;
        app.kill();
        app.restart().await;
    }
    eventually("the last message", async || {
        let page = tenant
            .api
            .get("/api/admin/deliveries?status=pending&limit=1")
            .await;
        page.expect(200)["data"]
            .as_array()
            .unwrap()
            .is_empty()
            .then_some(())
    })
    .await;

    // A message comes when the one before it has succeeded; the head may come again.
    let mut succeeded: HashMap<String, u64> = HashMap::new();
    let mut inversions = 0;
    for request in receiver.requests() {
        let body = request.json();
        let key = body["data"]["key"].as_str().unwrap().to_owned();
        let n = body["data"]["n"].as_u64().unwrap();
        let expected = succeeded.get(&key).map_or(0, |last| last + 1);
        let is_again = expected > 0 && n == expected - 1;
        inversions += usize::from(n != expected && !is_again);
        let fails = n % FAILS == 7 && request.nth_of_delivery == 1;
        if !fails {
            succeeded.insert(key, n.max(expected.saturating_sub(1)));
        }
    }
    assert_eq!(inversions, 0);
    assert_eq!(succeeded.len(), KEYS);
    let last = (MESSAGES / KEYS) as u64 - 1;
    assert!(succeeded.values().all(|n| *n == last), "{succeeded:?}");
}
