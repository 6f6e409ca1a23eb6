//! What a tenant's actor reads from the store.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use hookledger_domain::{delivery::Delivery, ids::WebhookId, tenant::TenantId, webhook::Webhook};

use super::messages::HasRecoveries;
use crate::{
    store::{self, Waiting},
    tenants::{
        Error, Shared,
        lane::{Entry, Load},
        live::LiveWebhook,
    },
};

/// The versions of the webhooks that an actor knows.
pub(super) type Versions = HashMap<WebhookId, u64>;

/// How a tenant has become since an actor last looked.
pub(super) struct Changes {
    /// Counts such changes. It is that of a moment before the rest was read.
    pub(super) generation: u64,
    pub(super) is_suspended: bool,
    /// The webhooks that are new or changed.
    pub(super) changed: Vec<(WebhookId, LiveWebhook)>,
    /// Those that are gone.
    pub(super) gone: Vec<WebhookId>,
    /// Since when those that are failing have been.
    pub(super) failing: HashMap<WebhookId, DateTime<Utc>>,
}

/// Reads how a tenant is now, as far as that is not `known`.
pub(super) async fn read_changes(
    shared: &Shared,
    tenant: &TenantId,
    known: &Versions,
) -> Result<Changes, Error> {
    let _permit = shared
        .starts
        .acquire()
        .await
        .map_err(|_| Error::Unavailable)?;
    // First the generation: what changes while the rest is read is then refused as stale, and read.
    let row = shared.views.tenant(tenant).await?;
    let rows = shared.views.webhooks(tenant).await?;
    let present: Versions = rows.iter().map(|row| (row.id, row.version)).collect();
    let failing = rows
        .iter()
        .filter_map(|row| Some((row.id, row.failing_since?)))
        .collect();
    let mut ids: Vec<String> = present
        .iter()
        .filter(|(id, version)| known.get(id) != Some(version))
        .map(|(id, _)| id.to_string())
        .collect();
    ids.sort_unstable();
    let now = shared.clock.now();
    let mut changed = Vec::with_capacity(ids.len());
    let mut gone: Vec<WebhookId> = known
        .keys()
        .filter(|id| !present.contains_key(id))
        .copied()
        .collect();
    for (id, stream) in shared.ledger.load_many::<Webhook>(&ids).await? {
        let id: WebhookId = id.parse().map_err(|_| Error::Internal)?;
        if stream.state.exists() {
            changed.push((
                id,
                LiveWebhook::open(&shared.vault, tenant, id, stream, now)?,
            ));
        } else {
            gone.push(id);
        }
    }
    Ok(Changes {
        generation: row.as_ref().map_or(0, |row| row.generation),
        is_suspended: row.is_some_and(|row| row.is_suspended),
        changed,
        gone,
        failing,
    })
}

/// Reads which webhooks of a tenant have something waiting, and whether it has a recovery that is
/// not over.
pub(super) async fn read_agenda(
    shared: &Shared,
    tenant: &TenantId,
) -> Result<(Vec<Waiting>, HasRecoveries), store::Error> {
    let waiting = shared.views.waiting_of(tenant).await?;
    let recoveries = shared.views.running_recoveries(Some(tenant)).await?;
    Ok((waiting, !recoveries.is_empty()))
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
        .load_agenda::<Delivery>(tenant, webhook, &load)
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
