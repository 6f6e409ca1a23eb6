//! A lane between a view and receivers, driven by any sequence of events the way the tenant's
//! actor drives it. The view is a map; what it says is what must happen.

use proptest::prelude::*;

use super::*;

/// What may happen around a lane. Things that take time (a load, an attempt) begin and end as
/// events of their own, so that anything may happen in between.
#[derive(Debug, Clone)]
enum Step {
    /// Messages come in.
    Accept {
        count: usize,
        due_in: i64,
        is_test: bool,
    },
    /// What came in is written.
    Commit,
    /// What was written is offered, or the answer of the write was lost.
    Offer { is_lost: bool },
    /// What came in could not be written.
    Refuse,
    /// There is room for so many more attempts.
    Pump { room: usize },
    /// It is recorded that an attempt has succeeded, or has failed and is to be made again, or that
    /// the delivery is cancelled.
    Record { which: usize, retry_in: Option<i64> },
    /// The lane hears of one that was recorded.
    Done,
    /// The view is read for the load under way.
    ReadView,
    /// The load under way ends.
    EndLoad { is_ok: bool },
    /// Time passes.
    Pass { millis: i64 },
    /// The webhook is changed.
    Configure {
        mode: Mode,
        in_flight_max: usize,
        rate_limit: Option<u32>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let mode = prop_oneof![4 => Just(Mode::All), 2 => Just(Mode::TestsOnly), 1 => Just(Mode::Cancel), 1 => Just(Mode::Hold)];
    prop_oneof![
        4 => (1usize..4, prop_oneof![3 => Just(0), 1 => 0i64..3000], prop::bool::weighted(0.2))
            .prop_map(|(count, due_in, is_test)| Step::Accept { count, due_in, is_test }),
        1 => (60usize..200).prop_map(|count| Step::Accept { count, due_in: 0, is_test: false }),
        6 => (1usize..80).prop_map(|room| Step::Pump { room }),
        8 => (any::<usize>(), prop::option::weighted(0.4, 0i64..5000))
            .prop_map(|(which, retry_in)| Step::Record { which, retry_in }),
        8 => Just(Step::Done),
        6 => Just(Step::Commit),
        8 => prop::bool::weighted(0.1).prop_map(|is_lost| Step::Offer { is_lost }),
        1 => Just(Step::Refuse),
        3 => Just(Step::ReadView),
        3 => prop::bool::weighted(0.8).prop_map(|is_ok| Step::EndLoad { is_ok }),
        4 => (0i64..2000).prop_map(|millis| Step::Pass { millis }),
        1 => (mode, 1usize..100, prop::option::weighted(0.4, 1u32..200))
            .prop_map(|(mode, in_flight_max, rate_limit)| Step::Configure { mode, in_flight_max, rate_limit }),
    ]
}

struct World {
    now: DateTime<Utc>,
    lane: Lane,
    maker: Maker,
    /// What came in and is not offered.
    accepting: HashSet<DeliveryId>,
    /// What came in and is not written.
    incoming: Vec<Entry>,
    /// What was written and is not offered.
    written: Vec<Entry>,
    /// What is pending, as the view says.
    view: BTreeMap<DeliveryId, Entry>,
    flying: Vec<Entry>,
    /// Attempts that were recorded, of which the lane has not heard.
    recorded: Vec<(DeliveryId, Option<Entry>)>,
    /// The load under way, and what the view said when it was read.
    load: Option<(Load, Option<Vec<Entry>>)>,
    /// When a load that failed is tried again.
    load_again_at: DateTime<Utc>,
    is_runnable: bool,
    wake_at: Option<DateTime<Utc>>,
    mode: Mode,
    in_flight_max: usize,
    rate_limit: Option<u32>,
    /// When attempts started since the rate was last changed.
    starts: Vec<DateTime<Utc>>,
}

impl World {
    fn new() -> Self {
        Self {
            now: at(0),
            lane: Lane::new(Mode::All, 8, None, None),
            maker: Maker::default(),
            accepting: HashSet::new(),
            incoming: Vec::new(),
            written: Vec::new(),
            view: BTreeMap::new(),
            flying: Vec::new(),
            recorded: Vec::new(),
            load: None,
            load_again_at: at(0),
            is_runnable: false,
            wake_at: None,
            mode: Mode::All,
            in_flight_max: 8,
            rate_limit: None,
            starts: Vec::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Accept {
                count,
                due_in,
                is_test,
            } => self.accept(count, due_in, is_test),
            Step::Pump { room } => self.pump(room),
            Step::Commit => self.commit(),
            Step::Offer { is_lost } => self.offer(is_lost),
            Step::Refuse => self.refuse(),
            Step::Record { which, retry_in } => self.record(which, retry_in),
            Step::Done => self.done(),
            Step::ReadView => self.read_view(),
            Step::EndLoad { is_ok } => self.end_load(is_ok),
            Step::Pass { millis } => self.pass(chrono::Duration::milliseconds(millis)),
            Step::Configure {
                mode,
                in_flight_max,
                rate_limit,
            } => self.configure(mode, in_flight_max, rate_limit),
        }
        assert!(
            self.lane.held() <= WINDOW,
            "the window holds {}",
            self.lane.held()
        );
    }

