//! What a lane takes and gives.

use chrono::{DateTime, Utc};
use hookledger_domain::{delivery::Delivery, ids::DeliveryId};

use crate::{store::Stream, tenants::bodies::Body};

/// A delivery in memory that is to be sent.
#[derive(Debug, Clone)]
pub(in crate::tenants) struct Entry {
    /// Its id.
    pub id: DeliveryId,
    /// Its state, so that an attempt costs one append and no read.
    pub stream: Stream<Delivery>,
    /// What is to be sent, if it is still at hand; otherwise the store has it.
    pub body: Option<Body>,
}

impl Entry {
    /// When it is due; never if it has ended and nobody asked for it again.
    pub(in crate::tenants) fn due_at(&self) -> Option<DateTime<Utc>> {
        self.stream.state.due_at()
    }

    /// Whether somebody asked for its next attempt and waits for it: a test, too.
    pub(super) fn is_by_hand(&self) -> bool {
        let delivery = &self.stream.state;
        delivery.is_test() || delivery.next_trigger().is_by_hand()
    }
}

/// What [`Lane::next`](super::Lane::next) gives out.
#[derive(Debug)]
pub(in crate::tenants) enum Next {
    /// Send this one now.
    Send(Entry),
    /// Cancel this one.
    Cancel(Entry),
}

impl Next {
    /// Which delivery it is.
    pub(in crate::tenants) fn id(&self) -> DeliveryId {
        match self {
            Self::Send(entry) | Self::Cancel(entry) => entry.id,
        }
    }
}
