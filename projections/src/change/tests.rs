use std::collections::BTreeMap;

use chrono::TimeZone;
use hookledger_domain::{
    delivery::{
        self, CancelReason, Scheduled,
        attempt::{Attempt, FailureCode, ResponseHead, Trigger},
    },
    ids::AttemptId,
    message::{Accepted, FanOut, IdempotencyKey, Recipient, SkipReason, Skipped},
    permission::Role,
    sealed::Sealed,
    tenant::IssuedToken,
    vault,
    webhook::{self, PreviousSecret, SealedSecret},
};

use super::*;
use crate::rows::{AttemptRow, ResponseRow};

fn at(seconds: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_800_000_000 + seconds, 0).unwrap()
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

fn id<Id: std::str::FromStr>(prefix: &str, digit: u8) -> Id {
    let text = format!("{prefix}_0190a1b2c3d47e5f8a9b0c1d2e3f4a5{digit}");
    text.parse().unwrap_or_else(|_| panic!("{text} is no id"))
}

fn webhook_id() -> WebhookId {
    id("wh", 1)
}

fn message_id() -> MessageId {
    id("msg", 2)
}

fn delivery_id() -> DeliveryId {
    id("dlv", 3)
}

/// What an event that is number 7 of its aggregate changes. It is asked twice: the answer depends
/// on the event alone.
fn changes(aggregate_id: &str, fact: impl Into<Fact>) -> Vec<Change> {
    let fact = fact.into();
    let recorded = Recorded {
        aggregate_id,
        sequence: 7,
        recorded_at: at(70),
        fact: &fact,
    };
    let (mut once, mut again) = (Vec::new(), Vec::new());
    project(recorded, Some(&acme()), &mut once).unwrap();
    project(recorded, Some(&acme()), &mut again).unwrap();
    assert_eq!(once, again);
    once
}

fn of_tenant(event: tenant::Event) -> Vec<Change> {
    changes("acme", event)
}

/// What an event changes in the webhook's row; it counts as a new generation of its tenant, too.
fn of_webhook(event: webhook::Event) -> Vec<Change> {
    let mut changes = changes(&webhook_id().to_string(), event);
    assert_eq!(changes.pop(), Some(Change::CountGeneration { id: acme() }));
    changes
}

fn of_delivery(event: delivery::Event) -> Vec<Change> {
    changes(&delivery_id().to_string(), event)
}

fn secret(version: u64) -> SealedSecret {
    SealedSecret {
        version,
        sealed: Sealed::from_text(format!("sealed {version}")),
    }
}

fn config() -> Config {
    Config {
        name: "Orders".to_owned(),
        url: "https://example.com/hook".to_owned(),
        ..Config::default()
    }
}

#[test]
fn a_registered_tenant_gets_a_row() {
    let row = TenantRow {
        id: acme(),
        name: "Acme".to_owned(),
        stripe_customer_id: None,
        is_suspended: false,
        generation: 0,
    };
    let event = tenant::Event::Registered {
        name: "Acme".to_owned(),
    };
    assert_eq!(of_tenant(event), [Change::InsertTenant(row)]);
}

#[test]
fn what_happens_to_a_tenant_changes_its_row() {
    let id = acme();
    let renamed = tenant::Event::Renamed {
        name: "New".to_owned(),
    };
    let name = "New".to_owned();
    assert_eq!(
        of_tenant(renamed),
        [Change::RenameTenant { id: acme(), name }]
    );
    let stripe_customer_id = Some("cus_1".to_owned());
    let set = tenant::Event::StripeCustomerSet {
        stripe_customer_id: stripe_customer_id.clone(),
    };
    assert_eq!(
        of_tenant(set),
        [Change::SetStripeCustomer {
            id,
            stripe_customer_id
        }]
    );
    for (event, is_suspended) in [
        (tenant::Event::Suspended, true),
        (tenant::Event::SuspendedForBilling, true),
        (tenant::Event::Resumed, false),
    ] {
        assert_eq!(
            of_tenant(event),
            [
                Change::SetSuspended {
                    id: acme(),
                    is_suspended
                },
                Change::CountGeneration { id: acme() }
            ]
        );
    }
}

