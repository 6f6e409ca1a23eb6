//! What has arrived of an answer, capped and made storable.
//!
//! It is filled while the answer comes in and outlives the reading, so that a deadline or a
//! broken connection in the middle of a body keeps what was read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hookledger_domain::delivery::attempt::Response;
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

/// Bytes of a body that are read before the connection is dropped: enough to end most answers
/// cleanly, so that their connection can be used again, too few for a receiver to keep us busy.
pub(super) const BODY_READ_BYTES_MAX: usize = 64 * 1024;
/// One incomplete UTF-8 character more than is kept, so that the cut falls between characters.
const BODY_RAW_BYTES_MAX: usize = Response::BODY_BYTES_MAX + 3;

/// An answer whose head has arrived.
pub(super) struct Received {
    status: http::StatusCode,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
    read_bytes: usize,
    is_whole: bool,
}

impl Received {
    pub(super) fn new(status: http::StatusCode, headers: &HeaderMap) -> Self {
        Self {
            status,
            headers: storable(headers),
            body: Vec::new(),
            read_bytes: 0,
            is_whole: false,
        }
    }

    pub(super) fn status(&self) -> http::StatusCode {
        self.status
    }

    /// Takes a piece of the body; `false` when no more is wanted.
    pub(super) fn push(&mut self, chunk: &[u8]) -> bool {
        let room = BODY_RAW_BYTES_MAX
            .saturating_sub(self.body.len())
            .min(chunk.len());
        self.body.extend_from_slice(&chunk[..room]);
        self.read_bytes = self.read_bytes.saturating_add(chunk.len());
        self.read_bytes < BODY_READ_BYTES_MAX
    }

    /// The body has ended.
    pub(super) fn finish(&mut self) {
        self.is_whole = true;
    }

    pub(super) fn into_response(self) -> Response {
        let mut text = String::from_utf8_lossy(&self.body).into_owned();
        // Postgres refuses NUL in a text.
        if text.contains('\0') {
            text = text.replace('\0', "\u{fffd}");
        }
        let is_cut = text.len() > Response::BODY_BYTES_MAX;
        text.truncate(text.floor_char_boundary(Response::BODY_BYTES_MAX));
        Response {
            status: self.status.as_u16(),
            headers: self.headers,
            body: text,
            body_truncated: is_cut || !self.is_whole,
        }
    }
}

/// Keeps names and values up to [`Response::HEADER_BYTES_MAX`] in sum. A header that does not fit
/// is left out whole, and smaller ones after it are kept. `Retry-After` comes first, because the
/// schedule goes by it.
fn storable(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    let mut room = Response::HEADER_BYTES_MAX;
    let retry_after = headers
        .get_all(RETRY_AFTER)
        .iter()
        .map(|value| (&RETRY_AFTER, value));
    let others = headers.iter().filter(|(name, _)| *name != RETRY_AFTER);
    for (name, value) in retry_after.chain(others) {
        keep(&mut kept, &mut room, name, value);
    }
    kept
}

fn keep(
    kept: &mut BTreeMap<String, String>,
    room: &mut usize,
    name: &HeaderName,
    value: &HeaderValue,
) {
    let value: Cow<'_, str> = String::from_utf8_lossy(value.as_bytes());
    let separator = ", ";
    let overhead = match kept.contains_key(name.as_str()) {
        true => separator.len(),
        false => name.as_str().len(),
    };
    let Some(rest) = room.checked_sub(overhead + value.len()) else {
        return;
    };
    *room = rest;
    kept.entry(name.as_str().to_owned())
        .and_modify(|joined| {
            joined.push_str(separator);
            joined.push_str(&value);
        })
        .or_insert_with(|| value.into_owned());
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;

    use super::*;

    fn received(body: &[u8]) -> Response {
        let mut received = Received::new(http::StatusCode::OK, &HeaderMap::new());
        received.push(body);
        received.finish();
        received.into_response()
    }

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_bytes(value.as_bytes()).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn keeps_16_kib_and_says_when_there_was_more() {
        let kept = received(&[b'a'; 16 * 1024]);
        assert_eq!((kept.body.len(), kept.body_truncated), (16 * 1024, false));
        let cut = received(&[b'a'; 16 * 1024 + 1]);
        assert_eq!((cut.body.len(), cut.body_truncated), (16 * 1024, true));
    }

    #[test]
    fn cuts_between_characters() {
        for character in ["é", "☃", "🦀"] {
            let text = format!("a{}", character.repeat(16 * 1024));
            let cut = received(text.as_bytes());
            assert!(text.starts_with(&cut.body) && cut.body_truncated);
            assert!(cut.body.len() > 16 * 1024 - 4);
        }
    }

    #[test]
    fn replaces_what_cannot_be_stored() {
        assert_eq!(received(b"a\0b\xff").body, "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn wants_no_more_after_64_kib() {
        let mut received = Received::new(http::StatusCode::OK, &HeaderMap::new());
        assert!(received.push(&[0; BODY_READ_BYTES_MAX - 1]));
        assert!(!received.push(&[0]));
    }

    #[test]
    fn joins_repeated_headers() {
        let kept = storable(&headers(&[("x-a", "1"), ("x-b", "é"), ("x-a", "2")]));
        assert_eq!(kept["x-a"], "1, 2");
        assert_eq!(kept["x-b"], "é");
    }

    #[test]
    fn caps_headers_but_keeps_retry_after_and_small_ones() {
        let large = "v".repeat(8 * 1024 - 15);
        let kept = storable(&headers(&[
            ("x-large", &large),
            ("x-small", "1"),
            ("retry-after", "9"),
        ]));
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["retry-after", "x-small"]);
    }

    proptest! {
        #[test]
        fn never_keeps_more_than_allowed(
            body in proptest::collection::vec(any::<u8>(), 0..20_000),
            list in proptest::collection::vec((0usize..9, "[ -~]{0,900}"), 0..40),
        ) {
            let names = ["a", "b", "c", "d", "e", "f", "g", "h", "retry-after"];
            let list: Vec<_> = list.iter().map(|(i, value)| (names[*i], value.as_str())).collect();
            let kept = storable(&headers(&list));
            let bytes: usize = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
            prop_assert!(bytes <= Response::HEADER_BYTES_MAX);
            let response = received(&body);
            prop_assert!(response.body.len() <= Response::BODY_BYTES_MAX);
            prop_assert!(!response.body.contains('\0'));
        }
    }
}
