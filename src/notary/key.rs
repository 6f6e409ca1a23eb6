//! Keys that sign seals, and those that check them: Ed25519, as `openssl genpkey -algorithm ed25519` makes
//! them.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, pem::PemObject};

use crate::store::{SealMark, Signer};

/// The longest file that may hold a key, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// What stands before the 32 bytes of an Ed25519 key in its `SubjectPublicKeyInfo` (RFC 8410).
const PUBLIC_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds no private key that signs.
    #[error(
        "{path} holds no private key as `openssl genpkey -algorithm ed25519` makes it (PKCS#8, PEM)"
    )]
    NoSigningKey {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no public key.
    #[error("{path} holds no public key as `openssl pkey -pubout` prints it (Ed25519, PEM)")]
    NoPublicKey {
        /// The file.
        path: PathBuf,
    },
}

/// Signs seals. Never shown.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Reads a private key.
    ///
    /// # Errors
    /// The file cannot be read, or holds none.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = read(path)?;
        let no_key = || Error::NoSigningKey {
            path: path.to_owned(),
        };
        let key = PrivatePkcs8KeyDer::from_pem_slice(&text).map_err(|_| no_key())?;
        // OpenSSL does not put the public key beside the private one.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der());
        pair.map(Self).map_err(|_| no_key())
    }
}

impl Signer for SigningKey {
    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.0.sign(bytes).as_ref().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

/// Checks what a [`SigningKey`] has signed.
#[derive(Debug, Clone)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads a public key.
    ///
    /// # Errors
    /// The file cannot be read, or holds none.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = read(path)?;
        let key = SubjectPublicKeyInfoDer::from_pem_slice(&text).ok();
        let bytes = key
            .as_ref()
            .and_then(|key| key.strip_prefix(&PUBLIC_PREFIX));
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| Error::NoPublicKey {
                path: path.to_owned(),
            })
    }

    /// Whether the key has signed this seal so.
    pub fn has_signed(&self, seal: &SealMark, signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        key.verify(&seal.signed_bytes(), signature).is_ok()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    let file = File::open(path);
    file.and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut text))
        .map_err(|source| Error::File {
            path: path.to_owned(),
            source,
        })?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `openssl genpkey -algorithm ed25519`.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEII99OOP5zHqa1gGfybN4rhu/ej1IqfrJJSRW5oSQR2wH\n-----END PRIVATE KEY-----\n";
    /// Its `openssl pkey -pubout`.
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAt21SRaAyYxd7YOMX5GlaH4xlRnM2wGZaB7bF8/H+Pxs=\n-----END PUBLIC KEY-----\n";

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn what_a_key_has_signed_is_told_from_the_rest() {
        let signer = SigningKey::load(file(PRIVATE).path()).unwrap();
        let key = PublicKey::load(file(PUBLIC).path()).unwrap();
        let seal: SealMark = format!("1.42.{}", "ab".repeat(32)).parse().unwrap();
        let signature = signer.sign(&seal.signed_bytes());
        assert!(key.has_signed(&seal, &signature));
        let other: SealMark = format!("1.42.{}", "ac".repeat(32)).parse().unwrap();
        assert!(!key.has_signed(&other, &signature));
        for bad in [&signature[1..], &[], &[0; 64]] {
            assert!(!key.has_signed(&seal, bad));
        }
        assert_eq!(format!("{signer:?}"), "SigningKey");
    }

    #[test]
    fn what_is_no_key_is_named() {
        let nowhere = Path::new("/nonexistent/key.pem");
        for text in ["", "nonsense", PUBLIC, &PRIVATE.replace('M', "N")] {
            let file = file(text);
            let error = SigningKey::load(file.path()).unwrap_err().to_string();
            assert!(error.contains(file.path().to_str().unwrap()), "{error}");
        }
        for text in ["", "nonsense", PRIVATE, &PUBLIC.replace('M', "N")] {
            let file = file(text);
            let error = PublicKey::load(file.path()).unwrap_err();
            assert!(matches!(error, Error::NoPublicKey { .. }), "{error}");
        }
        assert!(matches!(SigningKey::load(nowhere), Err(Error::File { .. })));
        assert!(matches!(PublicKey::load(nowhere), Err(Error::File { .. })));
    }
}
