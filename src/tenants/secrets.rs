//! The secrets of a webhook: shown to their owner, and rotated.

use chrono::{DateTime, Utc};
use hookledger_domain::{
    actor::Origin,
    ids::WebhookId,
    signature::Secret,
    tenant::TenantId,
    webhook::{self, SealedSecret, Webhook},
};

use super::{Error, Tenants};
use crate::{
    store::{CommandError, Stream},
    vault::Place,
};

/// How often a rotation is tried again because the webhook was changed otherwise meanwhile.
const CONFLICTS_MAX: usize = 10;

/// The secrets of a webhook in the open.
#[derive(Debug)]
pub struct RevealedSecrets {
    /// What it signs with.
    pub secret: Secret,
    /// The older ones that are still valid, the newest first, each with its end.
    pub previous: Vec<(Secret, DateTime<Utc>)>,
}

/// What a webhook is to sign with from now on.
#[derive(Debug)]
pub struct Rotation {
    /// How long the secret until now stays valid, in seconds.
    pub grace_seconds: u64,
    /// The new secret; `None`: one is made. The present one changes nothing, and an older one that
    /// is still valid is taken back.
    pub own: Option<Secret>,
}

impl Tenants {
    /// Signs with a new secret from now on.
    pub async fn rotate_secret(
        &self,
        tenant: &TenantId,
        id: WebhookId,
        rotation: Rotation,
        origin: Origin,
    ) -> Result<RevealedSecrets, Error> {
        self.check_owner(tenant, id).await?;
        let (this, owner) = (self.clone(), tenant.clone());
        let work = async move { this.rotate_now(&owner, id, rotation, &origin).await };
        self.finish(work).await?;
        self.reveal_secrets(tenant, id).await
    }

    /// The secrets of a webhook in the open.
    pub async fn reveal_secrets(
        &self,
        tenant: &TenantId,
        id: WebhookId,
    ) -> Result<RevealedSecrets, Error> {
        let row = self.webhook_row(tenant, id).await?;
        let now = self.shared.clock.now();
        let open = |secret: &SealedSecret| self.shared.vault.open(tenant, id, secret);
        let previous = row
            .secrets
            .previous
            .iter()
            .filter(|previous| previous.expires_at > now)
            .map(|previous| Ok((open(&previous.secret)?, previous.expires_at)))
            .collect::<Result<_, Error>>()?;
        Ok(RevealedSecrets {
            secret: open(&row.secrets.current)?,
            previous,
        })
    }

    /// The sealed secret is bound to its number, so it is made for one version of the webhook, and
    /// anew when that has changed. If another rotation was first, nobody can say which of the two
    /// is meant to last.
    async fn rotate_now(
        &self,
        tenant: &TenantId,
        id: WebhookId,
        rotation: Rotation,
        origin: &Origin,
    ) -> Result<(), Error> {
        let shared = &self.shared;
        let mut before = None;
        let is_own = rotation.own.is_some();
        let make = || Secret::from_bytes(&crate::entropy::secret_bytes());
        let secret = rotation.own.unwrap_or_else(make);
        for _ in 0..CONFLICTS_MAX {
            let sealing = shared.vault.begin().await;
            let stream: Stream<Webhook> = shared.ledger.load(&id.to_string()).await?;
            let present = stream.state.secret().version;
            if *before.get_or_insert(present) != present {
                let detail = "the secret was rotated at the same time; look at it, then try again";
                return Err(Error::conflict("conflict", detail));
            }
            let now = shared.clock.now();
            let place = Place {
                tenant,
                webhook: id,
                version: present + 1,
            };
            let same_as = is_own.then(|| self.find(&secret, tenant, id, &stream.state, now));
            let command = webhook::Command::RotateSecret {
                sealed: sealing.seal(&secret, place)?,
                grace_seconds: rotation.grace_seconds,
                same_as: same_as.flatten(),
                now,
            };
            let expected = Some(stream.sequence);
            let done = shared
                .ledger
                .execute::<Webhook>(&id.to_string(), command, &shared.rules(), expected, origin)
                .await;
            drop(sealing);
            match done {
                Err(CommandError::WrongVersion) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    self.directory.reload(tenant).await;
                    return Ok(());
                }
            }
        }
        Err(Error::Busy {
            retry_after_seconds: 1,
        })
    }

    /// The number of the valid secret that is the same as this one. A secret that cannot be opened
    /// is none: rotating is how to get rid of it.
    fn find(
        &self,
        secret: &Secret,
        tenant: &TenantId,
        id: WebhookId,
        webhook: &Webhook,
        now: DateTime<Utc>,
    ) -> Option<u64> {
        let previous = webhook
            .previous_secrets(now)
            .map(|previous| &previous.secret);
        std::iter::once(webhook.secret())
            .chain(previous)
            .find(|sealed| {
                let opened = self.shared.vault.open(tenant, id, sealed);
                opened.is_ok_and(|opened| opened == *secret)
            })
            .map(|sealed| sealed.version)
    }
}
