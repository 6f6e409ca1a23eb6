//! What each event did to a webhook, in words and field by field.

use cqrs_es::Aggregate;
use serde_json::{Value, json};

use super::{DisableReason, Event, PreviousSecret, Webhook};
use crate::{actor::Actor, clock::rfc3339};

/// A field that an event gave another value.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its name, as on the wire.
    pub field: &'static str,
    /// Its value before; null when the webhook was registered.
    pub before: Value,
    /// Its value since.
    pub after: Value,
}

/// What an event did.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// One sentence for people.
    pub summary: String,
    /// The fields that have another value since. Of a webhook that was registered: those that are not
    /// at their default. Secrets are none of them.
    pub changes: Vec<Change>,
}

/// Applies an event to a webhook and tells what `actor` did by it.
pub fn tell(webhook: &mut Webhook, event: Event, actor: &Actor) -> Told {
    let is_registration = matches!(event, Event::Registered { .. });
    let before = webhook.clone();
    webhook.apply(event.clone());
    let compared_with = if is_registration {
        fields(&Webhook {
            is_active: true,
            ..Webhook::default()
        })
    } else {
        fields(&before)
    };
    let changes: Vec<Change> = compared_with
        .into_iter()
        .zip(fields(webhook))
        .filter(|((_, before), (_, after))| before != after)
        .map(|((field, before), (_, after))| Change {
            field,
            before: if is_registration { Value::Null } else { before },
            after,
        })
        .collect();
    let did = did(&before, &event, &changes);
    Told {
        summary: format!("{} {did}", actor.called()),
        changes,
    }
}

