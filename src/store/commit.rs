use std::{collections::HashMap, fmt::Display};

use bytes::Bytes;
use chrono::{DateTime, SubsecRound, Utc};
use hookledger_domain::{
    actor::{ActorKind, Origin},
    delivery,
    fact::Fact,
    ids::{DeliveryId, MessageId},
    message,
    tenant::TenantId,
};
use hookledger_projections::{Change, Recorded, project};

use super::{
    Error,
    chain::{Chaining, Content, Hash, micros},
};

/// Events of one or several aggregates that are appended together or not at all, with what they
/// change in the views and the bodies that belong to them.
///
/// Everything that can be computed outside the writer is computed while the commit is built, so
/// that the one writer only binds and steps.
#[derive(Debug)]
pub struct Commit {
    pub(super) tenant: Option<TenantId>,
    pub(super) recorded_at: DateTime<Utc>,
    pub(super) events: Vec<EventRow>,
    /// The generation that the tenant must have.
    pub(super) expected_generation: Option<u64>,
    /// The messages of which nothing may be to be sent still: their bodies are erased.
    pub(super) ended_messages: Vec<MessageId>,
    /// The deliveries that are asked for: the body of what they send must be there.
    pub(super) sendable_deliveries: Vec<DeliveryId>,
    metadata: HashMap<String, String>,
}

/// An event as its row will be, and what it brings along.
#[derive(Debug)]
pub(super) struct EventRow {
    pub(super) aggregate_type: &'static str,
    pub(super) aggregate_id: String,
    pub(super) sequence: u64,
    pub(super) event_type: String,
    pub(super) event_version: String,
    pub(super) payload: String,
    pub(super) metadata: String,
    pub(super) chaining: Chaining,
    /// Somebody else than Hookledger itself acted.
    pub(super) is_by_hand: bool,
    pub(super) body: Option<Bytes>,
    pub(super) changes: Vec<Change>,
}

impl Commit {
    /// An empty commit of what `origin` does at the moment `recorded_at`, of which the ledger keeps
    /// milliseconds.
    pub fn new(origin: &Origin, recorded_at: DateTime<Utc>) -> Self {
        Self {
            tenant: origin.tenant.clone(),
            recorded_at: recorded_at.trunc_subsecs(3),
            events: Vec::new(),
            expected_generation: None,
            ended_messages: Vec::new(),
            sendable_deliveries: Vec::new(),
            metadata: origin.to_metadata(),
        }
    }

    /// From the metadata that cqrs-es hands over.
    pub(super) fn from_metadata(
        metadata: HashMap<String, String>,
        recorded_at: DateTime<Utc>,
    ) -> Self {
        Self {
            tenant: metadata.get("tenant").and_then(|text| text.parse().ok()),
            recorded_at,
            events: Vec::new(),
            expected_generation: None,
            ended_messages: Vec::new(),
            sendable_deliveries: Vec::new(),
            metadata,
        }
    }

    /// One event as another ledger has it.
    pub(super) fn of_stored(
        tenant: Option<TenantId>,
        recorded_at: DateTime<Utc>,
        event: EventRow,
    ) -> Self {
        Self {
            tenant,
            recorded_at,
            events: vec![event],
            expected_generation: None,
            ended_messages: Vec::new(),
            sendable_deliveries: Vec::new(),
            metadata: HashMap::new(),
        }
    }

    /// Makes the commit depend on the tenant's generation: it is refused with [`Error::Stale`] when
    /// a webhook or the suspension of the tenant has changed since `generation` was read.
    pub fn expect_generation(&mut self, generation: u64) {
        self.expected_generation = Some(generation);
    }

    /// From here on events are caused by `cause`, which is the id of a message or delivery.
    pub fn because_of(&mut self, cause: impl Display) {
        self.metadata.insert("cause".to_owned(), cause.to_string());
    }

    /// From here on events are caused by what `origin` says, if anything, as they were at first.
    pub fn because_of_origin(&mut self, origin: &Origin) {
        match &origin.cause {
            Some(cause) => self.because_of(cause),
            None => drop(self.metadata.remove("cause")),
        }
    }

