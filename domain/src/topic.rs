//! Topics: what messages are about, and the catalogue of those that exist. A custom topic is an
//! aggregate of its own, whose id is its name.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::validation::{FieldError, check_text};

mod builtin;
mod event;
mod pattern;
pub mod schema;

pub use builtin::{BUILT_IN, built_in_description};
pub use event::Event;
pub use pattern::{InvalidPattern, Pattern};
pub use schema::Schema;

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
    /// What the data of its messages must meet.
    pub schema: Option<Arc<Schema>>,
    /// Whether Hookledger brings it along.
    pub is_built_in: bool,
    /// Whether the platform has put it there, or has changed a built-in one.
    pub is_custom: bool,
}

/// What the platform says about a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Which one.
    pub name: Topic,
    /// What it is about, for people.
    pub description: String,
    /// The text of its JSON Schema.
    pub schema: Option<String>,
}

/// The topics that exist. Subscribing to another one and publishing it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    topics: BTreeMap<Topic, Entry>,
}

impl Catalogue {
    /// The built-in topics with what the platform says over them.
    pub fn new(custom: impl IntoIterator<Item = Definition>) -> Self {
        let built_in = BUILT_IN.iter().filter_map(|(name, description)| {
            let entry = Entry {
                description: (*description).to_owned(),
                schema: None,
                is_built_in: true,
                is_custom: false,
            };
            Some((name.parse().ok()?, entry))
        });
        let built_in = Self {
            topics: built_in.collect(),
        };
        built_in.with(custom, |_| None)
    }

    /// The same with what the platform says now. Schemas that are still the same are not compiled
    /// again.
    #[must_use]
    pub fn renewed(&self, custom: impl IntoIterator<Item = Definition>) -> Self {
        let known = |topic: &Topic| self.topics.get(topic)?.schema.clone();
        Self::new([]).with(custom, known)
    }

    fn with(
        mut self,
        custom: impl IntoIterator<Item = Definition>,
        known: impl Fn(&Topic) -> Option<Arc<Schema>>,
    ) -> Self {
        for Definition {
            name,
            description,
            schema,
        } in custom
        {
            let schema = schema.map(|text| match known(&name) {
                Some(schema) if schema.text() == text => schema,
                _ => Arc::new(Schema::stored(&text)),
            });
            let entry = Entry {
                description,
                schema,
                is_built_in: self.topics.contains_key(&name),
                is_custom: true,
            };
            self.topics.insert(name, entry);
        }
        self
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
        /// The text of the JSON Schema that the data of its messages must meet.
        schema: Option<String>,
    },
    /// Take it out of the catalogue; a built-in one is then again as it was brought along.
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
    schema: Option<String>,
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
            Command::Define {
                description,
                schema,
            } => {
                check(&description, schema.as_deref()).map_err(Error::Invalid)?;
                let is_same = self.description == description && self.schema == schema;
                if !self.is_defined || !is_same {
                    let event = Event::Defined {
                        description,
                        schema,
                    };
                    sink.write(event, self).await;
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
            Event::Defined {
                description,
                schema,
            } => {
                self.is_defined = true;
                self.description = description;
                self.schema = schema;
            }
            Event::Removed => *self = Self::default(),
        }
    }
}

