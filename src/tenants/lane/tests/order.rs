//! What a lane promises whose webhook wants order.

use super::{view::Ledger, *};
use crate::tenants::lane::queues::QUEUE_MAX;

/// A lane with order and its ledger.
struct Ordered {
    lane: Lane,
    ledger: Ledger,
    maker: Maker,
}

impl Ordered {
    fn new(in_flight_max: usize) -> Self {
        Self {
            lane: Lane::new(in_order(in_flight_max), None),
            ledger: Ledger::default(),
            maker: Maker::default(),
        }
    }

    /// Something is accepted, though not offered.
    fn write(&mut self, key: &str) -> Entry {
        let entry = self.maker.keyed(key);
        self.ledger.write(&entry)
    }

    /// Something is accepted and offered.
    fn offer(&mut self, key: &str) -> Entry {
        let entry = self.write(key);
        self.lane.offer(entry.clone(), at(0));
        entry
    }

    /// Somebody changes a delivery and tells.
    fn change(&mut self, entry: Entry, millis: i64) {
        self.ledger.write(&entry);
        self.lane.changed(entry, at(millis));
    }

    /// What is sent once all that is wanted is loaded.
    fn drain(&mut self, millis: i64) -> Vec<DeliveryId> {
        self.ledger.serve(&mut self.lane, millis);
        drain(&mut self.lane, millis)
    }

    fn done(&mut self, entry: Entry, millis: i64) {
        self.ledger.write(&entry);
        let id = entry.id;
        let again = entry.due_at().map(|_| entry);
        self.lane.done(id, again, at(millis));
    }
}

#[test]
fn of_a_queue_one_at_a_time_is_sent_in_order_of_acceptance() {
    let mut all = Ordered::new(10);
    let entries: Vec<Entry> = (0..40).map(|_| all.offer("a")).collect();
    for entry in entries {
        assert_eq!(all.drain(0), [entry.id]);
        all.done(succeeded(entry), 1);
    }
    assert!(all.lane.is_empty() && all.lane.is_idle(at(1)));
}

#[test]
fn queues_do_not_wait_for_each_other() {
    let mut all = Ordered::new(10);
    let (first, other) = (all.offer("a"), all.offer("b"));
    all.offer("a");
    assert_eq!(all.drain(0), [first.id, other.id]);
}

#[test]
fn without_keys_all_of_the_webhook_is_one_queue() {
    let mut all = Ordered::new(10);
    let entries = all.maker.many(2, 0);
    for entry in &entries {
        all.ledger.write(entry);
        all.lane.offer(entry.clone(), at(0));
    }
    assert_eq!(all.drain(0), [entries[0].id]);
}

#[test]
fn one_that_failed_holds_back_its_queue_and_no_other() {
    let mut all = Ordered::new(10);
    let (failing, behind, other) = (all.offer("a"), all.offer("a"), all.offer("b"));
    assert_eq!(all.drain(0), [failing.id, other.id]);
    let again = failed(failing.clone(), at(5000));
    all.done(again.clone(), 1);
    all.done(succeeded(other), 1);
    let later = all.offer("b");
    assert_eq!(all.drain(4999), [later.id]);
    assert_eq!(all.lane.wake_at(at(4999)), Some(at(5000)));
    assert_eq!(all.drain(5000), [failing.id]);
    all.done(succeeded(again), 5001);
    assert_eq!(all.drain(5001), [behind.id]);
}

#[test]
fn what_ends_without_success_holds_back_nothing_any_more() {
    let mut all = Ordered::new(10);
    let (exhausted, behind) = (all.offer("a"), all.offer("a"));
    assert_eq!(all.drain(0), [exhausted.id]);
    let attempt = attempt(&exhausted.stream.state, Some(FailureCode::Timeout));
    all.done(after(exhausted, Event::Exhausted { attempt }), 1);
    assert_eq!(all.drain(1), [behind.id]);
}

#[test]
fn an_offer_is_sent_only_when_the_view_shows_it() {
    let mut all = Ordered::new(10);
    let entry = all.offer("a");
    assert!(!all.lane.has_next(at(0)), "nobody has asked the view");
    let load = all.lane.start_load(0, at(0)).unwrap();
    let keys = vec!["a".to_owned()];
    assert!(matches!(&load, Load::TheseQueues { keys: asked, .. } if *asked == keys));
    // This load was read before the next one was written.
    let found = all.ledger.find(&load);
    let next = all.offer("a");
    all.lane.loaded(found, &HashSet::new(), at(0));
    assert_eq!(drain(&mut all.lane, 0), [entry.id]);
    all.done(succeeded(entry), 1);
    assert_eq!(all.drain(1), [next.id]);
}

