//! Opening, closing, opening again, and making the views anew.

use futures_util::future::join_all;
use hookledger::store::{Commit, Stream};
use hookledger_domain::{delivery::Delivery, tenant};

use super::{Engine, Error, Store, Stored, at, open, origin, reopen, world::World};

/// A commit that registers the tenant `t-<number>`.
pub(super) fn registered(number: usize) -> Commit {
    let id = super::tenant(&format!("t-{number}"));
    let mut commit = Commit::new(&origin(&id), at(0));
    let fact = tenant::Event::Registered {
        name: "x".to_owned(),
    }
    .into();
    commit.push(&id, 1, &fact).unwrap();
    commit
}

pub(super) async fn what_was_committed_is_there_after_reopening<E: Engine>() {
    let (engine, store) = open::<E>().await;
    World::build(&store, 3, 50).await;
    let (events, rows) = (engine.events().await, engine.view_rows().await);
    store.close().await;
    let store = reopen(&engine).await;
    assert_eq!(engine.events().await, events);
    assert_eq!(engine.view_rows().await, rows);
    store.close().await;
}

pub(super) async fn positions_go_on_after_reopening<E: Engine>() {
    let (engine, store) = open::<E>().await;
    store.ledger().commit(registered(1)).await.unwrap();
    store.close().await;
    let store = reopen(&engine).await;
    store.ledger().commit(registered(2)).await.unwrap();
    store.close().await;
    let positions: Vec<i64> = engine
        .events()
        .await
        .iter()
        .map(|event| event.position)
        .collect();
    assert_eq!(positions, [1, 2]);
}

pub(super) async fn closing_writes_what_was_handed_in<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let ledger = store.ledger();
    let handed_in: Vec<_> = (0..100)
        .map(|number| {
            let ledger = ledger.clone();
            tokio::spawn(async move { ledger.commit(registered(number)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    store.close().await;
    let results = join_all(handed_in).await;
    let written = results
        .iter()
        .filter(|result| matches!(result, Ok(Ok(()))))
        .count();
    assert_eq!(
        engine.events().await.len(),
        written,
        "an answer says what is there"
    );
    let refused = results
        .iter()
        .filter(|result| matches!(result, Ok(Err(Error::Unavailable(_)))))
        .count();
    assert_eq!(written + refused, 100, "{results:?}");
}

pub(super) async fn a_closed_store_says_that_it_is_unavailable<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let (ledger, views) = (store.ledger(), store.views());
    views.check_writable().await.unwrap();
    store.close().await;
    let late = ledger.commit(registered(1)).await;
    assert!(matches!(late, Err(Error::Unavailable(_))), "{late:?}");
    assert!(views.check_writable().await.is_err());
    assert!(
        views
            .topics()
            .await
            .is_err_and(|error| error.is_unavailable())
    );
}

pub(super) async fn views_rebuilt_from_the_events_are_the_same<E: Engine>() {
    let (engine, store) = open::<E>().await;
    World::build(&store, 11, 150).await;
    super::queries::a_little_of_everything(&store).await;
    store.close().await;
    let (rebuilt, store) = open::<E>().await;
    for event in engine.events().await {
        replay(&store, event).await;
    }
    store.close().await;
    let (rows, again) = (engine.view_rows().await, rebuilt.view_rows().await);
    for (table, rows) in &rows {
        assert!(!rows.is_empty(), "nothing in {table} was tried");
        assert_eq!(again.get(table), Some(rows), "{table} differs");
    }
    assert_eq!(rows.len(), again.len());
}

pub(super) async fn replay(store: &Store, event: Stored) {
    let mut commit = Commit::new(&event.origin, event.recorded_at);
    let body = event.body.map(bytes::Bytes::from);
    commit
        .push_with_body(event.aggregate_id, event.sequence, &event.fact, body)
        .unwrap();
    store.ledger().commit(commit).await.unwrap();
}

pub(super) async fn an_event_of_an_older_version_is_read_in_its_present_shape<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let world = World::build(&store, 1, 5).await;
    let id = world.deliveries[0].id.to_string();
    let now: Stream<Delivery> = store.ledger().load(&id).await.unwrap();
    store.close().await;
    assert!(engine.write_scheduled_as_once().await > 0);
    let store = reopen(&engine).await;
    let found: Stream<Delivery> = store.ledger().load(&id).await.unwrap();
    assert_eq!(found.sequence, now.sequence);
    assert_eq!(found.state.topic(), now.state.topic());
    let many = store.ledger().load_many::<Delivery>(&[id]).await.unwrap();
    assert_eq!(many[0].1, found);
    store.close().await;
}
