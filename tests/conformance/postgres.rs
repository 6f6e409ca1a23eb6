//! PostgreSQL: how to open one, and what only a database with many clients has.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use hookledger::store::{
    APPEND_LOCK, CopyError, PostgresOptions, Reader, Registration, Side, copy,
};
use sqlx::{PgPool, Row, postgres::PgPoolOptions};

use super::{
    Arc, BTreeMap, Engine, Error, Fact, Metrics, Origin, Store, Stored, conforms, copying::between,
    erasing::a_copy_has_what_is_not_erased_from, erasing::sizes_are_found_in_bodies,
    lifecycle::registered, open, reopen, sqlite::Sqlite,
};
use crate::support::{Database, Server, eventually};

/// Tables that are neither truth nor views: notes of the nodes, and of the tables themselves.
const NOTES: [&str; 3] = ["nodes", "partitions", "schema_version"];

struct Postgres {
    pool: PgPool,
    database: Database,
}

impl Postgres {
    fn on(server: &Server) -> Self {
        let database = Database::fresh(server);
        let pool = PgPoolOptions::new()
            .max_connections(3)
            .connect_lazy(&database.url())
            .expect("a URL");
        Self { pool, database }
    }

    /// The values of the one column that a query has.
    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = sqlx::query_scalar(sql).fetch_all(&self.pool).await;
        rows.expect("the query runs")
    }
}

/// Bodies stand under the id of their message or attempt.
const EVENTS: &str = "\
    SELECT e.position, e.aggregate_type, e.aggregate_id, e.sequence, e.payload::text, \
        e.metadata::text, e.tenant_id, e.recorded_at, b.text AS body \
    FROM events e LEFT JOIN bodies b ON b.tenant_id = e.tenant_id AND b.id = CASE e.aggregate_type \
        WHEN 'message' THEN substring(e.aggregate_id FROM 5)::uuid \
        WHEN 'delivery' THEN \
            substring(e.payload -> e.event_type -> 'attempt' ->> 'id' FROM 5)::uuid \
    END \
    ORDER BY e.position";

impl Postgres {
    fn options(&self) -> PostgresOptions {
        PostgresOptions {
            url: self.database.url(),
            readers: 3,
            writers: 2,
            statement_timeout: Duration::from_secs(10),
        }
    }
}

impl Engine for Postgres {
    const LATER: &str = "recorded_at + interval '1 microsecond'";
    const NEVER: &str = "'infinity'";
    const ZEROS: &str = "decode(repeat('00', 32), 'hex')";

    fn is_there() -> bool {
        Server::shared().is_some()
    }

    async fn fresh() -> Self {
        Self::on(&Server::shared().expect("scripts/test starts PostgreSQL"))
    }

    async fn of_version(version: u32) -> Self {
        let engine = Self::fresh().await;
        let sql = match version {
            7 => include_str!("../fixtures/ledger-0007.postgres.sql"),
            9 => include_str!("../fixtures/ledger-0009.postgres.sql"),
            _ => panic!("no ledger of version {version} was kept"),
        };
        let made = sqlx::raw_sql(sql).execute(&engine.pool).await;
        made.expect("the older ledger is made");
        engine
    }

    async fn open(&self, metrics: Arc<Metrics>) -> Result<Store, Error> {
        Store::open_postgres(&self.options(), metrics).await
    }

    async fn open_reader(&self) -> Result<Reader, Error> {
        Reader::open_postgres(&self.options()).await
    }

    async fn events(&self) -> Vec<Stored> {
        let rows = sqlx::query(EVENTS).fetch_all(&self.pool).await;
        let read = |row: &sqlx::postgres::PgRow| {
            let payload = serde_json::from_str(row.get("payload")).expect("a payload is JSON");
            let metadata = serde_json::from_str(row.get("metadata")).expect("a map of texts");
            let tenant_id: String = row.get("tenant_id");
            Stored {
                position: row.get("position"),
                aggregate_id: row.get("aggregate_id"),
                sequence: row.get::<i64, _>("sequence").cast_unsigned(),
                fact: Fact::read(row.get("aggregate_type"), payload).expect("a known event"),
                origin: Origin::from_metadata(&metadata).expect("metadata names an actor"),
                tenant_id: Some(tenant_id).filter(|id| !id.is_empty()),
                recorded_at: row.get("recorded_at"),
                body: row.get("body"),
            }
        };
        rows.expect("the query runs").iter().map(read).collect()
    }

