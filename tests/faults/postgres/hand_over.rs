//! A node that is told to end hands over what it holds: nobody waits for the end of its lease.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::nodes::{id_held_by, until_shares_are_fair};
use crate::{
    faults::load::Books,
    support::{App, Receiver, Reply, Server, Tenant},
};

const ROUNDS: usize = 3;
const DELIVERIES: usize = 20;
const LEASE: Duration = Duration::from_secs(60);
/// How soon everything is delivered: long before a lease could end.
const SOON: Duration = Duration::from_secs(20);

async fn publish(tenant: &Tenant) {
    let event = |n| json!({"event": "ticket.created", "data": {"n": n}});
    let all: Vec<Value> = (0..DELIVERIES).map(event).collect();
    let all = json!({ "events": all });
    tenant.api.post("/api/events/batch", all).await.expect(202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_handed_over_at_once() {
    let Some(server) = Server::shared() else {
        return;
    };
    let schedule = ["300ms"; 40].join(",");
    let settings = [("NODE_LEASE", "1m"), ("RETRY_SCHEDULE", schedule.as_str())];
    let receiver = Receiver::start().await;
    let one = App::on_postgres(&server, &settings).await;
    let other = one.another_node(&[]).await;
    let mut nodes = [one, other];
    for round in 0..ROUNDS {
        until_shares_are_fair(&nodes[0], 2).await;
        let (leaving, staying) = (round % 2, (round + 1) % 2);
        // It has waiting what failed, and under way what is slow.
        let id = id_held_by(&nodes[leaving], &format!("round-{round}")).await;
        let tenant = nodes[staying].tenant(&id).await;
        let (failing, slow) = (format!("/failing-{round}"), format!("/slow-{round}"));
        receiver.on(&failing, |_| Reply::status(500));
        receiver.on(&slow, |_| Reply::ok().after(Duration::from_millis(300)));
        tenant.webhook(&receiver.url(&failing), &["*"]).await;
        tenant.webhook(&receiver.url(&slow), &["*"]).await;
        publish(&tenant).await;
        receiver.arrived(&failing, 2 * DELIVERIES).await;
        publish(&tenant).await;
        receiver.arrived(&slow, DELIVERIES + 1).await;

        let told = Instant::now();
        nodes[leaving].terminate();
        assert_eq!(nodes[leaving].ended().await.code(), Some(0));
        receiver.on(&failing, |_| Reply::ok());
        tenant.until_nothing_is_pending().await;
        assert!(told.elapsed() < SOON, "it took {:?}", told.elapsed());

        let books = Books::of(&tenant, &receiver).await;
        assert_eq!(books.count(), 4 * DELIVERIES);
        books.assert_each_succeeded_once();
        books.assert_attempts_are_numbered();
        let logged = tenant.logs("").await.len();
        let arrived = receiver.requests_at(&failing).len() + receiver.requests_at(&slow).len();
        assert_eq!(arrived, logged, "something was sent twice");
        nodes[leaving].restart().await;
    }
    const { assert!(SOON.as_secs() < LEASE.as_secs() / 2) };
}
