//! Secrets are in the one answer that shows them, and nowhere else.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::{App, Receiver};

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

fn assert_not_in(kept: &BTreeMap<String, Vec<u8>>, secrets: &[(&str, &str)]) {
    for (place, bytes) in kept {
        if ["master.key", "platform-token"].contains(&place.as_str()) {
            continue;
        }
        for (what, secret) in secrets {
            assert!(!contains(bytes, secret), "{what} is in {place}");
        }
    }
}

#[tokio::test]
async fn secrets_are_sealed_and_tokens_hashed() {
    let (mut app, receiver) = (
        App::with(&[("LOG", "debug")]).await,
        Receiver::start().await,
    );
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let path = format!("{}/secret/rotate", webhook.path());
    let rotated = tenant.api.post(&path, json!({})).await.expect(200);
    let rotated = rotated["secret"].as_str().unwrap();
    let issued = tenant
        .api
        .post("/api/admin/tokens", json!({"name": "x", "role": "admin"}))
        .await
        .expect(201);
    let token = issued["token"].as_str().unwrap();
    let message = tenant
        .publish("ticket.created", json!({"known": "plain"}))
        .await;
    let delivery = tenant.until(&message, "succeeded").await;
    app.anonymous()
        .with_token(token)
        .get("/api/admin/webhooks")
        .await
        .expect(200);

    let bare = |secret: &str| {
        secret
            .trim_start_matches("whsec_")
            .trim_end_matches('=')
            .to_owned()
    };
    let (first, second) = (bare(&webhook.secret), bare(rotated));
    // hlk_<id>_<secret>, and the secret may have underscores of its own.
    let token_secret = token.splitn(3, '_').nth(2).unwrap();
    let secrets = [
        ("a rotated secret", first.as_str()),
        ("a secret", &second),
        ("a token", token_secret),
    ];
    for round in ["running", "stopped"] {
        let kept = app.kept();
        assert_not_in(&kept, &secrets);
        for (what, secret) in secrets {
            assert!(!app.log().contains(secret), "{what} is in the log, {round}");
        }
        // The proof that this looks at the right place: what is no secret is found.
        let mut places = kept.values();
        assert!(
            places.any(|bytes| contains(bytes, "\"known\":\"plain\"")),
            "{round}"
        );
        if round == "running" {
            app.terminate();
            assert!(app.ended().await.success());
        }
    }
    app.restart().await;
    for path in [
        "/api/admin/webhooks".to_owned(),
        webhook.path(),
        format!("{}/history", webhook.path()),
        "/api/admin/audit?limit=200&include=origin".to_owned(),
        "/api/admin/audit/export".to_owned(),
        format!(
            "/api/admin/deliveries/{}/explain",
            delivery["id"].as_str().unwrap()
        ),
        "/api/admin/tokens".to_owned(),
        "/api/admin/logs".to_owned(),
        "/api/admin/deliveries".to_owned(),
        "/api/events".to_owned(),
        "/metrics".to_owned(),
    ] {
        let text = tenant.api.get(&path).await.text();
        assert!(
            secrets.iter().all(|(_, secret)| !text.contains(secret)),
            "{path}: {text}"
        );
    }
}
