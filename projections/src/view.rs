//! The views by name.

use std::{fmt, str::FromStr};

use crate::Change;

/// A view: rows that are derived from events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the rows")]
pub enum View {
    Tenants,
    Tokens,
    Topics,
    Webhooks,
    Messages,
    Deliveries,
    Attempts,
    Recoveries,
    Subscriptions,
    Invoices,
    UnassignedCallbacks,
}

/// A name that no view has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no view {0:?}; there are: {list}", list = View::ALL.map(View::as_str).join(", "))]
pub struct UnknownView(String);

impl View {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Tenants,
        Self::Tokens,
        Self::Topics,
        Self::Webhooks,
        Self::Messages,
        Self::Deliveries,
        Self::Attempts,
        Self::Recoveries,
        Self::Subscriptions,
        Self::Invoices,
        Self::UnassignedCallbacks,
    ];

    /// Its name, which is that of its table, too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenants => "tenants",
            Self::Tokens => "tokens",
            Self::Topics => "topics",
            Self::Webhooks => "webhooks",
            Self::Messages => "messages",
            Self::Deliveries => "deliveries",
            Self::Attempts => "attempts",
            Self::Recoveries => "recoveries",
            Self::Subscriptions => "subscriptions",
            Self::Invoices => "invoices",
            Self::UnassignedCallbacks => "unassigned_callbacks",
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for View {
    type Err = UnknownView;

    fn from_str(text: &str) -> Result<Self, UnknownView> {
        let found = Self::ALL.into_iter().find(|view| view.as_str() == text);
        found.ok_or_else(|| UnknownView(text.to_owned()))
    }
}

impl Change {
    /// The view whose row it changes; `None` if it erases what lies beside an event.
    pub fn view(&self) -> Option<View> {
        Some(match self {
            Self::InsertTenant(_)
            | Self::RenameTenant { .. }
            | Self::SetStripeCustomer { .. }
            | Self::SetSuspended { .. }
            | Self::CountGeneration { .. } => View::Tenants,
            Self::InsertToken(_) | Self::DeleteToken { .. } => View::Tokens,
            Self::PutTopic(_) | Self::DeleteTopic { .. } => View::Topics,
            Self::InsertWebhook(_)
            | Self::ConfigureWebhook { .. }
            | Self::SetWebhookActive { .. }
            | Self::SetWebhookSecrets { .. }
            | Self::DeleteWebhook { .. }
            | Self::NoteOutcome { .. } => View::Webhooks,
            Self::InsertMessage(_) => View::Messages,
            Self::InsertDelivery(_) | Self::UpdateDelivery(_) => View::Deliveries,
            Self::InsertAttempt(_) => View::Attempts,
            Self::InsertRecovery(_) | Self::AdvanceRecovery { .. } | Self::EndRecovery { .. } => {
                View::Recoveries
            }
            Self::PutSubscription(_) => View::Subscriptions,
            Self::PutInvoice(_) => View::Invoices,
            Self::InsertUnassigned(_) | Self::DeleteUnassigned { .. } => View::UnassignedCallbacks,
            Self::EraseMessageBody { .. } | Self::EraseResponseBody { .. } => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_read_by_their_names() {
        for view in View::ALL {
            assert_eq!(view.to_string().parse(), Ok(view));
        }
        let unknown = "weather".parse::<View>().unwrap_err().to_string();
        assert!(
            unknown.contains("\"weather\"") && unknown.contains("tenants, tokens"),
            "{unknown}"
        );
    }
}
