//! The ledger opened for reading only: beside a server that has it, or without one.

use std::{path::Path, sync::Arc};

use super::Audit;
use crate::store::{
    Error,
    postgres::{self, PostgresOptions},
    sqlite,
};

/// A ledger of which nothing can be changed. It takes no lock and brings no tables up to date.
pub struct Reader {
    audit: Audit,
}

impl Reader {
    /// Opens the SQLite file at `path`, which a server may have open.
    ///
    /// # Errors
    /// [`Error::OlderSchema`] or [`Error::NewerSchema`] if another version of Hookledger has used it last;
    /// [`Error::Unavailable`] if it is not there or cannot be read.
    pub async fn open_sqlite(path: &Path) -> Result<Self, Error> {
        let readers = sqlite::Readers::open(path).await?;
        let audit = Audit::new(Arc::new(readers));
        Ok(Self { audit })
    }

    /// Opens a PostgreSQL database, on which any number of nodes may work.
    ///
    /// # Errors
    /// As for a file.
    pub async fn open_postgres(options: &PostgresOptions) -> Result<Self, Error> {
        let audit = Audit::new(postgres::open_for_reading(options).await?);
        Ok(Self { audit })
    }

    /// What reads and checks it.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Ends the connections.
    pub async fn close(self) {
        self.audit.engine.close().await;
    }
}
