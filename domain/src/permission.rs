//! Roles and what they permit (the table of the contract's section 2).

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Something that a request may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// See webhooks, never their secrets.
    WebhooksRead,
    /// Create, change, delete webhooks and rotate their secrets.
    WebhooksWrite,
    /// See a webhook's secret.
    WebhooksSecret,
    /// See deliveries, logs and messages.
    DeliveriesRead,
    /// Redeliver, recover, test, cancel.
    DeliveriesRedeliver,
    /// Publish messages.
    MessagesPublish,
    /// Read and check the tenant's part of the ledger.
    AuditRead,
    /// See subscription and invoices.
    BillingRead,
    /// Manage the tenant's API tokens.
    TokensManage,
}

impl Permission {
    /// The name that answers and docs use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebhooksRead => "webhooks:read",
            Self::WebhooksWrite => "webhooks:write",
            Self::WebhooksSecret => "webhooks:secret",
            Self::DeliveriesRead => "deliveries:read",
            Self::DeliveriesRedeliver => "deliveries:redeliver",
            Self::MessagesPublish => "messages:publish",
            Self::AuditRead => "audit:read",
            Self::BillingRead => "billing:read",
            Self::TokensManage => "tokens:manage",
        }
    }
}

/// What a token or user is within its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May do everything within the tenant.
    Admin,
    /// Sees and redelivers, changes nothing.
    Operator,
    /// Sees.
    Viewer,
    /// Publishes, and nothing else.
    Publisher,
}

impl Role {
    /// All roles, the mightiest first.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Operator, Self::Viewer, Self::Publisher];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
            Self::Publisher => "publisher",
        }
    }

    /// Whether the role has the permission.
    pub fn permits(self, permission: Permission) -> bool {
        use Permission as P;
        match self {
            Self::Admin => true,
            Self::Operator => matches!(
                permission,
                P::WebhooksRead | P::DeliveriesRead | P::DeliveriesRedeliver
            ),
            Self::Viewer => matches!(permission, P::WebhooksRead | P::DeliveriesRead),
            Self::Publisher => permission == P::MessagesPublish,
        }
    }
}

/// A word that names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a role is admin, operator, viewer or publisher")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownRole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_contracts() {
        use Permission as P;
        let table = [
            (P::WebhooksRead, "aov"),
            (P::WebhooksWrite, "a"),
            (P::WebhooksSecret, "a"),
            (P::DeliveriesRead, "aov"),
            (P::DeliveriesRedeliver, "ao"),
            (P::MessagesPublish, "ap"),
            (P::AuditRead, "a"),
            (P::BillingRead, "a"),
            (P::TokensManage, "a"),
        ];
        for (permission, letters) in table {
            for role in Role::ALL {
                assert_eq!(
                    role.permits(permission),
                    letters.contains(&role.as_str()[..1]),
                    "{role:?} {permission:?}"
                );
            }
        }
    }
}
