//! Seals: what the ledger was at a position, kept elsewhere.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{App, PLATFORM_TOKEN, eventually, not_tried, succeed};

const SEALS: &str = "/api/platform/audit/seals";
const VERIFY: &str = "/api/platform/audit/verify";

/// Seals for the first time, which the server may just have done by itself.
async fn first_seal(app: &App) -> Value {
    let answer = app.platform().send("POST", SEALS, &[], None).await;
    let status = answer.status;
    assert!([200, 201].contains(&status), "{status}");
    answer.expect(status)
}

#[tokio::test]
async fn a_ledger_is_sealed_and_held_to_its_seals() {
    let app = App::start().await;
    let (platform, tenant) = (app.platform(), app.tenant("acme").await);
    let seal = async |status: u16| {
        let answer = platform.send("POST", SEALS, &[], None).await;
        answer.expect(status)
    };
    let first = first_seal(&app).await;
    let names: Vec<&String> = first.as_object().unwrap().keys().collect();
    let expected = "events hash head number position seal sealed_at signature";
    assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
    assert_eq!(first["signature"], Value::Null);
    let number = first["number"].as_u64().unwrap();
    let (position, hash) = (&first["position"], first["hash"].as_str().unwrap());
    assert_eq!(first["seal"], format!("{number}.{position}.{hash}"));
    assert_eq!(seal(200).await, first, "nothing was appended since");
    tenant.publish("ticket.created", json!({})).await;
    let second = seal(201).await;
    assert_eq!(second["number"], number + 1);
    let listed = platform.walk(SEALS, 1).await;
    assert_eq!(listed[..2], [second.clone(), first.clone()]);
    assert_eq!(listed, platform.walk(SEALS, 200).await);

    for kept in [&first, &second] {
        let path = format!("{VERIFY}?seal={}", kept["seal"].as_str().unwrap());
        assert_eq!(platform.get(&path).await.expect(200)["intact"], true);
    }
    let forged = format!("{number}.{position}.{}", second["hash"].as_str().unwrap());
    let path = format!("{VERIFY}?seal={forged}");
    let verdict = platform.get(&path).await.expect(200);
    assert_eq!(
        (&verdict["intact"], &verdict["first_bad_position"]),
        (&json!(false), &json!(1))
    );
    for bad in ["", "1", "1.2", "1.2.3", &format!("{forged}0")] {
        let answer = platform.get(&format!("{VERIFY}?seal={bad}")).await;
        answer.problem(400, "invalid_parameter");
    }
    let both = format!("{VERIFY}?seal={forged}&tenant=acme");
    platform.get(&both).await.problem(400, "invalid_parameter");
}

#[tokio::test]
async fn a_server_seals_by_itself() {
    let app = App::start().await;
    app.tenant("acme").await;
    let seal = eventually("a seal", async || {
        let seals = app.platform().get(SEALS).await.expect(200);
        let seal = seals["data"][0].clone();
        seal.is_object().then_some(seal)
    })
    .await;
    assert_eq!(seal["number"], 1);
    // Whoever collects logs elsewhere has it there, too.
    let seal = seal["seal"].as_str().unwrap();
    eventually("a line in the log", async || {
        app.log().contains(seal).then_some(())
    })
    .await;
}

/// A new pair of keys: the private and the public one's file.
fn new_keys(directory: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (private, public) = (
        directory.join(format!("{name}.pem")),
        directory.join(format!("{name}.pub.pem")),
    );
    let mut generate = Command::new("openssl");
    generate.args(["genpkey", "-algorithm", "ed25519", "-out"]);
    succeed(generate.arg(&private));
    let mut publish = Command::new("openssl");
    publish.arg("pkey").arg("-in").arg(&private);
    succeed(publish.args(["-pubout", "-out"]).arg(&public));
    (private, public)
}

#[tokio::test]
async fn seals_are_signed_and_others_can_check_it() {
    if Command::new("openssl").arg("version").output().is_err() {
        return not_tried("openssl");
    }
    let directory = TempDir::new().unwrap();
    let (private, public) = new_keys(directory.path(), "seals");
    let (_, other) = new_keys(directory.path(), "other");
    let key = private.to_str().unwrap();
    let app = App::with(&[("SEAL_KEY_FILE", key)]).await;
    let tenant = app.tenant("acme").await;
    let first = first_seal(&app).await;
    tenant.publish("ticket.created", json!({})).await;
    app.platform()
        .send("POST", SEALS, &[], None)
        .await
        .expect(201);

    // As docs/guide/audit.md says it.
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let hash = first["hash"].as_str().unwrap();
    let mut bytes = b"hookledger seal 1".to_vec();
    bytes.extend(
        (0..64)
            .step_by(2)
            .map(|at| u8::from_str_radix(&hash[at..at + 2], 16).unwrap()),
    );
    let signature = BASE64.decode(first["signature"].as_str().unwrap()).unwrap();
    let (signed, signature) = (file("signed", &bytes), file("signature", &signature));
    let verify = |key: &Path| {
        let mut command = Command::new("openssl");
        command
            .args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"])
            .arg(key);
        command
            .arg("-in")
            .arg(&signed)
            .arg("-sigfile")
            .arg(&signature);
        command.output().unwrap().status.success()
    };
    assert!(verify(&public) && !verify(&other));

    let server = format!("http://{}", app.address());
    let through = ["--server", &server, "--token", PLATFORM_TOKEN];
    let mark = first["seal"].as_str().unwrap();
    for server in [&[][..], &through] {
        let check = async |key: &Path| {
            let verify = ["audit", "verify", "--seal", mark, "--public-key"];
            let arguments = [&verify[..], &[key.to_str().unwrap()], server].concat();
            app.run(&arguments).await
        };
        let output = check(&public).await;
        assert!(output.status.success(), "{output:?}");
        let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&verdict["intact"], &verdict["signed_seals"]),
            (&json!(true), &json!(2))
        );
        let refused = check(&other).await;
        assert_eq!(refused.status.code(), Some(1));
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(
            said.contains("signature of seal 1 is not of this key"),
            "{said}"
        );
        assert_eq!(
            check(&private).await.status.code(),
            Some(2),
            "no public key"
        );
    }
    // What cannot sign is no key, and refused before anything is served.
    let output = app
        .run(&["serve", "--seal-key-file", public.to_str().unwrap()])
        .await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("HOOKLEDGER_SEAL_KEY_FILE") && said.contains("no private key"),
        "{said}"
    );
}

/// A signature that is not there proves nothing.
#[tokio::test]
async fn a_seal_without_a_signature_is_told() {
    if Command::new("openssl").arg("version").output().is_err() {
        return not_tried("openssl");
    }
    let directory = TempDir::new().unwrap();
    let (private, public) = new_keys(directory.path(), "seals");
    let mut app = App::start().await;
    let tenant = app.tenant("acme").await;
    let unsigned = first_seal(&app).await["seal"].as_str().unwrap().to_owned();
    let key = ["audit", "verify", "--public-key", public.to_str().unwrap()];
    let refused = |output: std::process::Output, with: &str| {
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(with), "{said}");
    };
    refused(app.run(&key).await, "no seal is signed");
    app.terminate();
    assert!(app.ended().await.success());
    app.set("SEAL_KEY_FILE", private.to_str().unwrap());
    app.restart().await;
    tenant.publish("ticket.created", json!({})).await;
    app.platform()
        .send("POST", SEALS, &[], None)
        .await
        .expect(201);
    assert!(app.run(&key).await.status.success());
    let asked = [&key[..], &["--seal", &unsigned]].concat();
    refused(app.run(&asked).await, "seal 1 is not signed");
}
