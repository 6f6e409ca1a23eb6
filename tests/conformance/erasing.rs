//! Bodies that are erased: when they were kept long enough, and by hand.

use bytes::Bytes;
use cqrs_es::Aggregate;
use futures_util::future::join_all;
use hookledger::store::{
    CommandError, Commit, CopyError, Difference, Mark, Store, StoredEvent, copy, verify,
};
use hookledger_domain::{
    delivery::{self, Delivery, Scheduled, attempt::Trigger},
    ids::{AttemptId, DeliveryId, MessageId, Sequence},
    message::{self, Accepted, BODY_BYTES_MAX, Message},
};
use hookledger_projections::query::AttemptFilter;

use super::{
    DateTime, Engine, Error, Stored, TenantId, Utc, at, copying::all_events, lifecycle::replay,
    open, origin, queries::a_little_of_everything, reopen, tenant, world::World,
};

fn acme() -> TenantId {
    tenant("acme")
}

/// Erases all that is from before a moment; says how many bodies that were, and in how many steps.
pub(super) async fn erase_old(store: &Store, before: DateTime<Utc>) -> (u64, usize) {
    let erasure = store.erasure();
    let (mut erased, mut steps, mut mark): (u64, usize, Option<Mark>) = (0, 0, None);
    loop {
        let step = erasure.step(before, mark).await.unwrap();
        erased += step.erased;
        steps += 1;
        mark = step.next;
        if mark.is_none() {
            erasure.finish().await.unwrap();
            return (erased, steps);
        }
    }
}

/// Takes the bodies off what the views must show: those from before a moment that are not needed.
fn forget(world: &mut World, before: DateTime<Utc>) -> u64 {
    let mut erased = 0;
    for message in &mut world.messages {
        let mut deliveries = world.deliveries.iter();
        let is_needed =
            deliveries.any(|row| row.message_id == message.row.id && row.next_attempt_at.is_some());
        if message.row.accepted_at < before && !is_needed {
            erased += u64::from(message.body.take().is_some());
        }
    }
    for attempt in &mut world.attempts {
        if attempt.row.started_at < before {
            erased += u64::from(attempt.response_body.take().is_some());
        }
    }
    erased
}

/// Looks whether the views show all messages and attempts as they are expected.
async fn check(store: &Store, world: &World) {
    let views = store.views();
    for expected in &world.messages {
        let row = &expected.row;
        let found = views.message(&row.tenant_id, row.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(expected));
        let body = views.message_body(&row.tenant_id, row.id).await.unwrap();
        assert_eq!(body, expected.body.clone().map(Bytes::from));
    }
    for expected in &world.attempts {
        let row = &expected.row;
        let found = views.attempt(&row.tenant_id, row.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(expected));
        let filter = AttemptFilter {
            delivery_id: Some(row.delivery_id),
            ..AttemptFilter::default()
        };
        let page = super::first(200);
        let listed = views.attempts(&row.tenant_id, &filter, page).await.unwrap();
        assert!(listed.rows.contains(expected));
    }
}

fn without_bodies(mut events: Vec<Stored>) -> Vec<Stored> {
    for event in &mut events {
        event.body = None;
    }
    events
}

pub(super) async fn what_is_old_is_erased_in_steps_and_what_is_needed_stays<E: Engine>() {
    let (engine, store) = open::<E>().await;
    a_little_of_everything(&store).await;
    let mut world = World::half_settled(&engine, &store, 21, 900).await;
    let (events, rows) = (engine.events().await, engine.view_rows().await);
    let half = at((world.now() - at(0)).num_milliseconds() / 2);
    for before in [half, world.now() + chrono::Duration::seconds(1)] {
        let expected = forget(&mut world, before);
        assert!(expected > 200);
        let (erased, steps) = erase_old(&store, before).await;
        assert_eq!(erased, expected);
        assert!(steps as u64 > erased / 200, "{steps} steps");
        check(&store, &world).await;
        assert_eq!(erase_old(&store, before).await.0, 0);
    }
    let (with, without): (Vec<_>, Vec<_>) =
        world.messages.iter().partition(|one| one.body.is_some());
    assert!(with.len() > 100 && without.len() > 100);
    // History and rows are as they were.
    assert_eq!(
        without_bodies(engine.events().await),
        without_bodies(events)
    );
    assert_eq!(engine.view_rows().await, rows);
    store.close().await;
}

