//! Deleting a webhook ends what is pending; what was stays readable.

use serde_json::{Value, json};

use crate::support::{App, Receiver, Reply, Tenant, Webhook, eventually};

async fn with_a_failed_attempt(tenant: &Tenant, receiver: &Receiver) -> (Webhook, String) {
    receiver.on("/hooks", |_| Reply::status(500));
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    eventually("the first attempt", async || {
        (tenant.delivery_of(&message).await["attempts"] == 1).then_some(())
    })
    .await;
    (webhook, message)
}

#[tokio::test]
async fn pending_deliveries_of_a_deleted_webhook_are_cancelled() {
    let settings = [("RETRY_SCHEDULE", "1h")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let (webhook, message) = with_a_failed_attempt(&tenant, &receiver).await;
    let deleted = tenant.api.delete(&webhook.path()).await;
    assert_eq!(deleted.expect(204), Value::Null);

    let delivery = tenant.until(&message, "cancelled").await;
    assert_eq!(delivery["next_attempt_at"], Value::Null);
    assert!(delivery["completed_at"].is_string());
    assert_eq!(delivery["log"].as_array().unwrap().len(), 1);
    let logs = tenant
        .api
        .get(&format!("{}/logs", webhook.path()))
        .await
        .expect(200);
    assert_eq!(logs["data"], delivery["log"]);
    assert_eq!(
        tenant
            .logs(&format!("webhook_id={}", webhook.id))
            .await
            .len(),
        1
    );

    for path in [webhook.path(), format!("{}/secret", webhook.path())] {
        tenant.api.get(&path).await.problem(404, "not_found");
    }
    tenant
        .api
        .delete(&webhook.path())
        .await
        .problem(404, "not_found");
    tenant
        .api
        .patch(&webhook.path(), json!({"name": "x"}))
        .await
        .problem(404, "not_found");
    tenant
        .api
        .post(&format!("{}/test", webhook.path()), json!({}))
        .await
        .problem(404, "not_found");
    assert!(tenant.api.walk("/api/admin/webhooks", 10).await.is_empty());
    let next = tenant.publish("ticket.created", json!({"n": 2})).await;
    let shown = tenant
        .api
        .get(&format!("/api/events/{next}"))
        .await
        .expect(200);
    assert_eq!(
        (&shown["deliveries"], &shown["not_delivered"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(receiver.requests().len(), 1);
}

/// An attempt that is under way is recorded; nothing is sent afterwards.
#[tokio::test]
async fn deleting_while_an_attempt_is_under_way_ends_the_delivery() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let gate = crate::support::Gate::closed();
    let held = gate.clone();
    receiver.on("/hooks", move |_| Reply::status(500).behind(&held));
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    receiver.arrived("/hooks", 1).await;
    tenant.api.delete(&webhook.path()).await.expect(204);
    gate.open();
    let delivery = tenant.until(&message, "cancelled").await;
    assert_eq!(
        delivery["log"].as_array().unwrap().len(),
        receiver.requests().len()
    );
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn cancelling_survives_a_kill() {
    let settings = [("RETRY_SCHEDULE", "1h")];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let (webhook, message) = with_a_failed_attempt(&tenant, &receiver).await;
    tenant.api.delete(&webhook.path()).await.expect(204);
    app.kill();
    app.restart().await;
    tenant.until(&message, "cancelled").await;
    assert_eq!(receiver.requests().len(), 1);
}
