//! What people do by hand, and what the server makes of what receivers do.

use hookledger::store::{Commit, Store, Views};
use hookledger_domain::{
    delivery::{
        self, Status,
        attempt::{Attempt, Failure, FailureCode, Trigger},
    },
    ids::{AttemptId, DeliveryId, MessageId, RecoveryId, Sequence, WebhookId},
    recovery::{self, Selection, Started, State},
    tenant::TenantId,
    topic::Topic,
    webhook::{self, DisableReason},
};
use hookledger_projections::{
    query::{Page, Rows},
    rows::RecoveryRow,
};

use super::{
    DateTime, Engine, Utc, at, first, open, origin,
    queries::{append, registered, webhook_id},
    tenant,
    world::World,
};

/// Before and after part of the rows has been sorted in.
pub(super) async fn what_can_be_sent_again_is_found<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let world = World::half_settled(&engine, &store, 21, 200).await;
    let views = store.views();
    let middle = at((world.now() - at(0)).num_milliseconds() / 2);
    let spans = [(at(0), world.now()), (at(0), middle), (middle, world.now())];
    let mut count = 0;
    for (tenant_id, webhooks) in world.tenants.iter().zip(&world.webhooks) {
        for (webhook_id, selection) in webhooks
            .iter()
            .flat_map(|id| Selection::ALL.map(|selection| (*id, selection)))
        {
            for (from, to) in spans {
                let (start, end) = (DeliveryId::first_at(from), DeliveryId::first_at(to));
                let mut expected: Vec<DeliveryId> = world
                    .deliveries
                    .iter()
                    .filter(|row| row.webhook_id == webhook_id && row.trigger != Trigger::Test)
                    .filter(|row| selection.includes(row.status))
                    .map(|row| row.id)
                    .filter(|id| (start..end).contains(id))
                    .collect();
                expected.sort();
                let find = |limit| {
                    views.recoverable(tenant_id, webhook_id, selection, (start, end), limit)
                };
                assert_eq!(find(1000).await.unwrap(), expected);
                count += expected.len();
                expected.truncate(2);
                assert_eq!(find(2).await.unwrap(), expected);
            }
            let stranger = tenant("stranger");
            let all = (DeliveryId::default(), DeliveryId::first_at(world.now()));
            let found = views.recoverable(&stranger, webhook_id, selection, all, 10);
            assert_eq!(found.await.unwrap(), [], "no other tenant's");
        }
    }
    assert!(count > 300, "the history is too short: {count}");
    store.close().await;
}

fn recovery_id(number: u128) -> RecoveryId {
    RecoveryId::from_uuid(Sequence::default().next(at(0), number << 40))
}

fn started(tenant_id: &TenantId, webhook_id: WebhookId) -> Started {
    Started {
        tenant_id: tenant_id.clone(),
        webhook_id,
        from: at(0),
        to: at(9000),
        selection: Selection::Exhausted,
        matched: 7,
        unless_since: at(3),
    }
}

fn advanced(requested: u64) -> recovery::Event {
    recovery::Event::Advanced {
        through: DeliveryId::first_at(at(5)),
        requested,
    }
}

/// One of each kind of event.
pub(super) async fn a_recovery(store: &Store, tenant_id: &TenantId) {
    let start = recovery::Event::Started(started(tenant_id, webhook_id(1)));
    let facts = [
        start.into(),
        advanced(2).into(),
        recovery::Event::Completed.into(),
    ];
    append(store, tenant_id, recovery_id(1), facts).await;
}

async fn recoveries(views: &Views, tenant_id: &TenantId, webhook: WebhookId) -> Vec<RecoveryRow> {
    let page: Page<RecoveryId> = first(10);
    views
        .recoveries(tenant_id, webhook, page)
        .await
        .unwrap()
        .rows
}

