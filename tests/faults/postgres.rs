//! What only a database beside the process brings: it goes away and comes back, and others work on
//! it at the same time.

use std::collections::BTreeMap;

use serde_json::json;

use super::load::{Books, Load, PAUSE, drain};
use crate::support::{App, Receiver, Server, Tenant, Webhook, eventually, fail_first};

const ROUNDS: usize = 3;

/// Endpoints that all messages go to, one of which fails at first.
async fn register(tenant: &Tenant, receiver: &Receiver) -> BTreeMap<&'static str, Webhook> {
    receiver.on("/flaky", fail_first(1));
    let mut endpoints = BTreeMap::new();
    for path in ["/steady", "/flaky"] {
        let webhook = tenant.webhook(&receiver.url(path), &["ticket.*"]).await;
        endpoints.insert(path, webhook);
    }
    endpoints
}

/// Waits until so many more requests have arrived.
async fn more_arrived(receiver: &Receiver, count: usize) {
    let before = receiver.requests_at("/steady").len();
    receiver.arrived("/steady", before + count).await;
}

async fn until_ready_is(app: &App, status: u16) {
    eventually(&format!("a server that answers {status}"), async || {
        let answer = app.anonymous().get("/readyz").await;
        (answer.status == status).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_comes_back_finds_everything_going_on() {
    let Some(server) = Server::own() else { return };
    let (app, receiver) = (
        App::on_postgres(&server, &[]).await,
        Receiver::start().await,
    );
    let tenant = app.tenant("acme").await;
    let endpoints = register(&tenant, &receiver).await;
    let load = Load::start(&tenant, 3, PAUSE);
    for _ in 0..ROUNDS {
        more_arrived(&receiver, 20).await;
        server.stop_immediate();
        until_ready_is(&app, 503).await;
        server.start();
        until_ready_is(&app, 200).await;
    }
    let accepted = load.finish().await;
    drain(&tenant, &receiver).await;
    let books = Books::of(&tenant, &receiver).await;
    books.assert_nothing_is_lost(&accepted, &endpoints);
    books.assert_bodies_are_the_same(&endpoints);
    books.assert_attempts_are_numbered();
}

#[tokio::test]
async fn what_one_node_is_told_the_others_know() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (app, receiver) = (
        App::on_postgres(&server, &[]).await,
        Receiver::start().await,
    );
    let other = app.another_node(&[]).await;
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let issued = app
        .platform()
        .post(
            "/api/platform/tenants/acme/tokens",
            json!({"name": "x", "role": "admin"}),
        )
        .await
        .expect(201);
    let there = other
        .anonymous()
        .with_token(issued["token"].as_str().unwrap());
    let body = json!({"event": "ticket.created", "data": {}});
    let accepted = there.post("/api/events", body).await.expect(202);
    let message = accepted["id"].as_str().unwrap();
    tenant.until(message, "succeeded").await;
    let listed = there.walk("/api/admin/webhooks", 10).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(receiver.requests().len(), 1);
}

/// It holds what it held, and learns only afterwards that others have gone on without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_holds_nothing_up() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (still, receiver) = (
        App::on_postgres(&server, &[]).await,
        Receiver::start().await,
    );
    let going = still.another_node(&[]).await;
    let tenant = going.tenant("acme").await;
    let endpoints = register(&tenant, &receiver).await;
    let load = Load::start(&tenant, 3, PAUSE);
    for _ in 0..ROUNDS {
        more_arrived(&receiver, 20).await;
        still.stop_signal();
        more_arrived(&receiver, 20).await;
        still.continue_signal();
    }
    let accepted = load.finish().await;
    drain(&tenant, &receiver).await;
    let books = Books::of(&tenant, &receiver).await;
    books.assert_nothing_is_lost(&accepted, &endpoints);
    books.assert_bodies_are_the_same(&endpoints);
    books.assert_attempts_are_numbered();
}
