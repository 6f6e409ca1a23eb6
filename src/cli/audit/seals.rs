//! `hookledger audit seal` and `seals`.

use clap::Args;

use crate::cli::{Error, connection::Connection, output};

#[derive(Debug, Args)]
pub(in crate::cli) struct MakeSeal {
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    connection: Connection,
}

/// The path of the seals in the API.
pub(super) const SEALS: [&str; 4] = ["api", "platform", "audit", "seals"];
const COLUMNS: [(&str, &str); 5] = [
    ("NUMBER", "number"),
    ("SEALED", "sealed_at"),
    ("EVENTS", "events"),
    ("SEAL", "seal"),
    ("SIGNATURE", "signature"),
];

/// Seals the ledger and prints what is to be kept elsewhere: that one line, so that it can be appended to
/// a file, unless JSON is asked for.
pub(super) fn seal(arguments: &MakeSeal) -> Result<(), Error> {
    let connection = &arguments.connection;
    let seal = connection.with_client(async |client| Ok(client.post_empty(&SEALS).await?))?;
    if connection.json {
        return output::print_json(&seal);
    }
    let mark = seal["seal"].as_str().unwrap_or_default();
    output::print(&output::printable(mark))
}

/// Prints the seals.
pub(super) fn list(arguments: &List) -> Result<(), Error> {
    let connection = &arguments.connection;
    let seals = connection.with_client(async |client| Ok(client.list(&SEALS).await?))?;
    output::print_list(connection.json, &COLUMNS, seals)
}
