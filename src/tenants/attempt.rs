//! One attempt from start to end: send, decide what it means, record it. Plain async code that
//! owns the delivery while it runs; the tenant's actor hears of it once, when it is recorded.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hookledger_domain::{
    actor::Origin,
    delivery::{
        self, CancelReason, Command, Delivery, Status,
        attempt::{Attempt, Failure, FailureCode, Outcome, ResponseHead},
    },
    ids::AttemptId,
    tenant::TenantId,
};
use sha2::{Digest, Sha256};

use super::{Shared, accept::decide_all, lane::Entry, live::LiveWebhook};
use crate::{
    nodes::Partition,
    outbound::{Envelope, Request},
    store::{Commit, Error, Stream},
};

/// How long to wait before trying to record an outcome again; doubles up to the second value.
const RECORD_RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// The status of a receiver that is gone for good (RFC 9110, section 15.5.11).
const GONE: u16 = 410;

/// What became of a delivery that was worked on, for whoever goes on with it.
pub(super) struct Ended {
    /// The delivery, if there is still something to be sent.
    pub again: Option<Entry>,
    /// The attempt that was made, if one was.
    pub attempt: Option<Made>,
}

/// What an attempt showed of its webhook.
pub(super) struct Made {
    /// Why it failed, if it did.
    pub failure: Option<FailureCode>,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// With which version of its configuration it was made.
    pub webhook_version: u64,
    /// The receiver says that it is gone for good.
    pub is_gone: bool,
}

impl Made {
    fn of(attempt: &Attempt) -> Self {
        let status = attempt.response.as_ref().map(|response| response.status);
        Self {
            failure: attempt.failure.as_ref().map(|failure| failure.code),
            started_at: attempt.started_at,
            ended_at: attempt.ended_at(),
            webhook_version: attempt.webhook_version,
            is_gone: status == Some(GONE),
        }
    }
}

/// Sends a delivery that was given out under an epoch, and records what came of it.
pub(super) async fn send(
    shared: &Shared,
    tenant: &TenantId,
    webhook: &LiveWebhook,
    epoch: Option<u64>,
    entry: Entry,
) -> Ended {
    let is_at_hand = entry.body.is_some();
    let body = body(shared, tenant, &entry).await;
    // Reading it may have taken until the store was back, and the tenant may be another node's now, or
    // may have been meanwhile.
    if !is_at_hand && shared.held.epoch(Partition::of(tenant)) != epoch {
        return Ended {
            again: Some(entry),
            attempt: None,
        };
    }
    let now = shared.clock.now();
    let id = shared.ids.attempt(now);
    let (outcome, url) = match body {
        Some(body) => try_once(shared, webhook, &entry, id, body).await,
        None => (body_is_gone(), webhook.url().to_owned()),
    };
    let failure = outcome.failure.as_ref();
    shared
        .metrics
        .count_attempt(failure.map(|failure| failure.code));
    let (attempt, response_body) = attempt(webhook, &entry, id, url, outcome);
    let made = Made::of(&attempt);
    let command = Command::RecordAttempt {
        attempt,
        schedule: webhook.schedule(&shared.schedule),
        random: crate::entropy::fraction(),
    };
    Ended {
        again: record(shared, tenant, "deliver", entry, command, response_body).await,
        attempt: Some(made),
    }
}

fn count_end(shared: &Shared, status: Status) {
    let counter = match status {
        Status::Pending => return,
        Status::Succeeded => &shared.metrics.deliveries_succeeded,
        Status::Exhausted => &shared.metrics.deliveries_exhausted,
        Status::Cancelled => &shared.metrics.deliveries_cancelled,
    };
    counter.inc();
}

/// Cancels a delivery whose webhook is gone.
pub(super) async fn cancel(shared: &Shared, tenant: &TenantId, entry: Entry) -> Ended {
    let command = Command::Cancel {
        reason: CancelReason::WebhookDeleted,
    };
    Ended {
        again: record(shared, tenant, "webhook_deleted", entry, command, None).await,
        attempt: None,
    }
}

/// The bytes to send: at hand, or from the store, for which it waits if need be.
async fn body(shared: &Shared, tenant: &TenantId, entry: &Entry) -> Option<Bytes> {
    if let Some(body) = &entry.body {
        return Some(body.bytes());
    }
    let mut wait = RECORD_RETRY.0;
    loop {
        match shared
            .views
            .message_body(tenant, entry.stream.state.message_id())
            .await
        {
            Ok(body) => return body,
            Err(error) => {
                tracing::warn!(%error, delivery = %entry.id, "cannot read the body of a message");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RECORD_RETRY.1);
            }
        }
    }
}

fn body_is_gone() -> Outcome {
    Outcome {
        duration_ms: 0,
        response: None,
        failure: Some(Failure {
            code: FailureCode::Connect,
            message: "the body of the message is not there any more".to_owned(),
        }),
    }
}

