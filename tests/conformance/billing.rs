//! Billing: what is read of subscriptions, invoices, customers and callbacks without tenant.

use hookledger::store::{Commit, Error, Store, Stream};
use hookledger_domain::{
    actor::{Actor, Origin},
    billing::{self, Invoice, Seen, Subscription},
    callback::{self, Callback, Ignorance, Reason, UnassignedEvent},
    fact::Fact,
    stripe::{Notice, StripeId, Subject},
    tenant::{self, TenantId},
};
use hookledger_projections::{
    query::{Page, UnassignedPlace},
    rows::{InvoiceRow, SubscriptionRow, UnassignedRow},
};

use super::{Engine, at, first, open, queries::append};

fn stripe_id(text: &str) -> StripeId {
    text.parse().unwrap()
}

/// All fields, or only those that must be there.
fn subscription(id: &str, millis: i64, is_full: bool) -> Subscription {
    Subscription {
        id: stripe_id(id),
        customer_id: is_full.then(|| stripe_id("cus_1")),
        status: "active".to_owned(),
        plan: is_full.then(|| "price_é".to_owned()),
        current_period_end: is_full.then(|| at(millis + 2_592_000_000)),
        cancel_at_period_end: is_full,
        created_at: at(millis),
    }
}

fn invoice(id: &str, millis: i64, is_full: bool) -> Invoice {
    Invoice {
        id: stripe_id(id),
        customer_id: is_full.then(|| stripe_id("cus_1")),
        subscription_id: is_full.then(|| stripe_id("sub_1")),
        status: Invoice::OPEN.to_owned(),
        amount_due: if is_full { i64::MAX } else { i64::MIN },
        amount_paid: 0,
        currency: is_full.then(|| "eur".to_owned()),
        created_at: at(millis),
    }
}

fn seen(kind: &str) -> Seen {
    Seen {
        at: at(0),
        kind: kind.to_owned(),
        callback_id: stripe_id("evt_1"),
    }
}

fn shows_subscription(subscription: &Subscription) -> Fact {
    let event = billing::Event::SubscriptionUpdated {
        seen: seen("customer.subscription.updated"),
        subscription: subscription.clone(),
    };
    event.into()
}

fn shows_invoice(invoice: &Invoice) -> Fact {
    let event = billing::Event::InvoiceUpdated {
        seen: seen("invoice.paid"),
        invoice: invoice.clone(),
    };
    event.into()
}

fn notice(customer: Option<&str>, millis: i64) -> Notice {
    Notice {
        kind: "invoice.paid".to_owned(),
        created_at: at(millis),
        livemode: customer.map(|_| true),
        body_sha256: "ab".repeat(32),
        customer_id: customer.map(stripe_id),
        metadata_tenant: customer.map(|_| "nobody".to_owned()),
        client_reference: customer.map(|_| super::tenant("somebody")),
        subject: Subject::Invoice(invoice("in_1", 0, true)),
    }
}

/// Appends an event of a callback without tenant.
async fn of_nobody(store: &Store, id: &str, sequence: u64, millis: i64, event: UnassignedEvent) {
    let origin = Origin {
        tenant: None,
        actor: Actor::stripe(),
        request_id: None,
        client: None,
        cause: None,
    };
    let mut commit = Commit::new(&origin, at(millis));
    commit.push(id, sequence, &event.into()).unwrap();
    store.ledger().commit(commit).await.unwrap();
}

/// Lets a callback arrive; gives its row.
async fn receive(store: &Store, id: &str, customer: Option<&str>, millis: i64) -> UnassignedRow {
    // They happened in the reverse order of their arrival.
    let notice = notice(customer, -millis);
    let row = UnassignedRow {
        id: stripe_id(id),
        received_at: at(millis),
        reason: Reason::UnknownTenant,
        kind: notice.kind.clone(),
        created_at: notice.created_at,
        livemode: notice.livemode,
        customer_id: notice.customer_id.clone(),
        metadata_tenant: notice.metadata_tenant.clone(),
        client_reference: notice.client_reference.clone(),
    };
    let event = UnassignedEvent::Received {
        notice: Box::new(notice),
        reason: Reason::UnknownTenant,
    };
    of_nobody(store, id, 1, millis, event).await;
    row
}

