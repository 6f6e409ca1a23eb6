//! The same key is the same message, however often and however parallel it is published.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, App, Receiver, Tenant};

async fn publish(tenant: &Tenant, key: &str, body: &str) -> Answer {
    let headers = [
        ("Content-Type", "application/json"),
        ("Idempotency-Key", key),
    ];
    tenant
        .api
        .send("POST", "/api/events", &headers, Some(body.as_bytes()))
        .await
}

/// Requests that are under way at one time.
const AT_ONCE: usize = 64;
const BODY: &str = r#"{"event":"ticket.created","data":{"n":1}}"#;

#[tokio::test]
async fn a_repetition_gets_the_first_answer() {
    let (mut app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let first = publish(&tenant, "key 1 ~", BODY).await.expect(202);
    assert_eq!(first["duplicate"], false);
    let mut expected = first.clone();
    expected["duplicate"] = json!(true);
    assert_eq!(
        publish(&tenant, "key 1 ~", BODY).await.expect(202),
        expected
    );
    // Also when there are more webhooks by now, and after a restart.
    tenant.webhook(&receiver.url("/late"), &["*"]).await;
    app.kill();
    app.restart().await;
    assert_eq!(
        publish(&tenant, "key 1 ~", BODY).await.expect(202),
        expected
    );
    let spaced = r#"{ "data":{"n":1}, "event":"ticket.created" }"#;
    assert_eq!(
        publish(&tenant, "key 1 ~", spaced).await.expect(202),
        expected
    );

    for other in [
        r#"{"event":"ticket.closed","data":{"n":1}}"#,
        r#"{"event":"ticket.created","data":{"n":2}}"#,
        r#"{"event":"ticket.created","data":{"n":1},"timestamp":"2026-01-01T00:00:00Z"}"#,
        r#"{"event":"ticket.created","data":{"n":1},"ordering_key":"o"}"#,
    ] {
        publish(&tenant, "key 1 ~", other)
            .await
            .problem(409, "idempotency_key_reused");
    }
    publish(&tenant, "key 1 ~", "{}")
        .await
        .problem(422, "invalid_content");
    let another = publish(&tenant, "key 2", BODY).await.expect(202);
    assert_ne!(another["id"], first["id"]);
    tenant.until_nothing_is_pending().await;
    assert_eq!(receiver.requests_at("/hooks").len(), 2);
    assert_eq!(receiver.requests_at("/late").len(), 1);
    assert_eq!(tenant.api.walk("/api/events", 10).await.len(), 2);
}

#[tokio::test]
async fn parallel_repetitions_make_one_message() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    for key in ["a", "b", "c"] {
        let tasks: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let tenant = tenant.clone();
                tokio::spawn(async move { publish(&tenant, key, BODY).await.expect(202) })
            })
            .collect();
        let (mut messages, mut fresh) = (HashSet::new(), 0);
        for task in tasks {
            let answer = task.await.unwrap();
            messages.insert(answer["id"].as_str().unwrap().to_owned());
            fresh += usize::from(answer["duplicate"] == false);
        }
        assert_eq!((messages.len(), fresh), (1, 1), "key {key}");
    }
    tenant.until_nothing_is_pending().await;
    assert_eq!(receiver.requests().len(), 3);
    assert_eq!(tenant.api.walk("/api/events", 10).await.len(), 3);
}

/// Of parallel messages with one key and different content one is accepted, the others are told.
#[tokio::test]
async fn parallel_messages_with_one_key_do_not_mix() {
    let app = App::start().await;
    let tenant = app.tenant("acme").await;
    for contents in [2, AT_ONCE] {
        let key = format!("{contents} contents");
        let asked = (0..AT_ONCE).map(|n| {
            let body = json!({"event": "ticket.created", "data": {"n": n % contents}}).to_string();
            let (tenant, key) = (&tenant, &key);
            async move { publish(tenant, key, &body).await }
        });
        let mut accepted = 0;
        for answer in join_all(asked).await {
            match answer.status {
                202 => accepted += 1,
                _ => drop(answer.problem(409, "idempotency_key_reused")),
            }
        }
        assert_eq!(accepted, AT_ONCE / contents, "{key}");
    }
    assert_eq!(tenant.api.walk("/api/events", 10).await.len(), 2);
}

