//! What lists cost, counted in steps of SQLite's virtual machine: the same wherever in however
//! many rows the page lies.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use hookledger_domain::{
    delivery::{
        Status,
        attempt::{Failure, FailureCode, Trigger},
    },
    ids::{AttemptId, DeliveryId, MessageId, Sequence, WebhookId},
    tenant::TenantId,
};
use hookledger_projections::{
    Change,
    query::{AttemptFilter, DeliveryFilter, Page, Span},
    rows::{AttemptRow, DeliveryRow, MessageRow, ResponseRow, Secrets, WebhookRow},
};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::{apply::apply, filters, migrate, open_writer, recent};

/// The deliveries of the smaller and the larger ledger; there are as many attempts.
const SIZES: [usize; 2] = [10_000, 40_000];
/// How many steps more the larger one may cost: its trees are a level deeper.
const FACTOR_MAX: f64 = 1.3;
const LIMIT: u32 = 50;

/// So many of the newest rows are not sorted in yet.
const RECENT: usize = 300;

/// A ledger full of rows.
struct Full {
    connection: SqliteConnection,
    steps: Arc<AtomicU64>,
    tenant: TenantId,
    webhooks: Vec<WebhookId>,
    deliveries: Vec<DeliveryRow>,
    attempts: Vec<AttemptId>,
    _directory: TempDir,
}

fn at(millis: usize) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_millis(1_800_000_000_000 + millis as i64).unwrap()
}

impl Full {
    async fn with(count: usize) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("ledger.db");
        let mut writer = open_writer(&path).unwrap();
        migrate::migrate(&mut writer).unwrap();
        let mut sequence = Sequence::default();
        let tenant: TenantId = "acme".parse().unwrap();
        let webhooks: Vec<WebhookId> = (0..2)
            .map(|_| WebhookId::from_uuid(sequence.next(at(0), 7)))
            .collect();
        let transaction = writer.transaction().unwrap();
        let change = |change: Change| apply(&transaction, Some(&tenant), 1, &change).unwrap();
        for id in &webhooks {
            change(webhook(&tenant, *id));
        }
        let (mut deliveries, mut attempts) = (Vec::new(), Vec::new());
        for number in 0..count {
            if number + RECENT == count {
                recent::settle(&transaction).unwrap();
            }
            let mut uuid = || sequence.next(at(number * 10), 7);
            let row = delivery(
                &tenant,
                webhooks[number % 2],
                number,
                DeliveryId::from_uuid(uuid()),
                MessageId::from_uuid(uuid()),
            );
            let attempt = attempt(&row, AttemptId::from_uuid(uuid()), number);
            attempts.push(attempt.id);
            change(message(&row));
            change(Change::InsertDelivery(Box::new(row.clone())));
            change(Change::InsertAttempt(Box::new(attempt)));
            deliveries.push(row);
        }
        transaction.commit().unwrap();
        let options = SqliteConnectOptions::new().filename(&path).read_only(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let steps = Arc::new(AtomicU64::new(0));
        let counter = steps.clone();
        connection
            .lock_handle()
            .await
            .unwrap()
            .set_progress_handler(1, move || {
                counter.fetch_add(1, Ordering::Relaxed);
                true
            });
        Self {
            connection,
            steps,
            tenant,
            webhooks,
            deliveries,
            attempts,
            _directory: directory,
        }
    }

    /// The steps that a list costs, which must have a full page.
    async fn cost(
        &mut self,
        mut query: sqlx::QueryBuilder<'static, sqlx::Sqlite>,
        rows_min: usize,
    ) -> u64 {
        self.steps.store(0, Ordering::Relaxed);
        let rows = query.build().fetch_all(&mut self.connection).await.unwrap();
        assert!(
            rows.len() >= rows_min,
            "{} rows: {}",
            rows.len(),
            query.sql()
        );
        self.steps.load(Ordering::Relaxed)
    }

    async fn of_deliveries(
        &mut self,
        filter: &DeliveryFilter,
        is_deep: bool,
        rows_min: usize,
    ) -> u64 {
        let after = is_deep.then(|| self.deliveries[self.deliveries.len() / 2].id);
        let query = filters::deliveries(
            &self.tenant,
            filter,
            Page {
                limit: LIMIT,
                after,
            },
        );
        self.cost(query, rows_min).await
    }

    async fn of_attempts(&mut self, filter: &AttemptFilter, is_deep: bool, rows_min: usize) -> u64 {
        let after = is_deep.then(|| self.attempts[self.attempts.len() / 2]);
        let query = filters::attempts(
            &self.tenant,
            filter,
            Page {
                limit: LIMIT,
                after,
            },
        );
        self.cost(query, rows_min).await
    }

