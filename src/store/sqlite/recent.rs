//! The owners of new rows and events: noted in order of arrival, and moved to where lists are merged from some
//! thousand at a time. It is what a log-structured merge tree does, with one level: a page of the
//! sorted tables is then written once for many rows instead of once for each.

use rusqlite::Connection;

use crate::store::Error;

const SETTLE: &str = include_str!("../sql/sqlite/settle_recent.sql");
const COUNT: &str = include_str!("../sql/sqlite/count_recent.sql");

/// After so many events what they noted is moved, at most one row each. Lists look through all that
/// is noted.
pub(super) const EVENTS_MAX: usize = 4096;

/// How many events came after the last that was sorted in.
pub(super) fn count(connection: &Connection) -> Result<usize, Error> {
    Ok(connection.query_row(COUNT, [], |row| row.get(0))?)
}

/// Moves all that are noted, in the transaction that is open.
pub(super) fn settle(connection: &Connection) -> Result<(), Error> {
    Ok(connection.execute_batch(SETTLE)?)
}
