use super::Topic;

/// What a topic that Hookledger brings along is about; nothing if it is none.
pub fn built_in_description(topic: &Topic) -> Option<&'static str> {
    BUILT_IN
        .iter()
        .find_map(|(name, description)| (*name == topic.as_str()).then_some(*description))
}

/// The topics that Hookledger brings along, each with what it is about: VexylCloud's own.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("automation.completed", "An automation ended well"),
    ("automation.failed", "An automation ended with an error"),
    ("automation.started", "An automation was started"),
    ("billing.invoice_paid", "An invoice was paid"),
    (
        "billing.invoice_payment_failed",
        "The payment of an invoice failed",
    ),
    ("billing.subscription_updated", "A subscription changed"),
    ("service.created", "A service was created"),
    ("service.outage_resolved", "A service's outage is over"),
    ("service.outage_started", "A service is out"),
    ("service.status_changed", "A service's status changed"),
    ("service.updated", "A service was changed"),
    ("ticket.assigned", "A ticket was given to somebody"),
    ("ticket.closed", "A ticket was closed"),
    ("ticket.commented", "Somebody commented on a ticket"),
    ("ticket.created", "A ticket was created"),
    ("ticket.reopened", "A closed ticket was opened again"),
    (
        "ticket.sla_breached",
        "A ticket's service level agreement is broken",
    ),
    (
        "ticket.sla_warning",
        "A ticket's service level agreement will soon be broken",
    ),
    ("ticket.updated", "A ticket was changed"),
    (
        "webhook.disabled",
        "Another webhook of the tenant was disabled",
    ),
    ("webhook.test", "Somebody tests a webhook"),
];
