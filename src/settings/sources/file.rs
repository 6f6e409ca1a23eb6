//! The TOML file.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::Path,
};

use super::{Error, nearest};
use crate::settings::TABLE;

/// The longest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The keys of a file with their values as text; those of a list joined by commas.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, String>, Error> {
    let text = read_bounded(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| Error::Toml {
        path: path.to_owned(),
        line: error
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| 1 + before.matches('\n').count()),
        message: error.message().to_owned(),
    })?;
    table
        .into_iter()
        .map(|(key, value)| read_entry(path, key, &value))
        .collect()
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is over 1 MiB",
        ));
    }
    Ok(text)
}

fn read_entry(path: &Path, key: String, value: &toml::Value) -> Result<(String, String), Error> {
    if !TABLE.iter().any(|definition| definition.name == key) {
        return Err(Error::UnknownKey {
            nearest: nearest(
                &key,
                TABLE.iter().map(|definition| definition.name.to_owned()),
            ),
            key,
            path: path.to_owned(),
        });
    }
    let text = match value {
        toml::Value::Array(entries) => entries
            .iter()
            .map(scalar)
            .collect::<Option<Vec<String>>>()
            .map(|entries| entries.join(",")),
        single => scalar(single),
    };
    match text {
        Some(text) => Ok((key, text)),
        None => Err(Error::WrongType {
            key,
            path: path.to_owned(),
        }),
    }
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(_) | toml::Value::Table(_) | toml::Value::Datetime(_) => None,
    }
}