    /// Adds the event that is number `sequence` of its aggregate.
    ///
    /// Fails if the event cannot be written as JSON or its aggregate's id is not of its kind.
    pub fn push(
        &mut self,
        aggregate_id: impl Display,
        sequence: u64,
        fact: &Fact,
    ) -> Result<(), Error> {
        self.push_with_body(aggregate_id, sequence, fact, None)
    }

    /// Adds an event and the bytes that lie beside it, which must be UTF-8.
    pub fn push_with_body(
        &mut self,
        aggregate_id: impl Display,
        sequence: u64,
        fact: &Fact,
        body: Option<Bytes>,
    ) -> Result<(), Error> {
        if let Some(body) = &body {
            // The writer's failure would be that of every commit it has joined.
            std::str::from_utf8(body).map_err(Error::corrupt)?;
        }
        let aggregate_id = aggregate_id.to_string();
        let recorded = Recorded {
            aggregate_id: &aggregate_id,
            sequence,
            recorded_at: self.recorded_at,
            fact,
        };
        let mut changes = Vec::with_capacity(2);
        project(recorded, self.tenant.as_ref(), &mut changes).map_err(Error::corrupt)?;
        self.expect(&aggregate_id, fact)?;
        let mut event = EventRow {
            aggregate_type: fact.aggregate_type(),
            aggregate_id,
            sequence,
            event_type: fact.event_type(),
            event_version: fact.event_version(),
            payload: fact.payload()?,
            metadata: serde_json::to_string(&self.metadata)?,
            chaining: Chaining::Content(Hash::NONE),
            is_by_hand: self.is_by_hand(),
            body,
            changes,
        };
        event.chaining = Chaining::Content(self.content(&event).hash());
        self.events.push(event);
        Ok(())
    }

    fn content<'a>(&'a self, event: &'a EventRow) -> Content<'a> {
        let tenant = self.tenant.as_ref().map_or("", TenantId::as_str);
        Content {
            tenant_id: tenant.as_bytes(),
            aggregate_type: event.aggregate_type.as_bytes(),
            aggregate_id: event.aggregate_id.as_bytes(),
            sequence: event.sequence.cast_signed(),
            event_type: event.event_type.as_bytes(),
            event_version: event.event_version.as_bytes(),
            recorded_at: micros(self.recorded_at),
            payload: event.payload.as_bytes(),
            metadata: event.metadata.as_bytes(),
        }
    }

    fn is_by_hand(&self) -> bool {
        let kind = self.metadata.get("actor_kind");
        kind.is_some_and(|kind| kind != ActorKind::System.as_str())
    }

    /// What is still to be sent keeps its body, and what has no body any more is not asked for. Both
    /// are decided from what was read before, so the store looks again: the commit is refused with
    /// [`Error::Stale`] if it has changed since.
    fn expect(&mut self, aggregate_id: &str, fact: &Fact) -> Result<(), Error> {
        match fact {
            Fact::Message(message::Event::BodyErased) => {
                let id = aggregate_id.parse().map_err(Error::corrupt)?;
                self.ended_messages.push(id);
            }
            Fact::Delivery(delivery::Event::AttemptRequested { .. }) => {
                let id = aggregate_id.parse().map_err(Error::corrupt)?;
                self.sendable_deliveries.push(id);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether it erases bodies.
    pub(super) fn erases(&self) -> bool {
        let mut changes = self.events.iter().flat_map(|event| &event.changes);
        changes.any(|change| {
            matches!(
                change,
                Change::EraseMessageBody { .. } | Change::EraseResponseBody { .. }
            )
        })
    }

    /// Roughly how many bytes it will write: what batches are bounded by.
    pub(super) fn weight(&self) -> usize {
        self.events
            .iter()
            .map(|event| 512 + event.payload.len() + event.body.as_ref().map_or(0, Bytes::len))
            .sum()
    }
}
