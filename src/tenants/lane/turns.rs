//! What waits for its turn.

use std::collections::BTreeMap;

/// What may be sent, in an order of its own, and apart from it what was asked for by hand: the two go
/// in turn, so that a redelivery need not wait for a backlog, nor messages for a mass of redeliveries.
#[derive(Debug)]
pub(super) struct Turns<K, V> {
    by_hand: BTreeMap<K, V>,
    others: BTreeMap<K, V>,
    was_by_hand: bool,
}

impl<K, V> Default for Turns<K, V> {
    fn default() -> Self {
        Self {
            by_hand: BTreeMap::new(),
            others: BTreeMap::new(),
            was_by_hand: false,
        }
    }
}

impl<K: Ord + Copy, V> Turns<K, V> {
    /// Lets something wait at its place.
    pub(super) fn insert(&mut self, place: K, value: V, is_by_hand: bool) {
        let side = if is_by_hand {
            &mut self.by_hand
        } else {
            &mut self.others
        };
        side.insert(place, value);
    }

    /// Takes something out before its turn.
    pub(super) fn remove(&mut self, place: K) -> Option<V> {
        self.by_hand
            .remove(&place)
            .or_else(|| self.others.remove(&place))
    }

    /// What waits at a place.
    pub(super) fn get(&self, place: K) -> Option<&V> {
        self.by_hand.get(&place).or_else(|| self.others.get(&place))
    }

    /// Whose turn it is, if anybody's: `may_go` says it of the first places, `only_by_hand` keeps
    /// the others back.
    pub(super) fn first(&self, only_by_hand: bool, may_go: impl Fn(K) -> bool) -> Option<K> {
        let first = |side: &BTreeMap<K, V>| {
            let (place, _) = side.first_key_value()?;
            may_go(*place).then_some(*place)
        };
        let others = || first(&self.others).filter(|_| !only_by_hand);
        if self.was_by_hand {
            others().or_else(|| first(&self.by_hand))
        } else {
            first(&self.by_hand).or_else(others)
        }
    }

    /// The same, and takes it out.
    pub(super) fn take(&mut self, only_by_hand: bool, may_go: impl Fn(K) -> bool) -> Option<V> {
        let place = self.first(only_by_hand, may_go)?;
        let by_hand = self.by_hand.remove(&place);
        self.was_by_hand = by_hand.is_some();
        by_hand.or_else(|| self.others.remove(&place))
    }

    /// Takes out the one of the others that would have to wait longest, if it may be.
    pub(super) fn give_up(&mut self, may_be: impl Fn(K) -> bool) -> Option<V> {
        let last = self.others.last_entry()?;
        may_be(*last.key()).then(|| last.remove())
    }

    /// Everything that waits.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.by_hand.iter().chain(&self.others)
    }

    /// The first places behind `place`, on either side.
    pub(super) fn after(&self, place: K) -> impl Iterator<Item = K> {
        let next = move |side: &BTreeMap<K, V>| side.range(place..).next().map(|(key, _)| *key);
        [next(&self.by_hand), next(&self.others)]
            .into_iter()
            .flatten()
    }

    /// How many wait that were asked for by hand.
    pub(super) fn by_hand(&self) -> usize {
        self.by_hand.len()
    }

    /// How many others wait.
    pub(super) fn others(&self) -> usize {
        self.others.len()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.by_hand.len() + self.others.len()
    }
}
