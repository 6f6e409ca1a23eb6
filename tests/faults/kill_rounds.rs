//! The process is killed under load at random moments, again and again.
//!
//! `HOOKLEDGER_TEST_KILL_ROUNDS=500` makes it more than the usual rounds.

use std::{collections::BTreeMap, time::Duration};

use super::load::{Books, Load, PAUSE, drain};
use crate::support::{App, Receiver, Reply, fail_first};

const ROUNDS: usize = 20;
/// How long a round lasts, in milliseconds.
const ROUND_MS: std::ops::Range<u64> = 30..500;
/// Every so many rounds the process is killed while it starts, too.
const KILLED_AT_START: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_no_success_is_repeated() {
    let settings = [("RETRY_SCHEDULE", "10ms,50ms,100ms,200ms")];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/flaky", fail_first(1));
    receiver.on("/slow", |_| Reply::ok().after(Duration::from_millis(20)));
    let tenant = app.tenant("acme").await;
    let mut endpoints = BTreeMap::new();
    for path in ["/steady", "/flaky", "/slow"] {
        endpoints.insert(
            path,
            tenant.webhook(&receiver.url(path), &["ticket.*"]).await,
        );
    }
    let load = Load::start(&tenant, 3, PAUSE);
    for round in 0..rounds() {
        at_a_random_moment(ROUND_MS).await;
        app.kill();
        if round % KILLED_AT_START == 0 {
            app.begin_restart();
            at_a_random_moment(0..60).await;
            app.kill();
        }
        app.restart().await;
    }
    let accepted = load.finish().await;
    drain(&tenant, &receiver).await;

    let books = Books::of(&tenant, &receiver).await;
    books.assert_nothing_is_lost(&accepted, &endpoints);
    books.assert_bodies_are_the_same(&endpoints);
    books.assert_no_send_after_success();
    books.assert_attempts_are_numbered();
    assert!(
        books.count() > 10 * rounds(),
        "there was hardly any load: {}",
        books.count()
    );
}

pub(super) fn rounds() -> usize {
    let asked = std::env::var("HOOKLEDGER_TEST_KILL_ROUNDS").ok();
    asked.map_or(ROUNDS, |rounds| rounds.parse().expect("a number of rounds"))
}

pub(super) async fn at_a_random_moment(within_ms: std::ops::Range<u64>) {
    let moment = rand::random_range(within_ms);
    tokio::time::sleep(Duration::from_millis(moment)).await;
}
