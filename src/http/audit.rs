//! The ledger as auditors read it: its events, whether they are those that were written, and seals.

use std::sync::Arc;

use hookledger_domain::tenant::TenantId;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use utoipa_actix_web::service_config::ServiceConfig;

use self::turns::{Turn, Turns};
use super::{call::Call, problem::Problem, query::Query};
use crate::store::{Audit, SealMark, Sealer, Signer, Verdict};

pub(super) mod event;
mod events;
mod export;
mod filter;
mod seals;
mod turns;
mod verify;

/// So many verifications may run at a time in a process: each reads a part of the ledger or all of it.
const VERIFICATIONS_MAX: usize = 3;
/// So many of them of one tenant.
const VERIFICATIONS_OF_ONE_MAX: usize = 1;
/// So many exports may run at a time in a process.
const EXPORTS_MAX: usize = 8;
/// So many of them of one tenant.
const EXPORTS_OF_ONE_MAX: usize = 2;
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
    verifications: Turns,
    exports: Turns,
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
            verifications: Turns::new(VERIFICATIONS_MAX, VERIFICATIONS_OF_ONE_MAX),
            exports: Turns::new(EXPORTS_MAX, EXPORTS_OF_ONE_MAX),
            runtime: Handle::current(),
        }
    }

    /// Verifies a tenant's events, or all of them. Fails with 429 while too many do.
    async fn verify(
        &self,
        tenant: Option<TenantId>,
        mark: Option<SealMark>,
    ) -> Result<Verdict, Problem> {
        let turn = self.verifications.take(tenant.as_ref());
        let _turn = turn.ok_or_else(|| {
            Problem::busy("as many verifications run as may", RETRY_AFTER_SECONDS)
        })?;
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

    /// A turn to export the events of a tenant, or all. Fails with 429 if none is free.
    fn begin_export(&self, tenant: Option<&TenantId>) -> Result<Turn, Problem> {
        let turn = self.exports.take(tenant);
        turn.ok_or_else(|| Problem::busy("as many exports run as may", RETRY_AFTER_SECONDS))
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
