//! How a request proves who sent it: HMAC-SHA256 over its body, in two dialects.
//!
//! - [`github`]: `X-Webhook-Signature: sha256=<hex>`, as GitHub's `X-Hub-Signature-256`
//!   (<https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>). The key
//!   is the whole secret as text.
//! - [`standard`]: `webhook-signature: v1,<base64>` of "id.timestamp.body", as the Standard
//!   Webhooks specification says (<https://github.com/standard-webhooks/standard-webhooks>). The
//!   key is the decoded part of the secret.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

pub(crate) type HmacSha256 = Hmac<Sha256>;

/// The value of `X-Webhook-Signature`: `sha256=` and the lower-case hexadecimal HMAC of `body`.
#[must_use]
pub fn github(secret: &Secret, body: &[u8]) -> String {
    let mac = secret
        .whole
        .clone()
        .chain_update(body)
        .finalize()
        .into_bytes();
    let mut value = String::with_capacity(GITHUB_PREFIX.len() + 2 * mac.len());
    value.push_str(GITHUB_PREFIX);
    for byte in mac {
        value.push(hex_digit(byte >> 4));
        value.push(hex_digit(byte & 0x0f));
    }
    value
}

/// One entry of `webhook-signature`: `v1,` and the base64 HMAC of `message_id.timestamp.body`.
/// `timestamp` is in Unix seconds.
#[must_use]
pub fn standard(secret: &Secret, message_id: &str, timestamp: i64, body: &[u8]) -> String {
    let mac = standard_mac(secret, message_id, timestamp, body)
        .finalize()
        .into_bytes();
    let mut value = String::with_capacity(STANDARD_PREFIX.len() + 44);
    value.push_str(STANDARD_PREFIX);
    STANDARD.encode_string(mac, &mut value);
    value
}

/// Checks the value of `X-Webhook-Signature` in constant time.
///
/// # Errors
/// [`Mismatch::Malformed`] or [`Mismatch::Signature`].
pub fn verify_github(secret: &Secret, body: &[u8], header: &str) -> Result<(), Mismatch> {
    let hex = header
        .strip_prefix(GITHUB_PREFIX)
        .ok_or(Mismatch::Malformed)?;
    let expected = decode_hex(hex).ok_or(Mismatch::Malformed)?;
    let mac = secret.whole.clone().chain_update(body);
    mac.verify_slice(&expected).map_err(|_| Mismatch::Signature)
}

/// Checks `webhook-signature` (`header`, one or more entries separated by spaces) in constant
/// time, and that `webhook-timestamp` (`timestamp_header`) is no more than `tolerance_s` seconds
/// before or after `now` (Unix seconds), so that a recorded request cannot be sent again later.
///
/// # Errors
/// [`Mismatch::Malformed`] when the timestamp is no number or no entry is of version 1,
/// [`Mismatch::Timestamp`] and [`Mismatch::Signature`].
pub fn verify_standard(
    secret: &Secret,
    message_id: &str,
    timestamp_header: &str,
    header: &str,
    body: &[u8],
    now: i64,
    tolerance_s: u64,
) -> Result<(), Mismatch> {
    let timestamp: i64 = timestamp_header.parse().map_err(|_| Mismatch::Malformed)?;
    if now.abs_diff(timestamp) > tolerance_s {
        return Err(Mismatch::Timestamp {
            age_s: now.saturating_sub(timestamp),
        });
    }
    let mut entries = header.split(' ').filter_map(decode_entry).peekable();
    if entries.peek().is_none() {
        return Err(Mismatch::Malformed);
    }
    let mac = standard_mac(secret, message_id, timestamp, body);
    match entries.any(|expected| mac.clone().verify_slice(&expected).is_ok()) {
        true => Ok(()),
        false => Err(Mismatch::Signature),
    }
}

/// Why a signature was not accepted. It holds nothing of the secret or the expected value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The header has not the form of a signature, or the timestamp is no number.
    #[error("the signature or timestamp header is malformed")]
    Malformed,
    /// The request was signed too long ago, or in the future.
    #[error("the request was signed {age_s} s ago, which is outside the tolerance")]
    Timestamp {
        /// How old it is in seconds; negative is the future.
        age_s: i64,
    },
    /// Signed with another secret, or changed on its way.
    #[error("the signature does not match")]
    Signature,
}

