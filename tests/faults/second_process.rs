//! One process per ledger, if that is a file. In PostgreSQL there may be many.

use serde_json::json;

use crate::support::{App, Receiver};

#[tokio::test]
async fn a_second_process_on_the_same_ledger_is_refused() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    if app.is_postgres() {
        return;
    }
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let (status, words) = app.second_process().await;
    assert_eq!(status.code(), Some(1), "{words}");
    assert!(words.contains("in use by another process"), "{words}");
    assert!(!words.contains("panicked"), "{words}");
    let message = tenant.publish("ticket.created", json!({})).await;
    tenant.until(&message, "succeeded").await;
}