    async fn view_rows(&self) -> BTreeMap<String, Vec<String>> {
        let tables = self
            .texts(
                "SELECT table_name::text FROM information_schema.tables \
                 WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'",
            )
            .await;
        let is_view = |table: &str| !["events", "bodies", "heads", "seals"].contains(&table);
        let mut found = BTreeMap::new();
        for table in tables {
            if is_view(&table) && !NOTES.contains(&table.as_str()) {
                let sql = format!("SELECT t::text FROM {table} t ORDER BY 1");
                let rows = self.texts(&sql).await;
                found.insert(table, rows);
            }
        }
        found
    }

    /// It puts nothing off.
    async fn settle(&self) {}

    async fn execute(&self, sql: &str) -> u64 {
        let done = sqlx::query(sql).execute(&self.pool).await;
        done.expect("the statement is carried out").rows_affected()
    }

    async fn write_scheduled_as_once(&self) -> u64 {
        self.execute(
            "UPDATE events SET event_version = '1', \
             payload = (payload::jsonb #- '{scheduled,trigger}')::json \
             WHERE event_type = 'scheduled'",
        )
        .await
    }
}

conforms!(Postgres);

#[tokio::test]
async fn a_ledger_is_copied_from_sqlite() {
    if Postgres::is_there() {
        between::<Sqlite, Postgres>().await;
        a_copy_has_what_is_not_erased_from::<Sqlite, Postgres>().await;
    }
}

#[tokio::test]
async fn a_ledger_is_copied_to_sqlite() {
    if Postgres::is_there() {
        between::<Postgres, Sqlite>().await;
        a_copy_has_what_is_not_erased_from::<Postgres, Sqlite>().await;
    }
}

#[tokio::test]
async fn the_sizes_of_answers_are_found_when_an_older_database_is_opened() {
    if Postgres::is_there() {
        let step = include_str!("../../src/store/migrations/postgres/0006_erasure.sql");
        sizes_are_found_in_bodies::<Postgres>(step).await;
    }
}

/// Appends that fail use positions up.
#[tokio::test]
async fn a_ledger_with_gaps_is_read_to_its_end() {
    if !Postgres::is_there() {
        return;
    }
    let (engine, store) = open::<Postgres>().await;
    for (number, gap) in [(1, 0), (2, 1), (3, 10_000)] {
        let sql = format!("SELECT nextval('events_position_seq') FROM generate_series(1, {gap})");
        engine.execute(&sql).await;
        store.ledger().commit(registered(number)).await.unwrap();
    }
    let (mut positions, mut after) = (Vec::new(), 0);
    while let [event] = &store.ledger().events_after(after, 1).await.unwrap()[..] {
        after = event.position;
        positions.push(after);
    }
    assert_eq!(positions, [1, 3, 10_004]);
    assert_eq!(store.ledger().last_position().await.unwrap(), 10_004);
    store.close().await;
}

#[tokio::test]
async fn a_database_with_a_node_is_not_copied() {
    if !Postgres::is_there() {
        return;
    }
    let (_source, from) = open::<Postgres>().await;
    let (_target, to) = open::<Postgres>().await;
    let node = Registration {
        version: "1".to_owned(),
        address: "127.0.0.1:1234".to_owned(),
        started_at: super::at(0),
    };
    let (here, there) = (from.cluster().unwrap(), to.cluster().unwrap());
    for (cluster, named) in [(&here, Side::Source), (&there, Side::Target)] {
        let lease = Duration::from_secs(60);
        cluster.beat(&node, lease, 0).await.unwrap();
        let refused = copy(&from, &to, &|_| ()).await.err();
        assert!(
            matches!(&refused, Some(CopyError::Served { side, address, .. })
                if *side == named && address == "127.0.0.1:1234"),
            "{refused:?}"
        );
        cluster.leave().await.unwrap();
    }
    copy(&from, &to, &|_| ()).await.unwrap();
    for store in [from, to] {
        store.close().await;
    }
}

