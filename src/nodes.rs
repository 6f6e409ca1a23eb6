//! Which node sends what, where several work on one database.
//!
//! Tenants hash into 256 partitions. A node sends what is due in the partitions that it holds; it
//! holds them by a lease that it renews, and each node holds its fair share. Every node takes every
//! request: what it accepts for others, it tells them.
//!
//! The lease is one row for each node, which ends by the database's clock, and every partition has
//! the epoch of its holder: who lost a partition and got it again starts anew with it. A node that
//! was halted and comes back finds its lease over before it starts an attempt; and the outcome of one
//! that it had begun is refused if somebody else recorded another one meanwhile, since both would
//! be the same event of the same delivery.

mod hearing;
mod held;
mod keeper;
mod partition;
mod predecessor;
mod share;

pub use held::Held;
pub use partition::Partition;

use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};
use uuid::Uuid;

use crate::{
    metrics::Metrics,
    store::{self, Cluster, NodeRow, Notice, Registration},
};
use keeper::Keeper;

/// Whoever sends what is due.
#[async_trait]
pub trait Dispatch: Send + Sync + 'static {
    /// These partitions are this node's now: goes on with what is due in them.
    async fn gain(&self, partitions: &[Partition]) -> Result<(), store::Error>;
    /// Starts no further attempt in these partitions, of which [`Held`] knows already that they are
    /// not this node's, and returns when those under way are recorded.
    async fn let_go(&self, partitions: &[Partition]);
    /// The same without waiting: they are somebody else's.
    fn lose(&self, partitions: &[Partition]);
    /// Which of these partitions have attempts under way.
    fn busy(&self, partitions: &[Partition]) -> Vec<Partition>;
    /// Other nodes have done something.
    async fn hear(&self, notices: Vec<Notice>);
    /// Other nodes may have done anything: something that they told was not heard, or not acted on
    /// because the lease was in doubt.
    async fn look_again(&self);
    /// How long the delivery that waits longest has been due.
    async fn lag(&self) -> Duration;
}

/// What a node is made of.
pub struct Options {
    /// What it shares with others; `None` where there are no others.
    pub cluster: Option<Cluster>,
    /// It is none of them: it holds nothing and is not on the list.
    pub is_guest: bool,
    /// What it holds, as the dispatcher knows it.
    pub held: Arc<Held>,
    /// Who sends.
    pub dispatch: Arc<dyn Dispatch>,
    /// Where it leaves its id for its successor on this machine; a directory that is there.
    pub data_dir: PathBuf,
    /// How long after this node's end the others go on with its partitions, at most.
    pub lease: Duration,
    /// What it says of itself.
    pub registration: Registration,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// A node as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Made anew with every start.
    pub id: Uuid,
    /// Its version of Hookledger.
    pub version: String,
    /// Where it listens.
    pub address: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When its lease ends unless it is renewed; `None` where there are no others.
    pub lease_expires_at: Option<DateTime<Utc>>,
    /// Its lease has not ended.
    pub is_alive: bool,
    /// Which partitions it holds.
    pub partitions: Vec<u8>,
    /// How long the delivery that waits longest has been due, in milliseconds.
    pub lag_ms: u64,
}

/// The handle to this node. Cheap to clone.
#[derive(Clone)]
pub struct Nodes {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    id: Uuid,
    /// Told when the nodes may have changed.
    round: Notify,
    phase: watch::Sender<Phase>,
    tasks: std::sync::Mutex<Vec<JoinHandle<()>>>,
    /// Says that this process lives, to others on this machine.
    _place: Option<predecessor::Place>,
}

/// What the node is about to do with its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Hold its share.
    Working,
    /// Let go of everything.
    Leaving,
    /// Nothing more.
    Gone,
}

