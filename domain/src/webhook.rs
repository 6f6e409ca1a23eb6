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
pub mod history;

pub use command::{Command, Error};
pub use config::{
    Changes, Config, EVENTS_MAX, IN_FLIGHT_MAX, Ordering, RATE_LIMIT_MAX, TIMEOUT_SECONDS_MAX,
};
pub use event::{DisableReason, Event, PreviousSecret, SealedSecret};

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
    disabled_reason: Option<DisableReason>,
    secret: SealedSecret,
    previous: Vec<PreviousSecret>,
    is_deleted: bool,
    /// The sequence of its last event.
    version: u64,
    /// The version since which it has been sent to, and to the present URL.
    target_version: u64,
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

    /// Why Hookledger itself disabled it, until it is activated again.
    pub fn disabled_reason(&self) -> Option<DisableReason> {
        self.disabled_reason
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
        self.version += 1;
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
                self.target_version = self.version;
            }
            Event::Changed { config } => {
                if config.url != self.config.url {
                    self.target_version = self.version;
                }
                self.config = config;
            }
            Event::Activated => {
                self.is_active = true;
                self.disabled_reason = None;
                self.target_version = self.version;
            }
            Event::Deactivated => self.is_active = false,
            Event::Disabled { reason } => {
                self.is_active = false;
                self.disabled_reason = Some(reason);
            }
            Event::SecretRotated { secret, previous }
            | Event::SecretsResealed { secret, previous } => {
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
                same_as,
                now,
            } => {
                let event = self.rotate(sealed, grace_seconds, same_as, now)?;
                Ok(event.into_iter().collect())
            }
            Command::Disable {
                reason,
                seen_version,
            } => {
                let still_holds = self.is_active && seen_version >= self.target_version;
                Ok(still_holds
                    .then_some(Event::Disabled { reason })
                    .into_iter()
                    .collect())
            }
            Command::ResealSecrets { secrets, now } => {
                Ok(self.reseal(&secrets, now).into_iter().collect())
            }
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
    /// oldest go first. An older secret that is taken back is not an old one any more, and the
    /// present one is not rotated to itself.
    fn rotate(
        &self,
        sealed: crate::sealed::Sealed,
        grace_seconds: u64,
        same_as: Option<u64>,
        now: DateTime<Utc>,
    ) -> Result<Option<Event>, Error> {
        crate::validation::check_range("grace_seconds", grace_seconds, 0..=GRACE_SECONDS_MAX)
            .map_err(|error| Error::Invalid(vec![error]))?;
        if same_as == Some(self.secret.version) {
            return Ok(None);
        }
        let is_taken_back = |previous: &PreviousSecret| same_as == Some(previous.secret.version);
        let mut previous: Vec<PreviousSecret> = self
            .previous_secrets(now)
            .filter(|previous| !is_taken_back(previous))
            .cloned()
            .collect();
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
        Ok(Some(Event::SecretRotated {
            secret: SealedSecret {
                version: self.secret.version + 1,
                sealed,
            },
            previous,
        }))
    }

    /// Nothing changes but how the secrets are sealed; those whose grace is over go.
    fn reseal(&self, secrets: &[SealedSecret], now: DateTime<Utc>) -> Option<Event> {
        let resealed = |old: &SealedSecret| {
            let found = secrets.iter().find(|new| new.version == old.version);
            found.unwrap_or(old).clone()
        };
        let secret = resealed(&self.secret);
        let live = self.previous_secrets(now);
        let previous: Vec<PreviousSecret> = live
            .map(|previous| PreviousSecret {
                secret: resealed(&previous.secret),
                expires_at: previous.expires_at,
            })
            .collect();
        let is_changed = secret != self.secret
            || previous
                .iter()
                .any(|previous| !self.previous.contains(previous));
        is_changed.then_some(Event::SecretsResealed { secret, previous })
    }
}

#[cfg(test)]
mod tests;
