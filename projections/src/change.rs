use chrono::{DateTime, Utc};
use hookledger_domain::{
    delivery::{
        self, Status,
        attempt::{Attempt, Failure},
    },
    fact::Fact,
    ids::{DeliveryId, InvalidId, MessageId, TokenId, WebhookId},
    message,
    tenant::{self, InvalidTenantId, TenantId},
    topic::{self, InvalidTopic, Topic},
    webhook::{self, Config},
};

use crate::rows::{
    AttemptRow, DeliveryRow, MessageRow, ResponseRow, Secrets, TenantRow, TokenRow, TopicRow,
    WebhookRow,
};

/// An event with its place in the ledger.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    /// The aggregate's id.
    pub aggregate_id: &'a str,
    /// Its number within its aggregate, from 1.
    pub sequence: u64,
    /// When it was appended.
    pub recorded_at: DateTime<Utc>,
    /// What happened.
    pub fact: &'a Fact,
}

/// One change of one row of the tenant to whom the event belongs.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names are those of the rows' fields")]
pub enum Change {
    InsertTenant(TenantRow),
    RenameTenant {
        id: TenantId,
        name: String,
    },
    SetStripeCustomer {
        id: TenantId,
        stripe_customer_id: Option<String>,
    },
    SetSuspended {
        id: TenantId,
        is_suspended: bool,
    },
    /// What decides about the tenant's publishing has changed.
    CountGeneration {
        id: TenantId,
    },
    InsertToken(TokenRow),
    DeleteToken {
        id: TokenId,
    },
    PutTopic(TopicRow),
    DeleteTopic {
        name: Topic,
    },
    InsertWebhook(Box<WebhookRow>),
    ConfigureWebhook {
        id: WebhookId,
        config: Box<Config>,
        version: u64,
        updated_at: DateTime<Utc>,
    },
    SetWebhookActive {
        id: WebhookId,
        is_active: bool,
        version: u64,
        updated_at: DateTime<Utc>,
    },
    SetWebhookSecrets {
        id: WebhookId,
        secrets: Secrets,
        version: u64,
        updated_at: DateTime<Utc>,
    },
    DeleteWebhook {
        id: WebhookId,
        version: u64,
        updated_at: DateTime<Utc>,
    },
    InsertMessage(Box<MessageRow>),
    InsertDelivery(Box<DeliveryRow>),
    UpdateDelivery(Box<DeliveryProgress>),
    InsertAttempt(Box<AttemptRow>),
}

/// Where a delivery stands after an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryProgress {
    /// Which delivery.
    pub id: DeliveryId,
    /// Where it stands now.
    pub status: Status,
    /// When the next attempt is due, while it is pending.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// What the last attempt gave; `None` if there was none: what stands in the row stays.
    pub last: Option<LastAttempt>,
}

/// What the last attempt of a delivery gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAttempt {
    /// Its number.
    pub number: u32,
    /// The status of the answer, if one came.
    pub response_status: Option<u16>,
    /// Why it failed.
    pub error: Option<Failure>,
}

/// An event whose aggregate's id is not of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the id of the event's aggregate is not of its kind")]
pub struct WrongId;

impl From<InvalidId> for WrongId {
    fn from(_: InvalidId) -> Self {
        Self
    }
}

impl From<InvalidTenantId> for WrongId {
    fn from(_: InvalidTenantId) -> Self {
        Self
    }
}

impl From<InvalidTopic> for WrongId {
    fn from(_: InvalidTopic) -> Self {
        Self
    }
}

/// What one event changes, appended to `changes`: a pure function of the event.
pub fn project(
    recorded: Recorded<'_>,
    tenant_id: Option<&TenantId>,
    changes: &mut Vec<Change>,
) -> Result<(), WrongId> {
    let id = recorded.aggregate_id;
    match recorded.fact {
        Fact::Tenant(event) => {
            let id: TenantId = id.parse()?;
            changes.push(tenant_change(id.clone(), event));
            if matches!(event, tenant::Event::Suspended | tenant::Event::Resumed) {
                changes.push(Change::CountGeneration { id });
            }
        }
        Fact::Topic(event) => changes.push(topic_change(id.parse()?, event)),
        Fact::Webhook(event) => {
            let tenant_id = tenant_id.ok_or(WrongId)?.clone();
            changes.push(webhook_change(id.parse()?, &recorded, event));
            changes.push(Change::CountGeneration { id: tenant_id });
        }
        Fact::Message(message::Event::Accepted(accepted)) => {
            changes.push(message_row(id.parse()?, accepted));
        }
        Fact::Delivery(event) => {
            let tenant_id = tenant_id.ok_or(WrongId)?;
            delivery_changes(id.parse()?, tenant_id, &recorded, event, changes);
        }
    }
    Ok(())
}

