//! A webhook as its tenant's actor holds it: its state, its secrets opened, its filter ready.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use chrono::{DateTime, Utc};
use hookledger_domain::{
    filter::{Filter, Refusal},
    ids::WebhookId,
    retry::Schedule,
    signature::Secret,
    tenant::TenantId,
    webhook::{Ordering, SealedSecret, Webhook},
};

use super::lane::{Mode, Terms};
use crate::{
    store::Stream,
    vault::{self, Vault},
};

/// A webhook that can be sent to.
#[derive(Debug)]
pub(super) struct LiveWebhook {
    version: u64,
    webhook: Webhook,
    /// The newest first, each with its end.
    secrets: Vec<(Secret, Option<DateTime<Utc>>)>,
    waits: Option<Arc<[Duration]>>,
    /// Made by whoever asks first: that takes longer than an actor may be held up.
    filter: OnceLock<Result<Filter, Refusal>>,
}

impl LiveWebhook {
    /// Opens the secrets of a webhook that exists.
    pub(super) fn open(
        vault: &Vault,
        tenant: &TenantId,
        id: WebhookId,
        stream: Stream<Webhook>,
        now: DateTime<Utc>,
    ) -> Result<Self, vault::Error> {
        let webhook = stream.state;
        let open = |secret: &SealedSecret| {
            let opened = vault.open(tenant, id, secret);
            opened.inspect_err(|error| {
                tracing::error!(%error, %tenant, webhook = %id, "a webhook cannot be sent to");
            })
        };
        let mut secrets = vec![(open(webhook.secret())?, None)];
        for previous in webhook.previous_secrets(now) {
            secrets.push((open(&previous.secret)?, Some(previous.expires_at)));
        }
        let waits = webhook.config().retry_schedule.as_ref().map(|waits| {
            waits
                .iter()
                .map(|seconds| Duration::from_secs(*seconds))
                .collect()
        });
        Ok(Self {
            version: stream.sequence,
            webhook,
            secrets,
            waits,
            filter: OnceLock::new(),
        })
    }

    /// The sequence of its last event.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Its state.
    pub(super) fn webhook(&self) -> &Webhook {
        &self.webhook
    }

    /// Whether it wants some messages of its topics only.
    pub(super) fn has_filter(&self) -> bool {
        self.webhook.config().filter.is_some()
    }

    /// Whether its filter was made already.
    pub(super) fn has_made_filter(&self) -> bool {
        self.filter.get().is_some()
    }

    /// Its filter, if it has one.
    pub(super) fn filter(&self) -> Option<&Result<Filter, Refusal>> {
        let text = self.webhook.config().filter.as_deref()?;
        Some(self.filter.get_or_init(|| Filter::parse(text)))
    }

    /// The secrets that are valid at `now`, the newest first.
    pub(super) fn secrets(&self, now: DateTime<Utc>) -> Vec<Secret> {
        self.secrets
            .iter()
            .filter(|(_, expires_at)| expires_at.is_none_or(|expires_at| expires_at > now))
            .map(|(secret, _)| secret.clone())
            .collect()
    }

    /// Where deliveries go.
    pub(super) fn url(&self) -> &str {
        &self.webhook.config().url
    }

    /// The headers that are sent along.
    pub(super) fn headers(&self) -> &BTreeMap<String, String> {
        &self.webhook.config().headers
    }

    /// Its own limit for an attempt.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let seconds = self.webhook.config().timeout_seconds?;
        Some(Duration::from_secs(seconds.into()))
    }

    /// When its failed deliveries are tried again.
    pub(super) fn schedule(&self, default: &Schedule) -> Schedule {
        match &self.waits {
            Some(waits) => default.with_waits(waits.clone()),
            None => default.clone(),
        }
    }

    /// What its lane goes by, where `limit` attempts may run at one time.
    pub(super) fn terms(&self, limit: usize) -> Terms {
        let config = self.webhook.config();
        let own = config.max_in_flight.map(usize::try_from);
        Terms {
            mode: match self.webhook.is_active() {
                true => Mode::All,
                false => Mode::TestsOnly,
            },
            is_fifo: config.ordering == Ordering::Fifo,
            in_flight_max: own.map_or(limit, |own| own.unwrap_or(limit).min(limit)),
            rate_limit: config.rate_limit,
            version: self.version,
        }
    }
}
