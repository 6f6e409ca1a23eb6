//! What Stripe tells of a tenant's subscription: it arrives signed at the tenant's receivers, it holds
//! whichever part of it came first, and it is there once.

use futures_util::future::join_all;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};

use crate::support::{
    App, Receiver, STRIPE, Stripe, Tenant,
    stripe::{Shape, but, checkout, event, invoice, of_tenant, subscription, until_nothing_waits},
};

const CREATED: &str = "customer.subscription.created";
const UPDATED: &str = "customer.subscription.updated";
const DELETED: &str = "customer.subscription.deleted";

/// How `BEGINNING` is written, and the end of the month after it.
const BEGAN_AT: &str = "2026-09-21T14:13:20.000Z";
const MONTH_ENDS_AT: &str = "2026-10-21T14:13:20.000Z";

#[tokio::test]
async fn a_paid_invoice_arrives_signed_at_the_tenants_receiver() {
    let (app, receiver) = (App::with(&[STRIPE]).await, Receiver::start().await);
    let stripe = Stripe::of(&app);
    for (number, shape) in Shape::ALL.into_iter().enumerate() {
        let tenant = app.tenant(&format!("acme-{number}")).await;
        let (path, customer) = (format!("/{number}"), format!("cus_{number}"));
        let webhook = tenant
            .webhook(&receiver.url(&path), &["billing.invoice_paid"])
            .await;
        let paid = invoice(shape, "in_1", &customer, "sub_1", "paid");
        let paid = event(
            &format!("evt_{number}"),
            "invoice.paid",
            7,
            of_tenant(paid, &tenant.id),
        );
        stripe.tell(&paid, "applied").await;

        let request = receiver.arrived(&path, 1).await.remove(0);
        request.verify(&webhook.secret);
        assert_eq!(request.header("x-webhook-event"), "billing.invoice_paid");
        let data = format!(
            "{{\"customer_id\":\"{customer}\",\"subscription_id\":\"sub_1\",\"invoice\":{{\"id\":\"in_1\",\
             \"status\":\"paid\",\"amount_due\":1999,\"amount_paid\":1999,\"currency\":\"usd\",\
             \"created_at\":\"{BEGAN_AT}\"}}}}"
        );
        let body = format!(
            "{{\"event\":\"billing.invoice_paid\",\"timestamp\":\"2026-09-21T14:13:27.000Z\",\"data\":{data}}}"
        );
        assert_eq!(request.text(), body);
        let delivery = tenant.until(request.message(), "succeeded").await;
        assert_eq!(delivery["webhook_id"], webhook.id);
        let shown = tenant.billing().await;
        assert_eq!(shown["customer_id"], customer);
        assert_eq!(
            shown["invoices"],
            json!([request.json()["data"]["invoice"]])
        );
    }
    assert_eq!(receiver.requests().len(), 2);
}

/// A subscription from its purchase to its end. Nothing but the checkout says whose it is.
fn life(shape: Shape, tenant: &str) -> Vec<Value> {
    let (customer, id) = (format!("cus_{tenant}"), format!("sub_{tenant}"));
    let status = |status| subscription(shape, &id, &customer, status);
    let invoice =
        |id: &str, status| invoice(shape, id, &customer, &format!("sub_{tenant}"), status);
    let last = but(status("active"), json!({"cancel_at_period_end": true}));
    [
        (
            "checkout.session.completed",
            0,
            checkout(&customer, Some(tenant)),
        ),
        (CREATED, 0, status("trialing")),
        (
            "invoice.paid",
            0,
            but(
                invoice("in_0", "paid"),
                json!({"amount_due": 0, "amount_paid": 0}),
            ),
        ),
        (UPDATED, 100, status("active")),
        ("invoice.paid", 100, invoice("in_1", "paid")),
        ("invoice.payment_failed", 200, invoice("in_2", "open")),
        (UPDATED, 200, status("past_due")),
        (
            "invoice.payment_action_required",
            250,
            invoice("in_2", "open"),
        ),
        ("invoice.payment_failed", 300, invoice("in_2", "open")),
        ("invoice.paid", 400, invoice("in_2", "paid")),
        (UPDATED, 400, status("active")),
        (UPDATED, 500, last.clone()),
        ("invoice.voided", 600, invoice("in_3", "void")),
        (
            "customer.created",
            600,
            json!({"id": customer, "object": "customer"}),
        ),
        (DELETED, 700, but(last, json!({"status": "canceled"}))),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, (kind, seconds, object))| {
        event(&format!("evt_{tenant}_{number:02}"), kind, seconds, object)
    })
    .collect()
}

