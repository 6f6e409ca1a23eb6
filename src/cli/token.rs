//! `hookledger token`.

use clap::{Args, Subcommand, builder::PossibleValuesParser};
use hookledger_domain::permission::Role;
use serde_json::{Value, json};

use super::{Error, connection::Connection, output};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a token and show it, this once
    Create(Create),
    /// List a tenant's tokens, without what they consist of
    List(List),
    /// Revoke a token
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The tenant that it acts for
    #[arg(long)]
    tenant: String,
    /// What it may do
    #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.map(Role::as_str)))]
    role: String,
    /// What it is for
    #[arg(long)]
    name: String,
    /// When it ends, such as 2027-01-01T00:00:00Z; without it never
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// The tenant
    #[arg(long)]
    tenant: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The token's id (tok_…)
    id: String,
    /// The tenant
    #[arg(long)]
    tenant: String,
    #[command(flatten)]
    connection: Connection,
}

const COLUMNS: [(&str, &str); 4] = [
    ("ID", "id"),
    ("NAME", "name"),
    ("ROLE", "role"),
    ("EXPIRES", "expires_at"),
];

/// Does it and prints the token, or all of them.
pub(super) fn run(command: &Command) -> Result<(), Error> {
    match command {
        Command::Create(create) => run_create(create),
        Command::List(List { tenant, connection }) => {
            let tokens =
                connection.with_client(async |client| Ok(client.list(&path(tenant)).await?))?;
            output::print_list(connection.json, &COLUMNS, tokens)
        }
        Command::Revoke(Revoke {
            id,
            tenant,
            connection,
        }) => {
            let [api, platform, tenants, tenant, tokens] = path(tenant);
            let token = [api, platform, tenants, tenant, tokens, id];
            connection.with_client(async |client| Ok(client.delete(&token).await?))?;
            eprintln!("hookledger: revoked {}", output::printable(id));
            Ok(())
        }
    }
}

fn run_create(create: &Create) -> Result<(), Error> {
    let mut body = json!({"name": create.name, "role": create.role});
    if let Some(time) = &create.expires_at {
        body["expires_at"] = json!(time);
    }
    let token: Value = create
        .connection
        .with_client(async |client| Ok(client.post(&path(&create.tenant), &body).await?))?;
    if output::is_json(create.connection.json) {
        return output::print_json(&token);
    }
    let secret = token["token"].as_str().unwrap_or_default();
    output::print(&output::table(&COLUMNS, std::slice::from_ref(&token)))?;
    output::print(&format!(
        "\n{}\n\nIt is not shown again.",
        output::printable(secret)
    ))
}

pub(super) fn path(tenant: &str) -> [&str; 5] {
    ["api", "platform", "tenants", tenant, "tokens"]
}
