//! Ledgers that older versions wrote: `tests/fixtures` has one of each version of the schema that was
//! followed by another one.

use hookledger::store::{Commit, Store, Until, Verdict, copy, verify};
use hookledger_domain::{delivery::Delivery, tenant, webhook::Webhook};

use super::{Engine, at, copying::all_events, open, origin, reopen};

/// A ledger of `tests/fixtures`, and how many events there are in it: all, those of webhooks and those
/// of deliveries.
pub(super) struct Older {
    pub(super) version: u32,
    events: u64,
    webhooks: u64,
    deliveries: u64,
}

pub(super) const LEDGERS: [Older; 2] = [
    Older {
        version: 7,
        events: 127,
        webhooks: 10,
        deliveries: 89,
    },
    Older {
        version: 9,
        events: 181,
        webhooks: 30,
        deliveries: 101,
    },
];

pub(super) async fn an_older_ledger_opens_and_goes_on<E: Engine>() {
    for older in LEDGERS {
        let engine = E::of_version(older.version).await;
        let store = reopen(&engine).await;
        let events = all_events(&store, 1000).await;
        assert_eq!(events.len() as u64, older.events);
        is_intact(&store, older.events).await;

        let acme = super::tenant("acme");
        let mut commit = Commit::new(&origin(&acme), at(0));
        let stream = store.ledger().load::<tenant::Tenant>("acme").await.unwrap();
        let fact = tenant::Event::Suspended.into();
        commit.push(&acme, stream.sequence + 1, &fact).unwrap();
        store.ledger().commit(commit).await.unwrap();
        is_intact(&store, older.events + 1).await;
        store.close().await;
    }
}

async fn is_intact(store: &Store, expected: u64) {
    let verdict = store.audit().verify(None, &|_, _| {}).await.unwrap();
    assert!(
        matches!(verdict, Verdict::Intact { events, .. } if events == expected),
        "{verdict:?}"
    );
}

/// Every aggregate is read, and what it was at each of its events.
pub(super) async fn an_older_ledger_is_replayed<E: Engine>() {
    for older in LEDGERS {
        let engine = E::of_version(older.version).await;
        let store = reopen(&engine).await;
        let ledger = store.ledger();
        let (mut webhooks, mut deliveries) = (0, 0);
        for event in all_events(&store, 1000).await {
            let (Some(tenant), id) = (&event.tenant_id, &event.aggregate_id) else {
                continue;
            };
            let until = Until::Version(event.sequence);
            match event.aggregate_type.as_str() {
                "webhook" => {
                    let then = ledger.replay::<Webhook>(tenant, id, until).await.unwrap();
                    webhooks += u64::from(then.is_some());
                }
                "delivery" => {
                    let then = ledger.replay::<Delivery>(tenant, id, until).await.unwrap();
                    deliveries += u64::from(then.is_some());
                }
                _ => {}
            }
        }
        assert_eq!((webhooks, deliveries), (older.webhooks, older.deliveries));
        store.close().await;
    }
}

/// The views that are made of its events now are those that it has.
pub(super) async fn an_older_ledger_has_the_views_of_its_events<E: Engine>() {
    for older in LEDGERS {
        let engine = E::of_version(older.version).await;
        let from = reopen(&engine).await;
        let (_engine, to) = open::<E>().await;
        assert_eq!(copy(&from, &to, &|_| {}).await.unwrap(), older.events);
        verify(&from, &to, &|_| {}).await.unwrap();
        is_intact(&to, older.events).await;
        from.close().await;
        to.close().await;
    }
}
