//! A connection that writes, made anew when it is lost.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::ACQUIRE_TIMEOUT;
use crate::store::Error;

/// How long after a failed try no other is made to connect: what is handed in meanwhile is answered
/// at once.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
/// After so long without use a connection is tried before it gets something to do.
const IDLE: Duration = Duration::from_secs(1);
/// What holds in the sessions of those that write.
pub(super) const SETTINGS: [(&str, &str); 5] = [
    // A node that is halted half-way through a transaction would hold the others' appends up.
    ("idle_in_transaction_session_timeout", "1000"),
    // Every row that is written is found by an index. What is known of the tables' sizes, nothing
    // at first, must not talk the planner into reading all of a table for it.
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_bitmapscan", "off"),
];

/// A connection, if there is one now, and how to make one.
pub(super) struct Session {
    options: PgConnectOptions,
    within: Duration,
    connection: Option<PgConnection>,
    last_use: Instant,
    failed_at: Option<Instant>,
}

impl Session {
    /// Connects when there is something to do; whatever that is, it may take `within`.
    pub(super) fn new(options: PgConnectOptions, within: Duration) -> Self {
        Self {
            options: options.options(SETTINGS),
            within,
            connection: None,
            last_use: Instant::now(),
            failed_at: None,
        }
    }

    /// Works on the connection. After an error it is let go, and the outcome is unknown.
    pub(super) async fn with_connection<T>(
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

    /// Lets the connection go until there is something to do again.
    pub(super) async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            // The server finds out by itself if it is not told.
            let _ = in_time(connection.close()).await;
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
