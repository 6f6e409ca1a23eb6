//! Compares the rows of two files, and puts those of one right.

use std::cmp::Ordering;

use hookledger_projections::View;
use rusqlite::{Connection, Row, Rows, params, params_from_iter, types::ValueRef};
use sha2::{Digest, Sha256};

use super::Side;
use crate::store::{
    Error, Hash,
    rebuild::{RebuildProgress, RebuildStage, RebuiltView, Watch},
};

/// How often it is told how many rows were compared.
const TELL_ROWS: u64 = 10_000;

/// Rows of a view.
struct Table {
    view: View,
    name: &'static str,
    /// Where the newest of them are noted, for those that are sorted in later.
    noted: Option<&'static str>,
    /// The columns by which they are told apart; texts.
    key: &'static [&'static str],
}

const fn table(view: View, name: &'static str, key: &'static [&'static str]) -> Table {
    Table {
        view,
        name,
        noted: None,
        key,
    }
}

const fn sorted(
    view: View,
    name: &'static str,
    noted: &'static str,
    key: &'static [&'static str],
) -> Table {
    Table {
        view,
        name,
        noted: Some(noted),
        key,
    }
}

const BY_WEBHOOK: &[&str] = &["webhook_id", "topic", "id"];

const TABLES: [Table; 14] = [
    table(View::Tenants, "tenants", &["id"]),
    table(View::Tokens, "tokens", &["tenant_id", "id"]),
    table(View::Topics, "topics", &["name"]),
    table(View::Webhooks, "webhooks", &["tenant_id", "id"]),
    table(View::Messages, "messages", &["id"]),
    sorted(
        View::Messages,
        "messages_by_tenant",
        "messages_recent",
        &["tenant_id", "id"],
    ),
    table(View::Deliveries, "deliveries", &["id"]),
    sorted(
        View::Deliveries,
        "deliveries_by_webhook",
        "deliveries_recent",
        BY_WEBHOOK,
    ),
    table(View::Attempts, "attempts", &["id"]),
    sorted(
        View::Attempts,
        "attempts_by_webhook",
        "attempts_recent",
        BY_WEBHOOK,
    ),
    table(View::Recoveries, "recoveries", &["tenant_id", "id"]),
    table(View::Subscriptions, "subscriptions", &["tenant_id", "id"]),
    table(View::Invoices, "invoices", &["tenant_id", "id"]),
    table(View::UnassignedCallbacks, "unassigned_callbacks", &["id"]),
];

impl Table {
    /// All its rows in the order of their keys.
    fn rows(&self) -> String {
        let (name, key) = (self.name, self.key.join(", "));
        match self.noted {
            None => format!("SELECT * FROM {name} ORDER BY {key}"),
            Some(noted) => format!(
                "SELECT {key} FROM {name} UNION ALL SELECT {key} FROM {noted} ORDER BY {key}"
            ),
        }
    }

    /// The condition for one key.
    fn is_one(&self) -> String {
        let columns = (1..).zip(self.key);
        let conditions: Vec<_> = columns
            .map(|(place, column)| format!("{column} = ?{place}"))
            .collect();
        conditions.join(" AND ")
    }
}

/// Compares these views, takes down in the side which rows differ, and tells how many.
pub(super) fn views(
    side: &Side,
    ledger: &Connection,
    watch: &Watch,
) -> Result<Vec<RebuiltView>, Error> {
    let mut progress = Progress::new(side, watch)?;
    let mut found = Vec::new();
    for view in side.views() {
        let mut comparison = Comparison::default();
        for table in TABLES.iter().filter(|table| table.view == *view) {
            comparison.table(table, side.connection(), ledger, &mut progress)?;
        }
        found.push(RebuiltView {
            view: *view,
            rows: comparison.rows,
            checksum: Hash::of(comparison.ours).to_string(),
            found_checksum: Hash::of(comparison.theirs).to_string(),
            missing: comparison.missing,
            surplus: comparison.surplus,
            changed: comparison.changed,
        });
    }
    Ok(found)
}

struct Progress<'a> {
    watch: &'a Watch,
    done: u64,
    total: u64,
}

impl<'a> Progress<'a> {
    fn new(side: &Side, watch: &'a Watch) -> Result<Self, Error> {
        let mut total = 0;
        for table in TABLES
            .iter()
            .filter(|table| side.views().contains(&table.view))
        {
            let sql = format!("SELECT count(*) FROM ({})", table.rows());
            total += side
                .connection()
                .query_row(&sql, [], |row| row.get::<_, i64>(0))?;
        }
        Ok(Self {
            watch,
            done: 0,
            total: total.cast_unsigned(),
        })
    }

    fn count(&mut self) -> Result<(), Error> {
        self.done += 1;
        if self.done.is_multiple_of(TELL_ROWS) {
            self.watch.tell(RebuildProgress {
                stage: RebuildStage::Compare,
                done: self.done,
                total: self.total.max(self.done),
            })?;
        }
        Ok(())
    }
}

/// A row taken apart.
#[derive(Debug, Default, PartialEq)]
struct Taken {
    key: Vec<String>,
    bytes: Vec<u8>,
}

