//! The platform's customers.

use actix_web::{HttpResponse, get, http::header::LOCATION, patch, post};
use hookledger_domain::tenant::{InvalidTenantId, TenantId};
use hookledger_projections::rows::TenantRow;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    call::Call,
    fields::{self, Body, Errors, Fields},
    openapi::{Commanded, Denied, OfPlatform, OfTenant, Paging, TenantPath, WithBody},
    pages::{List, list},
    problem::Problem,
    query::PAGING,
};

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(create_tenant)
        .service(list_tenants)
        .service(get_tenant)
        .service(change_tenant);
}

/// A customer of the platform.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
#[serde(deny_unknown_fields)]
struct TenantView {
    /// Its id.
    #[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9_-]{0,62}$", example = "acme")]
    id: TenantId,
    /// Its name, for people.
    #[schema(example = "Acme")]
    name: String,
    /// Its customer id at Stripe.
    #[schema(required = true)]
    stripe_customer_id: Option<String>,
    /// Publishing is refused and nothing is sent; nothing is lost.
    is_suspended: bool,
}

impl From<TenantRow> for TenantView {
    fn from(row: TenantRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            stripe_customer_id: row.stripe_customer_id,
            is_suspended: row.is_suspended,
        }
    }
}

/// A tenant to register.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTenant {
    /// Its id, for good.
    #[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9_-]{0,62}$", example = "acme")]
    id: TenantId,
    /// Its name, for people.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
        example = "Acme"
    )]
    name: String,
}

impl Body for NewTenant {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let id = fields.required("id", tenant_id);
        let name = fields.required("name", fields::text);
        Some(Self {
            id: id?,
            name: name?,
        })
    }
}

/// What to change about a tenant; what is left out stays.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
struct TenantChanges {
    /// Its name, for people.
    #[schema(
        nullable = false,
        min_length = 1,
        max_length = 200,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"
    )]
    name: Option<String>,
    /// Its customer id at Stripe; `null` removes it.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    stripe_customer_id: Option<Option<String>>,
    /// Refuse publishing and send nothing, or end that.
    #[schema(nullable = false)]
    is_suspended: Option<bool>,
}

impl Body for TenantChanges {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            name: fields.optional("name", fields::text),
            stripe_customer_id: fields.nullable("stripe_customer_id", fields::text),
            is_suspended: fields.optional("is_suspended", fields::boolean),
        })
    }
}

/// Register a tenant
#[utoipa::path(
    tag = "Platform",
    request_body = NewTenant,
    responses(
        Denied, WithBody, Commanded,
        (status = 201, description = "It is registered.", body = TenantView,
            headers(("Location" = String, description = "Where it is"))),
    )
)]
#[post("/api/platform/tenants")]
async fn create_tenant(mut call: Call) -> Result<HttpResponse, Problem> {
    call.platform().await?;
    call.no_query()?;
    let new: NewTenant = call.body().await?;
    let origin = call.platform_origin(Some(new.id.clone()));
    let row = call
        .api()
        .tenants
        .register_tenant(new.id, new.name, origin)
        .await?;
    let location = format!("/api/platform/tenants/{}", row.id);
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, location))
        .json(TenantView::from(row)))
}

/// The tenants
///
/// By descending id: ids are the platform's own and know no time.
#[utoipa::path(
    tag = "Platform",
    params(Paging),
    responses(
        Denied, OfPlatform,
        (status = 200, description = "A page of tenants.", body = List<TenantView>),
    )
)]
#[get("/api/platform/tenants")]
async fn list_tenants(call: Call) -> Result<HttpResponse, Problem> {
    call.platform().await?;
    let page = call.query(&[&PAGING])?.page()?;
    let rows = call.api().views.tenants(page).await?;
    Ok(list(rows, TenantView::from))
}

/// A tenant
#[utoipa::path(
    tag = "Platform",
    params(TenantPath),
    responses(
        Denied, OfPlatform, OfTenant,
        (status = 200, description = "The tenant.", body = TenantView),
    )
)]
#[get("/api/platform/tenants/{tenant}")]
async fn get_tenant(call: Call) -> Result<HttpResponse, Problem> {
    call.platform().await?;
    call.no_query()?;
    let unknown = || Problem::not_found("tenant");
    let id: TenantId = call.path("tenant").parse().map_err(|_| unknown())?;
    let row = call.api().views.tenant(&id).await?.ok_or_else(unknown)?;
    Ok(HttpResponse::Ok().json(TenantView::from(row)))
}

/// Change, suspend or resume a tenant
#[utoipa::path(
    tag = "Platform",
    params(TenantPath),
    request_body = TenantChanges,
    responses(
        Denied, OfTenant, WithBody, Commanded,
        (status = 200, description = "The tenant as it is now.", body = TenantView),
    )
)]
#[patch("/api/platform/tenants/{tenant}")]
async fn change_tenant(mut call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.platform_on_tenant().await?;
    call.no_query()?;
    let changes: TenantChanges = call.body().await?;
    let row = call
        .api()
        .tenants
        .change_tenant(
            &caller.tenant,
            changes.name,
            changes.stripe_customer_id,
            changes.is_suspended,
            call.origin(&caller),
        )
        .await?;
    Ok(HttpResponse::Ok().json(TenantView::from(row)))
}

pub(super) fn tenant_id(field: &str, value: &RawValue, errors: &mut Errors) -> Option<TenantId> {
    let id = fields::text(field, value, errors)?.parse();
    id.map_err(|error: InvalidTenantId| errors.push(field, "invalid_value", error.to_string()))
        .ok()
}
