//! Who may do what: every route with every kind of token.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Api, App, Receiver, Tenant};

/// Who may use a route.
#[derive(Clone, Copy)]
enum Who {
    /// Everybody, without a token.
    All,
    /// Every token.
    AnyToken,
    /// These roles, by their first letters, and the platform for a tenant.
    Roles(&'static str),
    /// The platform.
    Platform,
}

use Who::{All, AnyToken, Platform, Roles};

const READS: Who = Roles("aov");
const ADMIN: Who = Roles("a");

/// Every route: who may use it, with which body, and what it answers to those who may. `{id}` is
/// an id that nobody has, `{webhook}`, `{message}`, `{delivery}` and `{tenant}` are real ones.
const ROUTES: [(&str, &str, Who, &str, u16); 77] = [
    ("GET", "/healthz", All, "", 200),
    ("GET", "/readyz", All, "", 200),
    ("GET", "/metrics", All, "", 200),
    ("GET", "/openapi.json", All, "", 200),
    ("GET", "/api/admin/webhooks", READS, "", 200),
    ("POST", "/api/admin/webhooks", ADMIN, "{}", 422),
    ("GET", "/api/admin/webhooks/{webhook}", READS, "", 200),
    ("PATCH", "/api/admin/webhooks/{webhook}", ADMIN, "{}", 200),
    ("PUT", "/api/admin/webhooks/{webhook}", ADMIN, "{}", 422),
    ("DELETE", "/api/admin/webhooks/{id}", ADMIN, "", 404),
    (
        "GET",
        "/api/admin/webhooks/{webhook}/secret",
        ADMIN,
        "",
        200,
    ),
    (
        "POST",
        "/api/admin/webhooks/{webhook}/secret/rotate",
        ADMIN,
        "{}",
        200,
    ),
    (
        "POST",
        "/api/admin/webhooks/{webhook}/test",
        Roles("ao"),
        "{}",
        202,
    ),
    (
        "GET",
        "/api/admin/webhooks/{webhook}/history",
        READS,
        "",
        200,
    ),
    ("GET", "/api/admin/webhooks/{webhook}/logs", READS, "", 200),
    ("GET", "/api/admin/webhooks/{webhook}/stats", READS, "", 200),
    ("GET", "/api/admin/deliveries", READS, "", 200),
    ("GET", "/api/admin/deliveries/{delivery}", READS, "", 200),
    (
        "GET",
        "/api/admin/deliveries/{delivery}/explain",
        READS,
        "",
        200,
    ),
    (
        "POST",
        "/api/admin/deliveries/{delivery}/redeliver",
        Roles("ao"),
        "",
        202,
    ),
    (
        "POST",
        "/api/admin/webhooks/{webhook}/recover",
        Roles("ao"),
        "{}",
        422,
    ),
    (
        "GET",
        "/api/admin/webhooks/{webhook}/recoveries",
        READS,
        "",
        200,
    ),
    (
        "GET",
        "/api/admin/webhooks/{webhook}/recoveries/{id}",
        READS,
        "",
        404,
    ),
    (
        "POST",
        "/api/admin/webhooks/{webhook}/recoveries/{id}/cancel",
        Roles("ao"),
        "",
        404,
    ),
    ("GET", "/api/admin/logs", READS, "", 200),
    ("GET", "/api/admin/topics", AnyToken, "", 200),
    ("GET", "/api/admin/tokens", ADMIN, "", 200),
    ("POST", "/api/admin/tokens", ADMIN, "{}", 422),
    ("DELETE", "/api/admin/tokens/{id}", ADMIN, "", 404),
    ("POST", "/api/events", Roles("ap"), PUBLISH, 202),
    (
        "POST",
        "/api/events/batch",
        Roles("ap"),
        r#"{"events":[5]}"#,
        202,
    ),
    ("GET", "/api/events", READS, "", 200),
    ("GET", "/api/events/{message}", READS, "", 200),
    ("GET", "/api/admin/billing", ADMIN, "", 200),
    // A signature does instead of a token.
    ("POST", "/api/billing/stripe/webhook", All, "{}", 400),
    ("GET", "/api/platform/billing/unassigned", Platform, "", 200),
    (
        "POST",
        "/api/platform/billing/unassigned/{id}/assign",
        Platform,
        r#"{"tenant_id":"acme"}"#,
        404,
    ),
    ("GET", "/api/admin/audit", ADMIN, "", 200),
    ("GET", "/api/admin/audit/export", ADMIN, "", 200),
    ("GET", "/api/admin/audit/verify", ADMIN, "", 200),
    ("GET", "/api/platform/audit", Platform, "", 200),
    ("GET", "/api/platform/audit/export", Platform, "", 200),
    ("GET", "/api/platform/audit/verify", Platform, "", 200),
    (
        "GET",
        "/api/platform/audit?tenant=nobody",
        Platform,
        "",
        404,
    ),
    ("POST", "/api/platform/audit/seals", Platform, "", 201),
    ("GET", "/api/platform/audit/seals", Platform, "", 200),
    ("GET", "/api/platform/nodes", Platform, "", 200),
    ("POST", "/api/platform/keys/rotate", Platform, "", 200),
    (
        "POST",
        "/api/platform/rebuild",
        Platform,
        "{\"views\":[]}",
        422,
    ),
    ("GET", "/api/platform/tenants", Platform, "", 200),
    ("POST", "/api/platform/tenants", Platform, "{}", 422),
    ("GET", "/api/platform/tenants/{tenant}", Platform, "", 200),
    (
        "PATCH",
        "/api/platform/tenants/{tenant}",
        Platform,
        "{}",
        200,
    ),
    (
        "GET",
        "/api/platform/tenants/{tenant}/tokens",
        Platform,
        "",
        200,
    ),
    (
        "POST",
        "/api/platform/tenants/{tenant}/tokens",
        Platform,
        "{}",
        422,
    ),
    (
        "DELETE",
        "/api/platform/tenants/{tenant}/tokens/{id}",
        Platform,
        "",
        404,
    ),
    ("GET", "/api/platform/topics", Platform, "", 200),
    (
        "PUT",
        "/api/platform/topics/order.placed",
        Platform,
        "{}",
        201,
    ),
    (
        "DELETE",
        "/api/platform/topics/order.unknown",
        Platform,
        "",
        404,
    ),
    // Once they are erased, whoever may erase them again.
    ("DELETE", "/api/events/{erasable}/body", ADMIN, "", 204),
    ("DELETE", "/api/admin/logs/{attempt}/body", ADMIN, "", 204),
    // The same with what is not there.
    ("DELETE", "/api/events/{id}/body", ADMIN, "", 404),
    ("DELETE", "/api/admin/logs/{id}/body", ADMIN, "", 404),
    ("GET", "/api/admin/webhooks/{id}", READS, "", 404),
    ("PATCH", "/api/admin/webhooks/{id}", ADMIN, "{}", 404),
    ("GET", "/api/admin/webhooks/{id}/secret", ADMIN, "", 404),
    ("GET", "/api/admin/webhooks/{id}/history", READS, "", 404),
    ("GET", "/api/admin/webhooks/{id}/stats", READS, "", 404),
    (
        "POST",
        "/api/admin/webhooks/{id}/test",
        Roles("ao"),
        "{}",
        404,
    ),
    (
        "POST",
        "/api/admin/webhooks/{id}/recover",
        Roles("ao"),
        r#"{"from":"2026-03-24T23:11:25Z"}"#,
        404,
    ),
    ("GET", "/api/admin/webhooks/{id}/recoveries", READS, "", 404),
    ("GET", "/api/admin/deliveries/{id}", READS, "", 404),
    ("GET", "/api/admin/deliveries/{id}/explain", READS, "", 404),
    (
        "POST",
        "/api/admin/deliveries/{id}/redeliver",
        Roles("ao"),
        "",
        404,
    ),
    (
        "POST",
        "/api/admin/deliveries/{id}/cancel",
        Roles("ao"),
        "",
        404,
    ),
    ("GET", "/api/events/{id}", READS, "", 404),
    ("GET", "/api/platform/tenants/nobody", Platform, "", 404),
];
const PUBLISH: &str = r#"{"event":"ticket.created","data":{}}"#;

/// A tenant in which every route finds something, and its paths.
struct World {
    app: App,
    tenant: Tenant,
    names: Vec<(&'static str, String)>,
}

async fn world(receiver: &Receiver) -> World {
    let app = App::with(&[("STRIPE_WEBHOOK_SECRET", "whsec_of_stripe")]).await;
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({})).await;
    let delivery = tenant.until(&message, "succeeded").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let erasable = tenant.publish("ticket.created", json!({})).await;
    let attempt = tenant.until(&erasable, "succeeded").await["log"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let names = vec![
        ("{erasable}", erasable),
        ("{attempt}", attempt),
        ("{webhook}", webhook.id),
        ("{message}", message),
        ("{delivery}", delivery),
        ("{tenant}", "acme".to_owned()),
    ];
    World { app, tenant, names }
}

impl World {
    fn path(&self, pattern: &str) -> String {
        let mut path = pattern.to_owned();
        for (name, value) in &self.names {
            path = path.replace(name, value);
        }
        let prefix = [
            "webhooks",
            "deliveries",
            "tokens",
            "events",
            "recoveries",
            "logs",
        ];
        let prefixes = ["wh_", "dlv_", "tok_", "msg_", "rec_", "att_"];
        for (collection, id) in prefix.into_iter().zip(prefixes) {
            let unknown = format!("{collection}/{id}0190a5b8c9d07f3e8a1b2c3d4e5f6071");
            path = path.replace(&format!("{collection}/{{id}}"), &unknown);
        }
        path
    }

