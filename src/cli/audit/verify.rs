//! `hookledger audit verify`.

use std::{fmt, path::PathBuf, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use hookledger_domain::tenant::TenantId;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use reqwest::StatusCode;
use serde_json::Value;

use super::{
    route::Route,
    seals::SEALS,
    verdict::{self, Found, Signatures, Signed},
};
use crate::{
    cli::{Error, client::Client, connection::Connection, log_quietly},
    notary::PublicKey,
    server,
    store::{Audit, InvalidSeal, SealMark, Verdict},
};

/// How long a server may take to check its ledger.
const TIMEOUT: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    /// Check the events of this tenant only
    #[arg(long, conflicts_with_all = ["seal", "public_key"])]
    tenant: Option<TenantId>,
    /// A seal that was kept elsewhere (NUMBER.POSITION.HASH): the ledger must be the one that was sealed so
    #[arg(long, value_name = "SEAL", value_parser = parse_seal)]
    seal: Option<SealMark>,
    /// Check the signatures of the seals, too, with this PEM file's Ed25519 key
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

fn parse_seal(text: &str) -> Result<SealMark, InvalidSeal> {
    text.parse()
}

/// What is checked besides the ledger itself.
struct Checks<'a> {
    tenant: Option<&'a TenantId>,
    seal: Option<SealMark>,
    key: Option<PublicKey>,
}

/// What was found, and the signatures if they were to be checked.
type Outcome = (Found, Option<Signatures>);

/// Checks, and prints what was found. Fails if the ledger is not intact.
pub(super) fn run(verify: &Verify) -> Result<(), Error> {
    let connection = &verify.connection;
    let checks = Checks {
        tenant: verify.tenant.as_ref(),
        seal: verify.seal,
        key: verify
            .public_key
            .as_deref()
            .map(PublicKey::load)
            .transpose()?,
    };
    let (found, signatures) = if connection.names_server() {
        connection.with_client(async |client| checks.ask(client).await)?
    } else {
        directly(connection, &checks)?
    };
    verdict::print(connection.json, found, signatures)
}

/// Reads the ledger of the settings, or asks a server if that cannot be read from here and one answers.
fn directly(connection: &Connection, checks: &Checks<'_>) -> Result<Outcome, Error> {
    let loaded = connection.load()?;
    log_quietly(&loaded)?;
    server::block_on(async {
        let error = match server::open_reader(&loaded.settings).await {
            Ok(reader) => {
                let outcome = checks.carry_out(reader.audit()).await;
                reader.close().await;
                return outcome;
            }
            Err(error) => Error::UnreadableLedger(error),
        };
        match connection.find_running(&loaded).await? {
            Some(client) => {
                eprintln!("hookledger: {}; asking the server instead", error.report());
                checks.ask(client).await
            }
            None => Err(error),
        }
    })?
}

impl Checks<'_> {
    /// Checks by reading the ledger.
    async fn carry_out(&self, audit: &Audit) -> Result<Outcome, Error> {
        if let Some(tenant) = self.tenant {
            let verdict = audit.verify_tenant(tenant).await?;
            // Every tenant has at least the event by which it was registered.
            return match verdict {
                Verdict::Intact { events: 0, .. } => Err(Error::NoEvents {
                    tenant: tenant.to_string(),
                }),
                verdict => Ok((verdict.into(), None)),
            };
        }
        let bar = bar();
        let listener = |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        };
        let verdict = audit.verify(self.seal, &listener).await;
        bar.finish_and_clear();
        let seals = audit.seals().await?.into_iter();
        let seals: Vec<Signed> = seals.map(|seal| (seal.mark(), seal.signature)).collect();
        Ok(self.with_signatures(verdict?.into(), &seals))
    }

    /// Lets a server check.
    async fn ask(&self, client: Client) -> Result<Outcome, Error> {
        let route = Route::find(client, self.tenant.map(TenantId::as_str)).await?;
        let seal = self.seal.map(|seal| seal.to_string());
        let query: Vec<_> = seal.iter().map(|seal| ("seal", seal.as_str())).collect();
        let (path, query) = (route.path(&["verify"]), route.query(&query));
        let answer = route.client.get_within(TIMEOUT, &path, &query).await?;
        let unexpected = || route.client.unexpected(StatusCode::OK);
        let found = Found::read(&answer).ok_or_else(unexpected)?;
        if self.key.is_none() {
            return Ok((found, None));
        }
        let mut seals = route.client.list(&SEALS).await?;
        seals.reverse();
        let seals: Option<Vec<Signed>> = seals.iter().map(read_seal).collect();
        Ok(self.with_signatures(found, &seals.ok_or_else(unexpected)?))
    }

    /// What is wrong with the ledger goes before what is wrong with a signature.
    fn with_signatures(&self, found: Found, seals: &[Signed]) -> Outcome {
        match (&self.key, &found) {
            (Some(key), Found::Intact { .. }) => {
                match verdict::check_signatures(key, seals, self.seal) {
                    Ok(signatures) => (found, Some(signatures)),
                    Err(broken) => (broken, None),
                }
            }
            _ => (found, None),
        }
    }
}

/// A seal as the API shows it.
fn read_seal(row: &Value) -> Option<Signed> {
    let mark = row["seal"].as_str()?.parse().ok()?;
    let signature = match row["signature"].as_str() {
        Some(text) => Some(STANDARD.decode(text).ok()?),
        None => None,
    };
    Some((mark, signature))
}

/// A bar on stderr, if that is a terminal.
fn bar() -> ProgressBar {
    let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
        // The bar goes on without it, if it cannot be written.
        let _ = write!(text, "{:.0}/s", state.per_sec());
    };
    let template = "checking events {wide_bar} {percent:>3}% of {len}, {rate}, {eta} left";
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style.with_key("rate", rate))
}
