//! The billing aggregate: what Stripe has told of a tenant's subscriptions and invoices. A tenant has
//! one, under its own id.
//!
//! Stripe tells things in any order, several times, and late. So what holds of a subscription or an
//! invoice is the greatest of all snapshots that were shown, in an order that is the same whichever
//! of them comes first ([`Subscription::order`], [`Invoice::order`]): what has ended stays so, and a
//! newer snapshot replaces an older one. Whatever is not greater is stale and changes nothing.

use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::stripe::StripeId;

mod command;
mod event;
mod invoice;
mod kept;
mod news;
mod subscription;

pub use command::{Command, Shown};
pub use event::{Event, Seen};
pub use invoice::Invoice;
pub use news::News;
pub use subscription::{Subscription, current};

use kept::Kept;

/// The most subscriptions of a tenant that are kept: the ones that were made last.
pub const SUBSCRIPTIONS_MAX: usize = 100;
/// The most invoices of a tenant that are kept, likewise.
pub const INVOICES_MAX: usize = 100;

/// A tenant's billing as its events tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Billing {
    subscriptions: Kept<Subscription>,
    invoices: Kept<Invoice>,
    /// The rule about subscriptions that are not paid for has suspended the tenant.
    has_suspended: bool,
}

impl cqrs_es::Aggregate for Billing {
    const TYPE: &'static str = "billing";
    type Command = Command;
    type Event = Event;
    type Error = std::convert::Infallible;
    type Services = ();

    async fn handle(
        &mut self,
        command: Command,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Self::Error> {
        let Some(event) = self.decide(&command) else {
            return Ok(());
        };
        sink.write(event, self).await;
        if let Some(event) = self.judge(command.suspends) {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::SubscriptionUpdated { seen, subscription } => {
                self.subscriptions.put(seen, subscription);
            }
            Event::InvoiceUpdated { seen, invoice } => self.invoices.put(seen, invoice),
            Event::AccessWithdrawn => self.has_suspended = true,
            Event::AccessRestored => self.has_suspended = false,
        }
    }
}

impl Billing {
    /// An invoice that is kept.
    #[must_use]
    pub fn invoice(&self, id: &StripeId) -> Option<&Invoice> {
        self.invoices.get(id)
    }

    /// A subscription that is kept.
    #[must_use]
    pub fn subscription(&self, id: &StripeId) -> Option<&Subscription> {
        self.subscriptions.get(id)
    }

    fn decide(&self, command: &Command) -> Option<Event> {
        let seen = &command.seen;
        match &command.shown {
            Shown::Subscription(new) if self.subscriptions.wants(seen, new) => {
                Some(Event::SubscriptionUpdated {
                    seen: seen.clone(),
                    subscription: new.clone(),
                })
            }
            Shown::Invoice(new) if self.invoices.wants(seen, new) => Some(Event::InvoiceUpdated {
                seen: seen.clone(),
                invoice: new.clone(),
            }),
            Shown::Subscription(_) | Shown::Invoice(_) => None,
        }
    }

    /// Whether the tenant is to be suspended now, or resumed: nothing that it has is good, and something
    /// is not paid for or over. That goes by the snapshots alone, not by how they came. Who was resumed
    /// by hand is not suspended again before something was good; and what the rule has done it takes
    /// back also when it holds no more.
    fn judge(&self, suspends: bool) -> Option<Event> {
        let is_lost = !self.subscriptions.all().any(Subscription::is_good)
            && self.subscriptions.all().any(Subscription::is_lost);
        match (is_lost, self.has_suspended) {
            (true, false) if suspends => Some(Event::AccessWithdrawn),
            (false, true) => Some(Event::AccessRestored),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
