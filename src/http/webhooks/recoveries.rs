//! Sending the deliveries of a stretch of time again, as work in the background.

use actix_web::{HttpResponse, get, http::header::LOCATION, post};
use chrono::{DateTime, Utc};
use hookledger_domain::{
    clock::rfc3339,
    ids::{RecoveryId, WebhookId},
    permission::Permission,
    recovery::Selection,
    tenant::TenantId,
};
use hookledger_projections::rows::RecoveryRow;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    http::{
        call::Call,
        fields::{self, Body, Errors, Fields},
        openapi::{
            ActingFor, Commanded, Denied, OfTenant, Paging, RecoveryIdText, RecoveryPath, Time,
            WebhookIdText, WebhookPath, WithBody,
        },
        pages::{List, list},
        problem::Problem,
        query::PAGING,
    },
    tenants::Recover,
};

/// Which deliveries are to be sent again.
#[derive(Debug, ToSchema)]
#[schema(as = Recovering)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Those that were made at this time or later.
    #[schema(value_type = Time)]
    from: DateTime<Utc>,
    /// And before this one; default: now.
    #[schema(value_type = Option<Time>, nullable = false)]
    to: Option<DateTime<Utc>>,
    /// `exhausted` (default): those whose attempts are spent; `any`: all but tests.
    #[schema(value_type = Option<String>, nullable = false, pattern = "^(exhausted|any)$")]
    status: Option<Selection>,
    /// Only count them; default: false.
    #[schema(nullable = false)]
    dry_run: Option<bool>,
}

impl Body for Request {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let from = fields.required("from", fields::time);
        let to = fields.optional("to", fields::time);
        let status = fields.optional("status", selection);
        let dry_run = fields.optional("dry_run", fields::boolean);
        Some(Self {
            from: from?,
            to,
            status,
            dry_run,
        })
    }
}

fn selection(field: &str, value: &RawValue, errors: &mut Errors) -> Option<Selection> {
    let text = fields::text(field, value, errors)?;
    let found = Selection::ALL
        .into_iter()
        .find(|selection| selection.as_str() == text);
    if found.is_none() {
        errors.push(field, "invalid_value", "must be exhausted or any");
    }
    found
}

/// How many deliveries are meant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Matched {
    /// So many.
    matched: u64,
}

/// Deliveries that are sent again, and how far that is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Recovery)]
#[serde(deny_unknown_fields)]
struct RecoveryView {
    /// Its id.
    #[schema(value_type = RecoveryIdText)]
    id: RecoveryId,
    /// The webhook.
    #[schema(value_type = WebhookIdText)]
    webhook_id: WebhookId,
    /// Deliveries that were made at this time or later.
    #[schema(value_type = Time)]
    from: String,
    /// And before this one.
    #[schema(value_type = Time)]
    to: String,
    /// Which of them: `exhausted`, `any`.
    #[schema(pattern = "^(exhausted|any)$")]
    status: &'static str,
    /// Where it stands.
    #[schema(pattern = "^(running|completed|cancelled)$", example = "running")]
    state: &'static str,
    /// How many deliveries there were when it was asked for.
    matched: u64,
    /// How many of them are sent again so far. In the end there may be fewer than matched: those that
    /// have succeeded meanwhile are not, nor those that another recovery has sent.
    requested: u64,
    /// When it was asked for.
    #[schema(value_type = Time)]
    created_at: String,
    /// When it ended.
    #[schema(value_type = Option<Time>, required = true)]
    completed_at: Option<String>,
}

impl From<RecoveryRow> for RecoveryView {
    fn from(row: RecoveryRow) -> Self {
        Self {
            id: row.id,
            webhook_id: row.webhook_id,
            from: rfc3339(row.from),
            to: rfc3339(row.to),
            status: row.selection.as_str(),
            state: row.state.as_str(),
            matched: row.matched,
            requested: row.requested,
            created_at: rfc3339(row.id.time()),
            completed_at: row.completed_at.map(rfc3339),
        }
    }
}

