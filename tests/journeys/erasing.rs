//! Bodies that are erased, in their time or by hand, and what stays of them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};

use crate::support::{Answer, App, Receiver, Reply, Server, Tenant, eventually};

async fn message(tenant: &Tenant, id: &str) -> Value {
    tenant
        .api
        .get(&format!("/api/events/{id}"))
        .await
        .expect(200)
}

async fn until_erased(tenant: &Tenant, id: &str) -> Value {
    eventually("a message without its body", async || {
        let message = message(tenant, id).await;
        message["body"].is_null().then_some(message)
    })
    .await
}

/// All of an object but for some of its fields.
fn without(object: &Value, fields: &[&str]) -> Value {
    let mut rest = object.clone();
    rest.as_object_mut()
        .unwrap()
        .retain(|name, _| !fields.contains(&name.as_str()));
    rest
}

async fn erase_message(tenant: &Tenant, id: &str) -> Answer {
    tenant.api.delete(&format!("/api/events/{id}/body")).await
}

async fn erase_answer(tenant: &Tenant, attempt: &Value) -> Answer {
    let id = attempt["id"].as_str().unwrap();
    tenant
        .api
        .delete(&format!("/api/admin/logs/{id}/body"))
        .await
}

/// The attempts of a webhook wherever they are shown.
async fn attempts_everywhere(tenant: &Tenant, webhook: &str, delivery: &str) -> [Vec<Value>; 3] {
    let of_webhook = format!("/api/admin/webhooks/{webhook}/logs");
    let log = tenant.delivery(delivery).await["log"].clone();
    [
        tenant.logs(&format!("webhook_id={webhook}")).await,
        tenant.api.walk(&of_webhook, 200).await,
        log.as_array().unwrap().clone(),
    ]
}

async fn publish_with_key(tenant: &Tenant, body: &Value) -> Answer {
    let headers = [
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "key"),
    ];
    let body = body.to_string();
    tenant
        .api
        .send("POST", "/api/events", &headers, Some(body.as_bytes()))
        .await
}

