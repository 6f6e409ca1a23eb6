//! Keeps this node's lease and its fair share of the partitions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{Partition, Phase, Shared, millis, share::share};
use crate::store::{Cluster, Error, NodeRow};

/// How long to wait before something that failed, or found others at work, is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// After another node's lease ends: it must be over by the database's clock, too.
const AFTER_END: Duration = Duration::from_millis(20);
/// A lease is renewed so many times before it would end.
const RENEWALS: u32 = 4;

/// The task that does it.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    cluster: Cluster,
    /// Four fifths of what is promised: the rest is for taking over.
    lease: Duration,
    /// Partitions that this node lets go of when their attempts are recorded.
    draining: Arc<Mutex<BTreeSet<Partition>>>,
    pause: Duration,
    is_well: bool,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, cluster: Cluster) -> Self {
        let lease = shared.options.lease * 4 / 5;
        Self {
            shared,
            cluster,
            lease,
            draining: Arc::default(),
            pause: lease / RENEWALS,
            is_well: true,
        }
    }

    /// Joins the others.
    pub(super) async fn join(&mut self) -> Result<(), Error> {
        self.round().await?;
        self.cluster.announce().await
    }

    /// Works until this node leaves.
    pub(super) async fn run(mut self) {
        let shared = self.shared.clone();
        let mut phase = shared.phase.subscribe();
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.pause) => {}
                () = shared.round.notified() => {}
                _ = phase.changed() => {}
            }
            let wanted = *phase.borrow_and_update();
            match wanted {
                Phase::Gone => return,
                Phase::Leaving => self.release_idle().await,
                Phase::Working => {}
            }
            let ended = self.round().await;
            self.note(ended);
        }
    }

    /// Says once that the database cannot be asked, and once that it can again.
    fn note(&mut self, ended: Result<(), Error>) {
        match ended {
            Ok(()) => {
                if !std::mem::replace(&mut self.is_well, true) {
                    tracing::info!("the lease is renewed again");
                }
            }
            Err(error) => {
                self.pause = RETRY;
                if std::mem::replace(&mut self.is_well, false) {
                    tracing::warn!(%error, "cannot renew the lease");
                }
            }
        }
    }

    /// Renews the lease, and brings what is held nearer to the fair share.
    async fn round(&mut self) -> Result<(), Error> {
        let options = &self.shared.options;
        let lag_ms = millis(options.dispatch.lag().await);
        // From before it is asked for: the database's clock starts to run later.
        let sent = Instant::now();
        self.cluster
            .beat(&options.registration, self.lease, lag_ms)
            .await?;
        let nodes = self.cluster.nodes().await?;
        let was_good = options.held.is_good();
        options.held.renew(sent, self.lease);
        self.reconcile(&nodes);
        if !was_good && !options.held.partitions().is_empty() {
            // What others told meanwhile was about partitions of which this node was not sure.
            let dispatch = options.dispatch.clone();
            self.shared
                .spawn(async move { dispatch.look_again().await });
        }
        self.pause = self.pause_after(&nodes);
        if *self.shared.phase.borrow() == Phase::Working {
            self.balance(&nodes).await?;
        }
        Ok(())
    }

    /// Brings what this node believes to hold in line with what the database says.
    fn reconcile(&self, nodes: &[NodeRow]) {
        let options = &self.shared.options;
        let mine = nodes.iter().find(|node| node.id == self.shared.id);
        let mine: BTreeMap<Partition, u64> = mine
            .into_iter()
            .flat_map(|node| &node.partitions)
            .map(|(id, epoch)| (Partition(*id), *epoch))
            .collect();
        let lost: Vec<Partition> = options
            .held
            .partitions()
            .into_iter()
            .filter(|partition| options.held.epoch_of(*partition) != mine.get(partition).copied())
            .collect();
        if !lost.is_empty() {
            tracing::warn!(
                partitions = lost.len(),
                "others have taken partitions over, since the lease was not renewed in time"
            );
            lost.iter()
                .for_each(|partition| options.held.forget(*partition));
            options.dispatch.lose(&lost);
        }
        // Those of which it was not heard that they were given.
        let draining = self.draining();
        let unknown: Vec<(Partition, u64)> = mine
            .into_iter()
            .filter(|(partition, _)| {
                options.held.epoch_of(*partition).is_none() && !draining.contains(partition)
            })
            .collect();
        drop(draining);
        self.take(unknown);
    }

    async fn balance(&mut self, nodes: &[NodeRow]) -> Result<(), Error> {
        let alive = || nodes.iter().filter(|node| node.lease_ms > 0);
        let ids: Vec<Uuid> = alive().map(|node| node.id).collect();
        let (own, share) = (
            self.shared.options.held.partitions().len(),
            share(self.shared.id, &ids),
        );
        let taken: usize = alive().map(|node| node.partitions.len()).sum();
        if own > share {
            self.let_go_of(own - share);
        } else if own < share && taken < Partition::COUNT {
            let claimed = self.cluster.claim(share - own).await?;
            if claimed.len() < share - own {
                // Others were claiming at the same time.
                self.pause = self.pause.min(RETRY);
            }
            self.take(
                claimed
                    .into_iter()
                    .map(|(id, epoch)| (Partition(id), epoch))
                    .collect(),
            );
        }
        Ok(())
    }

    /// Goes on with what is due in partitions that are this node's now.
    fn take(&self, partitions: Vec<(Partition, u64)>) {
        if partitions.is_empty() {
            return;
        }
        for (partition, epoch) in &partitions {
            self.shared.options.held.take(*partition, *epoch);
        }
        let partitions: Vec<Partition> = partitions.into_iter().map(|(id, _)| id).collect();
        let dispatch = self.shared.options.dispatch.clone();
        // Finding what is due may take long, and the lease is to be renewed meanwhile.
        self.shared.spawn(async move {
            while let Err(error) = dispatch.gain(&partitions).await {
                tracing::warn!(%error, "cannot read what is due in new partitions yet");
                tokio::time::sleep(RETRY).await;
            }
        });
    }

    /// Lets go of so many partitions, each as soon as its attempts are recorded.
    fn let_go_of(&self, count: usize) {
        let options = &self.shared.options;
        let held = options.held.partitions();
        let busy: BTreeSet<Partition> = options.dispatch.busy(&held).into_iter().collect();
        let (busy, mut surplus): (Vec<_>, Vec<_>) = held
            .into_iter()
            .rev()
            .partition(|partition| busy.contains(partition));
        surplus.extend(busy);
        surplus.truncate(count);
        for partition in &surplus {
            options.held.forget(*partition);
        }
        self.draining().extend(&surplus);
        let (dispatch, cluster, draining) = (
            options.dispatch.clone(),
            self.cluster.clone(),
            self.draining.clone(),
        );
        self.shared.spawn(async move {
            dispatch.let_go(&surplus).await;
            let ids: Vec<u8> = surplus.iter().map(|partition| partition.0).collect();
            while let Err(error) = cluster.release(&ids).await {
                tracing::warn!(%error, "cannot let go of partitions yet");
                tokio::time::sleep(RETRY).await;
            }
            let mut draining = draining.lock().unwrap_or_else(PoisonError::into_inner);
            draining.retain(|partition| !surplus.contains(partition));
        });
    }

    /// Lets go of all partitions without attempts under way. No new ones start any more.
    async fn release_idle(&self) {
        let options = &self.shared.options;
        let held = options.held.partitions();
        let busy = options.dispatch.busy(&held);
        let idle: Vec<Partition> = held
            .into_iter()
            .filter(|partition| !busy.contains(partition))
            .collect();
        if idle.is_empty() {
            return;
        }
        idle.iter()
            .for_each(|partition| options.held.forget(*partition));
        self.draining().extend(&idle);
        options.dispatch.lose(&idle);
        let ids: Vec<u8> = idle.iter().map(|partition| partition.0).collect();
        if let Err(error) = self.cluster.release(&ids).await {
            // They are let go of when this node leaves, or when its lease ends.
            tracing::warn!(%error, "cannot let go of partitions yet");
        }
    }

    /// Until the own lease is to be renewed, or another's may be over.
    fn pause_after(&self, nodes: &[NodeRow]) -> Duration {
        let others = nodes
            .iter()
            .filter(|node| node.id != self.shared.id)
            .filter_map(|node| u64::try_from(node.lease_ms).ok())
            .map(|lease_ms| Duration::from_millis(lease_ms) + AFTER_END);
        others.fold(self.lease / RENEWALS, Duration::min)
    }

    fn draining(&self) -> MutexGuard<'_, BTreeSet<Partition>> {
        self.draining.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
