//! Bodies that were kept long enough: found by a reader, erased by the writer.

use chrono::{DateTime, Utc};
use hookledger_domain::ids::{AttemptId, MessageId};
use rusqlite::Connection;
use sqlx::{Row, sqlite::SqliteRow};
use tokio::sync::oneshot;

use super::{Sqlite, writer::Task};
use crate::store::{
    Error,
    erasure::{Mark, Place, STEP_BODIES_MAX, STEP_BYTES_MAX, Step},
};

/// A body that was looked at.
struct Found {
    position: i64,
    bytes: i64,
    is_old: bool,
    is_needed: bool,
}

impl Found {
    fn read(row: &SqliteRow) -> Result<Self, Error> {
        Ok(Self {
            position: row.try_get("position")?,
            bytes: row.try_get("bytes")?,
            is_old: row.try_get("is_old")?,
            is_needed: row.try_get("is_needed")?,
        })
    }
}

impl Sqlite {
    pub(super) async fn erase_step(
        &self,
        before: DateTime<Utc>,
        after: Option<Mark>,
    ) -> Result<Step, Error> {
        let after = match after {
            Some(Mark(Place::Position(position))) => position.cast_signed(),
            _ => 0,
        };
        let page = self.bodies_after(after, before).await?;
        let mut last = after;
        let (mut old, mut bytes) = (Vec::new(), 0);
        for found in &page {
            if bytes >= STEP_BYTES_MAX {
                break;
            }
            last = found.position;
            if found.is_old && !found.is_needed {
                old.push(found.position);
                bytes += found.bytes.cast_unsigned();
            }
        }
        let was_cut = page.last().is_some_and(|end| end.position > last);
        let goes_on = was_cut || self.may_go_on(&page, before).await?;
        let erased = if old.is_empty() {
            0
        } else {
            self.erase(old).await?
        };
        let next = goes_on.then_some(Mark(Place::Position(last.cast_unsigned())));
        Ok(Step { erased, next })
    }

    async fn bodies_after(&self, after: i64, before: DateTime<Utc>) -> Result<Vec<Found>, Error> {
        let rows = sqlx::query(sql!("find_bodies"))
            .bind(after)
            .bind(before.timestamp_millis())
            .bind(STEP_BODIES_MAX)
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(Found::read).collect()
    }

    /// Whether there may be old bodies after a page. They lie in the order in which they came, which
    /// is that of time as long as the clock is right. So a page without an old one is the last one
    /// only where it lies after all that the ids, which have a time of their own, call old.
    async fn may_go_on(&self, page: &[Found], before: DateTime<Utc>) -> Result<bool, Error> {
        let Some(last) = page.last() else {
            return Ok(false);
        };
        if page.len() < STEP_BODIES_MAX as usize {
            return Ok(false);
        }
        if page.iter().any(|found| found.is_old) {
            return Ok(true);
        }
        let row = sqlx::query(sql!("find_position_before"))
            .bind(MessageId::first_at(before).to_string())
            .bind(AttemptId::first_at(before).to_string())
            .fetch_one(self.readers())
            .await?;
        Ok(last.position < row.try_get::<i64, _>("position")?)
    }

    async fn erase(&self, positions: Vec<i64>) -> Result<u64, Error> {
        let (reply, answer) = oneshot::channel();
        self.ask(Task::Erase { positions, reply }, answer).await
    }

    pub(super) async fn empty_log(&self) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.ask(Task::EmptyLog { reply }, answer).await
    }
}

/// Erases the bodies beside these events, unless they are needed; says how many they were.
pub(super) fn erase(connection: &Connection, positions: &[i64]) -> Result<u64, Error> {
    let mut statement = connection.prepare_cached(sql!("erase_body"))?;
    let mut erased = 0;
    for position in positions {
        erased += statement.execute([position])? as u64;
    }
    Ok(erased)
}

/// Moves the log into the database, unless somebody reads what stood there before; says whether it
/// could.
pub(super) fn empty_log(connection: &Connection) -> Result<bool, Error> {
    let is_busy: bool = connection.query_row(sql!("empty_log"), [], |row| row.get(0))?;
    Ok(!is_busy)
}