/// A row of each kind for the tenant, and one that is there no more.
pub(super) async fn a_little(store: &Store, tenant_id: &TenantId) {
    let facts = [
        shows_subscription(&subscription("sub_1", 1, false)),
        shows_subscription(&subscription("sub_1", 1, true)),
        shows_invoice(&invoice("in_1", 1, true)),
        billing::Event::AccessWithdrawn.into(),
        billing::Event::AccessRestored.into(),
        shows_invoice(&invoice("in_2", 2, false)),
    ];
    append(store, tenant_id, tenant_id, facts).await;
    receive(store, "evt_waits", Some("cus_2"), 1).await;
    receive(store, "evt_given", None, 2).await;
    let tenant_id = tenant_id.clone();
    let assigned = UnassignedEvent::Assigned { tenant_id };
    of_nobody(store, "evt_given", 2, 3, assigned).await;
}

pub(super) async fn subscriptions_and_invoices_show_what_was_seen_last<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let (acme, other) = (super::tenant("acme"), super::tenant("other"));
    // One id in two tenants: they are not each other's.
    let ended = Subscription {
        status: Subscription::CANCELED.to_owned(),
        ..subscription("sub_1", 5, false)
    };
    let newer = subscription("sub_2", 5, true);
    let paid = Invoice {
        status: Invoice::PAID.to_owned(),
        amount_paid: 1,
        ..invoice("in_1", 7, true)
    };
    let facts = [
        shows_subscription(&subscription("sub_1", 5, true)),
        shows_subscription(&newer),
        shows_subscription(&ended),
        shows_invoice(&invoice("in_1", 7, false)),
        shows_invoice(&paid),
        shows_invoice(&invoice("in_2", 6, false)),
        shows_invoice(&invoice("in_3", 8, true)),
    ];
    append(&store, &acme, &acme, facts).await;
    let theirs = subscription("sub_1", 1, false);
    append(&store, &other, &other, [shows_subscription(&theirs)]).await;

    let views = store.views();
    let row = |tenant_id: &TenantId, subscription: Subscription| SubscriptionRow {
        tenant_id: tenant_id.clone(),
        subscription,
    };
    let found = views.subscriptions(&acme, 10).await.unwrap();
    assert_eq!(found, [row(&acme, newer), row(&acme, ended)]);
    let found = views.subscriptions(&other, 10).await.unwrap();
    assert_eq!(found, [row(&other, theirs)]);
    let invoices = [invoice("in_3", 8, true), paid, invoice("in_2", 6, false)];
    let invoices = invoices.map(|invoice| InvoiceRow {
        tenant_id: acme.clone(),
        invoice,
    });
    assert_eq!(views.invoices(&acme, 10).await.unwrap(), invoices);
    assert_eq!(views.invoices(&acme, 2).await.unwrap(), invoices[..2]);
    assert_eq!(views.invoices(&other, 10).await.unwrap(), []);
    store.close().await;
}

pub(super) async fn callbacks_without_tenant_come_in_pages<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let mut expected = Vec::new();
    // Several arrive within one millisecond.
    for number in 0..11_i64 {
        let id = format!("evt_{number:02}");
        let customer = ["cus_1", "cus_2"].get(number as usize % 3).copied();
        expected.push(receive(&store, &id, customer, number / 3).await);
    }
    expected.reverse();
    let gone = expected.remove(4);
    let assigned = UnassignedEvent::Assigned {
        tenant_id: super::tenant("acme"),
    };
    of_nobody(&store, gone.id.as_str(), 2, 50, assigned).await;

    let views = store.views();
    for limit in [1, 3, 200] {
        let mut page: Page<UnassignedPlace> = first(limit);
        let mut found = Vec::new();
        loop {
            let rows = views.unassigned(page).await.unwrap();
            found.extend(rows.rows);
            let Some(after) = rows.next else { break };
            page = Page {
                limit,
                after: Some(after),
            };
        }
        assert_eq!(found, expected, "{limit}");
    }
    for customer in ["cus_1", "cus_2", "cus_3"].map(stripe_id) {
        let of_customer = |row: &&UnassignedRow| row.customer_id.as_ref() == Some(&customer);
        let mut expected: Vec<_> = expected.iter().filter(of_customer).cloned().collect();
        expected.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        let found = views.unassigned_of_customer(&customer, 100).await.unwrap();
        assert_eq!(found, expected);
        let found = views.unassigned_of_customer(&customer, 2).await.unwrap();
        assert_eq!(found, expected[..expected.len().min(2)]);
    }
    store.close().await;
}

