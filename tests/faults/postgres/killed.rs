//! Nodes and their database are killed under load at random moments, again and again.
//!
//! `HOOKLEDGER_TEST_KILL_ROUNDS=500` makes it more than the usual rounds.

use std::{collections::BTreeMap, time::Duration};

use super::{more_arrived, nodes::until_shares_are_fair, until_ready_is};
use crate::{
    faults::{
        kill_rounds::{at_a_random_moment, rounds},
        load::{Accepted, Books, Load, PAUSE, drain},
    },
    support::{App, Receiver, Reply, Server, Tenant, Webhook, fail_first},
};

/// After each start a node waits for the end of the lease of the one that was killed.
const SETTINGS: [(&str, &str); 2] = [
    ("RETRY_SCHEDULE", "10ms,50ms,100ms,200ms"),
    ("NODE_LEASE", "1s"),
];
/// How long a round lasts from the first delivery on, in milliseconds.
const ROUND_MS: std::ops::Range<u64> = 0..300;
/// How long something stays away, in milliseconds.
const AWAY_MS: std::ops::Range<u64> = 0..300;

/// What is killed in a round.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Node,
    Database,
    Both,
}

const VICTIMS: [Victim; 3] = [Victim::Node, Victim::Database, Victim::Both];

impl Victim {
    /// Kills it, and starts it again.
    async fn kill(self, node: &mut App, server: &Server) {
        let (is_node, is_database) = (!matches!(self, Self::Database), !matches!(self, Self::Node));
        if is_database {
            server.stop_immediate();
        }
        if is_node {
            at_a_random_moment(0..50).await;
            node.kill();
        }
        at_a_random_moment(AWAY_MS).await;
        if is_database {
            server.start();
        }
        if is_node {
            node.restart().await;
        } else {
            until_ready_is(node, 200).await;
        }
    }
}

async fn register(tenant: &Tenant, receiver: &Receiver) -> BTreeMap<&'static str, Webhook> {
    receiver.on("/flaky", fail_first(1));
    receiver.on("/slow", |_| Reply::ok().after(Duration::from_millis(20)));
    let mut endpoints = BTreeMap::new();
    for path in ["/steady", "/flaky", "/slow"] {
        let webhook = tenant.webhook(&receiver.url(path), &["ticket.*"]).await;
        endpoints.insert(path, webhook);
    }
    endpoints
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_no_success_is_repeated() {
    let Some(server) = Server::own() else { return };
    let (mut app, receiver) = (
        App::on_postgres(&server, &SETTINGS).await,
        Receiver::start().await,
    );
    let tenant = app.tenant("acme").await;
    let endpoints = register(&tenant, &receiver).await;
    let load = Load::start(&tenant, 3, PAUSE);
    for round in 0..rounds() {
        more_arrived(&receiver, 3).await;
        at_a_random_moment(ROUND_MS).await;
        let victim = VICTIMS[round % VICTIMS.len()];
        victim.kill(&mut app, &server).await;
    }
    let accepted = load.finish().await;
    drain(&tenant, &receiver).await;

    let books = Books::of(&tenant, &receiver).await;
    books.assert_nothing_is_lost(&accepted, &endpoints);
    books.assert_bodies_are_the_same(&endpoints);
    books.assert_no_send_after_success();
    books.assert_attempts_are_numbered();
    assert!(
        books.count() > 10 * rounds(),
        "there was hardly any load: {}",
        books.count()
    );
}

/// Every message is published through both nodes, of which one is killed or loses the database.
/// When both lose it for longer than their leases, each may take over what the other has under way;
/// then a request may be made twice, but only one of them is recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_are_killed_in_turn_lose_nothing() {
    let Some(server) = Server::own() else { return };
    let receiver = Receiver::start().await;
    let one = App::on_postgres(&server, &SETTINGS).await;
    let other = one.another_node(&[]).await;
    let tenant = one.tenant("acme").await;
    let endpoints = register(&tenant, &receiver).await;
    let loads = [
        Load::start(&tenant, 2, PAUSE),
        Load::start(&tenant.through(&other), 2, PAUSE),
    ];
    let mut nodes = [one, other];
    for round in 0..rounds() / 2 {
        more_arrived(&receiver, 3).await;
        at_a_random_moment(ROUND_MS).await;
        let victim = VICTIMS[round % VICTIMS.len()];
        victim.kill(&mut nodes[round % 2], &server).await;
    }
    let mut accepted = Accepted::new();
    for load in loads {
        for (key, id) in load.finish().await {
            let known = accepted.insert(key.clone(), id.clone());
            assert!(
                known.is_none_or(|known| known == id),
                "{key} is two messages"
            );
        }
    }
    drain(&tenant, &receiver).await;
    let books = Books::of(&tenant, &receiver).await;
    books.assert_nothing_is_lost(&accepted, &endpoints);
    books.assert_bodies_are_the_same(&endpoints);
    books.assert_each_succeeded_once();
    books.assert_attempts_are_numbered();
    until_shares_are_fair(&nodes[0], 2).await;
}
