//! Billing: Stripe's callbacks, what they told of a tenant, and those of which nobody knows whose they are.

mod unassigned;

use std::time::Duration;

use actix_web::{
    HttpResponse, get,
    http::{StatusCode, header::HeaderName},
    post,
};
use hookledger_domain::{
    billing::{self, INVOICES_MAX, Invoice, SUBSCRIPTIONS_MAX, Subscription},
    clock::rfc3339,
    permission::Permission,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    call::Call,
    openapi::{ActingFor, Denied, OfTenant, StripeSignature, Time, Verified},
    problem::Problem,
};
use crate::inbound::{Full, Refused};

/// The most bytes of a callback.
pub(super) const CALLBACK_BYTES_MAX: usize = 1024 * 1024;
/// How long a callback may take to arrive. Stripe sends it at once.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(5);

const SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(take_callback).service(get_billing);
    unassigned::register(config);
}

/// What became of a callback.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CallbackTaken {
    /// The id of Stripe's event.
    #[schema(example = "evt_1NG8Du2eZvKYlo2CUI79vXWy")]
    id: String,
    /// `applied`: the tenant's billing is as it says; `stale`: something newer was known; `ignored`: it
    /// is not handled; `unassigned`: nobody knows whose it is, so it waits.
    #[schema(pattern = "^(applied|stale|ignored|unassigned)$", example = "applied")]
    outcome: &'static str,
    /// It was known already; nothing was done again.
    duplicate: bool,
}

/// Take a callback of Stripe's
///
/// The webhook endpoint that is entered at Stripe. The signature is verified over the body as it arrived,
/// before anything else. Each event has its effect once, in whatever order they come; what is answered
/// with 200 is on disk.
#[utoipa::path(
    tag = "Billing",
    security(()),
    params(StripeSignature),
    request_body(content = Object, content_type = "application/json", description = "An event, as Stripe has signed it"),
    responses(
        Verified,
        (status = 200, description = "It was taken.", body = CallbackTaken),
    )
)]
#[post("/api/billing/stripe/webhook")]
async fn take_callback(mut call: Call) -> Result<HttpResponse, Problem> {
    let client = call.client();
    let stripe = call.api().stripe.clone();
    let (header, mut space) = stripe.open(call.header(&SIGNATURE)?, client)?;
    call.no_query()?;
    let mut admit = |bytes| Ok(space.grow(bytes)?);
    let body = call.bytes(CALLBACK_BYTES_MAX, CALLBACK_TIMEOUT, &mut admit);
    let body = body.await?;
    let origin = call.stripe_origin();
    let (id, taken) = stripe.take(&header, &body, client, origin).await?;
    Ok(HttpResponse::Ok().json(CallbackTaken {
        id: id.into(),
        outcome: taken.outcome.as_str(),
        duplicate: taken.duplicate,
    }))
}

impl From<Full> for Problem {
    fn from(_: Full) -> Self {
        Self::busy("too much arrives at once", 1)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::NotConfigured => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stripe_not_configured",
                "HOOKLEDGER_STRIPE_WEBHOOK_SECRET is not set",
            )
            .retry_after(60),
            Refused::Mismatch(_) => Self::new(StatusCode::BAD_REQUEST, "invalid_signature", detail),
            Refused::TooManyFailures {
                retry_after_seconds,
            } => Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_failures", detail)
                .retry_after(retry_after_seconds),
            Refused::Unreadable(_) => {
                Self::new(StatusCode::BAD_REQUEST, "malformed_callback", detail)
            }
            Refused::Failed(error) => error.into(),
        }
    }
}

/// What Stripe has told of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Billing)]
#[serde(deny_unknown_fields)]
struct BillingView {
    /// The tenant's customer id at Stripe.
    #[schema(required = true, example = "cus_NffrFeUfNV2Hib")]
    customer_id: Option<String>,
    /// The subscription that counts: the newest that has not ended, or else the newest.
    #[schema(required = true, inline = false)]
    subscription: Option<SubscriptionView>,
    /// The newest invoices, at most 100, the newest first.
    #[schema(max_items = 100)]
    invoices: Vec<InvoiceView>,
}

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Subscription)]
#[serde(deny_unknown_fields)]
struct SubscriptionView {
    /// Its id at Stripe.
    #[schema(example = "sub_1MowQVLkdIwHu7ixeRlqHVzs")]
    id: String,
    /// How it stands, in Stripe's words: `trialing`, `active`, `past_due`, `unpaid`, `canceled` and others.
    #[schema(example = "active")]
    status: String,
    /// The id of its price.
    #[schema(required = true, example = "price_1MowQULkdIwHu7ixraBm864M")]
    plan: Option<String>,
    /// Until when it is invoiced.
    #[schema(required = true, value_type = Option<Time>)]
    current_period_end: Option<String>,
    /// It is not renewed then.
    cancel_at_period_end: bool,
}

/// An invoice. Amounts are in the currency's smallest unit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Invoice)]
#[serde(deny_unknown_fields)]
struct InvoiceView {
    /// Its id at Stripe.
    #[schema(example = "in_1MtHbELkdIwHu7ixl4OzzPMv")]
    id: String,
    /// How it stands, in Stripe's words: `draft`, `open`, `paid`, `uncollectible`, `void`.
    #[schema(example = "paid")]
    status: String,
    /// What is to be paid.
    #[schema(example = 1999)]
    amount_due: i64,
    /// What was paid.
    #[schema(example = 1999)]
    amount_paid: i64,
    /// ISO 4217, lower case.
    #[schema(required = true, example = "usd")]
    currency: Option<String>,
    /// When it was made.
    #[schema(value_type = Time)]
    created_at: String,
}

impl From<&Subscription> for SubscriptionView {
    fn from(subscription: &Subscription) -> Self {
        Self {
            id: subscription.id.to_string(),
            status: subscription.status.clone(),
            plan: subscription.plan.clone(),
            current_period_end: subscription.current_period_end.map(rfc3339),
            cancel_at_period_end: subscription.cancel_at_period_end,
        }
    }
}

impl From<Invoice> for InvoiceView {
    fn from(invoice: Invoice) -> Self {
        Self {
            id: invoice.id.into(),
            status: invoice.status,
            amount_due: invoice.amount_due,
            amount_paid: invoice.amount_paid,
            currency: invoice.currency,
            created_at: rfc3339(invoice.created_at),
        }
    }
}

/// The tenant's billing
///
/// Customer, subscription and invoices as Stripe has told of them.
#[utoipa::path(
    tag = "Billing",
    params(ActingFor),
    responses(
        Denied, OfTenant,
        (status = 200, description = "What is known.", body = BillingView),
    )
)]
#[get("/api/admin/billing")]
async fn get_billing(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::BillingRead).await?;
    call.no_query()?;
    let (views, tenant) = (&call.api().views, &caller.tenant);
    let row = views.tenant(tenant).await?;
    let row = row.ok_or_else(|| Problem::not_found("tenant"))?;
    let limit = |max: usize| u32::try_from(max).unwrap_or(u32::MAX);
    let subscriptions = views
        .subscriptions(tenant, limit(SUBSCRIPTIONS_MAX))
        .await?;
    let invoices = views.invoices(tenant, limit(INVOICES_MAX)).await?;
    let current = billing::current(subscriptions.iter().map(|row| &row.subscription));
    Ok(HttpResponse::Ok().json(BillingView {
        customer_id: row.stripe_customer_id,
        subscription: current.map(SubscriptionView::from),
        invoices: invoices.into_iter().map(|row| row.invoice.into()).collect(),
    }))
}
