//! Statistics beside what a plain count of the same history finds, and the circuit that a log tells.

use std::sync::atomic::{AtomicU64, Ordering};

use hookledger::store::{Commit, Store};
use hookledger_domain::{
    circuit::State,
    delivery::{
        self, Scheduled,
        attempt::{Attempt, Failure, FailureCode, Trigger},
    },
    ids::{AttemptId, DeliveryId, MessageId, Sequence, WebhookId},
    topic::Topic,
};
use hookledger_projections::stats::{Asked, Bucket, Grid, Measured, Tally};
use rand::{Rng, seq::IndexedRandom};

use super::{
    DateTime, Engine, TenantId, Utc, at, open, origin,
    world::{TOPICS, World, register},
};

const QUESTIONS: usize = 200;
/// More than a page of statistics has, and more than SQLite notes before it sorts in.
const MANY: u64 = 24_000;
const COMMIT_ATTEMPTS: u64 = 400;

fn grid(from: DateTime<Utc>, to: DateTime<Utc>, bucket_seconds: u32) -> Grid {
    let asked = Asked {
        from: Some(from),
        to: Some(to),
        bucket_seconds: Some(bucket_seconds),
    };
    Grid::choose(asked, from).expect("a good stretch of time")
}

pub(super) async fn buckets_are_those_of_a_plain_count<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let mut world = World::half_settled(&engine, &store, 31, 300).await;
    let last = (world.now() - at(0)).num_milliseconds();
    let mut hits = 0;
    for _ in 0..QUESTIONS {
        let tenant = world.tenants.choose(&mut world.random).unwrap().clone();
        let webhooks = world.webhooks.choose(&mut world.random).unwrap();
        let webhook = *webhooks.choose(&mut world.random).unwrap();
        let from = at(world.random.random_range(-2000..last));
        let to = from + chrono::Duration::milliseconds(world.random.random_range(1..last));
        let grid = grid(from, to, world.random.random_range(1..4));
        let mut expected = Tally::new(grid);
        for attempt in &world.attempts {
            let row = &attempt.row;
            if row.tenant_id == tenant && row.webhook_id == webhook {
                expected.note(Measured {
                    started_at: row.started_at,
                    duration_ms: row.duration_ms,
                    has_succeeded: row.error.is_none(),
                });
            }
        }
        hits += expected.attempts();
        let found = store.views().stats(&tenant, webhook, grid).await.unwrap();
        assert_eq!(found, Some(expected.into_buckets()), "{grid:?}");
    }
    assert!(hits > QUESTIONS as u64, "{hits}: too little is counted");
    store.close().await;
}

/// A webhook whose attempts are written down one after the other, each a second after the one before.
struct Log {
    tenant_id: TenantId,
    webhook_id: WebhookId,
    delivery_id: DeliveryId,
    sequence: Sequence,
    /// What tells its ids from those of others.
    number: u128,
    events: u64,
}

impl Log {
    async fn begin(store: &Store, tenant: &str, number: u128) -> Self {
        let number = number << 40;
        let tenant_id = super::tenant(tenant);
        let mut sequence = Sequence::default();
        let webhook_id = WebhookId::from_uuid(sequence.next(at(0), number));
        let log = Self {
            delivery_id: DeliveryId::from_uuid(sequence.next(at(0), number)),
            tenant_id,
            webhook_id,
            sequence,
            number,
            events: 1,
        };
        let webhook = register(&log.tenant_id, webhook_id);
        store.ledger().commit(webhook).await.unwrap();
        let scheduled = delivery::Event::Scheduled(Scheduled {
            tenant_id: log.tenant_id.clone(),
            webhook_id,
            ..Scheduled::default()
        });
        let mut commit = Commit::new(&origin(&log.tenant_id), at(0));
        commit.push(log.delivery_id, 1, &scheduled.into()).unwrap();
        store.ledger().commit(commit).await.unwrap();
        log
    }

    fn attempt(&mut self, started: i64, duration_ms: u64, failure: Option<FailureCode>) -> Attempt {
        let started_at = at(started * 1000);
        Attempt {
            id: AttemptId::from_uuid(self.sequence.next(started_at, self.number)),
            number: u32::try_from(self.events).unwrap(),
            webhook_id: self.webhook_id,
            topic: TOPICS[0].parse().unwrap(),
            webhook_version: 1,
            started_at,
            duration_ms,
            failure: failure.map(|code| Failure {
                code,
                message: String::new(),
            }),
            message_id: MessageId::default(),
            trigger: Trigger::Publish,
            url: "https://example.com/hook".to_owned(),
            response: None,
        }
    }

    async fn write(&mut self, store: &Store, attempts: impl IntoIterator<Item = Attempt>) {
        let mut commit = Commit::new(&origin(&self.tenant_id), at(0));
        for attempt in attempts {
            self.events += 1;
            let failed = delivery::Event::AttemptFailed {
                attempt,
                next_attempt_at: at(0),
            };
            commit
                .push(self.delivery_id, self.events, &failed.into())
                .unwrap();
        }
        store.ledger().commit(commit).await.unwrap();
    }

