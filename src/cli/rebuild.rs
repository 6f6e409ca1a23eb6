//! `hookledger rebuild`.

use std::ops::ControlFlow;

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Error, client::Client, connection::Connection, output, progress::Bar};
use crate::store::View;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The views; without any, all of them
    #[arg(value_name = "VIEW")]
    views: Vec<View>,
    /// Only compare them with what the events tell, and change nothing
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    connection: Connection,
}

const COLUMNS: [(&str, &str); 6] = [
    ("VIEW", "view"),
    ("ROWS", "rows"),
    ("MISSING", "missing"),
    ("SURPLUS", "surplus"),
    ("CHANGED", "changed"),
    ("CHECKSUM", "checksum"),
];
/// What was not as it should be.
const COUNTS: [&str; 3] = ["missing", "surplus", "changed"];
const PATH: [&str; 3] = ["api", "platform", "rebuild"];

/// A line of the answer.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Progress {
        stage: String,
        done: u64,
        total: u64,
    },
    Done {
        views: Vec<Value>,
    },
    Failed {
        error: Failure,
    },
}

/// Why a rebuild failed.
#[derive(Debug, Deserialize)]
struct Failure {
    detail: String,
}

/// Rebuilds the views and prints what was found. With `--check` it fails if a view is not what the events tell.
pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    let Arguments {
        views,
        check,
        connection,
    } = arguments;
    let mut order = json!({"check": check});
    if !views.is_empty() {
        let names: Vec<&str> = views.iter().map(|view| view.as_str()).collect();
        order["views"] = json!(names);
    }
    let found = connection.with_client(async |client| rebuild(&client, &order).await)?;
    let is_same = |view: &Value| COUNTS.iter().all(|count| view[*count] == 0);
    let different = found.iter().filter(|view| !is_same(view)).count();
    if output::is_json(connection.json) {
        output::print_json(&json!({"views": found}))?;
    } else {
        output::print(&output::table(&COLUMNS, &found))?;
    }
    match (different, check) {
        (0, _) | (_, false) => Ok(()),
        (count, true) => Err(Error::ViewsDiffer(count)),
    }
}

async fn rebuild(client: &Client, order: &Value) -> Result<Vec<Value>, Error> {
    let bar = Bar::new();
    let heard = client.post_until(&PATH, order, |line| match serde_json::from_value(line) {
        Ok(Line::Progress { stage, done, total }) => {
            bar.show(name(&stage), done, total);
            ControlFlow::Continue(())
        }
        Ok(Line::Done { views }) => ControlFlow::Break(Ok(views)),
        Ok(Line::Failed { error }) => ControlFlow::Break(Err(Error::Rebuild(error.detail))),
        Err(error) => ControlFlow::Break(Err(error.into())),
    });
    let heard = heard.await;
    bar.clear();
    heard?
}

fn name(stage: &str) -> &'static str {
    match stage {
        "build" => "building rows ",
        _ => "comparing rows",
    }
}