#[tokio::test]
async fn nobody_else_appends_to_either_side_of_a_copy() {
    if !Postgres::is_there() {
        return;
    }
    let (source, from) = open::<Postgres>().await;
    let (target, to) = open::<Postgres>().await;
    copy(&from, &to, &|_| ()).await.unwrap();
    let others = [&source, &target].map(|engine| async {
        let mut connection = engine.pool.acquire().await.unwrap();
        let sql = "SELECT pg_try_advisory_lock($1)";
        let free: bool = sqlx::query_scalar(sql)
            .bind(APPEND_LOCK)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        free
    });
    assert_eq!(join_all(others).await, [false, false]);
    let second = reopen(&target).await;
    let refused = copy(&from, &second, &|_| ()).await.err();
    assert!(
        matches!(
            &refused,
            Some(CopyError::Store {
                side: Side::Target,
                ..
            })
        ),
        "{refused:?}"
    );
    for store in [from, to] {
        store.close().await;
    }
    second.ledger().commit(registered(1)).await.unwrap();
    second.close().await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    if !Postgres::is_there() {
        return;
    }
    let (engine, store) = open::<Postgres>().await;
    store.close().await;
    let changed = engine.execute("UPDATE schema_version SET version = 1000");
    assert_eq!(changed.await, 1);
    for _ in 0..2 {
        let refused = engine.open(Arc::default()).await.err();
        assert!(
            matches!(refused, Some(Error::NewerSchema { found: 1000, .. })),
            "{refused:?}"
        );
        let refused = engine.open_reader().await.err();
        assert!(
            matches!(refused, Some(Error::NewerSchema { found: 1000, .. })),
            "{refused:?}"
        );
    }
    let version = engine.texts("SELECT version::text FROM schema_version");
    assert_eq!(version.await, ["1000"]);
}

#[tokio::test]
async fn nodes_that_start_at_one_time_make_the_tables_once() {
    if !Postgres::is_there() {
        return;
    }
    let engine = Postgres::fresh().await;
    let opened = join_all((0..10).map(|_| engine.open(Arc::default()))).await;
    for (number, store) in opened.into_iter().enumerate() {
        let store = store.expect("each one opens");
        store.ledger().commit(registered(number)).await.unwrap();
        store.close().await;
    }
    assert_eq!(engine.events().await.len(), 10);
}

