//! The command line: one file a command. `main` parses and calls [`run`].

use std::{error::Error as _, io, process::ExitCode};

use clap::{Parser, Subcommand};
use hookledger_domain::signature::InvalidSecret;

use crate::{
    notary, server,
    settings::{self, Loaded, Source},
    store, telemetry,
};

mod audit;
mod client;
mod completions;
mod config;
mod connection;
mod copy;
mod demo;
mod flags;
mod keys;
mod listen;
mod openapi;
mod output;
mod progress;
mod rebuild;
mod serve;
mod tenant;
mod token;

/// What was asked for on the command line.
#[derive(Debug, Parser)]
#[command(
    name = "hookledger",
    version,
    about = "A webhook server that can prove what it sent",
    after_help = "Without a command the server is started, as by `hookledger serve`.",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Arguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server
    Serve(serve::Arguments),
    /// See it work: a server, a receiver, a signed request, retries and the log, in seconds
    Demo(demo::Arguments),
    /// Receive webhooks: verify and print what arrives
    Listen(listen::Arguments),
    /// Make, list and revoke a tenant's API tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Create, list and change tenants
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Rotate the master keys that secrets are sealed with
    #[command(subcommand)]
    Keys(keys::Command),
    /// Make views anew from the events, compare them with those that are there, put right what differs
    Rebuild(rebuild::Arguments),
    /// Read and check the ledger: what happened, and whether anybody has edited it
    #[command(subcommand)]
    Audit(audit::Command),
    /// Move a ledger from one database to another: from SQLite to PostgreSQL, or back
    Copy(copy::Arguments),
    /// Print every setting with its value, default and source
    Config(config::Arguments),
    /// Print the OpenAPI document of the HTTP API
    Openapi,
    /// Print a shell's completions
    Completions(completions::Arguments),
}

/// Does what was asked for. The caller prints the error and ends with its exit code.
///
/// # Errors
/// The command failed.
pub fn run(cli: Cli) -> Result<(), Error> {
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Listen(arguments) => listen::run(&arguments),
        Command::Token(command) => token::run(&command),
        Command::Tenant(command) => tenant::run(&command),
        Command::Keys(command) => keys::run(&command),
        Command::Rebuild(arguments) => rebuild::run(&arguments),
        Command::Audit(command) => audit::run(&command),
        Command::Copy(arguments) => copy::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Openapi => openapi::run(),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is wrong.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// A network that this program brings along cannot be read.
    #[error(transparent)]
    Loopback(#[from] settings::Invalid),
    /// The platform token or the master key cannot be had.
    #[error(transparent)]
    Keys(#[from] settings::keys::Error),
    /// Logging cannot begin.
    #[error(transparent)]
    Telemetry(#[from] telemetry::Error),
    /// The server failed.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// No server answers, and the local ledger cannot be used either.
    #[error("no server answers at {address}, and the ledger in {data_dir} cannot be opened")]
    LocalLedger {
        /// Where a server was looked for.
        address: String,
        /// The data directory.
        data_dir: String,
        /// Why it cannot be opened; another process may have locked it.
        source: Box<server::Error>,
    },
    /// The server was asked and did not do it.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// A server answers, and there is no token to show it.
    #[error(
        "no token for {address}: give --token or HOOKLEDGER_TOKEN, or the --data-dir of that server"
    )]
    NoToken {
        /// The server.
        address: String,
    },
    /// The receiver cannot listen.
    #[error("cannot listen on {address}: {source}")]
    Receiver {
        /// Where.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The receiver's secret is none.
    #[error("--secret (or HOOKLEDGER_LISTEN_SECRET): {0}")]
    ListenSecret(InvalidSecret),
    /// A URL names no ledger. It is not in the message: it may hold a password.
    #[error("{flag}: {reason}")]
    Ledger {
        /// Which one.
        flag: &'static str,
        /// What is wrong with it.
        reason: settings::Invalid,
    },
    /// Both URLs name one ledger.
    #[error("--from and --to are the same")]
    SameLedger,
    /// The file of a ledger is not there.
    #[error("there is no ledger {path}")]
    NoLedger {
        /// Where it was looked for.
        path: String,
    },
    /// A ledger was not copied, or is another one than its copy.
    #[error(transparent)]
    Copy(#[from] store::CopyError),
    /// Views are not what the events tell.
    #[error("{0} of the views are not what the events tell")]
    ViewsDiffer(usize),
    /// A rebuild has begun and did not come to its end.
    #[error("the rebuild failed, and everything is as it was: {0}")]
    Rebuild(String),
    /// The ledger cannot be read.
    #[error("the ledger cannot be read: {0}")]
    UnreadableLedger(store::Error),
    /// Checking a ledger was cut off.
    #[error("the ledger cannot be checked: {0}")]
    Audit(#[from] store::Error),
    /// The ledger is not the one that was written.
    #[error("the ledger is not as it was written, from position {position} on: {reason}")]
    LedgerBroken {
        /// Everything before it is as it was written.
        position: u64,
        /// What is wrong there.
        reason: String,
    },
    /// There is nothing of a tenant to check.
    #[error("the ledger has no events of a tenant {tenant}")]
    NoEvents {
        /// The tenant's id.
        tenant: String,
    },
    /// The key that checks seals cannot be used.
    #[error("--public-key: {0}")]
    PublicKey(#[from] notary::Error),
    /// What was to be seen in the demo did not happen.
    #[error(transparent)]
    Demo(#[from] demo::Error),
    /// The result cannot be printed.
    #[error("cannot print: {0}")]
    Output(io::Error),
    /// The system refused something that the command needs.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The result is no JSON.
    #[error("cannot write the result as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// 2 when the command was given wrongly, 1 when it failed.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Settings(_)
            | Self::ListenSecret(_)
            | Self::Ledger { .. }
            | Self::SameLedger
            | Self::PublicKey(_)
            | Self::Client(client::Error::BadAddress) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }

    /// The message with its causes, each that is not already in it, ready for a terminal.
    pub fn report(&self) -> String {
        let mut report = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !report.contains(&text) {
                report = format!("{report}: {text}");
            }
            cause = error.source();
        }
        output::printable_lines(&report)
    }
}

/// Logs warnings only, unless the operator set what is logged: for commands that run a server
/// beside their own output.
fn log_quietly(loaded: &Loaded) -> Result<(), Error> {
    let mut settings = loaded.settings.clone();
    let is_set = |name| {
        let mut lines = loaded.report.iter();
        lines.any(|line| line.name == name && line.source != Source::Default)
    };
    if !is_set("HOOKLEDGER_LOG") {
        "warn".clone_into(&mut settings.log);
    }
    Ok(telemetry::init(&settings)?)
}

#[cfg(test)]
mod tests;
