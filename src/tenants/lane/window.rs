//! Deliveries that are sent as they come due.
//!
//! A window of them is held. The rest lies in the `deliveries` view and is loaded in due order as
//! the window empties. The invariant that nothing is forgotten: every delivery that is to be sent
//! is held, in flight, or due no earlier than [`Window::rest`].

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use hookledger_domain::ids::DeliveryId;

use super::{
    Entry, earliest,
    news::{Judge, Verdict},
    turns::Turns,
};

/// The most deliveries that are held, and as many that were asked for by hand.
pub(super) const WINDOW: usize = 128;

/// The same while what joins has its body at hand, which has a bound of its own for the whole
/// process: a short burst needs no way through the view.
pub(super) const WINDOW_AT_HAND: usize = 4096;

/// Which deliveries a window is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// All, as they come due.
    Due,
    /// Tests only.
    Tests,
    /// All, due or not: they are to be cancelled.
    All,
    /// None: they wait in the view.
    Nothing,
}

type Place = (DateTime<Utc>, DeliveryId);

/// The window.
#[derive(Debug)]
pub(super) struct Window {
    scope: Scope,
    held: Turns<Place, Entry>,
    places: HashMap<DeliveryId, Place>,
    /// From when on something may be due that only the view knows.
    rest: Option<DateTime<Utc>>,
    /// The load under way: its limit, and what `rest` was before it.
    asked: Option<(u32, Option<DateTime<Utc>>)>,
}

impl Window {
    /// A window without anything in the view.
    pub(super) fn new(scope: Scope) -> Self {
        Self {
            scope,
            held: Turns::default(),
            places: HashMap::new(),
            rest: None,
            asked: None,
        }
    }

    /// Only tests are loaded.
    pub(super) fn is_for_tests(&self) -> bool {
        self.scope == Scope::Tests
    }

    /// Takes a delivery that the ledger has like this, unless it is held in this state
    /// or a later one. It is held if there is room and nothing that is due earlier lies in the view only; otherwise it is
    /// loaded later.
    pub(super) fn offer(&mut self, entry: Entry, now: DateTime<Utc>) {
        let Some(due_at) = entry.due_at() else { return };
        if self.scope == Scope::Tests && !entry.stream.state.is_test() {
            return;
        }
        if self.is_known(&entry) {
            return;
        }
        self.remove(entry.id);
        let is_behind = self.rest.is_some_and(|rest| rest <= due_at);
        let window = match entry.body {
            Some(_) => WINDOW_AT_HAND,
            None => WINDOW,
        };
        let fits = match entry.is_by_hand() {
            true => self.held.by_hand() < WINDOW,
            false => !is_behind && self.held.others() < window,
        };
        if fits && self.scope != Scope::Nothing {
            self.hold(entry, due_at, now);
        } else {
            self.leave(due_at);
        }
    }

    /// Takes a delivery as somebody else has left it.
    pub(super) fn changed(&mut self, fresh: Entry, now: DateTime<Utc>) {
        if fresh.due_at().is_some() {
            self.offer(fresh, now);
        } else if !self.is_known(&fresh) {
            self.remove(fresh.id);
        }
    }

    /// Leaves something that is due at `due_at` to the view. What is to be cancelled need not wait
    /// until it is due.
    pub(super) fn leave(&mut self, due_at: DateTime<Utc>) {
        let due_at = match self.scope {
            Scope::All => DateTime::UNIX_EPOCH,
            Scope::Due | Scope::Tests | Scope::Nothing => due_at,
        };
        self.rest = earliest([self.rest, Some(due_at)]);
    }

    /// Whether something is held that is due and may be sent.
    pub(super) fn has_next(&self, only_by_hand: bool, now: DateTime<Utc>) -> bool {
        self.held.first(only_by_hand, is_due(now)).is_some()
    }

    /// Gives it out.
    pub(super) fn next(&mut self, only_by_hand: bool, now: DateTime<Utc>) -> Option<Entry> {
        let entry = self.held.take(only_by_hand, is_due(now))?;
        self.places.remove(&entry.id);
        Some(entry)
    }

    /// How many deliveries to load now, if any, while the view shows so many, too, that are under way.
    /// The load counts as under way until its answer is there.
    pub(super) fn start_load(&mut self, under_way: usize, now: DateTime<Utc>) -> Option<u32> {
        if self.rest.is_none_or(|rest| rest > now) {
            return None;
        }
        self.make_room(now);
        if !self.has_room() {
            return None;
        }
        let limit = u32::try_from(WINDOW + self.held.len() + under_way).unwrap_or(u32::MAX);
        self.asked = Some((limit, self.rest.take()));
        Some(limit)
    }