    /// The steps of a statement; some values stand for ids.
    async fn of_statement(&mut self, sql: &'static str, values: &[&str]) -> u64 {
        let mut query = sqlx::query(sql);
        for value in values {
            query = match *value {
                "webhook" => query.bind(self.webhooks[0].to_string()),
                "message" => query.bind(self.deliveries[7].message_id.to_string()),
                "50" => query.bind(50),
                text => query.bind(text.to_owned()),
            };
        }
        self.steps.store(0, Ordering::Relaxed);
        query.fetch_all(&mut self.connection).await.unwrap();
        self.steps.load(Ordering::Relaxed)
    }
}

fn webhook(tenant_id: &TenantId, id: WebhookId) -> Change {
    Change::InsertWebhook(Box::new(WebhookRow {
        id,
        tenant_id: tenant_id.clone(),
        config: hookledger_domain::webhook::Config::default(),
        is_active: true,
        disabled_reason: None,
        failing_since: None,
        secrets: Secrets {
            current: hookledger_domain::webhook::SealedSecret::default(),
            previous: Vec::new(),
        },
        created_at: at(0),
        updated_at: at(0),
        version: 1,
        is_deleted: false,
    }))
}

fn message(row: &DeliveryRow) -> Change {
    Change::InsertMessage(Box::new(MessageRow {
        id: row.message_id,
        tenant_id: row.tenant_id.clone(),
        topic: row.topic.clone(),
        timestamp: row.created_at,
        accepted_at: row.created_at,
        ordering_key: None,
        body_bytes: 2,
        body_sha256: String::new(),
        idempotency: None,
        deliveries: 1,
        not_delivered: Vec::new(),
    }))
}

/// Two topics at each of two webhooks; some of all have not succeeded.
fn delivery(
    tenant_id: &TenantId,
    webhook_id: WebhookId,
    number: usize,
    id: DeliveryId,
    message_id: MessageId,
) -> DeliveryRow {
    let status = match number % 100 {
        0..5 => Status::Pending,
        5..10 => Status::Exhausted,
        10..15 => Status::Cancelled,
        _ => Status::Succeeded,
    };
    DeliveryRow {
        id,
        tenant_id: tenant_id.clone(),
        message_id,
        webhook_id,
        topic: format!("topic.{}", number / 2 % 2).parse().unwrap(),
        trigger: Trigger::Publish,
        queue: Some(String::new()),
        status,
        attempts: 1,
        created_at: id.time(),
        next_attempt_at: (status == Status::Pending).then(|| id.time()),
        completed_at: (status != Status::Pending).then(|| id.time()),
        last_response_status: None,
        last_error: None,
    }
}

/// Some fail, and not all that succeed are answered with 200.
fn attempt(row: &DeliveryRow, id: AttemptId, number: usize) -> AttemptRow {
    let status = match number % 100 {
        0..5 => 500,
        5..10 => 404,
        10..15 => 204,
        _ => 200,
    };
    let failure = Failure {
        code: FailureCode::HttpStatus,
        message: "no 2xx".to_owned(),
    };
    AttemptRow {
        id,
        tenant_id: row.tenant_id.clone(),
        delivery_id: row.id,
        message_id: row.message_id,
        webhook_id: row.webhook_id,
        webhook_version: 1,
        topic: row.topic.clone(),
        number: 1,
        trigger: Trigger::Publish,
        started_at: id.time(),
        duration_ms: 1,
        url: String::new(),
        response: Some(ResponseRow {
            status,
            headers: std::collections::BTreeMap::new(),
            body_bytes: 0,
            body_truncated: false,
        }),
        error: (status >= 300).then_some(failure),
    }
}

fn check(what: &str, costs: [u64; 2]) {
    let factor = costs[1] as f64 / costs[0] as f64;
    assert!(
        factor <= FACTOR_MAX,
        "{what}: {} steps, and {} with {} rows",
        costs[0],
        costs[1],
        SIZES[1]
    );
}

