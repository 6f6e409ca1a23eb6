//! Where values come from: flags, environment, TOML file, defaults.

use std::{collections::BTreeMap, ffi::OsString, fmt, io, path::PathBuf};

use super::{
    Settings, TABLE,
    definition::{Definition, ENVIRONMENT_PREFIX, Fallback},
    parse::Invalid,
};

mod file;

/// Variables with the prefix that are no settings of the server.
const OTHER_VARIABLES: [&str; 4] = [
    CONFIG_VARIABLE,
    "HOOKLEDGER_SERVER",
    "HOOKLEDGER_TOKEN",
    "HOOKLEDGER_LISTEN_SECRET",
];
const CONFIG_VARIABLE: &str = "HOOKLEDGER_CONFIG";

/// What the settings are made from. The default has no flags, no variables and no file.
#[derive(Default)]
pub struct Inputs {
    /// Names (as in [`TABLE`]) and values given as flags.
    pub flags: Vec<(&'static str, String)>,
    /// The environment; only what begins with `HOOKLEDGER_` counts.
    pub environment: Vec<(OsString, OsString)>,
    /// The TOML file of `--config`; without it the one of `HOOKLEDGER_CONFIG`.
    pub config_file: Option<PathBuf>,
}

/// The settings, and where each of them came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// A line for each setting in the order of [`TABLE`]; secrets are masked.
    pub report: Vec<Reported>,
}

/// One setting as `hookledger config` shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Reported {
    /// The environment variable.
    pub name: String,
    /// The value, masked if it is secret; `None` when it is not set.
    pub value: Option<String>,
    /// What holds when it is not set.
    pub default: &'static str,
    /// Where the value came from.
    pub source: Source,
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A flag.
    Flag,
    /// An environment variable.
    Environment,
    /// The TOML file.
    File,
    /// Nowhere: its default holds.
    Default,
}

