//! The tenant aggregate: a customer of the platform, its API tokens, and whether it is suspended.

use std::{borrow::Borrow, collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use chrono::{DateTime, Utc};
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::{
    ids::TokenId,
    validation::{FieldError, check_text},
};

mod command;
mod event;

pub use command::{Command, Error};
pub use event::{Event, IssuedToken};

/// How many live API tokens a tenant may have.
pub const TOKENS_MAX: usize = 1000;
/// The longest name of a tenant or a token, in characters.
pub const NAME_CHARACTERS_MAX: usize = 200;

/// A tenant's id: `^[a-z0-9][a-z0-9_-]{0,62}$`, chosen by the platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TenantId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Default for TenantId {
    fn default() -> Self {
        Self(Arc::from("-"))
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that cannot be a tenant's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must match ^[a-z0-9][a-z0-9_-]{{0,62}}$")]
pub struct InvalidTenantId;

impl FromStr for TenantId {
    type Err = InvalidTenantId;

    fn from_str(text: &str) -> Result<Self, InvalidTenantId> {
        let is_plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let is_valid = text.len() <= 63
            && text.as_bytes().first().is_some_and(is_plain)
            && text.bytes().all(|b| is_plain(&b) || b == b'_' || b == b'-');
        if is_valid {
            Ok(Self(Arc::from(text)))
        } else {
            Err(InvalidTenantId)
        }
    }
}

impl TryFrom<String> for TenantId {
    type Error = InvalidTenantId;

    fn try_from(text: String) -> Result<Self, InvalidTenantId> {
        text.parse()
    }
}

impl From<TenantId> for String {
    fn from(id: TenantId) -> Self {
        id.0.as_ref().to_owned()
    }
}

/// Why a tenant is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Suspension {
    /// Somebody wants it.
    ByHand,
    /// Its subscription is not paid for.
    ForBilling,
}

/// A tenant as its events tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    is_registered: bool,
    name: String,
    stripe_customer_id: Option<String>,
    suspension: Option<Suspension>,
    /// Live tokens and when they expire.
    tokens: BTreeMap<TokenId, Option<DateTime<Utc>>>,
}

impl cqrs_es::Aggregate for Tenant {
    const TYPE: &'static str = "tenant";
    type Command = Command;
    type Event = Event;
    type Error = Error;
    type Services = ();

    async fn handle(
        &mut self,
        command: Command,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Error> {
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Registered { name } => {
                self.is_registered = true;
                self.name = name;
            }
            Event::Renamed { name } => self.name = name,
            Event::StripeCustomerSet { stripe_customer_id } => {
                self.stripe_customer_id = stripe_customer_id;
            }
            Event::Suspended => self.suspension = Some(Suspension::ByHand),
            Event::SuspendedForBilling => self.suspension = Some(Suspension::ForBilling),
            Event::Resumed => self.suspension = None,
            Event::TokenIssued(token) => {
                self.tokens.insert(token.token_id, token.expires_at);
            }
            Event::TokenRevoked { token_id } => {
                self.tokens.remove(&token_id);
            }
        }
    }
}

impl Tenant {
    /// Whether publishing is refused and nothing is sent.
    pub fn is_suspended(&self) -> bool {
        self.suspension.is_some()
    }

    fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        if let Command::Register { name } = command {
            if self.is_registered {
                return Err(Error::AlreadyRegistered);
            }
            check_name(&name)?;
            return Ok(vec![Event::Registered { name }]);
        }
        if !self.is_registered {
            return Err(Error::NotFound);
        }
        match command {
            Command::Register { .. } => Err(Error::AlreadyRegistered),
            Command::Change {
                name,
                stripe_customer_id,
                is_suspended,
            } => self.change(name, stripe_customer_id, is_suspended),
            Command::LinkCustomer { customer_id } => self.link(customer_id),
            Command::WithdrawAccess => Ok(match self.suspension {
                Some(_) => Vec::new(),
                None => vec![Event::SuspendedForBilling],
            }),
            Command::RestoreAccess => Ok(match self.suspension {
                Some(Suspension::ForBilling) => vec![Event::Resumed],
                Some(Suspension::ByHand) | None => Vec::new(),
            }),
            Command::IssueToken { token, now } => self.issue_token(token, now),
            Command::RevokeToken { token_id } if self.tokens.contains_key(&token_id) => {
                Ok(vec![Event::TokenRevoked { token_id }])
            }
            Command::RevokeToken { .. } => Err(Error::TokenNotFound),
        }
    }

    fn change(
        &self,
        name: Option<String>,
        stripe_customer_id: Option<Option<String>>,
        is_suspended: Option<bool>,
    ) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        if let Some(name) = name.filter(|name| *name != self.name) {
            check_name(&name)?;
            events.push(Event::Renamed { name });
        }
        if let Some(id) = stripe_customer_id.filter(|id| *id != self.stripe_customer_id) {
            if let Some(text) = &id {
                check_text("stripe_customer_id", text, 1..=255)
                    .map_err(|error| Error::Invalid(vec![error]))?;
            }
            events.push(Event::StripeCustomerSet {
                stripe_customer_id: id,
            });
        }
        match is_suspended {
            // Whoever wants it takes over what a rule has done, which the rule then does not end.
            Some(true) if self.suspension != Some(Suspension::ByHand) => {
                events.push(Event::Suspended);
            }
            Some(false) if self.is_suspended() => events.push(Event::Resumed),
            _ => {}
        }
        Ok(events)
    }

    fn link(&self, customer_id: String) -> Result<Vec<Event>, Error> {
        match &self.stripe_customer_id {
            Some(known) if *known == customer_id => Ok(Vec::new()),
            Some(_) => Err(Error::OtherCustomer),
            None => Ok(vec![Event::StripeCustomerSet {
                stripe_customer_id: Some(customer_id),
            }]),
        }
    }

    fn issue_token(&self, token: IssuedToken, now: DateTime<Utc>) -> Result<Vec<Event>, Error> {
        check_name(&token.name)?;
        if token.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(Error::Invalid(vec![FieldError::new(
                "expires_at",
                "out_of_range",
                "must lie in the future",
            )]));
        }
        let live = self
            .tokens
            .values()
            .filter(|expires_at| expires_at.is_none_or(|end| end > now))
            .count();
        if live >= TOKENS_MAX {
            return Err(Error::TooManyTokens);
        }
        Ok(vec![Event::TokenIssued(token)])
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    check_text("name", name, 1..=NAME_CHARACTERS_MAX).map_err(|error| Error::Invalid(vec![error]))
}

#[cfg(test)]
mod tests;
