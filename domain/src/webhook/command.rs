use chrono::{DateTime, Utc};

use super::{Changes, DisableReason, SealedSecret};
use crate::{sealed::Sealed, tenant::TenantId, validation::FieldError};

/// What may be asked of a webhook.
#[derive(Debug, Clone)]
pub enum Command {
    /// Make it known.
    Register {
        /// Whose it is.
        tenant_id: TenantId,
        /// Its configuration: `name`, `url` and `events` must be given.
        changes: Changes,
        /// Its first secret.
        secret: Sealed,
    },
    /// Change what is given, leave the rest.
    Change {
        /// What is given.
        changes: Changes,
    },
    /// Sign with a new secret from now on.
    RotateSecret {
        /// The new secret.
        sealed: Sealed,
        /// How long the secret until now stays valid.
        grace_seconds: u64,
        /// The number of its secret that the new one is the same as, if there is one that is still
        /// valid: secrets are sealed, so the webhook cannot see that itself.
        same_as: Option<u64>,
        /// The present moment.
        now: DateTime<Utc>,
    },
    /// Keep the secrets as they are, sealed anew.
    ResealSecrets {
        /// The secrets by their numbers. One that is not among them stays sealed as it is.
        secrets: Vec<SealedSecret>,
        /// The present moment.
        now: DateTime<Utc>,
    },
    /// Stop sending to it, because of what an attempt showed. Does nothing if it is not active, or if
    /// what decides about its attempts has changed since that attempt.
    Disable {
        /// Why.
        reason: DisableReason,
        /// The version that the attempt was made with.
        seen_version: u64,
    },
    /// Delete it; its history stays.
    Delete,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such webhook, or it was deleted.
    #[error("no such webhook")]
    NotFound,
    /// The id is taken.
    #[error("a webhook with this id exists already")]
    AlreadyRegistered,
    /// Fields are wrong.
    #[error("the content is not valid")]
    Invalid(Vec<FieldError>),
}
