//! What a lane makes of deliveries that somebody else has changed.

use super::{view::Ledger, *};

#[test]
fn what_waits_for_its_retry_and_is_asked_for_goes_at_once() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    let entry = maker.due(5000);
    lane.offer(entry.clone(), at(0));
    lane.changed(requested(entry.clone(), at(10)), at(10));
    let Some(Next::Send(given)) = lane.next(at(10)) else {
        panic!("it was asked for");
    };
    assert_eq!(given.stream.sequence, 2);
    assert!(lane.next(at(5000)).is_none(), "it was held twice");
}

#[test]
fn what_is_cancelled_is_not_sent_any_more() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    let (due, later) = (maker.due(0), maker.due(5000));
    for entry in [&due, &later] {
        lane.offer(entry.clone(), at(0));
        lane.changed(cancelled(entry.clone()), at(0));
    }
    assert_eq!(drain(&mut lane, 6000), []);
    assert!(lane.is_empty());
}

#[test]
fn what_had_ended_and_is_asked_for_is_taken_like_an_offer() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    let ended = succeeded(maker.due(0));
    lane.changed(requested(ended.clone(), at(10)), at(10));
    assert_eq!(drain(&mut lane, 10), [ended.id]);
}

#[test]
fn older_news_than_what_is_held_changes_nothing() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    let entry = maker.due(0);
    let newer = failed(entry.clone(), at(5000));
    lane.offer(newer.clone(), at(1));
    lane.changed(entry.clone(), at(1));
    lane.found(vec![entry.clone()], &HashSet::new(), at(1));
    lane.doubt(at(1));
    assert!(lane.start_load(0, at(1)).is_some());
    lane.loaded(vec![entry], &HashSet::new(), at(1));
    assert_eq!(drain(&mut lane, 4999), []);
    assert_eq!(drain(&mut lane, 5000), [newer.id]);
}

#[test]
fn a_load_that_knows_better_than_what_is_held_replaces_it() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    let entry = maker.due(5000);
    lane.offer(entry.clone(), at(0));
    lane.doubt(at(1));
    assert!(lane.start_load(0, at(1)).is_some());
    lane.loaded(
        vec![requested(entry.clone(), at(1))],
        &HashSet::new(),
        at(2),
    );
    assert_eq!(drain(&mut lane, 2), [entry.id]);
    assert_eq!(drain(&mut lane, 5000), []);
}

#[test]
fn what_changes_in_flight_is_read_again_when_it_is_done() {
    for is_fifo in [false, true] {
        let (mut maker, mut ledger) = (Maker::default(), Ledger::default());
        let mut lane = Lane::new(
            Terms {
                is_fifo,
                ..terms(Mode::All, 10, None)
            },
            None,
        );
        let entry = maker.due(0);
        lane.offer(ledger.write(&entry), at(0));
        ledger.serve(&mut lane, 0);
        assert_eq!(drain(&mut lane, 0), [entry.id]);
        let asked = requested(entry.clone(), at(1));
        lane.changed(asked.clone(), at(1));
        // What comes of the attempt does not show what was asked for meanwhile.
        ledger.write(&requested(succeeded(entry.clone()), at(1)));
        lane.done(entry.id, None, at(2));
        ledger.serve(&mut lane, 2);
        assert_eq!(drain(&mut lane, 2), [entry.id], "in order: {is_fifo}");
    }
}

#[test]
fn what_is_cancelled_in_flight_does_not_come_again() {
    for is_fifo in [false, true] {
        let (mut maker, mut ledger) = (Maker::default(), Ledger::default());
        let mut lane = Lane::new(
            Terms {
                is_fifo,
                ..terms(Mode::All, 10, None)
            },
            None,
        );
        let entry = maker.due(0);
        lane.offer(ledger.write(&entry), at(0));
        ledger.serve(&mut lane, 0);
        assert_eq!(drain(&mut lane, 0), [entry.id]);
        let cancelled = cancelled(failed(entry.clone(), at(10)));
        lane.changed(ledger.write(&cancelled), at(1));
        lane.done(entry.id, Some(failed(entry, at(10))), at(2));
        for millis in [2, 10, 5000] {
            ledger.serve(&mut lane, millis);
            assert_eq!(drain(&mut lane, millis), []);
        }
        assert!(lane.is_empty());
    }
}

#[test]
fn a_load_does_not_bring_back_what_was_cancelled_meanwhile() {
    let mut lane = Lane::new(terms(Mode::All, 10, None), Some(at(0)));
    let entry = Maker::default().due(0);
    assert!(lane.start_load(0, at(0)).is_some());
    lane.changed(cancelled(entry.clone()), at(1));
    lane.loaded(vec![entry], &HashSet::new(), at(2));
    assert_eq!(drain(&mut lane, 2), []);
}

