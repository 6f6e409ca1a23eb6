use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hookledger_domain::{
    actor::Origin,
    delivery::{self, Scheduled},
    ids::{DeliveryId, MessageId, Sequence},
    message::{self, Accepted},
    tenant::TenantId,
};
use tempfile::TempDir;

use super::*;
use crate::store::{Commit, Store};

const KEEP: Duration = Duration::from_secs(60);

/// A clock that stands until it is set.
#[derive(Default)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> DateTime<Utc> {
        at(self.0.load(Ordering::SeqCst))
    }
}

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_800_000_000_000 + millis).unwrap()
}

struct World {
    clock: Arc<SetClock>,
    metrics: Arc<Metrics>,
    store: Store,
    sequence: Sequence,
    _directory: TempDir,
}

impl World {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let metrics = Arc::new(Metrics::new());
        let path = directory.path().join("ledger.db");
        Self {
            clock: Arc::default(),
            store: Store::open_sqlite(&path, metrics.clone()).await.unwrap(),
            metrics,
            sequence: Sequence::default(),
            _directory: directory,
        }
    }

    fn options(&self, held: Held) -> Options {
        Options {
            erasure: self.store.erasure(),
            keep: KEEP,
            clock: self.clock.clone(),
            held: Arc::new(held),
            metrics: self.metrics.clone(),
        }
    }

    async fn pass(&self, held: Held, millis: i64) -> u64 {
        self.clock.0.store(millis, Ordering::SeqCst);
        pass(&self.options(held)).await.unwrap()
    }

    /// Accepts a message; if it is pending, it is to be sent to somebody.
    async fn publish(&mut self, millis: i64, is_pending: bool) -> MessageId {
        let id = MessageId::from_uuid(self.sequence.next(at(millis), 1));
        let accepted = Accepted {
            tenant_id: acme(),
            body_bytes: 4,
            ..Accepted::default()
        };
        let mut commit = Commit::new(&Origin::system(acme(), "test"), at(millis));
        let fact = message::Event::Accepted(accepted).into();
        commit
            .push_with_body(id, 1, &fact, Some(Bytes::from_static(b"body")))
            .unwrap();
        if is_pending {
            let delivery = DeliveryId::from_uuid(self.sequence.next(at(millis), 1));
            let scheduled = Scheduled {
                tenant_id: acme(),
                message_id: id,
                due_at: at(millis),
                ..Scheduled::default()
            };
            let fact = delivery::Event::Scheduled(scheduled).into();
            commit.push(delivery, 1, &fact).unwrap();
        }
        self.store.ledger().commit(commit).await.unwrap();
        id
    }

    async fn has_body(&self, id: MessageId) -> bool {
        let body = self.store.views().message_body(&acme(), id).await.unwrap();
        body.is_some()
    }
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

#[test]
fn it_is_looked_often_enough_and_not_too_often() {
    for (keep, every) in [
        (1, 1),
        (9, 1),
        (60, 6),
        (3600, 360),
        (6000, 600),
        (30 * 86_400, 600),
        (3650 * 86_400, 600),
    ] {
        let [keep, every] = [keep, every].map(Duration::from_secs);
        assert_eq!(between_passes(keep), every, "{keep:?}");
    }
}

#[test]
fn most_of_the_time_is_for_others() {
    assert_eq!(pause_after(Duration::ZERO), PAUSE_MIN);
    let step = Duration::from_millis(50);
    assert!(pause_after(step) >= step * 4);
}

#[tokio::test]
async fn what_was_kept_long_enough_is_erased_and_counted() {
    let mut world = World::new().await;
    let old = world.publish(0, false).await;
    let young = world.publish(1, false).await;
    assert_eq!(world.pass(Held::everything(), 60_000).await, 0);
    assert!(
        world.has_body(old).await,
        "it was kept for {KEEP:?}, not longer"
    );
    assert_eq!(world.pass(Held::everything(), 60_001).await, 1);
    assert!(!world.has_body(old).await);
    assert!(world.has_body(young).await);
    assert_eq!(world.pass(Held::everything(), 60_001).await, 0);
    assert_eq!(world.metrics.bodies_erased_by_retention.get(), 1);
}

#[tokio::test]
async fn a_pass_goes_past_what_is_needed_in_as_many_steps_as_it_takes() {
    let mut world = World::new().await;
    let mut kept = Vec::new();
    for millis in 0..1000 {
        let is_pending = millis % 100 != 99;
        let id = world.publish(millis, is_pending).await;
        if is_pending {
            kept.push(id);
        }
    }
    assert_eq!(world.pass(Held::everything(), 100_000).await, 10);
    for id in kept {
        assert!(world.has_body(id).await);
    }
}

#[tokio::test]
async fn a_node_erases_when_it_is_its_turn() {
    let mut world = World::new().await;
    let old = world.publish(0, false).await;
    assert_eq!(world.pass(Held::nothing(), 100_000).await, 0);
    assert!(world.has_body(old).await);
}

#[tokio::test]
async fn before_there_is_time_nothing_is_old() {
    let world = World::new().await;
    let options = Options {
        keep: Duration::MAX,
        ..world.options(Held::everything())
    };
    assert_eq!(pass(&options).await.unwrap(), 0);
}
