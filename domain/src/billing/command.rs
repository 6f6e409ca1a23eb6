use super::{Invoice, Seen, Subscription};

/// The one thing that may be asked of a tenant's billing: take note of what Stripe shows. If it is no
/// news, nothing changes.
#[derive(Debug, Clone)]
pub struct Command {
    /// When it was so, and who says it.
    pub seen: Seen,
    /// What is shown.
    pub shown: Shown,
    /// The rule holds that a tenant is suspended whose subscription is not paid for.
    pub suspends: bool,
}

/// What Stripe shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A subscription.
    Subscription(Subscription),
    /// An invoice.
    Invoice(Invoice),
}
