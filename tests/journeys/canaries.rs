//! Secrets that are put in through every door, also where they do not belong, come out nowhere: not in
//! files, events, answers, logs or metrics.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use super::tokens::{JWT_SECRET, jwt};
use crate::support::{
    Answer, Api, App, PLATFORM_TOKEN, Receiver, Stripe, Tenant, Webhook,
    stripe::{STRIPE_SECRET, WEBHOOK, event},
};

/// A signing secret of Stripe's beside the tests' own.
const OTHER_STRIPE_SECRET: &str = "whsec_canary-of-stripes-other-secret-0123456789";

/// A secret, with a name for people.
struct Canary {
    what: String,
    /// How it could be written.
    forms: Vec<Vec<u8>>,
}

impl Canary {
    fn new(what: &str, secret: &str) -> Self {
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        let bare = secret.trim_start_matches("whsec_").trim_end_matches('=');
        let mut forms = vec![bare.to_owned(), hex(bare.as_bytes()), BASE64.encode(bare)];
        // What the base64 stands for, as a database's dump shows bytes.
        forms.extend(
            BASE64
                .decode(secret.trim_start_matches("whsec_"))
                .map(|bytes| hex(&bytes)),
        );
        Self {
            what: what.to_owned(),
            forms: forms.into_iter().map(String::into_bytes).collect(),
        }
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms
            .iter()
            .any(|form| bytes.windows(form.len()).any(|window| window == form))
    }
}

/// The part of an API token that nobody else knows.
fn secret_of(token: &str) -> &str {
    token.splitn(3, '_').nth(2).unwrap()
}

fn own_secret(filling: u8) -> String {
    format!("whsec_{}", BASE64.encode([filling; 32]))
}

/// Puts a secret wherever it does not belong; gives what was answered.
async fn put_in_wrong_places(
    app: &App,
    tenant: &Tenant,
    webhook: &Webhook,
    secret: &str,
) -> Vec<Answer> {
    let (api, path) = (&tenant.api, webhook.path());
    let platform = app.platform();
    let mut answers = Vec::new();
    for (method, path, body) in [
        (
            "POST",
            "/api/admin/webhooks".to_owned(),
            json!({"name": "x", "url": "https://example.com/", "events": ["*"], "secret": secret}),
        ),
        (
            "POST",
            "/api/admin/webhooks".to_owned(),
            json!({"name": {"deep": secret}, "url": [secret], "events": secret}),
        ),
        (
            "POST",
            "/api/admin/webhooks".to_owned(),
            json!({"name": secret.repeat(10), "url": format!("https://user:{secret}@example.com/"), "events": ["*"]}),
        ),
        (
            "PATCH",
            path.clone(),
            json!({"headers": {"Authorization": format!("Bearer {secret}\n")}}),
        ),
        (
            "PATCH",
            path.clone(),
            json!({"headers": {"Host": secret}, "is_active": secret, "timeout_seconds": secret}),
        ),
        ("PUT", path.clone(), json!({"token": secret})),
        (
            "POST",
            format!("{path}/secret/rotate"),
            json!({"secret": format!("whsec{secret}")}),
        ),
        (
            "POST",
            format!("{path}/secret/rotate"),
            json!({"secret": {"new": secret}, "grace_seconds": secret}),
        ),
        ("POST", format!("{path}/test"), json!({"secret": secret})),
        (
            "POST",
            "/api/admin/tokens".to_owned(),
            json!({"name": "x", "role": secret}),
        ),
        (
            "POST",
            "/api/admin/tokens".to_owned(),
            json!({"name": "x", "role": "viewer", "token": secret, "expires_at": secret}),
        ),
        (
            "POST",
            "/api/events".to_owned(),
            json!({"event": "ticket.created", "data": {}, "token": secret, "timestamp": secret}),
        ),
    ] {
        answers.push(api.send_json(method, &path, &body.to_string()).await);
    }
    for body in [
        format!("{{\"secret\":\"{secret}\""),
        format!("{secret} is no JSON"),
        format!("\"{secret}\""),
    ] {
        answers.push(api.send_json("POST", "/api/admin/webhooks", &body).await);
        answers.push(
            platform
                .send_json("POST", "/api/platform/tenants", &body)
                .await,
        );
    }
    let escaped: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    for path in [
        format!("/api/admin/webhooks?token={escaped}"),
        format!("/api/admin/webhooks?cursor={escaped}"),
        format!("/api/admin/logs?outcome={escaped}"),
        format!("/api/admin/audit?aggregate_type={escaped}"),
        format!("/api/admin/audit?event_type={escaped}&include={escaped}"),
        format!("/api/admin/webhooks/{escaped}"),
        format!("/api/admin/deliveries/{escaped}/explain"),
        format!("/{escaped}"),
    ] {
        answers.push(api.get(&path).await);
    }
    for path in [
        format!("/api/platform/audit/verify?seal={escaped}"),
        format!("/api/platform/audit?tenant={escaped}"),
        format!("/api/platform/tenants/{escaped}"),
    ] {
        answers.push(platform.get(&path).await);
    }
    for header in [
        "Authorization",
        "X-Tenant-Id",
        "If-Match",
        "Cookie",
        "X-Api-Key",
    ] {
        let headers = [(header, secret), ("Content-Type", "application/json")];
        let body = Some(&b"{\"x\":1}"[..]);
        answers.push(app.anonymous().send("PATCH", &path, &headers, body).await);
        if header != "Authorization" {
            answers.push(api.send("PATCH", &path, &headers, body).await);
        }
    }
    answers.push(app.anonymous().with_token(secret).get(&path).await);
    answers.extend(bring_to_wrong_places(app, secret).await);
    answers
}

