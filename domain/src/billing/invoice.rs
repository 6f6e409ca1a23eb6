use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{INVOICES_MAX, Seen, kept::Object};
use crate::stripe::StripeId;

/// An invoice as Stripe shows it. Amounts are in the currency's smallest unit: cents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// Its id at Stripe.
    pub id: StripeId,
    /// Who is to pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<StripeId>,
    /// For which subscription, if for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_id: Option<StripeId>,
    /// How it stands, in Stripe's words: `draft`, `open`, `paid`, `uncollectible`, `void`.
    pub status: String,
    /// What is to be paid.
    pub amount_due: i64,
    /// What was paid.
    pub amount_paid: i64,
    /// ISO 4217, lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl Invoice {
    /// The status of one that may still change.
    pub const DRAFT: &'static str = "draft";
    /// The status of one that is to be paid.
    pub const OPEN: &'static str = "open";
    /// The status of one that was paid.
    pub const PAID: &'static str = "paid";
    /// The status of one that nobody will pay, probably.
    pub const UNCOLLECTIBLE: &'static str = "uncollectible";
    /// The status of one that was called off.
    pub const VOID: &'static str = "void";

    /// It was paid.
    #[must_use]
    pub fn is_paid(&self) -> bool {
        self.status == Self::PAID
    }

    /// Nothing becomes of it any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        [Self::PAID, Self::VOID].contains(&self.status.as_str())
    }

    /// What decides which of two snapshots of an invoice holds: the greater one. What is paid or void
    /// stays so (what is uncollectible may still be paid); then the later one; within a second the one
    /// further on in life, and of these the one that tells of a payment. See
    /// [`Subscription::order`](super::Subscription::order).
    pub fn order<'a>(seen: &'a Seen, shown: &'a Self) -> impl Ord + use<'a> {
        let of_life = match shown.status.as_str() {
            Self::DRAFT => 0,
            Self::UNCOLLECTIBLE => 2,
            _ => 1,
        };
        let tells_of_payment = seen.kind == PAYMENT_FAILED;
        (
            shown.has_ended(),
            seen.at,
            of_life,
            tells_of_payment,
            &seen.callback_id,
        )
    }
}

impl Object for Invoice {
    const MAX: usize = INVOICES_MAX;

    fn id(&self) -> &StripeId {
        &self.id
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn is_greater(new: (&Seen, &Self), known: (&Seen, &Self)) -> bool {
        Self::order(new.0, new.1) > Self::order(known.0, known.1)
    }
}

/// The callback that tells of a payment that came to nothing.
pub(super) const PAYMENT_FAILED: &str = "invoice.payment_failed";
