//! What is done now and then, without anybody asking for it.

use std::sync::Arc;

use super::Parts;
use crate::{
    notary::{self, Notary, SigningKey},
    retention::{self, Retention},
    settings::Settings,
    store::Signer,
};

/// Runs until it is stopped.
pub(super) struct Jobs {
    retention: Retention,
    notary: Notary,
}

impl Jobs {
    pub(super) fn start(parts: &Parts<'_>, signer: Option<Arc<dyn Signer>>) -> Self {
        Self {
            retention: Retention::start(retention::Options {
                erasure: parts.store.erasure(),
                keep: parts.settings.retention_bodies,
                clock: parts.clock.clone(),
                held: parts.held.clone(),
                metrics: parts.metrics.clone(),
            }),
            notary: Notary::start(notary::Options {
                audit: parts.store.audit(),
                sealer: parts.store.sealer(),
                signer,
                every: parts.settings.seal_every,
                clock: parts.clock.clone(),
                held: parts.held.clone(),
            }),
        }
    }

    pub(super) async fn stop(self) {
        self.retention.stop().await;
        self.notary.stop().await;
    }
}

/// What signs seals, if a key is set.
pub(super) fn signer(settings: &Settings) -> Result<Option<Arc<dyn Signer>>, notary::Error> {
    let Some(path) = &settings.seal_key_file else {
        return Ok(None);
    };
    Ok(Some(Arc::new(SigningKey::load(path)?)))
}
