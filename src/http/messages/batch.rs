//! Publishing many messages in one request.

use actix_web::{HttpResponse, post};
use chrono::{DateTime, Utc};
use hookledger_domain::{message::REQUEST_BYTES_MAX, permission::Permission};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{OneOfBuilder, Ref, RefOr, Schema, schema::AnyOfBuilder},
};

use super::{AcceptedMessage, NewMessage, is_idempotency_key};
use crate::{
    http::{
        call::Call,
        fields::{self, Body, Elements, Errors, Fields},
        openapi::{ActingFor, Commanded, Denied, OfTenant, Publishing, Time, TopicText, WithBody},
        problem::{Problem, ProblemBody},
    },
    tenants::{self, Publish},
};

/// The most bytes of a batch.
const BATCH_BYTES_MAX: usize = 5 * 1024 * 1024;
/// The most messages of a batch.
const BATCH_MESSAGES_MAX: usize = 1000;

/// Messages to publish.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
struct Batch {
    /// The messages, each of which is accepted or refused on its own.
    #[schema(value_type = Vec<BatchItem>, min_items = 1, max_items = 1000)]
    events: Vec<Result<BatchMessage, Problem>>,
}

/// A message of a batch.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
struct BatchMessage {
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
    /// What it is recognised by; as the header `Idempotency-Key` of a single message.
    #[schema(pattern = "^[ -~]{1,255}$")]
    idempotency_key: Option<String>,
}

/// A batch is not refused because of one message, so the document lets anything stand there.
enum BatchItem {}

impl PartialSchema for BatchItem {
    fn schema() -> RefOr<Schema> {
        AnyOfBuilder::new()
            .item(Ref::from_schema_name("BatchMessage"))
            .item(AnyOfBuilder::new().description(Some("Anything else is refused on its own")))
            .into()
    }
}

impl ToSchema for BatchItem {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("BatchMessage".to_owned(), BatchMessage::schema()));
        BatchMessage::schemas(schemas);
    }
}

impl Body for Batch {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            events: fields.required("events", messages)?,
        })
    }
}

impl Body for BatchMessage {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let message = NewMessage::read(fields);
        let idempotency_key = fields.nullable("idempotency_key", key).flatten();
        let NewMessage {
            event,
            data,
            timestamp,
            ordering_key,
        } = message?;
        Some(Self {
            event,
            data,
            timestamp,
            ordering_key,
            idempotency_key,
        })
    }
}

impl From<BatchMessage> for Publish {
    fn from(message: BatchMessage) -> Self {
        Self {
            event: message.event,
            data: message.data,
            timestamp: message.timestamp,
            ordering_key: message.ordering_key,
            idempotency_key: message.idempotency_key,
        }
    }
}

/// What became of the messages of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BatchAnswer<'a> {
    /// One result a message, in their order.
    results: Vec<BatchResult<'a>>,
}

/// What became of a message of a batch: the answer that it would get alone.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum BatchResult<'a> {
    Accepted(&'a AcceptedMessage),
    Refused(ProblemBody<'a>),
}

impl PartialSchema for BatchResult<'_> {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .description(Some("The answer that the message would get alone"))
            .item(Ref::from_schema_name("AcceptedMessage"))
            .item(Ref::from_schema_name("Problem"))
            .into()
    }
}

impl ToSchema for BatchResult<'_> {}

/// Publish many messages
///
/// 1 to 1000 messages, each with its own `idempotency_key`. Each is accepted or refused on its
/// own; a refused one has a problem in its place. While the store cannot be asked, the batch as a
/// whole is answered 503.
#[utoipa::path(
    tag = "Messages",
    params(ActingFor),
    request_body = Batch,
    responses(
        Denied, OfTenant, WithBody, Commanded, Publishing,
        (status = 202, description = "One result a message.", body = BatchAnswer<'static>),
    )
)]
#[post("/api/events/batch")]
pub(super) async fn publish_batch(mut call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::MessagesPublish).await?;
    call.no_query()?;
    let batch: Batch = fields::read(&call.json(BATCH_BYTES_MAX).await?)?;
    let (valid, refused) = split(batch.events);
    let published = if valid.is_empty() {
        Vec::new()
    } else {
        call.api()
            .tenants
            .publish_batch(&caller.tenant, valid, call.origin(&caller))
            .await
    };
    // A 202 of which nothing is accepted, because nothing can be, would be read as one.
    let is_away = |result: &Result<_, _>| matches!(result, Err(tenants::Error::Unavailable));
    if !published.is_empty() && published.iter().all(is_away) {
        return Err(tenants::Error::Unavailable.into());
    }
    let results = merge(
        refused,
        published
            .into_iter()
            .map(|one| one.map(AcceptedMessage::from).map_err(Problem::from)),
    );
    let results = results
        .iter()
        .map(|result| match result {
            Ok(accepted) => BatchResult::Accepted(accepted),
            Err(problem) => BatchResult::Refused(problem.body()),
        })
        .collect();
    Ok(HttpResponse::Accepted().json(BatchAnswer { results }))
}

