//! Any node serves any request, and what one node is told holds at once for the next request to
//! another one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::nodes::{id_held_by, until_shares_are_fair};
use crate::support::{Api, App, Database, Receiver, Server, Tenant, eventually};

/// How often everything is changed through one node and looked at through the other.
const ALTERNATIONS: usize = 30;
/// Requests with the same idempotency key that are under way at one time.
const AT_ONCE: usize = 64;
/// How long after its revocation a token may still be taken.
const TOKEN_LIFE: Duration = Duration::from_secs(1);

async fn two_nodes(server: &Server) -> (App, App) {
    let one = App::on_postgres(server, &[]).await;
    let other = one.another_node(&[]).await;
    (one, other)
}

#[tokio::test]
async fn what_one_node_is_told_the_others_know() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (app, other) = two_nodes(&server).await;
    let receiver = Receiver::start().await;
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    let there = tenant.through(&other);
    let message = there.publish("ticket.created", json!({})).await;
    tenant.until(&message, "succeeded").await;
    let listed = there.api.walk("/api/admin/webhooks", 10).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(receiver.requests().len(), 1);
}

/// Publishes a message; gives how many get it, and the reasons why the others do not.
async fn fan_out(tenant: &Tenant) -> (u64, Vec<String>) {
    let body = json!({"event": "ticket.created", "data": {}});
    let accepted = tenant.api.post("/api/events", body).await.expect(202);
    let path = format!("/api/events/{}", accepted["id"].as_str().unwrap());
    let message = tenant.api.get(&path).await.expect(200);
    let deliveries = accepted["deliveries"].as_u64().unwrap();
    assert_eq!(
        message["deliveries"].as_array().unwrap().len() as u64,
        deliveries
    );
    let reasons = message["not_delivered"].as_array().unwrap().iter();
    let reasons = reasons.map(|one| one["reason"].as_str().unwrap().to_owned());
    (deliveries, reasons.collect())
}

/// Runs `work` with the tenant as one node and as the other sees it, in turn.
async fn alternate(id: &str, work: impl AsyncFn(usize, &Tenant, &Tenant)) {
    let Some(server) = Server::shared() else {
        return;
    };
    let (one, other) = two_nodes(&server).await;
    let here = one.tenant(id).await;
    let there = here.through(&other);
    for round in 0..ALTERNATIONS {
        if round % 2 == 0 {
            work(round, &here, &there).await;
        } else {
            work(round, &there, &here).await;
        }
    }
    here.until_nothing_is_pending().await;
}

// The two tenants are in partitions of different nodes: 0x82 and 0x5b.
#[tokio::test]
async fn a_webhook_is_the_same_for_the_next_request_anywhere() {
    for id in ["acme", "globex"] {
        let receiver = Receiver::start().await;
        let hooks = receiver.url("/hooks");
        alternate(id, async |round, a, b| {
            let none = (0, Vec::new());
            assert_eq!(fan_out(b).await, none, "round {round}");
            let webhook = a.webhook(&hooks, &["ticket.*"]).await;
            assert_eq!(fan_out(b).await, (1, Vec::new()), "created, round {round}");
            for (change, deliveries, reason) in [
                (json!({"events": ["service.*"]}), 0, Some("not_subscribed")),
                (json!({"events": ["ticket.created"]}), 1, None),
                (json!({"is_active": false}), 0, Some("inactive")),
                (json!({"is_active": true}), 1, None),
            ] {
                let changed = a.api.patch(&webhook.path(), change.clone()).await;
                changed.expect(200);
                let reasons: Vec<String> = reason.into_iter().map(str::to_owned).collect();
                let expected = (deliveries, reasons);
                assert_eq!(fan_out(b).await, expected, "{change}, round {round}");
            }
            a.api.delete(&webhook.path()).await.expect(204);
            assert_eq!(fan_out(b).await, none, "deleted, round {round}");
        })
        .await;
        let requests = receiver.requests();
        assert!(requests.iter().all(|request| request.nth_of_delivery == 1));
    }
}