#[test]
fn a_token_has_a_row_until_it_is_revoked() {
    let token = IssuedToken {
        token_id: id("tok", 4),
        name: "ci".to_owned(),
        role: Role::Publisher,
        token_sha256: "00ff".to_owned(),
        expires_at: Some(at(1000)),
    };
    let row = TokenRow {
        id: token.token_id,
        tenant_id: acme(),
        name: "ci".to_owned(),
        role: Role::Publisher,
        token_sha256: "00ff".to_owned(),
        expires_at: Some(at(1000)),
    };
    let token_id = token.token_id;
    assert_eq!(
        of_tenant(tenant::Event::TokenIssued(token)),
        [Change::InsertToken(row)]
    );
    let revoked = tenant::Event::TokenRevoked { token_id };
    assert_eq!(of_tenant(revoked), [Change::DeleteToken { id: token_id }]);
}

#[test]
fn a_custom_topic_has_a_row_until_it_is_removed() {
    let name: Topic = "order.paid".parse().unwrap();
    let defined = topic::Event::Defined {
        description: "An order was paid".to_owned(),
        schema: Some("true".to_owned()),
    };
    let row = TopicRow {
        name: name.clone(),
        description: "An order was paid".to_owned(),
        schema: Some("true".to_owned()),
    };
    assert_eq!(changes("order.paid", defined), [Change::PutTopic(row)]);
    assert_eq!(
        changes("order.paid", topic::Event::Removed),
        [Change::DeleteTopic { name }]
    );
}

#[test]
fn a_registered_webhook_gets_a_row() {
    let event = webhook::Event::Registered {
        tenant_id: acme(),
        config: config(),
        is_active: true,
        secret: secret(1),
    };
    let row = WebhookRow {
        id: webhook_id(),
        tenant_id: acme(),
        config: config(),
        is_active: true,
        disabled_reason: None,
        failing_since: None,
        secrets: Secrets {
            current: secret(1),
            previous: Vec::new(),
        },
        created_at: at(70),
        updated_at: at(70),
        version: 7,
        is_deleted: false,
    };
    assert_eq!(of_webhook(event), [Change::InsertWebhook(Box::new(row))]);
}

#[test]
fn every_event_of_a_webhook_sets_its_version_and_time() {
    let (id, version, updated_at) = (webhook_id(), 7, at(70));
    let changed = webhook::Event::Changed { config: config() };
    let begins_anew = Change::NoteOutcome {
        webhook_id: id,
        failed_at: None,
    };
    let expected = [
        begins_anew.clone(),
        Change::ConfigureWebhook {
            id,
            config: Box::new(config()),
            version,
            updated_at,
        },
    ];
    assert_eq!(of_webhook(changed), expected);
    let gone = DisableReason::Gone;
    for (event, is_active, disabled_reason) in [
        (webhook::Event::Activated, true, None),
        (webhook::Event::Deactivated, false, None),
        (webhook::Event::Disabled { reason: gone }, false, Some(gone)),
    ] {
        let expected = [
            begins_anew.clone(),
            Change::SetWebhookActive {
                id,
                is_active,
                disabled_reason,
                version,
                updated_at,
            },
        ];
        assert_eq!(of_webhook(event), expected);
    }
    assert_eq!(
        of_webhook(webhook::Event::Deleted),
        [Change::DeleteWebhook {
            id,
            version,
            updated_at
        }]
    );
}

#[test]
fn a_rotation_replaces_the_secrets() {
    let previous = vec![PreviousSecret {
        secret: secret(1),
        expires_at: at(86_400),
    }];
    let event = webhook::Event::SecretRotated {
        secret: secret(2),
        previous: previous.clone(),
    };
    let expected = Change::SetWebhookSecrets {
        id: webhook_id(),
        secrets: Secrets {
            current: secret(2),
            previous,
        },
        version: 7,
        updated_at: at(70),
    };
    assert_eq!(of_webhook(event), [expected]);
}

