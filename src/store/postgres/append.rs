//! Brings a batch into the database: one statement, or a transaction when something changes that
//! changes seldom.

use std::{
    collections::HashSet,
    future::Future,
    time::{Duration, Instant},
};

use sqlx::{Connection, Executor, PgConnection, Postgres, Row, postgres::PgConnectOptions};
use uuid::Uuid;

use super::{
    ACQUIRE_TIMEOUT, APPEND_LOCK,
    batch::{Batch, Claims},
    rare,
};
use crate::store::Error;

/// How long after a failed try no other is made to connect: what is handed in meanwhile is answered
/// at once.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
/// After so long without use a connection is tried before it gets a batch.
const IDLE: Duration = Duration::from_secs(1);
/// What holds in the sessions of writers.
pub(super) const SESSION: [(&str, &str); 5] = [
    // A node that is halted half-way through a transaction would hold the others' appends up.
    ("idle_in_transaction_session_timeout", "1000"),
    // Every row that an append touches is found by an index. What is known of the tables' sizes,
    // nothing at first, must not talk the planner into reading all of a table for it.
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_bitmapscan", "off"),
];

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is written and would survive a power cut.
    Written,
    /// Nothing is written: these tenants are not of the generation that is expected.
    Stale(HashSet<(String, u64)>),
    /// Nothing is written: what some commit would append, or its key, is there already.
    Late,
    /// Nothing is written, because of what another transaction did at the same time.
    Again,
}

/// A connection that appends, made anew when it is lost.
pub(super) struct Append {
    options: PgConnectOptions,
    node: Uuid,
    within: Duration,
    connection: Option<PgConnection>,
    last_use: Instant,
    failed_at: Option<Instant>,
}

impl Append {
    pub(super) fn new(options: PgConnectOptions, node: Uuid, within: Duration) -> Self {
        Self {
            options: options.options(SESSION),
            node,
            within,
            connection: None,
            last_use: Instant::now(),
            failed_at: None,
        }
    }

    /// Writes a batch, all of it or nothing. After an error the outcome is unknown.
    pub(super) async fn write(&mut self, batch: &Batch<'_>) -> Result<Outcome, Error> {
        let notices = batch.announcements.payloads(self.node);
        self.with_connection(async |connection| write(connection, batch, &notices).await)
            .await
    }

    /// The places of the commits that are too late: what they would append, or their keys, are there
    /// already.
    pub(super) async fn find_late(&mut self, claims: &Claims<'_>) -> Result<HashSet<usize>, Error> {
        self.with_connection(async |connection| find_late(connection, claims).await)
            .await
    }

    async fn with_connection<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        let mut connection = self.connect().await?;
        match tokio::time::timeout(self.within, work(&mut connection)).await {
            Ok(Ok(answer)) => {
                self.last_use = Instant::now();
                self.connection = Some(connection);
                Ok(answer)
            }
            // Whatever the connection was about to do, it is not asked for anything more.
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Error::unavailable("the database does not answer")),
        }
    }

    async fn connect(&mut self) -> Result<PgConnection, Error> {
        if let Some(mut connection) = self.connection.take() {
            let is_fresh = self.last_use.elapsed() < IDLE;
            if is_fresh || matches!(in_time(connection.ping()).await, Ok(())) {
                return Ok(connection);
            }
        }
        if self
            .failed_at
            .is_some_and(|failed_at| failed_at.elapsed() < RECONNECT_PAUSE)
        {
            return Err(Error::unavailable("the database was not there just now"));
        }
        let connected = in_time(PgConnection::connect_with(&self.options)).await;
        self.failed_at = connected.is_err().then(Instant::now);
        connected
    }
}

/// What the database answers, unless it takes too long.
pub(super) async fn in_time<T>(
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(ACQUIRE_TIMEOUT, work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Error::unavailable("the database does not answer")),
    }
}

async fn write(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
    notices: &[String],
) -> Result<Outcome, sqlx::Error> {
    let written = if batch.rare.is_empty() {
        append(&mut *connection, batch, notices).await
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
fn is_transient(code: Option<&str>) -> bool {
    matches!(code, Some("40001" | "40P01"))
}

async fn write_with_rare(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
    notices: &[String],
) -> Result<Outcome, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    for (tenant, change) in &batch.rare {
        rare::apply(&mut transaction, tenant, change).await?;
    }
    let outcome = append(&mut *transaction, batch, notices).await?;
    match outcome {
        Outcome::Written => transaction.commit().await?,
        _ => transaction.rollback().await?,
    }
    Ok(outcome)
}

pub(super) async fn append<'c>(
    executor: impl Executor<'c, Database = Postgres>,
    batch: &Batch<'_>,
    notices: &[String],
) -> Result<Outcome, sqlx::Error> {
    let query = sqlx::query(sql!("append")).bind(APPEND_LOCK);
    let query = batch.expectations.bind(query);
    let query = batch.bodies.bind(query);
    let query = batch.messages.bind(query);
    let query = batch.deliveries.bind(query);
    let query = batch.progress.bind(query);
    let query = batch.attempts.bind(query);
    let query = batch.outcomes.bind(query);
    let query = batch.events.bind(query);
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
    for row in events.fetch_all(&mut *connection).await? {
        late.extend(usize::try_from(row.try_get::<i64, _>(0)?));
    }
    let keys = claims.keys.bind(sqlx::query(sql!("find_late_keys")));
    for row in keys.fetch_all(connection).await? {
        late.extend(usize::try_from(row.try_get::<i64, _>(0)?));
    }
    Ok(late)
}
