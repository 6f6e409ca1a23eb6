//! Where callbacks are not taken, or not this one: no secret, a wrong one, too long a body, no event in it,
//! too many failures.

use std::net::TcpListener;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};

use crate::support::{
    App, DEADLINE, STRIPE, Stripe, eventually,
    stripe::{STRIPE_SECRET, WEBHOOK, event, header, hex, hmac},
};

/// The most bytes of a callback.
const BYTES_MAX: usize = 1024 * 1024;

/// An event that is so many bytes long.
fn event_of(id: &str, bytes: usize) -> String {
    let empty = json!({"id": id, "type": "customer.created", "x": ""}).to_string();
    let filling = "x".repeat(bytes - empty.len());
    json!({"id": id, "type": "customer.created", "x": filling}).to_string()
}

/// How many events there are.
async fn known(app: &App) -> usize {
    app.platform().walk("/api/platform/audit", 200).await.len()
}

#[tokio::test]
async fn without_a_secret_nothing_is_believed() {
    for settings in [&[][..], &[("STRIPE_WEBHOOK_SECRET", "")]] {
        let app = App::with(settings).await;
        let before = known(&app).await;
        let body = event("evt_1", "invoice.paid", 0, json!({})).to_string();
        let body = body.as_bytes();
        let stripe = Stripe::of(&app);
        for header in [
            header(STRIPE_SECRET, body),
            header("", body),
            header("whsec_", body),
            format!("t=1,v1={}", hex(&hmac(b"", b"1."))),
            "garbage".to_owned(),
            String::new(),
        ] {
            let answer = stripe.bring_with(&header, body).await;
            assert!(answer.header("retry-after").is_some(), "{header}");
            assert_eq!(
                answer.expect(503)["code"],
                "stripe_not_configured",
                "{header}"
            );
        }
        let bare = app.anonymous().send("POST", WEBHOOK, &[], None).await;
        assert_eq!(bare.expect(503)["code"], "stripe_not_configured");
        assert_eq!(known(&app).await, before);
    }
}

/// Starts the server with this setting at an address that is taken already: had it tried to listen, it would
/// say so. Gives what it says.
async fn is_refused_at_start(app: &mut App, name: &str, value: &str) -> String {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    app.set("LISTEN", &taken.local_addr().unwrap().to_string());
    app.set(name, value);
    let (status, said) = app.second_process().await;
    assert_eq!(status.code(), Some(2), "{said}");
    let start = format!("hookledger: HOOKLEDGER_{name}");
    assert!(said.starts_with(&start), "{value}: {said}");
    said
}

#[tokio::test]
async fn what_is_no_setting_is_refused_at_the_start() {
    let mut app = App::with(&[STRIPE]).await;
    app.terminate();
    assert!(app.ended().await.success());
    let many = ["whsec_one-of-many"; 11].join(",");
    let long = format!("whsec_{}", "x".repeat(250));
    for secrets in [
        "whsec_aaaa,,whsec_bbbb",
        "whsec_",
        "whsec_aaaa,whsec_",
        ",",
        ",whsec_aaaa",
        "whsec_aaaa,",
        "whsec_aa aa",
        "whsec_caf\u{e9}",
        &many,
        &long,
    ] {
        let said = is_refused_at_start(&mut app, "STRIPE_WEBHOOK_SECRET", secrets).await;
        let mut entries = secrets.split(',').filter(|entry| entry.len() > 6);
        assert!(
            !entries.any(|entry| said.contains(entry)),
            "it tells a secret: {said}"
        );
    }
    app.set(
        "STRIPE_WEBHOOK_SECRET",
        &format!("whsec_aaaa,{STRIPE_SECRET}"),
    );
    is_refused_at_start(&mut app, "STRIPE_MODE", "sandbox").await;
    app.set("STRIPE_MODE", "any");
    is_refused_at_start(&mut app, "STRIPE_SUSPEND", "maybe").await;
    app.set("STRIPE_SUSPEND", "false");
    app.set("LISTEN", "127.0.0.1:0");
    app.restart().await;
    let created = event("evt_1", "customer.created", 0, json!({}));
    Stripe::of(&app).tell(&created, "ignored").await;
}

