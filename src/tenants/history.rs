//! What was once, by replaying events.

use hookledger_domain::{ids::WebhookId, tenant::TenantId, webhook::Webhook};

use super::Tenants;
use crate::store::{Error, Replayed, Until};

impl Tenants {
    /// A webhook as it was once, also one that is deleted by now; `None` if it did not exist then.
    ///
    /// Fails with [`Error::Unavailable`] when the database cannot be asked.
    pub async fn webhook_then(
        &self,
        tenant: &TenantId,
        id: WebhookId,
        until: Until,
    ) -> Result<Option<Replayed<Webhook>>, Error> {
        let ledger = &self.shared.ledger;
        let replayed = ledger
            .replay::<Webhook>(tenant, &id.to_string(), until)
            .await?;
        Ok(replayed.filter(|replayed| replayed.state.exists()))
    }
}
