//! Seals: what the whole ledger was at a position, each bound to the one before it. Whoever keeps a copy of
//! one elsewhere can show later that nothing up to there was changed, whoever has the database.

use std::{fmt, str::FromStr, sync::Arc};

use chrono::{DateTime, SubsecRound, Utc};
use sha2::{Digest, Sha256};

use super::{Audit, LedgerHead};
use crate::store::{Error, Hash, chain::micros, engine::Engine};

/// What a seal's digest begins with.
const TAG: &[u8] = b"hookledger seal 1";
/// How often it is tried to make a seal when others make one at the same time.
const TRIES_MAX: usize = 5;

/// What the whole ledger was at a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Its number, from 1.
    pub number: u64,
    /// What stands for all events.
    pub head: LedgerHead,
    /// When it was made.
    pub sealed_at: DateTime<Utc>,
    /// The SHA-256 of the text `hookledger seal 1`, the hash of the seal before it (32 zeros for the
    /// first one), the position, the number of events and the time in microseconds since 1970, each as
    /// eight bytes, big-endian, and the head's hash.
    pub hash: Hash,
    /// The Ed25519 signature of the text `hookledger seal 1` and the hash, if the server has a key.
    pub signature: Option<Vec<u8>>,
}

/// A seal as it is kept elsewhere: its number, position and hash, as `NUMBER.POSITION.HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SealMark {
    /// Its number.
    pub number: u64,
    /// Up to where it covers the ledger.
    pub position: u64,
    /// Its hash.
    pub hash: Hash,
}

/// A text that is no [`SealMark`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a seal is NUMBER.POSITION.HASH, as `hookledger audit seal` prints it")]
pub struct InvalidSeal;

impl fmt::Display for SealMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.number, self.position, self.hash)
    }
}

impl FromStr for SealMark {
    type Err = InvalidSeal;

    fn from_str(text: &str) -> Result<Self, InvalidSeal> {
        let mut parts = text.trim().split('.');
        let mut number = || {
            let part = parts.next()?;
            let is_digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            is_digits.then(|| part.parse().ok()).flatten()
        };
        let (Some(number), Some(position)) = (number(), number()) else {
            return Err(InvalidSeal);
        };
        match (parts.next().and_then(Hash::from_hex), parts.next()) {
            (Some(hash), None) => Ok(Self {
                number,
                position,
                hash,
            }),
            _ => Err(InvalidSeal),
        }
    }
}

impl SealMark {
    /// The bytes that are signed.
    pub fn signed_bytes(&self) -> Vec<u8> {
        [TAG, self.hash.as_bytes()].concat()
    }
}

/// Signs seals.
pub trait Signer: Send + Sync {
    /// The signature of these bytes.
    fn sign(&self, bytes: &[u8]) -> Vec<u8>;
}

impl Seal {
    /// What is kept elsewhere.
    pub fn mark(&self) -> SealMark {
        SealMark {
            number: self.number,
            position: self.head.position,
            hash: self.hash,
        }
    }

    fn new(before: Option<&Self>, head: LedgerHead, sealed_at: DateTime<Utc>) -> Self {
        let hash = digest(before.map_or(Hash::NONE, |seal| seal.hash), head, sealed_at);
        Self {
            number: before.map_or(0, |seal| seal.number) + 1,
            head,
            sealed_at,
            hash,
            signature: None,
        }
    }

    /// Whether it follows the seal before it, and was not changed.
    pub(super) fn follows(&self, before: Option<&Self>) -> bool {
        let expected = Self::new(before, self.head, self.sealed_at);
        (expected.number, expected.hash) == (self.number, self.hash)
            && before.is_none_or(|seal| seal.head.position < self.head.position)
    }
}

fn digest(before: Hash, head: LedgerHead, sealed_at: DateTime<Utc>) -> Hash {
    let mut digest = Sha256::new_with_prefix(TAG);
    digest.update(before.as_bytes());
    digest.update(head.position.to_be_bytes());
    digest.update(head.events.to_be_bytes());
    digest.update(micros(sealed_at).to_be_bytes());
    digest.update(head.hash.as_bytes());
    Hash::of(digest)
}

impl Audit {
    /// All seals, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database cannot be asked.
    pub async fn seals(&self) -> Result<Vec<Seal>, Error> {
        self.engine.seals().await
    }

    /// The last one, if there is one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database cannot be asked.
    pub async fn last_seal(&self) -> Result<Option<Seal>, Error> {
        self.engine.last_seal().await
    }
}

/// Seals the ledger. Cheap to clone.
#[derive(Clone)]
pub struct Sealer {
    audit: Audit,
    engine: Arc<dyn Engine>,
}

impl Sealer {
    pub(in crate::store) fn new(audit: Audit, engine: Arc<dyn Engine>) -> Self {
        Self { audit, engine }
    }

    /// Seals the ledger as it is now, and gives the seal: the last one if nothing was appended since; none
    /// if there is nothing at all.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the last seal covers more than there is, [`Error::Unavailable`] or
    /// [`Error::Busy`].
    pub async fn seal(
        &self,
        now: DateTime<Utc>,
        signer: Option<&dyn Signer>,
    ) -> Result<Option<Seal>, Error> {
        for _ in 0..TRIES_MAX {
            let before = self.audit.last_seal().await?;
            let head = LedgerHead::of(&self.audit.engine.heads().await?);
            let covered = before.as_ref().map_or(0, |seal| seal.head.position);
            if head.position == covered {
                return Ok(before);
            }
            if head.position < covered {
                return Err(Error::corrupt("the last seal lies beyond the ledger's end"));
            }
            let mut seal = Seal::new(before.as_ref(), head, now.trunc_subsecs(3));
            seal.signature = signer.map(|signer| signer.sign(&seal.mark().signed_bytes()));
            match self.engine.insert_seal(&seal).await {
                Ok(()) => return Ok(Some(seal)),
                // Another process made the one with this number.
                Err(Error::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_read_back_as_it_was_printed() {
        let head = LedgerHead {
            position: 42,
            events: 40,
            hash: Hash::NONE,
        };
        let seal = Seal::new(None, head, DateTime::UNIX_EPOCH);
        let text = seal.mark().to_string();
        assert_eq!(text.parse(), Ok(seal.mark()));
        assert_eq!(format!(" {text}\n").parse(), Ok(seal.mark()));
        for bad in [
            "",
            "1",
            "1.2",
            &format!("{text}.1"),
            &text[..text.len() - 1],
            &text.replace("1.42", "+1.42"),
            &text.replace("1.42", ".42"),
        ] {
            assert_eq!(bad.parse::<SealMark>(), Err(InvalidSeal), "{bad}");
        }
    }

    #[test]
    fn seals_are_bound_to_each_other() {
        let head = |position| LedgerHead {
            position,
            events: position,
            hash: Hash::NONE,
        };
        let first = Seal::new(None, head(3), DateTime::UNIX_EPOCH);
        let second = Seal::new(Some(&first), head(5), DateTime::UNIX_EPOCH);
        assert!(first.follows(None) && second.follows(Some(&first)));
        let other = Seal::new(None, head(4), DateTime::UNIX_EPOCH);
        assert!(!second.follows(Some(&other)) && !second.follows(None));
        let mut changed = second;
        changed.head.events += 1;
        assert!(!changed.follows(Some(&first)));
    }
}
