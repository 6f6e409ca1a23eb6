//! A history that was edited behind the server's back does not add up any more.

use serde_json::{Value, json};

use crate::support::{App, Receiver, Tenant};

const VERIFY: &str = "/api/admin/audit/verify";
const PLATFORM: &str = "/api/platform/audit/verify";

async fn traffic(app: &App, receiver: &Receiver, id: &str) -> Tenant {
    let tenant = app.tenant(id).await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    for n in 0..3 {
        let message = tenant.publish("ticket.created", json!({"n": n})).await;
        tenant.until(&message, "succeeded").await;
    }
    tenant
}

fn is_intact(verdict: &Value, events: usize) {
    let names: Vec<&String> = verdict.as_object().unwrap().keys().collect();
    assert_eq!(names, ["events", "head", "intact"]);
    assert_eq!(verdict["intact"], true, "{verdict}");
    assert_eq!(verdict["events"], events);
    assert_eq!(verdict["head"].as_str().unwrap().len(), 64);
}

fn is_broken(verdict: &Value, position: u64) {
    let names: Vec<&String> = verdict.as_object().unwrap().keys().collect();
    assert_eq!(names, ["first_bad_position", "intact", "reason"]);
    assert_eq!(verdict["intact"], false, "{verdict}");
    assert_eq!(verdict["first_bad_position"], position, "{verdict}");
    assert!(!verdict["reason"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn what_was_edited_behind_the_server_is_found() {
    let (mut app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = traffic(&app, &receiver, "acme").await;
    let other = traffic(&app, &receiver, "globex").await;
    let platform = app.platform();
    let own = tenant.api.walk("/api/admin/audit", 200).await;
    let all = platform.walk("/api/platform/audit", 200).await;
    let verdict = tenant.api.get(VERIFY).await.expect(200);
    is_intact(&verdict, own.len());
    assert_eq!(verdict["head"], own[0]["hash"]);
    is_intact(&platform.get(PLATFORM).await.expect(200), all.len());
    let of_tenant = format!("{PLATFORM}?tenant=acme");
    assert_eq!(platform.get(&of_tenant).await.expect(200), verdict);

    let victim = own
        .iter()
        .find(|event| event["aggregate_type"] == "webhook")
        .unwrap();
    let position = victim["position"].as_u64().unwrap();
    let at = format!("WHERE position = {position}");
    // One word of what a webhook was registered with.
    let stored = app
        .ask(&format!("SELECT CAST(payload AS text) FROM events {at}"))
        .await;
    assert!(stored.contains("A webhook"), "{stored}");
    let put = async |app: &App, payload: &str| {
        let payload = payload.replace('\'', "''");
        app.tamper(&format!("UPDATE events SET payload = '{payload}' {at}"))
            .await;
    };
    put(&app, &stored.replace("A webhook", "B webhook")).await;
    for round in ["running", "restarted"] {
        is_broken(&tenant.api.get(VERIFY).await.expect(200), position);
        is_broken(&platform.get(PLATFORM).await.expect(200), position);
        is_broken(&platform.get(&of_tenant).await.expect(200), position);
        // It concerns nobody else, and everything else goes on.
        let verdict = other.api.get(VERIFY).await.expect(200);
        assert_eq!(verdict["intact"], true, "{round}");
        let message = tenant.publish("ticket.created", json!({})).await;
        tenant.until(&message, "succeeded").await;
        if round == "running" {
            app.terminate();
            assert!(app.ended().await.success());
            app.restart().await;
        }
    }
    assert!(app.log().contains("the ledger is not as it was written"));
    put(&app, &stored).await;
    assert_eq!(tenant.api.get(VERIFY).await.expect(200)["intact"], true);
}

#[tokio::test]
async fn a_removed_end_is_found() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = traffic(&app, &receiver, "acme").await;
    let own = tenant.api.walk("/api/admin/audit", 200).await;
    let last = own[0]["position"].as_u64().unwrap();
    app.tamper(&format!("DELETE FROM events WHERE position = {last}"))
        .await;
    is_broken(&tenant.api.get(VERIFY).await.expect(200), last);
    is_broken(&app.platform().get(PLATFORM).await.expect(200), last);
}
