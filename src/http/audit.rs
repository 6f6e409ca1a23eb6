//! The ledger as auditors read it: its events, whether they are those that were written, and seals.

use std::sync::Arc;

use hookledger_domain::tenant::TenantId;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::task::AbortOnDropHandle;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{call::Call, problem::Problem, query::Query};
use crate::store::{Audit, SealMark, Sealer, Signer, Verdict};

pub(super) mod event;
mod events;
mod export;
mod filter;
mod seals;
mod verify;

/// So many verifications may run at a time in a process: each reads a part of the ledger or all of it.
const VERIFICATIONS_MAX: usize = 2;
/// So many exports may run at a time in a process.
const EXPORTS_MAX: usize = 8;
/// After so many seconds one of them may have ended.
const RETRY_AFTER_SECONDS: u64 = 5;
/// The parameter by which the platform restricts its questions to a tenant.
const TENANT: &str = "tenant";

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(events::list_audit)
        .service(events::list_platform_audit)
        .service(export::export_audit)
        .service(export::export_platform_audit)
        .service(verify::verify_audit)
        .service(verify::verify_platform_audit)
        .service(seals::list_seals)
        .service(seals::seal_ledger);
}

/// Where auditors are served, a bounded number of them at a time.
pub(super) struct Desk {
    audit: Audit,
    sealer: Sealer,
    signer: Option<Arc<dyn Signer>>,
    verifications: Arc<Semaphore>,
    exports: Arc<Semaphore>,
    /// Whose threads verify: it would keep others waiting on the thread of whoever asks.
    runtime: Handle,
}

impl Desk {
    /// Must be called within the runtime that is to verify.
    pub(super) fn new(audit: Audit, sealer: Sealer, signer: Option<Arc<dyn Signer>>) -> Self {
        Self {
            audit,
            sealer,
            signer,
            verifications: Arc::new(Semaphore::new(VERIFICATIONS_MAX)),
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
            runtime: Handle::current(),
        }
    }

    /// Verifies a tenant's events, or all of them. Fails with 429 while too many do.
    async fn verify(
        &self,
        tenant: Option<TenantId>,
        mark: Option<SealMark>,
    ) -> Result<Verdict, Problem> {
        let _permit = self.begin_verification()?;
        let audit = self.audit.clone();
        let work = async move {
            match tenant {
                Some(tenant) => audit.verify_tenant(&tenant).await,
                None => audit.verify(mark, &|_, _| {}).await,
            }
        };
        let ended = AbortOnDropHandle::new(self.runtime.spawn(work)).await;
        Ok(ended.map_err(|_| Problem::internal())??)
    }

    /// The right to verify, for as long as it is held. Fails with 429.
    fn begin_verification(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let permit = self.verifications.clone().try_acquire_owned();
        permit.map_err(|_| Problem::busy("two verifications run already", RETRY_AFTER_SECONDS))
    }

    /// The right to export, for as long as it is held. Fails with 429.
    fn begin_export(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let permit = self.exports.clone().try_acquire_owned();
        permit.map_err(|_| Problem::busy("eight exports run already", RETRY_AFTER_SECONDS))
    }
}

/// The tenant to which the platform restricts its question, if it does. Fails with 404 if there is none
/// of this id.
async fn asked_tenant(call: &Call, query: &Query<'_>) -> Result<Option<TenantId>, Problem> {
    match query.text(TENANT) {
        Some(id) => Ok(Some(call.api().auth.known_tenant(id).await?)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{metrics::Metrics, store::Store};

    #[tokio::test]
    async fn a_bounded_number_is_served_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.db");
        let store = Store::open_sqlite(&path, Arc::new(Metrics::new()));
        let store = store.await.unwrap();
        let desk = Desk::new(store.audit(), store.sealer(), None);
        let begin: [(usize, &dyn Fn() -> _); 2] = [
            (VERIFICATIONS_MAX, &|| desk.begin_verification()),
            (EXPORTS_MAX, &|| desk.begin_export()),
        ];
        for (max, begin) in begin {
            let mut held: Vec<_> = (0..max).map(|_| begin().unwrap()).collect();
            let refused = begin().unwrap_err();
            assert_eq!((refused.status.as_u16(), refused.code), (429, "busy"));
            held.pop();
            assert!(begin().is_ok(), "one has ended");
        }
    }
}
