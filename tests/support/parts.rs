//! Programs that tests need and Cargo does not bring along. scripts/test installs them.

use std::process::{Command, Output};

/// Says that a test is not tried because of what is missing; under `CI=true` it fails.
#[track_caller]
pub(crate) fn not_tried(missing: &str) {
    let advice = format!(
        "{missing} is not there: run scripts/test once, which installs it or says what to install"
    );
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{advice}");
    eprintln!("not tried: {advice}");
}

/// The output of a command that must succeed.
#[track_caller]
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().expect("the program runs");
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{command:?}: {}\n{said}\n{complained}",
        output.status
    );
    output
}
