//! A lane between a view and receivers, driven by any sequence of events the way the tenant's
//! actor drives it. The ledger is a map; what it says is what must happen.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{view::in_view, *};
use crate::tenants::lane::queues::{KEYS_MAX, QUEUE_MAX};

/// What may happen around a lane. Things that take time (a load, an attempt) begin and end as
/// events of their own, so that anything may happen in between.
#[derive(Debug, Clone)]
enum Step {
    /// Messages come in.
    Accept {
        count: usize,
        due_in: i64,
        is_test: bool,
        keys: Keys,
    },
    /// What came in is written.
    Commit,
    /// What was written is offered, or the answer of the write was lost.
    Offer { is_lost: bool },
    /// What came in could not be written.
    Refuse,
    /// Another node accepts a message, maybe with an id that is lower than others known here.
    AcceptElsewhere { key: usize, made_before: i64 },
    /// This node hears of what others accepted, or only that there may be something.
    Find { is_lost: bool },
    /// Somebody asks for a delivery by hand, whatever became of it.
    Request { which: usize },
    /// Somebody calls a delivery off.
    Cancel { which: usize },
    /// The lane hears of a delivery that somebody has changed.
    Tell { which: usize },
    /// There is room for so many more attempts.
    Pump { room: usize },
    /// What came of an attempt is recorded.
    Record { which: usize, end: End },
    /// The lane hears of one that was recorded.
    Done { which: usize },
    /// The view is read for the load under way, then the ledger.
    Read,
    /// The load under way ends.
    EndLoad { is_ok: bool },
    /// Time passes.
    Pass { millis: i64 },
    /// The webhook is changed.
    Configure(Terms),
    /// The lane is forgotten and a new one made; attempts go on.
    Forget,
}

/// By which keys messages are kept in order: one of few, or each by its own.
#[derive(Debug, Clone, Copy)]
enum Keys {
    Few(usize),
    Many,
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Success,
    Failure {
        code: FailureCode,
        retry_in: Option<i64>,
    },
}

fn terms_of(is_fifo: BoxedStrategy<bool>) -> impl Strategy<Value = Terms> {
    let mode = prop_oneof![
        6 => Just(Mode::All),
        2 => Just(Mode::TestsOnly),
        1 => Just(Mode::Cancel),
        1 => Just(Mode::Hold),
    ];
    let rate_limit = prop::option::weighted(0.4, 1u32..200);
    (mode, is_fifo, 1usize..100, rate_limit, 1u64..3).prop_map(
        |(mode, is_fifo, in_flight_max, rate_limit, version)| Terms {
            mode,
            is_fifo,
            in_flight_max,
            rate_limit,
            version,
        },
    )
}

fn end() -> impl Strategy<Value = End> {
    let code = prop_oneof![
        Just(FailureCode::HttpStatus),
        Just(FailureCode::Timeout),
        Just(FailureCode::RefusedTarget),
    ];
    let failure = (code, prop::option::weighted(0.7, 0i64..5000));
    prop_oneof![
        Just(End::Success),
        failure.prop_map(|(code, retry_in)| End::Failure { code, retry_in }),
    ]
}

fn messages() -> impl Strategy<Value = Step> {
    let accept = |count, due_in, is_test, keys| Step::Accept {
        count,
        due_in,
        is_test,
        keys,
    };
    let due_in = prop_oneof![3 => Just(0), 1 => 0i64..3000];
    prop_oneof![
        6 => (1usize..4, due_in, prop::bool::weighted(0.2), 0usize..4)
            .prop_map(move |(count, due_in, is_test, key)| accept(count, due_in, is_test, Keys::Few(key))),
        1 => (60usize..200, prop_oneof![Just(0), 1000i64..5000])
            .prop_map(move |(count, due_in)| accept(count, due_in, false, Keys::Many)),
        1 => (10usize..60, 0usize..4).prop_map(move |(count, key)| accept(count, 0, false, Keys::Few(key))),
        8 => Just(Step::Commit),
        10 => prop::bool::weighted(0.1).prop_map(|is_lost| Step::Offer { is_lost }),
        1 => Just(Step::Refuse),
        4 => (0usize..4, 0i64..3000)
            .prop_map(|(key, made_before)| Step::AcceptElsewhere { key, made_before }),
        3 => prop::bool::weighted(0.3).prop_map(|is_lost| Step::Find { is_lost }),
    ]
}

