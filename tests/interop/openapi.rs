//! Schemathesis reads `/openapi.json` and asks everything that it allows, and much that it does
//! not: no answer may be a 5xx or another one than is described.

use std::{path::Path, process::Command};

use serde_json::json;

use super::{beside, has, parts};
use crate::support::{App, PLATFORM_TOKEN, Receiver, STRIPE, Stripe, stripe::event};

/// How many requests are made up for each operation and each way of making them up.
const EXAMPLES_MAX: &str = "20";
/// How much of what the tool says is shown: the end sums it up.
const SHOWN_BYTES_MAX: usize = 20_000;

/// Asks with these headers, within `target/interop`, where what it leaves behind is ignored.
/// Gives what it says if it finds something.
fn run(app: &App, tool: &Path, headers: &[String], ids: &[(&str, String)]) -> Result<(), String> {
    let mut command = Command::new(tool);
    command
        .current_dir(parts())
        .arg("--config-file")
        .arg(beside("schemathesis.toml"))
        .arg("run")
        .arg(format!("http://{}/openapi.json", app.address()))
        .args([
            "--max-examples",
            EXAMPLES_MAX,
            "--seed",
            "1",
            "--generation-database",
            "none",
        ])
        .args(["--request-timeout", "10", "--no-color", "--warnings", "off"]);
    for header in headers {
        command.args(["--header", header]);
    }
    command.envs(ids.iter().map(|(name, id)| (name, id)));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let start = said.ceil_char_boundary(said.len().saturating_sub(SHOWN_BYTES_MAX));
    if output.status.success() {
        Ok(())
    } else {
        Err(said[start..].to_owned())
    }
}

/// What the platform and a tenant's administrator may ask.
async fn ask(as_platform: bool) {
    let tool = parts().join("venv/bin/schemathesis");
    if !has(&tool, &[]) {
        return;
    }
    // Without a secret of Stripe's its callbacks would only ever be answered with 503.
    let (app, receiver) = (App::with(&[STRIPE]).await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.updated", json!({})).await;
    let delivery = tenant.until(&message, "succeeded").await;
    let spare = tenant
        .webhook(&receiver.url("/spare"), &["service.*"])
        .await;
    let again = json!({"from": "2020-01-01T00:00:00Z", "status": "any"});
    let path = format!("{}/recover", webhook.path());
    let recovering = tenant.api.post(&path, again).await;
    let recovery = recovering.header("location").unwrap();
    let (_, recovery) = recovery.rsplit_once('/').unwrap();
    let paid = event("evt_waiting", "invoice.paid", 0, json!({"id": "in_1"}));
    Stripe::of(&app).tell(&paid, "unassigned").await;
    let ids = [
        ("CALLBACK_ID", "evt_waiting".to_owned()),
        ("WEBHOOK_ID", webhook.id),
        ("RECOVERY_ID", recovery.to_owned()),
        ("SPARE_WEBHOOK_ID", spare.id),
        (
            "SPARE_MESSAGE_ID",
            tenant.publish("ticket.updated", json!({})).await,
        ),
        ("MESSAGE_ID", message),
        ("DELIVERY_ID", delivery["id"].as_str().unwrap().to_owned()),
    ];
    let headers = if as_platform {
        vec![
            format!("Authorization: Bearer {PLATFORM_TOKEN}"),
            "X-Tenant-Id: acme".to_owned(),
        ]
    } else {
        let body = json!({"name": "schemathesis", "role": "admin"});
        let issued = app
            .platform()
            .post("/api/platform/tenants/acme/tokens", body)
            .await
            .expect(201);
        vec![format!(
            "Authorization: Bearer {}",
            issued["token"].as_str().unwrap()
        )]
    };
    let tried = tokio::task::spawn_blocking(move || run(&app, &tool, &headers, &ids));
    if let Err(found) = tried.await.unwrap() {
        panic!("{found}");
    }
}

#[tokio::test]
async fn the_platform_is_answered_as_described() {
    ask(true).await;
}

#[tokio::test]
async fn an_administrator_is_answered_as_described() {
    ask(false).await;
}
