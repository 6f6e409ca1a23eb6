//! What the server counts, in Prometheus' terms.

use std::{fmt::Write, sync::atomic::AtomicU64};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The media type of [`Metrics::encode`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is counted. The fields are atomic numbers: counting takes no lock.
#[derive(Debug)]
pub struct Metrics {
    /// Messages that were accepted for good, repetitions not counted.
    pub messages_accepted: Counter,
    /// Attempts that the receiver took.
    pub attempts_succeeded: Counter,
    /// Attempts that failed.
    pub attempts_failed: Counter,
    /// Attempts that run now.
    pub attempts_in_flight: Gauge,
    /// Deliveries that ended because the receiver took them.
    pub deliveries_succeeded: Counter,
    /// Deliveries that ended because their attempts were spent.
    pub deliveries_exhausted: Counter,
    /// Deliveries that were called off.
    pub deliveries_cancelled: Counter,
    /// Bodies that were erased because they had been kept long enough.
    pub bodies_erased_by_retention: Counter,
    /// Bodies that somebody had erased.
    pub bodies_erased_by_hand: Counter,
    /// Partitions of tenants that this node holds.
    pub node_partitions: Gauge,
    /// How long the delivery that waits longest here has been due.
    pub dispatch_lag_seconds: Gauge<f64, AtomicU64>,
    /// Transactions of the ledger's writer.
    pub commit_batches: Counter,
    /// Commits that those transactions joined.
    pub commits: Counter,
    http_requests: Family<HttpLabels, Counter>,
    registry: Registry,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HttpLabels {
    method: String,
    route: String,
    status: String,
}

type OneLabel = [(&'static str, &'static str); 1];

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("hookledger");
        let attempts = family(&mut registry, "attempts", "Attempts by outcome");
        let deliveries = family(
            &mut registry,
            "deliveries_ended",
            "Deliveries that ended, by status",
        );
        let bodies_erased = family(
            &mut registry,
            "bodies_erased",
            "Bodies of messages and answers that were erased, by reason",
        );
        let http_requests = Family::default();
        registry.register(
            "http_requests",
            "Requests by method, route and status class",
            http_requests.clone(),
        );
        let attempts_in_flight = Gauge::default();
        registry.register(
            "attempts_in_flight",
            "Attempts that run now",
            attempts_in_flight.clone(),
        );
        let node_partitions = Gauge::default();
        registry.register(
            "node_partitions",
            "Partitions of tenants that this node holds, of 256",
            node_partitions.clone(),
        );
        let dispatch_lag_seconds = Gauge::default();
        registry.register(
            "dispatch_lag_seconds",
            "How long the delivery that waits longest on this node has been due",
            dispatch_lag_seconds.clone(),
        );
        Self {
            node_partitions,
            dispatch_lag_seconds,
            messages_accepted: counter(
                &mut registry,
                "messages_accepted",
                "Messages accepted for good",
            ),
            commit_batches: counter(
                &mut registry,
                "commit_batches",
                "Transactions of the ledger's writer",
            ),
            commits: counter(
                &mut registry,
                "commits",
                "Commits joined in those transactions",
            ),
            attempts_succeeded: attempts.get_or_create_owned(&[("outcome", "succeeded")]),
            attempts_failed: attempts.get_or_create_owned(&[("outcome", "failed")]),
            deliveries_succeeded: deliveries.get_or_create_owned(&[("status", "succeeded")]),
            deliveries_exhausted: deliveries.get_or_create_owned(&[("status", "exhausted")]),
            deliveries_cancelled: deliveries.get_or_create_owned(&[("status", "cancelled")]),
            bodies_erased_by_retention: bodies_erased
                .get_or_create_owned(&[("reason", "retention")]),
            bodies_erased_by_hand: bodies_erased.get_or_create_owned(&[("reason", "request")]),
            attempts_in_flight,
            http_requests,
            registry,
        }
    }

    /// The counter of the requests of a route with a method that were answered with a status of a
    /// class. To be asked for once: finding it takes a lock, counting with it does not.
    pub fn http_requests(&self, method: &str, route: &str, status_class: &str) -> Counter {
        self.http_requests.get_or_create_owned(&HttpLabels {
            method: method.to_owned(),
            route: route.to_owned(),
            status: status_class.to_owned(),
        })
    }

    /// Everything as text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if text::encode(&mut text, &self.registry).is_err() {
            // A String takes everything; without a counter that cannot be written the rest stands.
            let _ = writeln!(text, "# EOF");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

fn family(registry: &mut Registry, name: &str, help: &str) -> Family<OneLabel, Counter> {
    let family = Family::default();
    registry.register(name, help, family.clone());
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::new();
        metrics.messages_accepted.inc();
        metrics.attempts_failed.inc_by(2);
        metrics.attempts_in_flight.set(3);
        metrics.deliveries_exhausted.inc();
        let text = metrics.encode();
        for line in [
            "hookledger_messages_accepted_total 1",
            r#"hookledger_attempts_total{outcome="failed"} 2"#,
            "hookledger_attempts_in_flight 3",
            r#"hookledger_deliveries_ended_total{status="exhausted"} 1"#,
            "# EOF",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
    }
}
