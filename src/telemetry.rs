//! The log: structured lines on stderr, so that stdout stays for what a command prints.

use std::{
    env::var_os,
    io::{IsTerminal, stderr},
};

use tracing_subscriber::{EnvFilter, fmt, util::SubscriberInitExt};

use crate::settings::{LogFormat, Settings};

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is none.
    #[error("HOOKLEDGER_LOG: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Something in this process logs already.
    #[error("logging was started twice")]
    StartedTwice(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging to stderr as the settings say, for the whole process.
///
/// # Errors
/// The filter cannot be read, or logging has begun already.
pub fn init(settings: &Settings) -> Result<(), Error> {
    // What the web framework says about its own start is of no use to operators; whoever names it
    // in the setting gets it all the same.
    let filter = EnvFilter::try_new(format!("actix_server=warn,{}", settings.log))?;
    let is_coloured = stderr().is_terminal() && var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    let log = fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(is_coloured);
    match settings.log_format {
        LogFormat::Text => log.finish().try_init()?,
        LogFormat::Json => log.json().finish().try_init()?,
    }
    Ok(())
}
