//! Topics: what messages are about, and the catalogue of those that exist. A custom topic is an
//! aggregate of its own, whose id is its name.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::validation::{FieldError, check_text};

mod builtin;
mod event;
mod pattern;

pub use builtin::BUILT_IN;
pub use event::Event;
pub use pattern::{InvalidPattern, Pattern};

/// The longest name of a topic, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// The longest description of a topic, in characters.
pub const DESCRIPTION_CHARACTERS_MAX: usize = 1000;

/// The name of a topic: segments of `a-z 0-9 _ -` with dots between them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Topic(Arc<str>);

impl Topic {
    /// What a test delivery is about unless told otherwise.
    pub const TEST: &'static str = "webhook.test";
    /// What tells a tenant's other webhooks that one of them was disabled.
    pub const DISABLED: &'static str = "webhook.disabled";

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Topic {
    fn default() -> Self {
        Self(Arc::from(Self::TEST))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that cannot be the name of a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a topic is segments of a-z, 0-9, _ and - with dots between them, at most 128 bytes")]
pub struct InvalidTopic;

impl FromStr for Topic {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        if text.len() <= NAME_BYTES_MAX && text.split('.').all(is_segment) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(InvalidTopic)
        }
    }
}

impl TryFrom<String> for Topic {
    type Error = InvalidTopic;

    fn try_from(text: String) -> Result<Self, InvalidTopic> {
        text.parse()
    }
}

impl From<Topic> for String {
    fn from(topic: Topic) -> Self {
        topic.0.as_ref().to_owned()
    }
}

fn is_segment(segment: &str) -> bool {
    !segment.is_empty()
        && segment
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

/// A topic in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is about, for people.
    pub description: String,
    /// Whether Hookledger brings it along.
    pub is_built_in: bool,
}

/// The topics that exist. Subscribing to another one and publishing it is refused.
#[derive(Debug, Clone)]
pub struct Catalogue {
    topics: BTreeMap<Topic, Entry>,
}

impl Catalogue {
    /// The built-in topics with the custom ones, given as name and description, over them.
    pub fn new(custom: impl IntoIterator<Item = (Topic, String)>) -> Self {
        let built_in = BUILT_IN.iter().filter_map(|(name, description)| {
            let entry = Entry {
                description: (*description).to_owned(),
                is_built_in: true,
            };
            Some((name.parse().ok()?, entry))
        });
        let mut topics: BTreeMap<Topic, Entry> = built_in.collect();
        for (topic, description) in custom {
            let is_built_in = topics.contains_key(&topic);
            topics.insert(
                topic,
                Entry {
                    description,
                    is_built_in,
                },
            );
        }
        Self { topics }
    }

    /// All topics in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Topic, &Entry)> {
        self.topics.iter()
    }

    /// The topic of this name.
    pub fn get(&self, name: &str) -> Option<(&Topic, &Entry)> {
        self.topics.get_key_value(&name.parse::<Topic>().ok()?)
    }

    /// Checks that a name is in the catalogue; the error names the nearest one that is.
    pub fn check(&self, field: &str, name: &str) -> Result<Topic, FieldError> {
        match self.get(name) {
            Some((topic, _)) => Ok(topic.clone()),
            None => Err(self.unknown(field, name)),
        }
    }

    /// Checks that a pattern matches at least one topic of the catalogue.
    pub fn check_pattern(&self, field: &str, text: &str) -> Result<Pattern, FieldError> {
        let pattern: Pattern = text.parse().map_err(|error: InvalidPattern| {
            FieldError::new(field, "invalid_topic", error.to_string())
        })?;
        if self.topics.keys().any(|topic| pattern.matches(topic)) {
            Ok(pattern)
        } else {
            Err(self.unknown(field, text))
        }
    }

