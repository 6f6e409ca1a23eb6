//! Seals the ledger now and then, so that there is something to be held to: who keeps a seal elsewhere can
//! show later what the ledger was.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use hookledger_domain::clock::Clock;

use crate::{
    nodes::Held,
    store::{self, Audit, Seal, Sealer, Signer},
};

mod key;

pub use key::{Error, PublicKey, SigningKey};

/// The shortest and the longest time between two looks whether a seal is due. Other nodes seal, too, and
/// so do people.
const BETWEEN_LOOKS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

/// What it works with.
pub struct Options {
    /// Knows the last seal.
    pub audit: Audit,
    /// Seals.
    pub sealer: Sealer,
    /// Signs; `None`: nothing is signed.
    pub signer: Option<Arc<dyn Signer>>,
    /// How old the last seal may get.
    pub every: Duration,
    /// Tells how old it is.
    pub clock: Arc<dyn Clock>,
    /// What this node holds.
    pub held: Arc<Held>,
}

/// Seals, without an end. Wherever it is cut off, a seal that is being written is written wholly or not at
/// all.
pub async fn run(options: Options) {
    let mut wait = BETWEEN_LOOKS.0;
    loop {
        tokio::time::sleep(wait).await;
        wait = match look(&options).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::warn!(%error, "cannot seal the ledger now");
                BETWEEN_LOOKS.1
            }
        };
    }
}

/// Seals if it is time and this node's turn; says after which time to look again.
async fn look(options: &Options) -> Result<Duration, store::Error> {
    let now = options.clock.now();
    let last = options.audit.last_seal().await?;
    let wait = until_due(last.as_ref(), now, options.every);
    if !wait.is_zero() || !options.held.has_turn() {
        return Ok(wait.clamp(BETWEEN_LOOKS.0, BETWEEN_LOOKS.1));
    }
    let sealed = options.sealer.seal(now, options.signer.as_deref()).await?;
    if let Some(seal) = sealed.filter(|seal| Some(seal) != last.as_ref()) {
        // Whoever collects logs elsewhere has a seal there, too.
        tracing::info!(seal = %seal.mark(), events = seal.head.events, "the ledger is sealed");
    }
    Ok(options.every.min(BETWEEN_LOOKS.1))
}

/// How long the last seal is still young enough; zero if there is none.
fn until_due(last: Option<&Seal>, now: DateTime<Utc>, every: Duration) -> Duration {
    let every = TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
    let due = last.and_then(|seal| seal.sealed_at.checked_add_signed(every));
    due.map_or(Duration::ZERO, |due| {
        (due - now).to_std().unwrap_or_default()
    })
}

#[cfg(test)]
mod tests;
