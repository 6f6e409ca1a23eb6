//! The events of the ledger, all that are meant, one on a line.

use actix_web::{
    HttpResponse, get,
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    web::Bytes,
};
use futures_util::stream::{self, StreamExt};
use hookledger_domain::permission::Permission;
use hookledger_projections::query::{LIMIT_MAX, Page};

use super::{
    TENANT, asked_tenant,
    filter::{EntryView, FILTERS, INCLUDE, filter, with_origin},
    turns::Turn,
};
use crate::{
    http::{
        call::Call,
        openapi::{
            ActingFor, Between, Denied, EventFilter, ForTenant, Including, Limited, OfPlatform,
            OfTenant,
        },
        problem::Problem,
    },
    store::{self, Audit, Error},
};

/// One JSON text on a line (<https://github.com/ndjson/ndjson-spec>).
const MEDIA_TYPE: &str = "application/x-ndjson";

/// The tenant's events as a file
///
/// All events that are meant, as in the list, one JSON object on a line, newest first. What is appended
/// meanwhile is not in it. If the server cannot go on, it breaks the connection off: an answer with an end
/// is whole.
#[utoipa::path(
    tag = "Audit",
    params(ActingFor, EventFilter, Between, Including),
    responses(
        Denied, OfTenant, Limited,
        (status = 200, description = "The events.", body = String, content_type = "application/x-ndjson"),
    )
)]
#[get("/api/admin/audit/export")]
pub(super) async fn export_audit(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::AuditRead).await?;
    let query = call.query(&[&FILTERS, &[INCLUDE]])?;
    let filter = filter(&query, Some(caller.tenant.clone()))?;
    export(&call, filter, with_origin(&query)?).await
}

/// The events of all tenants as a file
///
/// As for a tenant, over all.
#[utoipa::path(
    tag = "Audit",
    params(ForTenant, EventFilter, Between, Including),
    responses(
        Denied, OfPlatform, OfTenant, Limited,
        (status = 200, description = "The events.", body = String, content_type = "application/x-ndjson"),
    )
)]
#[get("/api/platform/audit/export")]
pub(super) async fn export_platform_audit(call: Call) -> Result<HttpResponse, Problem> {
    call.platform().await?;
    let query = call.query(&[&FILTERS, &[INCLUDE, TENANT]])?;
    let filter = filter(&query, asked_tenant(&call, &query).await?)?;
    export(&call, filter, with_origin(&query)?).await
}

/// What is exported, page by page: so it needs no more memory the longer it gets.
struct Export {
    audit: Audit,
    filter: store::EventFilter,
    with_origin: bool,
    _turn: Turn,
}

/// The lines of a page, and where the next one begins.
type Lines = (Bytes, Option<u64>);

impl Export {
    async fn page(&self, mut after: Option<u64>) -> Result<Lines, Problem> {
        loop {
            let page = Page {
                limit: LIMIT_MAX,
                after,
            };
            let found = self.audit.events(&self.filter, page).await?;
            if !found.rows.is_empty() || found.next.is_none() {
                let mut lines = Vec::new();
                for event in found.rows {
                    let entry = EntryView::new(event, self.with_origin)?;
                    serde_json::to_writer(&mut lines, &entry).map_err(Error::from)?;
                    lines.push(b'\n');
                }
                return Ok((Bytes::from(lines), found.next));
            }
            after = found.next;
        }
    }
}

/// The answer begins when the first page is there, so that what can be refused is.
async fn export(
    call: &Call,
    filter: store::EventFilter,
    with_origin: bool,
) -> Result<HttpResponse, Problem> {
    let desk = &call.api().desk;
    let export = Export {
        audit: desk.audit.clone(),
        _turn: desk.begin_export(filter.tenant.as_ref())?,
        filter,
        with_origin,
    };
    let (first, next) = export.page(None).await?;
    let rest = stream::try_unfold((export, next), async |(export, next)| {
        let Some(after) = next else {
            return Ok::<_, Problem>(None);
        };
        let (lines, next) = export.page(Some(after)).await?;
        Ok(Some((lines, (export, next))))
    });
    let lines = stream::iter([Ok(first)]).chain(rest);
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, MEDIA_TYPE))
        .insert_header((
            CONTENT_DISPOSITION,
            "attachment; filename=\"hookledger-audit.ndjson\"",
        ))
        .streaming(lines))
}
