use chrono::{DateTime, Utc};
use cqrs_es::test::TestFramework;

use super::*;
use crate::{stripe::Subject, tenant::TenantId};

fn notice() -> Notice {
    Notice {
        kind: "invoice.paid".to_owned(),
        created_at: DateTime::<Utc>::UNIX_EPOCH,
        livemode: Some(true),
        body_sha256: "ab".repeat(32),
        customer_id: Some("cus_1".parse().unwrap()),
        metadata_tenant: None,
        client_reference: None,
        subject: Subject::Checkout,
    }
}

fn tenant(id: &str) -> TenantId {
    id.parse().unwrap()
}

fn candidate(id: &str, customer: Option<&str>) -> Option<Candidate> {
    Some(Candidate {
        tenant_id: tenant(id),
        customer_id: customer.map(str::to_owned),
    })
}

fn owned_by(id: &str, is_linked_now: bool) -> Owner {
    Owner::Tenant {
        tenant_id: tenant(id),
        is_linked_now,
    }
}

#[test]
fn a_callback_is_taken_once() {
    let take = |effect| Command {
        notice: notice(),
        effect,
    };
    let acme = || tenant("acme");
    let applied = Event::Applied {
        tenant_id: acme(),
        notice: notice(),
    };
    let stale = Event::Stale {
        tenant_id: acme(),
        notice: notice(),
    };
    let ignored = Event::Ignored {
        notice: notice(),
        reason: Ignorance::OtherMode,
    };
    let ignore = Effect::Ignore(Ignorance::OtherMode);
    for (effect, event, event_type, outcome) in [
        (Effect::Apply(acme()), applied, "applied", Outcome::Applied),
        (Effect::BeStale(acme()), stale, "stale", Outcome::Stale),
        (ignore, ignored, "ignored", Outcome::Ignored),
    ] {
        assert_eq!(cqrs_es::DomainEvent::event_type(&event), event_type);
        TestFramework::<Callback>::with(())
            .given_no_previous_events()
            .when(take(effect))
            .then_expect_events(vec![event.clone()]);
        TestFramework::<Callback>::with(())
            .given(vec![event.clone()])
            .when(take(Effect::Apply(acme())))
            .then_expect_error(AlreadyTaken);
        let mut callback = Callback::default();
        cqrs_es::Aggregate::apply(&mut callback, event);
        assert_eq!(callback.outcome(), Some(outcome));
        let owner = Some(acme()).filter(|_| outcome != Outcome::Ignored);
        assert_eq!(callback.tenant_id(), owner.as_ref());
    }
}

#[test]
fn a_callback_without_tenant_waits_until_it_has_one() {
    let receive = || UnassignedCommand::Receive {
        notice: Box::new(notice()),
        reason: Reason::UnknownTenant,
    };
    let received = || UnassignedEvent::Received {
        notice: Box::new(notice()),
        reason: Reason::UnknownTenant,
    };
    let tenant_id = tenant("acme");
    let assign = || UnassignedCommand::Assign {
        tenant_id: tenant_id.clone(),
    };
    let assigned = || UnassignedEvent::Assigned {
        tenant_id: tenant_id.clone(),
    };
    let framework = || TestFramework::<Unassigned>::with(());
    framework()
        .given_no_previous_events()
        .when(receive())
        .then_expect_events(vec![received()]);
    framework()
        .given(vec![received()])
        .when(receive())
        .then_expect_error(UnassignedError::AlreadyReceived);
    framework()
        .given(vec![received()])
        .when(assign())
        .then_expect_events(vec![assigned()]);
    framework()
        .given(vec![received(), assigned()])
        .when(assign())
        .then_expect_error(UnassignedError::NotWaiting);
    framework()
        .given(vec![received()])
        .when(UnassignedCommand::Dismiss)
        .then_expect_events(vec![UnassignedEvent::Dismissed]);
    framework()
        .given(vec![received(), UnassignedEvent::Dismissed])
        .when(assign())
        .then_expect_error(UnassignedError::NotWaiting);
    framework()
        .given_no_previous_events()
        .when(assign())
        .then_expect_error(UnassignedError::NotWaiting);
    let mut unassigned = Unassigned::default();
    assert!(!unassigned.is_known() && unassigned.waiting().is_none());
    cqrs_es::Aggregate::apply(&mut unassigned, received());
    assert_eq!(unassigned.waiting(), Some(&notice()));
    cqrs_es::Aggregate::apply(&mut unassigned, assigned());
    assert!(unassigned.is_known() && unassigned.waiting().is_none());
}