/// What a webhook looks like on the wire, as far as it can be changed.
fn fields(webhook: &Webhook) -> [(&'static str, Value); 13] {
    let config = &webhook.config;
    let reason = webhook.disabled_reason.map(DisableReason::as_str);
    [
        ("name", json!(config.name)),
        ("description", json!(config.description)),
        ("url", json!(config.url)),
        ("events", json!(config.events)),
        ("headers", json!(config.headers)),
        ("filter", json!(config.filter)),
        ("ordering", json!(config.ordering)),
        ("rate_limit", json!(config.rate_limit)),
        ("max_in_flight", json!(config.max_in_flight)),
        ("timeout_seconds", json!(config.timeout_seconds)),
        ("retry_schedule", json!(config.retry_schedule)),
        ("is_active", json!(webhook.is_active)),
        ("disabled_reason", json!(reason)),
    ]
}

/// The rest of a sentence that begins with whoever did it.
fn did(before: &Webhook, event: &Event, changes: &[Change]) -> String {
    match event {
        Event::Registered {
            is_active: true, ..
        } => "registered it".to_owned(),
        Event::Registered {
            is_active: false, ..
        } => "registered it, switched off".to_owned(),
        Event::Changed { .. } => {
            let names: Vec<&str> = changes.iter().map(|change| change.field).collect();
            format!("changed {}", listed(&names))
        }
        Event::Activated => "switched it on".to_owned(),
        Event::Deactivated => "switched it off".to_owned(),
        Event::Disabled {
            reason: DisableReason::Gone,
        } => "switched it off: the receiver is gone".to_owned(),
        Event::Disabled {
            reason: DisableReason::Failing,
        } => "switched it off: all attempts had failed for too long".to_owned(),
        Event::SecretRotated { previous, .. } => rotated(before, previous),
        Event::SecretsResealed { .. } => {
            "sealed its secrets with another master key; they stay the same".to_owned()
        }
        Event::Deleted => "deleted it".to_owned(),
    }
}

fn rotated(before: &Webhook, previous: &[PreviousSecret]) -> String {
    let old = previous
        .iter()
        .find(|previous| previous.secret.version == before.secret.version);
    match old {
        Some(old) => format!(
            "rotated the secret; the old one is valid until {}",
            rfc3339(old.expires_at)
        ),
        None => "rotated the secret; the old one is not valid any more".to_owned(),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;
    use crate::{
        actor::ActorKind,
        sealed::Sealed,
        webhook::{Config, SealedSecret},
    };

    fn ann() -> Actor {
        Actor {
            kind: ActorKind::Token,
            id: "tok_1".into(),
            name: "Ann".into(),
        }
    }

    fn secret(version: u64) -> SealedSecret {
        SealedSecret {
            version,
            sealed: Sealed::from_text(format!("sealed {version}")),
        }
    }

    fn config() -> Config {
        Config {
            name: "Orders".to_owned(),
            url: "https://example.com/hook".to_owned(),
            events: vec!["ticket.*".parse().unwrap()],
            ..Config::default()
        }
    }

    fn registered(is_active: bool) -> Event {
        Event::Registered {
            tenant_id: "acme".parse().unwrap(),
            config: config(),
            is_active,
            secret: secret(1),
        }
    }

    fn registered_webhook() -> Webhook {
        let mut webhook = Webhook::default();
        tell(&mut webhook, registered(true), &ann());
        webhook
    }

    fn change(field: &'static str, before: Value, after: Value) -> Change {
        Change {
            field,
            before,
            after,
        }
    }

    #[test]
    fn a_registration_lists_what_is_not_at_its_default() {
        let mut webhook = Webhook::default();
        let told = tell(&mut webhook, registered(true), &ann());
        assert_eq!(told.summary, "Ann registered it");
        let expected = [
            change("name", Value::Null, json!("Orders")),
            change("url", Value::Null, json!("https://example.com/hook")),
            change("events", Value::Null, json!(["ticket.*"])),
        ];
        assert_eq!(told.changes, expected);
        assert!(webhook.exists());

        let told = tell(&mut Webhook::default(), registered(false), &ann());
        assert_eq!(told.summary, "Ann registered it, switched off");
        let is_active = change("is_active", Value::Null, json!(false));
        assert_eq!(told.changes.last(), Some(&is_active));
    }

    #[test]
    fn a_change_names_the_fields_with_both_values() {
        let mut webhook = registered_webhook();
        let event = Event::Changed {
            config: Config {
                url: "https://example.com/new".to_owned(),
                events: vec!["*".parse().unwrap()],
                filter: Some("true".to_owned()),
                retry_schedule: Some(vec![5]),
                ..config()
            },
        };
        let told = tell(&mut webhook, event, &ann());
        assert_eq!(
            told.summary,
            "Ann changed url, events, filter and retry_schedule"
        );
        let expected = [
            change(
                "url",
                json!("https://example.com/hook"),
                json!("https://example.com/new"),
            ),
            change("events", json!(["ticket.*"]), json!(["*"])),
            change("filter", Value::Null, json!("true")),
            change("retry_schedule", Value::Null, json!([5])),
        ];
        assert_eq!(told.changes, expected);
        let back = tell(&mut webhook, Event::Changed { config: config() }, &ann());
        assert_eq!(back.changes.len(), 4);
        assert_eq!(back.changes[0].after, expected[0].before);
    }

    #[test]
    fn switching_tells_who_and_why() {
        let system = Actor::system("gone");
        let off = [change("is_active", json!(true), json!(false))];
        let mut webhook = registered_webhook();
        let told = tell(&mut webhook, Event::Deactivated, &ann());
        assert_eq!(told.summary, "Ann switched it off");
        assert_eq!(told.changes, off);
        let told = tell(&mut webhook, Event::Activated, &Actor::platform());
        assert_eq!(told.summary, "The platform switched it on");
        for (reason, why) in [
            (DisableReason::Gone, "the receiver is gone"),
            (
                DisableReason::Failing,
                "all attempts had failed for too long",
            ),
        ] {
            let told = tell(&mut webhook, Event::Disabled { reason }, &system);
            assert_eq!(told.summary, format!("Hookledger switched it off: {why}"));
            let noted = change("disabled_reason", Value::Null, json!(reason.as_str()));
            assert_eq!(told.changes, [off[0].clone(), noted]);
            let told = tell(&mut webhook, Event::Activated, &ann());
            assert_eq!(told.changes.len(), 2);
        }
    }

    #[test]
    fn secrets_are_told_of_and_not_told() {
        let mut webhook = registered_webhook();
        let rotated = |version, grace: bool| Event::SecretRotated {
            secret: secret(version),
            previous: grace
                .then(|| PreviousSecret {
                    secret: secret(version - 1),
                    expires_at: chrono::Utc.timestamp_opt(1_800_000_000, 0).unwrap(),
                })
                .into_iter()
                .collect(),
        };
        let told = tell(&mut webhook, rotated(2, true), &ann());
        assert_eq!(
            told.summary,
            "Ann rotated the secret; the old one is valid until 2027-01-15T08:00:00.000Z"
        );
        assert_eq!(told.changes, []);
        let told = tell(&mut webhook, rotated(3, false), &ann());
        assert_eq!(
            told.summary,
            "Ann rotated the secret; the old one is not valid any more"
        );
        let resealed = Event::SecretsResealed {
            secret: secret(3),
            previous: Vec::new(),
        };
        let told = tell(&mut webhook, resealed, &Actor::platform());
        assert_eq!(
            told.summary,
            "The platform sealed its secrets with another master key; they stay the same"
        );
        let told = tell(&mut webhook, Event::Deleted, &ann());
        assert_eq!(told.summary, "Ann deleted it");
        assert_eq!(told.changes, []);
        assert!(!webhook.exists());
    }
}