/// The node that sends is slow to read of a new webhook, and hears of its first message before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_new_webhook_is_sent_is_not_called_off() {
    let Some(server) = Server::shared() else {
        return;
    };
    let quick = App::on_postgres(&server, &[]).await;
    let slow = quick.another_node(&[("DATABASE_READERS", "1")]).await;
    until_shares_are_fair(&quick, 2).await;
    let receiver = Receiver::start().await;
    let tenant = quick.tenant(&id_held_by(&slow, "tenant").await).await;
    // So many ask it that each of its own questions has to wait.
    let there = tenant.through(&slow).api;
    let asking: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let there = there.clone();
            tokio::spawn(async move {
                loop {
                    there.get("/api/admin/webhooks").await.expect(200);
                }
            })
        })
        .collect();
    for round in 1..=ALTERNATIONS {
        tenant.webhook(&receiver.url("/hooks"), &["ticket.*"]).await;
        let body = json!({"event": "ticket.created", "data": {}});
        let accepted = tenant.api.post("/api/events", body).await.expect(202);
        assert_eq!(accepted["deliveries"], round);
    }
    asking.iter().for_each(JoinHandle::abort);
    tenant.until_nothing_is_pending().await;
    let cancelled = tenant.deliveries("status=cancelled").await;
    assert!(cancelled.is_empty(), "{cancelled:?}");
    let sent = ALTERNATIONS * (ALTERNATIONS + 1) / 2;
    assert_eq!(receiver.requests().len(), sent);
}

#[tokio::test]
async fn a_topic_and_a_suspension_hold_for_the_next_request_anywhere() {
    for id in ["acme", "globex"] {
        alternate(id, async |round, a, b| {
            let topic = format!("custom.topic-{round}");
            let body = json!({"event": topic, "data": {}});
            b.api
                .post("/api/events", body.clone())
                .await
                .problem(422, "invalid_content");
            let path = format!("/api/platform/topics/{topic}");
            let defined = a.platform.put(&path, json!({"description": "Ours"})).await;
            assert!([200, 201].contains(&defined.status), "{defined:?}");
            b.api.post("/api/events", body.clone()).await.expect(202);
            a.suspend(true).await;
            b.api
                .post("/api/events", body.clone())
                .await
                .problem(403, "tenant_suspended");
            a.suspend(false).await;
            b.api.post("/api/events", body).await.expect(202);
        })
        .await;
    }
}

/// Publishes an order without data; gives whether that meets the schema.
async fn is_accepted(tenant: &Tenant) -> bool {
    let body = json!({"event": "order.placed", "data": {}});
    let answer = tenant.api.post("/api/events", body).await;
    match answer.status {
        202 => true,
        _ => {
            let problem = answer.problem(422, "invalid_content");
            assert_eq!(problem["errors"][0]["code"], "schema_mismatch");
            false
        }
    }
}

/// Waits until this node goes by the schema that lets it pass, or not.
async fn until_accepted(tenant: &Tenant, is_wanted: bool) {
    eventually("the other schema", async || {
        (is_accepted(tenant).await == is_wanted).then_some(())
    })
    .await;
}

/// A topic that a node knows is not looked up by it, so it has to be told.
#[tokio::test]
async fn a_schema_holds_on_every_node_soon() {
    alternate("acme", async |round, a, b| {
        let path = "/api/platform/topics/order.placed";
        let schema = json!({"required": [format!("field-{round}")]});
        let put = async |schema: &Value| {
            let body = json!({"description": "An order", "schema": schema});
            let answer = a.platform.put(path, body).await;
            assert!([200, 201].contains(&answer.status), "{answer:?}");
        };
        put(&Value::Null).await;
        assert!(is_accepted(a).await, "round {round}");
        until_accepted(b, true).await;
        put(&schema).await;
        assert!(!is_accepted(a).await, "round {round}");
        until_accepted(b, false).await;
    })
    .await;
}

/// What a node says of a change may be lost; then the others find it out.
#[tokio::test]
async fn a_schema_of_which_no_notice_came_is_found() {
    let Some(server) = Server::shared() else {
        return;
    };
    let database = Arc::new(Database::fresh(&server));
    let app = App::on_database(&database, &[]).await;
    let tenant = app.tenant("acme").await;
    let path = "/api/platform/topics/order.placed";
    app.platform().put(path, json!({})).await.expect(201);
    assert!(is_accepted(&tenant).await);
    let changed = r#"UPDATE topics SET schema = '{"required":["id"]}' RETURNING name"#;
    assert_eq!(database.ask(changed), "order.placed");
    until_accepted(&tenant, false).await;
}

async fn is_taken(api: &Api) -> bool {
    let answer = api.get("/api/admin/webhooks").await;
    match answer.status {
        200 => true,
        _ => {
            answer.problem(401, "unauthorized");
            false
        }
    }
}

