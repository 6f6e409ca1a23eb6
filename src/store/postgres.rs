//! The shared engine: PostgreSQL, on which any number of nodes work side by side.

/// The text of a statement, each of which is a file of its own, for the files of this folder.
macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!("../sql/postgres/", $name, ".sql"))
    };
}

/// A table's new or changed rows, a column each, for the files of this folder.
macro_rules! columns {
    ($($(#[$doc:meta])* $table:ident { $($column:ident: $type:ty),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(super) struct $table<'a> { $(pub(super) $column: Vec<$type>),+ }

        impl<'a> $table<'a> {
            /// Binds every column, in their order.
            pub(super) fn bind<'q>(
                &'q self,
                query: sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>,
            ) -> sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments> {
                query$(.bind(&self.$column))+
            }
        }
    )+};
}

mod agenda;
mod append;
mod ask;
mod audit;
mod batch;
mod billing;
mod chaining;
mod claims;
mod cluster;
mod erasure;
mod filters;
mod migrate;
mod notices;
mod outcomes;
mod rare;
mod reads;
mod rebuild;
mod rows;
mod session;
mod stats;
mod transfer;
mod writer;

use std::{str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use uuid::Uuid;

use self::{append::Append, ask::Asker, session::Session, writer::Task};
pub use self::{
    cluster::{Cluster, Fresh, NodeRow, Registration},
    notices::{Notice, Notices},
};
use super::{Error, audit::Chained};
use crate::{entropy, metrics::Metrics};

/// The advisory lock that an append holds from the moment its positions are given out until it is
/// committed: so they become visible in their order. It is one for each database.
pub const APPEND_LOCK: i64 = 0x686f_6f6b_6c65_6401;
/// The advisory lock of whoever rebuilds views.
const REBUILD_LOCK: i64 = 0x686f_6f6b_6c65_6403;
/// The advisory lock of whoever brings the tables up to date.
const MIGRATION_LOCK: i64 = 0x686f_6f6b_6c65_6402;

/// How long a request waits for a free connection, and how long making one may take.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// What a question may take beyond the server's own limit before the connection counts as dead.
const GRACE: Duration = Duration::from_secs(1);
/// Commits that may wait for the writers; beyond that the store is busy.
const COMMITS_WAITING_MAX: usize = 4096;

/// Where the database is and how it is used.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database?sslmode=…`, as libpq knows it.
    pub url: String,
    /// Connections that answer questions, at most.
    pub readers: u32,
    /// Connections that append.
    pub writers: usize,
    /// How long one statement may take.
    pub statement_timeout: Duration,
}

/// An open ledger on PostgreSQL.
pub(super) struct Postgres {
    /// Tells this process's notifications from those of others.
    id: Uuid,
    connect: PgConnectOptions,
    asker: Asker,
    tasks: mpsc::Sender<Task>,
    writers: Mutex<JoinSet<()>>,
    /// The session that keeps everybody else from appending, while a ledger is copied.
    holder: Mutex<Option<PgConnection>>,
    /// The session that erases bodies, connected while it does.
    eraser: Mutex<Session>,
}

impl Postgres {
    pub(super) async fn open(
        options: &PostgresOptions,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let connect = connect_options(options)?;
        let asker = asker(options, connect.clone());
        migrate::migrate(&connect).await?;
        let (tasks, receiver) = mpsc::channel(COMMITS_WAITING_MAX);
        let shared = Arc::new(writer::Shared::new(receiver));
        let id = entropy::node_id();
        let ask_within = options.statement_timeout + GRACE;
        let mut writers = JoinSet::new();
        for _ in 0..options.writers.max(1) {
            let append = Append::new(Session::new(connect.clone(), ask_within), id);
            writers.spawn(writer::run(append, shared.clone(), metrics.clone()));
        }
        let eraser = Mutex::new(Session::new(connect.clone(), ask_within));
        Ok(Self {
            id,
            connect,
            asker,
            tasks,
            writers: Mutex::new(writers),
            holder: Mutex::new(None),
            eraser,
        })
    }

    fn asker(&self) -> &Asker {
        &self.asker
    }

    pub(super) fn readers(&self) -> &PgPool {
        self.asker.pool()
    }
}

/// Opens a database for reading only. Its tables must be up to date.
pub(super) async fn open_for_reading(options: &PostgresOptions) -> Result<Arc<dyn Chained>, Error> {
    let connect = connect_options(options)?.options([("default_transaction_read_only", "on")]);
    let asker = asker(options, connect);
    migrate::must_be_present(asker.pool()).await?;
    Ok(Arc::new(asker))
}

fn asker(options: &PostgresOptions, connect: PgConnectOptions) -> Asker {
    let readers = PgPoolOptions::new()
        .max_connections(options.readers)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A ping before every question would double the round trips; see `Asker`.
        .test_before_acquire(false)
        .connect_lazy_with(connect);
    Asker::new(readers, options.statement_timeout + GRACE)
}

/// How sessions are opened. What the ledger rests on is set here, whatever the server's default.
fn connect_options(options: &PostgresOptions) -> Result<PgConnectOptions, Error> {
    let timeout = options.statement_timeout.as_millis().to_string();
    let connect = PgConnectOptions::from_str(&options.url)
        .map_err(|error| Error::unavailable(format!("the URL of the database: {error}")))?
        .application_name("hookledger")
        .options([
            ("statement_timeout", timeout.as_str()),
            ("idle_in_transaction_session_timeout", timeout.as_str()),
            ("synchronous_commit", "on"),
        ]);
    // Statements are in the source; they need not be in the log.
    Ok(connect.disable_statement_logging())
}
