//! The view as a map of deliveries: what each load is answered with.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// What the view says.
pub(super) fn in_view(ledger: &BTreeMap<DeliveryId, Entry>, load: &Load) -> Vec<DeliveryId> {
    let to_be_sent = || ledger.values().filter(|entry| entry.due_at().is_some());
    let first = |key: &str, each: u32| {
        let is_of_queue = |entry: &&Entry| entry.stream.state.queue() == Some(key);
        let queue: Vec<DeliveryId> = to_be_sent()
            .filter(is_of_queue)
            .map(|entry| entry.id)
            .take(each as usize)
            .collect();
        queue
    };
    match load {
        Load::Due { only_tests, limit } => {
            let mut due: Vec<&Entry> = to_be_sent()
                .filter(|entry| !only_tests || entry.stream.state.is_test())
                .collect();
            due.sort_by_key(|entry| (entry.due_at(), entry.id));
            due.truncate(*limit as usize);
            due.iter().map(|entry| entry.id).collect()
        }
        Load::Queues {
            after,
            queues,
            each,
        } => {
            let keys: BTreeSet<&str> = to_be_sent()
                .filter_map(|entry| entry.stream.state.queue())
                .filter(|key| after.as_deref().is_none_or(|after| *key > after))
                .collect();
            let keys = keys.iter().take(*queues as usize);
            keys.flat_map(|key| first(key, *each)).collect()
        }
        Load::TheseQueues { keys, each } => keys.iter().flat_map(|key| first(key, *each)).collect(),
    }
}

/// A ledger whose view is read at once.
#[derive(Debug, Default)]
pub(super) struct Ledger(pub(super) BTreeMap<DeliveryId, Entry>);

impl Ledger {
    /// Writes a delivery as it is now.
    pub(super) fn write(&mut self, entry: &Entry) -> Entry {
        self.0.insert(entry.id, entry.clone());
        entry.clone()
    }

    /// What is found for a load.
    pub(super) fn find(&self, load: &Load) -> Vec<Entry> {
        let ids = in_view(&self.0, load);
        ids.iter().map(|id| self.0[id].clone()).collect()
    }

    /// Gives a lane all that it wants to load, and tells how often that was.
    pub(super) fn serve(&self, lane: &mut Lane, millis: i64) -> usize {
        let mut loads = 0;
        while let Some(load) = lane.start_load(0, at(millis)) {
            lane.loaded(self.find(&load), &HashSet::new(), at(millis));
            loads += 1;
            assert!(loads < 1000, "it never has enough");
        }
        loads
    }
}
