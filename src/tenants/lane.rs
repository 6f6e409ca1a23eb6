//! A webhook's queue in its tenant's actor: pure, so that tests drive it without clock or network.
//!
//! It knows what may be sent when: in which order ([`Window`] as things come due, [`Queues`] one at a
//! time of each queue), how many at one time, how many a second ([`Pace`]), and whether the receiver
//! can be reached ([`Circuit`]). What is to be sent lies in the `deliveries` view; a lane holds the
//! part of it that comes next and says what to load. Of what it does not hold it knows from when on
//! something may be due, so nothing is forgotten.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU32,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use hookledger_domain::{
    circuit::{self, Circuit},
    delivery::attempt::FailureCode,
    ids::DeliveryId,
};

mod entry;
mod loading;
mod news;
mod pace;
mod queues;
mod terms;
mod turns;
mod window;

pub(super) use crate::store::Load;
pub(super) use entry::{Entry, Next};
pub(super) use terms::{Mode, Terms};

use loading::Loading;
use news::{Flight, Known};
use pace::Pace;
use queues::Queues;
use window::Window;

/// What the deliveries of a queue have in common.
type Key = Arc<str>;

/// A webhook's queue.
#[derive(Debug)]
pub(super) struct Lane {
    terms: Terms,
    pace: Option<Pace>,
    circuit: Circuit,
    window: Window,
    queues: Queues,
    /// What was given out last, and what was loaded last, came from the queues.
    was_queue: bool,
    was_load_of_queues: bool,
    in_flight: HashMap<DeliveryId, Flight>,
    loading: Option<Loading>,
    /// Before then nothing is to be loaded.
    load_again_at: DateTime<Utc>,
}

impl Lane {
    /// A lane of which `rest` says from when on something may be due in the view.
    pub(super) fn new(terms: Terms, rest: Option<DateTime<Utc>>) -> Self {
        let mut lane = Self {
            terms,
            pace: None,
            circuit: Circuit::default(),
            window: Window::new(terms.scope()),
            queues: Queues::default(),
            was_queue: false,
            was_load_of_queues: false,
            in_flight: HashMap::new(),
            loading: None,
            load_again_at: DateTime::UNIX_EPOCH,
        };
        lane.configure(terms);
        if let Some(due_at) = rest {
            lane.doubt(due_at);
        }
        lane
    }

    /// Takes over changed terms. With another mode or order, what is held is forgotten; it lies in
    /// the view all the same.
    pub(super) fn configure(&mut self, terms: Terms) {
        let before = std::mem::replace(&mut self.terms, terms);
        if terms.version != before.version {
            self.circuit = Circuit::default();
        }
        let limit = terms
            .rate_limit
            .map(|limit| NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN));
        if limit != self.pace.as_ref().map(Pace::per_second) {
            self.pace = limit.map(Pace::new);
        }
        if (terms.mode, terms.is_fifo) != (before.mode, before.is_fifo) {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.window = Window::new(self.terms.scope());
        self.queues = Queues::default();
        if self.terms.is_in_order() {
            let flights = self.in_flight.values();
            self.queues = Queues::new(flights.filter_map(|flight| flight.queue.clone()));
        }
        if let Some(loading) = &mut self.loading {
            loading.outdate();
        }
        self.doubt(DateTime::UNIX_EPOCH);
    }

    /// Takes a delivery that was just scheduled.
    pub(super) fn offer(&mut self, entry: Entry, now: DateTime<Utc>) {
        match entry
            .stream
            .state
            .queue()
            .filter(|_| self.terms.is_in_order())
        {
            Some(key) => self.queues.hear(key, entry.id, false),
            None => self.window.offer(entry, now),
        }
    }

