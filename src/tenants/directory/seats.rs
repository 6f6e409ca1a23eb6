//! Who has an actor, and who is woken later.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix::{Addr, Handler, Message};
use chrono::{DateTime, Utc};
use hookledger_domain::tenant::TenantId;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::{nodes::Partition, tenants::actor::TenantActor};

#[derive(Default)]
pub(super) struct Seats {
    pub(super) by_tenant: HashMap<TenantId, Seat>,
    /// Tenants without an actor that have something due later.
    pub(super) sleeping: BTreeSet<(DateTime<Utc>, TenantId)>,
    /// The same, the other way round.
    due_of: HashMap<TenantId, DateTime<Utc>>,
}

/// A tenant's place in the directory while it has an actor.
#[derive(Clone)]
pub(super) struct Seat {
    pub(super) addr: Addr<TenantActor>,
    /// Messages that were handed to the actor and that it has not begun yet.
    pub waiting: Arc<AtomicUsize>,
    /// Attempts and commits under way. A new actor starts when those of the old one are over.
    pub tasks: TaskTracker,
    pub(super) permits: Arc<Semaphore>,
}

impl Seat {
    /// Tells the actor something that counts as waiting until it is begun.
    pub(super) fn tell<M>(&self, message: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        TenantActor: Handler<M>,
    {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.addr.do_send(message);
    }
}

impl Seats {
    pub(super) fn sleep(&mut self, tenant: TenantId, due_at: DateTime<Utc>) {
        let earlier = self.wake(&tenant);
        let due_at = earlier.map_or(due_at, |earlier| earlier.min(due_at));
        self.due_of.insert(tenant.clone(), due_at);
        self.sleeping.insert((due_at, tenant));
    }

    pub(super) fn wake(&mut self, tenant: &TenantId) -> Option<DateTime<Utc>> {
        let due_at = self.due_of.remove(tenant)?;
        self.sleeping.remove(&(due_at, tenant.clone()));
        Some(due_at)
    }

    /// Forgets those without an actor that are in these partitions.
    pub(super) fn forget(&mut self, partitions: &HashSet<Partition>) {
        let forgotten: Vec<TenantId> = self
            .due_of
            .keys()
            .filter(|tenant| partitions.contains(&Partition::of(tenant)))
            .cloned()
            .collect();
        for tenant in forgotten {
            self.wake(&tenant);
        }
    }

    pub(super) fn pop_due(&mut self, now: DateTime<Utc>) -> Option<TenantId> {
        let (due_at, tenant) = self.sleeping.first()?.clone();
        if due_at > now {
            return None;
        }
        self.wake(&tenant);
        Some(tenant)
    }

    /// The seats of the tenants in these partitions.
    pub(super) fn of(&self, partitions: &HashSet<Partition>) -> impl Iterator<Item = &Seat> {
        self.by_tenant
            .iter()
            .filter(|(tenant, _)| partitions.contains(&Partition::of(tenant)))
            .map(|(_, seat)| seat)
    }
}
