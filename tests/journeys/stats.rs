//! What a webhook's receiver did with its attempts, over time.

use chrono::{DateTime, Duration, SecondsFormat, Timelike, Utc};
use serde_json::{Value, json};

use crate::support::{App, Receiver, Reply, Tenant, Webhook, eventually, fail_first};

/// The statistics of a webhook, which must have the members that the contract names.
async fn stats(tenant: &Tenant, webhook: &Webhook, query: &str) -> Value {
    let path = format!("{}/stats?{query}", webhook.path());
    let stats = tenant.api.get(&path).await.expect(200);
    let names = |value: &Value| -> Vec<String> {
        let members = value.as_object().expect("an object");
        members.keys().cloned().collect()
    };
    assert_eq!(
        names(&stats),
        ["bucket_seconds", "buckets", "circuit", "from", "to"]
    );
    let from = time(&stats["from"]);
    let length = Duration::seconds(stats["bucket_seconds"].as_i64().unwrap());
    let buckets = stats["buckets"].as_array().unwrap();
    for (index, bucket) in buckets.iter().enumerate() {
        let expected = [
            "attempts",
            "duration_p50_ms",
            "duration_p95_ms",
            "failed",
            "start",
            "succeeded",
        ];
        assert_eq!(names(bucket), expected);
        assert_eq!(time(&bucket["start"]), from + length * index as i32);
        let count = |name: &str| bucket[name].as_u64().unwrap();
        assert_eq!(count("attempts"), count("succeeded") + count("failed"));
        assert_eq!(count("attempts") == 0, bucket["duration_p50_ms"].is_null());
        assert_eq!(count("attempts") == 0, bucket["duration_p95_ms"].is_null());
    }
    let covered = from + length * buckets.len() as i32;
    let to = time(&stats["to"]);
    assert!(covered >= to && covered - length < to, "{stats}");
    stats
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn sum(stats: &Value, name: &str) -> u64 {
    let buckets = stats["buckets"].as_array().unwrap().iter();
    buckets.map(|bucket| bucket[name].as_u64().unwrap()).sum()
}

/// Buckets with something in them beside what the log says about the same time.
async fn compare(tenant: &Tenant, webhook: &Webhook, stats: &Value) {
    let (to, seconds) = (
        time(&stats["to"]),
        stats["bucket_seconds"].as_i64().unwrap(),
    );
    for bucket in stats["buckets"].as_array().unwrap() {
        if bucket["attempts"] == 0 {
            continue;
        }
        let start = time(&bucket["start"]);
        let end = (start + Duration::seconds(seconds)).min(to);
        let range = format!(
            "webhook_id={}&from={}&to={}",
            webhook.id,
            text(start),
            text(end)
        );
        let log = tenant.logs(&range).await;
        let mut durations: Vec<u64> = log
            .iter()
            .map(|attempt| attempt["duration_ms"].as_u64().unwrap())
            .collect();
        durations.sort_unstable();
        let rank = |percent: usize| durations[(durations.len() * percent).div_ceil(100) - 1];
        let succeeded = log.iter().filter(|one| one["outcome"] == "succeeded");
        let succeeded = succeeded.count();
        let expected = json!({
            "start": bucket["start"],
            "attempts": log.len(),
            "succeeded": succeeded,
            "failed": log.len() - succeeded,
            "duration_p50_ms": rank(50),
            "duration_p95_ms": rank(95),
        });
        assert_eq!(*bucket, expected);
    }
}

#[tokio::test]
async fn attempts_are_counted_by_their_start() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    receiver.on("/flaky", fail_first(1));
    receiver.on("/slow", |request| {
        Reply::ok().after(std::time::Duration::from_millis(10 * request.nth as u64))
    });
    let tenant = app.tenant("acme").await;
    let flaky = tenant.webhook(&receiver.url("/flaky"), &["*"]).await;
    let slow = tenant.webhook(&receiver.url("/slow"), &["ticket.*"]).await;
    let begun = Utc::now();
    for number in 0..10 {
        let topic = ["ticket.created", "service.updated"][number % 2];
        tenant.publish(topic, json!({"n": number})).await;
    }
    tenant.until_nothing_is_pending().await;
    for (webhook, attempts, failed) in [(&flaky, 20, 10), (&slow, 5, 0)] {
        let found = stats(&tenant, webhook, "").await;
        assert_eq!(
            (sum(&found, "attempts"), sum(&found, "failed")),
            (attempts, failed)
        );
        assert_eq!(found["circuit"], "closed");
        compare(&tenant, webhook, &found).await;
        let seconds = format!("from={}&bucket=1", text(begun));
        let found = stats(&tenant, webhook, &seconds).await;
        assert_eq!(sum(&found, "attempts"), attempts);
        compare(&tenant, webhook, &found).await;
        let before = format!("to={}&bucket=1m", text(begun));
        let found = stats(&tenant, webhook, &before).await;
        assert_eq!(sum(&found, "attempts"), 0);
    }
    // After it was deleted, too, and after a restart.
    tenant.api.delete(&flaky.path()).await.expect(204);
    let mut app = app;
    app.kill();
    app.restart().await;
    let found = stats(&tenant, &flaky, "").await;
    assert_eq!(sum(&found, "attempts"), 20);
    assert_eq!(found["circuit"], "closed");
}

