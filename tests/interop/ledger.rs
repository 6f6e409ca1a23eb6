//! The ledger's hashes, made anew by a program that shares no code with Hookledger; and what somebody gains
//! who makes them anew in the database.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

use super::{beside, has};
use crate::support::{App, PLATFORM_TOKEN, Receiver, succeed};

/// The program of the guide.
fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/check-ledger.py")
}

fn python(app: &App, arguments: &[&Path]) -> Command {
    let mut command = Command::new("python3");
    command
        .args(arguments)
        .arg(app.data_dir().join("hookledger.db"));
    command
}

async fn verify(app: &App, arguments: &[&str]) -> (Option<i32>, Value) {
    let Output { status, stdout, .. } = app.run(&[&["audit", "verify"], arguments].concat()).await;
    (status.code(), serde_json::from_slice(&stdout).unwrap())
}

#[tokio::test]
async fn other_code_makes_the_same_hashes_and_a_kept_seal_tells_a_forger() {
    if !has("python3", &[]) {
        return;
    }
    let (mut app, receiver) = (App::on_sqlite(&[]).await, Receiver::start().await);
    let server = format!("http://{}", app.address());
    let seal = [
        "audit",
        "seal",
        "--server",
        &server,
        "--token",
        PLATFORM_TOKEN,
    ];
    let tenant = app.tenant("acme").await;
    let text = |output: Output| {
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    };
    let first = text(app.run(&seal).await);
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let name = json!({"name": "Grüße, 漢字 \u{1f980}"});
    tenant.api.patch(&webhook.path(), name).await.expect(200);
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    tenant.until(&message, "succeeded").await;
    let kept = text(app.run(&seal).await);
    app.terminate();
    assert!(app.ended().await.success());

    let (code, verdict) = verify(&app, &["--seal", &kept]).await;
    assert_eq!((code, &verdict["intact"]), (Some(0), &json!(true)));
    let (events, head) = (&verdict["events"], verdict["head"].as_str().unwrap());
    let said = text(succeed(&mut python(&app, &[&script()])));
    assert_eq!(said, format!("{events} events, head {head}"));

    // Whoever edits an event and no more is found by both.
    let changed = "WHERE event_type = 'changed' AND aggregate_type = 'webhook'";
    let position: u64 = app
        .ask(&format!(
            "SELECT CAST(position AS text) FROM events {changed}"
        ))
        .await
        .parse()
        .unwrap();
    app.tamper(&format!(
        "UPDATE events SET payload = replace(payload, 'Gr', 'gr') {changed}"
    ))
    .await;
    let (code, verdict) = verify(&app, &[]).await;
    assert_eq!(
        (code, &verdict["first_bad_position"]),
        (Some(1), &json!(position))
    );
    assert!(
        !python(&app, &[&script()])
            .output()
            .unwrap()
            .status
            .success()
    );

    // With all hashes made anew the seals that are there still tell it, since when nothing is proved ...
    succeed(&mut python(&app, &[&beside("forge.py"), &script()]));
    succeed(&mut python(&app, &[&script()]));
    let covered: u64 = first.split('.').nth(1).unwrap().parse().unwrap();
    let (code, verdict) = verify(&app, &[]).await;
    assert_eq!(
        (code, &verdict["first_bad_position"]),
        (Some(1), &json!(covered + 1))
    );
    // ... and without them only the one that is kept elsewhere.
    app.tamper("DELETE FROM seals").await;
    assert_eq!(verify(&app, &[]).await.0, Some(0));
    assert_eq!(verify(&app, &["--seal", &kept]).await.0, Some(1));
}
