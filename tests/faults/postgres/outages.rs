//! The database goes away and comes back: who asks is told to come again, what was accepted waits,
//! and everything goes on by itself.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{more_arrived, register, until_ready_is};
use crate::{
    faults::load::{Books, Load, PAUSE, drain},
    support::{Answer, Api, App, Gate, Receiver, Reply, Server, Tenant, eventually},
};

const ROUNDS: usize = 3;
/// What waits for its next attempts when the database goes.
const WAITING: usize = 20;
/// How often each question is put while it is away.
const TIMES: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_comes_back_finds_everything_going_on() {
    let Some(server) = Server::own() else { return };
    let (app, receiver) = (
        App::on_postgres(&server, &[]).await,
        Receiver::start().await,
    );
    let tenant = app.tenant("acme").await;
    let endpoints = register(&tenant, &receiver).await;
    let load = Load::start(&tenant, 3, PAUSE);
    for _ in 0..ROUNDS {
        more_arrived(&receiver, 20).await;
        server.stop_immediate();
        until_ready_is(&app, 503).await;
        server.start();
        until_ready_is(&app, 200).await;
    }
    let accepted = load.finish().await;
    drain(&tenant, &receiver).await;
    let books = Books::of(&tenant, &receiver).await;
    books.assert_nothing_is_lost(&accepted, &endpoints);
    books.assert_bodies_are_the_same(&endpoints);
    books.assert_no_send_after_success();
    books.assert_attempts_are_numbered();
}

/// What may be asked of a server, each question with a name: by a token, which the store knows, and
/// by the platform, which it need not ask about.
pub(super) struct Questions(Vec<(&'static str, Api, &'static str, String, Option<Value>)>);

impl Questions {
    pub(super) async fn of(tenant: &Tenant, webhook: &str, message: &str) -> Self {
        let platform = tenant.platform.for_tenant(&tenant.id);
        let event = json!({"event": "ticket.created", "data": {}});
        let hook = json!({"name": "x", "url": "https://example.com/", "events": ["ticket.closed"]});
        let mut all = Vec::new();
        for api in [&tenant.api, &platform] {
            for (name, method, path, body) in [
                (
                    "publish",
                    "POST",
                    "/api/events".to_owned(),
                    Some(event.clone()),
                ),
                (
                    "publish a batch",
                    "POST",
                    "/api/events/batch".to_owned(),
                    Some(json!({"events": [event.clone(), event.clone()]})),
                ),
                ("read messages", "GET", "/api/events".to_owned(), None),
                (
                    "read a message",
                    "GET",
                    format!("/api/events/{message}"),
                    None,
                ),
                (
                    "read webhooks",
                    "GET",
                    "/api/admin/webhooks".to_owned(),
                    None,
                ),
                (
                    "read a webhook",
                    "GET",
                    format!("/api/admin/webhooks/{webhook}"),
                    None,
                ),
                (
                    "read deliveries",
                    "GET",
                    "/api/admin/deliveries".to_owned(),
                    None,
                ),
                ("read the log", "GET", "/api/admin/logs".to_owned(), None),
                ("read tokens", "GET", "/api/admin/tokens".to_owned(), None),
                (
                    "register",
                    "POST",
                    "/api/admin/webhooks".to_owned(),
                    Some(hook.clone()),
                ),
                (
                    "test",
                    "POST",
                    format!("/api/admin/webhooks/{webhook}/test"),
                    Some(json!({})),
                ),
                (
                    "deactivate",
                    "PATCH",
                    format!("/api/admin/webhooks/{webhook}"),
                    Some(json!({"is_active": false})),
                ),
                (
                    "delete",
                    "DELETE",
                    format!("/api/admin/webhooks/{webhook}"),
                    None,
                ),
            ] {
                all.push((name, api.clone(), method, path, body));
            }
        }
        for (name, method, path, body) in [
            ("read nodes", "GET", "/api/platform/nodes", None),
            ("read tenants", "GET", "/api/platform/tenants", None),
            (
                "make a tenant",
                "POST",
                "/api/platform/tenants",
                Some(json!({"id": "new", "name": "New"})),
            ),
        ] {
            all.push((name, platform.clone(), method, path.to_owned(), body));
        }
        Self(all)
    }

    /// Asks each of them at the same time; nobody may be told anything but to come again.
    pub(super) async fn assert_nobody_is_answered(&self) {
        let asked = self.0.iter().map(async |(name, api, method, path, body)| {
            let body = body.as_ref().map(ToString::to_string);
            let headers: &[_] = match body {
                Some(_) => &[("Content-Type", "application/json")],
                None => &[],
            };
            let body = body.as_ref().map(String::as_bytes);
            let answer = api.send(method, path, headers, body).await;
            assert_is_told_to_come_again(name, &answer);
        });
        futures_util::future::join_all(asked).await;
    }
}

