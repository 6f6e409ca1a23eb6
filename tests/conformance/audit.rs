//! That a ledger which was edited behind the store's back does not add up any more, and that one which
//! was not does.

use std::sync::Mutex;

use hookledger::store::{Audit, Commit, Error, EventFilter, SealMark, StoredEvent, Verdict};
use hookledger_domain::tenant::{self, TenantId};
use hookledger_projections::query::{Page, Span};

use super::{
    Engine, Store, at, copying::all_events, erasing::erase_old, open, origin,
    queries::a_little_of_everything, reopen, world::World,
};

/// A ledger of several tenants, with bodies.
async fn filled<E: Engine>(messages: usize) -> (E, Store, Vec<TenantId>) {
    let (engine, store) = open::<E>().await;
    let world = World::half_settled(&engine, &store, 8, messages).await;
    a_little_of_everything(&store).await;
    (engine, store, world.tenants)
}

async fn verify(audit: &Audit) -> Verdict {
    audit
        .verify(None, &|_, _| {})
        .await
        .expect("the store answers")
}

/// Where a ledger is broken, and why; fails if it is not.
async fn broken(store: &Store) -> (u64, String) {
    match verify(&store.audit()).await {
        Verdict::Broken {
            first_bad_position,
            reason,
        } => (first_bad_position, reason.to_string()),
        intact @ Verdict::Intact { .. } => panic!("{intact:?}"),
    }
}

pub(super) async fn an_untouched_ledger_is_intact<E: Engine>() {
    let (empty, store) = open::<E>().await;
    let verdict = verify(&store.audit()).await;
    assert!(
        matches!(
            verdict,
            Verdict::Intact {
                events: 0,
                position: 0,
                ..
            }
        ),
        "{verdict:?}"
    );
    store.close().await;
    drop(empty);

    let (engine, store, tenants) = filled::<E>(700).await;
    let all = all_events(&store, 1000).await;
    let last = all.last().map_or(0, |event| event.position);
    let before = verify(&store.audit()).await;
    let Verdict::Intact {
        events, position, ..
    } = before
    else {
        panic!("{before:?}")
    };
    assert_eq!((events, position), (all.len() as u64, last));
    for tenant in &tenants {
        let own: Vec<_> = of_tenant(&all, tenant).collect();
        let expected = Verdict::Intact {
            events: own.len() as u64,
            head: own.last().unwrap().hash,
            position: own.last().unwrap().position,
        };
        assert_eq!(store.audit().verify_tenant(tenant).await.unwrap(), expected);
    }
    // When something is sorted in, or read by another process, is no matter.
    engine.settle().await;
    store.close().await;
    let store = reopen(&engine).await;
    assert_eq!(verify(&store.audit()).await, before);
    store.close().await;
}

fn of_tenant<'a>(
    events: &'a [StoredEvent],
    tenant: &'a TenantId,
) -> impl DoubleEndedIterator<Item = &'a StoredEvent> {
    events
        .iter()
        .filter(move |event| event.tenant_id.as_ref() == Some(tenant))
}

pub(super) async fn erased_bodies_leave_a_ledger_intact<E: Engine>() {
    let (_engine, store, _) = filled::<E>(50).await;
    let before = verify(&store.audit()).await;
    let (erased, _) = erase_old(&store, at(10_000_000_000)).await;
    assert!(erased > 0);
    let after = verify(&store.audit()).await;
    assert_eq!(after, before);
    store.close().await;
}

/// Keeps the tables as they are, to put them back.
async fn keep<E: Engine>(engine: &E) {
    for table in ["events", "bodies", "heads", "seals"] {
        engine
            .execute(&format!(
                "CREATE TABLE kept_{table} AS SELECT * FROM {table}"
            ))
            .await;
    }
}

