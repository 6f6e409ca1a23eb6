//! Erasing the bodies of messages and answers that were kept long enough, in small steps. Events and
//! rows stay as they are: they tell of what size a body was and what its digest is.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Error, engine::Engine};

/// The most bodies that one step looks at, and so erases in one transaction.
pub(super) const STEP_BODIES_MAX: u32 = 200;
/// A step erases no further body once it has this many bytes: it bounds what one sync writes.
pub(super) const STEP_BYTES_MAX: u64 = 1024 * 1024;

/// Erases what is old. Cheap to clone.
#[derive(Clone)]
pub struct Erasure {
    engine: Arc<dyn Engine>,
}

/// How far one has come on the way through all bodies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(pub(super) Place);

/// The last body that was looked at. Engines keep bodies in different orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Beside which event it lies.
    Position(u64),
    /// Under which id it lies.
    Id {
        /// Whose it is.
        tenant_id: String,
        /// That of the message or the attempt.
        id: Uuid,
    },
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How many bodies it erased.
    pub erased: u64,
    /// Where the next step goes on; `None` if nothing more is old.
    pub next: Option<Mark>,
}

impl Erasure {
    pub(super) fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    /// Erases some bodies from before a moment, in one transaction: those that come next after
    /// `after`, and the first ones without it. Bodies of which something is to be sent still stay.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Busy`]; then bodies may be erased or not, each of them
    /// wholly.
    pub async fn step(&self, before: DateTime<Utc>, after: Option<Mark>) -> Result<Step, Error> {
        self.engine.erase_bodies(before, after).await
    }

    /// Takes away what is left of erased bodies in the engine's log, also of those that were erased
    /// one by one, and lets go of what steps work with.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Busy`]; then it is made good by the next time.
    pub async fn finish(&self) -> Result<(), Error> {
        self.engine.finish_erasing().await
    }
}
