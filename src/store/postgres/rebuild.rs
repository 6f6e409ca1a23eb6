//! Views made anew, in a schema of their own beside the views that are there.
//!
//! The schema's tables are filled from the events while others go on appending. Then the rows of both are
//! compared within one snapshot. What differs is put right in one transaction, while nobody else appends and
//! after the last events are in the new tables, too: a row that was right in that snapshot has been changed
//! by the same events on both sides since.

mod compare;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use hookledger_projections::View;
use sqlx::{Connection, Executor, PgConnection};

use super::{
    APPEND_LOCK, Postgres, REBUILD_LOCK,
    append::{self, Outcome, is_transient},
    ask::Value::Number,
    batch::{Batch, Chain, Events},
    rare, rows, session,
};
use crate::store::{
    Commit, Error, StoredEvent,
    audit::Chained as _,
    rebuild::{RebuildProgress, RebuildStage, Rebuilds, RebuiltView, Watch},
};

/// So many positions are read, and their events added in one transaction, at a time.
const PAGE: i64 = 200;
/// The new tables are near the ledger's end when so few positions are missing.
const NEAR: i64 = 500;
/// How often it is tried to come near, while others append.
const CATCH_UPS_MAX: usize = 1000;
/// How often it is tried to put right what differs, when others stand in the way, and how long after the
/// last try.
const TRIES_MAX: usize = 500;
const TRY_AGAIN: Duration = Duration::from_millis(20);

#[async_trait]
impl Rebuilds for Postgres {
    async fn rebuild(
        &self,
        views: &[View],
        only_check: bool,
        watch: Watch,
    ) -> Result<Vec<RebuiltView>, Error> {
        let mut site = Site::begin(self, views, &watch).await?;
        let result = site.run(only_check).await;
        let ended = site.end().await;
        result.and_then(|found| ended.map(|()| found))
    }
}

/// Removes what a rebuild has left that came to no good end, unless one is running.
pub(super) async fn clear(connection: &mut PgConnection) -> Result<(), Error> {
    if hold(connection).await? {
        run(connection, sql!("drop_rebuild")).await?;
    }
    Ok(())
}

/// Carries out statements without values, one after the other.
async fn run(connection: &mut PgConnection, statements: &str) -> Result<(), sqlx::Error> {
    connection.execute(statements).await?;
    Ok(())
}

/// Takes the lock of rebuilds for the session, if nobody has it.
async fn hold(connection: &mut PgConnection) -> Result<bool, Error> {
    let is_held = sqlx::query_scalar(sql!("hold_appends"))
        .bind(REBUILD_LOCK)
        .fetch_one(connection)
        .await?;
    Ok(is_held)
}

/// A session within which the views are the new ones.
struct Site<'a> {
    engine: &'a Postgres,
    connection: PgConnection,
    /// The schema of the views that are there, as it stands in a statement.
    schema: String,
    views: &'a [View],
    watch: &'a Watch,
    /// The position up to which events were added.
    position: i64,
}

impl<'a> Site<'a> {
    async fn begin(
        engine: &'a Postgres,
        views: &'a [View],
        watch: &'a Watch,
    ) -> Result<Self, Error> {
        let options = engine.connect.clone().options(session::SETTINGS);
        let mut connection = session::in_time(PgConnection::connect_with(&options)).await?;
        if !hold(&mut connection).await? {
            return Err(Error::Busy);
        }
        run(&mut connection, sql!("prepare_rebuild")).await?;
        run(&mut connection, sql!("create_rebuild")).await?;
        let schema = sqlx::query_scalar(sql!("quoted_schema"))
            .fetch_one(&mut connection)
            .await?;
        sqlx::query(sql!("work_in_rebuild"))
            .execute(&mut connection)
            .await?;
        Ok(Self {
            engine,
            connection,
            schema,
            views,
            watch,
            position: 0,
        })
    }

    async fn end(mut self) -> Result<(), Error> {
        // What failed half-way has left a transaction open; without one it is a warning.
        run(&mut self.connection, "ROLLBACK").await?;
        run(&mut self.connection, sql!("drop_rebuild")).await?;
        self.connection.close().await?;
        Ok(())
    }