#[tokio::test]
async fn a_token_is_taken_at_once_and_refused_a_second_after_its_end() {
    alternate("acme", async |round, a, b| {
        let tokens = "/api/platform/tenants/acme/tokens";
        let body = json!({"name": "x", "role": "admin"});
        let issued = a.platform.post(tokens, body).await.expect(201);
        let path = format!("{tokens}/{}", issued["id"].as_str().unwrap());
        let there = b.api.with_token(issued["token"].as_str().unwrap());
        assert!(is_taken(&there).await, "round {round}");
        a.platform.delete(&path).await.expect(204);
        let revoked_at = Instant::now();
        // Whatever is asked later than that must be refused.
        loop {
            let is_late = revoked_at.elapsed() > TOKEN_LIFE;
            if !is_taken(&there).await {
                break;
            }
            assert!(!is_late, "it is taken too long, round {round}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_makes_one_message_whoever_is_asked() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (one, other) = two_nodes(&server).await;
    let receiver = Receiver::start().await;
    let here = one.tenant("acme").await;
    let there = here.through(&other);
    here.webhook(&receiver.url("/hooks"), &["*"]).await;
    for round in 0..5 {
        let key = format!("key-{round}");
        let publish = async |tenant: &Tenant| {
            let headers = [
                ("Content-Type", "application/json"),
                ("Idempotency-Key", key.as_str()),
            ];
            let body = json!({"event": "ticket.created", "data": {"round": round}}).to_string();
            let body = Some(body.as_bytes());
            let answer = tenant.api.send("POST", "/api/events", &headers, body).await;
            answer.expect(202)
        };
        let nodes = [&here, &there];
        let asked = (0..AT_ONCE).map(|number| publish(nodes[number % 2]));
        let answers: Vec<Value> = join_all(asked).await;
        assert!(
            answers
                .iter()
                .all(|answer| answer["id"] == answers[0]["id"])
        );
        assert!(answers.iter().all(|answer| answer["deliveries"] == 1));
        let first = answers.iter().filter(|answer| answer["duplicate"] == false);
        assert_eq!(first.count(), 1, "{answers:?}");
    }
    here.until_nothing_is_pending().await;
    assert_eq!(here.api.walk("/api/events", 100).await.len(), 5);
    assert_eq!(here.deliveries("status=succeeded").await.len(), 5);
    assert_eq!(receiver.requests().len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_takes_one_content_whoever_is_asked() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (one, other) = two_nodes(&server).await;
    let here = one.tenant("acme").await;
    let there = here.through(&other);
    for round in 0..5 {
        let key = format!("key-{round}");
        let nodes = [&here, &there];
        let asked = (0..AT_ONCE).map(|number| {
            let (tenant, key) = (nodes[number % 2], &key);
            async move {
                let headers = [
                    ("Content-Type", "application/json"),
                    ("Idempotency-Key", key.as_str()),
                ];
                let body = json!({"event": "ticket.created", "data": {"number": number}});
                let body = body.to_string();
                let body = Some(body.as_bytes());
                tenant.api.send("POST", "/api/events", &headers, body).await
            }
        });
        let (accepted, refused): (Vec<_>, Vec<_>) = join_all(asked)
            .await
            .into_iter()
            .partition(|answer| answer.status == 202);
        assert_eq!(accepted.len(), 1, "{accepted:?}");
        for answer in refused {
            answer.problem(409, "idempotency_key_reused");
        }
    }
    assert_eq!(here.api.walk("/api/events", 100).await.len(), 5);
}

/// The same batch through both nodes at one time: every message of it is accepted once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_with_keys_is_taken_once_whoever_is_asked() {
    const MESSAGES: usize = 50;
    let Some(server) = Server::shared() else {
        return;
    };
    let (one, other) = two_nodes(&server).await;
    let receiver = Receiver::start().await;
    let here = one.tenant("acme").await;
    let there = here.through(&other);
    here.webhook(&receiver.url("/hooks"), &["*"]).await;
    let event = |n: usize| json!({"event": "ticket.created", "data": {"n": n}, "idempotency_key": n.to_string()});
    let batch = json!({"events": (0..MESSAGES).map(event).collect::<Vec<_>>()});
    let nodes = [&here, &there];
    let asked = (0..8).map(|number| {
        let tenant = nodes[number % 2];
        tenant.api.post("/api/events/batch", batch.clone())
    });
    let answers = join_all(asked).await.into_iter();
    let answers: Vec<Value> = answers.map(|answer| answer.expect(202)).collect();
    for n in 0..MESSAGES {
        let results: Vec<&Value> = answers.iter().map(|answer| &answer["results"][n]).collect();
        let fresh = results.iter().filter(|result| result["duplicate"] == false);
        assert_eq!(fresh.count(), 1, "{results:?}");
        let is_same = |result: &&Value| result["id"] == results[0]["id"];
        assert!(results.iter().all(is_same), "{results:?}");
    }
    here.until_nothing_is_pending().await;
    assert_eq!(receiver.requests().len(), MESSAGES);
}
