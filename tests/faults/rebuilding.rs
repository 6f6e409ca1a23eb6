//! The process is killed while it rebuilds views: then the views are wholly as they were, or wholly right.

use serde_json::json;

use super::kill_rounds::at_a_random_moment;
use crate::support::{App, Receiver, eventually};

const ROUNDS: usize = 8;
const MESSAGES: usize = 1500;
/// When a rebuild of so many messages is killed, in milliseconds after its start.
const KILLED_AFTER_MS: std::ops::Range<u64> = 0..250;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_rebuild_has_changed_all_or_nothing() {
    let (mut app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    tenant.publish_many("ticket.created", MESSAGES).await;
    let pending = "/api/admin/deliveries?status=pending&limit=1";
    eventually("all are delivered", async || {
        let page = tenant.api.get(pending).await.expect(200);
        page["data"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    let wrong = "SELECT CAST(count(*) AS text) FROM deliveries WHERE attempts = 99";
    let all = app
        .tamper("UPDATE deliveries SET attempts = 99")
        .await
        .to_string();
    let mut untouched = 0;
    for _ in 0..ROUNDS {
        let platform = app.platform();
        let rebuild = tokio::spawn(async move {
            platform
                .try_send("POST", "/api/platform/rebuild", &[], None)
                .await
        });
        at_a_random_moment(KILLED_AFTER_MS).await;
        app.kill();
        drop(rebuild.await);
        app.restart().await;
        let left = app.ask(wrong).await;
        assert!(left == "0" || left == all, "{left} of {all}");
        untouched += usize::from(left == all);
        assert!(!app.data_dir().join("hookledger.db.rebuild").exists());
        app.tamper("UPDATE deliveries SET attempts = 99").await;
    }
    assert!(untouched > 0, "no rebuild was killed before its end");
    let answer = app
        .platform()
        .post("/api/platform/rebuild", json!({}))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(app.ask(wrong).await, "0");
}
