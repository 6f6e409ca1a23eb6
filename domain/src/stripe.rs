//! Stripe's side of billing: what it sends to a webhook endpoint, and how that is verified.
//!
//! Source: <https://docs.stripe.com/webhooks> and <https://docs.stripe.com/api/events/object>. What Stripe
//! calls an *event* is a *callback* here: an event is a fact in our own ledger.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

mod notice;
pub mod signature;

pub use notice::{Notice, Subject, Unreadable, parse};

/// The longest id that is taken, in bytes: Stripe says that ids have up to 255 characters.
pub const ID_BYTES_MAX: usize = 255;

/// An id that Stripe has given to something: 1 to 255 letters, digits and `_ - . :`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StripeId(String);

/// A text that is no id of Stripe's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id of Stripe's has 1 to {ID_BYTES_MAX} letters, digits and _ - . :")]
pub struct InvalidStripeId;

impl StripeId {
    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for StripeId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StripeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StripeId {
    type Err = InvalidStripeId;

    fn from_str(text: &str) -> Result<Self, InvalidStripeId> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
        if (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidStripeId)
        }
    }
}

impl TryFrom<String> for StripeId {
    type Error = InvalidStripeId;

    fn try_from(text: String) -> Result<Self, InvalidStripeId> {
        text.parse()
    }
}

impl From<StripeId> for String {
    fn from(id: StripeId) -> Self {
        id.0
    }
}
