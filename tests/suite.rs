//! Hookledger from outside: the real program, real connections, and what its users rely on.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod architecture;
mod conformance;
mod faults;
mod interop;
mod journeys;
mod support;
