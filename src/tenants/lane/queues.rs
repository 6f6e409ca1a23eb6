//! Deliveries that are sent in order: one at a time of each queue, in order of acceptance, which is
//! the order of their ids.
//!
//! A queue is what has the same [`Delivery::queue`](hookledger_domain::delivery::Delivery::queue) and
//! is still to be sent. Only its first delivery may go, when it is due, and while nothing of the
//! queue is in flight. So one that failed holds back its own queue and no other.
//!
//! The `deliveries` view says what comes first, and nobody else: another node may have accepted
//! something of which this one has not heard. Whoever offers a delivery says only that its queue has
//! more; what is sent comes from a load that began later. What is loaded is the beginning of a queue
//! as the view had it; deliveries in it that others have end it: nothing passes them.
//!
//! The invariant that nothing is forgotten: every queue with something to send is held, wanted,
//! being loaded, asleep until its first delivery is due, waits for others who will tell, or is found
//! by a sweep over all queues that begins no later than [`Queues::rest`].
//!
//! What bounds memory: [`WINDOW`] queues besides those in flight, [`QUEUE_MAX`] deliveries of each, and the
//! keys of [`keys::KEYS_MAX`] queues that are wanted and of as many that are asleep.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use hookledger_domain::ids::DeliveryId;

use super::{Entry, Key, earliest, turns::Turns, window::WINDOW};

mod keys;
mod loading;

#[cfg(test)]
pub(super) use keys::KEYS_MAX;
use keys::{Asleep, Wanted};
use loading::Asked;

/// How many deliveries of a queue are loaded at one time. With more waiting, it goes to the end of
/// the line after so many.
pub(super) const QUEUE_MAX: usize = 16;
/// A queue with no more than these in hand is loaded again before they are used up.
const QUEUE_LOW: usize = QUEUE_MAX / 4;

/// A queue that is held: something of it may be sent, or is in flight.
#[derive(Debug, Default)]
struct Queue {
    /// The first ones of it that are not in flight.
    entries: VecDeque<Entry>,
    in_flight: usize,
    /// The view had more when it was read.
    has_more: bool,
    /// Something was heard of it that no load has shown: the number of the last load that had begun.
    heard: Option<u64>,
    /// Its place among those that may be sent.
    turn: Option<u64>,
}

/// The queues of a webhook.
#[derive(Debug, Default)]
pub(super) struct Queues {
    held: HashMap<Key, Queue>,
    /// Those of them that may be sent.
    ready: Turns<u64, Key>,
    turns: u64,
    wanted: Wanted,
    asleep: Asleep,
    /// From when on the view may have queues to send of which nothing is known here.
    rest: Option<DateTime<Utc>>,
    /// A sweep is under way, and goes on after this key.
    sweep: Option<Option<Key>>,
    was_sweep: bool,
    asked: Option<Asked>,
    loads: u64,
}

impl Queues {
    /// Queues of which these have something in flight already, one key for each delivery.
    pub(super) fn new(in_flight: impl Iterator<Item = Key>) -> Self {
        let mut queues = Self::default();
        for key in in_flight {
            let queue = queues.held.entry(key).or_default();
            queue.in_flight += 1;
            queue.heard = Some(0);
        }
        queues
    }

    /// Something was accepted, or is otherwise to be sent, that may lie in the view.
    pub(super) fn hear(&mut self, key: &str, id: DeliveryId, is_urgent: bool) {
        let waits_behind = self.asleep.head(key).is_some_and(|head| id > head);
        if waits_behind && !self.is_asked(key) {
            return;
        }
        let loads = self.loads;
        if self.asleep.remove(key).is_none()
            && let Some((key, queue)) = self.held_mut(key)
        {
            queue.heard = Some(loads);
            return self.refill(&key);
        }
        self.want(&Arc::from(key), is_urgent);
    }

