//! Commits laid out in columns, as one statement takes them.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use hookledger_domain::tenant::TenantId;
use hookledger_projections::{
    Change, DeliveryProgress,
    rows::{AttemptRow, DeliveryRow, MessageRow},
};
use uuid::Uuid;

use super::{
    claims::{Wishes, idempotency_key},
    notices::Announcements,
    outcomes::Outcomes,
};
use crate::store::{
    Error,
    chain::Chaining,
    commit::{Commit, EventRow},
};

type Time = DateTime<Utc>;

columns! {
    /// What commits expect of tenants.
    Expectations { tenant_id: &'a str, generation: i64 }
    Bodies { tenant_id: &'a str, id: Uuid, text: &'a str }
    Messages {
        tenant_id: &'a str, id: Uuid, topic: &'a str, timestamp: Time, accepted_at: Time,
        ordering_key: Option<&'a str>, body_bytes: i64, body_sha256: &'a str,
        idempotency_key: Option<&'a str>, content_sha256: Option<&'a str>, deliveries: i64,
        not_delivered: String,
    }
    Deliveries {
        tenant_id: &'a str, id: Uuid, message_id: Uuid, webhook_id: Uuid, topic: &'a str,
        trigger: &'a str, queue: Option<&'a str>, status: &'a str, attempts: i64, created_at: Time,
        next_attempt_at: Option<Time>, completed_at: Option<Time>, response_status: Option<i32>,
        error_code: Option<&'a str>, error_message: Option<&'a str>,
    }
    /// Changes of deliveries; without `status` it stands where it stood, and without `attempts` what
    /// the last attempt gave stays.
    Progress {
        tenant_id: &'a str, id: Uuid, status: Option<&'a str>, next_attempt_at: Option<Time>,
        completed_at: Option<Time>, attempts: Option<i64>, response_status: Option<i32>,
        error_code: Option<&'a str>, error_message: Option<&'a str>,
    }
    Attempts {
        tenant_id: &'a str, id: Uuid, delivery_id: Uuid, message_id: Uuid, webhook_id: Uuid,
        webhook_version: i64, topic: &'a str, number: i64, trigger: &'a str, started_at: Time,
        duration_ms: i64, url: &'a str, response_status: Option<i32>,
        response_headers: Option<String>, response_body_bytes: i64, body_truncated: bool,
        error_code: Option<&'a str>, error_message: Option<&'a str>,
    }
    Events {
        aggregate_type: &'a str, aggregate_id: &'a str, sequence: i64, event_type: &'a str,
        event_version: &'a str, payload: &'a str, metadata: &'a str, tenant_id: &'a str,
        recorded_at: Time,
    }
    /// What chains the events: of new ones their contents, of those of another ledger their hashes;
    /// and the place, from 1, of the event before in its stream, if it is one of these.
    Chain { hash: &'a [u8], follows: Option<i64> }
}

/// Several commits as rows of the tables.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    pub(super) expectations: Expectations<'a>,
    pub(super) wishes: Wishes<'a>,
    pub(super) bodies: Bodies<'a>,
    pub(super) messages: Messages<'a>,
    pub(super) deliveries: Deliveries<'a>,
    pub(super) progress: Progress<'a>,
    pub(super) attempts: Attempts<'a>,
    pub(super) outcomes: Outcomes<'a>,
    /// Those of one tenant stand together.
    pub(super) events: Events<'a>,
    pub(super) chain: Chain<'a>,
    /// Changes of views that change seldom, in their order.
    pub(super) rare: Vec<(&'a str, &'a Change)>,
    pub(super) announcements: Announcements,
    /// The places of commits that are not in it, because one before them takes the same place in a
    /// stream or the same idempotency key.
    pub(super) late: Vec<usize>,
    /// Places in streams, with the places of their events among these, once they have one.
    taken: HashMap<(&'a str, &'a str, u64), i64>,
    keys: HashSet<(&'a str, &'a str)>,
    expected: HashSet<(&'a str, u64)>,
    new_deliveries: HashMap<Uuid, usize>,
    changed_deliveries: HashMap<Uuid, usize>,
}

impl<'a> Batch<'a> {
    /// Lays out commits; those that cannot be together with one before them are left out.
    pub(super) fn of(commits: impl Iterator<Item = &'a Commit>) -> Result<Self, Error> {
        let mut batch = Self::default();
        let mut claimed = Vec::new();
        for (place, commit) in commits.enumerate() {
            if batch.claim(commit) {
                batch.wishes.add(commit, place)?;
                claimed.push(commit);
            } else {
                batch.late.push(place);
            }
        }
        claimed.sort_by_key(|commit| owner(commit));
        for commit in claimed {
            batch.add(commit)?;
        }
        Ok(batch)
    }

    /// Takes the commit's places in streams and its keys, if all of them are free.
    fn claim(&mut self, commit: &'a Commit) -> bool {
        let keys = || commit.events.iter().filter_map(idempotency_key);
        let is_free = commit
            .events
            .iter()
            .all(|event| !self.taken.contains_key(&in_stream(event, event.sequence)))
            && keys().all(|key| !self.keys.contains(&key));
        if is_free {
            let places = commit
                .events
                .iter()
                .map(|event| (in_stream(event, event.sequence), 0));
            self.taken.extend(places);
            self.keys.extend(keys());
        }
        is_free
    }

    fn add(&mut self, commit: &'a Commit) -> Result<(), Error> {
        let tenant = owner(commit);
        if let Some((tenant, generation)) = expectation(commit)
            && self.expected.insert((tenant, generation))
        {
            self.expectations.tenant_id.push(tenant);
            self.expectations.generation.push(generation.cast_signed());
        }
        for event in &commit.events {
            self.add_event(tenant, commit.recorded_at, event)?;
            for change in &event.changes {
                self.change(tenant, change)?;
            }
            self.announcements.add(tenant, event);
        }
        Ok(())
    }

    fn add_event(
        &mut self,
        tenant: &'a str,
        recorded_at: Time,
        event: &'a EventRow,
    ) -> Result<(), Error> {
        let rows = &mut self.events;
        rows.aggregate_type.push(event.aggregate_type);
        rows.aggregate_id.push(&event.aggregate_id);
        rows.sequence.push(event.sequence.cast_signed());
        rows.event_type.push(&event.event_type);
        rows.event_version.push(&event.event_version);
        rows.payload.push(&event.payload);
        rows.metadata.push(&event.metadata);
        rows.tenant_id.push(tenant);
        rows.recorded_at.push(recorded_at);
        self.chain(event)?;
        if let Some(body) = &event.body {
            self.bodies.tenant_id.push(tenant);
            self.bodies.id.push(body_id(event)?);
            self.bodies
                .text
                .push(std::str::from_utf8(body).map_err(Error::corrupt)?);
        }
        Ok(())
    }

    /// Takes down how the event that was added last is chained.
    fn chain(&mut self, event: &'a EventRow) -> Result<(), Error> {
        let place = i64::try_from(self.events.sequence.len()).map_err(Error::corrupt)?;
        self.taken.insert(in_stream(event, event.sequence), place);
        let before = in_stream(event, event.sequence.saturating_sub(1));
        // Those of another ledger come with their hashes; so do not ask what they follow.
        let (hash, follows) = match &event.chaining {
            Chaining::Content(content) => (content, self.taken.get(&before).copied()),
            Chaining::Kept(hash) => (hash, None),
        };
        self.chain.hash.push(hash.as_bytes());
        self.chain.follows.push(follows);
        Ok(())
    }

    fn change(&mut self, tenant: &'a str, change: &'a Change) -> Result<(), Error> {
        match change {
            Change::InsertMessage(row) => self.messages.push(row)?,
            Change::InsertDelivery(row) => {
                let place = self.deliveries.id.len();
                self.new_deliveries.insert(row.id.uuid(), place);
                self.deliveries.push(row);
            }
            Change::UpdateDelivery(progress) => self.update_delivery(tenant, progress),
            Change::InsertAttempt(row) => self.attempts.push(row)?,
            Change::NoteOutcome {
                webhook_id,
                failed_at,
            } => self.outcomes.note(tenant, webhook_id.uuid(), *failed_at),
            other => self.rare.push((tenant, other)),
        }
        Ok(())
    }

    /// The parts of one statement do not see each other's rows, so what changes a row of this batch
    /// is made a part of it.
    fn update_delivery(&mut self, tenant: &'a str, progress: &'a DeliveryProgress) {
        let id = progress.id.uuid();
        if let Some(place) = self.new_deliveries.get(&id) {
            self.deliveries.update(*place, progress);
        } else if let Some(place) = self.changed_deliveries.get(&id) {
            self.progress.update(*place, progress);
        } else {
            self.changed_deliveries.insert(id, self.progress.id.len());
            self.progress.push(tenant, progress);
        }
    }
}

/// An event's place in its stream, or another one there.
fn in_stream(event: &EventRow, sequence: u64) -> (&str, &str, u64) {
    (event.aggregate_type, &event.aggregate_id, sequence)
}

/// Whose a commit is; empty for what belongs to no tenant.
fn owner(commit: &Commit) -> &str {
    commit.tenant.as_ref().map_or("", TenantId::as_str)
}

/// The generation that a commit's tenant must have when the changes that are rare are made: what the
/// commit itself counts is in it by then.
pub(super) fn expectation(commit: &Commit) -> Option<(&str, u64)> {
    let tenant = commit.tenant.as_ref()?;
    let changes = commit.events.iter().flat_map(|event| &event.changes);
    let counted = changes
        .filter(|change| matches!(change, Change::CountGeneration { id } if id == tenant))
        .count();
    Some((
        tenant.as_str(),
        commit.expected_generation? + counted as u64,
    ))
}

/// Under which id the body that an event brings along is kept: that of the message or the attempt.
fn body_id(event: &EventRow) -> Result<Uuid, Error> {
    let id = event.changes.iter().find_map(|change| match change {
        Change::InsertMessage(row) => Some(row.id.uuid()),
        Change::InsertAttempt(row) => Some(row.id.uuid()),
        _ => None,
    });
    id.ok_or_else(|| Error::corrupt("a body without a message or an attempt"))
}

impl<'a> Messages<'a> {
    fn push(&mut self, row: &'a MessageRow) -> Result<(), Error> {
        let key = row.idempotency.as_ref();
        self.tenant_id.push(row.tenant_id.as_str());
        self.id.push(row.id.uuid());
        self.topic.push(row.topic.as_str());
        self.timestamp.push(row.timestamp);
        self.accepted_at.push(row.accepted_at);
        self.ordering_key.push(row.ordering_key.as_deref());
        self.body_bytes.push(row.body_bytes.cast_signed());
        self.body_sha256.push(&row.body_sha256);
        self.idempotency_key.push(key.map(|key| key.key.as_str()));
        self.content_sha256
            .push(key.map(|key| key.content_sha256.as_str()));
        self.deliveries.push(row.deliveries.into());
        self.not_delivered
            .push(serde_json::to_string(&row.not_delivered)?);
        Ok(())
    }
}

impl<'a> Deliveries<'a> {
    fn push(&mut self, row: &'a DeliveryRow) {
        let error = row.last_error.as_ref();
        self.tenant_id.push(row.tenant_id.as_str());
        self.id.push(row.id.uuid());
        self.message_id.push(row.message_id.uuid());
        self.webhook_id.push(row.webhook_id.uuid());
        self.topic.push(row.topic.as_str());
        self.trigger.push(row.trigger.as_str());
        self.queue.push(row.queue.as_deref());
        self.status.push(row.status.as_str());
        self.attempts.push(row.attempts.into());
        self.created_at.push(row.created_at);
        self.next_attempt_at.push(row.next_attempt_at);
        self.completed_at.push(row.completed_at);
        self.response_status
            .push(row.last_response_status.map(i32::from));
        self.error_code.push(error.map(|error| error.code.as_str()));
        self.error_message
            .push(error.map(|error| error.message.as_str()));
    }

    fn update(&mut self, place: usize, progress: &'a DeliveryProgress) {
        if let Some(standing) = progress.standing {
            self.status[place] = standing.status.as_str();
            self.completed_at[place] = standing.completed_at;
        }
        self.next_attempt_at[place] = progress.next_attempt_at;
        if let Some(last) = &progress.last {
            let error = last.error.as_ref();
            self.attempts[place] = last.number.into();
            self.response_status[place] = last.response_status.map(i32::from);
            self.error_code[place] = error.map(|error| error.code.as_str());
            self.error_message[place] = error.map(|error| error.message.as_str());
        }
    }
}

impl<'a> Progress<'a> {
    fn push(&mut self, tenant: &'a str, progress: &'a DeliveryProgress) {
        self.tenant_id.push(tenant);
        self.id.push(progress.id.uuid());
        self.status.push(None);
        self.next_attempt_at.push(None);
        self.completed_at.push(None);
        self.attempts.push(None);
        self.response_status.push(None);
        self.error_code.push(None);
        self.error_message.push(None);
        self.update(self.id.len() - 1, progress);
    }

    fn update(&mut self, place: usize, progress: &'a DeliveryProgress) {
        if let Some(standing) = progress.standing {
            self.status[place] = Some(standing.status.as_str());
            self.completed_at[place] = standing.completed_at;
        }
        self.next_attempt_at[place] = progress.next_attempt_at;
        if let Some(last) = &progress.last {
            let error = last.error.as_ref();
            self.attempts[place] = Some(last.number.into());
            self.response_status[place] = last.response_status.map(i32::from);
            self.error_code[place] = error.map(|error| error.code.as_str());
            self.error_message[place] = error.map(|error| error.message.as_str());
        }
    }
}

impl<'a> Attempts<'a> {
    fn push(&mut self, row: &'a AttemptRow) -> Result<(), Error> {
        let (response, error) = (row.response.as_ref(), row.error.as_ref());
        let headers = response.map(|response| serde_json::to_string(&response.headers));
        self.tenant_id.push(row.tenant_id.as_str());
        self.id.push(row.id.uuid());
        self.delivery_id.push(row.delivery_id.uuid());
        self.message_id.push(row.message_id.uuid());
        self.webhook_id.push(row.webhook_id.uuid());
        self.webhook_version.push(row.webhook_version.cast_signed());
        self.topic.push(row.topic.as_str());
        self.number.push(row.number.into());
        self.trigger.push(row.trigger.as_str());
        self.started_at.push(row.started_at);
        self.duration_ms.push(row.duration_ms.cast_signed());
        self.url.push(&row.url);
        self.response_status
            .push(response.map(|response| response.status.into()));
        self.response_headers.push(headers.transpose()?);
        self.response_body_bytes
            .push(response.map_or(0, |response| response.body_bytes.cast_signed()));
        self.body_truncated
            .push(response.is_some_and(|response| response.body_truncated));
        self.error_code.push(error.map(|error| error.code.as_str()));
        self.error_message
            .push(error.map(|error| error.message.as_str()));
        Ok(())
    }
}
