//! Signatures and API seen through other people's eyes: what the real server sends is handed to the
//! libraries that receivers use, what Stripe's own libraries sign is handed to the server, and what its
//! `/openapi.json` says to a tool that takes it at its word.
//!
//! scripts/test installs these libraries into target/interop. Where one is missing, its test says
//! so and passes; under `CI=true` it fails.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::not_tried;

mod ledger;
mod openapi;
mod signatures;
mod stripe;

/// Where scripts/test puts what these tests need.
fn parts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop")
}

/// A file that lies beside this one.
fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/interop")
        .join(name)
}

/// Whether a program and what it needs are there. If not, says how to get them.
fn has(program: impl AsRef<OsStr>, needs: &[PathBuf]) -> bool {
    let program = program.as_ref();
    let runs = Command::new(program).arg(version_flag(program)).output();
    let missing = match runs {
        Err(_) => Some(program.display().to_string()),
        Ok(_) => needs
            .iter()
            .find(|path| !path.exists())
            .map(|path| path.display().to_string()),
    };
    let Some(missing) = missing else { return true };
    not_tried(&missing);
    false
}

fn version_flag(program: &OsStr) -> &'static str {
    if program == "openssl" {
        "version"
    } else {
        "--version"
    }
}
