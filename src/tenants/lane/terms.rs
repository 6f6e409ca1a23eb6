//! What a lane goes by.

use super::window::Scope;

/// What a lane does with its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tenants) enum Mode {
    /// The webhook is active: send all.
    All,
    /// The webhook is inactive: send tests, let the others wait.
    TestsOnly,
    /// The webhook is gone: what is to be sent is to be cancelled.
    Cancel,
    /// The webhook is not known: all wait until it is known, or known to be gone.
    Hold,
}

/// What a lane goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tenants) struct Terms {
    /// What it does with its deliveries.
    pub mode: Mode,
    /// They are sent in order of acceptance, one at a time of each ordering key.
    pub is_fifo: bool,
    /// At most so many attempts at one time.
    pub in_flight_max: usize,
    /// At most so many attempts a second.
    pub rate_limit: Option<u32>,
    /// The webhook's version: what is known of another one's receiver is not known of this one's.
    pub version: u64,
}

impl Terms {
    pub(super) fn is_in_order(&self) -> bool {
        self.is_fifo && self.mode == Mode::All
    }

    pub(super) fn scope(&self) -> Scope {
        match self.mode {
            // The others stand in queues.
            Mode::All if self.is_fifo => Scope::Tests,
            Mode::All => Scope::Due,
            Mode::TestsOnly => Scope::Tests,
            Mode::Cancel => Scope::All,
            Mode::Hold => Scope::Nothing,
        }
    }
}
