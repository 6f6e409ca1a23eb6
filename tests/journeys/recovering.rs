//! Deliveries of a stretch of time that are sent again.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::support::{App, Receiver, Reply, Tenant, Webhook, eventually};

const LONG_AGO: &str = "2020-01-01T00:00:00Z";

async fn recover(tenant: &Tenant, webhook: &Webhook, body: Value) -> (u64, Option<String>) {
    let path = format!("{}/recover", webhook.path());
    let answer = tenant.api.post(&path, body).await;
    let location = answer.header("location").map(str::to_owned);
    let answer = answer.expect(202);
    assert_eq!(answer.as_object().unwrap().len(), 1);
    (answer["matched"].as_u64().unwrap(), location)
}

async fn until_over(tenant: &Tenant, path: &str) -> Value {
    eventually("the end of a recovery", async || {
        let recovery = tenant.api.get(path).await.expect(200);
        (recovery["state"] != "running").then_some(recovery)
    })
    .await
}

/// How often each delivery was sent since `number` requests had come.
fn sent_since(receiver: &Receiver, number: usize) -> HashMap<String, usize> {
    let mut sent = HashMap::new();
    for request in &receiver.requests()[number..] {
        *sent.entry(request.delivery().to_owned()).or_insert(0) += 1;
    }
    sent
}

async fn exhausted(app: &App, receiver: &Receiver, count: usize) -> (Tenant, Webhook) {
    receiver.on("/hooks", |_| Reply::status(500));
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    tenant.publish_many("ticket.created", count).await;
    tenant.until_nothing_is_pending().await;
    (tenant, webhook)
}

