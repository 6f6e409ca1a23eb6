//! The ledger as somebody reads it who wants to know what happened, and whether the history that it
//! tells is the one that was written.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use cqrs_es::Aggregate;
use hookledger_domain::{delivery::Delivery, fact::Fact, message::Message, tenant::TenantId};
use hookledger_projections::query::{Page, Rows, Span};

use super::{Error, Hash, Head, StoredEvent, chain::Content};

mod beside;
mod heads;
mod reader;
mod seals;
mod verdict;
mod verify;

pub use heads::LedgerHead;
pub use reader::Reader;
pub use seals::{InvalidSeal, Seal, SealMark, Sealer, Signer};
pub use verdict::{Reason, Verdict};

/// So many events are looked at together when a filter is to find the ones that are meant.
const STEP_EVENTS: u32 = 20_000;
/// A page is given with fewer rows than were asked for when so many events were looked at for it: it
/// then says where to go on.
const PAGE_EVENTS_MAX: u32 = 200_000;
/// By how much the clocks of nodes may be wrong: events are looked for at most so far beside the place
/// where a time would be, if the ledger's times always rose.
const CLOCKS_WRONG_BY: Duration = Duration::hours(1);

/// Which events are meant; an empty field means all.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Those of this tenant.
    pub tenant: Option<TenantId>,
    /// Those of aggregates of this type.
    pub aggregate_type: Option<String>,
    /// Those of this aggregate.
    pub aggregate_id: Option<String>,
    /// Those of this type.
    pub event_type: Option<String>,
    /// What this actor did: its kind, its id, or both as `kind:id`.
    pub actor: Option<String>,
    /// What was recorded then.
    pub recorded: Span,
}

impl EventFilter {
    /// Whether only events are meant that change what people set: few among all.
    pub(super) fn is_about_settings(&self) -> bool {
        let of_traffic = [Message::TYPE, Delivery::TYPE];
        let aggregate_type = self.aggregate_type.as_deref();
        aggregate_type.is_some_and(|aggregate_type| !of_traffic.contains(&aggregate_type))
    }

    /// The types of the aggregates that are meant.
    pub(super) fn aggregate_types(&self) -> Vec<String> {
        match &self.aggregate_type {
            Some(one) => vec![one.clone()],
            None => Fact::AGGREGATE_TYPES
                .iter()
                .map(|all| (*all).to_owned())
                .collect(),
        }
    }

    /// Whether it says more than whose events are meant, or which aggregate's.
    fn is_selective(&self) -> bool {
        self.aggregate_type.is_some()
            || self.event_type.is_some()
            || self.actor.is_some()
            || self.recorded != Span::default()
    }
}

/// A stretch of positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The first one.
    pub(super) from: u64,
    /// The first one after it.
    pub(super) before: u64,
}

/// What was found in a step.
#[derive(Debug)]
pub(super) struct Found {
    /// The last events of the stretch that are meant, last first.
    pub(super) events: Vec<StoredEvent>,
    /// Everything from this position on was looked at; `None` if the whole stretch was.
    pub(super) down_to: Option<u64>,
}

/// An event as whoever checks it reads it: what cannot be read is no error, but what is to be found.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) position: i64,
    pub(super) tenant: String,
    pub(super) aggregate_type: String,
    pub(super) aggregate_id: String,
    pub(super) sequence: i64,
    /// The digest of what it says.
    pub(super) content: Hash,
    /// The hash that stands in it; `None` if that is none.
    pub(super) hash: Option<Hash>,
    /// The hash of the event before it in its stream; `None` if there is none.
    pub(super) before: Option<Hash>,
    /// Whether the body beside it is the one that it tells of; true if it is erased.
    pub(super) has_its_body: bool,
}

/// The columns of an event as they are, from whatever engine.
#[derive(Debug)]
pub(super) struct RawEvent<'a> {
    pub(super) position: i64,
    pub(super) content: Content<'a>,
    pub(super) hash: &'a [u8],
    pub(super) before: Option<&'a [u8]>,
    /// SHA-256 of the body beside it, lower-case hexadecimal.
    pub(super) body_sha256: Option<String>,
}

impl Link {
    pub(super) fn new(event: RawEvent<'_>) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let content = &event.content;
        let has_its_body = event
            .body_sha256
            .is_none_or(|sha256| beside::sha256(content).is_some_and(|told| told == sha256));
        Self {
            position: event.position,
            tenant: text(content.tenant_id),
            aggregate_type: text(content.aggregate_type),
            aggregate_id: text(content.aggregate_id),
            sequence: content.sequence,
            content: content.hash(),
            hash: Hash::from_slice(event.hash),
            before: event.before.and_then(Hash::from_slice),
            has_its_body,
        }
    }
}