    fn unknown(&self, field: &str, name: &str) -> FieldError {
        let shown: String = name
            .chars()
            .filter(|c| !c.is_control())
            .take(NAME_BYTES_MAX)
            .collect();
        let wanted = shown.trim_end_matches(".*");
        let nearest = self
            .topics
            .keys()
            .max_by(|a, b| {
                let near = |topic: &Topic| strsim::jaro_winkler(wanted, topic.as_str());
                near(a).total_cmp(&near(b))
            })
            .map_or(String::new(), |topic| {
                format!("; the nearest known topic is {topic}")
            });
        FieldError::new(
            field,
            "unknown_topic",
            format!("no topic {shown} is in the catalogue{nearest}"),
        )
    }
}

/// What may be asked of a custom topic.
#[derive(Debug, Clone)]
pub enum Command {
    /// Put it into the catalogue, or change it.
    Define {
        /// What it is about, for people.
        description: String,
    },
    /// Take it out of the catalogue.
    Remove,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The topic's fields are wrong.
    #[error("the topic is not valid")]
    Invalid(Vec<FieldError>),
    /// There is no such custom topic.
    #[error("no such topic")]
    NotFound,
}

/// A custom topic as its events tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomTopic {
    is_defined: bool,
    description: String,
}

impl cqrs_es::Aggregate for CustomTopic {
    const TYPE: &'static str = "topic";
    type Command = Command;
    type Event = Event;
    type Error = Error;
    type Services = ();

    async fn handle(
        &mut self,
        command: Command,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Error> {
        match command {
            Command::Define { description } => {
                check_text("description", &description, 0..=DESCRIPTION_CHARACTERS_MAX)
                    .map_err(|error| Error::Invalid(vec![error]))?;
                if !self.is_defined || self.description != description {
                    sink.write(Event::Defined { description }, self).await;
                }
                Ok(())
            }
            Command::Remove if self.is_defined => {
                sink.write(Event::Removed, self).await;
                Ok(())
            }
            Command::Remove => Err(Error::NotFound),
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Defined { description } => {
                self.is_defined = true;
                self.description = description;
            }
            Event::Removed => *self = Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;

    fn catalogue() -> Catalogue {
        Catalogue::new([("order.placed".parse().unwrap(), "An order".to_owned())])
    }

    #[test]
    fn every_built_in_name_is_a_topic() {
        assert_eq!(Catalogue::new([]).iter().count(), BUILT_IN.len());
    }

    #[test]
    fn an_unknown_topic_is_answered_with_the_nearest() {
        let error = catalogue().check("event", "ticket.updatd").unwrap_err();
        assert_eq!(error.code, "unknown_topic");
        assert!(
            error.message.contains("ticket.updated"),
            "{}",
            error.message
        );
        let error = catalogue()
            .check_pattern("events[0]", "tickt.*")
            .unwrap_err();
        assert!(error.message.contains("ticket."), "{}", error.message);
    }

    #[test]
    fn custom_topics_stand_beside_the_built_in_ones() {
        assert!(catalogue().check("event", "order.placed").is_ok());
        assert!(catalogue().check_pattern("events[0]", "order.*").is_ok());
        assert!(!catalogue().get("order.placed").unwrap().1.is_built_in);
        assert!(catalogue().get("ticket.updated").unwrap().1.is_built_in);
    }

    #[test]
    fn a_removed_topic_cannot_be_removed_again() {
        let defined = Event::Defined {
            description: String::new(),
        };
        TestFramework::<CustomTopic>::with(())
            .given(vec![defined.clone(), Event::Removed])
            .when(Command::Remove)
            .then_expect_error(Error::NotFound);
        TestFramework::<CustomTopic>::with(())
            .given(vec![defined.clone()])
            .when(Command::Define {
                description: String::new(),
            })
            .then_expect_events(vec![]);
        TestFramework::<CustomTopic>::with(())
            .given(vec![defined])
            .when(Command::Remove)
            .then_expect_events(vec![Event::Removed]);
    }
}
