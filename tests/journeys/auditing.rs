//! What happened, as auditors see it: events listed and exported, each with who did it.

use serde_json::{Value, json};

use super::tokens::{JWT_SECRET, jwt};
use crate::support::{Answer, Api, App, Receiver, Reply, Tenant, eventually};

const AUDIT: &str = "/api/admin/audit";
const PLATFORM: &str = "/api/platform/audit";

/// The events of an export, which must say that it is one.
#[track_caller]
fn exported(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let disposition = answer.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment"), "{disposition}");
    let text = answer.text();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A webhook that was changed, and a message that failed once and then arrived.
async fn traffic(tenant: &Tenant, receiver: &Receiver) -> (String, String) {
    let first = std::sync::atomic::AtomicBool::new(true);
    let path = format!("/{}", tenant.id);
    receiver.on(&path, move |_| {
        let is_first = first.swap(false, std::sync::atomic::Ordering::SeqCst);
        Reply::status(if is_first { 500 } else { 200 })
    });
    let webhook = tenant.webhook(&receiver.url(&path), &["*"]).await;
    let change = json!({"name": "Renamed", "headers": {"X-Env": "test"}});
    tenant.api.patch(&webhook.path(), change).await.expect(200);
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    tenant.until(&message, "succeeded").await;
    (webhook.id, message)
}

fn positions(events: &[Value]) -> Vec<u64> {
    events
        .iter()
        .map(|event| event["position"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn events_are_listed_and_exported_alike() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let (tenant, other) = (app.tenant("acme").await, app.tenant("globex").await);
    let (webhook, message) = traffic(&tenant, &receiver).await;
    traffic(&other, &receiver).await;
    let all = tenant.api.walk(AUDIT, 200).await;
    assert!(positions(&all).is_sorted_by(|a, b| a > b), "newest first");
    for event in &all {
        let names: Vec<&String> = event.as_object().unwrap().keys().collect();
        let expected = "actor aggregate_id aggregate_type event_type event_version hash payload position \
                        recorded_at request_id sequence";
        assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
        assert_eq!(event["hash"].as_str().unwrap().len(), 64);
        let actor: Vec<&String> = event["actor"].as_object().unwrap().keys().collect();
        assert_eq!(actor, ["id", "kind", "name"]);
    }
    for limit in [1, 2, 7] {
        assert_eq!(tenant.api.walk(AUDIT, limit).await, all, "{limit}");
    }
    let middle = all[all.len() / 2]["recorded_at"].as_str().unwrap();
    let kind = |event: &Value| event["aggregate_type"].as_str().unwrap().to_owned();
    type Filter<'a> = (String, Box<dyn Fn(&Value) -> bool + 'a>);
    let filters: Vec<Filter<'_>> = vec![
        (String::new(), Box::new(|_| true)),
        (
            "aggregate_type=webhook".to_owned(),
            Box::new(|event| kind(event) == "webhook"),
        ),
        (
            format!("aggregate_id={webhook}"),
            Box::new(|event| event["aggregate_id"] == *webhook),
        ),
        (
            format!("aggregate_type=message&aggregate_id={message}"),
            Box::new(|event| event["aggregate_id"] == *message),
        ),
        (
            "event_type=registered".to_owned(),
            Box::new(|event| event["event_type"] == "registered"),
        ),
        (
            "actor=system".to_owned(),
            Box::new(|event| event["actor"]["kind"] == "system"),
        ),
        (
            "actor=token&aggregate_type=webhook".to_owned(),
            Box::new(|event| event["actor"]["kind"] == "token" && kind(event) == "webhook"),
        ),
        (
            format!("from={middle}"),
            Box::new(|event| event["recorded_at"].as_str().unwrap() >= middle),
        ),
        (
            format!("to={middle}"),
            Box::new(|event| event["recorded_at"].as_str().unwrap() < middle),
        ),
        ("actor=nobody".to_owned(), Box::new(|_| false)),
        ("from=2100-01-01T00:00:00Z".to_owned(), Box::new(|_| false)),
    ];
    for (query, is_meant) in &filters {
        let expected: Vec<Value> = all
            .iter()
            .filter(|event| is_meant(event))
            .cloned()
            .collect();
        let is_nothing = query.contains("nobody") || query.contains("2100");
        assert_eq!(expected.is_empty(), is_nothing, "{query}");
        let listed = tenant.api.walk(&format!("{AUDIT}?{query}"), 3).await;
        assert_eq!(listed, expected, "{query}");
        let answer = tenant.api.get(&format!("{AUDIT}/export?{query}")).await;
        assert_eq!(exported(&answer), expected, "{query}");
        // The platform sees the same of the tenant.
        let path = format!("{PLATFORM}?tenant=acme&{query}");
        assert_eq!(tenant.platform.walk(&path, 200).await, expected, "{query}");
    }
    let whole = exported(&tenant.platform.get(&format!("{PLATFORM}/export")).await);
    assert_eq!(whole, tenant.platform.walk(PLATFORM, 200).await);
    assert!(all.iter().all(|event| whole.contains(event)));
    assert!(whole.len() > all.len());
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let app = App::start().await;
    let tenant = app.tenant("acme").await;
    for (query, code) in [
        ("aggregate_type=webhooks", "invalid_parameter"),
        ("event_type=Registered", "invalid_parameter"),
        ("aggregate_id=", "invalid_parameter"),
        ("aggregate_id=a%00b", "invalid_parameter"),
        ("actor=%00", "invalid_parameter"),
        ("from=yesterday", "invalid_parameter"),
        ("include=secrets", "invalid_parameter"),
        ("include=", "invalid_parameter"),
        ("position=1", "invalid_parameter"),
        ("tenant=acme", "invalid_parameter"),
        ("actor=a&actor=b", "invalid_parameter"),
    ] {
        for path in [AUDIT.to_owned(), format!("{AUDIT}/export")] {
            let answer = tenant.api.get(&format!("{path}?{query}")).await;
            answer.problem(400, code);
        }
    }
    for query in ["limit=0", "limit=201", "limit=x"] {
        let answer = tenant.api.get(&format!("{AUDIT}?{query}")).await;
        answer.problem(400, "invalid_parameter");
        let answer = tenant.api.get(&format!("{AUDIT}/export?{query}")).await;
        answer.problem(400, "invalid_parameter");
    }
    for cursor in ["", "x", "d2hfMQ"] {
        let answer = tenant.api.get(&format!("{AUDIT}?cursor={cursor}")).await;
        answer.problem(400, "invalid_cursor");
    }
    for path in ["audit/verify?tenant=acme", "audit/verify?seal=1.1.1"] {
        let answer = tenant.api.get(&format!("/api/admin/{path}")).await;
        answer.problem(400, "invalid_parameter");
    }
    for path in ["", "/export", "/verify"] {
        for tenant_id in ["nobody", "A%20B", ""] {
            let path = format!("{PLATFORM}{path}?tenant={tenant_id}");
            tenant.platform.get(&path).await.problem(404, "not_found");
        }
    }
    let far = format!("{AUDIT}?from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59Z");
    assert!(!tenant.api.walk(&far, 200).await.is_empty());
    // Beyond the end, and the largest position that there is.
    let largest = format!("{AUDIT}?cursor=MTg0NDY3NDQwNzM3MDk1NTE2MTU");
    tenant.api.get(&largest).await.expect(200);
}

/// The newest event of this type, as the platform sees it with its origin.
async fn newest(app: &App, event_type: &str) -> Value {
    let path = format!("{PLATFORM}?include=origin&event_type={event_type}&limit=1");
    let page = app.platform().get(&path).await.expect(200);
    page["data"][0].clone()
}

#[tokio::test]
async fn everybody_stands_in_it_as_who_they_are() {
    let settings = [("JWT_HS256_SECRET", JWT_SECRET)];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let claims = json!({"sub": "u-17", "name": "Ann", "tenant_id": "acme", "role": "admin",
        "exp": chrono::Utc::now().timestamp() + 600});
    let user = app.anonymous().with_token(&jwt(&claims, JWT_SECRET));
    let tokens = tenant.api.get("/api/admin/tokens").await.expect(200);
    let token = tokens["data"][0]["id"].as_str().unwrap().to_owned();
    let webhook = tenant.webhook(&receiver.url("/gone"), &["*"]).await;
    let with_id = async |api: &Api, id: &str, body: Value| {
        let headers = [("Content-Type", "application/json"), ("X-Request-Id", id)];
        let body = body.to_string();
        let (path, body) = (webhook.path(), body.as_bytes());
        api.send("PATCH", &path, &headers, Some(body))
            .await
            .expect(200);
    };
    let platform = tenant.platform.for_tenant("acme");
    let name = |name: &str| json!({"name": name});
    for (api, id, actor) in [
        (
            &platform,
            "req-platform",
            json!({"kind": "platform", "id": "platform", "name": "platform"}),
        ),
        (
            &tenant.api,
            "req-token",
            json!({"kind": "token", "id": token, "name": "admin"}),
        ),
        (
            &user,
            "req-user",
            json!({"kind": "user", "id": "u-17", "name": "Ann"}),
        ),
    ] {
        with_id(api, id, name(id)).await;
        let event = newest(&app, "changed").await;
        assert_eq!(event["actor"], actor, "{event}");
        assert_eq!(event["request_id"], id);
        assert_eq!(event["client"], "127.0.0.1");
        assert_eq!(event["cause"], Value::Null);
        assert_eq!(event["tenant_id"], "acme");
    }
    // What Hookledger did itself: no request, but a cause.
    receiver.on("/gone", |_| Reply::status(410));
    let message = tenant.publish("ticket.created", json!({})).await;
    eventually("a disabled webhook", async || {
        let shown = tenant.api.get(&webhook.path()).await.expect(200);
        (shown["disabled_reason"] == "gone").then_some(())
    })
    .await;
    for (event_type, cause) in [
        ("scheduled", json!(message)),
        ("disabled", json!(webhook.id)),
    ] {
        let event = newest(&app, event_type).await;
        let kind = if event_type == "scheduled" {
            "token"
        } else {
            "system"
        };
        assert_eq!(event["actor"]["kind"], kind, "{event}");
        assert_eq!(event["request_id"].is_null(), kind == "system", "{event}");
        assert_eq!(event["client"].is_null(), kind == "system", "{event}");
        assert_eq!(event["cause"], cause, "{event}");
    }
    // Each is found by its kind, its id and both.
    for (actor, count) in [
        ("user", 1),
        ("u-17", 1),
        ("user:u-17", 1),
        ("token:u-17", 0),
        ("req-user", 0),
    ] {
        let path = format!("{AUDIT}?actor={actor}&aggregate_type=webhook");
        assert_eq!(tenant.api.walk(&path, 200).await.len(), count, "{actor}");
    }
}

#[tokio::test]
async fn a_tenant_sees_its_own_events_only() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let (tenant, other) = (app.tenant("acme").await, app.tenant("globex").await);
    traffic(&tenant, &receiver).await;
    let (webhook, message) = traffic(&other, &receiver).await;
    let own = tenant.api.walk(AUDIT, 200).await;
    let theirs = other.api.walk(AUDIT, 200).await;
    let of_all = app.platform().walk(PLATFORM, 200).await;
    let is_own = |event: &Value| own.contains(event);
    assert!(!theirs.iter().any(is_own));
    // Whatever is asked for.
    for query in [
        format!("aggregate_id={webhook}"),
        format!("aggregate_id={message}"),
        "aggregate_type=tenant&aggregate_id=globex".to_owned(),
    ] {
        assert!(
            !other
                .api
                .walk(&format!("{AUDIT}?{query}"), 200)
                .await
                .is_empty(),
            "{query}"
        );
        let found = tenant.api.walk(&format!("{AUDIT}?{query}"), 200).await;
        assert_eq!(found, Vec::<Value>::new(), "{query}");
        let found = tenant.api.get(&format!("{AUDIT}/export?{query}")).await;
        assert_eq!(exported(&found), Vec::<Value>::new(), "{query}");
    }
    // A cursor of another list names a place, and gives no right.
    for (api, path) in [(&other.api, AUDIT), (&app.platform(), PLATFORM)] {
        let page = api.get(&format!("{path}?limit=3")).await.expect(200);
        let cursor = page["next_cursor"].as_str().unwrap();
        let page = tenant
            .api
            .get(&format!("{AUDIT}?cursor={cursor}&limit=200"))
            .await;
        let page = page.expect(200);
        assert!(page["data"].as_array().unwrap().iter().all(is_own));
    }
    for path in ["", "/export", "/verify"] {
        let path = format!("{AUDIT}{path}");
        let foreign = tenant.api.for_tenant("globex");
        foreign.get(&path).await.problem(403, "wrong_tenant");
        for role in ["operator", "viewer", "publisher"] {
            let api = tenant.with_role(role).await;
            api.get(&path).await.problem(403, "missing_permission");
        }
        let path = path.replace("admin", "platform");
        tenant.api.get(&path).await.problem(403, "platform_only");
    }
    let seals = format!("{PLATFORM}/seals");
    tenant.api.get(&seals).await.problem(403, "platform_only");
    tenant
        .api
        .post(&seals, json!({}))
        .await
        .problem(403, "platform_only");
    // Events of the platform itself are nobody's.
    let of_nobody = of_all
        .iter()
        .filter(|event| !is_own(event) && !theirs.contains(event));
    assert!(of_nobody.count() > 0, "the vault's");
}