#[test]
fn what_another_node_accepted_earlier_goes_first() {
    let mut all = Ordered::new(10);
    let (earlier, later) = (all.write("a"), all.offer("a"));
    assert_eq!(all.drain(0), [earlier.id]);
    all.done(succeeded(earlier), 1);
    assert_eq!(all.drain(1), [later.id]);
}

#[test]
fn nothing_passes_what_is_being_accepted() {
    let mut all = Ordered::new(10);
    let (first, accepting, last) = (all.offer("a"), all.write("a"), all.offer("a"));
    let elsewhere = HashSet::from([accepting.id]);
    all.lane.start_load(0, at(0)).unwrap();
    let found = vec![first.clone(), accepting.clone(), last.clone()];
    all.lane.loaded(found, &elsewhere, at(0));
    assert_eq!(drain(&mut all.lane, 0), [first.id]);
    all.done(succeeded(first), 1);
    assert!(
        all.lane.start_load(0, at(1)).is_none(),
        "it waits to be told"
    );
    all.lane.offer(accepting.clone(), at(2));
    assert_eq!(all.drain(2), [accepting.id]);
    all.done(succeeded(accepting), 3);
    assert_eq!(all.drain(3), [last.id]);
}

#[test]
fn nothing_passes_what_began_under_another_lane() {
    let mut all = Ordered::new(10);
    let (flying, behind) = (all.write("a"), all.write("a"));
    all.lane.doubt(at(0));
    let load = all.lane.start_load(0, at(0)).unwrap();
    let elsewhere = HashSet::from([flying.id]);
    all.lane.loaded(all.ledger.find(&load), &elsewhere, at(0));
    assert_eq!(all.drain(0), []);
    all.done(succeeded(flying), 1);
    assert_eq!(all.drain(1), [behind.id]);
}

#[test]
fn what_is_asked_for_by_hand_waits_for_its_turn() {
    let mut all = Ordered::new(10);
    let (first, second) = (all.offer("a"), all.offer("a"));
    assert_eq!(all.drain(0), [first.id]);
    let again = failed(first.clone(), at(5000));
    all.done(again.clone(), 1);
    let second = requested(second, at(2));
    all.change(second.clone(), 2);
    assert_eq!(all.drain(2), [], "the first one of the queue is not due");
    let again = requested(again, at(3));
    all.change(again.clone(), 3);
    assert_eq!(all.drain(3), [first.id], "it was asked for");
    all.done(succeeded(again), 4);
    assert_eq!(all.drain(4), [second.id]);
}

#[test]
fn what_had_ended_and_is_asked_for_again_takes_its_old_place() {
    let mut all = Ordered::new(10);
    let ended = succeeded(all.write("a"));
    all.ledger.write(&ended);
    let (first, second) = (all.offer("a"), all.offer("a"));
    assert_eq!(all.drain(0), [first.id]);
    all.change(requested(ended.clone(), at(1)), 1);
    all.done(succeeded(first), 2);
    assert_eq!(all.drain(2), [ended.id]);
    all.done(succeeded(requested(ended, at(1))), 3);
    assert_eq!(all.drain(3), [second.id]);
}

#[test]
fn tests_go_past_the_queues() {
    let mut all = Ordered::new(10);
    let first = all.offer("a");
    assert_eq!(all.drain(0), [first.id]);
    let test = all.maker.test(0);
    all.ledger.write(&test);
    all.lane.offer(test.clone(), at(1));
    assert_eq!(drain(&mut all.lane, 1), [test.id]);
    all.done(succeeded(test), 2);
    // After a restart a load finds them.
    let test = all.maker.test(0);
    all.ledger.write(&test);
    all.lane = Lane::new(in_order(10), Some(at(3)));
    assert_eq!(all.drain(3), [first.id, test.id]);
}

#[test]
fn tests_and_queues_go_in_turn() {
    let mut all = Ordered::new(1);
    let queued: Vec<Entry> = ["a", "b"].map(|key| all.offer(key)).into();
    all.ledger.serve(&mut all.lane, 0);
    let tests = [all.maker.test(0), all.maker.test(0)];
    for test in &tests {
        all.lane.offer(all.ledger.write(test), at(0));
    }
    for entry in [&queued[0], &tests[0], &queued[1], &tests[1]] {
        assert_eq!(drain(&mut all.lane, 0), [entry.id]);
        all.done(succeeded(entry.clone()), 0);
    }
}

