//! Lanes read what is pending from the view again and again while messages come in: whatever
//! comes first, each delivery is sent once.

use std::time::Duration;

use serde_json::json;

use super::load::{Books, Load, PAUSE, drain};
use crate::support::{App, Receiver, Reply};

const ROUNDS: usize = 40;
const BURSTS: usize = 8;
const BURST: usize = 250;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_loaded_while_it_is_offered_is_sent_once() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    receiver.on("/narrow", |_| Reply::ok().after(Duration::from_millis(2)));
    let tenant = app.tenant("acme").await;
    let wide = tenant.webhook(&receiver.url("/wide"), &["*"]).await;
    let body = json!({"name": "Narrow", "url": receiver.url("/narrow"), "events": ["*"], "max_in_flight": 4});
    let narrow = tenant.webhook_with(body).await;
    let load = Load::start(&tenant, 8, Duration::ZERO);
    for _ in 0..ROUNDS {
        // Each of these forgets the lane's window and reads it anew.
        for (webhook, is_active) in [
            (&wide, false),
            (&wide, true),
            (&narrow, false),
            (&narrow, true),
        ] {
            tenant
                .api
                .patch(&webhook.path(), json!({"is_active": is_active}))
                .await
                .expect(200);
        }
    }
    let accepted = load.finish().await;
    drain(&tenant, &receiver).await;
    let books = Books::of(&tenant, &receiver).await;
    books.assert_attempts_are_numbered();
    books.assert_every_request_is_in_the_log();
    books.assert_no_send_after_success();
    assert!(accepted.len() > ROUNDS, "there was hardly any load");
}

/// Bursts of more than a lane holds, beside a trickle: the rest is read from the view, and some of
/// it while it is still being accepted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_loaded_while_it_is_accepted_is_sent_once() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let events = vec![json!({"event": "ticket.created", "data": {}}); BURST];
    let load = Load::start(&tenant, 4, PAUSE);
    for _ in 0..BURSTS {
        let body = json!({ "events": events });
        tenant.api.post("/api/events/batch", body).await.expect(202);
        drain(&tenant, &receiver).await;
    }
    let accepted = load.finish().await;
    drain(&tenant, &receiver).await;
    let books = Books::of(&tenant, &receiver).await;
    assert_eq!(books.count(), BURSTS * BURST + accepted.len());
    books.assert_every_request_is_in_the_log();
    books.assert_no_send_after_success();
}
