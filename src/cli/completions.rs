//! `hookledger completions`.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::{Cli, Error};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell to complete for
    shell: Shell,
}

/// Prints the completions of a shell.
pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    let mut script = Vec::new();
    generate(
        arguments.shell,
        &mut Cli::command(),
        "hookledger",
        &mut script,
    );
    match io::stdout().write_all(&script) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}
