//! Builds the lists whose conditions depend on what was asked for.
//!
//! Every list is sorted by id, which rises with time. What has no index that is sorted so is merged
//! from one that is sorted by `(webhook, topic, id)`: the pairs of webhook and topic of the tenant
//! that occur are found by jumping through it, each gives its newest rows, and the newest of all are
//! read. That costs the pairs and the page, wherever in however many rows the page lies. What people
//! look for among many, what failed, has small indexes of the same shape.

use chrono::{DateTime, Utc};
use hookledger_domain::{
    delivery::Status,
    ids::{AttemptId, DeliveryId, WebhookId},
    tenant::TenantId,
};
use hookledger_projections::query::{AttemptFilter, DeliveryFilter, Page, Span};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

type Query = QueryBuilder<'static, Postgres>;

/// A list in parts: where it looks, and what its rows must be like.
struct List {
    table: &'static str,
    tenant: String,
    webhook_id: Option<Uuid>,
    topic: Option<String>,
    /// The condition of a small index that has just the rows that are meant.
    partial: Option<&'static str>,
    /// A condition that leaves few rows has an index of its own; then nothing is merged.
    is_direct: bool,
    conditions: Vec<(&'static str, Value)>,
    limit: i64,
}

#[derive(Clone)]
enum Value {
    Text(String),
    Number(i32),
    Id(Uuid),
    /// The condition stands for itself.
    None,
}

pub(super) fn deliveries(
    tenant: &TenantId,
    filter: &DeliveryFilter,
    page: Page<DeliveryId>,
) -> Query {
    let mut list = List::new("deliveries", tenant, page.limit);
    list.webhook_id = filter.webhook_id.map(|id| id.uuid());
    list.topic = filter.topic.as_ref().map(ToString::to_string);
    if let Some(status) = filter.status {
        if status != Status::Succeeded {
            list.partial = Some(" AND x.status <> 'succeeded'");
        }
        list.add(" AND x.status = ", Value::Text(status.as_str().to_owned()));
    }
    if let Some(message) = filter.message_id {
        list.is_direct = true;
        list.add(" AND x.message_id = ", Value::Id(message.uuid()));
    }
    let ids = page.after.map(|id| id.uuid());
    list.ids(
        filter.created,
        |time| DeliveryId::first_at(time).uuid(),
        ids,
    );
    list.build("t.*", "")
}

pub(super) fn attempts(tenant: &TenantId, filter: &AttemptFilter, page: Page<AttemptId>) -> Query {
    let mut list = List::new("attempts", tenant, page.limit);
    list.webhook_id = filter.webhook_id.map(|id| id.uuid());
    list.topic = filter.topic.as_ref().map(ToString::to_string);
    match filter.succeeded {
        Some(true) => list.add(" AND x.error_code IS NULL", Value::None),
        Some(false) => list.partial = Some(" AND x.error_code IS NOT NULL"),
        None => {}
    }
    if let Some(status) = filter.response_status {
        list.add(" AND x.response_status = ", Value::Number(status.into()));
        if status != 200 && filter.succeeded != Some(false) {
            list.partial = Some(" AND x.response_status <> 200");
        }
    }
    if let Some(delivery) = filter.delivery_id {
        list.is_direct = true;
        list.add(" AND x.delivery_id = ", Value::Id(delivery.uuid()));
    }
    if let Some(message) = filter.message_id {
        list.is_direct = true;
        list.add(
            " AND x.delivery_id IN (SELECT d.id FROM deliveries d WHERE d.tenant_id = x.tenant_id \
             AND d.message_id = ",
            Value::Id(message.uuid()),
        );
        list.add(")", Value::None);
    }
    let ids = page.after.map(|id| id.uuid());
    list.ids(filter.started, |time| AttemptId::first_at(time).uuid(), ids);
    list.build(
        "t.*, b.text AS response_body",
        " LEFT JOIN bodies b ON b.tenant_id = t.tenant_id AND b.id = t.id",
    )
}

/// What a circuit goes by, of the newest attempts of a webhook.
pub(super) fn last_attempts(tenant: &TenantId, webhook: WebhookId, limit: u32) -> Query {
    let mut list = List::new("attempts", tenant, limit);
    list.webhook_id = Some(webhook.uuid());
    list.build(
        "t.webhook_version, t.started_at, t.duration_ms, t.error_code",
        "",
    )
}

impl List {
    fn new(table: &'static str, tenant: &TenantId, limit: u32) -> Self {
        Self {
            table,
            tenant: tenant.to_string(),
            webhook_id: None,
            topic: None,
            partial: None,
            is_direct: false,
            conditions: Vec::new(),
            limit: i64::from(limit) + 1,
        }
    }

