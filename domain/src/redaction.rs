//! Events without what may not be shown to anybody: sealed secrets, and the digests of tokens.

use serde_json::Value;

/// What stands where something was taken out.
pub const HIDDEN: &str = "[hidden]";

/// The members that hold such a thing, wherever they stand.
const SECRET_MEMBERS: [&str; 2] = ["sealed", "token_sha256"];

/// Takes out of an event's payload, of whatever aggregate and version, what may not be shown. Once
/// that is done, doing it again changes nothing.
pub fn redact(payload: &mut Value) {
    // No recursion: JSON may be nested deeper than the stack.
    let mut left = vec![payload];
    while let Some(value) = left.pop() {
        match value {
            Value::Array(values) => left.extend(values),
            Value::Object(members) => {
                for (name, value) in members {
                    if SECRET_MEMBERS.contains(&name.as_str()) {
                        *value = HIDDEN.into();
                    } else {
                        left.push(value);
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{
        delivery,
        fact::Fact,
        ids::TokenId,
        message,
        permission::Role,
        sealed::Sealed,
        tenant::{self, IssuedToken},
        topic, vault,
        webhook::{self, Config, PreviousSecret, SealedSecret},
    };

    const SECRET: &str = "k1.c2VhbGVk";

    fn secret(version: u64) -> SealedSecret {
        SealedSecret {
            version,
            sealed: Sealed::from_text(format!("{SECRET}{version}")),
        }
    }

    fn previous() -> Vec<PreviousSecret> {
        [2, 1]
            .map(|version| PreviousSecret {
                secret: secret(version),
                expires_at: DateTime::<Utc>::default(),
            })
            .to_vec()
    }

    /// Every kind of event that holds something secret, and how often.
    fn with_secrets() -> Vec<(Fact, usize)> {
        let registered = webhook::Event::Registered {
            tenant_id: "acme".parse().unwrap(),
            config: Config::default(),
            is_active: true,
            secret: secret(1),
        };
        let rotated = webhook::Event::SecretRotated {
            secret: secret(3),
            previous: previous(),
        };
        let resealed = webhook::Event::SecretsResealed {
            secret: secret(3),
            previous: previous(),
        };
        let issued = tenant::Event::TokenIssued(IssuedToken {
            token_id: TokenId::default(),
            name: "ci".to_owned(),
            role: Role::Admin,
            token_sha256: SECRET.to_owned(),
            expires_at: None,
        });
        vec![
            (registered.into(), 1),
            (rotated.into(), 3),
            (resealed.into(), 3),
            (issued.into(), 1),
        ]
    }

    fn payload(fact: &Fact) -> Value {
        serde_json::from_str(&fact.payload().unwrap()).unwrap()
    }

    #[test]
    fn secrets_are_hidden_and_the_rest_stays() {
        for (fact, count) in with_secrets() {
            let before = payload(&fact);
            let mut after = before.clone();
            redact(&mut after);
            let text = after.to_string();
            assert!(!text.contains(SECRET), "{text}");
            assert_eq!(text.matches(HIDDEN).count(), count, "{text}");
            // It is still the same event: only those texts are others.
            let read = Fact::read(fact.aggregate_type(), after.clone()).unwrap();
            assert_eq!(read.event_type(), fact.event_type());
            let mut again = after.clone();
            redact(&mut again);
            assert_eq!(again, after);
        }
        let mut rotated = payload(&with_secrets()[1].0);
        redact(&mut rotated);
        let shown = &rotated["secret_rotated"]["previous"][0];
        let expected =
            json!({"version": 2, "sealed": HIDDEN, "expires_at": "1970-01-01T00:00:00Z"});
        assert_eq!(shown, &expected);
    }

    #[test]
    fn events_without_secrets_stay_as_they_are() {
        let key_id = "0123456789abcdef".to_owned();
        let facts: [Fact; 7] = [
            tenant::Event::Suspended.into(),
            topic::Event::Removed.into(),
            vault::Event::KeyAdopted { key_id }.into(),
            webhook::Event::Changed {
                config: Config::default(),
            }
            .into(),
            message::Event::Accepted(message::Accepted::default()).into(),
            delivery::Event::Scheduled(delivery::Scheduled::default()).into(),
            crate::recovery::Event::Completed.into(),
        ];
        for fact in facts {
            let before = payload(&fact);
            let mut after = before.clone();
            redact(&mut after);
            assert_eq!(after, before);
        }
    }

    #[test]
    fn depth_is_no_danger() {
        let mut deep = json!({"sealed": SECRET});
        for _ in 0..300 {
            deep = json!([{ "x": deep }]);
        }
        redact(&mut deep);
        assert!(!deep.to_string().contains(SECRET));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z]{0,4}".prop_map(Value::from),
        ];
        let name = prop_oneof!["sealed", "token_sha256", "[a-z]{0,4}"];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            let object = prop::collection::btree_map(name.clone(), inner.clone(), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                object.prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_can_be_redacted_once_and_again(before in any_json()) {
            let mut once = before;
            redact(&mut once);
            let mut twice = once.clone();
            redact(&mut twice);
            prop_assert_eq!(twice, once);
        }
    }
}
