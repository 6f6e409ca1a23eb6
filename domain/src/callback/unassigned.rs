use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::{stripe::Notice, tenant::TenantId};

/// Why it is not known whose a callback is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It names no tenant, and nobody has its customer.
    NoTenantNamed,
    /// It names a tenant that there is not.
    UnknownTenant,
    /// The tenant that it names has another customer.
    OtherCustomer,
    /// Several tenants have its customer.
    SeveralTenants,
}

impl Reason {
    /// The word on the wire and in views.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoTenantNamed => "no_tenant_named",
            Self::UnknownTenant => "unknown_tenant",
            Self::OtherCustomer => "other_customer",
            Self::SeveralTenants => "several_tenants",
        }
    }
}

/// A callback that could not be given to a tenant when it arrived, as its events tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unassigned {
    notice: Option<Box<Notice>>,
    is_over: bool,
}

impl Unassigned {
    /// What it says, while it waits; `None` if there is no such callback, or it waits no more.
    #[must_use]
    pub fn waiting(&self) -> Option<&Notice> {
        self.notice.as_deref().filter(|_| !self.is_over)
    }

    /// Whether there is such a callback.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.notice.is_some()
    }
}

/// What may be asked of a callback without tenant.
#[derive(Debug, Clone)]
pub enum UnassignedCommand {
    /// To wait.
    Receive {
        /// What it says.
        notice: Box<Notice>,
        /// Why it has no tenant.
        reason: Reason,
    },
    /// To wait no more: it was given to this tenant.
    Assign {
        /// Which.
        tenant_id: TenantId,
    },
    /// To wait no more: by now it is not handled.
    Dismiss,
}

/// What happened to a callback without tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnassignedEvent {
    /// It arrived.
    Received {
        /// What it says.
        notice: Box<Notice>,
        /// Why it has no tenant.
        reason: Reason,
    },
    /// It was given to a tenant, in whose ledger its effect stands.
    Assigned {
        /// Which.
        tenant_id: TenantId,
    },
    /// It is not handled any more: the mode is another one.
    Dismissed,
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnassignedError {
    /// It is known already.
    #[error("this callback was received before")]
    AlreadyReceived,
    /// There is no such callback that waits.
    #[error("no such callback waits for a tenant")]
    NotWaiting,
}

impl cqrs_es::DomainEvent for UnassignedEvent {
    fn event_type(&self) -> String {
        match self {
            Self::Received { .. } => "received",
            Self::Assigned { .. } => "assigned",
            Self::Dismissed => "dismissed",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

impl cqrs_es::Aggregate for Unassigned {
    const TYPE: &'static str = "unassigned_callback";
    type Command = UnassignedCommand;
    type Event = UnassignedEvent;
    type Error = UnassignedError;
    type Services = ();

    async fn handle(
        &mut self,
        command: UnassignedCommand,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), UnassignedError> {
        let event = match command {
            UnassignedCommand::Receive { .. } if self.is_known() => {
                return Err(UnassignedError::AlreadyReceived);
            }
            UnassignedCommand::Receive { notice, reason } => {
                UnassignedEvent::Received { notice, reason }
            }
            UnassignedCommand::Assign { .. } | UnassignedCommand::Dismiss
                if self.waiting().is_none() =>
            {
                return Err(UnassignedError::NotWaiting);
            }
            UnassignedCommand::Assign { tenant_id } => UnassignedEvent::Assigned { tenant_id },
            UnassignedCommand::Dismiss => UnassignedEvent::Dismissed,
        };
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, event: UnassignedEvent) {
        match event {
            UnassignedEvent::Received { notice, .. } => self.notice = Some(notice),
            UnassignedEvent::Assigned { .. } | UnassignedEvent::Dismissed => self.is_over = true,
        }
    }
}
