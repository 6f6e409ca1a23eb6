//! An id of another tenant is answered exactly as an id that does not exist.

use serde_json::json;

use crate::support::{App, Receiver, Tenant, Webhook};

const NOBODYS: &str = "0190a5b8c9d07f3e8a1b2c3d4e5f6071";

struct Theirs {
    webhook: Webhook,
    message: String,
    delivery: String,
    token: String,
}

async fn theirs(tenant: &Tenant, receiver: &Receiver) -> Theirs {
    let webhook = tenant.webhook(&receiver.url("/theirs"), &["*"]).await;
    let message = tenant
        .publish("ticket.created", json!({"secret": "theirs"}))
        .await;
    let delivery = tenant.until(&message, "succeeded").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let tokens = tenant.api.get("/api/admin/tokens").await.expect(200);
    let token = tokens["data"][0]["id"].as_str().unwrap().to_owned();
    Theirs {
        webhook,
        message,
        delivery,
        token,
    }
}

#[tokio::test]
async fn another_tenants_ids_do_not_exist() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let (stranger, them) = (app.tenant("stranger").await, app.tenant("them").await);
    let theirs = theirs(&them, &receiver).await;
    let (webhook, delivery, message, token) = (
        &theirs.webhook.id,
        &theirs.delivery,
        &theirs.message,
        &theirs.token,
    );
    for (method, path, id, body) in [
        ("GET", "/api/admin/webhooks/{}", webhook, ""),
        (
            "PATCH",
            "/api/admin/webhooks/{}",
            webhook,
            r#"{"name":"mine"}"#,
        ),
        (
            "PUT",
            "/api/admin/webhooks/{}",
            webhook,
            r#"{"name":"mine","url":"https://example.com/","events":["*"]}"#,
        ),
        ("DELETE", "/api/admin/webhooks/{}", webhook, ""),
        ("GET", "/api/admin/webhooks/{}/secret", webhook, ""),
        (
            "POST",
            "/api/admin/webhooks/{}/secret/rotate",
            webhook,
            "{}",
        ),
        ("POST", "/api/admin/webhooks/{}/test", webhook, "{}"),
        ("GET", "/api/admin/webhooks/{}/logs", webhook, ""),
        ("GET", "/api/admin/deliveries/{}", delivery, ""),
        ("GET", "/api/events/{}", message, ""),
        ("DELETE", "/api/admin/tokens/{}", token, ""),
    ] {
        let body = (!body.is_empty()).then_some(body.as_bytes());
        let headers = [("Content-Type", "application/json")];
        let headers = if body.is_some() { &headers[..] } else { &[] };
        let (prefix, _) = id.split_once('_').unwrap();
        let unknown = format!("{prefix}_{NOBODYS}");
        let foreign = stranger
            .api
            .send(method, &path.replace("{}", id), headers, body)
            .await;
        let unknown = stranger
            .api
            .send(method, &path.replace("{}", &unknown), headers, body)
            .await;
        assert_eq!(foreign.text(), unknown.text(), "{method} {path}");
        foreign.problem(404, "not_found");
        let malformed = stranger
            .api
            .send(method, &path.replace("{}", "nonsense"), headers, body)
            .await;
        malformed.problem(404, "not_found");
    }
    // With If-Match too.
    for tag in ["\"1\"", "\"9\"", "\"1\", \"2\"", "*"] {
        let headers = [("If-Match", tag)];
        let path = theirs.webhook.path();
        stranger
            .api
            .send("DELETE", &path, &headers, None)
            .await
            .problem(404, "not_found");
    }
    let untouched = them.api.get(&theirs.webhook.path()).await.expect(200);
    assert_eq!(
        (&untouched["name"], &untouched["version"]),
        (&json!("A webhook"), &json!(1))
    );
    them.api.get("/api/admin/tokens").await.expect(200);
}

#[tokio::test]
async fn lists_show_the_own_tenant_only() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let (stranger, them) = (app.tenant("stranger").await, app.tenant("them").await);
    let theirs = theirs(&them, &receiver).await;
    for path in ["webhooks", "deliveries", "logs"] {
        assert!(
            stranger
                .api
                .walk(&format!("/api/admin/{path}"), 10)
                .await
                .is_empty(),
            "{path}"
        );
    }
    assert!(stranger.api.walk("/api/events", 10).await.is_empty());
    assert_eq!(stranger.api.walk("/api/admin/tokens", 10).await.len(), 1);
    for query in [
        format!("webhook_id={}", theirs.webhook.id),
        format!("message_id={}", theirs.message),
    ] {
        assert!(stranger.deliveries(&query).await.is_empty(), "{query}");
        assert!(stranger.logs(&query).await.is_empty(), "{query}");
    }
    assert!(
        stranger
            .logs(&format!("delivery_id={}", theirs.delivery))
            .await
            .is_empty()
    );
    // A cursor is a place in a list, no key to it.
    let page = them.api.get("/api/admin/tokens?limit=1").await.expect(200);
    assert!(page["next_cursor"].is_null());
    them.publish("ticket.created", json!({"n": 2})).await;
    let page = them.api.get("/api/events?limit=1").await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(
        them.api
            .get(&format!("/api/events?cursor={cursor}"))
            .await
            .expect(200)["data"][0]["id"],
        theirs.message
    );
    let page = stranger
        .api
        .get(&format!("/api/events?cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(page["data"], json!([]));
}

/// Messages of one tenant never reach the webhooks of another one, and keys are each tenant's own.
#[tokio::test]
async fn tenants_do_not_meet() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let (a, b) = (app.tenant("a").await, app.tenant("b").await);
    let to_a = a.webhook(&receiver.url("/a"), &["*"]).await;
    let to_b = b.webhook(&receiver.url("/b"), &["*"]).await;
    for (tenant, n) in [(&a, 1), (&b, 2)] {
        let body = json!({"event": "ticket.created", "data": {"n": n}}).to_string();
        let headers = [
            ("Content-Type", "application/json"),
            ("Idempotency-Key", "the same"),
        ];
        let answer = tenant
            .api
            .send("POST", "/api/events", &headers, Some(body.as_bytes()))
            .await;
        assert_eq!(answer.expect(202)["duplicate"], false);
        tenant.until_nothing_is_pending().await;
    }
    for (path, webhook, n) in [("/a", &to_a, 1), ("/b", &to_b, 2)] {
        let requests = receiver.requests_at(path);
        assert_eq!(requests.len(), 1);
        requests[0].verify(&webhook.secret);
        assert_eq!(requests[0].json()["data"], json!({"n": n}));
    }
}
