//! The calls of the API that the demo makes.

use std::time::Duration;

use hookledger_domain::signature::Secret;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Error, tell::Teller};
use crate::{
    cli::{Error as CliError, client::Client, token},
    server::Server,
    settings::SecretText,
};

/// How long one thing may take to happen.
pub(super) const STEP_MAX: Duration = Duration::from_secs(8);
const POLL: Duration = Duration::from_millis(50);

const TENANT: &str = "demo";

/// A webhook as the demo needs it.
pub(super) struct Webhook {
    pub(super) id: String,
    pub(super) secret: Secret,
}

/// Makes a tenant with an admin token and gives a client with that token.
pub(super) async fn create_tenant(server: &Server) -> Result<Client, CliError> {
    let base = format!("http://{}", server.address());
    let platform = Client::new(&base, SecretText::from(server.platform_token()))?;
    let tenant = json!({"id": TENANT, "name": "Demo"});
    platform
        .post(&["api", "platform", "tenants"], &tenant)
        .await?;
    let token = platform
        .post(
            &token::path(TENANT),
            &json!({"name": "demo", "role": "admin"}),
        )
        .await?;
    let token = text(&token, "token", "making a token")?;
    Ok(Client::new(&base, SecretText::from(token))?)
}

/// Registers a webhook, telling the request.
pub(super) async fn register(
    client: &Client,
    teller: &Teller,
    body: &Value,
) -> Result<Webhook, CliError> {
    teller.api_request("POST /api/admin/webhooks", body)?;
    let webhook = client.post(&["api", "admin", "webhooks"], body).await?;
    let missing = Error::DidNotHappen("making a secret");
    let secret =
        Secret::parse(text(&webhook, "secret", "making a secret")?).map_err(|_| missing)?;
    let id = text(&webhook, "id", "registering a webhook")?.to_owned();
    let shortened: String = secret.as_str().chars().take(10).collect();
    teller.say(&format!(
        "201: webhook {id}, secret {shortened}… (shown in full to its owner)"
    ))?;
    Ok(Webhook { id, secret })
}

/// Publishes a message, telling the request, and gives its id.
pub(super) async fn publish(
    client: &Client,
    teller: &Teller,
    body: &Value,
) -> Result<String, CliError> {
    teller.api_request("POST /api/events", body)?;
    let accepted = client.post(&["api", "events"], body).await?;
    let id = text(&accepted, "id", "accepting a message")?.to_owned();
    if accepted["deliveries"] != 1 {
        return Err(Error::DidNotHappen("making exactly one delivery").into());
    }
    teller.say(&format!(
        "202: message {id} is on the disk, with one delivery to make"
    ))?;
    Ok(id)
}

/// Waits until the delivery of a message has succeeded after so many attempts.
pub(super) async fn wait_for_success(
    client: &Client,
    message_id: &str,
    attempts: u64,
) -> Result<(), CliError> {
    let deadline = Instant::now() + STEP_MAX;
    while Instant::now() < deadline {
        let page = client
            .get(
                &["api", "admin", "deliveries"],
                &[("message_id", message_id)],
            )
            .await?;
        let delivery = &page["data"][0];
        if delivery["status"] == "succeeded" && delivery["attempts"] == attempts {
            return Ok(());
        }
        sleep(POLL).await;
    }
    Err(Error::DidNotHappen("recording the delivery as succeeded").into())
}

/// The tenant's delivery log, oldest first.
pub(super) async fn log(client: &Client) -> Result<Vec<Value>, CliError> {
    let mut attempts = client.list(&["api", "admin", "logs"]).await?;
    attempts.reverse();
    Ok(attempts)
}

fn text<'a>(answer: &'a Value, field: &str, what: &'static str) -> Result<&'a str, Error> {
    answer[field].as_str().ok_or(Error::DidNotHappen(what))
}
