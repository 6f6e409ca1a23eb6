//! The secrets that deliveries are signed with: shown to their owner, rotated with a grace.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use futures_util::future::join_all;
use hookledger_domain::signature::{self, Secret};
use serde_json::{Value, json};

use crate::support::{App, Gate, Receiver, Reply, Request, Tenant, Webhook, eventually};

async fn rotate(tenant: &Tenant, webhook: &Webhook, body: Value) -> Value {
    let path = format!("{}/secret/rotate", webhook.path());
    tenant.api.post(&path, body).await.expect(200)
}

async fn shown(tenant: &Tenant, webhook: &Webhook) -> Value {
    let path = format!("{}/secret", webhook.path());
    tenant.api.get(&path).await.expect(200)
}

/// A secret of one's own with so many bytes.
fn own(byte: u8, bytes: usize) -> String {
    format!("whsec_{}", BASE64.encode(vec![byte; bytes]))
}

/// The old secrets of an answer, newest first.
fn previous(shown: &Value) -> Vec<&str> {
    let previous = shown["previous"].as_array().unwrap();
    previous.iter().map(|one| text(&one["secret"])).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The entries of `webhook-signature` must be made by these secrets, in this order, and the headers in
/// GitHub's way by the first two of them.
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
    let names = ["x-webhook-signature", "x-webhook-signature-previous"];
    for (place, name) in names.into_iter().enumerate() {
        let secret = secrets
            .get(place)
            .map(|secret| Secret::parse(secret).unwrap());
        let expected = secret.map(|secret| signature::github(&secret, &request.body));
        let found = request.has(name).then(|| request.header(name));
        assert_eq!(found, expected.as_deref(), "{name}");
    }
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

#[tokio::test]
async fn every_secret_ends_by_itself_and_the_newest_old_one_is_the_previous() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let (b, c) = (own(2, 32), own(3, 32));
    let long = json!({"secret": b, "grace_seconds": 3600});
    rotate(&tenant, &webhook, long).await;
    let short = json!({"secret": c, "grace_seconds": 3});
    let rotated = rotate(&tenant, &webhook, short).await;
    assert_eq!(previous(&rotated), [b.as_str(), &webhook.secret]);
    let ends: Vec<i64> = rotated["previous"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| seconds_until(text(&one["expires_at"])))
        .collect();
    assert!(ends[0] <= 3 && (3500..=3600).contains(&ends[1]), "{ends:?}");
    tenant.publish("ticket.created", json!({})).await;
    let request = receiver.arrived("/hooks", 1).await.remove(0);
    assert_signed_by(&request, &[&c, &b, &webhook.secret]);

    // The newest old one ends first, and the one before it is the previous one then.
    eventually("the end of a grace", async || {
        let shown = shown(&tenant, &webhook).await;
        (previous(&shown) == [webhook.secret.as_str()]).then_some(())
    })
    .await;
    tenant.publish("ticket.created", json!({})).await;
    let request = receiver.arrived("/hooks", 2).await.remove(1);
    assert_signed_by(&request, &[&c, &webhook.secret]);

    // Without grace the secret until now ends, and what is still in its grace does not.
    let rotated = rotate(&tenant, &webhook, json!({"grace_seconds": 0})).await;
    assert_eq!(previous(&rotated), [webhook.secret.as_str()]);
    tenant.publish("ticket.created", json!({})).await;
    let request = receiver.arrived("/hooks", 3).await.remove(2);
    assert_signed_by(&request, &[text(&rotated["secret"]), &webhook.secret]);
}

#[tokio::test]
async fn an_attempt_is_signed_with_what_is_valid_when_it_starts() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let gate = Gate::closed();
    let first = Reply::Behind(gate.clone(), Box::new(Reply::status(500)));
    receiver.on("/hooks", move |request| match request.nth {
        1 => first.clone(),
        2 => Reply::status(500),
        _ => Reply::ok(),
    });
    let tenant = app.tenant("acme").await;
    let body = json!({"name": "x", "url": receiver.url("/hooks"), "events": ["*"], "retry_schedule": [1, 2]});
    let webhook = tenant.webhook_with(body).await;
    let message = tenant.publish("ticket.created", json!({})).await;
    let first = receiver.arrived("/hooks", 1).await.remove(0);
    assert_signed_by(&first, &[&webhook.secret]);

    // It is rotated before the second attempt, and the grace is over before the third one. Nothing
    // happens to the webhook then.
    let rotated = rotate(&tenant, &webhook, json!({"grace_seconds": 3})).await;
    let new = text(&rotated["secret"]);
    gate.open();
    let requests = receiver.arrived("/hooks", 3).await;
    assert_signed_by(&requests[1], &[new, &webhook.secret]);
    assert_signed_by(&requests[2], &[new]);
    let ids: Vec<&str> = requests.iter().map(|request| request.message()).collect();
    assert_eq!(ids, [message.as_str(); 3]);
    let delivery = tenant.until(&message, "succeeded").await;
    // The log is newest first.
    let log = delivery["log"].as_array().unwrap();
    let versions: Vec<u64> = log
        .iter()
        .map(|attempt| attempt["webhook_version"].as_u64().unwrap())
        .collect();
    assert_eq!(versions, [2, 2, 1]);
    let listed = tenant.api.get(&webhook.path()).await.expect(200);
    assert_eq!(listed["version"], 2);
}