/// Whoever is second reads what the first one has written.
pub(super) async fn a_callback_is_taken_once_whoever_gets_it<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let applied = |tenant: &str| -> (TenantId, Fact) {
        let tenant_id = super::tenant(tenant);
        let event = callback::Event::Applied {
            tenant_id: tenant_id.clone(),
            notice: notice(Some("cus_1"), 0),
        };
        (tenant_id, event.into())
    };
    let ignored = callback::Event::Ignored {
        notice: notice(None, 0),
        reason: Ignorance::OtherMode,
    };
    let commit = async |tenant: Option<TenantId>, id: &str, fact: &Fact| {
        let mut origin = super::origin(&super::tenant("acme"));
        origin.tenant = tenant;
        let mut commit = Commit::new(&origin, at(0));
        commit.push(id, 1, fact).unwrap();
        store.ledger().commit(commit).await
    };
    let (acme, fact) = applied("acme");
    commit(Some(acme.clone()), "evt_1", &fact).await.unwrap();
    let (other, theirs) = applied("other");
    for (tenant, fact) in [
        (Some(acme), &fact),
        (Some(other.clone()), &theirs),
        (None, &Fact::from(ignored)),
    ] {
        let refused = commit(tenant, "evt_1", fact).await;
        assert!(matches!(refused, Err(Error::Conflict)), "{refused:?}");
    }
    commit(Some(other), "evt_2", &theirs).await.unwrap();
    let taken: Stream<Callback> = store.ledger().load("evt_1").await.unwrap();
    assert_eq!(taken.state.tenant_id(), Some(&super::tenant("acme")));
    store.close().await;
}

pub(super) async fn what_need_not_wait_is_found<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    for (id, customer) in [
        ("acme", "cus_known"),
        ("one", "cus_shared"),
        ("two", "cus_shared"),
    ] {
        let id = super::tenant(id);
        let name = "Name".to_owned();
        let stripe_customer_id = Some(customer.to_owned());
        let facts: [Fact; 2] = [
            tenant::Event::Registered { name }.into(),
            tenant::Event::StripeCustomerSet { stripe_customer_id }.into(),
        ];
        append(&store, &id, &id, facts).await;
    }
    let known = receive(&store, "evt_known", Some("cus_known"), 1).await;
    receive(&store, "evt_shared", Some("cus_shared"), 2).await;
    receive(&store, "evt_strange", Some("cus_strange"), 3).await;
    receive(&store, "evt_nobody", None, 4).await;
    // It had its effect, and then somebody was cut off.
    let begun = receive(&store, "evt_begun", None, 5).await;
    let acme = super::tenant("acme");
    let applied = callback::Event::Applied {
        tenant_id: acme.clone(),
        notice: notice(None, 0),
    };
    append(&store, &acme, "evt_begun", [applied.into()]).await;
    // The later ones have happened before.
    let expected = [begun, known];
    let views = store.views();
    assert_eq!(views.settleable(10).await.unwrap(), expected);
    assert_eq!(views.settleable(1).await.unwrap(), expected[..1]);
    let assigned = UnassignedEvent::Assigned { tenant_id: acme };
    of_nobody(&store, "evt_begun", 2, 9, assigned).await;
    of_nobody(&store, "evt_known", 2, 9, UnassignedEvent::Dismissed).await;
    assert_eq!(views.settleable(10).await.unwrap(), []);
    store.close().await;
}

pub(super) async fn a_customer_leads_to_its_tenants<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let set = |customer: Option<&str>| -> Fact {
        let stripe_customer_id = customer.map(str::to_owned);
        tenant::Event::StripeCustomerSet { stripe_customer_id }.into()
    };
    let registered = || -> Fact {
        let name = "Name".to_owned();
        tenant::Event::Registered { name }.into()
    };
    for (id, customers) in [
        ("acme", vec![Some("cus_1")]),
        ("both", vec![Some("cus_1")]),
        ("changed", vec![Some("cus_1"), Some("cus_2")]),
        ("gone", vec![Some("cus_3"), None]),
        ("third", vec![Some("cus_1")]),
    ] {
        let id = super::tenant(id);
        let facts = [registered()].into_iter();
        append(
            &store,
            &id,
            &id,
            facts.chain(customers.into_iter().map(set)),
        )
        .await;
    }
    let views = store.views();
    // Two are enough to see that it is not one.
    for (customer, expected) in [
        ("cus_1", &["acme", "both"][..]),
        ("cus_2", &["changed"]),
        ("cus_3", &[]),
        ("cus_", &[]),
    ] {
        let found = views.tenants_of_customer(customer).await.unwrap();
        let expected: Vec<TenantId> = expected.iter().map(|id| super::tenant(id)).collect();
        assert_eq!(found, expected, "{customer}");
    }
    store.close().await;
}
