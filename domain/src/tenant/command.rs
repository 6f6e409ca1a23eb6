use chrono::{DateTime, Utc};

use super::{IssuedToken, TOKENS_MAX};
use crate::{ids::TokenId, validation::FieldError};

/// What may be asked of a tenant.
#[derive(Debug, Clone)]
pub enum Command {
    /// Make it known.
    Register {
        /// Its name, for people.
        name: String,
    },
    /// Change what is given, leave the rest.
    Change {
        /// Its name, for people.
        name: Option<String>,
        /// Its customer id at Stripe; `Some(None)` removes it.
        stripe_customer_id: Option<Option<String>>,
        /// Whether publishing is refused and nothing is sent.
        is_suspended: Option<bool>,
    },
    /// Give it the customer of Stripe's that a callback names, if it has none yet.
    LinkCustomer {
        /// The customer's id.
        customer_id: String,
    },
    /// Suspend it because its subscription is not paid for, unless it is suspended.
    WithdrawAccess,
    /// End the suspension if that is why.
    RestoreAccess,
    /// Issue an API token.
    IssueToken {
        /// The token without its secret.
        token: IssuedToken,
        /// The present moment.
        now: DateTime<Utc>,
    },
    /// Revoke an API token.
    RevokeToken {
        /// Which one.
        token_id: TokenId,
    },
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The id is taken.
    #[error("a tenant with this id exists already")]
    AlreadyRegistered,
    /// There is no such tenant.
    #[error("no such tenant")]
    NotFound,
    /// The tenant has no such live token.
    #[error("no such token")]
    TokenNotFound,
    /// The tenant has as many live tokens as it may.
    #[error("a tenant has at most {TOKENS_MAX} live tokens; revoke some first")]
    TooManyTokens,
    /// It has another customer of Stripe's.
    #[error("the tenant has another customer")]
    OtherCustomer,
    /// Fields are wrong.
    #[error("the content is not valid")]
    Invalid(Vec<FieldError>),
}
