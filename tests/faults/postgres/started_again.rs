//! A node that crashed and is started again on its machine does not wait for its own lease.

use std::time::Duration;

use serde_json::json;

use crate::support::{App, Receiver, Reply, Server};

/// Longer than any test waits.
const LEASE: &str = "10m";

#[tokio::test]
async fn a_node_that_is_started_again_goes_on_at_once() {
    let Some(server) = Server::shared() else {
        return;
    };
    let settings = [("NODE_LEASE", LEASE), ("MAX_IN_FLIGHT_PER_WEBHOOK", "1")];
    let (mut app, receiver) = (
        App::on_postgres(&server, &settings).await,
        Receiver::start().await,
    );
    receiver.on("/slow", |_| Reply::ok().after(Duration::from_millis(20)));
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/slow"), &["*"]).await;
    for n in 0..20 {
        tenant.publish("ticket.created", json!({"n": n})).await;
    }
    receiver.arrived("/slow", 1).await;
    app.kill();
    app.restart().await;
    tenant.until_nothing_is_pending().await;
    let nodes = app.platform().get("/api/platform/nodes").await.expect(200);
    let nodes = nodes["data"].as_array().unwrap();
    assert_eq!(nodes.len(), 1, "the dead node is still on the list");
    assert_eq!(nodes[0]["partitions"].as_array().unwrap().len(), 256);
}
