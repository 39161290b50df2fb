//! The ways of a tunnel through the underlay: each flow of the tunnel has one, by its hash.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use super::group::distance;
use super::{Member, Template, Underlay};

/// Shares that the flows of a tunnel fall into.
const SLOTS: usize = 256;

/// One way: an uplink and the neighbour there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub underlay: Underlay,
    /// The headers to copy in front of the inner L3 packet; empty unless `underlay` is resolved.
    pub template: Template,
}

/// The ways of a tunnel, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ways {
    One(Way),
    Several(Box<Several>),
}

/// More than one: at most [`Group::MOST`](super::Group::MOST).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Several {
    /// The same for all tunnels by one route.
    slots: Arc<Slots>,
    ways: Box<[Way]>,
}

/// Which way each share of the flows has. Written when made, and by BFD's thread when a way is cut: relaxed, as each slot stands alone.
pub struct Slots([AtomicU8; SLOTS]);

impl Ways {
    /// These; several must be as many as the members that the slots were made of.
    pub fn new(mut ways: Vec<Way>, slots: Option<&Arc<Slots>>) -> Ways {
        match (slots, ways.len()) {
            (Some(slots), 2..) => Ways::Several(Box::new(Several { slots: slots.clone(), ways: ways.into() })),
            _ => Ways::One(ways.pop().unwrap_or(Way { underlay: Underlay::NoRoute, template: Template::EMPTY })),
        }
    }

    /// The way of the flow with this hash.
    #[inline]
    pub fn of(&self, hash: u64) -> &Way {
        match self {
            Ways::One(way) => way,
            Ways::Several(several) => several.of(hash),
        }
    }

    /// All of them, with their shares of 256.
    pub fn all(&self) -> impl Iterator<Item = (&Way, usize)> {
        let (ways, slots) = match self {
            Ways::One(way) => (std::slice::from_ref(way), None),
            Ways::Several(several) => (&several.ways[..], Some(&several.slots)),
        };
        let share = move |at: usize| slots.map_or(SLOTS, |slots| slots.of(at));
        ways.iter().enumerate().map(move |(at, way)| (way, share(at)))
    }
}

impl Several {
    /// Which of the ways each share has.
    pub fn slots(&self) -> &Arc<Slots> {
        &self.slots
    }

    /// The ways, as the slots number them.
    pub fn ways(&self) -> &[Way] {
        &self.ways
    }

    #[inline]
    fn of(&self, hash: u64) -> &Way {
        &self.ways[self.slots.way(hash)]
    }
}

impl Slots {
    /// Slots for these ways: by weight, at least one for each. The slots of a way that does not serve alone are given to others: each slot
    /// has an order of preference of its own, of which it takes the first that `serves`. At most [`Group::MOST`](super::Group::MOST).
    pub fn new(members: &[Member], serves: impl Fn(&Member) -> bool) -> Slots {
        let serving: Vec<usize> = (0..members.len()).filter(|&at| serves(&members[at])).collect();
        let mut slots = [0; SLOTS];
        for (slot, (way, first)) in slots.iter_mut().zip(by_weight(members)).enumerate() {
            let far = |&at: &usize| distance(slot as u64, &members[at]);
            let next = || serving.iter().copied().min_by(|a, b| far(a).total_cmp(&far(b)));
            let at = if serves(&members[first]) { first } else { next().unwrap_or(first) };
            *way = at as u8;
        }
        Slots(slots.map(AtomicU8::new))
    }

    /// Has these from now on. BFD's thread.
    pub fn take(&self, others: &Slots) {
        for (slot, other) in self.0.iter().zip(&others.0) {
            let way = other.load(Relaxed);
            if slot.load(Relaxed) != way {
                slot.store(way, Relaxed);
            }
        }
    }

    /// The way of the flow with this hash, by its number.
    #[inline]
    pub fn way(&self, hash: u64) -> usize {
        usize::from(self.0[hash as usize % SLOTS].load(Relaxed))
    }

