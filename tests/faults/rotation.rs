//! Secrets are rotated, and sealed with other master keys, while messages are published and sent all
//! the time: no publisher and no receiver notices.

use std::sync::{
    Arc, Mutex, RwLock,
    atomic::{AtomicBool, Ordering},
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use super::load::drain;
use crate::support::{App, Receiver, Reply, Request, Tenant, Webhook, eventually};

/// Messages of one request.
const BATCH: usize = 10;
/// How often each secret is rotated.
const ROTATIONS: usize = 8;
/// How often the server's own key is replaced.
const KEYS: usize = 4;
/// Requests that arrive between two rotations, at both receivers together.
const ARRIVALS: usize = 400;

/// Publishers that take no refusal: every message must be accepted at the first try.
struct Publishers {
    is_over: Arc<AtomicBool>,
    workers: Vec<JoinHandle<usize>>,
}

impl Publishers {
    fn start(tenants: impl IntoIterator<Item = Tenant>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let start = |tenant| tokio::spawn(publish(tenant, is_over.clone()));
        let workers = tenants.into_iter().map(start).collect();
        Self { is_over, workers }
    }

    /// How many messages were published.
    async fn finish(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        let counts = join_all(self.workers).await;
        counts.into_iter().map(Result::unwrap).sum()
    }
}

async fn publish(tenant: Tenant, is_over: Arc<AtomicBool>) -> usize {
    let events = vec![json!({"event": "ticket.created", "data": {"n": 1}}); BATCH];
    let mut published = 0;
    while !is_over.load(Ordering::Relaxed) {
        let body = json!({ "events": events });
        let answer = tenant.api.post("/api/events/batch", body).await.expect(202);
        for result in answer["results"].as_array().unwrap() {
            assert!(result["id"].is_string(), "not accepted: {result}");
            published += 1;
        }
    }
    published
}

/// HMAC-SHA256 as RFC 2104 says it: made here once more, to check what the server has made.
fn hmac(key: &[u8], content: &[&[u8]]) -> [u8; 32] {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut inner = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x36));
    for part in content {
        inner.update(part);
    }
    let outer = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x5c));
    outer.chain_update(inner.finalize()).finalize().into()
}

/// Whether a receiver that has this secret takes the request, whichever of the two ways of signing it
/// goes by.
fn verifies(secret: &str, request: &Request) -> bool {
    let key = BASE64
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let (id, timestamp) = (request.message(), request.header("webhook-timestamp"));
    let content = [id, ".", timestamp, "."].map(str::as_bytes);
    let mac = hmac(&key, &[&content.concat(), &request.body]);
    let standard = format!("v1,{}", BASE64.encode(mac));
    let mut entries = request.header("webhook-signature").split(' ');

    let mac = hmac(secret.as_bytes(), &[&request.body]);
    let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    let github = format!("sha256={hex}");
    let names = ["x-webhook-signature", "x-webhook-signature-previous"];
    let mut signatures = request
        .headers
        .iter()
        .filter(|(name, _)| names.contains(&name.as_str()));
    entries.any(|entry| entry == standard) && signatures.any(|(_, value)| *value == github)
}

/// A webhook and what its receiver knows.
struct Endpoint {
    webhook: Webhook,
    /// The secrets with which the receiver takes requests.
    trusted: Arc<RwLock<Vec<String>>>,
    refused: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    async fn register(tenant: &Tenant, receiver: &Receiver, path: &str) -> Self {
        let webhook = tenant.webhook(&receiver.url(path), &["ticket.*"]).await;
        let endpoint = Self {
            trusted: Arc::new(RwLock::new(vec![webhook.secret.clone()])),
            refused: Arc::default(),
            webhook,
        };
        let (trusted, refused) = (endpoint.trusted.clone(), endpoint.refused.clone());
        receiver.on(path, move |request| {
            let is_good = |secret: &String| verifies(secret, request);
            if trusted.read().unwrap().iter().any(is_good) {
                return Reply::ok();
            }
            refused.lock().unwrap().push(format!("{request:?}"));
            Reply::status(401)
        });
        endpoint
    }