/// Accepts a message, with a delivery that is still to be sent or without.
async fn publish(
    store: &Store,
    sequence: &mut Sequence,
    millis: i64,
    body: &str,
    is_pending: bool,
) -> (MessageId, DeliveryId) {
    let id = MessageId::from_uuid(sequence.next(at(millis), 1));
    let accepted = Accepted {
        tenant_id: acme(),
        body_bytes: body.len() as u64,
        ..Accepted::default()
    };
    let mut commit = Commit::new(&origin(&acme()), at(millis));
    let fact = message::Event::Accepted(accepted).into();
    let bytes = Bytes::from(body.to_owned());
    commit.push_with_body(id, 1, &fact, Some(bytes)).unwrap();
    let delivery = DeliveryId::from_uuid(sequence.next(at(millis), 1));
    let scheduled = Scheduled {
        tenant_id: acme(),
        message_id: id,
        due_at: at(millis),
        ..Scheduled::default()
    };
    let fact = delivery::Event::Scheduled(scheduled).into();
    commit.push(delivery, 1, &fact).unwrap();
    if !is_pending {
        let reason = delivery::CancelReason::WebhookDeleted;
        let fact = delivery::Event::Cancelled { reason }.into();
        commit.push(delivery, 2, &fact).unwrap();
    }
    store.ledger().commit(commit).await.unwrap();
    (id, delivery)
}

/// The same for one message.
pub(super) async fn publish_body(
    store: &Store,
    millis: i64,
    body: &str,
    is_pending: bool,
) -> MessageId {
    let mut sequence = Sequence::default();
    publish(store, &mut sequence, millis, body, is_pending)
        .await
        .0
}

async fn has_body(store: &Store, id: MessageId) -> bool {
    let body = store.views().message_body(&acme(), id).await.unwrap();
    body.is_some()
}

pub(super) async fn more_that_stays_than_a_step_looks_at_blocks_nothing<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let mut sequence = Sequence::default();
    for number in 0..900 {
        publish(&store, &mut sequence, number, "{}", true).await;
    }
    let (old, _) = publish(&store, &mut sequence, 1000, "{}", false).await;
    assert_eq!(erase_old(&store, at(2000)).await.0, 1);
    assert!(!has_body(&store, old).await);
    store.close().await;
}

/// A clock that was a year ahead for a while, and then right again.
pub(super) async fn what_came_by_a_wrong_clock_blocks_nothing<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    const YEAR: i64 = 365 * 86_400_000;
    let mut ahead = Sequence::default();
    for number in 0..900 {
        publish(&store, &mut ahead, YEAR + number, "{}", false).await;
    }
    let mut right = Sequence::default();
    let (old, _) = publish(&store, &mut right, 0, "{}", false).await;
    assert_eq!(erase_old(&store, at(1000)).await.0, 1);
    assert!(!has_body(&store, old).await);
    assert_eq!(erase_old(&store, at(YEAR + 1000)).await.0, 900);
    store.close().await;
}

pub(super) async fn large_bodies_end_a_step_early<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let (mut sequence, body) = (Sequence::default(), "x".repeat(BODY_BYTES_MAX));
    for number in 0..20 {
        publish(&store, &mut sequence, number, &body, false).await;
    }
    let step = store.erasure().step(at(1000), None).await.unwrap();
    assert!((1..5).contains(&step.erased), "{step:?}");
    let (erased, steps) = erase_old(&store, at(1000)).await;
    assert_eq!(erased + step.erased, 20);
    assert!(steps >= 4, "{steps}");
    store.close().await;
}

/// What was asked for by hand is to be sent, however the delivery stands.
pub(super) async fn what_was_asked_for_after_its_end_keeps_its_body<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let mut sequence = Sequence::default();
    let (id, delivery) = publish(&store, &mut sequence, 0, "{}", false).await;
    assert_eq!(request(&store, delivery).await.unwrap(), 3);
    assert_eq!(erase_old(&store, at(1000)).await.0, 0);
    let refused = erase_message(&store, id).await;
    assert!(
        matches!(refused, Err(CommandError::Store(Error::Stale))),
        "{refused:?}"
    );
    assert!(has_body(&store, id).await);
    assert_eq!(cancel(&store, delivery).await, 4);
    assert_eq!(erase_old(&store, at(1000)).await.0, 1);
    store.close().await;
}

