//! The ledger listed, exported and checked from the command line: beside a server, without one, and
//! through one.

use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{App, PLATFORM_TOKEN, Receiver, Tenant};

/// What a command printed, if it ended with this code.
#[track_caller]
fn ended(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}{complained}");
    (said, complained)
}

#[track_caller]
fn json_of(output: &Output, code: i32) -> Value {
    let (said, complained) = ended(output, code);
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{complained}"))
}

async fn traffic(app: &App, receiver: &Receiver, id: &str) -> Tenant {
    let tenant = app.tenant(id).await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({})).await;
    tenant.until(&message, "succeeded").await;
    tenant
}

impl App {
    async fn audit(&self, arguments: &[&str]) -> Output {
        self.run(&[&["audit"], arguments].concat()).await
    }

    /// The same, asking the server.
    async fn ask_audit(&self, arguments: &[&str]) -> Output {
        let server = format!("http://{}", self.address());
        let server = ["--server", &server, "--token", PLATFORM_TOKEN];
        self.audit(&[arguments, &server].concat()).await
    }
}

#[tokio::test]
async fn a_ledger_is_checked_beside_its_server_and_without_one() {
    let (mut app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = traffic(&app, &receiver, "acme").await;
    let (seal, _) = ended(&app.ask_audit(&["seal"]).await, 0);
    let seal = seal.trim_end();
    let of_tenant = tenant.api.get("/api/admin/audit/verify").await.expect(200);
    let path = "/api/platform/audit/verify";
    let of_all = app.platform().get(path).await.expect(200);
    for round in ["running", "stopped"] {
        assert_eq!(json_of(&app.audit(&["verify"]).await, 0), of_all);
        let sealed = app.audit(&["verify", "--seal", seal]).await;
        assert_eq!(json_of(&sealed, 0), of_all);
        let own = app.audit(&["verify", "--tenant", "acme"]).await;
        assert_eq!(json_of(&own, 0), of_tenant);
        let forged = format!("{}{}", &seal[..seal.len() - 64], "ab".repeat(32));
        let (_, said) = ended(&app.audit(&["verify", "--seal", &forged]).await, 1);
        assert!(said.contains("not as it was written"), "{said}");
        let nobody = app.audit(&["verify", "--tenant", "nobody"]).await;
        let (_, said) = ended(&nobody, 1);
        assert!(said.contains("no events of a tenant nobody"), "{said}");
        ended(&app.audit(&["verify", "--seal", "1.2"]).await, 2);
        ended(&app.audit(&["verify", "--public-key", "none"]).await, 2);
        if round == "running" {
            app.terminate();
            assert!(app.ended().await.success());
        }
    }
    app.restart().await;
    for arguments in [&["verify"][..], &["verify", "--seal", seal]] {
        assert_eq!(json_of(&app.ask_audit(arguments).await, 0), of_all);
    }
    let own = app.ask_audit(&["verify", "--tenant", "acme"]).await;
    assert_eq!(json_of(&own, 0), of_tenant);
    let (_, said) = ended(&app.ask_audit(&["verify", "--tenant", "nobody"]).await, 1);
    assert!(said.contains("404 not_found"), "{said}");

    let webhook = tenant
        .api
        .get("/api/admin/audit?event_type=registered&aggregate_type=webhook");
    let position = &webhook.await.expect(200)["data"][0]["position"];
    let sql = format!("UPDATE events SET event_version = '9' WHERE position = {position}");
    app.tamper(&sql).await;
    for output in [
        app.audit(&["verify"]).await,
        app.ask_audit(&["verify"]).await,
    ] {
        let (_, said) = ended(&output, 1);
        assert!(
            said.contains(&format!("from position {position} on")),
            "{said}"
        );
        let verdict = json_of(&output, 1);
        assert_eq!(
            (&verdict["intact"], &verdict["first_bad_position"]),
            (&json!(false), position)
        );
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_said() {
    let app = App::on_sqlite(&[]).await;
    let nowhere = ["verify", "--database-url", "sqlite:nowhere.db"];
    let (_, said) = ended(&app.audit(&nowhere).await, 1);
    assert!(
        said.contains("cannot be read") && said.contains("nowhere.db"),
        "{said}"
    );
    // A server that is there is asked instead.
    let address = app.address().to_string();
    let asked = app
        .audit(&[&nowhere[..], &["--listen", &address]].concat())
        .await;
    let (_, said) = ended(&asked, 0);
    assert!(said.contains("asking the server instead"), "{said}");
    assert_eq!(json_of(&asked, 0)["intact"], true);
    app.tamper("PRAGMA user_version = 7").await;
    let (_, said) = ended(&app.audit(&["verify"]).await, 1);
    assert!(said.contains("start the server once"), "{said}");
}

#[tokio::test]
async fn events_are_listed_and_exported_through_a_server() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = traffic(&app, &receiver, "acme").await;
    traffic(&app, &receiver, "globex").await;
    let directory = TempDir::new().unwrap();
    let filter = ["--aggregate-type", "delivery", "--actor", "system"];
    let query = "aggregate_type=delivery&actor=system";
    for (of_tenant, path) in [
        (&[][..], format!("/api/platform/audit?{query}")),
        (
            &["--tenant", "acme"],
            format!("/api/platform/audit?tenant=acme&{query}"),
        ),
    ] {
        let expected = app.platform().walk(&path, 200).await;
        assert!(!expected.is_empty());
        let arguments = [&["list"], &filter[..], of_tenant].concat();
        let listed = json_of(&app.ask_audit(&arguments).await, 0);
        assert_eq!(listed, json!({"data": expected, "next_cursor": null}));
        let arguments = [&["export"], &filter[..], of_tenant].concat();
        let (lines, _) = ended(&app.ask_audit(&arguments).await, 0);
        let exported: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(exported, expected);
        let file = directory.path().join("export.ndjson");
        let to_file = [&arguments[..], &["-o", file.to_str().unwrap()]].concat();
        assert_eq!(ended(&app.ask_audit(&to_file).await, 0).0, "");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), lines);
    }
    // Page by page.
    let first = json_of(
        &app.ask_audit(&["list", "--limit", "3", "--origin"]).await,
        0,
    );
    assert_eq!(first["data"].as_array().unwrap().len(), 3);
    assert!(first["data"][0].as_object().unwrap().contains_key("client"));
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = json_of(&app.ask_audit(&["list", "--cursor", cursor]).await, 0);
    let all = app.platform().walk("/api/platform/audit", 200).await;
    assert_eq!(rest["data"].as_array().unwrap()[..], all[3..]);

    // With a token of the tenant.
    let issued = json!({"name": "auditor", "role": "admin"});
    let issued = tenant
        .api
        .post("/api/admin/tokens", issued)
        .await
        .expect(201);
    let server = format!("http://{}", app.address());
    let as_tenant = [
        "--server",
        &server,
        "--token",
        issued["token"].as_str().unwrap(),
    ];
    let own = tenant.api.walk("/api/admin/audit", 200).await;
    for of_tenant in [&[][..], &["--tenant", "acme"]] {
        let arguments = [&["list", "--limit", "1000"], of_tenant, &as_tenant].concat();
        assert_eq!(json_of(&app.audit(&arguments).await, 0)["data"], json!(own));
    }
    let verdict = json_of(&app.audit(&[&["verify"], &as_tenant[..]].concat()).await, 0);
    assert_eq!(verdict["events"], own.len());
    for (arguments, code) in [
        (&["list", "--tenant", "globex"][..], "wrong_tenant"),
        (&["seal"], "platform_only"),
        (&["seals"], "platform_only"),
        (&["list", "--actor", ""], "invalid_parameter"),
    ] {
        let (_, said) = ended(&app.audit(&[arguments, &as_tenant].concat()).await, 1);
        assert!(said.contains(code), "{said}");
    }
}

