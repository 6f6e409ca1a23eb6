//! Deliveries: one message to one webhook each.

use actix_web::{HttpResponse, get, post};
use hookledger_domain::{
    clock::rfc3339,
    delivery::{Status, attempt::Failure},
    ids::{DeliveryId, MessageId, WebhookId},
    permission::Permission,
    topic::Topic,
};
use hookledger_projections::{
    query::{AttemptFilter, DeliveryFilter, LIMIT_MAX, Page},
    rows::DeliveryRow,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    call::Call,
    logs::AttemptView,
    openapi::{
        self, ActingFor, Between, Commanded, DeliveryIdText, DeliveryPath, Denied, MessageIdText,
        OfTenant, OfWebhook, Paging, Time, TopicText, WebhookIdText,
    },
    pages::{List, list},
    problem::Problem,
    query::{PAGING, Query},
};

mod explain;

const FILTERS: [&str; 6] = ["webhook_id", "event", "status", "message_id", "from", "to"];

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(list_deliveries)
        .service(get_delivery)
        .service(explain::explain_delivery)
        .service(redeliver)
        .service(cancel_delivery);
}

/// A message to a webhook, and where it stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
struct DeliveryView {
    /// Its id, also the `X-Webhook-Delivery` that the receiver gets.
    #[schema(value_type = DeliveryIdText)]
    id: DeliveryId,
    /// The message.
    #[schema(value_type = MessageIdText)]
    message_id: MessageId,
    /// The webhook.
    #[schema(value_type = WebhookIdText)]
    webhook_id: WebhookId,
    /// The message's topic.
    #[schema(value_type = TopicText)]
    event: Topic,
    /// Where it stands.
    #[schema(
        pattern = "^(pending|succeeded|exhausted|cancelled)$",
        example = "succeeded"
    )]
    status: &'static str,
    /// How many attempts were made.
    attempts: u32,
    /// When it was made.
    #[schema(value_type = Time)]
    created_at: String,
    /// When the next attempt is due: while it is pending, and when it is to be sent again by hand.
    #[schema(value_type = Option<Time>, required = true)]
    next_attempt_at: Option<String>,
    /// When it ended.
    #[schema(value_type = Option<Time>, required = true)]
    completed_at: Option<String>,
    /// The status of the last answer, if the last attempt had one.
    #[schema(required = true)]
    last_response_status: Option<u16>,
    /// Why the last attempt failed, if it did.
    #[schema(required = true)]
    last_error: Option<FailureView>,
}

/// A delivery with its attempts.
#[derive(Debug, Serialize, ToSchema)]
struct DeliveryWithLog {
    #[serde(flatten)]
    delivery: DeliveryView,
    /// Its attempts, newest first, as in every list; the newest 200.
    log: Vec<AttemptView>,
}

/// Why an attempt failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Failure)]
#[serde(deny_unknown_fields)]
pub(super) struct FailureView {
    /// The stable code.
    #[schema(
        pattern = "^(timeout|dns|connect|tls|refused_target|connection_closed|invalid_response|http_status)$",
        example = "timeout"
    )]
    code: &'static str,
    /// More about it, for people.
    message: String,
}

impl From<Failure> for FailureView {
    fn from(failure: Failure) -> Self {
        Self {
            code: failure.code.as_str(),
            message: failure.message,
        }
    }
}

impl From<DeliveryRow> for DeliveryView {
    fn from(row: DeliveryRow) -> Self {
        Self {
            id: row.id,
            message_id: row.message_id,
            webhook_id: row.webhook_id,
            event: row.topic,
            status: row.status.as_str(),
            attempts: row.attempts,
            created_at: rfc3339(row.created_at),
            next_attempt_at: row.next_attempt_at.map(rfc3339),
            completed_at: row.completed_at.map(rfc3339),
            last_response_status: row.last_response_status,
            last_error: row.last_error.map(FailureView::from),
        }
    }
}