fn delivery_filters(full: &Full) -> Vec<(DeliveryFilter, usize)> {
    let all = DeliveryFilter::default();
    let webhook_id = Some(full.webhooks[1]);
    let topic = Some("topic.1".parse().unwrap());
    let middle = &full.deliveries[full.deliveries.len() / 4];
    let mut filters = vec![
        (all.clone(), 50),
        (
            DeliveryFilter {
                webhook_id,
                ..all.clone()
            },
            50,
        ),
        (
            DeliveryFilter {
                topic,
                ..all.clone()
            },
            50,
        ),
        (
            DeliveryFilter {
                message_id: Some(middle.message_id),
                ..all.clone()
            },
            0,
        ),
        (
            DeliveryFilter {
                created: Span {
                    from: None,
                    to: Some(middle.created_at),
                },
                ..all.clone()
            },
            50,
        ),
        (
            DeliveryFilter {
                created: Span {
                    from: Some(middle.created_at),
                    to: None,
                },
                ..all.clone()
            },
            50,
        ),
    ];
    for status in Status::ALL {
        filters.push((
            DeliveryFilter {
                status: Some(status),
                ..all.clone()
            },
            50,
        ));
        filters.push((
            DeliveryFilter {
                status: Some(status),
                webhook_id,
                ..all.clone()
            },
            50,
        ));
    }
    filters
}

fn attempt_filters(full: &Full) -> Vec<(AttemptFilter, usize)> {
    let all = AttemptFilter::default();
    let webhook_id = Some(full.webhooks[1]);
    let topic = Some("topic.1".parse().unwrap());
    let middle = &full.deliveries[full.deliveries.len() / 4];
    let status = |status| AttemptFilter {
        response_status: Some(status),
        ..AttemptFilter::default()
    };
    vec![
        (all.clone(), 50),
        (
            AttemptFilter {
                webhook_id,
                ..all.clone()
            },
            50,
        ),
        (
            AttemptFilter {
                topic,
                ..all.clone()
            },
            50,
        ),
        (
            AttemptFilter {
                delivery_id: Some(middle.id),
                ..all.clone()
            },
            0,
        ),
        (
            AttemptFilter {
                message_id: Some(middle.message_id),
                ..all.clone()
            },
            0,
        ),
        (
            AttemptFilter {
                succeeded: Some(true),
                ..all.clone()
            },
            50,
        ),
        (
            AttemptFilter {
                succeeded: Some(false),
                ..all.clone()
            },
            50,
        ),
        (
            AttemptFilter {
                succeeded: Some(false),
                webhook_id,
                ..all.clone()
            },
            20,
        ),
        (
            AttemptFilter {
                started: Span {
                    from: None,
                    to: Some(middle.created_at),
                },
                ..all.clone()
            },
            50,
        ),
        (status(200), 50),
        (status(500), 50),
        (status(404), 50),
        (status(599), 0),
    ]
}

#[tokio::test]
async fn pages_and_lanes_cost_the_same_in_a_larger_ledger() {
    let (mut small, mut large) = (Full::with(SIZES[0]).await, Full::with(SIZES[1]).await);
    for is_deep in [false, true] {
        pages(&mut small, &mut large, is_deep).await;
    }
    statements(&mut small, &mut large).await;
}

async fn pages(small: &mut Full, large: &mut Full, is_deep: bool) {
    let filters = delivery_filters(small)
        .into_iter()
        .zip(delivery_filters(large));
    for ((in_small, rows), (in_large, _)) in filters {
        let rows = if is_deep { 0 } else { rows };
        let costs = [
            small.of_deliveries(&in_small, is_deep, rows).await,
            large.of_deliveries(&in_large, is_deep, rows).await,
        ];
        check(&format!("deep: {is_deep}, {in_small:?}"), costs);
    }
    let filters = attempt_filters(small)
        .into_iter()
        .zip(attempt_filters(large));
    for ((in_small, rows), (in_large, _)) in filters {
        let rows = if is_deep { 0 } else { rows };
        let costs = [
            small.of_attempts(&in_small, is_deep, rows).await,
            large.of_attempts(&in_large, is_deep, rows).await,
        ];
        check(&format!("deep: {is_deep}, {in_small:?}"), costs);
    }
}

/// What the lanes ask, and the lists without filters.
async fn statements(small: &mut Full, large: &mut Full) {
    for (sql, values) in [
        (sql!("select_messages"), &["acme", "msg_f", "50"][..]),
        (sql!("select_due_ids"), &["acme", "webhook", "50"]),
        (sql!("select_due_test_ids"), &["acme", "webhook", "50"]),
        (sql!("select_next_waiting"), &["", ""]),
        (sql!("select_next_waiting"), &["acme", "webhook"]),
        (sql!("select_message_by_key"), &["acme", "key"]),
        (sql!("select_deliveries_of_message"), &["acme", "message"]),
        (sql!("is_to_be_sent"), &["acme", "message"]),
        (sql!("find_position_before"), &["msg_f", "att_f"]),
    ] {
        let costs = [
            small.of_statement(sql, values).await,
            large.of_statement(sql, values).await,
        ];
        check(sql, costs);
    }
}
