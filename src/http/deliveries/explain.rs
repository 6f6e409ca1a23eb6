//! Why and how a delivery came to be, and how it ended.

use actix_web::{HttpResponse, get};
use chrono::{DateTime, Utc};
use hookledger_domain::{
    actor::Origin,
    clock::rfc3339,
    delivery::{attempt::Trigger, explanation::End},
    ids::{DeliveryId, MessageId, WebhookId},
    permission::Permission,
    topic::{Pattern, Topic},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    http::{
        audit::event::ActorView,
        call::Call,
        openapi::{
            ActingFor, DeliveryIdText, DeliveryPath, Denied, MessageIdText, OfTenant, Time,
            TopicText, WebhookIdText,
        },
        problem::Problem,
        webhooks::WebhookView,
    },
    tenants::Explanation,
};

mod steps;

use steps::StepView;

/// A delivery, told from events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
#[serde(deny_unknown_fields)]
struct ExplanationView {
    /// Its id.
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
    /// How its message was accepted.
    accepted: AcceptedView,
    /// Why the webhook got the message.
    matched: MatchedView,
    /// What happened, oldest first; at most 1000 steps.
    #[schema(max_items = 1000)]
    steps: Vec<StepView>,
    /// Whether there are more steps.
    truncated: bool,
    /// How it ended; `null` while it has not.
    #[schema(required = true)]
    ended: Option<EndView>,
    /// The webhook as it was with each version that an attempt was made with, oldest first; at most 100.
    #[schema(max_items = 100)]
    configurations: Vec<WebhookView>,
}

/// How a message was accepted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Acceptance)]
#[serde(deny_unknown_fields)]
struct AcceptedView {
    /// When.
    #[schema(value_type = Time)]
    at: String,
    /// Who published it.
    actor: ActorView,
    /// The id of the request that published it, if one did.
    #[schema(required = true)]
    request_id: Option<String>,
    /// The address of the client that sent it, if one did.
    #[schema(required = true)]
    client: Option<String>,
}

/// Why a webhook got a message, by its configuration of that time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Match)]
#[serde(deny_unknown_fields)]
struct MatchedView {
    /// `subscribed`: it subscribed to the topic, and its filter, if it had one, matched; `test`: somebody
    /// tested it.
    #[schema(pattern = "^(subscribed|test)$", example = "subscribed")]
    reason: &'static str,
    /// What made the delivery.
    #[schema(pattern = "^(publish|test)$", example = "publish")]
    trigger: &'static str,
    /// The version that the webhook had.
    webhook_version: u64,
    /// What it subscribed to.
    #[schema(value_type = Vec<String>, example = json!(["ticket.*"]))]
    events: Vec<Pattern>,
    /// The first of these that the topic matched; `null` of a test.
    #[schema(value_type = Option<String>, required = true, example = "ticket.*")]
    pattern: Option<Pattern>,
    /// Its filter, if it had one.
    #[schema(required = true)]
    filter: Option<String>,
}

/// How a delivery ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = End)]
#[serde(deny_unknown_fields)]
struct EndView {
    /// When.
    #[schema(value_type = Time)]
    at: String,
    /// How.
    #[schema(pattern = "^(succeeded|exhausted|cancelled)$")]
    how: &'static str,
    /// Why, in one sentence for people.
    because: String,
}

impl From<(DateTime<Utc>, Origin)> for AcceptedView {
    fn from((at, origin): (DateTime<Utc>, Origin)) -> Self {
        Self {
            at: rfc3339(at),
            actor: ActorView::from(&origin.actor),
            request_id: origin.request_id.as_deref().map(str::to_owned),
            client: origin.client.as_deref().map(str::to_owned),
        }
    }
}

impl From<End> for EndView {
    fn from(end: End) -> Self {
        Self {
            at: rfc3339(end.at),
            how: end.how.as_str(),
            because: end.because,
        }
    }
}

impl ExplanationView {
    fn new(id: DeliveryId, explained: Explanation) -> Self {
        let delivery = explained.delivery;
        let webhook_id = delivery.webhook_id();
        let (told, matched) = (explained.told, explained.matched);
        Self {
            id,
            message_id: delivery.message_id(),
            webhook_id,
            event: delivery.topic().clone(),
            status: delivery.status().as_str(),
            accepted: AcceptedView::from(explained.accepted),
            matched: MatchedView {
                reason: match explained.trigger {
                    Trigger::Test => "test",
                    _ => "subscribed",
                },
                trigger: explained.trigger.as_str(),
                webhook_version: explained.webhook_version,
                events: matched.events,
                pattern: matched.pattern,
                filter: matched.filter,
            },
            steps: told.steps.into_iter().map(StepView::from).collect(),
            truncated: told.is_truncated,
            ended: told.end.map(EndView::from),
            configurations: explained
                .configurations
                .iter()
                .map(|then| WebhookView::once(webhook_id, then))
                .collect(),
        }
    }
}

/// Why and how a delivery came to be, and how it ended
///
/// Told from events: who published the message, why the webhook got it, every attempt, every wait and its
/// reason, and what people did.
#[utoipa::path(
    tag = "Deliveries",
    params(ActingFor, DeliveryPath),
    responses(
        Denied, OfTenant,
        (status = 200, description = "The explanation.", body = ExplanationView),
    )
)]
#[get("/api/admin/deliveries/{id}/explain")]
pub(super) async fn explain_delivery(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::DeliveriesRead).await?;
    call.no_query()?;
    let (id, tenants) = (call.id("delivery")?, &call.api().tenants);
    let explained = tenants.explain_delivery(&caller.tenant, id).await?;
    let explained = explained.ok_or_else(|| Problem::not_found("delivery"))?;
    Ok(HttpResponse::Ok().json(ExplanationView::new(id, explained)))
}