/// The deliveries
///
/// Newest first.
#[utoipa::path(
    tag = "Deliveries",
    params(ActingFor, OfWebhook, openapi::DeliveryFilter, Between, Paging),
    responses(
        Denied, OfTenant,
        (status = 200, description = "A page of deliveries.", body = List<DeliveryView>),
    )
)]
#[get("/api/admin/deliveries")]
async fn list_deliveries(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::DeliveriesRead).await?;
    let query = call.query(&[&PAGING, &FILTERS])?;
    let (filter, page) = (filter(&query)?, query.page()?);
    let rows = call
        .api()
        .views
        .deliveries(&caller.tenant, &filter, page)
        .await?;
    Ok(list(rows, DeliveryView::from))
}

/// A delivery with its attempts
#[utoipa::path(
    tag = "Deliveries",
    params(ActingFor, DeliveryPath),
    responses(
        Denied, OfTenant,
        (status = 200, description = "The delivery.", body = DeliveryWithLog),
    )
)]
#[get("/api/admin/deliveries/{id}")]
async fn get_delivery(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::DeliveriesRead).await?;
    call.no_query()?;
    let id = call.id("delivery")?;
    let views = &call.api().views;
    let row = views.delivery(&caller.tenant, id).await?;
    let row = row.ok_or_else(|| Problem::not_found("delivery"))?;
    let attempts = AttemptFilter {
        delivery_id: Some(id),
        ..AttemptFilter::default()
    };
    let page = Page {
        limit: LIMIT_MAX,
        after: None,
    };
    let attempts = views.attempts(&caller.tenant, &attempts, page).await?;
    Ok(HttpResponse::Ok().json(DeliveryWithLog {
        delivery: DeliveryView::from(row),
        log: attempts.rows.into_iter().map(AttemptView::from).collect(),
    }))
}

/// Send a delivery again
///
/// Once more and at once, whatever became of it so far; at an inactive webhook it waits until that
/// is activated. Its schedule is not disturbed: a failure leaves everything as it was, a success ends
/// the delivery as `succeeded`. Asking again before it is sent changes nothing.
#[utoipa::path(
    tag = "Deliveries",
    params(ActingFor, DeliveryPath),
    responses(
        Denied, OfTenant, Commanded,
        (status = 202, description = "It will be sent again."),
    )
)]
#[post("/api/admin/deliveries/{id}/redeliver")]
async fn redeliver(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::DeliveriesRedeliver).await?;
    call.no_query()?;
    let id = call.id("delivery")?;
    let origin = call.origin(&caller);
    let tenants = &call.api().tenants;
    tenants.redeliver(&caller.tenant, id, origin).await?;
    Ok(HttpResponse::Accepted().finish())
}

/// Call a delivery off
///
/// A pending one ends as `cancelled`; what was asked for by hand is not sent. An attempt that is
/// under way ends as it ends, and is logged.
#[utoipa::path(
    tag = "Deliveries",
    params(ActingFor, DeliveryPath),
    responses(
        Denied, OfTenant, Commanded,
        (status = 202, description = "It will not be sent any more."),
    )
)]
#[post("/api/admin/deliveries/{id}/cancel")]
async fn cancel_delivery(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::DeliveriesRedeliver).await?;
    call.no_query()?;
    let id = call.id("delivery")?;
    let origin = call.origin(&caller);
    let tenants = &call.api().tenants;
    tenants.cancel_delivery(&caller.tenant, id, origin).await?;
    Ok(HttpResponse::Accepted().finish())
}

fn filter(query: &Query<'_>) -> Result<DeliveryFilter, Problem> {
    let status = query.read(
        "status",
        "must be pending, succeeded, exhausted or cancelled",
        |text| {
            Status::ALL
                .into_iter()
                .find(|status| status.as_str() == text)
        },
    )?;
    Ok(DeliveryFilter {
        webhook_id: query.parsed("webhook_id", "must be the id of a webhook")?,
        topic: query.parsed("event", "must be a topic")?,
        status,
        message_id: query.parsed("message_id", "must be the id of a message")?,
        created: query.span()?,
    })
}
