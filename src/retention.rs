//! Erases the bodies of messages and answers that were kept long enough: in small steps with pauses
//! between them, so that publishing and delivering hardly notice.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use hookledger_domain::clock::Clock;

use crate::{
    metrics::Metrics,
    nodes::Held,
    store::{Erasure, Error},
};

/// So many times within the time for which bodies are kept it is looked for old ones, but not more
/// often than once in the first time here, and not less than once in the second.
const PASSES: u32 = 10;
const BETWEEN_PASSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
/// How long the first pass waits for a server that has just started.
const FIRST: Duration = BETWEEN_PASSES.0;
/// A step is followed by a pause of so many times its own length: the rest of the time is for others.
const PAUSE_FACTOR: u32 = 4;
/// The shortest pause.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// What it works with.
pub struct Options {
    /// Erases.
    pub erasure: Erasure,
    /// For how long bodies are kept.
    pub keep: Duration,
    /// Tells how old they are.
    pub clock: Arc<dyn Clock>,
    /// What this node holds.
    pub held: Arc<Held>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// Erases, without an end. Wherever it is cut off, a step that is under way is carried out wholly or not
/// at all.
pub async fn run(options: Options) {
    let every = between_passes(options.keep);
    let mut wait = FIRST;
    loop {
        tokio::time::sleep(wait).await;
        wait = every;
        match pass(&options).await {
            Ok(0) => {}
            Ok(erased) => tracing::info!(erased, "bodies that were kept long enough are erased"),
            Err(error) => tracing::warn!(%error, "cannot erase old bodies now"),
        }
    }
}

fn between_passes(keep: Duration) -> Duration {
    (keep / PASSES).clamp(BETWEEN_PASSES.0, BETWEEN_PASSES.1)
}

/// Goes once through the bodies, from the oldest on, as long as it is this node's turn; says how many
/// were erased. What is still needed is passed by, and looked at by the next pass again.
async fn pass(options: &Options) -> Result<u64, Error> {
    let keep = TimeDelta::from_std(options.keep).unwrap_or(TimeDelta::MAX);
    let Some(before) = options.clock.now().checked_sub_signed(keep) else {
        return Ok(0);
    };
    let (mut erased, mut mark) = (0, None);
    while options.held.has_turn() {
        let started = Instant::now();
        let step = options.erasure.step(before, mark).await?;
        options
            .metrics
            .bodies_erased_by_retention
            .inc_by(step.erased);
        erased += step.erased;
        mark = step.next;
        if mark.is_none() {
            break;
        }
        tokio::time::sleep(pause_after(started.elapsed())).await;
    }
    options.erasure.finish().await?;
    Ok(erased)
}

fn pause_after(step: Duration) -> Duration {
    (step * PAUSE_FACTOR).max(PAUSE_MIN)
}

#[cfg(test)]
mod tests;
