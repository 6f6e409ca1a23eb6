//! The embedded engine: one SQLite file, one writer thread, a pool of readers.

/// The text of a statement, each of which is a file of its own, for the files of this folder.
macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/src/store/sql/sqlite/",
            $name,
            ".sql"
        ))
    };
}

mod agenda;
mod apply;
mod audit;
mod billing;
mod erasure;
mod filters;
mod heads;
mod migrate;
mod reads;
mod rebuild;
mod recent;
mod recoveries;
mod rows;
mod stats;
mod transfer;
mod writer;

use std::{
    fs::File,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use rusqlite::Connection;
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use tokio::sync::mpsc;

pub(super) use self::audit::Readers;
use self::{
    rebuild::Site,
    writer::{Task, Writer},
};
use super::Error;
use crate::metrics::Metrics;

/// How many readers may ask at one time.
const READERS_MAX: u32 = 4;
/// How long a reader or writer waits for another one, which happens at checkpoints only.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request waits for a free reader.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Commits that may wait for the writer; beyond that the store is busy.
const COMMITS_WAITING_MAX: usize = 4096;
/// The writer's page cache in KiB.
const WRITER_CACHE_KIB: u32 = 16 * 1024;
/// A reader's page cache in KiB.
const READER_CACHE_KIB: u32 = 2 * 1024;
/// After so many pages (4 KiB each) in the write-ahead log they are moved into the database. The
/// more there are, the more often a page was written again meanwhile and is moved only once.
const CHECKPOINT_PAGES: u32 = 16_000;

/// An open SQLite ledger.
pub(super) struct Sqlite {
    readers: SqlitePool,
    tasks: mpsc::Sender<Task>,
    writer: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// Where views are made anew.
    site: Site,
    /// Keeps other processes out while it lives.
    _lock: File,
}

impl Sqlite {
    pub(super) async fn open(path: &Path, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let lock = lock(path)?;
        let mut connection = open_writer(path)?;
        migrate::migrate(&mut connection)?;
        let site = Site::new(path)?;
        let readers = open_readers(path).await?;
        let (tasks, receiver) = mpsc::channel(COMMITS_WAITING_MAX);
        let writer = Writer::new(connection, metrics)?;
        let thread = std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || writer.run(receiver))
            .map_err(Error::unavailable)?;
        Ok(Self {
            readers,
            tasks,
            writer: Mutex::new(Some(thread)),
            site,
            _lock: lock,
        })
    }

    fn site(&self) -> &Site {
        &self.site
    }

    fn tasks(&self) -> &mpsc::Sender<Task> {
        &self.tasks
    }

    pub(super) fn readers(&self) -> &SqlitePool {
        &self.readers
    }
}

/// SQLite would let several processes share the file; our writer's positions would not survive it.
fn lock(path: &Path) -> Result<File, Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = create(Path::new(&name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Locked(path.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(Error::unavailable(error)),
    }
}

/// Opens a file, and makes it for the owner only if it is missing: bodies and URLs stand in the
/// ledger as they are. SQLite gives its other files the same rights.
fn create(path: &Path) -> Result<File, Error> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Error::unavailable(format!("{}: {error}", path.display())))
}

fn open_writer(path: &Path) -> Result<Connection, Error> {
    create(path)?;
    let connection = Connection::open(path)
        .map_err(|error| Error::unavailable(format!("{}: {error}", path.display())))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // FULL syncs the log at every commit: a 202 survives a power cut.
    connection.pragma_update(None, "synchronous", "full")?;
    // What is erased is overwritten with zeros, also in pages that become free and in those from
    // which a row was moved. What is not erased hardly costs more by it: few of its pages become free.
    connection.pragma_update(None, "secure_delete", "on")?;
    connection.pragma_update(None, "cache_size", -i64::from(WRITER_CACHE_KIB))?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

async fn open_readers(path: &Path) -> Result<SqlitePool, Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cache_size", format!("-{READER_CACHE_KIB}"))
        .pragma("temp_store", "memory");
    let pool = SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await?;
    Ok(pool)
}

#[cfg(test)]
mod tests;
