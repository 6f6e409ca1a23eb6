//! A ledger that is copied from one store into another one, of the same engine or of another.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use futures_util::future::{Either, select};
use hookledger::store::{
    Commit, CopyError, Difference, Progress, Side, Stage, StoredEvent, Verified,
};
use hookledger::store::{copy, verify};
use hookledger_domain::{delivery::Delivery, message::Message, tenant, webhook};
use tokio::sync::Notify;

use super::{
    Engine, Store, at, lifecycle::registered, open, origin, queries::a_little_of_everything,
    reopen, world::World,
};

fn quiet(_: Progress) {}

/// A ledger with something in every view, and more events than are copied at a time.
async fn filled<E: Engine>(seed: u64) -> (E, Store) {
    let (engine, store) = open::<E>().await;
    a_little_of_everything(&store).await;
    for name in ["other", "third"] {
        let id = super::tenant(name);
        let mut commit = Commit::new(&origin(&id), at(0));
        let name = name.to_owned();
        let fact = tenant::Event::Registered { name }.into();
        commit.push(&id, 1, &fact).unwrap();
        store.ledger().commit(commit).await.unwrap();
    }
    let world = World::half_settled(&engine, &store, seed, 400).await;
    let deleted = webhook::Event::Deleted.into();
    let mut commit = Commit::new(&origin(&world.tenants[0]), at(1));
    commit.push(world.webhooks[0][0], 2, &deleted).unwrap();
    store.ledger().commit(commit).await.unwrap();
    store.sealer().seal(at(2), None).await.unwrap();
    (engine, store)
}

pub(super) async fn all_events(store: &Store, limit: u32) -> Vec<StoredEvent> {
    let (ledger, mut events) = (store.ledger(), Vec::new());
    loop {
        let after = events
            .last()
            .map_or(0, |event: &StoredEvent| event.position);
        let page = ledger.events_after(after, limit).await.unwrap();
        assert!(page.len() <= limit as usize);
        if page.is_empty() {
            assert_eq!(ledger.last_position().await.unwrap(), after);
            return events;
        }
        events.extend(page);
    }
}

pub(super) async fn the_ledger_is_read_in_pages<E: Engine>() {
    let (engine, store) = filled::<E>(1).await;
    let events = all_events(&store, 1000).await;
    assert_eq!(all_events(&store, 7).await, events);
    let stored = engine.events().await;
    assert_eq!(events.len(), stored.len());
    for (event, stored) in events.iter().zip(&stored) {
        assert_eq!(event.position, stored.position as u64);
        assert_eq!(event.aggregate_id, stored.aggregate_id);
        assert_eq!(event.sequence, stored.sequence);
        assert_eq!(event.recorded_at, stored.recorded_at);
        assert_eq!(event.body, stored.body);
        let tenant_id = event.tenant_id.as_ref().map(ToString::to_string);
        assert_eq!(tenant_id, stored.tenant_id);
        assert_eq!(event.aggregate_type, stored.fact.aggregate_type());
        assert_eq!(event.payload, stored.fact.payload().unwrap());
    }
    store.close().await;
}

pub(super) async fn large_bodies_end_a_page_of_events_early<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    super::values::publish_large(&store, 12).await;
    let page = store.ledger().events_after(0, 100).await.unwrap();
    let bytes: usize = page
        .iter()
        .flat_map(|event| &event.body)
        .map(String::len)
        .sum();
    assert!(
        (4 << 20..5 << 20).contains(&bytes),
        "{bytes} bytes in a page"
    );
    let bodies = all_events(&store, 100).await;
    assert_eq!(bodies.iter().flat_map(|event| &event.body).count(), 12);
    store.close().await;
}

pub(super) async fn a_copy_is_the_same_ledger<E: Engine>() {
    a_copy_is_the_same_ledger_from::<E, E>().await;
}

