//! The ledger as a whole: read in its order, and taken over from another one.

use futures_util::TryStreamExt;
use hookledger_domain::tenant::TenantId;
use tokio::sync::oneshot;

use super::{Sqlite, rows, writer::Task};
use crate::store::{Error, StoredEvent, views::PAGE_BODY_BYTES_MAX};

const EVENTS_AFTER: &str = include_str!("../sql/sqlite/select_events_after.sql");
const STREAM: &str = include_str!("../sql/sqlite/select_stream.sql");

impl Sqlite {
    pub(super) async fn read_after(
        &self,
        position: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, Error> {
        let mut found = sqlx::query(EVENTS_AFTER)
            .bind(position.cast_signed())
            .bind(i64::from(limit))
            .fetch(self.readers());
        let (mut events, mut bytes) = (Vec::new(), 0);
        while let Some(row) = found.try_next().await? {
            let event = rows::stored(&row)?;
            bytes += event.body.as_ref().map_or(0, String::len) as u64;
            events.push(event);
            if bytes >= PAGE_BODY_BYTES_MAX {
                break;
            }
        }
        Ok(events)
    }

    pub(super) async fn read_stream(
        &self,
        tenant: &TenantId,
        (aggregate_type, id): (&str, &str),
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, Error> {
        let found = sqlx::query(STREAM)
            .bind(tenant.as_str())
            .bind(aggregate_type)
            .bind(id)
            .bind(after.cast_signed())
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        found.iter().map(rows::stored).collect()
    }

    pub(super) async fn append_stored(&self, events: Vec<StoredEvent>) -> Result<(), Error> {
        let events = events
            .into_iter()
            .map(|event| Ok((event.position, event.into_commit()?)))
            .collect::<Result<_, Error>>()?;
        let (reply, answer) = oneshot::channel();
        self.ask(Task::Import { events, reply }, answer).await
    }
}
