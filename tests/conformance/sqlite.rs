//! SQLite: how to open one, and what only a file has.

use std::path::PathBuf;

use hookledger::store::{Reader, copy};
use rusqlite::{Connection, types::ValueRef};
use tempfile::TempDir;

use super::{
    Arc, BTreeMap, DateTime, Engine, Error, Fact, Metrics, Origin, Store, Stored, conforms,
    erasing::{erase_message, erase_old, publish_body, sizes_are_found_in_bodies},
    open, reopen,
    world::World,
};

pub(super) struct Sqlite {
    directory: TempDir,
}

impl Sqlite {
    fn path(&self) -> PathBuf {
        self.directory.path().join("ledger.db")
    }

    fn connect(&self) -> Connection {
        Connection::open(self.path()).expect("the file opens")
    }
}

impl Engine for Sqlite {
    const LATER: &str = "recorded_at + 1";
    const NEVER: &str = "-9223372036854775807 - 1";
    const ZEROS: &str = "zeroblob(32)";

    async fn fresh() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        Self { directory }
    }

    async fn of_version(version: u32) -> Self {
        let engine = Self::fresh().await;
        let made = engine.connect().execute_batch(match version {
            7 => include_str!("../fixtures/ledger-0007.sqlite.sql"),
            9 => include_str!("../fixtures/ledger-0009.sqlite.sql"),
            _ => panic!("no ledger of version {version} was kept"),
        });
        made.expect("the older ledger is made");
        engine
    }

    async fn open(&self, metrics: Arc<Metrics>) -> Result<Store, Error> {
        Store::open_sqlite(&self.path(), metrics).await
    }

    async fn open_reader(&self) -> Result<Reader, Error> {
        Reader::open_sqlite(&self.path()).await
    }

    async fn events(&self) -> Vec<Stored> {
        let connection = self.connect();
        let mut statement = connection
            .prepare("SELECT e.*, b.text FROM events e LEFT JOIN bodies b USING (position) ORDER BY e.position")
            .expect("the table is there");
        let read = |row: &rusqlite::Row<'_>| {
            let aggregate_type: String = row.get("aggregate_type")?;
            let payload: String = row.get("payload")?;
            let metadata: String = row.get("metadata")?;
            let metadata = serde_json::from_str(&metadata).expect("metadata is a map of texts");
            let payload = serde_json::from_str(&payload).expect("a payload is JSON");
            Ok(Stored {
                position: row.get("position")?,
                aggregate_id: row.get("aggregate_id")?,
                sequence: row.get::<_, i64>("sequence")?.cast_unsigned(),
                fact: Fact::read(&aggregate_type, payload).expect("a known event"),
                origin: Origin::from_metadata(&metadata).expect("metadata names an actor"),
                tenant_id: row.get("tenant_id")?,
                recorded_at: DateTime::from_timestamp_millis(row.get("recorded_at")?)
                    .expect("a time"),
                body: row.get("text")?,
            })
        };
        let rows = statement.query_map([], read).expect("the query runs");
        rows.map(|row| row.expect("the row is read")).collect()
    }

    /// What is noted and what is sorted in counts as one: when it is moved is no truth.
    async fn view_rows(&self) -> BTreeMap<String, Vec<String>> {
        let connection = self.connect();
        let tables: Vec<String> = texts(
            &connection,
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('events', 'bodies', 'heads', 'seals') \
             AND name NOT LIKE 'sqlite%' AND name NOT GLOB '*_recent' AND name <> 'events_settled'",
        );
        let query = |table: &str| match table.split_once("_by_") {
            Some(("events", _)) => "SELECT tenant_id, position FROM events_by_tenant UNION ALL \
                SELECT tenant_id, position FROM events \
                 WHERE position > (SELECT position FROM events_settled) AND tenant_id IS NOT NULL"
                .to_owned(),
            Some((kind, "tenant")) => format!(
                "SELECT tenant_id, id FROM {table} UNION ALL SELECT tenant_id, id FROM {kind}_recent"
            ),
            Some((kind, _)) => format!(
                "SELECT webhook_id, topic, id FROM {table} \
                 UNION ALL SELECT webhook_id, topic, id FROM {kind}_recent"
            ),
            None => format!("SELECT * FROM {table}"),
        };
        tables
            .into_iter()
            .map(|table| {
                let mut rows = texts(&connection, &query(&table));
                rows.sort();
                (table, rows)
            })
            .collect()
    }

    async fn settle(&self) {
        let sql = include_str!("../../src/store/sql/sqlite/settle_recent.sql");
        let connection = self.connect();
        connection
            .busy_timeout(std::time::Duration::from_secs(5))
            .expect("a time-out is set");
        connection.execute_batch(sql).expect("the rows are moved");
    }

    async fn execute(&self, sql: &str) -> u64 {
        let connection = self.connect();
        // Whoever edits a ledger does not keep to its rules.
        let unbound = connection.pragma_update(None, "foreign_keys", "off");
        unbound.expect("the setting is known");
        let changed = connection.execute(sql, []);
        changed.expect("the statement is carried out") as u64
    }

    async fn write_scheduled_as_once(&self) -> u64 {
        self.execute(
            "UPDATE events SET event_version = '1', \
             payload = json_remove(payload, '$.scheduled.trigger') \
             WHERE event_type = 'scheduled'",
        )
        .await
    }
}

