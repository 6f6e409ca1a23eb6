//! SIGTERM under load: what is in flight ends and is recorded, nothing is lost, nothing is sent
//! twice.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::json;

use super::load::{Books, Load, PAUSE, drain};
use crate::support::{App, Receiver, Reply};

const ROUNDS: usize = 3;
const TIMEOUT: Duration = Duration::from_secs(1);
/// What stopping may take beyond the delivery timeout.
const GRACE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_told_to_end_leaves_nothing_open() {
    let settings = [("DELIVERY_TIMEOUT", "1s")];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/slow", |_| Reply::ok().after(Duration::from_millis(100)));
    let tenant = app.tenant("acme").await;
    let mut endpoints = BTreeMap::new();
    for path in ["/steady", "/slow"] {
        endpoints.insert(
            path,
            tenant.webhook(&receiver.url(path), &["ticket.*"]).await,
        );
    }
    let load = Load::start(&tenant, 3, PAUSE);
    for round in 1..=ROUNDS {
        receiver.arrived("/slow", 20 * round).await;
        let told = Instant::now();
        app.terminate();
        assert_eq!(app.ended().await.code(), Some(0));
        assert!(
            told.elapsed() < TIMEOUT + GRACE,
            "it took {:?}",
            told.elapsed()
        );
        app.restart().await;
    }
    let accepted = load.finish().await;
    drain(&tenant, &receiver).await;
    let books = Books::of(&tenant, &receiver).await;
    books.assert_nothing_is_lost(&accepted, &endpoints);
    books.assert_bodies_are_the_same(&endpoints);
    books.assert_every_request_is_in_the_log();
    books.assert_no_send_after_success();
}

/// An attempt that hangs ends by its deadline also while the server stops.
#[tokio::test]
async fn an_attempt_that_hangs_is_recorded_before_the_end() {
    let settings = [("DELIVERY_TIMEOUT", "1s"), ("RETRY_SCHEDULE", "1h")];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/hang", |_| Reply::Hang);
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hang"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({})).await;
    receiver.arrived("/hang", 1).await;
    let told = Instant::now();
    app.terminate();
    assert_eq!(app.ended().await.code(), Some(0));
    assert!(
        told.elapsed() < TIMEOUT + GRACE,
        "it took {:?}",
        told.elapsed()
    );
    app.restart().await;
    let delivery = tenant.delivery_of(&message).await;
    assert_eq!(delivery["log"].as_array().unwrap().len(), 1);
    assert_eq!(delivery["log"][0]["error"]["code"], "timeout");
    assert_eq!(
        (&delivery["status"], receiver.requests().len()),
        (&json!("pending"), 1)
    );
}

/// What waits for its retry, and what never got its turn, is there after the next start.
#[tokio::test]
async fn what_waits_is_sent_after_the_next_start() {
    let settings = [
        ("MAX_IN_FLIGHT_PER_WEBHOOK", "1"),
        ("DELIVERY_TIMEOUT", "1s"),
    ];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/hooks", |request| {
        if request.nth == 1 {
            Reply::Hang
        } else {
            Reply::ok()
        }
    });
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    for n in 0..5 {
        tenant.publish("ticket.created", json!({"n": n})).await;
    }
    receiver.arrived("/hooks", 1).await;
    app.terminate();
    assert_eq!(app.ended().await.code(), Some(0));
    assert_eq!(
        receiver.requests().len(),
        1,
        "no further attempt is started"
    );
    app.restart().await;
    tenant.until_nothing_is_pending().await;
    assert_eq!(tenant.deliveries("status=succeeded").await.len(), 5);
    assert_eq!(receiver.requests().len(), 6);
}
