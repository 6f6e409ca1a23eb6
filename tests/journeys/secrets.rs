//! The secrets that deliveries are signed with: shown to their owner, rotated with a grace.

use hookledger_domain::signature::{self, Secret};
use serde_json::{Value, json};

use crate::support::{App, Receiver, Request, Tenant, Webhook};

async fn rotate(tenant: &Tenant, webhook: &Webhook, body: Value) -> Value {
    let path = format!("{}/secret/rotate", webhook.path());
    tenant.api.post(&path, body).await.expect(200)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The entries of `webhook-signature` must be made by these secrets, in this order.
#[track_caller]
fn assert_signed_by(request: &Request, secrets: &[&str]) {
    let entries: Vec<&str> = request.header("webhook-signature").split(' ').collect();
    let timestamp = request.header("webhook-timestamp").parse().unwrap();
    let expected: Vec<String> = secrets
        .iter()
        .map(|secret| Secret::parse(secret).unwrap())
        .map(|secret| signature::standard(&secret, request.message(), timestamp, &request.body))
        .collect();
    assert_eq!(entries, expected);
}

#[tokio::test]
async fn a_rotated_secret_stays_valid_for_its_grace() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let shown = tenant.api.get(&format!("{}/secret", webhook.path())).await;
    assert_eq!(shown.header("cache-control"), Some("no-store"));
    assert_eq!(
        shown.expect(200),
        json!({"secret": webhook.secret, "previous": []})
    );

    let rotated = rotate(&tenant, &webhook, json!({})).await;
    let new = text(&rotated["secret"]);
    assert_ne!(new, webhook.secret);
    assert_eq!(rotated["previous"][0]["secret"], webhook.secret);
    let seconds = seconds_until(text(&rotated["previous"][0]["expires_at"]));
    assert!((86_300..=86_400).contains(&seconds), "{seconds}");
    assert_eq!(
        tenant
            .api
            .get(&format!("{}/secret", webhook.path()))
            .await
            .expect(200),
        rotated
    );

    tenant.publish("ticket.created", json!({"n": 1})).await;
    let request = receiver.arrived("/hooks", 1).await.remove(0);
    request.verify(new);
    assert_signed_by(&request, &[new, &webhook.secret]);
    let old = Secret::parse(&webhook.secret).unwrap();
    let previous = request.header("x-webhook-signature-previous");
    assert_eq!(previous, signature::github(&old, &request.body));
}

#[tokio::test]
async fn without_grace_the_old_secret_ends_at_once() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let rotated = rotate(&tenant, &webhook, json!({"grace_seconds": 0})).await;
    assert_eq!(rotated["previous"], json!([]));
    tenant.publish("ticket.created", json!({"n": 1})).await;
    let request = receiver.arrived("/hooks", 1).await.remove(0);
    assert_signed_by(&request, &[text(&rotated["secret"])]);
    assert!(!request.has("x-webhook-signature-previous"));

    // A grace of a second is over when it is over.
    rotate(&tenant, &webhook, json!({"grace_seconds": 1})).await;
    let only = crate::support::eventually("the end of the grace", async || {
        let shown = tenant
            .api
            .get(&format!("{}/secret", webhook.path()))
            .await
            .expect(200);
        shown["previous"]
            .as_array()
            .unwrap()
            .is_empty()
            .then_some(shown)
    })
    .await;
    tenant.publish("ticket.created", json!({"n": 2})).await;
    let request = receiver.arrived("/hooks", 2).await.remove(1);
    assert_signed_by(&request, &[text(&only["secret"])]);
}

#[tokio::test]
async fn rotations_within_a_grace_add_up_to_five() {
    let (mut app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let own = format!("whsec_{}", "A".repeat(32));
    let mut newest_first = vec![webhook.secret.clone()];
    for round in 1..=7 {
        let body = if round == 3 {
            json!({"secret": own})
        } else {
            json!({"grace_seconds": 3600})
        };
        let rotated = rotate(&tenant, &webhook, body).await;
        newest_first.insert(0, text(&rotated["secret"]).to_owned());
        let previous: Vec<&str> = rotated["previous"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| text(&p["secret"]))
            .collect();
        let expected: Vec<&String> = newest_first.iter().skip(1).take(5).collect();
        assert_eq!(previous, expected);
    }
    assert!(newest_first.contains(&own));
    // They are known to whoever reads the ledger, too.
    app.kill();
    app.restart().await;
    tenant.publish("ticket.created", json!({"n": 1})).await;
    let request = receiver.arrived("/hooks", 1).await.remove(0);
    let live: Vec<&str> = newest_first.iter().take(6).map(String::as_str).collect();
    assert_signed_by(&request, &live);
}

#[tokio::test]
async fn only_good_secrets_and_graces_are_taken() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let path = format!("{}/secret/rotate", webhook.path());
    let short = format!("whsec_{}", "A".repeat(28));
    let long = format!("whsec_{}", "A".repeat(88));
    for (body, field) in [
        (json!({"secret": "whsec_"}), "secret"),
        (json!({"secret": short}), "secret"),
        (json!({"secret": long}), "secret"),
        (json!({"secret": "hunter2"}), "secret"),
        (json!({"secret": 5}), "secret"),
        (json!({"grace_seconds": -1}), "grace_seconds"),
        (json!({"grace_seconds": 604_801}), "grace_seconds"),
        (json!({"grace_seconds": 1.5}), "grace_seconds"),
        (json!({"grace": 1}), "grace"),
    ] {
        let problem = tenant
            .api
            .post(&path, body.clone())
            .await
            .problem(422, "invalid_content");
        assert_eq!(problem["errors"][0]["field"], field, "{body}");
    }
    // Nothing of this has changed anything; and without a body it rotates, too.
    let shown = tenant
        .api
        .get(&format!("{}/secret", webhook.path()))
        .await
        .expect(200);
    assert_eq!(shown["secret"], webhook.secret);
    let rotated = tenant.api.send("POST", &path, &[], None).await.expect(200);
    assert_eq!(rotated["previous"][0]["secret"], webhook.secret);
}

fn seconds_until(time: &str) -> i64 {
    let time = chrono::DateTime::parse_from_rfc3339(time).unwrap();
    (time.to_utc() - chrono::Utc::now()).num_seconds()
}
