//! A webhook's queue in its tenant's actor: pure, so that tests drive it without clock or network.
//!
//! A lane holds a window of the webhook's pending deliveries. The rest lies in the `deliveries`
//! view and is loaded in due order as the window empties. The invariant that nothing is forgotten:
//! every pending delivery is in the window, in flight, or due no earlier than [`Lane::rest`].

use std::collections::{BTreeMap, HashSet, VecDeque};

use chrono::{DateTime, Utc};
use hookledger_domain::{delivery::Delivery, ids::DeliveryId};

use super::bodies::Body;
use crate::store::Stream;

/// The most deliveries that a lane holds besides those in flight.
pub(super) const WINDOW: usize = 128;

/// The same while what joins it has its body at hand, which has a bound of its own for the whole
/// process: a short burst needs no way through the view.
pub(super) const WINDOW_AT_HAND: usize = 4096;

/// A pending delivery in memory.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its id.
    pub id: DeliveryId,
    /// Its state, so that an attempt costs one append and no read.
    pub stream: Stream<Delivery>,
    /// What is to be sent, if it is still at hand; otherwise the store has it.
    pub body: Option<Body>,
}

impl Entry {
    /// When it is due.
    pub(super) fn due_at(&self) -> DateTime<Utc> {
        self.stream.state.due_at().unwrap_or_default()
    }
}

/// What a lane does with its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The webhook is active: send all.
    All,
    /// The webhook is inactive: send tests, let the others wait.
    TestsOnly,
    /// The webhook is gone: what is pending is to be cancelled.
    Cancel,
    /// The webhook is not known: all wait until it is known, or known to be gone.
    Hold,
}

/// What [`Lane::next`] gives out.
#[derive(Debug)]
pub(super) enum Next {
    /// Send this one now.
    Send(Entry),
    /// Cancel this one.
    Cancel(Entry),
}

impl Next {
    /// Which delivery it is.
    pub(super) fn id(&self) -> DeliveryId {
        match self {
            Self::Send(entry) | Self::Cancel(entry) => entry.id,
        }
    }
}

/// A part of the view that is to be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    /// Only test deliveries.
    pub only_tests: bool,
    /// At most this many.
    pub limit: u32,
}

/// A webhook's queue.
#[derive(Debug)]
pub(super) struct Lane {
    mode: Mode,
    in_flight_max: usize,
    pace: Option<Pace>,
    ready: VecDeque<Entry>,
    later: BTreeMap<(DateTime<Utc>, DeliveryId), Entry>,
    in_flight: HashSet<DeliveryId>,
    rest: Option<DateTime<Utc>>,
    /// While a load is under way: what was touched since, of which the load may tell old news.
    loading: Option<HashSet<DeliveryId>>,
    /// The mode changed while a load was under way: its answer is about the wrong deliveries.
    is_load_stale: bool,
}

/// At most so many attempts a second: the generic cell rate algorithm.
#[derive(Debug, Clone, Copy)]
struct Pace {
    per_second: u32,
    /// When the next attempt may start.
    free_at: DateTime<Utc>,
}

/// How much of what was missed may be made up for at once: covers the coarseness of timers.
const PACE_SLACK: chrono::Duration = chrono::Duration::milliseconds(20);

impl Pace {
    fn interval(self) -> chrono::Duration {
        chrono::Duration::microseconds(1_000_000 / i64::from(self.per_second.max(1)))
    }

    fn take(&mut self, now: DateTime<Utc>) {
        self.free_at = self.free_at.max(now - PACE_SLACK) + self.interval();
    }
}

impl Lane {
    /// A lane of which `rest` says from when on something may be due in the view.
    pub(super) fn new(
        mode: Mode,
        in_flight_max: usize,
        rate_limit: Option<u32>,
        rest: Option<DateTime<Utc>>,
    ) -> Self {
        let mut lane = Self {
            mode,
            in_flight_max,
            pace: None,
            ready: VecDeque::new(),
            later: BTreeMap::new(),
            in_flight: HashSet::new(),
            rest: None,
            loading: None,
            is_load_stale: false,
        };
        lane.configure(mode, in_flight_max, rate_limit);
        if let Some(due_at) = rest {
            lane.leave(due_at);
        }
        lane
    }

    /// Takes over a changed configuration. With another mode the window is forgotten; what was in
    /// it lies in the view all the same.
    pub(super) fn configure(&mut self, mode: Mode, in_flight_max: usize, rate_limit: Option<u32>) {
        self.in_flight_max = in_flight_max;
        self.pace = rate_limit.map(|per_second| match self.pace {
            Some(pace) if pace.per_second == per_second => pace,
            _ => Pace {
                per_second,
                free_at: DateTime::UNIX_EPOCH,
            },
        });
        if mode != self.mode {
            self.mode = mode;
            self.ready.clear();
            self.later.clear();
            self.rest = Some(DateTime::UNIX_EPOCH);
            self.is_load_stale = self.loading.is_some();
        }
    }

