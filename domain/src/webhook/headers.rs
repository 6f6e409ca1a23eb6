//! Which headers a tenant may add to the requests of a webhook.

use std::collections::BTreeMap;

/// A webhook has this many headers of its own at most.
pub const COUNT_MAX: usize = 20;
/// Their names and values have this many bytes in sum at most.
pub const BYTES_MAX: usize = 4 * 1024;

/// Names that are ours or HTTP's to set, in lower case; a final `*` stands for anything. The
/// tenant's own would forge a signature, break the framing of the message, or lie about who asks.
const RESERVED: [&str; 14] = [
    "host",
    "content-*",
    "connection",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "proxy-*",
    "user-agent",
    "x-webhook-*",
    "webhook-*",
    "forwarded",
    "x-forwarded-*",
];

/// Checks a webhook's own headers (name to value).
///
/// # Errors
/// The first thing that is wrong, with the header's name; never its value, which may be a token.
pub fn check(headers: &BTreeMap<String, String>) -> Result<(), Refused> {
    if headers.len() > COUNT_MAX {
        return Err(Refused::TooMany {
            count: headers.len(),
        });
    }
    let bytes = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > BYTES_MAX {
        return Err(Refused::TooLong { bytes });
    }
    let mut seen = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        check_one(name, value)?;
        let lower = name.to_ascii_lowercase();
        if seen.contains(&lower) {
            return Err(Refused::Repeated { name: name.clone() });
        }
        seen.push(lower);
    }
    Ok(())
}

/// Why headers were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// More than [`COUNT_MAX`].
    #[error("a webhook may have at most {COUNT_MAX} headers, these are {count}")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// More than [`BYTES_MAX`].
    #[error("names and values of headers may have {BYTES_MAX} bytes in sum, these have {bytes}")]
    TooLong {
        /// How many they have.
        bytes: usize,
    },
    /// Not a token as RFC 9110, section 5.6.2 defines it.
    #[error("{name:?} is no header name: use letters, digits and !#$%&'*+-.^_`|~")]
    Name {
        /// The name as given.
        name: String,
    },
    /// Set by the server itself.
    #[error(
        "the header {name:?} is set by the server or by HTTP and cannot be configured; use another name"
    )]
    Reserved {
        /// The name as given.
        name: String,
    },
    /// The same name twice, in different case.
    #[error("the header {name:?} is given twice; names are the same in upper and lower case")]
    Repeated {
        /// The second one's name as given.
        name: String,
    },
    /// A line end, tab or other control character in the value.
    #[error("the value of the header {name:?} must not contain control characters")]
    Value {
        /// The name as given.
        name: String,
    },
}

impl Refused {
    /// The name of the header that was refused, if it was one.
    #[must_use]
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::TooMany { .. } | Self::TooLong { .. } => None,
            Self::Name { name }
            | Self::Reserved { name }
            | Self::Repeated { name }
            | Self::Value { name } => Some(name),
        }
    }
}

fn check_one(name: &str, value: &str) -> Result<(), Refused> {
    let owned = || name.to_owned();
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return Err(Refused::Name { name: owned() });
    }
    if is_reserved(name) {
        return Err(Refused::Reserved { name: owned() });
    }
    if value.chars().any(char::is_control) {
        return Err(Refused::Value { name: owned() });
    }
    Ok(())
}

fn is_reserved(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    RESERVED
        .iter()
        .any(|reserved| match reserved.strip_suffix('*') {
            Some(prefix) => lower.starts_with(prefix),
            None => lower == *reserved,
        })
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {

    use super::*;

    fn one(name: &str, value: &str) -> Result<(), Refused> {
        check(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn accepts_a_tenants_own() {
        for (name, value) in [
            ("Authorization", "Bearer abc"),
            ("x-api-key", ""),
            ("X-Webhooks", "not ours: no dash after it"),
            ("hosts", "1"),
            ("a!#$%&'*+-.^_`|~9", "é ☃"),
        ] {
            assert_eq!(one(name, value), Ok(()), "{name}");
        }
        assert_eq!(check(&BTreeMap::new()), Ok(()));
    }

    #[test]
    fn refuses_reserved_names_in_any_case() {
        for name in [
            "host",
            "HOST",
            "Content-Type",
            "content-length",
            "content-",
            "Connection",
            "Transfer-Encoding",
            "TE",
            "trailer",
            "Upgrade",
            "Expect",
            "Proxy-Authorization",
            "User-Agent",
            "X-Webhook-Signature",
            "x-webhook-anything",
            "Webhook-Id",
            "webhook-x",
            "Forwarded",
            "X-Forwarded-For",
        ] {
            assert_eq!(
                one(name, "1"),
                Err(Refused::Reserved {
                    name: name.to_owned()
                })
            );
        }
    }

    #[test]
    fn refuses_names_that_are_no_tokens() {
        for name in [
            "", " ", "a b", "a:", "a\r\nb", "é", "a\0", "(a)", "a/b", "\u{ff21}",
        ] {
            assert_eq!(
                one(name, "1"),
                Err(Refused::Name {
                    name: name.to_owned()
                })
            );
        }
    }

    #[test]
    fn refuses_control_characters_in_values_and_does_not_repeat_them() {
        for value in ["a\r\nX: y", "\t", "\0", "\u{7f}", "\u{85}", "secret\u{1b}"] {
            let error = one("x-a", value).unwrap_err();
            assert_eq!(
                error,
                Refused::Value {
                    name: "x-a".to_owned()
                }
            );
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn bounds_number_and_size() {
        let many = |n: usize| (0..n).map(|i| (format!("x-{i}"), String::new())).collect();
        assert_eq!(check(&many(20)), Ok(()));
        assert_eq!(check(&many(21)), Err(Refused::TooMany { count: 21 }));
        assert_eq!(one("x-aa", &"v".repeat(4092)), Ok(()));
        assert_eq!(
            one("x-aa", &"v".repeat(4093)),
            Err(Refused::TooLong { bytes: 4097 })
        );
    }

    #[test]
    fn refuses_the_same_name_twice() {
        let twice = BTreeMap::from([
            ("X-A".to_owned(), "1".to_owned()),
            ("x-a".to_owned(), "2".to_owned()),
        ]);
        assert_eq!(check(&twice).unwrap_err().header(), Some("x-a"));
    }
}
