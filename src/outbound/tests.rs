//! The sender against receivers that fail, hang and lie, on raw sockets of the loopback.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hookledger_domain::delivery::attempt::{FailureCode, Outcome, Response};
use hookledger_domain::target::Policy;
use http::header::{HeaderName, HeaderValue};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

mod answers;
mod targets;

const TIMEOUT: Duration = Duration::from_millis(300);

/// Serves each connection with `answer`, after the request has been read whole.
async fn receiver<F, Fut>(answer: F) -> SocketAddr
where
    F: Fn(TcpStream, String) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let request = read_request(&mut socket).await;
                // A client that hangs up is what many of these tests provoke.
                let _ = answer(socket, request).await;
            });
        }
    });
    address
}

async fn read_request(socket: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.ends_with("{}") {
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(n) => text.push_str(&String::from_utf8_lossy(&buffer[..n])),
        }
    }
    text
}

async fn answering(bytes: impl Into<Vec<u8>>) -> SocketAddr {
    let bytes: Arc<[u8]> = bytes.into().into();
    receiver(move |mut socket, _| {
        let bytes = bytes.clone();
        async move {
            socket.write_all(&bytes).await?;
            socket.shutdown().await
        }
    })
    .await
}

fn policy() -> Policy {
    Policy {
        allow_http: true,
        egress_allow: vec!["127.0.0.0/8".parse().unwrap()],
        own_listeners: Vec::new(),
    }
}

fn sender_with(policy: Policy) -> Sender {
    Sender::new(Options {
        policy: Arc::new(policy),
        user_agent: "Hookledger/test".to_owned(),
        timeout: TIMEOUT,
    })
    .unwrap()
}

/// A sender for which every name is `lookup`'s addresses.
fn resolving(policy: Policy, lookup: fn(&str) -> std::io::Result<Vec<IpAddr>>) -> Sender {
    let guard = Guard::with_lookup(Arc::new(policy), lookup);
    let tls = tls::client_config().unwrap();
    Sender::with_parts(guard, tls, "a".to_owned(), TIMEOUT).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "a look-up can fail")]
fn loopback(_: &str) -> std::io::Result<Vec<IpAddr>> {
    Ok(vec![[127, 0, 0, 1].into()])
}

fn request(url: impl Into<String>) -> Request {
    Request {
        url: url.into(),
        headers: vec![(
            HeaderName::from_static("x-a"),
            HeaderValue::from_static("1"),
        )],
        body: Bytes::from_static(b"{}"),
        timeout: None,
    }
}

/// Sends, and holds the sender to its deadline (with some room for a busy machine).
async fn send(url: &str) -> Outcome {
    let started = Instant::now();
    let outcome = sender_with(policy()).send(request(url)).await;
    assert!(
        started.elapsed() < TIMEOUT + Duration::from_millis(1500),
        "too late: {outcome:?}"
    );
    assert!(!format!("{outcome:?}").contains("s3cret"), "{outcome:?}");
    outcome
}

async fn send_to(address: SocketAddr) -> Outcome {
    send(&format!("http://{address}/hook?token=s3cret")).await
}

fn code(outcome: &Outcome) -> Option<FailureCode> {
    outcome.failure.as_ref().map(|failure| failure.code)
}

fn response(outcome: &Outcome) -> &Response {
    outcome.response.as_ref().unwrap()
}

#[tokio::test]
async fn sends_exactly_what_it_is_given() {
    let address = receiver(|mut socket, request| async move {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: ";
        socket
            .write_all(format!("{head}{}\r\n\r\n{request}", request.len()).as_bytes())
            .await
    })
    .await;
    let outcome = send(&format!("http://{address}/hook?b=2&a=1#part")).await;
    assert_eq!(code(&outcome), None);
    let sent = &response(&outcome).body;
    assert!(
        sent.starts_with("POST /hook?b=2&a=1 HTTP/1.1\r\n"),
        "{sent}"
    );
    for line in [
        "x-a: 1",
        "content-type: application/json",
        "user-agent: Hookledger/test",
        "content-length: 2",
        &format!("host: {address}"),
    ] {
        assert!(sent.contains(&format!("{line}\r\n")), "{line} in {sent}");
    }
    assert!(
        !sent.contains("accept-encoding") && !sent.contains("referer"),
        "{sent}"
    );
    assert!(sent.ends_with("\r\n\r\n{}"));
}

#[tokio::test]
async fn reuses_a_connection_whose_answer_was_read() {
    static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
    let address = receiver(|mut socket, _| async move {
        CONNECTIONS.fetch_add(1, Ordering::SeqCst);
        loop {
            socket
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await?;
            if read_request(&mut socket).await.is_empty() {
                return Ok(());
            }
        }
    })
    .await;
    let sender = sender_with(policy());
    for _ in 0..5 {
        let outcome = sender.send(request(format!("http://{address}/"))).await;
        assert_eq!(
            (code(&outcome), response(&outcome).body.as_str()),
            (None, "ok")
        );
    }
    assert_eq!(CONNECTIONS.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn hanging_receiver_times_out() {
    let address = receiver(|socket, _| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(socket);
        Ok(())
    })
    .await;
    let outcome = send_to(address).await;
    assert_eq!(code(&outcome), Some(FailureCode::Timeout));
    assert!(outcome.response.is_none() && outcome.duration_ms >= 300);
}

#[tokio::test]
async fn a_webhooks_own_timeout_can_only_shorten() {
    let address = receiver(|socket, _| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(socket);
        Ok(())
    })
    .await;
    for (own, expected) in [(100, 100..300), (60_000, 300..1500)] {
        let timeout = Some(Duration::from_millis(own));
        let request = Request {
            timeout,
            ..request(format!("http://{address}/"))
        };
        let outcome = sender_with(policy()).send(request).await;
        assert_eq!(code(&outcome), Some(FailureCode::Timeout));
        assert!(expected.contains(&outcome.duration_ms), "{outcome:?}");
    }
}
