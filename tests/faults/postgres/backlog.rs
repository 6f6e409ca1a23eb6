//! A node dies on a mountain of work.

use std::time::Duration;

use serde_json::{Value, json};

use super::nodes::{id_held_by, until_shares_are_fair};
use crate::{
    faults::load::{Books, drain},
    support::{App, Receiver, Reply, Server},
};

const DELIVERIES: usize = 2000;
/// As many as one request may bring.
const BATCH: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_backlog_is_taken_over() {
    let Some(server) = Server::shared() else {
        return;
    };
    let schedule = ["3s"; 40].join(",");
    let settings = [("NODE_LEASE", "1s"), ("RETRY_SCHEDULE", schedule.as_str())];
    let receiver = Receiver::start().await;
    let mut dying = App::on_postgres(&server, &settings).await;
    let living = dying.another_node(&[]).await;
    until_shares_are_fair(&living, 2).await;
    let id = id_held_by(&dying, "tenant").await;
    let tenant = living.tenant(&id).await;
    // Down, and slow to say so.
    receiver.on("/hooks", |_| {
        Reply::status(503).after(Duration::from_millis(50))
    });
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    for batch in 0..DELIVERIES / BATCH {
        let event = |n| json!({"event": "ticket.created", "data": {"batch": batch, "n": n}});
        let all: Vec<Value> = (0..BATCH).map(event).collect();
        let all = json!({ "events": all });
        tenant.api.post("/api/events/batch", all).await.expect(202);
    }
    receiver.arrived("/hooks", DELIVERIES / 4).await;
    dying.kill();
    until_shares_are_fair(&living, 1).await;
    // The other node sends now, too.
    let sent = receiver.requests().len();
    receiver.arrived("/hooks", sent + 100).await;
    receiver.on("/hooks", |_| Reply::ok());
    drain(&tenant, &receiver).await;
    let books = Books::of(&tenant, &receiver).await;
    assert_eq!(books.count(), DELIVERIES);
    books.assert_each_succeeded_once();
    books.assert_no_send_after_success();
    books.assert_attempts_are_numbered();
}
