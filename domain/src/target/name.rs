//! Rules about host names, before anybody resolves them.

use super::Reason;

/// Last labels that have no public meaning: special-use names (RFC 6761 and its registry), names
/// that resolve inside companies (ICANN SAC 113, RFC 6762 appendix G), and `arpa`, which holds
/// `home.arpa` and other infrastructure but no web servers. `example` is not among them: nothing
/// local answers to it.
const RESERVED: [&str; 14] = [
    "alt",
    "arpa",
    "corp",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "onion",
    "private",
    "test",
];

/// Judges a name as the URL parser gave it (lower case, Punycode). With `any_name` the operator
/// has allowed some addresses, so a local name may be meant and its addresses decide.
pub(super) fn check(name: &str, any_name: bool) -> Result<(), Reason> {
    // One final dot is DNS' own way of saying "absolute": `localhost.` is `localhost`.
    let name = name.strip_suffix('.').unwrap_or(name);
    let are_labels_fit = name.split('.').all(|label| (1..=63).contains(&label.len()));
    if name.len() > 253 || !are_labels_fit {
        return Err(Reason::HostName);
    }
    if any_name {
        return Ok(());
    }
    match name.rsplit_once('.') {
        Some((_, last)) if !RESERVED.contains(&last) => Ok(()),
        _ => Err(Reason::LocalName),
    }
}