/// An answer with an end is whole: one that cannot go on has none.
#[tokio::test]
async fn an_export_that_fails_is_broken_off() {
    let app = App::start().await;
    let tenant = app.tenant("acme").await;
    tenant.publish_many("ticket.created", 500).await;
    let path = format!("{AUDIT}/export");
    let whole = exported(&tenant.api.get(&path).await);
    assert!(whole.len() >= 500);
    let oldest = whole.last().unwrap()["position"].as_u64().unwrap();
    let sql = format!("UPDATE events SET metadata = '{{}}' WHERE position = {oldest}");
    app.tamper(&sql).await;
    let broken = tenant.api.try_send("GET", &path, &[], None).await;
    assert!(broken.is_none(), "it has an end");
    // What fails at once is refused as a whole.
    let filtered = format!("{path}?aggregate_type=tenant");
    let answer = tenant.api.get(&filtered).await;
    assert_eq!(answer.status, 500, "{}", answer.text());
}

/// Everything that can be changed through the API, in an order in which all of it works.
const CHANGES: [(&str, &str, &str, &str); 19] = [
    (
        "POST",
        "/api/admin/webhooks",
        r#"{"name":"New","url":"{url}","events":["*"]}"#,
        "registered",
    ),
    (
        "PATCH",
        "/api/admin/webhooks/{webhook}",
        r#"{"name":"Other"}"#,
        "changed",
    ),
    (
        "PUT",
        "/api/admin/webhooks/{webhook}",
        r#"{"name":"Put","url":"{url}","events":["*"]}"#,
        "changed",
    ),
    (
        "PATCH",
        "/api/admin/webhooks/{webhook}",
        r#"{"is_active":false}"#,
        "deactivated",
    ),
    (
        "PATCH",
        "/api/admin/webhooks/{webhook}",
        r#"{"is_active":true}"#,
        "activated",
    ),
    (
        "POST",
        "/api/admin/webhooks/{webhook}/secret/rotate",
        "{}",
        "secret_rotated",
    ),
    (
        "POST",
        "/api/admin/webhooks/{webhook}/test",
        "{}",
        "accepted",
    ),
    (
        "POST",
        "/api/admin/deliveries/{delivery}/redeliver",
        "",
        "attempt_requested",
    ),
    (
        "POST",
        "/api/admin/webhooks/{webhook}/recover",
        r#"{"from":"2020-01-01T00:00:00Z","status":"any"}"#,
        "started",
    ),
    (
        "POST",
        "/api/admin/tokens",
        r#"{"name":"x","role":"viewer"}"#,
        "token_issued",
    ),
    ("DELETE", "/api/admin/tokens/{token}", "", "token_revoked"),
    (
        "POST",
        "/api/events",
        r#"{"event":"ticket.created","data":{}}"#,
        "accepted",
    ),
    (
        "DELETE",
        "/api/admin/logs/{attempt}/body",
        "",
        "response_body_erased",
    ),
    ("DELETE", "/api/admin/webhooks/{webhook}", "", "deleted"),
    (
        "POST",
        "/api/platform/tenants",
        r#"{"id":"{new}","name":"New"}"#,
        "registered",
    ),
    (
        "PATCH",
        "/api/platform/tenants/acme",
        r#"{"name":"{new}"}"#,
        "renamed",
    ),
    (
        "POST",
        "/api/platform/tenants/acme/tokens",
        r#"{"name":"x","role":"viewer"}"#,
        "token_issued",
    ),
    (
        "PUT",
        "/api/platform/topics/order.{new}",
        r#"{"description":"x"}"#,
        "defined",
    ),
    ("DELETE", "/api/platform/topics/order.{new}", "", "removed"),
];

