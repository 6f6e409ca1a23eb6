//! Bodies of messages that are kept at hand between acceptance and the first attempt, so that an
//! attempt needs no read. Their sum is bounded; what does not fit is read from the store.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

/// How many bytes of bodies are kept at hand in the whole process.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// What a delivery that waits with its body in memory takes besides it, at most.
const DELIVERY_BYTES: usize = 1024;

/// The sum of the bodies at hand.
#[derive(Debug, Clone, Default)]
pub(super) struct Bodies {
    used: Arc<AtomicUsize>,
}

/// A body at hand; counts until its last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct Body(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    bytes: Bytes,
    size: usize,
    used: Arc<AtomicUsize>,
}

impl Bodies {
    /// Keeps the body of so many deliveries at hand if there is room for it and them.
    pub(super) fn keep(&self, bytes: Bytes, deliveries: usize) -> Option<Body> {
        let size = bytes.len() + deliveries * DELIVERY_BYTES;
        let fits = |used: usize| (used + size <= BYTES_MAX).then_some(used + size);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .ok()?;
        Some(Body(Arc::new(Counted {
            bytes,
            size,
            used: self.used.clone(),
        })))
    }
}

impl Body {
    /// The bytes themselves.
    pub(super) fn bytes(&self) -> Bytes {
        self.0.bytes.clone()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.used.fetch_sub(self.size, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_comes_back_with_the_last_clone() {
        let bodies = Bodies::default();
        let half = Bytes::from(vec![0; BYTES_MAX / 2]);
        let first = bodies.keep(half.clone(), 0).unwrap();
        let second = bodies.keep(half.clone(), 0).unwrap();
        assert!(bodies.keep(Bytes::from_static(b"x"), 0).is_none());
        let clone = first.clone();
        drop(first);
        assert!(bodies.keep(Bytes::from_static(b"x"), 0).is_none());
        drop(clone);
        assert!(bodies.keep(half, 0).is_some());
        drop(second);
    }
}
