//! A history of several tenants, made at random from a seed, and beside it what the views must
//! show: rows that are written down here by hand, without the projections.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::join_all;
use hookledger::store::{Commit, LoggedAttempt, Message, Store};
use hookledger_domain::{
    delivery::{
        self, CancelReason, Scheduled, Status,
        attempt::{Attempt, Failure, FailureCode, ResponseHead, Trigger},
    },
    ids::{AttemptId, DeliveryId, MessageId, Sequence, WebhookId},
    message::{self, Accepted, FanOut, IdempotencyKey, Recipient, SkipReason, Skipped},
    tenant::TenantId,
    topic::Topic,
    webhook::{self, Config, SealedSecret},
};
use hookledger_projections::rows::{AttemptRow, DeliveryRow, MessageRow, ResponseRow};
use rand::{Rng, SeedableRng, rngs::StdRng};

use sha2::{Digest, Sha256};

use super::{DateTime, Utc, at, origin, tenant};

pub(super) const TOPICS: [&str; 3] = ["ticket.created", "ticket.updated", "service.down"];
const STATUSES: [u16; 5] = [200, 200, 204, 404, 500];

/// What the views must show.
pub(super) struct World {
    pub(super) tenants: Vec<TenantId>,
    /// The webhooks of each tenant.
    pub(super) webhooks: Vec<Vec<WebhookId>>,
    pub(super) messages: Vec<Message>,
    pub(super) deliveries: Vec<DeliveryRow>,
    pub(super) attempts: Vec<LoggedAttempt>,
    pub(super) random: StdRng,
    sequence: Sequence,
    now: DateTime<Utc>,
    /// What is to be committed; the commits of one step may go in any order.
    steps: Vec<Vec<Commit>>,
}

