use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{SUBSCRIPTIONS_MAX, Seen, kept::Object};
use crate::stripe::StripeId;

/// A subscription as Stripe shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Its id at Stripe.
    pub id: StripeId,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<StripeId>,
    /// How it stands, in Stripe's words: `trialing`, `active`, `past_due`, `unpaid`, `canceled` and
    /// others.
    pub status: String,
    /// The id of its first item's price; of its plan, if it has no prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Until when it is invoiced; with several items, the first of their ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_period_end: Option<DateTime<Utc>>,
    /// It is not renewed then.
    pub cancel_at_period_end: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl Subscription {
    /// The status of one that has ended.
    pub const CANCELED: &'static str = "canceled";
    /// The status of one whose first invoice was not paid in time; it has ended, too.
    pub const INCOMPLETE_EXPIRED: &'static str = "incomplete_expired";

    /// It has ended for good: Stripe takes nobody out of these statuses.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        [Self::CANCELED, Self::INCOMPLETE_EXPIRED].contains(&self.status.as_str())
    }

    /// Whoever has nothing good is suspended, if there is that rule.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        ["unpaid", Self::CANCELED].contains(&self.status.as_str())
    }

    /// Whoever has it is not suspended by that rule. One that is past due is still being paid for: Stripe
    /// tries again, and says `unpaid` or `canceled` when it gives up.
    #[must_use]
    pub fn is_good(&self) -> bool {
        ["active", "trialing", "past_due"].contains(&self.status.as_str())
    }

    /// What decides which of two snapshots of a subscription holds: the greater one.
    ///
    /// What has ended stays so; then the later one. Stripe's times are whole seconds, within which a
    /// subscription is often made and paid: there the first and the last callback of a life are
    /// known by their types, and of two others the one further on in life holds. What still cannot
    /// be told apart goes by the end of the period and by the callback's id, so that the result is at
    /// least the same in every order.
    pub fn order<'a>(seen: &'a Seen, shown: &'a Self) -> impl Ord + use<'a> {
        let of_life = match seen.kind.as_str() {
            "customer.subscription.created" => 0,
            "customer.subscription.deleted" => 2,
            _ => 1,
        };
        let status = match shown.status.as_str() {
            "incomplete" => 0,
            "trialing" => 1,
            "past_due" => 3,
            "unpaid" => 4,
            _ => 2,
        };
        (
            shown.has_ended(),
            seen.at,
            of_life,
            status,
            shown.current_period_end,
            &seen.callback_id,
        )
    }
}

impl Object for Subscription {
    const MAX: usize = SUBSCRIPTIONS_MAX;

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

/// Of several subscriptions the one that counts: of those that have not ended, or else of all, the one
/// that was made last.
pub fn current<'a>(
    subscriptions: impl Iterator<Item = &'a Subscription>,
) -> Option<&'a Subscription> {
    subscriptions.max_by_key(|one| (!one.has_ended(), one.created_at, &one.id))
}
