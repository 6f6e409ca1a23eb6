//! Whether the ledger is as it was written.

use actix_web::{HttpResponse, get};
use hookledger_domain::permission::Permission;
use serde::Serialize;
use utoipa::ToSchema;

use super::{TENANT, asked_tenant};
use crate::{
    http::{
        call::Call,
        openapi::{ActingFor, Denied, ForTenant, KeptSeal, Limited, OfPlatform, OfTenant},
        problem::Problem,
    },
    store::{SealMark, Verdict},
};

/// The parameter with a seal that was kept elsewhere.
const SEAL: &str = "seal";

/// What checking has shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Verdict)]
#[serde(untagged)]
enum VerdictView {
    Intact(IntactView),
    Broken(BrokenView),
}

/// Nothing was changed, removed or put in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Intact)]
#[serde(deny_unknown_fields)]
struct IntactView {
    /// Always `true`.
    #[schema(example = true)]
    intact: bool,
    /// So many events were checked.
    events: u64,
    /// What stands for all of them: note it elsewhere, and compare it later.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    head: String,
}

/// Something was.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Broken)]
#[serde(deny_unknown_fields)]
struct BrokenView {
    /// Always `false`.
    #[schema(example = false)]
    intact: bool,
    /// Everything before this position is as it was written.
    first_bad_position: u64,
    /// What is wrong there, for people.
    reason: String,
}

impl From<Verdict> for VerdictView {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Intact { events, head, .. } => Self::Intact(IntactView {
                intact: true,
                events,
                head: head.to_string(),
            }),
            Verdict::Broken {
                first_bad_position,
                reason,
            } => {
                let reason = reason.to_string();
                tracing::error!(
                    first_bad_position,
                    reason,
                    "the ledger is not as it was written"
                );
                Self::Broken(BrokenView {
                    intact: false,
                    first_bad_position,
                    reason,
                })
            }
        }
    }
}

/// Whether the tenant's events are those that were written
///
/// Reads all of them, which takes a while with many. One of a tenant may be under way in a process at a
/// time, and two of all tenants.
#[utoipa::path(
    tag = "Audit",
    params(ActingFor),
    responses(
        Denied, OfTenant, Limited,
        (status = 200, description = "They were checked; `intact` says how they are.", body = VerdictView),
    )
)]
#[get("/api/admin/audit/verify")]
pub(super) async fn verify_audit(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::AuditRead).await?;
    call.no_query()?;
    let verdict = call.api().desk.verify(Some(caller.tenant), None).await?;
    Ok(HttpResponse::Ok().json(VerdictView::from(verdict)))
}

/// Whether the ledger is the one that was written
///
/// Reads all events, or those of a tenant. With `seal` the ledger must be the one that was sealed so. Three
/// verifications may be under way in a process at a time.
#[utoipa::path(
    tag = "Audit",
    params(ForTenant, KeptSeal),
    responses(
        Denied, OfPlatform, OfTenant, Limited,
        (status = 200, description = "It was checked; `intact` says how it is.", body = VerdictView),
    )
)]
#[get("/api/platform/audit/verify")]
pub(super) async fn verify_platform_audit(call: Call) -> Result<HttpResponse, Problem> {
    call.platform().await?;
    let query = call.query(&[&[TENANT, SEAL]])?;
    let mark: Option<SealMark> = query.parsed(SEAL, "must be NUMBER.POSITION.HASH of a seal")?;
    if mark.is_some() && query.text(TENANT).is_some() {
        return Err(Problem::parameter(
            SEAL,
            "cannot be given together with tenant",
        ));
    }
    let tenant = asked_tenant(&call, &query).await?;
    let verdict = call.api().desk.verify(tenant, mark).await?;
    Ok(HttpResponse::Ok().json(VerdictView::from(verdict)))
}