/// Writes a request with these lines of a head, from this address of the machine; gives the start of the answer.
async fn write(app: &App, from: &str, head: &str, body: &[u8]) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(app.address()).await.unwrap();
    let head = format!("POST {WEBHOOK} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{head}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // It may be closed while this is written.
    drop(stream.write_all(body).await);
    let mut answer = vec![0; "HTTP/1.1 413".len()];
    let read = tokio::time::timeout(DEADLINE, stream.read_exact(&mut answer));
    read.await.expect("there is an answer").unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_body_of_more_than_a_mebibyte_is_not_read() {
    let app = App::with(&[STRIPE]).await;
    let stripe = Stripe::of(&app);
    for (id, bytes) in [("evt_1", BYTES_MAX - 1), ("evt_2", BYTES_MAX)] {
        let answer = stripe.bring_bytes(event_of(id, bytes).as_bytes()).await;
        assert_eq!(answer.expect(200)["outcome"], "ignored");
    }
    let before = known(&app).await;
    let body = event_of("evt_3", BYTES_MAX + 1);
    let signature = header(STRIPE_SECRET, body.as_bytes());
    // Announced, it is refused before a byte of it has arrived.
    let head = format!(
        "Stripe-Signature: {signature}\r\nContent-Length: {}\r\n",
        body.len()
    );
    assert_eq!(write(&app, "127.0.0.1", &head, b"").await, "HTTP/1.1 413");
    // Not announced, it is refused as soon as it is too much: there is no end of it.
    let head = format!("Stripe-Signature: {signature}\r\nTransfer-Encoding: chunked\r\n");
    let chunk = format!("{:x}\r\n{body}\r\n", body.len());
    assert_eq!(
        write(&app, "127.0.0.1", &head, chunk.as_bytes()).await,
        "HTTP/1.1 413"
    );
    assert_eq!(known(&app).await, before);
    // In pieces it arrives like any other.
    let body = event_of("evt_4", BYTES_MAX);
    let signature = header(STRIPE_SECRET, body.as_bytes());
    let head = format!("Stripe-Signature: {signature}\r\nTransfer-Encoding: chunked\r\n");
    let (first, second) = body.split_at(1000);
    let chunks = format!(
        "3e8\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        second.len()
    );
    assert_eq!(
        write(&app, "127.0.0.1", &head, chunks.as_bytes()).await,
        "HTTP/1.1 200"
    );
}

#[tokio::test]
async fn what_is_signed_and_no_event_is_refused() {
    let app = App::with(&[STRIPE]).await;
    let stripe = Stripe::of(&app);
    let before = known(&app).await;
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    for body in [
        "",
        "no JSON",
        "{",
        "null",
        "[]",
        "\"evt_1\"",
        "{}",
        r#"{"id":"evt_1"}"#,
        r#"{"type":"invoice.paid"}"#,
        r#"{"id":"","type":"invoice.paid"}"#,
        r#"{"id":5,"type":"invoice.paid"}"#,
        r#"{"id":"a/b","type":"invoice.paid"}"#,
        r#"{"id":"evt_1","type":""}"#,
        r#"{"id":"evt_1","type":7}"#,
        r#"{"id":"evt_1","type":"invoice.paid"}{}"#,
        "\u{feff}{\"id\":\"evt_1\",\"type\":\"invoice.paid\"}",
        &deep,
    ] {
        let answer = stripe.bring_bytes(body.as_bytes()).await;
        answer.problem(400, "malformed_callback");
    }
    let not_text = b"{\"id\":\"evt_1\",\"type\":\"\xff\"}";
    stripe
        .bring_bytes(not_text)
        .await
        .problem(400, "malformed_callback");
    assert_eq!(known(&app).await, before);
}

async fn fail(stripe: &Stripe) -> u16 {
    let answer = stripe
        .bring(&event("evt_1", "invoice.paid", 0, Value::Null))
        .await;
    let status = answer.status;
    match status {
        429 => {
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=5).contains(&wait), "{wait}");
            answer.problem(429, "too_many_failures");
        }
        _ => drop(answer.problem(400, "invalid_signature")),
    }
    status
}

#[tokio::test]
async fn who_fails_too_often_is_not_told_of_it_any_more() {
    let app = App::with(&[STRIPE]).await;
    let (stripe, stranger) = (
        Stripe::of(&app),
        Stripe::of(&app).with_secret("whsec_guessed"),
    );
    let mut told = 0;
    while fail(&stranger).await == 400 {
        told += 1;
        assert!(told < 1000, "there is no limit");
    }
    assert!(told >= 100, "{told}");
    // Stripe is believed, also if it comes from there.
    let created = event("evt_2", "customer.created", 0, json!({}));
    stripe.tell(&created, "ignored").await;
    // So are failures from elsewhere told of.
    let head = "Stripe-Signature: t=1,v1=x\r\nContent-Length: 0\r\n";
    assert_eq!(write(&app, "127.0.0.1", head, b"").await, "HTTP/1.1 429");
    assert_eq!(write(&app, "127.0.0.2", head, b"").await, "HTTP/1.1 400");
    eventually("a failure that is told of again", async || {
        (fail(&stranger).await == 400).then_some(())
    })
    .await;
}
