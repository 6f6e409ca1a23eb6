//! What checking has shown, of the ledger and of the signatures of its seals.

use serde_json::{Value, json};

use crate::{
    cli::{Error, output},
    notary::PublicKey,
    store::{SealMark, Verdict},
};

/// A seal, and its signature if it has one.
pub(super) type Signed = (SealMark, Option<Vec<u8>>);

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Intact { events: u64, head: String },
    Broken { position: u64, reason: String },
}

impl From<Verdict> for Found {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Intact { events, head, .. } => Self::Intact {
                events,
                head: head.to_string(),
            },
            Verdict::Broken {
                first_bad_position,
                reason,
            } => Self::Broken {
                position: first_bad_position,
                reason: reason.to_string(),
            },
        }
    }
}

impl Found {
    /// Reads the answer of a server.
    pub(super) fn read(answer: &Value) -> Option<Self> {
        let text = |name: &str| Some(answer[name].as_str()?.to_owned());
        match answer["intact"].as_bool()? {
            true => Some(Self::Intact {
                events: answer["events"].as_u64()?,
                head: text("head")?,
            }),
            false => Some(Self::Broken {
                position: answer["first_bad_position"].as_u64()?,
                reason: text("reason")?,
            }),
        }
    }
}

/// The seals that somebody's key has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signatures {
    pub(super) count: u64,
    /// Up to where the last of them covers the ledger.
    pub(super) position: u64,
}

/// Checks all signatures that there are, by rising number. At least one seal must be signed, and so must
/// the one that is asked for. Gives what is wrong, and from which position on nothing is proved.
pub(super) fn check_signatures(
    key: &PublicKey,
    seals: &[Signed],
    asked: Option<SealMark>,
) -> Result<Signatures, Found> {
    let mut good = Signatures {
        count: 0,
        position: 0,
    };
    let broken = |good: Signatures, reason: String| Found::Broken {
        position: good.position + 1,
        reason,
    };
    for (mark, signature) in seals {
        match signature {
            Some(signature) if key.has_signed(mark, signature) => {
                good.count += 1;
                good.position = mark.position;
            }
            Some(_) => {
                let reason = format!("the signature of seal {} is not of this key", mark.number);
                return Err(broken(good, reason));
            }
            None if Some(*mark) == asked => {
                let reason = format!("seal {} is not signed", mark.number);
                return Err(broken(good, reason));
            }
            None => {}
        }
    }
    match good.count {
        0 => Err(broken(good, "no seal is signed".to_owned())),
        _ => Ok(good),
    }
}

/// Prints what was found; fails if the ledger is not intact.
pub(super) fn print(
    is_json: bool,
    found: Found,
    signatures: Option<Signatures>,
) -> Result<(), Error> {
    if output::is_json(is_json) {
        output::print_json(&to_json(&found, signatures))?;
    }
    match found {
        Found::Intact { .. } if output::is_json(is_json) => Ok(()),
        Found::Intact { events, head } => {
            output::print(&format!(
                "Intact: {events} events.\nHead: {}",
                output::printable(&head)
            ))?;
            match signatures {
                Some(Signatures { count, position }) => output::print(&format!(
                    "Signed seals: {count}. The last one covers everything up to position {position}."
                )),
                None => Ok(()),
            }
        }
        Found::Broken { position, reason } => Err(Error::LedgerBroken { position, reason }),
    }
}

fn to_json(found: &Found, signatures: Option<Signatures>) -> Value {
    match (found, signatures) {
        (Found::Broken { position, reason }, _) => {
            json!({"intact": false, "first_bad_position": position, "reason": reason})
        }
        (Found::Intact { events, head }, None) => {
            json!({"intact": true, "events": events, "head": head})
        }
        (Found::Intact { events, head }, Some(Signatures { count, position })) => {
            json!({"intact": true, "events": events, "head": head,
                   "signed_seals": count, "signed_position": position})
        }
    }
}
