//! How events are chained, read and told apart.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use hookledger_domain::tenant::TenantId;
use sha2::{Digest, Sha256};
use sqlx::{QueryBuilder, Row, SqlitePool, sqlite::SqliteRow};
use tokio::sync::oneshot;

use super::{Sqlite, migrate, open_readers, rows, writer::Task};
use crate::store::{
    Error, Hash, Head,
    audit::{Chained, EventFilter, Found, LedgerHead, Link, RawEvent, Seal, Stretch},
    chain::Content,
    engine::Audited,
    views::PAGE_BODY_BYTES_MAX,
};

/// So many events are checked at a time, and so many positions looked through.
const PAGE: i64 = 1000;

type Query = QueryBuilder<'static, sqlx::Sqlite>;

#[async_trait]
impl Chained for Readers {
    async fn find_events(
        &self,
        filter: &EventFilter,
        stretch: Stretch,
        limit: u32,
        events_max: u32,
    ) -> Result<Found, Error> {
        let found = list(filter, stretch, limit, events_max)
            .build()
            .fetch_all(self.readers())
            .await?;
        let events: Vec<_> = found.iter().map(rows::stored).collect::<Result<_, _>>()?;
        if events.len() >= limit as usize {
            let down_to = events.last().map(|event| event.position);
            return Ok(Found { events, down_to });
        }
        let row = reach(filter, stretch, events_max)
            .build()
            .fetch_one(self.readers())
            .await?;
        let is_whole = row.try_get::<i64, _>("events")? < i64::from(events_max);
        let down_to: Option<i64> = row.try_get("down_to")?;
        let down_to = down_to.filter(|_| !is_whole).map(i64::cast_unsigned);
        Ok(Found { events, down_to })
    }

    async fn time_at(&self, position: u64) -> Result<Option<(u64, DateTime<Utc>)>, Error> {
        let row = sqlx::query(sql!("select_time_at"))
            .bind(position.cast_signed())
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| {
            Ok((
                rows::number(&row, "position")?,
                rows::time(&row, "recorded_at")?,
            ))
        })
        .transpose()
    }

    async fn heads(&self) -> Result<BTreeMap<String, Head>, Error> {
        let found = sqlx::query(sql!("select_heads"))
            .fetch_all(self.readers())
            .await?;
        let read = |row: &SqliteRow| {
            let tenant = String::from_utf8_lossy(row.try_get("tenant_id")?).into_owned();
            Ok((tenant, head(row)?))
        };
        found.iter().map(read).collect()
    }

    async fn head(&self, tenant: &TenantId) -> Result<Option<Head>, Error> {
        let row = sqlx::query(sql!("select_head"))
            .bind(tenant.as_str())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(head).transpose()
    }

    async fn links(&self, tenant: Option<&TenantId>, after: i64) -> Result<Vec<Link>, Error> {
        let query = match tenant {
            None => sqlx::query(sql!("select_links")),
            Some(tenant) => sqlx::query(sql!("select_links_of_tenant")).bind(tenant.as_str()),
        };
        let mut found = query.bind(after).bind(PAGE).fetch(self.readers());
        let (mut links, mut bytes) = (Vec::new(), 0);
        while let Some(row) = found.try_next().await? {
            let body: Option<&[u8]> = row.try_get("body")?;
            bytes += body.map_or(0, <[u8]>::len) as u64;
            links.push(link(&row, body)?);
            if bytes >= PAGE_BODY_BYTES_MAX {
                break;
            }
        }
        Ok(links)
    }

    async fn seals(&self) -> Result<Vec<Seal>, Error> {
        let found = sqlx::query(sql!("select_seals"))
            .fetch_all(self.readers())
            .await?;
        found.iter().map(seal).collect()
    }

    async fn last_seal(&self) -> Result<Option<Seal>, Error> {
        let row = sqlx::query(sql!("select_last_seal"))
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(seal).transpose()
    }

    async fn positions(&self, after: u64) -> Result<Vec<u64>, Error> {
        let found = sqlx::query(sql!("select_positions"))
            .bind(after.cast_signed())
            .bind(PAGE)
            .fetch_all(self.readers())
            .await?;
        found
            .iter()
            .map(|row| rows::number(row, "position"))
            .collect()
    }

    async fn last_position(&self) -> Result<u64, Error> {
        let row = sqlx::query(sql!("select_last_position"))
            .fetch_one(self.readers())
            .await?;
        rows::number(&row, "position")
    }

    async fn close(&self) {
        self.readers().close().await;
    }
}

#[async_trait]
impl Audited for Sqlite {
    fn chained(&self) -> Arc<dyn Chained> {
        Arc::new(Readers(self.readers.clone()))
    }

    async fn insert_seal(&self, seal: &Seal) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        let seal = seal.clone();
        self.ask(Task::Seal { seal, reply }, answer).await
    }
}

/// What reads a file, also one that another process has open.
pub(in crate::store) struct Readers(SqlitePool);

impl Readers {
    /// Opens a file for reading only. Its tables must be up to date.
    pub(in crate::store) async fn open(path: &Path) -> Result<Self, Error> {
        let pool = open_readers(path)
            .await
            .map_err(|error| Error::unavailable(format!("{}: {error}", path.display())))?;
        let found: i64 = sqlx::query_scalar(sql!("schema_version"))
            .fetch_one(&pool)
            .await?;
        migrate::must_be_present(found)?;
        Ok(Self(pool))
    }

    fn readers(&self) -> &SqlitePool {
        &self.0
    }
}

/// A number that is none below 0; one that somebody has put there is 0, which is not what was written.
fn natural(row: &SqliteRow, name: &str) -> Result<u64, Error> {
    Ok(row.try_get::<i64, _>(name)?.max(0).cast_unsigned())
}

