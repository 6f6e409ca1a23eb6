//! What a tenant sends about a webhook.

use std::collections::BTreeMap;

use hookledger_domain::{
    retry::Schedule,
    webhook::{Changes, EVENTS_MAX, IN_FLIGHT_MAX, Ordering, RATE_LIMIT_MAX, TIMEOUT_SECONDS_MAX},
};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::http::{
    fields::{self, Body, Errors, Fields},
    openapi::{PatternText, WaitSeconds},
};

/// In which order deliveries are sent.
#[derive(ToSchema)]
#[schema(as = Ordering, rename_all = "snake_case")]
#[expect(
    dead_code,
    reason = "describes the domain's Ordering, which knows no OpenAPI"
)]
pub(super) enum OrderingWord {
    /// As they come due, several at a time.
    None,
    /// In order of acceptance, one at a time for each ordering key.
    Fifo,
}

/// The whole configuration of a webhook.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewWebhook {
    /// Its name, for people.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
        example = "Tickets"
    )]
    name: String,
    /// More about it, for people; default: empty.
    #[schema(
        nullable = false,
        max_length = 1000,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"
    )]
    description: Option<String>,
    /// Where deliveries go: `https`, a public host.
    #[schema(
        format = "uri",
        max_length = 2048,
        example = "https://example.com/hooks"
    )]
    url: String,
    /// What it subscribes to: topics, `prefix.*` or `*`.
    #[schema(value_type = Vec<PatternText>, min_items = 1, max_items = 100, example = json!(["ticket.*", "service.updated"]))]
    events: Vec<String>,
    /// Whether deliveries are sent; default: they are.
    #[schema(nullable = false)]
    is_active: Option<bool>,
    /// Headers to send along: at most 20, 4 KiB together, none that the server or HTTP sets;
    /// default: none.
    #[schema(nullable = false, example = json!({"X-Environment": "production"}))]
    headers: Option<BTreeMap<String, String>>,
    /// Which messages of its topics it wants: a CEL expression over `event` and `data` that gives
    /// true or false, at most 4096 bytes; default: all.
    #[schema(max_length = 4096, example = "data.ticket.priority == \"high\"")]
    filter: Option<Option<String>>,
    /// In which order deliveries are sent; default: `none`.
    #[schema(value_type = Option<OrderingWord>, nullable = false)]
    ordering: Option<Ordering>,
    /// At most this many attempts a second; default: no limit.
    #[schema(minimum = 1, maximum = 10000)]
    rate_limit: Option<Option<u64>>,
    /// At most this many attempts at one time; default: the server's own limit.
    #[schema(minimum = 1, maximum = 1000)]
    max_in_flight: Option<Option<u64>>,
    /// A shorter limit for an attempt, in seconds; default: the server's own limit.
    #[schema(minimum = 1, maximum = 30)]
    timeout_seconds: Option<Option<u64>>,
    /// The waits after failed attempts, in seconds; empty: no retries; default: the server's own.
    #[schema(value_type = Option<Vec<WaitSeconds>>, max_items = 50)]
    retry_schedule: Option<Option<Vec<u64>>>,
}

/// What to change about a webhook; what is left out stays.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookChanges {
    /// Its name, for people.
    #[schema(
        nullable = false,
        min_length = 1,
        max_length = 200,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"
    )]
    name: Option<String>,
    /// More about it, for people.
    #[schema(
        nullable = false,
        max_length = 1000,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"
    )]
    description: Option<String>,
    /// Where deliveries go: `https`, a public host.
    #[schema(
        nullable = false,
        format = "uri",
        max_length = 2048,
        example = "https://example.com/hooks"
    )]
    url: Option<String>,
    /// What it subscribes to: topics, `prefix.*` or `*`.
    #[schema(value_type = Option<Vec<PatternText>>, nullable = false, min_items = 1, max_items = 100, example = json!(["ticket.*"]))]
    events: Option<Vec<String>>,
    /// Whether deliveries are sent.
    #[schema(nullable = false)]
    is_active: Option<bool>,
    /// Headers to send along, instead of those until now.
    #[schema(nullable = false, example = json!({"X-Environment": "production"}))]
    headers: Option<BTreeMap<String, String>>,
    /// Which messages of its topics it wants: a CEL expression over `event` and `data` that gives
    /// true or false, at most 4096 bytes; `null`: all.
    #[schema(max_length = 4096, example = "data.ticket.priority == \"high\"")]
    filter: Option<Option<String>>,
    /// In which order deliveries are sent.
    #[schema(value_type = Option<OrderingWord>, nullable = false)]
    ordering: Option<Ordering>,
    /// At most this many attempts a second; `null`: no limit.
    #[schema(minimum = 1, maximum = 10000)]
    rate_limit: Option<Option<u64>>,
    /// At most this many attempts at one time; `null`: the server's own limit.
    #[schema(minimum = 1, maximum = 1000)]
    max_in_flight: Option<Option<u64>>,
    /// A shorter limit for an attempt, in seconds; `null`: the server's own limit.
    #[schema(minimum = 1, maximum = 30)]
    timeout_seconds: Option<Option<u64>>,
    /// The waits after failed attempts, in seconds; empty: no retries; `null`: the server's own.
    #[schema(value_type = Option<Vec<WaitSeconds>>, max_items = 50)]
    retry_schedule: Option<Option<Vec<u64>>>,
}

