//! What may happen in Hookledger: aggregates, values and rules.
//!
//! Nothing here does I/O, asks for the time or draws a random number: those come in with the
//! command. `tests/architecture.rs` of the server holds this crate to that.

pub mod actor;
pub mod billing;
pub mod callback;
pub mod circuit;
pub mod clock;
pub mod delivery;
pub mod duration;
pub mod fact;
pub mod filter;
pub mod ids;
pub mod json;
pub mod message;
pub mod permission;
pub mod recovery;
pub mod redaction;
pub mod retry;
pub mod sealed;
pub mod signature;
pub mod stripe;
pub mod target;
pub mod tenant;
pub mod topic;
pub mod upcast;
pub mod validation;
pub mod vault;
pub mod webhook;
