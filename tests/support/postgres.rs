//! PostgreSQL for tests: a server, and a database of its own for each test.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, OnceLock},
};

use tempfile::TempDir;
use url::Url;
use uuid::Uuid;

use super::{not_tried, succeed};

/// The server that scripts/test has started for all tests.
const SHARED: &str = "HOOKLEDGER_TEST_POSTGRES";

/// A server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Server(Arc<Inner>);

struct Inner {
    /// Of the database that every server has.
    url: Url,
    /// Of a server that one test alone has; it ends with it.
    directory: Option<TempDir>,
}

impl Server {
    /// The one that all tests share. Where there is none, this says so: the test then passes
    /// without having tried anything, or fails under `CI=true`.
    pub(crate) fn shared() -> Option<Self> {
        let Ok(url) = std::env::var(SHARED) else {
            not_tried(&format!("a PostgreSQL server in {SHARED}"));
            return None;
        };
        let url = url.parse().expect("a URL");
        Some(Self(Arc::new(Inner {
            url,
            directory: None,
        })))
    }

    /// One of its own, for a test that stops it. `None` as for [`Server::shared`].
    pub(crate) fn own() -> Option<Self> {
        if programs().is_none() {
            not_tried("PostgreSQL");
            return None;
        }
        let directory = TempDir::new().unwrap();
        let url = start(directory.path());
        Some(Self(Arc::new(Inner {
            url,
            directory: Some(directory),
        })))
    }

    /// Ends it as a power cut would. What was not on disk is lost, clients are cut off.
    pub(crate) fn stop_immediate(&self) {
        succeed(&mut stop(self.directory()));
    }

    /// Starts it again at the same address; it has recovered when this returns.
    pub(crate) fn start(&self) {
        assert_eq!(start(self.directory()), self.0.url, "it has moved");
    }

    fn directory(&self) -> &Path {
        let directory = self.0.directory.as_ref();
        directory.expect("others use this server, too").path()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(directory) = &self.directory {
            let _ = stop(directory.path()).output();
        }
    }
}

/// An empty database at first. It is dropped with this value.
pub(crate) struct Database {
    server: Server,
    name: String,
}

impl Database {
    pub(crate) fn fresh(server: &Server) -> Self {
        let name = format!("test_{}", Uuid::from_u128(rand::random()).simple());
        let sql = format!("CREATE DATABASE {name} TEMPLATE template0");
        succeed(&mut psql(&server.0.url, &sql));
        Self {
            server: server.clone(),
            name,
        }
    }

    /// What a client has to be told.
    pub(crate) fn url(&self) -> String {
        let mut url = self.server.0.url.clone();
        url.set_path(&self.name);
        url.into()
    }

    /// The answer to a question that gives one value, as text.
    pub(crate) fn ask(&self, sql: &str) -> String {
        let url = self.url().parse().expect("a URL");
        let output = succeed(psql(&url, sql).args(["--tuples-only", "--no-align"]));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// All that is in it, as SQL.
    pub(crate) fn dump(&self) -> String {
        let mut command = Command::new(program("pg_dump"));
        let output = succeed(command.arg("--dbname").arg(self.url()));
        String::from_utf8(output.stdout).expect("a dump is text")
    }
}

impl Drop for Database {
    /// A server that a test has stopped has nothing to be dropped from.
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let _ = psql(&self.server.0.url, &sql).output();
    }
}

fn psql(url: &Url, sql: &str) -> Command {
    let mut command = Command::new(program("psql"));
    command
        .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"])
        .args(["--dbname", url.as_str(), "--command", sql]);
    command
}

fn program(name: &str) -> PathBuf {
    let programs = programs().expect("PostgreSQL's programs are there");
    programs.join(name)
}

/// Where they lie, if they are there.
fn programs() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let output = script(&["bin"]).output().ok()?;
        let path = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| path.trim_end().into())
    };
    FOUND.get_or_init(find).as_deref()
}

fn start(directory: &Path) -> Url {
    let output = succeed(&mut script(&["start", directory.to_str().unwrap()]));
    let url = String::from_utf8(output.stdout).unwrap();
    url.trim_end().parse().expect("a URL")
}

fn stop(directory: &Path) -> Command {
    script(&["stop", directory.to_str().unwrap(), "immediate"])
}

fn script(arguments: &[&str]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres");
    let mut command = Command::new(script);
    command.args(arguments);
    command
}
