//! What events about billing change.

use hookledger_domain::{
    billing::Event, callback::UnassignedEvent, stripe::StripeId, tenant::TenantId,
};

use super::{Change, Recorded};
use crate::rows::{InvoiceRow, SubscriptionRow, UnassignedRow};

/// What an event of a tenant's billing changes.
pub(super) fn change(tenant_id: TenantId, event: &Event) -> Option<Change> {
    match event {
        Event::SubscriptionUpdated { subscription, .. } => {
            Some(Change::PutSubscription(Box::new(SubscriptionRow {
                tenant_id,
                subscription: subscription.clone(),
            })))
        }
        Event::InvoiceUpdated { invoice, .. } => Some(Change::PutInvoice(Box::new(InvoiceRow {
            tenant_id,
            invoice: invoice.clone(),
        }))),
        // The tenant's own event stands beside it.
        Event::AccessWithdrawn | Event::AccessRestored => None,
    }
}

/// What an event of a callback without tenant changes.
pub(super) fn unassigned(id: StripeId, recorded: &Recorded<'_>, event: &UnassignedEvent) -> Change {
    match event {
        UnassignedEvent::Received { notice, reason } => {
            Change::InsertUnassigned(Box::new(UnassignedRow {
                id,
                received_at: recorded.recorded_at,
                reason: *reason,
                kind: notice.kind.clone(),
                created_at: notice.created_at,
                livemode: notice.livemode,
                customer_id: notice.customer_id.clone(),
                metadata_tenant: notice.metadata_tenant.clone(),
                client_reference: notice.client_reference.clone(),
            }))
        }
        UnassignedEvent::Assigned { .. } | UnassignedEvent::Dismissed => {
            Change::DeleteUnassigned { id }
        }
    }
}