async fn put_back<E: Engine>(engine: &E) {
    engine.execute("DELETE FROM bodies").await;
    for table in ["events", "heads", "bodies", "seals"] {
        engine.execute(&format!("DELETE FROM {table}")).await;
        engine
            .execute(&format!("INSERT INTO {table} SELECT * FROM kept_{table}"))
            .await;
    }
}

/// Carries out each edit on its own, and looks that it is found at the position that stands beside it.
async fn each_is_found<E: Engine>(engine: &E, store: &Store, edits: &[(u64, &[String])]) {
    keep(engine).await;
    for (position, statements) in edits {
        for sql in *statements {
            assert!(engine.execute(sql).await > 0, "{sql}");
        }
        let (found, reason) = broken(store).await;
        assert_eq!(found, *position, "{statements:?}: {reason}");
        put_back(engine).await;
        let verdict = verify(&store.audit()).await;
        assert!(matches!(verdict, Verdict::Intact { .. }), "{verdict:?}");
    }
}

/// The second event of a stream that has at least three, and its successor in the stream.
fn in_the_middle(events: &[StoredEvent]) -> (&StoredEvent, &StoredEvent) {
    let next = |event: &StoredEvent| {
        events.iter().find(|other| {
            other.aggregate_id == event.aggregate_id && other.sequence == event.sequence + 1
        })
    };
    let second = events.iter().filter(|event| event.sequence == 2);
    second
        .filter_map(|event| Some((event, next(event)?)))
        .next()
        .expect("a delivery that was tried twice")
}

pub(super) async fn a_changed_byte_in_any_column_is_found<E: Engine>() {
    let (engine, store, _) = filled::<E>(60).await;
    let events = all_events(&store, 1000).await;
    let (event, _) = in_the_middle(&events);
    let position = event.position;
    let last = events.last().unwrap().position;
    let (later, zeros) = (E::LATER, E::ZEROS);
    let changes = [
        format!("position = {}", last + 5),
        "aggregate_type = 'topic'".to_owned(),
        "aggregate_id = 'dlv_0'".to_owned(),
        "sequence = 99".to_owned(),
        "event_type = 'cancelled'".to_owned(),
        "event_version = '9'".to_owned(),
        r#"payload = '{"cancelled":{"reason":"requested"}}'"#.to_owned(),
        r#"metadata = '{"actor_kind":"platform","actor_id":"x","actor_name":"x"}'"#.to_owned(),
        "tenant_id = 'nobody'".to_owned(),
        format!("recorded_at = {later}"),
        format!("hash = {zeros}"),
    ];
    let statements: Vec<[String; 1]> = changes
        .iter()
        .map(|change| {
            [format!(
                "UPDATE events SET {change} WHERE position = {position}"
            )]
        })
        .collect();
    let edits: Vec<(u64, &[String])> = statements.iter().map(|one| (position, &one[..])).collect();
    each_is_found(&engine, &store, &edits).await;
    store.close().await;
}

