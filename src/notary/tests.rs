use std::sync::atomic::{AtomicI64, Ordering};

use hookledger_domain::{actor::Origin, tenant};
use tempfile::TempDir;

use super::*;
use crate::store::{Commit, Store};

const EVERY: Duration = Duration::from_secs(3600);

/// A clock that stands until it is set.
#[derive(Default)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> DateTime<Utc> {
        let millis = 1_800_000_000_000 + self.0.load(Ordering::SeqCst);
        DateTime::from_timestamp_millis(millis).unwrap()
    }
}

struct World {
    clock: Arc<SetClock>,
    store: Store,
    _directory: TempDir,
}

impl World {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("ledger.db");
        let store = Store::open_sqlite(&path, Arc::default());
        Self {
            clock: Arc::default(),
            store: store.await.unwrap(),
            _directory: directory,
        }
    }

    /// What one look does after so many seconds; how long it then waits, and how many seals there are.
    async fn look(&self, seconds: i64, held: Held) -> (u64, usize) {
        self.clock.0.store(seconds * 1000, Ordering::SeqCst);
        let options = Options {
            audit: self.store.audit(),
            sealer: self.store.sealer(),
            signer: None,
            every: EVERY,
            clock: self.clock.clone(),
            held: Arc::new(held),
        };
        let wait = look(&options).await.unwrap();
        let seals = self.store.audit().seals().await.unwrap();
        (wait.as_secs(), seals.len())
    }

    async fn append(&self, id: &str) {
        let id: tenant::TenantId = id.parse().unwrap();
        let origin = Origin::system(id.clone(), "test");
        let mut commit = Commit::new(&origin, self.clock.now());
        let name = id.to_string();
        let fact = tenant::Event::Registered { name }.into();
        commit.push(&id, 1, &fact).unwrap();
        self.store.ledger().commit(commit).await.unwrap();
    }
}

#[tokio::test]
async fn a_seal_is_made_when_the_last_one_is_old() {
    let world = World::new().await;
    let look = async |seconds| world.look(seconds, Held::everything()).await;
    assert_eq!(look(0).await, (600, 0), "there is nothing to seal");
    world.append("acme").await;
    assert_eq!(look(10).await, (600, 1));
    world.append("globex").await;
    assert_eq!(look(20).await, (600, 1), "the last one is young");
    assert_eq!(look(3600).await, (10, 1), "nearly");
    assert_eq!(look(3610).await, (600, 2));
    assert_eq!(look(20_000).await, (600, 2), "nothing was appended since");
    world.append("initech").await;
    assert_eq!(look(20_001).await, (600, 3));
    world.store.close().await;
}

#[tokio::test]
async fn whose_turn_it_is_not_does_not_seal() {
    let world = World::new().await;
    world.append("acme").await;
    assert_eq!(world.look(0, Held::nothing()).await, (1, 0));
    assert_eq!(world.look(0, Held::everything()).await.1, 1);
    world.store.close().await;
}
