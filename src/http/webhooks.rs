//! Webhooks: where a tenant's messages go.

use std::collections::BTreeMap;

use actix_web::{
    HttpResponse, delete, get,
    http::header::{CACHE_CONTROL, ETAG, LOCATION},
    patch, post, put,
};
use chrono::{DateTime, Utc};
use hookledger_domain::{
    clock::rfc3339,
    ids::WebhookId,
    permission::Permission,
    topic::{Pattern, Topic},
    webhook::{self, Config, DisableReason, Ordering, Webhook},
};
use hookledger_projections::rows::WebhookRow;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::store::{Replayed, Until};

use super::{
    call::Call,
    openapi::{
        ActingFor, Commanded, Conditional, Denied, IfMatch, OfTenant, Paging, Time, WebhookFilter,
        WebhookIdText, WebhookMoment, WebhookPath, WithBody,
    },
    pages::{self, List, list},
    precondition::etag,
    problem::Problem,
    query::PAGING,
    tokens::NO_STORE,
};

mod body;
mod history;
mod recoveries;
mod secrets;
mod trial;

use body::{NewWebhook, OrderingWord, WebhookChanges};

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(list_webhooks)
        .service(create_webhook)
        .service(get_webhook)
        .service(change_webhook)
        .service(replace_webhook)
        .service(delete_webhook)
        .service(history::webhook_history)
        .service(secrets::webhook_secret)
        .service(secrets::rotate_webhook_secret)
        .service(trial::test_webhook)
        .service(recoveries::recover)
        .service(recoveries::list_recoveries)
        .service(recoveries::get_recovery)
        .service(recoveries::cancel_recovery);
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(super) struct WebhookView {
    /// Its id.
    #[schema(value_type = WebhookIdText)]
    id: WebhookId,
    /// Its name, for people.
    name: String,
    /// More about it, for people.
    description: String,
    /// Where deliveries go.
    #[schema(example = "https://example.com/hooks")]
    url: String,
    /// What it subscribes to: topics, `prefix.*`, `*`.
    #[schema(value_type = Vec<String>, example = json!(["ticket.*"]))]
    events: Vec<Pattern>,
    /// Whether deliveries are sent.
    is_active: bool,
    /// Headers that are sent along.
    headers: BTreeMap<String, String>,
    /// Which messages of its topics it wants; `null`: all.
    #[schema(required = true)]
    filter: Option<String>,
    /// In which order deliveries are sent.
    #[schema(value_type = OrderingWord)]
    ordering: Ordering,
    /// At most this many attempts a second.
    #[schema(required = true)]
    rate_limit: Option<u32>,
    /// At most this many attempts at one time.
    #[schema(required = true)]
    max_in_flight: Option<u32>,
    /// A shorter limit for an attempt, in seconds.
    #[schema(required = true)]
    timeout_seconds: Option<u32>,
    /// The waits after failed attempts, in seconds; empty: no retries; `null`: the server's own.
    #[schema(required = true)]
    retry_schedule: Option<Vec<u64>>,
    /// Why the server switched it off: `gone`, `failing`.
    #[schema(required = true)]
    disabled_reason: Option<&'static str>,
    /// When it was registered.
    #[schema(value_type = Time)]
    created_at: String,
    /// When it last changed.
    #[schema(value_type = Time)]
    updated_at: String,
    /// Grows with each change.
    #[schema(minimum = 1)]
    version: u64,
}

/// A webhook that was just registered.
#[derive(Debug, Serialize, ToSchema)]
struct CreatedWebhook {
    #[serde(flatten)]
    webhook: WebhookView,
    /// What its deliveries are signed with.
    #[schema(pattern = "^whsec_.+$")]
    secret: String,
}

impl From<WebhookRow> for WebhookView {
    fn from(row: WebhookRow) -> Self {
        Self::new(
            row.id,
            row.config,
            (row.is_active, row.disabled_reason),
            (row.created_at, row.updated_at, row.version),
        )
    }
}

