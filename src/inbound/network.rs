//! Whose an address is, as far as limits are concerned.

use std::net::{IpAddr, Ipv6Addr};

/// Whoever has one address of a 64-bit network of IPv6 has all of them.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}