    /// How many slots this way has.
    fn of(&self, way: usize) -> usize {
        self.0.iter().filter(|slot| usize::from(slot.load(Relaxed)) == way).count()
    }
}

impl PartialEq for Slots {
    fn eq(&self, other: &Slots) -> bool {
        self.0.iter().zip(&other.0).all(|(one, other)| one.load(Relaxed) == other.load(Relaxed))
    }
}

impl Eq for Slots {}

impl std::fmt::Debug for Slots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slots({:02x?})", self.0)
    }
}

/// Which way each slot has when all serve, by the ways' names whatever their order: one each, then by the divisors of Sainte-Laguë.
fn by_weight(members: &[Member]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|&at| members[at].id.0);
    let mut seats = vec![1_u64; members.len()];
    for _ in members.len()..SLOTS {
        // weight / (2 * seats + 1) is largest
        let larger = |&a: &usize, &b: &usize| {
            let [left, right] =
                [(a, b), (b, a)].map(|(one, other)| u64::from(members[one].weight) * (2 * seats[other] + 1));
            left.cmp(&right)
        };
        if let Some(most) = order.iter().copied().max_by(|a, b| larger(a, b)) {
            seats[most] += 1;
        }
    }
    order.into_iter().flat_map(|at| std::iter::repeat_n(at, seats[at] as usize)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{MemberId, NextHopId};

    fn members(weights: &[u32]) -> Vec<Member> {
        let member = |(at, &weight): (usize, &u32)| {
            let id = MemberId(at as u32 * 7919 + 5);
            Member { id, weight, next_hop: NextHopId(at as u32), up: true, backup: false }
        };
        weights.iter().enumerate().map(member).collect()
    }

    fn without(members: &[Member], dead: &[usize]) -> Slots {
        Slots::new(members, |member| !dead.contains(&member.next_hop.index()))
    }

    #[test]
    fn shares_are_by_weight_and_at_least_one() {
        let shares = |weights: &[u32]| -> Vec<usize> {
            let slots = without(&members(weights), &[]);
            (0..weights.len()).map(|way| slots.of(way)).collect()
        };
        assert_eq!(shares(&[1, 1]), [128, 128]);
        assert_eq!(shares(&[3, 1]), [192, 64]);
        assert_eq!(shares(&[65535, 1]), [255, 1]);
        assert_eq!(shares(&[1; 128]), [2; 128]);
        assert!(shares(&[5, 5, 5]).iter().all(|share| [85, 86].contains(share)));
    }

    #[test]
    fn the_slots_of_a_dead_way_alone_move() {
        let members = members(&[1, 2, 3, 4]);
        for dead in [&[0][..], &[1], &[3], &[0, 3], &[0, 1, 2]] {
            let (mut gone, mut before) = (Vec::new(), without(&members, &[]));
            for &way in dead {
                gone.push(way);
                let after = without(&members, &gone);
                for slot in 0..SLOTS as u64 {
                    let (old, new) = (before.way(slot), after.way(slot));
                    assert!(if old == way { !gone.contains(&new) } else { old == new });
                }
                before = after;
            }
        }
        // those that get them get them by weight
        let after = without(&members, &[3]);
        let shares: Vec<usize> = (0..4).map(|way| after.of(way)).collect();
        assert!(shares[0] > 30 && shares[1] > 65 && shares[2] > 110 && shares[3] == 0, "{shares:?}");
    }

    #[test]
    fn when_none_serves_all_do_and_the_order_does_not_matter() {
        let given = members(&[1, 2, 3]);
        assert_eq!(without(&given, &[0, 1, 2]), without(&given, &[]));
        let mut turned = given.clone();
        turned.reverse();
        for dead in [&[][..], &[1]] {
            let names = |members: &[Member], slots: Slots| slots.0.map(|way| members[usize::from(way.into_inner())].id);
            assert_eq!(names(&given, without(&given, dead)), names(&turned, without(&turned, dead)));
        }
    }
}
