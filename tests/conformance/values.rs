//! Values at their ends: bytes, sizes, times and numbers come back as they went in.

use std::collections::BTreeMap;

use bytes::Bytes;
use hookledger::store::{Commit, LoggedAttempt};
use hookledger_domain::{
    delivery::{
        self, Scheduled,
        attempt::{Attempt, Failure, FailureCode, Response, ResponseHead, Trigger},
    },
    ids::{AttemptId, DeliveryId, MessageId, Sequence, WebhookId},
    message::{self, Accepted, BODY_BYTES_MAX},
};
use hookledger_projections::query::{AttemptFilter, Page};

use super::{DateTime, Engine, Store, TenantId, Utc, at, first, open, origin};

fn acme() -> TenantId {
    super::tenant("acme")
}

fn message_id(number: i64) -> MessageId {
    MessageId::from_uuid(Sequence::default().next(at(number), 1))
}

async fn publish(store: &Store, number: i64, accepted: Accepted, body: &str) -> MessageId {
    let id = message_id(number);
    let accepted = Accepted {
        tenant_id: acme(),
        body_bytes: body.len() as u64,
        ..accepted
    };
    let mut commit = Commit::new(&origin(&acme()), at(number));
    let fact = message::Event::Accepted(accepted).into();
    commit
        .push_with_body(id, 1, &fact, Some(Bytes::from(body.to_owned())))
        .unwrap();
    store.ledger().commit(commit).await.unwrap();
    id
}

pub(super) async fn bodies_come_back_byte_for_byte<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let bodies = [
        r#"{"event":"a","data":{"b":"\u0000 and \ud83e\udd80"}}"#,
        "{\"data\":{\"quote\":\"'; DROP TABLE events; --\",\"line\":\"\u{2028}\u{feff}\"}}",
        "{\"data\":{\"replaced\":\"\u{fffd}\",\"crab\":\"\u{1f980}\",\"n\":1.10}}",
        " {\t\"spaces\" : \"kept\"\r\n} ",
        "{}",
        &format!("{{\"data\":\"{}\"}}", "é".repeat(BODY_BYTES_MAX / 2 - 10)),
    ];
    for (number, body) in bodies.iter().enumerate() {
        let id = publish(&store, number as i64, Accepted::default(), body).await;
        let found = store.views().message_body(&acme(), id).await.unwrap();
        assert!(
            found.as_deref() == Some(body.as_bytes()),
            "body {number} is another one"
        );
        let message = store.views().message(&acme(), id).await.unwrap().unwrap();
        assert!(
            message.body.as_deref() == Some(*body),
            "body {number} is another one"
        );
        assert_eq!(message.row.body_bytes, body.len() as u64);
    }
    assert_eq!(
        store
            .views()
            .message_body(&super::tenant("other"), message_id(0))
            .await
            .unwrap(),
        None
    );
    store.close().await;
}

/// Publishes so many messages with the largest bodies; gives their ids, newest first.
pub(super) async fn publish_large(store: &Store, count: i64) -> Vec<MessageId> {
    let body = "x".repeat(BODY_BYTES_MAX);
    let mut published = Vec::new();
    for number in 0..count {
        published.insert(0, publish(store, number, Accepted::default(), &body).await);
    }
    published
}

pub(super) async fn large_bodies_end_a_page_early<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let expected = publish_large(&store, 20).await;
    let (mut found, mut pages) = (Vec::new(), 0);
    let mut page = first(200);
    loop {
        let rows = store.views().messages(&acme(), page).await.unwrap();
        let bytes: usize = rows
            .rows
            .iter()
            .map(|message| message.body.as_ref().map_or(0, String::len))
            .sum();
        assert!(bytes <= 5 * 1024 * 1024, "{bytes} bytes on one page");
        found.extend(rows.rows.iter().map(|message| message.row.id));
        pages += 1;
        let Some(next) = rows.next else { break };
        page = Page {
            limit: 200,
            after: Some(next),
        };
    }
    assert_eq!(found, expected);
    assert!(pages > 1);
    store.close().await;
}

fn attempt(number: u32) -> Attempt {
    Attempt {
        id: AttemptId::from_uuid(Sequence::default().next(at(i64::from(number)), 5)),
        number,
        message_id: message_id(0),
        webhook_id: WebhookId::default(),
        topic: "ticket.updated".parse().unwrap(),
        webhook_version: 3,
        trigger: Trigger::Publish,
        started_at: at(i64::from(number)),
        duration_ms: 12,
        url: "https://example.com/h\u{e4}?a=1&b='2'".to_owned(),
        response: None,
        failure: None,
    }
}

