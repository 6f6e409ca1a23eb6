//! What held deliveries back, and when.

use chrono::{DateTime, Utc};

use super::WaitReason;

/// The most stretches of a kind that are remembered; what comes later is not known.
const STRETCHES_MAX: usize = 10_000;

/// What can hold all deliveries of a webhook back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The webhook is switched off.
    Inactive,
    /// The tenant is suspended.
    Suspended,
}

/// The stretches of time in which deliveries were held back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holds {
    inactive: Vec<Stretch>,
    suspended: Vec<Stretch>,
}

/// From the first moment (inclusive) to the second (exclusive), or on without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    from: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
}

/// A part of a wait: from, until and why.
type Part = (DateTime<Utc>, DateTime<Utc>, WaitReason);

impl Holds {
    /// From the moment `at` on deliveries are held back so, or not any more. Must be told in order.
    pub fn note(&mut self, hold: Hold, is_held: bool, at: DateTime<Utc>) {
        let stretches = match hold {
            Hold::Inactive => &mut self.inactive,
            Hold::Suspended => &mut self.suspended,
        };
        let is_full = stretches.len() >= STRETCHES_MAX;
        let open = stretches.last_mut().filter(|last| last.until.is_none());
        match (open, is_held) {
            (Some(open), false) => open.until = Some(at),
            (None, true) if !is_full => {
                stretches.push(Stretch {
                    from: at,
                    until: None,
                });
            }
            _ => {}
        }
    }

    /// Cuts a wait into parts, each with its reason. Tests do not mind that the webhook is off.
    pub(super) fn split(
        &self,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        is_test: bool,
    ) -> Vec<Part> {
        let inactive: &[Stretch] = if is_test { &[] } else { &self.inactive };
        let mut cuts = vec![from, until];
        for stretch in inactive.iter().chain(&self.suspended) {
            cuts.extend([Some(stretch.from), stretch.until].into_iter().flatten());
        }
        cuts.retain(|cut| (from..=until).contains(cut));
        cuts.sort_unstable();
        cuts.dedup();
        let mut parts: Vec<Part> = Vec::new();
        for pair in cuts.windows(2) {
            let [start, end] = [pair[0], pair[1]];
            let reason = if covers(&self.suspended, start) {
                WaitReason::Suspended
            } else if covers(inactive, start) {
                WaitReason::Inactive
            } else {
                WaitReason::Queued
            };
            match parts.last_mut() {
                Some(last) if last.2 == reason => last.1 = end,
                _ => parts.push((start, end, reason)),
            }
        }
        parts
    }
}

fn covers(stretches: &[Stretch], moment: DateTime<Utc>) -> bool {
    stretches
        .iter()
        .any(|stretch| stretch.from <= moment && stretch.until.is_none_or(|until| moment < until))
}
