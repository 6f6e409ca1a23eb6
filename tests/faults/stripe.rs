//! The process is killed between the arrival of Stripe's callbacks and the answer to them. Stripe brings them
//! again until they are answered with 200: then each has had its effect, once.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::kill_rounds::at_a_random_moment;
use crate::support::{
    App, DEADLINE, Receiver, STRIPE, Stripe, Tenant,
    stripe::{Shape, checkout, event, invoice, of_tenant, subscription, until_nothing_waits},
};

const ROUNDS: usize = 50;
/// When the process is killed after the callbacks of a round were sent, in milliseconds.
const KILLED_AFTER_MS: std::ops::Range<u64> = 0..40;
/// Every so many rounds the process is killed while it starts, too: then it gives away what waits.
const KILLED_AT_START: usize = 5;
/// How often a customer gets a tenant while callbacks wait, and how many.
const ROUNDS_OF_LINKS: usize = 10;
const WAITING: usize = 15;
/// Before a callback that was not answered is brought again.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// Callbacks of two customers, in the hands of four who bring them. The one is known; of the other nobody knows
/// whose it is until the checkout, which is brought in the middle.
fn callbacks(round: usize) -> Vec<Vec<Value>> {
    let shape = Shape::ALL[round % 2];
    let id = |kind: &str| format!("evt_{round}_{kind}");
    let paid = |number: usize| {
        let object = invoice(
            shape,
            &format!("in_{round}_{number}"),
            "cus_known",
            "sub_1",
            "paid",
        );
        let object = of_tenant(object, "known");
        event(&id(&format!("paid_{number}")), "invoice.paid", 0, object)
    };
    let (customer, buyer) = (format!("cus_{round}"), buyer(round));
    let status = |status| subscription(shape, &format!("sub_{round}"), &customer, status);
    let bill = |status| invoice(shape, "in_1", &customer, &format!("sub_{round}"), status);
    let kind = |kind: &str| format!("customer.subscription.{kind}");
    vec![
        vec![paid(0), paid(1)],
        vec![paid(2), paid(3)],
        vec![
            event(&id("failed"), "invoice.payment_failed", 1, bill("open")),
            event(
                &id("bought"),
                "checkout.session.completed",
                0,
                checkout(&customer, Some(&buyer)),
            ),
            event(&id("paid"), "invoice.paid", 2, bill("paid")),
        ],
        vec![
            event(&id("updated"), &kind("updated"), 2, status("active")),
            event(&id("created"), &kind("created"), 0, status("trialing")),
        ],
    ]
}

/// The tenant that is linked in this round.
fn buyer(round: usize) -> String {
    format!("buyer-{round}")
}