fn step(is_fifo: BoxedStrategy<bool>) -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => messages(),
        4 => any::<usize>().prop_map(|which| Step::Request { which }),
        3 => any::<usize>().prop_map(|which| Step::Cancel { which }),
        8 => any::<usize>().prop_map(|which| Step::Tell { which }),
        8 => (1usize..80).prop_map(|room| Step::Pump { room }),
        10 => (any::<usize>(), end()).prop_map(|(which, end)| Step::Record { which, end }),
        10 => any::<usize>().prop_map(|which| Step::Done { which }),
        10 => Just(Step::Read),
        6 => prop::bool::weighted(0.8).prop_map(|is_ok| Step::EndLoad { is_ok }),
        4 => (0i64..2000).prop_map(|millis| Step::Pass { millis }),
        2 => terms_of(is_fifo).prop_map(Step::Configure),
        1 => Just(Step::Forget),
    ]
}

fn steps(is_fifo: impl Strategy<Value = bool> + 'static) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(is_fifo.boxed()), 1..150)
}

/// A delivery that was given out.
#[derive(Debug)]
struct Flying {
    entry: Entry,
    is_cancel: bool,
    /// The lane that gave it out is no more.
    is_earlier: bool,
}

/// A load under way.
struct Loading {
    load: Load,
    /// When it began.
    began: u64,
    /// What the view said.
    ids: Option<Vec<DeliveryId>>,
    /// What the ledger said then or later.
    entries: Option<Vec<Entry>>,
}

struct World {
    now: DateTime<Utc>,
    /// Counts what happened.
    moment: u64,
    lane: Lane,
    is_dropped: bool,
    terms: Terms,
    circuit: Circuit,
    maker: Maker,
    others: Maker,
    keys: usize,
    /// What came in and is not offered, and what an earlier lane gave out.
    elsewhere: HashSet<DeliveryId>,
    /// What came in and is not written.
    incoming: Vec<Entry>,
    /// What was written and is not offered.
    written: Vec<Entry>,
    /// What other nodes have written and nobody told.
    strange: Vec<Entry>,
    /// All deliveries, and since when those that are to be sent have been.
    ledger: BTreeMap<DeliveryId, Entry>,
    since: HashMap<DeliveryId, u64>,
    /// What somebody has changed and nobody told.
    changes: Vec<DeliveryId>,
    /// What the lane was told to be done or changed: what is told late of it is old news.
    touched: HashSet<DeliveryId>,
    flying: Vec<Flying>,
    /// Attempts that were recorded, of which the lane has not heard.
    recorded: Vec<(Flying, Option<FailureCode>)>,
    load: Option<Loading>,
    /// The beginning of the last load that showed a delivery.
    shown: HashMap<DeliveryId, u64>,
    /// When a load that failed is tried again.
    load_again_at: DateTime<Utc>,
    is_runnable: bool,
    wake_at: Option<DateTime<Utc>>,
    /// When attempts started since the rate was last changed.
    starts: Vec<DateTime<Utc>>,
}

impl World {
    fn new(is_fifo: bool) -> Self {
        let terms = Terms {
            is_fifo,
            ..terms(Mode::All, 8, None)
        };
        Self {
            now: at(0),
            moment: 0,
            lane: Lane::new(terms, None),
            is_dropped: false,
            terms,
            circuit: Circuit::default(),
            maker: Maker::default(),
            others: Maker {
                random: 1 << 60,
                ..Maker::default()
            },
            keys: 10,
            elsewhere: HashSet::new(),
            incoming: Vec::new(),
            written: Vec::new(),
            strange: Vec::new(),
            ledger: BTreeMap::new(),
            since: HashMap::new(),
            changes: Vec::new(),
            touched: HashSet::new(),
            flying: Vec::new(),
            recorded: Vec::new(),
            load: None,
            shown: HashMap::new(),
            load_again_at: at(0),
            is_runnable: false,
            wake_at: None,
            starts: Vec::new(),
        }
    }