#[tokio::test]
async fn what_was_exhausted_is_sent_again_and_can_be_watched() {
    let settings = [("RETRY_SCHEDULE", "")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let (tenant, webhook) = exhausted(&app, &receiver, 30).await;
    receiver.on("/hooks", |_| Reply::ok());
    // One that succeeded, a test and another webhook are not meant.
    tenant.publish_many("ticket.created", 1).await;
    tenant
        .api
        .post(&format!("{}/test", webhook.path()), json!({}))
        .await
        .expect(202);
    tenant.until_nothing_is_pending().await;

    let dry = json!({"from": LONG_AGO, "dry_run": true});
    assert_eq!(recover(&tenant, &webhook, dry).await, (30, None));
    let any = json!({"from": LONG_AGO, "status": "any", "dry_run": true});
    assert_eq!(recover(&tenant, &webhook, any).await, (31, None));
    let past = json!({"from": LONG_AGO, "to": "2020-01-02T00:00:00Z"});
    assert_eq!(recover(&tenant, &webhook, past).await, (0, None));
    let sent = receiver.requests().len();
    assert_eq!(sent, 32);

    let (matched, location) = recover(&tenant, &webhook, json!({"from": LONG_AGO})).await;
    assert_eq!(matched, 30);
    let path = location.unwrap();
    let over = until_over(&tenant, &path).await;
    assert_eq!(over["state"], "completed");
    assert_eq!(
        (&over["matched"], &over["requested"]),
        (&json!(30), &json!(30))
    );
    assert_eq!(over["status"], "exhausted");
    receiver.arrived("/hooks", sent + 30).await;
    eventually("the end of all", async || {
        let left = tenant.deliveries("status=exhausted").await;
        left.is_empty().then_some(())
    })
    .await;
    assert!(
        sent_since(&receiver, sent)
            .values()
            .all(|count| *count == 1)
    );
    let logged = tenant.logs("").await;
    let recovered = logged.iter().filter(|row| row["trigger"] == "recover");
    assert_eq!(recovered.count(), 30);
    let listed = format!("{}/recoveries", webhook.path());
    assert_eq!(tenant.api.walk(&listed, 10).await, [over]);
}

/// Asked for twice at the same time, with a kill in between.
#[tokio::test]
async fn each_is_sent_once_more_however_often_it_is_asked_for() {
    let settings = [("RETRY_SCHEDULE", "")];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let (tenant, webhook) = exhausted(&app, &receiver, 1500).await;
    let sent = receiver.requests().len();
    assert_eq!(sent, 1500);
    // They go on failing, so that nothing but the recoveries keeps them from being sent twice.
    let body = || json!({"from": LONG_AGO, "status": "any"});
    let (one, two) = tokio::join!(
        recover(&tenant, &webhook, body()),
        recover(&tenant, &webhook, body())
    );
    assert_eq!((one.0, two.0), (1500, 1500));
    receiver.arrived("/hooks", sent + 200).await;
    app.kill();
    app.restart().await;
    for (_, location) in [one, two] {
        until_over(&tenant, &location.unwrap()).await;
    }
    receiver.arrived("/hooks", sent + 1500).await;
    eventually("the end of what was asked for", async || {
        let rows = tenant
            .deliveries(&format!("webhook_id={}", webhook.id))
            .await;
        rows.iter()
            .all(|row| row["next_attempt_at"].is_null())
            .then_some(())
    })
    .await;
    let attempts = tenant.logs("").await;
    let recovered = attempts.iter().filter(|row| row["trigger"] == "recover");
    assert_eq!(
        recovered.count(),
        1500,
        "each delivery has one recorded attempt more"
    );
    // What was under way at the kill may have come twice; no more than that.
    let counts = sent_since(&receiver, sent);
    assert_eq!(counts.len(), 1500);
    let twice = counts.values().filter(|count| **count > 1).count();
    assert!(
        twice <= 64 && counts.values().all(|count| *count <= 2),
        "{twice}"
    );
}

#[tokio::test]
async fn a_recovery_can_be_cancelled() {
    let settings = [("RETRY_SCHEDULE", "")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let (tenant, webhook) = exhausted(&app, &receiver, 2000).await;
    let (_, location) = recover(&tenant, &webhook, json!({"from": LONG_AGO})).await;
    let path = location.unwrap();
    let cancelled = tenant.api.post(&format!("{path}/cancel"), json!({})).await;
    let requested = match cancelled.status {
        202 => {
            let over = cancelled.expect(202);
            assert_eq!(over["state"], "cancelled");
            over["requested"].as_u64().unwrap()
        }
        // It was quicker.
        _ => {
            assert_eq!(cancelled.expect(409)["code"], "recovery_ended");
            2000
        }
    };
    eventually("the end of what was asked for", async || {
        let rows = tenant
            .deliveries(&format!("webhook_id={}", webhook.id))
            .await;
        rows.iter()
            .all(|row| row["next_attempt_at"].is_null())
            .then_some(())
    })
    .await;
    assert_eq!(receiver.requests().len() as u64, 2000 + requested);
    let again = tenant.api.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!(again.expect(409)["code"], "recovery_ended");
}

#[tokio::test]
async fn what_is_wrong_with_a_recovery_is_named() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let bad = [
        (json!({}), "from", "missing_field"),
        (json!({"from": "yesterday"}), "from", "invalid_time"),
        (json!({"from": 5}), "from", "invalid_type"),
        (
            json!({"from": LONG_AGO, "to": "2019-01-01T00:00:00Z"}),
            "to",
            "out_of_range",
        ),
        (
            json!({"from": LONG_AGO, "to": LONG_AGO}),
            "to",
            "out_of_range",
        ),
        (
            json!({"from": LONG_AGO, "status": "failed"}),
            "status",
            "invalid_value",
        ),
        (
            json!({"from": LONG_AGO, "dry_run": "yes"}),
            "dry_run",
            "invalid_type",
        ),
        (
            json!({"from": LONG_AGO, "since": 1}),
            "since",
            "unknown_field",
        ),
    ];
    for (body, field, code) in bad {
        let path = format!("{}/recover", webhook.path());
        let refused = tenant.api.post(&path, body.clone()).await.expect(422);
        let error = &refused["errors"][0];
        assert_eq!(
            (error["field"].as_str(), error["code"].as_str()),
            (Some(field), Some(code)),
            "{body}"
        );
    }
    // Another tenant's webhook and recovery are not there.
    let stranger = app.tenant("other").await;
    let path = format!("{}/recover", webhook.path());
    stranger
        .api
        .post(&path, json!({"from": LONG_AGO}))
        .await
        .expect(404);
}
