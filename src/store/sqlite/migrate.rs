//! Brings the tables up to date, one numbered step after the other.

use rusqlite::Connection;

use super::heads;
use crate::store::Error;

/// All steps; the schema's version is how many of them were taken. Every engine has steps of the
/// same names.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/sqlite/0001_create_ledger.sql"),
    include_str!("../migrations/sqlite/0002_create_views.sql"),
    include_str!("../migrations/sqlite/0003_count_generations.sql"),
    include_str!("../migrations/sqlite/0004_create_nodes.sql"),
    include_str!("../migrations/sqlite/0005_topic_schemas.sql"),
    include_str!("../migrations/sqlite/0006_erasure.sql"),
    include_str!("../migrations/sqlite/0007_delivery_control.sql"),
    include_str!("../migrations/sqlite/0008_chain_events.sql"),
    include_str!("../migrations/sqlite/0009_require_hashes.sql"),
    include_str!("../migrations/sqlite/0010_billing.sql"),
];

/// The step with which events began to be chained.
const CHAINED: i64 = 8;

/// Takes the steps that are missing, each in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(Error::NewerSchema { found, known });
    }
    let steps = (1..).zip(MIGRATIONS);
    for (version, step) in steps.skip(usize::try_from(found).unwrap_or(0)) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        if version == CHAINED {
            heads::fill(&transaction)?;
        }
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Fails unless all steps were taken, and no further ones.
pub(super) fn must_be_present(found: i64) -> Result<(), Error> {
    Error::unless_present(found, MIGRATIONS.len() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_taken_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        let events: i64 = connection
            .query_row("SELECT count(*) FROM events", [], |row| row.get(0))
            .unwrap();
        assert_eq!(events, 0);
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection
            .pragma_update(None, "user_version", 1000)
            .unwrap();
        let error = migrate(&mut connection).unwrap_err();
        assert!(
            matches!(error, Error::NewerSchema { found: 1000, .. }),
            "{error}"
        );
    }
}
