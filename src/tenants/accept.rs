//! Accepting a message: one commit with the message and all its deliveries.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use cqrs_es::{Aggregate, event_sink::EventSink};
use hookledger_domain::{
    actor::Origin,
    delivery::{self, Delivery, Scheduled, attempt::Trigger},
    fact::Fact,
    ids::WebhookId,
    message::{self, Accepted, FanOut, IdempotencyKey, Message},
    tenant::TenantId,
    topic::Topic,
};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Shared, hex, lane::Entry, publish::Published};
use crate::store::{Commit, Error, Stream};

/// A message that is ready to be accepted.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    /// What it is about.
    pub topic: Topic,
    /// When what it tells happened.
    pub timestamp: DateTime<Utc>,
    /// What it is kept in order by.
    pub ordering_key: Option<String>,
    /// The bytes that are signed and sent.
    pub body: Bytes,
    /// Their digest.
    pub body_sha256: String,
    /// What a repetition is recognised by.
    pub idempotency: Option<IdempotencyKey>,
    /// For a test: the one webhook that gets it.
    pub only: Option<WebhookId>,
    /// What its deliveries are triggered by.
    pub trigger: Trigger,
    /// What is appended together with it, or not at all.
    pub together: Option<Arc<Together>>,
}

/// Events of which a message tells.
#[derive(Debug, Default)]
pub(super) struct Together {
    /// The webhook whose they are, if they are a webhook's: it does not get the message.
    pub webhook_id: Option<WebhookId>,
    /// The events.
    pub events: Vec<Placed>,
}

/// An event with its place in the stream of its aggregate.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    /// The aggregate's id.
    pub aggregate_id: String,
    /// The number of the event within the aggregate's.
    pub sequence: u64,
    /// The event.
    pub fact: Fact,
}

impl Placed {
    /// Events of one aggregate after those that it has.
    pub(super) fn after<E: Into<Fact>>(
        sequence: u64,
        aggregate_id: &str,
        events: Vec<E>,
    ) -> impl Iterator<Item = Self> {
        (sequence + 1..)
            .zip(events)
            .map(move |(sequence, event)| Self {
                aggregate_id: aggregate_id.to_owned(),
                sequence,
                fact: event.into(),
            })
    }

    pub(super) fn push(&self, commit: &mut Commit) -> Result<(), Error> {
        commit.push(&self.aggregate_id, self.sequence, &self.fact)
    }
}

impl Prepared {
    /// A message for whoever subscribes to its topic; makes its body.
    pub(super) fn new(topic: Topic, timestamp: DateTime<Utc>, data: &RawValue) -> Self {
        let body = Bytes::from(message::body::body(topic.as_str(), timestamp, data));
        Self {
            topic,
            timestamp,
            ordering_key: None,
            body_sha256: hex(&Sha256::digest(&body)),
            body,
            idempotency: None,
            only: None,
            trigger: Trigger::Publish,
            together: None,
        }
    }
}

/// An accepted message and what is to be sent now.
pub(super) struct Fresh {
    /// What the publisher is told.
    pub published: Published,
    /// The deliveries, each with its webhook.
    pub entries: Vec<(WebhookId, Entry)>,
}

/// Why a message was not accepted.
#[derive(Debug)]
pub(super) enum Failed {
    /// The store did not take it.
    Store(Error),
    /// It did not come so far.
    Actor(super::Error),
}

/// Decides messages with their deliveries and appends all of them together or none, if the tenant is
/// still of the `generation` by which it was decided who gets them.
pub(super) async fn accept(
    shared: &Shared,
    tenant: &TenantId,
    items: Vec<(Prepared, FanOut)>,
    generation: u64,
    origin: &Origin,
) -> Result<Vec<Fresh>, Error> {
    let now = shared.clock.now();
    let mut commit = Commit::new(origin, now);
    commit.expect_generation(generation);
    let mut accepted = Vec::with_capacity(items.len());
    for (prepared, fan_out) in items {
        commit.because_of_origin(origin);
        accepted.push(add(shared, tenant, &mut commit, prepared, fan_out, now).await?);
    }
    shared.ledger.commit(commit).await?;
    let metrics = &shared.metrics;
    metrics.messages_accepted.inc_by(accepted.len() as u64);
    let scheduled = accepted.iter().map(|fresh| fresh.entries.len() as u64);
    metrics.deliveries_scheduled.inc_by(scheduled.sum());
    Ok(accepted)
}

/// Adds a message with its deliveries to a commit.
async fn add(
    shared: &Shared,
    tenant: &TenantId,
    commit: &mut Commit,
    prepared: Prepared,
    fan_out: FanOut,
    now: DateTime<Utc>,
) -> Result<Fresh, Error> {
    let id = shared.ids.message(now);
    let published = Published {
        id,
        topic: prepared.topic.clone(),
        timestamp: prepared.timestamp,
        deliveries: u32::try_from(fan_out.deliveries.len()).unwrap_or(u32::MAX),
        duplicate: false,
    };
    let recipients = fan_out.deliveries.clone();
    let ordering_key = prepared.ordering_key;
    let accepted = Accepted {
        tenant_id: tenant.clone(),
        topic: prepared.topic.clone(),
        timestamp: prepared.timestamp,
        ordering_key: ordering_key.clone(),
        body_bytes: prepared.body.len() as u64,
        body_sha256: prepared.body_sha256,
        idempotency: prepared.idempotency,
        fan_out,
    };
    for placed in prepared
        .together
        .iter()
        .flat_map(|together| &together.events)
    {
        placed.push(commit)?;
    }
    let (_, event) = decide(Message::default(), message::Command::Accept(accepted)).await?;
    commit.push_with_body(id, 1, &event.into(), Some(prepared.body.clone()))?;
    commit.because_of(id);
    let body = shared.bodies.keep(prepared.body, recipients.len());
    let mut entries = Vec::with_capacity(recipients.len());
    for recipient in recipients {
        let command = delivery::Command::Schedule(Scheduled {
            tenant_id: tenant.clone(),
            message_id: id,
            webhook_id: recipient.webhook_id,
            topic: prepared.topic.clone(),
            trigger: prepared.trigger,
            due_at: now,
            ordering_key: ordering_key.clone(),
        });
        let (state, event) = decide(Delivery::default(), command).await?;
        commit.push(recipient.delivery_id, 1, &event.into())?;
        let entry = Entry {
            id: recipient.delivery_id,
            stream: Stream { state, sequence: 1 },
            body: body.clone(),
        };
        entries.push((recipient.webhook_id, entry));
    }
    Ok(Fresh { published, entries })
}

/// Lets a new aggregate decide a command that gives one event.
async fn decide<A>(aggregate: A, command: A::Command) -> Result<(A, A::Event), Error>
where
    A: Aggregate<Services = ()>,
    A::Error: 'static,
{
    let (aggregate, mut events) = decide_all(aggregate, command, &())
        .await
        .map_err(Error::corrupt)?;
    let event = events.pop();
    let event = event.ok_or_else(|| Error::corrupt("a command gave no event"))?;
    Ok((aggregate, event))
}

/// Lets an aggregate decide a command; gives it as it is then, and the events.
pub(super) async fn decide_all<A: Aggregate>(
    mut aggregate: A,
    command: A::Command,
    services: &A::Services,
) -> Result<(A, Vec<A::Event>), A::Error> {
    let sink = EventSink::default();
    aggregate.handle(command, services, &sink).await?;
    Ok((aggregate, sink.collect().await))
}