    /// Rotates the secret; gives the new one.
    async fn rotate(&mut self, tenant: &Tenant) -> String {
        let path = format!("{}/secret/rotate", self.webhook.path());
        let body = json!({"grace_seconds": 600});
        let rotated = tenant.api.post(&path, body).await.expect(200);
        assert_eq!(rotated["previous"][0]["secret"], self.webhook.secret);
        let new = rotated["secret"].as_str().unwrap().to_owned();
        std::mem::replace(&mut self.webhook.secret, new)
    }

    /// From now on the receiver takes what is signed with the new secret or the one before it.
    fn trust(&self, before: String) {
        *self.trusted.write().unwrap() = vec![self.webhook.secret.clone(), before];
    }

    #[track_caller]
    fn assert_nothing_was_refused(&self) {
        let refused = self.refused.lock().unwrap();
        assert!(
            refused.is_empty(),
            "{} requests verify with neither secret, such as {}",
            refused.len(),
            refused[0]
        );
    }
}

async fn more_arrive(receiver: &Receiver, count: usize) {
    let wanted = receiver.requests().len() + count;
    eventually(&format!("{count} more requests"), async || {
        (receiver.requests().len() >= wanted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_or_the_new_secret_verifies_whatever_is_sent_meanwhile() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let mut early = Endpoint::register(&tenant, &receiver, "/early").await;
    let mut late = Endpoint::register(&tenant, &receiver, "/late").await;
    let publishers = Publishers::start(vec![tenant.clone(); 3]);
    for _ in 0..ROTATIONS {
        more_arrive(&receiver, ARRIVALS / 2).await;
        // One receiver gets the new secret at once, the other one a good while later.
        let before = early.rotate(&tenant).await;
        early.trust(before);
        let before = late.rotate(&tenant).await;
        more_arrive(&receiver, ARRIVALS / 2).await;
        late.trust(before);
    }
    let published = publishers.finish().await;
    drain(&tenant, &receiver).await;
    early.assert_nothing_was_refused();
    late.assert_nothing_was_refused();
    assert_eq!(receiver.requests().len(), 2 * published);
    assert!(published >= ROTATIONS * ARRIVALS / 2, "{published}");
}

/// Webhooks that get nothing, and are changed all the time.
async fn bystanders(tenant: &Tenant, receiver: &Receiver, count: usize) -> Vec<Webhook> {
    let url = receiver.url("/bystander");
    let register = (0..count).map(|_| tenant.webhook(&url, &["service.*"]));
    join_all(register).await
}

/// Rotates the secrets of webhooks, renames and registers some until it is over. Nothing of it may
/// fail.
async fn administer(
    tenant: Tenant,
    url: String,
    mut webhooks: Vec<Webhook>,
    is_over: Arc<AtomicBool>,
) -> Vec<Webhook> {
    let mut round = 0;
    while !is_over.load(Ordering::Relaxed) {
        let place = round % webhooks.len();
        let webhook = &mut webhooks[place];
        let path = format!("{}/secret/rotate", webhook.path());
        let rotated = tenant.api.post(&path, json!({})).await.expect(200);
        webhook.secret = rotated["secret"].as_str().unwrap().to_owned();
        let name = json!({"name": format!("Round {round}")});
        let changed = tenant.api.patch(&webhook.path(), name.clone()).await;
        assert_eq!(changed.expect(200)["name"], name["name"]);
        if round % 5 == 0 {
            webhooks.push(tenant.webhook(&url, &["service.*"]).await);
        }
        round += 1;
    }
    webhooks
}

/// An administrator at work beside the publishers.
struct Administrator {
    is_over: Arc<AtomicBool>,
    tenant: Tenant,
    work: JoinHandle<Vec<Webhook>>,
}

impl Administrator {
    fn start(tenant: Tenant, webhooks: Vec<Webhook>, receiver: &Receiver) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let url = receiver.url("/bystander");
        let work = administer(tenant.clone(), url, webhooks, is_over.clone());
        Self {
            is_over,
            tenant,
            work: tokio::spawn(work),
        }
    }

    /// All webhooks, each with the secret that it was given last.
    async fn finish(self) -> (Tenant, Vec<Webhook>) {
        self.is_over.store(true, Ordering::Relaxed);
        (self.tenant, self.work.await.unwrap())
    }
}

async fn assert_secrets(tenant: &Tenant, webhooks: &[Webhook]) {
    for webhook in webhooks {
        let path = format!("{}/secret", webhook.path());
        let shown = tenant.api.get(&path).await.expect(200);
        assert_eq!(shown["secret"], webhook.secret, "{}", webhook.id);
    }
}

async fn rotate_keys(app: &App) -> Value {
    let path = "/api/platform/keys/rotate";
    let answer = app.platform().send("POST", path, &[], None).await;
    let rotated = answer.expect(200);
    assert_eq!(rotated["unreadable"], 0);
    assert_eq!(rotated["in_use"].as_array().unwrap().len(), 1, "{rotated}");
    rotated
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_the_servers_key_is_replaced() {
    let (mut app, receiver) = (App::on_sqlite(&[]).await, Receiver::start().await);
    let (acme, globex) = (app.tenant("acme").await, app.tenant("globex").await);
    let endpoint = Endpoint::register(&acme, &receiver, "/hooks").await;
    bystanders(&acme, &receiver, 30).await;
    // Not those of the tenant that publishes: whoever changes a tenant's webhooks without a pause
    // holds its publishers up.
    let changing = bystanders(&globex, &receiver, 30).await;
    let publishers = Publishers::start(vec![acme.clone(); 2]);
    let administrator = Administrator::start(globex, changing, &receiver);
    for _ in 0..KEYS {
        more_arrive(&receiver, ARRIVALS / 2).await;
        let rotated = rotate_keys(&app).await;
        assert!(rotated["resealed"].as_u64().unwrap() > 60, "{rotated}");
    }
    let (globex, changed) = administrator.finish().await;
    let published = publishers.finish().await;
    drain(&acme, &receiver).await;
    endpoint.assert_nothing_was_refused();
    assert_eq!(receiver.requests_at("/hooks").len(), published);
    assert_secrets(&globex, &changed).await;
    // What was sealed with one of the keys that are gone would keep it from starting.
    app.kill();
    app.restart().await;
    assert_secrets(&globex, &changed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_everything_is_sealed_with_a_new_key() {
    let [old, new] = [1, 2].map(|byte| BASE64.encode([byte; 32]));
    let settings = [("MASTER_KEY", old.as_str())];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let (acme, globex) = (app.tenant("acme").await, app.tenant("globex").await);
    let endpoint = Endpoint::register(&acme, &receiver, "/hooks").await;
    bystanders(&acme, &receiver, 50).await;
    let changing = bystanders(&globex, &receiver, 50).await;
    app.terminate();
    assert!(app.ended().await.success());
    app.set("MASTER_KEY", &format!("{new},{old}"));
    app.restart().await;

    // On a database there is another node, which publishes and administers, too.
    let other = match app.is_postgres() {
        true => Some(app.another_node(&[]).await),
        false => None,
    };
    let there = |tenant: &Tenant| match &other {
        Some(node) => tenant.through(node),
        None => tenant.clone(),
    };
    let publishers = Publishers::start([acme.clone(), there(&acme)]);
    let administrator = Administrator::start(there(&globex), changing, &receiver);
    more_arrive(&receiver, ARRIVALS).await;
    let rotated = rotate_keys(&app).await;
    assert!(rotated["resealed"].as_u64().unwrap() > 50, "{rotated}");
    more_arrive(&receiver, ARRIVALS).await;
    assert_eq!(rotate_keys(&app).await["resealed"], 0);
    let (_, changed) = administrator.finish().await;
    let published = publishers.finish().await;
    drain(&acme, &receiver).await;
    endpoint.assert_nothing_was_refused();
    assert_eq!(receiver.requests_at("/hooks").len(), published);
    drop(other);
    app.terminate();
    assert!(app.ended().await.success());
    app.set("MASTER_KEY", &new);
    app.restart().await;
    assert_secrets(&globex, &changed).await;
}
