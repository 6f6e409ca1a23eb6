//! Brings the tables up to date, one numbered step after the other.

use sqlx::{Connection, PgConnection, PgPool, postgres::PgConnectOptions};

use super::{ACQUIRE_TIMEOUT, MIGRATION_LOCK, chaining, rebuild};
use crate::store::Error;

/// All steps; the schema's version is how many of them were taken. Every engine has steps of the
/// same names.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/postgres/0001_create_ledger.sql"),
    include_str!("../migrations/postgres/0002_create_views.sql"),
    include_str!("../migrations/postgres/0003_count_generations.sql"),
    include_str!("../migrations/postgres/0004_create_nodes.sql"),
    include_str!("../migrations/postgres/0005_topic_schemas.sql"),
    include_str!("../migrations/postgres/0006_erasure.sql"),
    include_str!("../migrations/postgres/0007_delivery_control.sql"),
    include_str!("../migrations/postgres/0008_chain_events.sql"),
    include_str!("../migrations/postgres/0009_require_hashes.sql"),
    include_str!("../migrations/postgres/0010_billing.sql"),
];

/// The step with which events began to be chained.
const CHAINED: usize = 8;

/// Takes the steps that are missing, all in one transaction, which others that start at the same
/// time wait for.
pub(super) async fn migrate(options: &PgConnectOptions) -> Result<(), Error> {
    let connect = PgConnection::connect_with(options);
    let mut connection = tokio::time::timeout(ACQUIRE_TIMEOUT, connect)
        .await
        .map_err(|_| Error::unavailable("the database does not answer"))??;
    let mut transaction = connection.begin().await?;
    // A step may take long, and so may waiting for another node that takes it.
    sqlx::raw_sql(sql!("prepare_migrations"))
        .execute(&mut *transaction)
        .await?;
    sqlx::query(sql!("lock_migrations"))
        .bind(MIGRATION_LOCK)
        .execute(&mut *transaction)
        .await?;
    let found = version(&mut transaction).await?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(Error::NewerSchema { found, known });
    }
    if found < known {
        let steps = (1..).zip(MIGRATIONS);
        for (version, step) in steps.skip(usize::try_from(found).unwrap_or(0)) {
            sqlx::raw_sql(step).execute(&mut *transaction).await?;
            if version == CHAINED {
                chaining::fill(&mut transaction).await?;
            }
        }
        sqlx::query(sql!("set_schema_version"))
            .bind(known)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    rebuild::clear(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Fails unless all steps were taken, and no further ones. Changes nothing.
pub(super) async fn must_be_present(pool: &PgPool) -> Result<(), Error> {
    let has_table: bool = sqlx::query_scalar(sql!("has_schema_version"))
        .fetch_one(pool)
        .await?;
    let mut found = None;
    if has_table {
        found = sqlx::query_scalar(sql!("schema_version"))
            .fetch_optional(pool)
            .await?;
    }
    Error::unless_present(found.unwrap_or(0), MIGRATIONS.len() as i64)
}

/// How many steps were taken.
async fn version(connection: &mut PgConnection) -> Result<i64, Error> {
    let has_table: bool = sqlx::query_scalar(sql!("has_schema_version"))
        .fetch_one(&mut *connection)
        .await?;
    if !has_table {
        sqlx::raw_sql(sql!("create_schema_version"))
            .execute(&mut *connection)
            .await?;
    }
    let found: Option<i64> = sqlx::query_scalar(sql!("schema_version"))
        .fetch_optional(connection)
        .await?;
    Ok(found.unwrap_or(0))
}