impl Taken {
    fn read(row: &Row<'_>, table: &Table) -> Result<Self, Error> {
        let mut taken = Self::default();
        for column in table.key {
            taken.key.push(row.get(*column)?);
        }
        for index in 0..row.as_ref().column_count() {
            taken.push(row.get_ref(index)?);
        }
        Ok(taken)
    }

    /// Each value with its type and its length.
    fn push(&mut self, value: ValueRef<'_>) {
        let (kind, bytes): (u8, &[u8]) = match &value {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(number) => (1, &number.to_be_bytes()),
            ValueRef::Real(number) => (2, &number.to_be_bytes()),
            ValueRef::Text(text) => (3, text),
            ValueRef::Blob(blob) => (4, blob),
        };
        self.bytes.push(kind);
        self.bytes.extend((bytes.len() as u64).to_be_bytes());
        self.bytes.extend(bytes);
    }
}

/// What was found of a view: `ours` are the rows that were made anew.
#[derive(Default)]
struct Comparison {
    ours: Sha256,
    theirs: Sha256,
    rows: u64,
    missing: u64,
    surplus: u64,
    changed: u64,
}

impl Comparison {
    fn table(
        &mut self,
        table: &Table,
        side: &Connection,
        ledger: &Connection,
        progress: &mut Progress<'_>,
    ) -> Result<(), Error> {
        let sql = table.rows();
        let (mut ours, mut theirs) = (side.prepare(&sql)?, ledger.prepare(&sql)?);
        let (mut ours, mut theirs) = (ours.query([])?, theirs.query([])?);
        let mut our = next(&mut ours, table, &mut self.ours)?;
        let mut their = next(&mut theirs, table, &mut self.theirs)?;
        loop {
            let order = match (&our, &their) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(our), Some(their)) => our.key.cmp(&their.key),
            };
            let is_other = our != their;
            if is_other {
                // Rows of an index count as what they point to.
                let counted = match order {
                    Ordering::Less => (&our, &mut self.missing),
                    Ordering::Greater => (&their, &mut self.surplus),
                    Ordering::Equal => (&our, &mut self.changed),
                };
                if let (Some(row), count) = counted {
                    *count += 1;
                    take_down(side, table, &row.key)?;
                }
            }
            if order.is_le() {
                self.rows += u64::from(table.noted.is_none());
                our = next(&mut ours, table, &mut self.ours)?;
                progress.count()?;
            }
            if order.is_ge() {
                their = next(&mut theirs, table, &mut self.theirs)?;
            }
        }
    }
}

fn next(rows: &mut Rows<'_>, table: &Table, digest: &mut Sha256) -> Result<Option<Taken>, Error> {
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let taken = Taken::read(row, table)?;
    digest.update(&taken.bytes);
    Ok(Some(taken))
}

fn take_down(side: &Connection, table: &Table, key: &[String]) -> Result<(), Error> {
    side.prepare_cached(
        "INSERT INTO differing (name, first, second, third) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![table.name, key.first(), key.get(1), key.get(2)])?;
    Ok(())
}

/// Puts the rows of the ledger right that were found to differ, in the transaction that is open: they
/// become what they are in the side.
pub(super) fn put_right(side: &Side, ledger: &Connection) -> Result<(), Error> {
    for table in &TABLES {
        let keys = keys(side.connection(), table)?;
        // All of them go before one comes: what is wrong may have a place that belongs to another row.
        for key in &keys {
            for name in [Some(table.name), table.noted].into_iter().flatten() {
                let sql = format!("DELETE FROM {name} WHERE {}", table.is_one());
                ledger
                    .prepare_cached(&sql)?
                    .execute(params_from_iter(key))?;
            }
        }
        for key in &keys {
            bring(side.connection(), ledger, table, key)?;
        }
    }
    Ok(())
}

fn keys(side: &Connection, table: &Table) -> Result<Vec<Vec<String>>, Error> {
    let mut statement =
        side.prepare_cached("SELECT first, second, third FROM differing WHERE name = ?1")?;
    let rows = statement.query_map([table.name], |row| {
        (0..table.key.len()).map(|place| row.get(place)).collect()
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn bring(
    side: &Connection,
    ledger: &Connection,
    table: &Table,
    key: &[String],
) -> Result<(), Error> {
    let sql = format!("SELECT * FROM ({}) WHERE {}", table.rows(), table.is_one());
    let mut statement = side.prepare_cached(&sql)?;
    let columns: Vec<String> = statement
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let mut rows = statement.query(params_from_iter(key))?;
    if let Some(row) = rows.next()? {
        let places: Vec<_> = (1..=columns.len())
            .map(|place| format!("?{place}"))
            .collect();
        let insert = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            table.name,
            columns.join(", "),
            places.join(", ")
        );
        let values = (0..columns.len())
            .map(|index| row.get::<_, rusqlite::types::Value>(index))
            .collect::<rusqlite::Result<Vec<_>>>()?;
        ledger
            .prepare_cached(&insert)?
            .execute(params_from_iter(values))?;
    }
    Ok(())
}
