//! Whether the history that the ledger tells is the one that was written.
//!
//! Every event is read once, in order. Its hash must be that of what it says, of its position, and of the
//! events before it (see [`chain`](crate::store::chain)); in the end every tenant's last event must be the
//! one that its head names.

use std::collections::{BTreeMap, HashSet, VecDeque};

use hookledger_domain::tenant::TenantId;

use super::{
    Audit, LedgerHead, Link, Seal, SealMark,
    verdict::{Reason, Verdict, broken},
};
use crate::store::{Error, Head, chain::link};

/// So many stretches of positions without an event are remembered.
const GAPS_MAX: usize = 100_000;

/// Hears how far checking has come: up to which position of how many.
pub(super) type Listener<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

impl Audit {
    /// Checks the whole ledger, as far as it goes now, while others go on appending to it. In memory it
    /// has a head for each tenant, all seals and a page of events.
    ///
    /// `mark` is a seal that was kept elsewhere, which must be one of this ledger.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database cannot be asked.
    pub async fn verify(
        &self,
        mark: Option<SealMark>,
        progress: Listener<'_>,
    ) -> Result<Verdict, Error> {
        let seals = self.engine.seals().await?;
        let recorded = self.engine.heads().await?;
        let end = LedgerHead::of(&recorded);
        let mut walk = Walk::new(true);
        walk.seals = seals.into();
        self.walk(None, &mut walk, end.position, progress).await?;
        walk.check_seals(u64::MAX);
        walk.compare(&recorded);
        if let Some(mark) = mark.filter(|mark| !walk.marks.contains(mark)) {
            walk.note(1, Reason::NoSeal(mark));
        }
        if let Some(next) = self.first_after(None, end.position).await? {
            let heads = self.engine.heads().await?;
            walk.must_be_appended(&next, heads.get(&next.tenant));
        }
        Ok(walk.bad.unwrap_or(Verdict::Intact {
            events: end.events,
            head: end.hash,
            position: end.position,
        }))
    }

    /// Checks the events of a tenant, likewise.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database cannot be asked.
    pub async fn verify_tenant(&self, tenant: &TenantId) -> Result<Verdict, Error> {
        let head = self.engine.head(tenant).await?.unwrap_or_default();
        let mut walk = Walk::new(false);
        self.walk(Some(tenant), &mut walk, head.position, &|_, _| {})
            .await?;
        let recorded = BTreeMap::from([(tenant.to_string(), head)]);
        walk.heads.entry(tenant.to_string()).or_default();
        walk.compare(&recorded);
        if let Some(next) = self.first_after(Some(tenant), head.position).await? {
            let head = self.engine.head(tenant).await?;
            walk.must_be_appended(&next, head.as_ref());
        }
        if let Some(missing) = walk.missing_after {
            self.locate(&mut walk, missing).await?;
        }
        Ok(walk.bad.unwrap_or(Verdict::Intact {
            events: head.events,
            head: head.hash,
            position: head.position,
        }))
    }

    async fn walk(
        &self,
        tenant: Option<&TenantId>,
        walk: &mut Walk,
        end: u64,
        progress: Listener<'_>,
    ) -> Result<(), Error> {
        // What stands before the first position was put there by somebody else.
        let mut next = self.engine.links(tenant, i64::MIN).await?;
        let end = end.cast_signed();
        while let Some(last) = next.last().map(|link| link.position) {
            let is_over = last >= end;
            let page = next;
            // The next page is read while this one is checked.
            let read = async {
                if is_over {
                    return Ok(Vec::new());
                }
                self.engine.links(tenant, last).await
            };
            let check = async {
                for link in &page {
                    if link.position <= end {
                        walk.check(link);
                    }
                }
            };
            let (read, ()) = tokio::join!(read, check);
            next = read?;
            let done = last.clamp(0, end.max(0));
            progress(done.cast_unsigned(), end.cast_unsigned());
        }
        Ok(())
    }

    /// The first event after a position.
    async fn first_after(
        &self,
        tenant: Option<&TenantId>,
        position: u64,
    ) -> Result<Option<Link>, Error> {
        let found = self.engine.links(tenant, position.cast_signed()).await?;
        Ok(found.into_iter().next())
    }

    /// Finds where between two events of a tenant something is missing: at the first position that no
    /// event of whatever tenant has.
    async fn locate(&self, walk: &mut Walk, missing: Missing) -> Result<(), Error> {
        let mut last = missing.after;
        loop {
            let page = self.engine.positions(last).await?;
            for position in &page {
                if *position > last + 1 || *position >= missing.before {
                    break;
                }
                last = *position;
            }
            let is_whole = page.last() == Some(&last) && last < missing.before;
            if !is_whole {
                break;
            }
        }
        if last + 1 < missing.before {
            walk.bad = Some(broken(last + 1, Reason::Missing));
        }
        Ok(())
    }
}

/// Between these positions an event may be missing.
#[derive(Debug, Clone, Copy)]
struct Missing {
    after: u64,
    before: u64,
}

