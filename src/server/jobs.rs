//! What is done now and then, without anybody asking for it.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::Parts;
use crate::{
    notary::{self, SigningKey},
    retention,
    settings::Settings,
    store::Signer,
    tenants::Tenants,
};

/// Run until they are stopped.
pub(super) struct Jobs([JoinHandle<()>; 3]);

impl Jobs {
    /// Starts them, within a tokio runtime.
    pub(super) fn start(
        parts: &Parts<'_>,
        tenants: Tenants,
        signer: Option<Arc<dyn Signer>>,
    ) -> Self {
        let retention = retention::run(retention::Options {
            erasure: parts.store.erasure(),
            keep: parts.settings.retention_bodies,
            clock: parts.clock.clone(),
            held: parts.held.clone(),
            metrics: parts.metrics.clone(),
        });
        let notary = notary::run(notary::Options {
            audit: parts.store.audit(),
            sealer: parts.store.sealer(),
            signer,
            every: parts.settings.seal_every,
            clock: parts.clock.clone(),
            held: parts.held.clone(),
        });
        let settling = async move { tenants.settle_callbacks().await };
        Self([
            tokio::spawn(retention),
            tokio::spawn(notary),
            tokio::spawn(settling),
        ])
    }

    /// Cuts them off, one after the other.
    pub(super) async fn stop(self) {
        for job in self.0 {
            job.abort();
            // Whether it was cut off or had ended by itself is all the same.
            drop(job.await);
        }
    }
}

/// What signs seals, if a key is set.
pub(super) fn signer(settings: &Settings) -> Result<Option<Arc<dyn Signer>>, notary::Error> {
    let Some(path) = &settings.seal_key_file else {
        return Ok(None);
    };
    Ok(Some(Arc::new(SigningKey::load(path)?)))
}
