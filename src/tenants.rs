//! One actor per tenant that has something to do: it is the one writer of its tenant's deliveries,
//! matches messages against webhooks, and sends what is due.
//!
//! [`Tenants`] is the handle that everybody else holds. [`directory`](self::directory) starts and
//! retires the actors, an actor ([`actor`](self::actor)) keeps a [`lane`] for each webhook with
//! something to send, and [`attempt`] runs one try from start to end.

mod accept;
mod actor;
mod attempt;
mod bodies;
mod callbacks;
mod commands;
mod directory;
mod erasing;
mod error;
mod explaining;
mod filtering;
mod history;
mod keys;
mod lane;
mod live;
mod publish;
mod recovering;
mod secrets;
mod slots;
mod steering;

pub use attempt::hex;
pub use callbacks::{Assigned, Taken};
pub use error::Error;
pub use explaining::Explanation;
pub use history::Episode;
pub use keys::{KeysRotated, MissingKey, Unfit, check_keys};
pub use publish::{Publish, Published};
pub use secrets::{RevealedSecrets, Rotation};
pub use steering::Recover;

use std::{
    sync::{Arc, PoisonError, RwLock, Weak, atomic::AtomicBool},
    time::Duration,
};

use hookledger_domain::{
    callback,
    clock::Clock,
    retry::Schedule,
    target::Policy,
    topic::{Catalogue, Definition},
    webhook,
};
use tokio::sync::{Mutex, Semaphore};

use crate::{
    entropy::Ids,
    metrics::Metrics,
    nodes::{Dispatch, Held},
    outbound::Sender,
    store::{self, Cluster, Ledger, Views},
    vault::{KeyFile, Vault},
};

/// What the actors work with.
pub struct Options {
    /// Where events go.
    pub ledger: Ledger,
    /// Where rows come from.
    pub views: Views,
    /// Opens and seals secrets.
    pub vault: Vault,
    /// Keeps the master keys, if the server has made them itself.
    pub key_file: Option<Arc<dyn KeyFile>>,
    /// Makes the attempts.
    pub sender: Sender,
    /// Where deliveries may go.
    pub policy: Arc<Policy>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// When failed deliveries are tried again, unless the webhook says otherwise.
    pub schedule: Schedule,
    /// A webhook whose attempts have all failed for this long is disabled.
    pub disable_after: Duration,
    /// How many attempts may run at one time.
    pub limits: Limits,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where attempts run.
    pub runtime: tokio::runtime::Handle,
    /// On how many threads the actors live; at least one.
    pub threads: usize,
    /// Which tenants this node sends for.
    pub held: Arc<Held>,
    /// What it shares with other nodes, if there may be some.
    pub cluster: Option<Cluster>,
    /// How Stripe's callbacks are taken.
    pub billing: callback::Rules,
}

/// How many attempts may run at one time.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// In the whole process.
    pub in_flight: usize,
    /// For one tenant.
    pub in_flight_per_tenant: usize,
    /// For one webhook.
    pub in_flight_per_webhook: usize,
}

/// Actors that may read their webhooks at one time, so that a start with many tenants that are due
/// leaves room for requests.
const STARTS_MAX: usize = 32;
/// Lanes that may be refilled at one time, likewise.
const LOADS_MAX: usize = 2;

/// How long a change of the catalogue on another node may go unnoticed here, if its notice is lost.
const CATALOGUE_REREAD: Duration = Duration::from_secs(5);

/// What all actors share.
pub(crate) struct Shared {
    ledger: Ledger,
    views: Views,
    vault: Vault,
    key_file: Option<Arc<dyn KeyFile>>,
    /// Held while master keys are rotated.
    rotating_keys: tokio::sync::Mutex<()>,
    sender: Sender,
    policy: Arc<Policy>,
    clock: Arc<dyn Clock>,
    schedule: Schedule,
    disable_after: Duration,
    limits: Limits,
    metrics: Arc<Metrics>,
    runtime: tokio::runtime::Handle,
    ids: Ids,
    catalogue: RwLock<Arc<Catalogue>>,
    /// Held while the catalogue is read, so that of two readings the later one stays.
    catalogue_reading: Mutex<()>,
    slots: slots::Slots,
    bodies: bodies::Bodies,
    filters: filtering::Permits,
    starts: Semaphore,
    loads: Semaphore,
    is_stopping: AtomicBool,
    held: Arc<Held>,
    cluster: Option<Cluster>,
    callbacks: callbacks::Desk,
}

