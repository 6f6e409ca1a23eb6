use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{Billing, Invoice, Shown, Subscription, invoice::PAYMENT_FAILED};
use crate::{clock::rfc3339, stripe::StripeId};

/// What a tenant's webhooks are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A subscription is new, or something of it that is shown has changed.
    SubscriptionUpdated(Subscription),
    /// An invoice was paid.
    InvoicePaid(Invoice),
    /// Somebody tried to pay an invoice, in vain.
    InvoicePaymentFailed(Invoice),
}

impl News {
    /// What there is to tell after a callback of type `kind` that has shown this; `before` is how things
    /// were, and `is_stale` whether they are so still.
    ///
    /// A payment that failed is told of also when it is learnt of late, unless the invoice has ended
    /// meanwhile: each try is news of its own, and they all look the same.
    #[must_use]
    pub fn of(before: &Billing, kind: &str, shown: &Shown, is_stale: bool) -> Option<Self> {
        match shown {
            Shown::Subscription(new) => {
                let is_known = before.subscription(&new.id).is_some_and(|old| old == new);
                (!is_known && !is_stale).then(|| Self::SubscriptionUpdated(new.clone()))
            }
            Shown::Invoice(new) if new.is_paid() => {
                let was_paid = before.invoice(&new.id).is_some_and(Invoice::is_paid);
                (!was_paid && !is_stale).then(|| Self::InvoicePaid(new.clone()))
            }
            Shown::Invoice(new) if kind == PAYMENT_FAILED => {
                let has_ended = before.invoice(&new.id).is_some_and(Invoice::has_ended);
                (!has_ended).then(|| Self::InvoicePaymentFailed(new.clone()))
            }
            Shown::Invoice(_) => None,
        }
    }

    /// The topic of the message.
    #[must_use]
    pub fn topic(&self) -> &'static str {
        match self {
            Self::SubscriptionUpdated(_) => "billing.subscription_updated",
            Self::InvoicePaid(_) => "billing.invoice_paid",
            Self::InvoicePaymentFailed(_) => "billing.invoice_payment_failed",
        }
    }

    /// The data of the message.
    pub fn data(&self) -> Result<Box<RawValue>, serde_json::Error> {
        match self {
            Self::SubscriptionUpdated(one) => to_raw_value(&SubscriptionData {
                customer_id: one.customer_id.as_ref(),
                subscription: SubscriptionShown {
                    id: &one.id,
                    status: &one.status,
                    plan: one.plan.as_deref(),
                    current_period_end: one.current_period_end.map(rfc3339),
                    cancel_at_period_end: one.cancel_at_period_end,
                },
            }),
            Self::InvoicePaid(one) | Self::InvoicePaymentFailed(one) => {
                to_raw_value(&InvoiceData {
                    customer_id: one.customer_id.as_ref(),
                    subscription_id: one.subscription_id.as_ref(),
                    invoice: InvoiceShown {
                        id: &one.id,
                        status: &one.status,
                        amount_due: one.amount_due,
                        amount_paid: one.amount_paid,
                        currency: one.currency.as_deref(),
                        created_at: rfc3339(one.created_at),
                    },
                })
            }
        }
    }
}

#[derive(Serialize)]
struct SubscriptionData<'a> {
    customer_id: Option<&'a StripeId>,
    subscription: SubscriptionShown<'a>,
}

#[derive(Serialize)]
struct SubscriptionShown<'a> {
    id: &'a StripeId,
    status: &'a str,
    plan: Option<&'a str>,
    current_period_end: Option<String>,
    cancel_at_period_end: bool,
}

#[derive(Serialize)]
struct InvoiceData<'a> {
    customer_id: Option<&'a StripeId>,
    subscription_id: Option<&'a StripeId>,
    invoice: InvoiceShown<'a>,
}

#[derive(Serialize)]
struct InvoiceShown<'a> {
    id: &'a StripeId,
    status: &'a str,
    amount_due: i64,
    amount_paid: i64,
    currency: Option<&'a str>,
    created_at: String,
}
