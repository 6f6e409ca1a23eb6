//! How a lane is filled from the view: one load at a time.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use hookledger_domain::ids::DeliveryId;

use super::{
    Entry, Lane, Load,
    news::{Judge, Known, News},
};

/// A load that is under way.
#[derive(Debug)]
pub(super) struct Loading {
    is_of_queues: bool,
    /// What the lane has learnt since, of which the answer may tell old news.
    news: News,
    /// The lane has forgotten everything since: the answer is about the wrong deliveries.
    is_stale: bool,
}

impl Loading {
    fn new(is_of_queues: bool) -> Self {
        Self {
            is_of_queues,
            news: News::default(),
            is_stale: false,
        }
    }

    /// The lane has forgotten everything.
    pub(super) fn outdate(&mut self) {
        self.is_stale = true;
    }
}

impl Lane {
    /// Whether a part of the view should be loaded now; if so, it counts as under way until
    /// [`Lane::loaded`] or [`Lane::load_failed`]. It may show so many that are `elsewhere`.
    pub(in crate::tenants) fn start_load(
        &mut self,
        elsewhere: usize,
        now: DateTime<Utc>,
    ) -> Option<Load> {
        if self.loading.is_some() || self.load_again_at > now {
            return None;
        }
        let load = match self.was_load_of_queues {
            true => self
                .start_load_of_due(elsewhere, now)
                .or_else(|| self.queues.start_load(now)),
            false => self
                .queues
                .start_load(now)
                .or_else(|| self.start_load_of_due(elsewhere, now)),
        }?;
        self.was_load_of_queues = !matches!(load, Load::Due { .. });
        self.loading = Some(Loading::new(self.was_load_of_queues));
        Some(load)
    }

    fn start_load_of_due(&mut self, elsewhere: usize, now: DateTime<Utc>) -> Option<Load> {
        let limit = self
            .window
            .start_load(self.in_flight.len() + elsewhere, now)?;
        Some(Load::Due {
            only_tests: self.window.is_for_tests(),
            limit,
        })
    }

    /// Takes what a load gave, in the order that [`Load`] says. Deliveries that are `elsewhere` may be
    /// among it: those that are being accepted will be offered, others have an attempt that began under
    /// another lane and will be done.
    pub(in crate::tenants) fn loaded(
        &mut self,
        found: Vec<Entry>,
        elsewhere: &HashSet<DeliveryId>,
        now: DateTime<Utc>,
    ) {
        let Some(loading) = self.loading.take().filter(|loading| !loading.is_stale) else {
            return;
        };
        for entry in &found {
            if let Some(flight) = self.in_flight.get_mut(&entry.id) {
                flight.shown(entry);
            }
        }
        let judge = Judge {
            news: &loading.news,
            in_flight: &self.in_flight,
            elsewhere,
        };
        if loading.is_of_queues {
            self.queues.loaded(found, &judge, now);
        } else {
            self.window.loaded(found, &judge, now);
        }
    }

    /// A load came to nothing; it is to be tried again from `retry_at` on.
    pub(in crate::tenants) fn load_failed(&mut self, retry_at: DateTime<Utc>) {
        self.load_again_at = retry_at;
        match self.loading.take() {
            Some(loading) if loading.is_of_queues => self.queues.load_failed(),
            _ => self.window.load_failed(),
        }
    }

    /// Notes what is known of a delivery, if a load is under way.
    pub(super) fn learn(&mut self, id: DeliveryId, known: Known) {
        if let Some(loading) = &mut self.loading {
            loading.news.note(id, known);
        }
    }
}
