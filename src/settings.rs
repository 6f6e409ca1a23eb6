//! What an operator can set, where it may be set, and what holds otherwise.
//!
//! Every setting stands once, in [`TABLE`]. Its flag, its `HOOKLEDGER_*` variable, its key in the
//! TOML file, its line in `hookledger config` and its default all come from there. A flag goes
//! before the environment, the environment before the file, the file before the default.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use hookledger_domain::{callback::Rules, stripe::signature::EndpointSecret, target::Allowance};

mod definition;
pub mod keys;
mod parse;
mod secret;
mod sources;
mod table;

pub use definition::{Definition, ENVIRONMENT_PREFIX};
pub use parse::Invalid;
pub use secret::SecretText;
pub use sources::{Error, Inputs, Loaded, Place, Reported, Source, load};
pub use table::TABLE;

/// Every setting with its value, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the server listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where the embedded ledger and the key files are.
    pub data_dir: PathBuf,
    /// Where the ledger is.
    pub database: Database,
    /// Connections to PostgreSQL that answer questions, at most.
    pub database_readers: u32,
    /// Connections to PostgreSQL that append.
    pub database_writers: usize,
    /// How long one statement may take at PostgreSQL.
    pub database_statement_timeout: Duration,
    /// How long a node that was halted or cut off keeps its tenants from the others.
    pub node_lease: Duration,
    /// The token with every permission; without it the one of the data directory.
    pub platform_token: Option<SecretText>,
    /// Base64 of the master keys, newest first; without it the one of the data directory.
    pub master_key: Option<SecretText>,
    /// What targets may resolve to besides public addresses.
    pub egress_allow: Vec<Allowance>,
    /// Whether `http://` targets are accepted.
    pub allow_http: bool,
    /// The whole of one attempt: DNS, connect, TLS, headers and body.
    pub delivery_timeout: Duration,
    /// The waits after each failed attempt; none means no retries.
    pub retry_schedule: Vec<Duration>,
    /// The share, 0 to 1, by which a wait may be longer or shorter.
    pub retry_jitter: f64,
    /// A webhook whose attempts have all failed for this long is disabled; from a second to a year.
    pub disable_after: Duration,
    /// Concurrent attempts of the process.
    pub max_in_flight: usize,
    /// Concurrent attempts of one tenant.
    pub max_in_flight_per_tenant: usize,
    /// Concurrent attempts of one webhook.
    pub max_in_flight_per_webhook: usize,
    /// How long bodies of messages and answers are kept.
    pub retention_bodies: Duration,
    /// How old the last seal of the ledger may get until the next one is made.
    pub seal_every: Duration,
    /// The private key that signs seals.
    pub seal_key_file: Option<PathBuf>,
    /// What Stripe signs its callbacks with; none means that they are not taken.
    pub stripe_webhook_secrets: Vec<EndpointSecret>,
    /// How Stripe's callbacks are taken.
    pub billing: Rules,
    /// The platform's own identity provider.
    pub jwt: Jwt,
    /// What is logged, in the syntax of tracing's `EnvFilter`.
    pub log: String,
    /// How the log is written.
    pub log_format: LogFormat,
}

/// Where the ledger is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// In a file that one process uses.
    Sqlite(PathBuf),
    /// In a PostgreSQL database, which several processes may share.
    Postgres(SecretText),
}

impl Database {
    /// Reads `sqlite:PATH` or the URL of a PostgreSQL database, as the setting has it.
    ///
    /// # Errors
    /// It is neither. The text is not in the error: it may hold a password.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        parse::database(text)
    }
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How JWTs are checked. Off without a key.
#[derive(Debug, Clone)]
pub struct Jwt {
    /// What checks their signatures; `None` means that JWTs are not accepted.
    pub key: Option<JwtKey>,
    /// The `iss` that they must have; any if `None`.
    pub issuer: Option<String>,
    /// The `aud` that they must have; any if `None`.
    pub audience: Option<String>,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// The claim that names the role.
    pub role_claim: String,
}

/// What checks the signatures of JWTs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwtKey {
    /// A PEM file with one public key.
    PublicKeyFile(PathBuf),
    /// A JSON Web Key Set.
    JwksFile(PathBuf),
    /// A shared secret.
    Hs256Secret(SecretText),
}

impl Settings {
    /// Accepts what local development needs: `http://` targets and loopback addresses, besides
    /// what is allowed already.
    ///
    /// # Errors
    /// None: the networks are constants. They are read like an operator's.
    pub fn open_to_loopback(&mut self) -> Result<(), Invalid> {
        self.allow_http = true;
        self.egress_allow
            .extend(parse::allowances("127.0.0.0/8,::1/128")?);
        Ok(())
    }

    /// The start that the definitions' defaults are applied to; no value of it survives.
    fn blank() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data_dir: PathBuf::new(),
            database: Database::Sqlite(PathBuf::new()),
            database_readers: 0,
            database_writers: 0,
            database_statement_timeout: Duration::ZERO,
            node_lease: Duration::ZERO,
            platform_token: None,
            master_key: None,
            egress_allow: Vec::new(),
            allow_http: false,
            delivery_timeout: Duration::ZERO,
            retry_schedule: Vec::new(),
            retry_jitter: 0.0,
            disable_after: Duration::ZERO,
            max_in_flight: 0,
            max_in_flight_per_tenant: 0,
            max_in_flight_per_webhook: 0,
            retention_bodies: Duration::ZERO,
            seal_every: Duration::ZERO,
            seal_key_file: None,
            stripe_webhook_secrets: Vec::new(),
            billing: Rules::default(),
            jwt: Jwt {
                key: None,
                issuer: None,
                audience: None,
                tenant_claim: String::new(),
                role_claim: String::new(),
            },
            log: String::new(),
            log_format: LogFormat::Text,
        }
    }
}

#[cfg(test)]
mod tests;
