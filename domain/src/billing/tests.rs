use chrono::{DateTime, TimeZone, Utc};
use cqrs_es::{Aggregate, test::TestFramework};
use proptest::{prelude::*, sample::Index};

use super::*;

fn framework() -> TestFramework<Billing> {
    TestFramework::with(())
}

fn at(seconds: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_800_000_000 + seconds, 0).unwrap()
}

fn id(text: &str) -> StripeId {
    text.parse().unwrap()
}

/// A callback of a life: its id, type and time, and what it shows.
fn callback(number: usize, kind: &str, seconds: i64, shown: Shown) -> Command {
    Command {
        seen: Seen {
            at: at(seconds),
            kind: kind.to_owned(),
            callback_id: id(&format!("evt_{number:03}")),
        },
        shown,
        suspends: false,
    }
}

fn subscription(status: &str) -> Subscription {
    Subscription {
        id: id("sub_1"),
        customer_id: Some(id("cus_1")),
        status: status.to_owned(),
        plan: Some("price_1".to_owned()),
        current_period_end: Some(at(2_592_000)),
        cancel_at_period_end: false,
        created_at: at(0),
    }
}

fn invoice(status: &str) -> Invoice {
    let amount_paid = if status == Invoice::PAID { 1999 } else { 0 };
    Invoice {
        id: id("in_1"),
        customer_id: Some(id("cus_1")),
        subscription_id: Some(id("sub_1")),
        status: status.to_owned(),
        amount_due: 1999,
        amount_paid,
        currency: Some("usd".to_owned()),
        created_at: at(0),
    }
}

fn shows(kind: &str, seconds: i64, status: &str) -> Command {
    callback(
        seconds.unsigned_abs() as usize,
        kind,
        seconds,
        Shown::Subscription(subscription(status)),
    )
}

fn updated(command: Command) -> Event {
    match command.shown {
        Shown::Subscription(subscription) => Event::SubscriptionUpdated {
            seen: command.seen,
            subscription,
        },
        Shown::Invoice(invoice) => Event::InvoiceUpdated {
            seen: command.seen,
            invoice,
        },
    }
}

const UPDATED: &str = "customer.subscription.updated";
const DELETED: &str = "customer.subscription.deleted";

#[test]
fn what_is_shown_first_is_noted_whatever_it_is() {
    for command in [
        shows(UPDATED, 5, "active"),
        shows(DELETED, 5, "canceled"),
        shows(UPDATED, 5, "something_new"),
        callback(1, "invoice.paid", 5, Shown::Invoice(invoice("paid"))),
    ] {
        framework()
            .given_no_previous_events()
            .when(command.clone())
            .then_expect_events(vec![updated(command)]);
    }
}

#[test]
fn an_older_snapshot_changes_nothing() {
    framework()
        .given(vec![updated(shows(UPDATED, 9, "past_due"))])
        .when(shows(UPDATED, 8, "active"))
        .then_expect_events(vec![]);
}

#[test]
fn a_newer_one_is_noted_also_if_it_shows_the_same() {
    let newer = shows(UPDATED, 9, "active");
    framework()
        .given(vec![updated(shows(UPDATED, 8, "active"))])
        .when(newer.clone())
        .then_expect_events(vec![updated(newer)]);
}

#[test]
fn what_has_ended_stays_so() {
    for ended in ["canceled", "incomplete_expired"] {
        framework()
            .given(vec![updated(shows(DELETED, 5, ended))])
            .when(shows(UPDATED, 100, "active"))
            .then_expect_events(vec![]);
    }
    let paid = callback(1, "invoice.paid", 5, Shown::Invoice(invoice("paid")));
    let failed = Shown::Invoice(invoice("open"));
    framework()
        .given(vec![updated(paid)])
        .when(callback(2, "invoice.payment_failed", 100, failed))
        .then_expect_events(vec![]);
}

