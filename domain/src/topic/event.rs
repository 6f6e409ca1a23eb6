use serde::{Deserialize, Serialize};

/// What happened to a custom topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It is in the catalogue now, or is described otherwise.
    Defined {
        /// What it is about, for people.
        description: String,
    },
    /// It is in the catalogue no more.
    Removed,
}

impl cqrs_es::DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Defined { .. } => "defined",
            Self::Removed => "removed",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