    async fn run(&mut self, only_check: bool) -> Result<Vec<RebuiltView>, Error> {
        self.come_near().await?;
        let found = self.compare().await?;
        if only_check || found.iter().all(RebuiltView::is_same) {
            return Ok(found);
        }
        for _ in 0..TRIES_MAX {
            self.come_near().await?;
            if self.hold(&found).await? {
                self.put_right(&found).await?;
                return Ok(found);
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
        Err(Error::Busy)
    }

    /// Begins a transaction in which nobody else appends or changes a view that differs, if that can be had
    /// at once: whoever waits for it here might be waited for.
    async fn hold(&mut self, found: &[RebuiltView]) -> Result<bool, Error> {
        let held = compare::hold(&mut self.connection, &self.schema, &changed(found)).await;
        let is_held = match held {
            Ok(()) => {
                sqlx::query_scalar(sql!("try_turn"))
                    .bind(APPEND_LOCK)
                    .fetch_one(&mut self.connection)
                    .await?
            }
            Err(sqlx::Error::Database(error)) if is_in_the_way(error.code().as_deref()) => false,
            Err(error) => return Err(error.into()),
        };
        if !is_held {
            run(&mut self.connection, "ROLLBACK").await?;
        }
        Ok(is_held)
    }

    /// Adds events until few are missing.
    async fn come_near(&mut self) -> Result<(), Error> {
        for _ in 0..CATCH_UPS_MAX {
            let end = self.engine.asker().last_position().await?.cast_signed();
            if end - self.position <= NEAR {
                return Ok(());
            }
            while self.position < end {
                self.watch.tell(RebuildProgress {
                    stage: RebuildStage::Build,
                    done: self.position.cast_unsigned(),
                    total: end.cast_unsigned(),
                })?;
                let started = Instant::now();
                let page = self.read(end).await?;
                let mut transaction = self.connection.begin().await?;
                add(&mut transaction, self.views, &page).await?;
                transaction.commit().await?;
                // Most of the time is left to those who publish.
                tokio::time::sleep(started.elapsed() * 2).await;
            }
        }
        Err(Error::Busy)
    }

    /// The next events up to a position, read beside this session. Moves on to the last of them.
    async fn read(&mut self, end: i64) -> Result<Vec<StoredEvent>, Error> {
        let asker = self.engine.asker();
        let mut after = self.position;
        let values = [Number(after), Number(end.min(after + PAGE))];
        let mut page = asker
            .list(sql!("find_events"), &values, rows::stored)
            .await?;
        if page.is_empty() {
            after = match self.engine.asker().next_position(after).await? {
                Some(next) => next - 1,
                None => end,
            };
            let values = [Number(after), Number(end.min(after + PAGE))];
            page = asker
                .list(sql!("find_events"), &values, rows::stored)
                .await?;
        }
        self.position = end.min(after + PAGE);
        Ok(page)
    }

    /// Adds the last events as this session's transaction sees them.
    async fn catch_up(&mut self) -> Result<(), sqlx::Error> {
        let end: i64 = sqlx::query_scalar(sql!("select_last_position"))
            .fetch_one(&mut self.connection)
            .await?;
        while self.position < end {
            let page = sqlx::query(sql!("find_events"))
                .bind(self.position)
                .bind(end.min(self.position + PAGE))
                .fetch_all(&mut self.connection)
                .await?;
            let page = page.iter().map(rows::stored).collect::<Result<Vec<_>, _>>();
            let page = page.map_err(|error| sqlx::Error::Decode(error.into()))?;
            add(&mut self.connection, self.views, &page).await?;
            self.position = end.min(self.position + PAGE);
        }
        Ok(())
    }

    async fn compare(&mut self) -> Result<Vec<RebuiltView>, Error> {
        let statement = sql!("compare_at_one_moment");
        run(&mut self.connection, statement).await?;
        self.catch_up().await?;
        let mut found = Vec::new();
        for (done, view) in (0..).zip(self.views) {
            self.watch.tell(RebuildProgress {
                stage: RebuildStage::Compare,
                done,
                total: self.views.len() as u64,
            })?;
            found.push(compare::view(&mut self.connection, &self.schema, *view).await?);
        }
        run(&mut self.connection, "COMMIT").await?;
        Ok(found)
    }

    /// Puts right what differs, in the transaction that was begun.
    async fn put_right(&mut self, found: &[RebuiltView]) -> Result<(), Error> {
        self.catch_up().await?;
        for view in changed(found) {
            compare::put_right(&mut self.connection, &self.schema, view).await?;
        }
        run(&mut self.connection, "COMMIT").await?;
        Ok(())
    }
}

/// The views that differ.
fn changed(found: &[RebuiltView]) -> Vec<View> {
    let changed = found.iter().filter(|view| !view.is_same());
    changed.map(|view| view.view).collect()
}

/// Somebody else holds what is needed, or a deadlock was ended.
fn is_in_the_way(code: Option<&str>) -> bool {
    // lock_not_available
    code == Some("55P03") || is_transient(code)
}

/// Makes the changes of some events in the new tables.
async fn add(
    connection: &mut PgConnection,
    views: &[View],
    events: &[StoredEvent],
) -> Result<(), sqlx::Error> {
    let unreadable = |error: Error| sqlx::Error::Decode(error.into());
    let mut commits = events
        .iter()
        .cloned()
        .map(StoredEvent::into_commit)
        .collect::<Result<Vec<Commit>, _>>()
        .map_err(unreadable)?;
    for event in commits.iter_mut().flat_map(|commit| &mut commit.events) {
        let is_meant = |view| views.contains(&view);
        event
            .changes
            .retain(|change| change.view().is_some_and(is_meant));
    }
    let mut batch = Batch::of(commits.iter()).map_err(unreadable)?;
    if !batch.late.is_empty() {
        return Err(unreadable(Error::corrupt("two events with one place")));
    }
    batch.events = Events::default();
    batch.chain = Chain::default();
    for (tenant, change) in &batch.rare {
        rare::apply(connection, tenant, change).await?;
    }
    // This session has that lock; nobody who appends waits for it.
    match append::append(&mut *connection, REBUILD_LOCK, &batch, &[]).await? {
        Outcome::Written => Ok(()),
        // Nothing here expects a generation or meets another transaction.
        outcome => Err(sqlx::Error::Protocol(format!("{outcome:?}"))),
    }
}
