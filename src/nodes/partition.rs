//! Tenants in 256 parts, so that a node need not be asked for each of a million tenants.

use hookledger_domain::tenant::TenantId;
use sha2::{Digest, Sha256};

/// A part of all tenants: the first byte of the SHA-256 of their ids. All nodes, of every version,
/// must find the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u8);

impl Partition {
    /// How many there are.
    pub const COUNT: usize = 256;

    /// The one that a tenant is in.
    pub fn of(tenant: &TenantId) -> Self {
        Self(Sha256::digest(tenant.as_str())[0])
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_where_every_version_looks_for_it() {
        let acme: TenantId = "acme".parse().unwrap();
        assert_eq!(Partition::of(&acme), Partition(0x82));
    }

    #[test]
    fn tenants_spread() {
        let mut counts = [0; Partition::COUNT];
        for number in 0..10_000 {
            let tenant: TenantId = format!("tenant-{number}").parse().unwrap();
            counts[usize::from(Partition::of(&tenant).0)] += 1;
        }
        assert!(
            counts.iter().all(|count| (10..=80).contains(count)),
            "{counts:?}"
        );
    }
}
