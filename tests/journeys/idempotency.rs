//! The same key is the same message, however often and however parallel it is published.

use std::collections::HashSet;

use serde_json::json;

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
        let tasks: Vec<_> = (0..32)
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
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let tenant = tenant.clone();
            let body = json!({"event": "ticket.created", "data": {"n": n % 2}}).to_string();
            tokio::spawn(async move { publish(&tenant, "same", &body).await })
        })
        .collect();
    let mut accepted = 0;
    for task in tasks {
        let answer = task.await.unwrap();
        match answer.status {
            202 => accepted += 1,
            _ => drop(answer.problem(409, "idempotency_key_reused")),
        }
    }
    assert_eq!(accepted, 8);
    assert_eq!(tenant.api.walk("/api/events", 10).await.len(), 1);
}
