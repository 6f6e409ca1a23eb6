//! Views that are made anew from the events, compared with those that are there, and put right.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::join;
use hookledger::store::{Error, RebuildProgress, RebuildStage, RebuiltView, Store, Verdict};
use hookledger_projections::View;

use super::{
    Engine, copying::all_events, erasing::erase_old, older::LEDGERS, open,
    queries::a_little_of_everything, reopen, world::World,
};

fn quiet() -> Arc<dyn Fn(RebuildProgress) + Send + Sync> {
    Arc::new(|_| {})
}

async fn filled<E: Engine>(seed: u64, messages: usize) -> (E, Store) {
    let (engine, store) = open::<E>().await;
    World::half_settled(&engine, &store, seed, messages).await;
    a_little_of_everything(&store).await;
    (engine, store)
}

async fn check(store: &Store) -> Vec<RebuiltView> {
    store
        .rebuild()
        .run(&View::ALL, true, quiet())
        .await
        .expect("views are compared")
}

async fn rebuild(store: &Store, views: &[View]) -> Vec<RebuiltView> {
    store
        .rebuild()
        .run(views, false, quiet())
        .await
        .expect("views are rebuilt")
}

/// How many rows of each view were missing, surplus and changed, where there were any.
fn differences(found: &[RebuiltView]) -> Vec<(View, u64, u64, u64)> {
    let different = found.iter().filter(|view| {
        assert_eq!(
            view.is_same(),
            view.checksum == view.found_checksum,
            "{view:?}"
        );
        !view.is_same()
    });
    different
        .map(|view| (view.view, view.missing, view.surplus, view.changed))
        .collect()
}

pub(super) async fn views_that_are_right_are_left_alone<E: Engine>() {
    let (engine, store) = filled::<E>(1, 700).await;
    let before = engine.view_rows().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let listener = seen.clone();
    let listener = Arc::new(move |progress: RebuildProgress| {
        assert!(progress.done <= progress.total, "{progress:?}");
        listener.lock().unwrap().push(progress.stage);
    });
    let found = store
        .rebuild()
        .run(&View::ALL, false, listener)
        .await
        .unwrap();
    assert_eq!(differences(&found), []);
    for view in &found {
        let rows = before[view.view.as_str()].len() as u64;
        assert_eq!((view.rows, rows > 0), (rows, true), "{view:?}");
    }
    let seen = seen.lock().unwrap().clone();
    assert!(seen.contains(&RebuildStage::Build));
    assert_eq!(engine.view_rows().await, before);
    assert_eq!(check(&store).await, found);
    // Erasing bodies changes no row.
    erase_old(&store, super::at(10_000_000_000)).await;
    assert_eq!(differences(&check(&store).await), []);
    store.close().await;
}

/// What is done to each view, and what is found: missing, surplus and changed rows.
const EDITS: [(View, &str, (u64, u64, u64)); 13] = [
    (
        View::Tenants,
        "UPDATE tenants SET generation = generation + 1 WHERE id = 'acme'",
        (0, 0, 1),
    ),
    (View::Tokens, "DELETE FROM tokens", (1, 0, 0)),
    (
        View::Topics,
        "INSERT INTO topics (name, description) VALUES ('order.forged', '')",
        (0, 1, 0),
    ),
    (
        View::Webhooks,
        "UPDATE webhooks SET failing_since = NULL, version = 77",
        (0, 0, 0),
    ),
    (
        View::Messages,
        "UPDATE messages SET deliveries = deliveries + 1",
        (0, 0, 0),
    ),
    (
        View::Deliveries,
        "UPDATE deliveries SET attempts = 99 WHERE status = 'exhausted'",
        (0, 0, 0),
    ),
    (
        View::Deliveries,
        "DELETE FROM deliveries WHERE status = 'succeeded'",
        (0, 0, 0),
    ),
    (View::Attempts, "DELETE FROM attempts", (0, 0, 0)),
    (View::Recoveries, "DELETE FROM recoveries", (0, 0, 0)),
    (
        View::Subscriptions,
        "UPDATE subscriptions SET status = 'active', plan = NULL",
        (0, 0, 1),
    ),
    (
        View::Invoices,
        "DELETE FROM invoices WHERE id = 'in_1'",
        (1, 0, 0),
    ),
    (
        View::UnassignedCallbacks,
        "UPDATE unassigned_callbacks SET customer_id = NULL",
        (0, 0, 1),
    ),
    (
        View::UnassignedCallbacks,
        "INSERT INTO unassigned_callbacks (id, received_at, reason, type, created_at) \
         SELECT 'evt_forged', received_at, reason, type, created_at FROM unassigned_callbacks",
        (0, 1, 0),
    ),
];

