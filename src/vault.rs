//! Seals webhooks' secrets before they reach an event, and opens them again.
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) with a random nonce of 24 bytes. The tenant, the
//! webhook and the number of the secret are associated data, so that a sealed secret that was
//! moved to another place does not open.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hookledger_domain::{
    ids::WebhookId, sealed::Sealed, signature::Secret, tenant::TenantId, webhook::SealedSecret,
};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedRwLockReadGuard;

const NONCE_BYTES: usize = 24;
/// The most keys that a vault keeps. Of those that it was given and that others have followed, the
/// oldest go first.
const KEYS_MAX: usize = 32;

/// A master key.
pub type MasterKey = [u8; 32];

/// Holds the master keys. The newest seals, all of them open.
pub struct Vault {
    keys: RwLock<Keys>,
    /// Held by whoever seals until what was sealed is in the ledger, or is not going to be.
    sealing: Arc<tokio::sync::RwLock<()>>,
}

#[derive(Clone)]
struct Keys {
    /// The newest first.
    all: Arc<[Key]>,
    /// How many of them are configured. Those after them have been replaced while this process
    /// runs, and still open what was read before that.
    configured: usize,
}

#[derive(Clone)]
struct Key {
    id: String,
    cipher: XChaCha20Poly1305,
}

/// Where a secret belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Whose webhook.
    pub tenant: &'a TenantId,
    /// Which webhook.
    pub webhook: WebhookId,
    /// Which of its secrets, from 1.
    pub version: u64,
}

/// Why a secret could not be sealed or opened. Says nothing about its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no master key.
    #[error("there is no master key")]
    NoKey,
    /// It was sealed with a master key that is not there.
    #[error("the secret was sealed with master key {0}, which is not among those configured")]
    UnknownKey(String),
    /// It is damaged, or was moved here from another place.
    #[error("the sealed secret is damaged or belongs elsewhere")]
    Damaged,
}

/// Keeps the master keys that the server has made itself.
pub trait KeyFile: Send + Sync {
    /// Makes a new key and keeps it before the present one; if there are several already, because
    /// an earlier rotation has not ended, it makes none. When it returns, all of them are on disk.
    /// Gives them, the newest first.
    ///
    /// # Errors
    /// See [`KeyFileError`]. No key is lost.
    fn begin(&self) -> Result<Vec<MasterKey>, KeyFileError>;
    /// Keeps the newest key only, and gives it.
    ///
    /// # Errors
    /// See [`KeyFileError`]. The newest key is not lost.
    fn end(&self) -> Result<Vec<MasterKey>, KeyFileError>;
}

/// Why the kept keys were not changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file holds something else than the server has read or written.
    #[error("{0} has changed since the server read it")]
    Changed(PathBuf),
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The right to seal. Whoever takes over new keys waits until it is dropped, so keep it until what
/// was sealed is committed.
pub struct Sealing {
    keys: Arc<[Key]>,
    _until_committed: OwnedRwLockReadGuard<()>,
}

impl Sealing {
    /// Seals a secret with the newest key.
    ///
    /// # Errors
    /// [`Error::NoKey`].
    pub fn seal(&self, secret: &Secret, place: Place<'_>) -> Result<Sealed, Error> {
        let key = self.keys.first().ok_or(Error::NoKey)?;
        let bytes = crate::entropy::secret_bytes();
        let nonce = XNonce::from_slice(&bytes[..NONCE_BYTES]);
        let associated = place.to_string();
        let payload = Payload {
            msg: secret.as_str().as_bytes(),
            aad: associated.as_bytes(),
        };
        let ciphertext = key
            .cipher
            .encrypt(nonce, payload)
            .map_err(|_| Error::Damaged)?;
        let text = [nonce.as_slice(), &ciphertext].concat();
        Ok(Sealed::from_text(format!(
            "{}.{}",
            key.id,
            BASE64.encode(text)
        )))
    }
}

impl Vault {
    /// A vault with these master keys, the newest first.
    pub fn new(master_keys: &[MasterKey]) -> Self {
        Self {
            keys: RwLock::new(Keys {
                all: keys(master_keys).collect(),
                configured: master_keys.len(),
            }),
            sealing: Arc::default(),
        }
    }

    /// The ids of the master keys that are configured, the newest first.
    pub fn key_ids(&self) -> Vec<String> {
        let Keys { all, configured } = self.keys();
        all[..configured].iter().map(|key| key.id.clone()).collect()
    }

    /// Begins to seal.
    pub async fn begin(&self) -> Sealing {
        let held = self.sealing.clone().read_owned().await;
        Sealing {
            // Only now: whoever has taken over new keys before this was held does not wait for it.
            keys: self.keys().all,
            _until_committed: held,
        }
    }

    /// Has these master keys from now on, the newest first, and opens with those before, too.
    /// Returns when nothing that was sealed with them is still on its way to the ledger.
    pub async fn take_over(&self, master_keys: &[MasterKey]) {
        {
            let mut held = self.keys.write().unwrap_or_else(PoisonError::into_inner);
            let mut all: Vec<Key> = keys(master_keys).collect();
            let is_new = |key: &&Key| keys(master_keys).all(|new| new.id != key.id);
            all.extend(held.all.iter().filter(is_new).cloned());
            all.truncate(KEYS_MAX.max(master_keys.len()));
            *held = Keys {
                all: all.into(),
                configured: master_keys.len(),
            };
        }
        drop(self.sealing.write().await);
    }

