//! How much may be in memory of what is not verified yet: anybody may bring something.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use quick_cache::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::network::network;

/// Of all together, in KiB.
const ALL_KIB: usize = 64 * 1024;
/// Of one network, in KiB: the others have room then, too.
const NETWORK_KIB: usize = 8 * 1024;
/// Of so many networks it is known what they have; what others bring counts for all only.
const NETWORKS_MAX: usize = 1000;

/// The room that there is.
pub(super) struct Room {
    all: Arc<Semaphore>,
    networks: Cache<IpAddr, Arc<Semaphore>>,
}

/// The room that one body takes. It is given back when this is dropped.
pub struct Space {
    all: Arc<Semaphore>,
    network: Arc<Semaphore>,
    bytes: usize,
    held: Vec<OwnedSemaphorePermit>,
    kib: usize,
}

/// There is none left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much arrives at once")]
pub struct Full;

impl Room {
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(ALL_KIB)),
            networks: Cache::new(NETWORKS_MAX),
        }
    }

    /// Begins a body from this address.
    pub(super) fn begin(&self, address: IpAddr) -> Space {
        let make = || Ok::<_, Infallible>(Arc::new(Semaphore::new(NETWORK_KIB)));
        let Ok(network) = self.networks.get_or_insert_with(&network(address), make);
        Space {
            all: self.all.clone(),
            network,
            bytes: 0,
            held: Vec::new(),
            kib: 0,
        }
    }
}

impl Space {
    /// Takes room for so many further bytes of the body.
    ///
    /// # Errors
    /// There is no room for them.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        self.bytes = self.bytes.saturating_add(bytes);
        // The body as a whole counts, in however many pieces it comes.
        let more = self.bytes.div_ceil(1024) - self.kib;
        let permits = u32::try_from(more).map_err(|_| Full)?;
        if permits == 0 {
            return Ok(());
        }
        for semaphore in [&self.network, &self.all] {
            let permit = semaphore.clone().try_acquire_many_owned(permits);
            self.held.push(permit.map_err(|_| Full)?);
        }
        self.kib += more;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_network_does_not_take_the_room_of_all() {
        let room = Room::new();
        let mut bodies: Vec<Space> = (0..9).map(|_| room.begin(address("192.0.2.1"))).collect();
        let taken: Vec<bool> = bodies
            .iter_mut()
            .map(|body| body.grow(MIB).is_ok())
            .collect();
        assert_eq!(taken, [[true; 8].as_slice(), &[false]].concat());
        assert_eq!(room.begin(address("2001:db8::1")).grow(MIB), Ok(()));
        drop(bodies);
        assert_eq!(room.begin(address("192.0.2.1")).grow(8 * MIB), Ok(()));
    }

    #[test]
    fn all_together_have_a_bound() {
        let room = Room::new();
        let mut bodies = Vec::new();
        for number in 0..8 {
            let mut body = room.begin(address(&format!("192.0.2.{number}")));
            body.grow(8 * MIB).unwrap();
            bodies.push(body);
        }
        assert_eq!(room.begin(address("192.0.2.100")).grow(1), Err(Full));
        bodies.pop();
        assert_eq!(room.begin(address("192.0.2.100")).grow(1), Ok(()));
    }

    #[test]
    fn many_small_pieces_take_no_more_room_than_one() {
        let room = Room::new();
        let mut body = room.begin(address("192.0.2.1"));
        for _ in 0..MIB {
            body.grow(1).unwrap();
        }
        assert_eq!(room.all.available_permits(), ALL_KIB - 1024);
        drop(body);
        assert_eq!(room.all.available_permits(), ALL_KIB);
    }
}
