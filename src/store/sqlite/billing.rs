//! Billing: changes of its rows, and what they tell.

use std::str::FromStr;

use async_trait::async_trait;
use hookledger_domain::{
    billing::{Invoice, Subscription},
    stripe::StripeId,
    tenant::TenantId,
};
use hookledger_projections::{
    query::{Page, Rows, UnassignedPlace},
    rows::{InvoiceRow, SubscriptionRow, UnassignedRow},
};
use rusqlite::{Connection, params};
use sqlx::{Row, sqlite::SqliteRow};

use super::{
    Sqlite,
    apply::{execute, millis},
    rows::{optional_time, parsed, time, word},
};
use crate::store::{
    Error,
    engine::{Accounts, LATEST},
};

pub(super) fn put_subscription(
    connection: &Connection,
    row: &SubscriptionRow,
) -> Result<(), Error> {
    let subscription = &row.subscription;
    execute(
        connection,
        sql!("put_subscription"),
        params![
            row.tenant_id.as_str(),
            subscription.id.as_str(),
            text(&subscription.customer_id),
            subscription.status,
            subscription.plan,
            millis(subscription.current_period_end),
            subscription.cancel_at_period_end,
            subscription.created_at.timestamp_millis(),
        ],
    )
}

pub(super) fn put_invoice(connection: &Connection, row: &InvoiceRow) -> Result<(), Error> {
    let invoice = &row.invoice;
    execute(
        connection,
        sql!("put_invoice"),
        params![
            row.tenant_id.as_str(),
            invoice.id.as_str(),
            text(&invoice.customer_id),
            text(&invoice.subscription_id),
            invoice.status,
            invoice.amount_due,
            invoice.amount_paid,
            invoice.currency,
            invoice.created_at.timestamp_millis(),
        ],
    )
}

pub(super) fn insert_unassigned(connection: &Connection, row: &UnassignedRow) -> Result<(), Error> {
    execute(
        connection,
        sql!("insert_unassigned"),
        params![
            row.id.as_str(),
            row.received_at.timestamp_millis(),
            row.reason.as_str(),
            row.kind,
            row.created_at.timestamp_millis(),
            row.livemode,
            text(&row.customer_id),
            row.metadata_tenant,
            row.client_reference.as_ref().map(TenantId::as_str),
        ],
    )
}

fn text(id: &Option<StripeId>) -> Option<&str> {
    id.as_ref().map(StripeId::as_str)
}

#[async_trait]
impl Accounts for Sqlite {
    async fn tenants_of_customer(&self, customer: &str) -> Result<Vec<TenantId>, Error> {
        let rows = sqlx::query(sql!("select_tenants_of_customer"))
            .bind(customer)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| parsed(row, "tenant_id")).collect()
    }

    async fn subscriptions(
        &self,
        tenant: &TenantId,
        limit: u32,
    ) -> Result<Vec<SubscriptionRow>, Error> {
        let rows = sqlx::query(sql!("select_subscriptions"))
            .bind(tenant.as_str())
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(subscription).collect()
    }

    async fn invoices(&self, tenant: &TenantId, limit: u32) -> Result<Vec<InvoiceRow>, Error> {
        let rows = sqlx::query(sql!("select_invoices"))
            .bind(tenant.as_str())
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(invoice).collect()
    }

    async fn unassigned(
        &self,
        page: Page<UnassignedPlace>,
    ) -> Result<Rows<UnassignedRow, UnassignedPlace>, Error> {
        let after = page.after.as_ref();
        let rows = sqlx::query(sql!("select_unassigned"))
            .bind(
                after
                    .map_or(LATEST, |place| place.received_at)
                    .timestamp_millis(),
            )
            .bind(after.map_or("", |place| place.id.as_str()))
            .bind(i64::from(page.limit) + 1)
            .fetch_all(&self.readers)
            .await?;
        let rows = rows.iter().map(unassigned).collect::<Result<_, _>>()?;
        Ok(Rows::cut(rows, page.limit, UnassignedRow::place))
    }

    async fn unassigned_of_customer(
        &self,
        customer: &StripeId,
        limit: u32,
    ) -> Result<Vec<UnassignedRow>, Error> {
        let rows = sqlx::query(sql!("select_unassigned_of_customer"))
            .bind(customer.as_str())
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(unassigned).collect()
    }

    async fn settleable(&self, limit: u32) -> Result<Vec<UnassignedRow>, Error> {
        let rows = sqlx::query(sql!("select_settleable"))
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(unassigned).collect()
    }
}

/// A column of text that stands for a value, if there is one.
fn optional<T: FromStr>(row: &SqliteRow, column: &str) -> Result<Option<T>, Error>
where
    T::Err: std::fmt::Display,
{
    match row.try_get::<Option<&str>, _>(column)? {
        Some(_) => parsed(row, column).map(Some),
        None => Ok(None),
    }
}

fn subscription(row: &SqliteRow) -> Result<SubscriptionRow, Error> {
    Ok(SubscriptionRow {
        tenant_id: parsed(row, "tenant_id")?,
        subscription: Subscription {
            id: parsed(row, "id")?,
            customer_id: optional(row, "customer_id")?,
            status: row.try_get("status")?,
            plan: row.try_get("plan")?,
            current_period_end: optional_time(row, "current_period_end")?,
            cancel_at_period_end: row.try_get("cancel_at_period_end")?,
            created_at: time(row, "created_at")?,
        },
    })
}

fn invoice(row: &SqliteRow) -> Result<InvoiceRow, Error> {
    Ok(InvoiceRow {
        tenant_id: parsed(row, "tenant_id")?,
        invoice: Invoice {
            id: parsed(row, "id")?,
            customer_id: optional(row, "customer_id")?,
            subscription_id: optional(row, "subscription_id")?,
            status: row.try_get("status")?,
            amount_due: row.try_get("amount_due")?,
            amount_paid: row.try_get("amount_paid")?,
            currency: row.try_get("currency")?,
            created_at: time(row, "created_at")?,
        },
    })
}

fn unassigned(row: &SqliteRow) -> Result<UnassignedRow, Error> {
    Ok(UnassignedRow {
        id: parsed(row, "id")?,
        received_at: time(row, "received_at")?,
        reason: word(row, "reason")?,
        kind: row.try_get("type")?,
        created_at: time(row, "created_at")?,
        livemode: row.try_get("livemode")?,
        customer_id: optional(row, "customer_id")?,
        metadata_tenant: row.try_get("metadata_tenant")?,
        client_reference: optional(row, "client_reference")?,
    })
}
