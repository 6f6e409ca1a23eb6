//! Publishers that never give up, and the books that are checked after them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{DEADLINE, Receiver, Request, Tenant, Webhook};

/// Messages that one publisher hands in together now and then.
const BATCH: usize = 5;
/// Between two requests of a publisher that does not hurry.
pub(super) const PAUSE: Duration = Duration::from_millis(10);
/// Before a request that was not answered is made again.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// Publishers under way. Each message has a key, and is published under it until it is accepted.
pub(super) struct Load {
    is_over: Arc<AtomicBool>,
    workers: Vec<JoinHandle<Accepted>>,
}

/// The key of each accepted message, and its id.
pub(super) type Accepted = HashMap<String, String>;

impl Load {
    /// Starts so many publishers, which pause after each request.
    pub(super) fn start(tenant: &Tenant, workers: usize, pause: Duration) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let workers = (0..workers)
            .map(|worker| tokio::spawn(publish(tenant.clone(), worker, pause, is_over.clone())))
            .collect();
        Self { is_over, workers }
    }

    /// Lets each publisher finish what it has begun; gives what was accepted.
    pub(super) async fn finish(self) -> Accepted {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = Accepted::new();
        for worker in self.workers {
            all.extend(worker.await.unwrap());
        }
        all
    }
}

async fn publish(
    tenant: Tenant,
    worker: usize,
    pause: Duration,
    is_over: Arc<AtomicBool>,
) -> Accepted {
    let mut accepted = Accepted::new();
    for round in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let count = if round % 4 == 3 { BATCH } else { 1 };
        let keys: Vec<String> = (0..count)
            .map(|n| format!("{worker}-{round}-{n}"))
            .collect();
        let ids = publish_until_accepted(&tenant, &keys).await;
        accepted.extend(keys.into_iter().zip(ids));
        tokio::time::sleep(pause).await;
    }
    accepted
}

