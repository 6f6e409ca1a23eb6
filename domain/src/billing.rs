//! The billing aggregate: what Stripe has told of a tenant's subscriptions and invoices. A tenant has
//! one, under its own id.
//!
//! Stripe tells things in any order, several times, and late. So what holds of a subscription or an
//! invoice is the greatest of all snapshots that were shown, in an order that is the same whichever
//! of them comes first ([`Subscription::order`], [`Invoice::order`]): what has ended stays so, and a
//! newer snapshot replaces an older one. Whatever is not greater is stale and changes nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::stripe::StripeId;

mod command;
mod event;
mod invoice;
mod news;
mod subscription;

pub use command::{Command, Shown};
pub use event::{Event, Seen};
pub use invoice::Invoice;
pub use news::News;
pub use subscription::{Subscription, current};

/// The most subscriptions of a tenant that are kept: the ones that were made last.
pub const SUBSCRIPTIONS_MAX: usize = 100;
/// The most invoices of a tenant that are kept, likewise.
pub const INVOICES_MAX: usize = 100;

/// What one of Stripe's objects was at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Snapshot<T> {
    seen: Seen,
    of: T,
}

/// A tenant's billing as its events tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Billing {
    subscriptions: BTreeMap<StripeId, Snapshot<Subscription>>,
    invoices: BTreeMap<StripeId, Snapshot<Invoice>>,
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
                let snapshot = Snapshot {
                    seen,
                    of: subscription,
                };
                self.subscriptions.insert(snapshot.of.id.clone(), snapshot);
                trim(&mut self.subscriptions, SUBSCRIPTIONS_MAX, |one| {
                    one.created_at
                });
            }
            Event::InvoiceUpdated { seen, invoice } => {
                let snapshot = Snapshot { seen, of: invoice };
                self.invoices.insert(snapshot.of.id.clone(), snapshot);
                trim(&mut self.invoices, INVOICES_MAX, |one| one.created_at);
            }
            Event::AccessWithdrawn => self.has_suspended = true,
            Event::AccessRestored => self.has_suspended = false,
        }
    }
}

impl Billing {
    /// The subscriptions that are kept, in no particular order.
    pub fn subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.values().map(|snapshot| &snapshot.of)
    }

    /// The invoices that are kept, likewise.
    pub fn invoices(&self) -> impl Iterator<Item = &Invoice> {
        self.invoices.values().map(|snapshot| &snapshot.of)
    }

    /// An invoice that is kept.
    #[must_use]
    pub fn invoice(&self, id: &StripeId) -> Option<&Invoice> {
        self.invoices.get(id).map(|snapshot| &snapshot.of)
    }

    /// A subscription that is kept.
    #[must_use]
    pub fn subscription(&self, id: &StripeId) -> Option<&Subscription> {
        self.subscriptions.get(id).map(|snapshot| &snapshot.of)
    }

    fn decide(&self, command: &Command) -> Option<Event> {
        let seen = command.seen.clone();
        match &command.shown {
            Shown::Subscription(new) => {
                let known = self.subscriptions.get(&new.id);
                let is_newer = known.is_none_or(|known| {
                    Subscription::order(&seen, new) > Subscription::order(&known.seen, &known.of)
                });
                let is_kept = is_newer
                    && has_room(&self.subscriptions, SUBSCRIPTIONS_MAX, &new.id, |one| {
                        (one.created_at, new.created_at)
                    });
                is_kept.then(|| Event::SubscriptionUpdated {
                    seen,
                    subscription: new.clone(),
                })
            }
            Shown::Invoice(new) => {
                let known = self.invoices.get(&new.id);
                let is_newer = known.is_none_or(|known| {
                    Invoice::order(&seen, new) > Invoice::order(&known.seen, &known.of)
                });
                let is_kept = is_newer
                    && has_room(&self.invoices, INVOICES_MAX, &new.id, |one| {
                        (one.created_at, new.created_at)
                    });
                is_kept.then(|| Event::InvoiceUpdated {
                    seen,
                    invoice: new.clone(),
                })
            }
        }
    }

    /// Whether the tenant is to be suspended now, or resumed: nothing that it has is good, and something
    /// is not paid for or over. That goes by the snapshots alone, not by how they came. Who was resumed
    /// by hand is not suspended again before something was good; and what the rule has done it takes
    /// back also when it holds no more.
    fn judge(&self, suspends: bool) -> Option<Event> {
        let is_lost = !self.subscriptions().any(Subscription::is_good)
            && self.subscriptions().any(Subscription::is_lost);
        match (is_lost, self.has_suspended) {
            (true, false) if suspends => Some(Event::AccessWithdrawn),
            (false, true) => Some(Event::AccessRestored),
            _ => None,
        }
    }
}

/// Whether an object may come to those that are kept: it is one of them, or there is room, or an
/// older one that has to go.
fn has_room<T>(
    kept: &BTreeMap<StripeId, Snapshot<T>>,
    max: usize,
    id: &StripeId,
    times: impl Fn(&T) -> (DateTime<Utc>, DateTime<Utc>),
) -> bool {
    let is_older = |(known, snapshot): (&StripeId, &Snapshot<T>)| {
        let (its_time, new_time) = times(&snapshot.of);
        (its_time, known) < (new_time, id)
    };
    kept.contains_key(id) || kept.len() < max || kept.iter().any(is_older)
}

/// Lets go of the oldest.
fn trim<T>(
    kept: &mut BTreeMap<StripeId, Snapshot<T>>,
    max: usize,
    created_at: impl Fn(&T) -> DateTime<Utc>,
) {
    while kept.len() > max {
        let oldest = kept
            .iter()
            .min_by_key(|(id, snapshot)| (created_at(&snapshot.of), *id))
            .map(|(id, _)| id.clone());
        let Some(oldest) = oldest else { return };
        kept.remove(&oldest);
    }
}

#[cfg(test)]
mod tests;
