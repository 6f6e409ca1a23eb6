//! What statistics cost: attempts of a day, counted by the hour and by the minute, and what a list
//! that somebody else reads meanwhile waits longer.
//!
//! `cargo bench --bench stats [ATTEMPTS [WEBHOOKS]]` fills a new file, or with
//! `HOOKLEDGER_BENCH_POSTGRES=postgres://…` an empty database, through the ledger, and asks about the
//! first webhook.

#![expect(
    clippy::expect_used,
    reason = "a bench that cannot go on should say why and stop"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use hookledger::{
    entropy::Ids,
    metrics::Metrics,
    store::{Commit, PostgresOptions, Store},
};
use hookledger_domain::{
    actor::Origin,
    delivery::{
        self, Scheduled,
        attempt::{Attempt, Failure, FailureCode, ResponseHead, Trigger},
    },
    fact::Fact,
    ids::{DeliveryId, MessageId, Sequence, WebhookId},
    tenant::TenantId,
    topic::Topic,
    webhook::{self, Config, SealedSecret},
};
use hookledger_projections::{
    query::{AttemptFilter, Page},
    stats::{Asked, Grid},
};

const TOPICS: [&str; 6] = [
    "ticket.created",
    "ticket.updated",
    "ticket.closed",
    "service.down",
    "service.up",
    "automation.run",
];
const DAY_MS: usize = 86_400_000;
const COMMIT_ATTEMPTS: usize = 1000;
/// So often each question is asked.
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    let numbers: Vec<usize> = std::env::args()
        .filter_map(|text| text.parse().ok())
        .collect();
    let attempts = numbers.first().copied().unwrap_or(1_000_000);
    let webhooks = numbers.get(1).copied().unwrap_or(1);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = match std::env::var("HOOKLEDGER_BENCH_POSTGRES") {
        Ok(url) => {
            let options = PostgresOptions {
                url,
                readers: 8,
                writers: 2,
                statement_timeout: Duration::from_secs(10),
            };
            Store::open_postgres(&options, Arc::new(Metrics::new())).await
        }
        Err(_) => {
            let path = directory.path().join("bench.db");
            Store::open_sqlite(&path, Arc::new(Metrics::new())).await
        }
    };
    let bench = Bench {
        store: store.expect("a new ledger"),
        tenant: "bench".parse().expect("a tenant's id"),
        webhooks: (0..webhooks)
            .map(|_| Ids::default().webhook(Utc::now()))
            .collect(),
    };
    let started = Instant::now();
    bench.fill(attempts).await;
    println!(
        "{attempts} attempts of {webhooks} webhooks, written in {:.0} s; {} MiB in memory",
        started.elapsed().as_secs_f64(),
        memory_mib("VmRSS:"),
    );
    bench.list(None).await;
    for (hours, bucket_seconds) in [(24, 3600), (24, 60), (1, 60)] {
        let took = bench.ask(hours, bucket_seconds).await;
        bench
            .list(Some((hours, bucket_seconds, median(took))))
            .await;
    }
    println!("at most {} MiB in memory", memory_mib("VmHWM:"));
    bench.store.close().await;
}

struct Bench {
    store: Store,
    tenant: TenantId,
    webhooks: Vec<WebhookId>,
}

impl Bench {
    /// Attempts at even distances over the last day, of the webhooks and topics in turn, each of
    /// them a retry of the webhook's one delivery.
    async fn fill(&self, attempts: usize) {
        let mut sequence = Sequence::default();
        let start = start();
        let deliveries: Vec<DeliveryId> = self
            .webhooks
            .iter()
            .map(|_| DeliveryId::from_uuid(sequence.next(start, rand::random())))
            .collect();
        for (webhook, delivery) in self.webhooks.iter().zip(&deliveries) {
            self.register(*webhook, *delivery).await;
        }
        let mut numbers = vec![1_u32; self.webhooks.len()];
        for first in (0..attempts).step_by(COMMIT_ATTEMPTS) {
            let mut commit = Commit::new(&self.origin(), start);
            for n in first..attempts.min(first + COMMIT_ATTEMPTS) {
                let place = n % self.webhooks.len();
                let since = (n as f64 / attempts as f64 * DAY_MS as f64) as i64;
                let started_at = start + chrono::Duration::milliseconds(since);
                let id = sequence.next(started_at, rand::random());
                let attempt = self.attempt(place, n, numbers[place], id);
                numbers[place] += 1;
                let failed = delivery::Event::AttemptFailed {
                    attempt,
                    next_attempt_at: start,
                };
                let (delivery, number) = (deliveries[place], u64::from(numbers[place]));
                commit
                    .push(delivery, number, &failed.into())
                    .expect("an event");
            }
            self.store.ledger().commit(commit).await.expect("a commit");
        }
    }

