use proptest::prelude::*;
use serde_json::json;

use super::*;

fn now() -> DateTime<Utc> {
    Utc.timestamp_opt(1_800_000_000, 0).unwrap()
}

fn at(seconds: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(seconds, 0).unwrap()
}

fn read(event: &Value) -> (StripeId, Notice) {
    parse(event.to_string().as_bytes(), "digest".to_owned(), now()).unwrap()
}

fn event(kind: &str, object: Value) -> Value {
    json!({"id": "evt_1", "object": "event", "type": kind, "created": 1_790_000_000, "livemode": true,
           "api_version": "2025-03-31.basil", "data": {"object": object}})
}

fn subject_of(kind: &str, object: Value) -> Subject {
    read(&event(kind, object)).1.subject
}

#[test]
fn a_subscription_is_read_in_both_shapes() {
    let before = json!({"id": "sub_1", "customer": "cus_1", "status": "active", "created": 1_780_000_000,
        "current_period_end": 1_792_000_000, "cancel_at_period_end": true,
        "items": {"data": [{"id": "si_1", "price": {"id": "price_1"}}]}, "plan": {"id": "price_1"}});
    let since = json!({"id": "sub_1", "customer": {"id": "cus_1"}, "status": "active", "created": 1_780_000_000,
        "cancel_at_period_end": true, "items": {"data": [
            {"id": "si_1", "price": {"id": "price_1"}, "current_period_end": 1_799_000_000},
            {"id": "si_2", "price": {"id": "price_2"}, "current_period_end": 1_792_000_000}]}});
    let expected = Subscription {
        id: "sub_1".parse().unwrap(),
        customer_id: Some("cus_1".parse().unwrap()),
        status: "active".to_owned(),
        plan: Some("price_1".to_owned()),
        current_period_end: Some(at(1_792_000_000)),
        cancel_at_period_end: true,
        created_at: at(1_780_000_000),
    };
    for object in [before, since] {
        let (id, notice) = read(&event("customer.subscription.updated", object));
        assert_eq!(id.as_str(), "evt_1");
        assert_eq!(notice.customer_id, expected.customer_id);
        assert_eq!(notice.created_at, at(1_790_000_000));
        assert_eq!(notice.livemode, Some(true));
        assert_eq!(notice.subject, Subject::Subscription(expected.clone()));
    }
}

#[test]
fn an_invoice_is_read_in_both_shapes() {
    let before = json!({"id": "in_1", "customer": "cus_1", "status": "paid", "amount_due": 1999,
        "amount_paid": 1999, "currency": "usd", "created": 1_780_000_000, "subscription": "sub_1",
        "subscription_details": {"metadata": {"tenant_id": "acme"}}});
    let since = json!({"id": "in_1", "customer": "cus_1", "status": "paid", "amount_due": 1999,
        "amount_paid": 1999, "currency": "usd", "created": 1_780_000_000,
        "parent": {"type": "subscription_details", "subscription_details": {
            "subscription": "sub_1", "metadata": {"tenant_id": "acme"}}}});
    for object in [before, since] {
        let (_, notice) = read(&event("invoice.paid", object));
        assert_eq!(notice.metadata_tenant.as_deref(), Some("acme"));
        let Subject::Invoice(invoice) = notice.subject else {
            panic!("{notice:?}")
        };
        assert_eq!(invoice.subscription_id, Some("sub_1".parse().unwrap()));
        assert_eq!((invoice.amount_due, invoice.amount_paid), (1999, 1999));
        assert_eq!(invoice.currency.as_deref(), Some("usd"));
        assert_eq!(invoice.created_at, at(1_780_000_000));
    }
}

#[test]
fn a_checkout_tells_whose_customer_somebody_is() {
    let object = json!({"id": "cs_1", "customer": "cus_1", "subscription": "sub_1",
        "client_reference_id": "acme", "metadata": {"tenant_id": "globex"}});
    let (_, notice) = read(&event("checkout.session.completed", object.clone()));
    assert_eq!(notice.subject, Subject::Checkout);
    assert_eq!(notice.client_reference, Some("acme".parse().unwrap()));
    let written = json!({"customer": "cus_1", "client_reference_id": "Ann Smith, ann@example.com"});
    let (_, about) = read(&event("checkout.session.completed", written));
    assert_eq!(about.client_reference, None);
    assert_eq!(notice.metadata_tenant.as_deref(), Some("globex"));
    // Elsewhere that field means nothing.
    let (_, notice) = read(&event("customer.subscription.updated", object));
    assert_eq!(notice.client_reference, None);
}

