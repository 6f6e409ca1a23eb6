//! Changes of views that are made seldom, most of them by administrators: one statement each.

use hookledger_domain::webhook::DisableReason;
use hookledger_projections::{
    Change,
    rows::{RecoveryRow, TenantRow, TokenRow, WebhookRow},
};
use sqlx::{PgConnection, Postgres, postgres::PgArguments, query::Query, types::Json};
use uuid::Uuid;

use super::billing;

/// Carries out one change that an event of `tenant` causes.
pub(super) async fn apply(
    connection: &mut PgConnection,
    tenant: &str,
    change: &Change,
) -> Result<(), sqlx::Error> {
    let statement = match change {
        Change::InsertTenant(row) => return insert_tenant(connection, row).await,
        Change::RenameTenant { id, name } => sqlx::query(sql!("rename_tenant"))
            .bind(id.as_str())
            .bind(name),
        Change::SetStripeCustomer {
            id,
            stripe_customer_id,
        } => sqlx::query(sql!("set_stripe_customer"))
            .bind(id.as_str())
            .bind(stripe_customer_id),
        Change::SetSuspended { id, is_suspended } => sqlx::query(sql!("set_suspended"))
            .bind(id.as_str())
            .bind(is_suspended),
        Change::CountGeneration { id } => sqlx::query(sql!("count_generation")).bind(id.as_str()),
        Change::InsertToken(row) => return insert_token(connection, row).await,
        Change::DeleteToken { id } => sqlx::query(sql!("delete_token"))
            .bind(tenant)
            .bind(id.uuid()),
        Change::PutTopic(row) => sqlx::query(sql!("put_topic"))
            .bind(row.name.as_str())
            .bind(&row.description)
            .bind(&row.schema),
        Change::DeleteTopic { name } => sqlx::query(sql!("delete_topic")).bind(name.as_str()),
        Change::EraseMessageBody { id } => erase_body(tenant, id.uuid()),
        Change::EraseResponseBody { id } => erase_body(tenant, id.uuid()),
        Change::InsertWebhook(row) => return insert_webhook(connection, row).await,
        Change::InsertRecovery(row) => return insert_recovery(connection, row).await,
        Change::AdvanceRecovery { id, requested } => sqlx::query(sql!("advance_recovery"))
            .bind(tenant)
            .bind(id.uuid())
            .bind(requested.cast_signed()),
        Change::EndRecovery {
            id,
            state,
            completed_at,
        } => sqlx::query(sql!("end_recovery"))
            .bind(tenant)
            .bind(id.uuid())
            .bind(state.as_str())
            .bind(completed_at),
        Change::PutSubscription(row) => billing::put_subscription(row),
        Change::PutInvoice(row) => billing::put_invoice(row),
        Change::InsertUnassigned(row) => billing::insert_unassigned(row),
        Change::DeleteUnassigned { id } => sqlx::query(sql!("delete_unassigned")).bind(id.as_str()),
        other => return change_webhook(connection, tenant, other).await,
    };
    run(connection, statement).await
}

fn erase_body(tenant: &str, id: Uuid) -> Query<'_, Postgres, PgArguments> {
    sqlx::query(sql!("erase_body")).bind(tenant).bind(id)
}

async fn insert_tenant(connection: &mut PgConnection, row: &TenantRow) -> Result<(), sqlx::Error> {
    let statement = sqlx::query(sql!("insert_tenant"))
        .bind(row.id.as_str())
        .bind(&row.name)
        .bind(&row.stripe_customer_id)
        .bind(row.is_suspended);
    run(connection, statement).await
}

async fn insert_token(connection: &mut PgConnection, row: &TokenRow) -> Result<(), sqlx::Error> {
    let statement = sqlx::query(sql!("insert_token"))
        .bind(row.tenant_id.as_str())
        .bind(row.id.uuid())
        .bind(&row.name)
        .bind(row.role.as_str())
        .bind(&row.token_sha256)
        .bind(row.expires_at);
    run(connection, statement).await
}

async fn insert_webhook(
    connection: &mut PgConnection,
    row: &WebhookRow,
) -> Result<(), sqlx::Error> {
    let statement = sqlx::query(sql!("insert_webhook"))
        .bind(row.tenant_id.as_str())
        .bind(row.id.uuid())
        .bind(Json(&row.config))
        .bind(row.is_active)
        .bind(Json(&row.secrets))
        .bind(row.created_at)
        .bind(row.updated_at)
        .bind(row.version.cast_signed())
        .bind(row.is_deleted);
    run(connection, statement).await
}

async fn insert_recovery(
    connection: &mut PgConnection,
    row: &RecoveryRow,
) -> Result<(), sqlx::Error> {
    let statement = sqlx::query(sql!("insert_recovery"))
        .bind(row.tenant_id.as_str())
        .bind(row.id.uuid())
        .bind(row.webhook_id.uuid())
        .bind(row.from)
        .bind(row.to)
        .bind(row.selection.as_str())
        .bind(row.state.as_str())
        .bind(row.matched.cast_signed())
        .bind(row.requested.cast_signed());
    run(connection, statement).await
}

/// What changes in a webhook's row changes its version and time, too.
async fn change_webhook(
    connection: &mut PgConnection,
    tenant: &str,
    change: &Change,
) -> Result<(), sqlx::Error> {
    let (statement, id, version, updated_at) = match change {
        Change::ConfigureWebhook {
            id,
            config,
            version,
            updated_at,
        } => (
            sqlx::query(sql!("configure_webhook")).bind(Json(config)),
            id,
            version,
            updated_at,
        ),
        Change::SetWebhookActive {
            id,
            is_active,
            disabled_reason,
            version,
            updated_at,
        } => (
            sqlx::query(sql!("set_webhook_active"))
                .bind(is_active)
                .bind(disabled_reason.map(DisableReason::as_str)),
            id,
            version,
            updated_at,
        ),
        Change::SetWebhookSecrets {
            id,
            secrets,
            version,
            updated_at,
        } => (
            sqlx::query(sql!("set_webhook_secrets")).bind(Json(secrets)),
            id,
            version,
            updated_at,
        ),
        Change::DeleteWebhook {
            id,
            version,
            updated_at,
        } => (
            sqlx::query(sql!("delete_webhook")).bind(true),
            id,
            version,
            updated_at,
        ),
        // Everything else is no change of a webhook, and is made by the statement of the batch.
        _ => return Ok(()),
    };
    let statement = statement
        .bind(tenant)
        .bind(id.uuid())
        .bind(version.cast_signed())
        .bind(updated_at);
    run(connection, statement).await
}

async fn run(
    connection: &mut PgConnection,
    statement: Query<'_, Postgres, PgArguments>,
) -> Result<(), sqlx::Error> {
    statement.execute(connection).await.map(drop)
}
