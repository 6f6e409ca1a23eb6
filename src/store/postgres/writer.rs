//! The writers: each joins the commits that wait into one transaction, so that they share a round
//! trip and a sync. While one is on its way, others wait for company: large transactions cost less.
//! But not for long, so where a sync or the way to the database takes long, transactions overlap.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Mutex, Notify, mpsc, oneshot},
    time::Instant,
};

use super::{
    append::{Append, Outcome},
    batch::{Batch, expectation},
    claims::Claims,
};
use crate::{
    metrics::Metrics,
    store::{Error, commit::Commit},
};

/// The most commits of one transaction.
const BATCH_COMMITS_MAX: usize = 256;
/// A transaction takes no further commit once it has this many bytes: it bounds what one sync
/// writes, and so how long the others wait.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How often a batch is written anew because of what others did at the same time.
const TRIES_MAX: usize = 20;

/// With so many commits waiting there is no need to wait for more while another transaction is on
/// its way.
const COMPANY: usize = 128;
/// How long commits wait for company, at most, and how often it is looked how many there are.
const COMPANY_WAIT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(1));

/// Something for a writer to do.
pub(super) enum Task {
    /// Append.
    Commit {
        commit: Commit,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    /// Stop after what came before. One for each writer.
    Close,
}

struct Waiting {
    commit: Commit,
    reply: oneshot::Sender<Result<(), Error>>,
}

/// What the writers have in common: whoever is free takes what is there.
pub(super) struct Shared {
    tasks: Mutex<mpsc::Receiver<Task>>,
    /// How many are writing, and whom to tell when one has written.
    writing: AtomicUsize,
    written: Notify,
}

impl Shared {
    pub(super) fn new(tasks: mpsc::Receiver<Task>) -> Self {
        Self {
            tasks: Mutex::new(tasks),
            writing: AtomicUsize::new(0),
            written: Notify::new(),
        }
    }

