//! Erasing single bodies, by hand.

use hookledger_domain::{
    actor::Origin,
    delivery::{self, Delivery},
    ids::{AttemptId, MessageId},
    message::{self, Message},
    tenant::TenantId,
};

use super::{Error, Tenants};
use crate::store::{self, CommandError, Stream};

impl Tenants {
    /// Erases the body of a message, for good and at once. What was erased before stays as it is.
    ///
    /// # Errors
    /// A conflict, `deliveries_pending`, if it is still to be sent to somebody; or there is no such
    /// message in this tenant.
    pub async fn erase_message_body(
        &self,
        tenant: &TenantId,
        id: MessageId,
        origin: Origin,
    ) -> Result<(), Error> {
        let (ledger, id) = (&self.shared.ledger, id.to_string());
        let before: Stream<Message> = ledger.load(&id).await?;
        if before.state.tenant_id() != Some(tenant) {
            return Err(Error::NotFound);
        }
        let command = message::Command::EraseBody;
        let erased = ledger.execute::<Message>(&id, command, &(), None, &origin);
        match erased.await {
            Ok(after) => {
                self.count_erased(before.sequence, after.sequence);
                Ok(())
            }
            Err(CommandError::Store(store::Error::Stale)) => Err(Error::conflict(
                "deliveries_pending",
                "the message is still to be sent: cancel its pending deliveries, or wait until they \
                 have ended",
            )),
            Err(CommandError::Store(error)) => Err(error.into()),
            Err(CommandError::Refused(_) | CommandError::WrongVersion) => Err(Error::NotFound),
        }
    }

    /// Erases the body of what came back from an attempt, for good and at once. What was erased
    /// before, or was empty, stays as it is.
    ///
    /// # Errors
    /// There is no such attempt in this tenant.
    pub async fn erase_response_body(
        &self,
        tenant: &TenantId,
        id: AttemptId,
        origin: Origin,
    ) -> Result<(), Error> {
        let found = self.shared.views.attempt(tenant, id).await?;
        let row = found.ok_or(Error::NotFound)?.row;
        if row.response.is_none_or(|response| response.body_bytes == 0) {
            return Ok(());
        }
        let (ledger, delivery) = (&self.shared.ledger, row.delivery_id.to_string());
        let before: Stream<Delivery> = ledger.load(&delivery).await?;
        let command = delivery::Command::EraseResponseBody { attempt_id: id };
        let erased = ledger.execute::<Delivery>(&delivery, command, &(), None, &origin);
        match erased.await {
            Ok(after) => {
                self.count_erased(before.sequence, after.sequence);
                Ok(())
            }
            Err(CommandError::Store(error)) => Err(error.into()),
            Err(CommandError::Refused(_) | CommandError::WrongVersion) => Err(Error::NotFound),
        }
    }

    fn count_erased(&self, before: u64, after: u64) {
        if after > before {
            self.shared.metrics.bodies_erased_by_hand.inc();
        }
    }
}
