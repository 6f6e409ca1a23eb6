//! Names, addresses and TLS.

use super::*;

/// Answers one TLS connection after another on a thread; gives the certificate to trust.
fn tls_receiver() -> (SocketAddr, CertificateDer<'static>) {
    let names = vec!["hooks.example.com".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let mut session = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::Stream::new(&mut session, &mut socket);
            // A client that does not trust us hangs up here.
            let Ok(1..) = stream.read(&mut [0; 4096]) else {
                continue;
            };
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            stream.write_all(answer).unwrap();
        }
    });
    (address, certificate)
}

#[tokio::test]
async fn speaks_tls_with_whom_it_trusts_and_no_one_else() {
    let (address, certificate) = tls_receiver();
    let trusting = || {
        let guard = Guard::with_lookup(Arc::new(policy()), loopback);
        let tls = tls::trusting(certificate.clone()).unwrap();
        Sender::with_parts(guard, tls, "a".to_owned(), TIMEOUT).unwrap()
    };
    let distrusting = resolving(policy(), loopback);
    for (sender, host, expected) in [
        (trusting(), "hooks.example.com", None),
        (trusting(), "other.example.com", Some("is for another name")),
        (distrusting, "hooks.example.com", Some("unknown issuer")),
    ] {
        let outcome = sender
            .send(request(format!("https://{host}:{}/", address.port())))
            .await;
        match expected {
            None => assert_eq!(
                (code(&outcome), response(&outcome).body.as_str()),
                (None, "ok")
            ),
            Some(sentence) => {
                assert_eq!(code(&outcome), Some(FailureCode::Tls), "{outcome:?}");
                let message = outcome.failure.unwrap().message;
                assert!(message.contains(sentence), "{message}");
            }
        }
    }
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_name_are_told_apart() {
    let address = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    assert_eq!(code(&send_to(address).await), Some(FailureCode::Connect));
    let sender = resolving(policy(), |_| Err(std::io::Error::other("unknown")));
    let outcome = sender.send(request("http://nowhere.invalid/?s3cret")).await;
    assert_eq!(code(&outcome), Some(FailureCode::Dns));
    assert!(!format!("{outcome:?}").contains("s3cret"));
}

#[tokio::test]
async fn refused_targets_are_never_dialled() {
    static REACHED: AtomicUsize = AtomicUsize::new(0);
    let address = receiver(|mut socket, _| async move {
        REACHED.fetch_add(1, Ordering::SeqCst);
        socket
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await
    })
    .await;
    let port = address.port();
    let public_only = Policy {
        allow_http: true,
        ..Policy::default()
    };
    let own = Policy {
        own_listeners: vec![address],
        ..policy()
    };
    let other_port = Policy {
        egress_allow: vec!["127.0.0.0/8:1".parse().unwrap()],
        ..policy()
    };
    for policy in [public_only, own, other_port, Policy::default()] {
        let sender = resolving(policy, loopback);
        for host in [
            "127.0.0.1",
            "2130706433",
            "[::ffff:127.0.0.1]",
            "rebind.example.com",
        ] {
            let outcome = sender
                .send(request(format!("http://{host}:{port}/?s3cret")))
                .await;
            assert_eq!(
                code(&outcome),
                Some(FailureCode::RefusedTarget),
                "{host} {outcome:?}"
            );
            assert!(!format!("{outcome:?}").contains("s3cret"));
        }
    }
    assert_eq!(REACHED.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_allowed_name_is_reached() {
    let address = answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let sender = resolving(policy(), loopback);
    let url = format!("http://hooks.example.com:{}/", address.port());
    let outcome = sender.send(request(url)).await;
    assert_eq!((code(&outcome), response(&outcome).status), (None, 204));
}
