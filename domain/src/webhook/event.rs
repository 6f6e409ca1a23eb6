use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Config;
use crate::{sealed::Sealed, tenant::TenantId};

/// What happened to a webhook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A tenant registered it.
    Registered {
        /// Whose it is.
        tenant_id: TenantId,
        /// Its configuration.
        config: Config,
        /// Whether deliveries are sent.
        is_active: bool,
        /// Its first secret.
        secret: SealedSecret,
    },
    /// Its configuration is this one now.
    Changed {
        /// The whole new configuration.
        config: Config,
    },
    /// Deliveries are sent from now on.
    Activated,
    /// No deliveries are sent from now on; pending ones wait.
    Deactivated,
    /// Hookledger itself stopped sending to it; pending deliveries wait.
    Disabled {
        /// Why.
        reason: DisableReason,
    },
    /// It signs with a new secret.
    SecretRotated {
        /// The new secret.
        secret: SealedSecret,
        /// The older ones that stay valid for a while, the newest first.
        previous: Vec<PreviousSecret>,
    },
    /// It signs with the same secrets as before, which are sealed with another master key.
    SecretsResealed {
        /// The secret.
        secret: SealedSecret,
        /// The older ones that are still valid, the newest first.
        previous: Vec<PreviousSecret>,
    },
    /// It is gone; its history stays.
    Deleted,
}

/// Why Hookledger itself disabled a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisableReason {
    /// The receiver answered 410: it is gone for good.
    Gone,
    /// For days every attempt failed.
    Failing,
}

impl DisableReason {
    /// The word on the wire and in views.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }
}

/// A secret and its number: 1 for the first one, one more at every rotation. The number is bound
/// into the sealed text, so that an old one cannot be passed off as the new one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SealedSecret {
    /// Which of the webhook's secrets.
    pub version: u64,
    /// The secret itself.
    pub sealed: Sealed,
}

/// An older secret that is still valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousSecret {
    /// The secret.
    #[serde(flatten)]
    pub secret: SealedSecret,
    /// Until when it is valid.
    pub expires_at: DateTime<Utc>,
}

impl cqrs_es::DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Registered { .. } => "registered",
            Self::Changed { .. } => "changed",
            Self::Activated => "activated",
            Self::Deactivated => "deactivated",
            Self::Disabled { .. } => "disabled",
            Self::SecretRotated { .. } => "secret_rotated",
            Self::SecretsResealed { .. } => "secrets_resealed",
            Self::Deleted => "deleted",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
