//! What is still to be sent, as the lanes read it.

use hookledger::store::{Stream, Waiting};
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
                .load_due(tenant_id, webhook_id, false, limit)
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
            .load_due::<Delivery>(tenant_id, webhook_id, true, 1000)
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
