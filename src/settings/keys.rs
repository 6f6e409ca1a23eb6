//! The platform token and the master key: from their settings, or from files in the data
//! directory that the first start makes.

use std::{
    fmt, fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

use super::{Database, SecretText, Settings};

mod file;

/// The shortest platform token, in characters.
pub const TOKEN_CHARACTERS_MIN: usize = 32;
/// The longest platform token, in characters.
pub const TOKEN_CHARACTERS_MAX: usize = 512;
/// The size of a master key.
pub const MASTER_KEY_BYTES: usize = 32;
/// The most master keys at once: the one in use and the ones that it follows.
pub const MASTER_KEYS_MAX: usize = 16;

const TOKEN_FILE: &str = "platform-token";
const MASTER_KEY_FILE: &str = "master.key";

/// A master key.
pub type MasterKey = [u8; MASTER_KEY_BYTES];

/// The keys that seal webhooks' secrets: never in a log, never in `Debug`.
pub struct MasterKeys {
    /// The newest first; at least one.
    pub keys: Vec<MasterKey>,
    /// Where they are kept; `None` if the setting gives them.
    pub file: Option<MasterKeyFile>,
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKeys")
            .field("keys", &self.keys.len())
            .field("file", &self.file.as_ref().map(MasterKeyFile::path))
            .finish()
    }
}

/// The file with the master keys that the server has made itself.
pub struct MasterKeyFile {
    path: PathBuf,
    /// What is in it, as far as this process knows.
    known: Mutex<Vec<MasterKey>>,
}

/// Why the platform token or the master key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory cannot be made or used.
    #[error("the data directory {path} cannot be used: {source}")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key file does not hold a text of the expected size.
    #[error("{path} is longer than a key, or not a text")]
    NoKeyFile {
        /// The file.
        path: PathBuf,
    },
    /// The platform token's file holds no token.
    #[error("HOOKLEDGER_PLATFORM_TOKEN (file {path}): {source}")]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: InvalidToken,
    },
    /// The master key's file holds no master key, or the setting does not.
    #[error("HOOKLEDGER_MASTER_KEY (file {path}): {source}")]
    MasterKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: InvalidMasterKey,
    },
    /// There is a ledger but not the key that its secrets are sealed with. A new key would start
    /// the server with secrets that it can never open again.
    #[error(
        "HOOKLEDGER_MASTER_KEY: the ledger {ledger} exists, but its master key is neither set nor in {key_file}"
    )]
    LostMasterKey {
        /// The ledger's file, or in what it is.
        ledger: String,
        /// Where the key was looked for.
        key_file: PathBuf,
    },
    /// Somebody else has changed the master key's file since it was read.
    #[error("{path} has changed since the server read it")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The setting holds no master key.
    #[error("HOOKLEDGER_MASTER_KEY: {0}")]
    MasterKeySetting(#[from] InvalidMasterKey),
}

/// Takes the platform token from its setting or from the data directory, and makes one if it is in
/// neither.
///
/// The data directory is created with mode 0700, the file with mode 0600.
///
/// # Errors
/// The directory or the file cannot be used, or holds something else.
pub fn load_or_create_token(settings: &Settings) -> Result<SecretText, Error> {
    create_data_dir(&settings.data_dir)?;
    if let Some(token) = &settings.platform_token {
        return Ok(token.clone());
    }
    let path = settings.data_dir.join(TOKEN_FILE);
    let token = file::read_or_create(&path, || {
        format!("hlp_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
    })?;
    checked_token(token, path)
}

/// Takes the master keys from their setting or from the data directory, which must be there, and
/// makes one if there is none. Only a ledger that is still empty (`is_new`) may get a new key: what
/// is sealed in another one no new key could open.
///
/// # Errors
/// The file cannot be used, holds something else, or is missing although there is a ledger.
pub fn load_or_create_master_keys(settings: &Settings, is_new: bool) -> Result<MasterKeys, Error> {
    if let Some(keys) = &settings.master_key {
        return Ok(MasterKeys {
            keys: parse_master_keys(keys.expose())?,
            file: None,
        });
    }
    let path = settings.data_dir.join(MASTER_KEY_FILE);
    if !is_new && file::read(&path)?.is_none() {
        let ledger = match &settings.database {
            Database::Sqlite(path) => path.display().to_string(),
            Database::Postgres(_) => "in PostgreSQL".to_owned(),
        };
        return Err(Error::LostMasterKey {
            ledger,
            key_file: path,
        });
    }
    let text = file::read_or_create(&path, || encode(&[new_master_key()]))?;
    let keys = parse_file(&text, &path)?;
    let file = MasterKeyFile {
        known: Mutex::new(keys.clone()),
        path,
    };
    Ok(MasterKeys {
        keys,
        file: Some(file),
    })
}

impl MasterKeyFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts a new key before the present one. If there are several already, because an earlier
    /// rotation has not ended, it goes on with them. Gives all of them, the newest first; they are
    /// on disk then.
    ///
    /// # Errors
    /// [`Error::Changed`], or the file cannot be read or written. No key of it is lost.
    pub fn begin_rotation(&self) -> Result<Vec<MasterKey>, Error> {
        self.change(|keys| {
            if keys.len() == 1 {
                keys.insert(0, new_master_key());
            }
        })
    }

    /// Keeps the newest key only, and gives it.
    ///
    /// # Errors
    /// [`Error::Changed`], or the file cannot be read or written. The newest key is not lost.
    pub fn end_rotation(&self) -> Result<Vec<MasterKey>, Error> {
        self.change(|keys| keys.truncate(1))
    }

    fn change(&self, change: impl FnOnce(&mut Vec<MasterKey>)) -> Result<Vec<MasterKey>, Error> {
        let _held_until_return = file::lock_beside(&self.path)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = || Error::Changed {
            path: self.path.clone(),
        };
        let text = file::read(&self.path)?.ok_or_else(changed)?;
        if parse_file(&text, &self.path)? != *known {
            return Err(changed());
        }
        let mut keys = known.clone();
        change(&mut keys);
        if keys != *known {
            file::write(&self.path, &encode(&keys))?;
        }
        (*known).clone_from(&keys);
        Ok(keys)
    }
}

