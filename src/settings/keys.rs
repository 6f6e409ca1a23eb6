//! The platform token and the master key: from their settings, or from files in the data
//! directory that the first start makes.

use std::{
    fmt, fs,
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

use super::{Database, SecretText, Settings};

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
/// Held while a file is made, so that two first starts do not make two keys.
const LOCK_FILE: &str = "keys.lock";
/// The longest key file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// What the server needs to know and nobody else may: never in a log, never in `Debug`.
#[derive(Clone)]
pub struct Credentials {
    /// The token that has every permission.
    pub platform_token: SecretText,
    /// The keys that seal webhooks' secrets, newest first; at least one.
    pub master_keys: Vec<[u8; MASTER_KEY_BYTES]>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("platform_token", &self.platform_token)
            .field("master_keys", &self.master_keys.len())
            .finish()
    }
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
        /// The ledger's file.
        ledger: PathBuf,
        /// Where the key was looked for.
        key_file: PathBuf,
    },
    /// The setting holds no master key.
    #[error("HOOKLEDGER_MASTER_KEY: {0}")]
    MasterKeySetting(#[from] InvalidMasterKey),
}

/// Takes the platform token and the master keys from their settings or from the data directory,
/// and makes what is in neither. To be called before the ledger is opened for the first time:
/// a ledger without its key is refused.
///
/// The data directory is created with mode 0700, the files with mode 0600.
///
/// # Errors
/// The directory or a file cannot be used, holds something else, or the key of an existing ledger
/// is missing.
pub fn load_or_create(settings: &Settings) -> Result<Credentials, Error> {
    create_data_dir(&settings.data_dir)?;
    Ok(Credentials {
        platform_token: load_or_create_token(settings)?,
        master_keys: load_or_create_master_keys(settings)?,
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
    read_key_file(&path)?
        .map(|token| checked_token(token, path))
        .transpose()
}

/// Where the platform token is kept when its setting is not used.
pub fn platform_token_file(settings: &Settings) -> PathBuf {
    settings.data_dir.join(TOKEN_FILE)
}

fn load_or_create_token(settings: &Settings) -> Result<SecretText, Error> {
    if let Some(token) = &settings.platform_token {
        return Ok(token.clone());
    }
    let path = settings.data_dir.join(TOKEN_FILE);
    let token = read_or_create(&path, || {
        format!("hlp_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
    })?;
    checked_token(token, path)
}

fn checked_token(token: SecretText, path: PathBuf) -> Result<SecretText, Error> {
    match check_token(token.expose()) {
        Ok(()) => Ok(token),
        Err(source) => Err(Error::Token { path, source }),
    }
}

fn load_or_create_master_keys(settings: &Settings) -> Result<Vec<[u8; MASTER_KEY_BYTES]>, Error> {
    if let Some(keys) = &settings.master_key {
        return Ok(parse_master_keys(keys.expose())?);
    }
    let path = settings.data_dir.join(MASTER_KEY_FILE);
    if let Database::Sqlite(ledger) = &settings.database
        && !path.exists()
        && fs::metadata(ledger).is_ok_and(|ledger| ledger.len() > 0)
    {
        return Err(Error::LostMasterKey {
            ledger: ledger.clone(),
            key_file: path,
        });
    }
    let keys = read_or_create(&path, || {
        STANDARD.encode(rand::random::<[u8; MASTER_KEY_BYTES]>())
    })?;
    parse_master_keys(keys.expose()).map_err(|source| Error::MasterKey { path, source })
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

pub(super) fn parse_master_keys(
    text: &str,
) -> Result<Vec<[u8; MASTER_KEY_BYTES]>, InvalidMasterKey> {
    let count = text.split(',').count();
    if count > MASTER_KEYS_MAX {
        return Err(InvalidMasterKey::TooMany { count });
    }
    let mut keys = Vec::with_capacity(count);
    for (number, key) in (1..).zip(text.split(',')) {
        let key: [u8; MASTER_KEY_BYTES] = STANDARD
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

fn read_or_create(path: &Path, make: impl FnOnce() -> String) -> Result<SecretText, Error> {
    let failed = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    let _held_until_return = lock_beside(path).map_err(failed)?;
    if let Some(text) = read_key_file(path)? {
        return Ok(text);
    }
    let text = make();
    write_key_file(path, &text).map_err(failed)?;
    Ok(SecretText::from(text))
}

fn lock_beside(path: &Path) -> io::Result<fs::File> {
    let lock = fs::File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path.with_file_name(LOCK_FILE))?;
    lock.lock()?;
    Ok(lock)
}

fn read_key_file(path: &Path) -> Result<Option<SecretText>, Error> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(Error::File {
                path: path.to_owned(),
                source,
            });
        }
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| Error::File {
            path: path.to_owned(),
            source,
        })?;
    let is_short = bytes.len() as u64 <= FILE_BYTES_MAX;
    String::from_utf8(bytes)
        .ok()
        .filter(|_| is_short)
        .map(|text| Some(SecretText::from(text.trim())))
        .ok_or_else(|| Error::NoKeyFile {
            path: path.to_owned(),
        })
}

/// Writes beside the file, then renames: a power cut leaves the whole key or none, never a part
/// of one, and a key that was used once is on the disk.
fn write_key_file(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    match path.parent() {
        Some(directory) => fs::File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
