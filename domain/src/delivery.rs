//! The delivery aggregate: one message to one webhook, from when it is scheduled to its end.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{AttemptId, MessageId, WebhookId},
    retry::{self, Schedule},
    tenant::TenantId,
    topic::Topic,
};

pub mod attempt;
mod command;
mod event;
pub mod explanation;

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
    ordering_key: Option<String>,
    status: Status,
    attempts: u32,
    /// Those of them that count for the schedule.
    scheduled_attempts: u32,
    due_at: DateTime<Utc>,
    request: Option<Request>,
    /// A request was withdrawn for which an attempt may be under way.
    is_withdrawn: bool,
    last_requested_at: Option<DateTime<Utc>>,
    last_attempt: AttemptId,
    /// The attempts whose answers' bodies somebody had erased.
    erased: BTreeSet<AttemptId>,
}

/// An attempt that was asked for by hand and is still to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    trigger: Trigger,
    at: DateTime<Utc>,
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

    /// The last attempt that was recorded; the default id if there was none.
    pub fn last_attempt(&self) -> AttemptId {
        self.last_attempt
    }

    /// What it is kept in order by, at a webhook that wants order; a test has no place in it.
    pub fn queue(&self) -> Option<&str> {
        (!self.is_test()).then(|| self.ordering_key.as_deref().unwrap_or_default())
    }

    /// When the next attempt is due, if there is to be one: by hand, or else by the schedule.
    pub fn due_at(&self) -> Option<DateTime<Utc>> {
        match self.request {
            Some(request) => Some(request.at),
            None => self.scheduled_at(),
        }
    }

    /// When the schedule has the next attempt, while the delivery is pending.
    pub fn scheduled_at(&self) -> Option<DateTime<Utc>> {
        (self.status == Status::Pending).then_some(self.due_at)
    }

    /// Whether it tests a webhook: one attempt, also at an inactive webhook.
    pub fn is_test(&self) -> bool {
        self.trigger == Trigger::Test
    }

    /// What the next attempt is triggered by.
    pub fn next_trigger(&self) -> Trigger {
        match self.request {
            Some(request) => request.trigger,
            None if self.scheduled_attempts == 0 => self.trigger,
            None => Trigger::Retry,
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
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
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
                self.ordering_key = scheduled.ordering_key;
            }
            Event::AttemptFailed {
                attempt,
                next_attempt_at,
            } => {
                self.count(&attempt);
                self.due_at = next_attempt_at;
            }
            Event::Succeeded { attempt } => {
                self.count(&attempt);
                self.status = Status::Succeeded;
                self.request = None;
            }
            Event::Exhausted { attempt } => {
                self.count(&attempt);
                self.status = Status::Exhausted;
            }
            Event::ExtraAttemptFailed { attempt, .. } => self.count(&attempt),
            Event::Cancelled { .. } => {
                self.status = Status::Cancelled;
                self.withdraw();
            }
            Event::AttemptRequested { trigger, at } => {
                self.request = Some(Request { trigger, at });
                self.last_requested_at = Some(at);
            }
            Event::RequestWithdrawn { .. } => self.withdraw(),
            Event::ResponseBodyErased { attempt_id } => {
                self.erased.insert(attempt_id);
            }
        }
    }
}

impl Delivery {
    fn withdraw(&mut self) {
        self.is_withdrawn |= self.request.take().is_some();
    }

    fn count(&mut self, attempt: &Attempt) {
        self.attempts = attempt.number;
        self.last_attempt = attempt.id;
        let was_withdrawn = std::mem::take(&mut self.is_withdrawn);
        if attempt.trigger.is_by_hand() {
            // One that was under way for a request which was withdrawn does not answer a later one.
            self.request = self
                .request
                .filter(|request| was_withdrawn && request.at > attempt.started_at);
        } else {
            self.scheduled_attempts += 1;
        }
    }

    fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        match command {
            Command::Schedule(_) if self.is_scheduled => Err(Error::AlreadyScheduled),
            Command::Schedule(scheduled) => Ok(vec![Event::Scheduled(scheduled)]),
            _ if !self.is_scheduled => Err(Error::NotFound),
            Command::RecordAttempt {
                attempt,
                schedule,
                random,
            } => self.record(attempt, &schedule, random),
            Command::RequestAttempt {
                trigger,
                now,
                unless_since,
            } => Ok(self
                .request(trigger, now, unless_since)
                .into_iter()
                .collect()),
            Command::Cancel { reason } => Ok(vec![self.cancel(reason)?]),
            Command::EraseResponseBody { attempt_id } => {
                Ok(self.erase_response_body(attempt_id).into_iter().collect())
            }
        }
    }

    fn erase_response_body(&self, attempt_id: AttemptId) -> Option<Event> {
        let is_erased = self.erased.contains(&attempt_id);
        (!is_erased).then_some(Event::ResponseBodyErased { attempt_id })
    }

    fn request(
        &self,
        trigger: Trigger,
        now: DateTime<Utc>,
        unless_since: Option<DateTime<Utc>>,
    ) -> Option<Event> {
        let was_requested = match (self.last_requested_at, unless_since) {
            (Some(last), Some(since)) => last >= since,
            _ => false,
        };
        let is_open = self.request.is_some();
        (!is_open && !was_requested).then_some(Event::AttemptRequested { trigger, at: now })
    }

    fn cancel(&self, reason: CancelReason) -> Result<Event, Error> {
        match self.status {
            Status::Pending => Ok(Event::Cancelled { reason }),
            _ if self.request.is_some() => Ok(Event::RequestWithdrawn { reason }),
            status => Err(Error::Ended { status }),
        }
    }

    /// An attempt that was made is recorded whatever became of the delivery meanwhile: the log
    /// shows all that was sent, and what was received has succeeded.
    fn record(
        &self,
        attempt: Attempt,
        schedule: &Schedule,
        random: f64,
    ) -> Result<Vec<Event>, Error> {
        if attempt.number != self.attempts + 1 {
            return Err(Error::WrongAttempt {
                expected: self.attempts + 1,
            });
        }
        if attempt.failure.is_none() {
            return Ok(vec![Event::Succeeded { attempt }]);
        }
        if attempt.trigger.is_by_hand() {
            let mut after = self.clone();
            after.count(&attempt);
            let next_attempt_at = after.due_at();
            return Ok(vec![Event::ExtraAttemptFailed {
                attempt,
                next_attempt_at,
            }]);
        }
        if self.status != Status::Pending {
            return Ok(vec![Event::ExtraAttemptFailed {
                attempt,
                next_attempt_at: self.due_at(),
            }]);
        }
        let failed = match self.next_attempt_at(&attempt, schedule, random) {
            Some(next_attempt_at) => Event::AttemptFailed {
                attempt,
                next_attempt_at,
            },
            None => Event::Exhausted { attempt },
        };
        let still_asked_for = self.request.map(|request| Event::AttemptRequested {
            trigger: request.trigger,
            at: request.at,
        });
        Ok([Some(failed), still_asked_for]
            .into_iter()
            .flatten()
            .collect())
    }

    fn next_attempt_at(
        &self,
        attempt: &Attempt,
        schedule: &Schedule,
        random: f64,
    ) -> Option<DateTime<Utc>> {
        if self.is_test() {
            return None;
        }
        let ended_at = attempt.ended_at();
        let scheduled = schedule.next(self.scheduled_attempts + 1, ended_at, random)?;
        let asked_for = attempt
            .response
            .as_ref()
            .and_then(|response| retry::retry_after(response.status, &response.headers, ended_at));
        Some(asked_for.map_or(scheduled, |asked_for| asked_for.max(scheduled)))
    }
}

#[cfg(test)]
mod tests;
