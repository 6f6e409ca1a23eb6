//! Reads rows back.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use cqrs_es::persist::SerializedEvent;
use hookledger_domain::{
    delivery::{
        Status,
        attempt::{Failure, FailureCode, Trigger},
    },
    ids::{AttemptId, DeliveryId, MessageId, RecoveryId, TokenId, WebhookId},
    message::IdempotencyKey,
};
use hookledger_projections::{
    rows::{
        AttemptRow, DeliveryRow, MessageRow, RecoveryRow, ResponseRow, TenantRow, TokenRow,
        TopicRow, WebhookRow,
    },
    stats::Measured,
};
use serde::de::DeserializeOwned;
use sqlx::{Row, postgres::PgRow, types::Json};
use uuid::Uuid;

use crate::store::{
    Error, Hash, LoggedAttempt, StoredEvent, WebhookSecrets, chain::Content, stats::Told,
};

/// A column of text that stands for a value.
pub(super) fn parsed<T: FromStr>(row: &PgRow, column: &str) -> Result<T, Error>
where
    T::Err: std::fmt::Display,
{
    let text: &str = row.try_get(column)?;
    text.parse()
        .map_err(|error| Error::corrupt(format!("{column}: {error}")))
}

/// A column of text that is one word of an enumeration, as serde names them.
pub(super) fn word<T: DeserializeOwned>(row: &PgRow, column: &str) -> Result<T, Error> {
    let text: String = row.try_get(column)?;
    Ok(serde_json::from_value(text.into())?)
}

/// The same of a column that may be empty.
fn optional_word<T: DeserializeOwned>(row: &PgRow, column: &str) -> Result<Option<T>, Error> {
    let text: Option<String> = row.try_get(column)?;
    Ok(text
        .map(|text| serde_json::from_value(text.into()))
        .transpose()?)
}

fn json<T: DeserializeOwned>(row: &PgRow, column: &str) -> Result<T, Error> {
    Ok(row.try_get::<Json<T>, _>(column)?.0)
}

/// A column with an id; the kind of the id is that of its maker.
pub(super) fn id<T>(row: &PgRow, column: &str, make: fn(Uuid) -> T) -> Result<T, Error> {
    Ok(make(row.try_get(column)?))
}

pub(super) fn time(row: &PgRow, column: &str) -> Result<DateTime<Utc>, Error> {
    Ok(row.try_get(column)?)
}

pub(super) fn number<T: TryFrom<i64>>(row: &PgRow, column: &str) -> Result<T, Error> {
    let number: i64 = row.try_get(column)?;
    T::try_from(number).map_err(|_| Error::corrupt(format!("{column} is out of range")))
}

fn optional_status(row: &PgRow, column: &str) -> Result<Option<u16>, Error> {
    let number: Option<i32> = row.try_get(column)?;
    Ok(number.and_then(|number| u16::try_from(number).ok()))
}

fn failure(row: &PgRow, code: &str, message: &str) -> Result<Option<Failure>, Error> {
    if row.try_get::<Option<&str>, _>(code)?.is_none() {
        return Ok(None);
    }
    Ok(Some(Failure {
        code: word::<FailureCode>(row, code)?,
        message: row.try_get(message)?,
    }))
}

pub(super) fn event(row: &PgRow) -> Result<SerializedEvent, Error> {
    Ok(SerializedEvent::new(
        row.try_get("aggregate_id")?,
        number(row, "sequence")?,
        row.try_get("aggregate_type")?,
        row.try_get("event_type")?,
        row.try_get("event_version")?,
        row.try_get("payload")?,
        row.try_get("metadata")?,
    ))
}

/// What an event's hash covers, of a row that has its time in microseconds and its JSON as text.
pub(super) fn content(row: &PgRow) -> Result<Content<'_>, sqlx::Error> {
    let text = |name: &str| row.try_get::<&str, _>(name).map(str::as_bytes);
    Ok(Content {
        tenant_id: text("tenant_id")?,
        aggregate_type: text("aggregate_type")?,
        aggregate_id: text("aggregate_id")?,
        sequence: row.try_get("sequence")?,
        event_type: text("event_type")?,
        event_version: text("event_version")?,
        recorded_at: row.try_get("recorded_at")?,
        payload: text("payload")?,
        metadata: text("metadata")?,
    })
}

