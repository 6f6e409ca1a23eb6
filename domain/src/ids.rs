//! Identifiers: UUIDv7 (RFC 9562) in lower-case hexadecimal behind a prefix that names the kind,
//! so that ids sort by the time at which they were made and a pasted id says what it is.

use std::{fmt, str::FromStr};

use chrono::{DateTime, TimeZone, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// A text that is no id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}_<32 hexadecimal digits>")]
pub struct InvalidId {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What stands before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps a UUID made by [`Sequence::next`].
            pub fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// What stands behind the prefix.
            pub fn uuid(&self) -> Uuid {
                self.0
            }

            /// The smallest id that can have been made at `time`: a bound for ranges of ids.
            pub fn first_at(time: DateTime<Utc>) -> Self {
                Self(first_at(time))
            }

            /// The moment at which the id was made, to the millisecond.
            pub fn time(&self) -> DateTime<Utc> {
                time_of(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse(text, $prefix).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self(Uuid::nil())
            }
        }
    };
}

id!(
    /// A webhook: a tenant's registration.
    WebhookId, "wh"
);
id!(
    /// A message that the platform published.
    MessageId, "msg"
);
id!(
    /// One message to one webhook.
    DeliveryId, "dlv"
);
id!(
    /// One HTTP try of a delivery.
    AttemptId, "att"
);
id!(
    /// An API token.
    TokenId, "tok"
);
id!(
    /// A recovery: many deliveries of a webhook that are sent again.
    RecoveryId, "rec"
);

fn parse(text: &str, prefix: &'static str) -> Result<Uuid, InvalidId> {
    let invalid = InvalidId { prefix };
    let digits = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .ok_or(invalid.clone())?;
    // One spelling only: an id is compared as text elsewhere.
    let is_canonical = digits.len() == 32
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !is_canonical {
        return Err(invalid);
    }
    Uuid::try_parse(digits).map_err(|_| invalid)
}

/// Bits of an id below those of the milliseconds: 12 for their fraction, 62 for randomness.
const LOW_BITS: u32 = 74;
const RANDOM_BITS: u32 = 62;

fn first_at(time: DateTime<Utc>) -> Uuid {
    let millis = u64::try_from(time.timestamp_millis()).unwrap_or(0);
    assemble(millis, 0)
}

fn time_of(uuid: &Uuid) -> DateTime<Utc> {
    let millis = i64::try_from(uuid.as_u128() >> 80).unwrap_or(0);
    Utc.timestamp_millis_opt(millis)
        .single()
        .unwrap_or_default()
}

/// Lays out a UUIDv7: 48 bits of milliseconds, the version, 12 bits, the variant, 62 bits.
fn assemble(millis: u64, random: u128) -> Uuid {
    let millis = u128::from(millis) & ((1 << 48) - 1);
    let high = (random >> 62) & ((1 << 12) - 1);
    let low = random & ((1 << 62) - 1);
    Uuid::from_u128(millis << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)
}

/// Makes UUIDv7s that rise strictly, also within one moment and when the clock steps back (RFC 9562,
/// section 6.2, methods 3 and 2: the fraction of the millisecond, then a counter with a random
/// start). So ids that several processes make one after the other rise, too, as far as their clocks
/// agree.
#[derive(Debug, Default)]
pub struct Sequence {
    last: u128,
}

impl Sequence {
    /// The next id for the moment `now`, of which the parts of a millisecond count; `random` are
    /// fresh random bits.
    pub fn next(&mut self, now: DateTime<Utc>, random: u128) -> Uuid {
        let millis = u128::try_from(now.timestamp_millis()).unwrap_or(0);
        let nanos = u128::from(now.timestamp_subsec_nanos()) % 1_000_000;
        let fraction = (nanos << 12) / 1_000_000;
        // The top bit of the randomness stays free so that there is room to rise.
        let random_start = random & ((1 << (RANDOM_BITS - 1)) - 1);
        let moment = millis << LOW_BITS | fraction << RANDOM_BITS | random_start;
        let step = 1 + (random & 0xffff_ffff);
        self.last = moment.max(self.last + step);
        let low = self.last & ((1 << LOW_BITS) - 1);
        let millis = u64::try_from(self.last >> LOW_BITS).unwrap_or(u64::MAX);
        assemble(millis, low)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_rise_whatever_the_clock_does(steps in prop::collection::vec((0i64..3, any::<u128>()), 2..200)) {
            let mut sequence = Sequence::default();
            let mut last = None;
            for (step, random) in steps {
                let now = Utc.timestamp_millis_opt(1_800_000_000_000 + step).unwrap();
                let id = sequence.next(now, random);
                prop_assert_eq!(id.get_version_num(), 7);
                prop_assert!(Some(id) > last);
                last = Some(id);
            }
        }

        #[test]
        fn ids_of_two_processes_rise_with_the_time(
            micros in 0i64..1_000_000, later in 1i64..1_000_000, random in any::<(u128, u128)>(),
        ) {
            let start = Utc.timestamp_millis_opt(1_800_000_000_000).unwrap();
            let then = start + chrono::Duration::microseconds(micros);
            let id = Sequence::default().next(then, random.0);
            let later = then + chrono::Duration::microseconds(later);
            prop_assert!(id < Sequence::default().next(later, random.1));
        }

        #[test]
        fn ids_read_back(random in any::<u128>(), millis in 0i64..4_000_000_000_000) {
            let now = Utc.timestamp_millis_opt(millis).unwrap();
            let id = DeliveryId::from_uuid(Sequence::default().next(now, random));
            prop_assert_eq!(id.to_string().parse::<DeliveryId>(), Ok(id));
            if millis > 0 {
                prop_assert_eq!(id.time(), now);
                prop_assert!(DeliveryId::first_at(now) <= id);
            }
        }
    }

    #[test]
    fn other_spellings_are_no_ids() {
        let id = "dlv_0190a1b2c3d47e5f8a9b0c1d2e3f4a5b";
        assert!(id.parse::<DeliveryId>().is_ok());
        for bad in [
            "",
            "dlv_",
            "msg_0190a1b2c3d47e5f8a9b0c1d2e3f4a5b",
            "dlv_0190A1B2C3D47E5F8A9B0C1D2E3F4A5B",
            "dlv_0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
            "dlv_0190a1b2c3d47e5f8a9b0c1d2e3f4a5b0",
        ] {
            assert!(bad.parse::<DeliveryId>().is_err(), "{bad}");
        }
    }
}
