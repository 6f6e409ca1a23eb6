//! What a delivery's events change.

use hookledger_domain::{
    delivery::{self, Status, attempt::Attempt},
    ids::DeliveryId,
    tenant::TenantId,
};

use super::{Change, DeliveryProgress, LastAttempt, Recorded, Standing};
use crate::rows::{AttemptRow, DeliveryRow, ResponseRow};

pub(super) fn changes(
    id: DeliveryId,
    tenant_id: &TenantId,
    recorded: &Recorded<'_>,
    event: &delivery::Event,
    changes: &mut Vec<Change>,
) {
    use delivery::Event as E;
    let standing = |status, is_end: bool| {
        Some(Standing {
            status,
            completed_at: is_end.then_some(recorded.recorded_at),
        })
    };
    let mut attempted = |attempt: &Attempt, standing, next_attempt_at| {
        changes.push(Change::UpdateDelivery(Box::new(DeliveryProgress {
            id,
            standing,
            next_attempt_at,
            last: Some(LastAttempt {
                number: attempt.number,
                response_status: attempt.response.as_ref().map(|response| response.status),
                error: attempt.failure.clone(),
            }),
        })));
        changes.push(Change::NoteOutcome {
            webhook_id: attempt.webhook_id,
            failed_at: attempt.failure.as_ref().map(|_| attempt.started_at),
        });
        changes.push(attempt_row(id, tenant_id, attempt));
    };
    let (standing, next_attempt_at) = match event {
        E::Scheduled(scheduled) => return changes.push(delivery_row(id, scheduled)),
        E::AttemptFailed {
            attempt,
            next_attempt_at,
        } => {
            let pending = standing(Status::Pending, false);
            return attempted(attempt, pending, Some(*next_attempt_at));
        }
        E::Succeeded { attempt } => {
            return attempted(attempt, standing(Status::Succeeded, true), None);
        }
        E::Exhausted { attempt } => {
            return attempted(attempt, standing(Status::Exhausted, true), None);
        }
        E::ExtraAttemptFailed {
            attempt,
            next_attempt_at,
        } => return attempted(attempt, None, *next_attempt_at),
        E::Cancelled { .. } => (standing(Status::Cancelled, true), None),
        E::AttemptRequested { at, .. } => (None, Some(*at)),
        E::RequestWithdrawn { .. } => (None, None),
        E::ResponseBodyErased { attempt_id } => {
            return changes.push(Change::EraseResponseBody { id: *attempt_id });
        }
    };
    changes.push(Change::UpdateDelivery(Box::new(DeliveryProgress {
        id,
        standing,
        next_attempt_at,
        last: None,
    })));
}

fn delivery_row(id: DeliveryId, scheduled: &delivery::Scheduled) -> Change {
    Change::InsertDelivery(Box::new(DeliveryRow {
        id,
        tenant_id: scheduled.tenant_id.clone(),
        message_id: scheduled.message_id,
        webhook_id: scheduled.webhook_id,
        topic: scheduled.topic.clone(),
        trigger: scheduled.trigger,
        queue: scheduled.queue().map(str::to_owned),
        status: Status::Pending,
        attempts: 0,
        created_at: id.time(),
        next_attempt_at: Some(scheduled.due_at),
        completed_at: None,
        last_response_status: None,
        last_error: None,
    }))
}

fn attempt_row(id: DeliveryId, tenant_id: &TenantId, attempt: &Attempt) -> Change {
    Change::InsertAttempt(Box::new(AttemptRow {
        id: attempt.id,
        tenant_id: tenant_id.clone(),
        delivery_id: id,
        message_id: attempt.message_id,
        webhook_id: attempt.webhook_id,
        webhook_version: attempt.webhook_version,
        topic: attempt.topic.clone(),
        number: attempt.number,
        trigger: attempt.trigger,
        started_at: attempt.started_at,
        duration_ms: attempt.duration_ms,
        url: attempt.url.clone(),
        response: attempt.response.as_ref().map(|response| ResponseRow {
            status: response.status,
            headers: response.headers.clone(),
            body_bytes: response.body_bytes,
            body_truncated: response.body_truncated,
        }),
        error: attempt.failure.clone(),
    }))
}