/// The same batch again and again at one time: every message of it is accepted once.
#[tokio::test]
async fn parallel_repetitions_of_a_batch_make_each_message_once() {
    const MESSAGES: usize = 100;
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let events: Vec<Value> = (0..MESSAGES)
        .map(|n| json!({"event": "ticket.created", "data": {"n": n}, "idempotency_key": n.to_string()}))
        .collect();
    let batch = json!({ "events": events });
    let asked = (0..8).map(|_| tenant.api.post("/api/events/batch", batch.clone()));
    let answers = join_all(asked)
        .await
        .into_iter()
        .map(|answer| answer.expect(202));
    let answers: Vec<Value> = answers.collect();
    for n in 0..MESSAGES {
        let results: Vec<&Value> = answers.iter().map(|answer| &answer["results"][n]).collect();
        let fresh = results.iter().filter(|result| result["duplicate"] == false);
        assert_eq!(fresh.count(), 1, "{results:?}");
        for name in ["id", "event", "timestamp", "deliveries"] {
            assert!(
                results
                    .iter()
                    .all(|result| result[name] == results[0][name]),
                "{results:?}"
            );
        }
    }
    tenant.until_nothing_is_pending().await;
    assert_eq!(tenant.api.walk("/api/events", 200).await.len(), MESSAGES);
    assert_eq!(receiver.requests().len(), MESSAGES);
}

/// Publishes with a key, alone or as a batch of one; gives the status and the answer or problem.
async fn publish_as(tenant: &Tenant, as_batch: bool, key: &str) -> (u64, Value) {
    if !as_batch {
        let answer = publish(tenant, key, BODY).await;
        let status = answer.status;
        return (status.into(), answer.expect(status));
    }
    let mut event: Value = serde_json::from_str(BODY).unwrap();
    event["idempotency_key"] = json!(key);
    let batch = tenant
        .api
        .post("/api/events/batch", json!({"events": [event]}));
    let result = batch.await.expect(202)["results"][0].clone();
    (result["status"].as_u64().unwrap_or(202), result)
}

#[tokio::test]
async fn a_key_has_1_to_255_printable_ascii_characters() {
    let app = App::start().await;
    let tenant = app.tenant("acme").await;
    let mut keys: Vec<String> = (0x21..0x7f_u8)
        .map(|byte| char::from(byte).into())
        .collect();
    keys.extend(["a b  c".to_owned(), "k".repeat(255), "\"\\/'{}".to_owned()]);
    for key in &keys {
        let (status, first) = publish_as(&tenant, false, key).await;
        assert_eq!((status, &first["duplicate"]), (202, &json!(false)), "{key}");
        // A header and a member of a batch are the same key.
        let (status, again) = publish_as(&tenant, true, key).await;
        assert_eq!((status, &again["duplicate"]), (202, &json!(true)), "{key}");
        assert_eq!(again["id"], first["id"], "{key}");
    }
    assert_eq!(tenant.api.walk("/api/events", 50).await.len(), keys.len());
    for key in ["", &"k".repeat(256), "caf\u{e9}", "a\tb"] {
        let (status, problem) = publish_as(&tenant, false, key).await;
        assert_eq!(
            (status, &problem["code"]),
            (400, &json!("invalid_parameter")),
            "{key:?}"
        );
    }
    for key in [
        "",
        &"k".repeat(256),
        "caf\u{e9}",
        "a\tb",
        "\u{7f}",
        "a\nb",
        "\u{0}",
        "\u{1f600}",
    ] {
        let (status, problem) = publish_as(&tenant, true, key).await;
        assert_eq!(
            (status, &problem["code"]),
            (422, &json!("invalid_content")),
            "{key:?}"
        );
        assert_eq!(problem["errors"][0]["field"], "idempotency_key", "{key:?}");
    }
    // HTTP takes the spaces around a header's value away; those in a batch count.
    let (_, spaces) = publish_as(&tenant, true, " ").await;
    let (_, padded) = publish_as(&tenant, true, " a ").await;
    assert_eq!([&spaces["duplicate"], &padded["duplicate"]], [false, false]);
    let (status, _) = publish_as(&tenant, false, " ").await;
    assert_eq!(status, 400);
    let (_, trimmed) = publish_as(&tenant, false, " a ").await;
    assert_eq!(trimmed["duplicate"], true, "it is the key a");
    assert_ne!(trimmed["id"], padded["id"]);
    assert_eq!(
        tenant.api.walk("/api/events", 50).await.len(),
        keys.len() + 2
    );
}

