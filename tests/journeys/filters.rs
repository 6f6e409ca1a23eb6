//! The filters of deliveries, attempts and webhooks.

use serde_json::{Value, json};

use crate::support::{App, Receiver, Reply, Tenant, Webhook, ids};

struct World {
    _app: App,
    tenant: Tenant,
    good: Webhook,
    bad: Webhook,
    /// The first message, the second one, and a time between the two.
    messages: [String; 2],
    between: String,
}

/// Two webhooks, of which one fails; two messages of different topics; one delivery that waits.
async fn world(receiver: &Receiver) -> World {
    let app = App::with(&[("RETRY_SCHEDULE", "0ms")]).await;
    receiver.on("/bad", |_| Reply::status(503));
    let tenant = app.tenant("acme").await;
    let good = tenant.webhook(&receiver.url("/good"), &["*"]).await;
    let bad = tenant.webhook(&receiver.url("/bad"), &["*"]).await;
    let first = tenant.publish("ticket.created", json!({})).await;
    tenant.until_nothing_is_pending().await;
    // Every id carries its millisecond: with pauses on both sides `between` lies between.
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let between = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let second = tenant.publish("service.updated", json!({})).await;
    tenant.until_nothing_is_pending().await;
    World {
        _app: app,
        tenant,
        good,
        bad,
        messages: [first, second],
        between,
    }
}

fn all<'a>(rows: &'a [Value], name: &str) -> Vec<&'a str> {
    rows.iter()
        .map(|row| row[name].as_str().unwrap_or_default())
        .collect()
}

#[tokio::test]
async fn deliveries_can_be_filtered() {
    let receiver = Receiver::start().await;
    let world = world(&receiver).await;
    let (tenant, [first, second]) = (&world.tenant, &world.messages);
    let (good, bad, between) = (&world.good.id, &world.bad.id, &world.between);
    let everything = tenant.deliveries("").await;
    assert_eq!(everything.len(), 4);
    for (query, count) in [
        (format!("webhook_id={good}"), 2),
        (format!("message_id={first}"), 2),
        (format!("message_id={first}&webhook_id={bad}"), 1),
        ("event=ticket.created".to_owned(), 2),
        ("event=ticket.closed".to_owned(), 0),
        ("status=succeeded".to_owned(), 2),
        ("status=exhausted".to_owned(), 2),
        ("status=pending".to_owned(), 0),
        ("status=cancelled".to_owned(), 0),
        (format!("status=exhausted&webhook_id={good}"), 0),
        (
            format!("status=exhausted&webhook_id={bad}&event=service.updated&message_id={second}"),
            1,
        ),
        (format!("from={between}"), 2),
        (format!("to={between}"), 2),
        (format!("from={between}&to={between}"), 0),
        (format!("from={between}&status=succeeded"), 1),
        (
            "from=2000-01-01T00:00:00Z&to=2100-01-01T00:00:00%2B01:00".to_owned(),
            4,
        ),
        ("to=2000-01-01T00:00:00Z".to_owned(), 0),
    ] {
        let rows = tenant.deliveries(&query).await;
        assert_eq!(rows.len(), count, "{query}");
        assert!(rows.iter().all(|row| everything.contains(row)), "{query}");
        let separator = if query.is_empty() { "" } else { "&" };
        let by_one = tenant
            .api
            .walk(&format!("/api/admin/deliveries?{query}{separator}"), 1)
            .await;
        assert_eq!(by_one, rows, "{query}");
    }
    assert_eq!(
        all(
            &tenant.deliveries(&format!("from={between}")).await,
            "message_id"
        ),
        [second, second]
    );
    assert_eq!(
        all(
            &tenant.deliveries(&format!("to={between}")).await,
            "message_id"
        ),
        [first, first]
    );
    // `from` is inclusive, `to` is not.
    let oldest = everything.last().unwrap();
    let time = oldest["created_at"].as_str().unwrap();
    assert!(
        ids(&tenant.deliveries(&format!("from={time}")).await)
            .contains(&oldest["id"].as_str().unwrap())
    );
    assert!(tenant.deliveries(&format!("to={time}")).await.is_empty());
}

#[tokio::test]
async fn attempts_can_be_filtered() {
    let receiver = Receiver::start().await;
    let world = world(&receiver).await;
    let (tenant, [first, second]) = (&world.tenant, &world.messages);
    let (good, bad, between) = (&world.good.id, &world.bad.id, &world.between);
    let everything = tenant.logs("").await;
    assert_eq!(everything.len(), 6);
    let failed = tenant
        .deliveries(&format!("webhook_id={bad}&message_id={second}"))
        .await;
    let failed = failed[0]["id"].as_str().unwrap();
    for (query, count) in [
        (format!("webhook_id={good}"), 2),
        (format!("webhook_id={bad}"), 4),
        (format!("message_id={first}"), 3),
        (format!("delivery_id={failed}"), 2),
        (format!("delivery_id={failed}&message_id={first}"), 0),
        ("event=service.updated".to_owned(), 3),
        ("outcome=succeeded".to_owned(), 2),
        ("outcome=failed".to_owned(), 4),
        ("response_status=200".to_owned(), 2),
        ("response_status=503".to_owned(), 4),
        ("response_status=404".to_owned(), 0),
        (
            format!("outcome=failed&response_status=503&webhook_id={bad}&event=ticket.created"),
            2,
        ),
        (format!("outcome=failed&webhook_id={good}"), 0),
        (format!("from={between}"), 3),
        (format!("to={between}&outcome=failed"), 2),
        (format!("from={between}&to={between}"), 0),
    ] {
        let rows = tenant.logs(&query).await;
        assert_eq!(rows.len(), count, "{query}");
        assert!(rows.iter().all(|row| everything.contains(row)), "{query}");
        assert_eq!(
            tenant
                .api
                .walk(&format!("/api/admin/logs?{query}"), 1)
                .await,
            rows,
            "{query}"
        );
    }
    let path = format!("{}/logs", world.bad.path());
    assert_eq!(
        tenant.api.walk(&path, 3).await,
        tenant.logs(&format!("webhook_id={bad}")).await
    );
    assert_eq!(
        tenant
            .api
            .walk(&format!("{path}?event=service.updated&outcome=failed"), 1)
            .await
            .len(),
        2
    );
    tenant
        .api
        .get(&format!("{path}?webhook_id={bad}"))
        .await
        .problem(400, "invalid_parameter");
}

#[tokio::test]
async fn webhooks_can_be_filtered() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let url = receiver.url("/hooks");
    let tickets = tenant.webhook(&url, &["ticket.*"]).await;
    let all = tenant.webhook(&url, &["*"]).await;
    let body = json!({"name": "Off", "url": url, "events": ["ticket.created"], "is_active": false});
    let off = tenant.webhook_with(body).await;
    for (query, expected) in [
        ("is_active=true", vec![&all.id, &tickets.id]),
        ("is_active=false", vec![&off.id]),
        ("event=ticket.created", vec![&off.id, &all.id, &tickets.id]),
        ("event=ticket.closed", vec![&all.id, &tickets.id]),
        ("event=service.updated", vec![&all.id]),
        (
            "event=ticket.created&is_active=true",
            vec![&all.id, &tickets.id],
        ),
    ] {
        let rows = tenant
            .api
            .walk(&format!("/api/admin/webhooks?{query}"), 1)
            .await;
        assert_eq!(ids(&rows), expected, "{query}");
    }
}
