//! How many attempts a second a webhook may have.

use std::{cell::Cell, num::NonZeroU32, time::Duration};

use chrono::{DateTime, Utc};
use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};

/// Cells that an attempt takes. The limiter counts in whole cells; with 50 of them, as many cells as
/// there are attempts a second are 20 ms worth, whatever the limit.
const CELLS: NonZeroU32 = NonZeroU32::MIN.saturating_add(49);

/// At most so many attempts a second, evenly spread. What was missed within the last 20 ms may be
/// made up for at once: that covers the coarseness of timers.
#[derive(Debug)]
pub(super) struct Pace {
    per_second: NonZeroU32,
    limiter: RateLimiter<NotKeyed, InMemoryState, Given, NoOpMiddleware<Duration>>,
    /// Cells that can be taken at once: those of an attempt, and 20 ms worth.
    cells_max: NonZeroU32,
    slack: Duration,
    /// When all of them are there again.
    full_at: DateTime<Utc>,
}

/// The time that was handed in last, since 1970: the limiter asks no other clock.
#[derive(Debug, Default)]
struct Given(Cell<Duration>);

impl Clock for Given {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.get()
    }
}

impl Pace {
    /// A pace that may begin at once.
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        let cells_max = CELLS.saturating_add(per_second.get());
        let quota = Quota::per_second(per_second.saturating_mul(CELLS)).allow_burst(cells_max);
        Self {
            per_second,
            limiter: RateLimiter::direct_with_clock(quota, Given::default()),
            cells_max,
            slack: quota.replenish_interval() * per_second.get(),
            full_at: DateTime::UNIX_EPOCH,
        }
    }

    /// How many attempts a second it allows.
    pub(super) fn per_second(&self) -> NonZeroU32 {
        self.per_second
    }

    /// From when on the next attempt may start.
    pub(super) fn free_at(&self) -> DateTime<Utc> {
        self.full_at - self.slack
    }

    /// From when on it is like a new one.
    pub(super) fn full_at(&self) -> DateTime<Utc> {
        self.full_at
    }

    /// An attempt starts at `now`, which is allowed from [`Pace::free_at`] on.
    pub(super) fn take(&mut self, now: DateTime<Utc>) {
        let since_1970 = (now - DateTime::UNIX_EPOCH).to_std().unwrap_or_default();
        self.limiter.clock().0.set(since_1970);
        let taken = self.limiter.check_n(CELLS);
        debug_assert!(matches!(taken, Ok(Ok(()))), "{now} is too early: {taken:?}");
        // Asking for more than is left takes nothing and tells when it will be there.
        if let Ok(Err(not_yet)) = self.limiter.check_n(self.cells_max) {
            self.full_at = DateTime::UNIX_EPOCH + not_yet.earliest_possible();
        }
    }
}

#[cfg(test)]
mod tests;
