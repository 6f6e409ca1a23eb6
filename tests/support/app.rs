//! The real program, started as an operator would start it.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::{Api, DEADLINE, Database, Server, Tenant, eventually, succeed};

/// The token with every permission, in every test.
pub(crate) const PLATFORM_TOKEN: &str = "platform-token-of-the-tests-0123456789";
/// What a test gets unless it says otherwise: loopback is allowed, retries come quickly.
const SETTINGS: [(&str, &str); 9] = [
    ("LISTEN", "127.0.0.1:0"),
    ("PLATFORM_TOKEN", PLATFORM_TOKEN),
    ("ALLOW_HTTP", "true"),
    ("EGRESS_ALLOW", "127.0.0.0/8"),
    ("DELIVERY_TIMEOUT", "10s"),
    ("RETRY_SCHEDULE", "20ms,20ms,20ms"),
    ("RETRY_JITTER", "0"),
    ("LOG", "info"),
    ("LOG_FORMAT", "json"),
];
/// With which store `App::start` and `App::with` try it: `sqlite`, if nothing is said, or `postgres`.
const STORE: &str = "HOOKLEDGER_TEST_STORE";
/// 32 bytes in base64: nodes that share a database share the key, too.
pub(crate) const MASTER_KEY: &str = "dGhlIG1hc3RlciBrZXkgb2YgYWxsIHRoZSB0ZXN0cyE=";
/// How many lines of a failed test's log are shown.
const LOG_LINES_SHOWN: usize = 100;

/// A server of its own for one test, with its data directory. Ends with the test.
pub(crate) struct App {
    directory: TempDir,
    /// Where the ledger is, if it is no file. It goes with the last node.
    database: Option<Arc<Database>>,
    settings: Settings,
    address: Arc<RwLock<SocketAddr>>,
    child: Child,
}

type Settings = Vec<(String, String)>;

