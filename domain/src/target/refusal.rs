//! Why a target was refused, in words for the tenant.

use super::{AddressKind, URL_BYTES_MAX};

/// A target that may not be configured or reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// The stable code.
    pub code: RefusalCode,
    /// What is wrong, and with it what is allowed.
    #[source]
    pub reason: Reason,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self {
            code: reason.code(),
            reason,
        }
    }
}

/// The stable codes of refused targets, on the field `url`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalCode {
    /// It is no URL that a webhook could have.
    InvalidUrl,
    /// It is a URL, but what it names may not be reached.
    RefusedTarget,
}

impl RefusalCode {
    /// The code as it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidUrl => "invalid_url",
            Self::RefusedTarget => "refused_target",
        }
    }
}

/// What is wrong with a target. `Display` is one sentence for people that says what is allowed;
/// it never repeats the URL's path or query, which may hold a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// More bytes than [`URL_BYTES_MAX`].
    #[error("a URL may have at most {URL_BYTES_MAX} bytes, this one has {bytes}")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// A space, tab, line end or other control character, anywhere.
    #[error("a URL may not contain white space or control characters; percent-encode them")]
    Whitespace,
    /// A `\`, which parsers read differently.
    #[error("a URL may not contain a backslash; write `/`, or `%5C` in a path or query")]
    Backslash,
    /// Neither `https://` nor `http://`.
    #[error("a URL must start with `https://`")]
    Scheme,
    /// Anything before an `@` in the authority, even nothing.
    #[error(
        "a URL may not contain a user name or password (nor an `@` before the host); use a header"
    )]
    Userinfo,
    /// No host.
    #[error("a URL must name a host, as in `https://hooks.example.com/path`")]
    NoHost,
    /// The URL Standard's parser refuses it.
    #[error("this is no valid URL: {0}")]
    Unreadable(url::ParseError),
    /// A name that DNS could not hold.
    #[error("the host is no valid DNS name: labels have 1 to 63 characters, the name at most 253")]
    HostName,
    /// `http://`, and the operator has not allowed it.
    #[error("only `https://` targets are allowed on this server")]
    PlainHttp,
    /// On the list of bad ports.
    #[error("port {0} belongs to another protocol and is never a target; use 443 or another port")]
    BadPort(u16),
    /// A single label or a name for local use.
    #[error(
        "the host must be a public DNS name; single-label and reserved names such as `localhost`, `.local` and `.internal` are refused"
    )]
    LocalName,
    /// An address that is not public.
    #[error(
        "the target's address is {0}; only public addresses, and those that the operator allows, may be reached"
    )]
    Address(AddressKind),
    /// This server's own listening address.
    #[error("the target is this server's own address, which is never allowed")]
    OwnListener,
}

impl Reason {
    /// The code that stands for this reason.
    #[must_use]
    pub fn code(&self) -> RefusalCode {
        match self {
            Self::TooLong { .. }
            | Self::Whitespace
            | Self::Backslash
            | Self::Scheme
            | Self::Userinfo
            | Self::NoHost
            | Self::Unreadable(_)
            | Self::HostName => RefusalCode::InvalidUrl,
            Self::PlainHttp
            | Self::BadPort(_)
            | Self::LocalName
            | Self::Address(_)
            | Self::OwnListener => RefusalCode::RefusedTarget,
        }
    }
}
