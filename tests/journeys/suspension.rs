//! A suspended tenant publishes nothing and is sent nothing; nothing is lost.

use serde_json::json;

use crate::support::{App, Receiver, eventually, fail_first};

#[tokio::test]
async fn what_is_pending_waits_for_the_end_of_a_suspension() {
    let settings = [("RETRY_SCHEDULE", "300ms")];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/hooks", fail_first(1));
    let (tenant, neighbour) = (app.tenant("acme").await, app.tenant("neighbour").await);
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    neighbour.webhook(&receiver.url("/neighbour"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    eventually("the first attempt", async || {
        (tenant.delivery_of(&message).await["attempts"] == 1).then_some(())
    })
    .await;
    tenant.suspend(true).await;
    let body = json!({"event": "ticket.created", "data": {}});
    tenant
        .api
        .post("/api/events", body.clone())
        .await
        .problem(403, "tenant_suspended");
    let batch = tenant
        .api
        .post("/api/events/batch", json!({"events": [body]}))
        .await
        .expect(202);
    assert_eq!(batch["results"][0]["code"], "tenant_suspended");
    tenant.api.get("/api/admin/webhooks").await.expect(200);

    app.kill();
    app.restart().await;
    // The retry is long due when the neighbour's second message has arrived.
    let due = tenant.delivery_of(&message).await["next_attempt_at"]
        .as_str()
        .unwrap()
        .to_owned();
    eventually("the time of the retry", async || {
        let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        (now > due).then_some(())
    })
    .await;
    for n in 0..2 {
        let other = neighbour.publish("ticket.created", json!({"n": n})).await;
        neighbour.until(&other, "succeeded").await;
    }
    assert_eq!(tenant.delivery_of(&message).await["status"], "pending");
    assert_eq!(receiver.requests_at("/hooks").len(), 1);

    tenant.suspend(false).await;
    let delivery = tenant.until(&message, "succeeded").await;
    assert_eq!(delivery["attempts"], 2);
    tenant.publish("ticket.created", json!({"n": 2})).await;
}