/// The digest of a body, as events tell it.
fn sha256(body: &str) -> String {
    let digest = Sha256::digest(body);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Registers a webhook: lists of deliveries and attempts are lists of what the tenant's webhooks got.
pub(super) fn register(tenant_id: &TenantId, id: WebhookId) -> Commit {
    let event = webhook::Event::Registered {
        tenant_id: tenant_id.clone(),
        config: Config::default(),
        is_active: true,
        secret: SealedSecret::default(),
    };
    let mut commit = Commit::new(&origin(tenant_id), at(0));
    commit.push(id, 1, &event.into()).expect("a good event");
    commit
}

impl World {
    /// A history with so many messages, committed to the store.
    pub(super) async fn build(store: &Store, seed: u64, messages: usize) -> Self {
        let mut world = Self::new(seed);
        for _ in 0..messages {
            world.publish();
        }
        world.commit(store).await;
        world
    }

    /// The same, half of it before and half of it after the engine did what it puts off.
    pub(super) async fn half_settled(
        engine: &impl super::Engine,
        store: &Store,
        seed: u64,
        messages: usize,
    ) -> Self {
        let mut world = Self::build(store, seed, messages / 2).await;
        engine.settle().await;
        for _ in messages / 2..messages {
            world.publish();
        }
        world.commit(store).await;
        world
    }

    pub(super) fn new(seed: u64) -> Self {
        let mut sequence = Sequence::default();
        let mut webhook = || WebhookId::from_uuid(sequence.next(at(0), 1));
        let webhooks = vec![
            vec![webhook(), webhook(), webhook()],
            vec![webhook()],
            vec![webhook(), webhook()],
        ];
        let tenants: Vec<TenantId> = ["acme", "other", "third"].map(tenant).into();
        let lanes = tenants.iter().zip(&webhooks);
        let registered = lanes
            .flat_map(|(tenant_id, webhooks)| webhooks.iter().map(|id| register(tenant_id, *id)))
            .collect();
        Self {
            tenants,
            webhooks,
            messages: Vec::new(),
            deliveries: Vec::new(),
            attempts: Vec::new(),
            random: StdRng::seed_from_u64(seed),
            sequence,
            now: at(0),
            steps: vec![registered],
        }
    }

    pub(super) async fn commit(&mut self, store: &Store) {
        for step in std::mem::take(&mut self.steps) {
            let commits = step.into_iter().map(|commit| {
                let ledger = store.ledger();
                async move { ledger.commit(commit).await }
            });
            for result in join_all(commits).await {
                result.expect("nothing is in its way");
            }
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.now
    }

    fn at_step(&mut self, step: usize, commit: Commit) {
        if self.steps.len() <= step {
            self.steps.resize_with(step + 1, Vec::new);
        }
        self.steps[step].push(commit);
    }

    fn uuid(&mut self) -> uuid::Uuid {
        let random = self.random.random();
        self.sequence.next(self.now, random)
    }

    /// Accepts a message for some of a tenant's webhooks and lets its deliveries take their course.
    pub(super) fn publish(&mut self) {
        self.now += chrono::Duration::milliseconds(self.random.random_range(0..40));
        let place = self.random.random_range(0..self.tenants.len());
        let (tenant_id, webhooks) = (self.tenants[place].clone(), self.webhooks[place].clone());
        let topic: Topic = TOPICS[self.random.random_range(0..3)]
            .parse()
            .expect("a topic");
        let id = MessageId::from_uuid(self.uuid());
        let mut fan_out = FanOut::default();
        for webhook_id in webhooks {
            match self.random.random_range(0..4) {
                0 => fan_out.not_delivered.push(Skipped {
                    webhook_id,
                    reason: SkipReason::NotSubscribed,
                    detail: None,
                }),
                _ => fan_out.deliveries.push(Recipient {
                    delivery_id: DeliveryId::from_uuid(self.uuid()),
                    webhook_id,
                }),
            }
        }
        let body = format!(
            r#"{{"event":"{topic}","data":{{"n":{}}}}}"#,
            self.messages.len()
        );
        let has_key = self.random.random_bool(0.5);
        let accepted = Accepted {
            tenant_id,
            topic,
            timestamp: self.now - chrono::Duration::milliseconds(7),
            ordering_key: self.ordering_key(),
            body_bytes: body.len() as u64,
            body_sha256: sha256(&body),
            idempotency: has_key.then(|| IdempotencyKey {
                key: format!("key-{}", self.messages.len()),
                content_sha256: "ab".repeat(32),
            }),
            fan_out,
        };
        self.accept(id, accepted, body);
    }

    fn ordering_key(&mut self) -> Option<String> {
        let key = self.random.random_range(0..10);
        (key < 5).then(|| format!("order-{key}"))
    }

    fn accept(&mut self, id: MessageId, accepted: Accepted, body: String) {
        let mut commit = Commit::new(&origin(&accepted.tenant_id), self.now);
        let fact = message::Event::Accepted(accepted.clone()).into();
        let bytes = Bytes::from(body.clone());
        commit
            .push_with_body(id, 1, &fact, Some(bytes))
            .expect("a good event");
        commit.because_of(id);
        let mut deliveries = Vec::new();
        let mut endings = Vec::new();
        for recipient in &accepted.fan_out.deliveries {
            let row = self.schedule(&mut commit, id, &accepted, *recipient);
            let row = self.take_course(row, &mut endings);
            deliveries.push((row.id, row.webhook_id, row.status));
            self.deliveries.push(row);
        }
        self.at_step(0, commit);
        for (index, commit) in endings {
            self.at_step(index, commit);
        }
        deliveries.sort_by_key(|(id, ..)| *id);
        let row = MessageRow {
            id,
            tenant_id: accepted.tenant_id,
            topic: accepted.topic,
            timestamp: accepted.timestamp,
            accepted_at: id.time(),
            ordering_key: accepted.ordering_key,
            body_bytes: accepted.body_bytes,
            body_sha256: accepted.body_sha256,
            idempotency: accepted.idempotency,
            deliveries: deliveries.len() as u32,
            not_delivered: accepted.fan_out.not_delivered,
        };
        self.messages.push(Message {
            row,
            body: Some(body),
            deliveries,
        });
    }

    fn schedule(
        &mut self,
        commit: &mut Commit,
        message_id: MessageId,
        accepted: &Accepted,
        to: Recipient,
    ) -> DeliveryRow {
        let trigger = if self.random.random_bool(0.1) {
            Trigger::Test
        } else {
            Trigger::Publish
        };
        // A test has no place in any order.
        let ordering_key = accepted
            .ordering_key
            .clone()
            .filter(|_| trigger != Trigger::Test);
        let scheduled = Scheduled {
            tenant_id: accepted.tenant_id.clone(),
            message_id,
            webhook_id: to.webhook_id,
            topic: accepted.topic.clone(),
            trigger,
            due_at: self.now,
            ordering_key: ordering_key.clone(),
        };
        let fact = delivery::Event::Scheduled(scheduled).into();
        commit.push(to.delivery_id, 1, &fact).expect("a good event");
        DeliveryRow {
            id: to.delivery_id,
            tenant_id: accepted.tenant_id.clone(),
            message_id,
            webhook_id: to.webhook_id,
            topic: accepted.topic.clone(),
            trigger,
            queue: (trigger != Trigger::Test).then(|| ordering_key.unwrap_or_default()),
            status: Status::Pending,
            attempts: 0,
            created_at: to.delivery_id.time(),
            next_attempt_at: Some(self.now),
            completed_at: None,
            last_response_status: None,
            last_error: None,
        }
    }

    /// Attempts until the delivery ends, or until it is left as it is.
    fn take_course(
        &mut self,
        mut row: DeliveryRow,
        commits: &mut Vec<(usize, Commit)>,
    ) -> DeliveryRow {
        let mut steps = 0;
        while row.status == Status::Pending && self.random.random_bool(0.7) {
            let step = row.attempts as usize + 1;
            let mut commit = Commit::new(&origin(&row.tenant_id), self.now);
            let (event, body) = if self.random.random_bool(0.1) {
                row.status = Status::Cancelled;
                row.completed_at = Some(self.now);
                row.next_attempt_at = None;
                let reason = CancelReason::WebhookDeleted;
                (delivery::Event::Cancelled { reason }, None)
            } else {
                self.attempt(&mut row)
            };
            let sequence = step as u64 + 1;
            let body = body.map(Bytes::from);
            commit
                .push_with_body(row.id, sequence, &event.into(), body)
                .expect("a good event");
            commits.push((step, commit));
            steps = step;
        }
        if self.random.random_bool(0.3) {
            self.ask_again(&mut row, steps, commits);
        }
        row
    }

    /// Asks for one more attempt by hand, which comes to nothing or is not made yet.
    fn ask_again(
        &mut self,
        row: &mut DeliveryRow,
        mut step: usize,
        commits: &mut Vec<(usize, Commit)>,
    ) {
        let scheduled_at = row.next_attempt_at;
        let mut events = vec![delivery::Event::AttemptRequested {
            trigger: Trigger::Redeliver,
            at: self.now,
        }];
        row.next_attempt_at = Some(self.now);
        if self.random.random_bool(0.5) {
            let attempt = Attempt {
                failure: Some(Failure {
                    code: FailureCode::Connect,
                    message: "nobody there".to_owned(),
                }),
                response: None,
                trigger: Trigger::Redeliver,
                ..self.attempted(row)
            };
            self.log(row, &attempt, None);
            row.next_attempt_at = scheduled_at;
            events.push(delivery::Event::ExtraAttemptFailed {
                attempt,
                next_attempt_at: scheduled_at,
            });
        } else if row.status != Status::Pending && self.random.random_bool(0.5) {
            let reason = CancelReason::Requested;
            events.push(delivery::Event::RequestWithdrawn { reason });
            row.next_attempt_at = None;
        }
        for event in events {
            step += 1;
            let mut commit = Commit::new(&origin(&row.tenant_id), self.now);
            commit
                .push(row.id, step as u64 + 1, &event.into())
                .expect("a good event");
            commits.push((step, commit));
        }
    }

    /// An attempt as it may be, with an answer.
    fn attempted(&mut self, row: &DeliveryRow) -> Attempt {
        let id = AttemptId::from_uuid(self.uuid());
        Attempt {
            id,
            number: row.attempts + 1,
            message_id: row.message_id,
            webhook_id: row.webhook_id,
            topic: row.topic.clone(),
            webhook_version: self.random.random_range(1..5),
            trigger: if row.attempts == 0 {
                row.trigger
            } else {
                Trigger::Retry
            },
            started_at: id.time(),
            duration_ms: self.random.random_range(0..10_000),
            url: "https://example.com/hook".to_owned(),
            response: None,
            failure: None,
        }
    }

    fn attempt(&mut self, row: &mut DeliveryRow) -> (delivery::Event, Option<String>) {
        let attempt = self.attempted(row);
        let id = attempt.id;
        let status = STATUSES[self.random.random_range(0..STATUSES.len())];
        let is_answered = self.random.random_bool(0.8);
        let failure = match (is_answered, status) {
            (false, _) => Some((FailureCode::Timeout, "no answer in time")),
            (true, 200..300) => None,
            (true, _) => Some((FailureCode::HttpStatus, "no 2xx")),
        };
        let failure = failure.map(|(code, message)| Failure {
            code,
            message: message.to_owned(),
        });
        let body = (is_answered && self.random.random_bool(0.5)).then(|| format!("answer to {id}"));
        let headers = BTreeMap::from([("server".to_owned(), "test".to_owned())]);
        let response = is_answered.then(|| ResponseHead {
            status,
            headers: headers.clone(),
            body_bytes: body.as_ref().map_or(0, String::len) as u64,
            body_sha256: body.as_deref().map_or_else(String::new, sha256),
            body_truncated: self.random.random_bool(0.1),
        });
        let attempt = Attempt {
            response,
            failure,
            ..attempt
        };
        self.log(row, &attempt, body.clone());
        let next_attempt_at =
            self.now + chrono::Duration::milliseconds(self.random.random_range(0..60_000));
        let is_last = attempt.failure.is_some() && self.random.random_bool(0.3);
        row.next_attempt_at = None;
        row.completed_at = Some(self.now);
        let event = if attempt.failure.is_none() {
            row.status = Status::Succeeded;
            delivery::Event::Succeeded { attempt }
        } else if is_last {
            row.status = Status::Exhausted;
            delivery::Event::Exhausted { attempt }
        } else {
            row.next_attempt_at = Some(next_attempt_at);
            row.completed_at = None;
            delivery::Event::AttemptFailed {
                attempt,
                next_attempt_at,
            }
        };
        (event, body)
    }

    fn log(&mut self, row: &mut DeliveryRow, attempt: &Attempt, response_body: Option<String>) {
        row.attempts = attempt.number;
        row.last_response_status = attempt.response.as_ref().map(|response| response.status);
        row.last_error.clone_from(&attempt.failure);
        let logged = AttemptRow {
            id: attempt.id,
            tenant_id: row.tenant_id.clone(),
            delivery_id: row.id,
            message_id: row.message_id,
            webhook_id: row.webhook_id,
            webhook_version: attempt.webhook_version,
            topic: row.topic.clone(),
            number: attempt.number,
            trigger: attempt.trigger,
            started_at: attempt.started_at,
            duration_ms: attempt.duration_ms,
            url: attempt.url.clone(),
            response: attempt.response.as_ref().map(|response| ResponseRow {
                status: response.status,
                headers: response.headers.clone(),
                body_bytes: response.body_bytes,
                body_truncated: response.body_truncated,
            }),
            error: attempt.failure.clone(),
        };
        self.attempts.push(LoggedAttempt {
            row: logged,
            response_body,
        });
    }
}
