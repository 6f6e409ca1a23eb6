//! The webhook aggregate: a tenant's registration, its configuration and its secrets.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::{
    target,
    tenant::TenantId,
    topic::{Catalogue, Topic},
};

mod command;
mod config;
mod event;
pub mod headers;

pub use command::{Command, Error};
pub use config::{
    Changes, Config, EVENTS_MAX, IN_FLIGHT_MAX, Ordering, RATE_LIMIT_MAX, TIMEOUT_SECONDS_MAX,
};
pub use event::{Event, PreviousSecret, SealedSecret};

/// How many webhooks a tenant may have.
pub const PER_TENANT_MAX: usize = 1000;
/// How many secrets besides the newest may be valid at one time.
pub const PREVIOUS_SECRETS_MAX: usize = 5;
/// The longest grace of a rotation: 7 days, in seconds.
pub const GRACE_SECONDS_MAX: u64 = 7 * 24 * 3600;
/// The grace of a rotation that names none: one day, in seconds.
pub const GRACE_SECONDS_DEFAULT: u64 = 24 * 3600;

/// What a webhook's configuration is judged by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Where deliveries may go.
    pub policy: Arc<target::Policy>,
    /// Which topics there are.
    pub catalogue: Arc<Catalogue>,
}

/// A webhook as its events tell it. Its version is the sequence of its last event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    tenant_id: Option<TenantId>,
    config: Config,
    is_active: bool,
    secret: SealedSecret,
    previous: Vec<PreviousSecret>,
    is_deleted: bool,
}

impl Webhook {
    /// Whether it was registered and not deleted.
    pub fn exists(&self) -> bool {
        self.tenant_id.is_some() && !self.is_deleted
    }

    /// Whose it is, if it was ever registered.
    pub fn tenant_id(&self) -> Option<&TenantId> {
        self.tenant_id.as_ref()
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether deliveries are sent.
    pub fn is_active(&self) -> bool {
        self.is_active
    }

    /// The newest secret.
    pub fn secret(&self) -> &SealedSecret {
        &self.secret
    }

    /// The older secrets that are valid at `now`, the newest first.
    pub fn previous_secrets(&self, now: DateTime<Utc>) -> impl Iterator<Item = &PreviousSecret> {
        self.previous
            .iter()
            .filter(move |previous| previous.expires_at > now)
    }

    /// Whether it subscribes to the topic.
    pub fn subscribes_to(&self, topic: &Topic) -> bool {
        self.config
            .events
            .iter()
            .any(|pattern| pattern.matches(topic))
    }
}

impl cqrs_es::Aggregate for Webhook {
    const TYPE: &'static str = "webhook";
    type Command = Command;
    type Event = Event;
    type Error = Error;
    type Services = Rules;

    async fn handle(
        &mut self,
        command: Command,
        rules: &Rules,
        sink: &EventSink<Self>,
    ) -> Result<(), Error> {
        for event in self.decide(command, rules)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Registered {
                tenant_id,
                config,
                is_active,
                secret,
            } => {
                self.tenant_id = Some(tenant_id);
                self.config = config;
                self.is_active = is_active;
                self.secret = secret;
            }
            Event::Changed { config } => self.config = config,
            Event::Activated => self.is_active = true,
            Event::Deactivated => self.is_active = false,
            Event::SecretRotated { secret, previous } => {
                self.secret = secret;
                self.previous = previous;
            }
            Event::Deleted => self.is_deleted = true,
        }
    }
}

impl Webhook {
    fn decide(&self, command: Command, rules: &Rules) -> Result<Vec<Event>, Error> {
        if let Command::Register {
            tenant_id,
            changes,
            secret,
        } = command
        {
            return self.register(tenant_id, &changes, secret, rules);
        }
        if !self.exists() {
            return Err(Error::NotFound);
        }
        match command {
            Command::Register { .. } => Err(Error::AlreadyRegistered),
            Command::Change { changes } => self.change(&changes, rules),
            Command::RotateSecret {
                sealed,
                grace_seconds,
                now,
            } => Ok(vec![self.rotate(sealed, grace_seconds, now)?]),
            Command::Delete => Ok(vec![Event::Deleted]),
        }
    }

    fn register(
        &self,
        tenant_id: TenantId,
        changes: &Changes,
        secret: crate::sealed::Sealed,
        rules: &Rules,
    ) -> Result<Vec<Event>, Error> {
        if self.tenant_id.is_some() {
            return Err(Error::AlreadyRegistered);
        }
        let config = changes
            .apply_to(Config::default(), rules)
            .map_err(Error::Invalid)?;
        Ok(vec![Event::Registered {
            tenant_id,
            config,
            is_active: changes.is_active.unwrap_or(true),
            secret: SealedSecret {
                version: 1,
                sealed: secret,
            },
        }])
    }

    fn change(&self, changes: &Changes, rules: &Rules) -> Result<Vec<Event>, Error> {
        let config = changes
            .apply_to(self.config.clone(), rules)
            .map_err(Error::Invalid)?;
        let mut events = Vec::new();
        if config != self.config {
            events.push(Event::Changed { config });
        }
        match changes.is_active {
            Some(true) if !self.is_active => events.push(Event::Activated),
            Some(false) if self.is_active => events.push(Event::Deactivated),
            _ => {}
        }
        Ok(events)
    }

    /// The secret until now joins those that are still in their grace; beyond the bound the
    /// oldest go first.
    fn rotate(
        &self,
        sealed: crate::sealed::Sealed,
        grace_seconds: u64,
        now: DateTime<Utc>,
    ) -> Result<Event, Error> {
        crate::validation::check_range("grace_seconds", grace_seconds, 0..=GRACE_SECONDS_MAX)
            .map_err(|error| Error::Invalid(vec![error]))?;
        let mut previous: Vec<PreviousSecret> = self.previous_secrets(now).cloned().collect();
        let grace = chrono::Duration::seconds(grace_seconds.cast_signed());
        if grace_seconds > 0 {
            previous.insert(
                0,
                PreviousSecret {
                    secret: self.secret.clone(),
                    expires_at: now + grace,
                },
            );
        }
        previous.truncate(PREVIOUS_SECRETS_MAX);
        Ok(Event::SecretRotated {
            secret: SealedSecret {
                version: self.secret.version + 1,
                sealed,
            },
            previous,
        })
    }
}

#[cfg(test)]
mod tests;
