//! `hookledger keys rotate`: every secret is sealed anew with the newest master key, while the
//! server runs.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, future::join_all, stream};
use hookledger_domain::{
    actor::Origin,
    webhook::{self, SealedSecret, Webhook},
};

use super::{Walk, adopt, live};
use crate::{
    store::{CommandError, Stream, WebhookSecrets},
    tenants::{Error, Tenants},
    vault::{self, KeyFile, KeyFileError, MasterKey, Place, Sealing, key_id_of},
};

/// Webhooks that are sealed anew at one time: enough to share transactions, too few to hold others
/// up.
const AT_ONCE: usize = 16;
/// How often a webhook is tried again that somebody else changes at the same time.
const CONFLICTS_MAX: usize = 10;
/// How often all webhooks are gone through: the last time finds nothing to do, unless another node
/// goes on sealing with an older key.
const PASSES_MAX: usize = 4;

/// What came of rotating the master keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysRotated {
    /// How many secrets were sealed anew.
    pub resealed: u64,
    /// How many secrets no key opens; they were left as they are.
    pub unreadable: u64,
    /// Whether the server keeps its keys itself; those that are not needed are gone, then.
    pub is_in_file: bool,
    /// The ids of the keys that are needed. The first one seals; others are still needed to open.
    pub in_use: Vec<String>,
    /// The ids of the keys that are not needed any more.
    pub not_needed: Vec<String>,
}

/// What one walk over all webhooks did and found.
#[derive(Default)]
struct Pass {
    resealed: u64,
    unreadable: u64,
    /// The ids of other keys than the newest that secrets were sealed with.
    others: BTreeSet<String>,
}

impl Pass {
    fn add(&mut self, other: Self) {
        self.resealed += other.resealed;
        self.unreadable += other.unreadable;
        self.others.extend(other.others);
    }
}

impl Tenants {
    /// Seals every secret of every webhook with the newest master key. Where the server keeps its
    /// keys itself, it makes a new one first, unless an earlier rotation has not ended, and throws
    /// the others away in the end.
    ///
    /// Goes on when whoever asked goes away. What was cut off is gone on with by the next one.
    pub async fn rotate_keys(&self, origin: Origin) -> Result<KeysRotated, Error> {
        let this = self.clone();
        self.finish(async move { this.rotate_keys_now(&origin).await })
            .await
    }

    async fn rotate_keys_now(&self, origin: &Origin) -> Result<KeysRotated, Error> {
        let shared = &self.shared;
        let Ok(_turn) = shared.rotating_keys.try_lock() else {
            let detail = "the master keys are just being rotated";
            return Err(Error::conflict("rotation_in_progress", detail));
        };
        let file = self.own_key_file()?;
        if let Some(file) = file {
            let keys = self.with_file(file, |file| file.begin()).await?;
            shared.vault.take_over(&keys).await;
        }
        let mut keys = shared.vault.key_ids().into_iter();
        let newest = keys.next().ok_or(vault::Error::NoKey)?;
        // First of all: a node that does not have it may not start from now on.
        adopt(&shared.ledger, newest.clone(), false, origin).await?;
        let (resealed, last) = self.reseal_until_done(&newest, origin).await?;
        let (needed, not_needed): (Vec<_>, _) = keys.partition(|id| last.others.contains(id));
        if let Some(file) = file.filter(|_| needed.is_empty()) {
            let keys = self.with_file(file, |file| file.end()).await?;
            shared.vault.take_over(&keys).await;
        }
        Ok(KeysRotated {
            resealed,
            unreadable: last.unreadable,
            is_in_file: file.is_some(),
            in_use: [vec![newest], needed].concat(),
            not_needed,
        })
    }

    /// The file in which the server keeps its keys. What one node keeps the others cannot know.
    fn own_key_file(&self) -> Result<Option<&Arc<dyn KeyFile>>, Error> {
        match (&self.shared.key_file, &self.shared.cluster) {
            (Some(_), Some(_)) => Err(Error::conflict(
                "keys_in_file",
                "with PostgreSQL other nodes must have a new key before it is used, so keys in a \
                 node's own file cannot be rotated: give them by HOOKLEDGER_MASTER_KEY first",
            )),
            (file, _) => Ok(file.as_ref()),
        }
    }

    /// Does something with the file on a thread that may wait for the disk.
    async fn with_file(
        &self,
        file: &Arc<dyn KeyFile>,
        work: impl FnOnce(&dyn KeyFile) -> Result<Vec<MasterKey>, KeyFileError> + Send + 'static,
    ) -> Result<Vec<MasterKey>, Error> {
        let file = file.clone();
        let done = self.shared.runtime.spawn_blocking(move || work(&*file));
        match done.await {
            Ok(done) => Ok(done?),
            Err(error) => {
                tracing::error!(%error, "changing the master key's file panicked");
                Err(Error::Internal)
            }
        }
    }

