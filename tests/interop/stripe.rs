//! Callbacks that Stripe's own libraries have signed are believed, and not once a byte has changed.

use std::{fs, process::Command};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{beside, has, parts};
use crate::support::{App, Stripe, succeed};

/// Secrets as Stripe makes them, and others that it might.
const SECRETS: [&str; 4] = [
    "whsec_3f8a1c5e7b9d2460acf1e3b5d7094826",
    "whsec_c2lnbmluZyBzZWNyZXQgb2YgYWxsIHRoZSB0ZXN0cyE=",
    "without-a-prefix",
    "whsec_longer-than-a-block-of-sha-256-so-that-it-is-hashed-before-it-is-used-as-a-key",
];

/// Bodies that other writers would write otherwise. Each has the id that is given.
fn bodies(id: &str) -> Vec<String> {
    let large = "\u{e9}\u{1f980}".repeat(100_000);
    [
        r#""type":"a.b","data":{"object":{}}"#.to_owned(),
        "\n  \"type\": \"a.b\",\n  \"data\": {\n    \"object\": {\n      \"n\": 1.0e2\n    }\n  }\n".to_owned(),
        "\"type\":\"a.b\",\"x\":\"Gr\u{fc}\u{df}e \u{6f22}\u{5b57} \u{1f980} \\u00fc \\/ \\\" '\"".to_owned(),
        format!("\"type\":\"a.b\",\"x\":\"{large}\""),
        r#""type":"a.b","data":{"object":null},"livemode":true,"big":12345678901234567890123"#.to_owned(),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, rest)| format!("{{\"id\":\"{id}_{number}\",{rest}}}"))
    .collect()
}

/// Lets a library sign: a script gets a file and prints as many headers as it has found requests in it.
fn signed(mut script: Command, requests: &[(String, String)]) -> Vec<String> {
    let now = chrono::Utc::now().timestamp();
    let described: Vec<Value> = requests
        .iter()
        .map(|(secret, body)| {
            json!({"secret": secret, "timestamp": now, "body_base64": BASE64.encode(body)})
        })
        .collect();
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("callbacks.json");
    fs::write(&file, Value::from(described).to_string()).unwrap();
    let said = succeed(script.arg(&file)).stdout;
    let said = String::from_utf8(said).unwrap();
    let headers: Vec<String> = said.lines().map(str::to_owned).collect();
    assert_eq!(headers.len(), requests.len());
    headers
}

/// Brings each callback with its header, and once more with a body that the library has not signed.
async fn are_believed(script: Command, library: &str) {
    let app = App::with(&[("STRIPE_WEBHOOK_SECRET", &SECRETS.join(","))]).await;
    let stripe = Stripe::of(&app);
    let mut requests = Vec::new();
    for (number, secret) in SECRETS.into_iter().enumerate() {
        let bodies = bodies(&format!("evt_{library}_{number}"));
        requests.extend(bodies.into_iter().map(|body| (secret.to_owned(), body)));
    }
    let headers = tokio::task::block_in_place(|| signed(script, &requests));
    for (header, (secret, body)) in headers.iter().zip(&requests) {
        let changed = body.replacen("a.b", "a.c", 1);
        let refused = stripe.bring_with(header, changed.as_bytes()).await;
        refused.problem(400, "invalid_signature");
        let taken = stripe.bring_with(header, body.as_bytes()).await.expect(200);
        assert_eq!(
            (&taken["outcome"], &taken["duplicate"]),
            (&json!("ignored"), &json!(false)),
            "{secret}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stripes_library_for_python_signs_is_believed() {
    let python = parts().join("venv/bin/python");
    if !has(&python, &[]) {
        return;
    }
    let mut script = Command::new(&python);
    script.arg(beside("sign_stripe.py"));
    are_believed(script, "python").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stripes_library_for_javascript_signs_is_believed() {
    if !has("node", &[parts().join("node_modules/stripe")]) {
        return;
    }
    // A script from standard input finds its modules in the working directory.
    let file = fs::File::open(beside("sign_stripe.mjs")).unwrap();
    let mut script = Command::new("node");
    script
        .args(["--input-type=module", "-"])
        .current_dir(parts())
        .stdin(file);
    are_believed(script, "javascript").await;
}
