//! What is still to be sent, as the lanes read it.

use std::collections::BTreeMap;

use hookledger::store::{Load, Store, Stream, Waiting};
use hookledger_domain::{
    delivery::{Delivery, attempt::Trigger},
    ids::WebhookId,
};
use hookledger_projections::rows::DeliveryRow;

use super::{Engine, TenantId, open, world::World};

/// The deliveries of a webhook that are to be sent, in the order in which they come due.
fn due<'a>(world: &'a World, tenant_id: &TenantId, webhook_id: WebhookId) -> Vec<&'a DeliveryRow> {
    let mut due: Vec<&DeliveryRow> = world
        .deliveries
        .iter()
        .filter(|row| {
            row.next_attempt_at.is_some()
                && row.tenant_id == *tenant_id
                && row.webhook_id == webhook_id
        })
        .collect();
    due.sort_by_key(|row| (row.next_attempt_at, row.id));
    due
}

fn soonest(only_tests: bool, limit: u32) -> Load {
    Load::Due { only_tests, limit }
}

fn lanes(world: &World) -> impl Iterator<Item = (&TenantId, WebhookId)> {
    let tenants = world.tenants.iter().zip(&world.webhooks);
    tenants.flat_map(|(tenant_id, webhooks)| {
        webhooks
            .iter()
            .map(move |webhook_id| (tenant_id, *webhook_id))
    })
}

pub(super) async fn the_webhooks_that_wait_are_found_one_after_the_other<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    assert_eq!(store.views().next_waiting(None).await.unwrap(), None);
    let world = World::build(&store, 5, 100).await;
    let mut expected: Vec<Waiting> = lanes(&world)
        .filter_map(|(tenant_id, webhook_id)| {
            Some(Waiting {
                tenant_id: tenant_id.clone(),
                webhook_id,
                due_at: due(&world, tenant_id, webhook_id)
                    .first()?
                    .next_attempt_at?,
            })
        })
        .collect();
    expected.sort_by_key(|waiting| (waiting.tenant_id.clone(), waiting.webhook_id));
    assert!(expected.len() > 3, "the history is too short");
    let mut found: Vec<Waiting> = Vec::new();
    loop {
        let after = found.last().map(|last| (&last.tenant_id, last.webhook_id));
        let Some(next) = store.views().next_waiting(after).await.unwrap() else {
            break;
        };
        found.push(next);
    }
    assert_eq!(found, expected);
    for tenant_id in &world.tenants {
        let of_tenant: Vec<Waiting> = expected
            .iter()
            .filter(|waiting| waiting.tenant_id == *tenant_id)
            .cloned()
            .collect();
        assert_eq!(
            store.views().waiting_of(tenant_id).await.unwrap(),
            of_tenant
        );
    }
    store.close().await;
}

pub(super) async fn due_deliveries_come_in_the_order_of_their_times<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let world = World::build(&store, 6, 100).await;
    for (tenant_id, webhook_id) in lanes(&world) {
        let due = due(&world, tenant_id, webhook_id);
        for limit in [1, 3, 1000] {
            let found: Vec<(String, Stream<Delivery>)> = store
                .ledger()
                .load_agenda(tenant_id, webhook_id, &soonest(false, limit))
                .await
                .unwrap();
            let expected: Vec<String> = due
                .iter()
                .take(limit as usize)
                .map(|row| row.id.to_string())
                .collect();
            assert_eq!(
                found.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(),
                expected
            );
            for ((_, stream), row) in found.iter().zip(&due) {
                assert_eq!(stream.state.status(), row.status);
                assert_eq!(stream.state.due_at(), row.next_attempt_at);
                assert_eq!(stream.state.attempts(), row.attempts);
            }
        }
    }
    store.close().await;
}

pub(super) async fn only_tests_are_due_when_only_tests_are_asked_for<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let world = World::build(&store, 7, 150).await;
    let mut count = 0;
    for (tenant_id, webhook_id) in lanes(&world) {
        let tests = due(&world, tenant_id, webhook_id)
            .into_iter()
            .filter(|row| row.trigger == Trigger::Test);
        let mut expected: Vec<String> = tests.map(|row| row.id.to_string()).collect();
        let found = store
            .ledger()
            .load_agenda::<Delivery>(tenant_id, webhook_id, &soonest(true, 1000))
            .await
            .unwrap();
        let mut found: Vec<String> = found.into_iter().map(|(id, _)| id).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
        count += found.len();
    }
    assert!(count > 0, "the history is too short");
    store.close().await;
}

/// What is to be sent by queue, each in the order of the ids.
fn queues(
    world: &World,
    tenant_id: &TenantId,
    webhook_id: WebhookId,
) -> BTreeMap<String, Vec<String>> {
    let mut queues: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in due(world, tenant_id, webhook_id) {
        if let Some(queue) = &row.queue {
            let ids = queues.entry(queue.clone()).or_default();
            ids.push(row.id.to_string());
        }
    }
    queues.values_mut().for_each(|ids| ids.sort());
    queues
}

async fn load(store: &Store, tenant_id: &TenantId, webhook: WebhookId, load: Load) -> Vec<String> {
    let ledger = store.ledger();
    let found = ledger.load_agenda::<Delivery>(tenant_id, webhook, &load);
    found.await.unwrap().into_iter().map(|(id, _)| id).collect()
}

pub(super) async fn queues_are_read_from_their_heads_on<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let world = World::build(&store, 8, 300).await;
    let mut most = 0;
    for (tenant_id, webhook_id) in lanes(&world) {
        let queues = queues(&world, tenant_id, webhook_id);
        most = most.max(queues.len());
        let heads = |of: &mut dyn Iterator<Item = &String>, each: u32| -> Vec<String> {
            of.filter_map(|key| queues.get(key))
                .flat_map(|ids| ids.iter().take(each as usize).cloned())
                .collect()
        };
        for each in [1, 2, 1000] {
            let keys: Vec<String> = queues
                .keys()
                .cloned()
                .chain(["nobody".to_owned()])
                .collect();
            let these = Load::TheseQueues {
                keys: keys.clone(),
                each,
            };
            let found = load(&store, tenant_id, webhook_id, these).await;
            assert_eq!(found, heads(&mut keys.iter(), each));
            // From the start, and on from each of them.
            for after in [None].into_iter().chain(queues.keys().cloned().map(Some)) {
                let limit = 2;
                let sweep = Load::Queues {
                    after: after.clone(),
                    queues: limit,
                    each,
                };
                let found = load(&store, tenant_id, webhook_id, sweep).await;
                let mut next = queues
                    .keys()
                    .filter(|key| after.as_ref().is_none_or(|after| *key > after))
                    .take(limit as usize);
                assert_eq!(found, heads(&mut next, each), "{after:?}");
            }
        }
    }
    assert!(most >= 4, "the history has too few queues: {most}");
    let stranger = super::tenant("stranger");
    for (_, webhook_id) in lanes(&world) {
        let all = Load::Queues {
            after: None,
            queues: 10,
            each: 10,
        };
        let found = load(&store, &stranger, webhook_id, all).await;
        assert!(found.is_empty(), "no other tenant's");
    }
    store.close().await;
}
