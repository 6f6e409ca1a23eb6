//! What is taken out of a callback: the few fields that decide something, whatever else stands there.
//!
//! Reading is lenient. Unknown fields, types and statuses are no errors, and a field that is not as
//! expected counts as left out: Stripe adds to its objects without notice, and a callback that is
//! refused comes again for days. Both shapes are read: before API version `2025-03-31.basil`, and from
//! it on, where an invoice names its subscription under `parent` and the period stands at a
//! subscription's items.

use chrono::{DateTime, TimeZone, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StripeId;
use crate::{
    billing::{Invoice, Subscription},
    tenant::TenantId,
};

/// The longest text that is kept of a field, in characters.
const TEXT_CHARACTERS_MAX: usize = 255;

/// A callback, as far as it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What happened, in Stripe's words: `invoice.paid`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened, in whole seconds.
    pub created_at: DateTime<Utc>,
    /// It is about money, not about a test; `None`: it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub livemode: Option<bool>,
    /// SHA-256 of the body as it arrived, lower-case hexadecimal.
    pub body_sha256: String,
    /// The customer whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<StripeId>,
    /// `metadata.tenant_id`, which the platform sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_tenant: Option<String>,
    /// `client_reference_id` of a checkout session, if it can be a tenant's: whoever buys may have
    /// written there what they like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_reference: Option<TenantId>,
    /// What it shows.
    pub subject: Subject,
}

/// What a callback shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A checkout session that was completed: it tells whose customer somebody is.
    Checkout,
    /// A subscription as it was then.
    Subscription(Subscription),
    /// An invoice as it was then.
    Invoice(Invoice),
    /// A type that is not handled.
    Other,
    /// A type that is handled, without the object that it should show.
    Nothing,
}

/// A body that is no event of Stripe's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is no JSON, or no object.
    #[error("the body is no JSON object")]
    NotJson,
    /// It has no `id` like Stripe's.
    #[error("the body has no id of an event")]
    NoId,
    /// It has no `type`.
    #[error("the body has no type of an event")]
    NoType,
}

/// Reads a body that was verified: the callback's id, and what it says. `received_at` stands for the
/// time that it leaves out, and `body_sha256` is its digest.
///
/// # Errors
/// It is no event at all.
pub fn parse(
    body: &[u8],
    body_sha256: String,
    received_at: DateTime<Utc>,
) -> Result<(StripeId, Notice), Unreadable> {
    let event: Value = serde_json::from_slice(body).map_err(|_| Unreadable::NotJson)?;
    if !event.is_object() {
        return Err(Unreadable::NotJson);
    }
    let id = id(&event["id"]).ok_or(Unreadable::NoId)?;
    let kind = text(&event["type"]).ok_or(Unreadable::NoType)?;
    let created_at = time(&event["created"]).unwrap_or(received_at);
    let object = &event["data"]["object"];
    let subject = subject(&kind, object, created_at);
    let is_checkout = subject == Subject::Checkout;
    let notice = Notice {
        created_at,
        livemode: event["livemode"].as_bool(),
        body_sha256,
        customer_id: reference(&object["customer"]),
        metadata_tenant: metadata_tenant(object),
        client_reference: tenant(&object["client_reference_id"]).filter(|_| is_checkout),
        subject,
        kind,
    };
    Ok((id, notice))
}

fn subject(kind: &str, object: &Value, created_at: DateTime<Utc>) -> Subject {
    match kind {
        "checkout.session.completed" if object.is_object() => Subject::Checkout,
        "checkout.session.completed" => Subject::Nothing,
        "invoice.paid"
        | "invoice.payment_failed"
        | "invoice.payment_action_required"
        | "invoice.finalization_failed"
        | "invoice.voided"
        | "invoice.marked_uncollectible" => {
            invoice(kind, object, created_at).map_or(Subject::Nothing, Subject::Invoice)
        }
        _ if kind.starts_with("customer.subscription.") => {
            subscription(kind, object, created_at).map_or(Subject::Nothing, Subject::Subscription)
        }
        _ => Subject::Other,
    }
}

