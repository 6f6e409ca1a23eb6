//! Rotating the master keys, which no tenant and no receiver notices.

use std::{os::unix::fs::PermissionsExt, process::Output};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{App, PLATFORM_TOKEN, Receiver, Server, Tenant, Webhook, eventually};

/// A master key, as the setting has it.
pub(super) fn key(byte: u8) -> String {
    BASE64.encode([byte; 32])
}

/// The id of a master key.
pub(super) fn id_of(key: &str) -> String {
    let digest = Sha256::digest(BASE64.decode(key).unwrap());
    digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What is in the server's own file.
pub(super) fn kept_key(app: &App) -> String {
    let file = app.data_dir().join("master.key");
    std::fs::read_to_string(file).unwrap().trim().to_owned()
}

pub(super) async fn stop(app: &mut App) {
    app.terminate();
    assert!(app.ended().await.success());
}

#[track_caller]
fn printed(output: &Output) -> Value {
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complained}");
    serde_json::from_slice(&output.stdout).expect("JSON, since nobody looks")
}

/// Asks the running server for it, as an operator does.
async fn rotate(app: &App) -> Value {
    let server = format!("http://{}", app.address());
    let arguments = [
        "keys",
        "rotate",
        "--server",
        &server,
        "--token",
        PLATFORM_TOKEN,
    ];
    printed(&app.run(&arguments).await)
}

/// Two tenants with four webhooks, of which one has two secrets, and one is deleted.
pub(super) struct World {
    pub(super) tenants: Vec<Tenant>,
    pub(super) webhooks: Vec<Webhook>,
    secrets: Vec<Value>,
}

impl World {
    pub(super) async fn make(app: &App, receiver: &Receiver) -> Self {
        let tenants = vec![app.tenant("acme").await, app.tenant("globex").await];
        let mut webhooks = Vec::new();
        for (tenant, path) in [(0, "/one"), (0, "/two"), (1, "/three"), (1, "/gone")] {
            let url = receiver.url(path);
            webhooks.push(tenants[tenant].webhook(&url, &["ticket.*"]).await);
        }
        let path = format!("{}/secret/rotate", webhooks[0].path());
        let rotated = tenants[0].api.post(&path, json!({})).await.expect(200);
        webhooks[0].secret = rotated["secret"].as_str().unwrap().to_owned();
        let gone = webhooks.pop().unwrap();
        tenants[1].api.delete(&gone.path()).await.expect(204);
        let mut world = Self {
            tenants,
            webhooks,
            secrets: Vec::new(),
        };
        world.secrets = world.reveal().await;
        world
    }

    fn owner(&self, webhook: usize) -> &Tenant {
        &self.tenants[usize::from(webhook == 2)]
    }

    async fn reveal(&self) -> Vec<Value> {
        let mut secrets = Vec::new();
        for (place, webhook) in self.webhooks.iter().enumerate() {
            let path = format!("{}/secret", webhook.path());
            secrets.push(self.owner(place).api.get(&path).await.expect(200));
        }
        secrets
    }

    async fn versions(&self) -> Vec<u64> {
        let mut versions = Vec::new();
        for (place, webhook) in self.webhooks.iter().enumerate() {
            let shown = self.owner(place).api.get(&webhook.path()).await.expect(200);
            versions.push(shown["version"].as_u64().unwrap());
        }
        versions
    }

    /// The secrets are what they were, and what is sent is signed with them.
    pub(super) async fn is_undisturbed(&self, receiver: &Receiver) {
        assert_eq!(self.reveal().await, self.secrets);
        for (tenant, path, secret) in [
            (0, "/one", &self.webhooks[0].secret),
            (1, "/three", &self.webhooks[2].secret),
        ] {
            let tenant = &self.tenants[tenant];
            let message = tenant.publish("ticket.created", json!({})).await;
            tenant.until_nothing_is_pending().await;
            let requests = receiver.requests_at(path);
            let request = requests.iter().find(|request| request.message() == message);
            request.expect("it has arrived").verify(secret);
        }
    }
}