/// The rows of a query, each with its columns in one text.
fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).expect("the query is right");
    let columns = statement.column_count();
    let read = |row: &rusqlite::Row<'_>| {
        let values = (0..columns).map(|index| {
            Ok(match row.get_ref(index)? {
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                other => format!("{other:?}"),
            })
        });
        Ok(values.collect::<rusqlite::Result<Vec<_>>>()?.join(" | "))
    };
    let rows = statement.query_map([], read).expect("the query runs");
    rows.map(|row| row.expect("the row is read")).collect()
}

conforms!(Sqlite);

#[tokio::test]
async fn a_second_process_is_kept_out_until_the_first_lets_go() {
    let (engine, store) = open::<Sqlite>().await;
    let second = engine.open(Arc::default()).await.err();
    assert!(
        matches!(&second, Some(Error::Locked(path)) if *path == engine.path()),
        "{second:?}"
    );
    store.close().await;
    reopen(&engine).await.close().await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    let (engine, store) = open::<Sqlite>().await;
    store.close().await;
    engine
        .connect()
        .pragma_update(None, "user_version", 1000)
        .expect("the file can be written");
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
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let engine = Sqlite::fresh().await;
    std::fs::write(
        engine.path(),
        "this is a letter, not a ledger; and a long one at that. ".repeat(20),
    )
    .expect("the file can be written");
    let refused = engine.open(Arc::default()).await.err();
    assert!(
        matches!(refused, Some(Error::Unavailable(_) | Error::Corrupt(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_named() {
    let engine = Sqlite::fresh().await;
    let path = engine.path().join("deeper").join("ledger.db");
    let refused = Store::open_sqlite(&path, Arc::default()).await.err();
    let text = refused.map(|error| error.to_string()).unwrap_or_default();
    assert!(text.contains("deeper"), "{text}");
}

#[tokio::test]
async fn commits_survive_a_power_cut() {
    let (engine, store) = open::<Sqlite>().await;
    let journal: String = engine
        .connect()
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .expect("the file is read");
    assert_eq!(journal, "wal");
    store.close().await;
}

/// Lists look through all rows that are only noted.
#[tokio::test]
async fn what_is_copied_is_sorted_in_too() {
    let (_source, from) = open::<Sqlite>().await;
    World::build(&from, 12, 1500).await;
    let (target, to) = open::<Sqlite>().await;
    copy(&from, &to, &|_| ()).await.expect("it is copied");
    let count = |tables: [&str; 3]| {
        let connection = target.connect();
        let count = |table| {
            let sql = format!("SELECT count(*) FROM {table}");
            let count = connection.query_row(&sql, [], |row| row.get::<_, i64>(0));
            count.expect("the table is there")
        };
        tables.map(count).iter().sum::<i64>()
    };
    let noted = count(["messages_recent", "deliveries_recent", "attempts_recent"]);
    let all = count(["messages", "deliveries", "attempts"]);
    assert!(noted <= 4096 && all > 4096, "{noted} of {all} are noted");
    from.close().await;
    to.close().await;
}

#[tokio::test]
async fn the_sizes_of_answers_are_found_when_an_older_file_is_opened() {
    let step = include_str!("../../src/store/migrations/sqlite/0006_erasure.sql");
    sizes_are_found_in_bodies::<Sqlite>(step).await;
}

/// How often each of the secrets stands in the database and its log, in whatever page.
fn secrets(engine: &Sqlite) -> BTreeMap<usize, usize> {
    let mut found = BTreeMap::new();
    for path in [engine.path(), engine.path().with_extension("db-wal")] {
        let bytes = std::fs::read(path).expect("the file is there");
        let text = String::from_utf8_lossy(&bytes);
        for (at, _) in text.match_indices("secret-") {
            let number = text[at..].get(7..11).and_then(|number| number.parse().ok());
            *found.entry(number.unwrap_or(usize::MAX)).or_default() += 1;
        }
    }
    found
}

/// Neither in pages that are in use, nor in free ones, nor in the log.
#[tokio::test]
async fn what_is_erased_is_not_left_in_the_file() {
    let (engine, store) = open::<Sqlite>().await;
    let mut ids = Vec::new();
    for number in 0..300 {
        // From some that share a page to some that take many.
        let padding = "x".repeat(if number % 7 == 0 { 20_000 } else { number });
        let body = format!("secret-{number:04}-{padding}-secret-{number:04}");
        let is_pending = number % 10 == 0;
        ids.push(publish_body(&store, number as i64, &body, is_pending).await);
    }
    let before = secrets(&engine);
    assert!((0..300).all(|number| before[&number] >= 2), "{before:?}");
    // One by one, then all that were there for long.
    for id in ids.iter().skip(201).step_by(10) {
        erase_message(&store, *id).await.expect("it is erased");
    }
    erase_old(&store, super::at(200)).await;
    let is_left = |number: &usize| match number % 10 {
        0 => true,
        1 => false,
        _ => *number >= 200,
    };
    let left: Vec<usize> = secrets(&engine).into_keys().collect();
    assert_eq!(left, (0..300).filter(is_left).collect::<Vec<_>>());
    store.close().await;
}
