mod billing;
mod deliveries;
mod webhooks;

use chrono::{DateTime, Utc};
use hookledger_domain::{
    delivery::{Status, attempt::Failure},
    fact::Fact,
    ids::{AttemptId, DeliveryId, InvalidId, MessageId, RecoveryId, TokenId, WebhookId},
    message, recovery,
    stripe::{InvalidStripeId, StripeId},
    tenant::{self, InvalidTenantId, TenantId},
    topic::{self, InvalidTopic, Topic},
    webhook::{self, Config, DisableReason},
};

use crate::rows::{
    AttemptRow, DeliveryRow, InvoiceRow, MessageRow, RecoveryRow, Secrets, SubscriptionRow,
    TenantRow, TokenRow, TopicRow, UnassignedRow, WebhookRow,
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
        disabled_reason: Option<DisableReason>,
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
    /// Takes note of how an attempt ended, for how long a webhook has been failing; a success or
    /// a fresh start is `None`.
    NoteOutcome {
        webhook_id: WebhookId,
        failed_at: Option<DateTime<Utc>>,
    },
    InsertMessage(Box<MessageRow>),
    InsertDelivery(Box<DeliveryRow>),
    UpdateDelivery(Box<DeliveryProgress>),
    InsertAttempt(Box<AttemptRow>),
    InsertRecovery(Box<RecoveryRow>),
    AdvanceRecovery {
        id: RecoveryId,
        requested: u64,
    },
    EndRecovery {
        id: RecoveryId,
        state: recovery::State,
        completed_at: DateTime<Utc>,
    },
    PutSubscription(Box<SubscriptionRow>),
    PutInvoice(Box<InvoiceRow>),
    InsertUnassigned(Box<UnassignedRow>),
    DeleteUnassigned {
        id: StripeId,
    },
    /// The bytes that lie beside the event by which the message was accepted are no more.
    EraseMessageBody {
        id: MessageId,
    },
    /// The same with what came back from an attempt.
    EraseResponseBody {
        id: AttemptId,
    },
}

/// Where a delivery stands after an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryProgress {
    /// Which delivery.
    pub id: DeliveryId,
    /// Where it stands now; `None`: where it stood.
    pub standing: Option<Standing>,
    /// When the next attempt is due, if there is to be one.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// What the last attempt gave; `None` if there was none: what stands in the row stays.
    pub last: Option<LastAttempt>,
}

/// Where a delivery stands, and since when if that is an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Where it stands.
    pub status: Status,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
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

impl From<InvalidStripeId> for WrongId {
    fn from(_: InvalidStripeId) -> Self {
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
            if event.decides_about_publishing() {
                changes.push(Change::CountGeneration { id });
            }
        }
        Fact::Topic(event) => changes.push(topic_change(id.parse()?, event)),
        Fact::Webhook(event) => {
            let tenant_id = tenant_id.ok_or(WrongId)?.clone();
            webhooks::changes(id.parse()?, &recorded, event, changes);
            // How secrets are sealed decides nothing: whoever publishes meanwhile is right.
            if !matches!(event, webhook::Event::SecretsResealed { .. }) {
                changes.push(Change::CountGeneration { id: tenant_id });
            }
        }
        // Whoever wants to know reads the stream, which is short.
        Fact::Vault(_) => {}
        Fact::Message(event) => changes.push(message_change(id.parse()?, event)),
        Fact::Delivery(event) => {
            let tenant_id = tenant_id.ok_or(WrongId)?;
            deliveries::changes(id.parse()?, tenant_id, &recorded, event, changes);
        }
        Fact::Recovery(event) => changes.push(recovery_change(id.parse()?, &recorded, event)),
        Fact::Billing(event) => changes.extend(billing::change(id.parse()?, event)),
        // What a callback has led to stands beside it.
        Fact::Callback(_) => {}
        Fact::Unassigned(event) => {
            changes.push(billing::unassigned(id.parse()?, &recorded, event));
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
        E::Suspended | E::SuspendedForBilling => Change::SetSuspended {
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

fn message_change(id: MessageId, event: &message::Event) -> Change {
    match event {
        message::Event::Accepted(accepted) => message_row(id, accepted),
        message::Event::BodyErased => Change::EraseMessageBody { id },
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

fn recovery_change(id: RecoveryId, recorded: &Recorded<'_>, event: &recovery::Event) -> Change {
    use recovery::Event as E;
    let end = |state| Change::EndRecovery {
        id,
        state,
        completed_at: recorded.recorded_at,
    };
    match event {
        E::Started(started) => Change::InsertRecovery(Box::new(RecoveryRow {
            id,
            tenant_id: started.tenant_id.clone(),
            webhook_id: started.webhook_id,
            from: started.from,
            to: started.to,
            selection: started.selection,
            state: recovery::State::Running,
            matched: started.matched,
            requested: 0,
            completed_at: None,
        })),
        E::Advanced { requested, .. } => Change::AdvanceRecovery {
            id,
            requested: *requested,
        },
        E::Completed => end(recovery::State::Completed),
        E::Cancelled => end(recovery::State::Cancelled),
    }
}

#[cfg(test)]
mod tests;
