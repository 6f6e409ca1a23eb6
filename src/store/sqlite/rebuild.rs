//! Views made anew, in a file of their own beside the ledger's.
//!
//! The file is filled from the events while the writer goes on appending. Then the rows of both are
//! compared as they are at one position, which a reader's snapshot holds still. What differs is put right
//! by the writer, in one transaction, after the last events are in the file, too: a row that was right at
//! that position has been changed by the same events on both sides since.

mod compare;
mod side;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use hookledger_projections::View;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot};

pub(super) use self::side::Side;
use super::{BUSY_TIMEOUT, Sqlite, writer::Task};
use crate::store::{
    Error,
    rebuild::{RebuildProgress, RebuildStage, Rebuilds, RebuiltView, Watch},
};

/// The side is near the ledger's end when so few events are missing: the writer adds the rest.
const NEAR: i64 = 200;
/// How often it is tried to come near, while others append.
const CATCH_UPS_MAX: usize = 1000;
/// The priority of the threads that rebuild: the lowest.
const NICE: i32 = 19;
/// The longest pause after a page of events.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Where rebuilds happen; one at a time.
#[derive(Debug, Clone)]
pub(super) struct Site {
    ledger: PathBuf,
    turn: Arc<Mutex<()>>,
}

impl Site {
    /// Beside this ledger. What an earlier rebuild has left there is removed.
    pub(super) fn new(ledger: &Path) -> Result<Self, Error> {
        let site = Self {
            ledger: ledger.to_owned(),
            turn: Arc::default(),
        };
        site.clear()?;
        Ok(site)
    }

    fn side(&self) -> PathBuf {
        let mut name = self.ledger.as_os_str().to_owned();
        name.push(".rebuild");
        PathBuf::from(name)
    }

    fn clear(&self) -> Result<(), Error> {
        match std::fs::remove_file(self.side()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::unavailable(error))
            }
            _ => Ok(()),
        }
    }

    fn open_ledger(&self) -> Result<Connection, Error> {
        let connection =
            Connection::open_with_flags(&self.ledger, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        Ok(connection)
    }
}

#[async_trait]
impl Rebuilds for Sqlite {
    async fn rebuild(
        &self,
        views: &[View],
        only_check: bool,
        watch: Watch,
    ) -> Result<Vec<RebuiltView>, Error> {
        let site = self.site().clone();
        let turn = site
            .turn
            .clone()
            .try_lock_owned()
            .map_err(|_| Error::Busy)?;
        let job = Job {
            site,
            views: views.to_vec(),
            only_check,
            watch,
            tasks: self.tasks().clone(),
            _turn: turn,
        };
        let (reply, answer) = oneshot::channel();
        let work = move || {
            let result = job.run().and_then(|found| {
                job.site.clear()?;
                Ok(found)
            });
            drop(job);
            // Whoever asked may have gone away.
            drop(reply.send(result));
        };
        std::thread::Builder::new()
            .name("rebuild".to_owned())
            .spawn(work)
            .map_err(Error::unavailable)?;
        answer
            .await
            .unwrap_or_else(|_| Err(Error::unavailable("the rebuild has stopped")))
    }
}

/// One rebuild, on a thread of its own.
struct Job {
    site: Site,
    views: Vec<View>,
    only_check: bool,
    watch: Watch,
    tasks: mpsc::Sender<Task>,
    _turn: OwnedMutexGuard<()>,
}

impl Job {
    fn run(&self) -> Result<Vec<RebuiltView>, Error> {
        go_last();
        self.site.clear()?;
        let ledger = self.site.open_ledger()?;
        let mut side = Side::create(&self.site.side(), &self.views)?;
        self.come_near(&mut side, &ledger)?;
        // From here on this reader sees the ledger as it is now.
        ledger.execute_batch("BEGIN")?;
        let position = side::last_position(&ledger)?;
        side.catch_up(&ledger, position)?;
        let found = compare::views(&side, &ledger, &self.watch)?;
        ledger.execute_batch("COMMIT")?;
        if !self.only_check && found.iter().any(|view| !view.is_same()) {
            self.come_near(&mut side, &ledger)?;
            self.put_right(side)?;
        }
        Ok(found)
    }

    /// Adds events until few are missing.
    fn come_near(&self, side: &mut Side, ledger: &Connection) -> Result<(), Error> {
        for _ in 0..CATCH_UPS_MAX {
            let end = side::last_position(ledger)?;
            if end - side.position() <= NEAR {
                return Ok(());
            }
            let mut pace = Pace::new(end);
            side.fill(self.site.open_ledger()?, end, &mut |done| {
                self.watch.tell(RebuildProgress {
                    stage: RebuildStage::Build,
                    done: done.cast_unsigned(),
                    total: end.cast_unsigned(),
                })?;
                pace.give_way(side::last_position(ledger)?);
                Ok(())
            })?;
        }
        Err(Error::Busy)
    }

    /// Has the writer put right what differs.
    fn put_right(&self, side: Side) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        let side = Box::new(side);
        let handed_over = self.tasks.blocking_send(Task::PutRight { side, reply });
        handed_over.map_err(|_| Error::unavailable("the ledger is closed"))?;
        answer
            .blocking_recv()
            .unwrap_or_else(|_| Err(Error::unavailable("the ledger's writer has stopped")))
    }
}

/// Lets all others go first, above all those who publish. Threads that this one starts are of its priority.
fn go_last() {
    // Elsewhere it would be the priority of the whole process.
    if cfg!(target_os = "linux")
        && let Err(error) = rustix::process::setpriority_process(None, NICE)
    {
        tracing::warn!(%error, "a rebuild competes with those who publish");
    }
}

/// How quickly events are added: at full speed while nothing is appended, and else half of the time, so that
/// those who publish have the processor and the disk, too.
struct Pace {
    last_position: i64,
    since: Instant,
}

impl Pace {
    fn new(last_position: i64) -> Self {
        Self {
            last_position,
            since: Instant::now(),
        }
    }

    fn give_way(&mut self, last_position: i64) {
        if last_position > self.last_position {
            std::thread::sleep(self.since.elapsed().min(PAUSE_MAX));
        }
        *self = Self::new(last_position);
    }
}
