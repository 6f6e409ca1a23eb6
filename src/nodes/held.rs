//! Which partitions this node holds, asked before every attempt.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::Partition;

/// The partitions of this node, each with the epoch under which it holds it, and until when its
/// lease is good by this machine's own clock. That clock goes on while the process is halted.
#[derive(Debug)]
pub struct Held {
    /// 0 for those that it does not hold.
    epochs: [AtomicU64; Partition::COUNT],
    started: Instant,
    /// Milliseconds since `started`.
    good_until: AtomicU64,
}

impl Held {
    /// All partitions for ever: the one process of a database that has no other.
    pub fn everything() -> Self {
        Self::with(1, u64::MAX)
    }

    /// Nothing yet.
    pub fn nothing() -> Self {
        Self::with(0, 0)
    }

    fn with(epoch: u64, good_until: u64) -> Self {
        Self {
            epochs: std::array::from_fn(|_| AtomicU64::new(epoch)),
            started: Instant::now(),
            good_until: AtomicU64::new(good_until),
        }
    }

    /// The epoch under which this node may send for a partition now.
    pub fn epoch(&self, partition: Partition) -> Option<u64> {
        let epoch = self.epoch_of(partition);
        epoch.filter(|_| self.is_good())
    }

    /// The same, also while the lease is in doubt.
    pub(super) fn epoch_of(&self, partition: Partition) -> Option<u64> {
        match self.epochs[usize::from(partition.0)].load(Ordering::Acquire) {
            0 => None,
            epoch => Some(epoch),
        }
    }

    /// Whether it is for this node to do what one node does for all: of those on one database it is the
    /// one that holds the first partition.
    pub fn has_turn(&self) -> bool {
        self.epoch(Partition(0)).is_some()
    }

    /// Whether the lease is good, as far as this node knows.
    pub(super) fn is_good(&self) -> bool {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        now < self.good_until.load(Ordering::Acquire)
    }

    /// Which partitions it holds, also while the lease is in doubt.
    pub fn partitions(&self) -> Vec<Partition> {
        Partition::all()
            .filter(|partition| self.epoch_of(*partition).is_some())
            .collect()
    }

    /// The lease is good for so long from `since` on.
    pub(super) fn renew(&self, since: Instant, lease: Duration) {
        let until = since.saturating_duration_since(self.started) + lease;
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.good_until.store(until, Ordering::Release);
    }

    pub(super) fn take(&self, partition: Partition, epoch: u64) {
        self.epochs[usize::from(partition.0)].store(epoch, Ordering::Release);
    }

    pub(super) fn forget(&self, partition: Partition) {
        self.take(partition, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_is_over_holds_nothing() {
        let (held, partition) = (Held::nothing(), Partition(7));
        held.take(partition, 3);
        assert_eq!(held.epoch(partition), None);
        held.renew(Instant::now(), Duration::from_secs(60));
        assert_eq!(held.epoch(partition), Some(3));
        assert_eq!(held.epoch(Partition(8)), None);
        held.renew(Instant::now(), Duration::ZERO);
        assert_eq!(held.epoch(partition), None);
        assert_eq!(held.partitions(), [partition]);
        held.forget(partition);
        assert_eq!(held.partitions(), []);
    }
}
