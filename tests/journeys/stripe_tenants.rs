//! Whose a callback is: of the tenant that has its customer, or else of the one that it names; and if nobody
//! knows, it waits until somebody does.

use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use crate::support::{
    App, Receiver, STRIPE, Stripe, Tenant, eventually, ids,
    stripe::{Shape, but, checkout, event, invoice, of_tenant, subscription, until_nothing_waits},
};

const WAITING: &str = "/api/platform/billing/unassigned";
const CHECKOUT: &str = "checkout.session.completed";

/// A paid invoice of a customer.
fn paid(invoice_id: &str, customer: &str) -> Value {
    invoice(Shape::SinceBasil, invoice_id, customer, "sub_1", "paid")
}

/// The callbacks that wait, each with the reason, the newest first.
async fn waiting(app: &App) -> Vec<(String, String)> {
    let rows = app.platform().walk(WAITING, 200).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rows.iter()
        .map(|row| (text(&row["id"]), text(&row["reason"])))
        .collect()
}

async fn customer_of(tenant: &Tenant) -> Value {
    tenant.billing().await["customer_id"].clone()
}

/// Gives a tenant a customer, or takes it away.
async fn link(tenant: &Tenant, customer: Value) {
    let path = format!("/api/platform/tenants/{}", tenant.id);
    let body = json!({"stripe_customer_id": customer});
    let changed = tenant.platform.patch(&path, body).await.expect(200);
    assert_eq!(changed["stripe_customer_id"], customer);
}

fn assign_path(id: &str) -> String {
    format!("{WAITING}/{id}/assign")
}

async fn is_intact(app: &App) {
    let verdict = app.platform().get("/api/platform/audit/verify").await;
    let verdict = verdict.expect(200);
    assert_eq!(verdict["intact"], true, "{verdict}");
}