/// The same where Stripe's callbacks are taken: as signature, and in what is signed with another secret.
async fn bring_to_wrong_places(app: &App, secret: &str) -> Vec<Answer> {
    let now = chrono::Utc::now().timestamp();
    let mut answers = Vec::new();
    for header in [
        secret.to_owned(),
        format!("t={now},v1={secret}"),
        format!("t={secret},v1={}", "0".repeat(64)),
        format!("t={now},{secret}={secret},v1={}", "0".repeat(64)),
    ] {
        let headers = [("Stripe-Signature", header.as_str())];
        let api = app.anonymous();
        answers.push(
            api.send("POST", WEBHOOK, &headers, Some(secret.as_bytes()))
                .await,
        );
    }
    let stripe = Stripe::of(app);
    answers.push(stripe.bring_bytes(secret.as_bytes()).await);
    answers.push(
        stripe
            .bring_bytes(format!("{{\"id\":\"{secret}\"").as_bytes())
            .await,
    );
    let secret_id = json!({"id": {"x": secret}, "type": secret});
    answers.push(stripe.bring(&secret_id).await);
    // What is not used is not kept, but for a digest.
    let misplaced =
        json!({"id": "in_1", "x": secret, "lines": [secret], "metadata": {"x": secret}});
    let misplaced = event("evt_misplaced", "invoice.paid", 0, misplaced);
    answers.push(stripe.bring(&misplaced).await);
    answers
}

/// Everything that is shown to somebody, but for the answers that show secrets by contract.
async fn shown(tenant: &Tenant, webhook: &Webhook, delivery: &Value) -> Vec<(String, String)> {
    let paths = [
        "/api/admin/audit?limit=200&include=origin".to_owned(),
        "/api/admin/audit/export?include=origin".to_owned(),
        "/api/admin/audit/verify".to_owned(),
        "/api/admin/webhooks".to_owned(),
        webhook.path(),
        format!("{}?version=1", webhook.path()),
        format!("{}/history", webhook.path()),
        format!("/api/admin/deliveries/{}", delivery["id"].as_str().unwrap()),
        format!(
            "/api/admin/deliveries/{}/explain",
            delivery["id"].as_str().unwrap()
        ),
        "/api/admin/deliveries".to_owned(),
        "/api/admin/billing".to_owned(),
        "/api/admin/logs".to_owned(),
        "/api/admin/tokens".to_owned(),
        "/api/events".to_owned(),
        "/metrics".to_owned(),
        "/readyz".to_owned(),
    ];
    let platform = [
        "/api/platform/audit?limit=200&include=origin",
        "/api/platform/audit/export",
        "/api/platform/audit/seals",
        "/api/platform/nodes",
        "/api/platform/tenants",
        "/api/platform/tenants/acme/tokens",
        "/api/platform/billing/unassigned",
    ];
    let mut shown = Vec::new();
    let mut ask = async |api: &Api, path: &str| {
        let answer = api.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        shown.push((path.to_owned(), answer.text()));
    };
    for path in &paths {
        ask(&tenant.api, path).await;
    }
    for path in platform {
        ask(&tenant.platform, path).await;
    }
    shown
}

/// Rotates to a new secret, and to one's own; gives both, and the one that they follow.
async fn rotate(tenant: &Tenant, webhook: &Webhook) -> Vec<Canary> {
    let path = format!("{}/secret/rotate", webhook.path());
    let own = own_secret(b'O');
    let made = tenant.api.post(&path, json!({})).await.expect(200);
    let given = tenant
        .api
        .post(&path, json!({"secret": own}))
        .await
        .expect(200);
    assert_eq!(given["secret"], own);
    vec![
        Canary::new("the first secret", &webhook.secret),
        Canary::new("the rotated secret", made["secret"].as_str().unwrap()),
        Canary::new("a secret of one's own", &own),
    ]
}

