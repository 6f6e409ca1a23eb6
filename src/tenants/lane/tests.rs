//! What a lane promises, example by example: here without order, in `order` with it. `model` tries the
//! same with any sequence of events.

use std::collections::HashSet;

use cqrs_es::Aggregate;
use hookledger_domain::{
    delivery::{
        CancelReason, Delivery, Event, Scheduled, Status,
        attempt::{Attempt, Failure, FailureCode, Trigger},
    },
    ids::{AttemptId, Sequence},
};

mod changes;
mod crowd;
mod model;
mod order;
mod reach;
mod view;

use super::{window::WINDOW, *};
use crate::store::Stream;

/// The moment `millis` after the start of a test.
fn at(millis: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + chrono::Duration::days(20_000) + chrono::Duration::milliseconds(millis)
}

/// Makes deliveries with rising ids.
#[derive(Default)]
struct Maker {
    ids: Sequence,
    /// Tells the ids of makers apart.
    random: u128,
}

impl Maker {
    fn make(&mut self, made_at: DateTime<Utc>, scheduled: Scheduled) -> Entry {
        let id = DeliveryId::from_uuid(self.ids.next(made_at, self.random));
        let mut state = Delivery::default();
        state.apply(Event::Scheduled(scheduled));
        Entry {
            id,
            stream: Stream { state, sequence: 1 },
            body: None,
        }
    }

    /// A delivery that is due at `millis`.
    fn due(&mut self, millis: i64) -> Entry {
        let due_at = at(millis);
        self.make(
            at(0),
            Scheduled {
                due_at,
                ..Scheduled::default()
            },
        )
    }

    /// A test delivery that is due at `millis`.
    fn test(&mut self, millis: i64) -> Entry {
        let (due_at, trigger) = (at(millis), Trigger::Test);
        self.make(
            at(0),
            Scheduled {
                due_at,
                trigger,
                ..Scheduled::default()
            },
        )
    }

    /// A delivery that is kept in order by a key and is due at once.
    fn keyed(&mut self, key: &str) -> Entry {
        let (due_at, ordering_key) = (at(0), Some(key.to_owned()));
        self.make(
            at(0),
            Scheduled {
                due_at,
                ordering_key,
                ..Scheduled::default()
            },
        )
    }

    fn many(&mut self, count: usize, millis: i64) -> Vec<Entry> {
        (0..count).map(|_| self.due(millis)).collect()
    }
}

/// A delivery one event later.
fn after(mut entry: Entry, event: Event) -> Entry {
    entry.stream.state.apply(event);
    entry.stream.sequence += 1;
    entry
}

/// The next attempt of a delivery as it was given out.
fn attempt(given: &Delivery, failure: Option<FailureCode>) -> Attempt {
    Attempt {
        id: AttemptId::default(),
        number: given.attempts() + 1,
        message_id: given.message_id(),
        webhook_id: given.webhook_id(),
        topic: given.topic().clone(),
        webhook_version: 1,
        trigger: given.next_trigger(),
        started_at: at(0),
        duration_ms: 1,
        url: "https://example.com".to_owned(),
        response: None,
        failure: failure.map(|code| Failure {
            code,
            message: "in vain".to_owned(),
        }),
    }
}

/// The delivery after an attempt that failed and is to be followed by one at `due_at`.
fn failed(entry: Entry, due_at: DateTime<Utc>) -> Entry {
    let attempt = attempt(&entry.stream.state, Some(FailureCode::Timeout));
    after(
        entry,
        Event::AttemptFailed {
            attempt,
            next_attempt_at: due_at,
        },
    )
}

/// The delivery after an attempt that the receiver took.
fn succeeded(entry: Entry) -> Entry {
    let attempt = attempt(&entry.stream.state, None);
    after(entry, Event::Succeeded { attempt })
}

/// The delivery after somebody asked for it by hand at `at`.
fn requested(entry: Entry, at: DateTime<Utc>) -> Entry {
    let trigger = Trigger::Redeliver;
    after(entry, Event::AttemptRequested { trigger, at })
}

