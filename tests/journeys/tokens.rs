//! API tokens and JWTs: issued, expired, revoked.

use std::time::{Duration, Instant};

use chrono::SubsecRound;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::{App, ids};

async fn issue(app: &App, path: &str, body: Value) -> Value {
    app.platform()
        .for_tenant("acme")
        .post(path, body)
        .await
        .expect(201)
}

#[tokio::test]
async fn a_token_is_shown_once_and_works_until_it_is_revoked() {
    let app = App::start().await;
    app.tenant("acme").await;
    for path in ["/api/admin/tokens", "/api/platform/tenants/acme/tokens"] {
        let issued = issue(&app, path, json!({"name": "ci", "role": "viewer"})).await;
        let (id, token) = (
            issued["id"].as_str().unwrap(),
            issued["token"].as_str().unwrap(),
        );
        let expected =
            json!({"id": id, "name": "ci", "role": "viewer", "expires_at": null, "token": token});
        assert_eq!(issued, expected);
        assert!(token.starts_with("hlk_") && token.len() > 70, "{token}");
        let api = app.platform().for_tenant("acme");
        let listed = api.walk(path, 2).await;
        assert!(ids(&listed).contains(&id));
        assert!(listed.iter().all(|row| row.get("token").is_none()));

        let user = app.anonymous().with_token(token);
        user.get("/api/admin/webhooks").await.expect(200);
        api.delete(&format!("{path}/{id}")).await.expect(204);
        let revoked = Instant::now();
        while user.get("/api/admin/webhooks").await.status != 401 {
            assert!(
                revoked.elapsed() < Duration::from_secs(1),
                "the token lives on"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        user.get("/api/admin/webhooks")
            .await
            .problem(401, "unauthorized");
        assert!(!ids(&api.walk(path, 200).await).contains(&id));
        api.delete(&format!("{path}/{id}"))
            .await
            .problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_token_ends_when_it_expires() {
    let app = App::start().await;
    app.tenant("acme").await;
    // Times are kept to the millisecond: what is beyond it would end a little earlier.
    let ends = (chrono::Utc::now() + chrono::Duration::milliseconds(1500)).trunc_subsecs(3);
    let body = json!({"name": "short", "role": "admin", "expires_at": ends.to_rfc3339()});
    let issued = issue(&app, "/api/admin/tokens", body).await;
    assert!(issued["expires_at"].as_str().unwrap().ends_with('Z'));
    let user = app
        .anonymous()
        .with_token(issued["token"].as_str().unwrap());
    user.get("/api/admin/webhooks").await.expect(200);
    crate::support::eventually("the end of a token", async || {
        (user.get("/api/admin/webhooks").await.status == 401).then_some(())
    })
    .await;
    assert!(chrono::Utc::now() >= ends, "it ended too early");
}

#[tokio::test]
async fn only_good_tokens_are_issued() {
    let app = App::start().await;
    let tenant = app.tenant("acme").await;
    for (body, field) in [
        (json!({"role": "viewer"}), "name"),
        (json!({"name": "", "role": "viewer"}), "name"),
        (json!({"name": "x".repeat(201), "role": "viewer"}), "name"),
        (json!({"name": "x"}), "role"),
        (json!({"name": "x", "role": "owner"}), "role"),
        (json!({"name": "x", "role": "Admin"}), "role"),
        (
            json!({"name": "x", "role": "admin", "expires_at": "tomorrow"}),
            "expires_at",
        ),
        (
            json!({"name": "x", "role": "admin", "expires_at": "2020-01-01T00:00:00Z"}),
            "expires_at",
        ),
        (
            json!({"name": "x", "role": "admin", "token": "mine"}),
            "token",
        ),
    ] {
        let problem = tenant
            .api
            .post("/api/admin/tokens", body.clone())
            .await
            .problem(422, "invalid_content");
        assert_eq!(problem["errors"][0]["field"], field, "{body}");
    }
    let body = json!({"name": "x", "role": "admin"});
    let answer = app
        .platform()
        .post("/api/platform/tenants/nobody/tokens", body)
        .await;
    answer.problem(404, "not_found");
}

/// A token that was revoked stays so, and one that was not goes on, after a restart.
#[tokio::test]
async fn tokens_survive_a_restart() {
    let mut app = App::start().await;
    let tenant = app.tenant("acme").await;
    let issued = issue(
        &app,
        "/api/admin/tokens",
        json!({"name": "x", "role": "viewer"}),
    )
    .await;
    let gone = app
        .anonymous()
        .with_token(issued["token"].as_str().unwrap());
    tenant
        .api
        .delete(&format!(
            "/api/admin/tokens/{}",
            issued["id"].as_str().unwrap()
        ))
        .await
        .expect(204);
    app.kill();
    app.restart().await;
    gone.get("/api/admin/webhooks")
        .await
        .problem(401, "unauthorized");
    tenant.api.get("/api/admin/webhooks").await.expect(200);
}

pub(super) const JWT_SECRET: &str = "a-secret-of-the-identity-provider-0123456789";

pub(super) fn jwt(claims: &Value, key: &str) -> String {
    jsonwebtoken::encode(
        &Header::default(),
        claims,
        &EncodingKey::from_secret(key.as_bytes()),
    )
    .unwrap()
}

#[tokio::test]
async fn jwts_of_the_identity_provider_are_tokens() {
    let settings = [
        ("JWT_HS256_SECRET", JWT_SECRET),
        ("JWT_ISSUER", "https://id.example.com"),
        ("JWT_AUDIENCE", "hookledger"),
        ("JWT_TENANT_CLAIM", "org"),
    ];
    let app = App::with(&settings).await;
    app.tenant("acme").await;
    let now = chrono::Utc::now().timestamp();
    let good = json!({
        "sub": "u1", "iss": "https://id.example.com", "aud": "hookledger", "exp": now + 60,
        "org": "acme", "role": "viewer",
    });
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let user = |claims: &Value, key: &str| app.anonymous().with_token(&jwt(claims, key));
    let viewer = user(&good, JWT_SECRET);
    viewer.get("/api/admin/webhooks").await.expect(200);
    viewer
        .post("/api/admin/webhooks", json!({}))
        .await
        .problem(403, "missing_permission");
    viewer
        .get("/api/platform/tenants")
        .await
        .problem(403, "platform_only");
    viewer
        .for_tenant("other")
        .get("/api/admin/webhooks")
        .await
        .problem(403, "wrong_tenant");
    let admin = user(&with("role", json!(["viewer", "admin"])), JWT_SECRET);
    admin
        .post("/api/admin/webhooks", json!({}))
        .await
        .problem(422, "invalid_content");

    for (claims, key) in [
        (good.clone(), "another-secret-that-is-long-enough-01234"),
        (with("exp", json!(now - 60)), JWT_SECRET),
        (with("exp", Value::Null), JWT_SECRET),
        (with("nbf", json!(now + 600)), JWT_SECRET),
        (with("iss", json!("https://evil.example.com")), JWT_SECRET),
        (with("aud", json!("another")), JWT_SECRET),
    ] {
        user(&claims, key)
            .get("/api/admin/webhooks")
            .await
            .problem(401, "unauthorized");
    }
    let unsigned = format!(
        "eyJhbGciOiJub25lIn0.{}.",
        jwt(&good, JWT_SECRET).split('.').nth(1).unwrap()
    );
    app.anonymous()
        .with_token(&unsigned)
        .get("/api/admin/webhooks")
        .await
        .problem(401, "unauthorized");
    for (claims, code) in [
        (with("org", json!("nobody")), "unknown_tenant"),
        (with("org", Value::Null), "unknown_tenant"),
        (with("role", json!("owner")), "unknown_role"),
        (with("role", Value::Null), "unknown_role"),
    ] {
        user(&claims, JWT_SECRET)
            .get("/api/admin/webhooks")
            .await
            .problem(403, code);
    }
}

#[tokio::test]
async fn without_settings_jwts_are_no_tokens() {
    let app = App::start().await;
    app.tenant("acme").await;
    let claims =
        json!({"exp": chrono::Utc::now().timestamp() + 60, "tenant_id": "acme", "role": "admin"});
    let user = app.anonymous().with_token(&jwt(&claims, JWT_SECRET));
    user.get("/api/admin/webhooks")
        .await
        .problem(401, "unauthorized");
}
