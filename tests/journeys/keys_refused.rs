//! Master keys that do not fit are refused at the start, before anything is served.

use std::net::TcpListener;

use crate::support::{App, MASTER_KEY, Receiver, Server};

use super::keys::{World, id_of, kept_key, key, stop};

/// Starts the server with these keys, at an address that is taken already: had it tried to listen, it
/// would say so. It must end with this code, and say these words.
async fn is_refused(app: &mut App, keys: &str, code: i32, words: &[&str]) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    app.set("LISTEN", &taken.local_addr().unwrap().to_string());
    app.set("MASTER_KEY", keys);
    let (status, said) = app.second_process().await;
    assert_eq!(status.code(), Some(code), "{said}");
    assert!(
        said.starts_with("hookledger: HOOKLEDGER_MASTER_KEY"),
        "{said}"
    );
    for word in words {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
    let mut keys = keys.split(',').filter(|key| key.len() > 10);
    assert!(
        !keys.any(|key| said.contains(key)),
        "it tells a key: {said}"
    );
    app.set("LISTEN", "127.0.0.1:0");
}

#[tokio::test]
async fn keys_that_do_not_open_the_secrets_are_refused() {
    let (old, new, wrong) = (key(1), key(2), key(3));
    let settings = [("MASTER_KEY", old.as_str())];
    let (mut app, receiver) = (App::with(&settings).await, Receiver::start().await);
    let world = World::make(&app, &receiver).await;
    stop(&mut app).await;
    // The third webhook's secret is sealed with the new key.
    app.set("MASTER_KEY", &format!("{new},{old}"));
    app.restart().await;
    let globex = &world.tenants[1];
    let newer = globex.webhook(&receiver.url("/newer"), &["ticket.*"]).await;
    stop(&mut app).await;

    let (old_id, new_id, wrong_id) = (id_of(&old), id_of(&new), id_of(&wrong));
    let old_missing =
        format!("master key {old_id} is missing: secrets of 3 webhooks are sealed with it");
    let new_missing =
        format!("master key {new_id} is missing: secrets of 1 webhook are sealed with it");
    let given = format!("(given: {wrong_id})");
    let advice = "`hookledger keys rotate`";
    is_refused(
        &mut app,
        &wrong,
        1,
        &[&old_missing, &new_missing, &given, advice],
    )
    .await;
    is_refused(&mut app, &new, 1, &[&old_missing, advice]).await;
    is_refused(&mut app, &old, 1, &[&new_missing, advice]).await;
    let malformed = "key 2 is not base64 of 32 bytes";
    is_refused(&mut app, &format!("{old},x"), 2, &[malformed]).await;

    // In any order they do.
    app.set("MASTER_KEY", &format!("{wrong},{old},{new}"));
    app.restart().await;
    world.is_undisturbed(&receiver).await;
    // What is deleted needs no key.
    globex.api.delete(&newer.path()).await.expect(204);
    stop(&mut app).await;
    app.set("MASTER_KEY", &old);
    app.restart().await;
    world.is_undisturbed(&receiver).await;
}

#[tokio::test]
async fn a_ledger_without_webhooks_keeps_its_key_too() {
    let settings = [("MASTER_KEY", MASTER_KEY)];
    let mut app = App::with(&settings).await;
    app.tenant("acme").await;
    stop(&mut app).await;
    let own = format!(
        "master key {} is missing: this ledger is used with it",
        id_of(MASTER_KEY)
    );
    is_refused(&mut app, &key(3), 1, &[&own]).await;
    app.set("MASTER_KEY", &format!("{},{MASTER_KEY}", key(3)));
    app.restart().await;
    // Until the rotation nothing is sealed with the new key, and the old one will do.
    stop(&mut app).await;
    app.set("MASTER_KEY", MASTER_KEY);
    app.restart().await;
    stop(&mut app).await;
    app.set("MASTER_KEY", &format!("{},{MASTER_KEY}", key(3)));
    let rotated = app.run(&["keys", "rotate"]).await;
    assert!(rotated.status.success());
    let newer = format!(
        "master key {} is missing: this ledger is used with it",
        id_of(&key(3))
    );
    is_refused(&mut app, MASTER_KEY, 1, &[&newer]).await;
}

#[tokio::test]
async fn the_file_is_named_when_its_key_is_wrong_missing_or_malformed() {
    let (mut app, receiver) = (App::on_sqlite(&[]).await, Receiver::start().await);
    let world = World::make(&app, &receiver).await;
    stop(&mut app).await;
    let (file, right) = (app.data_dir().join("master.key"), kept_key(&app));
    let named = format!("(file {})", file.display());
    let missing = format!("master key {} is missing", id_of(&right));
    std::fs::write(&file, key(7)).unwrap();
    is_refused(&mut app, "", 1, &[&named, &missing, "of 3 webhooks"]).await;
    std::fs::write(&file, "no key").unwrap();
    is_refused(
        &mut app,
        "",
        1,
        &[&named, "key 1 is not base64 of 32 bytes"],
    )
    .await;
    std::fs::remove_file(&file).unwrap();
    is_refused(&mut app, "", 1, &["is neither set nor in", "master.key"]).await;
    assert!(!file.exists(), "no new key is made");
    std::fs::write(&file, &right).unwrap();
    app.restart().await;
    world.is_undisturbed(&receiver).await;
}

#[tokio::test]
async fn a_key_that_opens_nothing_is_refused_with_the_webhook() {
    let (mut app, receiver) = (App::on_sqlite(&[]).await, Receiver::start().await);
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    stop(&mut app).await;
    let sealed = format!("{}.", id_of(&kept_key(&app)));
    let damage =
        format!("UPDATE webhooks SET secrets = replace(secrets, '{sealed}', '{sealed}AAAA')");
    assert_eq!(app.tamper(&damage).await, 1);
    let words = ["opens no secret", &webhook.id, "tenant acme"];
    is_refused(&mut app, "", 1, &words).await;
}

#[tokio::test]
async fn a_second_node_needs_the_key_of_the_first() {
    let Some(server) = Server::shared() else {
        return;
    };
    let app = App::on_postgres(&server, &[]).await;
    // Somewhere else, with a data directory of its own.
    let mut other = app.another_node(&[]).await;
    stop(&mut other).await;
    let own = format!(
        "master key {} is missing: this ledger is used with it",
        id_of(MASTER_KEY)
    );
    is_refused(&mut other, &key(3), 1, &[&own]).await;
    let words = ["the ledger in PostgreSQL exists", "is neither set nor in"];
    is_refused(&mut other, "", 1, &words).await;
    assert!(
        !other.data_dir().join("master.key").exists(),
        "no key is made"
    );
}
