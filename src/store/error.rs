use std::{cmp::Ordering, path::PathBuf, sync::Arc};

use hookledger_domain::fact;

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Somebody else appended to one of the aggregates, or an idempotency key is taken. Nothing
    /// of the commit was written.
    #[error("another writer was first")]
    Conflict,
    /// What the commit expects of its tenant, or of a body, does not hold any more. Nothing of the
    /// commit was written.
    #[error("what it was decided by has changed since")]
    Stale,
    /// The database cannot be asked now; what was asked may or may not have happened.
    #[error("the store is not available: {0}")]
    Unavailable(Arc<str>),
    /// Too much waits to be written already. Nothing was written.
    #[error("the store is busy")]
    Busy,
    /// A row or event is not what this version expects.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(Arc<str>),
    /// Another process has the ledger open.
    #[error("the ledger {} is in use by another process", .0.display())]
    Locked(PathBuf),
    /// An older version of Hookledger wrote the tables, and who asks only reads.
    #[error(
        "the ledger has schema version {found}, this version of Hookledger reads {known}: start the server \
         once with it, which brings the ledger up to date"
    )]
    OlderSchema {
        /// What the file says.
        found: i64,
        /// What this version reads.
        known: i64,
    },
    /// A newer version of Hookledger wrote the tables.
    #[error(
        "the ledger has schema version {found}, this version of Hookledger knows {known} at most"
    )]
    NewerSchema {
        /// What the file says.
        found: i64,
        /// What this version can read.
        known: i64,
    },
}

impl Error {
    /// Whether trying again later may help.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Busy)
    }

    /// Fails if the tables are of another version than is known here.
    pub(super) fn unless_present(found: i64, known: i64) -> Result<(), Self> {
        match found.cmp(&known) {
            Ordering::Less => Err(Self::OlderSchema { found, known }),
            Ordering::Equal => Ok(()),
            Ordering::Greater => Err(Self::NewerSchema { found, known }),
        }
    }

    pub(crate) fn corrupt(what: impl ToString) -> Self {
        Self::Corrupt(what.to_string().into())
    }

    pub(super) fn unavailable(why: impl ToString) -> Self {
        Self::Unavailable(why.to_string().into())
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::Decode(_) => Self::corrupt(error),
            // A question that the database does not understand is our fault, no outage.
            sqlx::Error::Database(ref reason) if reason.code().as_deref() == Some("1") => {
                Self::corrupt(error)
            }
            other => Self::unavailable(other),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error() {
            Some(code)
                if code.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
                    || code.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY =>
            {
                Self::Conflict
            }
            _ => Self::unavailable(error),
        }
    }
}

impl From<fact::Error> for Error {
    fn from(error: fact::Error) -> Self {
        Self::corrupt(error)
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::corrupt(error)
    }
}
