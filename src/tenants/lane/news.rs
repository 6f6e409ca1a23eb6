//! What a lane knows better than the answer of a load: the view was read a while ago.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use hookledger_domain::ids::DeliveryId;

use super::{Entry, Key};

/// A delivery that was given out and of which nobody has said yet what came of it.
#[derive(Debug)]
pub(super) struct Flight {
    /// In which queue it stands, if in any.
    pub queue: Option<Key>,
    /// The sequence with which it was given out.
    sequence: u64,
    /// Somebody else has changed it since.
    pub change: Option<Change>,
}

/// What somebody else has made of a delivery in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    /// The sequence with which it was seen; the highest there is if that is not known.
    sequence: u64,
    /// When it is due now, if it is.
    pub due_at: Option<DateTime<Utc>>,
}

impl Flight {
    /// One that begins.
    pub(super) fn new(queue: Option<Key>, entry: &Entry) -> Self {
        Self {
            queue,
            sequence: entry.stream.sequence,
            change: None,
        }
    }

    /// Somebody else has changed it.
    pub(super) fn changed(&mut self, due_at: Option<DateTime<Utc>>) {
        self.hear(u64::MAX, due_at);
    }

    /// The view shows it otherwise than it was given out: changed by somebody else, or recorded
    /// already.
    pub(super) fn shown(&mut self, entry: &Entry) {
        if entry.stream.sequence > self.sequence {
            self.hear(entry.stream.sequence, entry.due_at());
        }
    }

    fn hear(&mut self, sequence: u64, due_at: Option<DateTime<Utc>>) {
        let before = self.change.unwrap_or(Change { sequence, due_at });
        self.change = Some(Change {
            sequence: sequence.max(before.sequence),
            due_at: [before.due_at, due_at].into_iter().flatten().min(),
        });
    }

    /// What is known of it once it is recorded; `again` is how it stands then, if it is to be sent again.
    pub(super) fn end(&self, again: Option<&Entry>) -> Known {
        let sequence = again.map_or(self.sequence + 1, |entry| entry.stream.sequence);
        match self.change {
            Some(change) if change.sequence > sequence => Known::Unsure,
            _ => Known::UpTo {
                sequence,
                is_to_be_sent: again.is_some(),
            },
        }
    }
}

/// How far a delivery is known that was touched while a load was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// All of it to a sequence: what is shown with that one or an earlier one is old news.
    UpTo {
        /// The sequence.
        sequence: u64,
        /// There is something to be sent, of which the lane has taken note.
        is_to_be_sent: bool,
    },
    /// Not at all: only a later load tells.
    Unsure,
}

/// What a lane has learnt since a load began.
#[derive(Debug, Default)]
pub(super) struct News(HashMap<DeliveryId, Known>);

impl News {
    /// Takes note of a delivery. Of two notes that come the wrong way round the later state counts.
    pub(super) fn note(&mut self, id: DeliveryId, known: Known) {
        let before = self.0.entry(id).or_insert(known);
        match (*before, known) {
            (Known::UpTo { sequence: old, .. }, Known::UpTo { sequence: new, .. }) if new < old => {
            }
            (Known::Unsure, _) => {}
            _ => *before = known,
        }
    }
}

/// What to make of a delivery that a load shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is as shown.
    Fresh,
    /// It is over or on its way: as if it were not there.
    Past,
    /// It is still to be sent, but not as shown, and the lane knows when.
    Stands,
    /// Others have it: it is being accepted, or its attempt began under an earlier epoch. They will
    /// tell.
    Elsewhere,
    /// Only a later load tells.
    Unsure,
}

/// All that is known besides the answer of a load.
pub(super) struct Judge<'a> {
    /// What the lane has learnt since it began.
    pub news: &'a News,
    /// What the lane has given out.
    pub in_flight: &'a HashMap<DeliveryId, Flight>,
    /// What others have.
    pub elsewhere: &'a HashSet<DeliveryId>,
}

impl Judge<'_> {
    /// What to make of a delivery that it shows.
    pub(super) fn judge(&self, shown: &Entry) -> Verdict {
        if self.in_flight.contains_key(&shown.id) || shown.due_at().is_none() {
            return Verdict::Past;
        }
        if self.elsewhere.contains(&shown.id) {
            return Verdict::Elsewhere;
        }
        match self.news.0.get(&shown.id) {
            None => Verdict::Fresh,
            Some(Known::UpTo {
                sequence,
                is_to_be_sent,
            }) if shown.stream.sequence <= *sequence => match is_to_be_sent {
                true => Verdict::Stands,
                false => Verdict::Past,
            },
            Some(_) => Verdict::Unsure,
        }
    }
}
