//! Commands on one aggregate: read, decide, append.

use futures_util::future::join_all;
use hookledger::store::{CommandError, Store, Stream};
use hookledger_domain::tenant::{Command, Error as Refused, Tenant};

use super::{Engine, TenantId, open, origin};

async fn execute(
    store: &Store,
    id: &TenantId,
    command: Command,
    expected: Option<u64>,
) -> Result<Stream<Tenant>, CommandError<Refused>> {
    store
        .ledger()
        .execute(id.as_str(), command, &(), expected, &origin(id))
        .await
}

fn register() -> Command {
    Command::Register {
        name: "Acme".to_owned(),
    }
}

fn rename(name: &str) -> Command {
    Command::Change {
        name: Some(name.to_owned()),
        stripe_customer_id: None,
        is_suspended: None,
    }
}

pub(super) async fn an_aggregate_reads_back<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let acme = super::tenant("acme");
    let registered = execute(&store, &acme, register(), None).await.unwrap();
    assert_eq!(registered.sequence, 1);
    let change = Command::Change {
        name: Some("New".to_owned()),
        stripe_customer_id: Some(Some("cus_1".to_owned())),
        is_suspended: Some(true),
    };
    let changed = execute(&store, &acme, change, None).await.unwrap();
    assert_eq!(changed.sequence, 4, "one event for each thing that changed");
    assert_eq!(
        store.ledger().load::<Tenant>("acme").await.unwrap(),
        changed
    );
    assert!(
        store
            .views()
            .tenant(&acme)
            .await
            .unwrap()
            .unwrap()
            .is_suspended
    );
    store.close().await;
}

pub(super) async fn an_aggregate_without_events_is_at_sequence_0<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let stream = store.ledger().load::<Tenant>("nobody").await.unwrap();
    assert_eq!(
        stream,
        Stream {
            state: Tenant::default(),
            sequence: 0
        }
    );
    store.close().await;
}

pub(super) async fn a_refused_command_leaves_nothing<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let acme = super::tenant("acme");
    execute(&store, &acme, register(), None).await.unwrap();
    let again = execute(&store, &acme, register(), None).await;
    assert!(
        matches!(
            again,
            Err(CommandError::Refused(Refused::AlreadyRegistered))
        ),
        "{again:?}"
    );
    let same = execute(&store, &acme, rename("Acme"), None).await.unwrap();
    assert_eq!(same.sequence, 1, "nothing changed, so nothing happened");
    store.close().await;
    assert_eq!(engine.events().await.len(), 1);
}

pub(super) async fn a_command_for_another_version_is_refused<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let acme = super::tenant("acme");
    execute(&store, &acme, register(), None).await.unwrap();
    execute(&store, &acme, rename("Two"), Some(1))
        .await
        .unwrap();
    for expected in [0, 1, 3] {
        let stale = execute(&store, &acme, rename("Three"), Some(expected)).await;
        assert!(
            matches!(stale, Err(CommandError::WrongVersion)),
            "{expected}: {stale:?}"
        );
    }
    store.close().await;
}

pub(super) async fn commands_at_one_time_all_come_through<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let acme = super::tenant("acme");
    execute(&store, &acme, register(), None).await.unwrap();
    // Each decides on what it has read; who is late reads and decides anew.
    let names = ["a", "b", "c", "d"];
    let results = join_all(names.map(|name| execute(&store, &acme, rename(name), None))).await;
    let mut sequences: Vec<u64> = results
        .into_iter()
        .map(|result| result.unwrap().sequence)
        .collect();
    sequences.sort_unstable();
    assert_eq!(sequences, [2, 3, 4, 5]);
    store.close().await;
    assert_eq!(engine.events().await.len(), 5);
}

pub(super) async fn several_aggregates_are_read_in_the_order_asked_for<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    for name in ["a", "b", "c"] {
        execute(&store, &super::tenant(name), register(), None)
            .await
            .unwrap();
    }
    let ids = ["c", "missing", "a", "b"].map(str::to_owned);
    let found = store.ledger().load_many::<Tenant>(&ids).await.unwrap();
    assert_eq!(
        found.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(),
        ["c", "a", "b"]
    );
    for (id, stream) in found {
        assert_eq!(stream, store.ledger().load::<Tenant>(&id).await.unwrap());
    }
    assert_eq!(store.ledger().load_many::<Tenant>(&[]).await.unwrap(), []);
    store.close().await;
}
