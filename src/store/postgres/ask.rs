//! Questions to the database: each within its time, and asked again when only its connection ended.

use std::{future::Future, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::{
    PgPool, Postgres, QueryBuilder,
    pool::PoolConnection,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use uuid::Uuid;

use crate::store::Error;

/// How often a question is asked again because its connection had ended: every connection of the
/// pool may have, when the database was restarted.
const ASKS_MAX: u32 = 64;

/// A value of a statement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'q> {
    Text(&'q str),
    OptionalText(Option<&'q str>),
    Texts(&'q [String]),
    Id(Uuid),
    OptionalId(Option<Uuid>),
    Ids(&'q [Uuid]),
    Number(i64),
    Numbers(&'q [i64]),
    Time(DateTime<Utc>),
    Bytes(&'q [u8]),
    OptionalBytes(Option<&'q [u8]>),
}

/// Asks. Cheap to clone.
#[derive(Clone)]
pub(super) struct Asker {
    pool: PgPool,
    within: Duration,
}

impl Asker {
    pub(super) fn new(pool: PgPool, within: Duration) -> Self {
        Self { pool, within }
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Every row of the answer.
    pub(super) async fn all(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<PgRow>, Error> {
        self.ask(async || rows(&self.pool, bind(sqlx::query(sql), values)).await)
            .await
    }

    /// The same, each row as what it stands for.
    pub(super) async fn list<T>(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
        read: impl Fn(&PgRow) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let rows = self.all(sql, values).await?;
        rows.iter().map(read).collect()
    }

    /// The first row of the answer as what it stands for.
    pub(super) async fn one<T>(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
        read: impl Fn(&PgRow) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let rows = self.all(sql, values).await?;
        rows.first().map(read).transpose()
    }

    /// Every row of the answer to a question that was built for what is asked.
    pub(super) async fn built(
        &self,
        build: impl Fn() -> QueryBuilder<'static, Postgres>,
    ) -> Result<Vec<PgRow>, Error> {
        self.ask(async || rows(&self.pool, build().build()).await)
            .await
    }

    async fn ask<F>(&self, question: impl Fn() -> F) -> Result<Vec<PgRow>, Error>
    where
        F: Future<Output = Result<Vec<PgRow>, sqlx::Error>>,
    {
        let mut asks = 0;
        loop {
            asks += 1;
            match tokio::time::timeout(self.within, question()).await {
                Ok(Err(error)) if is_broken(&error) && asks < ASKS_MAX => {}
                Ok(answer) => return Ok(answer?),
                Err(_) => return Err(Error::unavailable("the database does not answer")),
            }
        }
    }
}

/// Every row of the answer, from a free connection.
async fn rows(
    pool: &PgPool,
    query: Query<'_, Postgres, PgArguments>,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let mut lent = Lent(Some(pool.acquire().await?));
    let connection = lent.0.as_deref_mut().ok_or(sqlx::Error::PoolClosed)?;
    let answer = query.fetch_all(connection).await;
    // The question is over, so the pool may have it back.
    drop(lent.0.take());
    answer
}

/// A connection that is closed when nobody waits for its answer any more. The pool would wait for
/// it before it makes another one: for ever, where the network has lost the connection.
struct Lent(Option<PoolConnection<Postgres>>);

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

fn bind<'q>(
    query: Query<'q, Postgres, PgArguments>,
    values: &[Value<'q>],
) -> Query<'q, Postgres, PgArguments> {
    values.iter().fold(query, |query, value| match *value {
        Value::Text(text) => query.bind(text),
        Value::OptionalText(text) => query.bind(text),
        Value::Texts(texts) => query.bind(texts),
        Value::Id(id) => query.bind(id),
        Value::OptionalId(id) => query.bind(id),
        Value::Ids(ids) => query.bind(ids),
        Value::Number(number) => query.bind(number),
        Value::Numbers(numbers) => query.bind(numbers),
        Value::Time(time) => query.bind(time),
        Value::Bytes(bytes) => query.bind(bytes),
        Value::OptionalBytes(bytes) => query.bind(bytes),
    })
}

/// Whether the connection has ended, or was being ended by an operator or a restart. A question
/// changes nothing, so it may be asked again.
fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(reason) => {
            // admin_shutdown, crash_shutdown
            matches!(reason.code().as_deref(), Some("57P01" | "57P02"))
        }
        _ => false,
    }
}
