//! What a lane does whose receiver cannot be reached.

use hookledger_domain::circuit::{FAILURES_TO_OPEN, OVERDUE_IN_FLIGHT_MAX, State};

use super::{view::Ledger, *};

const TIMEOUT: Option<FailureCode> = Some(FailureCode::Timeout);

/// Nobody answers, often enough.
fn open(lane: &mut Lane, millis: i64) {
    for _ in 0..FAILURES_TO_OPEN {
        lane.note(TIMEOUT, at(millis));
    }
    assert_eq!(lane.circuit_state(at(millis)), State::Open);
}

#[test]
fn nothing_is_sent_before_a_probe_is_due_and_then_one_at_a_time() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    let entries = maker.many(3, 0);
    for entry in entries.clone() {
        lane.offer(entry, at(0));
    }
    open(&mut lane, 0);
    assert!(!lane.has_next(at(999)) && lane.next(at(999)).is_none());
    assert_eq!(lane.wake_at(at(0)), Some(at(1000)));
    assert!(lane.has_next(at(1000)));
    assert_eq!(drain(&mut lane, 1000), [entries[0].id], "one tries");
    assert!(!lane.has_next(at(1000)));
    lane.note(TIMEOUT, at(1100));
    lane.done(
        entries[0].id,
        Some(failed(entries[0].clone(), at(60_000))),
        at(1100),
    );
    assert_eq!(lane.wake_at(at(1100)), Some(at(3100)), "it waits longer");
    assert_eq!(drain(&mut lane, 3100), [entries[1].id]);
    lane.note(None, at(3200));
    lane.done(entries[1].id, None, at(3200));
    assert_eq!(lane.circuit_state(at(3200)), State::Closed);
    assert_eq!(drain(&mut lane, 3200), [entries[2].id]);
}

#[test]
fn what_has_been_put_off_for_long_goes_a_few_at_a_time() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    let entries = maker.many(10, 0);
    for entry in entries.clone() {
        lane.offer(entry, at(0));
    }
    for failure in 0..20 {
        lane.note(TIMEOUT, at(failure));
    }
    assert_eq!(drain(&mut lane, 4999), []);
    assert_eq!(lane.wake_at(at(4999)), Some(at(5000)));
    let sent = drain(&mut lane, 5000);
    assert_eq!(sent.len(), OVERDUE_IN_FLIGHT_MAX);
    assert!(!lane.has_next(at(6000)));
    lane.note(TIMEOUT, at(6000));
    lane.done(sent[0], None, at(6000));
    assert_eq!(lane.circuit_state(at(6000)), State::Open);
    assert_eq!(drain(&mut lane, 6000).len(), 1);
}

#[test]
fn what_was_in_flight_before_is_waited_for_before_one_tries() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    for entry in maker.many(3, 0) {
        lane.offer(entry, at(0));
    }
    let flying = lane.next(at(0)).unwrap().id();
    open(&mut lane, 0);
    assert_eq!(drain(&mut lane, 1000), []);
    lane.done(flying, None, at(2000));
    assert_eq!(drain(&mut lane, 2000).len(), 1);
}

#[test]
fn tests_and_what_is_asked_for_by_hand_go_at_once() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    let (waiting, ended, test) = (maker.due(0), succeeded(maker.due(0)), maker.test(0));
    lane.offer(waiting, at(0));
    open(&mut lane, 0);
    assert_eq!(drain(&mut lane, 1), []);
    lane.offer(test.clone(), at(1));
    lane.changed(requested(ended.clone(), at(1)), at(1));
    assert!(lane.has_next(at(1)));
    let mut sent = drain(&mut lane, 1);
    sent.sort_unstable();
    assert_eq!(sent, [ended.id, test.id]);
}

#[test]
fn what_is_asked_for_by_hand_goes_also_past_a_full_window() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    for entry in maker.many(WINDOW + 50, 0) {
        lane.offer(entry, at(0));
    }
    open(&mut lane, 0);
    let asked = requested(succeeded(maker.due(0)), at(1));
    lane.changed(asked.clone(), at(1));
    assert_eq!(drain(&mut lane, 1), [asked.id]);
}

