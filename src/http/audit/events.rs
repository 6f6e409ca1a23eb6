//! The events of the ledger, page by page.

use actix_web::{HttpResponse, get};
use hookledger_domain::permission::Permission;
use hookledger_projections::query::Rows;

use super::{
    TENANT, asked_tenant,
    filter::{EntryView, FILTERS, INCLUDE, filter, with_origin},
};
use crate::{
    http::{
        call::Call,
        openapi::{
            ActingFor, Between, Denied, EventFilter, ForTenant, Including, OfPlatform, OfTenant,
            Paging,
        },
        pages::{List, list},
        problem::Problem,
        query::{PAGING, Query},
    },
    store::{self, Error},
};

/// The tenant's events
///
/// Everything that happened in the tenant, newest first. Where few of very many events are meant, a page may
/// have fewer rows than `limit`, or none, and still a `next_cursor`: go on until it is `null`.
#[utoipa::path(
    tag = "Audit",
    params(ActingFor, EventFilter, Between, Including, Paging),
    responses(
        Denied, OfTenant,
        (status = 200, description = "A page of events.", body = List<EntryView>),
    )
)]
#[get("/api/admin/audit")]
pub(super) async fn list_audit(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::AuditRead).await?;
    let query = call.query(&[&PAGING, &FILTERS, &[INCLUDE]])?;
    let filter = filter(&query, Some(caller.tenant.clone()))?;
    page(&call, &query, &filter).await
}

/// The events of all tenants
///
/// Those of the platform, which belong to no tenant, too. Otherwise as for a tenant.
#[utoipa::path(
    tag = "Audit",
    params(ForTenant, EventFilter, Between, Including, Paging),
    responses(
        Denied, OfPlatform, OfTenant,
        (status = 200, description = "A page of events.", body = List<EntryView>),
    )
)]
#[get("/api/platform/audit")]
pub(super) async fn list_platform_audit(call: Call) -> Result<HttpResponse, Problem> {
    call.platform().await?;
    let query = call.query(&[&PAGING, &FILTERS, &[INCLUDE, TENANT]])?;
    let filter = filter(&query, asked_tenant(&call, &query).await?)?;
    page(&call, &query, &filter).await
}

async fn page(
    call: &Call,
    query: &Query<'_>,
    filter: &store::EventFilter,
) -> Result<HttpResponse, Problem> {
    let (page, with_origin) = (query.page()?, with_origin(query)?);
    let Rows { rows, next } = call.api().desk.audit.events(filter, page).await?;
    let rows = rows
        .into_iter()
        .map(|event| EntryView::new(event, with_origin))
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(list(Rows { rows, next }, |shown| shown))
}
