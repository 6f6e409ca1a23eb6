//! Randomness: ids, secrets and the jitter of retries.

use std::sync::Mutex;

use chrono::{DateTime, Utc};
use hookledger_domain::ids::Sequence;
use rand::RngCore;

/// Makes ids that rise strictly within this process.
#[derive(Debug, Default)]
pub struct Ids {
    sequence: Mutex<Sequence>,
}

macro_rules! makers {
    ($($(#[$doc:meta])* $name:ident -> $id:ident;)+) => {
        impl Ids {
            $($(#[$doc])*
            pub fn $name(&self, now: DateTime<Utc>) -> hookledger_domain::ids::$id {
                let now = finely(now);
                let random = u128::from(rand::rng().next_u64()) << 64 | u128::from(rand::rng().next_u64());
                // A panic elsewhere leaves the sequence as usable as before.
                let mut sequence = self.sequence.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                hookledger_domain::ids::$id::from_uuid(sequence.next(now, random))
            })+
        }
    };
}

makers! {
    /// The id of a new webhook.
    webhook -> WebhookId;
    /// The id of a new message.
    message -> MessageId;
    /// The id of a new delivery.
    delivery -> DeliveryId;
    /// The id of an attempt that starts now.
    attempt -> AttemptId;
    /// The id of a new token.
    token -> TokenId;
    /// The id of a new recovery.
    recovery -> RecoveryId;
}

/// The moment `now`, which is cut to milliseconds, with the part of the millisecond that has passed:
/// so the ids that several nodes make one after the other rise, too.
fn finely(now: DateTime<Utc>) -> DateTime<Utc> {
    let passed = (Utc::now() - now).num_nanoseconds().unwrap_or(0);
    now + chrono::Duration::nanoseconds(passed.clamp(0, 999_999))
}

/// 32 random bytes from the operating system's generator by way of a cryptographic one.
pub fn secret_bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// An id for a request that brought none.
pub fn request_id() -> String {
    format!("req_{:032x}", rand::random::<u128>())
}

/// What tells one start of a process from all others.
pub fn node_id() -> uuid::Uuid {
    uuid::Uuid::from_u128(rand::random())
}

/// A number from 0 to 1.
pub fn fraction() -> f64 {
    rand::random::<f64>()
}
