//! What is said of every setting.

use super::{Settings, parse::Invalid};

/// What the name of every setting's variable begins with.
pub const ENVIRONMENT_PREFIX: &str = "HOOKLEDGER_";

/// One setting: its names, what it does, what holds when it is not set, and how it is read.
#[derive(Debug)]
pub struct Definition {
    /// The key in the TOML file; the flag and the variable are made from it.
    pub name: &'static str,
    /// What stands for the value in the help.
    pub value_name: &'static str,
    /// What it does, with its unit.
    pub help: &'static str,
    /// What holds when it is not set.
    pub fallback: Fallback,
    /// How it may be shown.
    pub shown: Shown,
    /// Whether an empty value is a list without entries. An empty variable of any other setting
    /// counts as unset, so that `X=${X:-}` in a compose file does what is meant.
    pub is_list: bool,
    /// Reads a value into the settings.
    pub(super) set: fn(&mut Settings, &str) -> Result<(), Invalid>,
}

/// What holds when a setting is not set.
#[derive(Debug)]
pub enum Fallback {
    /// This value.
    Value(&'static str),
    /// A value that follows from the settings above it in the table, and how to say that.
    Computed(&'static str, fn(&Settings) -> String),
    /// No value, and what that means.
    Unset(&'static str),
}

/// How a setting may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// As it is.
    Plainly,
    /// Never.
    Masked,
    /// As it is if it is no URL with a password.
    WithoutPassword,
}

impl Definition {
    /// The environment variable, such as `HOOKLEDGER_DATA_DIR`.
    pub fn variable(&self) -> String {
        format!("{ENVIRONMENT_PREFIX}{}", self.name.to_ascii_uppercase())
    }

    /// The flag without its dashes, such as `data-dir`.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// Whether the flag may stand without a value and then means `true`.
    pub fn is_switch(&self) -> bool {
        self.value_name == BOOLEAN
    }

    /// The default as documentation says it.
    pub fn default_text(&self) -> &'static str {
        match self.fallback {
            Fallback::Value(text) | Fallback::Computed(text, _) | Fallback::Unset(text) => text,
        }
    }

    /// A value of this setting as it may be shown.
    pub fn display(&self, value: &str) -> String {
        let is_hidden = match self.shown {
            Shown::Plainly => false,
            Shown::Masked => true,
            Shown::WithoutPassword => value.contains('@') || value.contains("password="),
        };
        if is_hidden {
            "********".to_owned()
        } else {
            value.to_owned()
        }
    }
}

/// What stands for the value of a switch.
pub(super) const BOOLEAN: &str = "BOOL";

/// What most settings have in common.
pub(super) const PLAIN: Definition = Definition {
    name: "",
    value_name: "",
    help: "",
    fallback: Fallback::Unset("unset"),
    shown: Shown::Plainly,
    is_list: false,
    set: |_, _| Ok(()),
};
