//! What the directory does when partitions come and go and other nodes do something.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use async_trait::async_trait;
use cqrs_es::Aggregate;
use futures_util::future::join_all;
use hookledger_domain::{
    delivery::{self, Delivery, Scheduled},
    ids::{MessageId, WebhookId},
    tenant::TenantId,
};
use tokio::sync::oneshot;

use super::{BEAT_TIMEOUT, Directory, Seat};
use crate::{
    nodes::{Dispatch, Partition},
    store::{self, Fresh, Notice, Stream},
    tenants::{
        actor::{Expect, Found, LookAgain, Own, Release, Report},
        lane::Entry,
    },
};

#[async_trait]
impl Dispatch for Directory {
    /// Tenants that have an actor are told; others are woken when they come due. Costs the webhooks
    /// that have something waiting, not the deliveries.
    async fn gain(&self, partitions: &[Partition]) -> Result<(), store::Error> {
        let partitions: HashSet<Partition> = partitions.iter().copied().collect();
        for seat in self.seats().of(&partitions) {
            seat.tell(Own);
        }
        let views = &self.inner.shared.views;
        let mut after: Option<(TenantId, WebhookId)> = None;
        loop {
            let place = after.as_ref().map(|(tenant, webhook)| (tenant, *webhook));
            let Some(waiting) = views.next_waiting(place).await? else {
                break;
            };
            let tenant = waiting.tenant_id;
            if partitions.contains(&Partition::of(&tenant)) {
                let mut seats = self.seats();
                if !seats.by_tenant.contains_key(&tenant) {
                    seats.sleep(tenant.clone(), waiting.due_at);
                    self.inner.alarm.notify_one();
                }
            }
            after = Some((tenant, waiting.webhook_id));
        }
        for recovery in views.running_recoveries(None).await? {
            if partitions.contains(&Partition::of(&recovery.tenant_id)) {
                self.tell_to_recover(&recovery.tenant_id);
            }
        }
        Ok(())
    }

    async fn let_go(&self, partitions: &[Partition]) {
        let partitions = partitions.iter().copied().collect();
        let released: Vec<oneshot::Receiver<()>> = {
            let mut seats = self.seats();
            seats.forget(&partitions);
            seats
                .of(&partitions)
                .map(|seat| {
                    let (reply, released) = oneshot::channel();
                    seat.tell(Release { reply: Some(reply) });
                    released
                })
                .collect()
        };
        // An actor that has gone has nothing under way.
        join_all(released).await;
    }

    fn lose(&self, partitions: &[Partition]) {
        let partitions = partitions.iter().copied().collect();
        let mut seats = self.seats();
        seats.forget(&partitions);
        for seat in seats.of(&partitions) {
            seat.tell(Release { reply: None });
        }
    }

    fn busy(&self, partitions: &[Partition]) -> Vec<Partition> {
        let wanted: HashSet<Partition> = partitions.iter().copied().collect();
        let seats = self.seats();
        let busy: HashSet<Partition> = seats
            .by_tenant
            .iter()
            .filter(|(_, seat)| !seat.tasks.is_empty())
            .map(|(tenant, _)| Partition::of(tenant))
            .filter(|partition| wanted.contains(partition))
            .collect();
        busy.into_iter().collect()
    }

    async fn hear(&self, notices: Vec<Notice>) {
        let (mut messages, mut is_about_topics) = (Vec::new(), false);
        for notice in notices {
            match notice {
                Notice::Messages(found) => messages.extend(found),
                Notice::Tenants(tenants) => {
                    for tenant in tenants {
                        self.tell_of_change(&tenant, None);
                    }
                }
                Notice::Deliveries(found) => {
                    for (tenant, id) in found {
                        self.tell_changed(&tenant, vec![id]);
                    }
                }
                Notice::Recoveries(tenants) => {
                    for tenant in tenants {
                        self.tell_to_recover(&tenant);
                    }
                }
                Notice::Resealed(tenants) => {
                    for tenant in tenants {
                        self.tell_seated(&tenant, None);
                    }
                }
                Notice::Topics => is_about_topics = true,
                Notice::Nodes => {}
            }
        }
        if is_about_topics && let Err(error) = self.inner.shared.reload_catalogue().await {
            tracing::warn!(%error, "cannot read the catalogue of topics");
        }
        messages.retain(|(tenant, _)| self.is_held(tenant));
        if !messages.is_empty() {
            self.fetch(messages).await;
        }
    }

