//! What the ledger's writer costs: messages with two deliveries each, and the deliveries' outcomes.
//!
//! `cargo bench --bench ledger [MESSAGES [TENANTS]]` prints wall and CPU time for a delivery, with
//! 64 commits waiting at any time, over many tenants as the views see them in production; then how long
//! checking and rebuilding that ledger takes, and how much memory it needs at most.

#![expect(
    clippy::expect_used,
    reason = "a bench that cannot go on should say why and stop"
)]

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use chrono::{DateTime, SubsecRound, Utc};
use hookledger::{
    entropy::Ids,
    metrics::Metrics,
    store::{Commit, Ledger, RebuiltView, Store, Verdict},
};
use hookledger_domain::{
    actor::Origin,
    delivery::{
        self, Scheduled,
        attempt::{Attempt, ResponseHead, Trigger},
    },
    fact::Fact,
    ids::{DeliveryId, MessageId, WebhookId},
    message::{self, Accepted, FanOut, Recipient},
    tenant::TenantId,
};
use hookledger_projections::View;
use sha2::{Digest, Sha256};

const WAITING: usize = 64;
const BODY: &[u8] = &[b'x'; 1100];

#[tokio::main]
async fn main() {
    let numbers: Vec<usize> = std::env::args()
        .filter_map(|text| text.parse().ok())
        .collect();
    let messages = numbers.first().copied().unwrap_or(20_000);
    let tenants = numbers.get(1).copied().unwrap_or(100);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let metrics = Arc::new(Metrics::new());
    let store = Store::open_sqlite(&directory.path().join("bench.db"), metrics.clone())
        .await
        .expect("a new ledger");
    let bench = Arc::new(Bench {
        ledger: store.ledger(),
        ids: Ids::default(),
        tenants: (0..tenants)
            .map(|n| format!("tenant-{n}").parse().expect("a tenant's id"))
            .collect(),
        webhooks: (0..tenants * 2)
            .map(|_| Ids::default().webhook(now()))
            .collect(),
        body: Bytes::from_static(BODY),
        body_sha256: Sha256::digest(BODY)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    });
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let workers: Vec<_> = (0..WAITING)
        .map(|worker| {
            let bench = bench.clone();
            tokio::spawn(async move {
                for n in (worker..messages).step_by(WAITING) {
                    bench.message(n).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.expect("a worker");
    }
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let deliveries = (messages * 2) as f64;
    println!(
        "{deliveries} deliveries: {:.1} us wall, {:.1} us CPU each; {:.1} commits in a batch",
        wall / deliveries * 1e6,
        cpu / deliveries * 1e6,
        metrics.commits.get() as f64 / metrics.commit_batches.get() as f64,
    );
    verify(&store).await;
    rebuild(&store).await;
    store.close().await;
}

async fn verify(store: &Store) {
    forget_peak();
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let verdict = store.audit().verify(None, &|_, _| {}).await;
    let Verdict::Intact { events, .. } = verdict.expect("the ledger is read") else {
        panic!("the ledger is not what was written");
    };
    tell(
        "checked",
        events,
        wall.elapsed().as_secs_f64(),
        cpu_seconds() - cpu,
    );
}

async fn rebuild(store: &Store) {
    forget_peak();
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let events = store
        .ledger()
        .last_position()
        .await
        .expect("the ledger is read");
    let handle = store.rebuild();
    let found = handle.run(&View::ALL, false, Arc::new(|_| {})).await;
    let found = found.expect("views are rebuilt");
    // The webhooks of this ledger were never registered.
    assert!(found.iter().all(RebuiltView::is_same), "{found:?}");
    tell(
        "rebuilt",
        events,
        wall.elapsed().as_secs_f64(),
        cpu_seconds() - cpu,
    );
}

fn tell(what: &str, events: u64, wall: f64, cpu: f64) {
    println!(
        "{events} events {what}: {wall:.1} s wall, {cpu:.1} s CPU, {:.0} events a second, {} MiB at most",
        events as f64 / wall,
        peak_mib(),
    );
}

/// Forgets how much memory this process has needed so far.
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").expect("the peak is reset");
}

/// How much memory this process has needed since, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

struct Bench {
    ledger: Ledger,
    ids: Ids,
    tenants: Vec<TenantId>,
    webhooks: Vec<WebhookId>,
    body: Bytes,
    body_sha256: String,
}

impl Bench {
    async fn message(&self, n: usize) {
        let tenant = &self.tenants[n % self.tenants.len()];
        let place = (n % self.tenants.len()) * 2;
        let id = self.ids.message(now());
        let recipients: Vec<Recipient> = self.webhooks[place..place + 2]
            .iter()
            .map(|webhook_id| Recipient {
                delivery_id: self.ids.delivery(now()),
                webhook_id: *webhook_id,
            })
            .collect();
        self.accept(tenant, id, &recipients).await;
        for recipient in recipients {
            self.succeed(tenant, id, recipient.delivery_id, recipient.webhook_id)
                .await;
        }
    }

    async fn accept(&self, tenant: &TenantId, id: MessageId, recipients: &[Recipient]) {
        let mut commit = Commit::new(&Origin::system(tenant.clone(), "bench"), now());
        let accepted = Fact::from(message::Event::Accepted(Accepted {
            tenant_id: tenant.clone(),
            body_bytes: self.body.len() as u64,
            body_sha256: self.body_sha256.clone(),
            fan_out: FanOut {
                deliveries: recipients.to_vec(),
                not_delivered: Vec::new(),
            },
            ..Accepted::default()
        }));
        commit
            .push_with_body(id, 1, &accepted, Some(self.body.clone()))
            .expect("an event");
        for recipient in recipients {
            let scheduled = Fact::from(delivery::Event::Scheduled(Scheduled {
                tenant_id: tenant.clone(),
                message_id: id,
                webhook_id: recipient.webhook_id,
                due_at: now(),
                ..Scheduled::default()
            }));
            commit
                .push(recipient.delivery_id, 1, &scheduled)
                .expect("an event");
        }
        self.ledger.commit(commit).await.expect("a commit");
    }

    async fn succeed(
        &self,
        tenant: &TenantId,
        message: MessageId,
        delivery: DeliveryId,
        webhook: WebhookId,
    ) {
        let started_at = now();
        let mut commit = Commit::new(&Origin::system(tenant.clone(), "bench"), started_at);
        let succeeded = Fact::from(delivery::Event::Succeeded {
            attempt: Attempt {
                id: self.ids.attempt(started_at),
                number: 1,
                message_id: message,
                webhook_id: webhook,
                topic: hookledger_domain::topic::Topic::default(),
                webhook_version: 1,
                trigger: Trigger::Publish,
                started_at,
                duration_ms: 1,
                url: "http://127.0.0.1:27100/1/2/3".to_owned(),
                response: Some(ResponseHead {
                    status: 200,
                    headers: [(
                        "date".to_owned(),
                        "Mon, 23 Nov 2026 20:00:00 GMT".to_owned(),
                    )]
                    .into(),
                    body_bytes: 0,
                    body_sha256: String::new(),
                    body_truncated: false,
                }),
                failure: None,
            },
        });
        commit.push(delivery, 2, &succeeded).expect("an event");
        self.ledger.commit(commit).await.expect("a commit");
    }
}

fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}

/// User and system time of this process so far, from `/proc` in ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}
