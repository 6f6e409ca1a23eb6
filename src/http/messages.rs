//! Publishing messages, and seeing what became of them.

use std::borrow::Cow;

use actix_web::{HttpResponse, get, http::header::HeaderName, post};
use chrono::{DateTime, Utc};
use hookledger_domain::{
    clock::rfc3339,
    ids::{DeliveryId, MessageId, WebhookId},
    message::{ORDERING_KEY_CHARACTERS_MAX, REQUEST_BYTES_MAX, Skipped},
    permission::Permission,
    topic::Topic,
    validation::check_text,
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    call::Call,
    fields::{self, Body, Fields},
    openapi::{
        ActingFor, Commanded, DeliveryIdText, Denied, Idempotency, MessageIdText, MessagePath,
        OfTenant, Paging, Publishing, Time, TopicText, WebhookIdText, WithBody,
    },
    pages::{List, list},
    problem::Problem,
    query::PAGING,
};
use crate::{
    store,
    tenants::{Publish, Published},
};

mod batch;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest idempotency key, in characters.
const IDEMPOTENCY_KEY_CHARACTERS_MAX: usize = 255;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(publish_message)
        .service(batch::publish_batch)
        .service(list_messages)
        .service(get_message);
}

/// A message to publish.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMessage {
    /// The topic; it must be in the catalogue.
    #[schema(value_type = TopicText)]
    event: String,
    /// What is to be told; sent on exactly as it stands here.
    #[schema(value_type = Object, example = json!({"ticket_id": 4711, "status": "open"}))]
    data: Box<RawValue>,
    /// When it happened, any RFC 3339 time; sent on as UTC with milliseconds. Default: now.
    #[schema(value_type = Option<Time>)]
    timestamp: Option<DateTime<Utc>>,
    /// What webhooks that want order keep their deliveries in order by.
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"
    )]
    ordering_key: Option<String>,
}

impl Body for NewMessage {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let event = fields.required("event", fields::text);
        let data = fields.required("data", fields::object);
        let timestamp = fields.nullable("timestamp", fields::time).flatten();
        let ordering_key = fields.nullable("ordering_key", fields::text).flatten();
        if let Some(key) = &ordering_key {
            fields.check(check_text(
                "ordering_key",
                key,
                1..=ORDERING_KEY_CHARACTERS_MAX,
            ));
        }
        Some(Self {
            event: event?,
            data: data?,
            timestamp,
            ordering_key,
        })
    }
}

impl NewMessage {
    fn publish(self, idempotency_key: Option<String>) -> Publish {
        Publish {
            event: self.event,
            data: self.data,
            timestamp: self.timestamp,
            ordering_key: self.ordering_key,
            idempotency_key,
        }
    }
}

/// A message that was accepted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AcceptedMessage {
    /// Its id, also the `webhook-id` that receivers get.
    #[schema(value_type = MessageIdText)]
    id: MessageId,
    /// Its topic.
    #[schema(value_type = TopicText)]
    event: Topic,
    /// When it happened.
    #[schema(value_type = Time)]
    timestamp: String,
    /// How many webhooks get it.
    #[schema(example = 2)]
    deliveries: u32,
    /// Whether it had been published before, with the same idempotency key.
    duplicate: bool,
}

impl From<Published> for AcceptedMessage {
    fn from(published: Published) -> Self {
        Self {
            id: published.id,
            event: published.topic,
            timestamp: rfc3339(published.timestamp),
            deliveries: published.deliveries,
            duplicate: published.duplicate,
        }
    }
}