fn check(description: &str, schema: Option<&str>) -> Result<(), Vec<FieldError>> {
    let description = check_text("description", description, 0..=DESCRIPTION_CHARACTERS_MAX);
    let schema = schema.map_or(Ok(()), |text| Schema::parse(text).map(drop));
    let schema =
        schema.map_err(|invalid| FieldError::new("schema", "invalid_schema", invalid.to_string()));
    let errors: Vec<FieldError> = description.err().into_iter().chain(schema.err()).collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;

    fn definition(name: &str, schema: Option<&str>) -> Definition {
        Definition {
            name: name.parse().unwrap(),
            description: "Ours".to_owned(),
            schema: schema.map(str::to_owned),
        }
    }

    fn define(description: &str, schema: Option<&str>) -> Command {
        Command::Define {
            description: description.to_owned(),
            schema: schema.map(str::to_owned),
        }
    }

    fn defined(description: &str, schema: Option<&str>) -> Event {
        Event::Defined {
            description: description.to_owned(),
            schema: schema.map(str::to_owned),
        }
    }

    fn catalogue() -> Catalogue {
        Catalogue::new([definition("order.placed", None)])
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
    fn the_platforms_topics_are_all_there() {
        for (kind, words) in [
            (
                "ticket",
                &[
                    "created",
                    "updated",
                    "assigned",
                    "commented",
                    "closed",
                    "reopened",
                ][..],
            ),
            ("ticket", &["sla_warning", "sla_breached"]),
            ("service", &["created", "updated", "status_changed"]),
            ("service", &["outage_started", "outage_resolved"]),
            ("automation", &["started", "completed", "failed"]),
            ("webhook", &["test", "disabled"]),
        ] {
            for word in words {
                let name = format!("{kind}.{word}");
                assert!(catalogue().get(&name).is_some(), "{name}");
            }
        }
        assert!(catalogue().check_pattern("events[0]", "billing.*").is_ok());
    }

    #[test]
    fn a_built_in_topic_is_changed_and_comes_back() {
        let text = r#"{"type":"object"}"#;
        let changed = Catalogue::new([definition("ticket.created", Some(text))]);
        let (_, entry) = changed.get("ticket.created").unwrap();
        assert!(entry.is_built_in && entry.is_custom);
        assert_eq!(entry.description, "Ours");
        assert_eq!(entry.schema.as_ref().unwrap().text(), text);
        let back = changed.renewed([]);
        assert_eq!(back, Catalogue::new([]));
        assert!(!back.get("ticket.created").unwrap().1.is_custom);
    }

    #[test]
    fn schemas_that_stay_are_not_compiled_again() {
        let schema = |catalogue: &Catalogue| {
            let (_, entry) = catalogue.get("order.placed").unwrap();
            entry.schema.clone().unwrap()
        };
        let first = Catalogue::new([definition("order.placed", Some("true"))]);
        let same = first.renewed([definition("order.placed", Some("true"))]);
        assert_eq!(first, same);
        assert!(Arc::ptr_eq(&schema(&first), &schema(&same)));
        let other = same.renewed([definition("order.placed", Some("false"))]);
        assert_ne!(same, other);
        assert!(schema(&other).check("{}").is_err());
    }

    #[test]
    fn a_schema_is_set_changed_and_taken_away() {
        let given = |events| TestFramework::<CustomTopic>::with(()).given(events);
        let object = Some(r#"{"type":"object"}"#);
        given(vec![])
            .when(define("d", object))
            .then_expect_events(vec![defined("d", object)]);
        let before = || given(vec![defined("d", object)]);
        before()
            .when(define("d", object))
            .then_expect_events(vec![]);
        for schema in [None, Some("true")] {
            before()
                .when(define("d", schema))
                .then_expect_events(vec![defined("d", schema)]);
        }
        let long = "x".repeat(1001);
        let result = before().when(define(&long, Some("5"))).inspect_result();
        let Err(Error::Invalid(errors)) = result else {
            panic!("{result:?}")
        };
        let found: Vec<_> = errors.iter().map(|e| (e.field.as_str(), e.code)).collect();
        assert_eq!(
            found,
            [
                ("description", "invalid_length"),
                ("schema", "invalid_schema")
            ]
        );
    }

    /// Versions before there were schemas wrote none.
    #[test]
    fn a_definition_without_a_schema_is_read() {
        let event = serde_json::from_str(r#"{"defined":{"description":"d"}}"#).unwrap();
        assert_eq!(defined("d", None), event);
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"defined":{"description":"d"}}"#
        );
    }

    #[test]
    fn a_removed_topic_cannot_be_removed_again() {
        let defined = defined("", None);
        TestFramework::<CustomTopic>::with(())
            .given(vec![defined.clone(), Event::Removed])
            .when(Command::Remove)
            .then_expect_error(Error::NotFound);
        TestFramework::<CustomTopic>::with(())
            .given(vec![defined.clone()])
            .when(define("", None))
            .then_expect_events(vec![]);
        TestFramework::<CustomTopic>::with(())
            .given(vec![defined])
            .when(Command::Remove)
            .then_expect_events(vec![Event::Removed]);
    }
}