#[test]
fn what_the_ledger_knows_to_have_ended_is_not_sent_though_the_view_showed_it() {
    let mut lane = Lane::new(terms(Mode::All, 10, None), Some(at(0)));
    let entry = Maker::default().due(0);
    assert!(lane.start_load(0, at(0)).is_some());
    lane.loaded(vec![cancelled(entry)], &HashSet::new(), at(1));
    assert_eq!(drain(&mut lane, 1), []);
}

#[test]
fn what_a_load_shows_beyond_what_is_done_is_read_once_more() {
    let mut lane = Lane::new(terms(Mode::All, 10, None), Some(at(0)));
    let mut ledger = Ledger::default();
    let entry = Maker::default().due(0);
    ledger.write(&entry);
    ledger.serve(&mut lane, 0);
    assert_eq!(drain(&mut lane, 0), [entry.id]);
    // It is recorded, and asked for again, before the lane hears of either.
    let asked = requested(succeeded(entry.clone()), at(1));
    ledger.write(&asked);
    lane.doubt(at(1));
    ledger.serve(&mut lane, 1);
    lane.done(entry.id, None, at(2));
    ledger.serve(&mut lane, 2);
    assert_eq!(drain(&mut lane, 2), [entry.id]);
}

#[test]
fn a_full_load_is_judged_by_what_the_view_knew() {
    let mut lane = Lane::new(terms(Mode::All, 1000, None), Some(at(0)));
    let mut maker = Maker::default();
    let load = lane.start_load(0, at(0)).unwrap();
    let mut entries = maker.many(limit(&load), 0);
    lane.loaded(entries.clone(), &HashSet::new(), at(0));
    drain(&mut lane, 0);
    let load = lane.start_load(0, at(1)).unwrap();
    entries.extend(maker.many(limit(&load) - entries.len(), 0));
    // What is the last one in the view is in flight, and its retry is recorded meanwhile.
    let flying = entries.remove(0);
    entries.push(failed(flying, at(60_000)));
    lane.loaded(entries, &HashSet::new(), at(2));
    drain(&mut lane, 2);
    assert!(
        lane.start_load(0, at(3)).is_some(),
        "what follows is due now"
    );
}

#[test]
fn what_began_under_another_lane_is_not_sent_again_by_a_load_that_read_it_before() {
    let mut lane = Lane::new(terms(Mode::All, 10, None), Some(at(0)));
    let mut ledger = Ledger::default();
    let entry = Maker::default().due(0);
    ledger.write(&entry);
    let load = lane.start_load(0, at(0)).unwrap();
    let found = ledger.find(&load);
    let again = failed(entry, at(5000));
    lane.done(again.id, Some(ledger.write(&again)), at(1));
    lane.loaded(found, &HashSet::new(), at(2));
    assert_eq!(drain(&mut lane, 2), []);
    ledger.serve(&mut lane, 5000);
    assert_eq!(drain(&mut lane, 5000), [again.id]);
}

#[test]
fn by_hand_and_other_deliveries_go_in_turn() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    let waiting = maker.many(3, 0);
    let asked: Vec<Entry> = maker.many(3, 0).into_iter().map(succeeded).collect();
    for entry in waiting.clone() {
        lane.offer(entry, at(0));
    }
    for entry in asked.clone() {
        lane.changed(requested(entry, at(1)), at(1));
    }
    let expected = [
        &asked[0],
        &waiting[0],
        &asked[1],
        &waiting[1],
        &asked[2],
        &waiting[2],
    ];
    assert_eq!(drain(&mut lane, 1), expected.map(|entry| entry.id));
}

#[test]
fn what_waits_for_later_does_not_hold_up_what_is_due() {
    let (mut lane, mut maker) = (lane(), Maker::default());
    let mut ledger = Ledger::default();
    for entry in maker.many(WINDOW, 60_000) {
        lane.offer(ledger.write(&entry), at(0));
    }
    // As many are asked for as do not fit besides.
    for entry in maker.many(3 * WINDOW, 0) {
        let asked = requested(succeeded(entry), at(1));
        lane.changed(ledger.write(&asked), at(1));
    }
    let mut sent = 0;
    for millis in 1..20 {
        ledger.serve(&mut lane, millis);
        for id in drain(&mut lane, millis) {
            let done = succeeded(ledger.0[&id].clone());
            lane.done(ledger.write(&done).id, None, at(millis));
            sent += 1;
        }
    }
    assert_eq!(sent, 3 * WINDOW);
    ledger.serve(&mut lane, 60_000);
    assert_eq!(drain(&mut lane, 60_000).len(), WINDOW);
}