    fn take(&mut self, step: Step) {
        self.moment += 1;
        match step {
            Step::Accept {
                count,
                due_in,
                is_test,
                keys,
            } => self.accept(count, due_in, is_test, keys),
            Step::Commit => self.commit(),
            Step::Offer { is_lost } => self.offer(is_lost),
            Step::Refuse => self.refuse(),
            Step::AcceptElsewhere { key, made_before } => self.accept_elsewhere(key, made_before),
            Step::Find { is_lost } => self.find(is_lost),
            Step::Request { which } => self.change(which, |entry, now| Some(requested(entry, now))),
            Step::Cancel { which } => self.change(which, |entry, _| {
                entry.due_at().is_some().then(|| cancelled(entry))
            }),
            Step::Tell { which } => self.tell(which),
            Step::Pump { room } => self.pump(room),
            Step::Record { which, end } => self.record(which, end),
            Step::Done { which } => self.done(which),
            Step::Read => self.read(),
            Step::EndLoad { is_ok } => self.end_load(is_ok),
            Step::Pass { millis } => self.pass(chrono::Duration::milliseconds(millis)),
            Step::Configure(terms) => self.configure(terms),
            Step::Forget => self.forget(),
        }
        self.check_bounds();
    }

    fn check_bounds(&self) {
        let (by_hand, others) = self.lane.window.sizes();
        assert!(
            by_hand <= WINDOW && others <= WINDOW,
            "the window holds {by_hand} and {others}"
        );
        let sizes = self.lane.queues.sizes();
        assert!(
            sizes.held <= WINDOW + 100,
            "{sizes:?}: more than the window and those in flight"
        );
        assert!(sizes.longest <= QUEUE_MAX, "{sizes:?}");
        assert!(
            sizes.wanted <= KEYS_MAX && sizes.asleep <= KEYS_MAX,
            "{sizes:?}"
        );
    }

    fn accept(&mut self, count: usize, due_in: i64, is_test: bool, keys: Keys) {
        let due_at = self.now + chrono::Duration::milliseconds(due_in);
        let trigger = match is_test {
            true => Trigger::Test,
            false => Trigger::Publish,
        };
        for _ in 0..count {
            let key = match keys {
                Keys::Few(key) => key,
                Keys::Many => {
                    self.keys += 1;
                    self.keys
                }
            };
            let scheduled = Scheduled {
                due_at,
                trigger,
                ordering_key: ordering_key(key),
                ..Scheduled::default()
            };
            let entry = self.maker.make(self.now, scheduled);
            self.elsewhere.insert(entry.id);
            self.incoming.push(entry);
        }
    }

    /// Writes a delivery as it has become.
    fn write(&mut self, entry: Entry) {
        match entry.due_at() {
            Some(_) => drop(self.since.entry(entry.id).or_insert(self.moment)),
            None => drop(self.since.remove(&entry.id)),
        }
        self.ledger.insert(entry.id, entry);
    }

    fn commit(&mut self) {
        for entry in std::mem::take(&mut self.incoming) {
            self.write(entry.clone());
            self.written.push(entry);
        }
    }

    fn offer(&mut self, is_lost: bool) {
        for entry in std::mem::take(&mut self.written) {
            self.elsewhere.remove(&entry.id);
            if is_lost {
                self.lane.doubt(self.now);
            } else {
                self.lane.offer(entry, self.now);
            }
        }
        self.look();
    }

    fn refuse(&mut self) {
        for entry in std::mem::take(&mut self.incoming) {
            self.elsewhere.remove(&entry.id);
            self.lane.doubt(self.now);
        }
        self.look();
    }

    fn accept_elsewhere(&mut self, key: usize, made_before: i64) {
        let scheduled = Scheduled {
            due_at: self.now,
            ordering_key: ordering_key(key),
            ..Scheduled::default()
        };
        let made_at = self.now - chrono::Duration::milliseconds(made_before);
        let entry = self.others.make(made_at, scheduled);
        self.write(entry.clone());
        self.strange.push(entry);
    }

    fn find(&mut self, is_lost: bool) {
        let found = std::mem::take(&mut self.strange);
        if is_lost {
            self.lane.doubt(self.now);
        } else {
            let touched: HashSet<_> = self.touched.union(&self.elsewhere).copied().collect();
            self.lane.found(found, &touched, self.now);
        }
        self.look();
    }

    fn change(&mut self, which: usize, to: impl Fn(Entry, DateTime<Utc>) -> Option<Entry>) {
        if self.ledger.is_empty() {
            return;
        }
        let known = self.ledger.values().nth(which % self.ledger.len());
        let Some(changed) = known.cloned().and_then(|entry| to(entry, self.now)) else {
            return;
        };
        self.changes.push(changed.id);
        self.write(changed);
    }

