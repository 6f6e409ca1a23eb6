//! What was once, by replaying events.

use hookledger_domain::{
    actor::Origin,
    ids::WebhookId,
    tenant::TenantId,
    webhook::{
        Webhook,
        history::{Told, tell},
    },
};
use hookledger_projections::query::{Page, Rows};

use super::Tenants;
use crate::store::{Error, Replayed, StoredEvent, Until};

/// An event of a webhook, and what it did.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    /// The event, as it is stored.
    pub event: StoredEvent,
    /// Who acted, and because of what.
    pub origin: Origin,
    /// What it did.
    pub told: Told,
}

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

    /// What happened to a webhook, oldest first, also to one that is deleted by now: its events after
    /// the sequence that `page` names. There is nothing if the tenant has no such webhook.
    ///
    /// Fails with [`Error::Unavailable`] when the database cannot be asked.
    pub async fn webhook_history(
        &self,
        tenant: &TenantId,
        id: WebhookId,
        page: Page<u64>,
    ) -> Result<Rows<Episode, u64>, Error> {
        let (ledger, id) = (&self.shared.ledger, id.to_string());
        let after = page.after.unwrap_or_default();
        let mut episodes = Vec::new();
        let mut webhook = Webhook::default();
        if after > 0 {
            let until = Until::Version(after);
            match ledger.replay::<Webhook>(tenant, &id, until).await? {
                Some(replayed) => webhook = replayed.state,
                // There are not that many.
                None => return Ok(Rows::cut(episodes, page.limit, sequence)),
            }
        }
        let one_more = page.limit.saturating_add(1);
        for event in ledger
            .stream::<Webhook>(tenant, &id, after, one_more)
            .await?
        {
            let origin = event.origin()?;
            let told = tell(&mut webhook, event.event::<Webhook>()?, &origin.actor);
            episodes.push(Episode {
                event,
                origin,
                told,
            });
        }
        Ok(Rows::cut(episodes, page.limit, sequence))
    }
}

fn sequence(episode: &Episode) -> u64 {
    episode.event.sequence
}