#[test]
fn resealed_secrets_replace_the_secrets_and_are_no_new_generation() {
    let event = webhook::Event::SecretsResealed {
        secret: secret(2),
        previous: Vec::new(),
    };
    let expected = Change::SetWebhookSecrets {
        id: webhook_id(),
        secrets: Secrets {
            current: secret(2),
            previous: Vec::new(),
        },
        version: 7,
        updated_at: at(70),
    };
    assert_eq!(changes(&webhook_id().to_string(), event), [expected]);
}

#[test]
fn an_adopted_key_is_in_no_view() {
    let event = vault::Event::KeyAdopted {
        key_id: "0011aabb".to_owned(),
    };
    assert_eq!(changes(vault::ID, event), []);
}

#[test]
fn an_accepted_message_gets_a_row_with_what_it_was_accepted_with() {
    let idempotency = Some(IdempotencyKey {
        key: "k-1".to_owned(),
        content_sha256: "aa".to_owned(),
    });
    let not_delivered = vec![Skipped {
        webhook_id: id("wh", 9),
        reason: SkipReason::Inactive,
        detail: None,
    }];
    let accepted = Accepted {
        tenant_id: acme(),
        timestamp: at(-100),
        ordering_key: Some("order-1".to_owned()),
        body_bytes: 17,
        body_sha256: "bb".to_owned(),
        idempotency: idempotency.clone(),
        fan_out: FanOut {
            deliveries: vec![Recipient {
                delivery_id: delivery_id(),
                webhook_id: webhook_id(),
            }],
            not_delivered: not_delivered.clone(),
        },
        ..Accepted::default()
    };
    let row = MessageRow {
        id: message_id(),
        tenant_id: acme(),
        topic: Topic::default(),
        timestamp: at(-100),
        accepted_at: message_id().time(),
        ordering_key: Some("order-1".to_owned()),
        body_bytes: 17,
        body_sha256: "bb".to_owned(),
        idempotency,
        deliveries: 1,
        not_delivered,
    };
    let found = changes(
        &message_id().to_string(),
        message::Event::Accepted(accepted),
    );
    assert_eq!(found, [Change::InsertMessage(Box::new(row))]);
}

#[test]
fn a_scheduled_delivery_gets_a_pending_row() {
    let row = DeliveryRow {
        id: delivery_id(),
        tenant_id: acme(),
        message_id: message_id(),
        webhook_id: webhook_id(),
        topic: Topic::default(),
        trigger: Trigger::Publish,
        queue: Some("order-1".to_owned()),
        status: Status::Pending,
        attempts: 0,
        created_at: delivery_id().time(),
        next_attempt_at: Some(at(5)),
        completed_at: None,
        last_response_status: None,
        last_error: None,
    };
    let event = delivery::Event::Scheduled(Scheduled {
        tenant_id: acme(),
        message_id: message_id(),
        webhook_id: webhook_id(),
        topic: Topic::default(),
        trigger: Trigger::Publish,
        due_at: at(5),
        ordering_key: Some("order-1".to_owned()),
    });
    assert_eq!(of_delivery(event), [Change::InsertDelivery(Box::new(row))]);
}

#[test]
fn a_test_has_no_place_in_an_order() {
    let queue = |trigger, ordering_key: Option<&str>| {
        let scheduled = Scheduled {
            trigger,
            ordering_key: ordering_key.map(str::to_owned),
            ..Scheduled::default()
        };
        let changes = of_delivery(delivery::Event::Scheduled(scheduled));
        let [Change::InsertDelivery(row)] = changes.as_slice() else {
            panic!("{changes:?}")
        };
        row.queue.clone()
    };
    assert_eq!(queue(Trigger::Test, Some("a")), None);
    assert_eq!(queue(Trigger::Publish, Some("a")).as_deref(), Some("a"));
    assert_eq!(queue(Trigger::Publish, None).as_deref(), Some(""));
}