    /// Something that is due at `due_at` may lie in the view of which nobody told.
    pub(super) fn doubt(&mut self, due_at: DateTime<Utc>) {
        self.window.leave(due_at);
        if self.terms.is_in_order() {
            self.queues.leave(due_at);
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
        for entry in entries {
            if !self.in_flight.contains_key(&entry.id) && !touched.contains(&entry.id) {
                self.offer(entry, now);
            }
        }
    }

    /// Somebody else has changed a delivery: it was asked for by hand, cancelled, or the like. `fresh`
    /// is how it stands in the ledger, also if nothing of it is to be sent any more. It is not
    /// elsewhere (see [`Lane::loaded`]), and was not recorded or changed again since it was read.
    pub(super) fn changed(&mut self, fresh: Entry, now: DateTime<Utc>) {
        if let Some(flight) = self.in_flight.get_mut(&fresh.id) {
            return flight.changed(fresh.due_at());
        }
        let known = Known::UpTo {
            sequence: fresh.stream.sequence,
            is_to_be_sent: fresh.due_at().is_some(),
        };
        self.learn(fresh.id, known);
        match fresh
            .stream
            .state
            .queue()
            .filter(|_| self.terms.is_in_order())
        {
            Some(key) => self.queues.changed(key, &fresh, now),
            None => self.window.changed(fresh, now),
        }
    }

    /// Whether [`Lane::next`] would give something out.
    pub(super) fn has_next(&self, now: DateTime<Utc>) -> bool {
        if self.in_flight.len() >= self.terms.in_flight_max {
            return false;
        }
        let is_free = self.limits().is_none_or(|pace| pace.free_at() <= now);
        let only_by_hand = self.is_only_by_hand(now);
        is_free && (self.window.has_next(only_by_hand, now) || self.queues.has_next(only_by_hand))
    }

    /// The next thing to do now, if anything may be done. What it gives out is in flight until
    /// [`Lane::done`].
    pub(super) fn next(&mut self, now: DateTime<Utc>) -> Option<Next> {
        if !self.has_next(now) {
            return None;
        }
        let only_by_hand = self.is_only_by_hand(now);
        let has_queue = self.queues.has_next(only_by_hand);
        self.was_queue = has_queue && !(self.was_queue && self.window.has_next(only_by_hand, now));
        let (queue, entry) = if self.was_queue {
            let (key, entry) = self.queues.next(only_by_hand)?;
            (Some(key), entry)
        } else {
            let entry = self.window.next(only_by_hand, now)?;
            (entry.stream.state.queue().map(Key::from), entry)
        };
        let flight = Flight::new(queue, &entry);
        self.in_flight.insert(entry.id, flight);
        if self.terms.mode == Mode::Cancel {
            return Some(Next::Cancel(entry));
        }
        if let Some(pace) = &mut self.pace {
            pace.take(now);
        }
        Some(Next::Send(entry))
    }

    /// What limits the attempts a second; cancelling is no attempt.
    fn limits(&self) -> Option<&Pace> {
        self.pace
            .as_ref()
            .filter(|_| self.terms.mode != Mode::Cancel)
    }

    /// Whether the receiver is spared everything but what somebody asked for: it cannot be reached,
    /// or one attempt is trying whether it can be again, and nothing has been put off for too long.
    fn is_only_by_hand(&self, now: DateTime<Utc>) -> bool {
        let is_spared = match self.circuit.state(now) {
            _ if self.terms.mode == Mode::Cancel => false,
            circuit::State::Closed => false,
            circuit::State::Open => true,
            circuit::State::HalfOpen => !self.in_flight.is_empty(),
        };
        is_spared && self.overdue_at().is_none_or(|overdue_at| overdue_at > now)
    }

    /// From when on something goes out although the receiver cannot be reached, if as much of it as
    /// may be is not under way.
    fn overdue_at(&self) -> Option<DateTime<Utc>> {
        let may_be = self.in_flight.len() < circuit::OVERDUE_IN_FLIGHT_MAX;
        let due_at = self.first_due_at().filter(|_| may_be)?;
        Some(due_at + circuit::PUT_OFF_MAX)
    }

    /// When the delivery that waits longest is due, or was, as far as that is known.
    fn first_due_at(&self) -> Option<DateTime<Utc>> {
        earliest([self.window.due_since(), self.queues.due_since()])
    }

    /// What was in flight has been recorded; `again` is the delivery if it is to be sent again. It
    /// may have begun under another lane.
    pub(super) fn done(&mut self, id: DeliveryId, again: Option<Entry>, now: DateTime<Utc>) {
        let Some(flight) = self.in_flight.remove(&id) else {
            // It began under another lane. Others may wait for it in its queue, and somebody may have
            // asked for it meanwhile.
            self.learn(id, Known::Unsure);
            return self.doubt(now);
        };
        let due_at = again.as_ref().and_then(Entry::due_at);
        let again = again.filter(|_| due_at.is_some());
        let known = flight.end(again.as_ref());
        self.learn(id, known);
        let is_sure = known != Known::Unsure;
        if let Some(key) = flight.queue.filter(|_| self.terms.is_in_order()) {
            self.queues.done(&key, id, due_at, is_sure, now);
        } else if is_sure {
            again
                .into_iter()
                .for_each(|entry| self.window.offer(entry, now));
        } else if let Some(due_at) =
            earliest([due_at, flight.change.and_then(|change| change.due_at)])
        {
            self.doubt(due_at);
        }
    }

    /// Takes note of how an attempt ended.
    pub(super) fn note(&mut self, failure: Option<FailureCode>, ended_at: DateTime<Utc>) {
        self.circuit.note(failure, ended_at);
    }

    /// Whether the receiver can be reached, as far as is known.
    pub(super) fn circuit_state(&self, now: DateTime<Utc>) -> circuit::State {
        self.circuit.state(now)
    }

    /// What is in flight, for whoever forgets the lane.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = DeliveryId> {
        self.in_flight.keys().copied()
    }

