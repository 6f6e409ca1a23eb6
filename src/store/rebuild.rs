//! Makes the views anew from the events, beside those that are there, compares both, and puts right what
//! differs.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use hookledger_projections::View;
use tokio::runtime::Handle;

use super::{Error, engine::Engine};

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RebuildStage {
    /// Rows are made of events; their positions are counted.
    Build,
    /// Rows are compared and counted; how many they are is known roughly.
    Compare,
}

impl RebuildStage {
    /// The word for it on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Compare => "compare",
        }
    }
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebuildProgress {
    /// What is being done.
    pub stage: RebuildStage,
    /// How much of it is done.
    pub done: u64,
    /// How much there is to do.
    pub total: u64,
}

/// What was found of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuiltView {
    /// Which one.
    pub view: View,
    /// How many rows it has, as the events tell.
    pub rows: u64,
    /// Stands for these rows: two views of one engine with the same checksum have the same rows.
    pub checksum: String,
    /// The same of the rows that were there.
    pub found_checksum: String,
    /// Rows that were not there.
    pub missing: u64,
    /// Rows that were there and should not have been.
    pub surplus: u64,
    /// Rows that were other ones than they should have been.
    pub changed: u64,
}

impl RebuiltView {
    /// Whether the rows that were there are those that the events tell of.
    pub fn is_same(&self) -> bool {
        (self.missing, self.surplus, self.changed) == (0, 0, 0)
    }
}

/// Hears how far it has come, and says when nobody wants it any more.
#[derive(Clone)]
pub(super) struct Watch {
    listener: Arc<dyn Fn(RebuildProgress) + Send + Sync>,
    is_over: Arc<AtomicBool>,
}

impl Watch {
    /// Tells how far it has come. Fails if nobody waits for it any more.
    pub(super) fn tell(&self, progress: RebuildProgress) -> Result<(), Error> {
        if self.is_over.load(Ordering::Relaxed) {
            return Err(Error::unavailable("the rebuild was given up"));
        }
        (self.listener)(progress);
        Ok(())
    }
}

/// Whoever waits; when it is dropped, nobody does.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a database must be able to do for it.
#[async_trait]
pub(super) trait Rebuilds: Send + Sync + 'static {
    /// Makes these views anew and compares them with those that are there; puts these right, all in one
    /// transaction, unless that is not wanted. Fails with [`Error::Busy`] while another one runs.
    async fn rebuild(
        &self,
        views: &[View],
        only_check: bool,
        watch: Watch,
    ) -> Result<Vec<RebuiltView>, Error>;
}

/// Rebuilds views. Cheap to clone.
#[derive(Clone)]
pub struct Rebuild {
    engine: Arc<dyn Engine>,
    /// Whose threads do the work: it would keep others waiting on the thread of whoever asks.
    runtime: Handle,
}

impl Rebuild {
    pub(super) fn new(engine: Arc<dyn Engine>, runtime: Handle) -> Self {
        Self { engine, runtime }
    }

    /// Makes views anew from the events while the ledger is in use, and compares each row with the one
    /// that is there. If they differ, those that are there are put right, all in one transaction; with
    /// `only_check` they are left alone.
    ///
    /// Whenever it is given up or fails before that transaction is written, also by the end of the process,
    /// everything is as it was. Dropping the future gives it up.
    ///
    /// # Errors
    /// [`Error::Busy`] if views are being rebuilt already, [`Error::Corrupt`] if an event cannot be read,
    /// [`Error::Unavailable`].
    pub async fn run(
        &self,
        views: &[View],
        only_check: bool,
        listener: Arc<dyn Fn(RebuildProgress) + Send + Sync>,
    ) -> Result<Vec<RebuiltView>, Error> {
        let is_over = Arc::new(AtomicBool::new(false));
        let watch = Watch {
            listener,
            is_over: is_over.clone(),
        };
        let _waiting = Waiting(is_over);
        let (engine, views) = (self.engine.clone(), views.to_vec());
        let work = async move { engine.rebuild(&views, only_check, watch).await };
        // Given up it ends by itself, and takes away what it has made.
        self.runtime.spawn(work).await.map_err(Error::unavailable)?
    }
}
