//! Many deliveries and many queues, in simulated time: who gets how much, and when.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::tenants::lane::queues::{KEYS_MAX, QUEUE_MAX};

/// Something that takes time and ends.
enum Ending {
    Load(Vec<Entry>),
    Attempt(Entry),
    Wait,
}

/// A lane, its view and its receiver, and when what ends, in microseconds.
struct Simulation {
    lane: Lane,
    now: i64,
    view: BTreeMap<String, BTreeMap<DeliveryId, Entry>>,
    endings: BTreeMap<(i64, u64), Ending>,
    begun: u64,
    wake_at: Option<i64>,
    /// What was sent of which queue, and when.
    sent: Vec<(i64, String, DeliveryId)>,
    loaded: usize,
    load_takes: i64,
    attempt_takes: i64,
    /// Who wakes the lane comes late by so much, in turn.
    late_by: Vec<i64>,
}

fn at_micros(micros: i64) -> DateTime<Utc> {
    at(0) + chrono::Duration::microseconds(micros)
}

impl Simulation {
    fn new(terms: Terms) -> Self {
        Self {
            lane: Lane::new(terms, Some(DateTime::UNIX_EPOCH)),
            now: 0,
            view: BTreeMap::new(),
            endings: BTreeMap::new(),
            begun: 0,
            wake_at: None,
            sent: Vec::new(),
            loaded: 0,
            load_takes: 2000,
            attempt_takes: 5000,
            late_by: vec![0],
        }
    }

    fn write(&mut self, entry: Entry) {
        let key = entry.stream.state.queue().unwrap_or_default();
        let queue = self.view.entry(key.to_owned()).or_default();
        if entry.due_at().is_some() {
            queue.insert(entry.id, entry);
            return;
        }
        queue.remove(&entry.id);
        if queue.is_empty() {
            let key = key.to_owned();
            self.view.remove(&key);
        }
    }

    fn find(&self, load: &Load) -> Vec<Entry> {
        let first = |queue: &BTreeMap<DeliveryId, Entry>, each: u32| -> Vec<Entry> {
            queue.values().take(each as usize).cloned().collect()
        };
        match load {
            Load::Due {
                only_tests: true, ..
            } => Vec::new(),
            Load::Due { limit, .. } => {
                let mut due: Vec<Entry> = self
                    .view
                    .values()
                    .flat_map(|queue| queue.values().cloned())
                    .collect();
                due.sort_by_key(|entry| (entry.due_at(), entry.id));
                due.truncate(*limit as usize);
                due
            }
            Load::TheseQueues { keys, each } => {
                let queues = keys.iter().filter_map(|key| self.view.get(key));
                queues.flat_map(|queue| first(queue, *each)).collect()
            }
            Load::Queues {
                after,
                queues,
                each,
            } => {
                let is_behind = |key: &str| after.as_deref().is_none_or(|after| key > after);
                let behind = self.view.iter().filter(|(key, _)| is_behind(key));
                behind
                    .take(*queues as usize)
                    .flat_map(|(_, queue)| first(queue, *each))
                    .collect()
            }
        }
    }

    fn begin(&mut self, takes: i64, ending: Ending) {
        self.begun += 1;
        self.endings.insert((self.now + takes, self.begun), ending);
    }

    /// What the actor does after anything happened to a lane.
    fn look(&mut self) {
        let now = at_micros(self.now);
        if let Some(load) = self.lane.start_load(0, now) {
            let found = self.find(&load);
            self.loaded += found.len();
            self.begin(self.load_takes, Ending::Load(found));
        }
        while self.lane.has_next(now) {
            let Some(Next::Send(entry)) = self.lane.next(now) else {
                panic!("there was one");
            };
            let key = entry.stream.state.queue().unwrap_or_default().to_owned();
            self.sent.push((self.now, key, entry.id));
            self.begin(self.attempt_takes, Ending::Attempt(entry));
        }
        if let Some(wake_at) = self.lane.wake_at(now) {
            let wake_at = (wake_at - at(0)).num_microseconds().unwrap_or(i64::MAX) + 1;
            if self.wake_at.is_none_or(|known| wake_at < known) {
                let late_by = self.late_by[self.sent.len() % self.late_by.len()];
                self.wake_at = Some(wake_at);
                self.begin(wake_at - self.now + late_by, Ending::Wait);
            }
        }
        let sizes = self.lane.queues.sizes();
        assert!(
            sizes.held <= WINDOW + self.lane.terms.in_flight_max,
            "{sizes:?}"
        );
        assert!(sizes.longest <= QUEUE_MAX, "{sizes:?}");
        assert!(
            sizes.wanted <= KEYS_MAX && sizes.asleep <= KEYS_MAX,
            "{sizes:?}"
        );
    }

    /// Lets time pass until then or until nothing goes on; `retry_in` says what becomes of an attempt.
    fn run(&mut self, until: i64, mut retry_in: impl FnMut(&Entry) -> Option<i64>) {
        self.look();
        while let Some(first) = self
            .endings
            .first_entry()
            .filter(|first| first.key().0 <= until)
        {
            let ((now, _), ending) = first.remove_entry();
            self.now = now;
            let now = at_micros(now);
            match ending {
                Ending::Load(found) => self.lane.loaded(found, &HashSet::new(), now),
                Ending::Wait => self.wake_at = None,
                Ending::Attempt(entry) => {
                    let entry = match retry_in(&entry) {
                        Some(wait) => failed(entry, now + chrono::Duration::microseconds(wait)),
                        None => succeeded(entry),
                    };
                    self.write(entry.clone());
                    self.lane.done(entry.id, Some(entry), now);
                }
            }
            self.look();
        }
        self.now = until;
    }

