//! A message goes in, a signed webhook comes out, and the ledger shows it.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::{App, Receiver, Reply};

#[tokio::test]
async fn a_message_arrives_signed_and_stands_in_the_log() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    receiver.on("/hooks", |_| {
        Reply::body(202, b"taken").header("X-Seen", "yes")
    });
    let tenant = app.tenant("acme").await;
    let webhook = tenant
        .webhook(&receiver.url("/hooks"), &["ticket.updated"])
        .await;
    let body =
        r#"{"event":"ticket.updated","timestamp":"2026-03-25T00:11:25+01:00","data":{"id":7}}"#;
    let accepted = tenant
        .api
        .send_json("POST", "/api/events", body)
        .await
        .expect(202);
    let message = accepted["id"].as_str().unwrap();
    let expected = json!({
        "id": message, "event": "ticket.updated", "timestamp": "2026-03-24T23:11:25.000Z",
        "deliveries": 1, "duplicate": false,
    });
    assert_eq!(accepted, expected);

    let request = receiver.arrived("/hooks", 1).await.remove(0);
    let sent =
        r#"{"event":"ticket.updated","timestamp":"2026-03-24T23:11:25.000Z","data":{"id":7}}"#;
    assert_eq!((request.method.as_str(), request.text()), ("POST", sent));
    request.verify(&webhook.secret);
    let delivery = tenant.until(message, "succeeded").await;
    for (name, value) in [
        ("content-type", "application/json"),
        (
            "user-agent",
            concat!("Hookledger/", env!("CARGO_PKG_VERSION")),
        ),
        ("x-webhook-event", "ticket.updated"),
        ("x-webhook-delivery", delivery["id"].as_str().unwrap()),
        ("x-webhook-attempt", "1"),
        ("webhook-id", message),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }
    assert!(!request.has("x-webhook-signature-previous"));
    assert_eq!(request.header("webhook-signature").split(' ').count(), 1);

    let attempt = &delivery["log"][0];
    let started_at = attempt["started_at"].as_str().unwrap();
    let expected = json!({
        "id": attempt["id"], "delivery_id": delivery["id"], "message_id": message,
        "webhook_id": webhook.id, "webhook_version": 1, "event": "ticket.updated", "attempt": 1,
        "trigger": "publish", "started_at": started_at, "duration_ms": attempt["duration_ms"],
        "outcome": "succeeded", "url": receiver.url("/hooks"), "response_status": 202,
        "response_headers": {"x-seen": "yes", "content-length": "5"}, "response_body": "taken",
        "response_body_truncated": false, "error": null,
    });
    assert_eq!(delivery["log"], json!([expected]));
    assert_eq!(tenant.logs("").await, [expected]);
    let expected = json!({
        "id": delivery["id"], "message_id": message, "webhook_id": webhook.id,
        "event": "ticket.updated", "status": "succeeded", "attempts": 1,
        "created_at": delivery["created_at"], "next_attempt_at": null,
        "completed_at": delivery["completed_at"], "last_response_status": 202, "last_error": null,
    });
    assert_eq!(tenant.deliveries("").await, [expected]);
    assert!(started_at.ends_with('Z') && started_at.len() == "2026-03-24T23:11:25.000Z".len());
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn a_message_says_who_gets_it_and_why_the_others_do_not() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let by_name = tenant
        .webhook(&receiver.url("/name"), &["ticket.updated"])
        .await;
    let by_prefix = tenant
        .webhook(&receiver.url("/prefix"), &["ticket.*", "service.*"])
        .await;
    let all = tenant.webhook(&receiver.url("/all"), &["*"]).await;
    let other = tenant
        .webhook(&receiver.url("/other"), &["service.*"])
        .await;
    let body =
        json!({"name": "Off", "url": receiver.url("/off"), "events": ["*"], "is_active": false});
    let inactive = tenant.webhook_with(body).await;
    let neighbour = app.tenant("neighbour").await;
    neighbour.webhook(&receiver.url("/neighbour"), &["*"]).await;

    let message = tenant.publish("ticket.updated", json!({"n": 1})).await;
    tenant.until_nothing_is_pending().await;
    let shown = tenant
        .api
        .get(&format!("/api/events/{message}"))
        .await
        .expect(200);
    let mut got: Vec<_> = shown["deliveries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|delivery| {
            assert_eq!(delivery["status"], "succeeded");
            delivery["webhook_id"].as_str().unwrap()
        })
        .collect();
    got.sort_unstable();
    let mut expected = [&by_name.id, &by_prefix.id, &all.id];
    expected.sort_unstable();
    assert_eq!(got, expected);
    let not = shown["not_delivered"].as_array().unwrap();
    for (webhook, reason) in [(&other, "not_subscribed"), (&inactive, "inactive")] {
        let expected = json!({"webhook_id": webhook.id, "reason": reason, "detail": null});
        assert!(not.contains(&expected), "{shown}");
    }
    assert_eq!(not.len(), 2);
    let body = receiver.requests_at("/all")[0].text().to_owned();
    assert_eq!(shown["body"], body);
    assert_eq!(shown["body_bytes"], body.len());
    let digest: String = Sha256::digest(&body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(shown["body_sha256"], digest);
    let mut paths: Vec<_> = receiver
        .requests()
        .iter()
        .map(|request| request.path.clone())
        .collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/all", "/name", "/prefix"]);
    assert_eq!(
        tenant.api.get("/api/events").await.expect(200)["data"],
        json!([shown])
    );
}

/// Numbers keep their spelling and keys their order: what was published is what is signed.
#[tokio::test]
async fn data_is_sent_exactly_as_it_was_published() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    for (index, data) in [
        r#"{"b":1.0,"a":1e2,"big":12345678901234567890123,"c":-0,"d":0.10}"#,
        r#"{"z":{"y":[{"b":1,"a":2}]},"a":[]}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"text":"é☃🦀\u00e9\n\u0000\/","":null}"#,
        "{}",
    ]
    .into_iter()
    .enumerate()
    {
        // The topic last: the body has an order of its own.
        let body = format!(
            r#"{{"data":{data},"timestamp":"2026-01-01T00:00:00Z","event":"ticket.created"}}"#
        );
        let accepted = tenant
            .api
            .send_json("POST", "/api/events", &body)
            .await
            .expect(202);
        let request = receiver.arrived("/hooks", index + 1).await.remove(index);
        let timestamp = "2026-01-01T00:00:00.000Z";
        let sent =
            format!(r#"{{"event":"ticket.created","timestamp":"{timestamp}","data":{data}}}"#);
        assert_eq!(request.text(), sent);
        request.verify(&webhook.secret);
        let shown = tenant
            .api
            .get(&format!("/api/events/{}", accepted["id"].as_str().unwrap()))
            .await;
        assert_eq!(shown.expect(200)["body"], sent);
    }
}

#[tokio::test]
async fn what_was_accepted_is_there_after_a_restart() {
    let (mut app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let delivery = tenant.until(&message, "succeeded").await;
    app.terminate();
    assert!(app.ended().await.success());
    app.restart().await;
    assert_eq!(tenant.delivery_of(&message).await, delivery);
    tenant.publish("ticket.created", json!({"n": 2})).await;
    let requests = receiver.arrived("/hooks", 2).await;
    requests[1].verify(&webhook.secret);
    assert_eq!(requests[1].json()["data"], json!({"n": 2}));
}
