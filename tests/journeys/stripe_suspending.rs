//! Suspended tenants and their subscriptions: what Stripe tells of them, and the rule that suspends whoever
//! does not pay.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::{
    App, Receiver, STRIPE, Stripe, Tenant,
    stripe::{Shape, event, invoice, of_tenant, subscription},
};

const RULE: [(&str, &str); 2] = [STRIPE, ("STRIPE_SUSPEND", "true")];

/// What Stripe tells of acme's subscription, the one thing after the other.
struct Story {
    stripe: Stripe,
    told: i64,
}

impl Story {
    fn of(app: &App) -> Self {
        let stripe = Stripe::of(app);
        Self { stripe, told: 0 }
    }

    async fn tell(&mut self, status: &str) {
        self.told += 1;
        let kind = match status {
            "canceled" => "customer.subscription.deleted",
            _ => "customer.subscription.updated",
        };
        let object = subscription(Shape::SinceBasil, "sub_1", "cus_1", status);
        let id = format!("evt_{}", self.told);
        let told = event(&id, kind, self.told, of_tenant(object, "acme"));
        self.stripe.tell(&told, "applied").await;
    }
}

async fn is_suspended(tenant: &Tenant) -> bool {
    let path = format!("/api/platform/tenants/{}", tenant.id);
    let shown = tenant.platform.get(&path).await.expect(200);
    let is_suspended = shown["is_suspended"].as_bool().unwrap();
    let body = json!({"event": "ticket.created", "data": {}});
    let answer = tenant.api.post("/api/events", body).await;
    match is_suspended {
        true => drop(answer.problem(403, "tenant_suspended")),
        false => drop(answer.expect(202)),
    }
    is_suspended
}

#[tokio::test]
async fn what_is_told_of_a_suspended_tenant_waits_for_its_end() {
    let (mut app, receiver) = (App::with(&[STRIPE]).await, Receiver::start().await);
    let (tenant, neighbour) = (app.tenant("acme").await, app.tenant("globex").await);
    let webhook = tenant
        .webhook(&receiver.url("/hooks"), &["billing.*"])
        .await;
    neighbour.webhook(&receiver.url("/neighbour"), &["*"]).await;
    tenant.suspend(true).await;
    let stripe = Stripe::of(&app);
    let paid = invoice(Shape::Before, "in_1", "cus_1", "sub_1", "paid");
    let paid = event("evt_1", "invoice.paid", 0, of_tenant(paid, "acme"));
    stripe.tell(&paid, "applied").await;
    // It is known at once, and sent later.
    assert_eq!(tenant.billing().await["invoices"][0]["status"], "paid");
    app.kill();
    app.restart().await;
    let other = neighbour.publish("ticket.created", json!({})).await;
    neighbour.until(&other, "succeeded").await;
    let message = tenant.messages("billing.invoice_paid").await.remove(0);
    let message = message["id"].as_str().unwrap();
    assert_eq!(tenant.delivery_of(message).await["status"], "pending");
    assert_eq!(receiver.requests_at("/hooks").len(), 0);
    tenant.suspend(false).await;
    tenant.until(message, "succeeded").await;
    receiver.requests_at("/hooks")[0].verify(&webhook.secret);
}

#[tokio::test]
async fn whoever_does_not_pay_is_suspended_until_they_do() {
    let (mut app, receiver) = (App::with(&RULE).await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant
        .webhook(&receiver.url("/hooks"), &["billing.*"])
        .await;
    let mut story = Story::of(&app);
    for status in ["trialing", "active", "past_due"] {
        story.tell(status).await;
        assert!(!is_suspended(&tenant).await, "{status}");
    }
    tenant.until_nothing_is_pending().await;
    story.tell("unpaid").await;
    assert!(is_suspended(&tenant).await);
    app.kill();
    app.restart().await;
    assert!(is_suspended(&tenant).await);
    story.tell("active").await;
    assert!(!is_suspended(&tenant).await);
    tenant.until_nothing_is_pending().await;
    // What was under way when the process died has come twice.
    let mut told = Vec::new();
    let mut seen = HashSet::new();
    for request in receiver.requests() {
        request.verify(&webhook.secret);
        if seen.insert(request.message().to_owned()) {
            told.push(request.json()["data"]["subscription"]["status"].clone());
        }
    }
    told.sort_by_key(Value::to_string);
    assert_eq!(told, ["active", "active", "past_due", "trialing", "unpaid"]);
    story.tell("canceled").await;
    assert!(is_suspended(&tenant).await);

    let done = "/api/admin/audit?actor=stripe&aggregate_type=tenant";
    let mut done = tenant.api.walk(done, 200).await;
    done.reverse();
    let done: Vec<&Value> = done.iter().map(|event| &event["event_type"]).collect();
    assert_eq!(
        done,
        [
            "stripe_customer_set",
            "suspended_for_billing",
            "resumed",
            "suspended_for_billing"
        ]
    );
}

#[tokio::test]
async fn without_the_rule_nobody_is_suspended() {
    let app = App::with(&[STRIPE]).await;
    let tenant = app.tenant("acme").await;
    let mut story = Story::of(&app);
    for status in ["active", "unpaid", "canceled"] {
        story.tell(status).await;
        assert!(!is_suspended(&tenant).await, "{status}");
    }
}

/// An operator who suspends a tenant has other reasons than its bill.
#[tokio::test]
async fn what_was_suspended_by_hand_is_resumed_by_hand() {
    for statuses in [
        &["active"][..],
        &["past_due", "active"],
        &["unpaid", "active"],
    ] {
        let app = App::with(&RULE).await;
        let tenant = app.tenant("acme").await;
        let mut story = Story::of(&app);
        story.tell("trialing").await;
        tenant.suspend(true).await;
        for status in statuses {
            story.tell(status).await;
            assert!(is_suspended(&tenant).await, "{statuses:?}");
        }
        tenant.suspend(false).await;
        assert!(!is_suspended(&tenant).await);
    }
}

/// What an operator has lifted stays so while nothing else is told than that it is not paid for.
#[tokio::test]
async fn a_suspension_by_the_rule_may_be_lifted_by_hand() {
    let app = App::with(&RULE).await;
    let tenant = app.tenant("acme").await;
    let mut story = Story::of(&app);
    story.tell("unpaid").await;
    assert!(is_suspended(&tenant).await);
    tenant.suspend(false).await;
    story.tell("unpaid").await;
    assert!(!is_suspended(&tenant).await);
    // Paid for once more, it is a new story.
    story.tell("active").await;
    story.tell("canceled").await;
    assert!(is_suspended(&tenant).await);
}

/// Whoever suspends what the rule has suspended has other reasons, too.
#[tokio::test]
async fn a_suspension_by_the_rule_may_be_taken_over() {
    let app = App::with(&RULE).await;
    let tenant = app.tenant("acme").await;
    let mut story = Story::of(&app);
    story.tell("unpaid").await;
    tenant.suspend(true).await;
    story.tell("active").await;
    assert!(is_suspended(&tenant).await);
    tenant.suspend(false).await;
    assert!(!is_suspended(&tenant).await);
}
