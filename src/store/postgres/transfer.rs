//! The ledger as a whole: read in its order, and taken over from another one.

use std::time::Duration;

use hookledger_domain::tenant::TenantId;
use sqlx::{Connection, PgConnection};

use super::{
    APPEND_LOCK, Postgres,
    append::{self, Outcome},
    ask::Value::{Number, Text},
    batch::{Batch, Events},
    rare, rows, session,
};
use crate::store::{Commit, Error, StoredEvent, views::PAGE_BODY_BYTES_MAX};

/// How often it is tried to keep others from appending, and how long after the last try: somebody
/// may be appending just then.
const HOLD: (u32, Duration) = (50, Duration::from_millis(100));
/// How long one transaction of an import may take. Every statement has the server's own limit; this
/// one is for a connection that has gone silent.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(600);

impl Postgres {
    pub(super) async fn read_after(
        &self,
        position: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, Error> {
        let found = self.read_stretch(position.cast_signed(), limit).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        // Positions are left out where appends failed, maybe a whole stretch of them.
        match self.asker.next_position(position.cast_signed()).await? {
            Some(next) => self.read_stretch(next - 1, limit).await,
            None => Ok(Vec::new()),
        }
    }

    async fn read_stretch(&self, after: i64, limit: u32) -> Result<Vec<StoredEvent>, Error> {
        let values = [
            Number(after),
            Number(limit.into()),
            Number(PAGE_BODY_BYTES_MAX.cast_signed()),
        ];
        self.asker
            .list(sql!("select_events_after"), &values, rows::stored)
            .await
    }

    pub(super) async fn read_stream(
        &self,
        tenant: &TenantId,
        (aggregate_type, id): (&str, &str),
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, Error> {
        let values = [
            Text(tenant.as_str()),
            Text(aggregate_type),
            Text(id),
            Number(after.cast_signed()),
            Number(limit.into()),
        ];
        self.asker
            .list(sql!("select_stream"), &values, rows::stored)
            .await
    }

    /// Takes the lock of appends for a whole session: what others append waits, and fails when the
    /// server's patience is over. Fails if somebody else has it.
    pub(super) async fn hold_appends(&self) -> Result<(), Error> {
        let mut holder = self.holder.lock().await;
        if holder.is_some() {
            return Ok(());
        }
        let options = self.connect.clone().options(session::SETTINGS);
        let mut connection = session::in_time(PgConnection::connect_with(&options)).await?;
        for _ in 0..HOLD.0 {
            let is_held: bool = sqlx::query_scalar(sql!("hold_appends"))
                .bind(APPEND_LOCK)
                .fetch_one(&mut connection)
                .await?;
            if is_held {
                *holder = Some(connection);
                return Ok(());
            }
            tokio::time::sleep(HOLD.1).await;
        }
        Err(Error::unavailable(
            "another process keeps others from appending to the database",
        ))
    }

    pub(super) async fn append_stored(&self, mut events: Vec<StoredEvent>) -> Result<(), Error> {
        // As a batch lays them out.
        events.sort_by(|a, b| a.tenant_id.cmp(&b.tenant_id));
        let positions: Vec<i64> = events
            .iter()
            .map(|event| event.position.cast_signed())
            .collect();
        let commits = events
            .into_iter()
            .map(StoredEvent::into_commit)
            .collect::<Result<Vec<Commit>, _>>()?;
        let mut batch = Batch::of(commits.iter())?;
        if !batch.late.is_empty() {
            return Err(Error::Conflict);
        }
        let imported = Imported {
            positions,
            events: std::mem::take(&mut batch.events),
            hashes: std::mem::take(&mut batch.chain).hash,
        };
        self.with_holder(async |connection| import(connection, &batch, &imported).await)
            .await
    }

    /// Lets the planner know what there is now, and the index of positions, too: both would be done
    /// sooner or later, and until then reading would be slow.
    pub(super) async fn gather_statistics(&self) -> Result<(), Error> {
        self.with_holder(async |connection| gather(connection).await)
            .await
    }

    /// Works on the connection that holds the lock. After an error it is let go, and the lock with
    /// it: whether something was written is unknown.
    async fn with_holder(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<(), sqlx::Error>,
    ) -> Result<(), Error> {
        let mut holder = self.holder.lock().await;
        let mut connection = holder
            .take()
            .ok_or_else(|| Error::unavailable("others may append to the database"))?;
        match tokio::time::timeout(IMPORT_TIMEOUT, work(&mut connection)).await {
            Ok(Ok(())) => {
                *holder = Some(connection);
                Ok(())
            }
            Ok(Err(sqlx::Error::Database(error))) if error.is_unique_violation() => {
                Err(Error::Conflict)
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Error::unavailable("the database does not answer")),
        }
    }
}

/// Events of another ledger.
struct Imported<'a> {
    positions: Vec<i64>,
    events: Events<'a>,
    hashes: Vec<&'a [u8]>,
}

/// The views first, by the statement that appends, which has no events here; then the events at
/// their positions.
async fn import(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
    imported: &Imported<'_>,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    for (tenant, change) in &batch.rare {
        rare::apply(&mut transaction, tenant, change).await?;
    }
    match append::append(&mut *transaction, APPEND_LOCK, batch, &[]).await? {
        Outcome::Written => {}
        // Nothing here expects a generation or meets another transaction.
        outcome => return Err(sqlx::Error::Protocol(format!("{outcome:?}"))),
    }
    let query = sqlx::query(sql!("import_events")).bind(&imported.positions);
    let query = imported.events.bind(query).bind(&imported.hashes);
    query.execute(&mut *transaction).await?;
    transaction.commit().await
}

async fn gather(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    // It may take long.
    let statements = [
        sql!("lift_statement_timeout"),
        sql!("summarize_positions"),
        sql!("analyze"),
    ];
    for statement in statements {
        sqlx::query(statement).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}
