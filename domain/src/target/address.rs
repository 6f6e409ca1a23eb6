//! Which addresses are public, and what the others are.
//!
//! Sources: the IANA special-purpose address registries (RFC 6890) for IPv4 and IPv6, the IANA
//! IPv6 address space registry (only `2000::/3` is handed out for global unicast), and the
//! documentation of the large clouds for their metadata addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address that is not public is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressKind {
    /// A cloud's metadata or control service, which hands out credentials.
    Metadata,
    /// This host.
    Loopback,
    /// "This network", or no address at all.
    Unspecified,
    /// A private network: RFC 1918, unique local and site-local IPv6.
    Private,
    /// A carrier's shared address space, RFC 6598.
    Shared,
    /// One link only.
    LinkLocal,
    /// Many receivers, or all.
    Multicast,
    /// For examples in documents.
    Documentation,
    /// For measuring networks.
    Benchmarking,
    /// IPv6 that carries an IPv4 address to a translator or tunnel: 6to4, Teredo, NAT64, ISATAP,
    /// IPv4-compatible. Where it ends is not known here.
    Tunnel,
    /// Not handed out for public use.
    Reserved,
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metadata => "a cloud metadata address",
            Self::Loopback => "a loopback address",
            Self::Unspecified => "an unspecified address",
            Self::Private => "a private address",
            Self::Shared => "a carrier's shared address",
            Self::LinkLocal => "a link-local address",
            Self::Multicast => "a multicast or broadcast address",
            Self::Documentation => "a documentation address",
            Self::Benchmarking => "a benchmarking address",
            Self::Tunnel => "a tunnel or translation address",
            Self::Reserved => "a reserved address",
        })
    }
}

/// `None` for a public address. `ip` must be in canonical form (no mapped IPv4).
pub(super) fn kind_of(ip: IpAddr) -> Option<AddressKind> {
    match ip {
        IpAddr::V4(ip) => kind_of_v4(ip),
        IpAddr::V6(ip) => kind_of_v6(ip),
    }
}

fn kind_of_v4(ip: Ipv4Addr) -> Option<AddressKind> {
    use AddressKind as Kind;
    Some(match ip.octets() {
        // AWS, GCP, Azure and most others; ECS tasks; Azure's wire server; Alibaba; Oracle.
        [169, 254, 169, 254]
        | [169, 254, 170, 2 | 23]
        | [168, 63, 129, 16]
        | [100, 100, 100, 200]
        | [192, 0, 0, 192] => Kind::Metadata,
        [0, ..] => Kind::Unspecified,
        [127, ..] => Kind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Kind::Private,
        [100, 64..=127, ..] => Kind::Shared,
        [169, 254, ..] => Kind::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Kind::Documentation,
        [198, 18 | 19, ..] => Kind::Benchmarking,
        // 6to4 relays, withdrawn by RFC 7526.
        [192, 88, 99, _] => Kind::Tunnel,
        [192, 0, 0, _] => Kind::Reserved,
        [224..=239, ..] | [255, 255, 255, 255] => Kind::Multicast,
        [240..=255, ..] => Kind::Reserved,
        _ => return None,
    })
}

fn kind_of_v6(ip: Ipv6Addr) -> Option<AddressKind> {
    use AddressKind as Kind;
    if is_v6_metadata(ip) {
        return Some(Kind::Metadata);
    }
    Some(match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Kind::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Loopback,
        // IPv4-compatible and the old IPv4-translated form; mapped ones were unwrapped before.
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Kind::Tunnel,
        // NAT64, well-known and local-use prefix.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => Kind::Tunnel,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Kind::Private,
        [0xfe80..=0xfebf, ..] => Kind::LinkLocal,
        [0xff00..=0xffff, ..] => Kind::Multicast,
        // Teredo; 6to4.
        [0x2001, 0, ..] | [0x2002, ..] => Kind::Tunnel,
        [0x2001, 2, 0, ..] => Kind::Benchmarking,
        // The rest of 2001::/23: ORCHID, anycast of protocols, not for servers.
        [0x2001, 0x0001..=0x01ff, ..] => Kind::Reserved,
        [0x2001, 0x0db8, ..] | [0x3fff, 0x0000..=0x0fff, ..] => Kind::Documentation,
        // The former 6bone, given back by RFC 3701.
        [0x3ffe, ..] => Kind::Reserved,
        // ISATAP, RFC 5214: the IPv4 address of the tunnel's end is in the interface id.
        [.., 0x0000 | 0x0200, 0x5efe, _, _] => Kind::Tunnel,
        [0x2000..=0x3fff, ..] => return None,
        _ => Kind::Reserved,
    })
}

fn is_v6_metadata(ip: Ipv6Addr) -> bool {
    // AWS (instance metadata, ECS/EKS credentials), GCP, Oracle and others.
    matches!(
        ip.segments(),
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23]
            | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]
            | [0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe]
            | [0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe]
    )
}
