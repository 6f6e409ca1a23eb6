use serde::{Deserialize, Serialize};

/// What happened to a custom topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It is in the catalogue now, or is described otherwise.
    Defined {
        /// What it is about, for people.
        description: String,
        /// The JSON Schema that the data of its messages must meet, as it was written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<String>,
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
