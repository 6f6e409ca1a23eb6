//! Where a webhook may point: rules about URLs and addresses that need no DNS.
//!
//! [`check`] says what can be said of a URL as it is written, [`judge`] what can be said of one
//! address. A URL is checked when it is configured and again before each attempt; every address
//! that its name resolves to, and the peer that was connected, is judged by the same function.
//!
//! The tenant chooses the URL and the server sits inside the operator's network, so all that is
//! not known to be public is refused (server-side request forgery).

mod address;
mod allowance;
mod name;
mod refusal;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

pub use address::AddressKind;
pub use allowance::{Allowance, InvalidAllowance};
pub use refusal::{Reason, Refusal, RefusalCode};

/// A URL may have this many bytes at most.
pub const URL_BYTES_MAX: usize = 2048;

/// What the operator allows beyond public `https` targets, and what is never a target.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Accept `http://` (`HOOKLEDGER_ALLOW_HTTP`).
    pub allow_http: bool,
    /// Addresses that may be reached besides public ones (`HOOKLEDGER_EGRESS_ALLOW`).
    pub egress_allow: Vec<Allowance>,
    /// Where this server itself listens. Never a target, allowed or not: a webhook to the own
    /// API would let a tenant speak with the server's address. An unspecified address
    /// (`0.0.0.0`, `[::]`) stands for every loopback address; the server adds the addresses of
    /// its interfaces, which this crate cannot know.
    pub own_listeners: Vec<SocketAddr>,
}

/// Says whether `url` may be a target, as far as can be said without DNS, and parses it.
///
/// A name that passes must still be resolved and each of its addresses given to [`judge`].
///
/// # Errors
/// A [`Refusal`] whose sentence says what is allowed and never repeats the URL's query:
/// `invalid_url` for what is no usable URL, `refused_target` for what may not be reached.
pub fn check(url: &str, policy: &Policy) -> Result<Url, Refusal> {
    check_text(url)?;
    let parsed = Url::parse(url).map_err(Reason::Unreadable)?;
    if parsed.scheme() == "http" && !policy.allow_http {
        return Err(Reason::PlainHttp.into());
    }
    let port = parsed.port_or_known_default().unwrap_or(0);
    if is_bad_port(port) {
        return Err(Reason::BadPort(port).into());
    }
    match parsed.host() {
        None => return Err(Reason::NoHost.into()),
        Some(Host::Domain(name)) => name::check(name, !policy.egress_allow.is_empty())?,
        Some(Host::Ipv4(ip)) => judge(SocketAddr::new(ip.into(), port), policy)?,
        Some(Host::Ipv6(ip)) => judge(SocketAddr::new(ip.into(), port), policy)?,
    }
    Ok(parsed)
}

/// Says whether one address may be connected to: the own listeners never, what the operator
/// allows and public addresses always.
///
/// IPv4 in IPv6 clothes (`::ffff:127.0.0.1`) is judged as the IPv4 address that would be
/// dialled.
///
/// # Errors
/// A [`Refusal`] with code `refused_target`. It names the kind of address, never the address: it
/// may come from an internal name server.
pub fn judge(address: SocketAddr, policy: &Policy) -> Result<(), Refusal> {
    let ip = address.ip().to_canonical();
    let port = address.port();
    if is_own_listener(ip, port, policy) {
        return Err(Reason::OwnListener.into());
    }
    if policy
        .egress_allow
        .iter()
        .any(|allowed| allowed.covers(ip, port))
    {
        return Ok(());
    }
    match address::kind_of(ip) {
        None => Ok(()),
        Some(kind) => Err(Reason::Address(kind).into()),
    }
}

/// Looks at the text as it was written, because the parser of the URL Standard silently strips
/// tabs and line ends, trims spaces, turns `\` into `/`, and drops an empty userinfo. What two
/// parsers may read differently is no URL to store.
fn check_text(url: &str) -> Result<(), Reason> {
    if url.len() > URL_BYTES_MAX {
        return Err(Reason::TooLong { bytes: url.len() });
    }
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Reason::Whitespace);
    }
    if url.contains('\\') {
        return Err(Reason::Backslash);
    }
    let (scheme, rest) = url.split_once("://").ok_or(Reason::Scheme)?;
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return Err(Reason::Scheme);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(Reason::Userinfo);
    }
    if authority.is_empty() {
        return Err(Reason::NoHost);
    }
    Ok(())
}

fn is_own_listener(ip: IpAddr, port: u16, policy: &Policy) -> bool {
    // Dialling an unspecified address reaches the loopback on Linux.
    let reaches_loopback = ip.is_loopback() || ip.is_unspecified();
    policy.own_listeners.iter().any(|own| {
        let own_ip = own.ip().to_canonical();
        let is_same = own_ip == ip
            || (own_ip.is_unspecified() && reaches_loopback)
            || (own_ip.is_loopback() && ip.is_unspecified());
        own.port() == port && is_same
    })
}

/// The Fetch Standard's bad ports (<https://fetch.spec.whatwg.org/#port-blocking>), in order:
/// services that could take an HTTP request for their own protocol.
const BAD_PORTS: [u16; 83] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427,
    465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697, 10080,
];

fn is_bad_port(port: u16) -> bool {
    BAD_PORTS.binary_search(&port).is_ok()
}
