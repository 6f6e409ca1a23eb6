//! What the ledger's events make of the views, and how the views may be asked.
//!
//! [`project`] is a pure function from one recorded event to the changes of rows that it causes.
//! The store applies them in the transaction that appends the event; a rebuild applies them to
//! empty tables. Nothing here does I/O.

mod change;
pub mod query;
pub mod rows;
pub mod stats;
mod view;

pub use change::{Change, DeliveryProgress, Recorded, Standing, project};
pub use view::{UnknownView, View};
