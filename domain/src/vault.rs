//! The vault aggregate: which master key the ledger's secrets are sealed with. There is one, of no
//! tenant. It knows the key's id only.

use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

/// The id of the one vault of a ledger.
pub const ID: &str = "vault";

/// A vault as its events tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vault {
    adopted: Option<String>,
}

impl Vault {
    /// The id of the master key that was adopted last; `None` if none ever was.
    pub fn adopted(&self) -> Option<&str> {
        self.adopted.as_deref()
    }
}

/// What may be asked of the vault.
#[derive(Debug, Clone)]
pub enum Command {
    /// Secrets are sealed with this master key from now on.
    Adopt {
        /// The key's id.
        key_id: String,
    },
}

/// What happened to the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Secrets are sealed with this master key from then on. Whoever does not have it must not work
    /// on the ledger.
    KeyAdopted {
        /// The key's id, which does not tell the key.
        key_id: String,
    },
}

impl cqrs_es::DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::KeyAdopted { .. } => "key_adopted",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

impl cqrs_es::Aggregate for Vault {
    const TYPE: &'static str = "vault";
    type Command = Command;
    type Event = Event;
    type Error = std::convert::Infallible;
    type Services = ();

    async fn handle(
        &mut self,
        command: Command,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Self::Error> {
        let Command::Adopt { key_id } = command;
        if self.adopted() != Some(&key_id) {
            sink.write(Event::KeyAdopted { key_id }, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: Event) {
        let Event::KeyAdopted { key_id } = event;
        self.adopted = Some(key_id);
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;

    fn adopted(key_id: &str) -> Event {
        Event::KeyAdopted {
            key_id: key_id.to_owned(),
        }
    }

    fn adopt(key_id: &str) -> Command {
        Command::Adopt {
            key_id: key_id.to_owned(),
        }
    }

    #[test]
    fn a_key_is_adopted_once_and_a_newer_one_follows() {
        TestFramework::<Vault>::with(())
            .given_no_previous_events()
            .when(adopt("a"))
            .then_expect_events(vec![adopted("a")]);
        TestFramework::<Vault>::with(())
            .given(vec![adopted("a")])
            .when(adopt("a"))
            .then_expect_events(vec![]);
        TestFramework::<Vault>::with(())
            .given(vec![adopted("a")])
            .when(adopt("b"))
            .then_expect_events(vec![adopted("b")]);
    }

    #[test]
    fn the_key_that_was_adopted_last_counts() {
        let mut vault = Vault::default();
        assert_eq!(vault.adopted(), None);
        for key_id in ["a", "b", "a"] {
            cqrs_es::Aggregate::apply(&mut vault, adopted(key_id));
        }
        assert_eq!(vault.adopted(), Some("a"));
    }
}
