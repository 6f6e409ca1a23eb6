//! `hookledger tenant`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Error, connection::Connection, output};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a tenant
    Create(Create),
    /// List all tenants
    List(List),
    /// Show a tenant
    Show(Show),
    /// Rename, suspend or resume a tenant
    Set(Set),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Its id: a-z, 0-9, _ and -, at most 63 characters
    id: String,
    /// Its name; without it the id
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// Its id
    id: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// Its id
    id: String,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Change {
    /// Its new name
    #[arg(long)]
    name: Option<String>,
    /// Refuse its publishing and send nothing; nothing is lost
    #[arg(long, conflicts_with = "resume")]
    suspend: bool,
    /// End its suspension
    #[arg(long)]
    resume: bool,
}

const TENANTS: [&str; 3] = ["api", "platform", "tenants"];
const COLUMNS: [(&str, &str); 3] = [
    ("ID", "id"),
    ("NAME", "name"),
    ("SUSPENDED", "is_suspended"),
];

/// Does it and prints the tenant, or all of them.
pub(super) fn run(command: &Command) -> Result<(), Error> {
    match command {
        Command::Create(create) => {
            let name = create.name.as_ref().unwrap_or(&create.id);
            let body = json!({"id": create.id, "name": name});
            let post =
                async |client: super::client::Client| Ok(client.post(&TENANTS, &body).await?);
            print_one(&create.connection, create.connection.with_client(post)?)
        }
        Command::List(List { connection }) => {
            let tenants =
                connection.with_client(async |client| Ok(client.list(&TENANTS).await?))?;
            output::print_list(connection.json, &COLUMNS, tenants)
        }
        Command::Show(Show { id, connection }) => {
            let tenant =
                connection.with_client(async |client| Ok(client.get(&path(id), &[]).await?))?;
            print_one(connection, tenant)
        }
        Command::Set(Set {
            id,
            change,
            connection,
        }) => {
            let body = change.to_json();
            let tenant = connection
                .with_client(async |client| Ok(client.patch(&path(id), &body).await?))?;
            print_one(connection, tenant)
        }
    }
}

impl Change {
    fn to_json(&self) -> Value {
        let mut body = json!({});
        if let Some(name) = &self.name {
            body["name"] = json!(name);
        }
        if self.suspend || self.resume {
            body["is_suspended"] = json!(self.suspend);
        }
        body
    }
}

fn path(id: &str) -> [&str; 4] {
    let [api, platform, tenants] = TENANTS;
    [api, platform, tenants, id]
}

fn print_one(connection: &Connection, tenant: Value) -> Result<(), Error> {
    if output::is_json(connection.json) {
        output::print_json(&tenant)
    } else {
        output::print(&output::table(&COLUMNS, &[tenant]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_is_changed() {
        let change = |name: Option<&str>, suspend, resume| {
            let name = name.map(str::to_owned);
            Change {
                name,
                suspend,
                resume,
            }
            .to_json()
        };
        assert_eq!(change(Some("A"), false, false), json!({"name": "A"}));
        assert_eq!(change(None, true, false), json!({"is_suspended": true}));
        assert_eq!(change(None, false, true), json!({"is_suspended": false}));
    }
}