#[tokio::test]
async fn what_is_left_out_is_chosen() {
    let app = App::start().await;
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook("http://127.0.0.1:9999/", &["*"]).await;
    let default = stats(&tenant, &webhook, "").await;
    assert_eq!(default["bucket_seconds"], 3600);
    assert_eq!(default["buckets"].as_array().unwrap().len(), 24);
    let to = time(&default["to"]);
    assert_eq!((to.minute(), to.second(), to.nanosecond()), (0, 0, 0));
    let now = Utc::now();
    assert!(to > now && to <= now + Duration::hours(1), "{default}");
    for (query, seconds, buckets) in [
        ("bucket=60", 60, 1440),
        ("bucket=1m", 60, 1440),
        ("bucket=1", 1, 1440),
        ("bucket=6h", 21_600, 4),
        ("bucket=1d", 86_400, 1),
        (
            "from=2026-01-01T00:00:00Z&to=2026-01-01T01:00:00.001%2B00:00&bucket=600",
            600,
            7,
        ),
        (
            "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z",
            3600,
            24,
        ),
        (
            "from=2024-01-01T00:00:00Z&to=2024-12-31T00:00:00Z",
            86_400,
            365,
        ),
        ("to=2026-01-01T00:00:00Z", 3600, 24),
    ] {
        let found = stats(&tenant, &webhook, query).await;
        let count = found["buckets"].as_array().unwrap().len();
        assert_eq!(found["bucket_seconds"], seconds, "{query}");
        assert_eq!(count, buckets, "{query}");
    }
    let offset = "from=2026-01-01T01:00:00%2B01:00&to=2026-01-01T00:00:01Z&bucket=1";
    let found = stats(&tenant, &webhook, offset).await;
    assert_eq!(found["from"], "2026-01-01T00:00:00.000Z");
    assert_eq!(found["to"], "2026-01-01T00:00:01.000Z");
}

#[tokio::test]
async fn what_cannot_be_counted_is_refused() {
    let app = App::start().await;
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook("http://127.0.0.1:9999/", &["*"]).await;
    for query in [
        "bucket=",
        "bucket=0",
        "bucket=-1",
        "bucket=1.5",
        "bucket=500ms",
        "bucket=2d",
        "bucket=hour",
        "bucket=99999999999999999999",
        "bucket=1&bucket=1",
        "from=yesterday",
        "from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z",
        "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
        "from=9999-12-31T23:59:59Z",
        "to=0000-01-01T00:00:00Z",
        "from=0000-01-01T00:00:00Z",
        "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&bucket=1",
        "limit=1",
        "webhook_id=x",
    ] {
        let path = format!("{}/stats?{query}", webhook.path());
        let answer = tenant.api.get(&path).await;
        answer.problem(400, "invalid_parameter");
    }
    let other = app.tenant("other").await;
    let path = format!("{}/stats", webhook.path());
    other.api.get(&path).await.problem(404, "not_found");
    for unknown in ["wh_0190a5b8c9d07f3e8a1b2c3d4e5f6071", "nonsense"] {
        let path = format!("/api/admin/webhooks/{unknown}/stats");
        tenant.api.get(&path).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn the_circuit_tells_whether_the_receiver_answers() {
    let (mut app, receiver) = (App::start().await, Receiver::start().await);
    receiver.on("/gone", |_| Reply::Close);
    receiver.on("/sick", |_| Reply::status(500));
    let tenant = app.tenant("acme").await;
    let gone = tenant.webhook(&receiver.url("/gone"), &["*"]).await;
    let sick = tenant.webhook(&receiver.url("/sick"), &["*"]).await;
    for number in 0..3 {
        tenant.publish("ticket.created", json!({"n": number})).await;
    }
    let state = async |webhook: &Webhook| stats(&tenant, webhook, "").await["circuit"].clone();
    eventually("a circuit that is not closed", async || {
        (state(&gone).await != "closed").then_some(())
    })
    .await;
    // An error is an answer.
    receiver.arrived("/sick", 6).await;
    assert_eq!(state(&sick).await, "closed");
    app.kill();
    app.restart().await;
    assert_ne!(state(&gone).await, "closed", "it is in the log");
    eventually("a circuit that lets a probe through", async || {
        (state(&gone).await == "half_open").then_some(())
    })
    .await;
    let elsewhere = json!({"url": receiver.url("/back")});
    tenant.api.patch(&gone.path(), elsewhere).await.expect(200);
    assert_eq!(state(&gone).await, "closed", "another version");
}