    /// As the actor does it: what is being accepted is told when it was offered, what an earlier lane
    /// gave out when it is done.
    fn tell(&mut self, which: usize) {
        let is_accepting = |id: &DeliveryId| {
            self.elsewhere.contains(id) && self.written.iter().any(|entry| entry.id == *id)
        };
        let ripe: Vec<DeliveryId> = self
            .changes
            .iter()
            .copied()
            .filter(|id| !is_accepting(id))
            .collect();
        if ripe.is_empty() {
            return;
        }
        let id = ripe[which % ripe.len()];
        self.changes.retain(|changed| *changed != id);
        self.touched.insert(id);
        if !self.elsewhere.contains(&id) {
            let fresh = self.ledger[&id].clone();
            self.lane.changed(fresh, self.now);
        }
        self.look();
    }

    /// What the actor does after anything happened to a lane.
    fn look(&mut self) {
        if let Some(load) = self.lane.start_load(self.elsewhere.len(), self.now) {
            assert!(self.load.is_none(), "two loads at one time");
            self.load = Some(Loading {
                load,
                began: self.moment,
                ids: None,
                entries: None,
            });
        }
        self.is_runnable |= self.lane.has_next(self.now);
        self.wake_at = self.lane.wake_at(self.now);
        self.is_dropped =
            self.wake_at.is_none() && self.lane.is_idle(self.now) && self.lane.is_empty();
        if self.is_dropped {
            // A new one is made when there is something for it.
            self.lane = Lane::new(self.terms, None);
            assert!(self.load.is_none(), "it was dropped with a load under way");
        }
        assert_eq!(
            self.lane.circuit_state(self.now),
            self.circuit.state(self.now)
        );
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
        let (entry, is_cancel) = match next {
            Next::Send(entry) => (entry, false),
            Next::Cancel(entry) => (entry, true),
        };
        let id = entry.id;
        if !self.changes.contains(&id) {
            let known = &self.ledger[&id];
            assert!(known.due_at().is_some(), "nothing of {id} is to be sent");
            assert_eq!(known.stream, entry.stream, "{id} is old news");
        }
        let mut in_flight = self
            .flying
            .iter()
            .chain(self.recorded.iter().map(|(flying, _)| flying));
        assert!(
            in_flight.all(|flying| flying.entry.id != id),
            "{id} is in flight already"
        );
        assert!(
            self.in_flight().count() < self.terms.in_flight_max,
            "too many in flight"
        );
        assert_eq!(is_cancel, self.terms.mode == Mode::Cancel);
        let due_at = entry.due_at().expect("it is to be sent");
        assert!(is_cancel || due_at <= self.now, "{id} is not due");
        assert!(
            self.terms.mode != Mode::TestsOnly || entry.stream.state.is_test(),
            "{id} is no test"
        );
        if !is_cancel {
            self.check_circuit(&entry);
            self.starts.push(self.now);
            self.check_rate();
        }
        if self.terms.is_in_order() {
            self.check_order(&entry);
        }
        self.flying.push(Flying {
            entry,
            is_cancel,
            is_earlier: false,
        });
    }

    /// What this lane gave out and has not heard of.
    fn in_flight(&self) -> impl Iterator<Item = &Flying> {
        let recorded = self.recorded.iter().map(|(flying, _)| flying);
        let all = self.flying.iter().chain(recorded);
        all.filter(|flying| !flying.is_earlier)
    }

    fn check_circuit(&self, entry: &Entry) {
        let may_go = match self.circuit.state(self.now) {
            circuit::State::Closed => true,
            circuit::State::Open => false,
            circuit::State::HalfOpen => self.in_flight().count() == 0,
        };
        let put_off_since = self.now - circuit::PUT_OFF_MAX;
        let is_overdue = entry.due_at().is_some_and(|due_at| due_at <= put_off_since)
            && self.in_flight().count() < circuit::OVERDUE_IN_FLIGHT_MAX;
        assert!(
            may_go || is_overdue || entry.is_by_hand(),
            "{} had to wait",
            entry.id
        );
    }

    /// In no second more than the rate, and what the slack of 20 ms allows at its start.
    fn check_rate(&self) {
        let Some(rate) = self.terms.rate_limit else {
            return;
        };
        let since = self.now - chrono::Duration::seconds(1);
        let recent = self.starts.iter().filter(|start| **start > since).count();
        let allowed = rate as usize + (rate as usize * 20).div_ceil(1000) + 1;
        assert!(
            recent <= allowed,
            "{recent} attempts in a second at {rate} per second"
        );
    }