/// Calls a delivery off, or what was asked for.
async fn cancel(store: &Store, id: DeliveryId) -> u64 {
    let reason = delivery::CancelReason::Requested;
    let command = delivery::Command::Cancel { reason };
    let cancelled = execute::<Delivery>(store, &acme(), id, command).await;
    cancelled.unwrap()
}

/// Carries out a command on an aggregate; gives its sequence then.
async fn execute<A>(
    store: &Store,
    tenant: &TenantId,
    id: impl ToString,
    command: A::Command,
) -> Result<u64, CommandError<A::Error>>
where
    A: Aggregate<Services = ()>,
    A::Command: Clone,
{
    let (ledger, id, origin) = (store.ledger(), id.to_string(), origin(tenant));
    let done = ledger.execute::<A>(&id, command, &(), None, &origin);
    Ok(done.await?.sequence)
}

/// Has a message's body erased by hand.
pub(super) async fn erase_message(
    store: &Store,
    id: MessageId,
) -> Result<u64, CommandError<message::Error>> {
    execute::<Message>(store, &acme(), id, message::Command::EraseBody).await
}

pub(super) async fn a_body_that_is_erased_by_hand_is_gone_with_its_event<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let mut sequence = Sequence::default();
    let (id, _) = publish(&store, &mut sequence, 0, "{}", false).await;
    let (other, _) = publish(&store, &mut sequence, 0, "{}", false).await;
    let before = store.views().message(&acme(), id).await.unwrap().unwrap();
    assert_eq!(erase_message(&store, id).await.unwrap(), 2);
    let events = engine.events().await.len();
    assert_eq!(erase_message(&store, id).await.unwrap(), 2);
    assert_eq!(engine.events().await.len(), events, "once is enough");
    assert!(has_body(&store, other).await);
    let after = store.views().message(&acme(), id).await.unwrap().unwrap();
    assert_eq!((after.body, after.row), (None, before.row));
    let last = engine.events().await.pop().unwrap();
    assert_eq!(last.fact, message::Event::BodyErased.into());
    store.close().await;
}

pub(super) async fn what_is_still_to_be_sent_is_not_erased<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let mut sequence = Sequence::default();
    let (id, delivery) = publish(&store, &mut sequence, 0, "{}", true).await;
    let events = engine.events().await;
    let refused = erase_message(&store, id).await;
    assert!(
        matches!(refused, Err(CommandError::Store(Error::Stale))),
        "{refused:?}"
    );
    assert_eq!(engine.events().await, events, "nothing of it stays");
    assert_eq!(cancel(&store, delivery).await, 2);
    assert_eq!(erase_message(&store, id).await.unwrap(), 2);
    assert!(!has_body(&store, id).await);
    store.close().await;
}

/// Asks for a delivery by hand.
async fn request(store: &Store, id: DeliveryId) -> Result<u64, CommandError<delivery::Error>> {
    let command = delivery::Command::RequestAttempt {
        trigger: Trigger::Redeliver,
        now: at(0),
        unless_since: None,
    };
    execute::<Delivery>(store, &acme(), id, command).await
}

pub(super) async fn what_is_erased_cannot_be_asked_for<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let mut sequence = Sequence::default();
    let (_, whole) = publish(&store, &mut sequence, 10_000, "{}", false).await;
    let (by_hand, delivery) = publish(&store, &mut sequence, 10_000, "{}", false).await;
    erase_message(&store, by_hand).await.unwrap();
    let (_, old) = publish(&store, &mut Sequence::default(), 0, "{}", false).await;
    assert_eq!(erase_old(&store, at(1)).await.0, 1);
    let events = engine.events().await.len();
    for id in [delivery, old] {
        let refused = request(&store, id).await;
        assert!(
            matches!(refused, Err(CommandError::Store(Error::Stale))),
            "{refused:?}"
        );
    }
    assert_eq!(engine.events().await.len(), events);
    assert_eq!(request(&store, whole).await.unwrap(), 3);
    store.close().await;
}

