//! A webhook's rate limit with much waiting, and the process killed in between.
//!
//! `HOOKLEDGER_TEST_PACE_MESSAGES=5000` makes it longer than the usual ten seconds, and asks that no
//! second has too few either: that needs a machine with nothing else to do.

use chrono::DateTime;
use serde_json::json;

use crate::support::{App, Receiver};

const MESSAGES: usize = 1_000;
const PER_SECOND: usize = 100;
/// What a window of one second may have.
const WINDOW: std::ops::RangeInclusive<usize> = 95..=105;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_second_has_more_attempts_than_allowed() {
    let asked = std::env::var("HOOKLEDGER_TEST_PACE_MESSAGES").ok();
    let is_strict = asked.is_some();
    let count = asked.map_or(MESSAGES, |count| {
        count.parse().expect("a number of messages")
    });
    let (mut app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = json!({
        "name": "Slow", "url": receiver.url("/hooks"), "events": ["*"], "rate_limit": PER_SECOND
    });
    tenant.webhook_with(webhook).await;
    tenant.publish_many("ticket.created", count).await;
    for wanted in (0..count).step_by(count / 5) {
        receiver.arrived("/hooks", wanted).await;
    }
    app.kill();
    let killed_at = chrono::Utc::now().timestamp_millis();
    app.restart().await;
    for wanted in (0..count)
        .rev()
        .step_by(count / 5)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        receiver.arrived("/hooks", wanted + 1).await;
    }
    tenant.until_nothing_is_pending().await;

    let mut times: Vec<i64> = tenant
        .logs("")
        .await
        .iter()
        .map(|row| DateTime::parse_from_rfc3339(row["started_at"].as_str().unwrap()).unwrap())
        .map(|started_at| started_at.timestamp_millis())
        .collect();
    times.sort_unstable();
    assert!(times.len() >= count);
    let last = times[times.len() - 1];
    for (index, start) in times.iter().enumerate() {
        let within = times[index..]
            .iter()
            .take_while(|at| **at < start + 1000)
            .count();
        let is_across = (start..=&(start + 1000)).contains(&&killed_at);
        // A start of the process may begin with what the one before has spent, once.
        let most = WINDOW.end() + if is_across { PER_SECOND } else { 0 };
        assert!(
            within <= most,
            "{within} attempts in the second after attempt {index}"
        );
        if is_strict && !is_across && start + 1000 < last {
            assert!(
                within >= *WINDOW.start(),
                "{within} in the second after attempt {index}"
            );
        }
    }
}