#[test]
fn types_that_are_not_handled_and_objects_without_id_are_told_apart() {
    for kind in [
        "invoice.created",
        "invoice.payment_succeeded",
        "customer.updated",
        "customer.subscriptions",
        "checkout.session.expired",
        "v2.something",
    ] {
        assert_eq!(
            subject_of(kind, json!({"id": "x_1"})),
            Subject::Other,
            "{kind}"
        );
    }
    for kind in ["invoice.paid", "customer.subscription.created"] {
        for object in [
            json!({}),
            json!(null),
            json!("sub_1"),
            json!({"id": 5}),
            json!({"id": "a b"}),
        ] {
            assert_eq!(subject_of(kind, object), Subject::Nothing, "{kind}");
        }
    }
    assert_eq!(
        subject_of("checkout.session.completed", json!(null)),
        Subject::Nothing
    );
}

#[test]
fn what_is_left_out_or_wrong_is_no_error() {
    let Subject::Subscription(subscription) = subject_of(
        "customer.subscription.paused",
        json!({"id": "sub_1", "status": 5, "items": [],
            "current_period_end": "soon", "created": -1, "customer": {"deleted": true}}),
    ) else {
        panic!("no subscription")
    };
    assert_eq!(subscription.status, "unknown");
    assert_eq!(subscription.plan, None);
    assert_eq!(subscription.current_period_end, None);
    assert_eq!(subscription.created_at, at(1_790_000_000));
    assert_eq!(subscription.customer_id, None);
    for (kind, status) in [
        ("invoice.paid", "paid"),
        ("invoice.voided", "void"),
        ("invoice.payment_failed", "open"),
        ("invoice.payment_action_required", "open"),
        ("invoice.marked_uncollectible", "uncollectible"),
        ("invoice.finalization_failed", "draft"),
    ] {
        let Subject::Invoice(invoice) =
            subject_of(kind, json!({"id": "in_1", "currency": "u\u{0}d"}))
        else {
            panic!("no invoice")
        };
        assert_eq!(
            (invoice.status.as_str(), invoice.amount_due),
            (status, 0),
            "{kind}"
        );
        assert_eq!(invoice.currency, None);
    }
    let (_, notice) = read(&json!({"id": "evt_1", "type": "invoice.paid"}));
    assert_eq!((notice.created_at, notice.livemode), (now(), None));
    assert_eq!(notice.subject, Subject::Nothing);
}

#[test]
fn what_is_deleted_has_ended_whatever_its_status_says() {
    for (status, expected) in [
        ("active", "canceled"),
        ("canceled", "canceled"),
        ("incomplete_expired", "incomplete_expired"),
    ] {
        let object = json!({"id": "sub_1", "status": status});
        let Subject::Subscription(subscription) =
            subject_of("customer.subscription.deleted", object)
        else {
            panic!("no subscription")
        };
        assert_eq!(subscription.status, expected);
    }
}

#[test]
fn what_is_no_event_is_refused() {
    let read = |body: &str| parse(body.as_bytes(), String::new(), now()).map(drop);
    for (body, expected) in [
        ("", Unreadable::NotJson),
        ("{", Unreadable::NotJson),
        ("[]", Unreadable::NotJson),
        ("\"evt_1\"", Unreadable::NotJson),
        ("{}", Unreadable::NoId),
        (r#"{"id":5,"type":"a"}"#, Unreadable::NoId),
        (r#"{"id":"a/b","type":"a"}"#, Unreadable::NoId),
        (r#"{"id":"evt_1"}"#, Unreadable::NoType),
        (r#"{"id":"evt_1","type":""}"#, Unreadable::NoType),
    ] {
        assert_eq!(read(body), Err(expected), "{body}");
    }
    assert_eq!(
        read(&format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000))),
        Err(Unreadable::NotJson)
    );
    let not_text = parse(&[b'{', 0xff, b'}'], String::new(), now());
    assert_eq!(not_text.map(drop), Err(Unreadable::NotJson));
}

#[test]
fn ids_are_checked() {
    for good in [
        "evt_1",
        "sub_1MowQVLkdIwHu7ixeRlqHVzs",
        "cus_test-1.a:b",
        &"x".repeat(255),
    ] {
        assert_eq!(good.parse::<StripeId>().unwrap().as_str(), good);
    }
    for bad in ["", "a b", "a\n", "a/b", "\u{e9}", "a\0", &"x".repeat(256)] {
        assert!(bad.parse::<StripeId>().is_err(), "{bad:?}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        "id",
        "status",
        "items",
        "data",
        "customer",
        "created",
        "parent",
        "subscription_details",
        "subscription",
        "metadata",
        "tenant_id",
        "price",
        "plan",
        "current_period_end",
        "amount_due",
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever an object looks like, the callback is read, and what is read can be stored and read back.
    #[test]
    fn any_object_can_be_read(
        object in any_json(),
        kind in prop::sample::select(&["checkout.session.completed", "customer.subscription.updated",
                            "customer.subscription.deleted", "invoice.paid", "invoice.voided"][..]),
    ) {
        let (_, notice) = read(&event(kind, object));
        let stored = serde_json::to_string(&notice).unwrap();
        prop_assert!(!stored.contains("\\u0000"));
        prop_assert_eq!(serde_json::from_str::<Notice>(&stored).unwrap(), notice);
    }
}
