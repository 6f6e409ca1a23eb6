//! What arrives at a receiver is verified by other people's code, and not verified once a byte of
//! it has changed.

use std::{fs, path::PathBuf, process::Command, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{beside, has, parts};
use crate::support::{App, Receiver, Request, Tenant, succeed};

/// Requests as they arrived.
struct Arrived {
    directory: TempDir,
    /// Every request with each secret that it must verify with.
    pairs: Vec<Pair>,
}

struct Pair {
    request: Arc<Request>,
    secret: String,
    /// The header with the signature in GitHub's way; the two newest secrets have one.
    github: Option<&'static str>,
}

/// Headers in GitHub's way, that of the newest secret first.
const GITHUB: [&str; 2] = ["x-webhook-signature", "x-webhook-signature-previous"];
/// How often the secret is rotated within a grace.
const ROTATIONS: usize = 3;

/// A request with each of the secrets that were valid when it was sent, the newest first.
fn pairs<'a>(request: &Arc<Request>, secrets: &'a [String]) -> impl Iterator<Item = Pair> + 'a {
    let request = request.clone();
    secrets.iter().enumerate().map(move |(place, secret)| Pair {
        request: request.clone(),
        secret: secret.clone(),
        github: GITHUB.get(place).copied(),
    })
}

async fn publish(tenant: &Tenant, data: &str) {
    let body = format!(r#"{{"event":"ticket.updated","data":{data}}}"#);
    tenant
        .api
        .send_json("POST", "/api/events", &body)
        .await
        .expect(202);
}

/// Lets the real server send messages of many shapes, and one after each of several rotations.
async fn arrived() -> Arrived {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let large = format!(r#"{{"text":"{}"}}"#, "é🦀".repeat(50_000));
    let shapes = [
        "{}",
        r#"{"b":1.0,"a":1e2,"big":12345678901234567890123,"c":-0}"#,
        r#"{"text":"é☃🦀\u00e9\n\u0000\/ \" '","":null}"#,
        "{ \"spaces\" : [ 1 , 2 ]\t}",
        &large,
    ];
    for (index, data) in shapes.iter().enumerate() {
        publish(&tenant, data).await;
        receiver.arrived("/hooks", index + 1).await;
    }
    let mut secrets = vec![webhook.secret.clone()];
    let arrived = receiver.requests_at("/hooks");
    let mut pairs: Vec<Pair> = arrived
        .iter()
        .flat_map(|request| pairs(request, &secrets))
        .collect();
    let path = format!("/api/admin/webhooks/{}/secret/rotate", webhook.id);
    for round in 1..=ROTATIONS {
        let grace = json!({"grace_seconds": 600});
        let rotated = tenant.api.post(&path, grace).await.expect(200);
        secrets.insert(0, rotated["secret"].as_str().unwrap().to_owned());
        publish(&tenant, "{}").await;
        let arrived = receiver.arrived("/hooks", shapes.len() + round).await;
        pairs.extend(self::pairs(&arrived[arrived.len() - 1], &secrets));
    }
    Arrived {
        directory: TempDir::new().unwrap(),
        pairs,
    }
}

impl Pair {
    fn github_signature(&self) -> Option<&str> {
        self.github.map(|header| self.request.header(header))
    }

    fn describe(&self) -> Value {
        let headers: serde_json::Map<String, Value> = self
            .request
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect();
        json!({
            "secret": self.secret,
            "body_base64": BASE64.encode(&self.request.body),
            "headers": headers,
            "github_signature": self.github_signature(),
        })
    }
}

impl Arrived {
    /// A file that the verifying scripts read.
    fn file(&self) -> PathBuf {
        let requests: Vec<Value> = self.pairs.iter().map(Pair::describe).collect();
        let path = self.directory.path().join("requests.json");
        fs::write(&path, Value::from(requests).to_string()).unwrap();
        path
    }
}

#[tokio::test]
async fn signatures_verify_in_javascript() {
    let modules = parts().join("node_modules");
    let needs = [
        modules.join("@octokit/webhooks-methods"),
        modules.join("standardwebhooks"),
    ];
    if !has("node", &needs) {
        return;
    }
    let arrived = arrived().await;
    // A script from standard input finds its modules in the working directory.
    let script = fs::File::open(beside("verify.mjs")).unwrap();
    let mut command = Command::new("node");
    command
        .args(["--input-type=module", "-"])
        .arg(arrived.file())
        .current_dir(parts())
        .stdin(script);
    check_count(&succeed(&mut command).stdout, arrived.pairs.len());
}

#[tokio::test]
async fn signatures_verify_in_python() {
    let python = parts().join("venv/bin/python");
    if !has(&python, &[]) {
        return;
    }
    let arrived = arrived().await;
    let mut command = Command::new(&python);
    command.arg(beside("verify.py")).arg(arrived.file());
    check_count(&succeed(&mut command).stdout, arrived.pairs.len());
}

/// The scripts say how many requests they have verified.
fn check_count(said: &[u8], expected: usize) {
    assert_eq!(
        String::from_utf8_lossy(said).trim(),
        format!("verified {expected}")
    );
}

#[tokio::test]
async fn signatures_verify_with_openssl() {
    if !has("openssl", &[]) {
        return;
    }
    let arrived = arrived().await;
    for pair in &arrived.pairs {
        let (request, secret) = (&pair.request, &pair.secret);
        if let Some(github) = pair.github_signature() {
            let hex = digest(&arrived, &["-hmac", secret], &request.body);
            assert_eq!(github, format!("sha256={hex}"));
        }

        let key = BASE64
            .decode(secret.strip_prefix("whsec_").unwrap())
            .unwrap();
        let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let content = [
            request.header("webhook-id").as_bytes(),
            request.header("webhook-timestamp").as_bytes(),
            &request.body,
        ]
        .join(&b"."[..]);
        let hex = digest(
            &arrived,
            &["-mac", "HMAC", "-macopt", &format!("hexkey:{key}")],
            &content,
        );
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        let expected = format!("v1,{}", BASE64.encode(bytes));
        assert!(
            request
                .header("webhook-signature")
                .split(' ')
                .any(|one| one == expected)
        );
    }
}

/// What `openssl dgst` says about the content, in hexadecimal.
fn digest(arrived: &Arrived, key: &[&str], content: &[u8]) -> String {
    let path = arrived.directory.path().join("content");
    fs::write(&path, content).unwrap();
    let output = succeed(
        Command::new("openssl")
            .args(["dgst", "-sha256", "-r"])
            .args(key)
            .arg(&path),
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.split([' ', '*']).next().unwrap().to_owned()
}
