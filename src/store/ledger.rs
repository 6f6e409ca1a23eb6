use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use cqrs_es::{
    Aggregate, AggregateError, EventStore,
    event_sink::EventSink,
    persist::{EventStoreAggregateContext, PersistedEventStore},
};
use hookledger_domain::{
    actor::Origin,
    ids::WebhookId,
    tenant::TenantId,
    upcast::{upcast, upcasters},
};

use super::{Commit, Error, StoredEvent, engine::Engine, repository::Repository};

/// Appends events and reads streams.
#[derive(Clone)]
pub struct Ledger {
    engine: Arc<dyn Engine>,
    repository: Repository,
}

/// An aggregate as its events tell it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream<A> {
    /// Its state.
    pub state: A,
    /// The number of its last event; 0 if it has none.
    pub sequence: u64,
}

/// Up to where an aggregate is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To the event with this sequence.
    Version(u64),
    /// To the last event that was recorded at this time or earlier.
    Time(DateTime<Utc>),
}

/// An aggregate as it was once.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed<A> {
    /// Its state then.
    pub state: A,
    /// The number of the last event that it had then.
    pub sequence: u64,
    /// When its first event was recorded.
    pub created_at: DateTime<Utc>,
    /// When the last one was.
    pub updated_at: DateTime<Utc>,
}

impl Until {
    /// Whether an event came later.
    fn is_before(self, event: &StoredEvent) -> bool {
        match self {
            Self::Version(version) => event.sequence > version,
            Self::Time(time) => event.recorded_at > time,
        }
    }

    /// Whether an aggregate that was replayed to this sequence is what was asked for.
    fn is_met(self, sequence: u64) -> bool {
        match self {
            Self::Version(version) => sequence == version,
            Self::Time(_) => true,
        }
    }
}

/// So many events are replayed at once.
const REPLAY_PAGE: u32 = 200;

/// What of a webhook that is to be sent is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Load {
    /// Those that come due first, in the order of their times.
    Due {
        /// Only tests.
        only_tests: bool,
        /// At most this many.
        limit: u32,
    },
    /// The first of each queue, by queue and id. A queue is what has one ordering key; tests are in
    /// none.
    Queues {
        /// Only queues whose key comes after this one.
        after: Option<String>,
        /// At most so many queues.
        queues: u32,
        /// At most this many of a queue.
        each: u32,
    },
    /// The first of each of these queues, by queue and id.
    TheseQueues {
        /// Their keys.
        keys: Vec<String>,
        /// At most this many of a queue.
        each: u32,
    },
}

/// Why a command came to nothing.
#[derive(Debug)]
pub enum CommandError<E> {
    /// The aggregate refused it.
    Refused(E),
    /// It was based on another version of the aggregate.
    WrongVersion,
    /// The store failed.
    Store(Error),
}

impl<E> From<Error> for CommandError<E> {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// How often a command is decided anew after somebody else was first.
const CONFLICTS_MAX: usize = 10;

impl Ledger {
    pub(super) fn new(engine: Arc<dyn Engine>, repository: Repository) -> Self {
        Self { engine, repository }
    }

    /// Appends; returns when it would survive a power cut.
    ///
    /// Fails with [`Error::Conflict`] if another writer was first (nothing is written), with
    /// [`Error::Busy`] if too much waits already (nothing is written), and with
    /// [`Error::Unavailable`] if the outcome is unknown.
    pub async fn commit(&self, commit: Commit) -> Result<(), Error> {
        self.engine.commit(commit).await
    }

    /// Reads an aggregate; one without events is at sequence 0.
    pub async fn load<A: Aggregate>(&self, id: &str) -> Result<Stream<A>, Error> {
        let context = self.context::<A>(id).await?;
        Ok(Stream {
            sequence: context.current_sequence as u64,
            state: context.aggregate,
        })
    }

    /// Carries out a command on one aggregate: reads it, lets it decide, appends what it decided.
    /// When somebody else was first, it decides anew. Returns the aggregate as it is then.
    ///
    /// `expected` is the sequence that the aggregate must have, if the command depends on it.
    pub async fn execute<A>(
        &self,
        id: &str,
        command: A::Command,
        services: &A::Services,
        expected: Option<u64>,
        origin: &Origin,
    ) -> Result<Stream<A>, CommandError<A::Error>>
    where
        A: Aggregate,
        A::Command: Clone,
    {
        for _ in 0..CONFLICTS_MAX {
            let context = self.context::<A>(id).await?;
            if expected.is_some_and(|expected| expected != context.current_sequence as u64) {
                return Err(CommandError::WrongVersion);
            }
            match self
                .decide(context, command.clone(), services, origin.to_metadata())
                .await
            {
                Err(CommandError::Store(Error::Conflict)) => {}
                other => return other,
            }
        }
        Err(CommandError::Store(Error::Busy))
    }

