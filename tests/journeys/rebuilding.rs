//! Views that are made anew while the server runs.

use serde_json::{Value, json};

use crate::support::{App, Receiver, Tenant, eventually};

const REBUILD: &str = "/api/platform/rebuild";

/// A tenant with messages that were delivered.
async fn with_deliveries(app: &App, receiver: &Receiver, count: usize) -> Tenant {
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["ticket.*"]).await;
    for n in 0..count {
        publish(&tenant, n).await;
    }
    eventually("all are delivered", async || {
        let pending = "/api/admin/deliveries?status=pending";
        let pending = tenant.api.get(pending).await.expect(200);
        pending["data"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    tenant
}

async fn publish(tenant: &Tenant, n: usize) {
    let message = json!({"event": "ticket.updated", "data": {"n": n}});
    tenant.api.post("/api/events", message).await.expect(202);
}

/// The last line of an answer, after all those that tell how far it has come.
fn found(answer: &str) -> Value {
    let lines: Vec<Value> = answer
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    let (last, progress) = lines.split_last().expect("there is a last line");
    for line in progress {
        assert!(line["done"].as_u64() <= line["total"].as_u64(), "{line}");
    }
    last.clone()
}

fn differences(found: &Value) -> Vec<(String, u64)> {
    let count = |view: &Value, name: &str| view[name].as_u64().unwrap();
    found["views"]
        .as_array()
        .expect("views")
        .iter()
        .map(|view| {
            let name = view["view"].as_str().unwrap().to_owned();
            let all = ["missing", "surplus", "changed"].map(|kind| count(view, kind));
            assert_eq!(
                all == [0; 3],
                view["checksum"] == view["found_checksum"],
                "{view}"
            );
            (name, all.iter().sum())
        })
        .filter(|(_, differences)| *differences > 0)
        .collect()
}

#[tokio::test]
async fn what_was_changed_in_a_view_is_found_and_put_right() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = with_deliveries(&app, &receiver, 5).await;
    let platform = app.platform();
    let list = "/api/admin/deliveries";
    let before = tenant.api.get(list).await.expect(200);
    let rebuild = async |order: Value| {
        let answer = platform.post(REBUILD, order).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
        found(&answer.text())
    };
    let first = rebuild(json!({})).await;
    assert_eq!(differences(&first), []);
    assert_eq!(first["views"].as_array().unwrap().len(), 11);

    let edited = app
        .tamper("UPDATE deliveries SET status = 'cancelled'")
        .await;
    assert_eq!(edited, 5);
    let expected = [("deliveries".to_owned(), 5)];
    let checked = rebuild(json!({"check": true, "views": ["messages", "deliveries"]})).await;
    assert_eq!(differences(&checked), expected);
    assert_ne!(tenant.api.get(list).await.expect(200), before);

    // The command line says the same, and that something is wrong.
    let server = format!("--server=http://{}", app.address());
    let check = app.run(&["rebuild", "--check", "--json", &server]).await;
    let complaint = String::from_utf8_lossy(&check.stderr);
    assert_eq!(check.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("1 of the views"), "{complaint}");
    let said: Value = serde_json::from_slice(&check.stdout).unwrap();
    assert_eq!(differences(&said), expected);
    let put_right = app.run(&["rebuild", "deliveries", &server]).await;
    assert!(put_right.status.success());
    assert_eq!(tenant.api.get(list).await.expect(200), before);
    let check = app.run(&["rebuild", "--check", &server]).await;
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stderr)
    );
}

#[tokio::test]
async fn an_order_that_cannot_be_carried_out_is_refused() {
    let app = App::start().await;
    let platform = app.platform();
    for (body, code) in [
        (json!({"views": ["weather"]}), "unknown_view"),
        (json!({"views": []}), "out_of_range"),
        (json!({"views": "deliveries"}), "invalid_type"),
        (json!({"check": "yes"}), "invalid_type"),
        (json!({"force": true}), "unknown_field"),
    ] {
        let problem = platform
            .post(REBUILD, body.clone())
            .await
            .problem(422, "invalid_content");
        assert_eq!(problem["errors"][0]["code"], code, "{body}");
    }
    let unknown = app.run(&["rebuild", "weather"]).await;
    assert_eq!(unknown.status.code(), Some(2));
    let complaint = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(
        complaint.contains("there is no view \"weather\""),
        "{complaint}"
    );
}

/// Nobody who publishes meanwhile is refused, and what they publish is in the views.
#[tokio::test]
async fn publishing_goes_on_while_views_are_rebuilt() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = with_deliveries(&app, &receiver, 20).await;
    app.tamper("DELETE FROM attempts").await;
    let platform = app.platform();
    let rebuilding = async {
        for _ in 0..3 {
            let answer = platform.post(REBUILD, json!({})).await;
            assert!(
                found(&answer.text())["views"].is_array(),
                "{}",
                answer.text()
            );
        }
    };
    let publishing = async {
        for n in 0..100 {
            publish(&tenant, n).await;
        }
    };
    tokio::join!(rebuilding, publishing);
    let check = found(&platform.post(REBUILD, json!({"check": true})).await.text());
    assert_eq!(differences(&check), []);
    let logs = tenant.api.walk("/api/admin/logs", 200).await;
    assert!(logs.len() >= 20);
}