async fn a_copy_is_the_same_ledger_from<A: Engine, B: Engine>() {
    let (source, from) = filled::<A>(2).await;
    let (target, to) = open::<B>().await;
    let stages = Mutex::new(Vec::new());
    let listener = |progress: Progress| {
        let mut stages = stages.lock().unwrap();
        assert!(progress.done <= progress.total, "{progress:?}");
        stages.push(progress);
    };
    let events = source.events().await;
    assert_eq!(
        copy(&from, &to, &listener).await.unwrap(),
        events.len() as u64
    );
    let verified = verify(&from, &to, &listener).await.unwrap();
    let bodies = events.iter().filter(|event| event.body.is_some()).count();
    assert_eq!(verified.events, events.len() as u64);
    assert_eq!(verified.bodies, bodies as u64);
    assert!(verified.rows > 1000, "{verified:?}");
    assert_eq!(target.events().await, events);
    assert_eq!(all_events(&to, 1000).await, all_events(&from, 1000).await);
    for stage in [Stage::Copy, Stage::CompareEvents] {
        let stages = stages.lock().unwrap();
        let last = stages.iter().rfind(|progress| progress.stage == stage);
        assert!(last.is_some_and(|last| last.done == last.total), "{last:?}");
    }
    // What is there already is not copied once more.
    assert_eq!(copy(&from, &to, &quiet).await.unwrap(), 0);
    from.close().await;
    to.close().await;
}

/// Of the same engine, so that rows can be compared as they lie there.
pub(super) async fn a_copy_has_the_same_rows<E: Engine>() {
    let (source, from) = filled::<E>(3).await;
    let (target, to) = open::<E>().await;
    copy(&from, &to, &quiet).await.unwrap();
    let (rows, copied) = (source.view_rows().await, target.view_rows().await);
    for (table, rows) in &rows {
        assert!(!rows.is_empty(), "nothing in {table} was tried");
        assert_eq!(copied.get(table), Some(rows), "{table} differs");
    }
    assert_eq!(rows.len(), copied.len());
    from.close().await;
    to.close().await;
}

pub(super) async fn a_copy_that_was_cut_off_goes_on<E: Engine>() {
    a_copy_that_was_cut_off_goes_on_from::<E, E>().await;
}

async fn a_copy_that_was_cut_off_goes_on_from<A: Engine, B: Engine>() {
    let (source, from) = filled::<A>(4).await;
    let (target, to) = open::<B>().await;
    let (cut, done) = (Notify::new(), AtomicU64::new(0));
    let listener = |progress: Progress| {
        done.store(progress.done, Ordering::SeqCst);
        if progress.done > 0 {
            cut.notify_one();
        }
    };
    let copying = Box::pin(copy(&from, &to, &listener));
    match select(copying, Box::pin(cut.notified())).await {
        Either::Left((result, _)) => panic!("it was not cut off: {result:?}"),
        Either::Right(((), copying)) => drop(copying),
    }
    to.close().await;
    let to = reopen(&target).await;
    let (there, events) = (target.events().await, source.events().await);
    assert!(there.len() < events.len() && !there.is_empty());
    assert_eq!(there, events[..there.len()], "what was copied is whole");
    let first = AtomicU64::new(u64::MAX);
    let listener = |progress: Progress| {
        first.fetch_min(progress.done, Ordering::SeqCst);
    };
    let copied = copy(&from, &to, &listener).await.unwrap();
    assert_eq!(copied, (events.len() - there.len()) as u64);
    assert_eq!(first.into_inner(), there.len() as u64);
    verify(&from, &to, &quiet).await.unwrap();
    assert_eq!(target.events().await, events);
    from.close().await;
    to.close().await;
}

pub(super) async fn a_copied_ledger_goes_on<E: Engine>() {
    a_copied_ledger_goes_on_from::<E, E>().await;
}

