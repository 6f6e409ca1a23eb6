//! Registering webhooks and changing them.

use serde_json::{Value, json};

use crate::support::{App, Receiver};

fn whole(url: &str) -> Value {
    json!({
        "name": "Tickets", "description": "All of them", "url": url, "events": ["ticket.*", "service.updated"],
        "is_active": false, "headers": {"X-Env": "test"}, "filter": "data.ticket.priority == 'high'",
        "ordering": "fifo", "rate_limit": 100, "max_in_flight": 5, "timeout_seconds": 3, "retry_schedule": [1, 60],
    })
}

#[tokio::test]
async fn a_webhook_is_as_it_was_registered() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let body = whole(&receiver.url("/hooks"));
    let created = tenant.api.post("/api/admin/webhooks", body.clone()).await;
    let location = created.header("location").unwrap().to_owned();
    assert_eq!(created.header("etag"), Some("\"1\""));
    assert_eq!(created.header("cache-control"), Some("no-store"));
    let mut created = created.expect(201);
    let secret = created.as_object_mut().unwrap().remove("secret").unwrap();
    assert!(secret.as_str().unwrap().starts_with("whsec_"));
    for (name, value) in body.as_object().unwrap() {
        assert_eq!(created[name], *value, "{name}");
    }
    assert_eq!(
        (&created["version"], &created["disabled_reason"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(created["created_at"], created["updated_at"]);
    assert_eq!(
        location,
        format!("/api/admin/webhooks/{}", created["id"].as_str().unwrap())
    );
    let mut names: Vec<&str> = created
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    let expected = [
        "created_at",
        "description",
        "disabled_reason",
        "events",
        "filter",
        "headers",
        "id",
        "is_active",
        "max_in_flight",
        "name",
        "ordering",
        "rate_limit",
        "retry_schedule",
        "timeout_seconds",
        "updated_at",
        "url",
        "version",
    ];
    assert_eq!(names, expected);
    let shown = tenant.api.get(&location).await;
    assert_eq!(shown.header("etag"), Some("\"1\""));
    assert_eq!(shown.expect(200), created);
    assert_eq!(tenant.api.walk("/api/admin/webhooks", 10).await, [created]);
}

#[tokio::test]
async fn patch_changes_what_is_given_and_put_the_whole() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook_with(whole(&receiver.url("/hooks"))).await;
    let before = tenant.api.get(&webhook.path()).await.expect(200);

    let patched = tenant
        .api
        .patch(&webhook.path(), json!({"name": "New", "rate_limit": null}))
        .await;
    assert_eq!(patched.header("etag"), Some("\"2\""));
    let patched = patched.expect(200);
    let mut expected = before.clone();
    for (name, value) in [
        ("name", json!("New")),
        ("rate_limit", Value::Null),
        ("version", json!(2)),
    ] {
        expected[name] = value;
    }
    expected["updated_at"] = patched["updated_at"].clone();
    assert_eq!(patched, expected);
    assert!(patched["updated_at"].as_str() >= before["updated_at"].as_str());
    // What is so already is no change.
    let same = tenant
        .api
        .patch(&webhook.path(), json!({"name": "New"}))
        .await
        .expect(200);
    assert_eq!(same, patched);

    let body = json!({"name": "Bare", "url": receiver.url("/other"), "events": ["*"]});
    let replaced = tenant
        .api
        .put(&webhook.path(), body.clone())
        .await
        .expect(200);
    let defaults = json!({
        "id": webhook.id, "name": "Bare", "description": "", "url": receiver.url("/other"), "events": ["*"],
        "is_active": true, "headers": {}, "filter": null, "ordering": "none", "rate_limit": null,
        "max_in_flight": null, "timeout_seconds": null, "retry_schedule": null, "disabled_reason": null,
        "created_at": before["created_at"], "updated_at": replaced["updated_at"], "version": replaced["version"],
    });
    assert_eq!(replaced, defaults);
    let secret = tenant
        .api
        .get(&format!("{}/secret", webhook.path()))
        .await
        .expect(200);
    assert_eq!(secret["secret"], webhook.secret);
    tenant
        .api
        .put(&webhook.path(), json!({"name": "x"}))
        .await
        .problem(422, "invalid_content");
    // Both kinds of change are in what is sent.
    tenant.publish("ticket.created", json!({})).await;
    let request = receiver.arrived("/other", 1).await.remove(0);
    assert!(!request.has("x-env"));
}

#[tokio::test]
async fn if_match_guards_against_lost_changes() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let send = async |method: &str, tag: &str, body: &str| {
        let headers = [("If-Match", tag), ("Content-Type", "application/json")];
        let body = (!body.is_empty()).then_some(body.as_bytes());
        tenant
            .api
            .send(method, &webhook.path(), &headers, body)
            .await
    };
    assert_eq!(
        send("PATCH", "\"1\"", r#"{"name":"a"}"#).await.expect(200)["version"],
        2
    );
    send("PATCH", "\"1\"", r#"{"name":"b"}"#)
        .await
        .problem(412, "precondition_failed");
    send("PATCH", "W/\"2\"", r#"{"name":"b"}"#)
        .await
        .problem(412, "precondition_failed");
    send("PATCH", "\"x\"", r#"{"name":"b"}"#)
        .await
        .problem(412, "precondition_failed");
    send("PATCH", "nonsense", r#"{"name":"b"}"#)
        .await
        .problem(400, "invalid_parameter");
    let body = json!({"name": "c", "url": receiver.url("/hooks"), "events": ["*"]}).to_string();
    send("PUT", "\"1\"", &body)
        .await
        .problem(412, "precondition_failed");
    send("DELETE", "\"1\"", "")
        .await
        .problem(412, "precondition_failed");
    assert_eq!(
        tenant.api.get(&webhook.path()).await.expect(200)["name"],
        "a"
    );
    assert_eq!(
        send("PUT", "\"1\", \"2\"", &body).await.expect(200)["version"],
        3
    );
    assert_eq!(
        send("PATCH", "*", r#"{"name":"d"}"#).await.expect(200)["version"],
        4
    );
    assert_eq!(send("DELETE", "\"4\"", "").await.status, 204);
}

/// Of many who change the same version one wins, and the others are told.
#[tokio::test]
async fn changes_at_the_same_time_do_not_overwrite_each_other() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let all = (0..16).map(|n| {
        let (tenant, path) = (tenant.clone(), webhook.path());
        tokio::spawn(async move {
            let headers = [("If-Match", "\"1\""), ("Content-Type", "application/json")];
            let body = json!({"name": format!("writer {n}")}).to_string();
            tenant
                .api
                .send("PATCH", &path, &headers, Some(body.as_bytes()))
                .await
        })
    });
    let mut statuses = Vec::new();
    for task in all.collect::<Vec<_>>() {
        statuses.push(task.await.unwrap().status);
    }
    statuses.sort_unstable();
    let mut expected = vec![200];
    expected.extend([412; 15]);
    assert_eq!(statuses, expected);
    assert_eq!(
        tenant.api.get(&webhook.path()).await.expect(200)["version"],
        2
    );
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_at_once() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let problem = tenant
        .api
        .post("/api/admin/webhooks", json!({"rate_limit": 0, "x": 1}))
        .await;
    let problem = problem.problem(422, "invalid_content");
    let fields: Vec<&Value> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| &error["field"])
        .collect();
    assert_eq!(fields, ["name", "url", "events", "x"]);
    assert_eq!(
        tenant.api.get(&webhook.path()).await.expect(200)["version"],
        1
    );
}

#[tokio::test]
async fn headers_that_are_not_the_tenants_to_set_are_refused() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let refuse = async |headers: Value| {
        let answer = tenant
            .api
            .patch(&webhook.path(), json!({"headers": headers}))
            .await;
        let problem = answer.problem(422, "invalid_content");
        assert!(
            problem["errors"][0]["field"]
                .as_str()
                .unwrap()
                .starts_with("headers"),
            "{problem}"
        );
    };
    for name in [
        "Host",
        "Content-Type",
        "content-length",
        "Content-Encoding",
        "Connection",
        "Transfer-Encoding",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Proxy-Authorization",
        "User-Agent",
        "X-Webhook-Signature",
        "x-webhook-anything",
        "Webhook-Id",
        "webhook-signature",
        "Forwarded",
        "X-Forwarded-For",
        "a b",
        "a:b",
        "",
        "é",
        "a\r\nb",
    ] {
        refuse(json!({name: "x"})).await;
    }
    for value in ["a\r\nX-Evil: 1", "a\nb", "a\u{0}b", "a\tb", "\u{7f}"] {
        refuse(json!({"X-A": value})).await;
    }
    let many: serde_json::Map<String, Value> =
        (0..21).map(|n| (format!("X-{n}"), json!("v"))).collect();
    refuse(json!(many)).await;
    refuse(json!({"X-A": "v".repeat(4096)})).await;
    refuse(json!({"X-A": "1", "x-a": "2"})).await;
    refuse(json!({"X-A": 1})).await;

    let fine = json!({"Authorization": "Bearer t", "X-A": "1 2", "x-b": ""});
    tenant
        .api
        .patch(&webhook.path(), json!({"headers": fine}))
        .await
        .expect(200);
    tenant.publish("ticket.created", json!({})).await;
    let request = receiver.arrived("/hooks", 1).await.remove(0);
    for (name, value) in [("authorization", "Bearer t"), ("x-a", "1 2"), ("x-b", "")] {
        assert_eq!(request.header(name), value);
    }
}