#[tokio::test]
async fn the_servers_own_key_is_replaced_while_it_runs() {
    let (mut app, receiver) = (App::on_sqlite(&[]).await, Receiver::start().await);
    let world = World::make(&app, &receiver).await;
    let (old, before) = (kept_key(&app), world.versions().await);
    let rotated = rotate(&app).await;
    let new = kept_key(&app);
    assert_ne!(new, old);
    let expected = json!({"resealed": 4, "unreadable": 0, "kept_in": "file",
        "in_use": [id_of(&new)], "not_needed": [id_of(&old)]});
    assert_eq!(rotated, expected);
    let file = app.data_dir().join("master.key");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    world.is_undisturbed(&receiver).await;
    // It is a change like any other: versions go up, and attempts name them.
    let after = world.versions().await;
    let raised: Vec<u64> = before.iter().map(|version| version + 1).collect();
    assert_eq!(after, raised);
    let newest = &world.tenants[1].logs("").await[0];
    assert_eq!(newest["webhook_version"], after[2]);
    let one = world.webhooks[0].path();
    let stale = format!("\"{}\"", before[0]);
    let headers = [
        ("If-Match", stale.as_str()),
        ("Content-Type", "application/json"),
    ];
    let late = world.tenants[0]
        .api
        .send("PATCH", &one, &headers, Some(b"{}"));
    late.await.problem(412, "precondition_failed");

    // A new webhook is sealed with the new key, and the next rotation replaces that one.
    let four = world.tenants[1]
        .webhook(&receiver.url("/four"), &["*"])
        .await;
    let again = rotate(&app).await;
    assert_eq!(
        (&again["resealed"], &again["not_needed"]),
        (&json!(5), &json!([id_of(&new)]))
    );
    app.kill();
    app.restart().await;
    world.is_undisturbed(&receiver).await;
    receiver.requests_at("/four")[0].verify(&four.secret);

    // What the platform does to a tenant stands with the tenant.
    let resealed = "SELECT count(*) || ' ' || count(DISTINCT tenant_id) FROM events \
        WHERE event_type = 'secrets_resealed' AND metadata LIKE '%\"actor_kind\":\"platform\"%'";
    assert_eq!(app.ask(resealed).await, "7 2");
}

#[tokio::test]
async fn keys_of_the_setting_are_rolled_out_and_the_old_one_goes() {
    let (old, new) = (key(1), key(2));
    let (old_first, new_first) = (format!("{old},{new}"), format!("{new},{old}"));
    let settings = [("MASTER_KEY", old.as_str())];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let world = World::make(&app, &receiver).await;
    let nothing = rotate(&app).await;
    let expected = json!({"resealed": 0, "unreadable": 0, "kept_in": "setting",
        "in_use": [id_of(&old)], "not_needed": []});
    assert_eq!(nothing, expected);

    for (keys, resealed, in_use, not_needed) in [
        (&old_first, 0, &old, &new),
        (&new_first, 4, &new, &old),
        (&new_first, 0, &new, &old),
    ] {
        stop(&mut app).await;
        app.set("MASTER_KEY", keys);
        app.restart().await;
        world.is_undisturbed(&receiver).await;
        let rotated = rotate(&app).await;
        let expected = json!({"resealed": resealed, "unreadable": 0, "kept_in": "setting",
            "in_use": [id_of(in_use)], "not_needed": [id_of(not_needed)]});
        assert_eq!(rotated, expected);
        world.is_undisturbed(&receiver).await;
    }
    stop(&mut app).await;
    app.set("MASTER_KEY", &new);
    app.restart().await;
    world.is_undisturbed(&receiver).await;
}

#[tokio::test]
async fn without_a_server_the_ledger_itself_is_rotated() {
    let (old, new) = (key(1), key(2));
    let settings = [("MASTER_KEY", old.as_str())];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let world = World::make(&app, &receiver).await;
    stop(&mut app).await;
    app.set("MASTER_KEY", &format!("{new},{old}"));
    let output = app.run(&["keys", "rotate"]).await;
    assert_eq!(printed(&output)["resealed"], 4);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(complained.contains("no server at"), "{complained}");
    app.set("MASTER_KEY", &new);
    app.restart().await;
    world.is_undisturbed(&receiver).await;
}

