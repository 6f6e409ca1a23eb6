//! An event of any aggregate: what the ledger appends and the projections read.

use cqrs_es::{Aggregate, DomainEvent};
use serde::Serialize;

use crate::{
    billing::{self, Billing},
    callback::{self, Callback, Unassigned, UnassignedEvent},
    delivery::{self, Delivery},
    message::{self, Message},
    recovery::{self, Recovery},
    tenant::{self, Tenant},
    topic::{self, CustomTopic},
    vault::{self, Vault},
    webhook::{self, Webhook},
};

/// An event of any aggregate.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// Of a tenant.
    Tenant(tenant::Event),
    /// Of a custom topic.
    Topic(topic::Event),
    /// Of the vault.
    Vault(vault::Event),
    /// Of a webhook.
    Webhook(webhook::Event),
    /// Of a message.
    Message(message::Event),
    /// Of a delivery.
    Delivery(delivery::Event),
    /// Of a recovery.
    Recovery(recovery::Event),
    /// Of a tenant's billing.
    Billing(billing::Event),
    /// Of a callback of Stripe's.
    Callback(callback::Event),
    /// Of a callback without tenant.
    Unassigned(UnassignedEvent),
}

/// A stored event that this version cannot read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No aggregate is called so.
    #[error("no aggregate type is called {0:?}")]
    UnknownAggregate(String),
    /// The payload is not what its type says.
    #[error("the payload of a {aggregate_type} event cannot be read")]
    Payload {
        /// Which aggregate.
        aggregate_type: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

macro_rules! facts {
    ($($variant:ident => $aggregate:ty),+ $(,)?) => {
        impl Fact {
            /// The types of all aggregates.
            pub const AGGREGATE_TYPES: &'static [&'static str] = &[$(<$aggregate>::TYPE),+];

            /// Which aggregate it belongs to.
            pub fn aggregate_type(&self) -> &'static str {
                match self { $(Self::$variant(_) => <$aggregate>::TYPE),+ }
            }

            /// What happened, in one word.
            pub fn event_type(&self) -> String {
                match self { $(Self::$variant(event) => event.event_type()),+ }
            }

            /// The version of the payload's shape.
            pub fn event_version(&self) -> String {
                match self { $(Self::$variant(event) => event.event_version()),+ }
            }

            /// The payload as JSON text.
            pub fn payload(&self) -> Result<String, serde_json::Error> {
                match self { $(Self::$variant(event) => encode(event)),+ }
            }

            /// Reads a payload back that has the present version.
            pub fn read(aggregate_type: &str, payload: serde_json::Value) -> Result<Self, Error> {
                match aggregate_type {
                    $(<$aggregate>::TYPE => serde_json::from_value(payload)
                        .map(Self::$variant)
                        .map_err(|source| Error::Payload { aggregate_type: <$aggregate>::TYPE, source }),)+
                    other => Err(Error::UnknownAggregate(other.to_owned())),
                }
            }
        }

        $(impl From<<$aggregate as Aggregate>::Event> for Fact {
            fn from(event: <$aggregate as Aggregate>::Event) -> Self {
                Self::$variant(event)
            }
        })+
    };
}

facts! {
    Tenant => Tenant,
    Topic => CustomTopic,
    Vault => Vault,
    Webhook => Webhook,
    Message => Message,
    Delivery => Delivery,
    Recovery => Recovery,
    Billing => Billing,
    Callback => Callback,
    Unassigned => Unassigned,
}

fn encode(event: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_reads_back() {
        let fact = Fact::from(tenant::Event::Suspended);
        let payload = serde_json::from_str(&fact.payload().unwrap()).unwrap();
        assert_eq!(Fact::read(fact.aggregate_type(), payload).unwrap(), fact);
    }

    #[test]
    fn an_unknown_aggregate_is_named() {
        let error = Fact::read("weather", serde_json::Value::Null).unwrap_err();
        assert!(error.to_string().contains("weather"));
    }
}
