//! Puts the parts together, runs them, and takes them down in order.

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::{HttpServer, dev::ServerHandle};
use async_trait::async_trait;
use hookledger_domain::{
    clock::{Clock, SystemClock},
    retry::Schedule,
    target::Policy,
};
use tokio::{runtime::Runtime, signal::unix};

use crate::{
    http::{self, Api, Health, NotReady},
    metrics::Metrics,
    outbound::{self, Sender},
    settings::{
        self, Database, Settings,
        keys::{self, Credentials},
    },
    store::{self, Store, Views},
    tenants::{self, Limits, Tenants},
    vault::{self, Vault},
};

/// What outbound requests call themselves.
const USER_AGENT: &str = concat!("Hookledger/", env!("CARGO_PKG_VERSION"));
/// How long requests that are being answered have when the server stops, in seconds.
const HTTP_SHUTDOWN_SECONDS: u64 = 1;
/// How long recording the last attempts may take beyond the delivery timeout.
const RECORD_GRACE: Duration = Duration::from_millis(500);

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
    /// The master key does not open what is in the ledger.
    #[error("HOOKLEDGER_MASTER_KEY does not fit the ledger: {0}")]
    MasterKey(#[from] vault::Error),
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

/// A running server.
pub struct Server {
    address: SocketAddr,
    credentials: Credentials,
    http: ServerHandle,
    tenants: Tenants,
    store: Store,
    stop_within: Duration,
}

impl Server {
    /// Opens the ledger, goes on with what is waiting, and listens. Must be called within
    /// [`block_on`].
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        let credentials = keys::load_or_create(&settings)?;
        let listener = listen(settings.listen)?;
        let address = listener.local_addr().map_err(|source| Error::Listen {
            address: settings.listen,
            source,
        })?;
        let metrics = Arc::new(Metrics::new());
        let Database::Sqlite(path) = &settings.database;
        let store = Store::open_sqlite(path, metrics.clone()).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let tenants =
            start_tenants(&settings, &credentials, &store, address, &metrics, &clock).await?;
        let health = Arc::new(Beat {
            views: store.views(),
            tenants: tenants.clone(),
        });
        let api = Api::new(http::Options {
            tenants: tenants.clone(),
            views: store.views(),
            platform_token: credentials.platform_token.expose().to_owned(),
            jwt: jwt_options(settings.jwt),
            health,
            metrics,
            clock,
        })?;
        let http = serve(api, listener).map_err(|source| Error::Listen { address, source })?;
        Ok(Self {
            address,
            credentials,
            http,
            tenants,
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
        self.credentials.platform_token.expose()
    }

    /// Stops accepting, lets attempts in flight end and records them, closes the ledger. Takes the
    /// delivery timeout and two seconds at most.
    pub async fn stop(self) {
        self.tenants.start_stopping();
        self.http.stop(true).await;
        if !self.tenants.stop(self.stop_within).await {
            tracing::warn!("some attempts did not end in time; they will be made again");
        }
        self.store.close().await;
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

async fn start_tenants(
    settings: &Settings,
    credentials: &Credentials,
    store: &Store,
    address: SocketAddr,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn Clock>,
) -> Result<Tenants, Error> {
    let policy = Arc::new(Policy {
        allow_http: settings.allow_http,
        egress_allow: settings.egress_allow.clone(),
        own_listeners: own_listeners(address),
    });
    let sender = Sender::new(outbound::Options {
        policy: policy.clone(),
        user_agent: USER_AGENT.to_owned(),
        timeout: settings.delivery_timeout,
    })?;
    let vault = Vault::new(&credentials.master_keys);
    if let Some(row) = store.views().any_webhook().await? {
        vault.open(&row.tenant_id, row.id, &row.secrets.current)?;
    }
    let options = tenants::Options {
        ledger: store.ledger(),
        views: store.views(),
        vault,
        sender,
        policy,
        clock: clock.clone(),
        schedule: Schedule::new(settings.retry_schedule.clone(), settings.retry_jitter),
        limits: Limits {
            in_flight: settings.max_in_flight,
            in_flight_per_tenant: settings.max_in_flight_per_tenant,
            in_flight_per_webhook: settings.max_in_flight_per_webhook,
        },
        metrics: metrics.clone(),
        runtime: tokio::runtime::Handle::current(),
        threads: threads_per_role(),
    };
    Ok(Tenants::start(options).await?)
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

/// What `/readyz` asks.
struct Beat {
    views: Views,
    tenants: Tenants,
}

#[async_trait]
impl Health for Beat {
    async fn check(&self) -> Result<(), NotReady> {
        if self.tenants.is_stopping() {
            return Err(NotReady {
                code: "shutting_down",
                detail: "the server is stopping".to_owned(),
            });
        }
        self.views
            .check_writable()
            .await
            .map_err(|error| NotReady {
                code: "store_unavailable",
                detail: error.to_string(),
            })?;
        if self.tenants.is_beating().await {
            Ok(())
        } else {
            Err(NotReady {
                code: "dispatcher_stalled",
                detail: "the threads of the tenants' actors do not answer".to_owned(),
            })
        }
    }
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
        let server = Server::start(settings).await?;
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
