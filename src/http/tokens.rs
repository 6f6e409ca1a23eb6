//! API tokens of a tenant, managed by itself or by the platform.

use actix_web::{
    HttpResponse, delete, get,
    http::header::{CACHE_CONTROL, HeaderValue},
    post,
};
use chrono::{DateTime, Utc};
use hookledger_domain::{
    clock::rfc3339,
    ids::TokenId,
    permission::{Permission, Role},
};
use hookledger_projections::rows::TokenRow;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    call::{Call, Caller},
    fields::{self, Body, Fields},
    openapi::{
        ActingFor, Commanded, Denied, OfTenant, Paging, TenantPath, Time, TokenIdText, TokenPath,
        WithBody,
    },
    pages::{List, list},
    problem::Problem,
    query::PAGING,
};

/// What an answer with a secret tells caches.
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(list_tokens)
        .service(issue_token)
        .service(revoke_token)
        .service(list_tenant_tokens)
        .service(issue_tenant_token)
        .service(revoke_tenant_token);
}

/// A live API token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
struct TokenView {
    /// Its id.
    #[schema(value_type = TokenIdText)]
    id: TokenId,
    /// Its name, for people.
    #[schema(example = "ci")]
    name: String,
    /// What it may do.
    #[schema(value_type = RoleWord)]
    role: Role,
    /// From when on it is refused.
    #[schema(value_type = Option<Time>, required = true)]
    expires_at: Option<String>,
}

/// An API token that was just issued.
#[derive(Debug, Serialize, ToSchema)]
struct IssuedToken {
    #[serde(flatten)]
    view: TokenView,
    /// The whole token; it is never shown again.
    #[schema(pattern = "^hlk_[0-9a-f]{32}_.+$")]
    token: String,
}

/// What a token may do.
#[derive(ToSchema)]
#[schema(as = Role, rename_all = "snake_case")]
#[expect(
    dead_code,
    reason = "describes the domain's Role, which knows no OpenAPI"
)]
enum RoleWord {
    Admin,
    Operator,
    Viewer,
    Publisher,
}

impl From<TokenRow> for TokenView {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            role: row.role,
            expires_at: row.expires_at.map(rfc3339),
        }
    }
}

/// A token to issue.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// Its name, for people.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
        example = "ci"
    )]
    name: String,
    /// What it may do.
    #[schema(value_type = RoleWord)]
    role: Role,
    /// From when on it is refused, in the future; default: never.
    #[schema(value_type = Option<Time>)]
    expires_at: Option<DateTime<Utc>>,
}

impl Body for NewToken {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let name = fields.required("name", fields::text);
        let role = fields.required("role", fields::role);
        let expires_at = fields.nullable("expires_at", fields::time).flatten();
        Some(Self {
            name: name?,
            role: role?,
            expires_at,
        })
    }
}

/// The tenant's live API tokens
#[utoipa::path(
    tag = "Tokens",
    params(ActingFor, Paging),
    responses(
        Denied, OfTenant,
        (status = 200, description = "A page of tokens.", body = List<TokenView>),
    )
)]
#[get("/api/admin/tokens")]
async fn list_tokens(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::TokensManage).await?;
    list_of(&call, &caller).await
}

/// Issue an API token
///
/// The answer is the only place where the token itself stands.
#[utoipa::path(
    tag = "Tokens",
    params(ActingFor),
    request_body = NewToken,
    responses(
        Denied, OfTenant, WithBody, Commanded,
        (status = 201, description = "It is issued.", body = IssuedToken),
    )
)]
#[post("/api/admin/tokens")]
async fn issue_token(mut call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::TokensManage).await?;
    issue(&mut call, &caller).await
}

/// Revoke an API token
///
/// It is refused within a second.
#[utoipa::path(
    tag = "Tokens",
    params(ActingFor, TokenPath),
    responses(Denied, OfTenant, Commanded, (status = 204, description = "It is revoked."))
)]
#[delete("/api/admin/tokens/{id}")]
async fn revoke_token(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::TokensManage).await?;
    revoke(&call, &caller).await
}

/// A tenant's live API tokens
#[utoipa::path(
    tag = "Platform",
    params(TenantPath, Paging),
    responses(
        Denied, OfTenant,
        (status = 200, description = "A page of tokens.", body = List<TokenView>),
    )
)]
#[get("/api/platform/tenants/{tenant}/tokens")]
async fn list_tenant_tokens(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.platform_on_tenant().await?;
    list_of(&call, &caller).await
}

/// Issue an API token for a tenant
///
/// The answer is the only place where the token itself stands.
#[utoipa::path(
    tag = "Platform",
    params(TenantPath),
    request_body = NewToken,
    responses(
        Denied, OfTenant, WithBody, Commanded,
        (status = 201, description = "It is issued.", body = IssuedToken),
    )
)]
#[post("/api/platform/tenants/{tenant}/tokens")]
async fn issue_tenant_token(mut call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.platform_on_tenant().await?;
    issue(&mut call, &caller).await
}

/// Revoke a tenant's API token
///
/// It is refused within a second.
#[utoipa::path(
    tag = "Platform",
    params(TenantPath, TokenPath),
    responses(Denied, OfTenant, Commanded, (status = 204, description = "It is revoked."))
)]
#[delete("/api/platform/tenants/{tenant}/tokens/{id}")]
async fn revoke_tenant_token(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.platform_on_tenant().await?;
    revoke(&call, &caller).await
}

async fn list_of(call: &Call, caller: &Caller) -> Result<HttpResponse, Problem> {
    let page = call.query(&[&PAGING])?.page()?;
    let rows = call.api().views.tokens(&caller.tenant, page).await?;
    Ok(list(rows, TokenView::from))
}

async fn issue(call: &mut Call, caller: &Caller) -> Result<HttpResponse, Problem> {
    call.no_query()?;
    let new: NewToken = call.body().await?;
    let origin = call.origin(caller);
    let (row, token) = call
        .api()
        .tenants
        .issue_token(&caller.tenant, new.name, new.role, new.expires_at, origin)
        .await?;
    Ok(HttpResponse::Created()
        .insert_header((CACHE_CONTROL, NO_STORE))
        .json(IssuedToken {
            view: TokenView::from(row),
            token,
        }))
}

async fn revoke(call: &Call, caller: &Caller) -> Result<HttpResponse, Problem> {
    call.no_query()?;
    let id = call.id("token")?;
    call.api()
        .tenants
        .revoke_token(&caller.tenant, id, call.origin(caller))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