fn attempt(status: u16) -> Attempt {
    Attempt {
        id: id::<AttemptId>("att", 5),
        number: 2,
        message_id: message_id(),
        webhook_id: webhook_id(),
        topic: Topic::default(),
        webhook_version: 3,
        trigger: Trigger::Retry,
        started_at: at(60),
        duration_ms: 1234,
        url: "https://example.com/hook".to_owned(),
        response: Some(ResponseHead {
            status,
            headers: BTreeMap::from([("server".to_owned(), "x".to_owned())]),
            body_bytes: 2,
            body_sha256: "cc".to_owned(),
            body_truncated: true,
        }),
        failure: failure(status),
    }
}

fn failure(status: u16) -> Option<Failure> {
    (status != 200).then(|| Failure {
        code: FailureCode::HttpStatus,
        message: format!("the receiver answered {status}"),
    })
}

fn logged(status: u16) -> Change {
    Change::InsertAttempt(Box::new(AttemptRow {
        id: id("att", 5),
        tenant_id: acme(),
        delivery_id: delivery_id(),
        message_id: message_id(),
        webhook_id: webhook_id(),
        webhook_version: 3,
        topic: Topic::default(),
        number: 2,
        trigger: Trigger::Retry,
        started_at: at(60),
        duration_ms: 1234,
        url: "https://example.com/hook".to_owned(),
        response: Some(ResponseRow {
            status,
            headers: BTreeMap::from([("server".to_owned(), "x".to_owned())]),
            body_bytes: 2,
            body_truncated: true,
        }),
        error: failure(status),
    }))
}

fn outcome(status: u16) -> Change {
    Change::NoteOutcome {
        webhook_id: webhook_id(),
        failed_at: (status != 200).then(|| at(60)),
    }
}

fn progress(
    status: Status,
    response_status: u16,
    next_attempt_at: Option<DateTime<Utc>>,
) -> Change {
    Change::UpdateDelivery(Box::new(DeliveryProgress {
        id: delivery_id(),
        standing: Some(Standing {
            status,
            completed_at: next_attempt_at.is_none().then(|| at(70)),
        }),
        next_attempt_at,
        last: Some(LastAttempt {
            number: 2,
            response_status: Some(response_status),
            error: failure(response_status),
        }),
    }))
}

#[test]
fn a_failed_attempt_is_logged_and_the_delivery_stays_pending() {
    let event = delivery::Event::AttemptFailed {
        attempt: attempt(500),
        next_attempt_at: at(300),
    };
    let expected = [
        progress(Status::Pending, 500, Some(at(300))),
        outcome(500),
        logged(500),
    ];
    assert_eq!(of_delivery(event), expected);
}

#[test]
fn a_last_attempt_is_logged_and_ends_the_delivery() {
    let succeeded = delivery::Event::Succeeded {
        attempt: attempt(200),
    };
    assert_eq!(
        of_delivery(succeeded),
        [
            progress(Status::Succeeded, 200, None),
            outcome(200),
            logged(200)
        ]
    );
    let exhausted = delivery::Event::Exhausted {
        attempt: attempt(404),
    };
    assert_eq!(
        of_delivery(exhausted),
        [
            progress(Status::Exhausted, 404, None),
            outcome(404),
            logged(404)
        ]
    );
}

#[test]
fn a_cancelled_delivery_keeps_what_its_last_attempt_gave() {
    let event = delivery::Event::Cancelled {
        reason: CancelReason::WebhookDeleted,
    };
    let expected = DeliveryProgress {
        id: delivery_id(),
        standing: Some(Standing {
            status: Status::Cancelled,
            completed_at: Some(at(70)),
        }),
        next_attempt_at: None,
        last: None,
    };
    assert_eq!(
        of_delivery(event),
        [Change::UpdateDelivery(Box::new(expected))]
    );
}