    /// The fewest and the most attempts in any second from the first to the last attempt.
    fn extremes(&self) -> (usize, usize) {
        let starts: Vec<i64> = self.sent.iter().map(|(start, ..)| *start).collect();
        let before = |time: i64| starts.partition_point(|start| *start < time);
        let last = starts[starts.len() - 1] - 1_000_000;
        let windows = starts.iter().copied().filter(|start| *start < last);
        windows.fold((usize::MAX, 0), |(fewest, most), start| {
            let behind = before(start + 1_000_001) - before(start + 1);
            let from = before(start + 1_000_000) - before(start);
            (fewest.min(behind), most.max(from))
        })
    }
}

fn key(number: usize) -> String {
    format!("{number:05}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn queues_that_fail_never_starve_a_healthy_one(
        failing in 800usize..1500,
        waits in prop::collection::vec(500_000i64..20_000_000, 10),
        load_takes in 500i64..20_000,
        healthy in 0usize..2000,
    ) {
        let mut all = Simulation { load_takes, ..Simulation::new(in_order(64)) };
        let mut maker = Maker::default();
        let healthy = format!("{} and well", key(healthy));
        for number in 0..failing * 3 {
            all.write(maker.keyed(&key(number % failing)));
        }
        let mut attempts = 0;
        let mut retry_in = |entry: &Entry| {
            attempts += 1;
            let is_well = entry.stream.state.queue() == Some(healthy.as_str());
            (!is_well).then(|| waits[attempts % waits.len()])
        };
        all.run(5_000_000, &mut retry_in);
        for _ in 0..100 {
            let entry = maker.keyed(&healthy);
            let offered_at = all.now;
            all.write(entry.clone());
            all.lane.offer(entry.clone(), at_micros(offered_at));
            all.run(offered_at + 100_000, &mut retry_in);
            let sent = all.sent.iter().rev().find(|(_, _, id)| *id == entry.id);
            let waited = sent.map(|(sent_at, ..)| sent_at - offered_at);
            // The load that was under way, a sweep in between, its own, and the turns of others.
            let allowed = 3 * load_takes + 2 * all.attempt_takes;
            prop_assert!(waited.is_some_and(|waited| waited <= allowed), "{waited:?}, not {allowed}");
        }
    }

    #[test]
    fn of_5000_that_wait_a_hundred_a_second_are_sent(
        is_fifo in any::<bool>(),
        late_by in prop::collection::vec(0i64..=3000, 1..50),
        queues in 2usize..5000,
    ) {
        let terms = Terms { is_fifo, ..terms(Mode::All, 64, Some(100)) };
        let mut all = Simulation { late_by, ..Simulation::new(terms) };
        let mut maker = Maker::default();
        for number in 0..5000 {
            all.write(maker.keyed(&key(number % queues)));
        }
        all.run(10_000_000, |_| None);
        let (fewest, most) = all.extremes();
        prop_assert!(fewest >= 95 && most <= 105, "{fewest} to {most} in a second");
    }
}

#[test]
fn more_queues_than_are_remembered_are_all_sent_though_they_fail_at_first() {
    let queues = 3 * KEYS_MAX;
    let (mut all, mut maker) = (Simulation::new(in_order(64)), Maker::default());
    for number in 0..2 * queues {
        all.write(maker.keyed(&key(number % queues)));
    }
    let mut random = 0;
    all.run(120_000_000, |entry| {
        random = (random + 7919) % 2_000_000;
        (entry.stream.state.attempts() < 2).then_some(4_000_000 + random)
    });
    assert!(all.view.is_empty(), "{} queues are left", all.view.len());
    assert_eq!(all.sent.len(), 2 * queues * 3);
    assert!(all.lane.is_empty() && all.endings.is_empty());
    // What is read for each attempt has a bound, too.
    assert!(
        all.loaded < 40 * all.sent.len(),
        "{} for {}",
        all.loaded,
        all.sent.len()
    );
}

#[test]
fn every_queue_has_its_turn_before_others_have_many() {
    let queues = 500;
    let (mut all, mut maker) = (Simulation::new(in_order(8)), Maker::default());
    for number in 0..queues * 100 {
        all.write(maker.keyed(&key(number % queues)));
    }
    // All are told of, too: not only a sweep finds them.
    for entry in all
        .view
        .values()
        .filter_map(|queue| queue.values().next().cloned())
        .collect::<Vec<_>>()
    {
        all.lane.offer(entry, at(0));
    }
    let mut counts = BTreeMap::new();
    while counts.len() < queues {
        all.run(all.now + 100_000, |_| None);
        counts.clear();
        for (_, key, _) in &all.sent {
            *counts.entry(key.clone()).or_insert(0) += 1;
        }
        let most = counts.values().max().copied().unwrap_or_default();
        assert!(
            most <= 3 * QUEUE_MAX,
            "{most} of one, none of {}",
            queues - counts.len()
        );
    }
}
