//! Which events are asked for, and how they are shown.

use hookledger_domain::{fact::Fact, tenant::TenantId};
use serde::Serialize;
use utoipa::ToSchema;

use super::event::EventView;
use crate::{
    http::{problem::Problem, query::Query},
    store::{Error, EventFilter, StoredEvent},
};

/// The parameters that say which events are meant.
pub(super) const FILTERS: [&str; 6] = [
    "aggregate_type",
    "aggregate_id",
    "event_type",
    "actor",
    "from",
    "to",
];
/// The parameter that asks for more of each event.
pub(super) const INCLUDE: &str = "include";
/// The longest id of an aggregate or an actor that is looked for, in characters.
const ID_CHARACTERS_MAX: usize = 255;
/// The longest type of an event that is looked for, in bytes.
const EVENT_TYPE_BYTES_MAX: usize = 64;

/// Which of the tenant's events, or of all, are meant.
///
/// Fails with 400 if a parameter is malformed.
pub(super) fn filter(query: &Query<'_>, tenant: Option<TenantId>) -> Result<EventFilter, Problem> {
    let types = Fact::AGGREGATE_TYPES;
    let aggregate_type = query.read(
        "aggregate_type",
        &format!("must be one of {}", types.join(", ")),
        |text| types.contains(&text).then(|| text.to_owned()),
    )?;
    let event_type = query.read("event_type", "must be 1 to 64 of a-z and _", |text| {
        is_event_type(text).then(|| text.to_owned())
    })?;
    let name = |name| {
        query.read(
            name,
            "must be 1 to 255 characters, none of them a control character",
            |text| is_name(text).then(|| text.to_owned()),
        )
    };
    Ok(EventFilter {
        tenant,
        aggregate_type,
        aggregate_id: name("aggregate_id")?,
        event_type,
        actor: name("actor")?,
        recorded: query.span()?,
    })
}

/// Whether the origin of each event is asked for, too.
///
/// Fails with 400 if anything else is.
pub(super) fn with_origin(query: &Query<'_>) -> Result<bool, Problem> {
    let asked = query.read(INCLUDE, "must be origin", |text| {
        (text == "origin").then_some(true)
    })?;
    Ok(asked.unwrap_or(false))
}

fn is_event_type(text: &str) -> bool {
    (1..=EVENT_TYPE_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn is_name(text: &str) -> bool {
    (1..=ID_CHARACTERS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// An event of the audit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(super) struct EntryView {
    #[serde(flatten)]
    event: EventView,
    /// The tenant whose event it is, if it is one's; with `include=origin` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false)]
    tenant_id: Option<Option<String>>,
    /// The address of the client that sent the request, if one did; with `include=origin` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false)]
    client: Option<Option<String>>,
    /// The id of what led to it, if something did; with `include=origin` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false)]
    cause: Option<Option<String>>,
}

impl EntryView {
    /// Shows an event. Fails if it is not one that this version can read.
    pub(super) fn new(event: StoredEvent, with_origin: bool) -> Result<Self, Error> {
        let origin = event.origin()?;
        let shown = |text: Option<&str>| with_origin.then(|| text.map(str::to_owned));
        Ok(Self {
            tenant_id: shown(event.tenant_id.as_ref().map(TenantId::as_str)),
            client: shown(origin.client.as_deref()),
            cause: shown(origin.cause.as_deref()),
            event: EventView::new(event, &origin)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<EventFilter, Problem> {
        filter(&Query::parse(text, &[&FILTERS])?, None)
    }

    #[test]
    fn what_is_asked_for_is_read() {
        let filter = read(
            "aggregate_type=webhook&actor=user%3Aann&event_type=url_changed&to=2026-01-01T00:00:00Z",
        );
        let filter = filter.unwrap();
        assert_eq!(filter.aggregate_type.as_deref(), Some("webhook"));
        assert_eq!(filter.actor.as_deref(), Some("user:ann"));
        assert_eq!(filter.event_type.as_deref(), Some("url_changed"));
        assert!(filter.recorded.from.is_none() && filter.recorded.to.is_some());
        assert!(
            read("actor=%C3%A9").is_ok()
                && read(&format!("actor={}", "%C3%A9".repeat(255))).is_ok()
        );
    }

    #[test]
    fn what_nothing_can_have_is_refused_by_name() {
        let long = format!("aggregate_id={}", "a".repeat(256));
        let types = format!("event_type={}", "a".repeat(65));
        for bad in [
            "aggregate_type=webhooks",
            "aggregate_type=",
            "aggregate_id=",
            "aggregate_id=a%00b",
            &long,
            "event_type=",
            "event_type=Changed",
            "event_type=a1",
            &types,
            "actor=",
            "actor=%0a",
            "from=now",
        ] {
            let problem = read(bad).unwrap_err();
            assert_eq!(
                (problem.status.as_u16(), problem.code),
                (400, "invalid_parameter")
            );
            let name = bad.split('=').next().unwrap();
            assert!(problem.detail.contains(name), "{bad}");
        }
    }
}