pub(super) async fn what_was_removed_put_in_or_moved_is_found<E: Engine>() {
    let (engine, store, _) = filled::<E>(60).await;
    let events = all_events(&store, 1000).await;
    let (event, next) = in_the_middle(&events);
    let (first, last) = (&events[0], &events[events.len() - 1]);
    let stream = |event: &StoredEvent| {
        let id = &event.aggregate_id;
        events
            .iter()
            .filter(|other| other.aggregate_id == *id)
            .collect::<Vec<_>>()
    };
    let ended = stream(event);
    let end = ended.last().unwrap();
    let remove = |condition: String| format!("DELETE FROM events WHERE {condition}");
    let at_position = |event: &StoredEvent| format!("position = {}", event.position);
    let away = last.position + 1000;
    let moved =
        |from: u64, to: u64| format!("UPDATE events SET position = {to} WHERE position = {from}");
    let columns = "event_type, event_version, payload, metadata, tenant_id, recorded_at, hash";
    let put_in = |position: u64, id: &str, sequence: u64| {
        format!(
            "INSERT INTO events (position, aggregate_type, aggregate_id, sequence, {columns}) \
             SELECT {position}, aggregate_type, {id}, {sequence}, {columns} \
               FROM events WHERE position = {}",
            event.position
        )
    };
    let tail = last.position - 7;
    let (p, q) = (event.position, next.position);
    let edits: [(u64, &[String]); 11] = [
        (first.position, &[remove(at_position(first))]),
        (p, &[remove(at_position(event))]),
        (end.position, &[remove(at_position(end))]),
        (last.position, &[remove(at_position(last))]),
        // A stream, and the end of the ledger.
        (
            ended[0].position,
            &[remove(format!("aggregate_id = '{}'", event.aggregate_id))],
        ),
        (tail, &[remove(format!("position >= {tail}"))]),
        (
            last.position + 1,
            &[put_in(last.position + 1, "'dlv_0'", 1)],
        ),
        (
            last.position + 1,
            &[put_in(
                last.position + 1,
                "aggregate_id",
                ended.len() as u64 + 1,
            )],
        ),
        // Two events change places.
        (p, &[moved(p, away), moved(q, p), moved(away, q)]),
        // One is replaced by a copy of another.
        (
            end.position,
            &[remove(at_position(end)), put_in(end.position, "'dlv_0'", 1)],
        ),
        (p, &[moved(p, away)]),
    ];
    each_is_found(&engine, &store, &edits).await;
    store.close().await;
}

pub(super) async fn a_body_or_a_head_that_was_changed_is_found<E: Engine>() {
    let (engine, store, tenants) = filled::<E>(60).await;
    let events = all_events(&store, 1000).await;
    let body = events.iter().find(|event| event.body.is_some()).unwrap();
    let text = body.body.clone().unwrap().replace('\'', "''");
    let tenant = &tenants[0];
    let head = of_tenant(&events, tenant).next_back().unwrap();
    let earlier = of_tenant(&events, tenant).nth_back(1).unwrap();
    let is_of = format!("WHERE tenant_id = '{tenant}'");
    let zeros = E::ZEROS;
    let edits: [(u64, &[String]); 5] = [
        (
            body.position,
            &[format!(
                "UPDATE bodies SET text = 'changed' WHERE text = '{text}'"
            )],
        ),
        (
            head.position,
            &[format!("UPDATE heads SET hash = {zeros} {is_of}")],
        ),
        (
            head.position,
            &[format!("UPDATE heads SET events = events + 1 {is_of}")],
        ),
        (
            head.position,
            &[format!(
                "UPDATE heads SET position = {} {is_of}",
                earlier.position
            )],
        ),
        (head.position, &[format!("DELETE FROM heads {is_of}")]),
    ];
    each_is_found(&engine, &store, &edits).await;
    store.close().await;
}

/// A tenant finds what was done to its own events, and hears nothing of what was done to others'.
pub(super) async fn a_tenant_checks_its_own_events<E: Engine>() {
    let (engine, store, tenants) = filled::<E>(60).await;
    let events = all_events(&store, 1000).await;
    let [victim, other] = [&tenants[0], &tenants[1]];
    let own: Vec<_> = of_tenant(&events, victim).collect();
    let stream = own
        .iter()
        .rev()
        .find(|event| event.aggregate_type == "message")
        .unwrap();
    let (middle, last) = (own[own.len() / 2], own[own.len() - 1]);
    keep(&engine).await;
    for (position, sql) in [
        (
            middle.position,
            format!(
                "UPDATE events SET event_version = '8' WHERE position = {}",
                middle.position
            ),
        ),
        (
            middle.position,
            format!("DELETE FROM events WHERE position = {}", middle.position),
        ),
        (
            last.position,
            format!("DELETE FROM events WHERE position = {}", last.position),
        ),
        (
            stream.position,
            format!(
                "DELETE FROM events WHERE aggregate_id = '{}'",
                stream.aggregate_id
            ),
        ),
    ] {
        assert!(engine.execute(&sql).await > 0);
        let verdict = store.audit().verify_tenant(victim).await.unwrap();
        let Verdict::Broken {
            first_bad_position, ..
        } = verdict
        else {
            panic!("{sql}")
        };
        assert_eq!(first_bad_position, position, "{sql}");
        let verdict = store.audit().verify_tenant(other).await.unwrap();
        assert!(matches!(verdict, Verdict::Intact { .. }), "{sql}");
        put_back(&engine).await;
    }
    store.close().await;
}

