//! A bridge: where the stations of an L2 network are.

use std::net::IpAddr;
use std::sync::Arc;

use super::fib::Fib;
use crate::ids::{BridgeId, Mac, NextHopId, VifId, VrfId};

/// An L2 network.
#[derive(Clone)]
pub struct Bridge {
    pub id: BridgeId,
    pub name: Arc<str>,
    /// The VRF that its stations' packets are routed in, and whose flows they have.
    pub vrf: VrfId,
    /// Frames to a station that nobody knows go to everybody.
    pub floods_unknown: bool,
    /// Frames that are neither IPv4, IPv6 nor ARP are dropped.
    pub ip_only: bool,
    /// Frames to everybody that one VIF, or the tunnels, may send in a second.
    pub floods_per_second: u32,
    /// Its VIFs, with the next hop to each.
    pub ports: Arc<[(VifId, NextHopId)]>,
    /// Who else has stations of it: next hops to all of them.
    pub vteps: Arc<[NextHopId]>,
    /// Who asks for the address of a known station is answered in its name.
    pub suppresses: bool,
    /// Stations are learnt.
    pub learns: bool,
    /// How long a station that is learnt stays without a frame from it.
    pub ageing: u32,
    fdb: Fdb,
    learnt: Fdb,
    /// Stations whose MACs nobody else may send with.
    sticky: Fdb,
    pairs: (Fib<u32, Pair>, Fib<u128, Pair>),
}

/// Who has an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    pub mac: Mac,
    /// It is a router.
    pub router: bool,
}

/// Next hops by MAC address: a trie of 48 bits, of which clones share what is the same.
#[derive(Clone, Default)]
struct Fdb(Fib<u128>);

/// A frame of a station came from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub bridge: BridgeId,
    pub mac: Mac,
    pub at: SeenAt,
}

/// Where a station is seen: at a VIF, or behind a VTEP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SeenAt {
    Vif(VifId),
    Vtep(IpAddr),
}

impl Bridge {
    /// Without stations.
    pub fn new(id: BridgeId, name: Arc<str>, vrf: VrfId) -> Bridge {
        Bridge {
            id,
            name,
            vrf,
            floods_unknown: false,
            ip_only: false,
            floods_per_second: 0,
            ports: Arc::default(),
            vteps: Arc::default(),
            suppresses: false,
            learns: false,
            ageing: 0,
            fdb: Fdb::default(),
            learnt: Fdb::default(),
            sticky: Fdb::default(),
            pairs: Default::default(),
        }
    }

    /// The next hop to a station: to where it was said to be, else to where it was seen.
    #[inline]
    pub fn station(&self, mac: Mac) -> Option<NextHopId> {
        self.fdb.at(mac).or_else(|| self.learnt(mac))
    }

    /// The next hop to a station that was learnt.
    #[inline]
    pub fn learnt(&self, mac: Mac) -> Option<NextHopId> {
        if self.learns { self.learnt.at(mac) } else { None }
    }

    /// Whether it was said where this station is.
    pub fn is_given(&self, mac: Mac) -> bool {
        self.fdb.at(mac).is_some()
    }

    /// Sets or clears where a station was seen.
    pub fn set_learnt(&mut self, mac: Mac, next_hop: Option<NextHopId>) {
        self.learnt.set(mac, next_hop);
    }

    /// Where the station is alone that may send with this MAC.
    #[inline]
    pub fn sticky(&self, mac: Mac) -> Option<NextHopId> {
        if self.sticky.0.is_empty() { None } else { self.sticky.at(mac) }
    }

    /// Sets or clears that.
    pub fn set_sticky(&mut self, mac: Mac, next_hop: Option<NextHopId>) {
        self.sticky.set(mac, next_hop);
    }

    /// Sets or clears where a station is.
    pub fn set_station(&mut self, mac: Mac, next_hop: Option<NextHopId>) {
        self.fdb.set(mac, next_hop);
    }

    /// Who is named to `asker`, by its MAC and address, when it asks for `target`; `None`: everybody is asked. Nobody is told of an address of
    /// its own, or in a probe for a duplicate, or when it announces itself.
    pub fn answer(&self, target: IpAddr, (mac, asker): (Mac, IpAddr)) -> Option<Pair> {
        let pair = self.pair(target)?;
        (pair.mac != mac && asker != target && !asker.is_unspecified()).then_some(pair)
    }

    /// Who has this address.
    pub fn pair(&self, address: IpAddr) -> Option<Pair> {
        match address {
            IpAddr::V4(address) => self.pairs.0.exact(address.to_bits(), 32),
            IpAddr::V6(address) => self.pairs.1.exact(address.to_bits(), 128),
        }
    }

    /// Sets or clears who has an address.
    pub fn set_pair(&mut self, address: IpAddr, pair: Option<Pair>) {
        match (address, pair) {
            (IpAddr::V4(address), Some(pair)) => self.pairs.0.insert(address.to_bits(), 32, pair),
            (IpAddr::V4(address), None) => self.pairs.0.remove(address.to_bits(), 32),
            (IpAddr::V6(address), Some(pair)) => self.pairs.1.insert(address.to_bits(), 128, pair),
            (IpAddr::V6(address), None) => self.pairs.1.remove(address.to_bits(), 128),
        };
    }

    /// Answers for nobody from now on.
    pub fn forget_pairs(&mut self) {
        self.suppresses = false;
        self.pairs = Default::default();
    }

    /// All stations and the next hops to them, by rising address.
    pub fn iter(&self) -> impl Iterator<Item = (Mac, NextHopId)> {
        let mac = |key: u128| {
            let [a, b, c, d, e, f, ..] = key.to_be_bytes();
            Mac([a, b, c, d, e, f])
        };
        self.fdb.0.iter().map(move |(key, _, next_hop)| (mac(key), next_hop))
    }

    /// How many stations there are.
    pub fn stations(&self) -> usize {
        self.fdb.0.len()
    }
}

impl Fdb {
    #[inline]
    fn at(&self, mac: Mac) -> Option<NextHopId> {
        self.0.lookup(key(mac)).map(|(_, next_hop)| next_hop)
    }

    fn set(&mut self, mac: Mac, next_hop: Option<NextHopId>) {
        match next_hop {
            Some(next_hop) => self.0.insert(key(mac), LENGTH, next_hop),
            None => self.0.remove(key(mac), LENGTH),
        };
    }
}

/// Bits of a MAC address.
const LENGTH: u8 = 48;

fn key(Mac([a, b, c, d, e, f]): Mac) -> u128 {
    u128::from_be_bytes([a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Its slow twin is a map.
        #[test]
        fn stations_are_where_they_were_put(changes in prop::collection::vec((any::<[u8; 2]>(), any::<Option<u32>>()), 1..300)) {
            let mut bridge = Bridge::new(BridgeId(0), "b".into(), VrfId(0));
            let mut twin = BTreeMap::new();
            let mac = |[a, b]: [u8; 2]| Mac([2, a, 0, 0, b & 3, b]);
            for &(at, next_hop) in &changes {
                bridge.set_station(mac(at), next_hop.map(NextHopId));
                match next_hop {
                    Some(next_hop) => twin.insert(mac(at), NextHopId(next_hop)),
                    None => twin.remove(&mac(at)),
                };
            }
            for (at, _) in changes {
                prop_assert_eq!(bridge.station(mac(at)), twin.get(&mac(at)).copied());
            }
            prop_assert_eq!(bridge.stations(), twin.len());
            prop_assert!(bridge.iter().eq(twin));
            prop_assert_eq!(bridge.station(Mac([3, 0, 0, 0, 0, 0])), None);
        }
    }
}
