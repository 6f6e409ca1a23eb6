//! Schemathesis reads `/openapi.json` and asks everything that it allows, and much that it does
//! not: no answer may be a 5xx or another one than is described.

use std::{path::Path, process::Command};

use serde_json::json;

use super::{has, parts, succeed};
use crate::support::{App, PLATFORM_TOKEN, Receiver};

/// How many requests are made up for each operation and each way of making them up.
const EXAMPLES_MAX: &str = "20";

/// Asks with these headers, within `target/interop`, where what it leaves behind is ignored.
fn run(app: &App, tool: &Path, headers: &[String]) {
    let mut command = Command::new(tool);
    command
        .current_dir(parts())
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
        .args(["--request-timeout", "10", "--workers", "2", "--no-color"]);
    for header in headers {
        command.args(["--header", header]);
    }
    succeed(&mut command);
}

/// What the platform and a tenant's administrator may ask.
async fn ask(as_platform: bool) {
    let tool = parts().join("venv/bin/schemathesis");
    if !has(&tool, &[]) {
        return;
    }
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
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
    tokio::task::spawn_blocking(move || run(&app, &tool, &headers))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_platform_is_answered_as_described() {
    ask(true).await;
}

#[tokio::test]
async fn an_administrator_is_answered_as_described() {
    ask(false).await;
}