/// Records one attempt of a new delivery, and reads its log row.
async fn record(
    store: &Store,
    attempt: Attempt,
    body: Option<String>,
    recorded_at: DateTime<Utc>,
) -> LoggedAttempt {
    let id = DeliveryId::from_uuid(Sequence::default().next(at(0), 9));
    let scheduled = Scheduled {
        tenant_id: acme(),
        due_at: at(0),
        ..Scheduled::default()
    };
    store
        .ledger()
        .commit(super::world::register(&acme(), WebhookId::default()))
        .await
        .unwrap();
    let mut commit = Commit::new(&origin(&acme()), recorded_at);
    commit
        .push(id, 1, &delivery::Event::Scheduled(scheduled).into())
        .unwrap();
    let event = delivery::Event::Succeeded { attempt };
    commit
        .push_with_body(id, 2, &event.into(), body.map(Bytes::from))
        .unwrap();
    store.ledger().commit(commit).await.unwrap();
    let found = store
        .views()
        .attempts(&acme(), &AttemptFilter::default(), first(1))
        .await
        .unwrap();
    let row = store.views().delivery(&acme(), id).await.unwrap().unwrap();
    assert_eq!(row.completed_at, Some(recorded_at));
    found.rows.into_iter().next().unwrap()
}

pub(super) async fn an_answer_comes_back_as_it_was_recorded<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let headers: BTreeMap<String, String> = (0..200)
        .map(|number| {
            (
                format!("x-{number}"),
                format!("value {number}, \"quoted\" \u{fffd}"),
            )
        })
        .collect();
    let body = "\u{fffd}\u{1f980}'\"\\\r\n".repeat(1000);
    assert!(body.len() <= Response::BODY_BYTES_MAX);
    let mut attempt = attempt(1);
    attempt.response = Some(ResponseHead {
        status: 599,
        headers: headers.clone(),
        body_bytes: body.len() as u64,
        body_sha256: "00".repeat(32),
        body_truncated: true,
    });
    attempt.failure = Some(Failure {
        code: FailureCode::InvalidResponse,
        message: "line one\nline two \u{1f980}".to_owned(),
    });
    let logged = record(&store, attempt.clone(), Some(body.clone()), at(7)).await;
    let response = logged.row.response.unwrap();
    assert_eq!(
        (response.status, response.headers, response.body_truncated),
        (599, headers, true)
    );
    assert_eq!(logged.response_body, Some(body));
    assert_eq!(logged.row.error, attempt.failure);
    assert_eq!(logged.row.url, attempt.url);
    store.close().await;
}

pub(super) async fn an_attempt_without_an_answer_has_none<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let logged = record(&store, attempt(1), None, at(7)).await;
    assert_eq!(logged.row.response, None);
    assert_eq!(logged.response_body, None);
    assert_eq!(logged.row.error, None);
    store.close().await;
}

pub(super) async fn times_are_kept_to_the_millisecond<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let times = [
        "1970-01-01T00:00:00.000Z",
        "0001-01-01T00:00:00.001Z",
        "2026-03-24T23:11:25.123Z",
        "9999-12-31T23:59:59.999Z",
    ];
    for (number, text) in times.into_iter().enumerate() {
        let timestamp: DateTime<Utc> = text.parse().unwrap();
        let accepted = Accepted {
            timestamp,
            ..Accepted::default()
        };
        let id = publish(&store, 1 + number as i64, accepted, "{}").await;
        let row = store
            .views()
            .message(&acme(), id)
            .await
            .unwrap()
            .unwrap()
            .row;
        assert_eq!(row.timestamp, timestamp);
        assert_eq!(row.accepted_at, at(1 + number as i64));
    }
    let logged = record(&store, attempt(1), None, at(999)).await;
    assert_eq!(logged.row.started_at, at(1));
    store.close().await;
}

pub(super) async fn numbers_at_their_ends_come_back<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let mut attempt = attempt(u32::MAX);
    attempt.duration_ms = i64::MAX as u64;
    attempt.webhook_version = i64::MAX as u64;
    let logged = record(&store, attempt.clone(), None, at(7)).await;
    assert_eq!(logged.row.number, u32::MAX);
    assert_eq!(logged.row.duration_ms, attempt.duration_ms);
    assert_eq!(logged.row.webhook_version, attempt.webhook_version);
    store.close().await;
}
