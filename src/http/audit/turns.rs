//! How many auditors are served at a time: a bounded number, fewer of one tenant, and one less of all tenants
//! together, so that there is one for the platform.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use hookledger_domain::tenant::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many turns each tenant holds.
type Held = Arc<Mutex<HashMap<TenantId, usize>>>;

/// So many turns at a time.
#[derive(Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    max: usize,
    of_one_max: usize,
    of_tenants: Held,
}

/// One of them, for as long as it is held.
#[derive(Debug)]
pub(super) struct Turn {
    of: Option<(TenantId, Held)>,
    _permit: OwnedSemaphorePermit,
}

impl Turns {
    pub(super) fn new(max: usize, of_one_max: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(max)),
            max,
            of_one_max,
            of_tenants: Arc::default(),
        }
    }

    /// A turn for somebody who asks for a tenant's events, or for all; `None` if none is free.
    pub(super) fn take(&self, tenant: Option<&TenantId>) -> Option<Turn> {
        let permit = self.all.clone().try_acquire_owned().ok()?;
        let of = match tenant {
            None => None,
            Some(tenant) => {
                let mut held = self
                    .of_tenants
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                let all: usize = held.values().sum();
                let count = held.get(tenant).copied().unwrap_or_default();
                if count >= self.of_one_max || all + 1 >= self.max {
                    return None;
                }
                held.insert(tenant.clone(), count + 1);
                Some((tenant.clone(), self.of_tenants.clone()))
            }
        };
        Some(Turn {
            of,
            _permit: permit,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some((tenant, of_tenants)) = self.of.take() {
            let mut held = of_tenants.lock().unwrap_or_else(PoisonError::into_inner);
            match held.get_mut(&tenant) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(held.remove(&tenant)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tenant_leaves_turns_to_others_and_all_leave_one_to_the_platform() {
        let tenant = |name: &str| name.parse::<TenantId>().unwrap();
        let (acme, globex, third) = (tenant("acme"), tenant("globex"), tenant("third"));
        let turns = Turns::new(3, 1);
        let first = turns.take(Some(&acme)).unwrap();
        assert!(turns.take(Some(&acme)).is_none());
        let second = turns.take(Some(&globex)).unwrap();
        assert!(turns.take(Some(&third)).is_none());
        let of_all = turns.take(None).unwrap();
        assert!(turns.take(None).is_none());
        drop((first, of_all));
        let again = turns.take(Some(&acme)).unwrap();
        drop((second, again));
        assert!(turns.of_tenants.lock().unwrap().is_empty());
    }
}