/// Without a server the ledger is opened for the one command.
#[tokio::test]
async fn a_ledger_without_a_server_is_listed_and_sealed() {
    let (mut app, receiver) = (App::start().await, Receiver::start().await);
    traffic(&app, &receiver, "acme").await;
    let all = app.platform().walk("/api/platform/audit", 200).await;
    app.terminate();
    assert!(app.ended().await.success());
    let listed = json_of(&app.audit(&["list", "--limit", "1000"]).await, 0);
    assert_eq!(listed["data"], json!(all));
    let (lines, _) = ended(&app.audit(&["export"]).await, 0);
    assert_eq!(lines.lines().count(), all.len());
    let (seal, _) = ended(&app.audit(&["seal"]).await, 0);
    let seals = json_of(&app.audit(&["seals"]).await, 0);
    assert_eq!(seals["data"][0]["seal"], seal.trim_end());
    json_of(&app.audit(&["verify", "--seal", seal.trim_end()]).await, 0);
}

/// What breaks off leaves no file that looks like an export.
#[tokio::test]
async fn an_export_that_breaks_off_leaves_no_file() {
    let app = App::start().await;
    let tenant = app.tenant("acme").await;
    tenant.publish_many("ticket.created", 500).await;
    app.tamper("UPDATE events SET metadata = '{}' WHERE position = 1")
        .await;
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("export.ndjson");
    let arguments = ["export", "-o", file.to_str().unwrap()];
    ended(&app.ask_audit(&arguments).await, 1);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