async fn try_once(
    shared: &Shared,
    webhook: &LiveWebhook,
    entry: &Entry,
    id: AttemptId,
    body: Bytes,
) -> (Outcome, String) {
    let delivery = &entry.stream.state;
    let secrets = webhook.secrets(id.time());
    let envelope = Envelope {
        delivery_id: &entry.id.to_string(),
        message_id: &delivery.message_id().to_string(),
        topic: delivery.topic().as_str(),
        attempt: delivery.attempts() + 1,
        timestamp: id.time().timestamp(),
        custom: webhook.headers(),
        secrets: &secrets,
        body: &body,
    };
    let url = webhook.url().to_owned();
    let outcome = match envelope.headers() {
        Ok(headers) => {
            let request = Request {
                url: url.clone(),
                headers,
                body,
                timeout: webhook.timeout(),
            };
            shared.metrics.attempts_in_flight.inc();
            // Boxed, because it is large and would be moved with every future around it.
            let outcome = Box::pin(shared.sender.send(request)).await;
            shared.metrics.attempts_in_flight.dec();
            outcome
        }
        Err(error) => Outcome {
            duration_ms: 0,
            response: None,
            failure: Some(Failure {
                code: FailureCode::RefusedTarget,
                message: error.to_string(),
            }),
        },
    };
    (outcome, url)
}

fn attempt(
    webhook: &LiveWebhook,
    entry: &Entry,
    id: AttemptId,
    url: String,
    outcome: Outcome,
) -> (Attempt, Option<Bytes>) {
    let delivery = &entry.stream.state;
    let mut body = None;
    let response = outcome.response.map(|response| {
        let head = ResponseHead {
            status: response.status,
            headers: response.headers,
            body_bytes: response.body.len() as u64,
            body_sha256: match response.body.as_str() {
                "" => String::new(),
                text => hex(&Sha256::digest(text.as_bytes())),
            },
            body_truncated: response.body_truncated,
        };
        body = Some(Bytes::from(response.body)).filter(|body| !body.is_empty());
        head
    });
    let attempt = Attempt {
        id,
        number: delivery.attempts() + 1,
        message_id: delivery.message_id(),
        webhook_id: delivery.webhook_id(),
        topic: delivery.topic().clone(),
        webhook_version: webhook.version(),
        trigger: delivery.next_trigger(),
        started_at: id.time(),
        duration_ms: outcome.duration_ms,
        url,
        response,
        failure: outcome.failure,
    };
    (attempt, body)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Lets the delivery decide and appends what it decided, until it is written: an outcome that
/// cannot be recorded now is kept and recorded later. Returns the delivery if there is still
/// something to be sent.
async fn record(
    shared: &Shared,
    tenant: &TenantId,
    rule: &'static str,
    mut entry: Entry,
    command: Command,
    body: Option<Bytes>,
) -> Option<Entry> {
    let origin = Origin::system(tenant.clone(), rule).because_of(entry.stream.state.message_id());
    let before = entry.stream.state.status();
    let mut wait = RECORD_RETRY.0;
    loop {
        match try_record(shared, &origin, &entry, &command, body.clone()).await {
            Ok(stream) => {
                entry.stream = stream;
                break;
            }
            Err(Failed::Store(Error::Conflict)) => {
                // Somebody else was first: what stands in the ledger now decides.
                if let Some(stream) = reload(shared, &entry).await {
                    entry.stream = stream;
                    if is_recorded(&entry.stream.state, &command) {
                        break;
                    }
                    continue;
                }
            }
            Err(Failed::Refused(refused)) => {
                // An attempt of another node has this number, or what was to be cancelled is over.
                tracing::warn!(%refused, delivery = %entry.id, "an outcome came too late");
                if let Some(stream) = reload(shared, &entry).await {
                    entry.stream = stream;
                    break;
                }
            }
            Err(Failed::Store(error)) => {
                tracing::warn!(%error, delivery = %entry.id, "cannot record an outcome yet");
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RECORD_RETRY.1);
    }
    let status = entry.stream.state.status();
    if status != before {
        count_end(shared, status);
    }
    entry.body = None;
    entry.stream.state.due_at().is_some().then_some(entry)
}

/// Whether an append whose answer was lost was written all the same.
fn is_recorded(delivery: &Delivery, command: &Command) -> bool {
    match command {
        Command::RecordAttempt { attempt, .. } => delivery.last_attempt() == attempt.id,
        _ => delivery.due_at().is_none(),
    }
}

/// Why something was not recorded.
enum Failed {
    /// The delivery, as it is in memory, does not take it.
    Refused(delivery::Error),
    /// The store did not take it.
    Store(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

async fn try_record(
    shared: &Shared,
    origin: &Origin,
    entry: &Entry,
    command: &Command,
    body: Option<Bytes>,
) -> Result<Stream<Delivery>, Failed> {
    let decided = decide_all(entry.stream.state.clone(), command.clone(), &()).await;
    let (state, events) = decided.map_err(Failed::Refused)?;
    let mut commit = Commit::new(origin, shared.clock.now());
    let mut sequence = entry.stream.sequence;
    let mut body = body;
    for event in events {
        sequence += 1;
        commit.push_with_body(entry.id, sequence, &event.into(), body.take())?;
    }
    shared.ledger.commit(commit).await?;
    Ok(Stream { state, sequence })
}

async fn reload(shared: &Shared, entry: &Entry) -> Option<Stream<Delivery>> {
    match shared.ledger.load::<Delivery>(&entry.id.to_string()).await {
        Ok(stream) => Some(stream),
        Err(error) => {
            tracing::warn!(%error, delivery = %entry.id, "cannot read a delivery");
            None
        }
    }
}