    /// Goes through all webhooks until nothing is left to do. Gives how many secrets were sealed
    /// anew, and what the last walk found.
    async fn reseal_until_done(&self, newest: &str, origin: &Origin) -> Result<(u64, Pass), Error> {
        let (mut resealed, mut last) = (0, Pass::default());
        for _ in 0..PASSES_MAX {
            last = self.reseal_all(newest, origin).await?;
            resealed += last.resealed;
            if last.resealed == 0 {
                break;
            }
        }
        Ok((resealed, last))
    }

    async fn reseal_all(&self, newest: &str, origin: &Origin) -> Result<Pass, Error> {
        let (mut all, mut walk) = (Pass::default(), Walk::new(&self.shared.views));
        loop {
            let page = walk.next().await?;
            if page.is_empty() {
                return Ok(all);
            }
            let now = self.shared.clock.now();
            let is_old = |secret: &SealedSecret| key_id_of(&secret.sealed) != newest;
            let old = page
                .into_iter()
                .filter(|found| live(found, now).any(is_old));
            let resealed: Vec<(WebhookSecrets, Pass)> = stream::iter(old)
                .map(async |found| {
                    let pass = self.reseal(&found, newest, origin).await?;
                    Ok::<_, Error>((found, pass))
                })
                .buffer_unordered(AT_ONCE)
                .try_collect()
                .await?;
            let mut tenants = BTreeSet::new();
            for (found, pass) in resealed {
                if pass.resealed > 0 {
                    tenants.insert(found.tenant_id);
                }
                all.add(pass);
            }
            let refreshed = tenants.iter().map(|tenant| self.directory.refresh(tenant));
            join_all(refreshed).await;
        }
    }

    /// Seals one webhook's secrets anew. Whoever changes it at the same time comes first.
    async fn reseal(
        &self,
        found: &WebhookSecrets,
        newest: &str,
        origin: &Origin,
    ) -> Result<Pass, Error> {
        let (shared, id) = (&self.shared, found.webhook_id.to_string());
        let origin = Origin {
            tenant: Some(found.tenant_id.clone()),
            ..origin.clone()
        };
        let mut unsettled = Pass::default();
        for _ in 0..CONFLICTS_MAX {
            let sealing = shared.vault.begin().await;
            let stream: Stream<Webhook> = shared.ledger.load(&id).await?;
            if !stream.state.exists() {
                return Ok(Pass::default());
            }
            let now = shared.clock.now();
            let previous = stream.state.previous_secrets(now);
            let live = std::iter::once(stream.state.secret())
                .chain(previous.map(|previous| &previous.secret));
            let (secrets, pass) = self.sealed_anew(&sealing, found, live, newest)?;
            if secrets.is_empty() {
                return Ok(pass);
            }
            let command = webhook::Command::ResealSecrets { secrets, now };
            let (rules, expected) = (shared.rules(), Some(stream.sequence));
            let done = shared
                .ledger
                .execute::<Webhook>(&id, command, &rules, expected, &origin);
            match done.await {
                Ok(_) => return Ok(pass),
                Err(CommandError::WrongVersion) => {
                    unsettled = Pass {
                        resealed: 0,
                        ..pass
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        // It is changed all the time: another walk tries again, and the key stays needed until then.
        Ok(unsettled)
    }

    /// Those of a webhook's secrets that are sealed with an older key, sealed with the newest.
    fn sealed_anew<'a>(
        &self,
        sealing: &Sealing,
        found: &WebhookSecrets,
        secrets: impl Iterator<Item = &'a SealedSecret>,
        newest: &str,
    ) -> Result<(Vec<SealedSecret>, Pass), Error> {
        let (tenant, webhook) = (&found.tenant_id, found.webhook_id);
        let (mut anew, mut pass) = (Vec::new(), Pass::default());
        for secret in secrets {
            let key_id = key_id_of(&secret.sealed);
            if key_id == newest {
                continue;
            }
            pass.others.insert(key_id.to_owned());
            let place = Place {
                tenant,
                webhook,
                version: secret.version,
            };
            match self.shared.vault.open(tenant, webhook, secret) {
                Ok(opened) => anew.push(SealedSecret {
                    version: secret.version,
                    sealed: sealing.seal(&opened, place)?,
                }),
                Err(error) => {
                    pass.unreadable += 1;
                    tracing::error!(%error, %tenant, %webhook, "a secret cannot be sealed anew");
                }
            }
        }
        pass.resealed = anew.len() as u64;
        Ok((anew, pass))
    }
}
