//! Everything that leaves this server for a tenant's URL.
//!
//! One [`Sender`] makes every try: it checks the URL, sends the exact bytes over HTTP/1.1, reads a
//! bounded answer before one deadline, and says what happened as a
//! [`delivery::attempt::Outcome`](hookledger_domain::delivery::attempt::Outcome). A receiver that
//! fails, hangs or lies is an outcome, no error of ours.
//!
//! **Which addresses may be reached** is judged in four places, always by
//! [`target::judge`](hookledger_domain::target::judge), because each sees what another cannot:
//!
//! 1. [`Guard::check`] when a webhook is configured, so that its owner hears of it at once;
//! 2. [`Sender::send`] before each try, since the client never asks a resolver for an IP literal;
//! 3. the [`Guard`] at resolution: the connector dials the addresses that were judged and no
//!    others, so a name that changes between two look-ups (DNS rebinding) gains nothing;
//! 4. the connected peer, before a byte of the request is written.
//!
//! Architecture Invariant: of this project, `outbound` knows only `hookledger_domain`.
//!
//! Architecture Invariant: a URL's query and a header's value may be secrets. Nothing here logs
//! them or puts them into an outcome, and a `reqwest::Error`, which prints its URL, never leaves.

mod envelope;
mod failure;
mod guard;
mod peer;
mod received;
mod sender;
#[cfg(test)]
mod tests;
mod tls;

pub use envelope::{Envelope, Unsendable};
pub use guard::Guard;
pub use sender::{Options, Request, Sender};

/// Why no [`Sender`] could be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The `User-Agent` holds something that no header may.
    #[error("the User-Agent {user_agent:?} is no header value")]
    UserAgent {
        /// The text.
        user_agent: String,
    },
    /// The TLS library refuses its own defaults.
    #[error("TLS could not be set up")]
    Tls(#[from] rustls::Error),
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be built")]
    Client(#[from] reqwest::Error),
}