impl Shared {
    fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn rules(&self) -> webhook::Rules {
        webhook::Rules {
            policy: self.policy.clone(),
            catalogue: self.catalogue(),
        }
    }

    /// Reads the catalogue again where another node may have changed it.
    async fn refresh_catalogue(&self) -> Result<(), store::Error> {
        match &self.cluster {
            Some(_) => self.reload_catalogue().await,
            None => Ok(()),
        }
    }

    async fn reload_catalogue(&self) -> Result<(), store::Error> {
        let _reading = self.catalogue_reading.lock().await;
        let custom = self.views.topics().await?;
        let custom = custom.into_iter().map(|row| Definition {
            name: row.name,
            description: row.description,
            schema: row.schema,
        });
        let catalogue = self.catalogue().renewed(custom);
        *self
            .catalogue
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(catalogue);
        Ok(())
    }
}

/// Reads the catalogue again and again: other nodes say when they change it, but what they say may
/// be lost.
async fn keep_catalogue(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(CATALOGUE_REREAD).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        if let Err(error) = shared.reload_catalogue().await {
            tracing::debug!(%error, "cannot read the catalogue of topics");
        }
    }
}

/// The handle to all tenants. Cheap to clone.
#[derive(Clone)]
pub struct Tenants {
    shared: Arc<Shared>,
    directory: directory::Directory,
}

impl Tenants {
    /// Makes ready for requests. What is waiting is gone on with when [`Dispatch::gain`] says of
    /// which partitions, by [`Tenants::dispatch`].
    ///
    /// Must be called within an actix system.
    pub async fn start(options: Options) -> Result<Self, store::Error> {
        let shared = Arc::new(Shared {
            slots: slots::Slots::new(options.limits.in_flight),
            ledger: options.ledger,
            views: options.views,
            vault: options.vault,
            key_file: options.key_file,
            rotating_keys: tokio::sync::Mutex::default(),
            sender: options.sender,
            policy: options.policy,
            clock: options.clock,
            schedule: options.schedule,
            disable_after: options.disable_after,
            limits: options.limits,
            metrics: options.metrics,
            filters: filtering::Permits::new(&options.runtime),
            runtime: options.runtime,
            ids: Ids::default(),
            catalogue: RwLock::new(Arc::new(Catalogue::new([]))),
            catalogue_reading: Mutex::default(),
            bodies: bodies::Bodies::default(),
            starts: Semaphore::new(STARTS_MAX),
            loads: Semaphore::new(LOADS_MAX),
            is_stopping: AtomicBool::new(false),
            held: options.held,
            cluster: options.cluster,
            callbacks: callbacks::Desk::new(options.billing),
        });
        shared.reload_catalogue().await?;
        if shared.cluster.is_some() {
            let keep = keep_catalogue(Arc::downgrade(&shared));
            shared.runtime.spawn(keep);
        }
        let directory = directory::Directory::start(shared.clone(), options.threads);
        Ok(Self { shared, directory })
    }

    /// The topics that exist now.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.shared.catalogue()
    }

    /// Whoever holds partitions tells this what to send.
    pub fn dispatch(&self) -> Arc<dyn Dispatch> {
        Arc::new(self.directory.clone())
    }

    /// Starts no further attempts.
    pub fn start_stopping(&self) {
        self.directory.start_stopping();
    }

    /// Whether no further attempts are started.
    pub fn is_stopping(&self) -> bool {
        self.directory.is_stopping()
    }

    /// Whether the threads of the actors do their work: each answers within a second.
    pub async fn is_beating(&self) -> bool {
        self.directory.is_beating().await
    }

    /// Starts no further attempts, and waits until those in flight are recorded, at most
    /// `deadline`. Returns whether all were.
    pub async fn stop(&self, deadline: Duration) -> bool {
        self.directory.stop(deadline).await
    }
}
