//! What holds for all addresses and texts.

use super::*;

proptest! {
    #[test]
    fn outside_global_unicast_nothing_is_public(bits in any::<u128>()) {
        let ip = Ipv6Addr::from(bits);
        prop_assume!(bits >> 125 != 1 && ip.to_ipv4_mapped().is_none());
        let verdict = judge(SocketAddr::new(ip.into(), 443), &Policy::default());
        prop_assert_eq!(verdict.unwrap_err().code, RefusalCode::RefusedTarget);
    }

    #[test]
    fn a_mapped_address_is_judged_as_itself(bits in any::<u32>(), port in 1u16..) {
        let ip = Ipv4Addr::from(bits);
        let policy = allowing(&["10.0.0.0/8", "172.16.0.0/12:8443"]);
        let plain = judge(SocketAddr::new(ip.into(), port), &policy);
        let mapped = judge(SocketAddr::new(ip.to_ipv6_mapped().into(), port), &policy);
        prop_assert_eq!(plain, mapped);
    }

    #[test]
    fn agrees_with_the_standard_library(bits in any::<u32>()) {
        let ip = Ipv4Addr::from(bits);
        let is_special = ip.is_private() || ip.is_loopback() || ip.is_link_local()
            || ip.is_broadcast() || ip.is_documentation() || ip.is_multicast()
            || ip.is_unspecified();
        let verdict = judge(SocketAddr::new(ip.into(), 443), &Policy::default());
        prop_assert!(!is_special || verdict.is_err());
    }

    #[test]
    fn every_number_spelling_of_an_ipv4_address_is_judged_alike(bits in any::<u32>()) {
        let [a, b, c, d] = bits.to_be_bytes();
        let plain = reason_of(&format!("https://{a}.{b}.{c}.{d}/"), &Policy::default());
        for host in [
            format!("{bits}"),
            format!("0x{bits:x}"),
            format!("0{bits:o}"),
            format!("0x{a:X}.0{b:o}.{c}.0x{d:x}"),
            format!("{a}.{}", bits & 0x00ff_ffff),
            format!("{a}.{b}.{}", bits & 0xffff),
            format!("[::ffff:{a}.{b}.{c}.{d}]"),
        ] {
            prop_assert_eq!(&reason_of(&format!("https://{host}/"), &Policy::default()), &plain);
        }
    }

    #[test]
    fn never_panics_and_accepts_only_urls_with_a_host(text in ".{0,60}") {
        for url in [text.clone(), format!("https://{text}"), format!("https://a.com:{text}")] {
            if let Ok(parsed) = check(&url, &Policy::default()) {
                prop_assert_eq!(parsed.scheme(), "https");
                prop_assert!(parsed.username().is_empty() && parsed.password().is_none());
            }
        }
    }

    #[test]
    fn reading_an_allowance_never_panics(text in "[0-9a-f:./\\[\\]]{0,30}") {
        if let Ok(allowance) = text.parse::<Allowance>() {
            prop_assert_eq!(allowance.to_string().parse(), Ok(allowance));
        }
    }
}