/// Whoever changes something stands beside what it led to, whatever it is.
#[tokio::test]
async fn every_change_has_its_actor_and_its_request() {
    let settings = [("JWT_HS256_SECRET", JWT_SECRET)];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let claims = json!({"sub": "u-17", "name": "Ann", "tenant_id": "acme", "role": "admin",
        "exp": chrono::Utc::now().timestamp() + 600});
    let user = app.anonymous().with_token(&jwt(&claims, JWT_SECRET));
    let platform = tenant.platform.for_tenant("acme");
    for (api, kind) in [
        (&platform, "platform"),
        (&tenant.api, "token"),
        (&user, "user"),
    ] {
        let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
        let message = tenant.publish("ticket.created", json!({})).await;
        let of_webhook = format!("webhook_id={}&message_id={message}", webhook.id);
        let attempt = eventually("an attempt", async || tenant.logs(&of_webhook).await.pop()).await;
        let issued = json!({"name": "y", "role": "viewer"});
        let issued = tenant
            .api
            .post("/api/admin/tokens", issued)
            .await
            .expect(201);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let names = [
            ("{webhook}", webhook.id.clone()),
            ("{delivery}", text(&attempt["delivery_id"])),
            ("{attempt}", text(&attempt["id"])),
            ("{token}", text(&issued["id"])),
            ("{url}", receiver.url("/hooks")),
            ("{new}", kind.to_owned()),
        ];
        let filled = |text: &str| {
            names.iter().fold(text.to_owned(), |text, (name, value)| {
                text.replace(name, value)
            })
        };
        for (number, (method, path, body, event_type)) in CHANGES.iter().enumerate() {
            if path.starts_with("/api/platform/") && kind != "platform" {
                continue;
            }
            let (path, body, id) = (filled(path), filled(body), format!("req-{kind}-{number}"));
            let headers = [
                ("X-Request-Id", id.as_str()),
                ("Content-Type", "application/json"),
            ];
            let (headers, body) = match body.as_str() {
                "" => (&headers[..1], None),
                body => (&headers[..], Some(body.as_bytes())),
            };
            let answer = api.send(method, &path, headers, body).await;
            assert!(
                answer.status < 300,
                "{id} {method} {path}: {}",
                answer.text()
            );
            let listed = tenant
                .platform
                .walk(&format!("{PLATFORM}?include=origin"), 200)
                .await;
            let led_to: Vec<&Value> = listed
                .iter()
                .filter(|event| event["request_id"] == *id)
                .collect();
            let types: Vec<&Value> = led_to.iter().map(|event| &event["event_type"]).collect();
            assert!(
                types.contains(&&json!(event_type)),
                "{method} {path}: {types:?}"
            );
            for event in led_to {
                assert_eq!(event["actor"]["kind"], kind, "{event}");
                assert_eq!(event["client"], "127.0.0.1", "{event}");
            }
        }
    }
}