    /// Nothing else of its queue is in flight, and it is the first of it, as far as the load could
    /// know that brought it here.
    fn check_order(&self, entry: &Entry) {
        let Some(queue) = entry.stream.state.queue() else {
            return;
        };
        let is_of_queue = |other: &Entry| other.stream.state.queue() == Some(queue);
        let other = self.in_flight().find(|flying| is_of_queue(&flying.entry));
        assert!(other.is_none(), "{other:?} of {queue:?} is in flight");
        let shown = self.shown.get(&entry.id);
        let shown = shown.expect("what has an order comes from the view");
        for (id, since) in &self.since {
            let is_passed = *id < entry.id && since < shown && is_of_queue(&self.ledger[id]);
            assert!(
                !is_passed,
                "{} was sent before {id}, which was there first",
                entry.id
            );
        }
    }

    fn record(&mut self, which: usize, end: End) {
        if self.flying.is_empty() {
            return;
        }
        let flying = self.flying.swap_remove(which % self.flying.len());
        let current = self.ledger[&flying.entry.id].clone();
        if flying.is_cancel {
            if current.due_at().is_some() {
                self.write(cancelled(current));
            }
            return self.recorded.push((flying, None));
        }
        let given = &flying.entry.stream.state;
        let (failure, retry_in) = match end {
            End::Success => (None, None),
            End::Failure { code, retry_in } => (Some(code), retry_in),
        };
        let retry_at = retry_in
            .filter(|_| !given.is_test())
            .map(|millis| self.now + chrono::Duration::milliseconds(millis));
        let mut attempt = attempt(&current.stream.state, failure);
        attempt.trigger = given.next_trigger();
        let is_extra =
            attempt.trigger.is_by_hand() || current.stream.state.status() != Status::Pending;
        let event = match (failure, retry_at) {
            (None, _) => Event::Succeeded { attempt },
            (Some(_), _) if is_extra => Event::ExtraAttemptFailed {
                attempt,
                next_attempt_at: None,
            },
            (Some(_), Some(next_attempt_at)) => Event::AttemptFailed {
                attempt,
                next_attempt_at,
            },
            (Some(_), None) => Event::Exhausted { attempt },
        };
        let mut again = after(current, event);
        self.write(again.clone());
        again.body = None;
        let flying = Flying {
            entry: again,
            ..flying
        };
        self.recorded.push((flying, failure));
    }

    fn done(&mut self, which: usize) {
        if self.recorded.is_empty() {
            return self.look();
        }
        let (flying, failure) = self.recorded.swap_remove(which % self.recorded.len());
        let id = flying.entry.id;
        self.elsewhere.remove(&id);
        self.touched.insert(id);
        if !flying.is_cancel {
            self.circuit.note(failure, self.now);
            self.lane.note(failure, self.now);
        }
        let is_pending = flying.entry.due_at().is_some() && !flying.is_cancel;
        let again = is_pending.then_some(flying.entry);
        self.lane.done(id, again, self.now);
        self.look();
    }

    fn read(&mut self) {
        let Some(loading) = &mut self.load else {
            return;
        };
        match &loading.ids {
            None => loading.ids = Some(in_view(&self.ledger, &loading.load)),
            Some(ids) => {
                let entries = ids.iter().map(|id| self.ledger[id].clone());
                loading.entries.get_or_insert(entries.collect());
            }
        }
    }

