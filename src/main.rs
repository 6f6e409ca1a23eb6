//! The `hookledger` program.

use std::process::ExitCode;

use clap::Parser;
use hookledger::cli::{self, Cli};

fn main() -> ExitCode {
    match cli::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hookledger: {}", error.report());
            error.exit_code()
        }
    }
}