/// Publish a message
///
/// The answer comes after message and deliveries are on disk: they survive a power cut. Deliveries
/// start at once.
#[utoipa::path(
    tag = "Messages",
    params(ActingFor, Idempotency),
    request_body = NewMessage,
    responses(
        Denied, OfTenant, WithBody, Commanded, Publishing,
        (status = 202, description = "It is accepted for good.", body = AcceptedMessage),
    )
)]
#[post("/api/events")]
async fn publish_message(mut call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::MessagesPublish).await?;
    call.no_query()?;
    let key = idempotency_key(&call)?;
    let message: NewMessage = fields::read(&call.json(REQUEST_BYTES_MAX).await?)?;
    let origin = call.origin(&caller);
    let published = call
        .api()
        .tenants
        .publish(&caller.tenant, message.publish(key), origin)
        .await?;
    Ok(HttpResponse::Accepted().json(AcceptedMessage::from(published)))
}

/// The messages
///
/// Newest first. A page ends early when the bodies in it grow large.
#[utoipa::path(
    tag = "Messages",
    params(ActingFor, Paging),
    responses(
        Denied, OfTenant,
        (status = 200, description = "A page of messages.", body = List<MessageView<'static>>),
    )
)]
#[get("/api/events")]
async fn list_messages(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::DeliveriesRead).await?;
    let page = call.query(&[&PAGING])?.page()?;
    let rows = call.api().views.messages(&caller.tenant, page).await?;
    Ok(list(rows, MessageView::from))
}

/// A message
#[utoipa::path(
    tag = "Messages",
    params(ActingFor, MessagePath),
    responses(
        Denied, OfTenant,
        (status = 200, description = "The message.", body = MessageView<'static>),
    )
)]
#[get("/api/events/{id}")]
async fn get_message(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::DeliveriesRead).await?;
    call.no_query()?;
    let id = call.id("message")?;
    let message = call.api().views.message(&caller.tenant, id).await?;
    let message = message.ok_or_else(|| Problem::not_found("message"))?;
    Ok(HttpResponse::Ok().json(MessageView::from(message)))
}

/// A message and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
#[serde(deny_unknown_fields)]
struct MessageView<'a> {
    /// Its id.
    #[schema(value_type = MessageIdText)]
    id: MessageId,
    /// Its topic.
    #[schema(value_type = TopicText)]
    event: Topic,
    /// When it happened.
    #[schema(value_type = Time)]
    timestamp: String,
    /// When it was accepted.
    #[schema(value_type = Time)]
    accepted_at: String,
    /// What it is kept in order by.
    #[schema(required = true)]
    ordering_key: Option<String>,
    /// The exact text that receivers get and that is signed; `null` once erased.
    #[schema(required = true)]
    body: Option<String>,
    /// The size of that text.
    body_bytes: u64,
    /// The SHA-256 of that text, lower-case hexadecimal.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    body_sha256: String,
    /// The webhooks that get it.
    deliveries: Vec<Recipient>,
    /// The webhooks that do not get it.
    not_delivered: Vec<NotDelivered<'a>>,
}

/// A webhook that gets a message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Recipient {
    /// The delivery.
    #[schema(value_type = DeliveryIdText)]
    id: DeliveryId,
    /// The webhook.
    #[schema(value_type = WebhookIdText)]
    webhook_id: WebhookId,
    /// Where the delivery stands: `pending`, `succeeded`, `exhausted`, `cancelled`.
    #[schema(
        pattern = "^(pending|succeeded|exhausted|cancelled)$",
        example = "succeeded"
    )]
    status: &'static str,
}

/// A webhook that does not get a message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NotDelivered<'a> {
    /// The webhook.
    #[schema(value_type = WebhookIdText)]
    webhook_id: WebhookId,
    /// Why not: `not_subscribed`, `inactive`, `filtered`.
    #[schema(pattern = "^(not_subscribed|inactive|filtered)$", example = "inactive")]
    reason: &'static str,
    /// More about it.
    #[schema(required = true)]
    detail: Option<Cow<'a, str>>,
}