    /// Opens a webhook's secret.
    ///
    /// # Errors
    /// [`Error::UnknownKey`] or [`Error::Damaged`].
    pub fn open(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        secret: &SealedSecret,
    ) -> Result<Secret, Error> {
        let place = Place {
            tenant,
            webhook,
            version: secret.version,
        };
        let (id, text) = split(&secret.sealed).ok_or(Error::Damaged)?;
        let keys = self.keys().all;
        let key = keys
            .iter()
            .find(|key| key.id == id)
            .ok_or_else(|| Error::UnknownKey(id.to_owned()))?;
        let bytes = BASE64.decode(text).map_err(|_| Error::Damaged)?;
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE_BYTES).ok_or(Error::Damaged)?;
        let associated = place.to_string();
        let payload = Payload {
            msg: ciphertext,
            aad: associated.as_bytes(),
        };
        let plain = key
            .cipher
            .decrypt(XNonce::from_slice(nonce), payload)
            .map_err(|_| Error::Damaged)?;
        let text = String::from_utf8(plain).map_err(|_| Error::Damaged)?;
        Secret::parse(&text).map_err(|_| Error::Damaged)
    }

    fn keys(&self) -> Keys {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.clone()
    }
}

/// The id of the master key that a secret is sealed with; empty if it is damaged beyond that.
pub fn key_id_of(sealed: &Sealed) -> &str {
    split(sealed).map_or("", |(id, _)| id)
}

fn split(sealed: &Sealed) -> Option<(&str, &str)> {
    sealed.as_str().split_once('.')
}

fn keys(master_keys: &[MasterKey]) -> impl Iterator<Item = Key> + '_ {
    master_keys.iter().map(|bytes| Key {
        id: key_id(bytes),
        cipher: XChaCha20Poly1305::new(bytes.into()),
    })
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}|{}|{}", self.tenant, self.webhook, self.version)
    }
}

/// Names a key without telling it: the start of its SHA-256.
fn key_id(bytes: &MasterKey) -> String {
    Sha256::digest(bytes)[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const OLD: MasterKey = [1; 32];
    const NEW: MasterKey = [2; 32];

    fn acme() -> TenantId {
        "acme".parse().unwrap()
    }

    async fn sealed(vault: &Vault) -> SealedSecret {
        let place = Place {
            tenant: &acme(),
            webhook: WebhookId::default(),
            version: 1,
        };
        let secret = Secret::from_bytes(&[7; 32]);
        SealedSecret {
            version: 1,
            sealed: vault.begin().await.seal(&secret, place).unwrap(),
        }
    }

    fn open(vault: &Vault, secret: &SealedSecret) -> Result<Secret, Error> {
        vault.open(&acme(), WebhookId::default(), secret)
    }

    #[tokio::test]
    async fn a_secret_opens_where_it_was_sealed() {
        let vault = Vault::new(&[OLD]);
        let secret = sealed(&vault).await;
        let opened = open(&vault, &secret).unwrap();
        assert_eq!(opened.as_str(), Secret::from_bytes(&[7; 32]).as_str());
        assert!(!secret.sealed.as_str().contains("whsec"));
        assert_eq!(key_id_of(&secret.sealed), key_id(&OLD));
    }

    #[tokio::test]
    async fn a_secret_does_not_open_elsewhere() {
        let vault = Vault::new(&[OLD]);
        let mut secret = sealed(&vault).await;
        let other = "other".parse().unwrap();
        let opened = vault.open(&other, WebhookId::default(), &secret);
        assert_eq!(opened.err(), Some(Error::Damaged));
        secret.version = 2;
        assert_eq!(open(&vault, &secret).err(), Some(Error::Damaged));
    }

    #[tokio::test]
    async fn an_older_key_still_opens_and_a_missing_one_is_named() {
        let secret = sealed(&Vault::new(&[OLD])).await;
        assert!(open(&Vault::new(&[NEW, OLD]), &secret).is_ok());
        let error = open(&Vault::new(&[NEW]), &secret).unwrap_err();
        assert_eq!(error, Error::UnknownKey(key_id(&OLD)));
    }

    #[tokio::test]
    async fn a_new_key_seals_and_the_old_one_goes_on_opening() {
        let vault = Vault::new(&[OLD]);
        let before = sealed(&vault).await;
        vault.take_over(&[NEW, OLD]).await;
        assert_eq!(vault.key_ids(), [key_id(&NEW), key_id(&OLD)]);
        let after = sealed(&vault).await;
        assert_eq!(key_id_of(&after.sealed), key_id(&NEW));
        vault.take_over(&[NEW]).await;
        assert_eq!(vault.key_ids(), [key_id(&NEW)]);
        for secret in [before, after] {
            assert!(open(&vault, &secret).is_ok());
        }
    }

    #[tokio::test]
    async fn who_takes_over_waits_for_what_is_on_its_way_to_the_ledger() {
        let vault = Vault::new(&[OLD]);
        let sealing = vault.begin().await;
        let mut taking_over = Box::pin(vault.take_over(&[NEW, OLD]));
        assert!(taking_over.as_mut().now_or_never().is_none());
        assert_eq!(vault.key_ids().len(), 2, "the new key is there already");
        drop(sealing);
        taking_over.await;
    }

    #[tokio::test]
    async fn so_many_replaced_keys_are_kept_and_no_more() {
        let vault = Vault::new(&[[0; 32]]);
        for n in 1..=40 {
            vault.take_over(&[[n; 32]]).await;
        }
        assert_eq!(vault.keys().all.len(), KEYS_MAX);
        assert_eq!(vault.key_ids(), [key_id(&[40; 32])]);
    }
}
