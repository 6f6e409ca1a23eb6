//! `hookledger audit`.

use clap::Subcommand;

use super::Error;

mod events;
mod route;
mod seals;
mod verdict;
mod verify;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what happened, newest first
    List(events::List),
    /// Check whether the ledger is the one that was written
    ///
    /// Reads the ledger of the settings itself, beside a server or without one, so that the answer does not
    /// depend on the server. Asks a server if --server or --token is given, or if the ledger cannot be read
    /// from here. Ends with 0 if the ledger is intact, with 1 if it is not.
    Verify(verify::Verify),
    /// Write what happened to a file, one JSON object on a line, newest first
    Export(events::Export),
    /// Seal the ledger as it is now and print the seal, to be kept elsewhere
    Seal(seals::MakeSeal),
    /// List the seals, newest first
    Seals(seals::List),
}

/// Does it and prints what came of it.
pub(super) fn run(command: &Command) -> Result<(), Error> {
    match command {
        Command::List(list) => events::list(list),
        Command::Verify(verify) => verify::run(verify),
        Command::Export(export) => events::export(export),
        Command::Seal(seal) => seals::seal(seal),
        Command::Seals(list) => seals::list(list),
    }
}