/// The exact place of a value, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// This flag.
    Flag(String),
    /// The environment.
    Environment,
    /// This file.
    File(PathBuf),
    /// The default itself.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag --{flag}"),
            Self::Environment => f.write_str("environment"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Why the settings are refused. Each names the setting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that is none.
    #[error("{variable} ({place}): {reason}{}", shown(value.as_deref()))]
    Invalid {
        /// The setting's variable.
        variable: String,
        /// Where the value stands.
        place: Place,
        /// What is wrong with it.
        reason: Invalid,
        /// The value, unless it is secret.
        value: Option<String>,
    },
    /// A variable that begins like a setting and is none.
    #[error("{variable}: there is no such setting{}", did_you_mean(nearest))]
    UnknownVariable {
        /// The variable.
        variable: String,
        /// The setting with the most similar name.
        nearest: String,
    },
    /// A variable that is not UTF-8.
    #[error("{variable} (environment): is not UTF-8")]
    NotUtf8 {
        /// The variable.
        variable: String,
    },
    /// A key of the file that is no setting.
    #[error("{key} ({}): there is no such setting{}", path.display(), did_you_mean(nearest))]
    UnknownKey {
        /// The key.
        key: String,
        /// The file.
        path: PathBuf,
        /// The setting with the most similar name.
        nearest: String,
    },
    /// A key of the file with a table, a date or nested lists.
    #[error("{key} ({}): expected a text, a number, a truth value or a list of those", path.display())]
    WrongType {
        /// The key.
        key: String,
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("{CONFIG_VARIABLE}: {} cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("{CONFIG_VARIABLE}: {}, line {line}: {message}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What the parser said; it does not repeat the line, which may hold a secret.
        message: String,
    },
}

fn shown(value: Option<&str>) -> String {
    match value {
        Some(value) if value.len() <= 200 => format!("; found {value:?}"),
        _ => String::new(),
    }
}

fn did_you_mean(nearest: &str) -> String {
    format!("; did you mean {nearest}?")
}

impl Inputs {
    /// The flags with the environment of this process.
    pub fn with_environment(
        flags: Vec<(&'static str, String)>,
        config_file: Option<PathBuf>,
    ) -> Self {
        Self {
            flags,
            environment: std::env::vars_os().collect(),
            config_file,
        }
    }
}

/// Decides every setting.
///
/// # Errors
/// A name that is no setting or a value that is none, anywhere, also where a value of higher
/// precedence hides it.
pub fn load(inputs: &Inputs) -> Result<Loaded, Error> {
    let environment = read_environment(&inputs.environment)?;
    let config_file = inputs
        .config_file
        .clone()
        .or_else(|| environment.get(CONFIG_VARIABLE).map(PathBuf::from));
    let layers = Layers {
        flags: inputs.flags.iter().cloned().collect(),
        environment,
        file: config_file
            .as_deref()
            .map(file::read)
            .transpose()?
            .unwrap_or_default(),
        path: config_file.unwrap_or_default(),
    };
    let mut settings = Settings::blank();
    let mut report = Vec::with_capacity(TABLE.len());
    for definition in TABLE {
        report.push(layers.decide(definition, &mut settings)?);
    }
    Ok(Loaded { settings, report })
}

/// What was given, by the definitions' names (the environment: by variable).
struct Layers {
    flags: BTreeMap<&'static str, String>,
    environment: BTreeMap<String, String>,
    file: BTreeMap<String, String>,
    path: PathBuf,
}

impl Layers {
    fn decide(&self, definition: &Definition, settings: &mut Settings) -> Result<Reported, Error> {
        let given = self.given(definition);
        // The values that lose are read too: a mistake in them would come to light only when the
        // one that hides them is taken away.
        for (place, value) in given.iter().skip(1) {
            let mut unused = settings.clone();
            set(definition, &mut unused, place, value)?;
        }
        let (source, value) = match given.first() {
            Some((place, value)) => {
                set(definition, settings, place, value)?;
                (place.source(), Some((*value).to_owned()))
            }
            None => (Source::Default, fall_back(definition, settings)?),
        };
        Ok(Reported {
            name: definition.variable(),
            value: value.map(|value| definition.display(&value)),
            default: definition.default_text(),
            source,
        })
    }

    /// The values given for a setting, the one that counts first.
    fn given(&self, definition: &Definition) -> Vec<(Place, &str)> {
        let flag = self.flags.get(definition.name);
        let variable = self
            .environment
            .get(&definition.variable())
            .filter(|value| definition.is_list || !value.is_empty());
        let key = self.file.get(definition.name);
        [
            flag.map(|value| (Place::Flag(definition.flag()), value.as_str())),
            variable.map(|value| (Place::Environment, value.as_str())),
            key.map(|value| (Place::File(self.path.clone()), value.as_str())),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Place {
    fn source(&self) -> Source {
        match self {
            Self::Flag(_) => Source::Flag,
            Self::Environment => Source::Environment,
            Self::File(_) => Source::File,
            Self::Default => Source::Default,
        }
    }
}

fn set(
    definition: &Definition,
    settings: &mut Settings,
    place: &Place,
    value: &str,
) -> Result<(), Error> {
    (definition.set)(settings, value).map_err(|reason| Error::Invalid {
        variable: definition.variable(),
        place: place.clone(),
        reason,
        value: Some(value.to_owned()).filter(|value| definition.display(value) == *value),
    })
}

fn fall_back(definition: &Definition, settings: &mut Settings) -> Result<Option<String>, Error> {
    let value = match definition.fallback {
        Fallback::Value(value) => value.to_owned(),
        Fallback::Computed(_, compute) => compute(settings),
        Fallback::Unset(_) => return Ok(None),
    };
    set(definition, settings, &Place::Default, &value)?;
    Ok(Some(value))
}

fn read_environment(variables: &[(OsString, OsString)]) -> Result<BTreeMap<String, String>, Error> {
    let mut ours = BTreeMap::new();
    for (name, value) in variables {
        let name = name.to_string_lossy();
        if !name.starts_with(ENVIRONMENT_PREFIX) {
            continue;
        }
        let is_setting = TABLE.iter().any(|definition| definition.variable() == name);
        if !is_setting && !OTHER_VARIABLES.contains(&name.as_ref()) {
            return Err(Error::UnknownVariable {
                nearest: nearest(&name, TABLE.iter().map(Definition::variable)),
                variable: name.into_owned(),
            });
        }
        let variable = name.into_owned();
        match value.to_str() {
            Some("") if !is_setting => {}
            Some(value) => {
                ours.insert(variable, value.to_owned());
            }
            None => return Err(Error::NotUtf8 { variable }),
        }
    }
    Ok(ours)
}

/// The known name that is most like `name`.
fn nearest(name: &str, known: impl Iterator<Item = String>) -> String {
    known
        .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)))
        .unwrap_or_default()
}