    fn end_load(&mut self, is_ok: bool) {
        self.read();
        self.read();
        let Some(loading) = self.load.take() else {
            return;
        };
        match loading.entries.filter(|_| is_ok) {
            Some(entries) => {
                for entry in &entries {
                    self.shown.insert(entry.id, loading.began);
                }
                self.lane.loaded(entries, &self.elsewhere, self.now);
            }
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

    fn configure(&mut self, terms: Terms) {
        if terms.rate_limit != self.terms.rate_limit {
            self.starts.clear();
        }
        if terms.version != self.terms.version {
            self.circuit = Circuit::default();
        }
        self.terms = terms;
        // As the actor does it: a lane that was dropped may have something in the view.
        if self.is_dropped {
            self.lane = Lane::new(terms, Some(DateTime::UNIX_EPOCH));
        }
        self.lane.configure(terms);
        self.look();
    }

    fn forget(&mut self) {
        for flying in self
            .flying
            .iter_mut()
            .chain(self.recorded.iter_mut().map(|(flying, _)| flying))
        {
            flying.is_earlier = true;
            self.elsewhere.insert(flying.entry.id);
        }
        // The answer of its load goes to nobody.
        self.load = None;
        self.load_again_at = self.now;
        self.circuit = Circuit::default();
        self.starts.clear();
        self.lane = Lane::new(self.terms, Some(DateTime::UNIX_EPOCH));
        self.look();
    }

    /// Whoever waits has nothing to send now.
    fn check_punctuality(&self) {
        let is_held_back = self.terms.rate_limit.is_some()
            || self.now < self.load_again_at
            || self.circuit.state(self.now) != circuit::State::Closed;
        let mut queues = BTreeSet::new();
        let is_sendable = |entry: &&Entry| {
            let is_test = entry.stream.state.is_test();
            let queue = entry.stream.state.queue();
            match self.terms.mode {
                Mode::All if self.terms.is_fifo => {
                    queue.is_none_or(|queue| queues.insert(queue.to_owned()))
                }
                Mode::All | Mode::Cancel => true,
                Mode::TestsOnly => is_test,
                Mode::Hold => false,
            }
        };
        let to_be_sent = self
            .ledger
            .values()
            .filter(|entry| entry.due_at().is_some());
        let late = to_be_sent
            .filter(is_sendable)
            .find(|entry| self.terms.mode == Mode::Cancel || entry.due_at() <= Some(self.now));
        assert!(
            is_held_back || late.is_none(),
            "{late:?} is due at {}",
            self.now
        );
    }

    /// Lets everything take its course, waking only when the lane asked for it.
    fn settle(&mut self) {
        for _ in 0..5_000 {
            self.moment += 1;
            self.pump(usize::MAX);
            self.check_bounds();
            if !self.incoming.is_empty() || !self.written.is_empty() {
                self.commit();
                self.offer(false);
            } else if !self.strange.is_empty() {
                self.find(false);
            } else if !self.changes.is_empty() {
                self.tell(0);
            } else if self.load.is_some() {
                self.end_load(true);
            } else if !self.flying.is_empty() || !self.recorded.is_empty() {
                self.record(0, End::Success);
                self.done(0);
            } else if let Some(wake_at) = self.wake_at {
                self.check_punctuality();
                self.pass(wake_at - self.now);
            } else if !self.is_runnable {
                return;
            }
        }
        panic!("it goes round in circles");
    }

    /// What is to be sent and will not be while the webhook stays as it is.
    fn forgotten(&self) -> Vec<DeliveryId> {
        let to_be_sent = self
            .ledger
            .values()
            .filter(|entry| entry.due_at().is_some());
        let forgotten = to_be_sent.filter(|entry| match self.terms.mode {
            Mode::Hold => false,
            Mode::TestsOnly => entry.stream.state.is_test(),
            Mode::All | Mode::Cancel => true,
        });
        forgotten.map(|entry| entry.id).collect()
    }
}

fn ordering_key(number: usize) -> Option<String> {
    (number > 0).then(|| format!("key {number:05}"))
}

fn run(is_fifo: bool, steps: Vec<Step>) -> World {
    let mut world = World::new(is_fifo);
    for step in steps {
        world.take(step);
    }
    world
}

fn ends_well(mut world: World) {
    world.settle();
    let forgotten = world.forgotten();
    assert!(
        forgotten.is_empty(),
        "forgotten with {:?}: {forgotten:?}",
        world.terms
    );
}

proptest! {
    #[test]
    fn nothing_is_forgotten_and_nothing_is_sent_twice(steps in steps(Just(false))) {
        ends_well(run(false, steps));
    }

    #[test]
    fn order_is_kept_and_nothing_is_forgotten(steps in steps(Just(true))) {
        ends_well(run(true, steps));
    }

    #[test]
    fn order_may_be_wanted_and_unwanted_again(steps in steps(any::<bool>())) {
        ends_well(run(false, steps));
    }

    #[test]
    fn what_waited_goes_on_when_the_webhook_is_active_again(
        is_fifo in any::<bool>(),
        steps in steps(any::<bool>()),
    ) {
        let mut world = run(is_fifo, steps);
        let version = world.terms.version;
        world.configure(Terms { is_fifo, version, ..terms(Mode::All, 100, None) });
        world.settle();
        let forgotten = world.forgotten();
        prop_assert!(forgotten.is_empty(), "forgotten: {forgotten:?}");
        prop_assert!(world.lane.is_idle(world.now));
        prop_assert!(world.lane.is_empty() || world.circuit != Circuit::default());
    }
}
