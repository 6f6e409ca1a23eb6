//! Carries out the changes of rows that tell of recoveries, and for how long webhooks have been failing.

use chrono::{DateTime, Utc};
use hookledger_domain::ids::WebhookId;
use hookledger_projections::{Change, rows::RecoveryRow};
use rusqlite::{Connection, params};

use super::apply::{execute, millis};
use crate::store::Error;

pub(super) fn note_outcome(
    connection: &Connection,
    tenant: &str,
    webhook: WebhookId,
    failed_at: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    let id = webhook.to_string();
    match millis(failed_at) {
        Some(failed_at) => execute(
            connection,
            sql!("note_failure"),
            params![tenant, id, failed_at],
        ),
        None => execute(connection, sql!("note_success"), params![tenant, id]),
    }
}

pub(super) fn change_recovery(
    connection: &Connection,
    tenant: &str,
    change: &Change,
) -> Result<(), Error> {
    match change {
        Change::AdvanceRecovery { id, requested } => execute(
            connection,
            sql!("advance_recovery"),
            params![tenant, id.to_string(), requested.cast_signed()],
        ),
        Change::EndRecovery {
            id,
            state,
            completed_at,
        } => execute(
            connection,
            sql!("end_recovery"),
            params![
                tenant,
                id.to_string(),
                state.as_str(),
                completed_at.timestamp_millis()
            ],
        ),
        // Nothing else changes a recovery's row.
        _ => Ok(()),
    }
}

pub(super) fn insert_recovery(connection: &Connection, row: &RecoveryRow) -> Result<(), Error> {
    execute(
        connection,
        sql!("insert_recovery"),
        params![
            row.tenant_id.as_str(),
            row.id.to_string(),
            row.webhook_id.to_string(),
            row.from.timestamp_millis(),
            row.to.timestamp_millis(),
            row.selection.as_str(),
            row.state.as_str(),
            row.matched.cast_signed(),
            row.requested.cast_signed(),
        ],
    )
}
