//! What commits want to take that only one can have, and what they expect of bodies.

use hookledger_domain::tenant::TenantId;
use hookledger_projections::Change;
use uuid::Uuid;

use crate::store::{
    Error,
    commit::{Commit, EventRow},
};

columns! {
    /// Messages of which nothing may be to be sent still, each with the place of its commit.
    Ended { tenant_id: &'a str, message_id: Uuid, place: i64 }
    /// Deliveries whose message's body must be there, likewise.
    Sendable { tenant_id: &'a str, delivery_id: Uuid, place: i64 }
    /// Places in streams that commits want to take, each with the place of its commit.
    Places { aggregate_type: &'a str, aggregate_id: &'a str, sequence: i64, commit: i64 }
    /// Idempotency keys that commits want to take, likewise.
    Keys { tenant_id: &'a str, key: &'a str, commit: i64 }
}

/// What commits want to take that only one can have.
#[derive(Debug, Default)]
pub(super) struct Claims<'a> {
    pub(super) places: Places<'a>,
    pub(super) keys: Keys<'a>,
}

impl<'a> Claims<'a> {
    pub(super) fn of(commits: impl Iterator<Item = &'a Commit>) -> Self {
        let mut claims = Self::default();
        for (commit, events) in (0..).zip(commits.map(|commit| &commit.events)) {
            for event in events {
                claims.places.aggregate_type.push(event.aggregate_type);
                claims.places.aggregate_id.push(&event.aggregate_id);
                claims.places.sequence.push(event.sequence.cast_signed());
                claims.places.commit.push(commit);
                if let Some((tenant, key)) = idempotency_key(event) {
                    claims.keys.tenant_id.push(tenant);
                    claims.keys.key.push(key);
                    claims.keys.commit.push(commit);
                }
            }
        }
        claims
    }
}

/// What commits expect of bodies.
#[derive(Debug, Default)]
pub(super) struct Wishes<'a> {
    pub(super) ended: Ended<'a>,
    pub(super) sendable: Sendable<'a>,
}

impl<'a> Wishes<'a> {
    /// Takes down what the commit at `place` expects.
    pub(super) fn add(&mut self, commit: &'a Commit, place: usize) -> Result<(), Error> {
        let place = i64::try_from(place).map_err(Error::corrupt)?;
        let tenant = commit.tenant.as_ref().map_or("", TenantId::as_str);
        for id in &commit.ended_messages {
            self.ended.tenant_id.push(tenant);
            self.ended.message_id.push(id.uuid());
            self.ended.place.push(place);
        }
        for id in &commit.sendable_deliveries {
            self.sendable.tenant_id.push(tenant);
            self.sendable.delivery_id.push(id.uuid());
            self.sendable.place.push(place);
        }
        Ok(())
    }
}

/// The idempotency key that an event takes, with its tenant.
pub(super) fn idempotency_key(event: &EventRow) -> Option<(&str, &str)> {
    event.changes.iter().find_map(|change| match change {
        Change::InsertMessage(row) => {
            let key = row.idempotency.as_ref()?;
            Some((row.tenant_id.as_str(), key.key.as_str()))
        }
        _ => None,
    })
}
