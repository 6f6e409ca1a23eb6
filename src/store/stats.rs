//! Statistics of a webhook's attempts, counted when somebody asks.
//!
//! Nothing is kept for them beside the log, so that an attempt costs nothing more. They are read in
//! pages of some thousand attempts, of which only one is read at a time in a process, in turn: whoever
//! asks about many waits longer himself. Lists do not wait for him, others' statistics hardly.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use hookledger_domain::{
    circuit::Circuit,
    delivery::attempt::FailureCode,
    ids::{AttemptId, WebhookId},
    tenant::TenantId,
    topic::Topic,
};
use hookledger_projections::{
    rows::WebhookRow,
    stats::{Bucket, Grid, Measured, Tally},
};
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use super::{Error, Views, engine::Engine};

/// The most attempts that are counted for one question: some seconds of reading, and at most 16 MB
/// for what is kept of them.
pub const ATTEMPTS_MAX: u64 = 2_000_000;
/// How many attempts are read at once: some hundredths of a second.
pub(super) const PAGE_ATTEMPTS: usize = 10_000;
/// How many questions may be under way in a process. A tenant has one place among these, which it may
/// share with others.
const QUESTIONS_MAX: usize = 8;
/// How long a question waits for its place.
const QUESTION_WAIT: Duration = Duration::from_secs(5);
/// So many of a webhook's newest attempts are looked at to tell its circuit: more than tell it, since
/// they are found by their start and count by their end. As many as run at one time by default.
const CIRCUIT_ATTEMPTS: u32 = 64;

/// Which attempts are counted.
pub(super) struct Scope<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) webhook: WebhookId,
    pub(super) ids: Range<AttemptId>,
}

/// Some of the attempts of one topic, by rising id.
pub(super) struct MeasuredPage {
    pub(super) attempts: Vec<Measured>,
    /// The first id that the next page may have, if there is one.
    pub(super) next: Option<AttemptId>,
}

impl MeasuredPage {
    /// A page that ends with `last`; a full one has a next one.
    pub(super) fn new(attempts: Vec<Measured>, last: Option<AttemptId>) -> Self {
        let is_full = attempts.len() >= PAGE_ATTEMPTS;
        let next = last.filter(|_| is_full).map(|id| {
            let after = id.uuid().as_u128().saturating_add(1);
            AttemptId::from_uuid(Uuid::from_u128(after))
        });
        Self { attempts, next }
    }
}

/// What there is to read.
pub(super) struct Beginning {
    /// Attempts that are not where pages are read from, and may be moved there at any time.
    pub(super) attempts: Vec<Measured>,
    /// So pages must leave out what was recorded at this position or later.
    pub(super) before: Option<i64>,
    /// The topics of which there are pages.
    pub(super) topics: Vec<Topic>,
}

/// What a circuit goes by in an attempt.
pub(super) struct Told {
    pub(super) webhook_version: u64,
    pub(super) started_at: DateTime<Utc>,
    pub(super) duration_ms: u64,
    pub(super) failure: Option<FailureCode>,
}

impl Told {
    fn ended_at(&self) -> DateTime<Utc> {
        let duration_ms = i64::try_from(self.duration_ms).unwrap_or(i64::MAX);
        let duration = chrono::Duration::try_milliseconds(duration_ms);
        duration
            .and_then(|duration| self.started_at.checked_add_signed(duration))
            .unwrap_or(self.started_at)
    }
}

/// Who reads when; one for each store.
pub(super) struct Turns {
    questions: [Semaphore; QUESTIONS_MAX],
    page: Semaphore,
}

impl Turns {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            questions: std::array::from_fn(|_| Semaphore::new(1)),
            page: Semaphore::new(1),
        })
    }

    /// Waits for the tenant's place.
    async fn question(&self, tenant: &TenantId) -> Result<SemaphorePermit<'_>, Error> {
        let mut hasher = DefaultHasher::new();
        tenant.hash(&mut hasher);
        let index = hasher.finish() % QUESTIONS_MAX as u64;
        let place = usize::try_from(index).ok();
        let place = place.and_then(|index| self.questions.get(index));
        let place = place.ok_or(Error::Busy)?;
        match tokio::time::timeout(QUESTION_WAIT, place.acquire()).await {
            Ok(permit) => permit.map_err(Error::unavailable),
            Err(_) => Err(Error::Busy),
        }
    }

    /// Reads when it is this question's turn.
    async fn page<T>(&self, read: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let _permit = self.page.acquire().await.map_err(Error::unavailable)?;
        read.await
    }
}

impl Views {
    /// How many attempts of a webhook started in each bucket, what came of them and how long they
    /// took. `None` if there are more than [`ATTEMPTS_MAX`] of them.
    ///
    /// # Errors
    /// Also [`Error::Busy`], when it has waited too long for other questions.
    pub async fn stats(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        grid: Grid,
    ) -> Result<Option<Vec<Bucket>>, Error> {
        self.count(tenant, webhook, grid, ATTEMPTS_MAX).await
    }

