//! Builds the lists whose conditions depend on what was asked for.
//!
//! Deliveries and attempts are sorted by owner once, by `(webhook, topic, id)`; more than that would
//! cost every delivery more than the lists are worth. A list is merged from it: the pairs of webhook
//! and topic that occur are found by jumping through the sorted table, each gives its newest rows,
//! and the newest of all are read. That costs the pairs and the page, wherever in however many rows
//! the page lies. The newest rows are not sorted in yet (see [`recent`](super::recent)); they are a
//! bounded number and are looked through. What people look for among many, what failed, has small
//! indexes of the same shape.

use chrono::{DateTime, Utc};
use hookledger_domain::{
    delivery::Status,
    ids::{AttemptId, DeliveryId, WebhookId},
    tenant::TenantId,
};
use hookledger_projections::query::{AttemptFilter, DeliveryFilter, Page, Span};
use sqlx::{QueryBuilder, Sqlite};

type Query = QueryBuilder<'static, Sqlite>;

/// A list in parts: where it looks, and what its rows must be like.
struct List {
    table: &'static str,
    /// The index by webhook, topic and id that has just the rows that are meant, with the condition
    /// of it; without one all rows are looked at, as they are sorted by owner.
    partial: Option<(&'static str, &'static str)>,
    tenant: String,
    webhook_id: Option<String>,
    topic: Option<String>,
    /// Conditions on the id: an operator and a bound.
    ids: Vec<(&'static str, String)>,
    conditions: Vec<(&'static str, Value)>,
    limit: i64,
}

enum Value {
    Text(String),
    Number(i64),
    /// The condition stands for itself.
    None,
}

pub(super) fn deliveries(
    tenant: &TenantId,
    filter: &DeliveryFilter,
    page: Page<DeliveryId>,
) -> Query {
    let mut list = List::new("deliveries", tenant, page.limit);
    list.webhook_id = filter.webhook_id.map(|id| id.to_string());
    list.topic = filter.topic.as_ref().map(ToString::to_string);
    match filter.status {
        None => {}
        Some(Status::Succeeded) => list.add(" AND x.status = 'succeeded'", Some(Value::None)),
        Some(other) => {
            list.partial = Some(("deliveries_not_succeeded", " AND x.status <> 'succeeded'"));
            list.text(" AND x.status = ", Some(other.as_str()));
        }
    }
    list.text(" AND x.message_id = ", filter.message_id);
    list.ids(filter.created, DeliveryId::first_at, page.after);
    let by = filter.message_id.map(|_| "deliveries_by_message");
    list.build("t.*", "", by)
}

pub(super) fn attempts(tenant: &TenantId, filter: &AttemptFilter, page: Page<AttemptId>) -> Query {
    let mut list = List::new("attempts", tenant, page.limit);
    list.webhook_id = filter.webhook_id.map(|id| id.to_string());
    list.topic = filter.topic.as_ref().map(ToString::to_string);
    match filter.succeeded {
        Some(true) => list.add(" AND x.error_code IS NULL", Some(Value::None)),
        Some(false) => list.partial = Some(("attempts_failed", " AND x.error_code IS NOT NULL")),
        None => {}
    }
    if let Some(status) = filter.response_status {
        list.add(
            " AND x.response_status = ",
            Some(Value::Number(status.into())),
        );
        if status != 200 && filter.succeeded != Some(false) {
            list.partial = Some(("attempts_not_200", " AND x.response_status <> 200"));
        }
    }
    list.text(" AND x.delivery_id = ", filter.delivery_id);
    let of_message = " AND x.delivery_id IN (SELECT d.id FROM deliveries d WHERE d.message_id = ";
    list.text(of_message, filter.message_id);
    if filter.message_id.is_some() {
        list.add(")", Some(Value::None));
    }
    list.ids(filter.started, AttemptId::first_at, page.after);
    let is_direct = filter.delivery_id.is_some() || filter.message_id.is_some();
    list.build(
        "t.*, b.text AS response_body",
        " LEFT JOIN bodies b ON b.position = t.position",
        is_direct.then_some("attempts_by_delivery"),
    )
}

/// What a circuit goes by, of the newest attempts of a webhook.
pub(super) fn last_attempts(tenant: &TenantId, webhook: WebhookId, limit: u32) -> Query {
    let mut list = List::new("attempts", tenant, limit);
    list.webhook_id = Some(webhook.to_string());
    list.build(
        "t.webhook_version, t.started_at, t.duration_ms, t.error_code",
        "",
        None,
    )
}

impl List {
    fn new(table: &'static str, tenant: &TenantId, limit: u32) -> Self {
        Self {
            table,
            partial: None,
            tenant: tenant.to_string(),
            webhook_id: None,
            topic: None,
            ids: Vec::new(),
            conditions: Vec::new(),
            limit: i64::from(limit) + 1,
        }
    }

    fn add(&mut self, sql: &'static str, value: Option<Value>) {
        self.conditions.extend(value.map(|value| (sql, value)));
    }

    fn text(&mut self, sql: &'static str, value: Option<impl ToString>) {
        self.add(sql, value.map(|value| Value::Text(value.to_string())));
    }

    /// Ids carry the time at which they were made, so a stretch of time is one of ids.
    fn ids<Id: ToString>(
        &mut self,
        span: Span,
        first_at: fn(DateTime<Utc>) -> Id,
        after: Option<Id>,
    ) {
        let bounds = [
            (" >= ", span.from.map(first_at)),
            (" < ", span.to.map(first_at)),
            (" < ", after),
        ];
        for (operator, bound) in bounds {
            self.ids.extend(bound.map(|id| (operator, id.to_string())));
        }
    }

    /// `direct` names the index of a condition that leaves few rows; then nothing is merged.
    fn build(
        self,
        columns: &'static str,
        join: &'static str,
        direct: Option<&'static str>,
    ) -> Query {
        let mut query = Query::new("");
        match (direct, self.partial) {
            (Some(index), _) => self.push_direct(&mut query, index),
            (None, Some((index, only))) => {
                let from = format!("{} x INDEXED BY {index}", self.table);
                self.push_merged(&mut query, &from, "x", only);
            }
            (None, None) => {
                let from = format!(
                    "{0}_by_webhook k CROSS JOIN {0} x ON x.id = k.id",
                    self.table
                );
                self.push_merged(&mut query, &from, "k", "");
                self.push_recent(&mut query);
            }
        }
        query.push(" ORDER BY 1 DESC LIMIT ").push_bind(self.limit);
        query.push(format_args!(
            ") SELECT {columns} FROM ids i CROSS JOIN {} t ON t.id = i.id{join} ORDER BY t.id DESC",
            self.table
        ));
        query
    }

    fn push_direct(&self, query: &mut Query, index: &str) {
        query.push(format_args!(
            "WITH ids AS (SELECT x.id FROM {} x INDEXED BY {index} WHERE x.tenant_id = ",
            self.table
        ));
        query.push_bind(self.tenant.clone());
        condition(query, " AND x.webhook_id = ", self.webhook_id.as_ref());
        condition(query, " AND x.topic = ", self.topic.as_ref());
        query.push(self.partial.map_or("", |(_, only)| only));
        self.push_conditions(query, "x");
    }

    /// The newest rows of each pair; `key` is what has the columns webhook, topic and id.
    fn push_merged(&self, query: &mut Query, from: &str, key: &str, only: &str) {
        self.push_pairs(query, only);
        query.push(format_args!(
            "ids AS (SELECT t.id FROM pairs p CROSS JOIN {} t WHERE t.id IN (SELECT {key}.id FROM \
             {from} WHERE {key}.webhook_id = p.webhook_id AND {key}.topic = p.topic{only}",
            self.table
        ));
        self.push_conditions(query, key);
        query.push(format_args!(" ORDER BY {key}.id DESC LIMIT "));
        query.push_bind(self.limit).push(")");
    }

    /// What is not sorted in yet.
    fn push_recent(&self, query: &mut Query) {
        query.push(format_args!(
            " UNION ALL SELECT r.id FROM {0}_recent r CROSS JOIN {0} x ON x.id = r.id \
             WHERE r.webhook_id IN (SELECT webhook_id FROM hooks)",
            self.table
        ));
        condition(query, " AND r.topic = ", self.topic.as_ref());
        self.push_conditions(query, "r");
    }

    /// The pairs of webhook and topic that occur, found by a loose index scan.
    fn push_pairs(&self, query: &mut Query, only: &str) {
        query.push("WITH RECURSIVE hooks (webhook_id) AS (SELECT w.id FROM webhooks w WHERE w.tenant_id = ");
        query.push_bind(self.tenant.clone());
        condition(query, " AND w.id = ", self.webhook_id.as_ref());
        query.push("), pairs (webhook_id, topic) AS (SELECT h.webhook_id, ");
        if let Some(topic) = &self.topic {
            query.push_bind(topic.clone()).push(" FROM hooks h), ");
            return;
        }
        let from = match self.partial {
            Some((index, _)) => format!("{} x INDEXED BY {index}", self.table),
            None => format!("{}_by_webhook x", self.table),
        };
        let next = format!("(SELECT x.topic FROM {from} WHERE x.webhook_id = h.webhook_id{only}");
        query.push(format_args!(
            "{next} ORDER BY x.topic LIMIT 1) FROM hooks h \
             UNION ALL \
             SELECT h.webhook_id, {next} AND x.topic > h.topic ORDER BY x.topic LIMIT 1) \
             FROM pairs h WHERE h.topic IS NOT NULL), "
        ));
    }

    fn push_conditions(&self, query: &mut Query, key: &str) {
        for (operator, bound) in &self.ids {
            query
                .push(format_args!(" AND {key}.id{operator}"))
                .push_bind(bound.clone());
        }
        for (sql, value) in &self.conditions {
            query.push(*sql);
            match value {
                Value::Text(text) => drop(query.push_bind(text.clone())),
                Value::Number(number) => drop(query.push_bind(*number)),
                Value::None => {}
            }
        }
    }
}

fn condition(query: &mut Query, sql: &'static str, value: Option<&String>) {
    if let Some(value) = value {
        query.push(sql).push_bind(value.clone());
    }
}
