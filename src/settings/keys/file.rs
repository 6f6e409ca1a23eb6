//! Files with keys: read, and written so that a power cut leaves the whole of one or none.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::Error;
use crate::settings::SecretText;

/// Held while a file is made or changed, so that two first starts do not make two keys.
const LOCK_FILE: &str = "keys.lock";
/// The longest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// The text in a file, which is made if it is missing; two that do so at one time get the same.
pub(super) fn read_or_create(
    path: &Path,
    make: impl FnOnce() -> String,
) -> Result<SecretText, Error> {
    let _held_until_return = lock_beside(path)?;
    if let Some(text) = read(path)? {
        return Ok(text);
    }
    let text = make();
    write(path, &text)?;
    Ok(SecretText::from(text))
}

/// Keeps others from changing a file as long as what it gives is kept.
pub(super) fn lock_beside(path: &Path) -> Result<fs::File, Error> {
    let open = || {
        let lock = fs::File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path.with_file_name(LOCK_FILE))?;
        lock.lock()?;
        Ok(lock)
    };
    open().map_err(failed(path))
}

/// The text in a file, if it is there.
pub(super) fn read(path: &Path) -> Result<Option<SecretText>, Error> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(failed(path)(source));
        }
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed(path))?;
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
pub(super) fn write(path: &Path, text: &str) -> Result<(), Error> {
    replace(path, text).map_err(failed(path))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
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

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path, source }
}