    /// Somebody else has changed a delivery that is not in flight; `fresh` is how it stands then.
    pub(super) fn changed(&mut self, key: &str, fresh: &Entry, now: DateTime<Utc>) {
        let held = self.held.get(key);
        let known = held.and_then(|queue| queue.entries.iter().find(|entry| entry.id == fresh.id));
        let is_news = match known {
            Some(known) => known.stream.sequence < fresh.stream.sequence,
            // One that is not to be sent any more matters only where it was the first.
            None => fresh.due_at().is_some() || self.asleep.head(key) == Some(fresh.id),
        };
        if !is_news {
            return;
        }
        let is_urgent = fresh.due_at().is_some() && fresh.is_by_hand();
        match self.held_mut(key) {
            Some((key, _)) => self.doubt(&key, is_urgent, now),
            None => self.hear(key, fresh.id, is_urgent),
        }
    }

    /// What was in flight is recorded: it is to be sent `again`, or not. If that is not sure the
    /// view is asked.
    pub(super) fn done(
        &mut self,
        key: &Key,
        id: DeliveryId,
        again: Option<DateTime<Utc>>,
        is_sure: bool,
        now: DateTime<Utc>,
    ) {
        let Some(queue) = self.held.get_mut(key) else {
            return;
        };
        queue.in_flight = queue.in_flight.saturating_sub(1);
        if !is_sure {
            return self.doubt(key, false, now);
        }
        if let Some(due_at) = again {
            let behind = queue.entries.partition_point(|entry| entry.id < id);
            queue.entries.truncate(behind);
            queue.has_more = true;
            let is_first = queue.entries.is_empty() && queue.heard.is_none();
            if is_first && queue.in_flight == 0 && due_at > now {
                self.held.remove(key);
                return self.sleep(key.clone(), due_at, id);
            }
        }
        self.settle(key, now);
    }

    /// Something that is due at `due_at` may lie in the view, in whatever queue.
    pub(super) fn leave(&mut self, due_at: DateTime<Utc>) {
        self.rest = earliest([self.rest, Some(due_at)]);
    }

    /// Whether something may be sent.
    pub(super) fn has_next(&self, only_by_hand: bool) -> bool {
        self.ready.first(only_by_hand, |_| true).is_some()
    }

    /// Gives it out, with its queue: the queues go in turn.
    pub(super) fn next(&mut self, only_by_hand: bool) -> Option<(Key, Entry)> {
        let key = self.ready.take(only_by_hand, |_| true)?;
        let queue = self.held.get_mut(&key)?;
        queue.turn = None;
        let entry = queue.entries.pop_front()?;
        queue.in_flight += 1;
        self.refill(&key);
        Some((key, entry))
    }

    /// When something is to be done next, by itself; what is to be loaded may be it already.
    pub(super) fn wake_at(&self, now: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        let has_room = self.has_room();
        let rest = self.rest.filter(|_| has_room && self.sweep.is_none());
        let is_waiting = self.wants_these() || has_room && self.sweep.is_some();
        let load = is_waiting.then_some(now);
        [rest, load, self.asleep.first()].into_iter().flatten()
    }

    /// Since when the delivery has been due that waits longest, as far as that is known.
    pub(super) fn due_since(&self) -> Option<DateTime<Utc>> {
        let first = |(_, key): (_, &Key)| self.held.get(key)?.entries.front()?.due_at();
        let held = self.ready.iter().filter_map(first).min();
        // Queues that only are to be looked at have no delivery that waits.
        let rest = self.rest.filter(|rest| *rest > DateTime::UNIX_EPOCH);
        earliest([held, self.asleep.first(), rest])
    }

    /// Whether nothing can be done before something is due.
    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty() && self.wanted.is_empty() && self.sweep.is_none()
    }

    /// Whether nothing is to be sent, here or in the view.
    pub(super) fn is_empty(&self) -> bool {
        self.is_idle() && self.asleep.is_empty() && self.rest.is_none() && self.asked.is_none()
    }
}

impl Queues {
    fn has_room(&self) -> bool {
        self.ready.len() <= WINDOW / 2
    }

