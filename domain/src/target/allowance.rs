//! What an operator allows beyond public addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// A network, on every port or on one: an entry of `HOOKLEDGER_EGRESS_ALLOW`.
///
/// Written `10.0.0.0/8`, `10.1.2.3`, `10.0.0.0/8:8443`, `fd00::/8`, `[::1]`, `[::1]:8080`,
/// `[fd00::/8]:8443` or `[fd00::]/8:8443`. A bare address is that address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    net: IpNet,
    port: Option<u16>,
}

impl Allowance {
    /// Whether `ip` on `port` is allowed. `ip` must be in canonical form (no mapped IPv4).
    pub(super) fn covers(&self, ip: IpAddr, port: u16) -> bool {
        self.net.contains(&ip) && self.port.is_none_or(|own| own == port)
    }
}

/// An entry of `HOOKLEDGER_EGRESS_ALLOW` that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAllowance {
    /// The part before the port is neither an address nor a network.
    #[error(
        "`{text}` is no address or network; write `10.0.0.0/8`, `10.1.2.3:8443` or `[fd00::/8]:8443`"
    )]
    Network {
        /// The part that could not be read.
        text: String,
    },
    /// The part after the network is no port.
    #[error("`{text}` is no port from 1 to 65535")]
    Port {
        /// The part that could not be read.
        text: String,
    },
}

impl FromStr for Allowance {
    type Err = InvalidAllowance;

    fn from_str(text: &str) -> Result<Self, InvalidAllowance> {
        let text = text.trim();
        let (net, port) = split_port(text);
        let unbracketed: String = net.chars().filter(|c| !matches!(c, '[' | ']')).collect();
        let are_brackets_fit = net == unbracketed
            || net == format!("[{unbracketed}]")
            || unbracketed
                .split_once('/')
                .is_some_and(|(ip, len)| net == format!("[{ip}]/{len}"));
        let net = parse_net(&unbracketed)
            .filter(|_| are_brackets_fit)
            .ok_or_else(|| InvalidAllowance::Network {
                text: net.to_owned(),
            })?;
        let port = port.map(parse_port).transpose()?;
        Ok(Self { net, port })
    }
}

/// Without brackets an IPv6 network has no port: its own colons could not be told apart.
fn split_port(text: &str) -> (&str, Option<&str>) {
    let is_bare_v6 = !text.contains(']') && text.matches(':').count() > 1;
    match text.rsplit_once(':') {
        Some((net, port)) if !is_bare_v6 && !port.contains(']') => (net, Some(port)),
        _ => (text, None),
    }
}

fn parse_port(text: &str) -> Result<u16, InvalidAllowance> {
    match text.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(InvalidAllowance::Port {
            text: text.to_owned(),
        }),
    }
}

/// Host bits are cut off, and a mapped IPv4 network becomes the IPv4 network, since that is what
/// canonical addresses are compared with.
fn parse_net(text: &str) -> Option<IpNet> {
    let net: IpNet = match text.parse() {
        Ok(net) => net,
        Err(_) => text.parse::<IpAddr>().ok()?.into(),
    };
    Some(
        match net {
            IpNet::V6(net) if net.prefix_len() >= 96 => {
                unmap(net.addr(), net.prefix_len()).map_or(IpNet::V6(net), IpNet::V4)
            }
            other => other,
        }
        .trunc(),
    )
}

fn unmap(ip: Ipv6Addr, prefix_len: u8) -> Option<Ipv4Net> {
    let ip: Ipv4Addr = ip.to_ipv4_mapped()?;
    Ipv4Net::new(ip, prefix_len - 96).ok()
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.net, self.port) {
            (net, None) => write!(f, "{net}"),
            (IpNet::V4(net), Some(port)) => write!(f, "{net}:{port}"),
            (IpNet::V6(net), Some(port)) => write!(f, "[{net}]:{port}"),
        }
    }
}
