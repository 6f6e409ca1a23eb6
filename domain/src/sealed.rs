//! A secret that only the holder of the master key can read.

use serde::{Deserialize, Serialize};

/// An encrypted secret: key id, nonce and ciphertext in one text. The domain carries it and
/// cannot open it; the server's vault makes and opens it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

impl Sealed {
    /// Wraps a text that the vault made.
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// The text that the vault made.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