#[test]
fn an_end_is_noted_also_when_it_comes_before_what_led_to_it() {
    let ended = shows(DELETED, 5, "canceled");
    framework()
        .given(vec![updated(shows(UPDATED, 100, "active"))])
        .when(ended.clone())
        .then_expect_events(vec![updated(ended)]);
}

#[test]
fn what_nobody_will_pay_may_still_be_paid() {
    let kind = "invoice.marked_uncollectible";
    let given_up = callback(1, kind, 5, Shown::Invoice(invoice("uncollectible")));
    let paid = callback(2, "invoice.paid", 6, Shown::Invoice(invoice("paid")));
    framework()
        .given(vec![updated(given_up)])
        .when(paid.clone())
        .then_expect_events(vec![updated(paid)]);
}

#[test]
fn within_a_second_the_one_further_on_in_life_holds() {
    let created = shows("customer.subscription.created", 5, "incomplete");
    let active = callback(900, UPDATED, 5, Shown::Subscription(subscription("active")));
    framework()
        .given(vec![updated(created.clone())])
        .when(active.clone())
        .then_expect_events(vec![updated(active.clone())]);
    framework()
        .given(vec![updated(active)])
        .when(created)
        .then_expect_events(vec![]);
}

#[test]
fn of_what_is_told_within_a_second_a_failed_payment_holds() {
    let asked = callback(
        900,
        "invoice.payment_action_required",
        5,
        Shown::Invoice(invoice("open")),
    );
    let failed = callback(
        1,
        "invoice.payment_failed",
        5,
        Shown::Invoice(invoice("open")),
    );
    framework()
        .given(vec![updated(asked)])
        .when(failed.clone())
        .then_expect_events(vec![updated(failed)]);
}

#[test]
fn of_several_subscriptions_the_newest_that_lives_counts() {
    let make = |name: &str, seconds, status: &str| Subscription {
        id: id(name),
        created_at: at(seconds),
        ..subscription(status)
    };
    let all = [
        make("sub_1", 1, "active"),
        make("sub_2", 2, "past_due"),
        make("sub_3", 3, "canceled"),
    ];
    assert_eq!(current(all.iter()).unwrap().id, id("sub_2"));
    let ended = [make("sub_1", 1, "canceled"), make("sub_2", 2, "canceled")];
    assert_eq!(current(ended.iter()).unwrap().id, id("sub_2"));
    assert_eq!(current([].iter()), None);
}

fn with_rule(command: Command) -> Command {
    Command {
        suspends: true,
        ..command
    }
}

#[test]
fn the_rule_suspends_once_and_resumes_when_something_is_good() {
    for lost in ["unpaid", "canceled"] {
        let command = with_rule(shows(UPDATED, 5, lost));
        framework()
            .given(vec![updated(shows(UPDATED, 4, "past_due"))])
            .when(command.clone())
            .then_expect_events(vec![updated(command), Event::AccessWithdrawn]);
    }
    let unpaid = || vec![updated(shows(UPDATED, 5, "unpaid")), Event::AccessWithdrawn];
    // Whoever resumed it by hand meanwhile had reasons.
    let again = with_rule(shows(UPDATED, 6, "unpaid"));
    framework()
        .given(unpaid())
        .when(again.clone())
        .then_expect_events(vec![updated(again)]);
    for good in ["active", "trialing", "past_due"] {
        // Also when there is no such rule any more.
        let command = shows(UPDATED, 8, good);
        framework()
            .given(unpaid())
            .when(command.clone())
            .then_expect_events(vec![updated(command), Event::AccessRestored]);
    }
}

#[test]
fn an_attempt_at_another_subscription_does_not_count() {
    for attempted in ["incomplete", "incomplete_expired"] {
        let other = Subscription {
            id: id("sub_2"),
            created_at: at(1),
            ..subscription(attempted)
        };
        let attempt = callback(1, UPDATED, 5, Shown::Subscription(other));
        let ended = with_rule(shows(DELETED, 9, "canceled"));
        framework()
            .given(vec![updated(attempt)])
            .when(ended.clone())
            .then_expect_events(vec![updated(ended), Event::AccessWithdrawn]);
    }
}

