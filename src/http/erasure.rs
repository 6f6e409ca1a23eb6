//! Erasing the bodies of messages and answers, one by one.

use actix_web::{HttpResponse, delete};
use hookledger_domain::permission::Permission;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    call::Call,
    openapi::{ActingFor, AttemptPath, Commanded, Denied, MessagePath, OfTenant},
    problem::Problem,
};

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(erase_message_body)
        .service(erase_response_body);
}

/// Erase a message's body
///
/// At once and for good. The message itself stays, with the size and the SHA-256 of its body. While it
/// is still to be sent to somebody this is 409, `deliveries_pending`. What is erased already is
/// answered the same.
#[utoipa::path(
    tag = "Messages",
    params(ActingFor, MessagePath),
    responses(Denied, OfTenant, Commanded, (status = 204, description = "It is erased."))
)]
#[delete("/api/events/{id}/body")]
async fn erase_message_body(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::WebhooksWrite).await?;
    call.no_query()?;
    let (id, origin) = (call.id("message")?, call.origin(&caller));
    call.api()
        .tenants
        .erase_message_body(&caller.tenant, id, origin)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Erase the body of an answer
///
/// At once and for good, whatever becomes of the delivery. The attempt itself stays. What is erased
/// already is answered the same.
#[utoipa::path(
    tag = "Deliveries",
    params(ActingFor, AttemptPath),
    responses(Denied, OfTenant, Commanded, (status = 204, description = "It is erased."))
)]
#[delete("/api/admin/logs/{id}/body")]
async fn erase_response_body(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::WebhooksWrite).await?;
    call.no_query()?;
    let (id, origin) = (call.id("attempt")?, call.origin(&caller));
    call.api()
        .tenants
        .erase_response_body(&caller.tenant, id, origin)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
