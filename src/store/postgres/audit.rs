//! How events are chained, read and told apart.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hookledger_domain::tenant::TenantId;
use sqlx::{QueryBuilder, Row, postgres::PgRow};

use super::{
    Postgres,
    ask::{
        Asker,
        Value::{Bytes, Number, OptionalBytes, Text, Time},
    },
    rows,
};
use crate::store::{
    Error, Hash, Head,
    audit::{Chained, EventFilter, Found, LedgerHead, Link, RawEvent, Seal, Stretch},
    engine::Audited,
};

/// So many positions are looked through at a time.
const PAGE: i64 = 1000;
/// So many events are checked at a time: the database makes the digests of their bodies.
const LINKS: i64 = 250;

type Query = QueryBuilder<'static, sqlx::Postgres>;

#[async_trait]
impl Chained for Asker {
    async fn find_events(
        &self,
        filter: &EventFilter,
        stretch: Stretch,
        limit: u32,
        events_max: u32,
    ) -> Result<Found, Error> {
        if filter.tenant.is_none() && filter.aggregate_id.is_none() {
            // Positions alone are found by ranges of blocks: a stretch of them is read, and sorted.
            let step = u64::from(events_max);
            let from = stretch.before.saturating_sub(step).max(stretch.from);
            let events = self
                .find_in(filter, Stretch { from, ..stretch }, limit, step)
                .await?;
            let down_to = match events.last() {
                Some(last) if events.len() >= limit as usize => Some(last.position),
                _ => (from > stretch.from).then_some(from),
            };
            return Ok(Found { events, down_to });
        }
        let events = self
            .find_in(filter, stretch, limit, events_max.into())
            .await?;
        if events.len() >= limit as usize {
            let down_to = events.last().map(|event| event.position);
            return Ok(Found { events, down_to });
        }
        let reach = self
            .built(|| reach(filter, stretch, events_max.into()))
            .await?;
        let Some(row) = reach.first() else {
            return Ok(Found {
                events,
                down_to: None,
            });
        };
        let is_whole = row.try_get::<i64, _>("events")? < i64::from(events_max);
        let down_to: Option<i64> = row.try_get("down_to")?;
        let down_to = down_to.filter(|_| !is_whole).map(i64::cast_unsigned);
        Ok(Found { events, down_to })
    }

    async fn time_at(&self, position: u64) -> Result<Option<(u64, DateTime<Utc>)>, Error> {
        let position = position.cast_signed();
        let found = self.first_from(position).await?;
        if found.is_some() {
            return Ok(found);
        }
        match self.next_position(position - 1).await? {
            Some(next) => self.first_from(next).await,
            None => Ok(None),
        }
    }

    async fn heads(&self) -> Result<BTreeMap<String, Head>, Error> {
        let read = |row: &PgRow| Ok((row.try_get("tenant_id")?, head(row)?));
        let found = self.list(sql!("select_heads"), &[], read).await?;
        Ok(found.into_iter().collect())
    }

    async fn head(&self, tenant: &TenantId) -> Result<Option<Head>, Error> {
        let values = [Text(tenant.as_str())];
        self.one(sql!("select_head"), &values, head).await
    }

    async fn links(&self, tenant: Option<&TenantId>, after: i64) -> Result<Vec<Link>, Error> {
        if let Some(tenant) = tenant {
            let values = [Text(tenant.as_str()), Number(after), Number(LINKS)];
            return self
                .list(sql!("select_links_of_tenant"), &values, link)
                .await;
        }
        let found = self.links_in(after).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        match self.next_position(after).await? {
            Some(next) => self.links_in(next - 1).await,
            None => Ok(found),
        }
    }

    async fn seals(&self) -> Result<Vec<Seal>, Error> {
        self.list(sql!("select_seals"), &[], seal).await
    }

    async fn last_seal(&self) -> Result<Option<Seal>, Error> {
        self.one(sql!("select_last_seal"), &[], seal).await
    }

    async fn positions(&self, after: u64) -> Result<Vec<u64>, Error> {
        let read = |row: &PgRow| rows::number(row, "position");
        let after = after.cast_signed();
        let values = [Number(after), Number(after.saturating_add(PAGE))];
        self.list(sql!("select_positions"), &values, read).await
    }

    async fn last_position(&self) -> Result<u64, Error> {
        let read = |row: &PgRow| rows::number(row, "position");
        let found = self.one(sql!("select_last_position"), &[], read);
        Ok(found.await?.unwrap_or(0))
    }

    async fn close(&self) {
        self.pool().close().await;
    }
}

#[async_trait]
impl Audited for Postgres {
    fn chained(&self) -> Arc<dyn Chained> {
        Arc::new(self.asker.clone())
    }

    async fn insert_seal(&self, seal: &Seal) -> Result<(), Error> {
        let values = [
            Number(seal.number.cast_signed()),
            Number(seal.head.position.cast_signed()),
            Number(seal.head.events.cast_signed()),
            Bytes(seal.head.hash.as_bytes()),
            Time(seal.sealed_at),
            Bytes(seal.hash.as_bytes()),
            OptionalBytes(seal.signature.as_deref()),
        ];
        // Asked again it finds its own, as if somebody else had made it.
        let made = self.asker().all(sql!("insert_seal"), &values).await?;
        if made.is_empty() {
            return Err(Error::Conflict);
        }
        Ok(())
    }
}

