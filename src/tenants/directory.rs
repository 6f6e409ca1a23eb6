//! Which tenants have an actor: starts them when they are asked for or something comes due,
//! retires those that are idle, and starts those anew that panicked.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::{Actor, Arbiter, ArbiterHandle, Handler, Message};
use chrono::{DateTime, Utc};
use hookledger_domain::{actor::Origin, ids::DeliveryId, tenant::TenantId};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::task::TaskTracker;

use super::{
    Error, Shared,
    accept::{Failed, Prepared},
    actor::{Accept, Changed, Recover, Reload, TenantActor},
    publish::Published,
};
use crate::nodes::Partition;

mod dispatching;
mod seats;

use seats::{Seat, Seats};

/// Requests of one tenant that may wait for its actor; further ones are answered 429.
const WAITING_PER_TENANT_MAX: usize = 1024;
/// How long a request waits for its answer: longer than any store should take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a thread of actors may take to answer.
const BEAT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a panicked actor stays away, so that one that panics at once does not spin.
const REVIVE_DELAY: Duration = Duration::from_millis(200);

/// The directory. Cheap to clone.
#[derive(Clone)]
pub(super) struct Directory {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    arbiters: Vec<ArbiterHandle>,
    /// Stops and joins the threads when it goes.
    threads: Mutex<Vec<Arbiter>>,
    seats: Mutex<Seats>,
    /// Told when something earlier was put to sleep.
    alarm: Notify,
}

impl Directory {
    /// Makes the threads of the actors ready.
    pub(super) fn start(shared: Arc<Shared>, threads: usize) -> Self {
        let threads: Vec<Arbiter> = (0..threads.max(1)).map(|_| Arbiter::new()).collect();
        let this = Self {
            inner: Arc::new(Inner {
                arbiters: threads.iter().map(Arbiter::handle).collect(),
                threads: Mutex::new(threads),
                seats: Mutex::default(),
                alarm: Notify::new(),
                shared: shared.clone(),
            }),
        };
        shared.runtime.spawn(this.clone().wake_sleepers());
        this
    }

    /// Hands messages to the tenant's actor and waits for what became of each.
    pub(super) async fn accept(
        &self,
        tenant: &TenantId,
        batch: Vec<Prepared>,
        origin: Origin,
    ) -> Result<Vec<Result<Published, Failed>>, Error> {
        let (reply, answer) = oneshot::channel();
        self.ask(tenant, answer, |permit| Accept {
            batch,
            origin,
            reply,
            permit,
        })
        .await?
        .map(|accepted| {
            accepted
                .into_iter()
                .map(|result| result.map(|(published, _)| published))
                .collect()
        })
    }

    /// Hands a test to the tenant's actor; answers nothing if the webhook is gone meanwhile.
    pub(super) async fn test(
        &self,
        tenant: &TenantId,
        item: Prepared,
        origin: Origin,
    ) -> Result<Option<DeliveryId>, Error> {
        let (reply, answer) = oneshot::channel();
        let mut answers = self
            .ask(tenant, answer, |permit| Accept {
                batch: vec![item],
                origin,
                reply,
                permit,
            })
            .await??;
        match answers.pop() {
            Some(Ok((_, delivery))) => Ok(delivery),
            Some(Err(Failed::Store(error))) => Err(error.into()),
            Some(Err(Failed::Actor(error))) => Err(error),
            None => Err(Error::Internal),
        }
    }

    /// Lets the tenant's actor read what has changed, and waits until it knows. What is published
    /// meanwhile is decided anew if it was decided by what is over: the store sees to that.
    pub(super) async fn reload(&self, tenant: &TenantId) {
        let (reply, reloaded) = oneshot::channel();
        if self.tell_of_change(tenant, Some(reply)) {
            Self::wait_until_read(tenant, reloaded).await;
        }
    }

    /// The same for a change after which no more is to be sent than before it: an actor that is not
    /// there is not started.
    pub(super) async fn refresh(&self, tenant: &TenantId) {
        let (reply, reloaded) = oneshot::channel();
        if self.tell_seated(tenant, Some(reply)) {
            Self::wait_until_read(tenant, reloaded).await;
        }
    }

