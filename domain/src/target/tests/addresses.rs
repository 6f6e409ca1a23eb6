//! Single addresses, and what the operator allows.

use super::*;

#[test]
fn names_what_an_address_is() {
    use AddressKind as Kind;
    let cases: &[(Kind, &[&str])] = &[
        (
            Kind::Metadata,
            &[
                "169.254.169.254",
                "169.254.170.2",
                "168.63.129.16",
                "100.100.100.200",
                "192.0.0.192",
                "fd00:ec2::254",
                "fd20:ce::254",
                "::ffff:169.254.169.254",
            ],
        ),
        (
            Kind::Unspecified,
            &["0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0"],
        ),
        (
            Kind::Private,
            &[
                "10.0.0.0",
                "10.255.255.255",
                "172.16.0.1",
                "172.31.255.255",
                "192.168.0.1",
                "fc00::1",
                "fdff::1",
                "fec0::1",
            ],
        ),
        (Kind::Shared, &["100.64.0.0", "100.127.255.255"]),
        (Kind::LinkLocal, &["169.254.0.1", "fe80::1", "febf::1"]),
        (
            Kind::Multicast,
            &["224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1"],
        ),
        (
            Kind::Documentation,
            &[
                "192.0.2.1",
                "198.51.100.1",
                "203.0.113.1",
                "2001:db8::1",
                "3fff::1",
                "3fff:fff::1",
            ],
        ),
        (
            Kind::Benchmarking,
            &["198.18.0.1", "198.19.255.255", "2001:2::1"],
        ),
        (
            Kind::Tunnel,
            &[
                "192.88.99.1",
                "::127.0.0.1",
                "::8.8.8.8",
                "::ffff:0:127.0.0.1",
                "64:ff9b::7f00:1",
                "64:ff9b:1::7f00:1",
                "2001::1",
                "2002:7f00:1::",
                "2607:f8b0::5efe:7f00:1",
                "2607:f8b0::200:5efe:808:808",
            ],
        ),
        (
            Kind::Reserved,
            &[
                "192.0.0.1",
                "240.0.0.1",
                "255.255.255.254",
                "2001:1::1",
                "2001:10::1",
                "2001:20::1",
                "2001:1ff::1",
                "3ffe::1",
                "4000::1",
                "1fff::1",
                "100::1",
                "5f00::1",
                "64:ff9b:2::1",
            ],
        ),
    ];
    for (kind, addresses) in cases {
        for ip in *addresses {
            let refusal = judge_ip(ip, &Policy::default()).unwrap_err();
            assert_eq!(refusal.code, RefusalCode::RefusedTarget, "{ip}");
            assert_eq!(refusal.reason, Reason::Address(*kind), "{ip}");
        }
    }
}

#[test]
fn accepts_the_neighbours_of_special_ranges() {
    for ip in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "168.63.129.17",
        "2000::1",
        "2001:200::1",
        "2001:db7::1",
        "2001:db9::1",
        "2003::1",
        "2a00:1450::1",
        "3ffd::1",
        "3fff:1000::1",
        "::ffff:1.1.1.1",
    ] {
        assert_eq!(judge_ip(ip, &Policy::default()), Ok(()), "{ip}");
    }
}

#[test]
fn allows_what_the_operator_names_and_no_more() {
    let policy = allowing(&["10.1.0.0/16:8443", "fd00::/8", "::ffff:192.168.0.0/112"]);
    let judge = |address: &str| judge(address.parse().unwrap(), &policy).is_ok();
    assert!(judge("10.1.2.3:8443"));
    assert!(judge("[::ffff:10.1.2.3]:8443"));
    assert!(!judge("10.1.2.3:8444"));
    assert!(!judge("10.2.0.1:8443"));
    assert!(judge("[fd00::1]:1234"));
    assert!(judge("192.168.7.7:80"));
    assert!(!judge("127.0.0.1:8443"));
}

#[test]
fn an_ipv6_network_does_not_allow_ipv4() {
    assert!(judge_ip("::ffff:127.0.0.1", &allowing(&["::/0"])).is_err());
    assert!(judge_ip("::1", &allowing(&["0.0.0.0/0"])).is_err());
}

#[test]
fn reads_and_prints_allowances() {
    for (text, printed) in [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.9.9.9/8", "10.0.0.0/8"),
        (" 10.1.2.3 ", "10.1.2.3/32"),
        ("10.1.2.3:80", "10.1.2.3/32:80"),
        ("10.0.0.0/8:443", "10.0.0.0/8:443"),
        ("::1", "::1/128"),
        ("[::1]", "::1/128"),
        ("fd00::/8", "fd00::/8"),
        ("[::1/128]:8080", "[::1/128]:8080"),
        ("[::1]/128:8080", "[::1/128]:8080"),
        ("[::1]:8080", "[::1/128]:8080"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ] {
        let allowance: Allowance = text.parse().unwrap();
        assert_eq!(allowance.to_string(), printed, "{text}");
        assert_eq!(printed.parse(), Ok(allowance));
    }
    for text in [
        "",
        "10.0.0.0/33",
        "10.0.0/8",
        "localhost",
        "10.0.0.1:0",
        "10.0.0.1:x",
        "10.0.0.1:99999",
        "::1]",
        "[::1",
        "[[::1]]",
        "[]::1",
        "10.0.0.1:",
        "[::1]:",
        ":80",
        "fd00::/8:x",
    ] {
        assert!(text.parse::<Allowance>().is_err(), "{text}");
    }
}

#[test]
fn never_reaches_the_own_listener() {
    let own = |listener: &str| Policy {
        own_listeners: vec![listener.parse().unwrap()],
        ..allowing(&["0.0.0.0/0", "::/0"])
    };
    for (listener, target, is_own) in [
        ("127.0.0.1:8080", "127.0.0.1:8080", true),
        ("127.0.0.1:8080", "[::ffff:127.0.0.1]:8080", true),
        ("127.0.0.1:8080", "0.0.0.0:8080", true),
        ("127.0.0.1:8080", "127.0.0.1:8081", false),
        ("127.0.0.1:8080", "127.0.0.2:8080", false),
        ("0.0.0.0:8080", "127.9.9.9:8080", true),
        ("[::]:8080", "127.0.0.1:8080", true),
        ("[::]:8080", "[::1]:8080", true),
        ("[::]:8080", "10.0.0.1:8080", false),
        ("10.0.0.1:8080", "10.0.0.1:8080", true),
        ("8.8.8.8:8080", "8.8.8.8:8080", true),
    ] {
        let verdict = judge(target.parse().unwrap(), &own(listener));
        let expected = if is_own {
            Err(Reason::OwnListener.into())
        } else {
            Ok(())
        };
        assert_eq!(verdict, expected, "{listener} {target}");
        let url = format!("http://{target}/");
        assert_eq!(check(&url, &own(listener)).is_err(), is_own, "{url}");
    }
}
