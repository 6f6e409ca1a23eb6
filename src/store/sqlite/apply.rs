//! Carries out the changes of rows that the projections ask for.

use chrono::{DateTime, Utc};
use hookledger_domain::{ids::WebhookId, tenant::TenantId, topic::Topic, webhook::DisableReason};
use hookledger_projections::{
    Change, DeliveryProgress,
    rows::{AttemptRow, DeliveryRow, MessageRow, TenantRow, TokenRow, WebhookRow},
};
use rusqlite::{Connection, Params, ToSql, params};

use super::{billing, recoveries};
use crate::store::Error;

/// Carries out one change that an event at `position` of `tenant` causes.
pub(super) fn apply(
    connection: &Connection,
    tenant: Option<&TenantId>,
    position: i64,
    change: &Change,
) -> Result<(), Error> {
    let tenant = tenant.map_or("", TenantId::as_str);
    let run = |sql: &str, values: &[&dyn ToSql]| execute(connection, sql, values);
    match change {
        Change::InsertTenant(row) => insert_tenant(connection, row),
        Change::RenameTenant { id, name } => run(sql!("rename_tenant"), &[&id.as_str(), name]),
        Change::SetStripeCustomer {
            id,
            stripe_customer_id,
        } => run(
            sql!("set_stripe_customer"),
            &[&id.as_str(), stripe_customer_id],
        ),
        Change::SetSuspended { id, is_suspended } => {
            run(sql!("set_suspended"), &[&id.as_str(), is_suspended])
        }
        Change::CountGeneration { id } => run(sql!("count_generation"), &[&id.as_str()]),
        Change::InsertToken(row) => insert_token(connection, row),
        Change::DeleteToken { id } => run(sql!("delete_token"), &[&tenant, &id.to_string()]),
        Change::PutTopic(row) => run(
            sql!("put_topic"),
            &[&row.name.as_str(), &row.description, &row.schema],
        ),
        Change::DeleteTopic { name } => run(sql!("delete_topic"), &[&name.as_str()]),
        Change::InsertWebhook(row) => insert_webhook(connection, row),
        Change::SetWebhookActive { .. } => set_webhook_active(connection, tenant, change),
        Change::ConfigureWebhook { .. }
        | Change::SetWebhookSecrets { .. }
        | Change::DeleteWebhook { .. } => change_webhook(connection, tenant, change),
        Change::InsertMessage(row) => insert_message(connection, row, position),
        Change::InsertDelivery(row) => insert_delivery(connection, row),
        Change::UpdateDelivery(progress) => update_delivery(connection, tenant, progress),
        Change::InsertAttempt(row) => insert_attempt(connection, row, position),
        Change::NoteOutcome {
            webhook_id,
            failed_at,
        } => recoveries::note_outcome(connection, tenant, *webhook_id, *failed_at),
        Change::InsertRecovery(row) => recoveries::insert_recovery(connection, row),
        Change::AdvanceRecovery { .. } | Change::EndRecovery { .. } => {
            recoveries::change_recovery(connection, tenant, change)
        }
        Change::PutSubscription(row) => billing::put_subscription(connection, row),
        Change::PutInvoice(row) => billing::put_invoice(connection, row),
        Change::InsertUnassigned(row) => billing::insert_unassigned(connection, row),
        Change::DeleteUnassigned { id } => run(sql!("delete_unassigned"), &[&id.as_str()]),
        Change::EraseMessageBody { id } => {
            run(sql!("erase_message_body"), &[&tenant, &id.to_string()])
        }
        Change::EraseResponseBody { id } => {
            run(sql!("erase_response_body"), &[&tenant, &id.to_string()])
        }
    }
}