#[tokio::test]
async fn what_was_kept_long_enough_is_erased_and_the_rest_stays() {
    let settings = [("RETENTION_BODIES", "3s")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/talks", |_| Reply::body(200, b"thanks for all the fish"));
    receiver.on("/silent", |_| Reply::status(204));
    let tenant = app.tenant("acme").await;
    let talks = tenant.webhook(&receiver.url("/talks"), &["*"]).await;
    let silent = tenant.webhook(&receiver.url("/silent"), &["*"]).await;
    let new = json!({"event": "ticket.created", "data": {"note": "so long"}});
    let accepted = publish_with_key(&tenant, &new).await.expect(202);
    let id = accepted["id"].as_str().unwrap();
    let before = message(&tenant, id).await;
    assert!(before["body"].as_str().unwrap().contains("so long"));
    tenant.until_nothing_is_pending().await;

    let after = until_erased(&tenant, id).await;
    let changed = ["body", "deliveries"];
    assert_eq!(without(&after, &changed), without(&before, &changed));
    let listed = tenant.api.walk("/api/events", 200).await;
    assert_eq!(listed, std::slice::from_ref(&after));
    for (webhook, expected) in [(talks, Value::Null), (silent, json!(""))] {
        let deliveries = after["deliveries"].as_array().unwrap();
        let of_webhook = deliveries
            .iter()
            .find(|one| one["webhook_id"] == *webhook.id);
        let delivery = of_webhook.unwrap()["id"].as_str().unwrap();
        eventually("an answer without its body", async || {
            let logs = tenant.logs(&format!("webhook_id={}", webhook.id)).await;
            (logs[0]["response_body"] == expected).then_some(())
        })
        .await;
        for rows in attempts_everywhere(&tenant, &webhook.id, delivery).await {
            let [row] = rows.as_slice() else {
                panic!("not one attempt: {rows:?}")
            };
            assert_eq!(row["response_body"], expected);
            assert_eq!(row["response_body_truncated"], false);
            assert_eq!(row["outcome"], "succeeded");
        }
        let again = format!("/api/admin/deliveries/{delivery}/redeliver");
        let refused = tenant.api.send("POST", &again, &[], None).await;
        refused.problem(409, "body_erased");
    }
    // What was published is known by its key all the same.
    let again = publish_with_key(&tenant, &new).await.expect(202);
    assert_eq!(
        (&again["id"], &again["duplicate"]),
        (&json!(id), &json!(true))
    );
    let other = json!({"event": "ticket.created", "data": {"note": "hello"}});
    let refused = publish_with_key(&tenant, &other).await;
    refused.problem(409, "idempotency_key_reused");
    let metrics = app.anonymous().get("/metrics").await.text();
    let counted = "hookledger_bodies_erased_total{reason=\"retention\"} 2";
    assert!(metrics.contains(counted), "{metrics}");
    // Nothing of it is kept: neither rows nor, in a file, the bytes that they had.
    eventually("files without what was erased", async || {
        let kept = app.kept();
        let has = |text: &str| {
            let mut bytes = kept.values();
            bytes.any(|bytes| String::from_utf8_lossy(bytes).contains(text))
        };
        (!has("so long") && !has("all the fish")).then_some(())
    })
    .await;
}

/// As it would be if the receiver came back after months.
#[tokio::test]
async fn what_is_still_to_be_sent_is_kept_however_old_it_is() {
    let settings = [
        ("RETENTION_BODIES", "1s"),
        (
            "RETRY_SCHEDULE",
            "1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s",
        ),
    ];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let is_back = Arc::new(AtomicBool::new(false));
    let asked = is_back.clone();
    receiver.on("/down", move |_| match asked.load(Ordering::SeqCst) {
        true => Reply::ok(),
        false => Reply::status(503),
    });
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/down"), &["ticket.*"]).await;
    tenant.webhook(&receiver.url("/up"), &["service.*"]).await;
    let waiting = tenant.publish("ticket.created", json!({"n": 1})).await;
    let sent = tenant.publish("service.updated", json!({"n": 2})).await;
    until_erased(&tenant, &sent).await;
    let before = message(&tenant, &waiting).await;
    assert!(before["body"].is_string());
    erase_message(&tenant, &waiting)
        .await
        .problem(409, "deliveries_pending");
    app.kill();
    app.restart().await;
    let later = tenant.publish("service.updated", json!({"n": 3})).await;
    until_erased(&tenant, &later).await;
    is_back.store(true, Ordering::SeqCst);
    tenant.until(&waiting, "succeeded").await;
    let requests = receiver.requests_at("/down");
    assert!(requests.len() > 1);
    for request in &requests {
        assert_eq!(before["body"], request.text());
    }
    until_erased(&tenant, &waiting).await;
}

#[tokio::test]
async fn a_message_is_erased_by_hand() {
    let settings = [("RETRY_SCHEDULE", "1h")];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/down", |_| Reply::status(500));
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["ticket.*"]).await;
    tenant.webhook(&receiver.url("/down"), &["service.*"]).await;
    let sent = tenant.publish("ticket.created", json!({"n": 1})).await;
    let nobodys = tenant
        .publish("automation.completed", json!({"n": 2}))
        .await;
    let waiting = tenant.publish("service.updated", json!({"n": 3})).await;
    let delivery = tenant.until(&sent, "succeeded").await;
    for id in [&sent, &nobodys] {
        let before = message(&tenant, id).await;
        for _ in 0..2 {
            let answer = erase_message(&tenant, id).await;
            assert_eq!((answer.status, answer.body.len()), (204, 0));
        }
        let after = message(&tenant, id).await;
        assert_eq!(after["body"], Value::Null);
        assert_eq!(without(&after, &["body"]), without(&before, &["body"]));
    }
    let problem = erase_message(&tenant, &waiting)
        .await
        .problem(409, "deliveries_pending");
    assert!(problem["detail"].as_str().unwrap().contains("cancel"));
    let pending = tenant.delivery_of(&waiting).await;
    let cancel = format!(
        "/api/admin/deliveries/{}/cancel",
        pending["id"].as_str().unwrap()
    );
    let cancelled = tenant.api.send("POST", &cancel, &[], None).await;
    assert_eq!(cancelled.status, 202);
    assert_eq!(erase_message(&tenant, &waiting).await.status, 204);

    // What somebody else has is as unknown as what nobody has.
    let other = app.tenant("other").await;
    for id in [
        sent.as_str(),
        "msg_0190a5b8c9d07f3e8a1b2c3d4e5f6071",
        "msg_1",
        "x",
    ] {
        erase_message(&other, id).await.problem(404, "not_found");
        erase_answer(&other, &json!({"id": id}))
            .await
            .problem(404, "not_found");
    }
    erase_answer(&other, &delivery["log"][0])
        .await
        .problem(404, "not_found");
    let path = format!("/api/events/{sent}/body?x=1");
    tenant
        .api
        .delete(&path)
        .await
        .problem(400, "invalid_parameter");
    app.kill();
    app.restart().await;
    for id in [&sent, &nobodys, &waiting] {
        assert_eq!(message(&tenant, id).await["body"], Value::Null);
        assert_eq!(erase_message(&tenant, id).await.status, 204);
    }
    let metrics = app.anonymous().get("/metrics").await.text();
    let counted = "hookledger_bodies_erased_total{reason=\"request\"} 0";
    assert!(
        metrics.contains(counted),
        "nothing was left to erase: {metrics}"
    );
}