    /// Waits for company while another transaction is on its way.
    async fn wait_for_company(&self, tasks: &mpsc::Receiver<Task>) {
        let until = Instant::now() + COMPANY_WAIT.0;
        while self.writing.load(Ordering::Relaxed) > 0
            && tasks.len() < COMPANY
            && Instant::now() < until
        {
            tokio::select! {
                () = self.written.notified() => {}
                () = tokio::time::sleep(COMPANY_WAIT.1) => {}
            }
        }
    }
}

/// Works until it is told to close or nobody is left to tell it anything.
pub(super) async fn run(mut append: Append, shared: Arc<Shared>, metrics: Arc<Metrics>) {
    loop {
        let (batch, is_open) = next_batch(&shared, &metrics).await;
        if !batch.is_empty() {
            write(&mut append, batch, &metrics).await;
            shared.writing.fetch_sub(1, Ordering::Relaxed);
            shared.written.notify_one();
        }
        if !is_open {
            return;
        }
    }
}

/// What waits, up to a transaction's bounds, and whether more may come.
async fn next_batch(shared: &Shared, metrics: &Metrics) -> (Vec<Waiting>, bool) {
    let mut tasks = shared.tasks.lock().await;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let mut next = tasks.recv().await;
    shared.wait_for_company(&tasks).await;
    let is_open = loop {
        match next {
            Some(Task::Commit { commit, reply }) => {
                bytes += commit.weight();
                batch.push(Waiting { commit, reply });
            }
            Some(Task::Close) | None => break false,
        }
        if batch.len() >= BATCH_COMMITS_MAX || bytes >= BATCH_BYTES_MAX {
            break true;
        }
        match tasks.try_recv() {
            Ok(task) => next = Some(task),
            Err(_) => break true,
        }
    };
    if !batch.is_empty() {
        let waiting = i64::try_from(tasks.len()).unwrap_or(i64::MAX);
        metrics.commits_waiting.set(waiting);
        // Before the next writer looks, which it does when the tasks are free.
        shared.writing.fetch_add(1, Ordering::Relaxed);
    }
    (batch, is_open)
}

/// Writes a batch and answers each of its commits. One that was too late fails alone: the batch is
/// written again without it.
async fn write(append: &mut Append, mut waiting: Vec<Waiting>, metrics: &Metrics) {
    let mut refused: Vec<(Waiting, Error)> = Vec::new();
    for _ in 0..TRIES_MAX {
        match try_write(append, &waiting).await {
            Ok((Outcome::Written, late)) => {
                let written = waiting.len() - late.len();
                metrics.commit_batches.inc();
                metrics.commits.inc_by(written as u64);
                answer(waiting, &late);
                return refuse(refused);
            }
            Ok((Outcome::Again, _)) => {}
            // Nothing is found when another transaction took it and gave it up again.
            Ok((Outcome::Late, _)) => match find_late(append, &waiting).await {
                Ok(places) => take(&mut waiting, &mut refused, Error::Conflict, |place, _| {
                    places.contains(&place)
                }),
                Err(error) => return fail(waiting, refused, &error),
            },
            Ok((Outcome::Stale(tenants), _)) => {
                take(&mut waiting, &mut refused, Error::Stale, |_, commit| {
                    expectation(commit).is_some_and(|(tenant, generation)| {
                        tenants.contains(&(tenant.to_owned(), generation))
                    })
                });
            }
            Ok((Outcome::Unfit(places), _)) => {
                take(&mut waiting, &mut refused, Error::Stale, |place, _| {
                    places.contains(&place)
                });
            }
            Err(error) => return fail(waiting, refused, &error),
        }
        if waiting.is_empty() {
            return refuse(refused);
        }
    }
    fail(waiting, refused, &Error::Busy);
}

async fn find_late(append: &mut Append, waiting: &[Waiting]) -> Result<HashSet<usize>, Error> {
    let claims = Claims::of(waiting.iter().map(|waiting| &waiting.commit));
    append.find_late(&claims).await
}

fn fail(waiting: Vec<Waiting>, refused: Vec<(Waiting, Error)>, error: &Error) {
    tracing::error!(%error, commits = waiting.len(), "cannot write to the ledger");
    let failed = waiting.into_iter().map(|waiting| (waiting, error.clone()));
    refuse(failed.chain(refused).collect());
}

/// One try. Says which commits were left out because one of the batch was before them.
async fn try_write(
    append: &mut Append,
    waiting: &[Waiting],
) -> Result<(Outcome, HashSet<usize>), Error> {
    let batch = Batch::of(waiting.iter().map(|waiting| &waiting.commit))?;
    let outcome = append.write(&batch).await?;
    Ok((outcome, batch.late.into_iter().collect()))
}

/// Takes out those that `is_refused` names.
fn take(
    waiting: &mut Vec<Waiting>,
    refused: &mut Vec<(Waiting, Error)>,
    error: Error,
    is_refused: impl Fn(usize, &Commit) -> bool,
) {
    let all = std::mem::take(waiting);
    for (place, one) in all.into_iter().enumerate() {
        if is_refused(place, &one.commit) {
            refused.push((one, error.clone()));
        } else {
            waiting.push(one);
        }
    }
}

fn answer(waiting: Vec<Waiting>, late: &HashSet<usize>) {
    // Those first that were in time: what the others were late for is read then.
    let (late, written): (Vec<_>, Vec<_>) = waiting
        .into_iter()
        .enumerate()
        .partition(|(place, _)| late.contains(place));
    for (_, waiting) in written {
        // Whoever asked may have gone away; the commit stands all the same.
        drop(waiting.reply.send(Ok(())));
    }
    for (_, waiting) in late {
        drop(waiting.reply.send(Err(Error::Conflict)));
    }
}

fn refuse(refused: Vec<(Waiting, Error)>) {
    for (waiting, error) in refused {
        drop(waiting.reply.send(Err(error)));
    }
}