fn subscription(kind: &str, object: &Value, created_at: DateTime<Utc>) -> Option<Subscription> {
    let items = object["items"]["data"].as_array();
    let items = items.map_or(&[][..], Vec::as_slice);
    let status = match (kind, text(&object["status"])) {
        // What is deleted has ended, whatever else is said of it.
        ("customer.subscription.deleted", status) => status
            .filter(|status| status == Subscription::INCOMPLETE_EXPIRED)
            .unwrap_or_else(|| Subscription::CANCELED.to_owned()),
        (_, status) => status.unwrap_or_else(|| "unknown".to_owned()),
    };
    // With several items the one that is renewed first counts.
    let of_items = || {
        let ends = items.iter();
        ends.filter_map(|item| time(&item["current_period_end"]))
            .min()
    };
    let plan_of = |item: &Value| id(&item["price"]["id"]).or_else(|| id(&item["plan"]["id"]));
    let plan = items.iter().find_map(plan_of);
    Some(Subscription {
        id: id(&object["id"])?,
        customer_id: reference(&object["customer"]),
        status,
        plan: plan.or_else(|| id(&object["plan"]["id"])).map(String::from),
        current_period_end: time(&object["current_period_end"]).or_else(of_items),
        cancel_at_period_end: object["cancel_at_period_end"].as_bool().unwrap_or(false),
        created_at: time(&object["created"]).unwrap_or(created_at),
    })
}

fn invoice(kind: &str, object: &Value, created_at: DateTime<Utc>) -> Option<Invoice> {
    let assumed = match kind {
        "invoice.paid" => Invoice::PAID,
        "invoice.voided" => Invoice::VOID,
        "invoice.marked_uncollectible" => Invoice::UNCOLLECTIBLE,
        "invoice.finalization_failed" => Invoice::DRAFT,
        _ => Invoice::OPEN,
    };
    let since_basil = &object["parent"]["subscription_details"]["subscription"];
    Some(Invoice {
        id: id(&object["id"])?,
        customer_id: reference(&object["customer"]),
        subscription_id: reference(since_basil).or_else(|| reference(&object["subscription"])),
        status: text(&object["status"]).unwrap_or_else(|| assumed.to_owned()),
        amount_due: object["amount_due"].as_i64().unwrap_or(0),
        amount_paid: object["amount_paid"].as_i64().unwrap_or(0),
        currency: text(&object["currency"]),
        created_at: time(&object["created"]).unwrap_or(created_at),
    })
}

/// The tenant that the platform has written to the object, or to the subscription of an invoice, of
/// which the invoice has a copy.
fn metadata_tenant(object: &Value) -> Option<String> {
    [
        &object["metadata"],
        &object["parent"]["subscription_details"]["metadata"],
        &object["subscription_details"]["metadata"],
    ]
    .into_iter()
    .find_map(|metadata| text(&metadata["tenant_id"]))
}

fn id(value: &Value) -> Option<StripeId> {
    value.as_str()?.parse().ok()
}

/// An object by its id, or written out.
fn reference(value: &Value) -> Option<StripeId> {
    id(value).or_else(|| id(&value["id"]))
}

/// A text that can be stored and shown.
fn text(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let is_fine = !text.is_empty()
        && text.chars().count() <= TEXT_CHARACTERS_MAX
        && !text.chars().any(char::is_control);
    is_fine.then(|| text.to_owned())
}

/// A text that can be a tenant's id.
fn tenant(value: &Value) -> Option<TenantId> {
    value.as_str()?.parse().ok()
}

/// Unix seconds.
fn time(value: &Value) -> Option<DateTime<Utc>> {
    /// The last second of the year 9999, after which RFC 3339 has no spelling.
    const LAST: i64 = 253_402_300_799;
    let seconds = value
        .as_i64()
        .filter(|seconds| (0..=LAST).contains(seconds))?;
    Utc.timestamp_opt(seconds, 0).single()
}

#[cfg(test)]
mod tests;
