//! Chains the events that were there before events were chained.

use std::collections::HashMap;

use sqlx::{PgConnection, Row, postgres::PgRow};

use super::rows;
use crate::store::{Error, Hash, Head, chain::link};

/// An event that is to be chained.
struct Unchained {
    position: i64,
    tenant: String,
    aggregate_type: String,
    aggregate_id: String,
    sequence: i64,
    content: Hash,
}

impl Unchained {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let content = rows::content(row)?;
        Ok(Self {
            position: row.try_get("position")?,
            content: content.hash(),
            tenant: row.try_get("tenant_id")?,
            aggregate_type: row.try_get("aggregate_type")?,
            aggregate_id: row.try_get("aggregate_id")?,
            sequence: content.sequence,
        })
    }

    /// Its place in its stream, or another one there.
    fn in_stream(&self, sequence: i64) -> (&str, &str, i64) {
        (&self.aggregate_type, &self.aggregate_id, sequence)
    }
}

/// Chains all events, in the transaction that is open.
pub(super) async fn fill(connection: &mut PgConnection) -> Result<(), Error> {
    let mut heads: HashMap<String, Head> = HashMap::new();
    sqlx::query(sql!("declare_unchained"))
        .execute(&mut *connection)
        .await?;
    loop {
        let rows = sqlx::query(sql!("fetch_unchained"))
            .fetch_all(&mut *connection)
            .await?;
        if rows.is_empty() {
            sqlx::query(sql!("close_unchained"))
                .execute(&mut *connection)
                .await?;
            return put_heads(connection, &heads).await;
        }
        let page = rows
            .iter()
            .map(Unchained::read)
            .collect::<Result<Vec<_>, _>>()?;
        let befores = find_befores(connection, &page).await?;
        let hashes = chain(&page, &befores, &mut heads);
        sqlx::query(sql!("set_hashes"))
            .bind(column(&page, |event| event.tenant.as_str()))
            .bind(column(&page, |event| event.position))
            .bind(
                hashes
                    .iter()
                    .map(|hash| &hash.as_bytes()[..])
                    .collect::<Vec<_>>(),
            )
            .execute(&mut *connection)
            .await?;
    }
}

/// The hashes of the events before those of a page in their streams, as far as they are known.
async fn find_befores(
    connection: &mut PgConnection,
    page: &[Unchained],
) -> Result<Vec<Hash>, Error> {
    let rows = sqlx::query(sql!("find_hashes"))
        .bind(column(page, |event| event.tenant.as_str()))
        .bind(column(page, |event| event.aggregate_type.as_str()))
        .bind(column(page, |event| event.aggregate_id.as_str()))
        .bind(column(page, |event| event.sequence))
        .fetch_all(connection)
        .await?;
    let read = |row: &PgRow| {
        let hash: Option<&[u8]> = row.try_get("hash")?;
        Ok(hash.and_then(Hash::from_slice).unwrap_or_default())
    };
    rows.iter().map(read).collect()
}

fn chain(page: &[Unchained], befores: &[Hash], heads: &mut HashMap<String, Head>) -> Vec<Hash> {
    let mut in_page = HashMap::new();
    let mut hashes = Vec::with_capacity(page.len());
    for (event, known) in page.iter().zip(befores) {
        let before = in_page.get(&event.in_stream(event.sequence - 1));
        let head = heads.entry(event.tenant.clone()).or_default();
        let hash = link(
            event.content,
            event.position,
            *before.unwrap_or(known),
            head.hash,
        );
        head.push(event.position.cast_unsigned(), hash);
        in_page.insert(event.in_stream(event.sequence), hash);
        hashes.push(hash);
    }
    hashes
}

async fn put_heads(
    connection: &mut PgConnection,
    heads: &HashMap<String, Head>,
) -> Result<(), Error> {
    let heads: Vec<_> = heads.iter().collect();
    sqlx::query(sql!("put_heads"))
        .bind(column(&heads, |(tenant, _)| tenant.as_str()))
        .bind(column(&heads, |(_, head)| head.position.cast_signed()))
        .bind(column(&heads, |(_, head)| head.events.cast_signed()))
        .bind(column(&heads, |(_, head)| &head.hash.as_bytes()[..]))
        .execute(connection)
        .await?;
    Ok(())
}

fn column<'a, Row, T>(rows: &'a [Row], value: impl Fn(&'a Row) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}
