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

/// The events of a webhook, walked in pages of `limit`; none of them tells a secret.
async fn history(tenant: &Tenant, webhook: &Webhook, limit: usize) -> Vec<Value> {
    let events = tenant
        .api
        .walk(&format!("{}/history", webhook.path()), limit)
        .await;
    let text = json!(events).to_string();
    for secret in ["whsec_", "hlk_"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    events
}

/// Does one of everything to a webhook and deletes it; gives the summaries to expect.
async fn live_through_everything(tenant: &Tenant, receiver: &Receiver) -> (Webhook, Vec<String>) {
    let webhook = tenant.webhook(&receiver.url("/first"), &["ticket.*"]).await;
    let path = webhook.path();
    let operator = tenant.with_role("admin").await;
    let change =
        json!({"url": receiver.url("/second"), "events": ["*"], "headers": {"X-Env": "a"}});
    operator.patch(&path, change).await.expect(200);
    let change = json!({"name": "Renamed", "is_active": false});
    tenant.api.patch(&path, change).await.expect(200);
    let platform = tenant.platform.for_tenant(&tenant.id);
    let change = json!({"is_active": true});
    platform.patch(&path, change).await.expect(200);
    let rotate = format!("{path}/secret/rotate");
    let rotated = tenant.api.post(&rotate, json!({})).await.expect(200);
    let until = rotated["previous"][0]["expires_at"].as_str().unwrap();
    let no_grace = json!({"grace_seconds": 0});
    tenant.api.post(&rotate, no_grace).await.expect(200);
    receiver.on("/second", |_| crate::support::Reply::status(410));
    tenant.publish("ticket.created", json!({})).await;
    eventually("a disabled webhook", async || {
        let shown = tenant.api.get(&path).await.expect(200);
        (shown["disabled_reason"] == "gone").then_some(())
    })
    .await;
    tenant.api.delete(&path).await.expect(204);
    let summaries = [
        "admin registered it",
        "admin changed url, events and headers",
        "admin changed name",
        "admin switched it off",
        "The platform switched it on",
        &format!("admin rotated the secret; the old one is valid until {until}"),
        "admin rotated the secret; the old one is not valid any more",
        "Hookledger switched it off: the receiver is gone",
        "admin deleted it",
    ];
    (webhook, summaries.map(str::to_owned).to_vec())
}

#[tokio::test]
async fn a_history_tells_everything_that_happened() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let (webhook, summaries) = live_through_everything(&tenant, &receiver).await;
    let events = history(&tenant, &webhook, 200).await;
    let told: Vec<&str> = events
        .iter()
        .map(|event| event["summary"].as_str().unwrap())
        .collect();
    assert_eq!(told, summaries);
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["sequence"], index + 1, "{event}");
        assert_eq!(event["aggregate_type"], "webhook");
        assert_eq!(event["aggregate_id"], webhook.id);
        assert_eq!(event["event_version"], "1");
        let names: Vec<&String> = event.as_object().unwrap().keys().collect();
        let expected = [
            "actor",
            "aggregate_id",
            "aggregate_type",
            "cause",
            "changes",
            "client",
            "event_type",
            "event_version",
            "hash",
            "payload",
            "position",
            "recorded_at",
            "request_id",
            "sequence",
            "summary",
        ];
        assert_eq!(names, expected);
        let is_system = event["actor"]["kind"] == "system";
        assert_eq!(event["client"].is_null(), is_system, "{event}");
        assert_eq!(event["request_id"].is_null(), is_system, "{event}");
    }
    let positions: Vec<u64> = events
        .iter()
        .map(|event| event["position"].as_u64().unwrap())
        .collect();
    assert!(positions.is_sorted());
    assert_eq!(events[4]["actor"]["kind"], "platform");
    assert_eq!(
        events[1]["changes"],
        json!([
            {"field": "url", "before": receiver.url("/first"), "after": receiver.url("/second")},
            {"field": "events", "before": ["ticket.*"], "after": ["*"]},
            {"field": "headers", "before": {}, "after": {"X-Env": "a"}},
        ])
    );
    assert_eq!(
        events[7]["changes"],
        json!([
            {"field": "is_active", "before": true, "after": false},
            {"field": "disabled_reason", "before": null, "after": "gone"},
        ])
    );
    let payload = &events[5]["payload"]["secret_rotated"];
    assert_eq!(
        payload["secret"],
        json!({"version": 2, "sealed": "[hidden]"})
    );
    assert_eq!(payload["previous"][0]["sealed"], "[hidden]");
    assert_eq!(
        events[0]["payload"]["registered"]["secret"]["sealed"],
        "[hidden]"
    );
    assert_eq!(events[3]["payload"], "deactivated");
    // What stands there in truth is sealed, and not shown.
    let payload = "SELECT payload FROM events WHERE event_type = 'secret_rotated' LIMIT 1";
    let stored: Value = serde_json::from_str(&app.ask(payload).await).unwrap();
    let sealed = stored["secret_rotated"]["secret"]["sealed"]
        .as_str()
        .unwrap();
    assert!(sealed.len() > 20 && !json!(events).to_string().contains(sealed));
    // However it is cut into pages, every event tells the same.
    for limit in [1, 2, 4] {
        assert_eq!(history(&tenant, &webhook, limit).await, events, "{limit}");
    }
}

#[tokio::test]
async fn a_history_is_for_those_who_may_read_webhooks() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let (tenant, other) = (app.tenant("acme").await, app.tenant("globex").await);
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let path = format!("{}/history", webhook.path());
    let viewer = tenant.with_role("viewer").await;
    viewer.get(&path).await.expect(200);
    let publisher = tenant.with_role("publisher").await;
    publisher
        .get(&path)
        .await
        .problem(403, "missing_permission");
    other.api.get(&path).await.problem(404, "not_found");
    for (bad, code) in [
        ("limit=0", "invalid_parameter"),
        ("limit=201", "invalid_parameter"),
        ("cursor=", "invalid_cursor"),
        ("cursor=d2hfMQ", "invalid_cursor"),
        ("at=now", "invalid_parameter"),
    ] {
        let path = format!("{path}?{bad}");
        tenant.api.get(&path).await.problem(400, code);
    }
    // Places that are beyond its end: 2, and the largest that there is.
    for cursor in ["Mg", "MTg0NDY3NDQwNzM3MDk1NTE2MTU"] {
        let beyond = format!("{path}?cursor={cursor}");
        let page = tenant.api.get(&beyond).await.expect(200);
        assert_eq!(page, json!({"data": [], "next_cursor": null}));
    }
}
