//! A database that does not answer, which nobody is told: no request waits for it for ever.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::json;

use super::{
    nodes::{id_held_by, until_shares_are_fair},
    outages::Questions,
    until_ready_is,
};
use crate::{
    faults::load::Books,
    support::{App, Database, Proxy, Receiver, Server, eventually},
};

const STATEMENT_TIMEOUT: &str = "1s";
/// The statement's own time, and some seconds for those before it in the queue.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);
const ROUNDS: usize = 2;
/// Questions at one time, more than there are connections for them.
const QUESTIONS: usize = 40;

fn settings(url: &str) -> [(&str, &str); 4] {
    [
        ("DELIVERY_TIMEOUT", "1s"),
        ("DATABASE_URL", url),
        ("DATABASE_STATEMENT_TIMEOUT", STATEMENT_TIMEOUT),
        ("NODE_LEASE", "2s"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_holds_nobody_for_ever() {
    let Some(server) = Server::shared() else {
        return;
    };
    let database = Arc::new(Database::fresh(&server));
    let proxy = Proxy::to(&database.url()).await;
    let app = App::on_database(&database, &settings(&proxy.url())).await;
    let receiver = Receiver::start().await;
    let tenant = app.tenant("acme").await;
    for round in 0..ROUNDS {
        // What was refused may have been done all the same: the last round's may be off, or gone.
        let topic = ["ticket.created", "ticket.updated"][round];
        let webhook = tenant.webhook(&receiver.url("/hooks"), &[topic]).await;
        let message = tenant.publish(topic, json!({"n": round})).await;
        tenant.until(&message, "succeeded").await;
        let questions = Questions::of(&tenant, &webhook.id, &message).await;
        proxy.hold_up();
        for _ in 0..2 {
            let asked_at = Instant::now();
            questions.assert_nobody_is_answered().await;
            let took = asked_at.elapsed();
            assert!(took < ANSWERED_WITHIN, "it took {took:?}");
        }
        until_ready_is(&app, 503).await;
        proxy.go_on();
        until_ready_is(&app, 200).await;
    }
    tenant.webhook(&receiver.url("/new"), &["*"]).await;
    tenant.publish("ticket.created", json!({"n": "new"})).await;
    receiver.arrived("/new", 1).await;
}

/// It has nothing to wait for: what it could not record is made again after the next start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_ends_also_while_its_database_hangs() {
    let Some(server) = Server::shared() else {
        return;
    };
    let database = Arc::new(Database::fresh(&server));
    let proxy = Proxy::to(&database.url()).await;
    let mut app = App::on_database(&database, &settings(&proxy.url())).await;
    let receiver = Receiver::start().await;
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    for n in 0..QUESTIONS {
        tenant.publish("ticket.created", json!({"n": n})).await;
    }
    // Those that are under way when it ends may have no answer.
    let ask = || tenant.api.try_send("GET", "/api/admin/logs", &[], None);
    join_all((0..QUESTIONS).map(|_| ask())).await;
    proxy.hold_up();
    let asked = join_all((0..QUESTIONS).map(|_| ask()));
    app.terminate();
    let (status, _) = tokio::join!(app.ended(), asked);
    assert_eq!(status.code(), Some(0), "{}", app.log());
}

/// A network may forget connections: each end waits for the other, while new connections are well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_lost_without_a_word_are_replaced() {
    let Some(server) = Server::shared() else {
        return;
    };
    let database = Arc::new(Database::fresh(&server));
    let proxy = Proxy::to(&database.url()).await;
    let app = App::on_database(&database, &settings(&proxy.url())).await;
    let other = app.another_node(&[("DATABASE_URL", &database.url())]).await;
    let receiver = Receiver::start().await;
    let tenant = other.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let there = tenant.through(&app);
    for round in 0..ROUNDS {
        let message = there.publish("ticket.created", json!({"n": round})).await;
        there.until(&message, "succeeded").await;
        // Many at one time, so that all connections that it may have are there to be lost.
        let ask = || there.api.get("/api/admin/logs");
        for answer in join_all((0..QUESTIONS).map(|_| ask())).await {
            answer.expect(200);
        }
        proxy.lose_connections();
        let accepted = eventually("a message that is accepted", async || {
            let body = json!({"event": "ticket.created", "data": {"n": round}});
            let answer = there.api.post("/api/events", body).await;
            (answer.status == 202).then(|| answer.expect(202))
        })
        .await;
        tenant
            .until(accepted["id"].as_str().unwrap(), "succeeded")
            .await;
        until_ready_is(&app, 200).await;
        until_shares_are_fair(&other, 2).await;
        // What others say is heard again, too: this one is sent by the node that is only told.
        let id = id_held_by(&app, &format!("round-{round}")).await;
        let told = other.tenant(&id).await;
        told.webhook(&receiver.url("/told"), &["*"]).await;
        let message = told.publish("ticket.created", json!({"n": round})).await;
        told.until(&message, "succeeded").await;
    }
    tenant.until_nothing_is_pending().await;
    let books = Books::of(&tenant, &receiver).await;
    books.assert_each_succeeded_once();
    books.assert_attempts_are_numbered();
}
