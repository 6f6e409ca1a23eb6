//! What a tenant's actor is told.

use actix::Message;
use hookledger_domain::{
    actor::Origin,
    ids::{DeliveryId, WebhookId},
    webhook::Webhook,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    store::{self, Stream},
    tenants::{
        Error,
        accept::Prepared,
        lane::{Entry, Load},
        publish::Published,
        slots::Slot,
    },
};

/// Accept messages.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::tenants) struct Accept {
    /// The messages.
    pub batch: Vec<Prepared>,
    /// Who publishes them.
    pub origin: Origin,
    /// Gets what became of each; with a test its delivery.
    pub reply: oneshot::Sender<Result<Accepted, Error>>,
    /// Keeps the number of waiting requests within its bound.
    pub permit: OwnedSemaphorePermit,
}

/// What became of each message of a batch, with its first delivery.
pub(in crate::tenants) type Accepted = Vec<Result<(Published, Option<DeliveryId>), store::Error>>;

/// A webhook is like this now.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::tenants) struct Refresh {
    /// Which webhook.
    pub id: WebhookId,
    /// How it is.
    pub stream: Stream<Webhook>,
    /// Told when it is known.
    pub reply: oneshot::Sender<()>,
}

/// The tenant is suspended or is not any more.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::tenants) struct Suspend {
    /// Which of the two.
    pub is_suspended: bool,
    /// Told when it is known.
    pub reply: oneshot::Sender<()>,
}

/// Deliveries were accepted and may be sent.
#[derive(Default, Message)]
#[rtype(result = "()")]
pub(super) struct Offer {
    pub(super) fresh: Vec<(WebhookId, Entry)>,
    /// All of the batch, accepted or not.
    pub(super) settled: Vec<DeliveryId>,
    /// Webhooks of messages of which it is not known whether they were accepted: the view knows.
    pub(super) unsure: Vec<WebhookId>,
}

/// An attempt is over and recorded.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Done {
    pub(super) webhook: WebhookId,
    pub(super) delivery: DeliveryId,
    pub(super) again: Option<Entry>,
}

/// An attempt panicked.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Broken;

/// A part of the view was read.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Loaded {
    pub(super) webhook: WebhookId,
    pub(super) load: Load,
    pub(super) entries: Result<Vec<Entry>, store::Error>,
}

/// It is the tenant's turn to have one more attempt.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Granted(pub(super) Slot);
