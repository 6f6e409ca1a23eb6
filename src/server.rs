//! Puts the parts together, runs them, and takes them down in order.

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix_web::{HttpServer, dev::ServerHandle};
use hookledger_domain::{
    clock::{Clock, SystemClock},
    retry::Schedule,
    target::Policy,
};
use tokio::{runtime::Runtime, signal::unix};

use crate::{
    http::{self, Api},
    inbound::{self, Stripe},
    metrics::Metrics,
    nodes::{self, Held, Nodes},
    notary,
    outbound::{self, Sender},
    settings::{self, SecretText, Settings, keys},
    store::{self, Registration, Store},
    tenants::{self, Limits, Tenants, Unfit},
};

mod beat;
mod jobs;
mod ledger;
mod master_keys;

use beat::Beat;
use jobs::Jobs;
use ledger::open_store;
pub use ledger::{open_ledger, open_reader};
use master_keys::{OpenKeys, open_keys};

/// What outbound requests call themselves.
const USER_AGENT: &str = concat!("Hookledger/", env!("CARGO_PKG_VERSION"));
/// How long requests that are being answered have when the server stops, in seconds.
const HTTP_SHUTDOWN_SECONDS: u64 = 1;
/// How long recording the last attempts may take beyond the delivery timeout.
const RECORD_GRACE: Duration = Duration::from_millis(500);
/// How long a shared database has for what it is told at the end.
const GOOD_BYE: Duration = Duration::from_secs(5);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listening address cannot be taken.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The platform token or the master key cannot be used.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The master keys do not open what is in the ledger.
    #[error("HOOKLEDGER_MASTER_KEY{} does not fit the ledger: {source}", in_file(.file.as_deref()))]
    MasterKey {
        /// The file in which they are, if the setting does not give them.
        file: Option<PathBuf>,
        /// Why not.
        source: Unfit,
    },
    /// The key that signs seals cannot be used.
    #[error("HOOKLEDGER_SEAL_KEY_FILE: {0}")]
    SealKey(#[from] notary::Error),
    /// The outbound client cannot be made.
    #[error(transparent)]
    Outbound(#[from] outbound::Error),
    /// The JWT settings cannot be used.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// The runtime or its signal handlers cannot be made.
    #[error("the runtime could not be set up")]
    Runtime(#[source] io::Error),
}

fn in_file(file: Option<&Path>) -> String {
    file.map_or_else(String::new, |file| format!(" (file {})", file.display()))
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    platform_token: SecretText,
    http: ServerHandle,
    tenants: Tenants,
    nodes: Nodes,
    jobs: Option<Jobs>,
    store: Store,
    stop_within: Duration,
}

/// What a process does on a database that it shares with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It takes its share of the tenants and sends for them.
    Node,
    /// It takes requests only, as the command line does for a moment.
    Guest,
}

impl Server {
    /// Opens the ledger, refuses master keys that do not fit it, goes on with what is waiting, and
    /// listens. Must be called within [`block_on`].
    pub async fn start(settings: Settings, role: Role) -> Result<Self, Error> {
        let platform_token = keys::load_or_create_token(&settings)?;
        let signer = jobs::signer(&settings)?;
        let metrics = Arc::new(Metrics::new());
        let store = open_store(&settings, &metrics).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let keys = open_keys(&settings, &store, clock.now()).await?;
        let listener = listen(settings.listen)?;
        let address = listener.local_addr().map_err(|source| Error::Listen {
            address: settings.listen,
            source,
        })?;
        let held = Arc::new(match store.cluster() {
            Some(_) => Held::nothing(),
            None => Held::everything(),
        });
        let parts = Parts {
            settings: &settings,
            store: &store,
            address,
            metrics: &metrics,
            clock: &clock,
            held: &held,
        };
        let tenants = parts.start_tenants(keys).await?;
        let nodes = parts.start_nodes(&tenants, role).await?;
        // A guest is gone before there is something to do.
        let jobs =
            (role == Role::Node).then(|| Jobs::start(&parts, tenants.clone(), signer.clone()));
        let health = Arc::new(Beat::new(store.views(), tenants.clone()));
        let api = Api::new(http::Options {
            tenants: tenants.clone(),
            views: store.views(),
            rebuild: store.rebuild(),
            audit: store.audit(),
            sealer: store.sealer(),
            signer,
            nodes: nodes.clone(),
            stripe: Stripe::new(inbound::Options {
                secrets: settings.stripe_webhook_secrets,
                tenants: tenants.clone(),
                clock: clock.clone(),
                metrics: metrics.clone(),
            }),
            platform_token: platform_token.expose().to_owned(),
            jwt: jwt_options(settings.jwt),
            health,
            metrics,
            clock,
        })?;
        let http = serve(api, listener).map_err(|source| Error::Listen { address, source })?;
        Ok(Self {
            address,
            platform_token,
            http,
            tenants,
            nodes,
            jobs,
            store,
            stop_within: settings.delivery_timeout + RECORD_GRACE,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The token with every permission.
    pub fn platform_token(&self) -> &str {
        self.platform_token.expose()
    }

    /// Stops accepting, lets attempts in flight end and records them, closes the ledger. Takes the
    /// delivery timeout and two seconds at most, or five more when the database does not answer.
    pub async fn stop(self) {
        self.tenants.start_stopping();
        self.nodes.start_leaving();
        if let Some(jobs) = self.jobs {
            jobs.stop().await;
        }
        self.http.stop(true).await;
        if !self.tenants.stop(self.stop_within).await {
            tracing::warn!("some attempts did not end in time; they will be made again");
        }
        // Nothing is lost with what a shared database that does not answer is not told.
        let within = self.store.cluster().map_or(Duration::MAX, |_| GOOD_BYE);
        let end = async {
            self.nodes.leave().await;
            self.store.close().await;
        };
        if tokio::time::timeout(within, end).await.is_err() {
            tracing::warn!("the database does not answer; the lease will end by itself");
        }
        tracing::info!("stopped");
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let bind = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|source| Error::Listen { address, source })
}

/// What the parts that are started have in common.
struct Parts<'a> {
    settings: &'a Settings,
    store: &'a Store,
    address: SocketAddr,
    metrics: &'a Arc<Metrics>,
    clock: &'a Arc<dyn Clock>,
    held: &'a Arc<Held>,
}

impl Parts<'_> {
    async fn start_tenants(&self, keys: OpenKeys) -> Result<Tenants, Error> {
        let (settings, store) = (self.settings, self.store);
        let policy = Arc::new(Policy {
            allow_http: settings.allow_http,
            egress_allow: settings.egress_allow.clone(),
            own_listeners: own_listeners(self.address),
        });
        let sender = Sender::new(outbound::Options {
            policy: policy.clone(),
            user_agent: USER_AGENT.to_owned(),
            timeout: settings.delivery_timeout,
        })?;
        let options = tenants::Options {
            ledger: store.ledger(),
            views: store.views(),
            vault: keys.vault,
            key_file: keys.file,
            sender,
            policy,
            clock: self.clock.clone(),
            schedule: Schedule::new(settings.retry_schedule.clone(), settings.retry_jitter),
            disable_after: settings.disable_after,
            limits: Limits {
                in_flight: settings.max_in_flight,
                in_flight_per_tenant: settings.max_in_flight_per_tenant,
                in_flight_per_webhook: settings.max_in_flight_per_webhook,
            },
            metrics: self.metrics.clone(),
            runtime: tokio::runtime::Handle::current(),
            threads: threads_per_role(),
            held: self.held.clone(),
            cluster: store.cluster(),
            billing: settings.billing,
        };
        Ok(Tenants::start(options).await?)
    }

    async fn start_nodes(&self, tenants: &Tenants, role: Role) -> Result<Nodes, Error> {
        let options = nodes::Options {
            cluster: self.store.cluster(),
            is_guest: role == Role::Guest,
            held: self.held.clone(),
            dispatch: tenants.dispatch(),
            data_dir: self.settings.data_dir.clone(),
            lease: self.settings.node_lease,
            registration: Registration {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                address: self.address.to_string(),
                started_at: self.clock.now(),
            },
            metrics: self.metrics.clone(),
        };
        Ok(Nodes::start(options).await?)
    }
}

/// Every address under which the server can be reached on this machine: it is never a target.
fn own_listeners(address: SocketAddr) -> Vec<SocketAddr> {
    let mut listeners = vec![address];
    if address.ip().is_unspecified() {
        match if_addrs::get_if_addrs() {
            Ok(interfaces) => listeners.extend(
                interfaces
                    .iter()
                    .map(|interface| SocketAddr::new(interface.ip(), address.port())),
            ),
            Err(error) => tracing::warn!(%error, "the addresses of this machine cannot be listed"),
        }
    }
    listeners
}

fn jwt_options(jwt: settings::Jwt) -> Option<http::JwtOptions> {
    let key = match jwt.key? {
        settings::JwtKey::PublicKeyFile(path) => http::JwtKey::PublicKeyFile(path),
        settings::JwtKey::JwksFile(path) => http::JwtKey::JwksFile(path),
        settings::JwtKey::Hs256Secret(secret) => {
            http::JwtKey::Hs256Secret(secret.expose().to_owned())
        }
    };
    Some(http::JwtOptions {
        key,
        issuer: jwt.issuer,
        audience: jwt.audience,
        tenant_claim: jwt.tenant_claim,
        role_claim: jwt.role_claim,
    })
}

fn serve(api: Arc<Api>, listener: TcpListener) -> io::Result<ServerHandle> {
    let workers = threads_per_role();
    let server = HttpServer::new(move || http::app(api.clone()))
        .workers(workers)
        .shutdown_timeout(HTTP_SHUTDOWN_SECONDS)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    actix::spawn(server);
    Ok(handle)
}

/// How many threads each part has: requests, actors, and attempts with the database. All of them
/// work at the same time, and every thread more is one more to be woken.
fn threads_per_role() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).clamp(1, 8))
}

/// Runs `work` within the runtime that a [`Server`] needs: an actix system on a multi-thread tokio
/// runtime, so that sockets, database and actors may live on several threads.
pub fn block_on<F: Future>(work: F) -> Result<F::Output, Error> {
    let runtime: Arc<Runtime> = Arc::new(
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .worker_threads(threads_per_role())
            .thread_name("hookledger")
            .build()
            .map_err(Error::Runtime)?,
    );
    let system = actix::System::with_tokio_rt({
        let runtime = runtime.clone();
        move || runtime
    });
    Ok(system.block_on(work))
}

/// Runs a server until SIGTERM or SIGINT; `ready` is called when it listens.
pub fn run(settings: Settings, ready: impl FnOnce(&Server)) -> Result<(), Error> {
    block_on(async {
        let server = Server::start(settings, Role::Node).await?;
        ready(&server);
        wait_for_signal().await.map_err(Error::Runtime)?;
        tracing::info!("stopping");
        server.stop().await;
        Ok(())
    })?
}

async fn wait_for_signal() -> io::Result<()> {
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
