//! Three nodes share the work, and the living take over what one that died has left.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use serde_json::json;

use super::nodes::{counted, entry_of, id_of, sends_for, until_shares_are_fair};
use crate::support::{App, Receiver, Reply, Server, eventually};

const TENANTS: usize = 1000;
/// Requests that the test has under way at one time.
const AT_ONCE: usize = 16;
/// How many tenants of the node that is killed have something pending.
const PENDING: usize = 100;
const LEASE: Duration = Duration::from_secs(3);
/// What the deliveries themselves may take on a machine with much to do.
const MARGIN: Duration = Duration::from_secs(3);

fn ids() -> impl Iterator<Item = String> {
    (0..TENANTS).map(|number| format!("customer-{number}"))
}

/// Lets each tenant be dealt with by one of the nodes, in turn.
async fn for_each(nodes: &[App], ids: &[String], work: impl AsyncFn(&App, &str)) {
    let work = &work;
    stream::iter(ids.iter().enumerate())
        .for_each_concurrent(AT_ONCE, async |(place, id)| {
            work(&nodes[place % nodes.len()], id).await;
        })
        .await;
}

async fn register(nodes: &[App], ids: &[String], url: &str) {
    for_each(nodes, ids, async |node, id| {
        let platform = node.platform();
        let body = json!({"id": id, "name": id});
        platform
            .post("/api/platform/tenants", body)
            .await
            .expect(201);
        let body = json!({"name": "A webhook", "url": url, "events": ["*"]});
        let platform = platform.for_tenant(id);
        platform.post("/api/admin/webhooks", body).await.expect(201);
    })
    .await;
}

async fn publish(nodes: &[App], ids: &[String]) {
    for_each(nodes, ids, async |node, id| {
        let body = json!({"event": "ticket.created", "data": {"tenant": id}});
        let platform = node.platform().for_tenant(id);
        let accepted = platform.post("/api/events", body).await.expect(202);
        assert_eq!(accepted["deliveries"], 1);
    })
    .await;
}

async fn sum_of(nodes: &[App], name: &str) -> usize {
    let mut sum = 0;
    for node in nodes {
        sum += counted(node, name).await;
    }
    usize::try_from(sum).unwrap()
}

async fn until_ended(nodes: &[App], count: usize) {
    eventually("the end of all deliveries", async || {
        (sum_of(nodes, "hookledger_deliveries_ended_total").await == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_spreads_and_is_taken_over() {
    let Some(server) = Server::shared() else {
        return;
    };
    let lease = format!("{}s", LEASE.as_secs());
    let schedule = ["1s"; 30].join(",");
    let settings = [
        ("NODE_LEASE", lease.as_str()),
        ("RETRY_SCHEDULE", schedule.as_str()),
    ];
    let receiver = Receiver::start().await;
    let first = App::on_postgres(&server, &settings).await;
    let (second, third) = tokio::join!(first.another_node(&[]), first.another_node(&[]));
    let mut nodes = vec![first, second, third];
    until_shares_are_fair(&nodes[0], 3).await;
    let ids: Vec<String> = ids().collect();
    register(&nodes, &ids, &receiver.url("/hooks")).await;

    publish(&nodes, &ids).await;
    until_ended(&nodes, TENANTS).await;
    for node in &nodes {
        let attempts = counted(node, "hookledger_attempts_total").await;
        assert!(attempts as usize >= TENANTS / 3 / 2, "only {attempts}");
    }
    let reached: HashSet<String> = receiver
        .requests()
        .iter()
        .map(|request| request.delivery().to_owned())
        .collect();
    assert_eq!(
        (reached.len(), receiver.requests().len()),
        (TENANTS, TENANTS)
    );

    is_taken_over(&mut nodes, &ids, &receiver).await;
}

/// Kills the last node while deliveries of its tenants wait for their next attempts.
async fn is_taken_over(nodes: &mut Vec<App>, ids: &[String], receiver: &Receiver) {
    let dead = id_of(&nodes[2]).await;
    let entry = entry_of(&dead, &nodes[0]).await.unwrap();
    assert_eq!(entry["is_alive"], true);
    let its_ids: Vec<String> = ids
        .iter()
        .filter(|id| sends_for(&entry, id))
        .take(PENDING)
        .cloned()
        .collect();
    receiver.on("/hooks", |_| Reply::status(500));
    publish(nodes, &its_ids).await;
    receiver.arrived("/hooks", TENANTS + PENDING).await;
    assert_eq!(
        counted(&nodes[2], "hookledger_deliveries_ended_total").await
            + sum_of(&nodes[..2], "hookledger_deliveries_ended_total").await as u64,
        TENANTS as u64
    );
    let ended = sum_of(&nodes[..2], "hookledger_deliveries_ended_total").await;
    nodes[2].kill();
    let killed_at = Instant::now();
    receiver.on("/hooks", |_| Reply::ok());
    nodes.truncate(2);
    until_ended(nodes, ended + PENDING).await;
    let took = killed_at.elapsed();
    assert!(took < LEASE + MARGIN, "it took {took:?}");

    let living = until_shares_are_fair(&nodes[1], 2).await;
    assert!(living.iter().all(|node| node["id"] != dead.as_str()));
    let entry = entry_of(&dead, &nodes[1]).await.unwrap();
    assert_eq!(entry["is_alive"], false);
    assert_eq!(entry["partitions"], json!([]));
    for id in its_ids {
        let platform = nodes[0].platform().for_tenant(&id);
        let log = platform.walk("/api/admin/logs?outcome=succeeded", 10).await;
        assert_eq!(log.len(), 2, "{id}: {log:?}");
    }
}