    async fn look_again(&self) {
        if let Err(error) = self.inner.shared.reload_catalogue().await {
            tracing::warn!(%error, "cannot read the catalogue of topics");
        }
        let partitions = self.inner.shared.held.partitions();
        while let Err(error) = self.gain(&partitions).await {
            tracing::warn!(%error, "cannot read what is due yet");
            tokio::time::sleep(BEAT_TIMEOUT).await;
        }
        let tenants: Vec<TenantId> = self.seats().by_tenant.keys().cloned().collect();
        for tenant in tenants {
            self.tell_of_change(&tenant, None);
            if let Some(seat) = self.seats().by_tenant.get(&tenant) {
                seat.tell(LookAgain);
            }
        }
    }

    async fn lag(&self) -> Duration {
        let asked: Vec<_> = {
            let seats = self.seats();
            let ask = |seat: &Seat| {
                let (reply, answer) = oneshot::channel();
                seat.addr.do_send(Report(reply));
                answer
            };
            seats.by_tenant.values().map(ask).collect()
        };
        let answers = tokio::time::timeout(BEAT_TIMEOUT, join_all(asked)).await;
        let due_since = answers
            .unwrap_or_default()
            .into_iter()
            .filter_map(|answer| answer.ok().flatten())
            .min();
        let now = self.inner.shared.clock.now();
        due_since.map_or(Duration::ZERO, |due_since| {
            (now - due_since).to_std().unwrap_or_default()
        })
    }
}

impl Directory {
    /// Reads what other nodes have accepted for tenants of this one, and gives it to their actors.
    async fn fetch(&self, messages: Vec<(TenantId, MessageId)>) {
        // Before it is read: so each actor knows what it has recorded since.
        let mut tenants: HashSet<TenantId> = HashSet::new();
        {
            let mut seats = self.seats();
            for (tenant, _) in &messages {
                if tenants.insert(tenant.clone()) {
                    self.seat(&mut seats, tenant).tell(Expect);
                }
            }
        }
        let mut found = None;
        if let Some(cluster) = &self.inner.shared.cluster {
            match cluster.fresh(&messages).await {
                Ok(fresh) => found = Some(self.sorted(fresh)),
                Err(error) => {
                    tracing::warn!(%error, "cannot read what other nodes have accepted");
                }
            }
        }
        let mut seats = self.seats();
        for tenant in tenants {
            let entries = found
                .as_mut()
                .map(|found| found.remove(&tenant).unwrap_or_default());
            self.seat(&mut seats, &tenant).tell(Found(entries));
        }
    }

    /// Deliveries by tenant and webhook, in their order.
    fn sorted(&self, fresh: Vec<Fresh>) -> HashMap<TenantId, HashMap<WebhookId, Vec<Entry>>> {
        let mut sorted: HashMap<TenantId, HashMap<WebhookId, Vec<Entry>>> = HashMap::new();
        for fresh in fresh {
            let (tenant, webhook) = (fresh.row.tenant_id.clone(), fresh.row.webhook_id);
            if let Some(entry) = self.entry(fresh) {
                let of_tenant = sorted.entry(tenant).or_default();
                of_tenant.entry(webhook).or_default().push(entry);
            }
        }
        sorted
    }

    /// A delivery that has had no attempt is as its first event made it.
    fn entry(&self, fresh: Fresh) -> Option<Entry> {
        let row = fresh.row;
        let mut state = Delivery::default();
        state.apply(delivery::Event::Scheduled(Scheduled {
            tenant_id: row.tenant_id,
            message_id: row.message_id,
            webhook_id: row.webhook_id,
            topic: row.topic,
            trigger: row.trigger,
            due_at: row.next_attempt_at?,
            ordering_key: row.queue.filter(|key| !key.is_empty()),
        }));
        let body = fresh
            .body
            .and_then(|body| self.inner.shared.bodies.keep(body, 1));
        Some(Entry {
            id: row.id,
            stream: Stream { state, sequence: 1 },
            body,
        })
    }
}