impl WebhookView {
    /// A webhook as it was once.
    pub(super) fn once(id: WebhookId, then: &Replayed<Webhook>) -> Self {
        let webhook = &then.state;
        Self::new(
            id,
            webhook.config().clone(),
            (webhook.is_active(), webhook.disabled_reason()),
            (then.created_at, then.updated_at, then.sequence),
        )
    }

    fn new(
        id: WebhookId,
        config: Config,
        (is_active, disabled_reason): (bool, Option<DisableReason>),
        (created_at, updated_at, version): (DateTime<Utc>, DateTime<Utc>, u64),
    ) -> Self {
        Self {
            id,
            name: config.name,
            description: config.description,
            url: config.url,
            events: config.events,
            is_active,
            headers: config.headers,
            filter: config.filter,
            ordering: config.ordering,
            rate_limit: config.rate_limit,
            max_in_flight: config.max_in_flight,
            timeout_seconds: config.timeout_seconds,
            retry_schedule: config.retry_schedule,
            disabled_reason: disabled_reason.map(DisableReason::as_str),
            created_at: rfc3339(created_at),
            updated_at: rfc3339(updated_at),
            version,
        }
    }
}

/// The webhooks
///
/// Newest first.
#[utoipa::path(
    tag = "Webhooks",
    params(ActingFor, WebhookFilter, Paging),
    responses(
        Denied, OfTenant,
        (status = 200, description = "A page of webhooks.", body = List<WebhookView>),
    )
)]
#[get("/api/admin/webhooks")]
async fn list_webhooks(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::WebhooksRead).await?;
    let query = call.query(&[&PAGING, &["is_active", "event"]])?;
    let is_active = query.boolean("is_active")?;
    let topic: Option<Topic> = query.parsed("event", "must be a topic")?;
    let page = query.page::<WebhookId>()?;
    let is_meant = |row: &WebhookRow| {
        is_active.is_none_or(|wanted| row.is_active == wanted)
            && topic
                .as_ref()
                .is_none_or(|topic| row.config.events.iter().any(|e| e.matches(topic)))
    };
    let all = call.api().views.webhooks(&caller.tenant).await?;
    let meant = all.into_iter().filter(is_meant);
    let rows = pages::cut(meant, page, |row, after| row.id < *after, |row| row.id);
    Ok(list(rows, WebhookView::from))
}

/// Register a webhook
///
/// The answer shows the secret that its deliveries are signed with.
#[utoipa::path(
    tag = "Webhooks",
    params(ActingFor),
    request_body = NewWebhook,
    responses(
        Denied, OfTenant, WithBody, Commanded,
        (status = 201, description = "It is registered.", body = CreatedWebhook, headers(
            ("Location" = String, description = "Where it is"),
            ("ETag" = String, description = "Its version")
        )),
    )
)]
#[post("/api/admin/webhooks")]
async fn create_webhook(mut call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::WebhooksWrite).await?;
    call.no_query()?;
    let new: NewWebhook = call.body().await?;
    let origin = call.origin(&caller);
    let (row, secret) = call
        .api()
        .tenants
        .register_webhook(&caller.tenant, new.into(), origin)
        .await?;
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, format!("/api/admin/webhooks/{}", row.id)))
        .insert_header((ETAG, etag(row.version)))
        .insert_header((CACHE_CONTROL, NO_STORE))
        .json(CreatedWebhook {
            webhook: WebhookView::from(row),
            secret: secret.as_str().to_owned(),
        }))
}