fn assert_is_told_to_come_again(name: &str, answer: &Answer) {
    let said = answer.text();
    assert_eq!(answer.status, 503, "{name}: {said}");
    let retry_after = answer.header("retry-after").expect("a Retry-After");
    assert!(retry_after.parse::<u64>().is_ok_and(|seconds| seconds > 0));
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("application/problem+json"), "{name}");
    let problem: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(problem["code"], "store_unavailable", "{name}");
    assert_eq!(problem["status"], 503, "{name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_is_away_everybody_is_told_to_come_again() {
    let Some(server) = Server::own() else { return };
    let schedule = ["100ms"; 50].join(",");
    let settings = [("NODE_LEASE", "1s"), ("RETRY_SCHEDULE", schedule.as_str())];
    let app = App::on_postgres(&server, &settings).await;
    let receiver = Receiver::start().await;
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    receiver.on("/hooks", |_| Reply::status(500));
    let mut messages = Vec::new();
    for n in 0..WAITING {
        messages.push(tenant.publish("ticket.created", json!({"n": n})).await);
    }
    receiver.arrived("/hooks", WAITING).await;
    let questions = Questions::of(&tenant, &webhook.id, &messages[0]).await;

    server.stop_immediate();
    for _ in 0..TIMES {
        questions.assert_nobody_is_answered().await;
    }
    let ready = app.anonymous().get("/readyz").await;
    assert_is_told_to_come_again("readyz", &ready);
    app.anonymous().get("/healthz").await.expect(200);
    assert_eq!(app.anonymous().get("/metrics").await.status, 200);
    assert_eq!(app.anonymous().get("/api/admin/webhooks").await.status, 401);
    // Deliveries pause: each has one attempt at most that is not recorded.
    eventually("a lease in doubt", async || {
        app.log().contains("cannot renew the lease").then_some(())
    })
    .await;
    receiver.on("/hooks", |_| Reply::ok());

    server.start();
    until_ready_is(&app, 200).await;
    tenant.until_nothing_is_pending().await;
    let message = tenant.publish("ticket.created", json!({"n": "new"})).await;
    tenant.until(&message, "succeeded").await;
    let books = Books::of(&tenant, &receiver).await;
    assert_eq!(books.count(), WAITING + 1, "what was refused was not done");
    books.assert_each_succeeded_once();
    books.assert_attempts_are_numbered();
    books.assert_every_request_is_in_the_log();
    books.assert_no_send_after_success();
}

/// The outcome is kept for as long as it takes, also longer than the lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_ends_meanwhile_is_recorded_once_afterwards() {
    let Some(server) = Server::own() else { return };
    let app = App::on_postgres(&server, &[("NODE_LEASE", "1s")]).await;
    let receiver = Receiver::start().await;
    let gate = Gate::closed();
    let held = gate.clone();
    receiver.on("/hooks", move |_| Reply::ok().behind(&held));
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let message = tenant.publish("ticket.created", json!({})).await;
    receiver.arrived("/hooks", 1).await;
    server.stop_immediate();
    gate.open();
    // The pauses in between double: these take longer than the lease.
    eventually("outcomes that cannot be recorded", async || {
        let log = app.log();
        let tries = log.matches("cannot record an outcome yet").count();
        (tries >= 6).then_some(())
    })
    .await;
    server.start();
    let delivery = tenant_until(&tenant, &message).await;
    assert_eq!(delivery["attempts"], 1);
    assert_eq!(delivery["log"].as_array().unwrap().len(), 1);
    // Nor is it sent when the node goes on with all that waits.
    let next = tenant.publish("ticket.created", json!({})).await;
    tenant.until(&next, "succeeded").await;
    let requests = receiver.requests();
    let messages: BTreeMap<&str, usize> = requests.iter().fold(BTreeMap::new(), |mut all, one| {
        *all.entry(one.message()).or_default() += 1;
        all
    });
    assert_eq!(
        messages,
        BTreeMap::from([(message.as_str(), 1), (next.as_str(), 1)])
    );
}

/// Waits until a message is delivered, also while the store cannot be asked.
async fn tenant_until(tenant: &Tenant, message: &str) -> Value {
    let path = format!("/api/admin/deliveries?message_id={message}&status=succeeded");
    eventually("the store, and a success in it", async || {
        let answer = tenant.api.get(&path).await;
        let is_there = answer.status == 200 && answer.expect(200)["data"][0].is_object();
        is_there.then_some(())
    })
    .await;
    tenant.delivery_of(message).await
}