pub(super) fn hash(row: &PgRow) -> Result<Hash, Error> {
    Hash::from_slice(row.try_get("hash")?).ok_or_else(|| Error::corrupt("a hash of another length"))
}

pub(super) fn stored(row: &PgRow) -> Result<StoredEvent, Error> {
    // What belongs to no tenant has an empty one here, since it is a part of the key.
    let tenant: &str = row.try_get("tenant_id")?;
    let tenant = Some(tenant).filter(|tenant| !tenant.is_empty());
    Ok(StoredEvent {
        position: number(row, "position")?,
        tenant_id: tenant.map(str::parse).transpose().map_err(Error::corrupt)?,
        recorded_at: time(row, "recorded_at")?,
        aggregate_type: row.try_get("aggregate_type")?,
        aggregate_id: row.try_get("aggregate_id")?,
        sequence: number(row, "sequence")?,
        event_type: row.try_get("event_type")?,
        event_version: row.try_get("event_version")?,
        payload: row.try_get("payload")?,
        metadata: row.try_get("metadata")?,
        hash: hash(row)?,
        body: row.try_get("body")?,
    })
}

pub(super) fn tenant(row: &PgRow) -> Result<TenantRow, Error> {
    Ok(TenantRow {
        id: parsed(row, "tenant_id")?,
        name: row.try_get("tenant_name")?,
        stripe_customer_id: row.try_get("stripe_customer_id")?,
        is_suspended: row.try_get("is_suspended")?,
        generation: number(row, "generation")?,
    })
}

pub(super) fn token(row: &PgRow) -> Result<TokenRow, Error> {
    Ok(TokenRow {
        id: id(row, "id", TokenId::from_uuid)?,
        tenant_id: parsed(row, "tenant_id")?,
        name: row.try_get("name")?,
        role: parsed(row, "role")?,
        token_sha256: row.try_get("token_sha256")?,
        expires_at: row.try_get("expires_at")?,
    })
}

pub(super) fn topic(row: &PgRow) -> Result<TopicRow, Error> {
    Ok(TopicRow {
        name: parsed(row, "name")?,
        description: row.try_get("description")?,
        schema: row.try_get("schema")?,
    })
}

pub(super) fn webhook(row: &PgRow) -> Result<WebhookRow, Error> {
    Ok(WebhookRow {
        id: id(row, "id", WebhookId::from_uuid)?,
        tenant_id: parsed(row, "tenant_id")?,
        config: json(row, "config")?,
        is_active: row.try_get("is_active")?,
        disabled_reason: optional_word(row, "disabled_reason")?,
        failing_since: row.try_get("failing_since")?,
        secrets: json(row, "secrets")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
        version: number(row, "version")?,
        is_deleted: row.try_get("is_deleted")?,
    })
}

pub(super) fn webhook_secrets(row: &PgRow) -> Result<WebhookSecrets, Error> {
    Ok(WebhookSecrets {
        tenant_id: parsed(row, "tenant_id")?,
        webhook_id: id(row, "id", WebhookId::from_uuid)?,
        secrets: json(row, "secrets")?,
    })
}

pub(super) fn message(row: &PgRow) -> Result<MessageRow, Error> {
    let key: Option<String> = row.try_get("idempotency_key")?;
    let idempotency = match key {
        Some(key) => Some(IdempotencyKey {
            key,
            content_sha256: row.try_get("content_sha256")?,
        }),
        None => None,
    };
    Ok(MessageRow {
        id: id(row, "id", MessageId::from_uuid)?,
        tenant_id: parsed(row, "tenant_id")?,
        topic: parsed(row, "topic")?,
        timestamp: time(row, "timestamp")?,
        accepted_at: time(row, "accepted_at")?,
        ordering_key: row.try_get("ordering_key")?,
        body_bytes: number(row, "body_bytes")?,
        body_sha256: row.try_get("body_sha256")?,
        idempotency,
        deliveries: number(row, "deliveries")?,
        not_delivered: json(row, "not_delivered")?,
    })
}

