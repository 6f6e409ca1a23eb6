//! Tables of what may and may not be a target, and properties over all addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

mod addresses;
mod properties;

fn allowing(entries: &[&str]) -> Policy {
    Policy {
        allow_http: true,
        egress_allow: entries.iter().map(|entry| entry.parse().unwrap()).collect(),
        own_listeners: Vec::new(),
    }
}

fn reason_of(url: &str, policy: &Policy) -> Option<Reason> {
    check(url, policy).err().map(|refusal| refusal.reason)
}

fn judge_ip(ip: &str, policy: &Policy) -> Result<(), Refusal> {
    judge(SocketAddr::new(ip.parse().unwrap(), 443), policy)
}

#[test]
fn accepts_public_targets() {
    for url in [
        "https://example.com",
        "https://example.com/hooks?token=a@b#part",
        "HTTPS://Example.COM:8443/",
        "https://example.com./a",
        "https://hooks.acme.example/x",
        "https://bücher.example.com/ü",
        "https://xn--bcher-kva.com/",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]:8443/",
        "https://[::ffff:8.8.8.8]/",
        "https://test.com",
        "https://local.io",
        "https://invalid.org",
        "https://a_b.example.com",
    ] {
        assert_eq!(reason_of(url, &Policy::default()), None, "{url}");
    }
    assert_eq!(reason_of("http://example.com:8080/", &allowing(&[])), None);
}

#[test]
fn refuses_what_is_no_url_for_a_webhook() {
    let cases: &[(&str, Reason)] = &[
        ("", Reason::Scheme),
        ("example.com/a", Reason::Scheme),
        ("ftp://example.com/", Reason::Scheme),
        ("file:///etc/passwd", Reason::Scheme),
        ("javascript:alert(1)", Reason::Scheme),
        ("https:example.com", Reason::Scheme),
        ("https:/example.com", Reason::Scheme),
        ("https:///example.com", Reason::NoHost),
        ("https://", Reason::NoHost),
        ("https://?a", Reason::NoHost),
        ("https://user:pass@example.com/", Reason::Userinfo),
        ("https://@example.com/", Reason::Userinfo),
        ("https://:@example.com/", Reason::Userinfo),
        ("https://example.com@127.0.0.1/", Reason::Userinfo),
        (" https://example.com/", Reason::Whitespace),
        ("https://example.com/ ", Reason::Whitespace),
        ("https://exam\tple.com/", Reason::Whitespace),
        ("https://example.com/a\nb", Reason::Whitespace),
        ("https://example.com/\0", Reason::Whitespace),
        ("https://example.com/\u{7f}", Reason::Whitespace),
        ("https://example.com/\u{85}", Reason::Whitespace),
        ("https://example.com/\u{a0}", Reason::Whitespace),
        ("https://example.com/\u{3000}", Reason::Whitespace),
        ("https:\\\\example.com\\", Reason::Backslash),
        ("https://example.com\\@evil.com/", Reason::Backslash),
        (
            "https://example.com:99999/",
            Reason::Unreadable(url::ParseError::InvalidPort),
        ),
        (
            "https://[::1",
            Reason::Unreadable(url::ParseError::InvalidIpv6Address),
        ),
        (
            "https://1.2.3.4.5/",
            Reason::Unreadable(url::ParseError::InvalidIpv4Address),
        ),
        (
            "https://256.1.1.1/",
            Reason::Unreadable(url::ParseError::InvalidIpv4Address),
        ),
        ("https://example..com/", Reason::HostName),
        ("https://.example.com/", Reason::HostName),
        ("https://example.com../", Reason::HostName),
    ];
    for (url, reason) in cases {
        let refusal = check(url, &allowing(&["0.0.0.0/0"])).unwrap_err();
        assert_eq!(
            (refusal.code, refusal.reason),
            (RefusalCode::InvalidUrl, reason.clone()),
            "{url}"
        );
    }
    let long_label = format!("https://{}.com/", "a".repeat(64));
    assert_eq!(
        reason_of(&long_label, &Policy::default()),
        Some(Reason::HostName)
    );
}

#[test]
fn bounds_the_length() {
    let of = |bytes: usize| format!("https://example.com/{}", "a".repeat(bytes - 20));
    assert_eq!(reason_of(&of(2048), &Policy::default()), None);
    assert_eq!(
        reason_of(&of(2049), &Policy::default()),
        Some(Reason::TooLong { bytes: 2049 })
    );
}

#[test]
fn refuses_local_names_unless_the_operator_allows_addresses() {
    for url in [
        "https://localhost/",
        "https://localhost./",
        "https://LOCALHOST:8443/",
        "https://ｌｏｃａｌｈｏｓｔ/",
        "https://a.localhost/",
        "https://intranet/",
        "https://db.local/",
        "https://metadata.google.internal/",
        "https://router.home.arpa/",
        "https://x.onion/",
        "https://x.lan/",
        "https://x.corp/",
        "https://x.test/",
        "https://x.invalid./",
    ] {
        let refusal = check(url, &Policy::default()).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::RefusedTarget, "{url}");
        assert_eq!(refusal.reason, Reason::LocalName, "{url}");
        assert_eq!(reason_of(url, &allowing(&["127.0.0.0/8"])), None, "{url}");
    }
}

#[test]
fn refuses_http_and_bad_ports() {
    assert_eq!(
        reason_of("http://example.com/", &Policy::default()),
        Some(Reason::PlainHttp)
    );
    for port in [0, 1, 22, 25, 6000, 6667, 10080] {
        let url = format!("https://example.com:{port}/");
        assert_eq!(
            reason_of(&url, &allowing(&["0.0.0.0/0"])),
            Some(Reason::BadPort(port))
        );
    }
    for port in [2, 80, 443, 6001, 8080, 65535] {
        let url = format!("https://example.com:{port}/");
        assert_eq!(reason_of(&url, &Policy::default()), None, "{port}");
    }
}

#[test]
fn bad_ports_are_sorted_for_the_search() {
    assert!(BAD_PORTS.is_sorted());
}

#[test]
fn sees_through_every_spelling_of_loopback() {
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0X7F.0.0.0x1",
        "017700000001",
        "0177.0.0.1",
        "0177.0.0.01",
        "①②⑦.⓪.⓪.①",
        "１２７.０.０.１",
        "127。0。0。1",
        "127.255.255.254",
        "%31%32%37.0.0.1",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:7f00:1]",
    ] {
        let url = format!("https://{host}/");
        let expected = Some(Reason::Address(AddressKind::Loopback));
        assert_eq!(reason_of(&url, &Policy::default()), expected, "{host}");
        let allowed = allowing(&["127.0.0.0/8", "::1"]);
        assert_eq!(reason_of(&url, &allowed), None, "{host}");
    }
}

#[test]
fn never_repeats_the_query() {
    for url in [
        "http://example.com/path?token=s3cret",
        "https://user:s3cret@example.com/",
        "https://localhost/?s3cret",
        "https://127.0.0.1/?s3cret",
        "https://[::1?s3cret",
        "https://example.com\\?s3cret",
    ] {
        let refusal = check(url, &Policy::default()).unwrap_err();
        assert!(
            !format!("{refusal} {refusal:?}").contains("s3cret"),
            "{url}"
        );
    }
}
