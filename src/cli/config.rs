//! `hookledger config`.

use clap::Args;
use serde_json::Value;

use super::{Error, flags::Flags, output};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print JSON also on a terminal
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Prints every setting with its value, default and source; secrets are masked.
pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    let report = arguments.flags.load()?.report;
    if output::is_json(arguments.json) {
        return output::print_json(&report);
    }
    let rows: Vec<Value> = report
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()?;
    output::print(&output::table(
        &[
            ("SETTING", "name"),
            ("VALUE", "value"),
            ("SOURCE", "source"),
            ("DEFAULT", "default"),
        ],
        &rows,
    ))
}