impl Asker {
    pub(super) async fn next_position(&self, after: i64) -> Result<Option<i64>, Error> {
        let read = |row: &PgRow| Ok(row.try_get("position")?);
        let values = [Number(after)];
        let found = self.one(sql!("find_next_position"), &values, read);
        Ok(found.await?.flatten())
    }

    async fn find_in(
        &self,
        filter: &EventFilter,
        stretch: Stretch,
        limit: u32,
        events_max: u64,
    ) -> Result<Vec<crate::store::StoredEvent>, Error> {
        let found = self
            .built(|| list(filter, stretch, limit, events_max))
            .await?;
        found.iter().map(rows::stored).collect()
    }

    async fn first_from(&self, position: i64) -> Result<Option<(u64, DateTime<Utc>)>, Error> {
        let read = |row: &PgRow| {
            let recorded_at = rows::time(row, "recorded_at")?;
            Ok((rows::number(row, "position")?, recorded_at))
        };
        let values = [Number(position), Number(position.saturating_add(PAGE))];
        self.one(sql!("select_time_at"), &values, read).await
    }

    async fn links_in(&self, after: i64) -> Result<Vec<Link>, Error> {
        let values = [Number(after), Number(after.saturating_add(LINKS))];
        self.list(sql!("select_links"), &values, link).await
    }
}

/// A number that is none below 0; one that somebody has put there is 0, which is not what was written.
fn natural(row: &PgRow, name: &str) -> Result<u64, Error> {
    Ok(row.try_get::<i64, _>(name)?.max(0).cast_unsigned())
}

fn head(row: &PgRow) -> Result<Head, Error> {
    Ok(Head {
        position: natural(row, "position")?,
        events: natural(row, "events")?,
        hash: Hash::from_slice(row.try_get("hash")?).unwrap_or_default(),
    })
}

fn seal(row: &PgRow) -> Result<Seal, Error> {
    let number = |name: &str| natural(row, name);
    Ok(Seal {
        number: number("number")?,
        head: LedgerHead {
            position: number("position")?,
            events: number("events")?,
            hash: Hash::from_slice(row.try_get("head")?).unwrap_or_default(),
        },
        sealed_at: row.try_get("sealed_at")?,
        hash: Hash::from_slice(row.try_get("hash")?).unwrap_or_default(),
        signature: row.try_get("signature")?,
    })
}

fn link(row: &PgRow) -> Result<Link, Error> {
    Ok(Link::new(RawEvent {
        position: row.try_get("position")?,
        content: rows::content(row)?,
        hash: row.try_get("hash")?,
        before: row.try_get("before")?,
        body_sha256: row.try_get("body_sha256")?,
    }))
}

/// The events of a stretch that are meant, and how far they were looked for.
fn list(filter: &EventFilter, stretch: Stretch, limit: u32, events_max: u64) -> Query {
    let mut query = Query::new(
        "SELECT e.position, e.aggregate_type, e.aggregate_id, e.sequence, e.event_type, \
                e.event_version, e.payload::text AS payload, e.metadata::text AS metadata, \
                e.tenant_id, e.hash, NULL::text AS body, \
                greatest(least(e.recorded_at, '9999-12-31'), '1900-01-01') AS recorded_at \
           FROM (SELECT * FROM events WHERE TRUE",
    );
    push_candidates(&mut query, filter, stretch, events_max);
    query.push(") e WHERE TRUE");
    push_conditions(&mut query, filter);
    query.push(" ORDER BY e.position DESC LIMIT ");
    query.push_bind(i64::from(limit));
    query
}

fn reach(filter: &EventFilter, stretch: Stretch, events_max: u64) -> Query {
    let mut query = Query::new(
        "SELECT count(*) AS events, min(position) AS down_to \
           FROM (SELECT position FROM events WHERE TRUE",
    );
    push_candidates(&mut query, filter, stretch, events_max);
    query.push(") e");
    query
}

/// Which events are looked at: those of an aggregate; of a tenant that are about its settings; all of a
/// tenant; or all.
fn push_candidates(query: &mut Query, filter: &EventFilter, stretch: Stretch, events_max: u64) {
    if let Some(id) = &filter.aggregate_id {
        query.push(" AND aggregate_type = ANY (");
        query.push_bind(filter.aggregate_types());
        query.push(") AND aggregate_id = ").push_bind(id.clone());
    }
    if let Some(tenant) = &filter.tenant {
        query
            .push(" AND tenant_id = ")
            .push_bind(tenant.to_string());
        if filter.is_about_settings() {
            query.push(" AND aggregate_type NOT IN ('message', 'delivery')");
        }
    }
    query
        .push(" AND position >= ")
        .push_bind(stretch.from.cast_signed());
    query
        .push(" AND position < ")
        .push_bind(stretch.before.cast_signed());
    query.push(" ORDER BY position DESC LIMIT ");
    query.push_bind(events_max.cast_signed());
}

fn push_conditions(query: &mut Query, filter: &EventFilter) {
    let mut text = |condition: &str, value: &Option<String>| {
        if let Some(value) = value {
            query.push(condition).push_bind(value.clone());
        }
    };
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
        query.push(" AND e.recorded_at >= ").push_bind(from);
    }
    if let Some(to) = filter.recorded.to {
        query.push(" AND e.recorded_at < ").push_bind(to);
    }
}