#[test]
fn without_the_rule_nobody_is_suspended_and_nobody_is_resumed_who_was_not() {
    for (status, suspends) in [("unpaid", false), ("active", true), ("past_due", true)] {
        let command = Command {
            suspends,
            ..shows(UPDATED, 5, status)
        };
        framework()
            .given_no_previous_events()
            .when(command.clone())
            .then_expect_events(vec![updated(command)]);
    }
}

#[test]
fn another_subscription_that_lives_keeps_the_tenant_going() {
    let other = Subscription {
        id: id("sub_2"),
        created_at: at(1),
        ..subscription("active")
    };
    let ended = with_rule(shows(DELETED, 9, "canceled"));
    framework()
        .given(vec![updated(callback(
            1,
            UPDATED,
            5,
            Shown::Subscription(other),
        ))])
        .when(ended.clone())
        .then_expect_events(vec![updated(ended)]);
}

#[test]
fn the_oldest_invoices_are_let_go() {
    let number = |n: usize| {
        let one = Invoice {
            id: id(&format!("in_{n:04}")),
            created_at: at(n as i64),
            ..invoice("paid")
        };
        callback(n, "invoice.paid", n as i64, Shown::Invoice(one))
    };
    let mut billing = Billing::default();
    for n in 1..=INVOICES_MAX + 5 {
        billing.apply(updated(number(n)));
    }
    assert_eq!(billing.invoices.all().count(), INVOICES_MAX);
    assert!(billing.invoice(&id("in_0005")).is_none());
    assert!(billing.invoice(&id("in_0006")).is_some());
    // One that was let go does not come back.
    assert_eq!(billing.decide(&number(3)), None);
}

#[test]
fn news_are_told_once() {
    let mut billing = Billing::default();
    let tell = |billing: &mut Billing, command: Command| {
        let event = billing.decide(&command);
        let is_stale = event.is_none();
        let news = News::of(billing, &command.seen.kind, &command.shown, is_stale);
        event.into_iter().for_each(|event| billing.apply(event));
        news
    };
    let shown = |status: &str| Shown::Invoice(invoice(status));
    let failed = |n| callback(n, "invoice.payment_failed", n as i64, shown("open"));
    let topics: Vec<_> = [
        shows(UPDATED, 1, "active"),
        // Nothing that is shown has changed.
        shows(UPDATED, 2, "active"),
        shows(UPDATED, 3, "past_due"),
        failed(5),
        // Each try is news, also when it is learnt of late.
        failed(4),
        callback(6, "invoice.payment_action_required", 6, shown("open")),
        callback(7, "invoice.paid", 7, shown("paid")),
        callback(8, "invoice.paid", 8, shown("paid")),
        failed(9),
    ]
    .into_iter()
    .map(|command| tell(&mut billing, command).map(|news| news.topic()))
    .collect();
    assert_eq!(
        topics,
        [
            Some("billing.subscription_updated"),
            None,
            Some("billing.subscription_updated"),
            Some("billing.invoice_payment_failed"),
            Some("billing.invoice_payment_failed"),
            None,
            Some("billing.invoice_paid"),
            None,
            None,
        ]
    );
}

