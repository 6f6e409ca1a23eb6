//! Builds the lists whose conditions depend on what was asked for.
//!
//! Deliveries and attempts have one index by owner, `(webhook, topic, id)`; more of them would cost
//! every delivery more than the lists are worth. A list is merged from it: the pairs of webhook and
//! topic that occur are found by jumping through the index, each gives its newest rows, and the
//! newest of all are read. That costs the pairs and the page, wherever in however many rows the
//! page lies. What people look for among many, what failed, has small indexes of the same shape.

use hookledger_domain::{
    delivery::Status,
    ids::{AttemptId, DeliveryId},
    tenant::TenantId,
};
use hookledger_projections::query::{AttemptFilter, DeliveryFilter, Page};
use sqlx::{QueryBuilder, Sqlite};

type Query = QueryBuilder<'static, Sqlite>;

/// A list in parts: which index it goes through, and what its rows must be like.
struct List {
    table: &'static str,
    index: &'static str,
    /// The condition of the index, if it has only some of the rows.
    only: &'static str,
    tenant: String,
    webhook_id: Option<String>,
    topic: Option<String>,
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
    let mut list = List {
        table: "deliveries",
        index: "deliveries_by_webhook",
        only: "",
        tenant: tenant.to_string(),
        webhook_id: filter.webhook_id.map(|id| id.to_string()),
        topic: filter.topic.as_ref().map(ToString::to_string),
        conditions: Vec::new(),
        limit: i64::from(page.limit) + 1,
    };
    match filter.status {
        None => {}
        Some(Status::Succeeded) => list.add(" AND x.status = 'succeeded'", Some(Value::None)),
        Some(other) => {
            list.index = "deliveries_not_succeeded";
            list.only = " AND x.status <> 'succeeded'";
            list.text(" AND x.status = ", Some(other.as_str()));
        }
    }
    list.text(" AND x.message_id = ", filter.message_id);
    // Ids carry the time at which they were made.
    list.text(
        " AND x.id >= ",
        filter.created.from.map(DeliveryId::first_at),
    );
    list.text(" AND x.id < ", filter.created.to.map(DeliveryId::first_at));
    list.text(" AND x.id < ", page.after);
    let by = filter.message_id.map(|_| "deliveries_by_message");
    list.build("t.*", "", by)
}

pub(super) fn attempts(tenant: &TenantId, filter: &AttemptFilter, page: Page<AttemptId>) -> Query {
    let mut list = List {
        table: "attempts",
        index: "attempts_by_webhook",
        only: "",
        tenant: tenant.to_string(),
        webhook_id: filter.webhook_id.map(|id| id.to_string()),
        topic: filter.topic.as_ref().map(ToString::to_string),
        conditions: Vec::new(),
        limit: i64::from(page.limit) + 1,
    };
    match filter.succeeded {
        Some(true) => list.add(" AND x.error_code IS NULL", Some(Value::None)),
        Some(false) => {
            list.index = "attempts_failed";
            list.only = " AND x.error_code IS NOT NULL";
        }
        None => {}
    }
    if let Some(status) = filter.response_status {
        list.add(
            " AND x.response_status = ",
            Some(Value::Number(status.into())),
        );
        if status != 200 && filter.succeeded != Some(false) {
            list.index = "attempts_not_200";
            list.only = " AND x.response_status <> 200";
        }
    }
    list.text(" AND x.delivery_id = ", filter.delivery_id);
    let of_message = " AND x.delivery_id IN (SELECT d.id FROM deliveries d WHERE d.message_id = ";
    list.text(of_message, filter.message_id);
    if filter.message_id.is_some() {
        list.add(")", Some(Value::None));
    }
    list.text(
        " AND x.id >= ",
        filter.started.from.map(AttemptId::first_at),
    );
    list.text(" AND x.id < ", filter.started.to.map(AttemptId::first_at));
    list.text(" AND x.id < ", page.after);
    let is_direct = filter.delivery_id.is_some() || filter.message_id.is_some();
    list.build(
        "t.*, b.text AS response_body",
        " LEFT JOIN bodies b ON b.position = t.position",
        is_direct.then_some("attempts_by_delivery"),
    )
}

