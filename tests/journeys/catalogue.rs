//! The catalogue of topics: built-in ones and the platform's own.

use serde_json::{Value, json};

use crate::support::{App, Receiver, ids};

fn names(rows: &[Value]) -> Vec<&str> {
    rows.iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_custom_topic_can_be_used_once_it_is_in_the_catalogue() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let (tenant, platform) = (app.tenant("acme").await, app.platform());
    let publish = json!({"event": "order.placed", "data": {}});
    let subscribe = json!({"name": "x", "url": receiver.url("/hooks"), "events": ["order.placed"]});
    tenant
        .api
        .post("/api/events", publish.clone())
        .await
        .problem(422, "invalid_content");
    tenant
        .api
        .post("/api/admin/webhooks", subscribe.clone())
        .await
        .problem(422, "invalid_content");

    let path = "/api/platform/topics/order.placed";
    let expected = json!({"name": "order.placed", "description": "An order", "schema": null, "built_in": false});
    let defined = platform.put(path, json!({"description": "An order"})).await;
    assert_eq!(defined.expect(201), expected);
    let again = json!({"name": "order.placed", "description": "An order", "schema": null});
    assert_eq!(platform.put(path, again).await.expect(200), expected);
    for (api, list) in [
        (&platform, "/api/platform/topics"),
        (&tenant.api, "/api/admin/topics"),
    ] {
        assert!(api.walk(list, 7).await.contains(&expected), "{list}");
    }
    tenant.webhook_with(subscribe).await;
    tenant
        .api
        .post("/api/events", publish.clone())
        .await
        .expect(202);
    assert_eq!(
        receiver.arrived("/hooks", 1).await[0].header("x-webhook-event"),
        "order.placed"
    );

    platform.delete(path).await.expect(204);
    platform.delete(path).await.problem(404, "not_found");
    tenant
        .api
        .post("/api/events", publish)
        .await
        .problem(422, "invalid_content");
}

#[tokio::test]
async fn an_unknown_topic_is_named_with_the_nearest_known_one() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    for (wrong, near) in [
        ("ticket.update", "ticket.updated"),
        ("ticket.creatd", "ticket.created"),
        ("service.statuschanged", "service.status_changed"),
    ] {
        let body = json!({"event": wrong, "data": {}});
        let problem = tenant
            .api
            .post("/api/events", body)
            .await
            .problem(422, "invalid_content");
        assert_eq!(problem["errors"][0]["code"], "unknown_topic");
        assert!(
            problem["errors"][0]["message"]
                .as_str()
                .unwrap()
                .contains(near),
            "{problem}"
        );
        let body = json!({"name": "x", "url": receiver.url("/"), "events": ["ticket.*", wrong]});
        let problem = tenant
            .api
            .post("/api/admin/webhooks", body)
            .await
            .problem(422, "invalid_content");
        assert_eq!(problem["errors"][0]["field"], "events[1]");
        assert_eq!(problem["errors"][0]["code"], "unknown_topic");
        assert!(
            problem["errors"][0]["message"]
                .as_str()
                .unwrap()
                .contains(near),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn the_catalogue_brings_the_built_in_topics_and_keeps_them() {
    let mut app = App::start().await;
    let tenant = app.tenant("acme").await;
    let platform = app.platform();
    let listed = platform.walk("/api/platform/topics", 200).await;
    for prefix in ["ticket.", "service.", "automation.", "billing.", "webhook."] {
        let has = listed.iter().any(|row| {
            row["built_in"] == true && row["name"].as_str().unwrap().starts_with(prefix)
        });
        assert!(has, "{prefix}");
    }
    assert!(names(&listed).is_sorted());
    let publisher = tenant.with_role("publisher").await;
    assert_eq!(publisher.walk("/api/admin/topics", 3).await, listed);
    platform
        .delete("/api/platform/topics/ticket.created")
        .await
        .problem(409, "built_in_topic");
    for (path, body) in [
        ("/api/platform/topics/Order", json!({})),
        ("/api/platform/topics/a..b", json!({})),
        ("/api/platform/topics/order.*", json!({})),
        ("/api/platform/topics/order", json!({"name": "other"})),
        (
            "/api/platform/topics/order",
            json!({"schema": {"type": "object"}}),
        ),
        (
            "/api/platform/topics/order",
            json!({"description": "x".repeat(1001)}),
        ),
    ] {
        platform
            .put(path, body)
            .await
            .problem(422, "invalid_content");
    }
    platform
        .put("/api/platform/topics/order.placed", json!({}))
        .await
        .expect(201);
    let before = platform.walk("/api/platform/topics", 200).await;
    app.kill();
    app.restart().await;
    assert_eq!(
        app.platform().walk("/api/platform/topics", 200).await,
        before
    );
    assert_eq!(before.len(), listed.len() + 1);
}

#[tokio::test]
async fn tenants_are_listed_and_changed() {
    let app = App::start().await;
    for id in ["b", "a", "c-1_2"] {
        app.tenant(id).await;
    }
    let platform = app.platform();
    let listed = platform.walk("/api/platform/tenants", 2).await;
    let mut found = ids(&listed);
    found.sort_unstable();
    assert_eq!(found, ["a", "b", "c-1_2"]);
    let path = "/api/platform/tenants/a";
    let changes = json!({"name": "Other", "stripe_customer_id": "cus_1"});
    let expected =
        json!({"id": "a", "name": "Other", "stripe_customer_id": "cus_1", "is_suspended": false});
    assert_eq!(platform.patch(path, changes).await.expect(200), expected);
    assert_eq!(platform.get(path).await.expect(200), expected);
    let changed = platform
        .patch(path, json!({"stripe_customer_id": null}))
        .await
        .expect(200);
    assert_eq!(changed["stripe_customer_id"], Value::Null);
    for bad in [
        json!({"name": null}),
        json!({"name": ""}),
        json!({"is_suspended": "yes"}),
        json!({"id": "z"}),
    ] {
        platform
            .patch(path, bad)
            .await
            .problem(422, "invalid_content");
    }
    platform
        .patch("/api/platform/tenants/nobody", json!({}))
        .await
        .problem(404, "not_found");
}
