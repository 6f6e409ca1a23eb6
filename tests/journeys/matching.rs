//! Filters: which messages of its topics a webhook wants.

use serde_json::{Value, json};

use crate::support::{App, Receiver, Tenant, Webhook, ids};

async fn webhook(tenant: &Tenant, url: &str, events: &[&str], filter: &str) -> Webhook {
    let body = json!({"name": filter, "url": url, "events": events, "filter": filter});
    tenant.webhook_with(body).await
}

/// Publishes a message; gives whether it goes to the one webhook that there is, or why not.
async fn publish(tenant: &Tenant, event: &str, data: Value) -> Result<(), Value> {
    let id = tenant.publish(event, data).await;
    let message = tenant
        .api
        .get(&format!("/api/events/{id}"))
        .await
        .expect(200);
    let skipped = message["not_delivered"].as_array().unwrap();
    let deliveries = message["deliveries"].as_array().unwrap();
    match (deliveries.as_slice(), skipped.as_slice()) {
        ([_], []) => Ok(()),
        ([], [skipped]) => {
            let mut skipped = skipped.clone();
            skipped.as_object_mut().unwrap().remove("webhook_id");
            Err(skipped)
        }
        _ => panic!("{message}"),
    }
}

fn filtered(detail: impl Into<Value>) -> Result<(), Value> {
    Err(json!({"reason": "filtered", "detail": detail.into()}))
}

#[tokio::test]
async fn a_webhook_gets_what_its_filter_wants() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let hooks = receiver.url("/hooks");
    let webhook = webhook(
        &tenant,
        &hooks,
        &["ticket.*"],
        "data.ticket.priority == 'high' || event == 'ticket.closed'",
    )
    .await;
    let priority = |priority: &str| json!({"ticket": {"priority": priority}});
    assert_eq!(
        publish(&tenant, "ticket.created", priority("low")).await,
        filtered(Value::Null)
    );
    assert_eq!(
        publish(&tenant, "ticket.created", priority("high")).await,
        Ok(())
    );
    assert_eq!(publish(&tenant, "ticket.closed", json!({})).await, Ok(()));
    // It says why it cannot tell.
    let detail = "there is no data.ticket";
    assert_eq!(
        publish(&tenant, "ticket.created", json!({})).await,
        filtered(detail)
    );
    let requests = receiver.arrived("/hooks", 2).await;
    let events: Vec<_> = requests
        .iter()
        .map(|request| request.header("x-webhook-event"))
        .collect();
    assert_eq!(events, ["ticket.created", "ticket.closed"]);

    // The topic comes first, then whether it is switched on.
    let change = async |body: Value| tenant.api.patch(&webhook.path(), body).await.expect(200);
    let other = |reason: &str| Err(json!({"reason": reason, "detail": null}));
    change(json!({"is_active": false})).await;
    assert_eq!(
        publish(&tenant, "service.updated", json!({})).await,
        other("not_subscribed")
    );
    assert_eq!(
        publish(&tenant, "ticket.created", json!({})).await,
        other("inactive")
    );
    change(json!({"is_active": true, "filter": "size(data.items) > 1"})).await;
    assert_eq!(
        publish(&tenant, "ticket.created", json!({"items": [1]})).await,
        filtered(Value::Null)
    );
    assert_eq!(
        publish(&tenant, "ticket.created", json!({"items": [1, 2]})).await,
        Ok(())
    );
    // A filter that gives something else is no filter that wants the message.
    change(json!({"filter": "data.items"})).await;
    let detail = "gives a value of type list, not true or false";
    assert_eq!(
        publish(&tenant, "ticket.created", json!({"items": []})).await,
        filtered(detail)
    );
}

#[tokio::test]
async fn filters_are_kept_by_a_patch_and_reset_by_null_and_by_a_put() {
    let (mut app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let hooks = receiver.url("/hooks");
    let none = "data.wanted == true";
    let hook = webhook(&tenant, &hooks, &["ticket.*"], none).await;
    let shown = async || tenant.api.get(&hook.path()).await.expect(200)["filter"].clone();
    tenant
        .api
        .patch(&hook.path(), json!({"name": "New"}))
        .await
        .expect(200);
    assert_eq!(shown().await, none);
    let created = async || publish(&tenant, "ticket.created", json!({"wanted": false})).await;
    assert_eq!(created().await, filtered(Value::Null));
    app.kill();
    app.restart().await;
    assert_eq!(shown().await, none);
    assert_eq!(created().await, filtered(Value::Null));

    tenant
        .api
        .patch(&hook.path(), json!({"filter": null}))
        .await
        .expect(200);
    assert_eq!(shown().await, Value::Null);
    assert_eq!(created().await, Ok(()));
    tenant
        .api
        .patch(&hook.path(), json!({"filter": none}))
        .await
        .expect(200);
    assert_eq!(created().await, filtered(Value::Null));
    let whole = json!({"name": "x", "url": hooks, "events": ["ticket.*"]});
    tenant.api.put(&hook.path(), whole).await.expect(200);
    assert_eq!(shown().await, Value::Null);
    assert_eq!(created().await, Ok(()));

    // The list asks for topics; who knows what the data will be?
    tenant
        .api
        .patch(&hook.path(), json!({"filter": "false"}))
        .await
        .expect(200);
    let list = "/api/admin/webhooks?event=ticket.created";
    assert_eq!(ids(&tenant.api.walk(list, 10).await), [hook.id.as_str()]);
}

#[tokio::test]
async fn a_test_reaches_its_webhook_whatever_the_filter_says() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let hook = webhook(&tenant, &receiver.url("/hooks"), &["ticket.*"], "false").await;
    let test = format!("{}/test", hook.path());
    let tested = tenant.api.post(&test, json!({})).await.expect(202);
    let delivery = tenant
        .until_ended(tested["delivery_id"].as_str().unwrap())
        .await;
    assert_eq!(delivery["status"], "succeeded");
    assert_eq!(
        receiver.arrived("/hooks", 1).await[0].header("x-webhook-event"),
        "webhook.test"
    );
}

