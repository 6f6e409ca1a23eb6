use hookledger_domain::{
    delivery::{self, Status},
    recovery, tenant, topic,
    validation::FieldError,
    webhook,
};

use crate::{
    store::{self, CommandError},
    vault,
};

/// Why a tenant's actor or a command came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Fields are wrong.
    #[error("the content is not valid")]
    Invalid(Vec<FieldError>),
    /// There is no such thing, or it is another tenant's.
    #[error("not found")]
    NotFound,
    /// It contradicts what is there already.
    #[error("{detail}")]
    Conflict {
        /// A stable code.
        code: &'static str,
        /// One sentence for people.
        detail: String,
    },
    /// It was based on another version.
    #[error("it has changed since")]
    PreconditionFailed,
    /// The tenant is suspended.
    #[error("the tenant is suspended")]
    Suspended,
    /// Too much waits already for this tenant.
    #[error("too many requests wait already")]
    Busy {
        /// When to come back, in seconds.
        retry_after_seconds: u64,
    },
    /// The store cannot be asked now, or the tenant's actor is just being started again.
    #[error("not available now")]
    Unavailable,
    /// Our fault; it has been logged.
    #[error("internal error")]
    Internal,
}

impl Error {
    pub(super) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict {
            code,
            detail: detail.into(),
        }
    }

    pub(super) fn invalid(error: FieldError) -> Self {
        Self::Invalid(vec![error])
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Busy => Self::Busy {
                retry_after_seconds: 1,
            },
            store::Error::Conflict | store::Error::Stale => {
                Self::conflict("conflict", error.to_string())
            }
            other if other.is_unavailable() => {
                tracing::warn!(error = %other, "the store is not available");
                Self::Unavailable
            }
            other => {
                tracing::error!(error = %other, "the store failed");
                Self::Internal
            }
        }
    }
}

impl From<vault::Error> for Error {
    fn from(error: vault::Error) -> Self {
        // It can be once somebody has given the key, or rotated a secret that was damaged.
        tracing::error!(%error, "a secret cannot be sealed or opened");
        Self::Unavailable
    }
}

impl From<vault::KeyFileError> for Error {
    fn from(error: vault::KeyFileError) -> Self {
        match error {
            vault::KeyFileError::Changed(_) => {
                tracing::error!(%error, "the master keys are not rotated");
                Self::conflict(
                    "key_file_changed",
                    "the file with the master key has changed since the server read it; restart first",
                )
            }
            vault::KeyFileError::Io { .. } => {
                tracing::error!(%error, "the master keys cannot be kept");
                Self::Internal
            }
        }
    }
}

impl From<webhook::Error> for Error {
    fn from(error: webhook::Error) -> Self {
        match error {
            webhook::Error::Invalid(errors) => Self::Invalid(errors),
            webhook::Error::NotFound => Self::NotFound,
            webhook::Error::AlreadyRegistered => {
                Self::conflict("already_exists", error.to_string())
            }
        }
    }
}

impl From<tenant::Error> for Error {
    fn from(error: tenant::Error) -> Self {
        match error {
            tenant::Error::Invalid(errors) => Self::Invalid(errors),
            tenant::Error::NotFound | tenant::Error::TokenNotFound => Self::NotFound,
            tenant::Error::AlreadyRegistered => Self::conflict("already_exists", error.to_string()),
            tenant::Error::OtherCustomer => Self::conflict("other_customer", error.to_string()),
            tenant::Error::TooManyTokens => Self::conflict("too_many_tokens", error.to_string()),
        }
    }
}

impl From<topic::Error> for Error {
    fn from(error: topic::Error) -> Self {
        match error {
            topic::Error::Invalid(errors) => Self::Invalid(errors),
            topic::Error::NotFound => Self::NotFound,
        }
    }
}

impl From<delivery::Error> for Error {
    fn from(error: delivery::Error) -> Self {
        let code = match &error {
            delivery::Error::NotFound => return Self::NotFound,
            delivery::Error::Ended { status } => match status {
                Status::Cancelled => "already_cancelled",
                _ => "delivery_ended",
            },
            delivery::Error::AlreadyScheduled | delivery::Error::WrongAttempt { .. } => "conflict",
        };
        Self::conflict(code, error.to_string())
    }
}

impl From<recovery::Error> for Error {
    fn from(error: recovery::Error) -> Self {
        match error {
            recovery::Error::NotFound => Self::NotFound,
            recovery::Error::AlreadyStarted => Self::conflict("already_exists", error.to_string()),
            recovery::Error::Ended { .. } => Self::conflict("recovery_ended", error.to_string()),
        }
    }
}

impl<E: Into<Self>> From<CommandError<E>> for Error {
    fn from(error: CommandError<E>) -> Self {
        match error {
            CommandError::Refused(refused) => refused.into(),
            CommandError::WrongVersion => Self::PreconditionFailed,
            CommandError::Store(error) => error.into(),
        }
    }
}
