//! What the server counts, in Prometheus' terms.

use std::{fmt::Write, sync::atomic::AtomicU64};

use hookledger_domain::delivery::attempt::FailureCode;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Metric, Registry},
};

/// The media type of [`Metrics::encode`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What may become of a callback of Stripe's.
pub const CALLBACK_OUTCOMES: [&str; 6] = [
    "applied",
    "stale",
    "ignored",
    "unassigned",
    "duplicate",
    "refused",
];

/// Everything that is counted. The fields are atomic numbers: counting takes no lock.
#[derive(Debug)]
pub struct Metrics {
    /// Messages that were accepted for good, repetitions not counted.
    pub messages_accepted: Counter,
    /// Attempts that run now.
    pub attempts_in_flight: Gauge,
    /// Webhooks of this node's lanes whose circuit is not closed: nobody answered the last attempts.
    pub circuits_open: Gauge,
    /// Deliveries that were made, for each message one to each webhook that gets it.
    pub deliveries_scheduled: Counter,
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
    /// Commits that were left waiting when the last transaction began.
    pub commits_waiting: Gauge,
    attempts_succeeded: Counter,
    attempts_failed: Counter,
    /// Failed attempts by their code, in the order of [`FailureCode::ALL`].
    attempt_failures: [Counter; FailureCode::ALL.len()],
    /// Stripe's callbacks by what became of them, in the order of [`CALLBACK_OUTCOMES`].
    callbacks: [Counter; CALLBACK_OUTCOMES.len()],
    http_requests: Family<HttpLabels, Counter>,
    registry: Registry,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HttpLabels {
    method: String,
    route: String,
    status: String,
}

/// A counter for each value of one label.
type OneLabel = Family<[(&'static str, &'static str); 1], Counter>;

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("hookledger");
        let all = &mut registry;
        let attempts: OneLabel = register(all, "attempts", "Attempts by outcome");
        let help = "Failed attempts by the code of their error";
        let failures: OneLabel = register(all, "attempt_failures", help);
        let help = "Bodies of messages and answers that were erased, by reason";
        let bodies_erased: OneLabel = register(all, "bodies_erased", help);
        let help = "Callbacks of Stripe's by what became of them";
        let callbacks: OneLabel = register(all, "stripe_callbacks", help);
        let help = "Deliveries that ended, by status";
        let deliveries: OneLabel = register(all, "deliveries_ended", help);
        Self {
            messages_accepted: register(all, "messages_accepted", "Messages accepted for good"),
            attempts_in_flight: register(all, "attempts_in_flight", "Attempts that run now"),
            circuits_open: register(
                all,
                "circuits_open",
                "Webhooks on this node whose last attempts nobody answered",
            ),
            deliveries_scheduled: register(
                all,
                "deliveries_scheduled",
                "Deliveries made, one to each webhook that gets a message",
            ),
            node_partitions: register(
                all,
                "node_partitions",
                "Partitions of tenants that this node holds, of 256",
            ),
            dispatch_lag_seconds: register(
                all,
                "dispatch_lag_seconds",
                "How long the delivery that waits longest on this node has been due",
            ),
            commit_batches: register(all, "commit_batches", "Transactions of the ledger's writer"),
            commits: register(all, "commits", "Commits joined in those transactions"),
            commits_waiting: register(
                all,
                "commits_waiting",
                "Commits that were left waiting when the last transaction began",
            ),
            attempts_succeeded: attempts.get_or_create_owned(&[("outcome", "succeeded")]),
            attempts_failed: attempts.get_or_create_owned(&[("outcome", "failed")]),
            attempt_failures: FailureCode::ALL
                .map(|code| failures.get_or_create_owned(&[("code", code.as_str())])),
            deliveries_succeeded: deliveries.get_or_create_owned(&[("status", "succeeded")]),
            deliveries_exhausted: deliveries.get_or_create_owned(&[("status", "exhausted")]),
            deliveries_cancelled: deliveries.get_or_create_owned(&[("status", "cancelled")]),
            bodies_erased_by_retention: bodies_erased
                .get_or_create_owned(&[("reason", "retention")]),
            bodies_erased_by_hand: bodies_erased.get_or_create_owned(&[("reason", "request")]),
            callbacks: CALLBACK_OUTCOMES
                .map(|outcome| callbacks.get_or_create_owned(&[("outcome", outcome)])),
            http_requests: register(
                all,
                "http_requests",
                "Requests by method, route and status class",
            ),
            registry,
        }
    }

    /// Counts an attempt, with why it failed if it did.
    pub fn count_attempt(&self, failure: Option<FailureCode>) {
        let Some(code) = failure else {
            self.attempts_succeeded.inc();
            return;
        };
        self.attempts_failed.inc();
        let mut codes = FailureCode::ALL.iter().zip(&self.attempt_failures);
        if let Some((_, counter)) = codes.find(|(known, _)| **known == code) {
            counter.inc();
        }
    }

    /// Counts a callback of Stripe's, by one of [`CALLBACK_OUTCOMES`].
    pub fn count_callback(&self, outcome: &str) {
        let mut outcomes = CALLBACK_OUTCOMES.iter().zip(&self.callbacks);
        if let Some((_, counter)) = outcomes.find(|(known, _)| **known == outcome) {
            counter.inc();
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

fn register<M: Metric + Default + Clone>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::new();
        metrics.messages_accepted.inc();
        metrics.count_attempt(None);
        metrics.count_attempt(Some(FailureCode::Timeout));
        metrics.count_attempt(Some(FailureCode::HttpStatus));
        metrics.circuits_open.set(2);
        metrics.attempts_in_flight.set(3);
        metrics.deliveries_exhausted.inc();
        metrics.count_callback("duplicate");
        let text = metrics.encode();
        for line in [
            "hookledger_messages_accepted_total 1",
            r#"hookledger_attempts_total{outcome="succeeded"} 1"#,
            r#"hookledger_attempts_total{outcome="failed"} 2"#,
            r#"hookledger_attempt_failures_total{code="timeout"} 1"#,
            r#"hookledger_attempt_failures_total{code="dns"} 0"#,
            "hookledger_circuits_open 2",
            "hookledger_attempts_in_flight 3",
            r#"hookledger_deliveries_ended_total{status="exhausted"} 1"#,
            r#"hookledger_stripe_callbacks_total{outcome="duplicate"} 1"#,
            r#"hookledger_stripe_callbacks_total{outcome="applied"} 0"#,
            "# EOF",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
    }
}
