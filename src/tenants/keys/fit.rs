//! Whether the master keys that are there open what is in the ledger.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use chrono::{DateTime, Utc};
use hookledger_domain::{
    actor::{Actor, Origin},
    ids::WebhookId,
    tenant::TenantId,
};

use super::{Walk, adopt, adopted, live};
use crate::{
    store::{self, Ledger, Views, WebhookSecrets},
    vault::{Vault, key_id_of},
};

/// So many missing keys are named.
const NAMED_MAX: usize = 8;
/// The rule by which a ledger notes the first key that it is used with.
const RULE: &str = "first_master_key";

/// Why the ledger must not be served with the master keys that are there.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unfit {
    /// Keys are missing.
    #[error("{}", describe(.missing, .given))]
    Missing {
        /// Which ones.
        missing: Vec<MissingKey>,
        /// The ids of those that are there, the newest first.
        given: Vec<String>,
    },
    /// The key is there, and opens none of the secrets that are sealed with it.
    #[error(
        "master key {key_id} is there, but opens no secret that is sealed with it, such as that of \
         webhook {webhook_id} of tenant {tenant_id}: the ledger is damaged, or was put together \
         from several; take the last backup"
    )]
    Damaged {
        /// The key's id.
        key_id: String,
        /// The tenant of one of the webhooks.
        tenant_id: TenantId,
        /// One of the webhooks.
        webhook_id: WebhookId,
    },
    /// The ledger cannot be asked.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// A master key that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingKey {
    /// Its id.
    pub key_id: String,
    /// How many webhooks have secrets that are sealed with it.
    pub webhooks: u64,
}

impl fmt::Display for MissingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key_id = &self.key_id;
        match self.webhooks {
            0 => write!(
                f,
                "master key {key_id} is missing: this ledger is used with it"
            ),
            1 => write!(
                f,
                "master key {key_id} is missing: secrets of 1 webhook are sealed with it"
            ),
            many => write!(
                f,
                "master key {key_id} is missing: secrets of {many} webhooks are sealed with it"
            ),
        }
    }
}

fn describe(missing: &[MissingKey], given: &[String]) -> String {
    let named: Vec<String> = missing
        .iter()
        .take(NAMED_MAX)
        .map(ToString::to_string)
        .collect();
    let more = match missing.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(", and {more} more keys"),
    };
    format!(
        "{}{more} (given: {}). Give what is missing, alone or after a newer key and a comma; an older \
         key may go when `hookledger keys rotate` says that it is not needed",
        named.join("; "),
        given.join(", ")
    )
}

/// Refuses master keys that do not fit the ledger: every key that a valid secret of a webhook is
/// sealed with must be there and open one, and so must the key that the ledger was used with last,
/// also when there is no webhook. A ledger for which that was not noted yet is used with the newest
/// of these keys from now on; of several processes that begin with one, one says which.
///
/// Costs a walk over all webhooks, in pages.
///
/// # Errors
/// See [`Unfit`].
pub async fn check_keys(
    ledger: &Ledger,
    views: &Views,
    vault: &Vault,
    now: DateTime<Utc>,
) -> Result<(), Unfit> {
    let given = vault.key_ids();
    let mut census = Census::default();
    let mut walk = Walk::new(views);
    loop {
        let page = walk.next().await?;
        if page.is_empty() {
            break;
        }
        page.iter().for_each(|found| census.add(found, vault, now));
    }
    let mut missing = census.missing(&given);
    match adopted(ledger).await? {
        Some(key_id) => add_missing(&mut missing, key_id, &given),
        None if missing.is_empty() => {
            if let Some(newest) = given.first()
                && !adopt(ledger, newest.clone(), true, &origin()).await?
                && let Some(key_id) = adopted(ledger).await?
            {
                add_missing(&mut missing, key_id, &given);
            }
        }
        None => {}
    }
    if !missing.is_empty() {
        return Err(Unfit::Missing { missing, given });
    }
    census.unopened().map_or(Ok(()), Err)
}

fn add_missing(missing: &mut Vec<MissingKey>, key_id: String, given: &[String]) {
    let is_known = given.contains(&key_id) || missing.iter().any(|other| other.key_id == key_id);
    if !is_known {
        missing.push(MissingKey {
            key_id,
            webhooks: 0,
        });
    }
}

fn origin() -> Origin {
    Origin {
        tenant: None,
        actor: Actor::system(RULE),
        request_id: None,
        client: None,
        cause: None,
    }
}

/// What the secrets of all webhooks are sealed with.
#[derive(Default)]
struct Census {
    keys: BTreeMap<String, Found>,
}

/// What was found of one key.
#[derive(Default)]
struct Found {
    webhooks: u64,
    /// It has opened a secret. Then the key is the right one, whatever happened to others.
    has_opened: bool,
    unopened: Option<(TenantId, WebhookId)>,
}

impl Census {
    fn add(&mut self, webhook: &WebhookSecrets, vault: &Vault, now: DateTime<Utc>) {
        let (tenant, id) = (&webhook.tenant_id, webhook.webhook_id);
        let mut keys = BTreeSet::new();
        for secret in live(webhook, now) {
            let key_id = key_id_of(&secret.sealed);
            if !self.keys.contains_key(key_id) {
                self.keys.insert(key_id.to_owned(), Found::default());
            }
            let Some(found) = self.keys.get_mut(key_id) else {
                continue;
            };
            found.webhooks += u64::from(keys.insert(key_id));
            if !found.has_opened {
                match vault.open(tenant, id, secret) {
                    Ok(_) => found.has_opened = true,
                    Err(_) => found.unopened = Some((tenant.clone(), id)),
                }
            }
        }
    }

    fn missing(&self, given: &[String]) -> Vec<MissingKey> {
        let is_missing = |(key_id, _): &(&String, &Found)| !given.contains(key_id);
        let missing = self.keys.iter().filter(is_missing);
        let missing = missing.map(|(key_id, found)| MissingKey {
            key_id: key_id.clone(),
            webhooks: found.webhooks,
        });
        missing.collect()
    }

    /// A key that is there and has opened nothing.
    fn unopened(self) -> Option<Unfit> {
        let unopened = |(key_id, found): (String, Found)| {
            let (tenant_id, webhook_id) = found.unopened.filter(|_| !found.has_opened)?;
            Some(Unfit::Damaged {
                key_id,
                tenant_id,
                webhook_id,
            })
        };
        self.keys.into_iter().find_map(unopened)
    }
}
