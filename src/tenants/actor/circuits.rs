//! Which of a tenant's webhooks cannot be reached, for the metrics.

use std::collections::HashSet;

use hookledger_domain::{circuit::State, ids::WebhookId};
use prometheus_client::metrics::gauge::Gauge;

/// Webhooks whose circuit is not closed. Their number is in a gauge, from which they go with the actor.
#[derive(Debug)]
pub(super) struct OpenCircuits {
    webhooks: HashSet<WebhookId>,
    gauge: Gauge,
}

impl OpenCircuits {
    pub(super) fn new(gauge: Gauge) -> Self {
        Self {
            webhooks: HashSet::new(),
            gauge,
        }
    }

    /// Takes note of how a webhook's circuit is.
    pub(super) fn note(&mut self, webhook: WebhookId, state: State) {
        let before = self.webhooks.len();
        match state {
            State::Closed => self.webhooks.remove(&webhook),
            State::Open | State::HalfOpen => self.webhooks.insert(webhook),
        };
        self.tell(before);
    }

    /// Takes note that all circuits are forgotten.
    pub(super) fn forget(&mut self) {
        let before = self.webhooks.len();
        self.webhooks.clear();
        self.tell(before);
    }

    fn tell(&self, before: usize) {
        let change = self.webhooks.len() as i64 - before as i64;
        if change != 0 {
            self.gauge.inc_by(change);
        }
    }
}

impl Drop for OpenCircuits {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gauge_has_those_that_are_open_now() {
        let gauge = Gauge::default();
        let webhook = WebhookId::default();
        let mut circuits = OpenCircuits::new(gauge.clone());
        circuits.note(webhook, State::Open);
        circuits.note(webhook, State::HalfOpen);
        assert_eq!(gauge.get(), 1);
        circuits.note(webhook, State::Closed);
        assert_eq!(gauge.get(), 0);
        circuits.note(webhook, State::Open);
        drop(circuits);
        assert_eq!(gauge.get(), 0);
    }
}