#[tokio::test]
async fn each_message_of_a_batch_is_asked_about_by_itself() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let odd = webhook(&tenant, &receiver.url("/odd"), &["*"], "data.n % 2 == 1").await;
    webhook(&tenant, &receiver.url("/few"), &["*"], "data.n < 10").await;
    tenant.webhook(&receiver.url("/all"), &["*"]).await;
    let events: Vec<Value> = (0..200)
        .map(|n| json!({"event": "ticket.created", "data": {"n": n}}))
        .collect();
    let answer = tenant
        .api
        .post("/api/events/batch", json!({"events": events}))
        .await;
    let results = answer.expect(202);
    let deliveries: u64 = results["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["deliveries"].as_u64().unwrap())
        .sum();
    assert_eq!(deliveries, 200 + 100 + 10);
    tenant.until_nothing_is_pending().await;
    let count = |path: &str| {
        receiver
            .requests()
            .iter()
            .filter(|r| r.path == path)
            .count()
    };
    assert_eq!(
        (count("/odd"), count("/few"), count("/all")),
        (100, 10, 200)
    );
    let query = format!("webhook_id={}", odd.id);
    assert_eq!(tenant.deliveries(&query).await.len(), 100);
}

/// What a tenant writes into filters makes its own messages wait, if anybody's.
#[tokio::test]
async fn filters_that_take_long_are_given_up_and_do_no_harm() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let (tenant, other) = (app.tenant("acme").await, app.tenant("other").await);
    other.webhook(&receiver.url("/other"), &["*"]).await;
    let hooks = receiver.url("/hooks");
    for filter in [
        "data.a.all(x, data.a.all(y, data.a.all(z, x + y + z < 1000000)))",
        "data.a.map(x, data.a.map(y, [x, y] + data.a)) == []",
        "[data.s].map(a, a+a).map(a, a+a).map(a, a+a).map(a, a+a).map(a, a+a) == []",
        "data.a.exists(x, !data.s.matches('^(a|b|ab)*c?$') || data.s.contains('c') || x < 0)",
        "data.deep == data.deep && false",
    ] {
        webhook(&tenant, &hooks, &["*"], filter).await;
    }
    let deep = (0..100).fold(json!([]), |deep, _| json!([deep]));
    let numbers: Vec<u32> = (0..1000).collect();
    let text = "ab".repeat(200_000);
    let data = json!({"a": numbers, "s": text, "deep": deep});
    let (hostile, harmless) = tokio::join!(
        tenant.publish("ticket.created", data),
        other.publish("ticket.created", json!({}))
    );
    other.until(&harmless, "succeeded").await;
    let message = tenant
        .api
        .get(&format!("/api/events/{hostile}"))
        .await
        .expect(200);
    assert_eq!(message["deliveries"], json!([]));
    let skipped = message["not_delivered"].as_array().unwrap();
    let given_up = skipped.iter().filter(|one| {
        let detail = one["detail"].as_str().unwrap_or_default();
        assert_eq!(one["reason"], "filtered");
        assert!(detail.len() < 250, "{detail}");
        detail.starts_with("takes too long with these data")
    });
    assert_eq!(given_up.count(), 4, "{skipped:?}");
}

/// A body that can be sent may still be one that no filter can read.
#[tokio::test]
async fn data_that_cannot_be_read_are_filtered() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    webhook(&tenant, &receiver.url("/hooks"), &["*"], "true").await;
    tenant.webhook(&receiver.url("/all"), &["*"]).await;
    let body = r#"{"event":"ticket.created","data":{"a":"\ud800"}}"#;
    let accepted = tenant
        .api
        .send_json("POST", "/api/events", body)
        .await
        .expect(202);
    assert_eq!(accepted["deliveries"], 1);
    let path = format!("/api/events/{}", accepted["id"].as_str().unwrap());
    let message = tenant.api.get(&path).await.expect(200);
    let detail = message["not_delivered"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("the data cannot be read: "), "{detail}");
    let request = receiver.arrived("/all", 1).await.remove(0);
    assert!(request.text().ends_with(r#""data":{"a":"\ud800"}}"#));
}
