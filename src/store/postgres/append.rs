//! Brings a batch into the database: one statement, or a transaction when something changes that
//! changes seldom.

use std::collections::HashSet;

use hookledger_projections::{Change, View};
use sqlx::{Connection, Executor, PgConnection, Postgres, Row, postgres::PgRow};
use uuid::Uuid;

use super::{APPEND_LOCK, batch::Batch, claims::Claims, rare, session::Session};
use crate::store::Error;

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is written and would survive a power cut.
    Written,
    /// Nothing is written: these tenants are not of the generation that is expected.
    Stale(HashSet<(String, u64)>),
    /// Nothing is written: the commits at these places erase what is to be sent still, or ask for what
    /// is erased.
    Unfit(HashSet<usize>),
    /// Nothing is written: what some commit would append, or its key, is there already.
    Late,
    /// Nothing is written, because of what another transaction did at the same time.
    Again,
}

/// A connection that appends.
pub(super) struct Append {
    session: Session,
    node: Uuid,
}

impl Append {
    pub(super) fn new(session: Session, node: Uuid) -> Self {
        Self { session, node }
    }

    /// Writes a batch, all of it or nothing. After an error the outcome is unknown.
    pub(super) async fn write(&mut self, batch: &Batch<'_>) -> Result<Outcome, Error> {
        let notices = batch.announcements.payloads(self.node);
        self.session
            .with_connection(async |connection| write(connection, batch, &notices).await)
            .await
    }

    /// The places of the commits that are too late: what they would append, or their keys, are there
    /// already.
    pub(super) async fn find_late(&mut self, claims: &Claims<'_>) -> Result<HashSet<usize>, Error> {
        self.session
            .with_connection(async |connection| find_late(connection, claims).await)
            .await
    }
}

async fn write(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
    notices: &[String],
) -> Result<Outcome, sqlx::Error> {
    let written = if batch.rare.is_empty() && batch.wishes.sendable.place.is_empty() {
        append(&mut *connection, APPEND_LOCK, batch, notices).await
    } else {
        write_with_rare(connection, batch, notices).await
    };
    match written {
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(Outcome::Late),
        Err(sqlx::Error::Database(error)) if is_transient(error.code().as_deref()) => {
            Ok(Outcome::Again)
        }
        other => other,
    }
}

/// A deadlock or a failure to serialize: the transaction was rolled back, and may come through when
/// it is tried again.
pub(super) fn is_transient(code: Option<&str>) -> bool {
    matches!(code, Some("40001" | "40P01"))
}

async fn write_with_rare(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
    notices: &[String],
) -> Result<Outcome, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    // Outcomes of attempts change webhooks' rows under this lock; so must whatever else does. Others are
    // not to wait for it with a lock in hand that this transaction needs.
    let changes_webhooks = |(_, change): &(_, &Change)| change.view() == Some(View::Webhooks);
    if batch.rare.iter().any(changes_webhooks) {
        sqlx::query(sql!("take_turn"))
            .bind(APPEND_LOCK)
            .execute(&mut *transaction)
            .await?;
    }
    for (tenant, change) in &batch.rare {
        rare::apply(&mut transaction, tenant, change).await?;
    }
    let unfit = find_unfit(&mut transaction, batch).await?;
    if !unfit.is_empty() {
        transaction.rollback().await?;
        return Ok(Outcome::Unfit(unfit));
    }
    let outcome = append(&mut *transaction, APPEND_LOCK, batch, notices).await?;
    match outcome {
        Outcome::Written => transaction.commit().await?,
        _ => transaction.rollback().await?,
    }
    Ok(outcome)
}

/// The places of commits that erase what is to be sent still or ask for what is erased. Bodies are
/// deleted before this looks, so whoever asks for them meanwhile waits until this transaction is over
/// and finds them gone; who was before it is seen.
async fn find_unfit(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
) -> Result<HashSet<usize>, sqlx::Error> {
    let mut unfit = HashSet::new();
    if !batch.wishes.ended.place.is_empty() {
        let query = batch
            .wishes
            .ended
            .bind(sqlx::query(sql!("find_to_be_sent")));
        unfit.extend(places(query.fetch_all(&mut *connection).await?)?);
    }
    if !batch.wishes.sendable.place.is_empty() {
        let query = batch.wishes.sendable.bind(sqlx::query(sql!("hold_bodies")));
        unfit.extend(places(query.fetch_all(connection).await?)?);
    }
    Ok(unfit)
}

fn places(rows: Vec<PgRow>) -> Result<Vec<usize>, sqlx::Error> {
    let mut places = Vec::new();
    for row in rows {
        places.extend(usize::try_from(row.try_get::<i64, _>(0)?));
    }
    Ok(places)
}

/// Appends a batch under a lock, which is [`APPEND_LOCK`] if it has events.
pub(super) async fn append<'c>(
    executor: impl Executor<'c, Database = Postgres>,
    lock: i64,
    batch: &Batch<'_>,
    notices: &[String],
) -> Result<Outcome, sqlx::Error> {
    let query = sqlx::query(sql!("append")).bind(lock);
    let query = batch.expectations.bind(query);
    let query = batch.bodies.bind(query);
    let query = batch.messages.bind(query);
    let query = batch.deliveries.bind(query);
    let query = batch.progress.bind(query);
    let query = batch.attempts.bind(query);
    let query = batch.outcomes.bind(query);
    let query = batch.events.bind(query);
    let query = batch.chain.bind(query);
    // All rows, which is one: the answer has it before the transaction is committed. What follows the
    // last row, and is waited for only by who wants all of them, says that it is.
    let rows = query.bind(notices).fetch_all(executor).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let stale: Vec<String> = row.try_get("stale")?;
    if stale.is_empty() {
        return Ok(Outcome::Written);
    }
    let read = |text: &String| {
        let (tenant, generation) = text.split_once(' ')?;
        Some((tenant.to_owned(), generation.parse().ok()?))
    };
    Ok(Outcome::Stale(stale.iter().filter_map(read).collect()))
}

async fn find_late(
    connection: &mut PgConnection,
    claims: &Claims<'_>,
) -> Result<HashSet<usize>, sqlx::Error> {
    let mut late = HashSet::new();
    let events = claims.places.bind(sqlx::query(sql!("find_late_events")));
    late.extend(places(events.fetch_all(&mut *connection).await?)?);
    let keys = claims.keys.bind(sqlx::query(sql!("find_late_keys")));
    late.extend(places(keys.fetch_all(connection).await?)?);
    Ok(late)
}
