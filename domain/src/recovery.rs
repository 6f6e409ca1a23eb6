//! The recovery aggregate: deliveries of a webhook in a stretch of time that are sent again, as work
//! in the background that can be watched and cancelled.
//!
//! Each delivery is asked for once, whatever happens: what was asked for and how far the recovery
//! has come are appended together. Of recoveries that run at the same time a delivery is asked for
//! by the first that comes to it.

use chrono::{DateTime, Utc};
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::{
    delivery::Status,
    ids::{DeliveryId, WebhookId},
    tenant::TenantId,
};

/// The most deliveries that one recovery may have.
pub const DELIVERIES_MAX: u64 = 1_000_000;

/// Which deliveries are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// Those whose attempts are spent.
    #[default]
    Exhausted,
    /// All but tests.
    Any,
}

impl Selection {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Exhausted, Self::Any];

    /// The word on the wire and in views.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Any => "any",
        }
    }

    /// Whether it means a delivery that stands so.
    pub fn includes(self, status: Status) -> bool {
        self == Self::Any || status == Status::Exhausted
    }
}

/// Where a recovery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There are deliveries that were not asked for yet.
    #[default]
    Running,
    /// All were asked for.
    Completed,
    /// It was called off; what was asked for before is sent.
    Cancelled,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Running, Self::Completed, Self::Cancelled];

    /// The word on the wire and in views.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a recovery is to do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Started {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Of which webhook.
    pub webhook_id: WebhookId,
    /// Deliveries that were scheduled at this moment or later.
    pub from: DateTime<Utc>,
    /// And before this one.
    pub to: DateTime<Utc>,
    /// Which of them.
    pub selection: Selection,
    /// How many there were when it started.
    pub matched: u64,
    /// Deliveries that were asked for at this moment or later are passed over: those recoveries
    /// that were running when this one was asked for have done it.
    pub unless_since: DateTime<Utc>,
}

/// What happened to a recovery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Somebody asked for it.
    Started(Started),
    /// Some of its deliveries were asked for.
    Advanced {
        /// All up to this one are done, in the order of their ids.
        through: DeliveryId,
        /// How many of those since the last time are sent again.
        requested: u64,
    },
    /// All were.
    Completed,
    /// Somebody called it off.
    Cancelled,
}

/// What may be asked of a recovery.
#[derive(Debug, Clone)]
pub enum Command {
    /// Start it.
    Start(Started),
    /// Take note of what was asked for.
    Advance {
        /// All up to this one are done.
        through: DeliveryId,
        /// How many of those since the last time are sent again.
        requested: u64,
    },
    /// Take note that all is done.
    Complete,
    /// Call it off.
    Cancel,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The id is taken.
    #[error("a recovery with this id was started already")]
    AlreadyStarted,
    /// There is no such recovery.
    #[error("no such recovery")]
    NotFound,
    /// It is over.
    #[error("the recovery is {} already", state.as_str())]
    Ended {
        /// How it ended.
        state: State,
    },
}

/// A recovery as its events tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    started: Option<Started>,
    state: State,
    through: Option<DeliveryId>,
}

impl Recovery {
    /// What it is to do, if it was ever started.
    pub fn started(&self) -> Option<&Started> {
        self.started.as_ref()
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Up to which delivery it is done.
    pub fn through(&self) -> Option<DeliveryId> {
        self.through
    }
}

impl cqrs_es::Aggregate for Recovery {
    const TYPE: &'static str = "recovery";
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
        let event = match command {
            Command::Start(_) if self.started.is_some() => return Err(Error::AlreadyStarted),
            Command::Start(started) => Event::Started(started),
            _ if self.started.is_none() => return Err(Error::NotFound),
            _ if self.state != State::Running => return Err(Error::Ended { state: self.state }),
            Command::Advance { through, requested } => Event::Advanced { through, requested },
            Command::Complete => Event::Completed,
            Command::Cancel => Event::Cancelled,
        };
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Started(started) => self.started = Some(started),
            Event::Advanced { through, .. } => self.through = Some(through),
            Event::Completed => self.state = State::Completed,
            Event::Cancelled => self.state = State::Cancelled,
        }
    }
}

impl cqrs_es::DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Started(_) => "started",
            Self::Advanced { .. } => "advanced",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;

    fn framework() -> TestFramework<Recovery> {
        TestFramework::with(())
    }

    fn started() -> Event {
        Event::Started(Started {
            matched: 3,
            ..Started::default()
        })
    }

    fn advance() -> Command {
        Command::Advance {
            through: DeliveryId::default(),
            requested: 2,
        }
    }

    fn advanced() -> Event {
        Event::Advanced {
            through: DeliveryId::default(),
            requested: 2,
        }
    }

    #[test]
    fn it_advances_until_it_is_completed_or_cancelled() {
        framework()
            .given(vec![started()])
            .when(advance())
            .then_expect_events(vec![advanced()]);
        framework()
            .given(vec![started(), advanced()])
            .when(Command::Complete)
            .then_expect_events(vec![Event::Completed]);
        framework()
            .given(vec![started(), advanced()])
            .when(Command::Cancel)
            .then_expect_events(vec![Event::Cancelled]);
    }

    #[test]
    fn what_has_ended_stays_ended() {
        for (end, state) in [
            (Event::Completed, State::Completed),
            (Event::Cancelled, State::Cancelled),
        ] {
            for command in [advance(), Command::Complete, Command::Cancel] {
                framework()
                    .given(vec![started(), end.clone()])
                    .when(command)
                    .then_expect_error(Error::Ended { state });
            }
        }
    }

    #[test]
    fn it_is_started_once_and_first() {
        framework()
            .given(vec![started()])
            .when(Command::Start(Started::default()))
            .then_expect_error(Error::AlreadyStarted);
        framework()
            .given_no_previous_events()
            .when(Command::Cancel)
            .then_expect_error(Error::NotFound);
    }
}
