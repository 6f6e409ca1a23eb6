//! Every kind of answer and failure, and what becomes of the delivery: row by row the same as the
//! table of docs/guide/retries.md.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use hookledger_domain::delivery::attempt::FailureCode;
use serde_json::{Value, json};

use crate::support::{App, Receiver, Tenant, Webhook, eventually};

mod guide;
mod places;
mod table;

use places::Places;
use table::{Case, Gives, Next, Row, Stays, Target, rows};

/// The one wait of the server's schedule.
const WAIT: Duration = Duration::hours(1);
/// Of the cases that last until the deadline. Long enough for a head to arrive on a busy machine.
const SHORT_TIMEOUT_SECONDS: u32 = 2;

/// A case that is tried at two webhooks.
struct Trial<'a> {
    row: &'a Row,
    case: &'a Case,
    /// Where the receiver expects it.
    paths: [String; 2],
    /// One that goes by the server's schedule.
    scheduled: Webhook,
    /// One without retries.
    last: Webhook,
}

impl Trial<'_> {
    fn name(&self) -> String {
        format!("{}: {}", self.row.does, self.case.what)
    }
}

async fn register<'a>(
    tenant: &Tenant,
    receiver: &Receiver,
    places: &Places,
    row: &'a Row,
    case: &'a Case,
    number: usize,
) -> Trial<'a> {
    let paths = ["scheduled", "last"].map(|kind| format!("/{number}/{kind}"));
    let url = |path: &str| match &case.target {
        Target::Script(reply) => {
            let reply = reply.clone();
            receiver.on(path, move |_| reply.clone());
            receiver.url(path)
        }
        Target::Elsewhere(place) | Target::Refused(place, _) => places.url(*place, receiver),
    };
    let body = |path: &str| {
        json!({
            "name": case.what,
            "url": url(path),
            "events": ["ticket.created"],
            "timeout_seconds": case.is_slow.then_some(SHORT_TIMEOUT_SECONDS),
        })
    };
    let mut without_retries = body(&paths[1]);
    without_retries["retry_schedule"] = json!([]);
    Trial {
        row,
        case,
        scheduled: tenant.webhook_with(body(&paths[0])).await,
        last: tenant.webhook_with(without_retries).await,
        paths,
    }
}

/// Rows of a list by the webhook that they belong to.
fn by_webhook(rows: Vec<Value>) -> HashMap<String, Value> {
    let of = |row: &Value| row["webhook_id"].as_str().unwrap().to_owned();
    rows.into_iter().map(|row| (of(&row), row)).collect()
}

