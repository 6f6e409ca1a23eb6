//! What happened to a webhook, told by its events.

use actix_web::{HttpResponse, get};
use hookledger_domain::{ids::WebhookId, permission::Permission, webhook::history::Change};
use hookledger_projections::query::Rows;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    http::{
        audit::event::EventView,
        call::Call,
        openapi::{ActingFor, Denied, OfTenant, Paging, WebhookPath},
        pages::{List, list},
        problem::Problem,
        query::PAGING,
    },
    store::Error,
    tenants::Episode,
};

/// An event of a webhook, and what it did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HistoryEntry)]
struct EpisodeView {
    #[serde(flatten)]
    event: EventView,
    /// The address of the client that sent the request, if one did.
    #[schema(required = true)]
    client: Option<String>,
    /// The id of what led to it, if something did.
    #[schema(required = true)]
    cause: Option<String>,
    /// What happened, in one sentence for people.
    #[schema(example = "Ann changed url and events")]
    summary: String,
    /// The fields that have another value since. When it was registered: those that were not at their
    /// default. Secrets are none of them.
    changes: Vec<ChangeView>,
}

/// A field of a webhook that got another value.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FieldChange)]
#[serde(deny_unknown_fields)]
struct ChangeView {
    /// Its name.
    #[schema(example = "url")]
    field: &'static str,
    /// Its value before; `null` when the webhook was registered.
    before: Value,
    /// Its value since.
    after: Value,
}

impl From<Change> for ChangeView {
    fn from(change: Change) -> Self {
        Self {
            field: change.field,
            before: change.before,
            after: change.after,
        }
    }
}

impl TryFrom<Episode> for EpisodeView {
    type Error = Error;

    fn try_from(episode: Episode) -> Result<Self, Error> {
        let Episode {
            event,
            origin,
            told,
        } = episode;
        Ok(Self {
            event: EventView::new(event, &origin)?,
            client: origin.client.as_deref().map(str::to_owned),
            cause: origin.cause.as_deref().map(str::to_owned),
            summary: told.summary,
            changes: told.changes.into_iter().map(ChangeView::from).collect(),
        })
    }
}

/// A webhook's history
///
/// Its events in the ledger, oldest first: who did what and when; also of a deleted webhook.
#[utoipa::path(
    tag = "Webhooks",
    params(ActingFor, WebhookPath, Paging),
    responses(
        Denied, OfTenant,
        (status = 200, description = "A page of events.", body = List<EpisodeView>),
    )
)]
#[get("/api/admin/webhooks/{id}/history")]
pub(super) async fn webhook_history(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::WebhooksRead).await?;
    let page = call.query(&[&PAGING])?.page()?;
    let (id, api): (WebhookId, _) = (call.id("webhook")?, call.api());
    if api.views.webhook(&caller.tenant, id).await?.is_none() {
        return Err(Problem::not_found("webhook"));
    }
    let Rows { rows, next } = api
        .tenants
        .webhook_history(&caller.tenant, id, page)
        .await?;
    let rows = rows
        .into_iter()
        .map(EpisodeView::try_from)
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(list(Rows { rows, next }, |shown| shown))
}