impl App {
    /// Starts a server and waits until it is ready.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same with other settings, named without `HOOKLEDGER_`.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        match std::env::var(STORE).as_deref() {
            Err(_) | Ok("sqlite") => Self::on_sqlite(settings).await,
            Ok("postgres") => {
                let server = Server::shared().expect("scripts/test starts PostgreSQL");
                Self::on_postgres(&server, settings).await
            }
            Ok(other) => panic!("{STORE} is {other:?}: sqlite or postgres"),
        }
    }

    /// The same with a file.
    pub(crate) async fn on_sqlite(settings: &[(&str, &str)]) -> Self {
        let all = changed(Settings::new(), SETTINGS.iter().chain(settings));
        Self::launch(None, all).await
    }

    /// The same with a database of its own on this server.
    pub(crate) async fn on_postgres(server: &Server, settings: &[(&str, &str)]) -> Self {
        Self::on_database(&Arc::new(Database::fresh(server)), settings).await
    }

    /// The same on a database that is there already.
    pub(crate) async fn on_database(database: &Arc<Database>, settings: &[(&str, &str)]) -> Self {
        Self::launch(Some(database.clone()), settings_on(database, settings)).await
    }

    /// Starts a further process on the same database, with the same settings but for these.
    pub(crate) async fn another_node(&self, settings: &[(&str, &str)]) -> Self {
        let database = self.database.clone();
        assert!(database.is_some(), "SQLite is for one process");
        Self::launch(database, changed(self.settings.clone(), settings)).await
    }

    /// Starts a process on a database, and waits until it is ready or has ended; gives its exit
    /// status, then.
    pub(crate) async fn try_on_database(
        database: &Arc<Database>,
        settings: &[(&str, &str)],
    ) -> (Self, Option<ExitStatus>) {
        let mut app = Self::begin(Some(database.clone()), settings_on(database, settings));
        let ended = app.until_ready(0).await;
        (app, ended)
    }

    async fn launch(database: Option<Arc<Database>>, settings: Settings) -> Self {
        let mut app = Self::begin(database, settings);
        app.await_ready(0).await;
        app
    }

    fn begin(database: Option<Arc<Database>>, settings: Settings) -> Self {
        let directory = TempDir::new().unwrap();
        let child = launch(directory.path(), &settings);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            directory,
            database,
            settings,
            address: Arc::new(RwLock::new(nowhere)),
            child,
        }
    }

    /// Whether the ledger is in PostgreSQL, not in a file: for what is true of one of them only.
    pub(crate) fn is_postgres(&self) -> bool {
        self.database.is_some()
    }

    /// Starts the server again on the same data directory after it has ended.
    pub(crate) async fn restart(&mut self) {
        let logged = self.log().len();
        self.begin_restart();
        self.await_ready(logged).await;
    }

    /// The same without waiting until it is ready.
    pub(crate) fn begin_restart(&mut self) {
        self.child = launch(self.directory.path(), &self.settings);
    }

    /// Changes a setting for the next start.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let settings = std::mem::take(&mut self.settings);
        self.settings = changed(settings, &[(name, value)]);
    }

    /// Ends the process as a power cut would end it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the process to end.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Lets the process stand still, with all that it holds.
    pub(crate) fn stop_signal(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn continue_signal(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        succeed(Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]));
    }

    /// Waits until the process has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < DEADLINE, "the process did not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Where it listens now.
    pub(crate) fn address(&self) -> SocketAddr {
        *self.address.read().unwrap()
    }

    /// Where it keeps its files; one of them is the ledger, unless that is in PostgreSQL.
    pub(crate) fn data_dir(&self) -> PathBuf {
        data_dir(self.directory.path())
    }

    /// All that the server keeps, by the name of its place: its files, and its database as text.
    pub(crate) fn kept(&self) -> BTreeMap<String, Vec<u8>> {
        // A server that was given its keys and has a database may need no directory.
        let files = std::fs::read_dir(self.data_dir()).into_iter().flatten();
        let mut kept: BTreeMap<_, _> = files
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, std::fs::read(entry.path()).unwrap())
            })
            .collect();
        if let Some(database) = &self.database {
            kept.insert("the database".to_owned(), database.dump().into_bytes());
        }
        kept
    }

    /// A client without a token. It follows the server through restarts.
    pub(crate) fn anonymous(&self) -> Api {
        Api::new(self.address.clone())
    }

    /// A client with the platform token.
    pub(crate) fn platform(&self) -> Api {
        self.anonymous().with_token(PLATFORM_TOKEN)
    }

    /// Registers a tenant, with a token that may do everything within it.
    pub(crate) async fn tenant(&self, id: &str) -> Tenant {
        let body = json!({"id": id, "name": format!("The tenant {id}")});
        self.platform()
            .post("/api/platform/tenants", body)
            .await
            .expect(201);
        Tenant::new(id, self.platform()).await
    }

    /// The most memory that the process has had, in bytes.
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        let kilobytes = line.trim().strip_suffix(" kB").unwrap();
        kilobytes.trim().parse::<u64>().unwrap() * 1024
    }

    /// All that the server has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(log_file(self.directory.path())).unwrap_or_default()
    }

    /// Starts a second process on the same data directory; gives its exit status and its words.
    pub(crate) async fn second_process(&self) -> (ExitStatus, String) {
        let mut command = command(self.directory.path(), &self.settings);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = tokio::time::timeout(DEADLINE, output)
            .await
            .expect("it runs")
            .unwrap();
        (output.status, String::from_utf8(output.stderr).unwrap())
    }

    /// Runs a command of the program beside the server, with the same settings and data directory.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = with_settings(self.directory.path(), &self.settings);
        command.args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        tokio::time::timeout(DEADLINE, output)
            .await
            .expect("it ends")
            .unwrap()
    }

    /// The one value that a question past the server gives, as text.
    pub(crate) async fn ask(&self, sql: &str) -> String {
        if let Some(database) = &self.database {
            return database.ask(sql);
        }
        let mut connection = self.open_file().await;
        let value: Option<String> = sqlx::query_scalar(sql)
            .fetch_optional(&mut connection)
            .await
            .unwrap();
        value.unwrap_or_default()
    }

    /// Changes what is in the database past the server; says how many rows.
    pub(crate) async fn tamper(&self, sql: &str) -> u64 {
        if let Some(database) = &self.database {
            let sql = format!("WITH changed AS ({sql} RETURNING 1) SELECT count(*) FROM changed");
            return database.ask(&sql).parse().unwrap();
        }
        let mut connection = self.open_file().await;
        let done = sqlx::query(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        done.rows_affected()
    }

    async fn open_file(&self) -> SqliteConnection {
        let file = self.data_dir().join("hookledger.db");
        // Whoever edits a ledger does not ask whether rows refer to each other.
        let options = SqliteConnectOptions::new()
            .filename(file)
            .foreign_keys(false);
        options.connect().await.unwrap()
    }

    async fn await_ready(&mut self, logged: usize) {
        if let Some(status) = self.until_ready(logged).await {
            panic!("the server ended at once: {status}");
        }
    }

    /// Waits until it is ready, or has ended by itself: then this gives its exit status.
    async fn until_ready(&mut self, logged: usize) -> Option<ExitStatus> {
        let started = Instant::now();
        let address = loop {
            if let Some(address) = listening(self.log().get(logged..).unwrap_or_default()) {
                break address;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            assert!(started.elapsed() < DEADLINE, "the server does not listen");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        *self.address.write().unwrap() = address;
        let api = self.anonymous();
        eventually("a ready server", async || {
            let answer = api.try_send("GET", "/readyz", &[], None).await?;
            (answer.status == 200).then_some(())
        })
        .await;
        None
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let first = lines.len().saturating_sub(LOG_LINES_SHOWN);
            eprintln!("--- the end of the server's log ---");
            for line in &lines[first..] {
                eprintln!("{line}");
            }
        }
    }
}

/// Settings of which these are given anew.
fn changed<'a>(
    mut settings: Settings,
    with: impl IntoIterator<Item = &'a (&'a str, &'a str)>,
) -> Settings {
    for (name, value) in with {
        settings.retain(|(other, _)| other != name);
        settings.push(((*name).to_owned(), (*value).to_owned()));
    }
    settings
}