/// Also while its delivery is tried again: what is erased between two attempts disturbs neither.
#[tokio::test]
async fn an_answer_is_erased_by_hand_while_its_delivery_goes_on() {
    let settings = [("RETRY_SCHEDULE", "2s,1h")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/hooks", |request| match request.nth {
        1 => Reply::body(500, b"a secret of theirs"),
        _ => Reply::body(200, b"fine"),
    });
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let waiting = eventually("the first attempt in the log", async || {
        let delivery = tenant.delivery_of(&message).await;
        (delivery["attempts"] == 1).then_some(delivery)
    })
    .await;
    let before = waiting["log"][0].clone();
    assert_eq!(before["response_body"], "a secret of theirs");
    for _ in 0..2 {
        let answer = erase_answer(&tenant, &before).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0));
    }
    let delivery = tenant.until(&message, "succeeded").await;
    assert_eq!(delivery["attempts"], 2);
    assert_eq!(receiver.requests().len(), 2);
    let log = delivery["log"].as_array().unwrap();
    let [second, first] = log.as_slice() else {
        panic!("not two attempts: {log:?}")
    };
    assert_eq!(second["response_body"], "fine");
    assert_eq!(first["response_body"], Value::Null);
    let changed = ["response_body"];
    assert_eq!(without(first, &changed), without(&before, &changed));
    let metrics = app.anonymous().get("/metrics").await.text();
    let counted = "hookledger_bodies_erased_total{reason=\"request\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn an_answer_without_a_body_has_nothing_to_erase() {
    let settings = [("RETRY_SCHEDULE", "")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/silent", |_| Reply::status(204));
    receiver.on("/nobody", |_| Reply::Reset);
    let tenant = app.tenant("acme").await;
    tenant
        .webhook(&receiver.url("/silent"), &["ticket.*"])
        .await;
    tenant
        .webhook(&receiver.url("/nobody"), &["service.*"])
        .await;
    for (event, status, expected) in [
        ("ticket.created", "succeeded", json!("")),
        ("service.updated", "exhausted", Value::Null),
    ] {
        let message = tenant.publish(event, json!({})).await;
        let delivery = tenant.until(&message, status).await;
        let attempt = &delivery["log"][0];
        assert_eq!(attempt["response_body"], expected);
        assert_eq!(erase_answer(&tenant, attempt).await.status, 204);
        let after = tenant.delivery_of(&message).await;
        assert_eq!(&after["log"][0], attempt);
    }
}

/// Whichever node is asked, and whichever is left.
#[tokio::test]
async fn every_node_erases() {
    let Some(server) = Server::shared() else {
        return;
    };
    let settings = [("RETENTION_BODIES", "3s"), ("NODE_LEASE", "1s")];
    let (mut one, receiver) = (
        App::on_postgres(&server, &settings).await,
        Receiver::start().await,
    );
    let two = one.another_node(&[]).await;
    let tenant = one.tenant("acme").await;
    let there = tenant.through(&two);
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let mut ids = Vec::new();
    for n in 0..4 {
        let from = if n % 2 == 0 { &tenant } else { &there };
        let id = from.publish("ticket.created", json!({"n": n})).await;
        tenant.until(&id, "succeeded").await;
        ids.push(id);
    }
    for (n, id) in ids.iter().take(2).enumerate() {
        let (by, seen) = if n == 0 {
            (&tenant, &there)
        } else {
            (&there, &tenant)
        };
        assert_eq!(erase_message(by, id).await.status, 204);
        assert_eq!(message(seen, id).await["body"], Value::Null);
    }
    until_erased(&there, &ids[2]).await;
    one.kill();
    let late = there.publish("ticket.created", json!({"n": "late"})).await;
    for id in [&ids[3], &late] {
        until_erased(&there, id).await;
    }
}
