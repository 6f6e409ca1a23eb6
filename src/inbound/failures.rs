//! How often something may fail to be verified that comes from one address.

use std::{convert::Infallible, net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use quick_cache::sync::Cache;

use super::network::network;

/// How many failures are told of at once.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);
/// How many a second after that.
const PER_SECOND: NonZeroU32 = NonZeroU32::MIN;
/// Of so many addresses it is known what failed; of others it is forgotten.
const ADDRESSES_MAX: usize = 10_000;

/// What failed, by address.
pub(super) struct Failures(Cache<IpAddr, Arc<DefaultDirectRateLimiter>>);

impl Failures {
    pub(super) fn new() -> Self {
        Self(Cache::new(ADDRESSES_MAX))
    }

    /// Notes a failure. If there were too many, says how long it takes until there may be one more.
    pub(super) fn note(&self, address: IpAddr) -> Result<(), Duration> {
        let quota = Quota::per_second(PER_SECOND).allow_burst(BURST);
        let make = || Ok::<_, Infallible>(Arc::new(RateLimiter::direct(quota)));
        let Ok(limiter) = self.0.get_or_insert_with(&network(address), make);
        let until = |not: governor::NotUntil<_>| not.wait_time_from(DefaultClock::default().now());
        limiter.check().map_err(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail_until_refused(failures: &Failures, address: &str) -> u32 {
        let address = address.parse().unwrap();
        (0..1000)
            .take_while(|_| failures.note(address).is_ok())
            .count() as u32
    }

    #[test]
    fn each_address_has_its_own_limit() {
        let failures = Failures::new();
        assert!(fail_until_refused(&failures, "192.0.2.1") >= BURST.get());
        let wait = failures.note("192.0.2.1".parse().unwrap()).unwrap_err();
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        assert!(failures.note("192.0.2.2".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_network_of_addresses_has_one_limit() {
        let failures = Failures::new();
        assert!(fail_until_refused(&failures, "2001:db8::1") >= BURST.get());
        assert!(failures.note("2001:db8::2:3:4:5".parse().unwrap()).is_err());
        assert!(failures.note("2001:db8:0:1::1".parse().unwrap()).is_ok());
        assert!(fail_until_refused(&failures, "::ffff:192.0.2.1") >= BURST.get());
        assert!(failures.note("192.0.2.1".parse().unwrap()).is_err());
    }

    #[test]
    fn what_is_known_is_bounded() {
        let failures = Failures::new();
        for number in 0..3 * ADDRESSES_MAX as u32 {
            let address = std::net::Ipv4Addr::from_bits(number);
            assert!(failures.note(address.into()).is_ok());
        }
        assert!(failures.0.len() <= ADDRESSES_MAX);
    }
}
