//! `hookledger keys`.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Error, connection::Connection, output};

/// How long the answer may take: with very many webhooks it takes minutes.
const TIMEOUT: Duration = Duration::from_secs(3600);

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Seal the secrets of all webhooks with the newest master key, while the server runs
    ///
    /// A key that the server keeps in its data directory is replaced by a new one. Keys of
    /// HOOKLEDGER_MASTER_KEY stay as they are set; it says which of them are not needed any more.
    Rotate(Rotate),
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    connection: Connection,
}

/// Does it and prints what came of it.
pub(super) fn run(command: &Command) -> Result<(), Error> {
    let Command::Rotate(Rotate { connection }) = command;
    let path = ["api", "platform", "keys", "rotate"];
    let rotated =
        connection.with_client(async |client| Ok(client.post_within(TIMEOUT, &path).await?))?;
    if output::is_json(connection.json) {
        output::print_json(&rotated)
    } else {
        output::print(&output::printable_lines(&tell(&rotated)))
    }
}

/// The answer in words.
fn tell(rotated: &Value) -> String {
    let count = |field: &str| rotated[field].as_u64().unwrap_or(0);
    let ids = |field: &str| {
        let ids = rotated[field].as_array().into_iter().flatten();
        ids.filter_map(Value::as_str).collect::<Vec<_>>()
    };
    let (in_use, not_needed) = (ids("in_use"), ids("not_needed"));
    let (newest, needed) = in_use.split_first().unwrap_or((&"", &[]));
    let mut lines = vec![match (count("resealed"), count("unreadable")) {
        (0, 0) => {
            format!("Nothing to seal anew: all secrets are sealed with master key {newest}.")
        }
        (1, _) => format!("1 secret is sealed anew, with master key {newest}."),
        (many, _) => format!("{many} secrets are sealed anew, with master key {newest}."),
    }];
    if count("unreadable") > 0 {
        lines.push(format!(
            "Left as they are, because no key opens them: {} (the server's log names the webhooks).",
            count("unreadable"),
        ));
    }
    if !needed.is_empty() {
        lines.push(format!("Still needed: {}.", needed.join(", ")));
    }
    if !not_needed.is_empty() {
        let what = match rotated["kept_in"].as_str() {
            Some("file") => "gone from master.key in the server's data directory",
            _ => "may be taken out of HOOKLEDGER_MASTER_KEY, on every node",
        };
        lines.push(format!(
            "Not needed any more: {} ({what}).",
            not_needed.join(", ")
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_says_what_was_done_and_what_to_do() {
        let rotated = json!({"resealed": 2, "unreadable": 0, "kept_in": "setting",
            "in_use": ["b"], "not_needed": ["a", "c"]});
        assert_eq!(
            tell(&rotated),
            "2 secrets are sealed anew, with master key b.\n\
             Not needed any more: a, c (may be taken out of HOOKLEDGER_MASTER_KEY, on every node)."
        );
        let nothing = json!({"resealed": 0, "unreadable": 0, "kept_in": "setting",
            "in_use": ["b"], "not_needed": []});
        assert_eq!(
            tell(&nothing),
            "Nothing to seal anew: all secrets are sealed with master key b."
        );
    }

    #[test]
    fn it_says_what_is_left() {
        let rotated = json!({"resealed": 1, "unreadable": 3, "kept_in": "file",
            "in_use": ["b", "a"], "not_needed": ["0"]});
        assert_eq!(
            tell(&rotated),
            "1 secret is sealed anew, with master key b.\n\
             Left as they are, because no key opens them: 3 (the server's log names the webhooks).\n\
             Still needed: a.\n\
             Not needed any more: 0 (gone from master.key in the server's data directory)."
        );
    }
}