#[test]
fn tests_and_queues_are_loaded_in_turn() {
    let mut all = Ordered::new(10);
    for key in 0..3 * WINDOW {
        all.write(&format!("{key:03}"));
    }
    all.lane.doubt(at(0));
    let load = all.lane.start_load(0, at(0)).unwrap();
    assert!(matches!(load, Load::Queues { after: None, .. }));
    all.lane.loaded(Vec::new(), &HashSet::new(), at(0));
    all.offer("a");
    let load = all.lane.start_load(0, at(0)).unwrap();
    assert!(is_of_tests(&load), "{load:?}");
    all.lane.loaded(Vec::new(), &HashSet::new(), at(0));
    assert!(matches!(
        all.lane.start_load(0, at(0)),
        Some(Load::TheseQueues { .. })
    ));
}

#[test]
fn the_queues_go_in_turn() {
    let mut all = Ordered::new(1);
    let entries: Vec<Entry> = ["a", "a", "a", "b", "b", "c"]
        .map(|key| all.offer(key))
        .into();
    let mut sent = Vec::new();
    for _ in 0..entries.len() {
        let ids = all.drain(0);
        assert_eq!(ids.len(), 1, "one at a time");
        let entry = entries.iter().find(|entry| entry.id == ids[0]).unwrap();
        sent.push(entry.stream.state.queue().unwrap());
        all.done(succeeded(entry.clone()), 0);
    }
    assert_eq!(sent, ["a", "b", "c", "a", "b", "a"]);
}

#[test]
fn a_queue_that_waits_is_not_loaded_for_what_comes_behind() {
    let mut all = Ordered::new(10);
    let first = all.offer("a");
    assert_eq!(all.drain(0), [first.id]);
    all.done(failed(first.clone(), at(5000)), 1);
    all.offer("a");
    assert!(all.lane.start_load(0, at(2)).is_none());
    // But for what comes before: another node's.
    let mut others = Maker::default();
    let before = others.make(
        at(-1000),
        Scheduled {
            due_at: at(0),
            ordering_key: Some("a".to_owned()),
            ..Scheduled::default()
        },
    );
    assert!(before.id < first.id);
    all.ledger.write(&before);
    all.lane.found(vec![before.clone()], &HashSet::new(), at(3));
    assert_eq!(all.drain(3), [before.id]);
}

#[test]
fn after_a_restart_all_queues_are_found_page_by_page() {
    let mut all = Ordered::new(1000);
    let entries: Vec<Entry> = (0..300)
        .flat_map(|key| {
            [
                all.write(&format!("{key:03}")),
                all.write(&format!("{key:03}")),
            ]
        })
        .collect();
    all.lane = Lane::new(in_order(1000), Some(DateTime::UNIX_EPOCH));
    let mut sent = Vec::new();
    for millis in 0..20 {
        let given = all.drain(millis);
        for id in &given {
            let entry = entries.iter().find(|entry| entry.id == *id).unwrap();
            all.done(succeeded(entry.clone()), millis);
        }
        sent.extend(given);
    }
    sent.sort_unstable();
    assert_eq!(sent, ids(&entries));
    assert!(all.lane.is_empty());
}

#[test]
fn at_most_64_queues_are_asked_for_by_name_at_one_time() {
    let mut all = Ordered::new(1000);
    let entries: Vec<Entry> = (0..200)
        .map(|key| all.offer(&format!("{key:03}")))
        .collect();
    let Some(Load::TheseQueues { keys, .. }) = all.lane.start_load(0, at(0)) else {
        panic!("they are wanted");
    };
    assert_eq!(keys.len(), WINDOW / 2);
    all.lane.load_failed(at(1000));
    assert!(all.lane.start_load(0, at(999)).is_none());
    assert_eq!(all.lane.wake_at(at(999)), Some(at(1000)));
    let mut sent: Vec<DeliveryId> = (0..5).flat_map(|_| all.drain(1000)).collect();
    sent.sort_unstable();
    assert_eq!(sent, ids(&entries), "also those whose load had failed");
}

#[test]
fn a_queue_with_more_than_one_load_goes_on_without_a_gap() {
    let mut all = Ordered::new(10);
    let entries: Vec<Entry> = (0..3 * QUEUE_MAX).map(|_| all.write("a")).collect();
    all.lane.offer(entries[0].clone(), at(0));
    let mut loads = all.ledger.serve(&mut all.lane, 0);
    for entry in entries {
        assert_eq!(drain(&mut all.lane, 0), [entry.id], "it was loaded in time");
        // What comes next is loaded while this one is in flight.
        loads += all.ledger.serve(&mut all.lane, 0);
        assert!(all.lane.queues.sizes().longest <= QUEUE_MAX);
        all.done(succeeded(entry), 0);
    }
    assert!(loads < 8, "{loads} loads");
}