    async fn decide<A: Aggregate>(
        &self,
        mut context: EventStoreAggregateContext<A>,
        command: A::Command,
        services: &A::Services,
        metadata: HashMap<String, String>,
    ) -> Result<Stream<A>, CommandError<A::Error>> {
        let sink = EventSink::default();
        let mut state = std::mem::take(&mut context.aggregate);
        state
            .handle(command, services, &sink)
            .await
            .map_err(CommandError::Refused)?;
        let events = sink.collect().await;
        let sequence = (context.current_sequence + events.len()) as u64;
        if !events.is_empty() {
            let store = PersistedEventStore::<_, A>::new_event_store(self.repository.clone());
            store
                .commit(events, context, metadata)
                .await
                .map_err(|error| CommandError::Store(from_aggregate(error)))?;
        }
        Ok(Stream { state, sequence })
    }

    async fn context<A: Aggregate>(
        &self,
        id: &str,
    ) -> Result<EventStoreAggregateContext<A>, Error> {
        PersistedEventStore::<_, A>::new_event_store(self.repository.clone())
            .with_upcasters(upcasters(A::TYPE))
            .load_aggregate(id)
            .await
            .map_err(from_aggregate)
    }

    /// Reads several aggregates at once. Those without events are left out; the order is that of
    /// `ids`.
    pub async fn load_many<A: Aggregate>(
        &self,
        ids: &[String],
    ) -> Result<Vec<(String, Stream<A>)>, Error> {
        let mut streams: HashMap<String, Stream<A>> = HashMap::with_capacity(ids.len());
        for event in self.engine.events_of(A::TYPE, ids).await? {
            let event = upcast(event);
            let stream = streams.entry(event.aggregate_id).or_insert_with(|| Stream {
                state: A::default(),
                sequence: 0,
            });
            stream.state.apply(serde_json::from_value(event.payload)?);
            stream.sequence = event.sequence as u64;
        }
        Ok(ids
            .iter()
            .filter_map(|id| streams.remove_entry(id))
            .collect())
    }

    /// Reads a tenant's aggregate as it was once, by replaying its events; `None` if the tenant had no
    /// such aggregate then, or if it has no event with the sequence that is asked for.
    pub async fn replay<A: Aggregate>(
        &self,
        tenant: &TenantId,
        id: &str,
        until: Until,
    ) -> Result<Option<Replayed<A>>, Error> {
        let mut replayed: Option<Replayed<A>> = None;
        let mut is_over = false;
        while !is_over {
            let after = replayed.as_ref().map_or(0, |replayed| replayed.sequence);
            let page = self
                .engine
                .stream(tenant, (A::TYPE, id), after, REPLAY_PAGE)
                .await?;
            is_over = page.len() < REPLAY_PAGE as usize;
            for event in page {
                if until.is_before(&event) {
                    is_over = true;
                    break;
                }
                let replayed = replayed.get_or_insert_with(|| Replayed {
                    state: A::default(),
                    sequence: 0,
                    created_at: event.recorded_at,
                    updated_at: event.recorded_at,
                });
                replayed.sequence = event.sequence;
                replayed.updated_at = event.recorded_at;
                replayed.state.apply(event.event::<A>()?);
            }
        }
        Ok(replayed.filter(|replayed| until.is_met(replayed.sequence)))
    }

    /// Reads a tenant's stream, oldest first, as it is stored: at most `limit` events, those after a
    /// sequence (0: from the start). There are none at its end, or if the tenant has no such aggregate.
    pub async fn stream<A: Aggregate>(
        &self,
        tenant: &TenantId,
        id: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, Error> {
        self.engine
            .stream(tenant, (A::TYPE, id), after, limit)
            .await
    }

    /// Reads the ledger itself, whoever's events they are: those after `position` (0: from the
    /// start) in the order in which they were appended, exactly as they are stored, with the bodies
    /// beside them.
    ///
    /// Gives at most `limit` events and not many more than 4 MiB of bodies. Whoever goes on after
    /// the last one sees every event once; there are none only at the end.
    pub async fn events_after(&self, position: u64, limit: u32) -> Result<Vec<StoredEvent>, Error> {
        self.engine.events_after(position, limit).await
    }

    /// The position of the ledger's last event; 0 if it has none.
    pub async fn last_position(&self) -> Result<u64, Error> {
        self.engine.chained().last_position().await
    }

    /// Reads what is to be sent of a webhook, each delivery as it is.
    pub async fn load_agenda<A: Aggregate>(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        load: &Load,
    ) -> Result<Vec<(String, Stream<A>)>, Error> {
        let engine = &self.engine;
        let ids = match load {
            Load::Due { only_tests, limit } => {
                engine.due_ids(tenant, webhook, *only_tests, *limit).await?
            }
            Load::Queues {
                after,
                queues,
                each,
            } => {
                let after = after.as_deref();
                engine
                    .queued_ids(tenant, webhook, after, *queues, *each)
                    .await?
            }
            Load::TheseQueues { keys, each } => {
                engine.ids_of_queues(tenant, webhook, keys, *each).await?
            }
        };
        self.load_many(&ids).await
    }
}

fn from_aggregate<E: std::error::Error>(error: AggregateError<E>) -> Error {
    match error {
        AggregateError::AggregateConflict => Error::Conflict,
        AggregateError::DeserializationError(error) => Error::corrupt(error),
        // Our own errors come back in it.
        AggregateError::DatabaseConnectionError(error) => match error.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => Error::unavailable(other),
        },
        other => Error::unavailable(other),
    }
}
