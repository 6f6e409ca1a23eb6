//! Ledgers that older versions wrote: `tests/fixtures` has one of each version of the schema that was
//! followed by another one.

use hookledger::store::{Commit, Until, Verdict, copy, verify};
use hookledger_domain::{delivery::Delivery, tenant, webhook::Webhook};

use super::{Engine, at, copying::all_events, open, origin, reopen};

/// How many events there are in it.
const EVENTS: u64 = 127;

pub(super) async fn an_older_ledger_opens_and_goes_on<E: Engine>() {
    let older = E::of_version_7().await;
    let store = reopen(&older).await;
    let events = all_events(&store, 1000).await;
    assert_eq!(events.len() as u64, EVENTS);
    let verdict = store.audit().verify(None, &|_, _| {}).await.unwrap();
    assert!(
        matches!(verdict, Verdict::Intact { events: EVENTS, .. }),
        "{verdict:?}"
    );

    let acme = super::tenant("acme");
    let mut commit = Commit::new(&origin(&acme), at(0));
    let stream = store.ledger().load::<tenant::Tenant>("acme").await.unwrap();
    let fact = tenant::Event::Suspended.into();
    commit.push(&acme, stream.sequence + 1, &fact).unwrap();
    store.ledger().commit(commit).await.unwrap();
    let verdict = store.audit().verify(None, &|_, _| {}).await.unwrap();
    assert!(
        matches!(verdict, Verdict::Intact { events, .. } if events == EVENTS + 1),
        "{verdict:?}"
    );
    store.close().await;
}

/// Every aggregate is read, and what it was at each of its events.
pub(super) async fn an_older_ledger_is_replayed<E: Engine>() {
    let older = E::of_version_7().await;
    let store = reopen(&older).await;
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
    assert_eq!((webhooks, deliveries), (10, 89));
    store.close().await;
}

/// The views that are made of its events now are those that it has.
pub(super) async fn an_older_ledger_has_the_views_of_its_events<E: Engine>() {
    let older = E::of_version_7().await;
    let from = reopen(&older).await;
    let (_engine, to) = open::<E>().await;
    assert_eq!(copy(&from, &to, &|_| {}).await.unwrap(), EVENTS);
    verify(&from, &to, &|_| {}).await.unwrap();
    let verdict = to.audit().verify(None, &|_, _| {}).await.unwrap();
    assert!(matches!(verdict, Verdict::Intact { .. }), "{verdict:?}");
    from.close().await;
    to.close().await;
}
