//! Which addresses a name may lead to.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::Shared;
use hookledger_domain::target::{self, Policy, Refusal};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{Semaphore, oneshot};
use url::{Host, Url};

/// How long configuring a webhook waits for its name; then it counts as not resolving yet.
const CHECK_TIME_MAX: Duration = Duration::from_secs(2);
/// System look-ups at the same time. Each blocks a thread until the system's resolver gives up
/// (often 10 s or more), also when nobody waits any longer; tokio has 512 such threads.
const LOOKUPS_MAX: usize = 256;
/// Names that are looked up or wait for it. More than this is an overload and fails with `dns`.
const NAMES_MAX: usize = 4096;

tokio::task_local! {
    /// A resolver is told the name only, but what is allowed depends on the port too. The
    /// connector is polled inside the request's own task, so the port is handed over here.
    static PORT: u16;
}

/// Runs `request` so that names it resolves are judged for `port`.
pub(super) async fn with_port<F: Future>(port: u16, request: F) -> F::Output {
    PORT.scope(port, request).await
}

/// Resolves names through the system and refuses those that lead where no request may go.
///
/// A name is refused when **any** of its addresses is, not filtered to the public ones: both are
/// safe, since only judged addresses are dialled, but a name that mixes public and private
/// addresses is an attack or a mistake, and refusing it says so every time instead of working
/// or not by the order of an answer.
///
/// Look-ups of the same name at the same time are one look-up, so that a webhook whose name
/// server hangs takes one thread and not one for each of its deliveries.
#[derive(Clone)]
pub struct Guard {
    policy: Arc<Policy>,
    lookups: Arc<Lookups>,
}

impl Guard {
    /// Makes a guard over the system's resolver.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        Self::with_lookup(policy, look_up)
    }

    pub(super) fn with_lookup(policy: Arc<Policy>, lookup: Lookup) -> Self {
        let lookups = Lookups {
            lookup,
            slots: Semaphore::new(LOOKUPS_MAX),
            running: Mutex::default(),
        };
        Self {
            policy,
            lookups: Arc::new(lookups),
        }
    }

    /// The rules that this guard goes by.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Checks a URL that a tenant wants to configure, including what its name resolves to now.
    /// Takes at most 2 s; a name that does not resolve until then passes, since it may later,
    /// and every try is judged again.
    ///
    /// # Errors
    /// As [`target::check`] and [`target::judge`].
    pub async fn check(&self, url: &str) -> Result<Url, Refusal> {
        let url = target::check(url, &self.policy)?;
        if let Some(Host::Domain(name)) = url.host() {
            let port = url.port_or_known_default().unwrap_or_default();
            let resolved = tokio::time::timeout(CHECK_TIME_MAX, self.resolve_for(name, port));
            if let Ok(Err(Unresolved::Refused(refusal))) = resolved.await {
                return Err(refusal);
            }
        }
        Ok(url)
    }

    /// Judges an address that was connected.
    pub(super) fn judge(&self, peer: SocketAddr) -> Result<(), Refusal> {
        target::judge(peer, &self.policy)
    }

    async fn resolve_for(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, Unresolved> {
        let found = Lookups::find(&self.lookups, name).await?;
        let addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        for address in &addresses {
            self.judge(*address)?;
        }
        Ok(addresses)
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        // Outside of `with_port` no port is right; 0 matches no allowance that names one.
        let port = PORT.try_with(|port| *port).unwrap_or_default();
        let guard = self.clone();
        Box::pin(async move {
            match guard.resolve_for(name.as_str(), port).await {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                // The bare refusal, because that is what `failure` looks for.
                Err(Unresolved::Refused(refusal)) => Err(refusal.into()),
                Err(error) => Err(error.into()),
            }
        })
    }
}

/// Why a name gave no addresses.
#[derive(Debug, Clone, thiserror::Error)]
enum Unresolved {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the system's resolver found nothing")]
    Failed(#[source] Arc<io::Error>),
    #[error("the name has no address")]
    Empty,
    #[error("the look-up was given up")]
    Abandoned,
    #[error("too many look-ups are waiting")]
    Busy,
}

type Found = Result<Arc<[IpAddr]>, Unresolved>;
type Lookup = fn(&str) -> io::Result<Vec<IpAddr>>;

/// Blocks until the system's resolver answers.
fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0)
        .to_socket_addrs()?
        .map(|address| address.ip())
        .collect())
}

/// The look-ups that are going on, each shared by all who wait for the same name.
struct Lookups {
    lookup: Lookup,
    slots: Semaphore,
    running: Mutex<HashMap<Arc<str>, Shared<oneshot::Receiver<Found>>>>,
}

impl Lookups {
    async fn find(this: &Arc<Self>, name: &str) -> Found {
        Self::join(this, name)?
            .await
            .unwrap_or(Err(Unresolved::Abandoned))
    }