    fn accept(&mut self, count: usize, due_in: i64, is_test: bool) {
        let due_at = self.now + chrono::Duration::milliseconds(due_in);
        let trigger = if is_test {
            Trigger::Test
        } else {
            Trigger::Publish
        };
        for _ in 0..count {
            let entry = self.maker.make(due_at, trigger);
            self.accepting.insert(entry.id);
            self.incoming.push(entry);
        }
    }

    fn commit(&mut self) {
        for entry in self.incoming.drain(..) {
            self.view.insert(entry.id, entry.clone());
            self.written.push(entry);
        }
    }

    fn offer(&mut self, is_lost: bool) {
        for entry in self.written.drain(..) {
            self.accepting.remove(&entry.id);
            if is_lost {
                self.lane.doubt(self.now);
            } else {
                self.lane.offer(entry, self.now);
            }
        }
        self.look();
    }

    fn refuse(&mut self) {
        for entry in self.incoming.drain(..) {
            self.accepting.remove(&entry.id);
            self.lane.doubt(self.now);
        }
        self.look();
    }

    /// What the actor does after anything happened to a lane.
    fn look(&mut self) {
        if let Some(load) = self.lane.start_load(self.now) {
            assert!(self.load.is_none(), "two loads at one time");
            self.load = Some((load, None));
        }
        self.is_runnable |= self.lane.has_next(self.now);
        self.wake_at = self
            .lane
            .wake_at(self.now)
            .filter(|wake_at| *wake_at > self.now);
        if self.wake_at.is_none() && self.lane.is_idle() && self.lane.is_empty() {
            // It is dropped, and a new one made when there is something for it.
            self.lane = Lane::new(self.mode, self.in_flight_max, self.rate_limit, None);
        }
    }

    fn pump(&mut self, room: usize) {
        for _ in 0..room {
            if !self.is_runnable || !self.lane.has_next(self.now) {
                self.is_runnable = false;
                return;
            }
            let next = self.lane.next(self.now);
            self.check(next.expect("it said that there is one"));
        }
    }

    /// Whether it was right to give this out now.
    fn check(&mut self, next: Next) {
        let id = next.id();
        let (entry, is_cancel) = match next {
            Next::Send(entry) => (entry, false),
            Next::Cancel(entry) => (entry, true),
        };
        let in_view = self.view.get(&id);
        assert!(in_view.is_some(), "{id} has ended");
        assert_eq!(
            in_view.map(|known| &known.stream),
            Some(&entry.stream),
            "{id} is old news"
        );
        assert!(
            self.flying.iter().all(|flying| flying.id != id),
            "{id} is in flight already"
        );
        assert!(
            self.flying.len() + self.recorded.len() < self.in_flight_max,
            "too many in flight"
        );
        assert_eq!(is_cancel, self.mode == Mode::Cancel);
        assert!(is_cancel || entry.due_at() <= self.now, "{id} is not due");
        assert!(
            self.mode != Mode::TestsOnly || entry.stream.state.is_test(),
            "{id} is no test"
        );
        if !is_cancel {
            self.starts.push(self.now);
            self.check_rate();
        }
        self.flying.push(entry);
    }

    /// In no second more than the rate, and what the slack of 20 ms allows at its start.
    fn check_rate(&self) {
        let Some(rate) = self.rate_limit else { return };
        let since = self.now - chrono::Duration::seconds(1);
        let recent = self.starts.iter().filter(|start| **start > since).count();
        let allowed = rate as usize + (rate as usize * 20).div_ceil(1000) + 1;
        assert!(
            recent <= allowed,
            "{recent} attempts in a second at {rate} per second"
        );
    }

