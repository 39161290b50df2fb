//! One VRF's routes as offered: per prefix the offers of its owners, of which the best goes into the FIB.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::records::Prefix;
use crate::api::Verb;
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
///
/// In order, and not hashed: routes that come in large batches are sorted, and go from one line of memory to the next.
#[derive(Clone, Default)]
pub(crate) struct RouteTable {
    v4: BTreeMap<(u32, u8), Offers>,
    v6: BTreeMap<(u128, u8), Offers>,
}

/// One owner's change of what it offers for a prefix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<A> {
    /// Place of its VRF among those of its run.
    pub vrf: u32,
    pub address: A,
    pub length: u8,
    pub verb: Verb,
    pub owner: u32,
    /// Without meaning in a delete, as the next hop.
    pub preference: u32,
    pub next_hop: NextHopId,
}

impl<A> Change<A> {
    /// What is offered from now on.
    pub fn offer(&self) -> Option<(u32, NextHopId)> {
        (self.verb != Verb::Delete).then_some((self.preference, self.next_hop))
    }
}

/// What became of a change.
pub(crate) enum Turned<'a> {
    /// There is one already that is to be created, or none that is to be deleted.
    Refused,
    /// What was offered before, and all that is now.
    Made(Option<(u32, NextHopId)>, &'a [Offer]),
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

    /// Makes these changes, sorted by address and then by length, several of one prefix in their order; `told` is given each.
    pub fn apply_v4(&mut self, changes: &[Change<u32>], told: impl FnMut(&Change<u32>, Turned)) {
        apply(&mut self.v4, changes, told);
    }

    /// The same of IPv6.
    pub fn apply_v6(&mut self, changes: &[Change<u128>], told: impl FnMut(&Change<u128>, Turned)) {
        apply(&mut self.v6, changes, told);
    }

    /// No offer at all.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// All prefixes with their offers, those of IPv4 first, by address and then by length.
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

fn set<K: Ord>(
    routes: &mut BTreeMap<K, Offers>,
    key: K,
    source: Source,
    offer: Option<(u32, NextHopId)>,
) -> (Option<(u32, NextHopId)>, Left) {
    let new = offer.map(|(preference, next_hop)| Offer { source, preference, next_hop });
    at(routes, key, |offers| {
        let old = turn(offers, source, new);
        let left = match offers {
            None => Left::None,
            Some(Offers::One(one)) => Left::One(one.next_hop),
            Some(Offers::Several(_)) => Left::Several,
        };
        (old, left)
    })
}

/// Changes the offers for one prefix.
fn at<K: Ord, T>(routes: &mut BTreeMap<K, Offers>, key: K, change: impl FnOnce(&mut Option<Offers>) -> T) -> T {
    match routes.entry(key) {
        Entry::Vacant(free) => {
            let mut offers = None;
            let changed = change(&mut offers);
            if let Some(offers) = offers {
                free.insert(offers);
            }
            changed
        }
        Entry::Occupied(mut there) => {
            let mut offers = Some(std::mem::replace(there.get_mut(), NOTHING));
            let changed = change(&mut offers);
            match offers {
                Some(offers) => *there.get_mut() = offers,
                None => drop(there.remove()),
            }
            changed
        }
    }
}

/// In place of what is changed just now.
const NOTHING: Offers = Offers::One(Offer { source: Source::Owner(0), preference: 0, next_hop: NextHopId(0) });

/// Sets or takes out what one source offers; returns what it did before.
#[inline]
fn turn(offers: &mut Option<Offers>, source: Source, new: Option<Offer>) -> Option<(u32, NextHopId)> {
    let said = |offer: &Offer| (offer.preference, offer.next_hop);
    match (&mut *offers, new) {
        (None, new) => {
            *offers = new.map(Offers::One);
            None
        }
        (Some(Offers::One(one)), Some(new)) if one.source == source => Some(said(&std::mem::replace(one, new))),
        (Some(Offers::One(one)), None) if one.source == source => {
            let old = said(one);
            *offers = None;
            Some(old)
        }
        (Some(Offers::One(_)), None) => None,
        (Some(Offers::One(one)), Some(new)) => {
            *offers = Some(Offers::Several(Box::new(vec![*one, new])));
            None
        }
        (Some(Offers::Several(all)), new) => {
            let at = all.iter().position(|offer| offer.source == source);
            let old = at.map(|at| said(&all[at]));
            match (at, new) {
                (Some(at), Some(new)) => all[at] = new,
                (Some(at), None) => drop(all.remove(at)),
                (None, Some(new)) => all.push(new),
                (None, None) => {}
            }
            if let [one] = all[..] {
                *offers = Some(Offers::One(one));
            }
            old
        }
    }
}

/// One change in so many routes or more is made by itself; with fewer between them the table is written anew, from one end to the other.
const FAR: usize = 8;

fn apply<A: Copy + Ord>(
    routes: &mut BTreeMap<(A, u8), Offers>,
    changes: &[Change<A>],
    mut told: impl FnMut(&Change<A>, Turned),
) {
    let key = |change: &Change<A>| (change.address, change.length);
    debug_assert!(changes.is_sorted_by_key(key), "sorted");
    if routes.len() / FAR > changes.len() {
        for change in changes {
            at(routes, key(change), |offers| make(offers, change, &mut told));
        }
        return;
    }
    let mut all = Vec::with_capacity(routes.len() + changes.len());
    let mut old = std::mem::take(routes).into_iter().peekable();
    for same in changes.chunk_by(|a, b| key(a) == key(b)) {
        let prefix = key(&same[0]);
        while let Some(before) = old.next_if(|(other, _)| *other < prefix) {
            all.push(before);
        }
        let mut offers = old.next_if(|(other, _)| *other == prefix).map(|(_, offers)| offers);
        same.iter().for_each(|change| make(&mut offers, change, &mut told));
        all.extend(offers.map(|offers| (prefix, offers)));
    }
    all.extend(old);
    *routes = all.into_iter().collect();
}

/// Makes one change, if it can be.
#[inline]
fn make<A>(offers: &mut Option<Offers>, change: &Change<A>, told: &mut impl FnMut(&Change<A>, Turned)) {
    let source = Source::Owner(change.owner);
    let there = offers.as_ref().is_some_and(|offers| offers.as_slice().iter().any(|offer| offer.source == source));
    if there == (change.verb == Verb::Create) && change.verb != Verb::Put {
        told(change, Turned::Refused);
        return;
    }
    let new = change.offer().map(|(preference, next_hop)| Offer { source, preference, next_hop });
    let old = turn(offers, source, new);
    told(change, Turned::Made(old, offers.as_ref().map_or(&[], Offers::as_slice)));
}

const _: () = assert!(size_of::<Offers>() == size_of::<Offer>(), "of a million routes each byte is a megabyte");
