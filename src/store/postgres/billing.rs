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
use sqlx::{
    Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use super::{
    Postgres,
    ask::Value::{Number, Text, Time},
    reads::limit as one_more,
    rows::{parsed, time, word},
};
use crate::store::{
    Error,
    engine::{Accounts, LATEST},
};

type Statement<'a> = Query<'a, sqlx::Postgres, PgArguments>;

pub(super) fn put_subscription(row: &SubscriptionRow) -> Statement<'_> {
    let subscription = &row.subscription;
    sqlx::query(sql!("put_subscription"))
        .bind(row.tenant_id.as_str())
        .bind(subscription.id.as_str())
        .bind(text(&subscription.customer_id))
        .bind(&subscription.status)
        .bind(&subscription.plan)
        .bind(subscription.current_period_end)
        .bind(subscription.cancel_at_period_end)
        .bind(subscription.created_at)
}

pub(super) fn put_invoice(row: &InvoiceRow) -> Statement<'_> {
    let invoice = &row.invoice;
    sqlx::query(sql!("put_invoice"))
        .bind(row.tenant_id.as_str())
        .bind(invoice.id.as_str())
        .bind(text(&invoice.customer_id))
        .bind(text(&invoice.subscription_id))
        .bind(&invoice.status)
        .bind(invoice.amount_due)
        .bind(invoice.amount_paid)
        .bind(&invoice.currency)
        .bind(invoice.created_at)
}

pub(super) fn insert_unassigned(row: &UnassignedRow) -> Statement<'_> {
    sqlx::query(sql!("insert_unassigned"))
        .bind(row.id.as_str())
        .bind(row.received_at)
        .bind(row.reason.as_str())
        .bind(&row.kind)
        .bind(row.created_at)
        .bind(row.livemode)
        .bind(text(&row.customer_id))
        .bind(&row.metadata_tenant)
        .bind(row.client_reference.as_ref().map(TenantId::as_str))
}

fn text(id: &Option<StripeId>) -> Option<&str> {
    id.as_ref().map(StripeId::as_str)
}

#[async_trait]
impl Accounts for Postgres {
    async fn tenants_of_customer(&self, customer: &str) -> Result<Vec<TenantId>, Error> {
        let sql = sql!("select_tenants_of_customer");
        self.asker
            .list(sql, &[Text(customer)], |row| parsed(row, "tenant_id"))
            .await
    }

    async fn subscriptions(
        &self,
        tenant: &TenantId,
        limit: u32,
    ) -> Result<Vec<SubscriptionRow>, Error> {
        let values = [Text(tenant.as_str()), Number(limit.into())];
        self.asker
            .list(sql!("select_subscriptions"), &values, subscription)
            .await
    }

    async fn invoices(&self, tenant: &TenantId, limit: u32) -> Result<Vec<InvoiceRow>, Error> {
        let values = [Text(tenant.as_str()), Number(limit.into())];
        self.asker
            .list(sql!("select_invoices"), &values, invoice)
            .await
    }

    async fn unassigned(
        &self,
        page: Page<UnassignedPlace>,
    ) -> Result<Rows<UnassignedRow, UnassignedPlace>, Error> {
        let after = page.after.as_ref();
        let values = [
            Time(after.map_or(LATEST, |place| place.received_at)),
            Text(after.map_or("", |place| place.id.as_str())),
            one_more(page.limit),
        ];
        let rows = self
            .asker
            .list(sql!("select_unassigned"), &values, unassigned)
            .await?;
        Ok(Rows::cut(rows, page.limit, UnassignedRow::place))
    }

    async fn unassigned_of_customer(
        &self,
        customer: &StripeId,
        limit: u32,
    ) -> Result<Vec<UnassignedRow>, Error> {
        let values = [Text(customer.as_str()), Number(limit.into())];
        self.asker
            .list(sql!("select_unassigned_of_customer"), &values, unassigned)
            .await
    }

    async fn settleable(&self, limit: u32) -> Result<Vec<UnassignedRow>, Error> {
        self.asker
            .list(
                sql!("select_settleable"),
                &[Number(limit.into())],
                unassigned,
            )
            .await
    }
}

/// A column of text that stands for a value, if there is one.
fn optional<T: FromStr>(row: &PgRow, column: &str) -> Result<Option<T>, Error>
where
    T::Err: std::fmt::Display,
{
    match row.try_get::<Option<&str>, _>(column)? {
        Some(_) => parsed(row, column).map(Some),
        None => Ok(None),
    }
}

fn subscription(row: &PgRow) -> Result<SubscriptionRow, Error> {
    Ok(SubscriptionRow {
        tenant_id: parsed(row, "tenant_id")?,
        subscription: Subscription {
            id: parsed(row, "id")?,
            customer_id: optional(row, "customer_id")?,
            status: row.try_get("status")?,
            plan: row.try_get("plan")?,
            current_period_end: row.try_get("current_period_end")?,
            cancel_at_period_end: row.try_get("cancel_at_period_end")?,
            created_at: time(row, "created_at")?,
        },
    })
}

fn invoice(row: &PgRow) -> Result<InvoiceRow, Error> {
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

fn unassigned(row: &PgRow) -> Result<UnassignedRow, Error> {
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
