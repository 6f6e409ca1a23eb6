//! How the views may be asked: filters, pages and cursors.

use std::{
    fmt::{self, Display},
    str::FromStr,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use hookledger_domain::{
    delivery::Status,
    ids::{DeliveryId, MessageId, WebhookId},
    stripe::StripeId,
    topic::Topic,
};

/// The most rows of a page.
pub const LIMIT_MAX: u32 = 200;
/// The rows of a page for which no limit was asked.
pub const LIMIT_DEFAULT: u32 = 50;

/// A part of a list: at most `limit` rows after the one that `after` names, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<Id> {
    /// At most this many rows, from 1 to [`LIMIT_MAX`].
    pub limit: u32,
    /// The last row of the page before.
    pub after: Option<Id>,
}

/// The rows of a page, and whether there are more.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows<Row, Id> {
    /// The rows, newest first.
    pub rows: Vec<Row>,
    /// Where the next page goes on, if there is one.
    pub next: Option<Id>,
}

impl<Row, Id> Rows<Row, Id> {
    /// Cuts the rows, of which one more than `limit` was asked for, to a page.
    pub fn cut(mut rows: Vec<Row>, limit: u32, id: impl Fn(&Row) -> Id) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = if has_more { rows.last().map(id) } else { None };
        Self { rows, next }
    }
}

/// A cursor that was not made by [`encode_cursor`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor of this list; take next_cursor of its last page")]
pub struct InvalidCursor;

/// The opaque text by which a client asks for what comes after `id`.
pub fn encode_cursor(id: &impl Display) -> String {
    URL_SAFE_NO_PAD.encode(id.to_string())
}

/// Reads a cursor back. It names a place, not a right: the query decides what is shown.
pub fn decode_cursor<Id: FromStr>(cursor: &str) -> Result<Id, InvalidCursor> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| InvalidCursor)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| InvalidCursor)?;
    text.parse().map_err(|_| InvalidCursor)
}

/// The last millisecond of the year 9999.
const MILLIS_MAX: i64 = 253_402_300_799_999;

/// The place of a callback without tenant in the list of them: when it arrived, and its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnassignedPlace {
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// Its id at Stripe.
    pub id: StripeId,
}

impl Display for UnassignedPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.received_at.timestamp_millis(), self.id)
    }
}

impl FromStr for UnassignedPlace {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (millis, id) = text.split_once(',').ok_or(InvalidCursor)?;
        let millis = millis.parse().map_err(|_| InvalidCursor)?;
        // What a database may call out of range was not made here.
        if !(0..=MILLIS_MAX).contains(&millis) {
            return Err(InvalidCursor);
        }
        Ok(Self {
            received_at: DateTime::from_timestamp_millis(millis).ok_or(InvalidCursor)?,
            id: id.parse().map_err(|_| InvalidCursor)?,
        })
    }
}

/// A stretch of time: from `from` (inclusive) to `to` (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The first moment that is meant.
    pub from: Option<DateTime<Utc>>,
    /// The first moment that is not meant any more.
    pub to: Option<DateTime<Utc>>,
}

/// Which deliveries are meant; an empty field means all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryFilter {
    /// To this webhook.
    pub webhook_id: Option<WebhookId>,
    /// About this topic.
    pub topic: Option<Topic>,
    /// That stand so.
    pub status: Option<Status>,
    /// Of this message.
    pub message_id: Option<MessageId>,
    /// That were scheduled then.
    pub created: Span,
}

/// Which attempts are meant; an empty field means all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttemptFilter {
    /// To this webhook.
    pub webhook_id: Option<WebhookId>,
    /// About this topic.
    pub topic: Option<Topic>,
    /// `true`: those that succeeded, `false`: those that failed.
    pub succeeded: Option<bool>,
    /// Answered with this status.
    pub response_status: Option<u16>,
    /// Of this delivery.
    pub delivery_id: Option<DeliveryId>,
    /// Of this message.
    pub message_id: Option<MessageId>,
    /// That started then.
    pub started: Span,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back() {
        let id = DeliveryId::default();
        assert_eq!(decode_cursor(&encode_cursor(&id)), Ok(id));
    }

    #[test]
    fn a_place_among_callbacks_reads_back() {
        let place = UnassignedPlace {
            received_at: DateTime::from_timestamp_millis(1_800_000_000_123).unwrap(),
            id: "evt_1".parse().unwrap(),
        };
        assert_eq!(decode_cursor(&encode_cursor(&place)), Ok(place));
        for bad in [
            "",
            "5",
            "5,",
            ",evt_1",
            "5,a b",
            "-1,evt_1",
            "253402300800000,evt_1",
            "99999999999999999999,a",
        ] {
            let cursor = encode_cursor(&bad);
            assert_eq!(
                decode_cursor::<UnassignedPlace>(&cursor),
                Err(InvalidCursor),
                "{bad}"
            );
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for bad in [
            "",
            "x",
            "!!!",
            "%00",
            &encode_cursor(&"msg_1"),
            &encode_cursor(&MessageId::default()),
        ] {
            assert_eq!(
                decode_cursor::<DeliveryId>(bad),
                Err(InvalidCursor),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_last_page_has_no_next() {
        let id = |n: &u32| *n;
        assert_eq!(
            Rows::cut(vec![3, 2, 1], 2, id),
            Rows {
                rows: vec![3, 2],
                next: Some(2)
            }
        );
        assert_eq!(
            Rows::cut(vec![3, 2], 2, id),
            Rows {
                rows: vec![3, 2],
                next: None
            }
        );
    }
}
