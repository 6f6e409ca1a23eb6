//! Hookledger: a webhook server that can prove what it sent.

pub mod cli;
pub mod entropy;
pub mod http;
pub mod inbound;
pub mod metrics;
pub mod nodes;
pub mod notary;
pub mod outbound;
pub mod retention;
pub mod server;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod tenants;
pub mod vault;