/// The ids of a tenant's invoices, in the order of the alphabet.
async fn invoices(tenant: &Tenant) -> Vec<String> {
    let shown = tenant.billing().await;
    let rows = shown["invoices"].as_array().unwrap().clone();
    let mut ids: Vec<String> = ids(&rows).into_iter().map(str::to_owned).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_known_customer_counts_more_than_what_is_written() {
    let app = App::with(&[STRIPE]).await;
    let (acme, globex) = (app.tenant("acme").await, app.tenant("globex").await);
    link(&acme, json!("cus_1")).await;
    let stripe = Stripe::of(&app);
    let written = event(
        "evt_1",
        "invoice.paid",
        0,
        of_tenant(paid("in_1", "cus_1"), "globex"),
    );
    stripe.tell(&written, "applied").await;
    let referred = event("evt_2", CHECKOUT, 0, checkout("cus_1", Some("globex")));
    stripe.tell(&referred, "applied").await;
    let both = of_tenant(checkout("cus_1", Some("globex")), "nobody");
    stripe
        .tell(&event("evt_3", CHECKOUT, 0, both), "applied")
        .await;
    // Also a customer that is written out.
    let expanded = but(
        paid("in_2", ""),
        json!({"customer": {"id": "cus_1", "object": "customer"}}),
    );
    stripe
        .tell(&event("evt_4", "invoice.paid", 0, expanded), "applied")
        .await;
    assert_eq!(invoices(&acme).await, ["in_1", "in_2"]);
    assert_eq!(
        (customer_of(&acme).await, customer_of(&globex).await),
        (json!("cus_1"), Value::Null)
    );
    assert_eq!(invoices(&globex).await, [] as [&str; 0]);
}

#[tokio::test]
async fn metadata_names_the_tenant_wherever_stripe_copies_it() {
    let app = App::with(&[STRIPE]).await;
    let stripe = Stripe::of(&app);
    let named = |tenant: &str| json!({"tenant_id": tenant, "else": "x"});
    for (number, place) in ["object", "before", "since_basil"].into_iter().enumerate() {
        let tenant = app.tenant(place).await;
        let customer = format!("cus_{number}");
        let shape = if place == "before" {
            Shape::Before
        } else {
            Shape::SinceBasil
        };
        let mut object = invoice(shape, "in_1", &customer, "sub_1", "paid");
        match place {
            "object" => object["metadata"] = named(place),
            "before" => object["subscription_details"] = json!({"metadata": named(place)}),
            _ => object["parent"]["subscription_details"]["metadata"] = named(place),
        }
        stripe
            .tell(
                &event(&format!("evt_{number}"), "invoice.paid", 0, object),
                "applied",
            )
            .await;
        assert_eq!(customer_of(&tenant).await, customer);
        // From now on the customer is enough.
        let later = event(
            &format!("evt_{number}_2"),
            "invoice.paid",
            0,
            paid("in_2", &customer),
        );
        stripe.tell(&later, "applied").await;
        assert_eq!(invoices(&tenant).await, ["in_1", "in_2"]);
    }
}

#[tokio::test]
async fn whose_it_is_not_known_waits_with_the_reason() {
    let app = App::with(&[STRIPE]).await;
    let (acme, other) = (app.tenant("acme").await, app.tenant("other").await);
    let stripe = Stripe::of(&app);
    // Whoever buys chooses the reference: it makes a customer of who is none, and takes nobody's away.
    let bought = event("evt_0", CHECKOUT, 0, checkout("cus_1", Some("acme")));
    stripe.tell(&bought, "applied").await;
    let updated = subscription(Shape::Before, "sub_9", "cus_9", "active");
    let referred = but(updated.clone(), json!({"client_reference_id": "other"}));
    let mut expected = Vec::new();
    for (number, (reason, kind, object)) in [
        ("other_customer", CHECKOUT, checkout("cus_2", Some("acme"))),
        (
            "other_customer",
            "invoice.paid",
            of_tenant(paid("in_2", "cus_2"), "acme"),
        ),
        (
            "unknown_tenant",
            CHECKOUT,
            checkout("cus_3", Some("nobody")),
        ),
        (
            "unknown_tenant",
            CHECKOUT,
            of_tenant(checkout("cus_3", Some("other")), "nobody"),
        ),
        (
            "unknown_tenant",
            "invoice.paid",
            of_tenant(paid("in_3", "cus_3"), "No Tenant's Id"),
        ),
        ("no_tenant_named", "invoice.paid", paid("in_4", "cus_4")),
        ("no_tenant_named", CHECKOUT, checkout("cus_4", None)),
        // Only a checkout refers to somebody.
        ("no_tenant_named", "customer.subscription.updated", referred),
        (
            "no_tenant_named",
            "invoice.paid",
            but(paid("in_5", ""), json!({"customer": null})),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("evt_{}", number + 1);
        let told = event(&id, kind, 0, object);
        stripe.tell(&told, "unassigned").await;
        let again = stripe.bring(&told).await.expect(200);
        assert_eq!(
            again,
            json!({"id": id, "outcome": "unassigned", "duplicate": true})
        );
        expected.insert(0, (id, reason.to_owned()));
    }
    assert_eq!(waiting(&app).await, expected);
    assert_eq!(
        (customer_of(&acme).await, customer_of(&other).await),
        (json!("cus_1"), Value::Null)
    );
    let rows = app.platform().walk(WAITING, 200).await;
    let shown = json!({
        "id": "evt_4", "type": CHECKOUT, "reason": "unknown_tenant", "customer_id": "cus_3",
        "metadata_tenant_id": "nobody", "client_reference_id": "other", "livemode": false,
        "created_at": "2026-09-21T14:13:20.000Z", "received_at": rows[5]["received_at"],
    });
    assert_eq!(rows[5], shown);
    for limit in [1, 2, 4] {
        assert_eq!(app.platform().walk(WAITING, limit).await, rows, "{limit}");
    }
    // Tenants do not see what may be another one's.
    acme.api.get(WAITING).await.problem(403, "platform_only");
    app.anonymous()
        .get(WAITING)
        .await
        .problem(401, "unauthorized");
    let events = acme.api.walk(
        "/api/admin/audit?actor=stripe&aggregate_type=unassigned_callback",
        200,
    );
    assert_eq!(events.await, [] as [Value; 0]);
}

#[tokio::test]
async fn what_waited_is_applied_when_a_checkout_says_whose_it_is() {
    let (app, receiver) = (App::with(&[STRIPE]).await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant
        .webhook(&receiver.url("/hooks"), &["billing.*"])
        .await;
    let stripe = Stripe::of(&app);
    for number in 0..60 {
        let object = paid(&format!("in_{number:02}"), "cus_1");
        stripe
            .tell(
                &event(&format!("evt_{number}"), "invoice.paid", number, object),
                "unassigned",
            )
            .await;
    }
    let begun = subscription(Shape::SinceBasil, "sub_1", "cus_1", "active");
    let begun = event("evt_begun", "customer.subscription.created", 0, begun);
    stripe.tell(&begun, "unassigned").await;
    let stranger = event("evt_stranger", "invoice.paid", 0, paid("in_1", "cus_2"));
    stripe.tell(&stranger, "unassigned").await;
    let bought = event("evt_bought", CHECKOUT, 0, checkout("cus_1", Some("acme")));
    stripe.tell(&bought, "applied").await;
    let sent = receiver.arrived("/hooks", 61).await;
    for request in &sent {
        request.verify(&webhook.secret);
    }
    eventually("an owner of all but one", async || {
        (waiting(&app).await.len() == 1).then_some(())
    })
    .await;
    assert_eq!(
        waiting(&app).await,
        [("evt_stranger".to_owned(), "no_tenant_named".to_owned())]
    );
    assert_eq!(invoices(&tenant).await.len(), 60);
    assert_eq!(tenant.billing().await["subscription"]["id"], "sub_1");
    assert_eq!(tenant.messages("billing.invoice_paid").await.len(), 60);
    let again = stripe.bring(&begun).await.expect(200);
    assert_eq!(
        again,
        json!({"id": "evt_begun", "outcome": "applied", "duplicate": true})
    );
}

#[tokio::test]
async fn what_waited_is_applied_when_the_platform_says_whose_customer_it_is() {
    let (app, receiver) = (App::with(&[STRIPE]).await, Receiver::start().await);
    let (acme, globex) = (app.tenant("acme").await, app.tenant("globex").await);
    acme.webhook(&receiver.url("/hooks"), &["billing.*"]).await;
    let stripe = Stripe::of(&app);
    stripe
        .tell(
            &event("evt_1", "invoice.paid", 0, paid("in_1", "cus_1")),
            "unassigned",
        )
        .await;
    link(&acme, json!("cus_1")).await;
    until_nothing_waits(&app).await;
    assert_eq!(invoices(&acme).await, ["in_1"]);
    receiver.arrived("/hooks", 1).await;
    // That it waited is nobody's, also when a tenant got it.
    let waited = "/api/admin/audit?aggregate_type=unassigned_callback";
    assert_eq!(acme.api.walk(waited, 200).await, [] as [Value; 0]);
    is_intact(&app).await;
    // A customer is one tenant's.
    let body = json!({"stripe_customer_id": "cus_1"});
    let path = "/api/platform/tenants/globex";
    let taken = app.platform().patch(path, body.clone()).await;
    taken.problem(409, "stripe_customer_taken");
    assert_eq!(customer_of(&globex).await, Value::Null);
    // Who has it may have it once more, and may give it to another one.
    link(&acme, json!("cus_1")).await;
    link(&acme, Value::Null).await;
    stripe
        .tell(
            &event("evt_2", "invoice.paid", 0, paid("in_2", "cus_1")),
            "unassigned",
        )
        .await;
    link(&globex, json!("cus_1")).await;
    until_nothing_waits(&app).await;
    assert_eq!(
        (invoices(&acme).await, invoices(&globex).await),
        (vec!["in_1".to_owned()], vec!["in_2".to_owned()])
    );
}

#[tokio::test]
async fn what_waits_is_assigned_by_the_platform() {
    let (app, receiver) = (App::with(&[STRIPE]).await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant
        .webhook(&receiver.url("/hooks"), &["billing.*"])
        .await;
    let (stripe, platform) = (Stripe::of(&app), app.platform());
    for (number, customer) in ["cus_1", "cus_1", "cus_2", "cus_1"].into_iter().enumerate() {
        let object = paid(&format!("in_{number}"), customer);
        stripe
            .tell(
                &event(&format!("evt_{number}"), "invoice.paid", 0, object),
                "unassigned",
            )
            .await;
    }
    let nobodys = but(paid("in_4", ""), json!({"customer": null}));
    stripe
        .tell(&event("evt_4", "invoice.paid", 0, nobodys), "unassigned")
        .await;
    let body = json!({"tenant_id": "acme"});
    let assigned = platform
        .post(&assign_path("evt_1"), body.clone())
        .await
        .expect(200);
    assert_eq!(
        assigned,
        json!({"tenant_id": "acme", "customer_id": "cus_1", "callbacks": 3})
    );
    assert_eq!(invoices(&tenant).await, ["in_0", "in_1", "in_3"]);
    // One without customer makes nobody a customer.
    let assigned = platform
        .post(&assign_path("evt_4"), body.clone())
        .await
        .expect(200);
    assert_eq!(
        assigned,
        json!({"tenant_id": "acme", "customer_id": null, "callbacks": 1})
    );
    assert_eq!(customer_of(&tenant).await, "cus_1");
    assert_eq!(invoices(&tenant).await, ["in_0", "in_1", "in_3", "in_4"]);
    assert_eq!(waiting(&app).await.len(), 1);
    for request in receiver.arrived("/hooks", 4).await {
        request.verify(&webhook.secret);
    }
    let again = platform.post(&assign_path("evt_1"), body.clone()).await;
    again.problem(409, "already_assigned");
    // Whoever says so gets another customer.
    let assigned = platform.post(&assign_path("evt_2"), body).await.expect(200);
    assert_eq!(assigned["customer_id"], "cus_2");
    assert_eq!(customer_of(&tenant).await, "cus_2");
    until_nothing_waits(&app).await;

    let path = "/api/platform/audit?event_type=assigned";
    let said = platform.walk(path, 200).await;
    let by_hand: Vec<&Value> = said.iter().map(|event| &event["actor"]["kind"]).collect();
    assert_eq!(by_hand, [&json!("platform"); 5]);
    assert_eq!(tenant.messages("billing.invoice_paid").await.len(), 5);
    is_intact(&app).await;
}

#[tokio::test]
async fn what_cannot_be_assigned_is_refused() {
    let app = App::with(&[STRIPE]).await;
    let (acme, globex) = (app.tenant("acme").await, app.tenant("globex").await);
    let (stripe, platform) = (Stripe::of(&app), app.platform());
    stripe
        .tell(
            &event("evt_1", "invoice.paid", 0, paid("in_1", "cus_1")),
            "unassigned",
        )
        .await;
    let bought = event("evt_2", CHECKOUT, 0, checkout("cus_2", Some("acme")));
    stripe.tell(&bought, "applied").await;
    let path = assign_path("evt_1");
    for (body, code) in [
        (json!({"tenant_id": "nobody"}), "unknown_tenant"),
        (json!({}), "missing_field"),
        (json!({"tenant_id": 5}), "invalid_type"),
        (json!({"tenant_id": null}), "invalid_type"),
        (json!({"tenant_id": "No Tenant"}), "invalid_value"),
        (json!({"tenant_id": "acme", "force": true}), "unknown_field"),
    ] {
        let problem = platform
            .post(&path, body.clone())
            .await
            .problem(422, "invalid_content");
        assert_eq!(problem["errors"][0]["code"], code, "{body}");
    }
    let body = json!({"tenant_id": "acme"});
    // What was never there, and what was somebody's at once.
    for id in ["evt_9", "evt_2"] {
        platform
            .post(&assign_path(id), body.clone())
            .await
            .problem(404, "not_found");
    }
    let answer = platform.send_json("POST", &path, "{").await;
    answer.problem(400, "malformed_json");
    acme.api
        .post(&path, body.clone())
        .await
        .problem(403, "platform_only");
    app.anonymous()
        .post(&path, body.clone())
        .await
        .problem(401, "unauthorized");
    // Past the server, so that nobody is told that the callback has an owner.
    let theft = "UPDATE tenants SET stripe_customer_id = 'cus_1' WHERE id = 'globex'";
    assert_eq!(app.tamper(theft).await, 1);
    platform
        .post(&path, body)
        .await
        .problem(409, "stripe_customer_taken");
    assert_eq!(waiting(&app).await.len(), 1);
    assert_eq!(customer_of(&acme).await, "cus_2");
    for tenant in [&acme, &globex] {
        assert_eq!(invoices(tenant).await, [] as [&str; 0]);
    }
}

/// What names its tenant and what says who has its customer, both at the same time.
#[tokio::test]
async fn nothing_is_left_waiting_when_both_come_at_once() {
    let app = App::with(&[STRIPE]).await;
    let stripe = Stripe::of(&app);
    for number in 0..20 {
        let tenant = app.tenant(&format!("t{number}")).await;
        let customer = format!("cus_{number}");
        let bought = checkout(&customer, Some(&tenant.id));
        let bought = event(&format!("evt_bought_{number}"), CHECKOUT, 0, bought);
        let bill = event(
            &format!("evt_paid_{number}"),
            "invoice.paid",
            0,
            paid("in_1", &customer),
        );
        let (bought, bill) = join(stripe.bring(&bought), stripe.bring(&bill)).await;
        assert_eq!(bought.expect(200)["outcome"], "applied");
        bill.expect(200);
        until_nothing_waits(&app).await;
        assert_eq!(invoices(&tenant).await, ["in_1"]);
        assert_eq!(tenant.messages("billing.invoice_paid").await.len(), 1);
    }
}

#[tokio::test]
async fn of_two_customers_at_once_a_tenant_gets_one() {
    let app = App::with(&[STRIPE]).await;
    let stripe = Stripe::of(&app);
    for number in 0..20 {
        let tenant = app.tenant(&format!("t{number}")).await;
        let bought = |customer: &str| {
            let session = checkout(&format!("cus_{customer}_{number}"), Some(&tenant.id));
            event(&format!("evt_{customer}_{number}"), CHECKOUT, 0, session)
        };
        let (one, other) = (bought("one"), bought("other"));
        let (one, other) = join(stripe.bring(&one), stripe.bring(&other)).await;
        let (one, other) = (one.expect(200), other.expect(200));
        let (customer, late) = match one["outcome"] == "applied" {
            true => ("one", other),
            false => ("other", one),
        };
        assert_eq!(late["outcome"], "unassigned", "{late}");
        assert_eq!(
            customer_of(&tenant).await,
            format!("cus_{customer}_{number}")
        );
    }
    assert_eq!(waiting(&app).await.len(), 20);
}

/// Otherwise nobody could say whose its callbacks are.
#[tokio::test]
async fn of_two_tenants_at_once_one_gets_a_customer() {
    let app = App::with(&[STRIPE]).await;
    let stripe = Stripe::of(&app);
    for round in 0..10 {
        let tenants = [
            app.tenant(&format!("first-{round}")).await,
            app.tenant(&format!("second-{round}")).await,
        ];
        let customer = format!("cus_{round}");
        if round % 2 == 0 {
            let patches = tenants.each_ref().map(|tenant| {
                let path = format!("/api/platform/tenants/{}", tenant.id);
                let body = json!({"stripe_customer_id": customer});
                async move { tenant.platform.patch(&path, body).await.status }
            });
            let mut answers = join_all(patches).await;
            answers.sort_unstable();
            assert_eq!(answers, [200, 409], "{round}");
        } else {
            let buy = tenants.each_ref().map(|tenant| {
                let id = format!("evt_{}", tenant.id);
                let bought = event(&id, CHECKOUT, 0, checkout(&customer, Some(&tenant.id)));
                let stripe = &stripe;
                async move { stripe.tell(&bought, "applied").await }
            });
            join_all(buy).await;
        }
        let owners = join_all(tenants.each_ref().map(customer_of)).await;
        let owners = owners.iter().filter(|owner| **owner == customer).count();
        assert_eq!(owners, 1, "{round}");
    }
    assert_eq!(waiting(&app).await, []);
    is_intact(&app).await;
}

#[tokio::test]
async fn what_comes_ten_times_at_once_waits_once() {
    let app = App::with(&[STRIPE]).await;
    let stripe = Stripe::of(&app);
    for number in 0..10 {
        let stray = event(
            &format!("evt_{number}"),
            "invoice.paid",
            0,
            paid("in_1", "cus_1"),
        );
        let taken = join_all((0..10).map(|_| stripe.bring(&stray))).await;
        let taken: Vec<Value> = taken.into_iter().map(|answer| answer.expect(200)).collect();
        assert!(
            taken.iter().all(|taken| taken["outcome"] == "unassigned"),
            "{taken:?}"
        );
        let first = taken.iter().filter(|taken| taken["duplicate"] == false);
        assert_eq!(first.count(), 1, "{taken:?}");
    }
    assert_eq!(waiting(&app).await.len(), 10);
}

#[tokio::test]
async fn tests_and_money_are_kept_apart() {
    for (mode, outcomes) in [
        ("any", ["applied", "applied", "applied"]),
        ("live", ["ignored", "applied", "applied"]),
        ("test", ["applied", "ignored", "ignored"]),
    ] {
        let app = App::with(&[STRIPE, ("STRIPE_MODE", mode)]).await;
        let tenant = app.tenant("acme").await;
        let stripe = Stripe::of(&app);
        let mut applied = Vec::new();
        // What does not say that it is a test is none.
        for (number, livemode) in [json!(false), json!(true), Value::Null]
            .into_iter()
            .enumerate()
        {
            let invoice = format!("in_{number}");
            let object = of_tenant(paid(&invoice, "cus_1"), "acme");
            let mut told = event(&format!("evt_{number}"), "invoice.paid", 0, object);
            told["livemode"] = livemode;
            stripe.tell(&told, outcomes[number]).await;
            if outcomes[number] == "applied" {
                applied.push(invoice);
            }
        }
        assert_eq!(invoices(&tenant).await, applied, "{mode}");
        let path = "/api/platform/audit?event_type=ignored";
        let ignored = app.platform().walk(path, 200).await;
        assert_eq!(ignored.len(), 3 - applied.len());
        assert!(
            ignored
                .iter()
                .all(|event| event["payload"]["ignored"]["reason"] == "other_mode"),
            "{ignored:?}"
        );
    }
}
