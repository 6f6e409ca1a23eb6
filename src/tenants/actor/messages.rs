//! What a tenant's actor is told.

use std::{collections::HashMap, sync::Arc};

use actix::Message;
use chrono::{DateTime, Utc};
use hookledger_domain::{
    actor::Origin,
    delivery::Delivery,
    ids::{DeliveryId, WebhookId},
    message::FanOut,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::reads::Changes;
use crate::{
    store::{self, Stream},
    tenants::{
        Error,
        accept::{Failed, Prepared},
        attempt::Ended,
        filtering::Filtering,
        lane::Entry,
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
pub(in crate::tenants) type Accepted = Vec<Result<(Published, Option<DeliveryId>), Failed>>;

/// Read what has changed in the tenant's webhooks and its suspension.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::tenants) struct Reload {
    /// Told when it is known.
    pub reply: Option<oneshot::Sender<Result<(), Error>>>,
}

/// The same, asked for by a task of the actor's own.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Reread {
    /// Told when it is known.
    pub(super) reply: oneshot::Sender<Result<(), Error>>,
}

/// It was read.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Reloaded {
    /// How many had begun when it began, itself among them.
    pub(super) number: u64,
    pub(super) changes: Result<Changes, Error>,
    pub(super) reply: Option<oneshot::Sender<Result<(), Error>>>,
}

/// Decide anew who gets messages, which the store refused because the tenant has changed.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct FanOutAgain {
    pub(super) items: Vec<Prepared>,
    pub(super) reply: oneshot::Sender<Result<FannedOut, Error>>,
}

/// Messages with their receivers, as the tenant was at a generation.
pub(super) struct FannedOut {
    pub(super) items: Vec<(Prepared, FanOut)>,
    pub(super) generation: u64,
    /// Some of them go to webhooks that want order.
    pub(super) is_ordered: bool,
    /// The receivers whose filters are still to be asked.
    pub(super) filtering: Arc<Filtering>,
}

/// What this node holds may have changed, or its lease is good again.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::tenants) struct Own;

/// Start no further attempt: the tenant's partition is not this node's any more.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::tenants) struct Release {
    /// Told when nothing is under way.
    pub reply: Option<oneshot::Sender<()>>,
}

/// Read again what waits: something may do of which this node was not told.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::tenants) struct LookAgain;

/// What waits was read.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Waiting {
    pub(super) epoch: u64,
    pub(super) found: Result<(Vec<store::Waiting>, HasRecoveries), store::Error>,
}

/// Whether a recovery of the tenant is not over.
pub(super) type HasRecoveries = bool;

/// Deliveries that another node has scheduled are being read; they come with [`Found`].
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::tenants) struct Expect;

/// Deliveries that another node has scheduled; nothing if they could not be read.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::tenants) struct Found(pub Option<HashMap<WebhookId, Vec<Entry>>>);

/// Say since when the delivery that waits longest has been due.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::tenants) struct Report(pub oneshot::Sender<Option<DateTime<Utc>>>);

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

/// What is to become of these deliveries was said by hand, and stands in the ledger.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::tenants) struct Changed(pub Vec<DeliveryId>);

/// Such deliveries as they are now; nothing if they could not be read.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Refreshed {
    pub(super) epoch: Option<u64>,
    /// Which reading this is; nothing if it tells what was just recorded here.
    pub(super) number: Option<u64>,
    pub(super) found: Option<Vec<(DeliveryId, Stream<Delivery>)>>,
}

/// A recovery was started or cancelled.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::tenants) struct Recover;

/// No recovery is left to work on.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct RecoveriesDone;

/// Whether a webhook is disabled is settled.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct DisablingDone(pub(super) WebhookId);

/// An attempt is over and recorded.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Done {
    pub(super) webhook: WebhookId,
    pub(super) delivery: DeliveryId,
    pub(super) ended: Ended,
}

/// An attempt panicked.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Broken;

/// A part of the view was read.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Loaded {
    /// For the lanes that were begun so many times.
    pub(super) lanes_begun: u64,
    pub(super) webhook: WebhookId,
    pub(super) entries: Result<Vec<Entry>, store::Error>,
}

/// It is the tenant's turn to have one more attempt.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Granted(pub(super) Slot);
