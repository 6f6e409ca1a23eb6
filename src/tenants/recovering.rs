//! Recoveries at work: some hundred deliveries at a time are asked for, in one commit with how far
//! the recovery has come. So each is asked for once, whatever happens in between.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use hookledger_domain::{
    actor::Origin,
    delivery::{self, Delivery, attempt::Trigger},
    ids::{DeliveryId, RecoveryId},
    recovery::{self, DELIVERIES_MAX, Recovery, Started, State},
    tenant::TenantId,
};

use super::{Shared, accept::decide_all};
use crate::store::{Commit, Error, Stream};

/// Deliveries that are asked for in one commit.
const STEP: usize = 200;
/// How long to wait before a step is tried again; doubles up to the second value.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// A delivery that was asked for, as it is now.
pub(super) type Requested = (DeliveryId, Stream<Delivery>);

/// Works on a tenant's recoveries, one after the other, until none is left or it is not wanted any
/// more. What was asked for is `told` as it happens.
pub(super) async fn run(
    shared: &Shared,
    tenant: &TenantId,
    is_wanted: impl Fn() -> bool,
    told: impl Fn(Vec<Requested>),
) {
    let mut wait = RETRY.0;
    while is_wanted() {
        let worked = match first_of(shared, tenant).await {
            Ok(None) => return,
            Ok(Some(mut work)) => work.finish(shared, &is_wanted, &told).await,
            Err(error) => Err(error),
        };
        match worked {
            Ok(()) => wait = RETRY.0,
            Err(error) => pause(&mut wait, &error).await,
        }
    }
}

async fn pause(wait: &mut Duration, error: &Error) {
    tracing::warn!(%error, "a recovery cannot go on yet");
    tokio::time::sleep(*wait).await;
    *wait = (*wait * 2).min(RETRY.1);
}

/// A recovery that is worked on.
struct Work {
    id: RecoveryId,
    tenant: TenantId,
    started: Started,
    stream: Stream<Recovery>,
    left: VecDeque<DeliveryId>,
    /// Those whose message's body is erased, as far as that was met.
    erased: HashSet<DeliveryId>,
}

/// The tenant's first recovery that is not over, with the deliveries that it has left.
async fn first_of(shared: &Shared, tenant: &TenantId) -> Result<Option<Work>, Error> {
    let running = shared.views.running_recoveries(Some(tenant)).await?;
    let Some(row) = running.first() else {
        return Ok(None);
    };
    let stream: Stream<Recovery> = shared.ledger.load(&row.id.to_string()).await?;
    let started = stream.state.started().cloned();
    let started = started.ok_or_else(|| Error::corrupt("a recovery that was never started"))?;
    let first = DeliveryId::first_at(started.from);
    let first = stream
        .state
        .through()
        .map_or(first, |through| through.max(first));
    let found = shared.views.recoverable(
        tenant,
        started.webhook_id,
        started.selection,
        (first, DeliveryId::first_at(started.to)),
        u32::try_from(DELIVERIES_MAX + 1).unwrap_or(u32::MAX),
    );
    let mut left: VecDeque<DeliveryId> = found.await?.into();
    if left.front() == stream.state.through().as_ref() {
        left.pop_front();
    }
    Ok(Some(Work {
        id: row.id,
        tenant: tenant.clone(),
        started,
        stream,
        left,
        erased: HashSet::new(),
    }))
}

impl Work {
    async fn finish(
        &mut self,
        shared: &Shared,
        is_wanted: &impl Fn() -> bool,
        told: &impl Fn(Vec<Requested>),
    ) -> Result<(), Error> {
        while is_wanted() && self.stream.state.state() == State::Running {
            let step: Vec<DeliveryId> = self.left.iter().take(STEP).copied().collect();
            match self.step(shared, &step).await {
                Ok(requested) => {
                    told(requested);
                    self.left.drain(..step.len());
                }
                // A delivery has moved on since it was read, or the recovery was cancelled.
                Err(Error::Conflict) => {
                    self.stream = shared.ledger.load(&self.id.to_string()).await?;
                }
                Err(Error::Stale) => self.find_erased(shared, &step).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What has no body any more cannot be sent again.
    async fn find_erased(&mut self, shared: &Shared, ids: &[DeliveryId]) -> Result<(), Error> {
        let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
        for (id, stream) in shared.ledger.load_many::<Delivery>(&texts).await? {
            let message = stream.state.message_id();
            if shared
                .views
                .message_body(&self.tenant, message)
                .await?
                .is_none()
            {
                self.erased.insert(id.parse().map_err(Error::corrupt)?);
            }
        }
        Ok(())
    }

    /// Asks for some deliveries, in the order of their ids.
    async fn step(&mut self, shared: &Shared, ids: &[DeliveryId]) -> Result<Vec<Requested>, Error> {
        let now = shared.clock.now();
        let origin = Origin::system(self.tenant.clone(), "recover").because_of(self.id);
        let mut commit = Commit::new(&origin, now);
        let mut requested = Vec::with_capacity(ids.len());
        let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
        for (id, stream) in shared.ledger.load_many::<Delivery>(&texts).await? {
            let id: DeliveryId = id.parse().map_err(Error::corrupt)?;
            if let Some(stream) = self.request(&mut commit, id, stream, now).await? {
                requested.push((id, stream));
            }
        }
        let mut stream = self.stream.clone();
        let advance = ids.last().map(|through| recovery::Command::Advance {
            through: *through,
            requested: requested.len() as u64,
        });
        // With the last of them, so that whoever sees one of them come can ask anew.
        let is_last = ids.len() == self.left.len();
        let complete = is_last.then_some(recovery::Command::Complete);
        for command in [advance, complete].into_iter().flatten() {
            let decided = decide(&mut commit, self.id, stream, command).await?;
            stream = decided.ok_or(Error::Conflict)?;
        }
        shared.ledger.commit(commit).await?;
        self.stream = stream;
        Ok(requested)
    }

    /// Adds to a commit that a delivery is asked for, if it still is as the recovery wants it and
    /// no other recovery was first.
    async fn request(
        &self,
        commit: &mut Commit,
        id: DeliveryId,
        stream: Stream<Delivery>,
        now: DateTime<Utc>,
    ) -> Result<Option<Stream<Delivery>>, Error> {
        let is_wanted = self.started.selection.includes(stream.state.status());
        if !is_wanted || self.erased.contains(&id) {
            return Ok(None);
        }
        let command = delivery::Command::RequestAttempt {
            trigger: Trigger::Recover,
            now,
            unless_since: Some(self.started.unless_since),
        };
        decide(commit, id, stream, command).await
    }
}

/// Lets an aggregate decide a command and adds what it decided to a commit. Returns how it is then,
/// if anything was decided.
async fn decide<A>(
    commit: &mut Commit,
    id: impl std::fmt::Display + Copy,
    stream: Stream<A>,
    command: A::Command,
) -> Result<Option<Stream<A>>, Error>
where
    A: Aggregate<Services = ()>,
    A::Error: 'static,
    hookledger_domain::fact::Fact: From<A::Event>,
{
    let mut sequence = stream.sequence;
    // A refusal means that it has changed since it was read.
    let Ok((state, events)) = decide_all(stream.state, command, &()).await else {
        return Err(Error::Conflict);
    };
    if events.is_empty() {
        return Ok(None);
    }
    for event in events {
        sequence += 1;
        commit.push(id, sequence, &event.into())?;
    }
    Ok(Some(Stream { state, sequence }))
}