/// One that cannot be done does not stop those that wait with it.
pub(super) async fn a_refused_erasure_fails_alone<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let (mut sequence, mut ids) = (Sequence::default(), Vec::new());
    for number in 0..60 {
        let is_pending = number % 3 == 0;
        let (id, delivery) = publish(&store, &mut sequence, number, "{}", is_pending).await;
        ids.push((id, delivery, is_pending));
    }
    let erasing = ids.iter().map(|(id, ..)| erase_message(&store, *id));
    for (result, (id, _, is_pending)) in join_all(erasing).await.iter().zip(&ids) {
        assert_eq!(result.is_err(), *is_pending, "{result:?}");
        assert_eq!(has_body(&store, *id).await, *is_pending);
    }
    // The one half can be asked for, the other one cannot.
    let asking = ids
        .iter()
        .map(|(_, delivery, _)| request(&store, *delivery));
    for (result, (.., is_pending)) in join_all(asking).await.iter().zip(&ids) {
        assert_eq!(result.is_ok(), *is_pending, "{result:?}");
    }
    store.close().await;
}

/// Some ask for what others erase at the same time, and it is old, too: whoever is told that it will
/// be sent can rely on it.
pub(super) async fn what_is_asked_for_in_time_has_a_body<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let (mut sequence, mut ids) = (Sequence::default(), Vec::new());
    for number in 0..200 {
        ids.push(publish(&store, &mut sequence, number, "{}", false).await);
    }
    let mut pairs = ids
        .iter()
        .enumerate()
        .map(async |(number, (id, delivery))| {
            let (ask, erase) = (request(&store, *delivery), erase_message(&store, *id));
            // Each is first with every other one.
            let (asked, erased) = if number % 2 == 0 {
                tokio::join!(biased; ask, erase)
            } else {
                let (erased, asked) = tokio::join!(biased; erase, ask);
                (asked, erased)
            };
            (*id, asked.is_ok(), erased.is_ok())
        });
    let mut done = Vec::new();
    for _ in 0..20 {
        let few = join_all(pairs.by_ref().take(10));
        let (few, _) = tokio::join!(few, erase_old(&store, at(100)));
        done.extend(few);
    }
    for (id, is_asked, is_erased) in done {
        assert!(!(is_asked && is_erased));
        assert_eq!(has_body(&store, id).await, is_asked);
    }
    assert_eq!(erase_old(&store, at(1000)).await.0, 0);
    store.close().await;
}

pub(super) async fn what_came_back_is_erased_for_one_attempt<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let mut world = World::build(&store, 22, 200).await;
    let answered: Vec<usize> = (0..world.attempts.len())
        .filter(|place| world.attempts[*place].response_body.is_some())
        .collect();
    for place in answered.iter().step_by(3) {
        let logged = &mut world.attempts[*place];
        logged.response_body = None;
        let row = logged.row.clone();
        assert!(row.response.is_some_and(|response| response.body_bytes > 0));
        for _ in 0..2 {
            erase_response(&store, &row.tenant_id, row.delivery_id, row.id).await;
        }
    }
    check(&store, &world).await;
    let erased = |event: &Stored| {
        matches!(
            event.fact,
            super::Fact::Delivery(delivery::Event::ResponseBodyErased { .. })
        )
    };
    let events = engine.events().await;
    let found = events.iter().filter(|event| erased(event)).count();
    assert_eq!(found, answered.iter().step_by(3).count());
    let unknown = AttemptId::default();
    assert_eq!(store.views().attempt(&acme(), unknown).await.unwrap(), None);
    store.close().await;
}

async fn erase_response(store: &Store, tenant: &TenantId, delivery: DeliveryId, id: AttemptId) {
    let command = delivery::Command::EraseResponseBody { attempt_id: id };
    let erased = execute::<Delivery>(store, tenant, delivery, command).await;
    erased.unwrap();
}

/// Erases some bodies by hand, of messages and of answers.
async fn erase_some_by_hand(store: &Store, world: &World, first: usize) -> u64 {
    let mut erased = 0;
    for message in world.messages.iter().skip(first).step_by(5) {
        let row = &message.row;
        let command = message::Command::EraseBody;
        let done = execute::<Message>(store, &row.tenant_id, row.id, command).await;
        erased += u64::from(done.is_ok());
    }
    for attempt in world.attempts.iter().skip(first).step_by(5) {
        if attempt.response_body.is_some() {
            let row = &attempt.row;
            erase_response(store, &row.tenant_id, row.delivery_id, row.id).await;
            erased += 1;
        }
    }
    erased
}

