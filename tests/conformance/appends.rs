//! Appending: what is written together, what fails alone, what nobody may write twice.

use bytes::Bytes;
use futures_util::future::join_all;
use hookledger::store::Commit;
use hookledger_domain::{
    actor::{Actor, ActorKind},
    ids::{MessageId, Sequence, WebhookId},
    message::{self, Accepted, IdempotencyKey},
    tenant,
};

use super::{Arc, Engine, Error, Fact, Metrics, Origin, TenantId, at, open, origin};

fn registered(name: &str) -> Fact {
    let name = name.to_owned();
    tenant::Event::Registered { name }.into()
}

fn renamed(name: &str) -> Fact {
    let name = name.to_owned();
    tenant::Event::Renamed { name }.into()
}

/// A commit of one event of a tenant.
fn commit(id: &TenantId, sequence: u64, fact: &Fact) -> Commit {
    let mut commit = Commit::new(&origin(id), at(0));
    commit.push(id, sequence, fact).unwrap();
    commit
}

fn tenants(count: usize) -> Vec<TenantId> {
    (0..count)
        .map(|number| super::tenant(&format!("t-{number}")))
        .collect()
}

/// A message published with an idempotency key.
fn keyed(tenant_id: &TenantId, number: u128, key: &str) -> (MessageId, Commit) {
    let id = MessageId::from_uuid(Sequence::default().next(at(0), number));
    let accepted = Accepted {
        tenant_id: tenant_id.clone(),
        idempotency: Some(IdempotencyKey {
            key: key.to_owned(),
            content_sha256: "00".repeat(32),
        }),
        ..Accepted::default()
    };
    let mut commit = Commit::new(&origin(tenant_id), at(0));
    let fact = message::Event::Accepted(accepted).into();
    commit
        .push_with_body(id, 1, &fact, Some(Bytes::from_static(b"{}")))
        .unwrap();
    (id, commit)
}

pub(super) async fn an_event_gets_a_position_a_time_and_its_origin<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let acme = super::tenant("acme");
    let origin = Origin {
        tenant: Some(acme.clone()),
        actor: Actor {
            kind: ActorKind::Token,
            id: "tok_1".into(),
            name: "ci \"quoted\" \u{1f980}".into(),
        },
        request_id: Some("r-1".into()),
        client: Some("192.0.2.1".into()),
        cause: None,
    };
    let mut commit = Commit::new(&origin, at(5));
    commit.push(&acme, 1, &registered("Acme")).unwrap();
    commit.because_of("msg_1");
    commit.push(&acme, 2, &renamed("New")).unwrap();
    store.ledger().commit(commit).await.unwrap();
    store.close().await;
    let events = engine.events().await;
    assert_eq!(
        events
            .iter()
            .map(|event| event.position)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(
        events
            .iter()
            .map(|event| event.sequence)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(events[0].fact, registered("Acme"));
    assert_eq!(events[0].origin, origin);
    assert_eq!(events[1].origin, origin.because_of("msg_1"));
    assert!(events.iter().all(|event| event.recorded_at == at(5)));
    assert!(
        events
            .iter()
            .all(|event| event.tenant_id.as_deref() == Some("acme"))
    );
}

pub(super) async fn of_two_writers_one_fails_and_nothing_of_it_stays<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let (acme, ledger) = (super::tenant("acme"), store.ledger());
    ledger
        .commit(commit(&acme, 1, &registered("first")))
        .await
        .unwrap();
    let second = ledger.commit(commit(&acme, 1, &registered("second"))).await;
    assert!(matches!(second, Err(Error::Conflict)), "{second:?}");
    // Also when the clash is in the middle of a commit.
    let mut late = Commit::new(&origin(&acme), at(0));
    late.push(&acme, 2, &renamed("third")).unwrap();
    late.push(&acme, 1, &registered("third")).unwrap();
    let late = ledger.commit(late).await;
    assert!(matches!(late, Err(Error::Conflict)), "{late:?}");
    assert_eq!(
        store.views().tenant(&acme).await.unwrap().unwrap().name,
        "first"
    );
    ledger
        .commit(commit(&acme, 2, &renamed("fourth")))
        .await
        .unwrap();
    store.close().await;
    let facts: Vec<Fact> = engine
        .events()
        .await
        .into_iter()
        .map(|event| event.fact)
        .collect();
    assert_eq!(facts, [registered("first"), renamed("fourth")]);
}

