//! How a delivery came to be and how it ended, told from its events, step by step.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::Aggregate;

use super::{
    CancelReason, Delivery, Event, Request, Status,
    attempt::{Attempt, Trigger},
};
use crate::{
    actor::Actor,
    clock::rfc3339,
    ids::AttemptId,
    retry,
    topic::{Pattern, Topic},
    webhook::Webhook,
};

mod holds;
mod sentences;

pub use holds::{Hold, Holds};

use sentences::{called_off, failure, held_back, made, outcome, taken};

/// The most steps that are told; a delivery has more only if it is sent by hand again and again.
pub const STEPS_MAX: usize = 1000;
/// The most versions of the webhook that are told of.
pub const VERSIONS_MAX: usize = 100;
/// What starts within this time after it was due has not waited.
const AT_ONCE: TimeDelta = TimeDelta::seconds(1);

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// When it happened, or began.
    pub at: DateTime<Utc>,
    /// One sentence for people.
    pub summary: String,
    /// What it was.
    pub kind: StepKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum StepKind {
    /// The delivery was made.
    Scheduled {
        /// When its first attempt was due.
        due_at: DateTime<Utc>,
    },
    /// It was sent.
    Attempt(Box<Attempt>),
    /// Nothing was sent for a while.
    Wait {
        /// Until when it was to last, or lasted; `None` while it lasts.
        until: Option<DateTime<Utc>>,
        /// Why.
        reason: WaitReason,
    },
    /// Somebody asked for one more attempt.
    Requested {
        /// In which way they asked.
        trigger: Trigger,
        /// Who did.
        actor: Actor,
    },
    /// It was called off.
    Cancelled {
        /// Why.
        reason: CancelReason,
        /// By whom.
        actor: Actor,
    },
    /// An attempt that was asked for is not wanted any more.
    Withdrawn {
        /// Why.
        reason: CancelReason,
        /// Who said so.
        actor: Actor,
    },
    /// The body of the message or of an answer was erased by hand.
    Erased {
        /// The attempt whose answer it was; `None`: the message's own.
        attempt: Option<AttemptId>,
        /// Who did it.
        actor: Actor,
    },
}

/// Why nothing was sent for a while, as far as events tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// The retry schedule has it so.
    Schedule,
    /// The receiver asked for it.
    RetryAfter,
    /// The webhook was switched off.
    Inactive,
    /// The tenant was suspended.
    Suspended,
    /// It waited for its turn: limits of rate and number, order, a receiver that could not be
    /// reached, or the server itself. Or an attempt is under way: none is told of before it has
    /// ended. Events do not tell which.
    Queued,
}

impl WaitReason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::RetryAfter => "retry_after",
            Self::Inactive => "inactive",
            Self::Suspended => "suspended",
            Self::Queued => "queued",
        }
    }
}

/// How a delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// When.
    pub at: DateTime<Utc>,
    /// How.
    pub how: Status,
    /// Why, in one sentence for people.
    pub because: String,
}

/// Why a webhook got a message, by its configuration of that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// What it subscribed to.
    pub events: Vec<Pattern>,
    /// The first of these that the message's topic matches; none of a test, which nothing needs to
    /// match.
    pub pattern: Option<Pattern>,
    /// Its filter, if it had one.
    pub filter: Option<String>,
}

impl Matched {
    /// Why `webhook`, as it was then, got a message about `topic`.
    pub fn of(webhook: &Webhook, topic: &Topic, is_test: bool) -> Self {
        let config = webhook.config();
        let matching = config.events.iter().find(|pattern| pattern.matches(topic));
        Self {
            events: config.events.clone(),
            pattern: matching.filter(|_| !is_test).cloned(),
            filter: config.filter.clone(),
        }
    }
}

/// A delivery's events as they are told, one after the other.
#[derive(Debug, Default)]
pub struct Story {
    delivery: Delivery,
    steps: Vec<Step>,
    is_truncated: bool,
    end: Option<End>,
    /// From when an attempt was due to when it started.
    gaps: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    versions: BTreeSet<u64>,
}

/// A story that is told to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// What happened, oldest first.
    pub steps: Vec<Step>,
    /// There was more.
    pub is_truncated: bool,
    /// How it ended, if it has.
    pub end: Option<End>,
}

impl Story {
    /// The delivery as it is after the events that were told.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// The versions of the webhook that attempts were made with.
    pub fn versions(&self) -> &BTreeSet<u64> {
        &self.versions
    }

    /// Whether it matters what held deliveries back: something was due and not sent at once.
    pub fn has_waited(&self, now: DateTime<Utc>) -> bool {
        !self.gaps.is_empty() || self.overdue(now).is_some()
    }