    fn add(&mut self, sql: &'static str, value: Value) {
        self.conditions.push((sql, value));
    }

    /// Ids carry the time at which they were made, so a stretch of time is one of ids.
    fn ids(&mut self, span: Span, first_at: fn(DateTime<Utc>) -> Uuid, after: Option<Uuid>) {
        let bounds = [
            (" AND x.id >= ", span.from.map(first_at)),
            (" AND x.id < ", span.to.map(first_at)),
            (" AND x.id < ", after),
        ];
        for (sql, bound) in bounds {
            if let Some(id) = bound {
                self.add(sql, Value::Id(id));
            }
        }
    }

    fn build(self, columns: &'static str, join: &'static str) -> Query {
        let mut query = Query::new("");
        let is_plain = self.webhook_id.is_none() && self.topic.is_none() && self.partial.is_none();
        if self.is_direct || is_plain {
            query.push("WITH ids AS MATERIALIZED (");
            self.push_direct(&mut query);
        } else {
            self.push_pairs(&mut query);
            query.push("), ids AS MATERIALIZED (");
            self.push_merged(&mut query);
        }
        query.push(") SELECT ").push(columns);
        query.push(format_args!(
            " FROM ids i JOIN {} t ON t.tenant_id = ",
            self.table
        ));
        query.push_bind(self.tenant.clone());
        query.push(format_args!(" AND t.id = i.id{join} ORDER BY t.id DESC"));
        query
    }

    fn push_direct(&self, query: &mut Query) {
        query.push(format_args!(
            "SELECT x.id FROM {} x WHERE x.tenant_id = ",
            self.table
        ));
        query.push_bind(self.tenant.clone());
        if let Some(webhook) = self.webhook_id {
            query.push(" AND x.webhook_id = ").push_bind(webhook);
        }
        if let Some(topic) = &self.topic {
            query.push(" AND x.topic = ").push_bind(topic.clone());
        }
        query.push(self.partial.unwrap_or_default());
        self.push_conditions(query);
        self.push_newest(query, "x");
    }

    /// The pairs of webhook and topic that occur, found by a loose index scan.
    fn push_pairs(&self, query: &mut Query) {
        query.push(
            "WITH RECURSIVE hooks AS MATERIALIZED (SELECT w.id FROM webhooks w WHERE w.tenant_id = ",
        );
        query.push_bind(self.tenant.clone());
        if let Some(webhook) = self.webhook_id {
            query.push(" AND w.id = ").push_bind(webhook);
        }
        query.push("), pairs (webhook_id, topic) AS (");
        if let Some(topic) = &self.topic {
            query.push("SELECT h.id, ").push_bind(topic.clone());
            query.push("::text COLLATE \"C\" FROM hooks h");
            return;
        }
        let next = format!(
            "(SELECT x.topic FROM {} x WHERE x.webhook_id = ",
            self.table
        );
        let only = self.partial.unwrap_or_default();
        query.push(format_args!(
            "SELECT h.id, {next}h.id{only} ORDER BY x.topic LIMIT 1) FROM hooks h \
             UNION ALL \
             SELECT p.webhook_id, {next}p.webhook_id{only} AND x.topic > p.topic \
             ORDER BY x.topic LIMIT 1) FROM pairs p WHERE p.topic IS NOT NULL"
        ));
    }

    /// The newest rows of each pair.
    fn push_merged(&self, query: &mut Query) {
        query.push(format_args!(
            "SELECT m.id FROM pairs p CROSS JOIN LATERAL (SELECT x.id FROM {} x \
             WHERE x.webhook_id = p.webhook_id AND x.topic = p.topic AND x.tenant_id = ",
            self.table
        ));
        query.push_bind(self.tenant.clone());
        query.push(self.partial.unwrap_or_default());
        self.push_conditions(query);
        self.push_newest(query, "x");
        query.push(") m");
        self.push_newest(query, "m");
    }

    fn push_newest(&self, query: &mut Query, of: &str) {
        query
            .push(format_args!(" ORDER BY {of}.id DESC LIMIT "))
            .push_bind(self.limit);
    }

    fn push_conditions(&self, query: &mut Query) {
        for (sql, value) in &self.conditions {
            query.push(*sql);
            match value.clone() {
                Value::Text(text) => drop(query.push_bind(text)),
                Value::Number(number) => drop(query.push_bind(number)),
                Value::Id(id) => drop(query.push_bind(id)),
                Value::None => {}
            }
        }
    }
}
