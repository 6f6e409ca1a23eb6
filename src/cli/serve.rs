//! `hookledger serve`, and `hookledger` without a command.

use clap::Args;

use super::{Error, flags::Flags};
use crate::{server, settings::keys, telemetry};

mod dev;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// For local development: allow http:// and loopback targets, and print a tenant, a token
    /// and commands to paste
    #[arg(long)]
    dev: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Serves until SIGTERM or SIGINT.
pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    let mut settings = arguments.flags.load()?.settings;
    if arguments.dev {
        settings.open_to_loopback()?;
    }
    telemetry::init(&settings)?;
    let token_file = settings
        .platform_token
        .is_none()
        .then(|| keys::platform_token_file(&settings));
    server::run(settings, |server| {
        let address = server.address();
        tracing::info!(%address, "listening");
        if let Some(file) = token_file {
            tracing::info!(file = %file.display(), "the platform token is in this file");
        }
        if arguments.dev {
            dev::prepare(address, server.platform_token());
        }
    })?;
    Ok(())
}
