//! `hookledger listen`: a receiver that verifies and prints what arrives.

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use hookledger_domain::{duration, signature::Secret};
use tokio::signal::unix::{SignalKind, signal};

use super::{Error, output, output::Style};
use crate::settings::SecretText;

mod body;
pub(super) mod receiver;
pub(super) mod show;

use receiver::{Failures, Options, Receiver};

/// The longest delay that can be asked for.
const DELAY_MAX: Duration = Duration::from_secs(3600);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// IP address and port to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// The webhook's secret (whsec_…): signatures are checked, and a request without a valid one
    /// is answered 401
    #[arg(
        long,
        value_name = "SECRET",
        env = "HOOKLEDGER_LISTEN_SECRET",
        hide_env_values = true
    )]
    secret: Option<SecretText>,
    /// Answer the first N requests with 500
    #[arg(long, value_name = "N", default_value_t = 0)]
    fail: u64,
    /// Wait so long before each answer, such as 500ms or 10s, at most 1h
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_delay)]
    delay: Duration,
    /// Print one line of JSON a request also on a terminal
    #[arg(long)]
    json: bool,
}

/// Read here and not by clap, whose message about a bad value repeats it. An empty variable counts
/// as unset.
fn parse_secret(text: Option<&SecretText>) -> Result<Option<Secret>, Error> {
    text.map(SecretText::expose)
        .filter(|text| !text.is_empty())
        .map(|text| Secret::parse(text).map_err(Error::ListenSecret))
        .transpose()
}

fn parse_delay(text: &str) -> Result<Duration, BadDelay> {
    let delay = duration::parse(text)?;
    if delay > DELAY_MAX {
        return Err(BadDelay::TooLong);
    }
    Ok(delay)
}

#[derive(Debug, thiserror::Error)]
enum BadDelay {
    #[error(transparent)]
    Shape(#[from] duration::InvalidDuration),
    #[error("a delay is at most 1h")]
    TooLong,
}

/// Receives until SIGINT or SIGTERM.
pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    actix_web::rt::System::new().block_on(receive(arguments))
}

async fn receive(arguments: &Arguments) -> Result<(), Error> {
    let failed = |source| Error::System {
        what: "waiting for signals",
        source,
    };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let options = Options {
        listen: arguments.listen,
        secret: parse_secret(arguments.secret.as_ref())?,
        failures: Failures {
            statuses: &[500],
            count: arguments.fail,
        },
        delay: arguments.delay,
    };
    let mut receiver = Receiver::start(options)
        .await
        .map_err(|source| Error::Receiver {
            address: arguments.listen,
            source,
        })?;
    eprintln!("hookledger: receiving on {}", receiver.url());
    let is_json = output::is_json(arguments.json);
    let style = Style::for_stdout();
    loop {
        let request = tokio::select! {
            request = receiver.next() => request,
            _ = interrupt.recv() => None,
            _ = terminate.recv() => None,
        };
        match request {
            Some(request) if is_json => output::print(&show::json(&request).to_string())?,
            Some(request) => output::print(&show::text(&request, style))?,
            None => break,
        }
    }
    receiver.stop().await;
    Ok(())
}