#[test]
fn what_is_asked_for_by_hand_changes_when_it_is_due_only() {
    let due = |next_attempt_at, last| {
        Change::UpdateDelivery(Box::new(DeliveryProgress {
            id: delivery_id(),
            standing: None,
            next_attempt_at,
            last,
        }))
    };
    let requested = delivery::Event::AttemptRequested {
        trigger: Trigger::Redeliver,
        at: at(90),
    };
    assert_eq!(of_delivery(requested), [due(Some(at(90)), None)]);
    let withdrawn = delivery::Event::RequestWithdrawn {
        reason: CancelReason::Requested,
    };
    assert_eq!(of_delivery(withdrawn), [due(None, None)]);
    let failed = delivery::Event::ExtraAttemptFailed {
        attempt: attempt(500),
        next_attempt_at: Some(at(300)),
    };
    let last = LastAttempt {
        number: 2,
        response_status: Some(500),
        error: failure(500),
    };
    let expected = [due(Some(at(300)), Some(last)), outcome(500), logged(500)];
    assert_eq!(of_delivery(failed), expected);
}

fn of_recovery(event: recovery::Event) -> Vec<Change> {
    changes(&id::<RecoveryId>("rec", 6).to_string(), event)
}

#[test]
fn a_recovery_has_a_row_that_tells_how_far_it_is() {
    let started = recovery::Event::Started(recovery::Started {
        tenant_id: acme(),
        webhook_id: webhook_id(),
        from: at(0),
        to: at(9),
        selection: recovery::Selection::Any,
        matched: 7,
        unless_since: at(1),
    });
    let row = RecoveryRow {
        id: id("rec", 6),
        tenant_id: acme(),
        webhook_id: webhook_id(),
        from: at(0),
        to: at(9),
        selection: recovery::Selection::Any,
        state: recovery::State::Running,
        matched: 7,
        requested: 0,
        completed_at: None,
    };
    assert_eq!(
        of_recovery(started),
        [Change::InsertRecovery(Box::new(row))]
    );
    let advanced = recovery::Event::Advanced {
        through: delivery_id(),
        requested: 5,
    };
    let advance = Change::AdvanceRecovery {
        id: id("rec", 6),
        requested: 5,
    };
    assert_eq!(of_recovery(advanced), [advance]);
    for (event, state) in [
        (recovery::Event::Completed, recovery::State::Completed),
        (recovery::Event::Cancelled, recovery::State::Cancelled),
    ] {
        let end = Change::EndRecovery {
            id: id("rec", 6),
            state,
            completed_at: at(70),
        };
        assert_eq!(of_recovery(event), [end]);
    }
}

#[test]
fn erasing_takes_bytes_away_and_leaves_rows_as_they_are() {
    assert_eq!(
        changes(&message_id().to_string(), message::Event::BodyErased),
        [Change::EraseMessageBody { id: message_id() }]
    );
    let attempt_id = id("att", 5);
    assert_eq!(
        of_delivery(delivery::Event::ResponseBodyErased { attempt_id }),
        [Change::EraseResponseBody { id: attempt_id }]
    );
}

#[test]
fn an_id_of_another_kind_is_refused() {
    let fact = Fact::from(webhook::Event::Deleted);
    for (aggregate_id, tenant_id) in [("msg_1", Some(acme())), ("acme", Some(acme())), ("", None)] {
        let recorded = Recorded {
            aggregate_id,
            sequence: 1,
            recorded_at: at(0),
            fact: &fact,
        };
        let mut changes = Vec::new();
        assert_eq!(
            project(recorded, tenant_id.as_ref(), &mut changes),
            Err(WrongId)
        );
        assert_eq!(changes, []);
    }
}

#[test]
fn a_delivery_without_a_tenant_is_refused() {
    let fact = Fact::from(delivery::Event::Cancelled {
        reason: CancelReason::WebhookDeleted,
    });
    let aggregate_id = delivery_id().to_string();
    let recorded = Recorded {
        aggregate_id: &aggregate_id,
        sequence: 2,
        recorded_at: at(0),
        fact: &fact,
    };
    assert_eq!(project(recorded, None, &mut Vec::new()), Err(WrongId));
}
