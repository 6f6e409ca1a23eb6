//! Lanes read what is pending from the view again and again while messages come in: whatever
//! comes first, each delivery is sent once.

use std::time::Duration;

use serde_json::{Value, json};

use super::load::{Books, Load, drain};
use crate::support::{App, Receiver, Reply};

const ROUNDS: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_loaded_while_it_is_offered_is_sent_once() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    receiver.on("/narrow", |_| Reply::ok().after(Duration::from_millis(2)));
    let tenant = app.tenant("acme").await;
    let wide = tenant.webhook(&receiver.url("/wide"), &["*"]).await;
    let body = json!({"name": "Narrow", "url": receiver.url("/narrow"), "events": ["*"], "max_in_flight": 4});
    let narrow = tenant.webhook_with(body).await;
    let load = Load::start(&tenant, 12);
    for round in 0..ROUNDS {
        // Each of these forgets the lane's window and reads it anew.
        let webhook = if round % 2 == 0 { &wide } else { &narrow };
        for is_active in [false, true] {
            tenant
                .api
                .patch(&webhook.path(), json!({"is_active": is_active}))
                .await
                .expect(200);
        }
        tenant
            .api
            .patch(&webhook.path(), json!({"description": round.to_string()}))
            .await
            .expect(200);
    }
    let accepted = load.finish().await;
    drain(&tenant, &receiver).await;
    let books = Books::of(&tenant, &receiver).await;
    books.assert_attempts_are_numbered();
    books.assert_every_request_is_in_the_log();
    books.assert_no_send_after_success();
    assert!(accepted.len() > ROUNDS, "there was hardly any load");
}

/// A backlog far larger than what a lane holds, drained while it grows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_that_grows_while_it_drains_is_sent_once() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let batch: Vec<Value> = (0..300)
        .map(|n| json!({"event": "ticket.created", "data": {"n": n}}))
        .collect();
    let batch = json!({ "events": batch });
    let load = Load::start(&tenant, 4);
    for _ in 0..5 {
        tenant
            .api
            .post("/api/events/batch", batch.clone())
            .await
            .expect(202);
    }
    drain(&tenant, &receiver).await;
    let accepted = load.finish().await;
    drain(&tenant, &receiver).await;
    let books = Books::of(&tenant, &receiver).await;
    assert_eq!(books.count(), 1500 + accepted.len());
    books.assert_every_request_is_in_the_log();
    books.assert_no_send_after_success();
}
