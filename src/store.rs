//! The ledger and the views: the only room that knows SQL.
//!
//! [`Ledger`] appends events and reads streams, [`Views`] asks the rows that the projections make
//! of the events. Both are cheap handles on one [`Store`], behind which stands an engine: SQLite or
//! PostgreSQL. What differs between engines lies in their own files. [`Cluster`] is what nodes share
//! that work on one PostgreSQL database.

mod audit;
mod chain;
mod commit;
mod copy;
mod engine;
mod erasure;
mod error;
mod ledger;
mod postgres;
mod rebuild;
mod repository;
mod sqlite;
mod stats;
mod stored;
mod views;

pub use audit::{
    Audit, EventFilter, InvalidSeal, LedgerHead, Reader, Reason, Seal, SealMark, Sealer, Signer,
    Verdict,
};
pub use chain::{Hash, Head};
pub use commit::Commit;
pub use copy::{CopyError, Difference, Progress, Side, Stage, Verified, copy, verify};
pub use engine::{Waiting, WebhookSecrets};
pub use erasure::{Erasure, Mark, Step};
pub use error::Error;
pub use ledger::{CommandError, Ledger, Load, Replayed, Stream, Until};
pub use postgres::{
    APPEND_LOCK, Cluster, Fresh, NodeRow, Notice, Notices, PostgresOptions, Registration,
};
pub use rebuild::{Rebuild, RebuildProgress, RebuildStage, RebuiltView};
pub use stats::ATTEMPTS_MAX;
pub use stored::StoredEvent;
pub use views::{LoggedAttempt, Message, Views};

pub use hookledger_projections::View;

use std::{path::Path, sync::Arc};

use tokio::runtime::Handle;

use crate::metrics::Metrics;
use engine::Engine;

/// An open store.
pub struct Store {
    engine: Arc<dyn Engine>,
    repository: repository::Repository,
    cluster: Option<Cluster>,
    turns: Arc<stats::Turns>,
    runtime: Handle,
}

impl Store {
    /// Opens the SQLite file at `path`, makes it if it is missing, brings its tables up to date
    /// and keeps other processes out until it is closed.
    ///
    /// Fails with [`Error::Locked`] if another process has it, with [`Error::NewerSchema`] if a
    /// newer version wrote it, and with [`Error::Unavailable`] if it cannot be read or written.
    pub async fn open_sqlite(path: &Path, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let engine = Arc::new(sqlite::Sqlite::open(path, metrics).await?);
        let repository = repository::Repository::sqlite(engine.clone());
        Ok(Self {
            engine,
            repository,
            cluster: None,
            turns: stats::Turns::new(),
            runtime: Handle::current(),
        })
    }

    /// Opens a PostgreSQL database, which any number of processes may do at one time, and brings its
    /// tables up to date.
    ///
    /// Fails with [`Error::NewerSchema`] if a newer version made its tables, and with
    /// [`Error::Unavailable`] if it cannot be asked.
    pub async fn open_postgres(
        options: &PostgresOptions,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let engine = Arc::new(postgres::Postgres::open(options, metrics).await?);
        let repository = repository::Repository::postgres(engine.clone());
        let cluster = Some(Cluster::new(engine.clone()));
        Ok(Self {
            engine,
            repository,
            cluster,
            turns: stats::Turns::new(),
            runtime: Handle::current(),
        })
    }

    /// What nodes share that work on this database; `None` where there is one process only.
    pub fn cluster(&self) -> Option<Cluster> {
        self.cluster.clone()
    }

    /// The side that appends events and reads streams.
    pub fn ledger(&self) -> Ledger {
        Ledger::new(self.engine.clone(), self.repository.clone())
    }

    /// The side that asks the views.
    pub fn views(&self) -> Views {
        Views::new(self.engine.clone(), self.turns.clone())
    }

    /// The side that erases what was kept long enough.
    pub fn erasure(&self) -> Erasure {
        Erasure::new(self.engine.clone())
    }

    /// The side that reads and checks the ledger as a whole.
    pub fn audit(&self) -> Audit {
        Audit::new(self.engine.chained())
    }

    /// The side that seals it.
    pub fn sealer(&self) -> Sealer {
        Sealer::new(self.audit(), self.engine.clone())
    }

    /// The side that makes views anew.
    pub fn rebuild(&self) -> Rebuild {
        Rebuild::new(self.engine.clone(), self.runtime.clone())
    }

    /// Waits until everything that was handed in is written, and lets go of the files.
    pub async fn close(self) {
        self.engine.close().await;
    }
}