pub(super) async fn what_was_changed_in_a_view_is_found_and_put_right<E: Engine>() {
    let (engine, store) = filled::<E>(2, 200).await;
    let before = engine.view_rows().await;
    for (view, sql, expected) in EDITS {
        let rows = engine.execute(sql).await;
        assert!(rows > 0, "{sql}");
        let edited = engine.view_rows().await;
        let found = differences(&check(&store).await);
        let [(changed, missing, surplus, other)] = found[..] else {
            panic!("{sql}: {found:?}")
        };
        assert_eq!((changed, missing + surplus + other), (view, rows), "{sql}");
        if expected != (0, 0, 0) {
            assert_eq!((missing, surplus, other), expected, "{sql}");
        }
        assert_eq!(engine.view_rows().await, edited, "it was only compared");
        assert_eq!(differences(&rebuild(&store, &View::ALL).await), found);
        assert_eq!(engine.view_rows().await, before, "{sql}");
    }
    assert_eq!(differences(&check(&store).await), []);
    store.close().await;
}

pub(super) async fn only_the_views_that_are_named_are_rebuilt<E: Engine>() {
    let (engine, store) = filled::<E>(3, 100).await;
    for sql in [
        "UPDATE messages SET topic = 'x'",
        "UPDATE attempts SET url = 'x'",
    ] {
        engine.execute(sql).await;
    }
    let found = rebuild(&store, &[View::Attempts, View::Topics]).await;
    let views: Vec<View> = found.iter().map(|view| view.view).collect();
    assert_eq!(views, [View::Attempts, View::Topics]);
    let left = differences(&check(&store).await);
    assert!(matches!(left[..], [(View::Messages, 0, 0, _)]), "{left:?}");
    store.close().await;
}

pub(super) async fn views_are_rebuilt_while_others_append<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let mut world = World::half_settled(&engine, &store, 4, 300).await;
    for sql in [
        "DELETE FROM attempts WHERE response_status = 200",
        "UPDATE deliveries SET last_error_code = 'x'",
        "DELETE FROM messages",
    ] {
        engine.execute(sql).await;
    }
    let is_over = AtomicBool::new(false);
    let appending = async {
        let mut messages = 0;
        while !is_over.load(Ordering::Relaxed) {
            world.publish();
            world.commit(&store).await;
            messages += 1;
        }
        messages
    };
    let rebuilding = async {
        for _ in 0..3 {
            rebuild(&store, &View::ALL).await;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let (messages, ()) = join(appending, rebuilding).await;
    assert!(
        messages > 10,
        "something was appended meanwhile: {messages}"
    );
    assert_eq!(differences(&check(&store).await), []);
    let verdict = store.audit().verify(None, &|_, _| {}).await.unwrap();
    assert!(matches!(verdict, Verdict::Intact { .. }), "{verdict:?}");
    store.close().await;
}

pub(super) async fn a_rebuild_that_is_given_up_leaves_everything_as_it_was<E: Engine>() {
    let (engine, store) = filled::<E>(5, 300).await;
    engine.execute("UPDATE attempts SET url = 'x'").await;
    let before = engine.view_rows().await;
    let events = all_events(&store, 1000).await;
    for stage in [RebuildStage::Build, RebuildStage::Compare] {
        let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let listener = Arc::new(move |progress: RebuildProgress| {
            if progress.stage == stage {
                let _ = heard.send(());
            }
        });
        let handle = store.rebuild();
        let run = tokio::spawn(async move { handle.run(&View::ALL, false, listener).await });
        // A comparison of few rows may be over without a word.
        if hears.recv().await.is_some() {
            run.abort();
        }
        drop(run.await);
        if stage == RebuildStage::Build {
            assert_eq!(engine.view_rows().await, before);
        }
    }
    // The next one finds the place free, sooner or later.
    let found = crate::support::eventually("a free place", async || {
        let found = store.rebuild().run(&View::ALL, false, quiet()).await;
        match found {
            Err(Error::Busy) => None,
            found => Some(found.unwrap()),
        }
    })
    .await;
    assert!(found.len() == View::ALL.len());
    assert_eq!(differences(&check(&store).await), []);
    assert_eq!(all_events(&store, 1000).await, events);
    store.close().await;
    let store = reopen(&engine).await;
    assert_eq!(differences(&check(&store).await), []);
    store.close().await;
}

/// Also those of an older ledger are what its events tell.
pub(super) async fn an_older_ledger_has_the_views_that_are_built_now<E: Engine>() {
    for older in LEDGERS {
        let engine = E::of_version(older.version).await;
        let store = reopen(&engine).await;
        assert_eq!(differences(&check(&store).await), []);
        store.close().await;
    }
}