/// The delivery after somebody called it off.
fn cancelled(entry: Entry) -> Entry {
    let reason = CancelReason::Requested;
    let event = match entry.stream.state.status() {
        Status::Pending => Event::Cancelled { reason },
        _ => Event::RequestWithdrawn { reason },
    };
    after(entry, event)
}

/// The terms of a webhook without order.
fn terms(mode: Mode, in_flight_max: usize, rate_limit: Option<u32>) -> Terms {
    Terms {
        mode,
        is_fifo: false,
        in_flight_max,
        rate_limit,
        version: 1,
    }
}

/// The same with order.
fn in_order(in_flight_max: usize) -> Terms {
    Terms {
        is_fifo: true,
        ..terms(Mode::All, in_flight_max, None)
    }
}

fn lane() -> Lane {
    Lane::new(terms(Mode::All, 1000, None), None)
}

/// Everything that the lane gives out at one moment.
fn drain(lane: &mut Lane, millis: i64) -> Vec<DeliveryId> {
    std::iter::from_fn(|| lane.next(at(millis)))
        .map(|next| next.id())
        .collect()
}

fn limit(load: &Load) -> usize {
    match load {
        Load::Due { limit, .. } => *limit as usize,
        other => panic!("{other:?}"),
    }
}

fn is_of_tests(load: &Load) -> bool {
    matches!(
        load,
        Load::Due {
            only_tests: true,
            ..
        }
    )
}

fn ids(entries: &[Entry]) -> Vec<DeliveryId> {
    entries.iter().map(|entry| entry.id).collect()
}

#[test]
fn given_nothing_there_is_nothing_to_do() {
    let mut lane = lane();
    assert!(lane.next(at(0)).is_none());
    assert_eq!(lane.start_load(0, at(0)), None);
    assert_eq!(lane.wake_at(at(0)), None);
    assert!(lane.is_idle(at(0)) && lane.is_empty() && !lane.has_next(at(0)));
}

#[test]
fn what_is_offered_is_given_out_in_the_order_of_the_offers() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    let entries = maker.many(5, 0);
    for entry in entries.clone() {
        lane.offer(entry, at(0));
    }
    assert!(lane.has_next(at(0)));
    assert_eq!(drain(&mut lane, 0), ids(&entries));
    assert!(!lane.is_idle(at(0)), "they are in flight");
}

#[test]
fn what_is_due_later_waits_and_comes_in_due_order() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    let (last, first, second) = (maker.due(300), maker.due(100), maker.due(200));
    for entry in [&last, &first, &second] {
        lane.offer(entry.clone(), at(0));
    }
    assert_eq!(drain(&mut lane, 99), []);
    assert_eq!(lane.wake_at(at(99)), Some(at(100)));
    assert_eq!(drain(&mut lane, 100), [first.id]);
    assert_eq!(lane.wake_at(at(100)), Some(at(200)));
    assert_eq!(drain(&mut lane, 400), [second.id, last.id]);
}

#[test]
fn what_failed_comes_again_when_it_is_due_and_not_before() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    lane.offer(maker.due(0), at(0));
    let Some(Next::Send(entry)) = lane.next(at(0)) else {
        panic!("the delivery is to be sent")
    };
    let id = entry.id;
    lane.done(id, Some(failed(entry, at(5000))), at(10));
    assert!(!lane.is_empty());
    assert_eq!(drain(&mut lane, 4999), []);
    assert_eq!(drain(&mut lane, 5000), [id]);
    lane.done(id, None, at(5001));
    assert!(lane.is_empty());
}

#[test]
fn no_more_are_in_flight_than_allowed() {
    let mut lane = Lane::new(terms(Mode::All, 2, None), None);
    let entries = Maker::default().many(3, 0);
    for entry in entries.clone() {
        lane.offer(entry, at(0));
    }
    assert_eq!(drain(&mut lane, 0), ids(&entries[..2]));
    assert!(!lane.has_next(at(0)));
    lane.done(entries[0].id, None, at(1));
    assert_eq!(drain(&mut lane, 1), [entries[2].id]);
}