#[tokio::test]
async fn a_key_is_the_tenants_own() {
    let app = App::start().await;
    let (acme, other) = (app.tenant("acme").await, app.tenant("other").await);
    let first = publish(&acme, "same", BODY).await.expect(202);
    let body = r#"{"event":"service.updated","data":{}}"#;
    let second = publish(&other, "same", body).await.expect(202);
    assert_eq!([&first["duplicate"], &second["duplicate"]], [false, false]);
    assert_ne!(first["id"], second["id"]);
    for (tenant, body, answer) in [(&acme, BODY, first), (&other, body, second)] {
        let again = publish(tenant, "same", body).await.expect(202);
        assert_eq!(
            (&again["id"], &again["duplicate"]),
            (&answer["id"], &json!(true))
        );
        assert_eq!(tenant.api.walk("/api/events", 10).await.len(), 1);
    }
}

/// What was refused has not used its key.
#[tokio::test]
async fn a_refused_message_leaves_its_key_free() {
    let app = App::start().await;
    let tenant = app.tenant("acme").await;
    for body in [
        r#"{"event":"ticket.creatd","data":{"n":1}}"#,
        r#"{"event":"ticket.created","data":[]}"#,
        r#"{"event":"ticket.created"}"#,
    ] {
        publish(&tenant, "k", body)
            .await
            .problem(422, "invalid_content");
    }
    publish(&tenant, "k", "{")
        .await
        .problem(400, "malformed_json");
    tenant.suspend(true).await;
    publish(&tenant, "k", BODY)
        .await
        .problem(403, "tenant_suspended");
    tenant.suspend(false).await;
    let first = publish(&tenant, "k", BODY).await.expect(202);
    assert_eq!(first["duplicate"], false);
    assert_eq!(
        publish(&tenant, "k", BODY).await.expect(202)["id"],
        first["id"]
    );
}

/// What was accepted is told so, also when it would be refused by now.
#[tokio::test]
async fn a_repetition_gets_the_first_answer_whatever_has_changed() {
    let app = App::start().await;
    let tenant = app.tenant("acme").await;
    let topic = "/api/platform/topics/order.placed";
    app.platform().put(topic, json!({})).await.expect(201);
    let body = r#"{"event":"order.placed","data":{"n":1}}"#;
    let first = publish(&tenant, "k", body).await.expect(202);
    app.platform().delete(topic).await.expect(204);
    let again = publish(&tenant, "k", body).await.expect(202);
    assert_eq!(
        (&again["id"], &again["duplicate"]),
        (&first["id"], &json!(true))
    );
    publish(&tenant, "new", body)
        .await
        .problem(422, "invalid_content");
    let other = r#"{"event":"order.placed","data":{"n":2}}"#;
    publish(&tenant, "k", other)
        .await
        .problem(409, "idempotency_key_reused");
}