fn settings_on(database: &Database, settings: &[(&str, &str)]) -> Settings {
    let url = database.url();
    let own = [("DATABASE_URL", url.as_str()), ("MASTER_KEY", MASTER_KEY)];
    changed(Settings::new(), SETTINGS.iter().chain(&own).chain(settings))
}

fn data_dir(directory: &Path) -> PathBuf {
    directory.join("data")
}

fn log_file(directory: &Path) -> PathBuf {
    directory.join("server.log")
}

fn launch(directory: &Path, settings: &[(String, String)]) -> Child {
    let log: File = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log_file(directory))
        .unwrap();
    command(directory, settings)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// The program, which sees none of the settings that the tests themselves are run with.
pub(crate) fn hookledger() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookledger"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HOOKLEDGER_")) {
        command.env_remove(name);
    }
    command
}

fn command(directory: &Path, settings: &[(String, String)]) -> Command {
    let mut command = with_settings(directory, settings);
    command.arg("serve");
    command
}

fn with_settings(directory: &Path, settings: &[(String, String)]) -> Command {
    let mut command = hookledger();
    command
        .current_dir(directory)
        .stdin(Stdio::null())
        .env("HOOKLEDGER_DATA_DIR", data_dir(directory));
    for (name, value) in settings {
        command.env(format!("HOOKLEDGER_{name}"), value);
    }
    command
}

/// The address in the log line that says where the server listens.
fn listening(log: &str) -> Option<SocketAddr> {
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| line["fields"]["message"] == "listening")
        .and_then(|line| line["fields"]["address"].as_str()?.parse().ok())
}