    /// Uses every route as `api`; `expected` says what comes, given who may and what they get.
    async fn use_all(&self, api: &Api, expected: impl Fn(Who, u16) -> u16) {
        for (method, pattern, who, body, status) in ROUTES {
            let body = (!body.is_empty()).then_some(body.as_bytes());
            let headers = [("Content-Type", "application/json")];
            let headers = if body.is_some() { &headers[..] } else { &[] };
            let answer = api.send(method, &self.path(pattern), headers, body).await;
            let expected = expected(who, status);
            // A topic that was put by somebody before is put again.
            let is_again = expected == 201 && answer.status == 200;
            assert!(
                answer.status == expected || is_again,
                "{method} {pattern}: {}, not {expected}: {}",
                answer.status,
                answer.text()
            );
            if answer.status >= 400 {
                answer.any_problem();
            }
            if answer.status == 401 {
                assert_eq!(
                    answer.header("www-authenticate"),
                    Some("Bearer"),
                    "{method} {pattern}"
                );
            }
        }
    }
}

#[tokio::test]
async fn without_a_valid_token_nothing_is_told() {
    let receiver = Receiver::start().await;
    let world = world(&receiver).await;
    let anonymous = world.app.anonymous();
    let real = world.tenant.with_role("admin").await;
    let issued = world
        .tenant
        .api
        .post("/api/admin/tokens", json!({"name": "x", "role": "admin"}))
        .await
        .expect(201);
    let token = issued["token"].as_str().unwrap();
    let same_id = format!("{}{}", &token[..token.len() - 4], "AAAA");
    let unauthorized = |who, status| if matches!(who, All) { status } else { 401 };
    world.use_all(&anonymous, unauthorized).await;
    for bad in [
        "nope",
        &same_id,
        &format!("{token}x"),
        "hlk_0_0",
        "a.b.c",
        "eyJhbGciOiJub25lIn0.e30.",
    ] {
        let api = anonymous.with_token(bad);
        api.get("/api/admin/webhooks")
            .await
            .problem(401, "unauthorized");
        api.get("/api/platform/tenants")
            .await
            .problem(401, "unauthorized");
    }
    world
        .use_all(&anonymous.with_token(&same_id), unauthorized)
        .await;
    for header in [
        format!("Basic {token}"),
        token.to_owned(),
        "Bearer".to_owned(),
        "Bearer  ".to_owned(),
    ] {
        let answer = anonymous
            .send(
                "GET",
                "/api/admin/webhooks",
                &[("Authorization", &header)],
                None,
            )
            .await;
        answer.problem(401, "unauthorized");
    }
    let twice = [("Authorization", "Bearer x")];
    real.send("GET", "/api/admin/webhooks", &twice, None)
        .await
        .problem(401, "unauthorized");
    real.get("/api/admin/webhooks").await.expect(200);
}

#[tokio::test]
async fn every_role_may_do_what_the_table_says() {
    let receiver = Receiver::start().await;
    let world = world(&receiver).await;
    for role in ["admin", "operator", "viewer", "publisher"] {
        let api = world.tenant.with_role(role).await;
        let is_permitted = |who: Who| match who {
            All | AnyToken => true,
            Roles(letters) => letters.contains(&role[..1]),
            Platform => false,
        };
        world
            .use_all(
                &api,
                |who, status| if is_permitted(who) { status } else { 403 },
            )
            .await;
        // Naming the own tenant changes nothing; another one is refused, known or not.
        let own = api.for_tenant("acme");
        world
            .use_all(
                &own,
                |who, status| if is_permitted(who) { status } else { 403 },
            )
            .await;
        for other in ["nobody", "ACME", ""] {
            let api = api.for_tenant(other);
            api.get("/api/admin/topics")
                .await
                .problem(403, "wrong_tenant");
        }
    }
}

#[tokio::test]
async fn the_platform_may_do_everything_for_any_tenant() {
    let receiver = Receiver::start().await;
    let world = world(&receiver).await;
    let platform = world.app.platform();
    world
        .use_all(&platform.for_tenant("acme"), |_, status| status)
        .await;
    world
        .use_all(&platform, |who, status| match who {
            All | Platform => status,
            AnyToken | Roles(_) => 400,
        })
        .await;
    world
        .use_all(&platform.for_tenant("nobody"), |who, status| match who {
            All | Platform => status,
            AnyToken | Roles(_) => 404,
        })
        .await;
    platform
        .get("/api/admin/webhooks")
        .await
        .problem(400, "missing_tenant");
    platform
        .for_tenant("A B")
        .get("/api/admin/webhooks")
        .await
        .problem(404, "not_found");
}

/// So that a route without a line in the table above fails this test.
#[tokio::test]
async fn the_table_has_every_route() {
    let app = App::start().await;
    let document = app.anonymous().get("/openapi.json").await.expect(200);
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().keys();
        let methods =
            methods.filter(|key| ["get", "post", "put", "patch", "delete"].contains(&key.as_str()));
        documented.extend(methods.map(|method| (method.to_uppercase(), path.clone())));
    }
    let matches = |pattern: &str, route: &str| {
        let (a, b): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), route.split('/').collect());
        let is_same = |(a, b): (&&str, &&str)| a == b || a.starts_with('{');
        a.len() == b.len() && a.iter().zip(&b).all(is_same)
    };
    for (method, path) in documented {
        let is_there = ROUTES
            .iter()
            .any(|(m, route, ..)| *m == method && matches(&path, route));
        assert!(is_there, "no line for {method} {path}");
    }
}

/// A secret is never in an answer that the permission `webhooks:read` opens.
#[tokio::test]
async fn readers_see_no_secrets() {
    let receiver = Receiver::start().await;
    let world = world(&receiver).await;
    let viewer = world.tenant.with_role("viewer").await;
    for (method, pattern, who, ..) in ROUTES {
        if method == "GET" && matches!(who, Roles("aov") | AnyToken) {
            let text = viewer.get(&world.path(pattern)).await.text();
            assert!(
                !text.contains("whsec_") && !text.contains("hlk_"),
                "{pattern}: {text}"
            );
        }
    }
    let tokens: Value = world.tenant.api.get("/api/admin/tokens").await.expect(200);
    let names: BTreeSet<&String> = tokens["data"][0].as_object().unwrap().keys().collect();
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        ["expires_at", "id", "name", "role"]
    );
}