    /// Waits with those who already ask for `name`, or starts. The look-up is a task of its own,
    /// so it ends, and leaves the map, also when all who waited for it have met their deadlines.
    fn join(this: &Arc<Self>, name: &str) -> Result<Shared<oneshot::Receiver<Found>>, Unresolved> {
        let mut running = this.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = running.get(name) {
            return Ok(answer.clone());
        }
        if running.len() >= NAMES_MAX {
            return Err(Unresolved::Busy);
        }
        let (sender, answer) = oneshot::channel();
        let answer = answer.shared();
        let name: Arc<str> = name.into();
        running.insert(name.clone(), answer.clone());
        let this = this.clone();
        tokio::spawn(async move {
            let found = this.ask_system(name.clone()).await;
            this.running
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&name);
            // Nobody may be waiting any longer.
            let _ = sender.send(found);
        });
        Ok(answer)
    }

    async fn ask_system(&self, name: Arc<str>) -> Found {
        let _slot = self
            .slots
            .acquire()
            .await
            .map_err(|_| Unresolved::Abandoned)?;
        let lookup = self.lookup;
        let asked = tokio::task::spawn_blocking(move || lookup(&name)).await;
        let found = asked
            .map_err(|_| Unresolved::Abandoned)?
            .map_err(|error| Unresolved::Failed(Arc::new(error)))?;
        if found.is_empty() {
            return Err(Unresolved::Empty);
        }
        Ok(found.into())
    }
}

#[cfg(test)]
mod tests {

    use std::sync::atomic::{AtomicUsize, Ordering};

    use hookledger_domain::target::Reason;

    use super::*;

    fn guard(allow: &[&str], lookup: Lookup) -> Guard {
        let egress_allow = allow.iter().map(|entry| entry.parse().unwrap()).collect();
        let own_listeners = vec!["127.0.0.1:9999".parse().unwrap()];
        let policy = Policy {
            egress_allow,
            own_listeners,
            ..Policy::default()
        };
        Guard::with_lookup(Arc::new(policy), lookup)
    }

    fn public(_: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![
            "1.1.1.1".parse().unwrap(),
            "2606:4700::1".parse().unwrap(),
        ])
    }

    fn mixed(_: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![
            "1.1.1.1".parse().unwrap(),
            "127.0.0.1".parse().unwrap(),
        ])
    }

    fn nothing(_: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::Error::other("no such name"))
    }

    #[tokio::test]
    async fn a_public_name_gives_its_addresses() {
        let found = guard(&[], public).resolve_for("a.com", 443).await.unwrap();
        assert_eq!(
            found,
            [
                "1.1.1.1:443".parse().unwrap(),
                "[2606:4700::1]:443".parse().unwrap()
            ]
        );
    }

    #[tokio::test]
    async fn one_private_address_refuses_the_name() {
        for (allow, port, is_refused) in [
            (&[][..], 443, true),
            (&["127.0.0.1:8443"][..], 443, true),
            (&["127.0.0.1:8443"][..], 8443, false),
            (&["127.0.0.0/8"][..], 9999, true),
        ] {
            let found = guard(allow, mixed).resolve_for("a.com", port).await;
            assert_eq!(
                matches!(found, Err(Unresolved::Refused(_))),
                is_refused,
                "{allow:?} {port}"
            );
        }
    }

    #[tokio::test]
    async fn a_resolver_is_told_the_port() {
        let guard = guard(&["127.0.0.1:8443"], mixed);
        let resolve = || guard.resolve("a.com".parse().unwrap());
        assert!(with_port(8443, async { resolve().await }).await.is_ok());
        assert!(with_port(443, async { resolve().await }).await.is_err());
        assert!(resolve().await.is_err());
    }

    #[tokio::test]
    async fn configuring_refuses_private_names_and_accepts_unknown_ones() {
        let refusal = guard(&[], mixed).check("https://a.com/").await.unwrap_err();
        assert!(matches!(refusal.reason, Reason::Address(_)));
        assert!(guard(&[], nothing).check("https://a.com/").await.is_ok());
        assert!(guard(&[], public).check("https://a.com/").await.is_ok());
        assert!(
            guard(&[], public)
                .check("https://127.0.0.1/")
                .await
                .is_err()
        );
    }

    static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

    fn slow(_: &str) -> io::Result<Vec<IpAddr>> {
        LOOKUPS.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(200));
        public("")
    }

    #[tokio::test]
    async fn waiting_for_one_name_is_one_lookup_also_after_giving_up() {
        let guard = guard(&[], slow);
        let impatient =
            tokio::time::timeout(Duration::from_millis(20), guard.resolve_for("a.com", 1));
        assert!(impatient.await.is_err());
        let (a, b) = tokio::join!(guard.resolve_for("a.com", 1), guard.resolve_for("a.com", 2));
        assert_eq!(a.unwrap().len() + b.unwrap().len(), 4);
        assert_eq!(LOOKUPS.load(Ordering::SeqCst), 1);
        assert!(guard.lookups.running.lock().unwrap().is_empty());
    }
}