/// Brings callbacks as Stripe does; gives the ids of those that were known when they were brought again.
async fn bring_all(stripe: &Stripe, callbacks: &[Value]) -> Vec<String> {
    let mut known = Vec::new();
    for callback in callbacks {
        let started = Instant::now();
        loop {
            if let Some(taken) = stripe.try_bring(callback).await {
                if taken["duplicate"] == true {
                    known.push(taken["id"].as_str().unwrap().to_owned());
                }
                break;
            }
            // The server is away, is just starting, or its port is another test's server's by now.
            assert!(started.elapsed() < DEADLINE, "a callback is not taken");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
    known
}

/// Lets the process die once while these are brought, and start again. Gives how many had their effect and
/// no answer.
async fn round(app: &mut App, stripe: &Stripe, callbacks: &[Vec<Value>], at_start: bool) -> usize {
    let bringing = join_all(
        callbacks
            .iter()
            .map(|callbacks| bring_all(stripe, callbacks)),
    );
    let killing = async {
        at_a_random_moment(KILLED_AFTER_MS).await;
        app.kill();
        if at_start {
            app.begin_restart();
            at_a_random_moment(0..60).await;
            app.kill();
        }
        app.restart().await;
    };
    let (known, ()) = tokio::join!(bringing, killing);
    known.into_iter().flatten().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_brought_again_after_a_kill_has_one_effect() {
    let (mut app, receiver) = (App::with(&[STRIPE]).await, Receiver::start().await);
    let stripe = Stripe::of(&app);
    let known = app.tenant("known").await;
    known.webhook(&receiver.url("/known"), &["billing.*"]).await;
    let (mut buyers, mut unanswered, mut ids) = (Vec::new(), 0, BTreeSet::new());
    for number in 0..ROUNDS {
        let tenant = app.tenant(&buyer(number)).await;
        let path = format!("/{}", tenant.id);
        tenant.webhook(&receiver.url(&path), &["billing.*"]).await;
        buyers.push(tenant);
        let callbacks = callbacks(number);
        unanswered += round(&mut app, &stripe, &callbacks, number % KILLED_AT_START == 0).await;
        ids.extend(
            callbacks
                .into_iter()
                .flatten()
                .map(|event| event["id"].clone().to_string()),
        );
    }
    assert!(
        unanswered > 0,
        "no process died between an effect and its answer"
    );
    until_nothing_waits(&app).await;
    assert_eq!(taken_once(&app).await, ids);
    for (number, tenant) in buyers.iter().enumerate() {
        assert_bought(tenant, number).await;
        assert_told(tenant, &receiver).await;
    }
    let paid = known.messages("billing.invoice_paid").await;
    let invoices: BTreeSet<String> = paid
        .iter()
        .map(|message| message["body"].to_string())
        .collect();
    assert_eq!((paid.len(), invoices.len()), (4 * ROUNDS, 4 * ROUNDS));
    assert_told(&known, &receiver).await;
    assert_sound(&app).await;
}

/// Nobody brings anything again here: what was told while it waited is given away all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_given_away_though_the_process_dies_over_it() {
    let mut app = App::with(&[STRIPE]).await;
    let (stripe, platform) = (Stripe::of(&app), app.platform());
    let mut interrupted = 0;
    for number in 0..ROUNDS_OF_LINKS {
        let (tenant, customer) = (app.tenant(&buyer(number)).await, format!("cus_{number}"));
        for bill in 0..WAITING {
            let object = invoice(
                Shape::Before,
                &format!("in_{bill}"),
                &customer,
                "sub_1",
                "paid",
            );
            let paid = event(&format!("evt_{number}_{bill}"), "invoice.paid", 0, object);
            stripe.tell(&paid, "unassigned").await;
        }
        let path = format!("/api/platform/tenants/{}", tenant.id);
        let link = json!({"stripe_customer_id": customer}).to_string();
        let headers = [("Content-Type", "application/json")];
        let linking = platform.try_send("PATCH", &path, &headers, Some(link.as_bytes()));
        let killing = async {
            at_a_random_moment(KILLED_AFTER_MS).await;
            app.kill();
        };
        let (answer, ()) = tokio::join!(linking, killing);
        app.restart().await;
        let is_linked = tenant.billing().await["customer_id"] == customer;
        interrupted += usize::from(is_linked && answer.is_none());
        if !is_linked {
            platform.send_json("PATCH", &path, &link).await.expect(200);
        }
        until_nothing_waits(&app).await;
        let paid = tenant.messages("billing.invoice_paid").await;
        assert_eq!(paid.len(), WAITING);
        assert_eq!(
            tenant.billing().await["invoices"].as_array().unwrap().len(),
            WAITING
        );
    }
    assert!(
        interrupted > 0,
        "no process died while it gave something away"
    );
    assert_sound(&app).await;
}

/// The ids of all callbacks that were applied or stale; none of them stands there twice, nor has changed the
/// billing twice.
async fn taken_once(app: &App) -> BTreeSet<String> {
    let platform = app.platform();
    let callbacks = platform
        .walk("/api/platform/audit?aggregate_type=callback", 200)
        .await;
    let ids: BTreeSet<String> = callbacks
        .iter()
        .map(|event| event["aggregate_id"].to_string())
        .collect();
    assert_eq!(ids.len(), callbacks.len());
    let applied = callbacks
        .iter()
        .filter(|event| event["event_type"] == "applied");
    let is_checkout = |event: &&Value| {
        event["payload"]["applied"]["notice"]["type"] == "checkout.session.completed"
    };
    let applied = applied.filter(|event| !is_checkout(event)).count();
    let changes = platform
        .walk("/api/platform/audit?aggregate_type=billing", 200)
        .await;
    let by: BTreeSet<String> = changes
        .iter()
        .map(|event| {
            let mut payloads = event["payload"].as_object().unwrap().values();
            payloads.next().unwrap()["seen"]["callback_id"].to_string()
        })
        .collect();
    assert_eq!((by.len(), changes.len()), (applied, applied));
    ids
}

/// A buyer's subscription is active and paid for, and whoever listens was told so once.
async fn assert_bought(tenant: &Tenant, number: usize) {
    let shown = tenant.billing().await;
    assert_eq!(shown["customer_id"], format!("cus_{number}"), "{shown}");
    assert_eq!(shown["subscription"]["status"], "active", "{shown}");
    assert_eq!(shown["invoices"][0]["status"], "paid", "{shown}");
    assert_eq!(shown["invoices"].as_array().unwrap().len(), 1, "{shown}");
    assert_eq!(tenant.messages("billing.invoice_paid").await.len(), 1);
    let messages = tenant.api.walk("/api/events", 200).await;
    let updated = tenant.messages("billing.subscription_updated").await.len();
    let failed = tenant
        .messages("billing.invoice_payment_failed")
        .await
        .len();
    assert!((1..=2).contains(&updated) && failed <= 1, "{messages:?}");
}

/// Every message of a tenant has arrived, and nothing else.
async fn assert_told(tenant: &Tenant, receiver: &Receiver) {
    tenant.until_nothing_is_pending().await;
    let messages = tenant.api.walk("/api/events", 200).await;
    let mut expected = BTreeMap::new();
    for message in &messages {
        expected.insert(
            message["id"].as_str().unwrap().to_owned(),
            message["body"].clone(),
        );
    }
    let arrived = receiver.requests_at(&format!("/{}", tenant.id));
    let arrived: BTreeMap<String, Value> = arrived
        .iter()
        .map(|request| (request.message().to_owned(), json!(request.text())))
        .collect();
    assert_eq!(arrived, expected);
}

/// The views are those that the ledger's events make, and the ledger is whole.
async fn assert_sound(app: &App) {
    let server = format!("--server=http://{}", app.address());
    let check = app.run(&["rebuild", "--check", &server]).await;
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stderr)
    );
    let verdict = app
        .platform()
        .get("/api/platform/audit/verify")
        .await
        .expect(200);
    assert_eq!(verdict["intact"], true, "{verdict}");
}
