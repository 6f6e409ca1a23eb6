//! A rotation of the master key is cut off at any moment: the server starts and opens every secret,
//! and the next rotation brings it to its end.

use futures_util::future::join_all;
use serde_json::Value;

use super::kill_rounds::at_a_random_moment;
use crate::support::{App, Receiver, Tenant, Webhook, eventually};

const ROUNDS: usize = 12;
const TENANTS: usize = 6;
const WEBHOOKS: usize = 50;
/// After how long a round is cut off, in milliseconds; a whole rotation takes a little longer.
const CUT_OFF_MS: std::ops::Range<u64> = 0..150;

fn kept_keys(app: &App) -> Vec<String> {
    let text = std::fs::read_to_string(app.data_dir().join("master.key")).unwrap();
    text.trim().split(',').map(str::to_owned).collect()
}

/// A tenant with its webhooks.
async fn furnish(app: &App, number: usize, url: &str) -> (Tenant, Vec<Webhook>) {
    let tenant = app.tenant(&format!("tenant-{number}")).await;
    let mut webhooks = Vec::new();
    for _ in 0..WEBHOOKS {
        webhooks.push(tenant.webhook(url, &["service.*"]).await);
    }
    (tenant, webhooks)
}

async fn secrets(all: &[(Tenant, Vec<Webhook>)]) -> Vec<Vec<Value>> {
    let of_tenant = all.iter().map(async |(tenant, webhooks)| {
        let mut secrets = Vec::new();
        for webhook in webhooks {
            let path = format!("{}/secret", webhook.path());
            let shown = tenant.api.get(&path).await.expect(200);
            secrets.push(shown["secret"].clone());
        }
        secrets
    });
    join_all(of_tenant).await
}

async fn resealed(app: &App) -> u64 {
    let count = "SELECT CAST(count(*) AS TEXT) FROM events WHERE event_type = 'secrets_resealed'";
    app.ask(count).await.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_is_cut_off_loses_nothing_and_is_finished_by_the_next() {
    let (mut app, receiver) = (App::on_sqlite(&[]).await, Receiver::start().await);
    let url = receiver.url("/hooks");
    let all = join_all((0..TENANTS).map(|number| furnish(&app, number, &url))).await;
    let before = secrets(&all).await;
    let first = kept_keys(&app);
    let mut half_way = 0;
    for round in 0..ROUNDS {
        let count = resealed(&app).await;
        let platform = app.platform();
        let rotation = tokio::spawn(async move {
            let path = "/api/platform/keys/rotate";
            platform.try_send("POST", path, &[], None).await
        });
        if round % 3 == 0 {
            // In the midst of it, unless there was only the end of an earlier one left to do.
            eventually("secrets that are sealed anew", async || {
                let is_under_way = resealed(&app).await > count;
                (is_under_way || rotation.is_finished()).then_some(())
            })
            .await;
        } else {
            at_a_random_moment(CUT_OFF_MS).await;
        }
        app.kill();
        drop(rotation.await);
        half_way += usize::from(kept_keys(&app).len() == 2);
        app.restart().await;
        assert_eq!(secrets(&all).await, before, "round {round}");
    }
    assert!(half_way > 0, "no round was cut off half-way");
    let kept = kept_keys(&app);
    let path = "/api/platform/keys/rotate";
    let rotated = app
        .platform()
        .send("POST", path, &[], None)
        .await
        .expect(200);
    let last = kept_keys(&app);
    assert_eq!(last.len(), 1, "{rotated}");
    assert_ne!(last, first);
    // It goes on with the key that was made already.
    assert!(kept.len() == 1 || last[0] == kept[0]);
    app.kill();
    app.restart().await;
    assert_eq!(secrets(&all).await, before);
}