/// What holds after such a life.
fn after_life(tenant: &str) -> Value {
    let invoice = |id: &str, status: &str, due: u64, paid: u64| {
        json!({"id": id, "status": status, "amount_due": due, "amount_paid": paid, "currency": "usd",
               "created_at": BEGAN_AT})
    };
    json!({
        "customer_id": format!("cus_{tenant}"),
        "subscription": {
            "id": format!("sub_{tenant}"), "status": "canceled", "plan": "price_gold",
            "current_period_end": MONTH_ENDS_AT, "cancel_at_period_end": true,
        },
        "invoices": [
            invoice("in_3", "void", 1999, 0), invoice("in_2", "paid", 1999, 1999),
            invoice("in_1", "paid", 1999, 1999), invoice("in_0", "paid", 0, 0),
        ],
    })
}

/// Orders in which a life may be told, by name.
fn orders(life: &[Value]) -> Vec<(String, Vec<Value>)> {
    let mut reversed = life.to_vec();
    reversed.reverse();
    let mut orders = vec![
        ("in order".to_owned(), life.to_vec()),
        ("reversed".to_owned(), reversed),
    ];
    for seed in 0..4 {
        let mut shuffled = life.to_vec();
        shuffled.shuffle(&mut StdRng::seed_from_u64(seed));
        orders.push((format!("shuffled with {seed}"), shuffled));
    }
    orders
}

async fn is_told_alike(shape: Shape) {
    let app = App::with(&[STRIPE]).await;
    let stripe = Stripe::of(&app);
    let names: Vec<String> = orders(&[]).into_iter().map(|(name, _)| name).collect();
    for (number, name) in names.iter().enumerate() {
        for is_doubled in [false, true] {
            let tenant = app.tenant(&format!("t{number}-{is_doubled}")).await;
            let mut told = orders(&life(shape, &tenant.id)).swap_remove(number).1;
            if is_doubled {
                told = told
                    .into_iter()
                    .flat_map(|event| [event.clone(), event])
                    .collect();
            }
            for (place, event) in told.iter().enumerate() {
                let taken = stripe.bring(event).await.expect(200);
                let is_second = is_doubled && place % 2 == 1;
                assert_eq!(taken["duplicate"], is_second, "{name}: {taken}");
            }
            until_nothing_waits(&app).await;
            assert_eq!(
                tenant.billing().await,
                after_life(&tenant.id),
                "{name}, {is_doubled}"
            );
            let paid = tenant.messages("billing.invoice_paid").await;
            assert_eq!(paid.len(), 3, "{name}, {is_doubled}");
            let failed = tenant
                .messages("billing.invoice_payment_failed")
                .await
                .len();
            let updated = tenant.messages("billing.subscription_updated").await.len();
            if name == "in order" {
                assert_eq!((failed, updated), (2, 6), "{is_doubled}");
            }
            assert!(
                failed <= 2 && (1..=6).contains(&updated),
                "{name}: {failed}, {updated}"
            );
        }
    }
}

#[tokio::test]
async fn a_life_that_is_told_in_any_order_ends_alike() {
    is_told_alike(Shape::SinceBasil).await;
}

#[tokio::test]
async fn a_life_in_the_shape_of_before_ends_alike() {
    is_told_alike(Shape::Before).await;
}

