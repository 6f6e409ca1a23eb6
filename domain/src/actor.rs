//! Who acted, and what every event says about how it came to be.

use std::{collections::HashMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::tenant::TenantId;

/// What kind of party acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// Somebody with the platform token.
    Platform,
    /// An API token of a tenant.
    Token,
    /// A user of the platform's identity provider.
    User,
    /// Hookledger itself, by one of its rules.
    System,
    /// Stripe, by a callback whose signature was verified.
    Stripe,
}

impl ActorKind {
    /// The word in the ledger's metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Token => "token",
            Self::User => "user",
            Self::System => "system",
            Self::Stripe => "stripe",
        }
    }
}

/// A party that acted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// What kind of party.
    pub kind: ActorKind,
    /// The token's id, the JWT's subject or the name of the system's rule.
    pub id: Arc<str>,
    /// For people: the token's name.
    pub name: Arc<str>,
}

impl Actor {
    /// Whoever holds the platform token.
    pub fn platform() -> Self {
        Self {
            kind: ActorKind::Platform,
            id: Arc::from("platform"),
            name: Arc::from("platform"),
        }
    }

    /// Hookledger itself, acting by `rule`.
    pub fn system(rule: &'static str) -> Self {
        Self {
            kind: ActorKind::System,
            id: Arc::from(rule),
            name: Arc::from("hookledger"),
        }
    }

    /// Stripe, whose callbacks are verified.
    pub fn stripe() -> Self {
        Self {
            kind: ActorKind::Stripe,
            id: Arc::from("stripe"),
            name: Arc::from("Stripe"),
        }
    }

    /// What a sentence about it begins with.
    pub fn called(&self) -> &str {
        match self.kind {
            ActorKind::Platform => "The platform",
            ActorKind::System => "Hookledger",
            ActorKind::Stripe => "Stripe",
            ActorKind::Token | ActorKind::User if self.name.is_empty() => &self.id,
            ActorKind::Token | ActorKind::User => &self.name,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.id)
    }
}

/// What stands beside an event: for whom, by whom and because of what it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The tenant whose event it is; none for what concerns the platform as a whole.
    pub tenant: Option<TenantId>,
    /// Who acted.
    pub actor: Actor,
    /// The HTTP request that carried the command, if one did.
    pub request_id: Option<Arc<str>>,
    /// The address from which that request came.
    pub client: Option<Arc<str>>,
    /// The id of what led to this event: a message for its deliveries, a delivery for an attempt.
    pub cause: Option<Arc<str>>,
}

impl Origin {
    /// Something that Hookledger does for `tenant` by one of its rules.
    pub fn system(tenant: TenantId, rule: &'static str) -> Self {
        Self {
            tenant: Some(tenant),
            actor: Actor::system(rule),
            request_id: None,
            client: None,
            cause: None,
        }
    }

    /// The same origin of what belongs to this tenant, or to none.
    #[must_use]
    pub fn within(mut self, tenant: Option<TenantId>) -> Self {
        self.tenant = tenant;
        self
    }

    /// The same origin with what led to it.
    #[must_use]
    pub fn because_of(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(Arc::from(cause.to_string()));
        self
    }

    /// The flat map of texts that cqrs-es keeps as an event's metadata.
    pub fn to_metadata(&self) -> HashMap<String, String> {
        let mut map = HashMap::with_capacity(7);
        let mut put = |key: &str, value: &str| map.insert(key.to_owned(), value.to_owned());
        put("actor_kind", self.actor.kind.as_str());
        put("actor_id", &self.actor.id);
        put("actor_name", &self.actor.name);
        let optional = [
            ("tenant", self.tenant.as_ref().map(TenantId::as_str)),
            ("request_id", self.request_id.as_deref()),
            ("client", self.client.as_deref()),
            ("cause", self.cause.as_deref()),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                put(key, value);
            }
        }
        map
    }

    /// Reads back what [`Origin::to_metadata`] made.
    ///
    /// Returns `None` if the map names no known kind of actor.
    pub fn from_metadata(map: &HashMap<String, String>) -> Option<Self> {
        let get = |key: &str| map.get(key).map(|text| Arc::<str>::from(text.as_str()));
        let kind = match map.get("actor_kind")?.as_str() {
            "platform" => ActorKind::Platform,
            "token" => ActorKind::Token,
            "user" => ActorKind::User,
            "system" => ActorKind::System,
            "stripe" => ActorKind::Stripe,
            _ => return None,
        };
        Some(Self {
            tenant: map.get("tenant").and_then(|text| text.parse().ok()),
            actor: Actor {
                kind,
                id: get("actor_id")?,
                name: get("actor_name")?,
            },
            request_id: get("request_id"),
            client: get("client"),
            cause: get("cause"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_begin_with_a_name() {
        let token = |name: &str| Actor {
            kind: ActorKind::Token,
            id: "tok_1".into(),
            name: name.into(),
        };
        assert_eq!(Actor::platform().called(), "The platform");
        assert_eq!(Actor::system("deliver").called(), "Hookledger");
        assert_eq!(Actor::stripe().called(), "Stripe");
        assert_eq!(token("Ann").called(), "Ann");
        assert_eq!(token("").called(), "tok_1");
    }

    #[test]
    fn metadata_reads_back() {
        let origin = Origin {
            tenant: Some("acme".parse().unwrap()),
            actor: Actor {
                kind: ActorKind::Token,
                id: "tok_1".into(),
                name: "ci".into(),
            },
            request_id: Some("r-1".into()),
            client: Some("127.0.0.1".into()),
            cause: None,
        }
        .because_of("msg_1");
        assert_eq!(Origin::from_metadata(&origin.to_metadata()), Some(origin));
    }
}