    async fn count(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        grid: Grid,
        attempts_max: u64,
    ) -> Result<Option<Vec<Bucket>>, Error> {
        let turns = &self.turns;
        let _question = turns.question(tenant).await?;
        let scope = Scope {
            tenant,
            webhook,
            ids: AttemptId::first_at(grid.from())..AttemptId::first_at(grid.to()),
        };
        let mut tally = Tally::new(grid);
        let engine: &dyn Engine = self.engine.as_ref();
        let beginning = turns.page(engine.begin_measuring(&scope)).await?;
        tally.extend(beginning.attempts);
        for topic in beginning.topics {
            let mut next = Some(scope.ids.start);
            while let Some(first) = next
                && tally.attempts() <= attempts_max
            {
                let read = engine.measured(&scope, &topic, first, beginning.before);
                let page = turns.page(read).await?;
                tally.extend(page.attempts);
                next = page.next;
            }
        }
        let is_complete = tally.attempts() <= attempts_max;
        Ok(is_complete.then(|| tally.into_buckets()))
    }

    /// The circuit of a webhook, as its log tells it: by the attempts that were made with its
    /// present version, in the order in which they ended.
    pub async fn circuit(&self, webhook: &WebhookRow) -> Result<Circuit, Error> {
        let newest = self
            .engine
            .last_attempts(&webhook.tenant_id, webhook.id, CIRCUIT_ATTEMPTS);
        let mut attempts = newest.await?;
        attempts.retain(|attempt| attempt.webhook_version == webhook.version);
        // They come by their start, the newest first, and stay so if they ended together.
        attempts.sort_by_key(|attempt| std::cmp::Reverse(attempt.ended_at()));
        let told = attempts
            .iter()
            .map(|attempt| (attempt.failure, attempt.ended_at()));
        Ok(Circuit::of_log(told))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use hookledger_domain::{
        actor::Origin,
        delivery::{
            self,
            attempt::{Attempt, Trigger},
        },
        ids::{DeliveryId, MessageId, Sequence},
    };
    use hookledger_projections::stats::Asked;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        metrics::Metrics,
        store::{Commit, Store},
    };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn acme() -> TenantId {
        "acme".parse().unwrap()
    }

    /// A ledger with one attempt a second.
    async fn ledger(directory: &TempDir, attempts: i64) -> Store {
        let path = directory.path().join("test.db");
        let store = Store::open_sqlite(&path, Arc::new(Metrics::new()));
        let store = store.await.unwrap();
        let mut sequence = Sequence::default();
        let mut commit = Commit::new(&Origin::system(acme(), "test"), at(0));
        for second in 0..attempts {
            let id = AttemptId::from_uuid(sequence.next(at(second), 0));
            let attempt = Attempt {
                id,
                number: 1,
                message_id: MessageId::default(),
                webhook_id: WebhookId::default(),
                topic: "ticket.created".parse().unwrap(),
                webhook_version: 1,
                trigger: Trigger::Publish,
                started_at: id.time(),
                duration_ms: 1,
                url: String::new(),
                response: None,
                failure: None,
            };
            let delivery = DeliveryId::from_uuid(id.uuid());
            let succeeded = delivery::Event::Succeeded { attempt };
            commit.push(delivery, 1, &succeeded.into()).unwrap();
        }
        store.ledger().commit(commit).await.unwrap();
        store
    }

    #[tokio::test]
    async fn more_attempts_than_may_be_counted_are_not_counted() {
        let directory = TempDir::new().unwrap();
        let store = ledger(&directory, 10).await;
        let grid = |to: i64| {
            let asked = Asked {
                from: Some(at(0)),
                to: Some(at(to)),
                bucket_seconds: Some(60),
            };
            Grid::choose(asked, at(0)).unwrap()
        };
        for (to, attempts_max, is_counted) in
            [(10, 10, true), (10, 9, false), (9, 9, true), (1, 0, false)]
        {
            let views = store.views();
            let (tenant, webhook) = (acme(), WebhookId::default());
            let counted = views.count(&tenant, webhook, grid(to), attempts_max).await;
            let counted = counted.unwrap();
            assert_eq!(counted.is_some(), is_counted, "{to} s, {attempts_max}");
        }
        store.close().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_asks_one_question_after_the_other() {
        let turns = Turns::new();
        let first = turns.question(&acme()).await.unwrap();
        assert!(matches!(turns.question(&acme()).await, Err(Error::Busy)));
        // Of several others one has another place.
        let mut others = (0..64).map(|n| format!("tenant-{n}").parse().unwrap());
        let is_free = |tenant: TenantId| turns.question(&tenant).now_or_never().is_some();
        assert!(others.any(is_free));
        drop(first);
        assert!(turns.question(&acme()).await.is_ok());
    }
}
