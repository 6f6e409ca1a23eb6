//! The owners of new rows: noted in order of arrival, and moved to where lists are merged from some
//! thousand at a time. It is what a log-structured merge tree does, with one level: a page of the
//! sorted tables is then written once for many rows instead of once for each.

use rusqlite::Connection;

use crate::store::Error;

const SETTLE: &str = include_str!("../sql/sqlite/settle_recent.sql");
const COUNT: &str = include_str!("../sql/sqlite/count_recent.sql");

/// So many rows are noted before they are moved. Lists look through all that are noted.
pub(super) const ROWS_MAX: usize = 4096;

/// How many rows are noted.
pub(super) fn count(connection: &Connection) -> Result<usize, Error> {
    Ok(connection.query_row(COUNT, [], |row| row.get(0))?)
}

/// Moves all that are noted, in the transaction that is open.
pub(super) fn settle(connection: &Connection) -> Result<(), Error> {
    Ok(connection.execute_batch(SETTLE)?)
}
