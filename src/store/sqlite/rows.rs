//! Reads rows back.

use std::str::FromStr;

use chrono::{DateTime, TimeZone, Utc};
use cqrs_es::persist::SerializedEvent;
use hookledger_domain::{
    delivery::{
        Status,
        attempt::{Failure, FailureCode, Trigger},
    },
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
use sqlx::{Row, sqlite::SqliteRow};

use crate::store::{Error, Hash, LoggedAttempt, StoredEvent, WebhookSecrets, stats::Told};

/// A column of text that stands for a value.
pub(super) fn parsed<T: FromStr>(row: &SqliteRow, column: &str) -> Result<T, Error>
where
    T::Err: std::fmt::Display,
{
    let text: &str = row.try_get(column)?;
    text.parse()
        .map_err(|error| Error::corrupt(format!("{column}: {error}")))
}

/// A column of text that is one word of an enumeration, as serde names them.
pub(super) fn word<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, Error> {
    let text: String = row.try_get(column)?;
    Ok(serde_json::from_value(text.into())?)
}

/// The same of a column that may be empty.
fn optional_word<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<Option<T>, Error> {
    let text: Option<String> = row.try_get(column)?;
    Ok(text
        .map(|text| serde_json::from_value(text.into()))
        .transpose()?)
}

fn json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, Error> {
    let text: &str = row.try_get(column)?;
    Ok(serde_json::from_str(text)?)
}

/// A column of milliseconds.
pub(super) fn time(row: &SqliteRow, column: &str) -> Result<DateTime<Utc>, Error> {
    optional_time(row, column)?.ok_or_else(|| Error::corrupt(format!("{column} is empty")))
}

pub(super) fn optional_time(row: &SqliteRow, column: &str) -> Result<Option<DateTime<Utc>>, Error> {
    let Some(millis) = row.try_get::<Option<i64>, _>(column)? else {
        return Ok(None);
    };
    Utc.timestamp_millis_opt(millis)
        .single()
        .map(Some)
        .ok_or_else(|| Error::corrupt(format!("{column} is no time")))
}

pub(super) fn number<T: TryFrom<i64>>(row: &SqliteRow, column: &str) -> Result<T, Error> {
    let number: i64 = row.try_get(column)?;
    T::try_from(number).map_err(|_| Error::corrupt(format!("{column} is out of range")))
}

fn optional_status(row: &SqliteRow, column: &str) -> Result<Option<u16>, Error> {
    let number: Option<i64> = row.try_get(column)?;
    Ok(number.and_then(|number| u16::try_from(number).ok()))
}

fn failure(row: &SqliteRow, code: &str, message: &str) -> Result<Option<Failure>, Error> {
    if row.try_get::<Option<&str>, _>(code)?.is_none() {
        return Ok(None);
    }
    Ok(Some(Failure {
        code: word::<FailureCode>(row, code)?,
        message: row.try_get(message)?,
    }))
}

pub(super) fn event(row: &SqliteRow) -> Result<SerializedEvent, Error> {
    Ok(SerializedEvent::new(
        row.try_get("aggregate_id")?,
        number(row, "sequence")?,
        row.try_get("aggregate_type")?,
        row.try_get("event_type")?,
        row.try_get("event_version")?,
        json(row, "payload")?,
        json(row, "metadata")?,
    ))
}

pub(super) fn hash(row: &SqliteRow) -> Result<Hash, Error> {
    Hash::from_slice(row.try_get("hash")?).ok_or_else(|| Error::corrupt("a hash of another length"))
}

pub(super) fn stored(row: &SqliteRow) -> Result<StoredEvent, Error> {
    let tenant: Option<&str> = row.try_get("tenant_id")?;
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

pub(super) fn tenant(row: &SqliteRow) -> Result<TenantRow, Error> {
    Ok(TenantRow {
        id: parsed(row, "tenant_id")?,
        name: row.try_get("tenant_name")?,
        stripe_customer_id: row.try_get("stripe_customer_id")?,
        is_suspended: row.try_get("is_suspended")?,
        generation: number(row, "generation")?,
    })
}

pub(super) fn token(row: &SqliteRow) -> Result<TokenRow, Error> {
    Ok(TokenRow {
        id: parsed(row, "id")?,
        tenant_id: parsed(row, "tenant_id")?,
        name: row.try_get("name")?,
        role: parsed(row, "role")?,
        token_sha256: row.try_get("token_sha256")?,
        expires_at: optional_time(row, "expires_at")?,
    })
}

pub(super) fn topic(row: &SqliteRow) -> Result<TopicRow, Error> {
    Ok(TopicRow {
        name: parsed(row, "name")?,
        description: row.try_get("description")?,
        schema: row.try_get("schema")?,
    })
}

pub(super) fn webhook(row: &SqliteRow) -> Result<WebhookRow, Error> {
    Ok(WebhookRow {
        id: parsed(row, "id")?,
        tenant_id: parsed(row, "tenant_id")?,
        config: json(row, "config")?,
        is_active: row.try_get("is_active")?,
        disabled_reason: optional_word(row, "disabled_reason")?,
        failing_since: optional_time(row, "failing_since")?,
        secrets: json(row, "secrets")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
        version: number(row, "version")?,
        is_deleted: row.try_get("is_deleted")?,
    })
}

pub(super) fn webhook_secrets(row: &SqliteRow) -> Result<WebhookSecrets, Error> {
    Ok(WebhookSecrets {
        tenant_id: parsed(row, "tenant_id")?,
        webhook_id: parsed(row, "id")?,
        secrets: json(row, "secrets")?,
    })
}

pub(super) fn message(row: &SqliteRow) -> Result<MessageRow, Error> {
    let key: Option<String> = row.try_get("idempotency_key")?;
    let idempotency = match key {
        Some(key) => Some(IdempotencyKey {
            key,
            content_sha256: row.try_get("content_sha256")?,
        }),
        None => None,
    };
    Ok(MessageRow {
        id: parsed(row, "id")?,
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

pub(super) fn delivery(row: &SqliteRow) -> Result<DeliveryRow, Error> {
    Ok(DeliveryRow {
        id: parsed(row, "id")?,
        tenant_id: parsed(row, "tenant_id")?,
        message_id: parsed(row, "message_id")?,
        webhook_id: parsed(row, "webhook_id")?,
        topic: parsed(row, "topic")?,
        trigger: word::<Trigger>(row, "trigger")?,
        queue: row.try_get("queue")?,
        status: word::<Status>(row, "status")?,
        attempts: number(row, "attempts")?,
        created_at: time(row, "created_at")?,
        next_attempt_at: optional_time(row, "next_attempt_at")?,
        completed_at: optional_time(row, "completed_at")?,
        last_response_status: optional_status(row, "last_response_status")?,
        last_error: failure(row, "last_error_code", "last_error_message")?,
    })
}

pub(super) fn recovery(row: &SqliteRow) -> Result<RecoveryRow, Error> {
    Ok(RecoveryRow {
        id: parsed(row, "id")?,
        tenant_id: parsed(row, "tenant_id")?,
        webhook_id: parsed(row, "webhook_id")?,
        from: time(row, "from_at")?,
        to: time(row, "to_at")?,
        selection: word(row, "selection")?,
        state: word(row, "state")?,
        matched: number(row, "matched")?,
        requested: number(row, "requested")?,
        completed_at: optional_time(row, "completed_at")?,
    })
}

pub(super) fn delivery_status(row: &SqliteRow) -> Result<Status, Error> {
    word(row, "status")
}

pub(super) fn attempt(row: &SqliteRow) -> Result<LoggedAttempt, Error> {
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
            id: parsed(row, "id")?,
            tenant_id: parsed(row, "tenant_id")?,
            delivery_id: parsed(row, "delivery_id")?,
            message_id: parsed(row, "message_id")?,
            webhook_id: parsed(row, "webhook_id")?,
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

pub(super) fn told(row: &SqliteRow) -> Result<Told, Error> {
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
pub(super) fn measured(row: &SqliteRow) -> Result<Vec<Measured>, Error> {
    let started_at: Vec<i64> = json(row, "started_at")?;
    let durations_ms: Vec<u64> = json(row, "duration_ms")?;
    let have_failed: Vec<u8> = json(row, "has_failed")?;
    let rest = durations_ms.into_iter().zip(have_failed);
    started_at
        .into_iter()
        .zip(rest)
        .map(|(millis, (duration_ms, has_failed))| {
            let started_at = Utc.timestamp_millis_opt(millis).single();
            Ok(Measured {
                started_at: started_at.ok_or_else(|| Error::corrupt("started_at is no time"))?,
                duration_ms,
                has_succeeded: has_failed == 0,
            })
        })
        .collect()
}