/// Reads like one who follows the ledger: asks for what comes after the last position seen.
async fn follow(pool: PgPool, is_over: Arc<AtomicBool>) -> Vec<i64> {
    let sql = "SELECT position FROM events WHERE position > $1 ORDER BY position";
    let mut seen: Vec<i64> = Vec::new();
    loop {
        let is_last = is_over.load(Ordering::SeqCst);
        let last = seen.last().copied().unwrap_or(0);
        let news: Vec<i64> = sqlx::query_scalar(sql)
            .bind(last)
            .fetch_all(&pool)
            .await
            .expect("the query runs");
        seen.extend(news);
        if is_last {
            return seen;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_position_appears_below_one_that_was_seen() {
    const WRITERS: usize = 8;
    const COMMITS: usize = 50;
    if !Postgres::is_there() {
        return;
    }
    let (engine, one) = open::<Postgres>().await;
    let other = reopen(&engine).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let following = tokio::spawn(follow(engine.pool.clone(), is_over.clone()));
    let writers = (0..WRITERS).map(|writer| {
        let store = if writer % 2 == 0 { &one } else { &other };
        let ledger = store.ledger();
        tokio::spawn(async move {
            for number in 0..COMMITS {
                let number = writer * COMMITS + number;
                ledger.commit(registered(number)).await.unwrap();
            }
        })
    });
    for done in join_all(writers).await {
        done.unwrap();
    }
    is_over.store(true, Ordering::SeqCst);
    let seen = following.await.unwrap();
    let events = engine.events().await;
    let all: Vec<i64> = events.iter().map(|event| event.position).collect();
    assert_eq!(all.len(), WRITERS * COMMITS);
    assert_eq!(seen, all, "one was missed by who followed");
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn appends_go_one_after_the_other_over_all_nodes() {
    if !Postgres::is_there() {
        return;
    }
    let (engine, one) = open::<Postgres>().await;
    let other = reopen(&engine).await;
    let mut holder = engine.pool.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(APPEND_LOCK)
        .execute(&mut *holder)
        .await
        .unwrap();
    let commits = [(&one, 1), (&other, 2)].map(|(store, number)| {
        let ledger = store.ledger();
        tokio::spawn(async move { ledger.commit(registered(number)).await })
    });
    let waiting = "SELECT l.pid::text FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
                   WHERE d.datname = current_database() \
                   AND l.locktype = 'advisory' AND NOT l.granted";
    eventually("two that wait", async || {
        (engine.texts(waiting).await.len() == 2).then_some(())
    })
    .await;
    assert_eq!(engine.events().await, []);
    assert!(commits.iter().all(|commit| !commit.is_finished()));
    holder.rollback().await.unwrap();
    for commit in commits {
        commit.await.unwrap().unwrap();
    }
    assert_eq!(engine.events().await.len(), 2);
    one.close().await;
    other.close().await;
}

/// A client that has begun something elsewhere in the database and does not end it.
#[tokio::test]
async fn an_open_transaction_of_others_holds_nobody_back() {
    if !Postgres::is_there() {
        return;
    }
    let (engine, store) = open::<Postgres>().await;
    engine.execute("CREATE TABLE elsewhere (n bigint)").await;
    let mut idle = engine.pool.begin().await.unwrap();
    sqlx::query("INSERT INTO elsewhere VALUES (1)")
        .execute(&mut *idle)
        .await
        .unwrap();
    store.ledger().commit(registered(1)).await.unwrap();
    let found = store.views().tenant(&super::tenant("t-1")).await.unwrap();
    assert!(found.is_some(), "the views are behind");
    assert_eq!(engine.events().await.len(), 1);
    idle.rollback().await.unwrap();
    store.close().await;
}

/// The way to a database that is spread over many machines by tenant: such a one can check that a
/// key is unique only where the tenant is a part of it.
#[tokio::test]
async fn every_key_of_a_tenants_rows_begins_with_the_tenant() {
    if !Postgres::is_there() {
        return;
    }
    let (engine, store) = open::<Postgres>().await;
    store.close().await;
    let sql = "\
        SELECT c.relname::text, coalesce(i.indisprimary, false), coalesce( \
            (SELECT array_agg(a.attname::text ORDER BY k.place) \
             FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (number, place) \
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number), '{}') \
        FROM pg_class c LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisunique \
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')";
    let keys: Vec<(String, bool, Vec<String>)> =
        sqlx::query_as(sql).fetch_all(&engine.pool).await.unwrap();
    let mut with_primary = Vec::new();
    for (table, is_primary, columns) in &keys {
        // Topics and seals belong to all tenants, some callbacks to none, and a tenant's own id names it.
        let of_all = ["topics", "tenants", "seals", "unassigned_callbacks"];
        let is_of_all = of_all.contains(&table.as_str());
        if NOTES.contains(&table.as_str()) || is_of_all {
            continue;
        }
        let is_first = columns.first().is_some_and(|column| column == "tenant_id");
        if *is_primary {
            assert!(is_first, "the primary key of {table} is {columns:?}");
            with_primary.push(table.as_str());
        }
        // Who asks with a token does not say for which tenant.
        let is_found_by_id = table == "tokens" && columns == &["id"];
        // A callback is nobody's until it is taken, once.
        let of_callbacks = ["aggregate_id", "aggregate_type", "sequence"];
        let is_of_callbacks = table == "events" && columns == &of_callbacks;
        let has_tenant = columns.iter().any(|column| column == "tenant_id");
        assert!(
            has_tenant || is_found_by_id || is_of_callbacks,
            "{table} has {columns:?}"
        );
    }
    for table in [
        "events",
        "bodies",
        "webhooks",
        "messages",
        "deliveries",
        "attempts",
        "subscriptions",
        "invoices",
    ] {
        assert!(with_primary.contains(&table), "{table} has no primary key");
    }
}

#[tokio::test]
async fn commits_survive_a_power_cut() {
    const COMMITS: usize = 50;
    let Some(server) = Server::own() else { return };
    let engine = Postgres::on(&server);
    let store = reopen(&engine).await;
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        assert_eq!(engine.texts(&format!("SHOW {setting}")).await, ["on"]);
    }
    for number in 0..COMMITS {
        store.ledger().commit(registered(number)).await.unwrap();
    }
    // At once: what waited to be written, would be lost now.
    server.stop_immediate();
    let cut_off = store.ledger().commit(registered(COMMITS)).await;
    assert!(
        matches!(&cut_off, Err(error) if error.is_unavailable()),
        "{cut_off:?}"
    );
    server.start();
    assert_eq!(engine.events().await.len(), COMMITS);
    eventually("a store that has found back", async || {
        let commit = store.ledger().commit(registered(COMMITS)).await;
        commit.is_ok().then_some(())
    })
    .await;
    store.close().await;
}