fn time(value: &Value) -> DateTime<Utc> {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// What the row says of an attempt.
fn check_attempt(trial: &Trial<'_>, attempt: &Value) {
    let name = trial.name();
    let (outcome, code) = match trial.row.gives {
        Gives::Success => ("succeeded", Value::Null),
        Gives::Failure(code) => ("failed", json!(code)),
    };
    assert_eq!(attempt["outcome"], outcome, "{name}: {attempt}");
    let error = match &attempt["error"] {
        Value::Null => &Value::Null,
        error => &error["code"],
    };
    assert_eq!(*error, code, "{name}: {attempt}");
    let status = json!(trial.case.status);
    assert_eq!(attempt["response_status"], status, "{name}: {attempt}");
    let is_cut = status.is_u64() && trial.case.is_cut;
    let truncated = attempt["response_body_truncated"] == true;
    assert_eq!(truncated, is_cut, "{name}: {attempt}");
    if let Ok(code) = serde_json::from_value::<FailureCode>(code) {
        let counts = matches!(trial.row.stays, Stays::Unreached);
        assert_eq!(code.is_unreachable(), counts, "{name}");
    }
}

/// What the row says of a delivery that has had the one attempt, with a schedule.
fn check_scheduled(trial: &Trial<'_>, delivery: &Value, attempt: &Value) {
    let name = trial.name();
    let ended_at = time(&attempt["started_at"])
        + Duration::milliseconds(attempt["duration_ms"].as_i64().unwrap());
    let next = match trial.row.next {
        Next::Nothing => {
            assert_eq!(delivery["status"], "succeeded", "{name}: {delivery}");
            assert_eq!(delivery["next_attempt_at"], Value::Null, "{name}");
            assert!(delivery["completed_at"].is_string(), "{name}: {delivery}");
            return;
        }
        Next::Schedule | Next::ScheduleOnceActive => ended_at + WAIT,
        Next::AsAsked => trial.case.asks_for.unwrap().at(ended_at),
        Next::ADayLater => ended_at + Duration::hours(24),
    };
    assert_eq!(delivery["status"], "pending", "{name}: {delivery}");
    assert_eq!(delivery["completed_at"], Value::Null, "{name}");
    let found = time(&delivery["next_attempt_at"]);
    assert_eq!(found, next, "{name}: {:?} apart", found - next);
}

/// What holds of every row when there is no wait left in the schedule.
fn check_last(trial: &Trial<'_>, delivery: &Value) {
    let status = match trial.row.gives {
        Gives::Success => "succeeded",
        Gives::Failure(_) => "exhausted",
    };
    let name = trial.name();
    assert_eq!(delivery["status"], status, "{name}: {delivery}");
    assert_eq!(delivery["next_attempt_at"], Value::Null, "{name}");
    assert!(delivery["completed_at"].is_string(), "{name}: {delivery}");
}

async fn check_webhook(trial: &Trial<'_>, tenant: &Tenant) {
    for webhook in [&trial.scheduled, &trial.last] {
        let shown = || async { tenant.api.get(&webhook.path()).await.expect(200) };
        let (is_active, reason) = match trial.row.stays {
            Stays::Gone => {
                eventually("a disabled webhook", async || {
                    (shown().await["is_active"] == false).then_some(())
                })
                .await;
                (false, json!("gone"))
            }
            Stays::AsItIs | Stays::Answered | Stays::Unreached | Stays::NotAsked => {
                (true, Value::Null)
            }
        };
        let (name, shown) = (trial.name(), shown().await);
        assert_eq!(shown["is_active"], is_active, "{name}: {shown}");
        assert_eq!(shown["disabled_reason"], reason, "{name}: {shown}");
    }
}

/// Sends one message to two webhooks for each case, after a restart with these settings if there are
/// any, and checks all that the rows say.
async fn try_out(settings: &[(&str, &str)], cases: &[(&Row, &Case)]) {
    let usual = [("RETRY_SCHEDULE", "1h"), ("EGRESS_ALLOW", ALLOWED)];
    let mut app = App::with(&usual).await;
    let (receiver, places) = (Receiver::start().await, Places::open().await);
    let tenant = app.tenant("acme").await;
    let mut trials = Vec::new();
    for (number, (row, case)) in cases.iter().enumerate() {
        trials.push(register(&tenant, &receiver, &places, row, case, number).await);
    }
    if !settings.is_empty() {
        app.terminate();
        assert!(app.ended().await.success());
        settings
            .iter()
            .for_each(|(name, value)| app.set(name, value));
        app.restart().await;
    }
    let message = tenant.publish("ticket.created", json!({"n": 1})).await;
    let of_message = format!("message_id={message}");
    let deliveries = eventually("an attempt of each", async || {
        let deliveries = tenant.deliveries(&of_message).await;
        assert_eq!(deliveries.len(), 2 * trials.len());
        let are_tried = deliveries.iter().all(|delivery| delivery["attempts"] == 1);
        are_tried.then_some(deliveries)
    })
    .await;
    let (deliveries, attempts) = (
        by_webhook(deliveries),
        by_webhook(tenant.logs(&of_message).await),
    );
    for trial in &trials {
        for webhook in [&trial.scheduled, &trial.last] {
            check_attempt(trial, &attempts[&webhook.id]);
        }
        let id = &trial.scheduled.id;
        check_scheduled(trial, &deliveries[id], &attempts[id]);
        check_last(trial, &deliveries[&trial.last.id]);
        check_webhook(trial, &tenant).await;
    }
    // Each was sent once, and nothing went elsewhere: redirects were not followed, what was refused
    // was not sent.
    let mut expected: Vec<&String> = trials
        .iter()
        .filter(|trial| matches!(trial.case.target, Target::Script(_)))
        .flat_map(|trial| &trial.paths)
        .collect();
    let requests = receiver.requests();
    let mut found: Vec<&String> = requests.iter().map(|request| &request.path).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

/// What targets may resolve to while they are configured.
const ALLOWED: &str = "127.0.0.0/8,::1/128";

#[tokio::test]
async fn every_answer_and_failure_becomes_what_the_guide_says() {
    let rows = rows(Utc::now());
    let cases: Vec<(&Row, &Case)> = rows
        .iter()
        .flat_map(|row| row.cases.iter().map(move |case| (row, case)))
        .filter(|(_, case)| !matches!(case.target, Target::Refused(..)))
        .collect();
    try_out(&[], &cases).await;
}

/// What was allowed when it was configured may be refused later.
#[tokio::test]
async fn every_refused_target_becomes_what_the_guide_says() {
    let rows = rows(Utc::now());
    let mut count = 0;
    for row in &rows {
        for case in &row.cases {
            if let Target::Refused(_, settings) = &case.target {
                try_out(settings, &[(row, case)]).await;
                count += 1;
            }
        }
    }
    assert_eq!(count, 3);
}

/// Many deliveries that fail together do not come back together.
#[tokio::test]
async fn what_fails_together_does_not_come_back_together() {
    const COUNT: usize = 400;
    /// Parts of the time between the shortest and the longest wait.
    const PARTS: usize = 10;
    let settings = [("RETRY_SCHEDULE", "10h"), ("RETRY_JITTER", "0.2")];
    let (app, receiver) = (App::with(&settings).await, Receiver::start().await);
    receiver.on("/hooks", |_| crate::support::Reply::status(500));
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    tenant.publish_many("ticket.created", COUNT).await;
    let deliveries = eventually("an attempt of each", async || {
        let deliveries = tenant.deliveries("").await;
        let are_tried = deliveries.iter().all(|delivery| delivery["attempts"] == 1);
        (are_tried && deliveries.len() == COUNT).then_some(deliveries)
    })
    .await;
    let ended: HashMap<String, DateTime<Utc>> = tenant
        .logs("")
        .await
        .iter()
        .map(|row| {
            let duration = Duration::milliseconds(row["duration_ms"].as_i64().unwrap());
            let delivery = row["delivery_id"].as_str().unwrap().to_owned();
            (delivery, time(&row["started_at"]) + duration)
        })
        .collect();
    let (shortest, longest) = (Duration::hours(8), Duration::hours(12));
    let mut parts = [0; PARTS];
    for delivery in &deliveries {
        let wait = time(&delivery["next_attempt_at"]) - ended[delivery["id"].as_str().unwrap()];
        assert!((shortest..=longest).contains(&wait), "{wait}");
        let place = (wait - shortest).num_milliseconds() as f64
            / (longest - shortest).num_milliseconds() as f64;
        parts[((place * PARTS as f64) as usize).min(PARTS - 1)] += 1;
    }
    // By chance 40 in each. That any is outside of this happens once in a hundred million runs.
    assert!(
        parts.iter().all(|count| (8..=90).contains(count)),
        "{parts:?}"
    );
}