    /// Takes what a load gave, in due order.
    pub(super) fn loaded(&mut self, found: Vec<Entry>, judge: &Judge<'_>, now: DateTime<Utc>) {
        let Some((limit, _)) = self.asked.take() else {
            return;
        };
        if found.len() >= limit as usize {
            // What follows is due no earlier than the last of these that is as the view had it.
            let is_fresh = |entry: &&Entry| judge.judge(entry) == Verdict::Fresh;
            let last = found.iter().rev().find(is_fresh).and_then(Entry::due_at);
            self.leave(last.unwrap_or(DateTime::UNIX_EPOCH));
        }
        for entry in found {
            let Some(due_at) = entry.due_at() else {
                continue;
            };
            match judge.judge(&entry) {
                Verdict::Past | Verdict::Stands | Verdict::Elsewhere => {}
                Verdict::Unsure => self.leave(due_at),
                Verdict::Fresh => self.take(entry, due_at, now),
            }
        }
    }

    fn take(&mut self, entry: Entry, due_at: DateTime<Utc>, now: DateTime<Utc>) {
        if self.is_known(&entry) {
            return;
        }
        self.remove(entry.id);
        let held = match entry.is_by_hand() {
            true => self.held.by_hand(),
            false => self.held.others(),
        };
        if held < WINDOW {
            self.hold(entry, due_at, now);
        } else {
            self.leave(due_at);
        }
    }

    /// The load came to nothing.
    pub(super) fn load_failed(&mut self) {
        if let Some((_, Some(rest))) = self.asked.take() {
            self.leave(rest);
        }
    }

    /// When something may be to do next, by itself: something comes due, here or in the view.
    pub(super) fn wake_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next = (
            now + chrono::Duration::nanoseconds(1),
            DeliveryId::default(),
        );
        self.held.after(next).map(|(due_at, _)| due_at).min()
    }

    /// When something is to be loaded; it may be already.
    pub(super) fn load_at(&self) -> Option<DateTime<Utc>> {
        self.rest
            .filter(|_| self.asked.is_none() && self.has_room())
    }

    /// Since when the delivery has been due that waits longest, as far as that is known.
    pub(super) fn due_since(&self) -> Option<DateTime<Utc>> {
        if self.scope == Scope::All {
            // What is to be cancelled does not wait to be sent.
            return None;
        }
        let first = self
            .held
            .after((DateTime::UNIX_EPOCH, DeliveryId::default()));
        // A window that only looks whether something is due has no delivery that waits.
        let rest = self.rest.filter(|rest| *rest > DateTime::UNIX_EPOCH);
        first.map(|(due_at, _)| due_at).chain(rest).min()
    }

    /// Whether nothing is to be sent, here or in the view.
    pub(super) fn is_empty(&self) -> bool {
        self.held.len() == 0 && self.rest.is_none() && self.asked.is_none()
    }

    /// Leaves to the view what waits for later: it must not hold up what is due now.
    fn make_room(&mut self, now: DateTime<Utc>) {
        while self.held.others() > WINDOW / 2
            && let Some(entry) = self.held.give_up(|(due_at, _)| due_at > now)
        {
            self.places.remove(&entry.id);
            if let Some(due_at) = entry.due_at() {
                self.leave(due_at);
            }
        }
    }

    fn has_room(&self) -> bool {
        self.scope != Scope::Nothing
            && self.held.by_hand() <= WINDOW / 2
            && self.held.others() <= WINDOW / 2
    }

    /// Whether it is held in this state or a later one.
    fn is_known(&self, entry: &Entry) -> bool {
        let held = self.places.get(&entry.id);
        let held = held.and_then(|place| self.held.get(*place));
        held.is_some_and(|held| held.stream.sequence >= entry.stream.sequence)
    }

    fn hold(&mut self, mut entry: Entry, due_at: DateTime<Utc>, now: DateTime<Utc>) {
        let place = match self.scope {
            Scope::All => (DateTime::UNIX_EPOCH, entry.id),
            Scope::Due | Scope::Tests | Scope::Nothing => (due_at, entry.id),
        };
        if place.0 > now {
            // It will wait; its body need not.
            entry.body = None;
        }
        self.places.insert(entry.id, place);
        let is_by_hand = entry.is_by_hand();
        self.held.insert(place, entry, is_by_hand);
    }

    fn remove(&mut self, id: DeliveryId) -> Option<Entry> {
        let place = self.places.remove(&id)?;
        self.held.remove(place)
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.held.by_hand(), self.held.others())
    }
}

fn is_due(now: DateTime<Utc>) -> impl Fn(Place) -> bool {
    move |(due_at, _)| due_at <= now
}
