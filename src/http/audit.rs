//! Events of the ledger, as the API shows them.

pub(super) mod event;
