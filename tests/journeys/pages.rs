//! Lists are cut into pages that join to the whole: nothing twice, nothing left out, newest first.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::{App, Receiver, fail_first, ids};

fn is_newest_first(rows: &[Value]) -> bool {
    // Ids sort by time.
    ids(rows).windows(2).all(|two| two[0] > two[1])
}

#[tokio::test]
async fn pages_join_to_the_whole() {
    let settings = [("RETRY_SCHEDULE", "0ms")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/1", fail_first(1));
    let tenant = app.tenant("acme").await;
    for n in 0..3 {
        tenant
            .webhook(&receiver.url(&format!("/{n}")), &["*"])
            .await;
    }
    let mut messages = Vec::new();
    for n in 0..5 {
        messages.push(tenant.publish("ticket.created", json!({"n": n})).await);
    }
    tenant.until_nothing_is_pending().await;
    for role in ["viewer", "operator", "publisher"] {
        tenant.with_role(role).await;
    }
    for (path, count) in [
        ("/api/events", 5),
        ("/api/admin/webhooks", 3),
        ("/api/admin/deliveries", 15),
        ("/api/admin/logs", 20),
        ("/api/admin/tokens", 4),
        (
            "/api/admin/deliveries?status=succeeded&event=ticket.created",
            15,
        ),
        ("/api/admin/logs?outcome=failed&response_status=500", 5),
    ] {
        let whole = tenant.api.walk(path, 200).await;
        assert_eq!(whole.len(), count, "{path}");
        assert!(is_newest_first(&whole), "{path}");
        assert_eq!(
            ids(&whole).into_iter().collect::<HashSet<_>>().len(),
            count,
            "{path}"
        );
        for limit in 1..=3 {
            assert_eq!(
                tenant.api.walk(path, limit).await,
                whole,
                "{path} by {limit}"
            );
        }
    }
    messages.reverse();
    assert_eq!(ids(&tenant.api.walk("/api/events", 2).await), messages);
}

/// What is new while somebody reads comes before what they have read: they see none of it, and
/// nothing twice.
#[tokio::test]
async fn rows_that_are_added_meanwhile_do_not_disturb_a_reader() {
    let app = App::start().await;
    let tenant = app.tenant("acme").await;
    for n in 0..6 {
        tenant.publish("ticket.created", json!({"n": n})).await;
    }
    let before = tenant.api.walk("/api/events", 200).await;
    let (mut seen, mut path) = (Vec::new(), "/api/events?limit=2".to_owned());
    loop {
        let page = tenant.api.get(&path).await.expect(200);
        seen.extend(page["data"].as_array().unwrap().iter().cloned());
        tenant
            .publish("ticket.created", json!({"late": true}))
            .await;
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/api/events?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, before);
}

#[tokio::test]
async fn a_page_has_fifty_rows_unless_told_otherwise() {
    let app = App::start().await;
    let tenant = app.tenant("acme").await;
    let events: Vec<Value> = (0..51)
        .map(|n| json!({"event": "ticket.created", "data": {"n": n}}))
        .collect();
    tenant
        .api
        .post("/api/events/batch", json!({"events": events}))
        .await
        .expect(202);
    let page = tenant.api.get("/api/events").await.expect(200);
    assert_eq!(page["data"].as_array().unwrap().len(), 50);
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = tenant
        .api
        .get(&format!("/api/events?cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(
        (rest["data"].as_array().unwrap().len(), &rest["next_cursor"]),
        (1, &Value::Null)
    );
}
