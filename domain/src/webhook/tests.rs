use chrono::{Duration, TimeZone};
use cqrs_es::test::TestFramework;

use super::*;
use crate::sealed::Sealed;

fn framework() -> TestFramework<Webhook> {
    TestFramework::with(rules())
}

fn rules() -> Rules {
    Rules {
        policy: Arc::default(),
        catalogue: Arc::new(Catalogue::new([])),
    }
}

fn now() -> DateTime<Utc> {
    Utc.timestamp_millis_opt(1_800_000_000_000).unwrap()
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

fn changes() -> Changes {
    Changes {
        name: Some("Orders".to_owned()),
        url: Some("https://example.com/hook".to_owned()),
        events: Some(vec!["ticket.*".to_owned()]),
        ..Changes::default()
    }
}

fn config() -> Config {
    changes().apply_to(Config::default(), &rules()).unwrap()
}

fn secret(version: u64) -> SealedSecret {
    SealedSecret {
        version,
        sealed: Sealed::from_text(format!("sealed {version}")),
    }
}

fn registered() -> Event {
    Event::Registered {
        tenant_id: acme(),
        config: config(),
        is_active: true,
        secret: secret(1),
    }
}

fn change(changes: Changes) -> Command {
    Command::Change { changes }
}

#[test]
fn a_webhook_is_registered() {
    framework()
        .given_no_previous_events()
        .when(Command::Register {
            tenant_id: acme(),
            changes: changes(),
            secret: secret(1).sealed,
        })
        .then_expect_events(vec![registered()]);
}

#[test]
fn everything_that_is_wrong_is_named() {
    let result = framework()
        .given(vec![registered()])
        .when(change(Changes {
            name: Some(String::new()),
            url: Some("http://127.0.0.1/".to_owned()),
            events: Some(vec![
                "ticket.updated".to_owned(),
                "tickt.updated".to_owned(),
            ]),
            headers: Some([("Host".to_owned(), "x".to_owned())].into()),
            filter: Some(Some("priority == 'high'".to_owned())),
            rate_limit: Some(Some(0)),
            timeout_seconds: Some(Some(31)),
            retry_schedule: Some(Some(vec![1; 51])),
            ..Changes::default()
        }))
        .inspect_result();
    let Err(Error::Invalid(errors)) = result else {
        panic!("{result:?}")
    };
    let named: Vec<_> = errors
        .iter()
        .map(|error| (error.field.as_str(), error.code))
        .collect();
    assert_eq!(
        named,
        [
            ("name", "invalid_length"),
            ("url", "refused_target"),
            ("events[1]", "unknown_topic"),
            ("headers", "invalid_header"),
            ("filter", "invalid_filter"),
            ("rate_limit", "out_of_range"),
            ("timeout_seconds", "out_of_range"),
            ("retry_schedule", "invalid_length"),
        ]
    );
}

#[test]
fn a_change_that_changes_nothing_is_no_event() {
    framework()
        .given(vec![registered()])
        .when(change(Changes {
            is_active: Some(true),
            ..changes()
        }))
        .then_expect_events(vec![]);
}

#[test]
fn a_filter_and_an_order_are_configured_and_reset() {
    let filtered = |filter: Option<&str>, ordering| Changes {
        filter: Some(filter.map(str::to_owned)),
        ordering: Some(ordering),
        ..Changes::default()
    };
    let with = Config {
        filter: Some("data.priority == 'high'".to_owned()),
        ordering: Ordering::Fifo,
        ..config()
    };
    let changed = |config| vec![Event::Changed { config }];
    framework()
        .given(vec![registered()])
        .when(change(filtered(
            Some("data.priority == 'high'"),
            Ordering::Fifo,
        )))
        .then_expect_events(changed(with.clone()));
    let given = || {
        let config = with.clone();
        framework().given(vec![registered(), Event::Changed { config }])
    };
    given()
        .when(change(filtered(None, Ordering::None)))
        .then_expect_events(changed(config()));
    let renamed = Changes {
        name: Some("New".to_owned()),
        ..Changes::default()
    };
    given()
        .when(change(renamed))
        .then_expect_events(changed(Config {
            name: "New".to_owned(),
            ..with.clone()
        }));
}

/// Versions before there were filters wrote none.
#[test]
fn a_configuration_without_a_filter_is_read() {
    let mut written = serde_json::to_value(config()).unwrap();
    assert!(written.as_object_mut().unwrap().remove("filter").is_none());
    assert_eq!(serde_json::from_value::<Config>(written).unwrap(), config());
}

#[test]
fn switching_off_and_on_are_events_of_their_own() {
    let switch = |is_active| {
        change(Changes {
            is_active: Some(is_active),
            ..Changes::default()
        })
    };
    framework()
        .given(vec![registered()])
        .when(switch(false))
        .then_expect_events(vec![Event::Deactivated]);
    framework()
        .given(vec![registered(), Event::Deactivated])
        .when(switch(true))
        .then_expect_events(vec![Event::Activated]);
}

#[test]
fn rotations_within_a_grace_add_up_to_five() {
    let mut events = vec![registered()];
    for n in 2..=8 {
        let at = now() + Duration::seconds(n);
        let mut webhook = Webhook::default();
        for event in events.clone() {
            cqrs_es::Aggregate::apply(&mut webhook, event);
        }
        let sealed = secret(n.unsigned_abs()).sealed;
        let event = webhook.rotate(sealed, GRACE_SECONDS_DEFAULT, None, at);
        events.extend(event.unwrap());
    }
    let Some(Event::SecretRotated { secret, previous }) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(secret.version, 8);
    let versions: Vec<_> = previous.iter().map(|p| p.secret.version).collect();
    assert_eq!(versions, [7, 6, 5, 4, 3]);
}

#[test]
fn without_grace_the_old_secret_ends_at_once() {
    framework()
        .given(vec![registered()])
        .when(Command::RotateSecret {
            sealed: secret(2).sealed,
            grace_seconds: 0,
            same_as: None,
            now: now(),
        })
        .then_expect_events(vec![Event::SecretRotated {
            secret: secret(2),
            previous: vec![],
        }]);
}

#[test]
fn an_old_secret_ends_with_its_own_grace() {
    let mut webhook = Webhook::default();
    cqrs_es::Aggregate::apply(&mut webhook, registered());
    let rotated = webhook.rotate(secret(2).sealed, 60, None, now()).unwrap();
    cqrs_es::Aggregate::apply(&mut webhook, rotated.unwrap());
    assert_eq!(
        webhook
            .previous_secrets(now() + Duration::seconds(59))
            .count(),
        1
    );
    assert_eq!(
        webhook
            .previous_secrets(now() + Duration::seconds(60))
            .count(),
        0
    );
}

fn disable(reason: DisableReason, seen_version: u64) -> Command {
    Command::Disable {
        reason,
        seen_version,
    }
}

#[test]
fn what_an_attempt_showed_disables_it_until_it_is_activated() {
    for reason in [DisableReason::Gone, DisableReason::Failing] {
        framework()
            .given(vec![registered()])
            .when(disable(reason, 1))
            .then_expect_events(vec![Event::Disabled { reason }]);
        let mut webhook = Webhook::default();
        cqrs_es::Aggregate::apply(&mut webhook, registered());
        cqrs_es::Aggregate::apply(&mut webhook, Event::Disabled { reason });
        assert!(!webhook.is_active());
        assert_eq!(webhook.disabled_reason(), Some(reason));
        cqrs_es::Aggregate::apply(&mut webhook, Event::Activated);
        assert!(webhook.is_active());
        assert_eq!(webhook.disabled_reason(), None);
    }
}

#[test]
fn what_an_attempt_showed_before_a_change_disables_nothing() {
    let elsewhere = || Event::Changed {
        config: Config {
            url: "https://example.org/".to_owned(),
            ..config()
        },
    };
    let renamed = || Event::Changed {
        config: Config {
            name: "other".to_owned(),
            ..config()
        },
    };
    let gone = DisableReason::Gone;
    let disabled = || Event::Disabled { reason: gone };
    let nothing = [
        vec![registered(), elsewhere()],
        vec![registered(), disabled()],
        vec![registered(), disabled(), Event::Activated],
        vec![registered(), Event::Deactivated],
    ];
    for given in nothing {
        framework()
            .given(given)
            .when(disable(gone, 1))
            .then_expect_events(vec![]);
    }
    // Another name is the same receiver.
    framework()
        .given(vec![registered(), renamed()])
        .when(disable(gone, 1))
        .then_expect_events(vec![disabled()]);
}

#[test]
fn a_deleted_webhook_is_gone() {
    let reseal = Command::ResealSecrets {
        secrets: vec![anew(1)],
        now: now(),
    };
    let disable = disable(DisableReason::Gone, 1);
    for command in [Command::Delete, change(Changes::default()), reseal, disable] {
        framework()
            .given(vec![registered(), Event::Deleted])
            .when(command)
            .then_expect_error(Error::NotFound);
    }
}

/// A webhook that these events have made.
fn webhook(events: impl IntoIterator<Item = Event>) -> Webhook {
    let mut webhook = Webhook::default();
    for event in events {
        cqrs_es::Aggregate::apply(&mut webhook, event);
    }
    webhook
}

fn old(version: u64, seconds: i64) -> PreviousSecret {
    PreviousSecret {
        secret: secret(version),
        expires_at: now() + Duration::seconds(seconds),
    }
}

/// Number 3, with 2 and 1 before it.
fn rotated_twice() -> Vec<Event> {
    let rotated = Event::SecretRotated {
        secret: secret(3),
        previous: vec![old(2, 100), old(1, 50)],
    };
    vec![registered(), rotated]
}

fn rotate_to(same_as: Option<u64>, now: DateTime<Utc>) -> Command {
    Command::RotateSecret {
        sealed: secret(4).sealed,
        grace_seconds: 60,
        same_as,
        now,
    }
}

#[test]
fn a_secret_is_not_rotated_to_itself() {
    framework()
        .given(rotated_twice())
        .when(rotate_to(Some(3), now()))
        .then_expect_events(vec![]);
}

#[test]
fn an_old_secret_that_is_taken_back_is_no_old_one_any_more() {
    framework()
        .given(rotated_twice())
        .when(rotate_to(Some(1), now()))
        .then_expect_events(vec![Event::SecretRotated {
            secret: secret(4),
            previous: vec![old(3, 60), old(2, 100)],
        }]);
}

#[test]
fn each_old_secret_keeps_its_own_end() {
    let later = now() + Duration::seconds(50);
    framework()
        .given(rotated_twice())
        .when(rotate_to(None, later))
        .then_expect_events(vec![Event::SecretRotated {
            secret: secret(4),
            previous: vec![old(3, 110), old(2, 100)],
        }]);
    let without_grace = Command::RotateSecret {
        sealed: secret(4).sealed,
        grace_seconds: 0,
        same_as: None,
        now: now(),
    };
    framework()
        .given(rotated_twice())
        .when(without_grace)
        .then_expect_events(vec![Event::SecretRotated {
            secret: secret(4),
            previous: vec![old(2, 100), old(1, 50)],
        }]);
}

#[test]
fn a_grace_beyond_seven_days_is_refused() {
    let command = Command::RotateSecret {
        sealed: secret(2).sealed,
        grace_seconds: GRACE_SECONDS_MAX + 1,
        same_as: None,
        now: now(),
    };
    let result = framework()
        .given(vec![registered()])
        .when(command)
        .inspect_result();
    assert!(
        matches!(&result, Err(Error::Invalid(errors)) if errors[0].field == "grace_seconds"),
        "{result:?}"
    );
}

fn anew(version: u64) -> SealedSecret {
    SealedSecret {
        version,
        sealed: Sealed::from_text(format!("sealed anew {version}")),
    }
}

#[test]
fn resealed_secrets_keep_their_numbers_and_ends() {
    let reseal = |versions: &[u64], now| Command::ResealSecrets {
        secrets: versions.iter().map(|version| anew(*version)).collect(),
        now,
    };
    let anew_old = |version, seconds| PreviousSecret {
        secret: anew(version),
        ..old(version, seconds)
    };
    framework()
        .given(rotated_twice())
        .when(reseal(&[1, 2, 3], now()))
        .then_expect_events(vec![Event::SecretsResealed {
            secret: anew(3),
            previous: vec![anew_old(2, 100), anew_old(1, 50)],
        }]);
    // The first one is over, the second one cannot be opened.
    framework()
        .given(rotated_twice())
        .when(reseal(&[1, 3], now() + Duration::seconds(50)))
        .then_expect_events(vec![Event::SecretsResealed {
            secret: anew(3),
            previous: vec![old(2, 100)],
        }]);
    for versions in [&[][..], &[7]] {
        framework()
            .given(rotated_twice())
            .when(reseal(versions, now() + Duration::seconds(50)))
            .then_expect_events(vec![]);
    }
    let resealed = webhook(rotated_twice().into_iter().chain([Event::SecretsResealed {
        secret: anew(3),
        previous: vec![anew_old(2, 100)],
    }]));
    assert_eq!(resealed.secret(), &anew(3));
    assert_eq!(resealed.previous_secrets(now()).count(), 1);
    assert!(resealed.exists() && resealed.is_active());
    assert_eq!(resealed.config(), &config());
}