/// Send the deliveries of a stretch of time again
///
/// Each of them once, as work in the background: `Location` names the recovery, which shows how far
/// it is. Of two recoveries that are asked for at the same time each delivery is sent once.
#[utoipa::path(
    tag = "Webhooks",
    params(ActingFor, WebhookPath),
    request_body(content = Request, content_type = "application/json"),
    responses(
        Denied, OfTenant, WithBody, Commanded,
        (status = 202, description = "They will be sent again.", body = Matched,
         headers(("Location" = String, description = "The recovery; absent if nothing is sent"))),
    )
)]
#[post("/api/admin/webhooks/{id}/recover")]
pub(super) async fn recover(mut call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::DeliveriesRedeliver).await?;
    call.no_query()?;
    let webhook: WebhookId = call.id("webhook")?;
    let request: Request = call.body().await?;
    let recover = Recover {
        from: request.from,
        to: request.to,
        selection: request.status.unwrap_or_default(),
        is_dry_run: request.dry_run.unwrap_or_default(),
    };
    let origin = call.origin(&caller);
    let tenants = &call.api().tenants;
    let (matched, recovery) = tenants
        .recover(&caller.tenant, webhook, recover, origin)
        .await?;
    let mut response = HttpResponse::Accepted();
    if let Some(id) = recovery {
        let place = format!("/api/admin/webhooks/{webhook}/recoveries/{id}");
        response.insert_header((LOCATION, place));
    }
    Ok(response.json(Matched { matched }))
}

/// The recoveries of a webhook
///
/// Newest first.
#[utoipa::path(
    tag = "Webhooks",
    params(ActingFor, WebhookPath, Paging),
    responses(
        Denied, OfTenant,
        (status = 200, description = "A page of recoveries.", body = List<RecoveryView>),
    )
)]
#[get("/api/admin/webhooks/{id}/recoveries")]
pub(super) async fn list_recoveries(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::DeliveriesRead).await?;
    let page = call.query(&[&PAGING])?.page()?;
    let webhook = call.id("webhook")?;
    let views = &call.api().views;
    if views.webhook(&caller.tenant, webhook).await?.is_none() {
        return Err(Problem::not_found("webhook"));
    }
    let rows = views.recoveries(&caller.tenant, webhook, page).await?;
    Ok(list(rows, RecoveryView::from))
}

/// A recovery
///
/// And how far it is.
#[utoipa::path(
    tag = "Webhooks",
    params(ActingFor, WebhookPath, RecoveryPath),
    responses(
        Denied, OfTenant,
        (status = 200, description = "The recovery.", body = RecoveryView),
    )
)]
#[get("/api/admin/webhooks/{id}/recoveries/{recovery_id}")]
pub(super) async fn get_recovery(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::DeliveriesRead).await?;
    call.no_query()?;
    let (webhook, id) = place(&call)?;
    Ok(HttpResponse::Ok().json(read(&call, &caller.tenant, webhook, id).await?))
}

/// Call a recovery off
///
/// What it has asked for already is sent all the same.
#[utoipa::path(
    tag = "Webhooks",
    params(ActingFor, WebhookPath, RecoveryPath),
    responses(
        Denied, OfTenant, Commanded,
        (status = 202, description = "The recovery as it is now.", body = RecoveryView),
    )
)]
#[post("/api/admin/webhooks/{id}/recoveries/{recovery_id}/cancel")]
pub(super) async fn cancel_recovery(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::DeliveriesRedeliver).await?;
    call.no_query()?;
    let (webhook, id) = place(&call)?;
    let origin = call.origin(&caller);
    let tenants = &call.api().tenants;
    tenants
        .cancel_recovery(&caller.tenant, webhook, id, origin)
        .await?;
    Ok(HttpResponse::Accepted().json(read(&call, &caller.tenant, webhook, id).await?))
}

fn place(call: &Call) -> Result<(WebhookId, RecoveryId), Problem> {
    let id = call.path("recovery_id").parse();
    let id = id.map_err(|_| Problem::not_found("recovery"))?;
    Ok((call.id("webhook")?, id))
}

async fn read(
    call: &Call,
    tenant: &TenantId,
    webhook: WebhookId,
    id: RecoveryId,
) -> Result<RecoveryView, Problem> {
    let row = call.api().views.recovery(tenant, id).await?;
    let row = row.filter(|row| row.webhook_id == webhook);
    let row = row.ok_or_else(|| Problem::not_found("recovery"))?;
    Ok(RecoveryView::from(row))
}