impl Nodes {
    /// Joins the nodes of the database and takes its share.
    ///
    /// Must be called within the runtime on which it is to work.
    pub async fn start(options: Options) -> Result<Self, store::Error> {
        let id = options
            .cluster
            .as_ref()
            .map_or_else(crate::entropy::node_id, Cluster::node_id);
        let mut place = None;
        if let Some(cluster) = options.cluster.as_ref().filter(|_| !options.is_guest) {
            place = predecessor::bury(&options.data_dir, cluster).await?;
        }
        let shared = Arc::new(Shared {
            _place: place,
            options,
            id,
            round: Notify::new(),
            phase: watch::Sender::new(Phase::Working),
            tasks: std::sync::Mutex::default(),
        });
        if shared.options.is_guest && shared.options.cluster.is_some() {
            return Ok(Self { shared });
        }
        if let Some(cluster) = shared.options.cluster.clone() {
            // First the ears: what is said while the first partitions are taken must be heard.
            let notices = cluster.listen().await?;
            let mut keeper = Keeper::new(shared.clone(), cluster.clone());
            keeper.join().await?;
            let hearing = tokio::spawn(hearing::run(shared.clone(), cluster, notices));
            let keeping = tokio::spawn(keeper.run());
            shared.tasks().extend([hearing, keeping]);
        } else {
            shared
                .options
                .dispatch
                .gain(&shared.options.held.partitions())
                .await?;
        }
        Ok(Self { shared })
    }

    /// This node's id, made anew with every start.
    pub fn id(&self) -> Uuid {
        self.shared.id
    }

    /// How many partitions it holds.
    pub fn partitions(&self) -> usize {
        self.shared.options.held.partitions().len()
    }

    /// How long the delivery that waits longest here has been due.
    pub async fn lag(&self) -> Duration {
        self.shared.options.dispatch.lag().await
    }

    /// Brings the gauges up to date.
    pub async fn measure(&self) {
        let metrics = &self.shared.options.metrics;
        let partitions = i64::try_from(self.partitions()).unwrap_or(i64::MAX);
        metrics.node_partitions.set(partitions);
        metrics
            .dispatch_lag_seconds
            .set(self.lag().await.as_secs_f64());
    }

    /// All nodes, the youngest first.
    pub async fn list(&self) -> Result<Vec<Node>, store::Error> {
        match &self.shared.options.cluster {
            Some(cluster) => Ok(cluster.nodes().await?.into_iter().map(of_row).collect()),
            None => Ok(vec![self.alone().await]),
        }
    }

    async fn alone(&self) -> Node {
        let options = &self.shared.options;
        let partitions = options.held.partitions();
        Node {
            id: self.shared.id,
            version: options.registration.version.clone(),
            address: options.registration.address.clone(),
            started_at: options.registration.started_at,
            lease_expires_at: None,
            is_alive: true,
            partitions: partitions
                .into_iter()
                .map(|partition| partition.0)
                .collect(),
            lag_ms: millis(self.lag().await),
        }
    }

    /// Lets go at once of the partitions that have no attempt under way, and takes no others.
    /// Those that have are held until [`Nodes::leave`].
    pub fn start_leaving(&self) {
        self.shared.phase.send_replace(Phase::Leaving);
    }

    /// Lets go of what is left and takes this node off the list.
    pub async fn leave(&self) {
        self.shared.phase.send_replace(Phase::Gone);
        let tasks = std::mem::take(&mut *self.shared.tasks());
        for task in tasks {
            let _ = task.await;
        }
        if let Some(cluster) = &self.shared.options.cluster
            && !self.shared.options.is_guest
            && let Err(error) = cluster.leave().await
        {
            tracing::warn!(%error, "could not say good-bye; the lease will end by itself");
        }
    }
}

impl Shared {
    /// Does something beside, at most until this node has left.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut phase = self.phase.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                _ = phase.wait_for(|phase| *phase == Phase::Gone) => {}
            }
        });
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn of_row(row: NodeRow) -> Node {
    Node {
        id: row.id,
        version: row.version,
        address: row.address,
        started_at: row.started_at,
        lease_expires_at: Some(row.lease_expires_at),
        is_alive: row.lease_ms > 0,
        partitions: row.partitions.into_iter().map(|(id, _)| id).collect(),
        lag_ms: row.lag_ms,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