/// A webhook
///
/// With `at` or `version` as it was then, told by its events, also if it is deleted by now.
#[utoipa::path(
    tag = "Webhooks",
    params(ActingFor, WebhookPath, WebhookMoment),
    responses(
        Denied, OfTenant,
        (status = 200, description = "The webhook.", body = WebhookView,
            headers(("ETag" = String, description = "Its version"))),
    )
)]
#[get("/api/admin/webhooks/{id}")]
async fn get_webhook(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::WebhooksRead).await?;
    let query = call.query(&[&["at", "version"]])?;
    let version = query.whole("version", "must be a whole number from 1", 1..=u64::MAX)?;
    let until = match (query.time("at")?, version) {
        (Some(_), Some(_)) => {
            return Err(Problem::parameter(
                "version",
                "cannot be given together with at",
            ));
        }
        (Some(at), None) => Some(Until::Time(at)),
        (None, version) => version.map(Until::Version),
    };
    let (id, api) = (call.id("webhook")?, call.api());
    let view: Option<WebhookView> = match until {
        Some(until) => {
            let then = api.tenants.webhook_then(&caller.tenant, id, until).await?;
            then.map(|then| WebhookView::once(id, &then))
        }
        None => {
            let row = api.views.webhook(&caller.tenant, id).await?;
            row.filter(|row| !row.is_deleted).map(WebhookView::from)
        }
    };
    view.map(shown).ok_or_else(|| Problem::not_found("webhook"))
}

/// Change a webhook
///
/// What is left out stays as it is.
#[utoipa::path(
    tag = "Webhooks",
    params(ActingFor, WebhookPath, IfMatch),
    request_body = WebhookChanges,
    responses(
        Denied, OfTenant, WithBody, Commanded, Conditional,
        (status = 200, description = "The webhook as it is now.", body = WebhookView,
            headers(("ETag" = String, description = "Its version"))),
    )
)]
#[patch("/api/admin/webhooks/{id}")]
async fn change_webhook(mut call: Call) -> Result<HttpResponse, Problem> {
    change::<WebhookChanges>(&mut call).await
}

/// Replace a webhook's configuration
///
/// What is left out falls back to its default. Id, secret and history stay.
#[utoipa::path(
    tag = "Webhooks",
    params(ActingFor, WebhookPath, IfMatch),
    request_body = NewWebhook,
    responses(
        Denied, OfTenant, WithBody, Commanded, Conditional,
        (status = 200, description = "The webhook as it is now.", body = WebhookView,
            headers(("ETag" = String, description = "Its version"))),
    )
)]
#[put("/api/admin/webhooks/{id}")]
async fn replace_webhook(mut call: Call) -> Result<HttpResponse, Problem> {
    change::<NewWebhook>(&mut call).await
}

/// Delete a webhook
///
/// Its pending deliveries are cancelled; its logs stay readable.
#[utoipa::path(
    tag = "Webhooks",
    params(ActingFor, WebhookPath, IfMatch),
    responses(
        Denied, OfTenant, Commanded, Conditional,
        (status = 204, description = "It is deleted."),
    )
)]
#[delete("/api/admin/webhooks/{id}")]
async fn delete_webhook(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::WebhooksWrite).await?;
    call.no_query()?;
    let id = call.id("webhook")?;
    let api = call.api();
    let expected = call
        .precondition()?
        .expected(&api.views, &caller.tenant, id)
        .await?;
    api.tenants
        .delete_webhook(&caller.tenant, id, expected, call.origin(&caller))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn change<T: super::fields::Body + Into<webhook::Changes>>(
    call: &mut Call,
) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::WebhooksWrite).await?;
    call.no_query()?;
    let id = call.id("webhook")?;
    let precondition = call.precondition()?;
    let changes: T = call.body().await?;
    let origin = call.origin(&caller);
    let api = call.api();
    let expected = precondition
        .expected(&api.views, &caller.tenant, id)
        .await?;
    let row = api
        .tenants
        .change_webhook(&caller.tenant, id, changes.into(), expected, origin)
        .await?;
    Ok(shown(row.into()))
}

fn shown(webhook: WebhookView) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((ETAG, etag(webhook.version)))
        .json(webhook)
}