    fn held_mut(&mut self, key: &str) -> Option<(Key, &mut Queue)> {
        let (key, _) = self.held.get_key_value(key)?;
        let key = key.clone();
        let queue = self.held.get_mut(&key)?;
        Some((key, queue))
    }

    /// What is in hand of a queue may be wrong.
    fn doubt(&mut self, key: &Key, is_urgent: bool, now: DateTime<Utc>) {
        if let Some(queue) = self.held.get_mut(key) {
            queue.entries.clear();
            queue.heard = Some(self.loads);
        }
        if is_urgent {
            self.want(key, true);
        }
        self.settle(key, now);
    }

    /// Gives a held queue its turn, or lets it go if nothing of it can be sent now.
    fn settle(&mut self, key: &Key, now: DateTime<Utc>) {
        let Some(queue) = self.held.get_mut(key) else {
            return;
        };
        let turn = queue.turn.take();
        if let Some(turn) = turn {
            self.ready.remove(turn);
        }
        if queue.in_flight > 0 {
            return self.refill(key);
        }
        let head = queue.entries.front();
        let head = head.and_then(|head| Some((head.id, head.due_at()?, head.is_by_hand())));
        match head {
            Some((_, due_at, is_by_hand)) if due_at <= now => {
                self.turns += 1;
                let turn = turn.unwrap_or(self.turns);
                queue.turn = Some(turn);
                self.ready.insert(turn, key.clone(), is_by_hand);
                self.refill(key);
            }
            Some((id, due_at, _)) if queue.heard.is_none() => {
                self.held.remove(key);
                self.sleep(key.clone(), due_at, id);
            }
            _ => {
                let is_lacking = self.is_lacking(key);
                self.held.remove(key);
                if is_lacking {
                    self.want(key, false);
                }
            }
        }
    }

    /// Wants a held queue before what is in hand of it is used up, if nobody waits for the room.
    fn refill(&mut self, key: &Key) {
        let Some(queue) = self.held.get(key) else {
            return;
        };
        // Where order is new, several may be in flight: then a load might show nothing else.
        let is_low = queue.entries.len() <= QUEUE_LOW && queue.in_flight <= 1;
        if is_low && self.has_room() && self.is_lacking(key) {
            self.want(key, false);
        }
    }

    /// Whether the view may have more of a held queue than is in hand, or being loaded.
    fn is_lacking(&self, key: &Key) -> bool {
        let Some(queue) = self.held.get(key) else {
            return false;
        };
        match &self.asked {
            Some(Asked::These(keys)) if keys.contains(key) => queue.heard == Some(self.loads),
            _ => queue.has_more || queue.heard.is_some(),
        }
    }

    /// Whether the load under way may be about a queue.
    fn is_asked(&self, key: &str) -> bool {
        match &self.asked {
            Some(Asked::These(keys)) => keys.iter().any(|asked| **asked == *key),
            Some(Asked::Sweep { .. }) => true,
            None => false,
        }
    }

    fn want(&mut self, key: &Key, is_urgent: bool) {
        if !self.wanted.insert(key, is_urgent) {
            self.leave(DateTime::UNIX_EPOCH);
        }
    }

    fn sleep(&mut self, key: Key, until: DateTime<Utc>, head: DeliveryId) {
        if let Some(until) = self.asleep.insert(key, until, head) {
            self.leave(until);
        }
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> Sizes {
        let lengths = self.held.values().map(|queue| queue.entries.len());
        Sizes {
            held: self.held.len(),
            longest: lengths.max().unwrap_or_default(),
            wanted: self.wanted.len(),
            asleep: self.asleep.len(),
        }
    }
}

/// How much is in memory.
#[cfg(test)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Queues.
    pub held: usize,
    /// Deliveries of the longest of them.
    pub longest: usize,
    /// Keys.
    pub wanted: usize,
    /// Keys.
    pub asleep: usize,
}
