//! A node stands still for longer than its lease, with all that it holds, and goes on: it learns
//! only then that others have gone on without it.

use serde_json::{Value, json};

use super::{
    more_arrived,
    nodes::{entry_of, id_held_by, id_of, until_shares_are_fair},
    register,
};
use crate::{
    faults::load::{Books, Load, PAUSE, drain},
    support::{App, Gate, Receiver, Reply, Server, Tenant, eventually, fail_first},
};

const ROUNDS: usize = 3;
/// Deliveries that are under way when the node stands still, and that wait for their next attempts.
const HELD: usize = 20;

/// Two nodes with fair shares, and a tenant of the first one, seen through the second one.
async fn two_nodes(server: &Server, schedule: &str) -> (App, App, Tenant) {
    let settings = [("NODE_LEASE", "1s"), ("RETRY_SCHEDULE", schedule)];
    let still = App::on_postgres(server, &settings).await;
    let going = still.another_node(&[]).await;
    until_shares_are_fair(&going, 2).await;
    let id = id_held_by(&still, "tenant").await;
    let tenant = going.tenant(&id).await;
    (still, going, tenant)
}

/// Waits until a node holds nothing any more.
async fn until_it_is_taken_over(id: &str, going: &App) {
    eventually("others that take over", async || {
        let entry = entry_of(id, going).await?;
        let holds = entry["partitions"].as_array()?.len();
        (holds == 0 && entry["is_alive"] == false).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_under_load_holds_nothing_up() {
    let Some(server) = Server::shared() else {
        return;
    };
    let receiver = Receiver::start().await;
    let (still, going, tenant) = two_nodes(&server, "100ms,100ms,100ms").await;
    let id = id_of(&still).await;
    let endpoints = register(&tenant, &receiver).await;
    let load = Load::start(&tenant, 3, PAUSE);
    for _ in 0..ROUNDS {
        more_arrived(&receiver, 20).await;
        still.stop_signal();
        until_it_is_taken_over(&id, &going).await;
        more_arrived(&receiver, 20).await;
        still.continue_signal();
        until_shares_are_fair(&going, 2).await;
    }
    let accepted = load.finish().await;
    drain(&tenant, &receiver).await;
    let books = Books::of(&tenant, &receiver).await;
    books.assert_nothing_is_lost(&accepted, &endpoints);
    books.assert_bodies_are_the_same(&endpoints);
    books.assert_each_succeeded_once();
    books.assert_attempts_are_numbered();
}

/// Its attempts are answered while it stands still, and made again by the other node: the outcome
/// that is recorded first stands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_had_under_way_is_recorded_once() {
    let Some(server) = Server::shared() else {
        return;
    };
    let receiver = Receiver::start().await;
    let (mut still, going, tenant) = two_nodes(&server, "2s,2s").await;
    let id = id_of(&still).await;
    let gate = Gate::closed();
    let held = gate.clone();
    // Whatever is under way when the node stops is answered when it goes on.
    receiver.on("/held", move |request| match request.nth_of_delivery {
        1 => Reply::ok().behind(&held),
        _ => Reply::ok(),
    });
    receiver.on("/waiting", fail_first(1));
    for path in ["/held", "/waiting"] {
        tenant.webhook(&receiver.url(path), &["*"]).await;
    }
    let all: Vec<Value> = (0..HELD)
        .map(|n| json!({"event": "ticket.created", "data": {"n": n}}))
        .collect();
    let all = json!({ "events": all });
    tenant.api.post("/api/events/batch", all).await.expect(202);
    receiver.arrived("/held", HELD).await;
    eventually(
        "deliveries that wait for their second attempts",
        async || {
            let pending = tenant.deliveries("status=pending").await;
            let tried = pending.iter().filter(|one| one["attempts"] == 1);
            (tried.count() == HELD).then_some(())
        },
    )
    .await;
    still.stop_signal();
    until_it_is_taken_over(&id, &going).await;
    tenant.until_nothing_is_pending().await;
    let sent = receiver.requests().len();
    gate.open();
    still.continue_signal();
    until_shares_are_fair(&going, 2).await;

    // A node that has ended has said all that it had to say.
    still.terminate();
    assert_eq!(still.ended().await.code(), Some(0));
    let books = Books::of(&tenant, &receiver).await;
    assert_eq!(books.count(), 2 * HELD);
    books.assert_each_succeeded_once();
    books.assert_attempts_are_numbered();
    assert_eq!(receiver.requests_at("/held").len(), 2 * HELD);
    // What was waiting there was due long ago, and is not sent from there any more.
    assert_eq!(receiver.requests().len(), sent);
}