#[test]
fn modes_want_their_own() {
    for (mode, live, test, unsaid) in [
        (Mode::Any, true, true, true),
        (Mode::Live, true, false, true),
        (Mode::Test, false, true, false),
    ] {
        let wants = [Some(true), Some(false), None].map(|livemode| mode.wants(livemode));
        assert_eq!(wants, [live, test, unsaid], "{mode:?}");
    }
}

#[test]
fn whoever_has_the_customer_gets_it_whatever_it_names() {
    let named = Notice {
        metadata_tenant: Some("globex".to_owned()),
        client_reference: Some(tenant("initech")),
        ..notice()
    };
    let candidates = Candidates {
        by_customer: vec![tenant("acme")],
        by_metadata: candidate("globex", None),
        by_reference: candidate("initech", None),
    };
    assert_eq!(owner(&named, candidates), owned_by("acme", false));
    let both = Candidates {
        by_customer: vec![tenant("acme"), tenant("globex")],
        ..Candidates::default()
    };
    assert_eq!(
        owner(&notice(), both),
        Owner::Nobody(Reason::SeveralTenants)
    );
}

#[test]
fn what_the_platform_has_written_goes_before_what_the_buyer_may_have() {
    let named = Notice {
        metadata_tenant: Some("globex".to_owned()),
        client_reference: Some(tenant("initech")),
        ..notice()
    };
    let candidates = Candidates {
        by_metadata: candidate("globex", None),
        by_reference: candidate("initech", None),
        ..Candidates::default()
    };
    assert_eq!(owner(&named, candidates), owned_by("globex", true));
    // Not the other one, when the first is unknown.
    let candidates = Candidates {
        by_reference: candidate("initech", None),
        ..Candidates::default()
    };
    assert_eq!(
        owner(&named, candidates),
        Owner::Nobody(Reason::UnknownTenant)
    );
}

#[test]
fn nobody_takes_a_tenant_away_from_its_customer() {
    let by_metadata = Notice {
        metadata_tenant: Some("acme".to_owned()),
        ..notice()
    };
    let by_reference = Notice {
        client_reference: Some(tenant("acme")),
        ..notice()
    };
    for (named, place) in [(by_metadata, 0), (by_reference, 1)] {
        let candidates = |customer| {
            let found = candidate("acme", customer);
            match place {
                0 => Candidates {
                    by_metadata: found,
                    ..Candidates::default()
                },
                _ => Candidates {
                    by_reference: found,
                    ..Candidates::default()
                },
            }
        };
        assert_eq!(owner(&named, candidates(None)), owned_by("acme", true));
        assert_eq!(
            owner(&named, candidates(Some("cus_2"))),
            Owner::Nobody(Reason::OtherCustomer)
        );
        assert_eq!(
            owner(&named, Candidates::default()),
            Owner::Nobody(Reason::UnknownTenant)
        );
    }
    assert_eq!(
        owner(&notice(), Candidates::default()),
        Owner::Nobody(Reason::NoTenantNamed)
    );
}

#[test]
fn what_names_no_customer_is_the_named_tenants() {
    let named = Notice {
        customer_id: None,
        metadata_tenant: Some("acme".to_owned()),
        ..notice()
    };
    for customer in [None, Some("cus_2")] {
        let candidates = Candidates {
            by_metadata: candidate("acme", customer),
            ..Candidates::default()
        };
        assert_eq!(owner(&named, candidates), owned_by("acme", false));
    }
}
