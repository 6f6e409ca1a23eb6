//! The message aggregate: something that the platform published, and to whom it goes.

use chrono::{DateTime, Utc};
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::{
    filter,
    ids::{DeliveryId, WebhookId},
    tenant::TenantId,
    topic::Topic,
    webhook::Webhook,
};

pub mod body;
mod event;

pub use event::{Event, IdempotencyKey};

/// The most bytes of a request that publishes one message.
pub const REQUEST_BYTES_MAX: usize = 512 * 1024;
/// The most bytes that the body made of it may have: a request that leaves its timestamp out makes
/// a body that is a little longer than itself.
pub const BODY_BYTES_MAX: usize = REQUEST_BYTES_MAX + 256;
/// The longest ordering key, in characters.
pub const ORDERING_KEY_CHARACTERS_MAX: usize = 255;

/// A message as the platform handed it in, its body made, its receivers found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Accepted {
    /// Whose webhooks get it.
    pub tenant_id: TenantId,
    /// What it is about.
    pub topic: Topic,
    /// When what it tells happened, as the publisher says.
    pub timestamp: DateTime<Utc>,
    /// What it is kept in order by, at webhooks that want order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordering_key: Option<String>,
    /// Size of the body that is signed and sent.
    pub body_bytes: u64,
    /// SHA-256 of that body, lower-case hexadecimal.
    pub body_sha256: String,
    /// What the publisher gave to recognise a repetition by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<IdempotencyKey>,
    /// Which webhooks get it, and which do not.
    #[serde(flatten)]
    pub fan_out: FanOut,
}

/// Who gets a message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FanOut {
    /// The deliveries that were made.
    pub deliveries: Vec<Recipient>,
    /// The webhooks that do not get it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_delivered: Vec<Skipped>,
}

/// A webhook that gets a message, and the delivery by which it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The webhook.
    pub webhook_id: WebhookId,
}

/// A webhook that does not get a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Why not.
    pub reason: SkipReason,
    /// More about it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Why a webhook does not get a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// It does not subscribe to the topic.
    NotSubscribed,
    /// It is switched off.
    Inactive,
    /// Its filter does not match, or came to nothing.
    Filtered,
}

impl SkipReason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSubscribed => "not_subscribed",
            Self::Inactive => "inactive",
            Self::Filtered => "filtered",
        }
    }
}

/// Decides which of a tenant's webhooks get a message of `topic`; `delivery_id` makes the id of
/// each delivery. What filters say comes later: [`FanOut::filter`].
pub fn fan_out<'a>(
    topic: &Topic,
    webhooks: impl IntoIterator<Item = (WebhookId, &'a Webhook)>,
    mut delivery_id: impl FnMut() -> DeliveryId,
) -> FanOut {
    let mut fan_out = FanOut::default();
    for (webhook_id, webhook) in webhooks {
        let reason = if !webhook.subscribes_to(topic) {
            SkipReason::NotSubscribed
        } else if !webhook.is_active() {
            SkipReason::Inactive
        } else {
            fan_out.deliveries.push(Recipient {
                delivery_id: delivery_id(),
                webhook_id,
            });
            continue;
        };
        fan_out.not_delivered.push(Skipped {
            webhook_id,
            reason,
            detail: None,
        });
    }
    fan_out
}

impl FanOut {
    /// Takes the deliveries back whose webhooks' filters do not want the message. `is_wanted` says
    /// so of a webhook, or why its filter cannot tell; nothing where there is no filter.
    pub fn filter(
        &mut self,
        mut is_wanted: impl FnMut(WebhookId) -> Option<Result<bool, filter::Failure>>,
    ) {
        let Self {
            deliveries,
            not_delivered,
        } = self;
        deliveries.retain(|to| {
            let detail = match is_wanted(to.webhook_id) {
                None | Some(Ok(true)) => return true,
                Some(Ok(false)) => None,
                Some(Err(failure)) => Some(failure.detail()),
            };
            not_delivered.push(Skipped {
                webhook_id: to.webhook_id,
                reason: SkipReason::Filtered,
                detail,
            });
            false
        });
        not_delivered.sort_by_key(|skipped| skipped.webhook_id);
    }
}

/// What may be asked of a message.
#[derive(Debug, Clone)]
pub enum Command {
    /// Take it, for good.
    Accept(Accepted),
    /// Erase its body. Once that is done, asking again changes nothing.
    EraseBody,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The id is taken.
    #[error("a message with this id was accepted already")]
    AlreadyAccepted,
    /// There is no such message.
    #[error("no such message")]
    NotFound,
    /// The body is over the limit.
    #[error("the body has {bytes} bytes, at most {BODY_BYTES_MAX} are allowed")]
    TooLarge {
        /// What it has.
        bytes: u64,
    },
}

/// A message as its events tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    accepted: Option<Accepted>,
    is_erased: bool,
}

impl Message {
    /// Whose it is; `None` if there is no such message.
    pub fn tenant_id(&self) -> Option<&TenantId> {
        self.accepted.as_ref().map(|accepted| &accepted.tenant_id)
    }
}

impl cqrs_es::Aggregate for Message {
    const TYPE: &'static str = "message";
    type Command = Command;
    type Event = Event;
    type Error = Error;
    type Services = ();

    async fn handle(
        &mut self,
        command: Command,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Error> {
        if let Some(event) = self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Accepted(accepted) => self.accepted = Some(accepted),
            Event::BodyErased => self.is_erased = true,
        }
    }
}

impl Message {
    fn decide(&self, command: Command) -> Result<Option<Event>, Error> {
        match command {
            Command::Accept(_) if self.accepted.is_some() => Err(Error::AlreadyAccepted),
            Command::Accept(accepted) if accepted.body_bytes > BODY_BYTES_MAX as u64 => {
                Err(Error::TooLarge {
                    bytes: accepted.body_bytes,
                })
            }
            Command::Accept(accepted) => Ok(Some(Event::Accepted(accepted))),
            Command::EraseBody if self.accepted.is_none() => Err(Error::NotFound),
            Command::EraseBody => Ok((!self.is_erased).then_some(Event::BodyErased)),
        }
    }
}

#[cfg(test)]
mod tests;
