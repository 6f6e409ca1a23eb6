//! Order, and what is done by hand, with two nodes: whoever accepts a message or a command, and
//! whoever sends.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::nodes::until_shares_are_fair;
use crate::support::{App, Receiver, Reply, Server, Tenant, Webhook, eventually};

const MESSAGES: usize = 400;
const KEYS: usize = 4;

async fn publish(tenant: &Tenant, n: usize) {
    let key = format!("key-{}", n % KEYS);
    let body = json!({
        "event": "ticket.updated", "ordering_key": key, "data": {"key": key, "n": n}
    });
    tenant.api.post("/api/events", body).await.expect(202);
}

/// Each message is published when the one before was accepted, by the nodes in turn; then the node
/// that sends dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_two_nodes_keep_their_order() {
    let Some(server) = Server::shared() else {
        return;
    };
    let settings = [("NODE_LEASE", "2s"), ("RETRY_SCHEDULE", "20ms,20ms,20ms")];
    for id in ["acme", "globex"] {
        let mut one = App::on_postgres(&server, &settings).await;
        let other = one.another_node(&[]).await;
        until_shares_are_fair(&one, 2).await;
        let receiver = Receiver::start().await;
        receiver.on("/hooks", |request| {
            let n = request.json()["data"]["n"].as_u64().unwrap();
            match n % 10 {
                3 if request.nth_of_delivery == 1 => Reply::status(500),
                _ => Reply::ok(),
            }
        });
        let here = one.tenant(id).await;
        let there = here.through(&other);
        let webhook = json!({
            "name": "In order", "url": receiver.url("/hooks"), "events": ["*"], "ordering": "fifo"
        });
        here.webhook_with(webhook).await;
        for n in 0..MESSAGES {
            let node = if n % 2 == 0 { &here } else { &there };
            publish(node, n).await;
        }
        one.kill();
        there.until_nothing_is_pending().await;

        let mut arrived: HashMap<String, Vec<u64>> = HashMap::new();
        for request in receiver.requests() {
            let data = &request.json()["data"];
            let numbers = arrived
                .entry(data["key"].as_str().unwrap().to_owned())
                .or_default();
            let n = data["n"].as_u64().unwrap();
            if numbers.last() != Some(&n) {
                numbers.push(n);
            }
        }
        assert_eq!(arrived.len(), KEYS);
        for (key, numbers) in arrived {
            assert!(numbers.is_sorted(), "{key}: {numbers:?}");
            assert_eq!(numbers.len(), MESSAGES / KEYS, "{key}");
        }
    }
}

async fn shown(tenant: &Tenant, webhook: &Webhook) -> Value {
    tenant.api.get(&webhook.path()).await.expect(200)
}

/// Everything by hand through the node that does not send.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_is_told_by_hand_the_other_does() {
    let Some(server) = Server::shared() else {
        return;
    };
    let settings = [("RETRY_SCHEDULE", "1h")];
    for id in ["acme", "globex"] {
        let one = App::on_postgres(&server, &settings).await;
        let other = one.another_node(&[]).await;
        until_shares_are_fair(&one, 2).await;
        let receiver = Receiver::start().await;
        receiver.on("/hooks", |_| Reply::status(500));
        let here = one.tenant(id).await;
        let there = here.through(&other);
        let webhook = here.webhook(&receiver.url("/hooks"), &["ticket.*"]).await;
        let webhook_path = webhook.path();
        // Of three that wait for their retry one is redelivered, one cancelled, and all recovered.
        let mut waiting = Vec::new();
        for n in 0..3 {
            let message = here.publish("ticket.created", json!({"n": n})).await;
            let delivery = eventually("the first attempt", async || {
                let delivery = here.delivery_of(&message).await;
                (delivery["attempts"] == 1).then_some(delivery)
            })
            .await;
            waiting.push(delivery["id"].as_str().unwrap().to_owned());
        }
        receiver.on("/hooks", |_| Reply::ok());
        for (tenant, nth) in [(&here, 0), (&there, 1)] {
            let path = format!("/api/admin/deliveries/{}/redeliver", waiting[nth]);
            tenant.api.post(&path, json!({})).await.expect(202);
            let ended = there.until_ended(&waiting[nth]).await;
            assert_eq!(ended["status"], "succeeded");
        }
        let path = format!("/api/admin/deliveries/{}/cancel", waiting[2]);
        there.api.post(&path, json!({})).await.expect(202);
        assert_eq!(here.until_ended(&waiting[2]).await["status"], "cancelled");
        for tenant in [&here, &there] {
            let before = receiver.requests().len();
            let body = json!({"from": "2020-01-01T00:00:00Z", "status": "any"});
            let path = format!("{webhook_path}/recover");
            let matched = tenant.api.post(&path, body).await.expect(202);
            assert_eq!(matched["matched"], 3);
            receiver.arrived("/hooks", before + 3).await;
        }
        // A receiver that is gone is gone for both.
        receiver.on("/hooks", |_| Reply::status(410));
        there.publish("ticket.created", json!({"n": 3})).await;
        eventually("a disabled webhook", async || {
            (shown(&there, &webhook).await["disabled_reason"] == "gone").then_some(())
        })
        .await;
        receiver.on("/hooks", |_| Reply::ok());
        there.set_active(&webhook, true).await;
        // Its next attempt is an hour away, unless somebody asks for it.
        let pending = here.deliveries("status=pending").await;
        assert_eq!(pending.len(), 1, "{pending:?}");
        let id = pending[0]["id"].as_str().unwrap();
        let path = format!("/api/admin/deliveries/{id}/redeliver");
        here.api.post(&path, json!({})).await.expect(202);
        assert_eq!(there.until_ended(id).await["status"], "succeeded");
        assert_eq!(shown(&here, &webhook).await["disabled_reason"], Value::Null);
    }
}
