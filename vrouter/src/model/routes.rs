//! One VRF's routes as offered: per prefix the offers of its owners, of which the best goes into the FIB.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::records::Prefix;
use crate::ids::{NextHopId, VifId};

/// Who offers a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// A VIF: its addresses, gateways, subnets and neighbours (owner "vif").
    Vif(VifId),
    /// An owner, by its interned number.
    Owner(u32),
}

/// One owner's offer for a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub source: Source,
    pub preference: u32,
    pub next_hop: NextHopId,
}

/// The offers of one VRF. Most prefixes have one.
#[derive(Clone, Default)]
pub(crate) struct RouteTable {
    v4: HashMap<(u32, u8), Offers>,
    v6: HashMap<(u128, u8), Offers>,
}

/// Offers for a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    None,
    One(NextHopId),
    Several,
}

#[derive(Clone)]
enum Offers {
    One(Offer),
    #[expect(clippy::box_collection, reason = "no larger than one")]
    Several(Box<Vec<Offer>>),
}

impl Offers {
    fn as_slice(&self) -> &[Offer] {
        match self {
            Offers::One(offer) => std::slice::from_ref(offer),
            Offers::Several(offers) => offers,
        }
    }
}

impl RouteTable {
    /// The offers for this very prefix.
    pub fn offers(&self, prefix: Prefix) -> &[Offer] {
        let offers = match prefix.address {
            IpAddr::V4(address) => self.v4.get(&(address.to_bits(), prefix.length)),
            IpAddr::V6(address) => self.v6.get(&(address.to_bits(), prefix.length)),
        };
        offers.map_or(&[], Offers::as_slice)
    }

    /// Sets (`Some`: preference and next hop) or withdraws one source's offer; returns the one before, and what is left.
    // in line: what it returns, written to memory in pieces and read as a whole, would wait for all stores before, of which the one into the
    // table misses the cache
    #[inline(always)]
    pub fn set(
        &mut self,
        prefix: Prefix,
        source: Source,
        offer: Option<(u32, NextHopId)>,
    ) -> (Option<(u32, NextHopId)>, Left) {
        match prefix.address {
            IpAddr::V4(address) => set(&mut self.v4, (address.to_bits(), prefix.length), source, offer),
            IpAddr::V6(address) => set(&mut self.v6, (address.to_bits(), prefix.length), source, offer),
        }
    }

    /// No offer at all.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// All prefixes with their offers, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Prefix, &[Offer])> {
        let v4 = self.v4.iter().map(|(&(address, length), offers)| {
            (Prefix { address: Ipv4Addr::from_bits(address).into(), length }, offers.as_slice())
        });
        let v6 = self.v6.iter().map(|(&(address, length), offers)| {
            (Prefix { address: Ipv6Addr::from_bits(address).into(), length }, offers.as_slice())
        });
        v4.chain(v6)
    }
}

#[inline(always)]
fn set<K: std::hash::Hash + Eq>(
    routes: &mut HashMap<K, Offers>,
    key: K,
    source: Source,
    offer: Option<(u32, NextHopId)>,
) -> (Option<(u32, NextHopId)>, Left) {
    let new = offer.map(|(preference, next_hop)| Offer { source, preference, next_hop });
    let mut there = match (routes.entry(key), new) {
        (Entry::Vacant(_), None) => return (None, Left::None),
        (Entry::Vacant(free), Some(new)) => {
            free.insert(Offers::One(new));
            return (None, Left::One(new.next_hop));
        }
        (Entry::Occupied(there), _) => there,
    };
    let before = |offer: &Offer| Some((offer.preference, offer.next_hop));
    let (old, left) = match (there.get_mut(), new) {
        (Offers::One(one), Some(new)) if one.source == source => {
            return (before(&std::mem::replace(one, new)), Left::One(new.next_hop));
        }
        (Offers::One(one), None) if one.source != source => return (None, Left::One(one.next_hop)),
        (Offers::One(one), None) => (before(one), Left::None),
        (Offers::One(one), Some(new)) => {
            let both = vec![*one, new];
            *there.get_mut() = Offers::Several(Box::new(both));
            return (None, Left::Several);
        }
        (Offers::Several(all), new) => {
            let at = all.iter().position(|offer| offer.source == source);
            let old = at.and_then(|at| before(&all[at]));
            match (at, new) {
                (Some(at), Some(new)) => all[at] = new,
                (Some(at), None) => drop(all.remove(at)),
                (None, Some(new)) => all.push(new),
                (None, None) => {}
            }
            if let [one] = all[..] {
                *there.get_mut() = Offers::One(one);
                return (old, Left::One(one.next_hop));
            }
            (old, Left::Several)
        }
    };
    if let Left::None = left {
        there.remove();
    }
    (old, left)
}

const _: () = assert!(size_of::<Offers>() == size_of::<Offer>(), "of a million routes each byte is a megabyte");