async fn a_copied_ledger_goes_on_from<A: Engine, B: Engine>() {
    let (source, from) = filled::<A>(5).await;
    let (target, to) = open::<B>().await;
    copy(&from, &to, &quiet).await.unwrap();
    to.close().await;
    let to = reopen(&target).await;
    let last = to.ledger().last_position().await.unwrap();
    to.ledger().commit(registered(100)).await.unwrap();
    assert_eq!(to.ledger().last_position().await.unwrap(), last + 1);
    let late = to.ledger().commit(registered(100)).await;
    assert!(matches!(late, Err(super::Error::Conflict)), "{late:?}");
    // A ledger that has gone on is not a copy any more.
    let refused = copy(&from, &to, &quiet).await.err();
    assert!(
        matches!(refused, Some(CopyError::Foreign { position }) if position == last + 1),
        "{refused:?}"
    );
    assert_eq!(target.events().await.len(), source.events().await.len() + 1);
    from.close().await;
    to.close().await;
}

pub(super) async fn events_of_older_versions_are_copied_as_they_are<E: Engine>() {
    events_of_older_versions_are_copied_as_they_are_from::<E, E>().await;
}

async fn events_of_older_versions_are_copied_as_they_are_from<A: Engine, B: Engine>() {
    let (source, from) = filled::<A>(6).await;
    from.close().await;
    let changed = source.write_scheduled_as_once().await;
    // Once there were no tests.
    let published =
        source.execute("UPDATE deliveries SET trigger = 'publish', queue = coalesce(queue, '')");
    published.await;
    let (from, (_target, to)) = (reopen(&source).await, open::<B>().await);
    copy(&from, &to, &quiet).await.unwrap();
    verify(&from, &to, &quiet).await.unwrap();
    let events = all_events(&to, 1000).await;
    let old = events.iter().filter(|event| {
        event.aggregate_type == <Delivery as cqrs_es::Aggregate>::TYPE
            && event.event_type == "scheduled"
            && event.event_version == "1"
            && !event.payload.contains("trigger")
    });
    assert_eq!(old.count() as u64, changed);
    from.close().await;
    to.close().await;
}

pub(super) async fn what_is_erased_stays_erased<E: Engine>() {
    what_is_erased_stays_erased_from::<E, E>().await;
}

async fn what_is_erased_stays_erased_from<A: Engine, B: Engine>() {
    let (source, from) = filled::<A>(7).await;
    from.close().await;
    let erased = source.execute("DELETE FROM bodies WHERE text LIKE '%1%'");
    assert!(erased.await > 0);
    let (from, (_target, to)) = (reopen(&source).await, open::<B>().await);
    copy(&from, &to, &quiet).await.unwrap();
    verify(&from, &to, &quiet).await.unwrap();
    let events = all_events(&to, 1000).await;
    let messages = events
        .iter()
        .filter(|event| event.aggregate_type == <Message as cqrs_es::Aggregate>::TYPE);
    let (with, without): (Vec<_>, Vec<_>) = messages.partition(|event| event.body.is_some());
    assert!(!with.is_empty() && !without.is_empty());
    from.close().await;
    to.close().await;
}

pub(super) async fn a_target_with_other_events_is_refused<E: Engine>() {
    a_target_with_other_events_is_refused_from::<E, E>().await;
}

async fn a_target_with_other_events_is_refused_from<A: Engine, B: Engine>() {
    let (_source, from) = filled::<A>(8).await;
    let (target, to) = open::<B>().await;
    to.ledger().commit(registered(100)).await.unwrap();
    let refused = copy(&from, &to, &quiet).await.err();
    assert!(
        matches!(refused, Some(CopyError::Foreign { position: 1 })),
        "{refused:?}"
    );
    assert_eq!(target.events().await.len(), 1, "it is left as it was");
    from.close().await;
    to.close().await;
}

