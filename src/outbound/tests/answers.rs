//! Answers that are slow, broken, large or no HTTP.

use super::*;

/// Writes a head that promises more, then one byte after another.
async fn dripping(head: &'static str) -> SocketAddr {
    receiver(move |mut socket, _| async move {
        socket.write_all(head.as_bytes()).await?;
        loop {
            socket.write_all(b"x").await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_2xx_whose_body_drips_is_a_success() {
    let outcome =
        send_to(dripping("HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n").await).await;
    assert_eq!(code(&outcome), None);
    assert_eq!(response(&outcome).status, 201);
    assert!(response(&outcome).body.starts_with('x') && response(&outcome).body_truncated);
}

#[tokio::test]
async fn a_500_whose_body_drips_is_its_status() {
    let head = "HTTP/1.1 500 Oh\r\nContent-Length: 99\r\nRetry-After: 7\r\n\r\n";
    let outcome = send_to(dripping(head).await).await;
    assert_eq!(code(&outcome), Some(FailureCode::HttpStatus));
    assert_eq!(response(&outcome).headers["retry-after"], "7");
    assert!(response(&outcome).body.starts_with('x') && response(&outcome).body_truncated);
}

#[tokio::test]
async fn a_dripping_head_times_out() {
    let outcome = send_to(dripping("HTTP/1.1 200 OK\r\nX-A: ").await).await;
    assert_eq!(code(&outcome), Some(FailureCode::Timeout));
}

#[tokio::test]
async fn a_body_that_breaks_off_keeps_its_status() {
    for (status, expected) in [
        ("200 OK", None),
        ("503 Busy", Some(FailureCode::HttpStatus)),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 99\r\n\r\nhalf");
        let outcome = send_to(answering(answer).await).await;
        assert_eq!(code(&outcome), expected);
        assert_eq!(response(&outcome).body, "half");
        assert!(response(&outcome).body_truncated);
    }
}

#[tokio::test]
async fn an_endless_body_is_cut_and_its_connection_closed() {
    static WRITTEN: AtomicUsize = AtomicUsize::new(0);
    let address = receiver(|mut socket, _| async move {
        socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        loop {
            socket.write_all(&[b'y'; 1024]).await?;
            WRITTEN.fetch_add(1024, Ordering::SeqCst);
        }
    })
    .await;
    let outcome = send_to(address).await;
    assert_eq!(code(&outcome), None);
    assert_eq!(response(&outcome).body.len(), Response::BODY_BYTES_MAX);
    assert!(response(&outcome).body_truncated);
    assert!(
        outcome.duration_ms < 300,
        "cut by size, not by time: {}",
        outcome.duration_ms
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    let written = WRITTEN.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(WRITTEN.load(Ordering::SeqCst), written, "still being read");
}

#[tokio::test]
async fn nul_and_broken_utf_8_become_storable() {
    let answer = b"HTTP/1.1 400 No\r\nX-A: \xff\r\nContent-Length: 5\r\n\r\na\0b\xff\xfe";
    let outcome = send_to(answering(*answer).await).await;
    assert_eq!(response(&outcome).body, "a\u{fffd}b\u{fffd}\u{fffd}");
    assert_eq!(response(&outcome).headers["x-a"], "\u{fffd}");
    assert!(!response(&outcome).body_truncated);
}

#[tokio::test]
async fn a_reset_is_a_closed_connection() {
    let address = receiver(|socket, _| async move {
        // Closing with unread or lingering data at 0 s sends a reset instead of an end.
        socket.set_zero_linger()
    })
    .await;
    assert_eq!(
        code(&send_to(address).await),
        Some(FailureCode::ConnectionClosed)
    );
}

#[tokio::test]
async fn closing_without_an_answer_is_a_closed_connection() {
    assert_eq!(
        code(&send_to(answering("").await).await),
        Some(FailureCode::ConnectionClosed)
    );
    let half = answering("HTTP/1.1 200 OK\r\nContent-Le").await;
    assert_eq!(
        code(&send_to(half).await),
        Some(FailureCode::ConnectionClosed)
    );
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let secret = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let answer =
        format!("HTTP/1.1 302 Found\r\nLocation: http://{secret}/\r\nContent-Length: 0\r\n\r\n");
    let outcome = send_to(answering(answer).await).await;
    assert_eq!(code(&outcome), Some(FailureCode::HttpStatus));
    assert_eq!(response(&outcome).status, 302);
    assert!(outcome.failure.unwrap().message.contains("not followed"));
}

#[tokio::test]
async fn large_heads_still_give_an_outcome() {
    let one = format!(
        "HTTP/1.1 200 OK\r\nX-A: 1\r\nX-Large: {}\r\n\r\n",
        "v".repeat(64 * 1024)
    );
    let outcome = send_to(answering(one).await).await;
    assert_eq!(code(&outcome), None);
    assert_eq!(
        response(&outcome).headers.keys().collect::<Vec<_>>(),
        ["x-a"]
    );

    let line = |i: usize| format!("X-{i}: {}\r\n", "v".repeat(300));
    let many: String = (0..200).map(line).collect();
    let outcome = send_to(answering(format!("HTTP/1.1 200 OK\r\n{many}\r\n")).await).await;
    assert_eq!(code(&outcome), Some(FailureCode::InvalidResponse));

    let endless = dripping_fast().await;
    assert_eq!(
        code(&send_to(endless).await),
        Some(FailureCode::InvalidResponse)
    );
}

async fn dripping_fast() -> SocketAddr {
    receiver(|mut socket, _| async move {
        socket.write_all(b"HTTP/1.1 200 OK\r\nX-A: ").await?;
        loop {
            socket.write_all(&[b'v'; 4096]).await?;
        }
    })
    .await
}

#[tokio::test]
async fn garbage_is_an_invalid_response() {
    for garbage in [
        "garbage\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "\0\0\0\0",
    ] {
        let outcome = send_to(answering(garbage).await).await;
        assert_eq!(
            code(&outcome),
            Some(FailureCode::InvalidResponse),
            "{garbage:?}"
        );
    }
    let lengths = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab";
    let outcome = send_to(answering(lengths).await).await;
    assert_eq!(code(&outcome), Some(FailureCode::InvalidResponse));
}

#[tokio::test]
async fn garbage_before_the_request_is_an_outcome() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            socket
                .write_all(b"220 smtp.example.com ESMTP\r\n")
                .await
                .unwrap();
            tokio::spawn(async move { read_request(&mut socket).await });
        }
    });
    let outcome = send_to(address).await;
    let expected = [
        Some(FailureCode::InvalidResponse),
        Some(FailureCode::ConnectionClosed),
    ];
    assert!(expected.contains(&code(&outcome)), "{outcome:?}");
}

#[tokio::test]
async fn endless_interim_answers_time_out() {
    let address = receiver(|mut socket, _| async move {
        loop {
            socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(code(&send_to(address).await), Some(FailureCode::Timeout));
}

#[tokio::test]
async fn tls_garbage_is_a_tls_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for answer in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            b"",
            b"\x15\x03\x03\x00\x02\x02\x28",
        ] {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut hello = [0; 4096];
            assert_ne!(socket.read(&mut hello).await.unwrap(), 0);
            socket.write_all(answer).await.unwrap();
            socket.shutdown().await.unwrap();
        }
    });
    for expected in [
        "does not speak TLS",
        "ended during the TLS handshake",
        "refused the TLS",
    ] {
        let outcome = send(&format!("https://{address}/?s3cret")).await;
        assert_eq!(code(&outcome), Some(FailureCode::Tls), "{outcome:?}");
        assert!(
            outcome.failure.as_ref().unwrap().message.contains(expected),
            "{outcome:?}"
        );
    }
}
