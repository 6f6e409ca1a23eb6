//! The `hookledger` program.

use std::process::ExitCode;

use clap::Parser;
use hookledger::cli::{self, Cli};

/// Commits are built on one thread and freed on another, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hookledger: {}", error.report());
            error.exit_code()
        }
    }
}
