//! What checking a ledger has shown, in words.

use std::fmt;

use super::SealMark;
use crate::store::Hash;

/// What checking has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was changed, removed or put in.
    Intact {
        /// So many events were checked.
        events: u64,
        /// What stands for all of them: of one tenant the hash of its last event, of the whole ledger
        /// that of a [`LedgerHead`].
        head: Hash,
        /// The position of the last of them; 0 if there is none.
        position: u64,
    },
    /// Something was.
    Broken {
        /// Everything before this position is as it was written.
        first_bad_position: u64,
        /// What is wrong there.
        reason: Reason,
    },
}

/// What is wrong with a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// An event says something else than it did, or stands where another one stood, or was put in.
    Changed(String),
    /// Nothing stands where an event should, as the next one of its stream or tenant tells.
    Missing,
    /// An event's body is another one.
    Body(String),
    /// Two events have one position.
    Twice,
    /// A seal was made of another ledger, or was itself changed.
    Seal(u64),
    /// There is no such seal.
    NoSeal(SealMark),
    /// The last event of somebody is not the one that was appended last.
    Head(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(event) => write!(
                f,
                "{event} is not what was written here: it, its place or an event before it was changed"
            ),
            Self::Missing => f.write_str(
                "an event that was written here is missing, or the next one of its stream or tenant \
                 was changed",
            ),
            Self::Body(event) => {
                write!(f, "the body beside {event} is not the one that it tells of")
            }
            Self::Seal(number) => write!(
                f,
                "seal {number} was made of other events than there are now, or is not as it was made"
            ),
            Self::NoSeal(mark) => write!(
                f,
                "seal {} at position {} is not the one that is given: an event up to there was \
                 changed, whoever made the hashes anew",
                mark.number, mark.position
            ),
            Self::Twice => f.write_str("two events have this position"),
            Self::Head(owner) => write!(
                f,
                "the events of {owner} do not end with the one that was appended last"
            ),
        }
    }
}

pub(super) fn broken(first_bad_position: u64, reason: Reason) -> Verdict {
    Verdict::Broken {
        first_bad_position,
        reason,
    }
}
