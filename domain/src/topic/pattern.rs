use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{InvalidTopic, Topic};

/// What a webhook subscribes to: a topic, all topics below a prefix (`ticket.*`), or all (`*`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Pattern {
    /// Every topic: `*`.
    All,
    /// Every topic below the prefix: `prefix.*`, at any depth.
    Below(Topic),
    /// This topic only.
    Only(Topic),
}

impl Pattern {
    /// Whether a message of this topic is meant.
    pub fn matches(&self, topic: &Topic) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => only == topic,
            Self::Below(prefix) => topic
                .as_str()
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.starts_with('.')),
        }
    }
}

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a topic (ticket.updated), all topics below a prefix (ticket.*) or all topics (*)")]
pub struct InvalidPattern;

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        if text == "*" {
            return Ok(Self::All);
        }
        let invalid = |_: InvalidTopic| InvalidPattern;
        match text.strip_suffix(".*") {
            Some(prefix) => prefix.parse().map(Self::Below).map_err(invalid),
            None => text.parse().map(Self::Only).map_err(invalid),
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Below(prefix) => write!(f, "{prefix}.*"),
            Self::Only(topic) => write!(f, "{topic}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prefix_ends_at_a_dot() {
        let pattern: Pattern = "ticket.*".parse().unwrap();
        let matches = |topic: &str| pattern.matches(&topic.parse().unwrap());
        assert!(matches("ticket.updated"));
        assert!(matches("ticket.sla.warning"));
        assert!(!matches("ticket"));
        assert!(!matches("tickets.updated"));
    }

    #[test]
    fn stars_elsewhere_are_refused() {
        for bad in [
            "",
            "*.updated",
            "ticket*",
            "ticket.*.x",
            "ticket..x",
            ".*",
            "**",
            "Ticket.x",
            "a b",
        ] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_topic_matches_itself_all_and_its_prefixes(segments in prop::collection::vec("[a-z0-9_-]{1,8}", 1..5)) {
            let topic: Topic = segments.join(".").parse().unwrap();
            prop_assert!(topic.as_str().parse::<Pattern>().unwrap().matches(&topic));
            prop_assert!(Pattern::All.matches(&topic));
            for n in 1..segments.len() {
                let pattern: Pattern = format!("{}.*", segments[..n].join(".")).parse().unwrap();
                prop_assert!(pattern.matches(&topic));
                prop_assert_eq!(pattern.to_string().parse::<Pattern>().unwrap(), pattern);
            }
        }
    }
}