/// What a database must be able to tell of how events are chained.
#[async_trait]
pub(super) trait Chained: Send + Sync + 'static {
    /// The events of a stretch that are meant, the last ones first: at most `limit`, and not more
    /// than `events_max` are looked at.
    async fn find_events(
        &self,
        filter: &EventFilter,
        stretch: Stretch,
        limit: u32,
        events_max: u32,
    ) -> Result<Found, Error>;
    /// The first event at a position or after it, and when it was recorded.
    async fn time_at(&self, position: u64) -> Result<Option<(u64, DateTime<Utc>)>, Error>;
    /// The heads of all tenants as they were at one moment; the empty tenant's is that of what
    /// belongs to none.
    async fn heads(&self) -> Result<BTreeMap<String, Head>, Error>;
    /// The head of a tenant.
    async fn head(&self, tenant: &TenantId) -> Result<Option<Head>, Error>;
    /// Events after a position, of all tenants or of one, in their order: none only if there are no
    /// more. At most so many as one may hold in memory.
    async fn links(&self, tenant: Option<&TenantId>, after: i64) -> Result<Vec<Link>, Error>;
    /// All seals by rising number.
    async fn seals(&self) -> Result<Vec<Seal>, Error>;
    /// The one with the highest number.
    async fn last_seal(&self) -> Result<Option<Seal>, Error>;
    /// The positions of events after one, of whatever tenant, in their order.
    async fn positions(&self, after: u64) -> Result<Vec<u64>, Error>;
    /// The position of the last event; 0 if there is none.
    async fn last_position(&self) -> Result<u64, Error>;
    /// Ends the connections.
    async fn close(&self);
}

/// Reads and checks the ledger, and changes nothing. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    engine: Arc<dyn Chained>,
}

impl Audit {
    pub(super) fn new(engine: Arc<dyn Chained>) -> Self {
        Self { engine }
    }

    /// The events that are meant, newest first. A page may have fewer rows than its limit and go on
    /// all the same, where few of many events are meant.
    ///
    /// Times are found if the clocks of nodes were never wrong by more than an hour.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database cannot be asked.
    pub async fn events(
        &self,
        filter: &EventFilter,
        page: Page<u64>,
    ) -> Result<Rows<StoredEvent, u64>, Error> {
        let mut stretch = self.stretch(filter).await?;
        if let Some(after) = page.after {
            stretch.before = stretch.before.min(after);
        }
        let wanted = page.limit + 1;
        // Nothing is passed over without a filter.
        let step = if filter.is_selective() {
            STEP_EVENTS
        } else {
            wanted
        };
        let (mut rows, mut looked_at) = (Vec::new(), 0);
        loop {
            let missing = wanted - u32::try_from(rows.len()).unwrap_or(wanted);
            let found = self
                .engine
                .find_events(filter, stretch, missing, step)
                .await?;
            rows.extend(found.events);
            looked_at += step;
            if rows.len() >= wanted as usize {
                return Ok(Rows::cut(rows, page.limit, |event| event.position));
            }
            match found.down_to {
                None => return Ok(Rows { rows, next: None }),
                Some(down_to) if looked_at >= PAGE_EVENTS_MAX => {
                    let next = Some(down_to);
                    return Ok(Rows { rows, next });
                }
                Some(down_to) => stretch.before = down_to,
            }
        }
    }

    /// The positions between which the events that are meant are.
    async fn stretch(&self, filter: &EventFilter) -> Result<Stretch, Error> {
        let span = filter.recorded;
        let mut stretch = Stretch {
            from: 1,
            before: i64::MAX.cast_unsigned(),
        };
        if filter.tenant.is_some() && span == Span::default() {
            // A tenant's last event is found without knowing where the ledger ends.
            return Ok(stretch);
        }
        let last = self.engine.last_position().await?;
        stretch.before = stretch.before.min(last.saturating_add(1));
        if let Some(from) = span.from {
            let from = from.checked_sub_signed(CLOCKS_WRONG_BY).unwrap_or(from);
            stretch.from = self.position_of(from, last).await?;
        }
        if let Some(to) = span.to {
            let to = to.checked_add_signed(CLOCKS_WRONG_BY).unwrap_or(to);
            stretch.before = self.position_of(to, last).await?;
        }
        Ok(stretch)
    }

    /// The first position at which something was recorded at this time or later, if times rise.
    async fn position_of(&self, time: DateTime<Utc>, last: u64) -> Result<u64, Error> {
        let (mut low, mut high) = (1, last.saturating_add(1));
        while low < high {
            let middle = low + (high - low) / 2;
            match self.engine.time_at(middle).await? {
                Some((position, recorded_at)) if recorded_at < time => low = position + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }
}