/// Takes the messages that can be published out; where one was, `None` is left.
fn split(events: Vec<Result<BatchMessage, Problem>>) -> (Vec<Publish>, Vec<Option<Problem>>) {
    let mut valid = Vec::with_capacity(events.len());
    let refused = events
        .into_iter()
        .map(|event| match event {
            Ok(message) => {
                valid.push(Publish::from(message));
                None
            }
            Err(problem) => Some(problem),
        })
        .collect();
    (valid, refused)
}

/// Puts the results back to where their messages were.
fn merge<T>(
    refused: Vec<Option<Problem>>,
    mut published: impl Iterator<Item = Result<T, Problem>>,
) -> Vec<Result<T, Problem>> {
    refused
        .into_iter()
        .map(|refused| match refused {
            Some(problem) => Err(problem),
            // There is one for each; without it nobody knows what became of the message.
            None => published.next().unwrap_or_else(|| Err(Problem::internal())),
        })
        .collect()
}

fn messages(
    field: &str,
    value: &RawValue,
    errors: &mut Errors,
) -> Option<Vec<Result<BatchMessage, Problem>>> {
    let Ok(elements) = serde_json::from_str::<Elements<'_, BATCH_MESSAGES_MAX>>(value.get()) else {
        errors.push(field, "invalid_type", "must be a list");
        return None;
    };
    if !(1..=BATCH_MESSAGES_MAX).contains(&elements.count) {
        let message = format!(
            "must have 1 to {BATCH_MESSAGES_MAX} messages, has {}",
            elements.count
        );
        errors.push(field, "invalid_length", message);
        return None;
    }
    Some(elements.first.into_iter().map(read_message).collect())
}

fn read_message(value: &RawValue) -> Result<BatchMessage, Problem> {
    if value.get().len() > REQUEST_BYTES_MAX {
        return Err(Problem::body_too_large(REQUEST_BYTES_MAX));
    }
    fields::read_element(value)
}

fn key(field: &str, value: &RawValue, errors: &mut Errors) -> Option<String> {
    let key = fields::text(field, value, errors)?;
    if is_idempotency_key(&key) {
        return Some(key);
    }
    errors.push(
        field,
        "invalid_value",
        "must have 1 to 255 printable ASCII characters",
    );
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Batch, Problem> {
        fields::read(body.as_bytes())
    }

    #[test]
    fn a_wrong_message_does_not_harm_its_neighbours() {
        let batch = read(
            r#"{"events":[{"event":"a","data":{},"idempotency_key":"k"},5,{"event":"b"},{"event":"c","data":{}}]}"#,
        );
        let (valid, refused) = split(batch.unwrap().events);
        assert_eq!(
            valid
                .iter()
                .map(|one| one.event.as_str())
                .collect::<Vec<_>>(),
            ["a", "c"]
        );
        assert_eq!(valid[0].idempotency_key.as_deref(), Some("k"));
        let results = merge(
            refused,
            [Ok(1), Err(Problem::store_unavailable())].into_iter(),
        );
        let statuses: Vec<_> = results
            .iter()
            .map(|r| r.as_ref().map_err(|p| p.status.as_u16()))
            .collect();
        assert_eq!(statuses, [Ok(&1), Err(422), Err(422), Err(503)]);
    }

    #[test]
    fn a_batch_has_1_to_1000_messages() {
        let events = |count: usize| {
            format!(
                r#"{{"events":[{}]}}"#,
                vec![r#"{"event":"a","data":{}}"#; count].join(",")
            )
        };
        assert!(read(&events(1)).is_ok());
        assert!(read(&events(1000)).is_ok());
        for bad in [
            events(0),
            events(1001),
            r#"{"events":{}}"#.to_owned(),
            "{}".to_owned(),
        ] {
            assert_eq!(read(&bad).unwrap_err().errors[0].field, "events");
        }
    }

    #[test]
    fn a_message_in_a_batch_is_no_longer_than_alone() {
        let long = "x".repeat(REQUEST_BYTES_MAX);
        let batch = read(&format!(
            r#"{{"events":[{{"event":"a","data":{{"x":"{long}"}}}}]}}"#
        ));
        let problem = batch.unwrap().events.remove(0).unwrap_err();
        assert_eq!(
            (problem.status.as_u16(), problem.code),
            (413, "body_too_large")
        );
    }
}