pub(super) fn execute(
    connection: &Connection,
    sql: &str,
    values: impl Params,
) -> Result<(), Error> {
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

pub(super) fn millis(time: Option<DateTime<Utc>>) -> Option<i64> {
    time.map(|time| time.timestamp_millis())
}

fn insert_tenant(connection: &Connection, row: &TenantRow) -> Result<(), Error> {
    execute(
        connection,
        sql!("insert_tenant"),
        params![
            row.id.as_str(),
            row.name,
            row.stripe_customer_id,
            row.is_suspended,
        ],
    )
}

fn insert_token(connection: &Connection, row: &TokenRow) -> Result<(), Error> {
    execute(
        connection,
        sql!("insert_token"),
        params![
            row.tenant_id.as_str(),
            row.id.to_string(),
            row.name,
            row.role.as_str(),
            row.token_sha256,
            millis(row.expires_at),
        ],
    )
}

fn insert_webhook(connection: &Connection, row: &WebhookRow) -> Result<(), Error> {
    execute(
        connection,
        sql!("insert_webhook"),
        params![
            row.tenant_id.as_str(),
            row.id.to_string(),
            serde_json::to_string(&row.config)?,
            row.is_active,
            serde_json::to_string(&row.secrets)?,
            row.created_at.timestamp_millis(),
            row.updated_at.timestamp_millis(),
            row.version.cast_signed(),
            row.is_deleted,
        ],
    )
}

fn set_webhook_active(connection: &Connection, tenant: &str, change: &Change) -> Result<(), Error> {
    let Change::SetWebhookActive {
        id,
        is_active,
        disabled_reason,
        version,
        updated_at,
    } = change
    else {
        return Ok(());
    };
    execute(
        connection,
        sql!("set_webhook_active"),
        params![
            tenant,
            id.to_string(),
            is_active,
            disabled_reason.map(DisableReason::as_str),
            version.cast_signed(),
            updated_at.timestamp_millis(),
        ],
    )
}

/// What changes in a webhook's row changes its version and time, too.
fn change_webhook(connection: &Connection, tenant: &str, change: &Change) -> Result<(), Error> {
    let (sql, id, value, version, updated_at): (_, _, Box<dyn ToSql>, _, _) = match change {
        Change::ConfigureWebhook {
            id,
            config,
            version,
            updated_at,
        } => {
            let config = serde_json::to_string(config)?;
            (
                sql!("configure_webhook"),
                id,
                Box::new(config),
                version,
                updated_at,
            )
        }
        Change::SetWebhookSecrets {
            id,
            secrets,
            version,
            updated_at,
        } => {
            let secrets = serde_json::to_string(secrets)?;
            (
                sql!("set_webhook_secrets"),
                id,
                Box::new(secrets),
                version,
                updated_at,
            )
        }
        Change::DeleteWebhook {
            id,
            version,
            updated_at,
        } => (
            sql!("delete_webhook"),
            id,
            Box::new(true),
            version,
            updated_at,
        ),
        // Nothing else changes a webhook's row.
        _ => return Ok(()),
    };
    let (version, updated_at) = (version.cast_signed(), updated_at.timestamp_millis());
    execute(
        connection,
        sql,
        params![tenant, id.to_string(), value, version, updated_at],
    )
}

fn insert_message(connection: &Connection, row: &MessageRow, position: i64) -> Result<(), Error> {
    execute(
        connection,
        sql!("note_message"),
        params![row.id.to_string(), row.tenant_id.as_str()],
    )?;
    let not_delivered = if row.not_delivered.is_empty() {
        "[]".to_owned()
    } else {
        serde_json::to_string(&row.not_delivered)?
    };
    execute(
        connection,
        sql!("insert_message"),
        params![
            row.tenant_id.as_str(),
            row.id.to_string(),
            position,
            row.topic.as_str(),
            row.timestamp.timestamp_millis(),
            row.accepted_at.timestamp_millis(),
            row.ordering_key,
            row.body_bytes.cast_signed(),
            row.body_sha256,
            row.idempotency.as_ref().map(|idempotency| &idempotency.key),
            row.idempotency
                .as_ref()
                .map(|idempotency| &idempotency.content_sha256),
            row.deliveries,
            not_delivered,
        ],
    )
}

fn insert_delivery(connection: &Connection, row: &DeliveryRow) -> Result<(), Error> {
    note(
        connection,
        sql!("note_delivery"),
        row.id,
        row.webhook_id,
        &row.topic,
    )?;
    execute(
        connection,
        sql!("insert_delivery"),
        params![
            row.tenant_id.as_str(),
            row.id.to_string(),
            row.message_id.to_string(),
            row.webhook_id.to_string(),
            row.topic.as_str(),
            row.trigger.as_str(),
            row.queue,
            row.status.as_str(),
            row.attempts,
            row.created_at.timestamp_millis(),
            millis(row.next_attempt_at),
        ],
    )
}

fn update_delivery(
    connection: &Connection,
    tenant: &str,
    progress: &DeliveryProgress,
) -> Result<(), Error> {
    let id = progress.id.to_string();
    let standing = progress.standing;
    let status = standing.map(|standing| standing.status.as_str());
    let completed_at = millis(standing.and_then(|standing| standing.completed_at));
    let next_attempt_at = millis(progress.next_attempt_at);
    let Some(last) = &progress.last else {
        return execute(
            connection,
            sql!("set_delivery_due"),
            params![tenant, id, status, completed_at, next_attempt_at],
        );
    };
    execute(
        connection,
        sql!("update_delivery"),
        params![
            tenant,
            id,
            status,
            completed_at,
            next_attempt_at,
            last.number,
            last.response_status,
            last.error.as_ref().map(|error| error.code.as_str()),
            last.error.as_ref().map(|error| &error.message),
        ],
    )
}

/// Notes whose a row is; see [`recent`](super::recent).
fn note(
    connection: &Connection,
    sql: &str,
    id: impl ToString,
    webhook: WebhookId,
    topic: &Topic,
) -> Result<(), Error> {
    execute(
        connection,
        sql,
        params![id.to_string(), webhook.to_string(), topic.as_str()],
    )
}

fn insert_attempt(connection: &Connection, row: &AttemptRow, position: i64) -> Result<(), Error> {
    note(
        connection,
        sql!("note_attempt"),
        row.id,
        row.webhook_id,
        &row.topic,
    )?;
    let response = row.response.as_ref();
    let headers = match response {
        Some(response) => Some(serde_json::to_string(&response.headers)?),
        None => None,
    };
    execute(
        connection,
        sql!("insert_attempt"),
        params![
            row.tenant_id.as_str(),
            row.id.to_string(),
            position,
            row.delivery_id.to_string(),
            row.message_id.to_string(),
            row.webhook_id.to_string(),
            row.webhook_version.cast_signed(),
            row.topic.as_str(),
            row.number,
            row.trigger.as_str(),
            row.started_at.timestamp_millis(),
            row.duration_ms.cast_signed(),
            row.url,
            response.map(|response| response.status),
            headers,
            response.map_or(0, |response| response.body_bytes.cast_signed()),
            response.is_some_and(|response| response.body_truncated),
            row.error.as_ref().map(|error| error.code.as_str()),
            row.error.as_ref().map(|error| &error.message),
        ],
    )
}