async fn publish_until_accepted(tenant: &Tenant, keys: &[String]) -> Vec<String> {
    let event = |key: &String| json!({"event": "ticket.created", "data": {"key": key}, "idempotency_key": key});
    let body = json!({"events": keys.iter().map(event).collect::<Vec<_>>()}).to_string();
    let started = Instant::now();
    loop {
        let headers = [("Content-Type", "application/json")];
        let answer = tenant
            .api
            .try_send("POST", "/api/events/batch", &headers, Some(body.as_bytes()))
            .await;
        if let Some(answer) = answer.filter(|answer| answer.status == 202) {
            let results = answer.expect(202);
            let id = |result: &Value| result["id"].as_str().map(str::to_owned);
            let ids: Vec<Option<String>> = results["results"]
                .as_array()
                .unwrap()
                .iter()
                .map(id)
                .collect();
            // A tenant that is busy is asked again, as one is that cannot be served.
            let is_refused = |result: &Value| {
                let status = result["status"].as_u64();
                status.is_some_and(|status| status < 500 && status != 429)
            };
            let refused = results["results"]
                .as_array()
                .unwrap()
                .iter()
                .find(|result| is_refused(result));
            assert!(refused.is_none(), "{refused:?}");
            if let Some(ids) = ids.into_iter().collect() {
                return ids;
            }
        }
        // The server is away, is just stopping, or its port is another test's server's by now.
        assert!(started.elapsed() < DEADLINE, "a message is not accepted");
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Waits until nothing is pending for a moment, as long as it takes while something arrives.
pub(super) async fn drain(tenant: &Tenant, receiver: &Receiver) {
    let (mut seen, mut moved_at) = (0, Instant::now());
    loop {
        let page = tenant
            .api
            .get("/api/admin/deliveries?status=pending&limit=1")
            .await
            .expect(200);
        if page["data"].as_array().unwrap().is_empty() {
            return;
        }
        let arrived = receiver.requests().len();
        if arrived != seen {
            (seen, moved_at) = (arrived, Instant::now());
        }
        assert!(moved_at.elapsed() < DEADLINE, "it stays pending: {page}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// All that is known about what happened, from both sides.
pub(super) struct Books {
    arrivals: Vec<Arc<Request>>,
    deliveries: Vec<Value>,
    logs: HashMap<String, Vec<Value>>,
}

impl Books {
    pub(super) async fn of(tenant: &Tenant, receiver: &Receiver) -> Self {
        let mut logs: HashMap<String, Vec<Value>> = HashMap::new();
        for row in tenant.logs("").await {
            logs.entry(text(&row["delivery_id"]).to_owned())
                .or_default()
                .push(row);
        }
        Self {
            arrivals: receiver.requests(),
            deliveries: tenant.deliveries("").await,
            logs,
        }
    }

    /// How many deliveries there are.
    pub(super) fn count(&self) -> usize {
        self.deliveries.len()
    }

    /// The deliveries of a message, with their logs.
    fn of_message(&self, id: &str) -> Vec<(&Value, Option<&Vec<Value>>)> {
        let is_meant = |delivery: &&Value| delivery["message_id"] == id;
        self.deliveries
            .iter()
            .filter(is_meant)
            .map(|delivery| (delivery, self.logs.get(text(&delivery["id"]))))
            .collect()
    }

    /// Every key made one message, and every message reached every endpoint.
    pub(super) fn assert_nothing_is_lost(
        &self,
        accepted: &Accepted,
        endpoints: &BTreeMap<&str, Webhook>,
    ) {
        for delivery in &self.deliveries {
            let log = self.logs.get(text(&delivery["id"]));
            assert_eq!(delivery["status"], "succeeded", "{delivery} {log:?}");
        }
        let mut messages: HashMap<String, HashSet<&str>> = HashMap::new();
        let mut reached: HashSet<(&str, &str)> = HashSet::new();
        for request in &self.arrivals {
            let key = text(&request.json()["data"]["key"]).to_owned();
            messages.entry(key).or_default().insert(request.message());
            reached.insert((request.path.as_str(), request.message()));
        }
        for (key, id) in accepted {
            let found = messages.get(key);
            assert!(
                found.is_some_and(|ids| ids.len() == 1 && ids.contains(id.as_str())),
                "{key}: {id}, {found:?}"
            );
            for path in endpoints.keys() {
                assert!(
                    reached.contains(&(path, id.as_str())),
                    "{id} has not reached {path}: {:?}",
                    self.of_message(id)
                );
            }
        }
        assert_eq!(self.deliveries.len(), accepted.len() * endpoints.len());
    }

    /// Whatever was sent for a message is the same to the byte and signed.
    pub(super) fn assert_bodies_are_the_same(&self, endpoints: &BTreeMap<&str, Webhook>) {
        let mut bodies: HashMap<&str, &[u8]> = HashMap::new();
        for request in &self.arrivals {
            let first = bodies.entry(request.message()).or_insert(&request.body);
            assert_eq!(*first, request.body, "{}", request.message());
            request.verify(&endpoints[request.path.as_str()].secret);
        }
    }

    /// Nothing was sent once its success was in the ledger. Each answer names the request that it
    /// answers, so that the log shows which one that was.
    pub(super) fn assert_no_send_after_success(&self) {
        let by_delivery = self.arrivals_by_delivery();
        for delivery in &self.deliveries {
            let log = &self.logs[text(&delivery["id"])];
            let mut successes = log.iter().filter(|row| row["outcome"] == "succeeded");
            let success = successes
                .next()
                .unwrap_or_else(|| panic!("no success of {delivery}"));
            assert!(
                successes.next().is_none(),
                "two successes of {delivery}: {log:?}"
            );
            let recorded: usize = text(&success["response_body"]).parse().unwrap();
            let last = by_delivery[text(&delivery["id"])].last().unwrap();
            assert_eq!(
                last.number, recorded,
                "sent again after its success: {delivery} {last:?}"
            );
        }
    }

    /// Each delivery has one success in the log, as its last attempt.
    pub(super) fn assert_each_succeeded_once(&self) {
        for delivery in &self.deliveries {
            assert_eq!(delivery["status"], "succeeded", "{delivery}");
            // The log is newest first.
            let log = &self.logs[text(&delivery["id"])];
            let is_success = |row: &&Value| row["outcome"] == "succeeded";
            assert_eq!(log.iter().filter(is_success).count(), 1, "{log:?}");
            assert_eq!(log[0]["outcome"], "succeeded", "{log:?}");
        }
    }

    /// Each attempt stands in the log once, numbered from 1.
    pub(super) fn assert_attempts_are_numbered(&self) {
        for delivery in &self.deliveries {
            // The log is newest first.
            let log = &self.logs[text(&delivery["id"])];
            let numbers: Vec<u64> = log
                .iter()
                .rev()
                .map(|row| row["attempt"].as_u64().unwrap())
                .collect();
            assert_eq!(
                numbers,
                (1..=log.len() as u64).collect::<Vec<_>>(),
                "{delivery}"
            );
            assert_eq!(delivery["attempts"], log.len(), "{delivery}");
        }
    }

    /// Each attempt in the log is one request that arrived, and there were no others.
    pub(super) fn assert_every_request_is_in_the_log(&self) {
        let by_delivery = self.arrivals_by_delivery();
        for delivery in &self.deliveries {
            let id = text(&delivery["id"]);
            let arrived = by_delivery.get(id).map_or(0, Vec::len);
            assert_eq!(arrived, self.logs.get(id).map_or(0, Vec::len), "{delivery}");
        }
        let logged: usize = self.logs.values().map(Vec::len).sum();
        assert_eq!(self.arrivals.len(), logged);
    }

    fn arrivals_by_delivery(&self) -> HashMap<&str, Vec<&Request>> {
        let mut by_delivery: HashMap<&str, Vec<&Request>> = HashMap::new();
        for request in &self.arrivals {
            by_delivery
                .entry(request.delivery())
                .or_default()
                .push(request);
        }
        by_delivery
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
