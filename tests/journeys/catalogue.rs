//! The catalogue of topics: built-in ones and the platform's own.

use serde_json::{Value, json};

use crate::support::{Answer, Api, App, Receiver, ids};

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
            json!({"schema": {"type": "objekt"}}),
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

const ORDER: &str = "/api/platform/topics/order.placed";
/// As a platform would write it: the text is shown as it is.
const SCHEMA: &str = r#"{
    "type": "object",
    "required": ["id", "items"],
    "properties": {
        "id": {"type": "integer"},
        "items": {"type": "array", "items": {"properties": {"sku": {"type": "string", "pattern": "^[A-Z]"}}}}
    }
}"#;

async fn put_schema(platform: &Api, path: &str, schema: &str) -> Answer {
    let body = format!(r#"{{"description":"An order","schema":{schema}}}"#);
    platform.send_json("PUT", path, &body).await
}

fn order(data: Value) -> Value {
    json!({"event": "order.placed", "data": data})
}

/// The errors of a refused message: fields and messages.
fn errors(problem: &Value) -> Vec<(&str, &str)> {
    let errors = problem["errors"].as_array().unwrap().iter();
    errors
        .map(|error| {
            assert_eq!(error["code"], "schema_mismatch", "{problem}");
            (
                error["field"].as_str().unwrap(),
                error["message"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn data_must_meet_the_schema_of_their_topic() {
    let (mut app, receiver) = (App::start().await, Receiver::start().await);
    let (tenant, platform) = (app.tenant("acme").await, app.platform());
    let defined = put_schema(&platform, ORDER, SCHEMA).await;
    assert!(defined.text().contains(SCHEMA), "{}", defined.text());
    assert_eq!(defined.expect(201)["built_in"], false);
    for list in [
        "/api/platform/topics?limit=200",
        "/api/admin/topics?limit=200",
    ] {
        let listed = platform.for_tenant("acme").get(list).await;
        let listed = if list.contains("admin") {
            tenant.api.get(list).await
        } else {
            listed
        };
        assert!(listed.text().contains(SCHEMA), "{list}");
    }
    tenant.webhook(&receiver.url("/hooks"), &["order.*"]).await;
    let publish = async |data: Value| tenant.api.post("/api/events", order(data)).await;
    let check = async || {
        let good = json!({"id": 7, "items": [{"sku": "A1"}, {}], "more": true});
        publish(good).await.expect(202);
        let bad = json!({"id": "7", "items": [{"sku": "A1"}, {"sku": 5}, {"sku": "b2"}]});
        let problem = publish(bad).await.problem(422, "invalid_content");
        let mut found = errors(&problem);
        found.sort_unstable();
        let expected = [
            ("data.id", "the value is not of type \"integer\""),
            ("data.items[1].sku", "the value is not of type \"string\""),
            ("data.items[2].sku", "the value does not match \"^[A-Z]\""),
        ];
        assert_eq!(found, expected);
        let problem = publish(json!({})).await.problem(422, "invalid_content");
        assert!(errors(&problem).contains(&("data", "\"id\" is a required property")));
    };
    check().await;
    // What is under way when it is killed would be sent again.
    tenant.until_nothing_is_pending().await;
    app.kill();
    app.restart().await;
    check().await;

    // Of many places some are named.
    let many: Vec<Value> = (0..100).map(|n| json!({ "sku": n })).collect();
    let problem = publish(json!({"id": 1, "items": many}))
        .await
        .problem(422, "invalid_content");
    assert_eq!(errors(&problem).len(), 10);

    // Without a schema anything goes; the same definition without it is one.
    let body = json!({"description": "An order", "schema": null});
    assert_eq!(
        platform.put(ORDER, body).await.expect(200)["schema"],
        Value::Null
    );
    publish(json!({})).await.expect(202);
    tenant.until_nothing_is_pending().await;
    assert_eq!(receiver.requests().len(), 3);
}

#[tokio::test]
async fn in_a_batch_only_the_message_that_does_not_meet_it_fails() {
    let app = App::start().await;
    let (tenant, platform) = (app.tenant("acme").await, app.platform());
    put_schema(&platform, ORDER, SCHEMA).await.expect(201);
    let events = [
        order(json!({"id": 1, "items": []})),
        order(json!({"id": 1})),
        json!({"event": "ticket.created", "data": {"id": "x"}}),
        order(json!({"id": 2, "items": []})),
    ];
    let answer = tenant
        .api
        .post("/api/events/batch", json!({"events": events}))
        .await;
    let results = answer.expect(202)["results"].clone();
    for (index, result) in results.as_array().unwrap().iter().enumerate() {
        if index == 1 {
            assert_eq!(
                (&result["status"], &result["code"]),
                (&json!(422), &json!("invalid_content"))
            );
            assert_eq!(
                errors(result),
                [("data", "\"items\" is a required property")]
            );
        } else {
            assert_eq!(result["duplicate"], false, "{result}");
        }
    }
}

/// What was accepted once is accepted again, and what tries a webhook out is no fact.
#[tokio::test]
async fn repetitions_and_tests_are_not_checked() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let (tenant, platform) = (app.tenant("acme").await, app.platform());
    put_schema(&platform, ORDER, "true").await.expect(201);
    let headers = [
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "k"),
    ];
    let body = order(json!({})).to_string();
    let publish = async || {
        let body = Some(body.as_bytes());
        tenant
            .api
            .send("POST", "/api/events", &headers, body)
            .await
            .expect(202)
    };
    let first = publish().await;
    put_schema(&platform, ORDER, SCHEMA).await.expect(200);
    let again = publish().await;
    assert_eq!(
        (&again["id"], &again["duplicate"]),
        (&first["id"], &json!(true))
    );

    let webhook = tenant.webhook(&receiver.url("/hooks"), &["order.*"]).await;
    let test = json!({"event": "order.placed", "data": {}});
    let tested = tenant
        .api
        .post(&format!("{}/test", webhook.path()), test)
        .await;
    let delivery = tested.expect(202)["delivery_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(tenant.until_ended(&delivery).await["status"], "succeeded");
}

#[tokio::test]
async fn a_built_in_topic_can_be_changed_and_comes_back() {
    let app = App::start().await;
    let (tenant, platform) = (app.tenant("acme").await, app.platform());
    let path = "/api/platform/topics/ticket.created";
    let shown = async || {
        let listed = platform.walk("/api/platform/topics", 200).await;
        let mut topics = listed.into_iter();
        topics.find(|row| row["name"] == "ticket.created").unwrap()
    };
    let publish = async || {
        let body = json!({"event": "ticket.created", "data": {}});
        tenant.api.post("/api/events", body).await
    };
    let before = shown().await;
    assert_eq!(before["schema"], Value::Null);
    let schema = json!({"required": ["ticket"]});
    let changed = platform
        .put(path, json!({"schema": schema}))
        .await
        .expect(200);
    let mut expected = before.clone();
    expected["schema"] = schema;
    assert_eq!(changed, expected, "it keeps its description");
    assert_eq!(shown().await, expected);
    publish().await.problem(422, "invalid_content");
    let described = platform
        .put(path, json!({"description": "Ours"}))
        .await
        .expect(200);
    assert_eq!(
        (&described["description"], &described["schema"]),
        (&json!("Ours"), &Value::Null)
    );
    publish().await.expect(202);
    platform.delete(path).await.expect(204);
    assert_eq!(shown().await, before);
    platform.delete(path).await.problem(409, "built_in_topic");
}

#[tokio::test]
async fn what_is_no_schema_is_refused() {
    let app = App::start().await;
    let platform = app.platform();
    let deep = format!("{}true{}", r#"{"not":"#.repeat(65), "}".repeat(65));
    for (schema, says) in [
        ("5", "must be a JSON Schema; at its root"),
        ("[]", "must be a JSON Schema; at its root"),
        (r#""object""#, "must be a JSON Schema; at its root"),
        (r#"{"type":"objekt"}"#, "at /type: "),
        (
            r#"{"properties":{"a":{"minimum":"x"}}}"#,
            "at /properties/a/minimum: \"x\" is not of type \"number\"",
        ),
        (
            r#"{"properties":{"a":{"pattern":"^(?!x)"}}}"#,
            "no look-around",
        ),
        (r##"{"$ref":"#/nowhere"}"##, "must be in the schema itself"),
        (
            r#"{"$ref":"http://127.0.0.1:1/x.json"}"#,
            "must be in the schema itself",
        ),
        (
            r#"{"$ref":"file:///etc/hostname"}"#,
            "must be in the schema itself",
        ),
        (&deep, "deeper than 64 levels"),
        (r#"{"const":"\ud800"}"#, "cannot be read"),
    ] {
        let problem = put_schema(&platform, ORDER, schema)
            .await
            .problem(422, "invalid_content");
        let error = &problem["errors"][0];
        assert_eq!(
            (&error["field"], &error["code"]),
            (&json!("schema"), &json!("invalid_schema"))
        );
        assert!(
            error["message"].as_str().unwrap().contains(says),
            "{schema}: {error}"
        );
    }
    let listed = platform.walk("/api/platform/topics", 200).await;
    assert!(!names(&listed).contains(&"order.placed"));
}
