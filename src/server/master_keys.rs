//! Takes the master keys, and looks whether they fit the ledger before anything is served.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Error;
use crate::{
    settings::{
        Settings,
        keys::{self, MasterKeyFile, MasterKeys},
    },
    store::Store,
    tenants::{self, Unfit},
    vault::{KeyFile, KeyFileError, MasterKey, Vault},
};

/// Master keys that fit the ledger.
pub(super) struct OpenKeys {
    pub(super) vault: Vault,
    /// Where they are kept, if the setting does not give them.
    pub(super) file: Option<Arc<dyn KeyFile>>,
}

/// Takes the master keys of the setting or the file, which is made if the ledger is empty. Refuses
/// keys that do not open what is in the ledger, or that it was not used with.
pub(super) async fn open_keys(
    settings: &Settings,
    store: &Store,
    now: DateTime<Utc>,
) -> Result<OpenKeys, Error> {
    let ledger = store.ledger();
    let is_new = ledger.last_position().await? == 0;
    let MasterKeys { keys, file } = keys::load_or_create_master_keys(settings, is_new)?;
    let vault = Vault::new(&keys);
    tenants::check_keys(&ledger, &store.views(), &vault, now)
        .await
        .map_err(|unfit| match unfit {
            Unfit::Store(error) => Error::Store(error),
            source => Error::MasterKey {
                file: file.as_ref().map(|file| file.path().to_owned()),
                source,
            },
        })?;
    let file = file.map(|file| Arc::new(Kept(file)) as Arc<dyn KeyFile>);
    Ok(OpenKeys { vault, file })
}

/// The file of the data directory, as the vault knows it.
struct Kept(MasterKeyFile);

impl KeyFile for Kept {
    fn begin(&self) -> Result<Vec<MasterKey>, KeyFileError> {
        self.0.begin_rotation().map_err(|error| self.failed(error))
    }

    fn end(&self) -> Result<Vec<MasterKey>, KeyFileError> {
        self.0.end_rotation().map_err(|error| self.failed(error))
    }
}

impl Kept {
    fn failed(&self, error: keys::Error) -> KeyFileError {
        match error {
            keys::Error::File { path, source } => KeyFileError::Io { path, source },
            // What is no key is not what the server has written.
            _ => KeyFileError::Changed(self.0.path().to_owned()),
        }
    }
}