#[tokio::test]
async fn what_is_told_ten_times_at_once_has_one_effect() {
    let (app, receiver) = (App::with(&[STRIPE]).await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let stripe = Stripe::of(&app);
    let paid = invoice(Shape::SinceBasil, "in_1", "cus_1", "sub_1", "paid");
    // The tenant gets its customer by the first one, too.
    let paid = event("evt_1", "invoice.paid", 0, of_tenant(paid, "acme"));
    let taken = join_all((0..10).map(|_| stripe.bring(&paid))).await;
    let taken: Vec<Value> = taken.into_iter().map(|answer| answer.expect(200)).collect();
    assert!(
        taken.iter().all(|taken| taken["outcome"] == "applied"),
        "{taken:?}"
    );
    let first = taken.iter().filter(|taken| taken["duplicate"] == false);
    assert_eq!(first.count(), 1, "{taken:?}");
    // The same again later, and the same paid invoice in another event.
    let again = stripe.bring(&paid).await.expect(200);
    assert_eq!(
        again,
        json!({"id": "evt_1", "outcome": "applied", "duplicate": true})
    );
    let mut other = paid.clone();
    other["id"] = json!("evt_2");
    other["created"] = json!(paid["created"].as_i64().unwrap() + 1);
    stripe.tell(&other, "applied").await;
    let message = tenant.messages("billing.invoice_paid").await.remove(0);
    tenant
        .until(message["id"].as_str().unwrap(), "succeeded")
        .await;
    assert_eq!(tenant.messages("billing.invoice_paid").await.len(), 1);
    assert_eq!(receiver.requests().len(), 1);
    let callbacks = tenant
        .api
        .walk("/api/admin/audit?aggregate_type=callback", 200)
        .await;
    assert_eq!(callbacks.len(), 2);
    let strays = "/api/platform/audit?aggregate_type=unassigned_callback";
    assert_eq!(tenant.platform.walk(strays, 200).await, [] as [Value; 0]);
}

#[tokio::test]
async fn nothing_is_taken_back() {
    let (app, shape) = (App::with(&[STRIPE]).await, Shape::SinceBasil);
    let tenant = app.tenant("acme").await;
    let stripe = Stripe::of(&app);
    let one = |id: &str, kind: &str, seconds, status: &str| {
        let object = subscription(shape, "sub_1", "cus_1", status);
        event(id, kind, seconds, of_tenant(object, "acme"))
    };
    // An update comes before what it updates.
    stripe
        .tell(&one("evt_2", UPDATED, 20, "past_due"), "applied")
        .await;
    stripe
        .tell(&one("evt_1", CREATED, 10, "incomplete"), "stale")
        .await;
    stripe
        .tell(&one("evt_3", UPDATED, 19, "active"), "stale")
        .await;
    assert_eq!(tenant.billing().await["subscription"]["status"], "past_due");
    // What has ended stays so, also if something later says otherwise.
    stripe
        .tell(&one("evt_4", DELETED, 30, "canceled"), "applied")
        .await;
    stripe
        .tell(&one("evt_5", UPDATED, 31, "active"), "stale")
        .await;
    let again = stripe.bring(&one("evt_5", UPDATED, 31, "active")).await;
    assert_eq!(
        again.expect(200),
        json!({"id": "evt_5", "outcome": "stale", "duplicate": true})
    );
    assert_eq!(tenant.billing().await["subscription"]["status"], "canceled");

    let bill = |id: &str, kind: &str, seconds, status: &str| {
        let object = invoice(shape, "in_1", "cus_1", "sub_1", status);
        event(id, kind, seconds, object)
    };
    stripe
        .tell(&bill("evt_6", "invoice.paid", 40, "paid"), "applied")
        .await;
    stripe
        .tell(
            &bill("evt_7", "invoice.payment_failed", 41, "open"),
            "stale",
        )
        .await;
    assert_eq!(tenant.billing().await["invoices"][0]["status"], "paid");
    assert_eq!(
        tenant.messages("billing.invoice_payment_failed").await,
        [] as [Value; 0]
    );
    assert_eq!(
        tenant.messages("billing.subscription_updated").await.len(),
        2
    );
}

#[tokio::test]
async fn what_is_not_handled_is_recorded_and_changes_nothing() {
    let app = App::with(&[STRIPE]).await;
    let tenant = app.tenant("acme").await;
    let stripe = Stripe::of(&app);
    let kinds = [
        "customer.created",
        "invoice.payment_succeeded",
        "charge.refunded",
        "v2.core.event",
        "new",
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        let object = of_tenant(json!({"id": "x_1", "customer": "cus_1"}), "acme");
        stripe
            .tell(&event(&format!("evt_{number}"), kind, 0, object), "ignored")
            .await;
    }
    // A type that is handled, and shows nothing.
    for (number, object) in [json!(null), json!({}), json!({"id": 5}), json!([])]
        .into_iter()
        .enumerate()
    {
        let nothing = event(&format!("evt_nothing_{number}"), "invoice.paid", 0, object);
        stripe.tell(&nothing, "ignored").await;
    }
    let known = app
        .platform()
        .walk("/api/platform/audit?event_type=ignored", 200)
        .await;
    let reasons: Vec<&Value> = known
        .iter()
        .map(|event| &event["payload"]["ignored"]["reason"])
        .collect();
    assert_eq!(reasons[..4], [&json!("nothing_shown"); 4]);
    assert_eq!(reasons[4..], [&json!("unhandled_type"); 5]);
    let empty = json!({"customer_id": null, "subscription": null, "invoices": []});
    assert_eq!(tenant.billing().await, empty);
    assert_eq!(
        tenant.api.walk("/api/admin/audit?actor=stripe", 200).await,
        [] as [Value; 0]
    );
    assert_eq!(tenant.api.walk("/api/events", 200).await, [] as [Value; 0]);
}

#[tokio::test]
async fn of_several_subscriptions_the_newest_that_lives_is_shown() {
    let (app, shape) = (App::with(&[STRIPE]).await, Shape::SinceBasil);
    let tenant = app.tenant("acme").await;
    let stripe = Stripe::of(&app);
    let mut number = 0;
    let mut make = |id: &str, made: i64, kind: &str, status: &str| {
        number += 1;
        let object = subscription(shape, id, "cus_1", status);
        let made = json!(object["created"].as_i64().unwrap() + made);
        let object = of_tenant(but(object, json!({"created": made})), "acme");
        event(&format!("evt_{number}"), kind, number, object)
    };
    for (told, expected) in [
        (make("sub_2", 2, CREATED, "active"), "sub_2"),
        (make("sub_1", 1, CREATED, "active"), "sub_2"),
        (make("sub_3", 3, CREATED, "trialing"), "sub_3"),
        (make("sub_4", 4, DELETED, "canceled"), "sub_3"),
        (make("sub_3", 3, DELETED, "canceled"), "sub_2"),
        (make("sub_1", 1, UPDATED, "past_due"), "sub_2"),
        (make("sub_2", 2, DELETED, "canceled"), "sub_1"),
        (make("sub_1", 1, DELETED, "canceled"), "sub_4"),
    ] {
        stripe.tell(&told, "applied").await;
        assert_eq!(
            tenant.billing().await["subscription"]["id"],
            expected,
            "{told}"
        );
    }
}

/// What each event of the audit says of who did what.
fn deeds(events: &[Value]) -> Vec<(&str, &str)> {
    events
        .iter()
        .map(|event| {
            (
                event["aggregate_type"].as_str().unwrap(),
                event["event_type"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn the_audit_shows_that_it_was_stripe() {
    let (app, shape) = (App::with(&[STRIPE]).await, Shape::SinceBasil);
    let (tenant, neighbour) = (app.tenant("acme").await, app.tenant("globex").await);
    let stripe = Stripe::of(&app);
    let bought = event(
        "evt_1",
        "checkout.session.completed",
        0,
        checkout("cus_1", Some("acme")),
    );
    stripe.tell(&bought, "applied").await;
    let paid = event(
        "evt_2",
        "invoice.paid",
        1,
        invoice(shape, "in_1", "cus_1", "sub_1", "paid"),
    );
    stripe.tell(&paid, "applied").await;
    let failed = invoice(shape, "in_1", "cus_1", "sub_1", "open");
    stripe
        .tell(
            &event("evt_3", "invoice.payment_failed", 0, failed),
            "stale",
        )
        .await;

    let path = "/api/admin/audit?actor=stripe";
    let mut events = tenant.api.walk(path, 200).await;
    events.reverse();
    let expected = [
        ("callback", "applied"),
        ("tenant", "stripe_customer_set"),
        ("callback", "applied"),
        ("billing", "invoice_updated"),
        ("message", "accepted"),
        ("callback", "stale"),
    ];
    assert_eq!(deeds(&events), expected);
    let actor = json!({"kind": "stripe", "id": "stripe", "name": "Stripe"});
    assert!(
        events.iter().all(|event| event["actor"] == actor),
        "{events:?}"
    );
    assert_eq!(events[2]["aggregate_id"], "evt_2");
    let notice = &events[2]["payload"]["applied"]["notice"];
    assert_eq!(
        (&notice["type"], &notice["customer_id"]),
        (&json!("invoice.paid"), &json!("cus_1"))
    );
    assert_eq!(notice["body_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(
        events[3]["payload"]["invoice_updated"]["seen"]["callback_id"],
        "evt_2"
    );

    assert_eq!(neighbour.api.walk(path, 200).await, [] as [Value; 0]);
    let empty = json!({"customer_id": null, "subscription": null, "invoices": []});
    assert_eq!(neighbour.billing().await, empty);
    for api in [&tenant.api, &neighbour.api] {
        let verdict = api.get("/api/admin/audit/verify").await.expect(200);
        assert_eq!(verdict["intact"], true, "{verdict}");
    }
    let verdict = app
        .platform()
        .get("/api/platform/audit/verify")
        .await
        .expect(200);
    assert_eq!(verdict["intact"], true, "{verdict}");
}

async fn no_view_differs(app: &App) {
    let server = format!("--server=http://{}", app.address());
    let check = app.run(&["rebuild", "--check", &server]).await;
    let complaint = String::from_utf8_lossy(&check.stderr);
    assert!(check.status.success(), "{complaint}");
}

async fn rebuild(tenant: &Tenant) {
    let rebuilt = tenant
        .platform
        .post("/api/platform/rebuild", json!({}))
        .await;
    let text = rebuilt.text();
    let found: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let views = found["views"].as_array().unwrap();
    let names = ["subscriptions", "invoices", "unassigned_callbacks"];
    for name in names {
        let view = views.iter().find(|view| view["view"] == name).unwrap();
        assert_ne!(view["rows"], 0, "{view}");
    }
    for view in views {
        let differences = ["missing", "surplus", "changed"].map(|kind| &view[kind]);
        assert_eq!(differences, [&json!(0); 3], "{view}");
    }
}

#[tokio::test]
async fn everything_is_there_after_a_rebuild_and_after_a_kill() {
    let mut app = App::with(&[STRIPE]).await;
    let tenant = app.tenant("acme").await;
    let stripe = Stripe::of(&app);
    for event in life(Shape::SinceBasil, "acme") {
        stripe.bring(&event).await.expect(200);
    }
    let stray = invoice(Shape::Before, "in_9", "cus_9", "sub_9", "paid");
    let stray = event("evt_stray", "invoice.paid", 0, stray);
    stripe.tell(&stray, "unassigned").await;
    let waiting = "/api/platform/billing/unassigned";
    let before = tenant.platform.get(waiting).await.expect(200);
    assert_eq!(before["data"][0]["id"], "evt_stray");
    no_view_differs(&app).await;
    rebuild(&tenant).await;
    app.kill();
    app.restart().await;
    assert_eq!(tenant.billing().await, after_life("acme"));
    assert_eq!(tenant.platform.get(waiting).await.expect(200), before);
    // What was taken is known.
    for event in life(Shape::SinceBasil, "acme").iter().chain([&stray]) {
        let again = stripe.bring(event).await.expect(200);
        assert_eq!(again["duplicate"], true, "{again}");
    }
    assert_eq!(tenant.messages("billing.invoice_paid").await.len(), 3);
    no_view_differs(&app).await;
}