#[test]
fn a_rate_limit_spreads_attempts_evenly() {
    let (mut lane, mut maker) = (
        Lane::new(terms(Mode::All, 1000, Some(10)), None),
        Maker::default(),
    );
    for entry in maker.many(30, 0) {
        lane.offer(entry, at(0));
    }
    assert_eq!(drain(&mut lane, 0).len(), 1);
    assert_eq!(drain(&mut lane, 79).len(), 0);
    assert_eq!(
        lane.wake_at(at(79)),
        Some(at(80)),
        "a tenth of a second less the slack of 20 ms"
    );
    let sent: usize = (80..2000)
        .map(|millis| drain(&mut lane, millis).len())
        .sum();
    assert!((19..=20).contains(&sent), "{sent} in 2 s");
}

#[test]
fn a_rate_limit_wakes_the_lane_for_what_became_due_meanwhile() {
    let (mut lane, mut maker) = (
        Lane::new(terms(Mode::All, 1000, Some(1)), None),
        Maker::default(),
    );
    let (first, second) = (maker.due(0), maker.due(100));
    lane.offer(first.clone(), at(0));
    lane.offer(second, at(0));
    assert_eq!(drain(&mut lane, 0), [first.id]);
    lane.done(first.id, None, at(200));
    assert!(!lane.has_next(at(200)));
    assert_eq!(
        lane.wake_at(at(200)),
        Some(at(980)),
        "nothing else would wake it"
    );
}

#[test]
fn a_change_that_leaves_the_rate_as_it_is_gives_nothing_away() {
    let limited = |rate| terms(Mode::All, 1000, Some(rate));
    let (mut lane, mut maker) = (Lane::new(limited(10), None), Maker::default());
    for entry in maker.many(30, 0) {
        lane.offer(entry, at(0));
    }
    assert_eq!(drain(&mut lane, 0).len(), 1);
    lane.configure(Terms {
        version: 2,
        ..limited(10)
    });
    assert_eq!(drain(&mut lane, 0).len(), 0);
    lane.configure(limited(20));
    assert_eq!(drain(&mut lane, 0).len(), 1, "another rate begins anew");
}

#[test]
fn a_lane_that_is_empty_still_knows_its_rate() {
    let (mut lane, mut maker) = (
        Lane::new(terms(Mode::All, 1000, Some(1)), None),
        Maker::default(),
    );
    let entry = maker.due(0);
    lane.offer(entry.clone(), at(0));
    assert_eq!(drain(&mut lane, 0), [entry.id]);
    lane.done(entry.id, None, at(1));
    // Whoever keeps the lane drops it when it is empty and wants to be woken no more.
    assert!(lane.is_empty());
    assert_eq!(lane.wake_at(at(1)), Some(at(1000)));
    assert_eq!(lane.wake_at(at(1000)), None);
}

#[test]
fn what_does_not_fit_into_the_window_is_loaded_when_it_has_emptied() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    let entries = maker.many(WINDOW + 10, 0);
    for entry in entries.clone() {
        lane.offer(entry, at(0));
    }
    assert_eq!(lane.window.sizes(), (0, WINDOW));
    assert_eq!(lane.start_load(0, at(0)), None, "the window is full");
    let given = drain(&mut lane, 0);
    assert_eq!(given, ids(&entries[..WINDOW]));
    let load = lane.start_load(0, at(0)).unwrap();
    assert!(
        limit(&load) >= 2 * WINDOW,
        "the view still holds what is in flight"
    );
    assert_eq!(lane.start_load(0, at(0)), None, "one is under way");
    lane.loaded(entries.clone(), &HashSet::new(), at(1));
    assert_eq!(drain(&mut lane, 1), ids(&entries[WINDOW..]));
    assert!(!lane.is_empty());
}

#[test]
fn a_full_load_means_that_there_is_more() {
    let (mut lane, mut maker) = (
        Lane::new(terms(Mode::All, 1000, None), Some(at(0))),
        Maker::default(),
    );
    let load = lane.start_load(0, at(0)).unwrap();
    let entries = maker.many(limit(&load), 0);
    lane.loaded(entries.clone(), &HashSet::new(), at(0));
    for id in drain(&mut lane, 0) {
        lane.done(id, None, at(1));
    }
    assert!(lane.start_load(0, at(1)).is_some());
}

