//! How often routes were decided by: one for each flow that began by a route and each packet that was judged by one and denied; of packet mode,
//! which decides nothing anew, packets, of which one in each burst is counted for all.

use std::net::IpAddr;

use super::counters::Counter;
use super::tally::Tally;
use crate::ids::VrfId;
use crate::tables::Snapshot;

/// Rows of a worker. Routes beyond them are counted together.
const ROWS: usize = 16_384;

/// One worker's.
pub struct RouteHits {
    routes: Tally<3>,
    turns: Counter,
}

/// A route: of a VRF, to a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Of {
    pub vrf: VrfId,
    pub address: IpAddr,
    pub length: u8,
}

impl Default for RouteHits {
    fn default() -> RouteHits {
        RouteHits { routes: Tally::new(ROWS), turns: Counter::default() }
    }
}

impl RouteHits {
    /// Counts a decision about this destination by a route to so long a prefix; the owning worker only.
    #[inline(always)]
    pub fn add(&self, snapshot: &Snapshot, (vrf, destination, length): (VrfId, IpAddr, u8), more: i64) {
        let is_there = |key: [u64; 3]| Of::from_key(key).is_there(snapshot);
        self.routes.add(key(vrf, destination, length), more, is_there);
    }

    /// Which one of so many is counted for all; the owning worker only.
    #[inline(always)]
    pub fn turn(&self, frames: usize) -> usize {
        self.turns.add(1);
        (self.turns.count() % frames.max(1) as u64) as usize
    }

    /// What was counted so far; any thread.
    pub fn read(&self) -> impl Iterator<Item = (Of, u64)> + '_ {
        self.routes.read().map(|(key, count)| (Of::from_key(key), count))
    }

    /// Decisions by routes that found no row; any thread.
    pub fn rest(&self) -> u64 {
        self.routes.rest()
    }
}

/// The prefix, and vrf (32 bits) | version of IP (8 bits) | length (8 bits).
#[inline(always)]
fn key(vrf: VrfId, destination: IpAddr, length: u8) -> [u64; 3] {
    let of = |version: u64| u64::from(vrf.0) << 16 | version << 8 | u64::from(length);
    match destination {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            [0, u64::from(address.to_bits() & mask), of(4)]
        }
        IpAddr::V6(address) => {
            let masked = address.to_bits() & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            [(masked >> 64) as u64, masked as u64, of(6)]
        }
    }
}

impl Of {
    fn from_key([high, low, of]: [u64; 3]) -> Of {
        let address = match of >> 8 & 0xff {
            4 => IpAddr::V4((low as u32).into()),
            _ => IpAddr::V6((u128::from(high) << 64 | u128::from(low)).into()),
        };
        Of { vrf: VrfId((of >> 16) as u32), address, length: of as u8 }
    }

    /// Whether there is such a route yet.
    pub fn is_there(&self, snapshot: &Snapshot) -> bool {
        let Some(vrf) = snapshot.vrfs.row(self.vrf.index()) else { return false };
        match self.address {
            IpAddr::V4(address) => vrf.v4.exact(address.to_bits(), self.length).is_some(),
            IpAddr::V6(address) => vrf.v6.exact(address.to_bits(), self.length).is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_s_key_says_which_it_is() {
        for (destination, length, address) in [
            ("10.1.2.3", 32, "10.1.2.3"),
            ("10.1.2.3", 16, "10.1.0.0"),
            ("10.1.2.3", 0, "0.0.0.0"),
            ("fd01:2::3", 128, "fd01:2::3"),
            ("fd01:2::3", 32, "fd01:2::"),
            ("fd01:2::3", 0, "::"),
        ] {
            let of = Of::from_key(key(VrfId(7_000_000), destination.parse().unwrap(), length));
            assert_eq!(of, Of { vrf: VrfId(7_000_000), address: address.parse().unwrap(), length });
        }
    }
}