/// The life of a subscription: trial, active, past due, paid, cancelled, with what happens within one
/// second, and two invoices.
fn life() -> Vec<Command> {
    let second = |status: &str| Invoice {
        id: id("in_2"),
        created_at: at(1000),
        ..invoice(status)
    };
    let renewed = |status: &str| Subscription {
        current_period_end: Some(at(5_000_000)),
        ..subscription(status)
    };
    let cancelling = Subscription {
        cancel_at_period_end: true,
        ..renewed("active")
    };
    let subscriptions = [
        ("customer.subscription.created", 0, subscription("trialing")),
        (
            "customer.subscription.trial_will_end",
            500,
            subscription("trialing"),
        ),
        (UPDATED, 1000, renewed("active")),
        (UPDATED, 1000, renewed("past_due")),
        (UPDATED, 1500, renewed("unpaid")),
        (UPDATED, 2000, renewed("active")),
        (UPDATED, 3000, cancelling),
        (DELETED, 4000, renewed("canceled")),
    ]
    .map(|(kind, seconds, shown)| (kind, seconds, Shown::Subscription(shown)));
    let invoices = [
        ("invoice.paid", 0, invoice("paid")),
        ("invoice.finalization_failed", 999, second("draft")),
        ("invoice.payment_failed", 1000, second("open")),
        ("invoice.payment_action_required", 1000, second("open")),
        (
            "invoice.marked_uncollectible",
            1500,
            second("uncollectible"),
        ),
        ("invoice.paid", 2000, second("paid")),
    ]
    .map(|(kind, seconds, shown)| (kind, seconds, Shown::Invoice(shown)));
    subscriptions
        .into_iter()
        .chain(invoices)
        .enumerate()
        .map(|(number, (kind, seconds, shown))| callback(number, kind, seconds, shown))
        .collect()
}

fn lived(commands: impl IntoIterator<Item = Command>) -> Billing {
    let mut billing = Billing::default();
    for command in commands {
        if let Some(event) = billing.decide(&command) {
            billing.apply(event);
            if let Some(event) = billing.judge(true) {
                billing.apply(event);
            }
        }
    }
    billing
}

#[test]
fn a_life_ends_as_it_should_in_order_and_in_reverse() {
    let billing = lived(life());
    let subscription = current(billing.subscriptions.all()).unwrap();
    assert_eq!(subscription.status, "canceled");
    assert_eq!(subscription.current_period_end, Some(at(5_000_000)));
    assert!(billing.invoices.all().all(Invoice::is_paid));
    assert!(billing.has_suspended);
    assert_eq!(billing.invoices.all().count(), 2);
    assert_eq!(lived(life().into_iter().rev()), billing);
}

/// A life up to any point is the same in every order: not only its end is.
fn a_part() -> impl Strategy<Value = (Vec<Command>, Vec<Command>)> {
    let length = life().len();
    (1..=length, prop::collection::vec(any::<Index>(), 0..4)).prop_flat_map(|(length, again)| {
        let part: Vec<Command> = life().into_iter().take(length).collect();
        // Some are told twice.
        let mut told = part.clone();
        told.extend(
            again
                .iter()
                .map(|index| part[index.index(part.len())].clone()),
        );
        (Just(part), Just(told).prop_shuffle())
    })
}

fn doubled() -> impl Strategy<Value = Vec<Command>> {
    let mut all = life();
    all.extend(life());
    Just(all).prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_life_is_the_same_however_it_is_shuffled((part, told) in a_part()) {
        prop_assert_eq!(lived(told), lived(part));
    }

    #[test]
    fn a_life_is_the_same_with_everything_doubled_and_shuffled(told in doubled()) {
        prop_assert_eq!(lived(told), lived(life()));
    }

    /// More objects than are kept, in any order: the same ones are kept.
    #[test]
    fn what_is_let_go_is_the_same_in_every_order(numbers in Just((0..130usize).collect::<Vec<_>>()).prop_shuffle()) {
        let shown = |n: usize| {
            let one = Invoice { id: id(&format!("in_{n}")), created_at: at((n / 3) as i64), ..invoice("open") };
            callback(n, "invoice.payment_failed", n as i64, Shown::Invoice(one))
        };
        let in_order = lived((0..130).map(shown));
        prop_assert_eq!(lived(numbers.into_iter().map(shown)), in_order);
    }
}
