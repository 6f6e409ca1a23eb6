use std::collections::HashMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use cqrs_es::{Aggregate, persist::SerializedEvent};
use hookledger_domain::{
    actor::Origin, fact::Fact, redaction::redact, tenant::TenantId, upcast::upcast,
};
use hookledger_projections::{Change, Recorded, project};
use serde_json::Value;

use super::{
    Error,
    chain::{Chaining, Hash},
    commit::{Commit, EventRow},
};

/// An event exactly as it lies in the ledger: what an older version wrote is not brought to its
/// present shape, and JSON is the text that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place in the ledger, from 1. Positions rise in the order of appending; where nodes share
    /// a database, some may be left out.
    pub position: u64,
    /// Whose it is; `None` for what belongs to no tenant.
    pub tenant_id: Option<TenantId>,
    /// When it was appended.
    pub recorded_at: DateTime<Utc>,
    /// The kind of its aggregate.
    pub aggregate_type: String,
    /// Its aggregate.
    pub aggregate_id: String,
    /// Its number within its aggregate, from 1.
    pub sequence: u64,
    /// What happened, in one word.
    pub event_type: String,
    /// The version of the payload's shape.
    pub event_version: String,
    /// What happened, as JSON.
    pub payload: String,
    /// Who did it and because of what, as JSON.
    pub metadata: String,
    /// What chains it to the events before it, in its stream and among those of its tenant.
    pub hash: Hash,
    /// The message or the answer that lies beside it; `None` if there never was one or it is erased.
    pub body: Option<String>,
}

impl StoredEvent {
    /// The commit that appends it once more as it is, with what it changes in the views.
    ///
    /// Fails with [`Error::Corrupt`] if this version cannot read it.
    pub(super) fn into_commit(self) -> Result<Commit, Error> {
        let fact = self.fact()?;
        let changes = self.changes_of(&fact)?;
        let event = EventRow {
            aggregate_type: fact.aggregate_type(),
            aggregate_id: self.aggregate_id,
            sequence: self.sequence,
            event_type: self.event_type,
            event_version: self.event_version,
            payload: self.payload,
            metadata: self.metadata,
            chaining: Chaining::Kept(self.hash),
            is_by_hand: false,
            body: self.body.map(Bytes::from),
            changes,
        };
        Ok(Commit::of_stored(self.tenant_id, self.recorded_at, event))
    }

    /// What it changes in the views.
    ///
    /// Fails with [`Error::Corrupt`] if this version cannot read it.
    pub(super) fn changes(&self) -> Result<Vec<Change>, Error> {
        self.changes_of(&self.fact()?)
    }

    fn changes_of(&self, fact: &Fact) -> Result<Vec<Change>, Error> {
        let recorded = Recorded {
            aggregate_id: &self.aggregate_id,
            sequence: self.sequence,
            recorded_at: self.recorded_at,
            fact,
        };
        let mut changes = Vec::with_capacity(2);
        project(recorded, self.tenant_id.as_ref(), &mut changes).map_err(Error::corrupt)?;
        Ok(changes)
    }

    /// What it says as an event of this aggregate, in its present shape.
    ///
    /// Fails with [`Error::Corrupt`] if this version cannot read it.
    pub fn event<A: Aggregate>(&self) -> Result<A::Event, Error> {
        Ok(serde_json::from_value(self.present()?.payload)?)
    }

    /// Who did it, and because of what.
    ///
    /// Fails with [`Error::Corrupt`] if this version cannot read that.
    pub fn origin(&self) -> Result<Origin, Error> {
        let metadata: HashMap<String, String> = serde_json::from_str(&self.metadata)?;
        Origin::from_metadata(&metadata).ok_or_else(|| Error::corrupt("an event of nobody"))
    }

    /// What it says as it was written, but for what may not be shown.
    ///
    /// Fails with [`Error::Corrupt`] if it is no JSON.
    pub fn shown_payload(&self) -> Result<Value, Error> {
        let mut payload = serde_json::from_str(&self.payload)?;
        redact(&mut payload);
        Ok(payload)
    }

    /// What it says, in its present shape.
    fn fact(&self) -> Result<Fact, Error> {
        let event = self.present()?;
        Ok(Fact::read(&event.aggregate_type, event.payload)?)
    }

    fn present(&self) -> Result<SerializedEvent, Error> {
        Ok(upcast(SerializedEvent::new(
            self.aggregate_id.clone(),
            usize::try_from(self.sequence).map_err(Error::corrupt)?,
            self.aggregate_type.clone(),
            self.event_type.clone(),
            self.event_version.clone(),
            serde_json::from_str(&self.payload)?,
            Value::Null,
        )))
    }
}