    fn origin(&self) -> Origin {
        Origin::system(self.tenant.clone(), "bench")
    }

    async fn register(&self, webhook: WebhookId, delivery: DeliveryId) {
        let registered = Fact::from(webhook::Event::Registered {
            tenant_id: self.tenant.clone(),
            config: Config::default(),
            is_active: true,
            secret: SealedSecret::default(),
        });
        let scheduled = Fact::from(delivery::Event::Scheduled(Scheduled {
            tenant_id: self.tenant.clone(),
            webhook_id: webhook,
            ..Scheduled::default()
        }));
        let mut commit = Commit::new(&self.origin(), start());
        commit.push(webhook, 1, &registered).expect("an event");
        commit.push(delivery, 1, &scheduled).expect("an event");
        self.store.ledger().commit(commit).await.expect("a commit");
    }

    fn attempt(&self, place: usize, n: usize, number: u32, id: uuid::Uuid) -> Attempt {
        let id = hookledger_domain::ids::AttemptId::from_uuid(id);
        let topic = TOPICS[(n / self.webhooks.len()) % TOPICS.len()];
        // Most answer quickly, some slowly.
        let random: f64 = rand::random();
        let duration_ms = (20.0 / (1.001 - random)) as u64;
        let has_failed = rand::random_range(0..100) < 3;
        Attempt {
            id,
            number,
            message_id: MessageId::default(),
            webhook_id: self.webhooks[place],
            topic: topic.parse::<Topic>().expect("a topic"),
            webhook_version: 1,
            trigger: Trigger::Publish,
            started_at: id.time(),
            duration_ms,
            url: "https://example.com/webhooks/receive".to_owned(),
            response: Some(ResponseHead {
                status: if has_failed { 500 } else { 200 },
                headers: [
                    ("content-type", "application/json"),
                    ("date", "Mon, 23 Nov 2026 20:00:00 GMT"),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
                body_bytes: 0,
                body_sha256: String::new(),
                body_truncated: false,
            }),
            failure: has_failed.then(|| Failure {
                code: FailureCode::HttpStatus,
                message: "the receiver answered 500".to_owned(),
            }),
        }
    }

    /// Asks about so many hours from the start on; gives how long each time took.
    async fn ask(&self, hours: i64, bucket_seconds: u32) -> Vec<Duration> {
        let asked = Asked {
            from: Some(start()),
            to: Some(start() + chrono::Duration::hours(hours)),
            bucket_seconds: Some(bucket_seconds),
        };
        let grid = Grid::choose(asked, start()).expect("a good stretch of time");
        let (mut took, mut counted, cpu) = (Vec::new(), 0, cpu_seconds());
        for _ in 0..ROUNDS {
            let started = Instant::now();
            let views = self.store.views();
            let stats = views.stats(&self.tenant, self.webhooks[0], grid).await;
            let buckets = stats.expect("an answer").expect("not too many");
            counted = buckets.iter().map(|bucket| bucket.attempts).sum();
            took.push(started.elapsed());
        }
        println!(
            "{hours} h by {bucket_seconds} s: {counted} attempts in {:.0} ms, {:.0} ms CPU here",
            median(took.clone()).as_secs_f64() * 1e3,
            (cpu_seconds() - cpu) / ROUNDS as f64 * 1e3,
        );
        took
    }

    /// How long the newest page of the log takes; while statistics are counted, if they are named,
    /// for about as long as that takes.
    async fn list(&self, meanwhile: Option<(i64, u32, Duration)>) {
        let page = async || {
            let started = Instant::now();
            let page = Page {
                limit: 50,
                after: None,
            };
            let filter = AttemptFilter::default();
            let views = self.store.views();
            let attempts = views.attempts(&self.tenant, &filter, page);
            attempts.await.expect("a page");
            started.elapsed()
        };
        let list = async |during: Duration| {
            let (started, mut took) = (Instant::now(), Vec::new());
            while started.elapsed() < during || took.len() < ROUNDS {
                took.push(page().await);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            took
        };
        let (when, took) = match meanwhile {
            None => ("alone", list(Duration::from_secs(1)).await),
            Some((hours, bucket_seconds, during)) => {
                let during = during * ROUNDS as u32;
                let (_, took) = tokio::join!(self.ask(hours, bucket_seconds), list(during));
                ("meanwhile", took)
            }
        };
        let most = took.iter().max().copied().unwrap_or_default();
        println!(
            "  a page of the log {when}: {:.1} ms, at most {:.1} ms",
            median(took).as_secs_f64() * 1e3,
            most.as_secs_f64() * 1e3
        );
    }
}

/// A fixed moment, so that buckets are the same in every run.
fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default()
}

/// User and system time of this process so far, from `/proc` in ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took.get(took.len() / 2).copied().unwrap_or_default()
}

/// A line of `/proc/self/status`, in MiB.
fn memory_mib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
