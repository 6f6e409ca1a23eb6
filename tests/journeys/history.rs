//! What a webhook looked like once, as its events tell it.

use serde_json::{Value, json};

use crate::support::{App, Receiver, Tenant, Webhook, eventually};

/// The webhook as it is now, when that has been so for a moment.
async fn settled(tenant: &Tenant, webhook: &Webhook) -> Value {
    let shown = tenant.api.get(&webhook.path()).await.expect(200);
    let updated_at = shown["updated_at"].as_str().unwrap();
    let updated_at = chrono::DateTime::parse_from_rfc3339(updated_at).unwrap();
    eventually("a later millisecond", async || {
        let now = chrono::Utc::now().timestamp_millis();
        (now > updated_at.timestamp_millis()).then_some(())
    })
    .await;
    shown
}

#[tokio::test]
async fn a_webhook_is_shown_as_it_was_at_any_time() {
    let (mut app, receiver) = (App::start().await, Receiver::start().await);
    let (tenant, other) = (app.tenant("acme").await, app.tenant("globex").await);
    let webhook = tenant.webhook(&receiver.url("/first"), &["ticket.*"]).await;
    let path = webhook.path();
    let mut states = vec![settled(&tenant, &webhook).await];
    for body in [
        json!({"name": "Second", "url": receiver.url("/second"), "headers": {"X-Env": "test"}}),
        json!({"is_active": false}),
    ] {
        tenant.api.patch(&path, body).await.expect(200);
        states.push(settled(&tenant, &webhook).await);
    }
    let rotate = format!("{path}/secret/rotate");
    tenant.api.post(&rotate, json!({})).await.expect(200);
    states.push(settled(&tenant, &webhook).await);
    tenant.api.delete(&path).await.expect(204);
    app.kill();
    app.restart().await;

    // It is deleted, and all of that stands in the ledger.
    tenant.api.get(&path).await.problem(404, "not_found");
    for (index, state) in states.iter().enumerate() {
        let version = index + 1;
        let then = tenant.api.get(&format!("{path}?version={version}")).await;
        assert_eq!(then.header("etag"), Some(&*format!("\"{version}\"")));
        assert_eq!(&then.expect(200), state);
        let at = state["updated_at"].as_str().unwrap();
        let then = tenant.api.get(&format!("{path}?at={at}")).await.expect(200);
        assert_eq!(&then, state);
    }
    for moment in [
        "version=5",
        "version=6",
        "at=2020-01-01T00:00:00Z",
        "at=2100-01-01T00:00:00Z",
    ] {
        let path = format!("{path}?{moment}");
        tenant.api.get(&path).await.problem(404, "not_found");
    }
    // Others do not see it, whenever it was.
    for moment in ["version=1", "at=2100-01-01T00:00:00Z"] {
        let path = format!("{path}?{moment}");
        other.api.get(&path).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_moment_that_is_none_is_refused() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    for bad in [
        "version=0",
        "version=-1",
        "version=%2B1",
        "version=one",
        "version=",
        "version=99999999999999999999",
        "version=1&version=1",
        "version=1&at=2026-01-01T00:00:00Z",
        "at=yesterday",
        "at=",
        "when=now",
    ] {
        let path = format!("{}?{bad}", webhook.path());
        tenant
            .api
            .get(&path)
            .await
            .problem(400, "invalid_parameter");
    }
    let largest = format!("{}?version={}", webhook.path(), u64::MAX);
    tenant.api.get(&largest).await.problem(404, "not_found");
}

/// More events than are read at once.
#[tokio::test]
async fn a_long_history_is_replayed_to_the_asked_version() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    for n in 2..=210 {
        let body = json!({"name": format!("number {n}")});
        tenant.api.patch(&webhook.path(), body).await.expect(200);
    }
    for version in [2, 199, 200, 201, 210] {
        let path = format!("{}?version={version}", webhook.path());
        let then = tenant.api.get(&path).await.expect(200);
        assert_eq!(then["name"], format!("number {version}"));
        assert_eq!(then["version"], version);
    }
    let beyond = format!("{}?version=211", webhook.path());
    tenant.api.get(&beyond).await.problem(404, "not_found");
}
