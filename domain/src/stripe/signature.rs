//! `Stripe-Signature`: whether a callback comes from Stripe and arrived as it was sent.
//!
//! Source: <https://docs.stripe.com/webhooks#verify-manually>. The header is a list of `name=value`,
//! separated by commas: `t` is the time in Unix seconds, each `v1` the hexadecimal HMAC-SHA256 of
//! `t.body` with one of the endpoint's secrets. Other names are schemes that do not count (`v0` is a
//! test scheme), so that nobody can have a weaker one believed.
//!
//! Stricter than Stripe's own libraries, which take the first `t` of several, do not look into the
//! future and accept what their languages call numbers:
//! - exactly one `t`, of decimal digits without sign, blank or leading zero. With two of them it would
//!   be open which one was signed and which one is compared with the clock;
//! - a time that lies more than the tolerance ahead is refused like one that lies behind, so that a
//!   callback that was signed by a wrong clock cannot be kept for later;
//! - a signature is 64 lower-case digits, as Stripe writes it: one spelling, nothing to normalise;
//! - the bytes are those that arrived; nothing is decoded before they are verified.

use std::fmt;

use hmac::{Mac as _, digest::CtOutput};

use crate::signature::{HmacSha256, decode_hex, keyed};

/// How far a callback's time may lie from now, in seconds: what Stripe's libraries allow.
pub const TOLERANCE_S: u64 = 300;
/// The longest header that is looked at, in bytes; one with ten signatures has 700.
pub const HEADER_BYTES_MAX: usize = 4096;
/// The longest secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 255;
/// How many secrets may hold at a time.
pub const SECRETS_MAX: usize = 10;

const SECRET_PREFIX: &str = "whsec_";
/// A time has at most so many digits: the year 33658.
const TIME_DIGITS_MAX: usize = 12;

/// The signing secret of a webhook endpoint at Stripe. Never shown.
#[derive(Clone)]
pub struct EndpointSecret(HmacSha256);

/// A text that is no signing secret. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a signing secret has 1 to {SECRET_BYTES_MAX} printable ASCII characters, none of them a blank, and more than `whsec_`"
)]
pub struct InvalidEndpointSecret;

impl EndpointSecret {
    /// Takes a secret as Stripe shows it, `whsec_` included: the key is the whole text.
    ///
    /// # Errors
    /// It is empty, too long, or has characters that no secret has.
    pub fn parse(text: &str) -> Result<Self, InvalidEndpointSecret> {
        let is_printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_filled = !text.is_empty() && text != SECRET_PREFIX;
        if is_filled && is_printable && text.len() <= SECRET_BYTES_MAX {
            Ok(Self(keyed(text.as_bytes())))
        } else {
            Err(InvalidEndpointSecret)
        }
    }

    /// What it signs with.
    fn mac(&self, time: &str, body: &[u8]) -> CtOutput<HmacSha256> {
        let mac = self.0.clone().chain_update(time).chain_update(".");
        mac.chain_update(body).finalize()
    }
}

impl fmt::Debug for EndpointSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndpointSecret(***)")
    }
}

/// Why a callback is not believed. It holds nothing of a secret or of the expected signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// There is no header, or an empty one.
    #[error("there is no Stripe-Signature")]
    Missing,
    /// The header is no list of `name=value`, or too long.
    #[error("Stripe-Signature is malformed")]
    Malformed,
    /// There is no `t`, or none that is a time.
    #[error("Stripe-Signature has no time (t)")]
    NoTime,
    /// There are several `t`.
    #[error("Stripe-Signature has several times (t)")]
    SeveralTimes,
    /// There is no `v1` of 64 lower-case hexadecimal digits.
    #[error("Stripe-Signature has no signature (v1) of 64 lower-case hexadecimal digits")]
    NoSignature,
    /// It was signed too long ago, or in the future.
    #[error(
        "it was signed {age_s} s ago; at most {TOLERANCE_S} s before and after now are accepted"
    )]
    Time {
        /// How old it is in seconds; negative is the future.
        age_s: i64,
    },
    /// Signed with none of the secrets, or changed on its way.
    #[error("no signature (v1) matches the body")]
    Signature,
}

/// The header, taken apart. Whether its signatures hold is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureHeader {
    /// Unix seconds, as they are signed.
    time: String,
    signatures: Vec<[u8; 32]>,
}

impl SignatureHeader {
    /// Takes the header apart and compares its time with `now` (Unix seconds): all that can be said
    /// before the body is read.
    ///
    /// # Errors
    /// Every [`Mismatch`] but [`Mismatch::Signature`].
    pub fn parse(header: &[u8], now: i64) -> Result<Self, Mismatch> {
        if header.is_empty() {
            return Err(Mismatch::Missing);
        }
        if header.len() > HEADER_BYTES_MAX {
            return Err(Mismatch::Malformed);
        }
        let text = std::str::from_utf8(header).map_err(|_| Mismatch::Malformed)?;
        let (mut times, mut signatures) = (Vec::new(), Vec::new());
        for item in text.split(',') {
            let (name, value) = item.split_once('=').ok_or(Mismatch::Malformed)?;
            match name {
                "t" => times.push(value),
                "v1" => signatures.extend(lower_hex(value)),
                _ => {}
            }
        }
        let time = match times.as_slice() {
            [] => return Err(Mismatch::NoTime),
            [one] => *one,
            _ => return Err(Mismatch::SeveralTimes),
        };
        let at = seconds(time).ok_or(Mismatch::NoTime)?;
        if signatures.is_empty() {
            return Err(Mismatch::NoSignature);
        }
        if now.abs_diff(at) > TOLERANCE_S {
            return Err(Mismatch::Time { age_s: now - at });
        }
        Ok(Self {
            time: time.to_owned(),
            signatures,
        })
    }

    /// Checks every signature against every secret, each in constant time.
    ///
    /// # Errors
    /// [`Mismatch::Signature`] when none holds, also when there is no secret.
    pub fn verify(&self, body: &[u8], secrets: &[EndpointSecret]) -> Result<(), Mismatch> {
        // The body is gone through once for each secret, however many signatures there are.
        let is_signed = secrets.iter().any(|secret| {
            let expected = secret.mac(&self.time, body);
            let mut signatures = self.signatures.iter();
            signatures.any(|signature| CtOutput::new((*signature).into()) == expected)
        });
        if is_signed {
            Ok(())
        } else {
            Err(Mismatch::Signature)
        }
    }
}

fn lower_hex(text: &str) -> Option<[u8; 32]> {
    let is_lower = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if is_lower { decode_hex(text) } else { None }
}

fn seconds(text: &str) -> Option<i64> {
    let is_plain = (1..=TIME_DIGITS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
