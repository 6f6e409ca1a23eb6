use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Invoice, Subscription};
use crate::stripe::StripeId;

/// When something was as it is shown, and by which callback it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// When Stripe made the callback, in whole seconds.
    pub at: DateTime<Utc>,
    /// The callback's type: `invoice.paid`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The callback's id.
    pub callback_id: StripeId,
}

/// What happened to a tenant's billing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A subscription is as it was shown, as far as is known.
    SubscriptionUpdated {
        /// Since when.
        seen: Seen,
        /// The subscription.
        subscription: Subscription,
    },
    /// An invoice is as it was shown, likewise.
    InvoiceUpdated {
        /// Since when.
        seen: Seen,
        /// The invoice.
        invoice: Invoice,
    },
    /// No subscription is good, and one is not paid for or over: the tenant is suspended, if it is not.
    AccessWithdrawn,
    /// That is over, and so is that suspension.
    AccessRestored,
}

impl cqrs_es::DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::SubscriptionUpdated { .. } => "subscription_updated",
            Self::InvoiceUpdated { .. } => "invoice_updated",
            Self::AccessWithdrawn => "access_withdrawn",
            Self::AccessRestored => "access_restored",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
