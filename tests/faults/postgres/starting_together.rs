//! Many nodes come and go at the same time.

use std::sync::Arc;

use futures_util::future::join_all;

use super::nodes::{nodes, until_shares_are_fair};
use crate::support::{App, Database, MASTER_KEY, Server};

const NODES: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_nodes_start_on_an_empty_database_and_leave_nothing() {
    let Some(server) = Server::shared() else {
        return;
    };
    let database = Arc::new(Database::fresh(&server));
    let starting = (0..NODES).map(|_| App::on_database(&database, &[]));
    let mut all = join_all(starting).await;
    let living = until_shares_are_fair(&all[0], NODES).await;
    assert_eq!(living.len(), nodes(&all[NODES - 1]).await.len());
    // Half of them first: the others take over at once what they let go of.
    for half in [NODES / 2, 0] {
        let mut leaving = all.split_off(half);
        leaving.iter().for_each(App::terminate);
        for node in &mut leaving {
            assert_eq!(node.ended().await.code(), Some(0), "{}", node.log());
        }
        if let Some(left) = all.first() {
            let living = until_shares_are_fair(left, half).await;
            assert_eq!(living.len(), nodes(left).await.len(), "all are alive");
        }
    }
    let held = "SELECT count(*) FROM partitions WHERE node_id IS NOT NULL";
    assert_eq!(database.ask(held), "0");
    assert_eq!(database.ask("SELECT count(*) FROM nodes"), "0");
    assert_eq!(database.ask("SELECT count(*) FROM partitions"), "256");
}

/// Another key than that of the tests.
const OTHER_KEY: &str = "YW5vdGhlciBtYXN0ZXIga2V5IGZvciB0aGUgdGVzdHM=";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_keys_on_an_empty_database_one_is_the_ledgers() {
    let Some(server) = Server::shared() else {
        return;
    };
    let database = Arc::new(Database::fresh(&server));
    let keys: Vec<&str> = (0..NODES)
        .map(|node| [MASTER_KEY, OTHER_KEY][node % 2])
        .collect();
    let settings: Vec<_> = keys.iter().map(|key| [("MASTER_KEY", *key)]).collect();
    let starting = settings
        .iter()
        .map(|settings| App::try_on_database(&database, settings));
    let all = join_all(starting).await;
    let runs = |key: &str| {
        let nodes = all.iter().zip(&keys).filter(move |(_, its)| **its == key);
        nodes.filter(|((_, ended), _)| ended.is_none()).count()
    };
    let mut running = [runs(MASTER_KEY), runs(OTHER_KEY)];
    running.sort_unstable();
    assert_eq!(running, [0, NODES / 2]);
    for (node, ended) in &all {
        if let Some(status) = ended {
            let log = node.log();
            assert_eq!(status.code(), Some(1), "{log}");
            assert!(log.contains("this ledger is used with it"), "{log}");
        }
    }
    let adopted = "SELECT count(*) FROM events WHERE aggregate_type = 'vault'";
    assert_eq!(database.ask(adopted), "1");
}
