//! The file in which views are made anew: a ledger's tables without events.

use std::path::Path;

use chrono::{DateTime, Utc};
use hookledger_domain::tenant::TenantId;
use hookledger_projections::{Change, View};
use rusqlite::{Connection, Row, params};

use super::{
    super::{apply::apply, migrate, recent},
    compare,
};
use crate::store::{Error, Hash, StoredEvent};

/// So many events are read, and added in one transaction, at a time.
const PAGE: u32 = 2000;
/// So many pages may be read ahead.
const PAGES_AHEAD: usize = 2;
/// After so many events what they noted is sorted in.
const SETTLE_EVENTS: usize = 100_000;
/// The page cache in KiB.
const CACHE_KIB: i64 = 32 * 1024;

/// Views as far as events were added.
pub(in crate::store::sqlite) struct Side {
    connection: Connection,
    views: Vec<View>,
    position: i64,
    noted: usize,
}

/// What some events in turn change.
struct Page {
    /// The position of the last of them.
    last: i64,
    events: Vec<Event>,
}

struct Event {
    position: i64,
    tenant: Option<TenantId>,
    changes: Vec<Change>,
}

impl Side {
    /// An empty one, in a new file. Nothing in it needs to survive.
    pub(super) fn create(path: &Path, views: &[View]) -> Result<Self, Error> {
        super::super::create(path)?;
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "memory")?;
        connection.pragma_update(None, "synchronous", "off")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.set_prepared_statement_cache_capacity(64);
        migrate::migrate(&mut connection)?;
        connection.execute_batch(sql!("create_differing"))?;
        Ok(Self {
            connection,
            views: views.to_vec(),
            position: 0,
            noted: 0,
        })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn views(&self) -> &[View] {
        &self.views
    }

    /// The position of the last event that was added.
    pub(super) fn position(&self) -> i64 {
        self.position
    }

    /// Adds the events up to a position, which a thread of its own reads. `tell` hears how far it is.
    pub(super) fn fill(
        &mut self,
        ledger: Connection,
        end: i64,
        tell: &mut dyn FnMut(i64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (mut after, views) = (self.position, self.views.clone());
        std::thread::scope(|scope| {
            let (pages, read) = std::sync::mpsc::sync_channel(PAGES_AHEAD);
            scope.spawn(move || {
                loop {
                    let page = read_page(&ledger, after, end, &views);
                    match page {
                        Ok(Some(page)) => {
                            after = page.last;
                            if pages.send(Ok(page)).is_err() {
                                return;
                            }
                        }
                        Ok(None) => return,
                        Err(error) => {
                            // Whoever waits may have given up.
                            drop(pages.send(Err(error)));
                            return;
                        }
                    }
                }
            });
            for page in read {
                self.add(&page?)?;
                tell(self.position)?;
            }
            Ok(())
        })
    }

    /// Adds the last events and puts right in the ledger what was found to differ, in the transaction
    /// that is open.
    pub(in crate::store::sqlite) fn put_right(mut self, ledger: &Connection) -> Result<(), Error> {
        let end = last_position(ledger)?;
        self.catch_up(ledger, end)?;
        compare::put_right(&self, ledger)
    }

    /// Adds the events up to a position as this connection sees them.
    pub(super) fn catch_up(&mut self, ledger: &Connection, end: i64) -> Result<(), Error> {
        while let Some(page) = read_page(ledger, self.position, end, &self.views)? {
            self.add(&page)?;
        }
        Ok(())
    }

    fn add(&mut self, page: &Page) -> Result<(), Error> {
        let transaction = self.connection.unchecked_transaction()?;
        for event in &page.events {
            for change in &event.changes {
                apply(&transaction, event.tenant.as_ref(), event.position, change)?;
            }
        }
        self.noted += page.events.len();
        if self.noted >= SETTLE_EVENTS {
            recent::settle(&transaction)?;
            self.noted = 0;
        }
        transaction.commit()?;
        self.position = page.last;
        Ok(())
    }
}

/// The position of a ledger's last event; 0 if it has none.
pub(super) fn last_position(ledger: &Connection) -> Result<i64, Error> {
    Ok(ledger.query_row(sql!("select_last_position"), [], |row| row.get(0))?)
}

/// What the next events up to a position change in these views; `None` if there are no more.
fn read_page(
    ledger: &Connection,
    after: i64,
    end: i64,
    views: &[View],
) -> Result<Option<Page>, Error> {
    let mut statement = ledger.prepare_cached(sql!("find_events"))?;
    let mut rows = statement.query(params![after, end, PAGE])?;
    let (mut last, mut events) = (after, Vec::new());
    while let Some(row) = rows.next()? {
        let event = stored(row)?;
        last = event.position.cast_signed();
        let tenant = event.tenant_id.clone();
        let mut changes = event.changes()?;
        changes.retain(|change| change.view().is_some_and(|view| views.contains(&view)));
        events.push(Event {
            position: last,
            tenant,
            changes,
        });
    }
    Ok((!events.is_empty()).then_some(Page { last, events }))
}

/// An event without what no view shows.
fn stored(row: &Row<'_>) -> Result<StoredEvent, Error> {
    let tenant: Option<String> = row.get("tenant_id")?;
    let recorded_at: Option<DateTime<Utc>> =
        DateTime::from_timestamp_millis(row.get("recorded_at")?);
    let number = |name| row.get::<_, i64>(name).map(i64::cast_unsigned);
    Ok(StoredEvent {
        position: number("position")?,
        tenant_id: tenant
            .map(|text| text.parse())
            .transpose()
            .map_err(Error::corrupt)?,
        recorded_at: recorded_at.ok_or_else(|| Error::corrupt("a time out of range"))?,
        aggregate_type: row.get("aggregate_type")?,
        aggregate_id: row.get("aggregate_id")?,
        sequence: number("sequence")?,
        event_type: row.get("event_type")?,
        event_version: row.get("event_version")?,
        payload: row.get("payload")?,
        metadata: String::new(),
        hash: Hash::NONE,
        body: None,
    })
}