/// Whatever is changed in the copy, and how it is named.
const CHANGES: [(&str, &str); 16] = [
    (
        "UPDATE events SET metadata = '{}' WHERE position = 3",
        "the metadata of the event at position 3 ",
    ),
    (
        "DELETE FROM bodies WHERE text LIKE '%77%'",
        "the body of the event at position ",
    ),
    ("DELETE FROM seals", "seal 1 is another"),
    (
        "UPDATE heads SET events = events + 1 WHERE tenant_id = 'acme'",
        "the head of tenant acme is another",
    ),
    (
        "UPDATE tenants SET name = 'x' WHERE id = 'third'",
        "tenant third is another",
    ),
    (
        "DELETE FROM tenants WHERE id = 'acme'",
        "tenant acme is missing in the target",
    ),
    ("UPDATE tokens SET role = 'viewer'", "tenant acme: token "),
    ("DELETE FROM topics", "topic a.b is missing in the target"),
    ("UPDATE topics SET schema = 'true'", "topic a.b is another"),
    (
        "UPDATE webhooks SET version = version + 1 WHERE is_deleted",
        "tenant acme: webhook ",
    ),
    (
        "DELETE FROM webhooks WHERE NOT is_deleted",
        "tenant acme: webhook ",
    ),
    (
        "UPDATE messages SET body_sha256 = 'x' WHERE topic = 'service.down'",
        ": message ",
    ),
    (
        "DELETE FROM messages WHERE topic = 'service.down'",
        ": message ",
    ),
    (
        "UPDATE deliveries SET attempts = attempts + 1 WHERE status = 'exhausted'",
        ": delivery ",
    ),
    (
        "DELETE FROM attempts WHERE response_status = 404",
        ": attempt ",
    ),
    (
        "UPDATE attempts SET url = 'x' WHERE response_status = 204",
        ": attempt ",
    ),
];

pub(super) async fn what_differs_is_named<E: Engine>() {
    let (_source, from) = filled::<E>(9).await;
    for (sql, named) in CHANGES {
        let (target, to) = open::<E>().await;
        copy(&from, &to, &quiet).await.unwrap();
        to.close().await;
        assert!(target.execute(sql).await > 0, "{sql}");
        let to = reopen(&target).await;
        let difference = verify(&from, &to, &quiet).await.err();
        let Some(CopyError::Differs(difference)) = difference else {
            panic!("{sql}: {difference:?}")
        };
        assert!(
            difference.to_string().contains(named),
            "{sql}: {difference}"
        );
        to.close().await;
    }
    from.close().await;
}

pub(super) async fn a_copy_that_is_not_whole_is_found<E: Engine>() {
    let (source, from) = filled::<E>(10).await;
    let (_target, to) = open::<E>().await;
    let missing = verify(&from, &to, &quiet).await.err();
    assert!(
        matches!(
            missing,
            Some(CopyError::Differs(Difference::Missing {
                side: Side::Target,
                ..
            }))
        ),
        "{missing:?}"
    );
    let too_much = verify(&to, &from, &quiet).await.err();
    assert!(
        matches!(
            too_much,
            Some(CopyError::Differs(Difference::Missing {
                side: Side::Source,
                ..
            }))
        ),
        "{too_much:?}"
    );
    let (_empty, other) = open::<E>().await;
    let nothing = verify(&to, &other, &quiet).await.unwrap();
    assert_eq!(nothing, Verified::default());
    assert!(!source.events().await.is_empty());
    for store in [from, to, other] {
        store.close().await;
    }
}

/// All that concerns two stores, from one engine to another one.
pub(super) async fn between<A: Engine, B: Engine>() {
    a_copy_is_the_same_ledger_from::<A, B>().await;
    a_copy_that_was_cut_off_goes_on_from::<A, B>().await;
    a_copied_ledger_goes_on_from::<A, B>().await;
    events_of_older_versions_are_copied_as_they_are_from::<A, B>().await;
    what_is_erased_stays_erased_from::<A, B>().await;
    a_target_with_other_events_is_refused_from::<A, B>().await;
}
