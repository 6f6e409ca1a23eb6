//! The one writer: joins the commits that wait into one transaction, so that they share a sync.

use std::{sync::Arc, time::Duration};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

use super::{
    BUSY_TIMEOUT,
    apply::apply,
    erasure,
    heads::{self, Heads, InStream},
    rebuild::Side,
    recent,
};
use crate::{
    metrics::Metrics,
    store::{
        Error, Seal,
        commit::{Commit, EventRow},
    },
};

const INSERT_EVENT: &str = include_str!("../sql/sqlite/insert_event.sql");
const INSERT_BODY: &str = include_str!("../sql/sqlite/insert_body.sql");
const LAST_POSITION: &str = include_str!("../sql/sqlite/select_last_position.sql");
const GENERATION: &str = include_str!("../sql/sqlite/generation.sql");
const IS_TO_BE_SENT: &str = include_str!("../sql/sqlite/is_to_be_sent.sql");
const CAN_BE_SENT: &str = include_str!("../sql/sqlite/can_be_sent.sql");

/// The most commits of one transaction.
const BATCH_COMMITS_MAX: usize = 256;
/// A transaction takes no further commit once it has this many bytes: it bounds what one sync
/// writes, and so how long the others wait.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Something for the writer to do.
pub(super) enum Task {
    /// Append.
    Commit {
        commit: Commit,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    /// Append events of another ledger, each at its position.
    Import {
        events: Vec<(u64, Commit)>,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    /// Put right what differs in the views from those that were made anew.
    PutRight {
        side: Box<Side>,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    /// Write a seal down.
    Seal {
        seal: Seal,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    /// Erase the bodies beside these events, and say how many they were.
    Erase {
        positions: Vec<i64>,
        reply: oneshot::Sender<Result<u64, Error>>,
    },
    /// Take away what is left of erased bodies in the log.
    EmptyLog {
        reply: oneshot::Sender<Result<(), Error>>,
    },
    /// Say whether a write would work.
    Check {
        reply: oneshot::Sender<Result<(), Error>>,
    },
    /// Stop after what came before.
    Close,
}

struct Waiting {
    commit: Commit,
    reply: oneshot::Sender<Result<(), Error>>,
}

/// How things stand after a batch.
struct Written {
    position: i64,
    recent: usize,
}

/// Owns the only connection that writes.
pub(super) struct Writer {
    connection: Connection,
    /// Of the last event; not known after a failure, since a commit may have come through all
    /// the same.
    position: Option<i64>,
    /// Events that came after the last that was sorted in, or a little more.
    recent: usize,
    /// Erased bodies may still stand in the log.
    has_erased: bool,
    metrics: Arc<Metrics>,
}

impl Writer {
    pub(super) fn new(connection: Connection, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let position = last_position(&connection)?;
        Ok(Self {
            position: Some(position),
            recent: recent::count(&connection)?,
            // Whoever had the file before may have come to no good end.
            has_erased: true,
            connection,
            metrics,
        })
    }

    /// Works until it is told to close or nobody is left to tell it anything.
    pub(super) fn run(mut self, mut tasks: mpsc::Receiver<Task>) {
        let mut is_open = true;
        while is_open {
            let Some(first) = tasks.blocking_recv() else {
                break;
            };
            let mut batch = Vec::new();
            let mut bytes = 0;
            let mut next = Some(first);
            while let Some(task) = next.take() {
                match task {
                    Task::Commit { commit, reply } => {
                        bytes += commit.weight();
                        batch.push(Waiting { commit, reply });
                    }
                    Task::Import { events, reply } => drop(reply.send(self.import(&events))),
                    Task::PutRight { side, reply } => drop(reply.send(self.put_right(*side))),
                    Task::Seal { seal, reply } => {
                        drop(reply.send(heads::insert_seal(&self.connection, &seal)));
                    }
                    Task::Erase { positions, reply } => drop(reply.send(self.erase(&positions))),
                    Task::EmptyLog { reply } => drop(reply.send(self.empty_log())),
                    Task::Check { reply } => drop(reply.send(self.check())),
                    Task::Close => is_open = false,
                }
                if is_open && batch.len() < BATCH_COMMITS_MAX && bytes < BATCH_BYTES_MAX {
                    next = tasks.try_recv().ok();
                }
            }
            if !batch.is_empty() {
                let waiting = i64::try_from(tasks.len()).unwrap_or(i64::MAX);
                self.metrics.commits_waiting.set(waiting);
                self.write(batch);
            }
        }
    }

    /// Writes a batch and answers each of its commits. A commit that was too late fails alone:
    /// the batch is written again without it.
    fn write(&mut self, mut batch: Vec<Waiting>) {
        // Answered after the others are written: what they were too late for may be in this batch,
        // and whoever is told of it reads it.
        let mut late: Vec<(Waiting, Error)> = Vec::new();
        loop {
            match self.try_write(&batch) {
                Ok(written) => {
                    self.position = Some(written.position);
                    self.recent = written.recent;
                    self.metrics.commit_batches.inc();
                    self.metrics.commits.inc_by(batch.len() as u64);
                    for waiting in batch {
                        // Whoever asked may have gone away; the commit stands all the same.
                        drop(waiting.reply.send(Ok(())));
                    }
                    for (waiting, error) in late {
                        drop(waiting.reply.send(Err(error)));
                    }
                    return;
                }
                Err((index, error @ (Error::Conflict | Error::Stale))) if index < batch.len() => {
                    late.push((batch.remove(index), error));
                }
                Err((_, error)) => {
                    self.position = None;
                    tracing::error!(%error, commits = batch.len(), "cannot write to the ledger");
                    let late = late.into_iter().map(|(waiting, _)| waiting);
                    for waiting in batch.into_iter().chain(late) {
                        drop(waiting.reply.send(Err(error.clone())));
                    }
                    return;
                }
            }
        }
    }

    /// One transaction. On failure says which commit it was, or one past the last if it was the
    /// transaction itself; nothing is written then.
    fn try_write(&mut self, batch: &[Waiting]) -> Result<Written, (usize, Error)> {
        let outside = |error: rusqlite::Error| match Error::from(error) {
            Error::Conflict => (batch.len(), Error::unavailable("unexpected conflict")),
            other => (batch.len(), other),
        };
        let erases = batch.iter().any(|waiting| waiting.commit.erases());
        self.has_erased |= erases;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(outside)?;
        let mut position = match self.position {
            Some(position) => position,
            None => last_position(&transaction).map_err(|error| (batch.len(), error))?,
        };
        let first = position;
        let mut heads = Heads::default();
        for (index, waiting) in batch.iter().enumerate() {
            append(&transaction, &waiting.commit, &mut position, &mut heads)
                .map_err(|error| (index, error))?;
        }
        let in_batch = |error| (batch.len(), error);
        heads.write(&transaction).map_err(in_batch)?;
        let new = usize::try_from(position - first).unwrap_or(0);
        let recent = settle_if_many(&transaction, self.recent + new).map_err(in_batch)?;
        transaction.commit().map_err(outside)?;
        Ok(Written { position, recent })
    }

    /// One transaction. On failure nothing is written.
    fn import(&mut self, events: &[(u64, Commit)]) -> Result<(), Error> {
        self.position = None;
        self.has_erased |= events.iter().any(|(_, commit)| commit.erases());
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut last = last_position(&transaction)?;
        let mut heads = Heads::default();
        for (position, commit) in events {
            let mut before = position.cast_signed() - 1;
            if before < last {
                return Err(Error::Conflict);
            }
            append(&transaction, commit, &mut before, &mut heads)?;
            last = before;
        }
        heads.write(&transaction)?;
        let recent = settle_if_many(&transaction, self.recent + events.len())?;
        transaction.commit()?;
        self.position = Some(last);
        self.recent = recent;
        Ok(())
    }

    /// One transaction. On failure nothing is changed.
    fn put_right(&mut self, side: Side) -> Result<(), Error> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        side.put_right(&transaction)?;
        transaction.commit()?;
        Ok(())
    }

    /// One transaction. On failure nothing is erased.
    fn erase(&mut self, positions: &[i64]) -> Result<u64, Error> {
        self.has_erased = true;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let erased = erasure::erase(&transaction, positions)?;
        transaction.commit()?;
        Ok(erased)
    }

    fn empty_log(&mut self) -> Result<(), Error> {
        if self.has_erased {
            // Nobody who wants to publish waits for somebody who reads; the next time will do.
            self.connection.busy_timeout(Duration::ZERO)?;
            let is_empty = erasure::empty_log(&self.connection);
            self.connection.busy_timeout(BUSY_TIMEOUT)?;
            self.has_erased = !is_empty?;
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), Error> {
        // Takes the write lock and touches the log without leaving anything behind.
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.rollback()?;
        Ok(())
    }
}

fn last_position(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.query_row(LAST_POSITION, [], |row| row.get(0))?)
}

/// Sorts in what is noted, if that is much; says how many rows are noted then. Every event makes one
/// such row at most.
fn settle_if_many(connection: &Connection, recent: usize) -> Result<usize, Error> {
    if recent <= recent::EVENTS_MAX {
        return Ok(recent);
    }
    recent::settle(connection)?;
    Ok(0)
}

fn append(
    connection: &Connection,
    commit: &Commit,
    position: &mut i64,
    heads: &mut Heads,
) -> Result<(), Error> {
    check_generation(connection, commit)?;
    check_bodies(connection, commit)?;
    for event in &commit.events {
        *position += 1;
        insert_event(connection, commit, event, *position, heads)?;
        for change in &event.changes {
            apply(connection, commit.tenant.as_ref(), *position, change)?;
        }
    }
    Ok(())
}

fn check_generation(connection: &Connection, commit: &Commit) -> Result<(), Error> {
    let (Some(tenant), Some(expected)) = (&commit.tenant, commit.expected_generation) else {
        return Ok(());
    };
    let mut statement = connection.prepare_cached(GENERATION)?;
    let found = statement
        .query_row([tenant.as_str()], |row| row.get::<_, i64>(0))
        .optional()?;
    if found == Some(expected.cast_signed()) {
        Ok(())
    } else {
        Err(Error::Stale)
    }
}

/// What is still to be sent keeps its body, and what has none any more is not to be sent.
fn check_bodies(connection: &Connection, commit: &Commit) -> Result<(), Error> {
    let Some(tenant) = &commit.tenant else {
        return Ok(());
    };
    let is_true = |sql: &str, id: String| -> Result<bool, Error> {
        let mut statement = connection.prepare_cached(sql)?;
        Ok(statement.query_row([tenant.as_str(), &id], |row| row.get(0))?)
    };
    for id in &commit.ended_messages {
        if is_true(IS_TO_BE_SENT, id.to_string())? {
            return Err(Error::Stale);
        }
    }
    for id in &commit.sendable_deliveries {
        if !is_true(CAN_BE_SENT, id.to_string())? {
            return Err(Error::Stale);
        }
    }
    Ok(())
}

fn insert_event(
    connection: &Connection,
    commit: &Commit,
    event: &EventRow,
    position: i64,
    heads: &mut Heads,
) -> Result<(), Error> {
    let tenant = commit.tenant.as_ref().map(|tenant| tenant.as_str());
    let sequence = event.sequence.cast_signed();
    let place = InStream {
        aggregate_type: event.aggregate_type,
        aggregate_id: &event.aggregate_id,
        sequence,
    };
    let owner = tenant.unwrap_or_default();
    let hash = heads.chain(connection, owner, position, place, event.chaining)?;
    connection.prepare_cached(INSERT_EVENT)?.execute(params![
        position,
        event.aggregate_type,
        event.aggregate_id,
        sequence,
        event.event_type,
        event.event_version,
        event.payload,
        event.metadata,
        tenant,
        commit.recorded_at.timestamp_millis(),
        hash.as_bytes(),
    ])?;
    if let Some(body) = &event.body {
        let text = std::str::from_utf8(body).map_err(Error::corrupt)?;
        connection
            .prepare_cached(INSERT_BODY)?
            .execute(params![position, owner, text])?;
    }
    Ok(())
}