    /// Since when the delivery that waits longest has been due, if one is due at `now`.
    pub(super) fn due_since(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.first_due_at().filter(|due_at| *due_at <= now)
    }

    /// When something may be to do without anything happening before; `None` if never. What only
    /// the limit of attempts in flight holds back needs no waking: the end of one of them does it.
    pub(super) fn wake_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let loads = self
            .window
            .load_at()
            .into_iter()
            .chain(self.queues.wake_at(now));
        let loads = loads
            .filter(|_| self.loading.is_none())
            .map(|at| at.max(self.load_again_at));
        let has_next = |only_by_hand| {
            self.window.has_next(only_by_hand, now) || self.queues.has_next(only_by_hand)
        };
        // Also with nothing to send now: a lane that was dropped would forget its pace.
        let paced = self.limits().map(|pace| match has_next(false) {
            true => pace.free_at(),
            false => pace.full_at(),
        });
        let probe = self.circuit.probe_at().filter(|_| has_next(false));
        let overdue = probe.and_then(|_| self.overdue_at());
        // What may be done already must not hide what is to come.
        loads
            .chain(
                [self.window.wake_at(now), paced, probe, overdue]
                    .into_iter()
                    .flatten(),
            )
            .filter(|at| *at > now)
            .min()
    }

    /// Whether nothing is to do before [`Lane::wake_at`].
    pub(super) fn is_idle(&self, now: DateTime<Utc>) -> bool {
        self.in_flight.is_empty()
            && self.loading.is_none()
            && self.queues.is_idle()
            && !self.window.has_next(false, now)
    }

    /// Whether nothing is to be sent, here or in the view, and nothing is known of the receiver that
    /// would have to be found out again.
    pub(super) fn is_empty(&self) -> bool {
        let is_carefree = self.terms.mode == Mode::Cancel || self.circuit == Circuit::default();
        is_carefree && self.in_flight.is_empty() && self.window.is_empty() && self.queues.is_empty()
    }
}

/// The first of some moments.
fn earliest<const N: usize>(moments: [Option<DateTime<Utc>>; N]) -> Option<DateTime<Utc>> {
    moments.into_iter().flatten().min()
}

#[cfg(test)]
mod tests;