#[test]
fn what_is_offered_behind_what_lies_in_the_view_waits_its_turn_there() {
    let (mut lane, mut maker) = (
        Lane::new(terms(Mode::All, 1000, None), Some(at(0))),
        Maker::default(),
    );
    let (older, newer) = (maker.due(0), maker.due(10));
    lane.offer(newer.clone(), at(10));
    assert_eq!(
        drain(&mut lane, 10),
        [],
        "something older is still to be loaded"
    );
    assert!(lane.start_load(0, at(10)).is_some());
    lane.loaded(vec![older.clone(), newer.clone()], &HashSet::new(), at(11));
    assert_eq!(drain(&mut lane, 11), [older.id, newer.id]);
}

#[test]
fn a_load_does_not_bring_back_what_is_held_in_flight_or_ended_since() {
    let (mut lane, mut maker) = (
        Lane::new(terms(Mode::All, 1000, None), Some(at(0))),
        Maker::default(),
    );
    let (ended, flying, held) = (maker.due(0), maker.due(0), maker.due(500));
    assert!(lane.start_load(0, at(0)).is_some());
    for entry in [&ended, &flying, &held] {
        lane.offer(entry.clone(), at(0));
    }
    assert_eq!(drain(&mut lane, 0), [ended.id, flying.id]);
    lane.done(ended.id, None, at(1));
    lane.loaded(vec![ended, flying, held.clone()], &HashSet::new(), at(2));
    assert_eq!(drain(&mut lane, 500), [held.id]);
}

#[test]
fn a_load_that_is_faster_than_the_offer_leaves_it_alone() {
    let (mut lane, mut maker) = (
        Lane::new(terms(Mode::All, 1000, None), Some(at(0))),
        Maker::default(),
    );
    let (fresh, lost) = (maker.due(0), maker.due(0));
    let accepting = HashSet::from([fresh.id, lost.id]);
    assert!(lane.start_load(0, at(0)).is_some());
    lane.loaded(vec![fresh.clone(), lost.clone()], &accepting, at(1));
    assert_eq!(drain(&mut lane, 1), []);
    lane.offer(fresh.clone(), at(2));
    assert_eq!(drain(&mut lane, 2), [fresh.id]);
    // Nobody knows whether it was accepted, so the view is asked.
    lane.doubt(at(3));
    assert!(lane.start_load(0, at(3)).is_some());
    lane.loaded(vec![fresh, lost.clone()], &HashSet::new(), at(4));
    assert_eq!(drain(&mut lane, 4), [lost.id]);
}

#[test]
fn a_load_that_failed_is_tried_again() {
    let mut lane = Lane::new(terms(Mode::All, 1000, None), Some(at(0)));
    assert!(lane.start_load(0, at(0)).is_some());
    lane.load_failed(at(1000));
    assert_eq!(lane.start_load(0, at(999)), None);
    assert_eq!(lane.wake_at(at(999)), Some(at(1000)));
    assert!(lane.start_load(0, at(1000)).is_some());
}

#[test]
fn an_inactive_webhook_gets_tests_only() {
    let (mut lane, mut maker) = (
        Lane::new(terms(Mode::TestsOnly, 1000, None), None),
        Maker::default(),
    );
    let (message, test) = (maker.due(0), maker.test(0));
    lane.offer(message.clone(), at(0));
    lane.offer(test.clone(), at(0));
    assert_eq!(drain(&mut lane, 0), [test.id]);
    lane.done(test.id, None, at(1));
    assert!(lane.is_empty());
    lane.configure(terms(Mode::All, 1000, None));
    let load = lane.start_load(0, at(2)).unwrap();
    assert!(!is_of_tests(&load));
    lane.loaded(vec![message.clone()], &HashSet::new(), at(3));
    assert_eq!(drain(&mut lane, 3), [message.id]);
}

#[test]
fn a_webhook_that_is_switched_off_stops_at_once_and_loads_its_tests() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    lane.offer(maker.due(0), at(0));
    lane.offer(maker.due(100), at(0));
    lane.configure(terms(Mode::TestsOnly, 1000, None));
    assert_eq!(drain(&mut lane, 200), []);
    assert!(is_of_tests(&lane.start_load(0, at(200)).unwrap()));
}