pub(super) async fn a_late_commit_fails_alone<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let (ids, ledger) = (tenants(60), store.ledger());
    for id in &ids[..20] {
        ledger
            .commit(commit(id, 1, &registered("first")))
            .await
            .unwrap();
    }
    // All at one time, so that they share transactions; every third of them is too late.
    let commits = ids
        .iter()
        .map(|id| ledger.commit(commit(id, 1, &registered("second"))));
    let results = join_all(commits).await;
    for (index, result) in results.iter().enumerate() {
        let is_late = index < 20;
        assert_eq!(
            matches!(result, Err(Error::Conflict)),
            is_late,
            "{index}: {result:?}"
        );
        assert_eq!(result.is_ok(), !is_late, "{index}: {result:?}");
        let row = store.views().tenant(&ids[index]).await.unwrap().unwrap();
        assert_eq!(row.name, if is_late { "first" } else { "second" });
    }
    store.close().await;
    assert_eq!(engine.events().await.len(), 60);
}

pub(super) async fn commits_that_wait_share_a_transaction<E: Engine>() {
    let engine = E::fresh().await;
    let metrics = Arc::new(Metrics::new());
    let store = engine.open(metrics.clone()).await.unwrap();
    let (ids, ledger) = (tenants(500), store.ledger());
    let commits = ids
        .iter()
        .map(|id| ledger.commit(commit(id, 1, &registered("x"))));
    for result in join_all(commits).await {
        result.unwrap();
    }
    assert_eq!(metrics.commits.get(), 500);
    assert!(
        metrics.commit_batches.get() < 100,
        "{} transactions",
        metrics.commit_batches.get()
    );
    store.close().await;
    let positions: Vec<i64> = engine
        .events()
        .await
        .iter()
        .map(|event| event.position)
        .collect();
    assert_eq!(positions, (1..=500).collect::<Vec<_>>());
}

pub(super) async fn a_commit_over_several_aggregates_is_all_or_nothing<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let (ids, ledger) = (tenants(5), store.ledger());
    ledger
        .commit(commit(&ids[3], 1, &registered("taken")))
        .await
        .unwrap();
    let mut many = Commit::new(&origin(&ids[0]), at(0));
    for id in &ids {
        many.push(id, 1, &registered("new")).unwrap();
    }
    let result = ledger.commit(many).await;
    assert!(matches!(result, Err(Error::Conflict)), "{result:?}");
    for id in &ids {
        let name = store.views().tenant(id).await.unwrap().map(|row| row.name);
        assert_eq!(name.as_deref(), (*id == ids[3]).then_some("taken"));
    }
    let mut many = Commit::new(&origin(&ids[0]), at(0));
    for id in ids.iter().filter(|id| **id != ids[3]) {
        many.push(id, 1, &registered("new")).unwrap();
    }
    ledger.commit(many).await.unwrap();
    store.close().await;
    assert_eq!(engine.events().await.len(), 5);
    assert_eq!(engine.view_rows().await["tenants"].len(), 5);
}

pub(super) async fn an_idempotency_key_is_taken_once_a_tenant<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let (acme, other, ledger) = (
        super::tenant("acme"),
        super::tenant("other"),
        store.ledger(),
    );
    // At one time, so that they meet in one transaction.
    let (ids, commits): (Vec<_>, Vec<_>) = (0..10)
        .map(|number| keyed(&acme, number << 40, "same"))
        .unzip();
    let views = store.views();
    let commits = commits.into_iter().map(|commit| async {
        let result = ledger.commit(commit).await;
        // Whoever hears that another was first finds what that other one wrote.
        assert!(views.message_by_key(&acme, "same").await.unwrap().is_some());
        result
    });
    let results = join_all(commits).await;
    let winners: Vec<usize> = (0..10).filter(|index| results[*index].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{results:?}");
    let losers = results
        .iter()
        .filter(|result| matches!(result, Err(Error::Conflict)))
        .count();
    assert_eq!(losers, 9, "{results:?}");
    let (_, elsewhere) = keyed(&other, 77 << 40, "same");
    ledger.commit(elsewhere).await.unwrap();
    let (_, different) = keyed(&acme, 78 << 40, "Same");
    ledger.commit(different).await.unwrap();
    let found = store
        .views()
        .message_by_key(&acme, "same")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.row.id, ids[winners[0]]);
    assert_eq!(
        store.views().message_by_key(&acme, "sam").await.unwrap(),
        None
    );
    store.close().await;
    assert_eq!(engine.events().await.len(), 3);
}