pub(super) fn delivery(row: &PgRow) -> Result<DeliveryRow, Error> {
    Ok(DeliveryRow {
        id: id(row, "id", DeliveryId::from_uuid)?,
        tenant_id: parsed(row, "tenant_id")?,
        message_id: id(row, "message_id", MessageId::from_uuid)?,
        webhook_id: id(row, "webhook_id", WebhookId::from_uuid)?,
        topic: parsed(row, "topic")?,
        trigger: word::<Trigger>(row, "trigger")?,
        queue: row.try_get("queue")?,
        status: word::<Status>(row, "status")?,
        attempts: number(row, "attempts")?,
        created_at: time(row, "created_at")?,
        next_attempt_at: row.try_get("next_attempt_at")?,
        completed_at: row.try_get("completed_at")?,
        last_response_status: optional_status(row, "last_response_status")?,
        last_error: failure(row, "last_error_code", "last_error_message")?,
    })
}

pub(super) fn recovery(row: &PgRow) -> Result<RecoveryRow, Error> {
    Ok(RecoveryRow {
        id: id(row, "id", RecoveryId::from_uuid)?,
        tenant_id: parsed(row, "tenant_id")?,
        webhook_id: id(row, "webhook_id", WebhookId::from_uuid)?,
        from: time(row, "from_at")?,
        to: time(row, "to_at")?,
        selection: word(row, "selection")?,
        state: word(row, "state")?,
        matched: number(row, "matched")?,
        requested: number(row, "requested")?,
        completed_at: row.try_get("completed_at")?,
    })
}

pub(super) fn delivery_status(row: &PgRow) -> Result<Status, Error> {
    word(row, "status")
}

pub(super) fn attempt(row: &PgRow) -> Result<LoggedAttempt, Error> {
    let response = match optional_status(row, "response_status")? {
        Some(status) => Some(ResponseRow {
            status,
            headers: json(row, "response_headers")?,
            body_bytes: number(row, "response_body_bytes")?,
            body_truncated: row.try_get("body_truncated")?,
        }),
        None => None,
    };
    Ok(LoggedAttempt {
        row: AttemptRow {
            id: id(row, "id", AttemptId::from_uuid)?,
            tenant_id: parsed(row, "tenant_id")?,
            delivery_id: id(row, "delivery_id", DeliveryId::from_uuid)?,
            message_id: id(row, "message_id", MessageId::from_uuid)?,
            webhook_id: id(row, "webhook_id", WebhookId::from_uuid)?,
            webhook_version: number(row, "webhook_version")?,
            topic: parsed(row, "topic")?,
            number: number(row, "number")?,
            trigger: word(row, "trigger")?,
            started_at: time(row, "started_at")?,
            duration_ms: number(row, "duration_ms")?,
            url: row.try_get("url")?,
            response,
            error: failure(row, "error_code", "error_message")?,
        },
        response_body: row.try_get("response_body")?,
    })
}

pub(super) fn told(row: &PgRow) -> Result<Told, Error> {
    let failure = match row.try_get::<Option<&str>, _>("error_code")? {
        Some(_) => Some(word(row, "error_code")?),
        None => None,
    };
    Ok(Told {
        webhook_version: number(row, "webhook_version")?,
        started_at: time(row, "started_at")?,
        duration_ms: number(row, "duration_ms")?,
        failure,
    })
}

/// Attempts of which each column is a list.
pub(super) fn measured(row: &PgRow) -> Result<Vec<Measured>, Error> {
    let started_at: Vec<DateTime<Utc>> = row.try_get("started_at")?;
    let durations_ms: Vec<i64> = row.try_get("duration_ms")?;
    let have_failed: Vec<bool> = row.try_get("has_failed")?;
    let rest = durations_ms.into_iter().zip(have_failed);
    let attempts = started_at.into_iter().zip(rest);
    Ok(attempts
        .map(|(started_at, (duration_ms, has_failed))| Measured {
            started_at,
            duration_ms: duration_ms.cast_unsigned(),
            has_succeeded: !has_failed,
        })
        .collect())
}
