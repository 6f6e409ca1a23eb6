//! `hookledger copy`.

use std::{path::Path, time::Instant};

use clap::Args;
use serde_json::json;

use super::{Error, flags::Flags, log_quietly, output, progress::Bar};
use crate::{
    server,
    settings::{Database, SecretText, Settings},
    store::{self, CopyError, Progress, Side, Stage, Store, Verified},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The ledger to copy: sqlite:PATH, or postgres://USER:PASSWORD@HOST:PORT/DATABASE
    #[arg(long, value_name = "URL")]
    from: SecretText,
    /// Where to: an empty database, or one into which a copy was begun
    #[arg(long, value_name = "URL")]
    to: SecretText,
    /// Copy nothing, only compare what is on both sides
    #[arg(long)]
    verify_only: bool,
    /// Print JSON also on a terminal
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

const COLUMNS: [(&str, &str); 6] = [
    ("EVENTS", "events"),
    ("BODIES", "bodies"),
    ("ROWS", "rows"),
    ("COPIED", "copied"),
    ("SECONDS", "seconds"),
    ("VERIFIED", "verified"),
];

/// Copies the ledger, unless it is only to be compared, compares both sides and prints what was found.
pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    let loaded = arguments.flags.load()?;
    let from = database("--from", &arguments.from)?;
    let to = database("--to", &arguments.to)?;
    if from == to {
        return Err(Error::SameLedger);
    }
    must_be_there(&from)?;
    if arguments.verify_only {
        must_be_there(&to)?;
    }
    log_quietly(&loaded)?;
    let started = Instant::now();
    let work = with_both(&loaded.settings, from, to, arguments.verify_only);
    let (copied, verified) = server::block_on(work)??;
    let summary = json!({
        "events": verified.events,
        "bodies": verified.bodies,
        "rows": verified.rows,
        "copied": copied,
        "seconds": (started.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        "verified": true,
    });
    if output::is_json(arguments.json) {
        output::print_json(&summary)
    } else {
        output::print(&output::table(&COLUMNS, &[summary]))
    }
}

fn database(flag: &'static str, url: &SecretText) -> Result<Database, Error> {
    let parsed = Database::parse(url.expose());
    parsed.map_err(|reason| Error::Ledger { flag, reason })
}

/// Opening a file that is not there would make it.
fn must_be_there(database: &Database) -> Result<(), Error> {
    match database {
        Database::Sqlite(path) if !Path::is_file(path) => Err(Error::NoLedger {
            path: path.display().to_string(),
        }),
        _ => Ok(()),
    }
}

async fn with_both(
    settings: &Settings,
    from: Database,
    to: Database,
    verify_only: bool,
) -> Result<(u64, Verified), CopyError> {
    let source = open(settings, from, Side::Source).await?;
    let target = match open(settings, to, Side::Target).await {
        Ok(target) => target,
        Err(error) => {
            source.close().await;
            return Err(error);
        }
    };
    let bar = Bar::new();
    let listener =
        |progress: Progress| bar.show(name(progress.stage), progress.done, progress.total);
    let work = async {
        let copied = match verify_only {
            true => 0,
            false => store::copy(&source, &target, &listener).await?,
        };
        Ok((copied, store::verify(&source, &target, &listener).await?))
    };
    let result = work.await;
    bar.clear();
    source.close().await;
    target.close().await;
    result
}

async fn open(settings: &Settings, database: Database, side: Side) -> Result<Store, CopyError> {
    let settings = Settings {
        database,
        ..settings.clone()
    };
    let opened = server::open_ledger(&settings).await;
    opened.map_err(|source| CopyError::Store { side, source })
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Copy => "copying events  ",
        Stage::CompareEvents => "comparing events",
        Stage::CompareViews => "comparing rows  ",
    }
}
