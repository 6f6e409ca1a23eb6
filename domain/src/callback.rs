//! The callback aggregate: one of Stripe's events as it arrived, and what it led to. Its id is that of
//! Stripe's event. There is one event in it, appended together with all that the callback changes, so
//! whatever is known has had its effect, once.
//!
//! What cannot be given to a tenant is an [`Unassigned`] of the same id until the platform, or a later
//! callback, says whose it is. It belongs to no tenant, and a callback that was applied to one; so they
//! are two aggregates.

use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::{stripe::Notice, tenant::TenantId};

mod assignment;
mod unassigned;

pub use assignment::{Candidate, Candidates, Owner, owner};
pub use unassigned::{Reason, Unassigned, UnassignedCommand, UnassignedError, UnassignedEvent};

/// Which callbacks count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// All of them.
    #[default]
    Any,
    /// Those about money.
    Live,
    /// Those of Stripe's test mode and of its sandboxes.
    Test,
}

impl Mode {
    /// Whether a callback counts that says so of itself. One that does not say it counts as live.
    #[must_use]
    pub fn wants(self, livemode: Option<bool>) -> bool {
        match self {
            Self::Any => true,
            Self::Live => livemode.unwrap_or(true),
            Self::Test => !livemode.unwrap_or(true),
        }
    }
}

/// How callbacks are taken, as whoever runs the server wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// Which of them count.
    pub mode: Mode,
    /// A tenant is suspended whose subscription is not paid for.
    pub suspends: bool,
}

/// What a callback led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The tenant's billing is as the callback shows it.
    Applied,
    /// Something newer, or an end, was known already. Nothing changed.
    Stale,
    /// It is not handled. Nothing changed.
    Ignored,
    /// It is not known whose it is. Nothing changed yet.
    Unassigned,
}

impl Outcome {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Stale => "stale",
            Self::Ignored => "ignored",
            Self::Unassigned => "unassigned",
        }
    }
}

/// Why a callback is not handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ignorance {
    /// Its type is none of those that are.
    UnhandledType,
    /// It is a test where only money counts, or the other way round.
    OtherMode,
    /// It shows nothing that could be noted: no id, no customer.
    NothingShown,
}

/// A callback as its events tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    outcome: Option<Outcome>,
    tenant_id: Option<TenantId>,
}

impl Callback {
    /// What it led to; `None` if it is not known.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// The tenant that got it.
    #[must_use]
    pub fn tenant_id(&self) -> Option<&TenantId> {
        self.tenant_id.as_ref()
    }
}

/// The one thing that may be asked of a callback: to be taken, for good.
#[derive(Debug, Clone)]
pub struct Command {
    /// What it says.
    pub notice: Notice,
    /// What it leads to.
    pub effect: Effect,
}

/// What a callback leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It is applied to this tenant's billing.
    Apply(TenantId),
    /// It came too late for this tenant.
    BeStale(TenantId),
    /// It is not handled.
    Ignore(Ignorance),
}

/// What happened to a callback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It was applied to the tenant's billing, whose events stand beside it.
    Applied {
        /// Whose it is.
        tenant_id: TenantId,
        /// What it says.
        notice: Notice,
    },
    /// Something newer was known.
    Stale {
        /// Whose it is.
        tenant_id: TenantId,
        /// What it says.
        notice: Notice,
    },
    /// It is not handled.
    Ignored {
        /// What it says.
        notice: Notice,
        /// Why not.
        reason: Ignorance,
    },
}

/// It was taken before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this callback was taken before")]
pub struct AlreadyTaken;

impl cqrs_es::DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Applied { .. } => "applied",
            Self::Stale { .. } => "stale",
            Self::Ignored { .. } => "ignored",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

impl cqrs_es::Aggregate for Callback {
    const TYPE: &'static str = "callback";
    type Command = Command;
    type Event = Event;
    type Error = AlreadyTaken;
    type Services = ();

    async fn handle(
        &mut self,
        command: Command,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), AlreadyTaken> {
        if self.outcome.is_some() {
            return Err(AlreadyTaken);
        }
        let notice = command.notice;
        let event = match command.effect {
            Effect::Apply(tenant_id) => Event::Applied { tenant_id, notice },
            Effect::BeStale(tenant_id) => Event::Stale { tenant_id, notice },
            Effect::Ignore(reason) => Event::Ignored { notice, reason },
        };
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, event: Event) {
        let (outcome, tenant_id) = match event {
            Event::Applied { tenant_id, .. } => (Outcome::Applied, Some(tenant_id)),
            Event::Stale { tenant_id, .. } => (Outcome::Stale, Some(tenant_id)),
            Event::Ignored { .. } => (Outcome::Ignored, None),
        };
        (self.outcome, self.tenant_id) = (Some(outcome), tenant_id);
    }
}

#[cfg(test)]
mod tests;
