//! Builds the questions whose conditions depend on what was asked for. Each condition that is
//! there leads the planner to an index made for it; all of them end in the id, so that a page
//! costs its own rows wherever it lies.

use hookledger_domain::{
    delivery::Status,
    ids::{AttemptId, DeliveryId},
    tenant::TenantId,
};
use hookledger_projections::query::{AttemptFilter, DeliveryFilter, Page};
use sqlx::{QueryBuilder, Sqlite};

type Query = QueryBuilder<'static, Sqlite>;

/// Adds `column operator value` if there is a value.
fn condition<T>(query: &mut Query, sql: &'static str, value: Option<T>)
where
    T: sqlx::Encode<'static, Sqlite> + sqlx::Type<Sqlite> + 'static,
{
    if let Some(value) = value {
        query.push(" AND ").push(sql).push_bind(value);
    }
}

fn text(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn close<Id: ToString>(query: &mut Query, page: Page<Id>) {
    condition(query, "t.id < ", text(page.after));
    query
        .push(" ORDER BY t.id DESC LIMIT ")
        .push_bind(i64::from(page.limit) + 1);
}

pub(super) fn deliveries(tenant: &TenantId, filter: &DeliveryFilter, page: Page<DeliveryId>) -> Query {
    let mut query = Query::new("SELECT t.* FROM deliveries t WHERE t.tenant_id = ");
    query.push_bind(tenant.to_string());
    condition(&mut query, "t.webhook_id = ", text(filter.webhook_id));
    condition(&mut query, "t.topic = ", text(filter.topic.as_ref()));
    condition(&mut query, "t.message_id = ", text(filter.message_id));
    match filter.status {
        // A literal, so that the planner sees that the partial index serves.
        Some(Status::Pending) => drop(query.push(" AND t.status = 'pending' AND t.status <> 'succeeded'")),
        Some(Status::Exhausted) => drop(query.push(" AND t.status = 'exhausted' AND t.status <> 'succeeded'")),
        Some(Status::Cancelled) => drop(query.push(" AND t.status = 'cancelled' AND t.status <> 'succeeded'")),
        Some(Status::Succeeded) => drop(query.push(" AND t.status = 'succeeded'")),
        None => {}
    }
    // Ids carry the time at which they were made.
    condition(&mut query, "t.id >= ", text(filter.created.from.map(DeliveryId::first_at)));
    condition(&mut query, "t.id < ", text(filter.created.to.map(DeliveryId::first_at)));
    close(&mut query, page);
    query
}

pub(super) fn attempts(tenant: &TenantId, filter: &AttemptFilter, page: Page<AttemptId>) -> Query {
    let mut query = Query::new(
        "SELECT t.*, b.text AS response_body FROM attempts t \
         LEFT JOIN bodies b ON b.position = t.position WHERE t.tenant_id = ",
    );
    query.push_bind(tenant.to_string());
    condition(&mut query, "t.webhook_id = ", text(filter.webhook_id));
    condition(&mut query, "t.topic = ", text(filter.topic.as_ref()));
    condition(&mut query, "t.delivery_id = ", text(filter.delivery_id));
    if let Some(message_id) = filter.message_id {
        query
            .push(" AND t.delivery_id IN (SELECT d.id FROM deliveries d WHERE d.tenant_id = ")
            .push_bind(tenant.to_string())
            .push(" AND d.message_id = ")
            .push_bind(message_id.to_string())
            .push(")");
    }
    match filter.succeeded {
        Some(true) => drop(query.push(" AND t.error_code IS NULL")),
        Some(false) => drop(query.push(" AND t.error_code IS NOT NULL")),
        None => {}
    }
    if let Some(status) = filter.response_status {
        query.push(" AND t.response_status = ").push_bind(i64::from(status));
        if status != 200 {
            query.push(" AND t.response_status <> 200");
        }
    }
    condition(&mut query, "t.id >= ", text(filter.started.from.map(AttemptId::first_at)));
    condition(&mut query, "t.id < ", text(filter.started.to.map(AttemptId::first_at)));
    close(&mut query, page);
    query
}
