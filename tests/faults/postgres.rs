//! What only a database beside the processes brings: it goes away and comes back, and several nodes
//! work on it at the same time.

mod any_node;
mod backlog;
mod hand_over;
mod hanging;
mod in_order;
mod killed;
mod nodes;
mod outages;
mod spreading;
mod standing_still;
mod started_again;
mod starting_together;

use std::collections::BTreeMap;

use crate::support::{App, Receiver, Tenant, Webhook, eventually, fail_first};

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
