//! The nodes as the platform sees them.

use std::collections::BTreeSet;

use hookledger::nodes::Partition;
use serde_json::Value;

use crate::support::{App, eventually};

/// All nodes on the list.
pub(super) async fn nodes(asked: &App) -> Vec<Value> {
    asked.platform().walk("/api/platform/nodes", 100).await
}

/// This node's id.
pub(super) async fn id_of(node: &App) -> String {
    let ready = node.anonymous().get("/readyz").await.expect(200);
    ready["node"]["id"].as_str().unwrap().to_owned()
}

/// What stands on the list about one node.
pub(super) async fn entry_of(id: &str, asked: &App) -> Option<Value> {
    let nodes = nodes(asked).await;
    nodes.into_iter().find(|node| node["id"] == id)
}

/// Waits until so many nodes are alive and each of them holds its share: no partition is held by
/// nobody or by two, and no two shares differ by more than one.
pub(super) async fn until_shares_are_fair(asked: &App, count: usize) -> Vec<Value> {
    eventually(&format!("fair shares of {count} nodes"), async || {
        let mut living = nodes(asked).await;
        living.retain(|node| node["is_alive"] == true);
        let shares: Vec<usize> = living.iter().map(|node| partitions(node).len()).collect();
        let (least, most) = (shares.iter().min()?, shares.iter().max()?);
        let held: BTreeSet<u8> = living.iter().flat_map(partitions).collect();
        let is_complete =
            held.len() == Partition::COUNT && shares.iter().sum::<usize>() == Partition::COUNT;
        (living.len() == count && is_complete && most - least <= 1).then_some(living)
    })
    .await
}

/// The partitions of a node on the list.
pub(super) fn partitions(node: &Value) -> BTreeSet<u8> {
    let numbers = node["partitions"].as_array().unwrap().iter();
    numbers
        .map(|number| u8::try_from(number.as_u64().unwrap()).unwrap())
        .collect()
}

/// Whether a node on the list sends for a tenant.
pub(super) fn sends_for(node: &Value, tenant: &str) -> bool {
    let Partition(partition) = Partition::of(&tenant.parse().unwrap());
    partitions(node).contains(&partition)
}

/// An id with this prefix of a tenant for which this node sends now.
pub(super) async fn id_held_by(node: &App, prefix: &str) -> String {
    let entry = entry_of(&id_of(node).await, node).await.unwrap();
    let mut ids = (0..).map(|number| format!("{prefix}-{number}"));
    ids.find(|id| sends_for(&entry, id)).unwrap()
}

/// The sum of a node's counters with this name, whatever their labels.
pub(super) async fn counted(node: &App, name: &str) -> u64 {
    let text = node.anonymous().get("/metrics").await.text();
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}