#[tokio::test]
async fn a_key_that_other_nodes_cannot_know_is_not_made() {
    let Some(server) = Server::shared() else {
        return;
    };
    let app = App::on_postgres(&server, &[("MASTER_KEY", "")]).await;
    let key = kept_key(&app);
    let refused = app
        .platform()
        .send("POST", "/api/platform/keys/rotate", &[], None)
        .await;
    let problem = refused.problem(409, "keys_in_file");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("HOOKLEDGER_MASTER_KEY"), "{detail}");
    assert_eq!(kept_key(&app), key);
}

#[tokio::test]
async fn a_file_that_was_changed_meanwhile_is_left_alone() {
    let (app, receiver) = (App::on_sqlite(&[]).await, Receiver::start().await);
    let world = World::make(&app, &receiver).await;
    let file = app.data_dir().join("master.key");
    std::fs::write(&file, key(9)).unwrap();
    app.platform()
        .send("POST", "/api/platform/keys/rotate", &[], None)
        .await
        .problem(409, "key_file_changed");
    assert_eq!(kept_key(&app), key(9));
    world.is_undisturbed(&receiver).await;
}

/// Secrets that were damaged on the disk cannot be sealed anew, and do not hold up the others.
#[tokio::test]
async fn what_no_key_opens_is_left_as_it_is_and_told() {
    let (mut app, receiver) = (App::on_sqlite(&[]).await, Receiver::start().await);
    let world = World::make(&app, &receiver).await;
    let other = app.tenant("initech").await;
    let hurt = other.webhook(&receiver.url("/hurt"), &["*"]).await;
    stop(&mut app).await;
    let old = kept_key(&app);
    let damage = |table: &str, column: &str, id: &str| {
        let sealed = format!("{}.", id_of(&old));
        format!(
            "UPDATE {table} SET {column} = replace({column}, '{sealed}', '{sealed}AAAA') \
             WHERE {id} = '{}'",
            hurt.id
        )
    };
    for sql in [
        damage("webhooks", "secrets", "id"),
        damage("events", "payload", "aggregate_id"),
    ] {
        assert_eq!(app.tamper(&sql).await, 1, "{sql}");
    }
    app.restart().await;
    // Whoever publishes for its tenant is told to come back, and the operator why.
    let body = json!({"event": "ticket.created", "data": {}});
    let refused = other.api.post("/api/events", body.clone()).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    let told = format!("\"webhook\":\"{}\"", hurt.id);
    assert!(app.log().contains(&told), "the log names it");
    let rotated = rotate(&app).await;
    let both = kept_key(&app);
    let (new, kept) = both.split_once(',').expect("the old key is kept");
    assert_eq!(kept, old);
    let expected = json!({"resealed": 4, "unreadable": 1, "kept_in": "file",
        "in_use": [id_of(new), id_of(&old)], "not_needed": []});
    assert_eq!(rotated, expected);
    world.is_undisturbed(&receiver).await;

    // Its owner gets rid of it, and then the rotation that was begun comes to its end.
    let path = format!("{}/secret/rotate", hurt.path());
    let healed = other.api.post(&path, json!({"grace_seconds": 0})).await;
    let secret = healed.expect(200)["secret"].as_str().unwrap().to_owned();
    let rotated = rotate(&app).await;
    assert_eq!(kept_key(&app), new);
    let expected = json!({"resealed": 0, "unreadable": 0, "kept_in": "file",
        "in_use": [id_of(new)], "not_needed": [id_of(&old)]});
    assert_eq!(rotated, expected);
    // Its actor could not start, and is just being started again.
    eventually("a message that is accepted", async || {
        let answer = other.api.post("/api/events", body.clone()).await;
        (answer.status == 202).then_some(())
    })
    .await;
    receiver.arrived("/hurt", 1).await[0].verify(&secret);
}
