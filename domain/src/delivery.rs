//! The delivery aggregate: one message to one webhook, from when it is scheduled to its end.

use chrono::{DateTime, Utc};
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{MessageId, WebhookId},
    tenant::TenantId,
    topic::Topic,
};

pub mod attempt;
mod command;
mod event;

pub use command::{Command, Error};
pub use event::{CancelReason, Event, Scheduled};

use attempt::{Attempt, Trigger};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It will be sent, for the first time or again.
    #[default]
    Pending,
    /// The receiver took it.
    Succeeded,
    /// All attempts are spent.
    Exhausted,
    /// Somebody or something called it off.
    Cancelled,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Pending,
        Self::Succeeded,
        Self::Exhausted,
        Self::Cancelled,
    ];

    /// The word on the wire and in views.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Exhausted => "exhausted",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A delivery as its events tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    is_scheduled: bool,
    tenant_id: TenantId,
    message_id: MessageId,
    webhook_id: WebhookId,
    topic: Topic,
    trigger: Trigger,
    status: Status,
    attempts: u32,
    due_at: DateTime<Utc>,
}

impl Delivery {
    /// What is to be sent.
    pub fn message_id(&self) -> MessageId {
        self.message_id
    }

    /// To which webhook.
    pub fn webhook_id(&self) -> WebhookId {
        self.webhook_id
    }

    /// What the message is about.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Where it stands.
    pub fn status(&self) -> Status {
        self.status
    }

    /// How many attempts were made.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// When the next attempt is due, while it is pending.
    pub fn due_at(&self) -> DateTime<Utc> {
        self.due_at
    }

    /// Whether it tests a webhook: one attempt, also at an inactive webhook.
    pub fn is_test(&self) -> bool {
        self.trigger == Trigger::Test
    }

    /// What the next attempt is triggered by.
    pub fn next_trigger(&self) -> Trigger {
        if self.attempts == 0 {
            self.trigger
        } else {
            Trigger::Retry
        }
    }
}

impl cqrs_es::Aggregate for Delivery {
    const TYPE: &'static str = "delivery";
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
        let event = self.decide(command)?;
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Scheduled(scheduled) => {
                self.is_scheduled = true;
                self.tenant_id = scheduled.tenant_id;
                self.message_id = scheduled.message_id;
                self.webhook_id = scheduled.webhook_id;
                self.topic = scheduled.topic;
                self.trigger = scheduled.trigger;
                self.due_at = scheduled.due_at;
            }
            Event::AttemptFailed {
                attempt,
                next_attempt_at,
            } => {
                self.attempts = attempt.number;
                self.due_at = next_attempt_at;
            }
            Event::Succeeded { attempt } => {
                self.attempts = attempt.number;
                self.status = Status::Succeeded;
            }
            Event::Exhausted { attempt } => {
                self.attempts = attempt.number;
                self.status = Status::Exhausted;
            }
            Event::Cancelled { .. } => self.status = Status::Cancelled,
        }
    }
}

impl Delivery {
    fn decide(&self, command: Command) -> Result<Event, Error> {
        match command {
            Command::Schedule(_) if self.is_scheduled => Err(Error::AlreadyScheduled),
            Command::Schedule(scheduled) => Ok(Event::Scheduled(scheduled)),
            _ if !self.is_scheduled => Err(Error::NotFound),
            _ if self.status != Status::Pending => Err(Error::Ended {
                status: self.status,
            }),
            Command::RecordAttempt {
                attempt,
                schedule,
                random,
            } => self.record(attempt, &schedule, random),
            Command::Cancel { reason } => Ok(Event::Cancelled { reason }),
        }
    }

    fn record(
        &self,
        attempt: Attempt,
        schedule: &crate::retry::Schedule,
        random: f64,
    ) -> Result<Event, Error> {
        if attempt.number != self.attempts + 1 {
            return Err(Error::WrongAttempt {
                expected: self.attempts + 1,
            });
        }
        if attempt.failure.is_none() {
            return Ok(Event::Succeeded { attempt });
        }
        let duration = i64::try_from(attempt.duration_ms).unwrap_or(i64::MAX / 2);
        let ended_at = attempt.started_at + chrono::Duration::milliseconds(duration);
        let next = if self.is_test() {
            None
        } else {
            schedule.next(attempt.number, ended_at, random)
        };
        Ok(match next {
            Some(next_attempt_at) => Event::AttemptFailed {
                attempt,
                next_attempt_at,
            },
            None => Event::Exhausted { attempt },
        })
    }
}

#[cfg(test)]
mod tests;