pub(super) async fn events_are_listed_by_what_is_asked_for<E: Engine>() {
    let (engine, store, tenants) = filled::<E>(300).await;
    let mut all = all_events(&store, 1000).await;
    all.iter_mut().for_each(|event| event.body = None);
    all.reverse();
    engine.settle().await;
    let some = &all[all.len() / 3];
    let text = |text: &str| Some(text.to_owned());
    let filters = [
        EventFilter::default(),
        EventFilter {
            aggregate_type: text("webhook"),
            ..EventFilter::default()
        },
        EventFilter {
            aggregate_id: text(&some.aggregate_id),
            ..EventFilter::default()
        },
        EventFilter {
            event_type: text("succeeded"),
            ..EventFilter::default()
        },
        EventFilter {
            actor: text("system"),
            ..EventFilter::default()
        },
        EventFilter {
            actor: text("nobody"),
            ..EventFilter::default()
        },
        EventFilter {
            aggregate_type: text("delivery"),
            event_type: text("scheduled"),
            recorded: Span {
                from: Some(all[all.len() / 2].recorded_at),
                to: Some(all[all.len() / 4].recorded_at),
            },
            ..EventFilter::default()
        },
    ];
    let owners = tenants.iter().cloned().map(Some).chain([None]);
    for owner in owners {
        for filter in &filters {
            let filter = EventFilter {
                tenant: owner.clone(),
                ..filter.clone()
            };
            let expected: Vec<_> = all
                .iter()
                .filter(|event| is_meant(event, &filter))
                .collect();
            for limit in [3, 200] {
                let found = listed(&store.audit(), &filter, limit).await;
                assert!(found.iter().eq(expected.iter().copied()), "{filter:?}");
            }
        }
    }
    store.close().await;
}

fn is_meant(event: &StoredEvent, filter: &EventFilter) -> bool {
    let is = |wanted: &Option<String>, text: &str| wanted.as_deref().is_none_or(|w| w == text);
    let metadata: serde_json::Value = serde_json::from_str(&event.metadata).unwrap();
    filter
        .tenant
        .as_ref()
        .is_none_or(|tenant| event.tenant_id.as_ref() == Some(tenant))
        && is(&filter.aggregate_type, &event.aggregate_type)
        && is(&filter.aggregate_id, &event.aggregate_id)
        && is(&filter.event_type, &event.event_type)
        && filter
            .actor
            .as_ref()
            .is_none_or(|actor| metadata["actor_kind"] == **actor)
        && filter
            .recorded
            .from
            .is_none_or(|from| event.recorded_at >= from)
        && filter.recorded.to.is_none_or(|to| event.recorded_at < to)
}

async fn listed(audit: &Audit, filter: &EventFilter, limit: u32) -> Vec<StoredEvent> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = audit.events(filter, Page { limit, after }).await.unwrap();
        assert!(page.rows.len() <= limit as usize);
        rows.extend(page.rows);
        after = page.next;
        if after.is_none() {
            return rows;
        }
    }
}