#[test]
fn a_deleted_webhook_has_everything_cancelled_also_what_is_due_later() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    let (flying, later) = (maker.due(0), maker.due(100_000));
    lane.offer(flying.clone(), at(0));
    lane.offer(later.clone(), at(0));
    assert_eq!(drain(&mut lane, 0), [flying.id]);
    lane.configure(terms(Mode::Cancel, 1000, Some(1)));
    assert!(lane.start_load(0, at(1)).is_some());
    lane.loaded(vec![flying.clone(), later.clone()], &HashSet::new(), at(2));
    let next = lane.next(at(2)).unwrap();
    assert!(
        matches!(&next, Next::Cancel(entry) if entry.id == later.id),
        "{next:?}"
    );
    lane.done(flying.id, Some(failed(flying.clone(), at(200_000))), at(3));
    let next = lane.next(at(3)).unwrap();
    assert!(
        matches!(&next, Next::Cancel(entry) if entry.id == flying.id),
        "{next:?}"
    );
}

#[test]
fn a_load_about_another_mode_is_done_again() {
    let (mut lane, mut maker) = (
        Lane::new(terms(Mode::TestsOnly, 1000, None), Some(at(0))),
        Maker::default(),
    );
    assert!(lane.start_load(0, at(0)).is_some());
    lane.configure(terms(Mode::All, 1000, None));
    lane.loaded(vec![maker.test(0)], &HashSet::new(), at(1));
    assert_eq!(drain(&mut lane, 1), []);
    assert_eq!(
        lane.start_load(0, at(1)).as_ref().map(is_of_tests),
        Some(false)
    );
}

#[test]
fn what_waits_does_not_keep_its_body() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    let bodies = crate::tenants::bodies::Bodies::default();
    for millis in [0, 100] {
        let mut entry = maker.due(millis);
        entry.body = bodies.keep(bytes::Bytes::from_static(b"{}"), 1);
        lane.offer(entry, at(0));
    }
    for expected in [true, false] {
        let Some(Next::Send(entry)) = lane.next(at(100)) else {
            panic!("both are due")
        };
        assert_eq!(entry.body.is_some(), expected);
    }
}

#[test]
fn a_lane_of_a_webhook_that_is_not_known_holds_everything() {
    let mut maker = Maker::default();
    for (mode, is_sent) in [(Mode::All, true), (Mode::Cancel, false)] {
        let mut lane = Lane::new(terms(Mode::Hold, 10, None), Some(at(0)));
        let entry = maker.due(0);
        lane.offer(entry.clone(), at(1));
        assert!(!lane.has_next(at(1)) && lane.next(at(1)).is_none());
        assert!(lane.start_load(0, at(1)).is_none());
        assert_eq!(lane.wake_at(at(1)), None);
        assert!(!lane.is_empty(), "it would be forgotten");
        lane.configure(terms(mode, 10, None));
        assert!(lane.start_load(0, at(1)).is_some());
        lane.loaded(vec![entry], &HashSet::new(), at(1));
        let next = lane.next(at(1)).unwrap();
        assert_eq!(matches!(next, Next::Send(_)), is_sent);
    }
}

#[test]
fn what_another_node_scheduled_is_taken_once() {
    let mut maker = Maker::default();
    let mut lane = Lane::new(terms(Mode::All, 10, None), None);
    let (held, sent, done, new) = (maker.due(0), maker.due(0), maker.due(0), maker.due(0));
    lane.offer(sent.clone(), at(1));
    assert_eq!(lane.next(at(1)).map(|next| next.id()), Some(sent.id));
    lane.offer(held.clone(), at(1));
    let touched = HashSet::from([done.id]);
    let found = vec![held.clone(), sent, done, new.clone()];
    lane.found(found, &touched, at(1));
    let next = || lane.next(at(1)).map(|next| next.id());
    let given: Vec<_> = std::iter::from_fn(next).collect();
    assert_eq!(given, [held.id, new.id]);
}
