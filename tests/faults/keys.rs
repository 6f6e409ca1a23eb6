//! The process is killed while messages with keys are published: whoever asks again with the same
//! key gets the message that was accepted, if it was.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::kill_rounds::at_a_random_moment;
use crate::support::{App, Receiver, Tenant};

const ROUNDS: usize = 10;
/// Messages that are published at one time; every second one in a batch of its own.
const AT_ONCE: usize = 16;
/// When the process is killed after they were sent, in milliseconds.
const KILLED_AFTER_MS: std::ops::Range<u64> = 0..20;

/// Publishes a message with a key; gives the answer, if there is one. The server may be away.
async fn publish(tenant: &Tenant, key: &str, as_batch: bool) -> Option<Value> {
    let mut event = json!({"event": "ticket.created", "data": {"key": key}});
    let mut headers = vec![("Content-Type", "application/json")];
    let path = if as_batch {
        event["idempotency_key"] = json!(key);
        event = json!({"events": [event]});
        "/api/events/batch"
    } else {
        headers.push(("Idempotency-Key", key));
        "/api/events"
    };
    let body = event.to_string();
    let body = Some(body.as_bytes());
    let answer = tenant.api.try_send("POST", path, &headers, body).await?;
    if answer.status != 202 {
        return None;
    }
    let answer = answer.expect(202);
    let result = if as_batch {
        answer["results"][0].clone()
    } else {
        answer
    };
    result["id"].is_string().then_some(result)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_keeps_its_message_when_the_process_dies() {
    let (mut app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    for round in 0..ROUNDS {
        let keys: Vec<String> = (0..AT_ONCE).map(|n| format!("{round}-{n}")).collect();
        let ask = async || {
            let asked = keys.iter().enumerate();
            let asked = asked.map(|(n, key)| publish(&tenant, key, n % 2 == 1));
            join_all(asked).await
        };
        let kill = async {
            at_a_random_moment(KILLED_AFTER_MS).await;
            app.kill();
        };
        let (first, ()) = tokio::join!(ask(), kill);
        app.restart().await;
        for ((key, first), again) in keys.iter().zip(first).zip(ask().await) {
            let again = again.unwrap_or_else(|| panic!("{key} is not accepted"));
            if let Some(first) = &first {
                assert_eq!(again["id"], first["id"], "{key}");
                assert_eq!(again["duplicate"], true, "{key}");
            }
            // Who had no answer gets the message that was kept, or a new one.
        }
    }
    tenant.until_nothing_is_pending().await;
    let messages = tenant.api.walk("/api/events", 200).await;
    assert_eq!(messages.len(), ROUNDS * AT_ONCE);
}