/// What was seen so far.
struct Walk {
    /// It sees all events, so it knows which positions have none.
    sees_all: bool,
    heads: BTreeMap<String, Head>,
    last: u64,
    /// Positions without an event: the first of a stretch, and the first after it.
    gaps: Vec<(u64, u64)>,
    /// The seals that are still to be checked.
    seals: VecDeque<Seal>,
    last_seal: Option<Seal>,
    /// Those that were right.
    marks: HashSet<SealMark>,
    /// The first that is wrong.
    bad: Option<Verdict>,
    /// Where that may rather be something that is missing.
    missing_after: Option<Missing>,
}

impl Walk {
    fn new(sees_all: bool) -> Self {
        Self {
            sees_all,
            heads: BTreeMap::new(),
            last: 0,
            gaps: Vec::new(),
            seals: VecDeque::new(),
            last_seal: None,
            marks: HashSet::new(),
            bad: None,
            missing_after: None,
        }
    }

    fn check(&mut self, event: &Link) {
        if event.position < 1 {
            return self.note(0, Reason::Changed(name(event)));
        }
        let position = event.position.cast_unsigned();
        self.check_seals(position);
        if self.sees_all && self.last > 0 && position == self.last {
            self.note(position, Reason::Twice);
        }
        if self.sees_all && position > self.last + 1 && self.gaps.len() < GAPS_MAX {
            self.gaps.push((self.last + 1, position));
        }
        self.last = position;
        let head = self.heads.get(&event.tenant).copied().unwrap_or_default();
        let expected = link(
            event.content,
            event.position,
            event.before.unwrap_or_default(),
            head.hash,
        );
        let has_its_place = event.sequence <= 1 || event.before.is_some();
        if event.hash != Some(expected) || !has_its_place {
            self.note_break(head.position, position, Reason::Changed(name(event)));
        } else if !event.has_its_body {
            self.note(position, Reason::Body(name(event)));
        }
        let head = self.heads.entry(event.tenant.clone()).or_default();
        head.push(position, event.hash.unwrap_or(expected));
    }

    /// Seals of what lies before this position must be of what was seen.
    fn check_seals(&mut self, position: u64) {
        while let Some(seal) = self
            .seals
            .pop_front_if(|seal| seal.head.position < position)
        {
            let before = self.last_seal.as_ref();
            let covered = before.map_or(0, |seal| seal.head.position);
            let reason = Reason::Seal(seal.number);
            if !seal.follows(before) {
                self.note(seal.head.position, reason);
            } else if LedgerHead::of(&self.heads) == seal.head {
                self.marks.insert(seal.mark());
            } else {
                match self.gap(covered, seal.head.position + 1) {
                    Some(missing) => self.note(missing, Reason::Missing),
                    // All adds up by itself, so hashes were made anew: nothing since the seal before is proved.
                    None if self.bad.is_none() => self.note(covered + 1, reason),
                    None => {}
                }
            }
            self.last_seal = Some(seal);
        }
    }

    /// Every tenant's events must end as its head says.
    fn compare(&mut self, recorded: &BTreeMap<String, Head>) {
        if self.sees_all {
            self.gaps.push((self.last + 1, u64::MAX));
        }
        let mut owners: Vec<&String> = recorded.keys().collect();
        let seen: Vec<String> = self.heads.keys().cloned().collect();
        owners.extend(seen.iter().filter(|owner| !recorded.contains_key(*owner)));
        for owner in owners {
            let expected = recorded.get(owner).copied().unwrap_or_default();
            let found = self.heads.get(owner).copied().unwrap_or_default();
            if found == expected {
                continue;
            }
            let name = match owner.as_str() {
                "" => "the platform".to_owned(),
                owner => format!("tenant {owner}"),
            };
            let reason = Reason::Head(name);
            if expected.position > found.position {
                let before = expected.position + 1;
                self.note_break(found.position, before, reason.clone());
                self.note(expected.position, reason);
            } else {
                self.note(found.position, reason);
            }
        }
    }

    /// An event after all heads was appended since they were read, or was put in.
    fn must_be_appended(&mut self, event: &Link, head: Option<&Head>) {
        let position = event.position.cast_unsigned();
        if head.is_none_or(|head| head.position < position) {
            self.note(position, Reason::Changed(name(event)));
        }
    }

    /// The chain of a tenant is broken between its last good event and this position. If there is a
    /// position without an event in between, that is what was removed.
    fn note_break(&mut self, after: u64, position: u64, reason: Reason) {
        if !self.sees_all {
            if self.bad.is_none() {
                let before = position;
                self.missing_after = Some(Missing { after, before });
            }
            return self.note(position, reason);
        }
        match self.gap(after, position) {
            Some(missing) => self.note(missing, Reason::Missing),
            None => self.note(position, reason),
        }
    }

    /// The first position without an event after one and before another.
    fn gap(&self, after: u64, before: u64) -> Option<u64> {
        let next = self.gaps.partition_point(|(_, end)| *end <= after + 1);
        let (first, _) = self.gaps.get(next)?;
        (*first < before).then(|| (*first).max(after + 1))
    }

    fn note(&mut self, position: u64, reason: Reason) {
        let is_first = match self.bad {
            Some(Verdict::Broken {
                first_bad_position, ..
            }) => position < first_bad_position,
            _ => true,
        };
        if is_first {
            self.bad = Some(broken(position, reason));
        }
    }
}

/// Names an event for people.
fn name(event: &Link) -> String {
    format!(
        "event {} of {} {}",
        event.sequence, event.aggregate_type, event.aggregate_id
    )
}