    async fn state(&self, store: &Store, now: DateTime<Utc>) -> State {
        let views = store.views();
        let row = views.webhook(&self.tenant_id, self.webhook_id).await;
        let row = row.unwrap().expect("the webhook is there");
        views.circuit(&row).await.unwrap().state(now)
    }
}

fn attempts(buckets: &[Bucket]) -> u64 {
    buckets.iter().map(|bucket| bucket.attempts).sum()
}

/// Every attempt is counted once, also while they are written and moved to where lists are read from.
pub(super) async fn attempts_are_counted_once_while_they_are_written<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let mut log = Log::begin(&store, "acme", 1).await;
    let (tenant_id, webhook_id) = (log.tenant_id.clone(), log.webhook_id);
    let grid = grid(at(0), at(1000 * MANY as i64), 86_400);
    let count = async || {
        let counted = store.views().stats(&tenant_id, webhook_id, grid).await;
        attempts(&counted.unwrap().expect("not too many"))
    };
    let (begun, written) = (AtomicU64::new(0), AtomicU64::new(0));
    let write = async {
        while written.load(Ordering::SeqCst) < MANY {
            let first = begun.fetch_add(COMMIT_ATTEMPTS, Ordering::SeqCst);
            let range = first as i64..(first + COMMIT_ATTEMPTS) as i64;
            let attempts: Vec<_> = range
                .map(|second| log.attempt(second, second as u64 % 7, Some(FailureCode::HttpStatus)))
                .collect();
            log.write(&store, attempts).await;
            written.fetch_add(COMMIT_ATTEMPTS, Ordering::SeqCst);
        }
    };
    let ask = async {
        let mut asked = 0;
        loop {
            let least = written.load(Ordering::SeqCst);
            let counted = count().await;
            let most = begun.load(Ordering::SeqCst);
            assert!(
                (least..=most).contains(&counted),
                "{least} {counted} {most}"
            );
            asked += 1;
            if least == MANY {
                break asked;
            }
        }
    };
    let ((), asked) = tokio::join!(write, ask);
    assert!(asked > 2, "it was asked {asked} times only");
    assert_eq!(count().await, MANY);
    store.close().await;
}

pub(super) async fn a_circuit_is_told_by_the_ends_of_the_last_attempts<E: Engine>() {
    const TIMEOUT: Option<FailureCode> = Some(FailureCode::Timeout);
    let (engine, store) = open::<E>().await;
    let mut log = Log::begin(&store, "acme", 1).await;
    let mut other = Log::begin(&store, "other", 2).await;
    let soon = at(7001);
    assert_eq!(log.state(&store, soon).await, State::Closed, "no attempts");
    // Five that nobody answered, the last of which ends at 7 s.
    let failures: Vec<_> = (1..6)
        .map(|second| log.attempt(second, 2000, TIMEOUT))
        .collect();
    log.write(&store, failures).await;
    assert_eq!(log.state(&store, soon).await, State::Open);
    assert_eq!(log.state(&store, at(8000)).await, State::HalfOpen);
    engine.settle().await;
    assert_eq!(log.state(&store, soon).await, State::Open, "settled");
    assert_eq!(other.state(&store, soon).await, State::Closed);

    // An answer to one that began before them and ended after them closes it.
    let answered = log.attempt(0, 6500, Some(FailureCode::HttpStatus));
    log.write(&store, [answered]).await;
    assert_eq!(log.state(&store, soon).await, State::Closed);
    // The last of the five ended after that, and counts.
    let failures: Vec<_> = (7..11)
        .map(|second| log.attempt(second, 10, TIMEOUT))
        .collect();
    log.write(&store, failures).await;
    assert_eq!(log.state(&store, at(10_020)).await, State::Open);

    // What was made with another version tells nothing about this one.
    let before: Vec<_> = (1..9)
        .map(|second| Attempt {
            webhook_version: 2,
            ..other.attempt(second, 10, TIMEOUT)
        })
        .collect();
    other.write(&store, before).await;
    assert_eq!(other.state(&store, at(8011)).await, State::Closed);
    store.close().await;
}

/// The circuit of a webhook whose attempts are about several topics.
pub(super) async fn a_circuit_is_one_for_all_topics<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let mut log = Log::begin(&store, "acme", 1).await;
    let failures: Vec<_> = (0..5)
        .map(|second| Attempt {
            topic: TOPICS[second as usize % 3].parse::<Topic>().unwrap(),
            ..log.attempt(second, 10, Some(FailureCode::Connect))
        })
        .collect();
    log.write(&store, failures).await;
    assert_eq!(log.state(&store, at(4011)).await, State::Open);
    store.close().await;
}
