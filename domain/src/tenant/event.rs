use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{ids::TokenId, permission::Role};

/// What happened to a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The platform made it known.
    Registered {
        /// Its name, for people.
        name: String,
    },
    /// It has another name.
    Renamed {
        /// Its name, for people.
        name: String,
    },
    /// Its customer id at Stripe was set or removed.
    StripeCustomerSet {
        /// The id, if it has one now.
        stripe_customer_id: Option<String>,
    },
    /// Publishing is refused and nothing is sent from now on.
    Suspended,
    /// The same by a rule, because its subscription is not paid for.
    SuspendedForBilling,
    /// The suspension is over.
    Resumed,
    /// An API token was issued.
    TokenIssued(IssuedToken),
    /// An API token was revoked.
    TokenRevoked {
        /// Which one.
        token_id: TokenId,
    },
}

impl Event {
    /// Whether it suspends the tenant or ends that.
    #[must_use]
    pub fn decides_about_publishing(&self) -> bool {
        matches!(
            self,
            Self::Suspended | Self::SuspendedForBilling | Self::Resumed
        )
    }
}

/// An API token as the ledger knows it: never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedToken {
    /// The token's id.
    pub token_id: TokenId,
    /// Its name, for people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// SHA-256 of the whole token, lower-case hexadecimal. The token carries 256 random bits, so
    /// a plain hash cannot be searched.
    pub token_sha256: String,
    /// From when on it is refused.
    pub expires_at: Option<DateTime<Utc>>,
}

impl cqrs_es::DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Registered { .. } => "registered",
            Self::Renamed { .. } => "renamed",
            Self::StripeCustomerSet { .. } => "stripe_customer_set",
            Self::Suspended => "suspended",
            Self::SuspendedForBilling => "suspended_for_billing",
            Self::Resumed => "resumed",
            Self::TokenIssued(_) => "token_issued",
            Self::TokenRevoked { .. } => "token_revoked",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