    /// Takes a delivery that was just scheduled. It joins the window if there is room and nothing
    /// that is due earlier lies in the view only; otherwise it is loaded later.
    pub(super) fn offer(&mut self, entry: Entry, now: DateTime<Utc>) {
        if self.mode == Mode::TestsOnly && !entry.stream.state.is_test() {
            return;
        }
        let due_at = entry.due_at();
        if self.mode == Mode::Hold {
            self.leave(due_at);
            return;
        }
        let is_behind = self.rest.is_some_and(|rest| rest <= due_at);
        let window = match entry.body {
            Some(_) => WINDOW_AT_HAND,
            None => WINDOW,
        };
        if is_behind || self.held() >= window {
            self.leave(due_at);
        } else {
            self.hold(entry, now);
        }
    }

    /// The next thing to do now, if anything may be done. What it gives out to be sent is in
    /// flight until [`Lane::done`].
    pub(super) fn next(&mut self, now: DateTime<Utc>) -> Option<Next> {
        self.ripen(now);
        if self.in_flight.len() >= self.in_flight_max {
            return None;
        }
        if self.mode != Mode::Cancel && self.pace.is_some_and(|pace| pace.free_at > now) {
            return None;
        }
        let entry = self.ready.pop_front()?;
        self.in_flight.insert(entry.id);
        if self.mode == Mode::Cancel {
            return Some(Next::Cancel(entry));
        }
        if let Some(pace) = &mut self.pace {
            pace.take(now);
        }
        Some(Next::Send(entry))
    }

    /// Whether [`Lane::next`] would give something out.
    pub(super) fn has_next(&self, now: DateTime<Utc>) -> bool {
        self.in_flight.len() < self.in_flight_max
            && (!self.ready.is_empty()
                || self.later.keys().next().is_some_and(|(due, _)| *due <= now))
            && (self.mode == Mode::Cancel || self.pace.is_none_or(|pace| pace.free_at <= now))
    }

    /// Something that is due at `due_at` may lie in the view of which nobody told.
    pub(super) fn doubt(&mut self, due_at: DateTime<Utc>) {
        self.leave(due_at);
    }

    /// What was in flight has been recorded; `again` is the delivery if it is still pending.
    pub(super) fn done(&mut self, id: DeliveryId, again: Option<Entry>, now: DateTime<Utc>) {
        self.in_flight.remove(&id);
        if let Some(touched) = &mut self.loading {
            touched.insert(id);
        }
        if let Some(entry) = again {
            self.offer(entry, now);
        }
    }

    /// Takes a delivery that was changed by others as it is now; `None`: it is not to be sent any more.
    pub(super) fn changed(
        &mut self,
        id: DeliveryId,
        fresh: Option<Entry>,
        _queue: Option<&str>,
        now: DateTime<Utc>,
    ) {
        if self.in_flight.contains(&id) {
            self.leave(DateTime::UNIX_EPOCH);
            return;
        }
        if let Some(touched) = &mut self.loading {
            touched.insert(id);
        }
        self.ready.retain(|entry| entry.id != id);
        self.later.retain(|(_, other), _| *other != id);
        if let Some(entry) = fresh {
            self.offer(entry, now);
        }
    }

    /// Whether a part of the view should be loaded now; if so, it counts as under way until
    /// [`Lane::loaded`] or [`Lane::load_failed`].
    pub(super) fn start_load(&mut self, now: DateTime<Utc>) -> Option<Load> {
        let is_due = self.rest.is_some_and(|rest| rest <= now);
        let is_held = self.mode == Mode::Hold;
        if !is_due || is_held || self.loading.is_some() || self.held() > WINDOW / 2 {
            return None;
        }
        self.loading = Some(HashSet::new());
        self.rest = None;
        let limit = WINDOW + self.held() + self.in_flight.len();
        Some(Load {
            only_tests: self.mode == Mode::TestsOnly,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
        })
    }