/// Lets each of Stripe's secrets do what it is for.
async fn bring_callbacks(app: &App) {
    for (id, secret) in [("evt_1", STRIPE_SECRET), ("evt_2", OTHER_STRIPE_SECRET)] {
        let paid = json!({"id": "in_1", "status": "paid", "metadata": {"tenant_id": "acme"}});
        let stripe = Stripe::of(app).with_secret(secret);
        let paid = event(id, "invoice.paid", 0, paid);
        assert_eq!(stripe.bring(&paid).await.expect(200)["duplicate"], false);
    }
}

#[tokio::test]
async fn secrets_come_out_nowhere() {
    let master_key = BASE64.encode([b'M'; 32]);
    let stripe_secrets = format!("{STRIPE_SECRET},{OTHER_STRIPE_SECRET}");
    let settings = [
        ("LOG", "trace"),
        ("MASTER_KEY", &master_key),
        ("JWT_HS256_SECRET", JWT_SECRET),
        ("STRIPE_WEBHOOK_SECRET", &stripe_secrets),
    ];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let header = "canary-of-a-header-that-the-contract-shows";
    let webhook = tenant
        .webhook_with(
            json!({"name": "A webhook", "url": receiver.url("/hooks"), "events": ["*"],
            "headers": {"Authorization": format!("Bearer {header}")}}),
        )
        .await;
    let mut canaries = rotate(&tenant, &webhook).await;
    let issued = json!({"name": "x", "role": "admin"});
    let issued = tenant
        .api
        .post("/api/admin/tokens", issued)
        .await
        .expect(201);
    let token = issued["token"].as_str().unwrap();
    app.anonymous()
        .with_token(token)
        .get("/api/admin/webhooks")
        .await
        .expect(200);
    let claims = json!({"sub": "u1", "tenant_id": "acme", "role": "admin",
        "exp": chrono::Utc::now().timestamp() + 600});
    let user = jwt(&claims, JWT_SECRET);
    let as_user = app.anonymous().with_token(&user);
    as_user
        .patch(&webhook.path(), json!({"name": "By a user"}))
        .await
        .expect(200);
    let signature = user.rsplit('.').next().unwrap();
    let wrong = "canary-in-a-wrong-place-0123456789";
    let misplaced = own_secret(b'W');
    canaries.extend([
        Canary::new("the platform token", PLATFORM_TOKEN),
        Canary::new("an API token", secret_of(token)),
        Canary::new("the JWTs' secret", JWT_SECRET),
        Canary::new("a JWT", signature),
        Canary::new("what stands in a wrong place", wrong),
        Canary::new("a secret in a wrong place", &misplaced),
        Canary::new("the master key", &master_key),
        Canary::new("a secret of Stripe's", STRIPE_SECRET),
        Canary::new("the other secret of Stripe's", OTHER_STRIPE_SECRET),
        Canary::new("all of Stripe's secrets", &stripe_secrets),
    ]);
    bring_callbacks(&app).await;
    let message = tenant
        .publish("ticket.created", json!({"known": "plain"}))
        .await;
    let delivery = tenant.until(&message, "succeeded").await;
    let secrets = [
        wrong,
        &misplaced,
        token,
        PLATFORM_TOKEN,
        &master_key,
        &user,
        OTHER_STRIPE_SECRET,
    ];
    for secret in secrets {
        for answer in put_in_wrong_places(&app, &tenant, &webhook, secret).await {
            let said = answer.text();
            for canary in &canaries {
                assert!(!canary.is_in(said.as_bytes()), "{}: {said}", canary.what);
            }
        }
    }
    let shown = shown(&tenant, &webhook, &delivery).await;
    assert!(shown.iter().any(|(_, text)| text.contains("A webhook")));
    app.kill();
    let killed = app.kept();
    app.restart().await;
    app.terminate();
    assert!(app.ended().await.success());
    for kept in [killed, app.kept()] {
        let mut files = kept.values();
        let plain = Canary::new("what is no secret", "\"known\":\"plain\"");
        assert!(
            files.any(|bytes| plain.is_in(bytes)),
            "it looks at the wrong place"
        );
        for (place, bytes) in &kept {
            for canary in &canaries {
                assert!(!canary.is_in(bytes), "{} is in {place}", canary.what);
            }
        }
    }
    canaries.push(Canary::new("a header's value", header));
    let log = app.log();
    assert!(log.contains("\"TRACE\""), "it is the log of everything");
    for canary in &canaries {
        let line = log.lines().find(|line| canary.is_in(line.as_bytes()));
        assert!(line.is_none(), "{} is in the log: {line:?}", canary.what);
    }
    for (path, text) in &shown {
        // The configuration that admins see has the header.
        let is_configuration = ["webhooks", "audit", "explain"]
            .iter()
            .any(|word| path.contains(word));
        for canary in &canaries {
            let is_meant = canary.what == "a header's value" && is_configuration;
            assert!(
                is_meant || !canary.is_in(text.as_bytes()),
                "{} is in {path}",
                canary.what
            );
        }
    }
}
