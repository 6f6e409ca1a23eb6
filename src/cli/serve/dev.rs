//! What `serve --dev` prepares and prints.

use std::{net::SocketAddr, thread};

use serde_json::{Value, json};

use crate::{
    cli::{Error, client, client::Client, connection::local_url, output, token},
    settings::SecretText,
};

/// The tenant, and the name of its token.
const DEV: &str = "dev";
/// Where `hookledger listen` listens unless told otherwise.
const RECEIVER: &str = "http://127.0.0.1:9000/";

/// Makes the tenant and a new token through the server's own API and prints what to paste. Runs
/// on a thread of its own, so that the server is not held up; a failure is reported and leaves
/// the server running.
pub(super) fn prepare(address: SocketAddr, platform_token: &str) {
    let platform_token = SecretText::from(platform_token);
    let started = thread::Builder::new()
        .name("dev".to_owned())
        .spawn(move || {
            if let Err(error) = prepare_now(address, platform_token) {
                report(&error);
            }
        })
        .map_err(|source| Error::System {
            what: "starting a thread",
            source,
        });
    if let Err(error) = started {
        report(&error);
    }
}

fn report(error: &Error) {
    tracing::error!(
        error = error.report(),
        "the dev tenant could not be prepared"
    );
}

fn prepare_now(address: SocketAddr, platform_token: SecretText) -> Result<(), Error> {
    let Some(url) = local_url(address) else {
        return Ok(());
    };
    let client = Client::new(&url, platform_token)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::System {
            what: "starting a runtime",
            source,
        })?;
    let token = runtime.block_on(async {
        create_tenant(&client).await?;
        replace_token(&client).await
    })?;
    output::print(&text(&url, &token))
}

async fn create_tenant(client: &Client) -> Result<(), client::Error> {
    let body = json!({"id": DEV, "name": "Development"});
    match client.post(&["api", "platform", "tenants"], &body).await {
        Err(client::Error::Problem(problem)) if problem.status == 409 => Ok(()),
        other => other.map(drop),
    }
}

/// A token can be shown only once, so each start makes a new one, and the former ones end.
async fn replace_token(client: &Client) -> Result<String, client::Error> {
    let path = token::path(DEV);
    let former = client.list(&path).await?;
    for token in former.iter().filter(|token| token["name"] == DEV) {
        let [api, platform, tenants, tenant, tokens] = path;
        let id = token["id"].as_str().unwrap_or_default();
        match client
            .delete(&[api, platform, tenants, tenant, tokens, id])
            .await
        {
            // Revoked already: a list may go on showing those.
            Err(client::Error::Problem(problem)) if problem.status == 404 => {}
            other => drop(other?),
        }
    }
    let token = client
        .post(&path, &json!({"name": DEV, "role": "admin"}))
        .await?;
    Ok(token["token"].as_str().unwrap_or_default().to_owned())
}

fn text(url: &str, token: &str) -> String {
    let program = std::env::args().next();
    let program = program.as_deref().unwrap_or("hookledger");
    let webhook = json!({"name": DEV, "url": RECEIVER, "events": ["*"]});
    let message = json!({"event": "ticket.updated", "data": {"id": 42, "status": "open"}});
    let register = curl(url, token, "/api/admin/webhooks", &webhook);
    let publish = curl(url, token, "/api/events", &message);
    format!(
        "
Development server on {url} (http:// and loopback targets are allowed)
  tenant  {DEV}
  token   {token}

1. Register a webhook; the answer has its secret:

{register}

2. Receive, in another terminal (with --secret and that secret it checks the signatures):

{program} listen

3. Publish:

{publish}
"
    )
}

fn curl(url: &str, token: &str, path: &str, body: &Value) -> String {
    format!(
        "curl -sS {url}{path} -H 'Authorization: Bearer {token}' \
         -H 'Content-Type: application/json' -d '{body}'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_to_paste_is_one_line_that_a_shell_can_read() {
        let text = text("http://127.0.0.1:8080", "hlk_a_b");
        let commands: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("curl "))
            .collect();
        assert_eq!(commands.len(), 2, "{text}");
        for command in commands {
            assert!(
                command.contains("'Authorization: Bearer hlk_a_b'"),
                "{command}"
            );
            assert_eq!(command.matches('\'').count(), 6, "{command}");
            let body = command.rsplit('\'').nth(1).unwrap();
            assert!(serde_json::from_str::<Value>(body).is_ok(), "{body}");
        }
        assert!(text.lines().any(|line| line.ends_with(" listen")), "{text}");
    }
}
