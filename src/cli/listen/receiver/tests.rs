use std::time::Instant;

use hookledger_domain::signature::{github, standard};

use super::*;

const BODY: &[u8] = br#"{"event":"ticket.updated"}"#;

fn options() -> Options {
    Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        secret: None,
        failures: Failures {
            statuses: &[],
            count: 0,
        },
        delay: Duration::ZERO,
    }
}

fn secret(byte: u8) -> Secret {
    Secret::from_bytes(&[byte; 32])
}

fn signed(url: &str, secret: &Secret, timestamp: i64) -> reqwest::RequestBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .unwrap();
    client
        .post(format!("{url}hooks?token=hunter2"))
        .header("x-webhook-signature", github(secret, BODY))
        .header("webhook-id", "msg_1")
        .header("webhook-timestamp", timestamp)
        .header(
            "webhook-signature",
            standard(secret, "msg_1", timestamp, BODY),
        )
        .body(BODY)
}

async fn send(request: reqwest::RequestBuilder, receiver: &mut Receiver) -> (u16, Received) {
    let status = request.send().await.unwrap().status().as_u16();
    (status, receiver.next().await.unwrap())
}

#[actix_web::test]
async fn a_request_signed_with_the_secret_is_valid_in_both_families() {
    let mut receiver = Receiver::start(options()).await.unwrap();
    receiver.trust(secret(1));
    let now = Utc::now().timestamp();
    let (status, received) = send(signed(&receiver.url(), &secret(1), now), &mut receiver).await;
    assert_eq!(status, 200);
    assert!(received.checks.github.is_valid() && received.checks.standard.is_valid());
    assert_eq!(received.body.as_deref(), Some(BODY));
    assert_eq!((received.number, received.answered), (1, 200));
    assert_eq!(
        (received.method.as_str(), received.path.as_str()),
        ("POST", "/hooks")
    );
    assert!(!format!("{received:?}").contains("hunter2"));
    receiver.stop().await;
}

#[actix_web::test]
async fn a_wrong_old_or_missing_signature_is_refused() {
    let mut receiver = Receiver::start(Options {
        secret: Some(secret(1)),
        ..options()
    })
    .await
    .unwrap();
    let url = receiver.url();
    let now = Utc::now().timestamp();

    let (status, received) = send(signed(&url, &secret(2), now), &mut receiver).await;
    assert_eq!(status, 401);
    assert_eq!(
        received.checks.github,
        Verdict::Invalid(Mismatch::Signature)
    );
    assert_eq!(
        received.checks.standard,
        Verdict::Invalid(Mismatch::Signature)
    );

    let (status, received) = send(signed(&url, &secret(1), now - 400), &mut receiver).await;
    assert_eq!(status, 401);
    assert_eq!(received.checks.github, Verdict::Valid);
    assert!(matches!(
        received.checks.standard,
        Verdict::Invalid(Mismatch::Timestamp { .. })
    ));

    let (status, received) =
        send(reqwest::Client::new().post(&url).body(BODY), &mut receiver).await;
    assert_eq!(status, 401);
    assert_eq!(received.checks.standard, Verdict::Missing);
    receiver.stop().await;
}

#[actix_web::test]
async fn a_previous_secret_is_accepted_in_a_rotation() {
    let mut receiver = Receiver::start(Options {
        secret: Some(secret(1)),
        ..options()
    })
    .await
    .unwrap();
    let now = Utc::now().timestamp();
    let both = format!(
        "{} {}",
        standard(&secret(2), "msg_1", now, BODY),
        standard(&secret(1), "msg_1", now, BODY)
    );
    let mut request = signed(&receiver.url(), &secret(2), now).build().unwrap();
    let previous = github(&secret(1), BODY).parse().unwrap();
    request
        .headers_mut()
        .insert("x-webhook-signature-previous", previous);
    request
        .headers_mut()
        .insert("webhook-signature", both.parse().unwrap());
    let request = reqwest::RequestBuilder::from_parts(reqwest::Client::new(), request);
    let (status, received) = send(request, &mut receiver).await;
    assert_eq!(status, 200);
    assert_eq!(received.checks.github, Verdict::ValidAsPrevious);
    assert_eq!(received.checks.standard, Verdict::Valid);
    receiver.stop().await;
}

#[actix_web::test]
async fn the_first_requests_fail_and_each_waits() {
    let failures = Failures {
        statuses: &[500, 503],
        count: 3,
    };
    let delay = Duration::from_millis(50);
    let mut receiver = Receiver::start(Options {
        failures,
        delay,
        ..options()
    })
    .await
    .unwrap();
    let started = Instant::now();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let request = signed(&receiver.url(), &secret(1), 0);
        statuses.push(send(request, &mut receiver).await.0);
    }
    assert_eq!(statuses, [500, 503, 500, 200]);
    assert!(started.elapsed() >= 4 * delay);
    receiver.stop().await;
}

#[actix_web::test]
async fn a_body_over_the_limit_is_refused() {
    let mut receiver = Receiver::start(options()).await.unwrap();
    let url = receiver.url();
    let post = |bytes: usize| signed(&url, &secret(1), 0).body(vec![b'x'; bytes]);
    assert_eq!(send(post(BODY_BYTES_MAX), &mut receiver).await.0, 200);
    let (status, received) = send(post(BODY_BYTES_MAX + 1), &mut receiver).await;
    assert_eq!(status, 413);
    assert!(received.body.is_none());
    receiver.stop().await;
}