#[test]
fn a_cancelled_delivery_gives_way() {
    let mut all = Ordered::new(10);
    let (first, second, third) = (all.offer("a"), all.offer("a"), all.offer("a"));
    all.ledger.serve(&mut all.lane, 0);
    all.change(cancelled(first), 1);
    assert_eq!(all.drain(1), [second.id]);
    all.done(failed(second.clone(), at(5000)), 2);
    all.change(cancelled(failed(second, at(5000))), 3);
    assert_eq!(
        all.drain(3),
        [third.id],
        "nothing waits for its retry any more"
    );
}

#[test]
fn a_load_does_not_bring_back_what_was_cancelled_meanwhile() {
    let mut all = Ordered::new(10);
    let (first, second) = (all.offer("a"), all.offer("a"));
    let load = all.lane.start_load(0, at(0)).unwrap();
    let found = all.ledger.find(&load);
    all.change(cancelled(first), 1);
    all.lane.loaded(found, &HashSet::new(), at(2));
    assert_eq!(all.drain(2), [second.id]);
}

#[test]
fn a_load_does_not_bring_back_what_was_done_meanwhile() {
    let mut all = Ordered::new(10);
    let entries: Vec<Entry> = (0..4).map(|_| all.offer("a")).collect();
    assert_eq!(all.drain(0), [entries[0].id]);
    all.offer("a");
    let load = all.lane.start_load(0, at(0)).unwrap();
    let found = all.ledger.find(&load);
    for pair in entries.windows(2).take(2) {
        all.done(succeeded(pair[0].clone()), 1);
        assert_eq!(drain(&mut all.lane, 1), [pair[1].id]);
    }
    all.done(failed(entries[2].clone(), at(5000)), 1);
    all.lane.loaded(found, &HashSet::new(), at(2));
    assert_eq!(all.drain(2), []);
    assert_eq!(all.drain(5000), [entries[2].id]);
}

#[test]
fn where_order_is_new_a_queue_waits_for_all_that_is_in_flight() {
    let mut all = Ordered::new(10);
    all.lane.configure(terms(Mode::All, 10, None));
    let (first, second, third) = (all.write("a"), all.write("a"), all.write("a"));
    all.lane.doubt(at(0));
    all.ledger.serve(&mut all.lane, 0);
    all.lane.configure(terms(Mode::All, 2, None));
    assert_eq!(drain(&mut all.lane, 0), [first.id, second.id]);
    all.lane.configure(in_order(10));
    assert_eq!(all.drain(1), []);
    all.done(succeeded(second), 2);
    assert_eq!(all.drain(2), []);
    all.done(failed(first.clone(), at(5000)), 3);
    assert_eq!(all.drain(3), [], "the third waits for the first");
    assert_eq!(all.drain(5000), [first.id]);
    // And without order it waits no longer.
    all.lane.configure(terms(Mode::All, 10, None));
    assert_eq!(all.drain(5001), [third.id]);
}

#[test]
fn an_inactive_webhook_with_order_gets_tests_only() {
    let mut all = Ordered::new(10);
    let (first, test) = (all.offer("a"), all.maker.test(0));
    all.lane.configure(Terms {
        mode: Mode::TestsOnly,
        ..in_order(10)
    });
    all.ledger.write(&test);
    all.lane.offer(test.clone(), at(0));
    assert_eq!(all.drain(0), [test.id]);
    all.done(succeeded(test), 1);
    assert!(all.lane.is_empty());
    all.lane.configure(in_order(10));
    assert_eq!(all.drain(2), [first.id]);
}

#[test]
fn of_a_deleted_webhook_all_is_cancelled_whatever_the_order() {
    let mut all = Ordered::new(10);
    let entries: Vec<Entry> = (0..3).map(|_| all.offer("a")).collect();
    assert_eq!(all.drain(0), [entries[0].id]);
    all.lane.configure(Terms {
        mode: Mode::Cancel,
        ..in_order(10)
    });
    all.ledger.serve(&mut all.lane, 1);
    let cancels = std::iter::from_fn(|| all.lane.next(at(1)));
    assert_eq!(
        cancels
            .filter(|next| matches!(next, Next::Cancel(_)))
            .count(),
        2
    );
}

#[test]
fn a_sweep_finds_what_nobody_told() {
    let mut all = Ordered::new(10);
    let entries: Vec<Entry> = (0..3).map(|_| all.offer("a")).collect();
    assert_eq!(all.drain(0), [entries[0].id]);
    let untold = all.write("a");
    let other = all.write("b");
    all.lane.doubt(at(1));
    assert_eq!(all.drain(1), [other.id]);
    for entry in &entries {
        all.done(succeeded(entry.clone()), 2);
        let next = all.drain(2);
        assert_eq!(next.len(), 1);
    }
    assert!(all.lane.in_flight().any(|id| id == untold.id));
}