#[test]
fn in_order_only_the_first_of_a_queue_can_be_asked_for() {
    let (mut lane, mut maker) = (Lane::new(in_order(10), None), Maker::default());
    let mut ledger = Ledger::default();
    let [first, second, other] = ["a", "a", "b"].map(|key| maker.keyed(key));
    for entry in [&first, &second, &other] {
        lane.offer(ledger.write(entry), at(0));
    }
    open(&mut lane, 0);
    ledger.serve(&mut lane, 0);
    let second = requested(second, at(1));
    lane.changed(ledger.write(&second), at(1));
    ledger.serve(&mut lane, 1);
    assert_eq!(drain(&mut lane, 1), []);
    let first = requested(first, at(2));
    lane.changed(ledger.write(&first), at(2));
    ledger.serve(&mut lane, 2);
    assert_eq!(drain(&mut lane, 2), [first.id]);
    let first = succeeded(first);
    lane.done(ledger.write(&first).id, None, at(3));
    ledger.serve(&mut lane, 3);
    assert_eq!(drain(&mut lane, 3), [second.id], "now it is the first");
}

#[test]
fn in_order_what_is_asked_for_goes_also_past_full_queues() {
    let (mut lane, mut maker) = (Lane::new(in_order(10), None), Maker::default());
    let mut ledger = Ledger::default();
    for key in 0..2 * WINDOW {
        let entry = maker.keyed(&format!("{key:03}"));
        lane.offer(ledger.write(&entry), at(0));
    }
    open(&mut lane, 0);
    ledger.serve(&mut lane, 0);
    let mut asked = Vec::new();
    for key in 0..WINDOW {
        let entry = requested(succeeded(maker.keyed(&format!("asked {key}"))), at(1));
        lane.changed(ledger.write(&entry), at(1));
        asked.push(entry);
    }
    let mut sent = Vec::new();
    for millis in 1..100 {
        ledger.serve(&mut lane, millis);
        assert!(lane.queues.sizes().held <= WINDOW + 10);
        for id in drain(&mut lane, millis) {
            let entry = succeeded(ledger.0[&id].clone());
            lane.done(ledger.write(&entry).id, None, at(millis));
            sent.push(id);
        }
    }
    sent.sort_unstable();
    assert_eq!(sent, ids(&asked));
}

#[test]
fn another_version_of_the_webhook_is_tried_at_once() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    let entry = maker.due(0);
    lane.offer(entry.clone(), at(0));
    open(&mut lane, 0);
    lane.configure(terms(Mode::All, 10, None));
    assert_eq!(drain(&mut lane, 1), [], "the same version");
    lane.configure(Terms {
        version: 2,
        ..terms(Mode::All, 10, None)
    });
    assert_eq!(drain(&mut lane, 1), [entry.id]);
}

#[test]
fn what_is_to_be_cancelled_does_not_wait_for_the_receiver_or_the_pace() {
    let mut lane = Lane::new(terms(Mode::Cancel, 10, Some(1)), None);
    for entry in Maker::default().many(3, 0) {
        lane.offer(entry, at(0));
    }
    open(&mut lane, 0);
    assert!(lane.has_next(at(0)));
    let sent = drain(&mut lane, 0);
    assert_eq!(sent.len(), 3);
    for id in sent {
        lane.done(id, None, at(1));
    }
    assert!(lane.is_empty() && lane.wake_at(at(1)).is_none());
}

#[test]
fn a_lane_remembers_that_its_receiver_could_not_be_reached() {
    let mut lane = lane();
    assert!(lane.is_empty());
    lane.note(TIMEOUT, at(0));
    assert!(!lane.is_empty(), "the next failures count on");
    open(&mut lane, 0);
    assert!(!lane.is_empty() && lane.is_idle(at(1)));
    assert_eq!(lane.wake_at(at(1)), None, "there is nothing to send");
    lane.note(Some(FailureCode::HttpStatus), at(2));
    assert!(lane.is_empty(), "it answered");
}