impl From<store::Message> for MessageView<'_> {
    fn from(message: store::Message) -> Self {
        let row = message.row;
        let recipient =
            |(id, webhook_id, status): (_, _, hookledger_domain::delivery::Status)| Recipient {
                id,
                webhook_id,
                status: status.as_str(),
            };
        let not_delivered = |skipped: Skipped| NotDelivered {
            webhook_id: skipped.webhook_id,
            reason: skipped.reason.as_str(),
            detail: skipped.detail.map(Cow::Owned),
        };
        Self {
            id: row.id,
            event: row.topic,
            timestamp: rfc3339(row.timestamp),
            accepted_at: rfc3339(row.accepted_at),
            ordering_key: row.ordering_key,
            body: message.body,
            body_bytes: row.body_bytes,
            body_sha256: row.body_sha256,
            deliveries: message.deliveries.into_iter().map(recipient).collect(),
            not_delivered: row.not_delivered.into_iter().map(not_delivered).collect(),
        }
    }
}

fn idempotency_key(call: &Call) -> Result<Option<String>, Problem> {
    let Some(bytes) = call.header(&IDEMPOTENCY_KEY)? else {
        return Ok(None);
    };
    match std::str::from_utf8(bytes) {
        Ok(key) if is_idempotency_key(key) => Ok(Some(key.to_owned())),
        _ => Err(Problem::parameter(
            "Idempotency-Key",
            "must have 1 to 255 printable ASCII characters",
        )),
    }
}

fn is_idempotency_key(key: &str) -> bool {
    (1..=IDEMPOTENCY_KEY_CHARACTERS_MAX).contains(&key.len())
        && key.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<NewMessage, Problem> {
        fields::read(body.as_bytes())
    }

    #[test]
    fn a_message_is_read() {
        let body = r#"{"event":"a.b","data":{"n": 1.0},"timestamp":"2026-01-01T01:00:00+01:00"}"#;
        let publish = read(body).unwrap().publish(Some("k".to_owned()));
        assert_eq!(publish.event, "a.b");
        assert_eq!(publish.data.get(), r#"{"n": 1.0}"#);
        assert_eq!(
            publish.timestamp.map(rfc3339).as_deref(),
            Some("2026-01-01T00:00:00.000Z")
        );
        assert_eq!(publish.idempotency_key.as_deref(), Some("k"));
        assert!(read(r#"{"event":"a","data":{},"timestamp":null,"ordering_key":null}"#).is_ok());
    }

    #[test]
    fn wrong_messages_are_refused_by_field() {
        let long = "x".repeat(256);
        for (body, field, code) in [
            (r#"{"data":{}}"#.to_owned(), "event", "missing_field"),
            (r#"{"event":"a"}"#.to_owned(), "data", "missing_field"),
            (
                r#"{"event":"a","data":"x"}"#.to_owned(),
                "data",
                "invalid_type",
            ),
            (
                r#"{"event":"a","data":{},"timestamp":"now"}"#.to_owned(),
                "timestamp",
                "invalid_time",
            ),
            (
                r#"{"event":"a","data":{},"ordering_key":""}"#.to_owned(),
                "ordering_key",
                "invalid_length",
            ),
            (
                format!(r#"{{"event":"a","data":{{}},"ordering_key":"{long}"}}"#),
                "ordering_key",
                "invalid_length",
            ),
            (
                r#"{"event":"a","data":{},"ordering_key":"\u0000"}"#.to_owned(),
                "ordering_key",
                "invalid_characters",
            ),
            (
                r#"{"event":"a","data":{},"idempotency_key":"k"}"#.to_owned(),
                "idempotency_key",
                "unknown_field",
            ),
        ] {
            let problem = read(&body).unwrap_err();
            assert_eq!(
                (problem.errors[0].field.as_str(), problem.errors[0].code),
                (field, code),
                "{body}"
            );
        }
    }

    #[test]
    fn keys_are_printable_ascii() {
        for good in ["a", " ", "~", &"x".repeat(255)] {
            assert!(is_idempotency_key(good), "{good}");
        }
        for bad in ["", "\t", "\u{7f}", "é", &"x".repeat(256)] {
            assert!(!is_idempotency_key(bad), "{bad}");
        }
    }
}
