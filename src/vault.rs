//! Seals webhooks' secrets before they reach an event, and opens them again.
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) with a random nonce of 24 bytes. The tenant, the
//! webhook and the number of the secret are associated data, so that a sealed secret that was
//! moved to another place does not open.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hookledger_domain::{
    ids::WebhookId, sealed::Sealed, signature::Secret, tenant::TenantId, webhook::SealedSecret,
};
use sha2::{Digest, Sha256};

const NONCE_BYTES: usize = 24;

/// Holds the master keys. The newest seals, all of them open.
pub struct Vault {
    keys: Vec<Key>,
}

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

impl Vault {
    /// A vault with these master keys, the newest first.
    pub fn new(master_keys: &[[u8; 32]]) -> Self {
        let keys = master_keys
            .iter()
            .map(|bytes| Key {
                id: key_id(bytes),
                cipher: XChaCha20Poly1305::new(bytes.into()),
            })
            .collect();
        Self { keys }
    }

    /// Seals a secret with the newest key.
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

    /// Opens a webhook's secret.
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
        let (id, text) = secret
            .sealed
            .as_str()
            .split_once('.')
            .ok_or(Error::Damaged)?;
        let key = self
            .keys
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
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}|{}|{}", self.tenant, self.webhook, self.version)
    }
}

/// Names a key without telling it: the start of its SHA-256.
fn key_id(bytes: &[u8; 32]) -> String {
    Sha256::digest(bytes)[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(tenant: &TenantId) -> Place<'_> {
        Place {
            tenant,
            webhook: WebhookId::default(),
            version: 1,
        }
    }

    fn sealed(vault: &Vault, tenant: &TenantId) -> SealedSecret {
        SealedSecret {
            version: 1,
            sealed: vault
                .seal(&Secret::from_bytes(&[7; 32]), place(tenant))
                .unwrap(),
        }
    }

    #[test]
    fn a_secret_opens_where_it_was_sealed() {
        let (vault, acme) = (Vault::new(&[[1; 32]]), "acme".parse().unwrap());
        let secret = sealed(&vault, &acme);
        let opened = vault.open(&acme, WebhookId::default(), &secret).unwrap();
        assert_eq!(opened.as_str(), Secret::from_bytes(&[7; 32]).as_str());
        assert!(!secret.sealed.as_str().contains("whsec"));
    }

    #[test]
    fn a_secret_does_not_open_elsewhere() {
        let (vault, acme) = (Vault::new(&[[1; 32]]), "acme".parse().unwrap());
        let mut secret = sealed(&vault, &acme);
        let other = "other".parse().unwrap();
        assert_eq!(
            vault.open(&other, WebhookId::default(), &secret).err(),
            Some(Error::Damaged)
        );
        secret.version = 2;
        assert_eq!(
            vault.open(&acme, WebhookId::default(), &secret).err(),
            Some(Error::Damaged)
        );
    }

    #[test]
    fn an_older_key_still_opens_and_a_missing_one_is_named() {
        let acme = "acme".parse().unwrap();
        let secret = sealed(&Vault::new(&[[1; 32]]), &acme);
        let both = Vault::new(&[[2; 32], [1; 32]]);
        assert!(both.open(&acme, WebhookId::default(), &secret).is_ok());
        let new = Vault::new(&[[2; 32]]);
        let error = new.open(&acme, WebhookId::default(), &secret).unwrap_err();
        assert_eq!(error, Error::UnknownKey(key_id(&[1; 32])));
    }
}
