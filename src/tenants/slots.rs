//! The process's attempts: at most so many at one time, given out in turn to the tenants that want
//! one, so that a tenant with a million deliveries waits no less than one with two.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hookledger_domain::tenant::TenantId;

/// Somebody to whom a slot can be handed. Returns it if it is not wanted any more.
pub(super) type Taker = Box<dyn FnOnce(Slot) + Send>;

/// All slots.
#[derive(Clone)]
pub(super) struct Slots {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    free: usize,
    queue: VecDeque<TenantId>,
    takers: HashMap<TenantId, Taker>,
}

/// The right to make one attempt; goes back when it is dropped.
pub(super) struct Slot {
    slots: Slots,
}

impl Slots {
    /// So many slots.
    pub(super) fn new(count: usize) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                free: count,
                queue: VecDeque::new(),
                takers: HashMap::new(),
            })),
        }
    }

    /// Takes a slot if one is free and nobody waits. Otherwise the tenant is put at the end of
    /// the queue, once, and the last `taker` gets a slot when it is the tenant's turn: an earlier one
    /// may be gone.
    pub(super) fn take(&self, tenant: &TenantId, taker: impl FnOnce() -> Taker) -> Option<Slot> {
        let mut inner = self.lock();
        if inner.free > 0 && inner.queue.is_empty() {
            inner.free -= 1;
            return Some(Slot {
                slots: self.clone(),
            });
        }
        if inner.takers.insert(tenant.clone(), taker()).is_none() {
            inner.queue.push_back(tenant.clone());
        }
        None
    }

    fn give_back(&self) {
        let taker = {
            let mut inner = self.lock();
            let next = inner.queue.pop_front();
            match next.and_then(|tenant| inner.takers.remove(&tenant)) {
                Some(taker) => taker,
                None => {
                    inner.free += 1;
                    return;
                }
            }
        };
        // Outside the lock: if the taker is gone, the slot comes back here at once.
        taker(Slot {
            slots: self.clone(),
        });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    #[test]
    fn freed_slots_go_round_the_tenants() {
        let slots = Slots::new(1);
        let (sender, receiver) = mpsc::channel();
        let want = |name: &'static str| {
            let sender = sender.clone();
            slots.take(&tenant(name), move || {
                Box::new(move |slot| drop(sender.send((name, slot))))
            })
        };
        let first = want("a").unwrap();
        assert!(want("a").is_none());
        assert!(want("a").is_none());
        assert!(want("b").is_none());
        drop(first);
        let (name, slot) = receiver.try_recv().unwrap();
        assert_eq!(name, "a");
        assert!(want("a").is_none());
        drop(slot);
        let (name, slot) = receiver.try_recv().unwrap();
        assert_eq!(name, "b");
        drop(slot);
        assert_eq!(receiver.try_recv().unwrap().0, "a");
        assert!(want("c").is_some());
    }

    #[test]
    fn a_taker_that_is_gone_is_passed_over() {
        let slots = Slots::new(1);
        let first = slots.take(&tenant("a"), || unreachable!()).unwrap();
        assert!(slots.take(&tenant("b"), || Box::new(drop)).is_none());
        drop(first);
        assert!(slots.take(&tenant("c"), || unreachable!()).is_some());
    }

    #[test]
    fn whoever_asked_last_for_a_tenant_gets_its_slot() {
        let slots = Slots::new(1);
        let (sender, receiver) = mpsc::channel();
        let first = slots.take(&tenant("a"), || unreachable!()).unwrap();
        for name in ["before", "after"] {
            let sender = sender.clone();
            let taker: Taker = Box::new(move |slot| drop(sender.send((name, slot))));
            assert!(slots.take(&tenant("a"), || taker).is_none());
        }
        drop(first);
        assert_eq!(receiver.try_recv().unwrap().0, "after");
        assert!(receiver.try_recv().is_err());
    }
}
