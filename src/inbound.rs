//! What others' systems bring in: Stripe's callbacks. Nothing in them is believed, nor even parsed, before
//! their signature was verified over the bytes that arrived.

mod failures;
mod network;
mod room;

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use hookledger_domain::{
    actor::Origin,
    clock::Clock,
    stripe::{
        self, StripeId, Unreadable,
        signature::{EndpointSecret, Mismatch, SignatureHeader},
    },
};
use sha2::{Digest, Sha256};

use crate::{
    metrics::Metrics,
    tenants::{self, Taken, Tenants, hex},
};
use failures::Failures;
use room::Room;

pub use room::{Full, Space};

/// What callbacks are taken with.
pub struct Options {
    /// The signing secrets that hold; none means that callbacks are not taken.
    pub secrets: Vec<EndpointSecret>,
    /// Carries out what they lead to.
    pub tenants: Tenants,
    /// Tells whether they are fresh.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// Takes Stripe's callbacks. Cheap to clone.
#[derive(Clone)]
pub struct Stripe(Arc<Inner>);

struct Inner {
    secrets: Vec<EndpointSecret>,
    tenants: Tenants,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    failures: Failures,
    room: Room,
}

/// Why a callback was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refused {
    /// There is no secret to verify it with.
    #[error("no signing secret of Stripe's is set")]
    NotConfigured,
    /// It does not come from Stripe, as far as can be told.
    #[error(transparent)]
    Mismatch(Mismatch),
    /// The same, once too often from one address.
    #[error("from this address came too much that was not signed by Stripe")]
    TooManyFailures {
        /// When the next one would be looked at, in seconds.
        retry_after_seconds: u64,
    },
    /// It was signed, but is no event.
    #[error(transparent)]
    Unreadable(Unreadable),
    /// It could not be carried out.
    #[error(transparent)]
    Failed(tenants::Error),
}

impl Stripe {
    /// Makes ready for callbacks.
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Inner {
            secrets: options.secrets,
            tenants: options.tenants,
            clock: options.clock,
            metrics: options.metrics,
            failures: Failures::new(),
            room: Room::new(),
        }))
    }

    /// Looks at the header of a callback from `client` before its body is read: what is garbage costs
    /// nothing more. Gives the room that the body may take, too.
    ///
    /// # Errors
    /// [`Refused::NotConfigured`], or the header is not one that Stripe has made just now.
    pub fn open(
        &self,
        header: Option<&[u8]>,
        client: IpAddr,
    ) -> Result<(SignatureHeader, Space), Refused> {
        let inner = &self.0;
        if inner.secrets.is_empty() {
            return Err(Refused::NotConfigured);
        }
        let now = inner.clock.now().timestamp();
        let header = SignatureHeader::parse(header.unwrap_or_default(), now)
            .map_err(|mismatch| inner.refuse(mismatch, client))?;
        Ok((header, inner.room.begin(client)))
    }

    /// Verifies a callback whose header was looked at, and carries out what it leads to. When this
    /// returns its id and what became of it, that is on disk.
    ///
    /// # Errors
    /// No signature holds, the body is no event, or it could not be carried out: then Stripe brings it
    /// again.
    pub async fn take(
        &self,
        header: &SignatureHeader,
        body: &Bytes,
        client: IpAddr,
        origin: Origin,
    ) -> Result<(StripeId, Taken), Refused> {
        let inner = &self.0;
        header
            .verify(body, &inner.secrets)
            .map_err(|mismatch| inner.refuse(mismatch, client))?;
        let digest = hex(&Sha256::digest(body));
        let (id, notice) =
            stripe::parse(body, digest, inner.clock.now()).map_err(|unreadable| {
                tracing::warn!(%unreadable, "Stripe has signed what is no event");
                Refused::Unreadable(unreadable)
            })?;
        let taken = inner
            .tenants
            .take_callback(id.clone(), notice, origin)
            .await;
        let taken = taken.map_err(Refused::Failed)?;
        let outcome = match taken.duplicate {
            true => "duplicate",
            false => taken.outcome.as_str(),
        };
        inner.metrics.count_callback(outcome);
        Ok((id, taken))
    }
}

impl Inner {
    /// Notes that something came that was not signed. Who brings much of it is told less and less, and
    /// does not fill the log.
    fn refuse(&self, mismatch: Mismatch, client: IpAddr) -> Refused {
        self.metrics.count_callback("refused");
        match self.failures.note(client) {
            Ok(()) => {
                tracing::info!(%client, %mismatch, "a callback was refused");
                Refused::Mismatch(mismatch)
            }
            Err(wait) => Refused::TooManyFailures {
                retry_after_seconds: wait.as_secs() + 1,
            },
        }
    }
}