impl List {
    fn add(&mut self, sql: &'static str, value: Option<Value>) {
        self.conditions.extend(value.map(|value| (sql, value)));
    }

    fn text(&mut self, sql: &'static str, value: Option<impl ToString>) {
        self.add(sql, value.map(|value| Value::Text(value.to_string())));
    }

    /// `direct` names the index of a condition that leaves few rows; then nothing is merged.
    fn build(
        self,
        columns: &'static str,
        join: &'static str,
        direct: Option<&'static str>,
    ) -> Query {
        let mut query = Query::new("");
        match direct {
            Some(index) => {
                query.push(format_args!(
                    "WITH ids AS (SELECT x.id FROM {} x INDEXED BY {index} WHERE x.tenant_id = ",
                    self.table
                ));
                query.push_bind(self.tenant.clone());
                self.text_condition(&mut query, " AND x.webhook_id = ", self.webhook_id.as_ref());
                self.text_condition(&mut query, " AND x.topic = ", self.topic.as_ref());
                query.push(self.only);
                self.push_conditions(&mut query);
            }
            None => {
                self.push_pairs(&mut query);
                query.push(format_args!(
                    "ids AS (SELECT x.id FROM pairs p CROSS JOIN {0} x WHERE x.id IN \
                     (SELECT x.id FROM {0} x INDEXED BY {1} WHERE x.webhook_id = p.webhook_id AND x.topic = p.topic{2}",
                    self.table, self.index, self.only
                ));
                self.push_conditions(&mut query);
                query
                    .push(" ORDER BY x.id DESC LIMIT ")
                    .push_bind(self.limit)
                    .push(")");
            }
        }
        query
            .push(" ORDER BY x.id DESC LIMIT ")
            .push_bind(self.limit);
        query.push(format_args!(
            ") SELECT {columns} FROM ids i CROSS JOIN {} t ON t.id = i.id{join} ORDER BY t.id DESC",
            self.table
        ));
        query
    }

    /// The pairs of webhook and topic that occur, found by a loose index scan.
    fn push_pairs(&self, query: &mut Query) {
        query.push("WITH RECURSIVE hooks AS (SELECT w.id FROM webhooks w WHERE w.tenant_id = ");
        query.push_bind(self.tenant.clone());
        self.text_condition(query, " AND w.id = ", self.webhook_id.as_ref());
        query.push("), pairs AS (");
        if let Some(topic) = &self.topic {
            query
                .push("SELECT h.id AS webhook_id, ")
                .push_bind(topic.clone());
            query.push(" AS topic FROM hooks h), ");
            return;
        }
        let next = |webhook_id: &str| {
            format!(
                "(SELECT x.topic FROM {} x INDEXED BY {} WHERE x.webhook_id = {webhook_id}{}",
                self.table, self.index, self.only
            )
        };
        query.push(format_args!(
            "SELECT h.id AS webhook_id, {} ORDER BY x.topic LIMIT 1) AS topic FROM hooks h \
             UNION ALL \
             SELECT p.webhook_id, {} AND x.topic > p.topic ORDER BY x.topic LIMIT 1) \
             FROM pairs p WHERE p.topic IS NOT NULL), ",
            next("h.id"),
            next("p.webhook_id")
        ));
    }

    fn push_conditions(&self, query: &mut Query) {
        for (sql, value) in &self.conditions {
            query.push(*sql);
            match value {
                Value::Text(text) => drop(query.push_bind(text.clone())),
                Value::Number(number) => drop(query.push_bind(*number)),
                Value::None => {}
            }
        }
    }

    fn text_condition(&self, query: &mut Query, sql: &'static str, value: Option<&String>) {
        if let Some(value) = value {
            query.push(sql).push_bind(value.clone());
        }
    }
}
