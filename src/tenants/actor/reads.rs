//! What a tenant's actor reads from the store.

use hookledger_domain::{delivery::Delivery, ids::WebhookId, tenant::TenantId, webhook::Webhook};

use crate::{
    store,
    tenants::{
        Error, Shared,
        lane::{Entry, Load},
        live::LiveWebhook,
    },
};

/// What an actor reads when it starts.
pub(super) struct Beginning {
    pub(super) is_suspended: bool,
    pub(super) webhooks: Vec<(WebhookId, LiveWebhook)>,
    pub(super) waiting: Vec<store::Waiting>,
}

/// Reads all that a tenant's actor must know before it does anything.
pub(super) async fn read_beginning(shared: &Shared, tenant: &TenantId) -> Result<Beginning, Error> {
    let _permit = shared
        .starts
        .acquire()
        .await
        .map_err(|_| Error::Unavailable)?;
    let row = shared.views.tenant(tenant).await?;
    let ids: Vec<String> = shared
        .views
        .webhooks(tenant)
        .await?
        .iter()
        .map(|row| row.id.to_string())
        .collect();
    let now = shared.clock.now();
    let mut webhooks = Vec::with_capacity(ids.len());
    for (id, stream) in shared.ledger.load_many::<Webhook>(&ids).await? {
        let id: WebhookId = id.parse().map_err(|_| Error::Internal)?;
        if stream.state.exists() {
            webhooks.push((
                id,
                LiveWebhook::open(&shared.vault, tenant, id, stream, now)?,
            ));
        }
    }
    Ok(Beginning {
        is_suspended: row.is_some_and(|row| row.is_suspended),
        webhooks,
        waiting: shared.views.waiting_of(tenant).await?,
    })
}

/// Reads the part of the view that a lane asked for.
pub(super) async fn read_due(
    shared: &Shared,
    tenant: &TenantId,
    webhook: WebhookId,
    load: Load,
) -> Result<Vec<Entry>, store::Error> {
    let _permit = shared
        .loads
        .acquire()
        .await
        .map_err(|_| store::Error::Busy)?;
    let streams = shared
        .ledger
        .load_due::<Delivery>(tenant, webhook, load.only_tests, load.limit)
        .await?;
    Ok(streams
        .into_iter()
        .filter_map(|(id, stream)| {
            Some(Entry {
                id: id.parse().ok()?,
                stream,
                body: None,
            })
        })
        .collect())
}
