//! How events are chained to each other by their hashes, so that a history that was edited does not
//! add up any more. The store's writers make the hashes; [`audit`](super::audit) checks them.
//!
//! An event's **content** is the SHA-256 of [`CONTENT_TAG`] and its fields: tenant (empty for none),
//! aggregate type, aggregate id, sequence, event type, event version, time, payload, metadata, in
//! this order. Texts are preceded by their length in bytes, as eight bytes; the sequence and the time,
//! in microseconds since 1970, are eight bytes each. All numbers are big-endian.
//!
//! Its **hash** is the SHA-256 of its content, its position (eight bytes), the hash of the event
//! before it in its stream, and the hash of the event before it among the events of its tenant. Where
//! there is none before it, 32 zeros stand for it.
//!
//! So the hash of a tenant's last event, the tenant's **head**, stands for every event of the tenant,
//! its place and its order.

use std::fmt;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

/// What every content begins with: the name of this way to chain, and its version.
const CONTENT_TAG: &[u8] = b"hookledger event 1";

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What stands for the hash of an event that is not there.
    pub const NONE: Self = Self([0; 32]);

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads what a database holds; `None` if it is none.
    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Reads what [`Display`](fmt::Display) writes; `None` if it is none.
    pub fn from_hex(text: &str) -> Option<Self> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 64 || !text.bytes().all(is_hex) {
            return None;
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// Ends a digest.
    pub(super) fn of(digest: Sha256) -> Self {
        Self(digest.finalize().into())
    }
}

/// As lower-case hexadecimal.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What of an event its hash covers besides its place. Bytes, since what is checked may be no text
/// any more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    /// Empty for what belongs to no tenant.
    pub(super) tenant_id: &'a [u8],
    pub(super) aggregate_type: &'a [u8],
    pub(super) aggregate_id: &'a [u8],
    pub(super) sequence: i64,
    pub(super) event_type: &'a [u8],
    pub(super) event_version: &'a [u8],
    /// Microseconds since 1970.
    pub(super) recorded_at: i64,
    pub(super) payload: &'a [u8],
    pub(super) metadata: &'a [u8],
}

impl Content<'_> {
    /// Its digest.
    pub(super) fn hash(&self) -> Hash {
        let mut digest = Sha256::new_with_prefix(CONTENT_TAG);
        let text = |digest: &mut Sha256, bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        text(&mut digest, self.tenant_id);
        text(&mut digest, self.aggregate_type);
        text(&mut digest, self.aggregate_id);
        digest.update(self.sequence.to_be_bytes());
        text(&mut digest, self.event_type);
        text(&mut digest, self.event_version);
        digest.update(self.recorded_at.to_be_bytes());
        text(&mut digest, self.payload);
        text(&mut digest, self.metadata);
        Hash::of(digest)
    }
}

/// A time as contents have it.
pub(super) fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

/// The hash of the event at a position, from its content and the hashes of the events before it in
/// its stream and among those of its tenant.
pub(super) fn link(content: Hash, position: i64, in_stream: Hash, of_tenant: Hash) -> Hash {
    let mut digest = Sha256::new();
    digest.update(content.0);
    digest.update(position.to_be_bytes());
    digest.update(in_stream.0);
    digest.update(of_tenant.0);
    Hash::of(digest)
}

/// How a new row comes by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chaining {
    /// The writer makes it of this content.
    Content(Hash),
    /// Another ledger has made it.
    Kept(Hash),
}

/// The last event of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Its position; 0 if there is none.
    pub position: u64,
    /// How many events the tenant has.
    pub events: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Head {
    /// Puts an event of the tenant after it.
    pub(super) fn push(&mut self, position: u64, hash: Hash) {
        *self = Self {
            position,
            events: self.events + 1,
            hash,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content<'static> {
        Content {
            tenant_id: b"acme",
            aggregate_type: b"webhook",
            aggregate_id: b"wh_1",
            sequence: 2,
            event_type: b"activated",
            event_version: b"1",
            recorded_at: 1_774_393_885_000_000,
            payload: br#""activated""#,
            metadata: b"{}",
        }
    }

    /// Made with `hashlib` under Python, by the words at the top of this file.
    #[test]
    fn hashes_are_those_that_others_compute() {
        let content = content().hash();
        assert_eq!(
            content.to_string(),
            "99d7f9d9ccb45ce8750b241a816b25901478c8e730913fc13f0271e75e18d2a2"
        );
        let hash = link(content, 7, Hash([1; 32]), Hash::NONE);
        assert_eq!(
            hash.to_string(),
            "0d103094993a21ddc14d820354fa39ed3e5d018bd93b3fa85a0f7c52371f3f1e"
        );
    }

    #[test]
    fn every_field_is_covered_and_none_runs_into_the_next() {
        let base = content();
        let changed = [
            Content {
                tenant_id: b"acm",
                ..base
            },
            Content {
                tenant_id: b"acmew",
                aggregate_type: b"ebhook",
                ..base
            },
            Content {
                aggregate_type: b"webhoo",
                aggregate_id: b"kwh_1",
                ..base
            },
            Content {
                aggregate_id: b"wh_2",
                ..base
            },
            Content {
                sequence: 3,
                ..base
            },
            Content {
                event_type: b"activate",
                event_version: b"d1",
                ..base
            },
            Content {
                event_version: b"2",
                ..base
            },
            Content {
                recorded_at: base.recorded_at + 1,
                ..base
            },
            Content {
                payload: br#""activated" "#,
                ..base
            },
            Content {
                metadata: b"{ }",
                ..base
            },
        ];
        for (index, other) in changed.iter().enumerate() {
            assert_ne!(other.hash(), base.hash(), "{index}");
        }
    }
}