pub(super) async fn many_that_want_one_key_are_each_told<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let (acme, ledger) = (super::tenant("acme"), store.ledger());
    let commits = (0..300).map(|number| ledger.commit(keyed(&acme, number << 40, "same").1));
    let results = join_all(commits).await;
    let count = |is: fn(&Result<(), Error>) -> bool| results.iter().filter(|r| is(r)).count();
    assert_eq!(count(Result::is_ok), 1);
    assert_eq!(count(|result| matches!(result, Err(Error::Conflict))), 299);
    store.close().await;
    assert_eq!(engine.events().await.len(), 1);
}

pub(super) async fn a_commit_for_another_generation_is_refused<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let (ids, ledger) = (tenants(2), store.ledger());
    for id in &ids {
        ledger
            .commit(commit(id, 1, &registered("x")))
            .await
            .unwrap();
    }
    let expecting = |id: &TenantId, number: u128, generation: u64| {
        let (_, mut commit) = keyed(id, number << 40, &format!("key {number}"));
        commit.expect_generation(generation);
        ledger.commit(commit)
    };
    expecting(&ids[0], 1, 0).await.unwrap();
    let webhook = WebhookId::from_uuid(Sequence::default().next(at(0), 1));
    ledger
        .commit(super::world::register(&ids[0], webhook))
        .await
        .unwrap();
    let suspended = tenant::Event::Suspended.into();
    ledger.commit(commit(&ids[0], 2, &suspended)).await.unwrap();
    let row = store.views().tenant(&ids[0]).await.unwrap().unwrap();
    assert_eq!(row.generation, 2);
    // At one time, so that they meet in one transaction: only those that are stale fail.
    let results = join_all([
        expecting(&ids[0], 2, 1),
        expecting(&ids[0], 3, 2),
        expecting(&ids[1], 4, 0),
        expecting(&ids[1], 5, 1),
    ])
    .await;
    let is_stale: Vec<bool> = results
        .iter()
        .map(|result| matches!(result, Err(Error::Stale)))
        .collect();
    assert_eq!(is_stale, [true, false, false, true], "{results:?}");
    let nobody = super::tenant("nobody");
    let refused = expecting(&nobody, 6, 0).await;
    assert!(matches!(refused, Err(Error::Stale)), "{refused:?}");
    for (id, messages) in [(&ids[0], 2), (&ids[1], 1), (&nobody, 0)] {
        let page = super::first(10);
        let found = store.views().messages(id, page).await.unwrap();
        assert_eq!(found.rows.len(), messages);
    }
    store.close().await;
    assert_eq!(engine.events().await.len(), 2 + 2 + 3);
}

pub(super) async fn views_change_with_their_events<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let (ids, ledger) = (tenants(50), store.ledger());
    // Whoever has the answer sees the rows.
    let commits = ids.iter().map(|id| async {
        ledger
            .commit(commit(id, 1, &registered("seen")))
            .await
            .unwrap();
        store.views().tenant(id).await.unwrap().map(|row| row.name)
    });
    for name in join_all(commits).await {
        assert_eq!(name.as_deref(), Some("seen"));
    }
    store.close().await;
}

pub(super) async fn bytes_that_are_no_text_are_refused_before_they_reach_the_writer<E: Engine>() {
    let acme = super::tenant("acme");
    let mut commit = Commit::new(&origin(&acme), at(0));
    let bytes = Bytes::from_static(b"\xff\xfe");
    let refused = commit.push_with_body(&acme, 1, &registered("x"), Some(bytes));
    assert!(matches!(refused, Err(Error::Corrupt(_))), "{refused:?}");
    // An id of another kind, too.
    let refused = commit.push("No Tenant", 1, &registered("x"));
    assert!(matches!(refused, Err(Error::Corrupt(_))), "{refused:?}");
}
