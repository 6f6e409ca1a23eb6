//! The flags of the settings, made from their table.

use std::{fmt, path::PathBuf};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, builder::ValueParser, value_parser};

use crate::settings::{self, Definition, Inputs, Loaded, TABLE};

/// The settings given as flags. Added to a command with `#[command(flatten)]`.
#[derive(Default, Clone)]
pub(super) struct Flags {
    values: Vec<(&'static str, String)>,
    config_file: Option<PathBuf>,
}

impl Flags {
    /// The settings from these flags, the environment, the file and the defaults.
    pub(super) fn load(&self) -> Result<Loaded, settings::Error> {
        let inputs = Inputs::with_environment(self.values.clone(), self.config_file.clone());
        settings::load(&inputs)
    }
}

const CONFIG: &str = "config";
const HEADING: &str = "Settings";

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("TOML file with settings [env: HOOKLEDGER_CONFIG]")
            .help_heading(HEADING);
        command.arg(config).args(TABLE.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flag(definition: &'static Definition) -> Arg {
    let default = match definition.default_text() {
        "" => "empty",
        text => text,
    };
    let variable = definition.variable();
    let flag = Arg::new(definition.name)
        .long(definition.flag())
        .value_name(definition.value_name)
        .value_parser(ValueParser::string())
        .help(format!(
            "{} [env: {variable}] [default: {default}]",
            definition.help
        ))
        .help_heading(HEADING);
    if definition.is_switch() {
        flag.num_args(0..=1).default_missing_value("true")
    } else {
        flag
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |definition: &Definition| {
            let value = matches.get_one::<String>(definition.name)?;
            Some((definition.name, value.clone()))
        };
        Ok(Self {
            values: TABLE.iter().filter_map(value).collect(),
            config_file: matches.get_one(CONFIG).cloned(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Shows names only: a value may be a secret.
impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.values.iter().map(|(name, _)| name))
            .finish()
    }
}