    /// Takes what a load gave, in due order. Deliveries that are `elsewhere` may be among it: those
    /// that are being accepted will be offered, others have an attempt that began under another lane.
    pub(super) fn loaded(
        &mut self,
        load: Load,
        entries: Vec<Entry>,
        elsewhere: &HashSet<DeliveryId>,
        now: DateTime<Utc>,
    ) {
        let touched = self.loading.take().unwrap_or_default();
        if std::mem::take(&mut self.is_load_stale) {
            self.leave(DateTime::UNIX_EPOCH);
            return;
        }
        if entries.len() >= load.limit as usize {
            // What follows is due no earlier than the last of these.
            let last = entries.last().map(Entry::due_at);
            self.leave(last.unwrap_or(DateTime::UNIX_EPOCH));
        }
        let held = self.held_ids();
        for entry in entries {
            let is_known = elsewhere.contains(&entry.id)
                || held.contains(&entry.id)
                || self.in_flight.contains(&entry.id)
                || touched.contains(&entry.id);
            if is_known {
                continue;
            }
            if self.held() >= WINDOW {
                self.leave(entry.due_at());
            } else {
                self.hold(entry, now);
            }
        }
    }

    /// Takes deliveries that another node has scheduled, unless the view gave them already or they
    /// were `touched` since they were read.
    pub(super) fn found(
        &mut self,
        entries: Vec<Entry>,
        touched: &HashSet<DeliveryId>,
        now: DateTime<Utc>,
    ) {
        let held = self.held_ids();
        for entry in entries {
            let is_known = held.contains(&entry.id)
                || self.in_flight.contains(&entry.id)
                || touched.contains(&entry.id);
            if !is_known {
                self.offer(entry, now);
            }
        }
    }

    /// What is in flight, for whoever forgets the lane.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = DeliveryId> {
        self.in_flight.iter().copied()
    }

    /// Since when the delivery that waits longest has been due, if one is due at `now`.
    pub(super) fn due_since(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let ready = self.ready.front().map(Entry::due_at);
        let later = self.later.keys().next().map(|(due_at, _)| *due_at);
        // A lane that only looks whether something is due has no delivery that waits.
        let rest = self.rest.filter(|rest| *rest > DateTime::UNIX_EPOCH);
        [ready, later, rest]
            .into_iter()
            .flatten()
            .min()
            .filter(|due_at| *due_at <= now)
    }

    /// A load came to nothing; it is to be tried again from `retry_at` on.
    pub(super) fn load_failed(&mut self, retry_at: DateTime<Utc>) {
        self.loading = None;
        self.is_load_stale = false;
        self.rest = Some(retry_at);
    }

    /// When something may be to do without anything happening before; `None` if never. What only
    /// the limit of attempts in flight holds back needs no waking: the end of one of them does it.
    pub(super) fn wake_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.mode == Mode::Hold {
            return None;
        }
        let rest = self
            .rest
            .filter(|_| self.loading.is_none() && self.held() <= WINDOW / 2);
        let later = self.later.keys().next().map(|(due_at, _)| *due_at);
        // Also with nothing to send now: a lane that was dropped would forget its pace.
        let paced = self.pace.map(|pace| pace.free_at);
        // What is due already must not hide what is to come.
        let is_ahead = |at: &DateTime<Utc>| *at > now;
        let later = later.filter(is_ahead);
        let paced = paced.filter(is_ahead);
        [rest, later, paced].into_iter().flatten().min()
    }

    /// Whether nothing is to do before [`Lane::wake_at`].
    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.in_flight.is_empty() && self.loading.is_none()
    }

    /// Whether nothing is pending here or in the view.
    pub(super) fn is_empty(&self) -> bool {
        self.held() == 0 && self.in_flight.is_empty() && self.rest.is_none()
    }

    fn held(&self) -> usize {
        self.ready.len() + self.later.len()
    }

    fn held_ids(&self) -> HashSet<DeliveryId> {
        self.ready
            .iter()
            .chain(self.later.values())
            .map(|entry| entry.id)
            .collect()
    }

    fn hold(&mut self, mut entry: Entry, now: DateTime<Utc>) {
        let due_at = entry.due_at();
        if due_at <= now || self.mode == Mode::Cancel {
            self.ready.push_back(entry);
        } else {
            // It will wait; its body need not.
            entry.body = None;
            self.later.insert((due_at, entry.id), entry);
        }
    }

    /// Leaves something that is due at `due_at` to the view. What is to be cancelled need not wait
    /// until it is due.
    fn leave(&mut self, due_at: DateTime<Utc>) {
        let due_at = match self.mode {
            Mode::Cancel => DateTime::UNIX_EPOCH,
            Mode::All | Mode::TestsOnly | Mode::Hold => due_at,
        };
        self.rest = Some(self.rest.map_or(due_at, |rest| rest.min(due_at)));
    }

    fn ripen(&mut self, now: DateTime<Utc>) {
        while let Some(first) = self.later.first_entry() {
            if first.key().0 > now {
                break;
            }
            self.ready.push_back(first.remove());
        }
    }
}

#[cfg(test)]
mod tests;
