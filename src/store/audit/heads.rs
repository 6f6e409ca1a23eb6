//! The whole ledger in one hash.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::store::{Hash, Head};

/// What the digest of all heads begins with.
const TAG: &[u8] = b"hookledger heads 1";

/// Stands for the whole ledger up to a position: for every event, its place and its order among those of
/// its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerHead {
    /// The position of the last event; 0 if there is none.
    pub position: u64,
    /// How many events there are.
    pub events: u64,
    /// The SHA-256 of the text `hookledger heads 1` and, for each tenant by rising id (empty for what
    /// belongs to none): its id, preceded by its length in bytes, the position of its last event, the
    /// number of its events, all as eight bytes, big-endian, and the hash of its last event.
    pub hash: Hash,
}

impl LedgerHead {
    pub(super) fn of(heads: &BTreeMap<String, Head>) -> Self {
        let mut digest = Sha256::new_with_prefix(TAG);
        let (mut position, mut events) = (0, 0);
        for (tenant, head) in heads {
            digest.update((tenant.len() as u64).to_be_bytes());
            digest.update(tenant);
            digest.update(head.position.to_be_bytes());
            digest.update(head.events.to_be_bytes());
            digest.update(head.hash.as_bytes());
            position = position.max(head.position);
            events = head.events.saturating_add(events);
        }
        Self {
            position,
            events,
            hash: Hash::of(digest),
        }
    }
}
