//! Which of its receivers a message does not reach because their filters say no.
//!
//! Tenants write what they like into filters, and a message may be large. So filters are asked in
//! tasks of the runtime, not by the actors, on whose threads other tenants live; and a tenant whose
//! filters take long makes its own messages wait, not those of others.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use hookledger_domain::{
    filter::{Failure, Steps},
    ids::WebhookId,
    json::Json,
    message::{self, FanOut},
    topic::Topic,
};
use tokio::{runtime::Handle, sync::Semaphore};

use super::{Shared, accept::Prepared, live::LiveWebhook};

/// After so many steps others on the same thread have their turn: about a tenth of a millisecond.
const STEPS_AT_A_TIME: u64 = 5000;

/// Lets filters be asked about some messages at one time, so that requests and attempts find
/// threads that are free, and few messages stand in memory taken apart.
pub(super) struct Permits(Semaphore);

impl Permits {
    /// As many as half of the threads, at least one.
    pub(super) fn new(runtime: &Handle) -> Self {
        let threads = runtime.metrics().num_workers();
        Self(Semaphore::new((threads / 2).max(1)))
    }
}

/// Webhooks with filters that are among the receivers of some messages.
#[derive(Default)]
pub(super) struct Filtering(HashMap<WebhookId, Arc<LiveWebhook>>);

impl Filtering {
    /// Notes which receivers of a message have a filter.
    pub(super) fn note(
        &mut self,
        fan_out: &FanOut,
        webhooks: &BTreeMap<WebhookId, Arc<LiveWebhook>>,
    ) {
        for to in &fan_out.deliveries {
            if let Some(webhook) = webhooks.get(&to.webhook_id)
                && webhook.has_filter()
            {
                self.0.insert(to.webhook_id, webhook.clone());
            }
        }
    }

    /// Whether no filter has to be asked.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the receivers out whose filters do not want the message. A test reaches its webhook
    /// whatever the filter says.
    pub(super) async fn ask(&self, shared: &Shared, item: &Prepared, fan_out: &mut FanOut) {
        let asked = || {
            let receivers = fan_out.deliveries.iter();
            receivers.filter_map(|to| Some((to.webhook_id, self.0.get(&to.webhook_id)?)))
        };
        if item.only.is_some() || asked().next().is_none() {
            return;
        }
        // It is never closed; without a permit the filters are asked all the same.
        let _permit = shared.filters.0.acquire().await;
        let mut answers = HashMap::new();
        let data = read(item);
        let mut steps = Steps::default();
        let mut next_turn = steps.left();
        for (id, webhook) in asked() {
            let is_made = webhook.has_made_filter();
            let answer = match &data {
                Ok(data) => matches(webhook, &item.topic, data, &mut steps),
                Err(failure) => Err(failure.clone()),
            };
            answers.insert(id, answer);
            // Making one takes longer than most answers do.
            if !is_made || steps.left() + STEPS_AT_A_TIME <= next_turn {
                next_turn = steps.left();
                tokio::task::yield_now().await;
            }
        }
        fan_out.filter(|id| answers.remove(&id));
    }
}

/// Takes the message's data apart, once for all filters.
fn read(item: &Prepared) -> Result<Json<'_>, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| Failure::Data(error.to_string());
    let text = message::body::data(&item.body).map_err(|error| unreadable(&error))?;
    Json::read(text).map_err(|error| unreadable(&error))
}

fn matches(
    webhook: &LiveWebhook,
    topic: &Topic,
    data: &Json<'_>,
    steps: &mut Steps,
) -> Result<bool, Failure> {
    match webhook.filter() {
        None => Ok(true),
        Some(Ok(filter)) => filter.matches(topic, data, steps),
        Some(Err(refusal)) => Err(Failure::Outdated(refusal.to_string())),
    }
}
