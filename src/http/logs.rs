//! Attempts: each HTTP try of a delivery and what came of it.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get};
use hookledger_domain::{
    clock::rfc3339,
    ids::{AttemptId, DeliveryId, MessageId, WebhookId},
    permission::Permission,
    topic::Topic,
};
use hookledger_projections::query::AttemptFilter;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    call::Call,
    deliveries::FailureView,
    openapi::{
        self, ActingFor, AttemptIdText, Between, DeliveryIdText, Denied, MessageIdText, OfTenant,
        OfWebhook, Paging, Time, TopicText, WebhookIdText, WebhookPath,
    },
    pages::{List, list},
    problem::Problem,
    query::{PAGING, Query},
};
use crate::store::LoggedAttempt;

const FILTERS: [&str; 7] = [
    "event",
    "outcome",
    "response_status",
    "delivery_id",
    "message_id",
    "from",
    "to",
];

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(list_attempts).service(list_webhook_attempts);
}

/// One HTTP try of a delivery.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
#[serde(deny_unknown_fields)]
pub(super) struct AttemptView {
    /// Its id.
    #[schema(value_type = AttemptIdText)]
    id: AttemptId,
    /// The delivery.
    #[schema(value_type = DeliveryIdText)]
    delivery_id: DeliveryId,
    /// The message.
    #[schema(value_type = MessageIdText)]
    message_id: MessageId,
    /// The webhook.
    #[schema(value_type = WebhookIdText)]
    webhook_id: WebhookId,
    /// The version of the webhook's configuration that it was made with.
    webhook_version: u64,
    /// The message's topic.
    #[schema(value_type = TopicText)]
    event: Topic,
    /// 1 for the delivery's first.
    #[schema(minimum = 1)]
    attempt: u32,
    /// What made it happen.
    #[schema(
        pattern = "^(publish|retry|redeliver|recover|test)$",
        example = "publish"
    )]
    trigger: &'static str,
    /// When it started.
    #[schema(value_type = Time)]
    started_at: String,
    /// How long it took.
    duration_ms: u64,
    /// What came of it.
    #[schema(pattern = "^(succeeded|failed)$", example = "succeeded")]
    outcome: &'static str,
    /// The URL that was called.
    url: String,
    /// The answer's status; `null` if there was no answer.
    #[schema(required = true)]
    response_status: Option<u16>,
    /// The answer's headers, with lower-case names; `null` if there was no answer.
    #[schema(required = true)]
    response_headers: Option<BTreeMap<String, String>>,
    /// The answer's body as text, at most 16 KiB; `null` if there was no answer, and once erased.
    #[schema(required = true)]
    response_body: Option<String>,
    /// Whether there was more of the body, or it did not end in time.
    response_body_truncated: bool,
    /// Why it failed, if it did.
    #[schema(required = true)]
    error: Option<FailureView>,
}

impl From<LoggedAttempt> for AttemptView {
    fn from(logged: LoggedAttempt) -> Self {
        let row = logged.row;
        // An empty body is not kept as one; an answer without body has the empty text.
        let was_empty = row
            .response
            .as_ref()
            .is_some_and(|response| response.body_bytes == 0);
        let response_body_truncated = row
            .response
            .as_ref()
            .is_some_and(|response| response.body_truncated);
        let response_status = row.response.as_ref().map(|response| response.status);
        Self {
            id: row.id,
            delivery_id: row.delivery_id,
            message_id: row.message_id,
            webhook_id: row.webhook_id,
            webhook_version: row.webhook_version,
            event: row.topic,
            attempt: row.number,
            trigger: row.trigger.as_str(),
            started_at: rfc3339(row.started_at),
            duration_ms: row.duration_ms,
            outcome: if row.error.is_none() {
                "succeeded"
            } else {
                "failed"
            },
            url: row.url,
            response_status,
            response_headers: row.response.map(|response| response.headers),
            response_body: logged.response_body.or_else(|| was_empty.then(String::new)),
            response_body_truncated,
            error: row.error.map(FailureView::from),
        }
    }
}

/// The attempts
///
/// Newest first.
#[utoipa::path(
    tag = "Deliveries",
    params(ActingFor, OfWebhook, openapi::AttemptFilter, Between, Paging),
    responses(
        Denied, OfTenant,
        (status = 200, description = "A page of attempts.", body = List<AttemptView>),
    )
)]
#[get("/api/admin/logs")]
async fn list_attempts(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::DeliveriesRead).await?;
    let query = call.query(&[&PAGING, &FILTERS, &["webhook_id"]])?;
    let webhook_id = query.parsed("webhook_id", "must be the id of a webhook")?;
    let filter = AttemptFilter {
        webhook_id,
        ..filter(&query)?
    };
    let page = query.page()?;
    let rows = call
        .api()
        .views
        .attempts(&caller.tenant, &filter, page)
        .await?;
    Ok(list(rows, AttemptView::from))
}

/// A webhook's attempts
///
/// Newest first; also of a deleted webhook.
#[utoipa::path(
    tag = "Webhooks",
    params(ActingFor, WebhookPath, openapi::AttemptFilter, Between, Paging),
    responses(
        Denied, OfTenant,
        (status = 200, description = "A page of attempts.", body = List<AttemptView>),
    )
)]
#[get("/api/admin/webhooks/{id}/logs")]
async fn list_webhook_attempts(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::DeliveriesRead).await?;
    let id: WebhookId = call.id("webhook")?;
    let query = call.query(&[&PAGING, &FILTERS])?;
    let filter = AttemptFilter {
        webhook_id: Some(id),
        ..filter(&query)?
    };
    let page = query.page()?;
    let views = &call.api().views;
    if views.webhook(&caller.tenant, id).await?.is_none() {
        return Err(Problem::not_found("webhook"));
    }
    let rows = views.attempts(&caller.tenant, &filter, page).await?;
    Ok(list(rows, AttemptView::from))
}

fn filter(query: &Query<'_>) -> Result<AttemptFilter, Problem> {
    let succeeded = query.read(
        "outcome",
        "must be succeeded or failed",
        |text| match text {
            "succeeded" => Some(true),
            "failed" => Some(false),
            _ => None,
        },
    )?;
    let response_status = query.whole("response_status", "must be an HTTP status", 100..=999)?;
    Ok(AttemptFilter {
        webhook_id: None,
        topic: query.parsed("event", "must be a topic")?,
        succeeded,
        response_status,
        delivery_id: query.parsed("delivery_id", "must be the id of a delivery")?,
        message_id: query.parsed("message_id", "must be the id of a message")?,
        started: query.span()?,
    })
}
