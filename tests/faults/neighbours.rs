//! An endpoint that hangs is its own tenant's burden. Told by order, not by time: what must not
//! wait arrives while everything of the one that hangs is still held back.

use serde_json::json;

use crate::support::{App, Gate, Receiver, Reply};

const MESSAGES: usize = 30;

#[tokio::test]
async fn a_tenant_whose_endpoint_hangs_delays_no_other() {
    let settings = [
        ("MAX_IN_FLIGHT", "8"),
        ("MAX_IN_FLIGHT_PER_TENANT", "6"),
        ("MAX_IN_FLIGHT_PER_WEBHOOK", "6"),
    ];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let gate = Gate::closed();
    let held = gate.clone();
    receiver.on("/hang", move |_| Reply::ok().behind(&held));
    let (burden, quiet) = (app.tenant("burden").await, app.tenant("quiet").await);
    burden.webhook(&receiver.url("/hang"), &["*"]).await;
    quiet.webhook(&receiver.url("/quiet"), &["*"]).await;
    for n in 0..MESSAGES {
        burden.publish("ticket.created", json!({"n": n})).await;
    }
    receiver.arrived("/hang", 6).await;
    for n in 0..MESSAGES {
        let message = quiet.publish("ticket.created", json!({"n": n})).await;
        quiet.until(&message, "succeeded").await;
    }
    assert_eq!(receiver.requests_at("/quiet").len(), MESSAGES);
    assert_eq!(
        receiver.requests_at("/hang").len(),
        6,
        "the limit of a tenant"
    );
    assert_eq!(burden.deliveries("status=pending").await.len(), MESSAGES);
    gate.open();
    burden.until_nothing_is_pending().await;
    assert_eq!(receiver.requests_at("/hang").len(), MESSAGES);
}

#[tokio::test]
async fn a_webhook_that_hangs_delays_none_of_its_tenant() {
    let settings = [
        ("MAX_IN_FLIGHT_PER_TENANT", "4"),
        ("MAX_IN_FLIGHT_PER_WEBHOOK", "3"),
    ];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let gate = Gate::closed();
    let held = gate.clone();
    receiver.on("/hang", move |_| Reply::ok().behind(&held));
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hang"), &["*"]).await;
    let good = tenant.webhook(&receiver.url("/good"), &["*"]).await;
    for n in 0..MESSAGES {
        tenant.publish("ticket.created", json!({"n": n})).await;
    }
    receiver.arrived("/good", MESSAGES).await;
    assert_eq!(
        receiver.requests_at("/hang").len(),
        3,
        "the limit of a webhook"
    );
    gate.open();
    tenant.until_nothing_is_pending().await;
    assert_eq!(
        tenant.deliveries("status=succeeded").await.len(),
        2 * MESSAGES
    );
    assert_eq!(
        tenant.logs(&format!("webhook_id={}", good.id)).await.len(),
        MESSAGES
    );
}

/// When all of the process's attempts are taken, freed ones go round the tenants.
#[tokio::test]
async fn freed_attempts_go_round_the_tenants() {
    let settings = [
        ("MAX_IN_FLIGHT", "2"),
        ("MAX_IN_FLIGHT_PER_TENANT", "2"),
        ("MAX_IN_FLIGHT_PER_WEBHOOK", "2"),
    ];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let gate = Gate::closed();
    let held = gate.clone();
    receiver.on("/many", move |_| Reply::ok().behind(&held));
    let (many, few) = (app.tenant("many").await, app.tenant("few").await);
    many.webhook(&receiver.url("/many"), &["*"]).await;
    few.webhook(&receiver.url("/few"), &["*"]).await;
    for n in 0..MESSAGES {
        many.publish("ticket.created", json!({"n": n})).await;
    }
    receiver.arrived("/many", 2).await;
    for n in 0..3 {
        few.publish("ticket.created", json!({"n": n})).await;
    }
    gate.open();
    few.until_nothing_is_pending().await;
    many.until_nothing_is_pending().await;
    let last_of_few = receiver.requests_at("/few").last().unwrap().number;
    // Its three had their turns among the first of the thirty.
    assert!(last_of_few <= 2 + 3 * 4, "the {last_of_few}th of all");
    assert_eq!(receiver.requests().len(), MESSAGES + 3);
}
