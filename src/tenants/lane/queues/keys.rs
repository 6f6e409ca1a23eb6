//! Keys of queues that are not held, though something is known of them.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use chrono::{DateTime, Utc};
use hookledger_domain::ids::DeliveryId;

use super::Key;

/// The most keys that are wanted, and the most that sleep.
pub(in crate::tenants::lane) const KEYS_MAX: usize = 1024;

/// Queues that are to be loaded, in turn; those first in which somebody asked for something.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    urgent: VecDeque<Key>,
    others: VecDeque<Key>,
    all: HashSet<Key>,
}

impl Wanted {
    /// Takes a key, unless there is no room for it.
    pub(super) fn insert(&mut self, key: &Key, is_urgent: bool) -> bool {
        if self.all.contains(key) {
            if is_urgent && !self.urgent.contains(key) {
                self.others.retain(|known| known != key);
                self.urgent.push_back(key.clone());
            }
            return true;
        }
        if self.is_full() {
            return false;
        }
        self.all.insert(key.clone());
        let line = if is_urgent {
            &mut self.urgent
        } else {
            &mut self.others
        };
        line.push_back(key.clone());
        true
    }

    /// The next ones, at most so many.
    pub(super) fn take(&mut self, max: usize) -> Vec<Key> {
        let mut keys = Vec::with_capacity(max.min(self.all.len()));
        while keys.len() < max
            && let Some(key) = self.urgent.pop_front().or_else(|| self.others.pop_front())
        {
            self.all.remove(&key);
            keys.push(key);
        }
        keys
    }

    /// Whether a key is among them.
    pub(super) fn contains(&self, key: &str) -> bool {
        self.all.contains(key)
    }

    /// Whether there is no room for another one.
    pub(super) fn is_full(&self) -> bool {
        self.all.len() >= KEYS_MAX
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many of them are urgent.
    pub(super) fn urgent(&self) -> usize {
        self.urgent.len()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

/// Queues whose first delivery waits for its time, each with that time and that delivery.
#[derive(Debug, Default)]
pub(super) struct Asleep {
    sleepers: HashMap<Key, (DateTime<Utc>, DeliveryId)>,
    by_time: BTreeMap<(DateTime<Utc>, DeliveryId), Key>,
}

impl Asleep {
    /// Takes a queue. If there is no room, the one that sleeps longest has to go: this gives until
    /// when it does.
    pub(super) fn insert(
        &mut self,
        key: Key,
        until: DateTime<Utc>,
        head: DeliveryId,
    ) -> Option<DateTime<Utc>> {
        self.remove(&key);
        self.by_time.insert((until, head), key.clone());
        self.sleepers.insert(key, (until, head));
        if self.sleepers.len() <= KEYS_MAX {
            return None;
        }
        let ((until, _), key) = self.by_time.pop_last()?;
        self.sleepers.remove(&key);
        Some(until)
    }

    /// Wakes a queue.
    pub(super) fn remove(&mut self, key: &str) -> Option<(DateTime<Utc>, DeliveryId)> {
        let sleeper = self.sleepers.remove(key)?;
        self.by_time.remove(&sleeper);
        Some(sleeper)
    }

    /// The first delivery of a queue that sleeps.
    pub(super) fn head(&self, key: &str) -> Option<DeliveryId> {
        self.sleepers.get(key).map(|(_, head)| *head)
    }

    /// When the first of them wakes.
    pub(super) fn first(&self) -> Option<DateTime<Utc>> {
        self.by_time.keys().next().map(|(until, _)| *until)
    }

    /// Wakes the first one, if its time has come.
    pub(super) fn wake(&mut self, now: DateTime<Utc>) -> Option<Key> {
        if self.first()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.sleepers.remove(&key);
        Some(key)
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.sleepers.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sleepers.len()
    }
}