/// What adds up by itself: whoever edits a ledger may make heads anew.
pub(super) async fn what_adds_up_by_itself_is_found_by_a_seal<E: Engine>() {
    let (engine, store, tenants) = filled::<E>(60).await;
    let (audit, sealer) = (store.audit(), store.sealer());
    let seal = async |millis| sealer.seal(at(millis), None).await.unwrap().unwrap();
    let first = seal(0).await;
    assert_eq!(seal(1).await, first, "nothing was appended since");
    let id = super::tenant("later");
    let mut commit = Commit::new(&origin(&id), at(0));
    let name = "Later".to_owned();
    let fact = tenant::Event::Registered { name }.into();
    commit.push(&id, 1, &fact).unwrap();
    store.ledger().commit(commit).await.unwrap();
    let second = seal(2).await;
    assert_eq!(
        audit.seals().await.unwrap(),
        [first.clone(), second.clone()]
    );
    for mark in [first.mark(), second.mark()] {
        let verdict = audit.verify(Some(mark), &|_, _| {}).await.unwrap();
        assert!(matches!(verdict, Verdict::Intact { .. }), "{verdict:?}");
    }
    let forged = SealMark {
        hash: second.hash,
        ..first.mark()
    };
    let verdict = audit.verify(Some(forged), &|_, _| {}).await.unwrap();
    assert!(
        matches!(
            verdict,
            Verdict::Broken {
                first_bad_position: 1,
                ..
            }
        ),
        "{verdict:?}"
    );

    let events = all_events(&store, 1000).await;
    let tenant = &tenants[1];
    let own: Vec<_> = of_tenant(&events, tenant).collect();
    let last = own[own.len() - 1].position;
    let earlier = own[own.len() - 2];
    let is_of = format!("WHERE tenant_id = '{tenant}'");
    let end = first.head.position;
    let edits: [(u64, &[String]); 4] = [
        (
            own[0].position,
            &[
                format!("DELETE FROM events {is_of}"),
                format!("DELETE FROM heads {is_of}"),
            ],
        ),
        (
            last,
            &[
                format!("DELETE FROM events WHERE position = {last}"),
                format!(
                    "UPDATE heads SET position = {}, events = events - 1, hash = \
                     (SELECT hash FROM events WHERE position = {}) {is_of}",
                    earlier.position, earlier.position
                ),
            ],
        ),
        (
            end - 1,
            &[format!(
                "UPDATE seals SET position = {} WHERE number = 2",
                end - 1
            )],
        ),
        (
            end,
            &["UPDATE seals SET events = events + 1 WHERE number = 1".to_owned()],
        ),
    ];
    each_is_found(&engine, &store, &edits).await;

    // With the seals gone, too, the one that is kept elsewhere tells it.
    for sql in edits[1]
        .1
        .iter()
        .map(String::as_str)
        .chain(["DELETE FROM seals"])
    {
        engine.execute(sql).await;
    }
    let verdict = verify(&audit).await;
    assert!(matches!(verdict, Verdict::Intact { .. }), "{verdict:?}");
    let verdict = audit.verify(Some(second.mark()), &|_, _| {}).await.unwrap();
    assert!(matches!(verdict, Verdict::Broken { .. }), "{verdict:?}");
    store.close().await;
}

/// Whoever only reads takes no lock, and sees what is appended meanwhile.
pub(super) async fn a_ledger_is_read_beside_its_server<E: Engine>() {
    let (engine, store, tenants) = filled::<E>(60).await;
    let reader = engine.open_reader().await.unwrap();
    let seen = Mutex::new(Vec::new());
    let listener = |done, total| seen.lock().unwrap().push((done, total));
    let verdict = reader.audit().verify(None, &listener).await.unwrap();
    assert_eq!(verdict, verify(&store.audit()).await);
    let last = store.ledger().last_position().await.unwrap();
    assert_eq!(seen.into_inner().unwrap().last(), Some(&(last, last)));
    let seal = store.sealer().seal(at(0), None).await.unwrap().unwrap();
    assert_eq!(
        reader.audit().last_seal().await.unwrap(),
        Some(seal.clone())
    );
    let id = super::tenant("later");
    let mut commit = Commit::new(&origin(&id), at(0));
    let name = "Later".to_owned();
    let fact = tenant::Event::Registered { name }.into();
    commit.push(&id, 1, &fact).unwrap();
    store.ledger().commit(commit).await.unwrap();
    assert_ne!(verify(reader.audit()).await, verdict);
    store.close().await;
    // Also when nobody has it open any more, and once more.
    let after = verify(reader.audit()).await;
    reader.close().await;
    let reader = engine.open_reader().await.unwrap();
    assert_eq!(verify(reader.audit()).await, after);
    let own = reader.audit().verify_tenant(&tenants[0]).await.unwrap();
    assert!(matches!(own, Verdict::Intact { .. }), "{own:?}");
    let held = reader.audit().verify(Some(seal.mark()), &|_, _| {}).await;
    assert_eq!(held.unwrap(), after);
    reader.close().await;
}

