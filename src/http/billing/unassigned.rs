//! Callbacks of which nobody knows whose they are: the platform sees them, and says it.

use actix_web::{HttpResponse, get, post};
use hookledger_domain::{clock::rfc3339, stripe::StripeId, tenant::TenantId};
use hookledger_projections::rows::UnassignedRow;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::http::{
    call::Call,
    fields::{Body, Fields},
    openapi::{CallbackPath, Commanded, Denied, OfPlatform, OfTenant, Paging, Time, WithBody},
    pages::{List, list},
    problem::Problem,
    query::PAGING,
    tenant::tenant_id,
};

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(list_unassigned).service(assign);
}

/// A callback of which nobody knows whose it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UnassignedCallback)]
#[serde(deny_unknown_fields)]
struct UnassignedView {
    /// The id of Stripe's event.
    #[schema(example = "evt_1NG8Du2eZvKYlo2CUI79vXWy")]
    id: String,
    /// What happened, in Stripe's words.
    #[schema(example = "invoice.paid")]
    r#type: String,
    /// `no_tenant_named`: it names no tenant, and nobody has its customer; `unknown_tenant`: it names one
    /// that there is not; `other_customer`: the tenant that it names has another customer;
    /// `several_tenants`: more than one tenant has its customer.
    #[schema(
        pattern = "^(no_tenant_named|unknown_tenant|other_customer|several_tenants)$",
        example = "no_tenant_named"
    )]
    reason: &'static str,
    /// The customer whom it is about.
    #[schema(required = true, example = "cus_NffrFeUfNV2Hib")]
    customer_id: Option<String>,
    /// The tenant that its metadata names.
    #[schema(required = true)]
    metadata_tenant_id: Option<String>,
    /// The tenant that the checkout session gives as `client_reference_id`; `null` also for what cannot be
    /// one.
    #[schema(required = true)]
    client_reference_id: Option<String>,
    /// It is about money, not about a test; `null`: it does not say.
    #[schema(required = true)]
    livemode: Option<bool>,
    /// When it happened.
    #[schema(value_type = Time)]
    created_at: String,
    /// When it arrived.
    #[schema(value_type = Time)]
    received_at: String,
}

impl From<UnassignedRow> for UnassignedView {
    fn from(row: UnassignedRow) -> Self {
        Self {
            id: row.id.into(),
            r#type: row.kind,
            reason: row.reason.as_str(),
            customer_id: row.customer_id.map(String::from),
            metadata_tenant_id: row.metadata_tenant,
            client_reference_id: row.client_reference.map(String::from),
            livemode: row.livemode,
            created_at: rfc3339(row.created_at),
            received_at: rfc3339(row.received_at),
        }
    }
}

/// Whose a callback is.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
struct Assignment {
    /// The tenant that gets it.
    #[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9_-]{0,62}$", example = "acme")]
    tenant_id: TenantId,
}

impl Body for Assignment {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            tenant_id: fields.required("tenant_id", tenant_id)?,
        })
    }
}

/// What came of saying whose a callback is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Assigned {
    /// The tenant.
    #[schema(value_type = String, example = "acme")]
    tenant_id: TenantId,
    /// Its customer at Stripe from now on, if the callback names one.
    #[schema(required = true, example = "cus_NffrFeUfNV2Hib")]
    customer_id: Option<String>,
    /// How many callbacks it got: this one, and others of that customer that were waiting.
    #[schema(minimum = 1, example = 1)]
    callbacks: u64,
}

/// Callbacks without tenant
///
/// What Stripe told of which nobody knows whose it is, the newest first. Each waits until it is assigned, or
/// until a tenant has its customer.
#[utoipa::path(
    tag = "Platform",
    params(Paging),
    responses(
        Denied, OfPlatform,
        (status = 200, description = "A page of callbacks.", body = List<UnassignedView>),
    )
)]
#[get("/api/platform/billing/unassigned")]
async fn list_unassigned(call: Call) -> Result<HttpResponse, Problem> {
    call.platform().await?;
    let page = call.query(&[&PAGING])?.page()?;
    let rows = call.api().views.unassigned(page).await?;
    Ok(list(rows, UnassignedView::from))
}

/// Say whose a callback is
///
/// The tenant has the callback's customer from then on, instead of another one. It gets the callback's effect,
/// and that of all others of that customer that wait.
#[utoipa::path(
    tag = "Platform",
    params(CallbackPath),
    request_body = Assignment,
    responses(
        Denied, OfTenant, WithBody, Commanded,
        (status = 200, description = "It is that tenant's.", body = Assigned),
    )
)]
#[post("/api/platform/billing/unassigned/{id}/assign")]
async fn assign(mut call: Call) -> Result<HttpResponse, Problem> {
    call.platform().await?;
    let id: StripeId = call.id("callback")?;
    call.no_query()?;
    let assignment: Assignment = call.body().await?;
    let tenant_id = assignment.tenant_id;
    let origin = call.platform_origin(None);
    let assigned = call
        .api()
        .tenants
        .assign_callback(id, tenant_id.clone(), origin)
        .await?;
    Ok(HttpResponse::Ok().json(Assigned {
        tenant_id,
        customer_id: assigned.customer_id.map(String::from),
        callbacks: assigned.callbacks,
    }))
}