fn tenant_change(id: TenantId, event: &tenant::Event) -> Change {
    use tenant::Event as E;
    match event {
        E::Registered { name } => Change::InsertTenant(TenantRow {
            id,
            name: name.clone(),
            stripe_customer_id: None,
            is_suspended: false,
            generation: 0,
        }),
        E::Renamed { name } => Change::RenameTenant {
            id,
            name: name.clone(),
        },
        E::StripeCustomerSet { stripe_customer_id } => Change::SetStripeCustomer {
            id,
            stripe_customer_id: stripe_customer_id.clone(),
        },
        E::Suspended => Change::SetSuspended {
            id,
            is_suspended: true,
        },
        E::Resumed => Change::SetSuspended {
            id,
            is_suspended: false,
        },
        E::TokenIssued(token) => Change::InsertToken(TokenRow {
            id: token.token_id,
            tenant_id: id,
            name: token.name.clone(),
            role: token.role,
            token_sha256: token.token_sha256.clone(),
            expires_at: token.expires_at,
        }),
        E::TokenRevoked { token_id } => Change::DeleteToken { id: *token_id },
    }
}

fn topic_change(name: Topic, event: &topic::Event) -> Change {
    match event {
        topic::Event::Defined {
            description,
            schema,
        } => Change::PutTopic(TopicRow {
            name,
            description: description.clone(),
            schema: schema.clone(),
        }),
        topic::Event::Removed => Change::DeleteTopic { name },
    }
}

fn webhook_change(id: WebhookId, recorded: &Recorded<'_>, event: &webhook::Event) -> Change {
    use webhook::Event as E;
    let (version, updated_at) = (recorded.sequence, recorded.recorded_at);
    let active = |is_active| Change::SetWebhookActive {
        id,
        is_active,
        version,
        updated_at,
    };
    match event {
        E::Registered {
            tenant_id,
            config,
            is_active,
            secret,
        } => Change::InsertWebhook(Box::new(WebhookRow {
            id,
            tenant_id: tenant_id.clone(),
            config: config.clone(),
            is_active: *is_active,
            secrets: Secrets {
                current: secret.clone(),
                previous: Vec::new(),
            },
            created_at: recorded.recorded_at,
            updated_at,
            version,
            is_deleted: false,
        })),
        E::Changed { config } => Change::ConfigureWebhook {
            id,
            config: Box::new(config.clone()),
            version,
            updated_at,
        },
        E::Activated => active(true),
        E::Deactivated => active(false),
        E::SecretRotated { secret, previous } => Change::SetWebhookSecrets {
            id,
            secrets: Secrets {
                current: secret.clone(),
                previous: previous.clone(),
            },
            version,
            updated_at,
        },
        E::Deleted => Change::DeleteWebhook {
            id,
            version,
            updated_at,
        },
    }
}

fn message_row(id: MessageId, accepted: &message::Accepted) -> Change {
    Change::InsertMessage(Box::new(MessageRow {
        id,
        tenant_id: accepted.tenant_id.clone(),
        topic: accepted.topic.clone(),
        timestamp: accepted.timestamp,
        accepted_at: id.time(),
        ordering_key: accepted.ordering_key.clone(),
        body_bytes: accepted.body_bytes,
        body_sha256: accepted.body_sha256.clone(),
        idempotency: accepted.idempotency.clone(),
        deliveries: u32::try_from(accepted.fan_out.deliveries.len()).unwrap_or(u32::MAX),
        not_delivered: accepted.fan_out.not_delivered.clone(),
    }))
}

fn delivery_changes(
    id: DeliveryId,
    tenant_id: &TenantId,
    recorded: &Recorded<'_>,
    event: &delivery::Event,
    changes: &mut Vec<Change>,
) {
    use delivery::Event as E;
    let mut attempted = |attempt: &Attempt, status, next_attempt_at: Option<DateTime<Utc>>| {
        changes.push(Change::UpdateDelivery(Box::new(DeliveryProgress {
            id,
            status,
            next_attempt_at,
            completed_at: next_attempt_at.is_none().then_some(recorded.recorded_at),
            last: Some(LastAttempt {
                number: attempt.number,
                response_status: attempt.response.as_ref().map(|response| response.status),
                error: attempt.failure.clone(),
            }),
        })));
        changes.push(attempt_row(id, tenant_id, attempt));
    };
    match event {
        E::Scheduled(scheduled) => changes.push(delivery_row(id, scheduled)),
        E::AttemptFailed {
            attempt,
            next_attempt_at,
        } => attempted(attempt, Status::Pending, Some(*next_attempt_at)),
        E::Succeeded { attempt } => attempted(attempt, Status::Succeeded, None),
        E::Exhausted { attempt } => attempted(attempt, Status::Exhausted, None),
        E::Cancelled { .. } => changes.push(Change::UpdateDelivery(Box::new(DeliveryProgress {
            id,
            status: Status::Cancelled,
            next_attempt_at: None,
            completed_at: Some(recorded.recorded_at),
            last: None,
        }))),
    }
}

fn delivery_row(id: DeliveryId, scheduled: &delivery::Scheduled) -> Change {
    Change::InsertDelivery(Box::new(DeliveryRow {
        id,
        tenant_id: scheduled.tenant_id.clone(),
        message_id: scheduled.message_id,
        webhook_id: scheduled.webhook_id,
        topic: scheduled.topic.clone(),
        trigger: scheduled.trigger,
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
            body_truncated: response.body_truncated,
        }),
        error: attempt.failure.clone(),
    }))
}

#[cfg(test)]
mod tests;
