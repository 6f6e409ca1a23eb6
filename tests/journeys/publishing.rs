//! Batches of messages.

use serde_json::{Value, json};

use crate::support::{App, Receiver};

#[tokio::test]
async fn good_and_bad_messages_of_a_batch_are_answered_each_for_itself() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let before = json!({"event": "ticket.closed", "data": {"n": 0}, "idempotency_key": "k0"});
    tenant
        .api
        .post("/api/events/batch", json!({"events": [before]}))
        .await
        .expect(202);
    let large = "x".repeat(512 * 1024);
    let events = json!([
        {"event": "ticket.created", "data": {"n": 1}, "timestamp": "2026-01-01T00:00:00Z", "ordering_key": "o"},
        {"event": "ticket.creatd", "data": {}},
        7,
        {"event": "ticket.created", "data": {"n": 2}, "idempotency_key": "k1"},
        {"event": "ticket.created", "data": {"n": 2}, "idempotency_key": "k1"},
        {"event": "ticket.created", "data": {"other": 2}, "idempotency_key": "k1"},
        {"event": "ticket.closed", "data": {"n": 0}, "idempotency_key": "k0"},
        {"event": "ticket.created", "data": {"n": 3}, "idempotency_key": ""},
        {"event": "ticket.created", "data": {"x": large}},
        {"event": "ticket.created", "data": {}, "surprise": 1},
        {"event": "service.updated", "data": {"n": 4}},
    ]);
    let answer = tenant
        .api
        .post("/api/events/batch", json!({"events": events}))
        .await
        .expect(202);
    let results = answer["results"].as_array().unwrap();
    let status = |result: &Value| (result["status"].clone(), result["code"].clone());
    let accepted = (Value::Null, Value::Null);
    let invalid = (json!(422), json!("invalid_content"));
    let expected = [
        accepted.clone(),
        invalid.clone(),
        invalid.clone(),
        accepted.clone(),
        accepted.clone(),
        (json!(409), json!("idempotency_key_reused")),
        accepted.clone(),
        invalid.clone(),
        (json!(413), json!("body_too_large")),
        invalid,
        accepted,
    ];
    assert_eq!(
        results.iter().map(status).collect::<Vec<_>>(),
        expected,
        "{answer}"
    );
    assert_eq!(results[3]["id"], results[4]["id"]);
    assert_eq!(
        [&results[3]["duplicate"], &results[4]["duplicate"]],
        [false, true]
    );
    assert_eq!(results[6]["duplicate"], true);
    assert_eq!(results[0]["timestamp"], "2026-01-01T00:00:00.000Z");
    assert_eq!(results[1]["errors"][0]["code"], "unknown_topic");

    tenant.until_nothing_is_pending().await;
    let mut sent: Vec<String> = receiver
        .requests()
        .iter()
        .map(|request| {
            request.verify(&webhook.secret);
            request.json()["data"]["n"].to_string()
        })
        .collect();
    sent.sort_unstable();
    assert_eq!(sent, ["0", "1", "2", "4"]);
    assert_eq!(tenant.api.walk("/api/events", 50).await.len(), 4);
    let first = tenant
        .api
        .get(&format!(
            "/api/events/{}",
            results[0]["id"].as_str().unwrap()
        ))
        .await
        .expect(200);
    assert_eq!(first["ordering_key"], "o");
}

#[tokio::test]
async fn a_batch_has_1_to_1000_messages() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let events = |count: usize| {
        let all: Vec<Value> = (0..count)
            .map(|n| json!({"event": "ticket.created", "data": {"n": n}}))
            .collect();
        json!({ "events": all })
    };
    for bad in [
        events(0),
        events(1001),
        json!({}),
        json!({"events": {}}),
        json!({"events": null}),
    ] {
        let problem = tenant
            .api
            .post("/api/events/batch", bad)
            .await
            .problem(422, "invalid_content");
        assert_eq!(problem["errors"][0]["field"], "events");
    }
    let answer = tenant
        .api
        .post("/api/events/batch", events(1000))
        .await
        .expect(202);
    assert_eq!(answer["results"].as_array().unwrap().len(), 1000);
    tenant.until_nothing_is_pending().await;
    // The window of a lane is far smaller than this: the rest comes from the view.
    let mut sent: Vec<u64> = receiver
        .requests()
        .iter()
        .map(|request| request.json()["data"]["n"].as_u64().unwrap())
        .collect();
    sent.sort_unstable();
    assert_eq!(sent, (0..1000).collect::<Vec<_>>());
}

#[tokio::test]
async fn times_are_sent_on_as_utc_with_milliseconds() {
    let app = App::start().await;
    let tenant = app.tenant("acme").await;
    for (given, sent) in [
        ("2026-03-24T23:11:25Z", "2026-03-24T23:11:25.000Z"),
        ("2026-03-24T23:11:25.1239Z", "2026-03-24T23:11:25.123Z"),
        ("2026-03-25T04:41:25.5+05:30", "2026-03-24T23:11:25.500Z"),
        ("2026-03-24t23:11:25z", "2026-03-24T23:11:25.000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
    ] {
        let body = json!({"event": "ticket.created", "data": {}, "timestamp": given});
        let accepted = tenant.api.post("/api/events", body).await.expect(202);
        assert_eq!(accepted["timestamp"], sent);
        let path = format!("/api/events/{}", accepted["id"].as_str().unwrap());
        let shown = tenant.api.get(&path).await.expect(200);
        assert_eq!(shown["timestamp"], sent);
        assert!(
            shown["body"]
                .as_str()
                .unwrap()
                .contains(&format!("\"timestamp\":\"{sent}\""))
        );
    }
    let before = chrono::Utc::now().timestamp_millis();
    let accepted = tenant
        .api
        .post(
            "/api/events",
            json!({"event": "ticket.created", "data": {}}),
        )
        .await
        .expect(202);
    let now =
        chrono::DateTime::parse_from_rfc3339(accepted["timestamp"].as_str().unwrap()).unwrap();
    assert!((before..=chrono::Utc::now().timestamp_millis()).contains(&now.timestamp_millis()));
}
