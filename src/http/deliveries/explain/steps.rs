//! The steps of an explanation.

use chrono::{DateTime, Utc};
use hookledger_domain::{
    actor::Actor,
    clock::rfc3339,
    delivery::{
        CancelReason,
        attempt::Attempt,
        explanation::{Step, StepKind},
    },
    ids::AttemptId,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::{
    audit::event::ActorView,
    deliveries::FailureView,
    openapi::{AttemptIdText, Time},
};

/// One thing that happened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub(super) struct StepView {
    /// When it happened, or began.
    #[schema(value_type = Time)]
    at: String,
    /// What happened, in one sentence for people.
    #[schema(
        example = "Attempt 1 failed after 12 ms: the receiver answered 500 Internal Server Error"
    )]
    summary: String,
    #[serde(flatten)]
    kind: KindView,
}

/// What happened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StepKind)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum KindView {
    /// The delivery was made.
    Scheduled(ScheduledView),
    /// It was sent.
    Attempt(Box<AttemptStepView>),
    /// Nothing was sent for a while.
    Wait(WaitView),
    /// Somebody asked for one more attempt.
    Requested(RequestedView),
    /// It was called off.
    Cancelled(CalledOffView),
    /// What was asked for by hand was called off.
    Withdrawn(CalledOffView),
    /// A body was erased by hand.
    Erased(ErasedView),
}

/// The delivery was made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScheduledStep)]
struct ScheduledView {
    /// When its first attempt was due.
    #[schema(value_type = Time)]
    due_at: String,
}

/// It was sent. The log of attempts has the answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AttemptStep)]
struct AttemptStepView {
    /// The attempt's id.
    #[schema(value_type = AttemptIdText)]
    id: AttemptId,
    /// 1 for the delivery's first.
    #[schema(minimum = 1)]
    attempt: u32,
    /// What made it happen.
    #[schema(pattern = "^(publish|retry|redeliver|recover|test)$")]
    trigger: &'static str,
    /// The version of the webhook's configuration that it was made with.
    webhook_version: u64,
    /// The URL that was called.
    url: String,
    /// When it started.
    #[schema(value_type = Time)]
    started_at: String,
    /// How long it took.
    duration_ms: u64,
    /// What came of it.
    #[schema(pattern = "^(succeeded|failed)$")]
    outcome: &'static str,
    /// The answer's status; `null` if there was no answer.
    #[schema(required = true)]
    response_status: Option<u16>,
    /// Why it failed, if it did.
    #[schema(required = true)]
    error: Option<FailureView>,
}

/// Nothing was sent for a while.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WaitStep)]
struct WaitView {
    /// From when on.
    #[schema(value_type = Time)]
    from: String,
    /// Until when it was to last, or lasted; `null` while it lasts.
    #[schema(value_type = Option<Time>, required = true)]
    until: Option<String>,
    /// Why, as far as events tell. `schedule`: the retry schedule; `retry_after`: the receiver asked for
    /// it; `inactive`: the webhook was switched off; `suspended`: the tenant was; `queued`: limits of rate
    /// and number, order, a receiver that could not be reached, or the server itself; while it lasts, an
    /// attempt may be under way.
    #[schema(pattern = "^(schedule|retry_after|inactive|suspended|queued)$")]
    reason: &'static str,
}

/// Somebody asked for one more attempt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RequestedStep)]
struct RequestedView {
    /// In which way.
    #[schema(pattern = "^(redeliver|recover)$")]
    trigger: &'static str,
    /// Who did; of a recovery, whoever started it.
    actor: ActorView,
}

/// Something was called off.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CalledOffStep)]
struct CalledOffView {
    /// `requested`: somebody asked for that; `webhook_deleted`.
    #[schema(pattern = "^(requested|webhook_deleted)$")]
    reason: &'static str,
    /// Who did it.
    actor: ActorView,
}

/// A body was erased by hand.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ErasedStep)]
struct ErasedView {
    /// The attempt whose answer's body it was; `null`: it was the message's.
    #[schema(value_type = Option<AttemptIdText>, required = true)]
    attempt_id: Option<AttemptId>,
    /// Who did it.
    actor: ActorView,
}

impl From<Step> for StepView {
    fn from(step: Step) -> Self {
        Self {
            kind: KindView::new(step.kind, step.at),
            at: rfc3339(step.at),
            summary: step.summary,
        }
    }
}

impl KindView {
    fn new(kind: StepKind, at: DateTime<Utc>) -> Self {
        match kind {
            StepKind::Scheduled { due_at } => Self::Scheduled(ScheduledView {
                due_at: rfc3339(due_at),
            }),
            StepKind::Attempt(attempt) => Self::Attempt(Box::new((*attempt).into())),
            StepKind::Wait { until, reason } => Self::Wait(WaitView {
                from: rfc3339(at),
                until: until.map(rfc3339),
                reason: reason.as_str(),
            }),
            StepKind::Requested { trigger, actor } => Self::Requested(RequestedView {
                trigger: trigger.as_str(),
                actor: ActorView::from(&actor),
            }),
            StepKind::Cancelled { reason, actor } => {
                Self::Cancelled(CalledOffView::new(reason, &actor))
            }
            StepKind::Withdrawn { reason, actor } => {
                Self::Withdrawn(CalledOffView::new(reason, &actor))
            }
            StepKind::Erased { attempt, actor } => Self::Erased(ErasedView {
                attempt_id: attempt,
                actor: ActorView::from(&actor),
            }),
        }
    }
}

impl CalledOffView {
    fn new(reason: CancelReason, actor: &Actor) -> Self {
        Self {
            reason: reason.as_str(),
            actor: ActorView::from(actor),
        }
    }
}

impl From<Attempt> for AttemptStepView {
    fn from(attempt: Attempt) -> Self {
        Self {
            id: attempt.id,
            attempt: attempt.number,
            trigger: attempt.trigger.as_str(),
            webhook_version: attempt.webhook_version,
            url: attempt.url,
            started_at: rfc3339(attempt.started_at),
            duration_ms: attempt.duration_ms,
            outcome: match attempt.failure {
                None => "succeeded",
                Some(_) => "failed",
            },
            response_status: attempt.response.map(|response| response.status),
            error: attempt.failure.map(FailureView::from),
        }
    }
}
