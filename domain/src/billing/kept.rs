use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Seen;
use crate::stripe::StripeId;

/// One of Stripe's objects, of each of which the greatest snapshot is kept.
pub(super) trait Object {
    /// The most of a tenant that are kept: the ones that were made last.
    const MAX: usize;

    fn id(&self) -> &StripeId;
    fn created_at(&self) -> DateTime<Utc>;
    /// Whether a snapshot is greater than one that is known.
    fn is_greater(new: (&Seen, &Self), known: (&Seen, &Self)) -> bool;
}

/// What one of Stripe's objects was at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Snapshot<T> {
    seen: Seen,
    of: T,
}

/// The objects of one kind that are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Kept<T>(BTreeMap<StripeId, Snapshot<T>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Object> Kept<T> {
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.values().map(|snapshot| &snapshot.of)
    }

    pub(super) fn get(&self, id: &StripeId) -> Option<&T> {
        self.0.get(id).map(|snapshot| &snapshot.of)
    }

    /// Whether a snapshot would be kept: it is greater than the one that is known, and there is room for
    /// the object, or an older one that has to go.
    pub(super) fn wants(&self, seen: &Seen, new: &T) -> bool {
        if let Some(known) = self.0.get(new.id()) {
            return T::is_greater((seen, new), (&known.seen, &known.of));
        }
        let mut all = self.all();
        self.0.len() < T::MAX || all.any(|one| age(one) < age(new))
    }

    /// Keeps a snapshot, and lets go of the oldest objects.
    pub(super) fn put(&mut self, seen: Seen, of: T) {
        self.0.insert(of.id().clone(), Snapshot { seen, of });
        while self.0.len() > T::MAX {
            let oldest = self.all().min_by_key(|one| age(*one));
            let Some(oldest) = oldest.map(|one| one.id().clone()) else {
                return;
            };
            self.0.remove(&oldest);
        }
    }
}

/// By what objects are let go: it is the same in every snapshot of one.
fn age<T: Object>(object: &T) -> (DateTime<Utc>, &StripeId) {
    (object.created_at(), object.id())
}
