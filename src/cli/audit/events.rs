//! `hookledger audit list` and `export`.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::route::Route;
use crate::cli::{Error, client::Client, connection::Connection, output};

/// How long an export may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// The most rows that the server gives at a time.
const PAGE: usize = 200;

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    filter: Filter,
    /// How many events at most, 1 to 10000
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Where to go on: next_cursor of an earlier list
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    #[command(flatten)]
    filter: Filter,
    /// Where to; without it standard output. The file is there when it is whole
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Which events are meant.
#[derive(Debug, Args)]
struct Filter {
    /// Of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Of aggregates of this type, such as webhook or delivery
    #[arg(long, value_name = "TYPE")]
    aggregate_type: Option<String>,
    /// Of this aggregate
    #[arg(long, value_name = "ID")]
    aggregate_id: Option<String>,
    /// Of this type, such as registered or changed
    #[arg(long, value_name = "TYPE")]
    event_type: Option<String>,
    /// What this actor did: platform, token, user, system, an id, or both as KIND:ID
    #[arg(long)]
    actor: Option<String>,
    /// Not before this time, such as 2026-03-24T23:11:25Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Tell the client's address and the cause of each event, too
    #[arg(long)]
    origin: bool,
}

impl Filter {
    fn query(&self) -> Vec<(&str, &str)> {
        let given = [
            ("aggregate_type", &self.aggregate_type),
            ("aggregate_id", &self.aggregate_id),
            ("event_type", &self.event_type),
            ("actor", &self.actor),
            ("from", &self.from),
            ("to", &self.to),
        ];
        let given = given
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)));
        let origin = self.origin.then_some(("include", "origin"));
        given.chain(origin).collect()
    }

    async fn route(&self, client: Client) -> Result<Route, Error> {
        Route::find(client, self.tenant.as_deref()).await
    }
}

const COLUMNS: [(&str, &str); 5] = [
    ("POSITION", "position"),
    ("RECORDED", "recorded_at"),
    ("WHAT", "what"),
    ("ID", "aggregate_id"),
    ("WHO", "who"),
];
const ORIGIN_COLUMNS: [(&str, &str); 2] = [("CLIENT", "client"), ("CAUSE", "cause")];

/// Prints the newest events that are meant, and where to go on.
pub(super) fn list(list: &List) -> Result<(), Error> {
    let page = list.connection.with_client(async |client| {
        let route = list.filter.route(client).await?;
        collect(&route, list).await
    })?;
    if output::is_json(list.connection.json) {
        return output::print_json(&page);
    }
    let mut columns = COLUMNS.to_vec();
    if list.filter.origin {
        columns.extend(ORIGIN_COLUMNS);
    }
    let events = page["data"].as_array().into_iter().flatten();
    let rows: Vec<Value> = events.map(row).collect();
    output::print(&output::table(&columns, &rows))?;
    if let Some(cursor) = page["next_cursor"].as_str() {
        eprintln!(
            "hookledger: there may be more: --cursor {}",
            output::printable(cursor)
        );
    }
    Ok(())
}

/// Walks the list until there are enough events. Pages may be short and go on all the same.
async fn collect(route: &Route, list: &List) -> Result<Value, Error> {
    let wanted = list.limit as usize;
    let (mut events, mut cursor) = (Vec::new(), list.cursor.clone());
    loop {
        let limit = (wanted - events.len()).min(PAGE).to_string();
        let mut query = list.filter.query();
        query.push(("limit", &limit));
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let (path, query) = (route.path(&[]), route.query(&query));
        let mut page = route.client.get(&path, &query).await?;
        events.extend(
            page["data"]
                .as_array_mut()
                .into_iter()
                .flat_map(std::mem::take),
        );
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() || events.len() >= wanted {
            return Ok(json!({"data": events, "next_cursor": cursor}));
        }
    }
}

/// An event as a row of a table.
fn row(event: &Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let actor = &event["actor"];
    let (kind, id, name) = (
        text(&actor["kind"]),
        text(&actor["id"]),
        text(&actor["name"]),
    );
    let who = match kind.as_str() {
        "platform" | "stripe" => kind,
        "token" | "user" if !name.is_empty() => format!("{kind} {name} ({id})"),
        _ => format!("{kind} {id}"),
    };
    let what = format!(
        "{} {}",
        text(&event["aggregate_type"]),
        text(&event["event_type"])
    );
    let mut row = event.clone();
    row["what"] = json!(what);
    row["who"] = json!(who);
    row
}

/// Writes all events that are meant.
pub(super) fn export(export: &Export) -> Result<(), Error> {
    export.connection.with_client(async |client| {
        let route = export.filter.route(client).await?;
        match &export.output {
            Some(path) => to_file(&route, &export.filter, path).await,
            None => {
                let mut stdout = io::stdout().lock();
                copy(&route, &export.filter, &mut stdout).await?;
                stdout.flush().map_err(Error::Output)
            }
        }
    })
}

/// What is broken off must not look like an export: the file gets its name when it is whole.
async fn to_file(route: &Route, filter: &Filter, path: &Path) -> Result<(), Error> {
    let failed = |source| Error::System {
        what: "cannot write the export",
        source,
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = NamedTempFile::new_in(folder).map_err(failed)?;
    copy(route, filter, &mut file).await?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

async fn copy(route: &Route, filter: &Filter, to: &mut impl Write) -> Result<(), Error> {
    let filter = filter.query();
    let (path, query) = (route.path(&["export"]), route.query(&filter));
    let mut written = Ok(());
    let mut write = |bytes: &[u8]| {
        written = to.write_all(bytes);
        written.is_ok()
    };
    let copied = route
        .client
        .download(EXPORT_TIMEOUT, &path, &query, &mut write);
    copied.await?;
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_happened_and_who_did_it() {
        for (actor, who) in [
            (
                json!({"kind": "platform", "id": "platform", "name": "platform"}),
                "platform",
            ),
            (
                json!({"kind": "system", "id": "gone", "name": "hookledger"}),
                "system gone",
            ),
            (
                json!({"kind": "stripe", "id": "stripe", "name": "Stripe"}),
                "stripe",
            ),
            (json!({"kind": "user", "id": "u1", "name": ""}), "user u1"),
            (
                json!({"kind": "token", "id": "tok_1", "name": "ci"}),
                "token ci (tok_1)",
            ),
        ] {
            let event =
                json!({"aggregate_type": "webhook", "event_type": "changed", "actor": actor});
            let row = row(&event);
            assert_eq!(
                (&row["who"], &row["what"]),
                (&json!(who), &json!("webhook changed"))
            );
        }
    }
}