/// Bodies that were there when an event was recorded are taken away by the event that says so, also
/// if they are all there again.
pub(super) async fn erasing_is_done_again_with_its_event<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let world = World::build(&store, 24, 150).await;
    let before = engine.events().await;
    assert!(erase_some_by_hand(&store, &world, 0).await > 20);
    store.close().await;
    let (rebuilt, store) = open::<E>().await;
    let after = engine.events().await;
    for (place, mut event) in after.clone().into_iter().enumerate() {
        event.body = before.get(place).and_then(|event| event.body.clone());
        replay(&store, event).await;
    }
    store.close().await;
    let bodies = |events: &[Stored]| -> Vec<_> { events.iter().map(|e| e.body.clone()).collect() };
    assert_eq!(bodies(&rebuilt.events().await), bodies(&after));
    assert_eq!(rebuilt.view_rows().await, engine.view_rows().await);
}

pub(super) async fn a_copy_has_what_is_not_erased<E: Engine>() {
    a_copy_has_what_is_not_erased_from::<E, E>().await;
}

pub(super) async fn a_copy_has_what_is_not_erased_from<A: Engine, B: Engine>() {
    let (source, from) = open::<A>().await;
    let (target, to) = open::<B>().await;
    a_little_of_everything(&from).await;
    for name in ["other", "third"] {
        from.ledger().commit(registered(name)).await.unwrap();
    }
    let mut world = World::build(&from, 25, 300).await;
    let half = at((world.now() - at(0)).num_milliseconds() / 2);
    assert!(erase_old(&from, half).await.0 > 100);
    forget(&mut world, half);
    assert!(erase_some_by_hand(&from, &world, 0).await > 20);
    copy(&from, &to, &|_| ()).await.unwrap();
    verify(&from, &to, &|_| ()).await.unwrap();
    assert_eq!(all_events(&to, 1000).await, all_events(&from, 1000).await);

    // While a store is copied nobody can append to it.
    from.close().await;
    to.close().await;
    let (from, to) = (reopen(&source).await, reopen(&target).await);

    // What is erased by hand after it was copied is erased in the copy with its event; what had been
    // kept long enough is erased there when its time has come there, too.
    let before = bodies(&all_events(&from, 1000).await);
    assert!(erase_some_by_hand(&from, &world, 1).await > 20);
    let late = world.now() + chrono::Duration::days(1);
    assert!(erase_old(&from, late).await.0 > 20);
    assert!(copy(&from, &to, &|_| ()).await.unwrap() > 0);
    verify(&from, &to, &|_| ()).await.unwrap();
    let (ours, theirs) = (all_events(&from, 1000).await, all_events(&to, 1000).await);
    assert!(bodies(&ours) < bodies(&theirs) && bodies(&theirs) < before);
    let lost = verify(&to, &from, &|_| ()).await.err();
    assert!(
        matches!(&lost, Some(CopyError::Differs(Difference::Other { what })) if what.contains("the body of")),
        "{lost:?}"
    );
    erase_old(&to, late).await;
    verify(&to, &from, &|_| ()).await.unwrap();
    from.close().await;
    to.close().await;
}

fn bodies(events: &[StoredEvent]) -> usize {
    events.iter().filter(|event| event.body.is_some()).count()
}

fn registered(name: &str) -> Commit {
    let id = tenant(name);
    let mut commit = Commit::new(&origin(&id), at(0));
    let name = name.to_owned();
    let fact = hookledger_domain::tenant::Event::Registered { name }.into();
    commit.push(&id, 1, &fact).unwrap();
    commit
}

/// What a database of an older version had kept is as large in the rows as it is in the events: the
/// migration, of which `sql` is the text, finds it in the bodies.
pub(super) async fn sizes_are_found_in_bodies<E: Engine>(sql: &str) {
    let (engine, store) = open::<E>().await;
    World::build(&store, 26, 100).await;
    let rows = engine.view_rows().await;
    store.close().await;
    let blank = engine.execute("UPDATE attempts SET response_body_bytes = 0");
    assert!(blank.await > 0);
    assert_ne!(engine.view_rows().await, rows);
    let from = sql.find("UPDATE attempts").unwrap();
    let update = sql[from..].split(';').next().unwrap();
    assert!(engine.execute(update).await > 0);
    assert_eq!(engine.view_rows().await, rows);
    let store = reopen(&engine).await;
    store.close().await;
}
