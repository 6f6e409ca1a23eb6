//! The headers of one try, as the contract's section 5 fixes them.

use std::collections::BTreeMap;

use hookledger_domain::signature::{self, Secret};
use http::header::{HeaderName, HeaderValue};

const EVENT: HeaderName = HeaderName::from_static("x-webhook-event");
const SIGNATURE: HeaderName = HeaderName::from_static("x-webhook-signature");
const SIGNATURE_PREVIOUS: HeaderName = HeaderName::from_static("x-webhook-signature-previous");
const DELIVERY: HeaderName = HeaderName::from_static("x-webhook-delivery");
const ATTEMPT: HeaderName = HeaderName::from_static("x-webhook-attempt");
const STANDARD_ID: HeaderName = HeaderName::from_static("webhook-id");
const STANDARD_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const STANDARD_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// What the headers of one try are made of.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// `dlv_…`
    pub delivery_id: &'a str,
    /// `msg_…`, the same on every try.
    pub message_id: &'a str,
    /// The message's topic.
    pub topic: &'a str,
    /// 1 for the delivery's first try.
    pub attempt: u32,
    /// When this try starts, in Unix seconds.
    pub timestamp: i64,
    /// The webhook's own headers, which passed
    /// [`headers::check`](hookledger_domain::webhook::headers::check).
    pub custom: &'a BTreeMap<String, String>,
    /// The live secrets, newest first, at least one.
    pub secrets: &'a [Secret],
    /// The exact bytes that will be sent.
    pub body: &'a [u8],
}

/// Why no headers could be made. What is in the ledger was checked before, so this is a fault of
/// this server, to be logged as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// There is no live secret to sign with.
    #[error("the webhook has no live secret")]
    NoSecret,
    /// A name or value that HTTP does not allow.
    #[error("the header {name:?} cannot be sent")]
    Header {
        /// The header's name; its value may be a secret.
        name: String,
    },
}

impl Envelope<'_> {
    /// Signs the body and makes the headers. The newest secret makes `X-Webhook-Signature`, the
    /// one before it `X-Webhook-Signature-Previous`, and every live one an entry of
    /// `webhook-signature`, as the Standard Webhooks specification has it for rotations.
    ///
    /// # Errors
    /// See [`Unsendable`].
    pub fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, Unsendable> {
        let newest = self.secrets.first().ok_or(Unsendable::NoSecret)?;
        let mut headers = Vec::with_capacity(self.custom.len() + 8);
        headers.push((EVENT, value(&EVENT, self.topic)?));
        headers.push((
            SIGNATURE,
            owned(&SIGNATURE, signature::github(newest, self.body))?,
        ));
        if let Some(previous) = self.secrets.get(1) {
            let signed = signature::github(previous, self.body);
            headers.push((SIGNATURE_PREVIOUS, owned(&SIGNATURE_PREVIOUS, signed)?));
        }
        headers.push((DELIVERY, value(&DELIVERY, self.delivery_id)?));
        headers.push((ATTEMPT, self.attempt.into()));
        headers.push((STANDARD_ID, value(&STANDARD_ID, self.message_id)?));
        headers.push((STANDARD_TIMESTAMP, self.timestamp.into()));
        headers.push((
            STANDARD_SIGNATURE,
            owned(&STANDARD_SIGNATURE, self.standard())?,
        ));
        for (name, value) in self.custom {
            headers.push(custom(name, value)?);
        }
        Ok(headers)
    }

    fn standard(&self) -> String {
        let mut entries = String::new();
        for secret in self.secrets {
            if !entries.is_empty() {
                entries.push(' ');
            }
            entries += &signature::standard(secret, self.message_id, self.timestamp, self.body);
        }
        entries
    }
}

fn value(name: &HeaderName, text: &str) -> Result<HeaderValue, Unsendable> {
    HeaderValue::from_str(text).map_err(|_| unsendable(name.as_str()))
}

fn owned(name: &HeaderName, text: String) -> Result<HeaderValue, Unsendable> {
    HeaderValue::try_from(text).map_err(|_| unsendable(name.as_str()))
}

/// A tenant's own header, as UTF-8. Marked sensitive, so that no `Debug` prints it.
fn custom(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Unsendable> {
    let parsed = HeaderName::try_from(name).map_err(|_| unsendable(name))?;
    let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| unsendable(name))?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

fn unsendable(name: &str) -> Unsendable {
    Unsendable::Header {
        name: name.to_owned(),
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    fn secrets() -> Vec<Secret> {
        let newest = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        vec![
            newest,
            Secret::from_bytes(&[1; 32]),
            Secret::from_bytes(&[2; 32]),
        ]
    }

    fn envelope<'a>(secrets: &'a [Secret], custom: &'a BTreeMap<String, String>) -> Envelope<'a> {
        Envelope {
            delivery_id: "dlv_1",
            message_id: ID,
            topic: "ticket.updated",
            attempt: 3,
            timestamp: 1_614_265_330,
            custom,
            secrets,
            body: BODY,
        }
    }

    fn texts(headers: &[(HeaderName, HeaderValue)]) -> BTreeMap<&str, &str> {
        headers
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str(),
                    std::str::from_utf8(value.as_bytes()).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn has_the_contracts_headers() {
        let (secrets, none) = (secrets(), BTreeMap::new());
        let headers = envelope(&secrets[..1], &none).headers().unwrap();
        let expected = BTreeMap::from([
            ("x-webhook-event", "ticket.updated".to_owned()),
            ("x-webhook-signature", signature::github(&secrets[0], BODY)),
            ("x-webhook-delivery", "dlv_1".to_owned()),
            ("x-webhook-attempt", "3".to_owned()),
            ("webhook-id", ID.to_owned()),
            ("webhook-timestamp", "1614265330".to_owned()),
            // The published vector of Standard Webhooks.
            (
                "webhook-signature",
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned(),
            ),
        ]);
        let found = texts(&headers);
        assert_eq!(found.len(), headers.len());
        assert_eq!(
            found,
            expected
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect()
        );
    }

    #[test]
    fn signs_with_every_live_secret() {
        let (secrets, none) = (secrets(), BTreeMap::new());
        let headers = envelope(&secrets, &none).headers().unwrap();
        let found = texts(&headers);
        assert_eq!(
            found["x-webhook-signature"],
            signature::github(&secrets[0], BODY)
        );
        assert_eq!(
            found["x-webhook-signature-previous"],
            signature::github(&secrets[1], BODY)
        );
        let standard = |secret| signature::standard(secret, ID, 1_614_265_330, BODY);
        let all: Vec<_> = secrets.iter().map(standard).collect();
        assert_eq!(found["webhook-signature"], all.join(" "));
    }

    #[test]
    fn adds_the_tenants_headers_and_hides_them() {
        let custom = BTreeMap::from([("Authorization".to_owned(), "Bearer é".to_owned())]);
        let secrets = secrets();
        let headers = envelope(&secrets, &custom).headers().unwrap();
        assert_eq!(texts(&headers)["authorization"], "Bearer é");
        assert!(!format!("{headers:?}").contains("Bearer"));
    }

    #[test]
    fn refuses_what_cannot_be_sent() {
        let none = BTreeMap::new();
        assert_eq!(envelope(&[], &none).headers(), Err(Unsendable::NoSecret));
        let split = BTreeMap::from([("x-a".to_owned(), "a\r\nb".to_owned())]);
        let name = "x-a".to_owned();
        assert_eq!(
            envelope(&secrets(), &split).headers(),
            Err(Unsendable::Header { name })
        );
    }
}
