//! What a webhook's events change.

use hookledger_domain::{
    ids::WebhookId,
    tenant::TenantId,
    webhook::{self, Config, SealedSecret},
};

use super::{Change, Recorded};
use crate::rows::{Secrets, WebhookRow};

pub(super) fn changes(
    id: WebhookId,
    recorded: &Recorded<'_>,
    event: &webhook::Event,
    changes: &mut Vec<Change>,
) {
    use webhook::Event as E;
    let (version, updated_at) = (recorded.sequence, recorded.recorded_at);
    let active = |is_active, disabled_reason| Change::SetWebhookActive {
        id,
        is_active,
        disabled_reason,
        version,
        updated_at,
    };
    // What failed before says nothing about what holds from now on.
    if let E::Changed { .. } | E::Activated | E::Deactivated | E::Disabled { .. } = event {
        changes.push(Change::NoteOutcome {
            webhook_id: id,
            failed_at: None,
        });
    }
    let change = match event {
        E::Registered {
            tenant_id,
            config,
            is_active,
            secret,
        } => {
            let row = registered(id, recorded, (tenant_id, config, *is_active, secret));
            Change::InsertWebhook(Box::new(row))
        }
        E::Changed { config } => Change::ConfigureWebhook {
            id,
            config: Box::new(config.clone()),
            version,
            updated_at,
        },
        E::Activated => active(true, None),
        E::Deactivated => active(false, None),
        E::Disabled { reason } => active(false, Some(*reason)),
        E::SecretRotated { secret, previous } | E::SecretsResealed { secret, previous } => {
            Change::SetWebhookSecrets {
                id,
                secrets: Secrets {
                    current: secret.clone(),
                    previous: previous.clone(),
                },
                version,
                updated_at,
            }
        }
        E::Deleted => Change::DeleteWebhook {
            id,
            version,
            updated_at,
        },
    };
    changes.push(change);
}

fn registered(
    id: WebhookId,
    recorded: &Recorded<'_>,
    (tenant_id, config, is_active, secret): (&TenantId, &Config, bool, &SealedSecret),
) -> WebhookRow {
    WebhookRow {
        id,
        tenant_id: tenant_id.clone(),
        config: config.clone(),
        is_active,
        disabled_reason: None,
        failing_since: None,
        secrets: Secrets {
            current: secret.clone(),
            previous: Vec::new(),
        },
        created_at: recorded.recorded_at,
        updated_at: recorded.recorded_at,
        version: recorded.sequence,
        is_deleted: false,
    }
}