#[tokio::test]
async fn the_present_secret_changes_nothing_and_an_old_one_is_taken_back() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let (b, c) = (own(2, 24), own(3, 64));
    for secret in [&b, &c] {
        let rotated = rotate(&tenant, &webhook, json!({"secret": secret})).await;
        assert_eq!(rotated["secret"], *secret);
    }
    // A request that is made again, because its answer got lost, is answered as the first time.
    let before = shown(&tenant, &webhook).await;
    let version = tenant.api.get(&webhook.path()).await.expect(200)["version"].clone();
    for body in [
        json!({"secret": c}),
        json!({"secret": c, "grace_seconds": 0}),
    ] {
        assert_eq!(rotate(&tenant, &webhook, body).await, before);
    }
    let listed = tenant.api.get(&webhook.path()).await.expect(200);
    assert_eq!(listed["version"], version, "there was no event");

    // Back to the first one: it is not its own predecessor.
    let back = json!({"secret": webhook.secret, "grace_seconds": 60});
    let rotated = rotate(&tenant, &webhook, back).await;
    assert_eq!(rotated["secret"], webhook.secret);
    assert_eq!(previous(&rotated), [c.as_str(), &b]);
    tenant.publish("ticket.created", json!({})).await;
    let request = receiver.arrived("/hooks", 1).await.remove(0);
    assert_signed_by(&request, &[&webhook.secret, &c, &b]);
    // One whose grace is over is a secret like any other.
    let other = json!({"secret": own(4, 32), "grace_seconds": 0});
    rotate(&tenant, &webhook, other).await;
    let again = json!({"secret": webhook.secret, "grace_seconds": 0});
    let rotated = rotate(&tenant, &webhook, again).await;
    assert_eq!(rotated["secret"], webhook.secret);
    assert_eq!(previous(&rotated), [c.as_str(), &b]);
}

#[tokio::test]
async fn a_refused_secret_is_told_the_rule_and_not_repeated() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let path = format!("{}/secret/rotate", webhook.path());
    let unpadded = own(5, 32).trim_end_matches('=').to_owned();
    for (secret, rule) in [
        (own(5, 23), "24 to 64 bytes before base64, this one has 23"),
        (own(5, 65), "24 to 64 bytes before base64, this one has 65"),
        (own(5, 32).replace("whsec_", "sec_"), "starts with `whsec_`"),
        (unpadded, "standard base64 with padding"),
        (format!("{} ", own(5, 32)), "standard base64 with padding"),
    ] {
        let refused = tenant.api.post(&path, json!({"secret": secret})).await;
        let problem = refused.problem(422, "invalid_content");
        let error = &problem["errors"][0];
        let named = (text(&error["field"]), text(&error["code"]));
        assert_eq!(named, ("secret", "invalid_secret"));
        assert!(text(&error["message"]).contains(rule), "{error}");
        assert!(!problem.to_string().contains(secret.trim()), "{problem}");
    }
    assert_eq!(shown(&tenant, &webhook).await["secret"], webhook.secret);
}

/// Whoever rotates while others rotate is told so; whoever rotates while others change something else
/// does not notice.
#[tokio::test]
async fn rotations_at_the_same_time_lose_nothing() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let path = format!("{}/secret/rotate", webhook.path());
    for round in 0..10 {
        let rotations = (0..4).map(async |_| tenant.api.post(&path, json!({})).await);
        let rename = json!({"name": format!("Round {round}")});
        let changes = (0..4).map(async |_| {
            let changed = tenant.api.patch(&webhook.path(), rename.clone()).await;
            assert_eq!(changed.expect(200)["name"], rename["name"]);
        });
        let (answers, _) = tokio::join!(join_all(rotations), join_all(changes));
        let mut made = Vec::new();
        for answer in answers {
            if answer.status == 409 {
                answer.problem(409, "conflict");
            } else {
                made.push(answer.expect(200));
            }
        }
        let now = shown(&tenant, &webhook).await;
        let last = made.iter().find(|made| made["secret"] == now["secret"]);
        assert!(last.is_some(), "round {round}: nobody was told {now}");
    }
    let now = shown(&tenant, &webhook).await;
    let old = previous(&now);
    assert_eq!(old.len(), 5);
    tenant.publish("ticket.created", json!({})).await;
    let request = receiver.arrived("/hooks", 1).await.remove(0);
    let live: Vec<&str> = std::iter::once(text(&now["secret"])).chain(old).collect();
    assert_signed_by(&request, &live);
}