impl Body for NewWebhook {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let name = fields.required("name", fields::text);
        let url = fields.required("url", fields::text);
        let events = fields.required("events", fields::texts::<EVENTS_MAX>);
        let rest = read_optional(fields);
        Some(Self {
            name: name?,
            description: rest.description,
            url: url?,
            events: events?,
            is_active: rest.is_active,
            headers: rest.headers,
            filter: rest.filter,
            ordering: rest.ordering,
            rate_limit: rest.rate_limit,
            max_in_flight: rest.max_in_flight,
            timeout_seconds: rest.timeout_seconds,
            retry_schedule: rest.retry_schedule,
        })
    }
}

impl Body for WebhookChanges {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let name = fields.optional("name", fields::text);
        let url = fields.optional("url", fields::text);
        let events = fields.optional("events", fields::texts::<EVENTS_MAX>);
        Some(Self {
            name,
            url,
            events,
            ..read_optional(fields)
        })
    }
}

/// The fields that are optional also when a webhook is registered.
fn read_optional(fields: &mut Fields<'_>) -> WebhookChanges {
    WebhookChanges {
        name: None,
        description: fields.optional("description", fields::text),
        url: None,
        events: None,
        is_active: fields.optional("is_active", fields::boolean),
        headers: fields.optional("headers", fields::headers),
        filter: fields.nullable("filter", fields::text),
        ordering: fields.optional("ordering", ordering),
        rate_limit: fields.nullable("rate_limit", fields::integer::<1, RATE_LIMIT_MAX>),
        max_in_flight: fields.nullable("max_in_flight", fields::integer::<1, IN_FLIGHT_MAX>),
        timeout_seconds: fields
            .nullable("timeout_seconds", fields::integer::<1, TIMEOUT_SECONDS_MAX>),
        retry_schedule: fields.nullable(
            "retry_schedule",
            fields::integers::<{ Schedule::WAITS_MAX }, 0, { Schedule::WAIT_SECONDS_MAX }>,
        ),
    }
}

/// A whole configuration: what it leaves out goes back to its default.
impl From<NewWebhook> for Changes {
    fn from(new: NewWebhook) -> Self {
        Self {
            name: Some(new.name),
            description: Some(new.description.unwrap_or_default()),
            url: Some(new.url),
            events: Some(new.events),
            is_active: Some(new.is_active.unwrap_or(true)),
            headers: Some(new.headers.unwrap_or_default()),
            filter: Some(new.filter.flatten()),
            ordering: Some(new.ordering.unwrap_or_default()),
            rate_limit: Some(new.rate_limit.flatten()),
            max_in_flight: Some(new.max_in_flight.flatten()),
            timeout_seconds: Some(new.timeout_seconds.flatten()),
            retry_schedule: Some(new.retry_schedule.flatten()),
        }
    }
}

impl From<WebhookChanges> for Changes {
    fn from(changes: WebhookChanges) -> Self {
        Self {
            name: changes.name,
            description: changes.description,
            url: changes.url,
            events: changes.events,
            is_active: changes.is_active,
            headers: changes.headers,
            filter: changes.filter,
            ordering: changes.ordering,
            rate_limit: changes.rate_limit,
            max_in_flight: changes.max_in_flight,
            timeout_seconds: changes.timeout_seconds,
            retry_schedule: changes.retry_schedule,
        }
    }
}

fn ordering(field: &str, value: &RawValue, errors: &mut Errors) -> Option<Ordering> {
    let allowed = "must be \"none\" or \"fifo\"";
    if !value.get().starts_with('"') {
        errors.push(field, "invalid_type", allowed);
        return None;
    }
    match fields::text(field, value, errors)?.as_str() {
        "none" => Some(Ordering::None),
        "fifo" => Some(Ordering::Fifo),
        _ => {
            errors.push(field, "invalid_value", allowed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_configuration_resets_what_it_leaves_out() {
        let new: NewWebhook = fields::read(br#"{"name":"n","url":"u","events":["*"]}"#).unwrap();
        let changes = Changes::from(new);
        assert_eq!(changes.description.as_deref(), Some(""));
        assert_eq!(changes.is_active, Some(true));
        assert_eq!(changes.headers, Some(BTreeMap::new()));
        assert_eq!(changes.ordering, Some(Ordering::None));
        assert_eq!(changes.rate_limit, Some(None));
        assert_eq!(changes.retry_schedule, Some(None));
    }

    #[test]
    fn changes_tell_null_from_absent() {
        let read = |body: &[u8]| Changes::from(fields::read::<WebhookChanges>(body).unwrap());
        let changes = read(br#"{"rate_limit":null,"retry_schedule":[],"timeout_seconds":5}"#);
        assert_eq!(changes.rate_limit, Some(None));
        assert_eq!(changes.retry_schedule, Some(Some(Vec::new())));
        assert_eq!(changes.timeout_seconds, Some(Some(5)));
        assert_eq!(changes.max_in_flight, None);
        assert_eq!(changes.name, None);
        assert!(read(b"{}").is_active.is_none());
    }

    #[test]
    fn wrong_types_are_refused_by_field() {
        let body =
            br#"{"name":null,"events":"*","headers":{"X-A":1},"ordering":"lifo","version":3}"#;
        let problem = fields::read::<WebhookChanges>(body).unwrap_err();
        let found: Vec<_> = problem
            .errors
            .iter()
            .map(|e| (e.field.as_str(), e.code))
            .collect();
        assert_eq!(
            found,
            [
                ("name", "invalid_type"),
                ("events", "invalid_type"),
                ("headers.X-A", "invalid_type"),
                ("ordering", "invalid_value"),
                ("version", "unknown_field"),
            ]
        );
    }
}