fn head(row: &SqliteRow) -> Result<Head, Error> {
    Ok(Head {
        position: natural(row, "position")?,
        events: natural(row, "events")?,
        hash: Hash::from_slice(row.try_get("hash")?).unwrap_or_default(),
    })
}

fn seal(row: &SqliteRow) -> Result<Seal, Error> {
    let number = |name: &str| natural(row, name);
    let sealed_at = DateTime::from_timestamp_millis(row.try_get("sealed_at")?);
    Ok(Seal {
        number: number("number")?,
        head: LedgerHead {
            position: number("position")?,
            events: number("events")?,
            hash: Hash::from_slice(row.try_get("head")?).unwrap_or_default(),
        },
        // What is no time was not written here: the seal's hash tells it.
        sealed_at: sealed_at.unwrap_or_default(),
        hash: Hash::from_slice(row.try_get("hash")?).unwrap_or_default(),
        signature: row.try_get("signature")?,
    })
}

fn link(row: &SqliteRow, body: Option<&[u8]>) -> Result<Link, Error> {
    Ok(Link::new(RawEvent {
        position: row.try_get("position")?,
        content: Content {
            tenant_id: row.try_get("tenant_id")?,
            aggregate_type: row.try_get("aggregate_type")?,
            aggregate_id: row.try_get("aggregate_id")?,
            sequence: row.try_get("sequence")?,
            event_type: row.try_get("event_type")?,
            event_version: row.try_get("event_version")?,
            recorded_at: row.try_get("recorded_at")?,
            payload: row.try_get("payload")?,
            metadata: row.try_get("metadata")?,
        },
        hash: row.try_get("hash")?,
        before: row.try_get("before")?,
        body_sha256: body.map(|body| Hash::of(Sha256::new_with_prefix(body)).to_string()),
    }))
}

/// The events of a stretch that are meant, and how far they were looked for.
fn list(filter: &EventFilter, stretch: Stretch, limit: u32, events_max: u32) -> Query {
    let mut query = Query::new("SELECT e.*, NULL AS body FROM (");
    push_candidates(&mut query, filter, stretch, events_max);
    query.push(") c CROSS JOIN events e ON e.position = c.position WHERE TRUE");
    push_conditions(&mut query, filter);
    query.push(" ORDER BY e.position DESC LIMIT ");
    query.push_bind(i64::from(limit));
    query
}

fn reach(filter: &EventFilter, stretch: Stretch, events_max: u32) -> Query {
    let mut query = Query::new("SELECT count(*) AS events, min(position) AS down_to FROM (");
    push_candidates(&mut query, filter, stretch, events_max);
    query.push(")");
    query
}

/// The positions of the events that are looked at: those of an aggregate; of a tenant that are about its
/// settings; all of a tenant, of which the newest are not sorted in yet; or all.
fn push_candidates(query: &mut Query, filter: &EventFilter, stretch: Stretch, events_max: u32) {
    let bounds = |query: &mut Query| {
        query
            .push(" AND position >= ")
            .push_bind(stretch.from.cast_signed());
        query
            .push(" AND position < ")
            .push_bind(stretch.before.cast_signed());
    };
    let of_tenant = |query: &mut Query, table: &str| {
        query
            .push("SELECT position FROM ")
            .push(table)
            .push(" WHERE tenant_id = ");
        query.push_bind(filter.tenant.as_ref().map(ToString::to_string));
    };
    if let Some(id) = &filter.aggregate_id {
        query.push("SELECT position FROM events WHERE aggregate_type IN (");
        let mut types = query.separated(", ");
        for aggregate_type in filter.aggregate_types() {
            types.push_bind(aggregate_type);
        }
        query.push(") AND aggregate_id = ").push_bind(id.clone());
        bounds(query);
    } else if filter.tenant.is_some() && filter.is_about_settings() {
        of_tenant(query, "events INDEXED BY events_of_settings");
        query.push(" AND aggregate_type NOT IN ('message', 'delivery')");
        bounds(query);
    } else if filter.tenant.is_some() {
        query.push("SELECT position FROM (");
        of_tenant(query, "events NOT INDEXED");
        query.push(" AND position > (SELECT position FROM events_settled)");
        bounds(query);
        query.push(" UNION ALL ");
        of_tenant(query, "events_by_tenant");
        bounds(query);
        query.push(")");
    } else {
        query.push("SELECT position FROM events WHERE TRUE");
        bounds(query);
    }
    query.push(" ORDER BY position DESC LIMIT ");
    query.push_bind(i64::from(events_max));
}

fn push_conditions(query: &mut Query, filter: &EventFilter) {
    let mut text = |condition: &str, value: &Option<String>| {
        if let Some(value) = value {
            query.push(condition).push_bind(value.clone());
        }
    };
    text(
        " AND e.tenant_id = ",
        &filter.tenant.as_ref().map(ToString::to_string),
    );
    text(" AND e.aggregate_type = ", &filter.aggregate_type);
    text(" AND e.event_type = ", &filter.event_type);
    if let Some(actor) = &filter.actor {
        query.push(" AND ");
        query.push_bind(actor.clone());
        query.push(
            " IN (e.metadata ->> 'actor_kind', e.metadata ->> 'actor_id', \
             (e.metadata ->> 'actor_kind') || ':' || (e.metadata ->> 'actor_id'))",
        );
    }
    if let Some(from) = filter.recorded.from {
        query
            .push(" AND e.recorded_at >= ")
            .push_bind(from.timestamp_millis());
    }
    if let Some(to) = filter.recorded.to {
        query
            .push(" AND e.recorded_at < ")
            .push_bind(to.timestamp_millis());
    }
}
