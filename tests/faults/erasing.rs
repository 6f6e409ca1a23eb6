//! The process is killed again and again while it sends and erases at the same time.

use std::{collections::BTreeMap, time::Duration};

use super::{
    kill_rounds::at_a_random_moment,
    load::{Books, Load, drain},
};
use crate::support::{App, Receiver, Reply, eventually, fail_first};

const ROUNDS: usize = 6;
/// How long a round lasts, in milliseconds: a server looks for old bodies a second after its start,
/// and then every second.
const ROUND_MS: std::ops::Range<u64> = 950..2500;
/// How long each publisher waits after a message.
const PAUSE: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_erased_was_sent_before() {
    // What fails is older than bodies are kept when it is tried for the last time.
    let settings = [
        ("RETENTION_BODIES", "1s"),
        ("RETRY_SCHEDULE", "700ms,700ms,700ms"),
    ];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/flaky", fail_first(3));
    receiver.on("/steady", |_| Reply::body(200, b"thanks"));
    let tenant = app.tenant("acme").await;
    let mut endpoints = BTreeMap::new();
    for path in ["/steady", "/flaky"] {
        endpoints.insert(
            path,
            tenant.webhook(&receiver.url(path), &["ticket.*"]).await,
        );
    }
    let load = Load::start(&tenant, 3, PAUSE);
    for _ in 0..ROUNDS {
        at_a_random_moment(ROUND_MS).await;
        app.kill();
        app.restart().await;
    }
    let accepted = load.finish().await;
    drain(&tenant, &receiver).await;
    let books = Books::of(&tenant, &receiver).await;
    books.assert_nothing_is_lost(&accepted, &endpoints);
    books.assert_bodies_are_the_same(&endpoints);
    books.assert_each_succeeded_once();
    books.assert_attempts_are_numbered();
    assert!(books.count() > 10 * ROUNDS, "there was hardly any load");
    eventually("an end of all bodies", async || {
        let messages = tenant.api.walk("/api/events", 200).await;
        let attempts = tenant.logs("").await;
        let has_body = |row: &serde_json::Value, field: &str| {
            row[field].as_str().is_some_and(|body| !body.is_empty())
        };
        let is_left = messages.iter().any(|row| has_body(row, "body"))
            || attempts.iter().any(|row| has_body(row, "response_body"));
        (!is_left).then_some(())
    })
    .await;
}
