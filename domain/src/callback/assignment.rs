//! Whose a callback is.

use super::Reason;
use crate::{stripe::Notice, tenant::TenantId};

/// A tenant, and the customer that it is at Stripe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which tenant.
    pub tenant_id: TenantId,
    /// Its customer, if it has one.
    pub customer_id: Option<String>,
}

/// The tenants that come into question for a callback.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidates {
    /// Those who have its customer.
    pub by_customer: Vec<TenantId>,
    /// The one that its metadata names, if there is that tenant.
    pub by_metadata: Option<Candidate>,
    /// The one that its `client_reference_id` names, likewise.
    pub by_reference: Option<Candidate>,
}

/// Whose a callback is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A tenant's.
    Tenant {
        /// Which.
        tenant_id: TenantId,
        /// The tenant had no customer until now; it is the callback's from now on.
        is_linked_now: bool,
    },
    /// Nobody knows.
    Nobody(Reason),
}

/// Says whose a callback is: of whoever has its customer; else of the tenant that its metadata names,
/// which only the platform can write; else of the one that its `client_reference_id` names. That one
/// may come from whoever buys (it is a parameter of payment links), and so, like the metadata, never
/// takes a tenant away from the customer that it has.
#[must_use]
pub fn owner(notice: &Notice, candidates: Candidates) -> Owner {
    match candidates.by_customer.as_slice() {
        [] => {}
        [one] => {
            return Owner::Tenant {
                tenant_id: one.clone(),
                is_linked_now: false,
            };
        }
        _ => return Owner::Nobody(Reason::SeveralTenants),
    }
    let named = if notice.metadata_tenant.is_some() {
        candidates.by_metadata
    } else if notice.client_reference.is_some() {
        candidates.by_reference
    } else {
        return Owner::Nobody(Reason::NoTenantNamed);
    };
    let Some(named) = named else {
        return Owner::Nobody(Reason::UnknownTenant);
    };
    // Its customer is another one, or the callback's would be among those who have it.
    if named.customer_id.is_some() && notice.customer_id.is_some() {
        return Owner::Nobody(Reason::OtherCustomer);
    }
    Owner::Tenant {
        is_linked_now: notice.customer_id.is_some(),
        tenant_id: named.tenant_id,
    }
}