fn new_master_key() -> MasterKey {
    rand::random()
}

fn encode(keys: &[MasterKey]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| STANDARD.encode(key)).collect();
    keys.join(",")
}

fn parse_file(text: &SecretText, path: &Path) -> Result<Vec<MasterKey>, Error> {
    parse_master_keys(text.expose()).map_err(|source| Error::MasterKey {
        path: path.to_owned(),
        source,
    })
}

/// The platform token of the setting or of the data directory, if it has been made already.
/// Changes nothing.
///
/// # Errors
/// The file cannot be read or holds no token.
pub fn existing_platform_token(settings: &Settings) -> Result<Option<SecretText>, Error> {
    if let Some(token) = &settings.platform_token {
        return Ok(Some(token.clone()));
    }
    let path = settings.data_dir.join(TOKEN_FILE);
    file::read(&path)?
        .map(|token| checked_token(token, path))
        .transpose()
}

/// Where the platform token is kept when its setting is not used.
pub fn platform_token_file(settings: &Settings) -> PathBuf {
    settings.data_dir.join(TOKEN_FILE)
}

fn checked_token(token: SecretText, path: PathBuf) -> Result<SecretText, Error> {
    match check_token(token.expose()) {
        Ok(()) => Ok(token),
        Err(source) => Err(Error::Token { path, source }),
    }
}

/// Why a text is no platform token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// Short enough to be guessed, or too long for a header.
    #[error(
        "has {characters} characters; {TOKEN_CHARACTERS_MIN} to {TOKEN_CHARACTERS_MAX} are needed"
    )]
    Length {
        /// The length found.
        characters: usize,
    },
    /// Something that cannot stand in an `Authorization` header.
    #[error("may have visible ASCII characters only")]
    Characters,
}

pub(super) fn check_token(token: &str) -> Result<(), InvalidToken> {
    let characters = token.chars().count();
    if !(TOKEN_CHARACTERS_MIN..=TOKEN_CHARACTERS_MAX).contains(&characters) {
        Err(InvalidToken::Length { characters })
    } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Err(InvalidToken::Characters)
    } else {
        Ok(())
    }
}

/// Why a text is no list of master keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMasterKey {
    /// One of the keys is not base64 of 32 bytes.
    #[error("key {number} is not base64 of {MASTER_KEY_BYTES} bytes")]
    Key {
        /// Which one, counted from 1.
        number: usize,
    },
    /// The same key stands there twice, so that it is unclear which is the newest.
    #[error("key {number} stands there twice")]
    Repeated {
        /// Which one, counted from 1.
        number: usize,
    },
    /// More keys than a rotation needs.
    #[error("has {count} keys; at most {MASTER_KEYS_MAX} are accepted")]
    TooMany {
        /// The keys found.
        count: usize,
    },
}

pub(super) fn parse_master_keys(text: &str) -> Result<Vec<MasterKey>, InvalidMasterKey> {
    let count = text.split(',').count();
    if count > MASTER_KEYS_MAX {
        return Err(InvalidMasterKey::TooMany { count });
    }
    let mut keys = Vec::with_capacity(count);
    for (number, key) in (1..).zip(text.split(',')) {
        let key: MasterKey = STANDARD
            .decode(key.trim())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(InvalidMasterKey::Key { number })?;
        if keys.contains(&key) {
            return Err(InvalidMasterKey::Repeated { number });
        }
        keys.push(key);
    }
    Ok(keys)
}

fn create_data_dir(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| Error::DataDir {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests;
