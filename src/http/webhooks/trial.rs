//! Trying a webhook out.

use actix_web::{HttpResponse, post};
use hookledger_domain::{ids::DeliveryId, permission::Permission};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::http::{
    call::Call,
    fields::{self, Body, Fields},
    openapi::{
        ActingFor, Commanded, DeliveryIdText, Denied, OfTenant, Publishing, TopicText, WebhookPath,
        WithBody,
    },
    problem::Problem,
};

/// What to send as a test.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
struct Trial {
    /// The topic; default: `webhook.test`. The webhook need not subscribe to it.
    #[schema(value_type = Option<TopicText>)]
    event: Option<String>,
    /// What to tell; default: a greeting.
    #[schema(value_type = Option<Object>)]
    data: Option<Box<RawValue>>,
}

impl Body for Trial {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            event: fields.nullable("event", fields::text).flatten(),
            data: fields.nullable("data", fields::object).flatten(),
        })
    }
}

/// The delivery that was made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Tried {
    /// Its id; what came of it stands there.
    #[schema(value_type = DeliveryIdText)]
    delivery_id: DeliveryId,
}

/// Try a webhook out
///
/// One attempt, to this webhook only, also when it is inactive.
#[utoipa::path(
    tag = "Webhooks",
    params(ActingFor, WebhookPath),
    request_body(content = Option<Trial>, content_type = "application/json"),
    responses(
        Denied, OfTenant, WithBody, Commanded, Publishing,
        (status = 202, description = "It will be sent at once.", body = Tried),
    )
)]
#[post("/api/admin/webhooks/{id}/test")]
pub(super) async fn test_webhook(mut call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::DeliveriesRedeliver).await?;
    call.no_query()?;
    let id = call.id("webhook")?;
    let trial: Trial = call.optional_body().await?;
    let origin = call.origin(&caller);
    let delivery_id = call
        .api()
        .tenants
        .test_webhook(&caller.tenant, id, trial.event, trial.data, origin)
        .await?;
    Ok(HttpResponse::Accepted().json(Tried { delivery_id }))
}
