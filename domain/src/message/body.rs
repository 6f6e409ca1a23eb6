//! The bytes that receivers get.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use serde_json::value::RawValue;

/// Makes a message's body: exactly the keys `event`, `timestamp` and `data`, in this order,
/// without white space around them.
///
/// It is made once, when the message is accepted; every attempt sends these bytes, because they
/// are what is signed. `data` is copied as the publisher wrote it, so the order of its keys and
/// the digits of its numbers stay.
#[must_use]
pub fn body(event: &str, timestamp: DateTime<Utc>, data: &RawValue) -> Vec<u8> {
    let timestamp = timestamp.to_rfc3339_opts(SecondsFormat::Millis, true);
    // A topic needs no escapes, but this function's output is JSON for any text.
    let event = Value::from(event);
    format!(r#"{{"event":{event},"timestamp":"{timestamp}","data":{data}}}"#).into_bytes()
}

/// The data in a body that was made here.
pub fn data(body: &[u8]) -> Result<&str, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    serde_json::from_slice::<Body<'_>>(body).map(|body| body.data.get())
}

#[cfg(test)]
mod tests {

    use super::*;

    fn made(event: &str, timestamp: &str, data: &str) -> String {
        let timestamp = DateTime::parse_from_rfc3339(timestamp).unwrap().to_utc();
        let data = RawValue::from_string(data.to_owned()).unwrap();
        String::from_utf8(body(event, timestamp, &data)).unwrap()
    }

    #[test]
    fn has_three_keys_in_order_and_utc_milliseconds() {
        assert_eq!(
            made(
                "ticket.updated",
                "2026-03-25T00:11:25.0009+01:00",
                r#"{"id":1}"#
            ),
            r#"{"event":"ticket.updated","timestamp":"2026-03-24T23:11:25.000Z","data":{"id":1}}"#,
        );
    }

    #[test]
    fn keeps_data_as_it_was_written() {
        let data = r#"{"z":1.10,"a":10000000000000000000001, "é":"\u00e9","a":null}"#;
        let text = made("a", "2026-01-01T00:00:00Z", data);
        assert!(text.ends_with(&format!(r#""data":{data}}}"#)), "{text}");
    }

    #[test]
    fn has_the_data_in_it() {
        for text in ["{}", r#"{ "data": {"a":[1,"\ud800"]} }"#] {
            let made = made("a", "2026-01-01T00:00:00Z", text);
            assert_eq!(data(made.as_bytes()).unwrap(), text);
        }
        let nested = format!(r#"{{"a":{}{}}}"#, "[".repeat(127), "]".repeat(127));
        let made = made("a", "2026-01-01T00:00:00Z", &nested);
        assert_eq!(data(made.as_bytes()).unwrap(), nested);
        assert!(data(b"{}").is_err());
    }

    #[test]
    fn is_json_for_any_topic() {
        let text = made("a\"\n", "2026-01-01T00:00:00Z", "{}");
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap()["event"],
            "a\"\n"
        );
    }
}