    fn record(&mut self, which: usize, retry_in: Option<i64>) {
        if self.flying.is_empty() {
            return;
        }
        let entry = self.flying.swap_remove(which % self.flying.len());
        let id = entry.id;
        let again = retry_in
            .filter(|_| !entry.stream.state.is_test())
            .map(|millis| failed(entry, self.now + chrono::Duration::milliseconds(millis)));
        match &again {
            Some(entry) => drop(self.view.insert(id, entry.clone())),
            None => drop(self.view.remove(&id)),
        }
        self.recorded.push((id, again));
    }

    fn done(&mut self) {
        if let Some((id, again)) = self.recorded.pop() {
            self.lane.done(id, again, self.now);
        }
        self.look();
    }

    fn read_view(&mut self) {
        let Some((load, found @ None)) = &mut self.load else {
            return;
        };
        let mut due: Vec<Entry> = self.view.values().cloned().collect();
        due.retain(|entry| !load.only_tests || entry.stream.state.is_test());
        due.sort_by_key(|entry| (entry.due_at(), entry.id));
        due.truncate(load.limit as usize);
        *found = Some(due);
    }

    fn end_load(&mut self, is_ok: bool) {
        self.read_view();
        let Some((load, found)) = self.load.take() else {
            return;
        };
        match found.filter(|_| is_ok) {
            Some(entries) => self.lane.loaded(load, entries, &self.accepting, self.now),
            None => {
                self.load_again_at = self.now + chrono::Duration::seconds(1);
                self.lane.load_failed(self.load_again_at);
            }
        }
        self.look();
    }

    fn pass(&mut self, time: chrono::Duration) {
        self.now += time;
        if self.wake_at.is_some_and(|wake_at| wake_at <= self.now) {
            self.look();
        }
    }

    fn configure(&mut self, mode: Mode, in_flight_max: usize, rate_limit: Option<u32>) {
        if rate_limit != self.rate_limit {
            self.starts.clear();
        }
        (self.mode, self.in_flight_max, self.rate_limit) = (mode, in_flight_max, rate_limit);
        // As the actor does it: a lane that was dropped may have something in the view.
        if self.lane.is_empty() && self.lane.is_idle() {
            self.lane = Lane::new(mode, in_flight_max, rate_limit, Some(DateTime::UNIX_EPOCH));
            self.starts.clear();
        } else {
            self.lane.configure(mode, in_flight_max, rate_limit);
        }
        self.look();
    }

    /// Whoever waits has nothing to send now.
    fn check_punctuality(&self) {
        let is_held_back = self.rate_limit.is_some() || self.now < self.load_again_at;
        let is_due = |entry: &Entry| match self.mode {
            Mode::All => entry.due_at() <= self.now,
            Mode::TestsOnly => entry.due_at() <= self.now && entry.stream.state.is_test(),
            Mode::Cancel => true,
            Mode::Hold => false,
        };
        let late = self.view.values().find(|entry| is_due(entry));
        assert!(
            is_held_back || late.is_none(),
            "{late:?} is due at {}",
            self.now
        );
    }

    /// Lets everything take its course, waking only when the lane asked for it.
    fn settle(&mut self) {
        loop {
            self.pump(usize::MAX);
            if !self.accepting.is_empty() {
                self.commit();
                self.offer(false);
            } else if self.load.is_some() {
                self.end_load(true);
            } else if !self.flying.is_empty() || !self.recorded.is_empty() {
                self.record(0, None);
                self.done();
            } else if let Some(wake_at) = self.wake_at {
                self.check_punctuality();
                self.pass(wake_at - self.now);
            } else if !self.is_runnable {
                return;
            }
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_forgotten_and_nothing_is_sent_twice(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.settle();
        let mode = world.mode;
        let is_held = |entry: &Entry| match mode {
            Mode::Hold => true,
            Mode::TestsOnly => !entry.stream.state.is_test(),
            Mode::All | Mode::Cancel => false,
        };
        world.view.retain(|_, entry| !is_held(entry));
        prop_assert!(world.view.is_empty(), "forgotten in mode {:?}: {:?}", mode, world.view.keys());
    }

    #[test]
    fn what_waited_goes_on_when_the_webhook_is_active_again(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.configure(Mode::All, 1000, None);
        world.settle();
        prop_assert!(world.view.is_empty(), "forgotten: {:?}", world.view.keys());
        prop_assert!(world.lane.is_empty() && world.lane.is_idle());
    }
}
