use chrono::{Duration, TimeZone};
use cqrs_es::test::TestFramework;

use super::*;
use crate::permission::Role;

fn framework() -> TestFramework<Tenant> {
    TestFramework::with(())
}

fn registered() -> Event {
    Event::Registered {
        name: "Acme".to_owned(),
    }
}

fn now() -> DateTime<Utc> {
    Utc.timestamp_millis_opt(1_800_000_000_000).unwrap()
}

fn token(expires_at: Option<DateTime<Utc>>) -> IssuedToken {
    IssuedToken {
        token_id: TokenId::default(),
        name: "ci".to_owned(),
        role: Role::Publisher,
        token_sha256: "ab".to_owned(),
        expires_at,
    }
}

#[test]
fn a_tenant_is_registered_once() {
    let register = Command::Register {
        name: "Acme".to_owned(),
    };
    framework()
        .given_no_previous_events()
        .when(register.clone())
        .then_expect_events(vec![registered()]);
    framework()
        .given(vec![registered()])
        .when(register)
        .then_expect_error(Error::AlreadyRegistered);
}

#[test]
fn nothing_happens_to_an_unknown_tenant() {
    framework()
        .given_no_previous_events()
        .when(Command::RevokeToken {
            token_id: TokenId::default(),
        })
        .then_expect_error(Error::NotFound);
}

#[test]
fn only_what_differs_changes() {
    framework()
        .given(vec![registered(), Event::Suspended])
        .when(Command::Change {
            name: Some("Acme".to_owned()),
            stripe_customer_id: Some(Some("cus_1".to_owned())),
            is_suspended: Some(false),
        })
        .then_expect_events(vec![
            Event::StripeCustomerSet {
                stripe_customer_id: Some("cus_1".to_owned()),
            },
            Event::Resumed,
        ]);
}

#[test]
fn a_token_lives_until_it_is_revoked() {
    let issued = Event::TokenIssued(token(None));
    let revoke = Command::RevokeToken {
        token_id: TokenId::default(),
    };
    let revoked = Event::TokenRevoked {
        token_id: TokenId::default(),
    };
    framework()
        .given(vec![registered()])
        .when(Command::IssueToken {
            token: token(None),
            now: now(),
        })
        .then_expect_events(vec![issued.clone()]);
    framework()
        .given(vec![registered(), issued.clone()])
        .when(revoke.clone())
        .then_expect_events(vec![revoked.clone()]);
    framework()
        .given(vec![registered(), issued, revoked])
        .when(revoke)
        .then_expect_error(Error::TokenNotFound);
}

#[test]
fn a_token_cannot_be_born_expired() {
    let result = framework()
        .given(vec![registered()])
        .when(Command::IssueToken {
            token: token(Some(now() - Duration::seconds(1))),
            now: now(),
        })
        .inspect_result();
    assert!(matches!(result, Err(Error::Invalid(errors)) if errors[0].field == "expires_at"));
}

#[test]
fn ids_follow_their_pattern() {
    for good in ["a", "0", "acme", "a-b_c", &"x".repeat(63)] {
        assert!(good.parse::<TenantId>().is_ok(), "{good}");
    }
    for bad in ["", "-a", "_a", "A", "a b", "ä", &"x".repeat(64)] {
        assert!(bad.parse::<TenantId>().is_err(), "{bad}");
    }
}

fn change_suspension(is_suspended: bool) -> Command {
    Command::Change {
        name: None,
        stripe_customer_id: None,
        is_suspended: Some(is_suspended),
    }
}

#[test]
fn a_rule_ends_only_what_it_has_done() {
    let by_rule = || vec![registered(), Event::SuspendedForBilling];
    framework()
        .given(vec![registered()])
        .when(Command::WithdrawAccess)
        .then_expect_events(vec![Event::SuspendedForBilling]);
    framework()
        .given(by_rule())
        .when(Command::WithdrawAccess)
        .then_expect_events(vec![]);
    framework()
        .given(by_rule())
        .when(Command::RestoreAccess)
        .then_expect_events(vec![Event::Resumed]);
    framework()
        .given(by_rule())
        .when(change_suspension(false))
        .then_expect_events(vec![Event::Resumed]);
    // Somebody takes it over.
    framework()
        .given(by_rule())
        .when(change_suspension(true))
        .then_expect_events(vec![Event::Suspended]);
    let by_hand = [
        vec![registered(), Event::Suspended],
        vec![registered(), Event::SuspendedForBilling, Event::Suspended],
        vec![registered(), Event::SuspendedForBilling, Event::Resumed],
    ];
    for events in by_hand {
        framework()
            .given(events)
            .when(Command::RestoreAccess)
            .then_expect_events(vec![]);
    }
    framework()
        .given(vec![registered(), Event::Suspended])
        .when(Command::WithdrawAccess)
        .then_expect_events(vec![]);
}

#[test]
fn a_callback_gives_a_customer_to_whoever_has_none() {
    let set = |id: &str| Event::StripeCustomerSet {
        stripe_customer_id: Some(id.to_owned()),
    };
    let link = |id: &str| Command::LinkCustomer {
        customer_id: id.to_owned(),
    };
    framework()
        .given(vec![registered()])
        .when(link("cus_1"))
        .then_expect_events(vec![set("cus_1")]);
    framework()
        .given(vec![registered(), set("cus_1")])
        .when(link("cus_1"))
        .then_expect_events(vec![]);
    framework()
        .given(vec![registered(), set("cus_1")])
        .when(link("cus_2"))
        .then_expect_error(Error::OtherCustomer);
}