    async fn wait_until_read(tenant: &TenantId, reloaded: oneshot::Receiver<Result<(), Error>>) {
        let result = match tokio::time::timeout(ANSWER_TIMEOUT, reloaded).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(Error::Unavailable),
        };
        if let Err(error) = result {
            tracing::warn!(%error, %tenant, "a tenant's actor could not read a change");
        }
    }

    /// Tells the tenant's actor that something has changed. One that is not there reads it when it
    /// starts, which it does now if this node sends for the tenant: more may be to send than before.
    /// Returns whether somebody was told.
    fn tell_of_change(
        &self,
        tenant: &TenantId,
        reply: Option<oneshot::Sender<Result<(), Error>>>,
    ) -> bool {
        let mut seats = self.seats();
        if let Some(seat) = seats.by_tenant.get(tenant) {
            seat.tell(Reload { reply });
            return true;
        }
        if self.is_held(tenant) {
            self.seat(&mut seats, tenant);
        }
        false
    }

    /// Tells the tenant's actor, if this node sends for the tenant, that it was said by hand what is
    /// to become of these deliveries.
    pub(super) fn tell_changed(&self, tenant: &TenantId, ids: Vec<DeliveryId>) {
        if self.is_held(tenant) {
            self.seat(&mut self.seats(), tenant).tell(Changed(ids));
        }
    }

    /// Tells the tenant's actor, if this node sends for the tenant, that there may be recoveries to
    /// work on.
    pub(super) fn tell_to_recover(&self, tenant: &TenantId) {
        if self.is_held(tenant) {
            self.seat(&mut self.seats(), tenant).tell(Recover);
        }
    }

    /// Tells the tenant's actor that something has changed, if there is one. Returns whether.
    fn tell_seated(
        &self,
        tenant: &TenantId,
        reply: Option<oneshot::Sender<Result<(), Error>>>,
    ) -> bool {
        let seats = self.seats();
        let seat = seats.by_tenant.get(tenant);
        if let Some(seat) = seat {
            seat.tell(Reload { reply });
        }
        seat.is_some()
    }

    fn is_held(&self, tenant: &TenantId) -> bool {
        let held = &self.inner.shared.held;
        held.epoch(Partition::of(tenant)).is_some()
    }

    async fn ask<M, T>(
        &self,
        tenant: &TenantId,
        answer: oneshot::Receiver<T>,
        message: impl FnOnce(OwnedSemaphorePermit) -> M,
    ) -> Result<T, Error>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        TenantActor: Handler<M>,
    {
        {
            let mut seats = self.seats();
            let seat = self.seat(&mut seats, tenant);
            let permit = seat
                .permits
                .clone()
                .try_acquire_owned()
                .map_err(|_| Error::Busy {
                    retry_after_seconds: 1,
                })?;
            // Under the lock, so that the actor is not retired with this in its mailbox.
            seat.tell(message(permit));
        }
        match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Error::Unavailable),
        }
    }

    fn seat<'a>(&self, seats: &'a mut Seats, tenant: &TenantId) -> &'a Seat {
        if !seats.by_tenant.contains_key(tenant) {
            seats.wake(tenant);
            let seat = self.start_actor(tenant, TaskTracker::new());
            seats.by_tenant.insert(tenant.clone(), seat);
        }
        &seats.by_tenant[tenant]
    }

    fn start_actor(&self, tenant: &TenantId, tasks: TaskTracker) -> Seat {
        let mut hasher = DefaultHasher::new();
        tenant.hash(&mut hasher);
        let arbiters = &self.inner.arbiters;
        let index = usize::try_from(hasher.finish() % arbiters.len() as u64).unwrap_or(0);
        let waiting = Arc::new(AtomicUsize::new(0));
        let (directory, shared, tenant) = (self.clone(), self.inner.shared.clone(), tenant.clone());
        let (its_waiting, its_tasks) = (waiting.clone(), tasks.clone());
        let addr = TenantActor::start_in_arbiter(&arbiters[index], move |_| {
            TenantActor::new(tenant, shared, directory, its_waiting, its_tasks)
        });
        Seat {
            addr,
            waiting,
            tasks,
            permits: Arc::new(Semaphore::new(WAITING_PER_TENANT_MAX)),
        }
    }

    /// Takes an idle actor out of the directory, unless a message is on its way to it. The tenant
    /// is woken at `wake_at`.
    pub(super) fn retire(&self, tenant: &TenantId, wake_at: Option<DateTime<Utc>>) -> bool {
        let mut seats = self.seats();
        let is_wanted = seats
            .by_tenant
            .get(tenant)
            .is_none_or(|seat| seat.waiting.load(Ordering::Relaxed) > 0 || !seat.tasks.is_empty());
        if is_wanted {
            return false;
        }
        seats.by_tenant.remove(tenant);
        if let Some(due_at) = wake_at.filter(|_| self.is_held(tenant)) {
            seats.sleep(tenant.clone(), due_at);
            drop(seats);
            self.inner.alarm.notify_one();
        }
        true
    }

    /// Starts the actor of a tenant anew after it panicked or could not start.
    pub(super) fn revive(&self, tenant: TenantId) {
        if self.is_stopping() {
            return;
        }
        let this = self.clone();
        self.inner.shared.runtime.spawn(async move {
            tokio::time::sleep(REVIVE_DELAY).await;
            let mut seats = this.seats();
            if let Some(seat) = seats.by_tenant.get(&tenant) {
                let tasks = seat.tasks.clone();
                let seat = this.start_actor(&tenant, tasks);
                seats.by_tenant.insert(tenant, seat);
            }
        });
    }

    /// Starts the actors of tenants as they come due. One timer for all of them.
    async fn wake_sleepers(self) {
        while !self.is_stopping() {
            let next = {
                let mut seats = self.seats();
                let now = self.inner.shared.clock.now();
                while let Some(tenant) = seats.pop_due(now) {
                    self.seat(&mut seats, &tenant);
                }
                seats.sleeping.first().map(|(due_at, _)| *due_at - now)
            };
            let alarm = self.inner.alarm.notified();
            match next.and_then(|wait| wait.to_std().ok()) {
                Some(wait) => drop(tokio::time::timeout(wait, alarm).await),
                None => alarm.await,
            }
        }
    }

    /// Starts no further attempts and waits for those in flight.
    pub(super) async fn stop(&self, deadline: Duration) -> bool {
        self.start_stopping();
        let trackers: Vec<TaskTracker> = {
            let seats = self.seats();
            seats
                .by_tenant
                .values()
                .map(|seat| seat.tasks.clone())
                .collect()
        };
        let all = async {
            for tracker in &trackers {
                tracker.close();
                tracker.wait().await;
            }
        };
        let is_complete = tokio::time::timeout(deadline, all).await.is_ok();
        let threads = std::mem::take(
            &mut *self
                .inner
                .threads
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for thread in threads {
            thread.stop();
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        is_complete
    }

    /// Starts no further attempts.
    pub(super) fn start_stopping(&self) {
        self.inner.shared.is_stopping.store(true, Ordering::Relaxed);
        self.inner.alarm.notify_one();
    }

    /// Whether every thread of actors answers within [`BEAT_TIMEOUT`].
    pub(super) async fn is_beating(&self) -> bool {
        for arbiter in &self.inner.arbiters {
            let (reply, answer) = oneshot::channel();
            arbiter.spawn_fn(move || {
                let _ = reply.send(());
            });
            if !matches!(tokio::time::timeout(BEAT_TIMEOUT, answer).await, Ok(Ok(()))) {
                return false;
            }
        }
        true
    }

    /// Whether no further attempts are started.
    pub(super) fn is_stopping(&self) -> bool {
        self.inner.shared.is_stopping.load(Ordering::Relaxed)
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.inner
            .seats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