    /// Goes on with the next event, which was recorded at the moment `at` and caused by `actor`.
    pub fn tell(&mut self, event: Event, at: DateTime<Utc>, actor: &Actor) {
        match &event {
            Event::Scheduled(scheduled) => {
                let summary = format!("{} {}", actor.called(), made(scheduled.trigger));
                let due_at = scheduled.due_at;
                self.push(at, summary, StepKind::Scheduled { due_at });
            }
            Event::AttemptFailed {
                attempt,
                next_attempt_at,
            } => {
                self.attempted(attempt);
                self.waits(attempt, *next_attempt_at);
            }
            Event::Succeeded { attempt } => {
                self.attempted(attempt);
                self.ended(at, Status::Succeeded, taken(attempt));
            }
            Event::Exhausted { attempt } => {
                self.attempted(attempt);
                let because = format!(
                    "attempt {} was the last one and failed: {}",
                    attempt.number,
                    failure(attempt)
                );
                self.ended(at, Status::Exhausted, because);
            }
            Event::ExtraAttemptFailed { attempt, .. } => self.attempted(attempt),
            Event::Cancelled { reason } => {
                let (reason, actor) = (*reason, actor.clone());
                let summary = called_off(&actor, "cancelled it", reason);
                self.ended(at, Status::Cancelled, summary.clone());
                self.push(at, summary, StepKind::Cancelled { reason, actor });
            }
            Event::AttemptRequested {
                trigger,
                at: asked_at,
            } => self.requested(*trigger, *asked_at, actor),
            Event::RequestWithdrawn { reason } => {
                let (reason, actor) = (*reason, actor.clone());
                let summary = called_off(&actor, "withdrew the request", reason);
                self.push(at, summary, StepKind::Withdrawn { reason, actor });
            }
            Event::ResponseBodyErased { attempt_id } => {
                self.erased(Some(*attempt_id), at, actor);
            }
        }
        self.delivery.apply(event);
    }

    /// The body of the message was erased by hand.
    pub fn tell_of_erased_message(&mut self, at: DateTime<Utc>, actor: &Actor) {
        self.erased(None, at, actor);
    }

    /// Ends the story at the moment `now`, with what held the delivery back.
    pub fn finish(mut self, holds: &Holds, now: DateTime<Utc>) -> Told {
        let is_test = self.delivery.is_test();
        for (due_at, started_at) in std::mem::take(&mut self.gaps) {
            for (from, until, reason) in holds.split(due_at, started_at, is_test) {
                self.held_back(from, Some(until), reason);
            }
        }
        if let Some(due_at) = self.overdue(now) {
            for (from, until, reason) in holds.split(due_at, now, is_test) {
                self.held_back(from, Some(until).filter(|until| *until < now), reason);
            }
        }
        self.steps.sort_by_key(|step| step.at);
        self.is_truncated |= self.steps.len() > STEPS_MAX;
        self.steps.truncate(STEPS_MAX);
        Told {
            steps: self.steps,
            is_truncated: self.is_truncated,
            end: self.end,
        }
    }

    /// Since when the next attempt has been due, if it ought to have started.
    fn overdue(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let due_at = self.delivery.due_at();
        due_at.filter(|due_at| now - *due_at > AT_ONCE)
    }

    fn attempted(&mut self, attempt: &Attempt) {
        let due_at = match attempt.trigger.is_by_hand() {
            true => self.delivery.request.map(|request| request.at),
            false => Some(self.delivery.due_at),
        };
        if let Some(due_at) = due_at
            && attempt.started_at - due_at > AT_ONCE
            && !self.is_truncated
        {
            self.gaps.push((due_at, attempt.started_at));
        }
        if self.versions.len() < VERSIONS_MAX {
            self.versions.insert(attempt.webhook_version);
        }
        let kind = StepKind::Attempt(Box::new(attempt.clone()));
        self.push(attempt.started_at, outcome(attempt), kind);
    }

    /// What the schedule or the receiver has put off.
    fn waits(&mut self, attempt: &Attempt, until: DateTime<Utc>) {
        let ended_at = attempt.ended_at();
        if until <= ended_at {
            return;
        }
        let asked_for = attempt
            .response
            .as_ref()
            .and_then(|response| retry::retry_after(response.status, &response.headers, ended_at));
        let (reason, who) = match asked_for {
            Some(asked_for) if asked_for == until => (WaitReason::RetryAfter, "The receiver asked"),
            _ => (WaitReason::Schedule, "The schedule says"),
        };
        let summary = format!("{who} to wait until {}", rfc3339(until));
        let until = Some(until);
        self.push(ended_at, summary, StepKind::Wait { until, reason });
    }

    fn requested(&mut self, trigger: Trigger, asked_at: DateTime<Utc>, actor: &Actor) {
        let request = Request {
            trigger,
            at: asked_at,
        };
        // What is still asked for is said again when an attempt of the schedule has failed.
        if self.delivery.request == Some(request) {
            return;
        }
        let what = match trigger {
            Trigger::Recover => "started a recovery that sends it again",
            _ => "asked to send it again",
        };
        let summary = format!("{} {what}", actor.called());
        let actor = actor.clone();
        self.push(asked_at, summary, StepKind::Requested { trigger, actor });
    }

    fn erased(&mut self, attempt: Option<AttemptId>, at: DateTime<Utc>, actor: &Actor) {
        let what = match attempt {
            Some(_) => "an answer",
            None => "the message",
        };
        let summary = format!("{} erased the body of {what}", actor.called());
        let actor = actor.clone();
        self.push(at, summary, StepKind::Erased { attempt, actor });
    }

    fn held_back(&mut self, from: DateTime<Utc>, until: Option<DateTime<Utc>>, reason: WaitReason) {
        if reason == WaitReason::Queued && until.is_some_and(|until| until - from <= AT_ONCE) {
            return;
        }
        let summary = held_back(until, reason);
        self.steps.push(Step {
            at: from,
            summary,
            kind: StepKind::Wait { until, reason },
        });
    }

    fn ended(&mut self, at: DateTime<Utc>, how: Status, because: String) {
        self.end = Some(End { at, how, because });
    }

    fn push(&mut self, at: DateTime<Utc>, summary: String, kind: StepKind) {
        self.is_truncated |= self.steps.len() >= STEPS_MAX;
        if !self.is_truncated {
            self.steps.push(Step { at, summary, kind });
        }
    }
}

#[cfg(test)]
mod tests;
