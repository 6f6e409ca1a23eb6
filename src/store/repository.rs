use std::sync::Arc;

use chrono::{SubsecRound, Utc};
use cqrs_es::{
    Aggregate,
    persist::{
        PersistedEventRepository, PersistenceError, ReplayStream, SerializedEvent,
        SerializedSnapshot,
    },
};
use hookledger_domain::fact::Fact;
use postgres_es::PostgresEventRepository;
use serde_json::Value;
use sqlite_es::SqliteEventRepository;

use super::{Commit, Error, engine::Engine, postgres::Postgres, sqlite::Sqlite};

/// The repository that cqrs-es' event store works on: reads go through the crate of the engine,
/// appends through our writer, so that they join its group commits and bring the views along.
#[derive(Clone)]
pub(super) struct Repository {
    reads: Reads,
    engine: Arc<dyn Engine>,
}

/// What the engines' crates read with.
#[derive(Clone)]
enum Reads {
    Sqlite(Arc<SqliteEventRepository>),
    Postgres(Arc<PostgresEventRepository>),
}

/// Asks whichever it is.
macro_rules! read {
    ($reads:expr, $method:ident $(, $argument:expr)*) => {
        match &$reads {
            Reads::Sqlite(reads) => reads.$method::<A>($($argument),*).await,
            Reads::Postgres(reads) => reads.$method::<A>($($argument),*).await,
        }
    };
}

impl Repository {
    pub(super) fn sqlite(engine: Arc<Sqlite>) -> Self {
        Self {
            reads: Reads::Sqlite(Arc::new(SqliteEventRepository::new(
                engine.readers().clone(),
            ))),
            engine,
        }
    }

    pub(super) fn postgres(engine: Arc<Postgres>) -> Self {
        Self {
            reads: Reads::Postgres(Arc::new(PostgresEventRepository::new(
                engine.readers().clone(),
            ))),
            engine,
        }
    }
}

impl PersistedEventRepository for Repository {
    async fn get_events<A: Aggregate>(
        &self,
        id: &str,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        read!(self.reads, get_events, id)
    }

    async fn get_last_events<A: Aggregate>(
        &self,
        id: &str,
        last_sequence: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        read!(self.reads, get_last_events, id, last_sequence)
    }

    /// There are none: snapshot stores of cqrs-es 0.5 apply events twice.
    async fn get_snapshot<A: Aggregate>(
        &self,
        _: &str,
    ) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        Ok(None)
    }

    async fn persist<A: Aggregate>(
        &self,
        events: &[SerializedEvent],
        _: Option<(String, Value, usize)>,
    ) -> Result<(), PersistenceError> {
        let Some(first) = events.first() else {
            return Ok(());
        };
        let metadata = serde_json::from_value(first.metadata.clone())?;
        let mut commit = Commit::from_metadata(metadata, Utc::now().trunc_subsecs(3));
        for event in events {
            let fact = Fact::read(A::TYPE, event.payload.clone()).map_err(unknown)?;
            commit
                .push(&event.aggregate_id, event.sequence as u64, &fact)
                .map_err(unknown)?;
        }
        self.engine
            .commit(commit)
            .await
            .map_err(|error| match error {
                Error::Conflict => PersistenceError::OptimisticLockError,
                other => PersistenceError::ConnectionError(Box::new(other)),
            })
    }

    async fn stream_events<A: Aggregate>(
        &self,
        id: &str,
    ) -> Result<ReplayStream, PersistenceError> {
        read!(self.reads, stream_events, id)
    }

    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        read!(self.reads, stream_all_events)
    }
}

fn unknown(error: impl std::error::Error + Send + Sync + 'static) -> PersistenceError {
    PersistenceError::UnknownError(Box::new(error))
}
