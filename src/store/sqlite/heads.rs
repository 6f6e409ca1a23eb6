//! How the writer chains events, within one transaction.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::{
    Error, Hash, Head, Seal,
    chain::{Chaining, Content, link},
};

/// So many events are chained at a time that were there before events were chained.
const FILL_PAGE: u32 = 1000;

/// The heads of the tenants of which a transaction has events, as they are after these.
#[derive(Debug, Default)]
pub(super) struct Heads(HashMap<String, Head>);

/// An event's place in its stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct InStream<'a> {
    pub(super) aggregate_type: &'a str,
    pub(super) aggregate_id: &'a str,
    pub(super) sequence: i64,
}

impl Heads {
    /// Puts an event behind its tenant's head, and gives its hash.
    pub(super) fn chain(
        &mut self,
        connection: &Connection,
        tenant: &str,
        position: i64,
        place: InStream<'_>,
        chaining: Chaining,
    ) -> Result<Hash, Error> {
        let head = self.head(connection, tenant)?;
        let hash = match chaining {
            Chaining::Kept(hash) => hash,
            Chaining::Content(content) => {
                link(content, position, before(connection, place)?, head.hash)
            }
        };
        head.push(position.cast_unsigned(), hash);
        Ok(hash)
    }

    fn head(&mut self, connection: &Connection, tenant: &str) -> Result<&mut Head, Error> {
        if !self.0.contains_key(tenant) {
            let found = connection
                .prepare_cached(sql!("find_head"))?
                .query_row([tenant], read_head)
                .optional()?;
            self.0.insert(tenant.to_owned(), found.unwrap_or_default());
        }
        self.0
            .get_mut(tenant)
            .ok_or_else(|| Error::unavailable("a head that was just read"))
    }

    /// Writes them down.
    pub(super) fn write(&self, connection: &Connection) -> Result<(), Error> {
        let mut statement = connection.prepare_cached(sql!("put_head"))?;
        for (tenant, head) in &self.0 {
            statement.execute(params![
                tenant,
                head.position.cast_signed(),
                head.events.cast_signed(),
                head.hash.as_bytes(),
            ])?;
        }
        Ok(())
    }
}

/// Writes a seal down.
pub(super) fn insert_seal(connection: &Connection, seal: &Seal) -> Result<(), Error> {
    connection
        .prepare_cached(sql!("insert_seal"))?
        .execute(params![
            seal.number.cast_signed(),
            seal.head.position.cast_signed(),
            seal.head.events.cast_signed(),
            seal.head.hash.as_bytes(),
            seal.sealed_at.timestamp_millis(),
            seal.hash.as_bytes(),
            seal.signature,
        ])?;
    Ok(())
}

fn read_head(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        position: row.get::<_, i64>("position")?.cast_unsigned(),
        events: row.get::<_, i64>("events")?.cast_unsigned(),
        // What is no hash is none: whoever checks finds it.
        hash: Hash::from_slice(row.get_ref("hash")?.as_bytes()?).unwrap_or_default(),
    })
}

/// The hash of the event before one in its stream.
fn before(connection: &Connection, place: InStream<'_>) -> Result<Hash, Error> {
    if place.sequence <= 1 {
        return Ok(Hash::NONE);
    }
    let found: Option<Vec<u8>> = connection
        .prepare_cached(sql!("find_hash"))?
        .query_row(
            params![place.aggregate_type, place.aggregate_id, place.sequence - 1],
            |row| row.get(0),
        )
        .optional()?;
    Ok(found
        .and_then(|bytes| Hash::from_slice(&bytes))
        .unwrap_or_default())
}

/// Chains the events that were there before events were chained.
pub(super) fn fill(connection: &Connection) -> Result<(), Error> {
    let mut heads = Heads::default();
    let mut last = 0;
    loop {
        let page = unchained_after(connection, last)?;
        let Some(event) = page.last() else {
            return heads.write(connection);
        };
        last = event.position;
        for event in page {
            let place = InStream {
                aggregate_type: &event.aggregate_type,
                aggregate_id: &event.aggregate_id,
                sequence: event.sequence,
            };
            let chaining = Chaining::Content(event.content);
            let hash = heads.chain(connection, &event.tenant, event.position, place, chaining)?;
            connection
                .prepare_cached(sql!("set_hash"))?
                .execute(params![event.position, hash.as_bytes()])?;
        }
    }
}

/// An event that is to be chained.
struct Unchained {
    position: i64,
    tenant: String,
    aggregate_type: String,
    aggregate_id: String,
    sequence: i64,
    content: Hash,
}

fn unchained_after(connection: &Connection, position: i64) -> Result<Vec<Unchained>, Error> {
    let mut statement = connection.prepare_cached(sql!("find_unchained"))?;
    let rows = statement.query_map(params![position, FILL_PAGE], |row| {
        let text = |name: &str| -> rusqlite::Result<&[u8]> { Ok(row.get_ref(name)?.as_bytes()?) };
        let sequence = row.get("sequence")?;
        let content = Content {
            tenant_id: text("tenant_id")?,
            aggregate_type: text("aggregate_type")?,
            aggregate_id: text("aggregate_id")?,
            sequence,
            event_type: text("event_type")?,
            event_version: text("event_version")?,
            recorded_at: row.get("recorded_at")?,
            payload: text("payload")?,
            metadata: text("metadata")?,
        };
        Ok(Unchained {
            position: row.get("position")?,
            tenant: row.get("tenant_id")?,
            aggregate_type: row.get("aggregate_type")?,
            aggregate_id: row.get("aggregate_id")?,
            sequence,
            content: content.hash(),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