/// A webhook's secret: `whsec_` and the base64 of 24 to 64 bytes. Both HMAC keys are prepared
/// once, which spares four of the seven compressions that a short body's signature takes.
#[derive(Clone)]
pub struct Secret {
    text: String,
    /// Keyed with the whole text.
    whole: HmacSha256,
    /// Keyed with the decoded bytes.
    decoded: HmacSha256,
}

impl Secret {
    /// What every secret begins with.
    pub const PREFIX: &str = "whsec_";
    /// The decoded part has this many bytes at least.
    pub const BYTES_MIN: usize = 24;
    /// The decoded part has this many bytes at most.
    pub const BYTES_MAX: usize = 64;

    /// Takes a secret as a tenant brings it or as it was stored.
    ///
    /// # Errors
    /// [`InvalidSecret`] when it is not `whsec_` and padded, canonical standard base64 of 24 to
    /// 64 bytes. Two texts that decode alike would be two different keys for [`github`].
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text
            .strip_prefix(Self::PREFIX)
            .ok_or(InvalidSecret::Prefix)?;
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|_| InvalidSecret::Base64)?;
        if !(Self::BYTES_MIN..=Self::BYTES_MAX).contains(&bytes.len()) {
            return Err(InvalidSecret::Length { bytes: bytes.len() });
        }
        Ok(Self::new(text.to_owned(), &bytes))
    }

    /// Makes a secret of 32 bytes, which the caller has drawn at random.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut text = Self::PREFIX.to_owned();
        STANDARD.encode_string(bytes, &mut text);
        Self::new(text, bytes)
    }

    /// The whole text, to be shown to its owner or sealed: never logged.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn new(text: String, bytes: &[u8]) -> Self {
        Self {
            whole: keyed(text.as_bytes()),
            decoded: keyed(bytes),
            text,
        }
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        // Digests of both, so that the time says nothing about where they differ.
        Sha256::digest(&self.text) == Sha256::digest(&other.text)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(whsec_***)")
    }
}

/// A text that is no secret. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// It does not begin with [`Secret::PREFIX`].
    #[error("a secret starts with `whsec_`")]
    Prefix,
    /// The rest is no padded, canonical standard base64.
    #[error("after `whsec_` a secret is standard base64 with padding")]
    Base64,
    /// Too short to be safe, or longer than HMAC-SHA256 uses.
    #[error("a secret has 24 to 64 bytes before base64, this one has {bytes}")]
    Length {
        /// How many it has.
        bytes: usize,
    },
}

const GITHUB_PREFIX: &str = "sha256=";
const STANDARD_PREFIX: &str = "v1,";

fn standard_mac(secret: &Secret, message_id: &str, timestamp: i64, body: &[u8]) -> HmacSha256 {
    secret
        .decoded
        .clone()
        .chain_update(message_id)
        .chain_update(".")
        .chain_update(timestamp.to_string())
        .chain_update(".")
        .chain_update(body)
}

/// Prepares HMAC-SHA256 for a key of any length. RFC 2104: a key up to the block's 64 bytes is
/// padded with zeros, a longer one is its digest; done here because the crate's own constructor
/// for slices returns an error that cannot happen.
pub(crate) fn keyed(key: &[u8]) -> HmacSha256 {
    let mut block = [0u8; 64];
    match block.get_mut(..key.len()) {
        Some(start) => start.copy_from_slice(key),
        None => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    HmacSha256::new(&block.into())
}

fn hex_digit(nibble: u8) -> char {
    char::from(b"0123456789abcdef"[usize::from(nibble & 0x0f)])
}

pub(crate) fn decode_hex(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else {
        return None;
    };
    if pairs.len() != bytes.len() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let nibble = |digit: &u8| {
            char::from(*digit)
                .to_digit(16)
                .and_then(|n| u8::try_from(n).ok())
        };
        *byte = (nibble(high)? << 4) | nibble(low)?;
    }
    Some(bytes)
}

fn decode_entry(entry: &str) -> Option<Vec<u8>> {
    STANDARD.decode(entry.strip_prefix(STANDARD_PREFIX)?).ok()
}

#[cfg(test)]
mod tests;
