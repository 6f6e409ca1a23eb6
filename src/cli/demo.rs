//! `hookledger demo`: the whole of it on one machine, in seconds, with nothing left behind.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use clap::Args;
use tokio::time::timeout;

use super::{Error as CliError, flags::Flags, log_quietly, output::Style};
use crate::{
    server::{self, Role, Server},
    settings::{Database, Settings},
};

mod api;
mod story;
mod tell;

use tell::Teller;

/// How long the whole story may take. It takes a few seconds.
const STORY_MAX: Duration = Duration::from_secs(18);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

/// Why the demo did not show what it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something that should have happened did not, or not in time.
    #[error("the demo failed: {0} did not happen")]
    DidNotHappen(&'static str),
    /// Somebody ended it.
    #[error("interrupted")]
    Interrupted,
}

/// Plays the story on a server of its own; fails unless all of it happens.
pub(super) fn run(arguments: &Arguments) -> Result<(), CliError> {
    let loaded = arguments.flags.load()?;
    log_quietly(&loaded)?;
    let directory = tempfile::Builder::new()
        .prefix("hookledger-demo-")
        .tempdir()
        .map_err(|source| CliError::System {
            what: "making a temporary directory",
            source,
        })?;
    let settings = demo_settings(loaded.settings, directory.path().join("data"))?;
    let result = server::block_on(play(settings))?;
    let removed = directory.close().map_err(|source| CliError::System {
        what: "removing the temporary directory",
        source,
    });
    result.and(removed)
}

async fn play(settings: Settings) -> Result<(), CliError> {
    let teller = Teller::new(Style::for_stdout());
    teller.step("Start a server on a ledger in a temporary directory")?;
    let server = Server::start(settings, Role::Node).await?;
    let result = tokio::select! {
        story = timeout(STORY_MAX, story::play(&server, &teller)) => {
            story.unwrap_or(Err(Error::DidNotHappen("all of it in time").into()))
        }
        _ = tokio::signal::ctrl_c() => Err(Error::Interrupted.into()),
    };
    server.stop().await;
    result
}

/// A server that nothing outside this machine takes part in, that keeps nothing, and whose retries
/// can be waited for. What else the operator set does not matter here.
fn demo_settings(
    mut settings: Settings,
    data_dir: std::path::PathBuf,
) -> Result<Settings, CliError> {
    settings.open_to_loopback()?;
    settings.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings.database = Database::Sqlite(data_dir.join("hookledger.db"));
    settings.data_dir = data_dir;
    settings.platform_token = None;
    settings.master_key = None;
    settings.jwt.key = None;
    settings.delivery_timeout = Duration::from_secs(5);
    settings.retry_schedule = vec![Duration::from_secs(1); 3];
    settings.retry_jitter = 0.0;
    Ok(settings)
}