/// It has no hashes yet; the server makes them when it starts.
pub(super) async fn an_older_ledger_is_not_read_and_not_changed<E: Engine>() {
    for version in [7, 9] {
        is_not_read_and_not_changed(&E::of_version(version).await, version).await;
    }
}

async fn is_not_read_and_not_changed(engine: &impl Engine, version: u32) {
    for _ in 0..2 {
        let refused = engine.open_reader().await.err();
        let is_named = matches!(
            refused,
            Some(Error::OlderSchema { found, .. }) if found == i64::from(version)
        );
        assert!(is_named, "{refused:?}");
        assert!(
            refused
                .unwrap()
                .to_string()
                .contains("start the server once")
        );
    }
    reopen(engine).await.close().await;
    let reader = engine.open_reader().await.unwrap();
    let verdict = verify(reader.audit()).await;
    assert!(matches!(verdict, Verdict::Intact { .. }), "{verdict:?}");
    reader.close().await;
}

/// What no event, head or seal that was written here looks like is found, whatever it is, and stops nobody.
pub(super) async fn what_cannot_have_been_written_here_is_found<E: Engine>() {
    let (engine, store, tenants) = filled::<E>(30).await;
    let sealed = store.sealer().seal(at(0), None).await.unwrap();
    assert!(sealed.is_some());
    let tenant = &tenants[0];
    let columns = "aggregate_type, event_type, event_version, payload, metadata, tenant_id, recorded_at, hash";
    let put_in = |position: i64| {
        format!(
            "INSERT INTO events (position, aggregate_id, sequence, {columns}) \
             SELECT {position}, 'wh_0', 1, {columns} FROM events WHERE position = 5"
        )
    };
    let seal = |number: i64, position: i64| {
        format!(
            "INSERT INTO seals (number, position, events, head, sealed_at, hash) \
             SELECT {number}, {position}, events, head, sealed_at, hash FROM seals WHERE number = 1"
        )
    };
    keep(&engine).await;
    for sql in [
        put_in(-1),
        put_in(0),
        put_in(i64::MAX),
        seal(-5, -1),
        seal(1_000_000_000, -1),
        seal(2, i64::MAX),
        format!("UPDATE heads SET position = {} WHERE tenant_id = '{tenant}'", i64::MAX),
        format!("UPDATE heads SET position = -1, events = -1 WHERE tenant_id = '{tenant}'"),
        format!("UPDATE events SET recorded_at = {} WHERE position = 5", E::NEVER),
        format!("UPDATE seals SET sealed_at = {}", E::NEVER),
        r#"UPDATE events SET payload = '{"succeeded":{"attempt":{"id":"\u0000\ud800"}}}' WHERE position = 5"#
            .to_owned(),
        "UPDATE events SET sequence = 9223372036854775807 WHERE position = 5".to_owned(),
    ] {
        assert!(engine.execute(&sql).await > 0, "{sql}");
        let (position, reason) = broken(&store).await;
        assert!(!reason.is_empty(), "{sql}: {position}");
        put_back(&engine).await;
    }
    let verdict = verify(&store.audit()).await;
    assert!(matches!(verdict, Verdict::Intact { .. }), "{verdict:?}");
    store.close().await;
}