pub(super) async fn recoveries_show_how_far_they_are<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let (acme, views) = (tenant("acme"), store.views());
    append(&store, &acme, webhook_id(1), [registered(&acme)]).await;
    a_recovery(&store, &acme).await;
    let start = || recovery::Event::Started(started(&acme, webhook_id(1)));
    let ends = [
        vec![advanced(3), advanced(4)],
        vec![recovery::Event::Cancelled],
    ];
    for (number, events) in (2..).zip(ends) {
        let facts = std::iter::once(start()).chain(events).map(Into::into);
        append(&store, &acme, recovery_id(number), facts).await;
    }
    let completed = RecoveryRow {
        id: recovery_id(1),
        tenant_id: acme.clone(),
        webhook_id: webhook_id(1),
        from: at(0),
        to: at(9000),
        selection: Selection::Exhausted,
        state: State::Completed,
        matched: 7,
        requested: 2,
        completed_at: Some(at(2000)),
    };
    let running = RecoveryRow {
        id: recovery_id(2),
        state: State::Running,
        requested: 7,
        completed_at: None,
        ..completed.clone()
    };
    let cancelled = RecoveryRow {
        id: recovery_id(3),
        state: State::Cancelled,
        requested: 0,
        completed_at: Some(at(1000)),
        ..completed.clone()
    };
    let all = [cancelled.clone(), running.clone(), completed.clone()];
    assert_eq!(recoveries(&views, &acme, webhook_id(1)).await, all);
    assert_eq!(recoveries(&views, &acme, webhook_id(2)).await, []);
    assert_eq!(
        recoveries(&views, &tenant("other"), webhook_id(1)).await,
        []
    );
    let page = Page {
        limit: 1,
        after: Some(recovery_id(3)),
    };
    let next = Rows {
        rows: vec![running.clone()],
        next: Some(recovery_id(2)),
    };
    assert_eq!(
        views.recoveries(&acme, webhook_id(1), page).await.unwrap(),
        next
    );
    let found = views.recovery(&acme, recovery_id(2)).await.unwrap();
    assert_eq!(found, Some(running.clone()));
    let found = views
        .recovery(&tenant("other"), recovery_id(2))
        .await
        .unwrap();
    assert_eq!(found, None);
    for (of, expected) in [
        (None, vec![running.clone()]),
        (Some(&acme), vec![running]),
        (Some(&tenant("other")), vec![]),
    ] {
        assert_eq!(views.running_recoveries(of).await.unwrap(), expected);
    }
    store.close().await;
}

fn attempt(number: u32, started_at: DateTime<Utc>, succeeds: bool) -> Attempt {
    Attempt {
        id: AttemptId::from_uuid(Sequence::default().next(started_at, u128::from(number) << 40)),
        number,
        message_id: MessageId::default(),
        webhook_id: webhook_id(1),
        topic: Topic::default(),
        webhook_version: 1,
        trigger: Trigger::Publish,
        started_at,
        duration_ms: 1,
        url: "https://example.com".to_owned(),
        response: None,
        failure: (!succeeds).then(|| Failure {
            code: FailureCode::Timeout,
            message: "no answer".to_owned(),
        }),
    }
}

/// Also when several outcomes come in one transaction.
pub(super) async fn a_webhook_fails_since_its_first_failure_after_a_success<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let (acme, views) = (tenant("acme"), store.views());
    append(&store, &acme, webhook_id(1), [registered(&acme)]).await;
    append(&store, &acme, webhook_id(2), [registered(&acme)]).await;
    let delivery_id = DeliveryId::first_at(at(0));
    let mut sequence = 0;
    let (mut number, mut webhook_sequence) = (0, 1);
    let mut outcome = |millis: i64, succeeds| {
        number += 1;
        let attempt = attempt(number, at(millis), succeeds);
        match succeeds {
            true => delivery::Event::Succeeded { attempt },
            false => delivery::Event::ExtraAttemptFailed {
                attempt,
                next_attempt_at: None,
            },
        }
    };
    let steps = [
        (vec![outcome(1, false)], None, Some(1)),
        (vec![outcome(2, false)], None, Some(1)),
        (vec![outcome(3, true)], None, None),
        (
            vec![outcome(4, true), outcome(5, false), outcome(6, false)],
            None,
            Some(5),
        ),
        (vec![outcome(7, true), outcome(8, false)], None, Some(8)),
        (vec![outcome(9, false), outcome(10, true)], None, None),
        (
            vec![outcome(11, false)],
            Some(webhook::Event::Activated),
            None,
        ),
        (vec![outcome(12, false)], None, Some(12)),
        (
            vec![],
            Some(webhook::Event::Disabled {
                reason: DisableReason::Failing,
            }),
            None,
        ),
    ];
    for (events, change, expected) in steps {
        let mut commit = Commit::new(&origin(&acme), at(100));
        for event in events {
            sequence += 1;
            commit.push(delivery_id, sequence, &event.into()).unwrap();
        }
        if let Some(change) = change {
            webhook_sequence += 1;
            commit
                .push(webhook_id(1), webhook_sequence, &change.into())
                .unwrap();
        }
        store.ledger().commit(commit).await.unwrap();
        let row = views.webhook(&acme, webhook_id(1)).await.unwrap().unwrap();
        assert_eq!(row.failing_since, expected.map(at));
        let other = views.webhook(&acme, webhook_id(2)).await.unwrap().unwrap();
        assert_eq!(other.failing_since, None, "each for itself");
    }
    let row = views.webhook(&acme, webhook_id(1)).await.unwrap().unwrap();
    assert_eq!(row.disabled_reason, Some(DisableReason::Failing));
    assert!(!row.is_active);
    let status = Status::Pending;
    assert!(!Selection::Exhausted.includes(status) && Selection::Any.includes(status));
    store.close().await;
}
