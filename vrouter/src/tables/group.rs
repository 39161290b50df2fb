//! ECMP: several next hops of one route, of which each flow has one.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Slots, Snapshot};
use crate::ids::{MemberId, NextHopId};
use crate::packet::tuple::FlowTuple;

/// The ways of a route, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Of a next-hop group; absent: the route's own ways.
    name: Option<Arc<str>>,
    members: Box<[Member]>,
    hash: HashFields,
    /// Who has flows.
    serving: Serving,
    /// Of tunnels by an underlay route: which flow has which member.
    slots: Option<Arc<Slots>>,
}

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its stable name.
    pub id: MemberId,
    /// Its share of new flows, at least 1.
    pub weight: u32,
    /// A tunnel, a VIF, or a way of the underlay.
    pub next_hop: NextHopId,
    /// It can be sent by: its VIF's link is up, its tunnel has a way through the underlay.
    pub up: bool,
    /// It has flows only while no other member is up.
    pub backup: bool,
}

/// Which members of a group have flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serving {
    /// Those that are up, and no backups.
    First,
    /// Backups that are up.
    Backups,
    /// All, for none is up.
    All,
}

/// What of a flow its member is chosen by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashFields {
    #[default]
    FiveTuple,
    Addresses,
    AddressesAndProtocol,
}

/// What a live flow has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    pub member: MemberId,
    pub next_hop: NextHopId,
}

impl Group {
    /// Members that a group has at most.
    pub const MOST: usize = 128;

    /// A group of these; at least one and at most [`Group::MOST`].
    pub fn new(members: Vec<Member>) -> Group {
        let some = |backup| members.iter().any(|member| member.up && member.backup == backup);
        let serving = match (some(false), some(true)) {
            (true, _) => Serving::First,
            (false, true) => Serving::Backups,
            (false, false) => Serving::All,
        };
        Group { name: None, hash: HashFields::default(), serving, members: members.into(), slots: None }
    }

    /// The same under the name of a next-hop group, which says by what flows are told apart.
    pub fn named(self, name: Arc<str>, hash: HashFields) -> Group {
        Group { name: Some(name), hash, ..self }
    }

    /// The next-hop group's name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// A group of the ways of an underlay route.
    pub fn of_underlay(members: Vec<Member>) -> Group {
        let group = Group::new(members);
        let slots = Slots::new(group.members(), |member| group.serves(member));
        Group { slots: Some(Arc::new(slots)), ..group }
    }

    /// Of an underlay route: which flow of a tunnel has which member.
    pub fn slots(&self) -> Option<&Arc<Slots>> {
        self.slots.as_ref()
    }

    /// All members.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether a flow may have this member: it is up, and no backup unless all others are down; or none is up.
    pub fn serves(&self, member: &Member) -> bool {
        match self.serving {
            Serving::First => member.up && !member.backup,
            Serving::Backups => member.up,
            Serving::All => true,
        }
    }

    /// By what flows are told apart.
    pub fn hash(&self) -> HashFields {
        self.hash
    }

    /// The member of a new flow with this hash, by weight among those that serve: the nearest by rendezvous hashing, so that when one of n
    /// comes or goes its share of the hashes moves, about 1/n, and no other. Takes a few nanoseconds a member.
    pub fn choose(&self, hash: u64) -> &Member {
        let mut nearest = (f64::INFINITY, &self.members[0]);
        for member in self.members.iter().filter(|member| self.serves(member)) {
            let distance = distance(hash, member);
            if distance < nearest.0 {
                nearest = (distance, member);
            }
        }
        nearest.1
    }

    /// The member of a new flow with this hash among those of `alive`; `None`: none of them is up. Allocates nothing.
    fn but(&self, alive: impl Fn(&Member) -> Member, hash: u64) -> Option<Member> {
        let of = |backups: bool| {
            let those = self.members.iter().map(&alive).filter(|member| member.up && (backups || !member.backup));
            those.min_by(|a, b| distance(hash, a).total_cmp(&distance(hash, b)))
        };
        of(false).or_else(|| of(true))
    }

    /// The member of a live flow, if it is still there and serves: the one of its name, else one by the same next hop.
    pub fn keep(&self, kept: Kept) -> Option<&Member> {
        let named = self.members.iter().find(|member| member.id == kept.member);
        let same = || self.members.iter().find(|member| member.next_hop == kept.next_hop);
        named.or_else(same).filter(|member| self.serves(member))
    }
}

/// Rendezvous hashing: how far a member is from a hash, the shorter the heavier it is; by its name, whatever its place among others.
pub(super) fn distance(hash: u64, member: &Member) -> f64 {
    let mixed = mix(mix(hash, u64::from(member.id.0)), hash);
    let uniform = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -uniform.ln() / f64::from(member.weight)
}

/// Odd constants of no meaning (fractions of the square roots of 2, 3 and 5).
const SEED: u64 = 0x6a09_e667_f3bc_c909;
const LAST: u64 = 0xbb67_ae85_84ca_a73b;
const STEP: u64 = 0x3c6e_f372_fe94_f82b;

/// One step of a multiply-and-fold hash.
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let wide = u128::from(a ^ STEP) * u128::from(b ^ SEED);
    (wide >> 64) as u64 ^ wide as u64
}

impl Snapshot {
    /// The member of a new flow, or of a packet without one.
    pub fn choose(&self, group: &Group, tuple: &FlowTuple) -> Member {
        let hash = self.member_hash(tuple, group.hash());
        let chosen = group.choose(hash);
        if !self.is_cut(chosen.next_hop) {
            return *chosen;
        }
        // as if those that are cut were down; if all are, it makes no difference
        let alive = |member: &Member| Member { up: member.up && !self.is_cut(member.next_hop), ..*member };
        group.but(alive, hash).unwrap_or(*chosen)
    }

    /// The member of a live flow, if it is still there, serves, and is not cut.
    pub fn keep(&self, group: &Group, kept: Kept) -> Option<Member> {
        group.keep(kept).filter(|member| !self.is_cut(member.next_hop)).copied()
    }

    /// The hash of a flow by which a member is chosen. Its seed is our router MAC, so that hosts in a row do not all choose alike, and it
    /// has nothing to do with the hash of the flow table.
    fn member_hash(&self, tuple: &FlowTuple, fields: HashFields) -> u64 {
        let [a, b, c, d, e, f] = self.local.router_mac.0;
        let halves = |address: IpAddr| match address {
            IpAddr::V4(address) => (0, u64::from(address.to_bits())),
            IpAddr::V6(address) => ((address.to_bits() >> 64) as u64, address.to_bits() as u64),
        };
        let ((source, low), (destination, end)) = (halves(tuple.source), halves(tuple.destination));
        let ports = u64::from(tuple.source_port) << 32 | u64::from(tuple.destination_port) << 8;
        let last = match fields {
            HashFields::FiveTuple => ports | u64::from(tuple.protocol),
            HashFields::AddressesAndProtocol => tuple.protocol.into(),
            HashFields::Addresses => 0,
        };
        let words = [source, low, destination, end, last];
        // twice the last step: the upper bits, which choose, depend on all of the last word
        let hash = words.into_iter().fold(u64::from_be_bytes([0, 1, a, b, c, d, e, f]), mix);
        mix(hash, LAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Mac;

    fn group(weights: &[(u32, bool)]) -> Group {
        let member = |(at, &(weight, up)): (usize, &(u32, bool))| {
            let number = at as u32 + 1;
            Member { id: MemberId(number), weight, next_hop: NextHopId(100 + number), up, backup: false }
        };
        Group::new(weights.iter().enumerate().map(member).collect())
    }

    fn tuples() -> impl Iterator<Item = FlowTuple> {
        (0..40_000_u32).map(|n| FlowTuple {
            source: std::net::Ipv4Addr::from_bits(0x0a00_0000 | n >> 8).into(),
            destination: "10.1.1.20".parse().unwrap(),
            protocol: 17,
            fragment: false,
            source_port: 1000 + (n & 0xff) as u16,
            destination_port: 53,
        })
    }

    /// Members by how many of the tuples they get.
    fn counts(snapshot: &Snapshot, group: &Group) -> Vec<usize> {
        let mut counts = vec![0; group.members().len()];
        tuples().for_each(|tuple| {
            counts[group.choose(snapshot.member_hash(&tuple, HashFields::FiveTuple)).id.0 as usize - 1] += 1
        });
        counts
    }

    fn within(count: usize, expected: f64) -> bool {
        // five standard deviations of a binomial, at most
        (count as f64 - expected).abs() < 5.0 * expected.sqrt()
    }

    #[test]
    fn flows_spread_by_weight() {
        let snapshot = Snapshot::default();
        for weights in [&[1, 1][..], &[1, 3], &[5, 1, 1, 1], &[1; 128], &[65535, 1]] {
            let members: Vec<_> = weights.iter().map(|&weight| (weight, true)).collect();
            let total: u32 = weights.iter().sum();
            for (count, weight) in counts(&snapshot, &group(&members)).into_iter().zip(weights) {
                let expected = 40_000.0 * f64::from(*weight) / f64::from(total);
                assert!(within(count, expected), "{weights:?}: {count}, expected {expected}");
            }
        }
    }

    #[test]
    fn the_flows_of_a_dead_member_alone_go_elsewhere() {
        let snapshot = Snapshot::default();
        let (whole, cut) = (group(&[(1, true); 4]), group(&[(1, true), (1, false), (1, true), (1, true)]));
        let mut moved = [0; 5];
        for hash in tuples().map(|tuple| snapshot.member_hash(&tuple, HashFields::FiveTuple)) {
            let (before, after) = (whole.choose(hash).id, cut.choose(hash).id);
            if before == MemberId(2) {
                moved[after.0 as usize] += 1;
            } else {
                assert_eq!(before, after);
            }
        }
        assert!(moved[2] == 0 && [1, 3, 4].iter().all(|at| within(moved[*at], 10_000.0 / 3.0)), "{moved:?}");
        let dead = group(&[(1, false), (1, false)]);
        assert!(counts(&snapshot, &dead).into_iter().all(|count| within(count, 20_000.0)));
    }

    #[test]
    fn a_member_that_comes_takes_its_share_from_all_and_gives_it_back() {
        let snapshot = Snapshot::default();
        for n in [1_usize, 2, 7, 8, 127] {
            let members: Vec<_> = (0..=n).map(|at| (1 + at as u32 % 3, true)).collect();
            let (before, after) = (group(&members[..n]), group(&members));
            let total: u32 = members.iter().map(|(weight, _)| weight).sum();
            let hashes = tuples().map(|tuple| snapshot.member_hash(&tuple, HashFields::FiveTuple));
            let moved = hashes.filter(|&hash| {
                let (old, new) = (before.choose(hash).id, after.choose(hash).id);
                assert!(old == new || new == MemberId(n as u32 + 1), "{n}: from {old:?} to {new:?}");
                old != new
            });
            let (moved, share) = (moved.count(), 40_000.0 * f64::from(members[n].0) / f64::from(total));
            assert!(within(moved, share), "{n}: {moved} moved, its share is {share}");
        }
    }

    #[test]
    fn backups_have_flows_while_nobody_else_is_up() {
        let serving = |ups: [bool; 4]| -> Vec<u32> {
            let mut group = group(&ups.map(|up| (1, up)));
            group.members.iter_mut().skip(2).for_each(|member| member.backup = true);
            let group = Group::new(group.members.to_vec());
            let names = (0..999).map(|n| group.choose(mix(n, 7)).id.0).collect::<std::collections::BTreeSet<_>>();
            let kept = |member: &&Member| group.keep(Kept { member: member.id, next_hop: NextHopId(0) }).is_some();
            let keep: Vec<u32> = group.members().iter().filter(kept).map(|member| member.id.0).collect();
            assert_eq!(names.into_iter().collect::<Vec<_>>(), keep);
            keep
        };
        assert_eq!(serving([true, true, true, true]), [1, 2]);
        assert_eq!(serving([false, true, true, true]), [2]);
        assert_eq!(serving([false, false, true, true]), [3, 4]);
        assert_eq!(serving([false, false, false, true]), [4]);
        assert_eq!(serving([false; 4]), [1, 2, 3, 4]);
    }

    #[test]
    fn hosts_choose_unlike_each_other() {
        let [here, there] = [Mac([2, 10, 0, 0, 1, 1]), Mac([2, 10, 0, 0, 2, 1])].map(|router_mac| {
            let mut snapshot = Snapshot::default();
            snapshot.local.router_mac = router_mac;
            snapshot
        });
        let group = group(&[(1, true); 2]);
        let first = |snapshot: &Snapshot, tuple: &FlowTuple| {
            group.choose(snapshot.member_hash(tuple, HashFields::FiveTuple)).id == MemberId(1)
        };
        let both = tuples().filter(|tuple| first(&here, tuple) && first(&there, tuple)).count();
        assert!(within(both, 10_000.0), "{both}");
    }

    #[test]
    fn a_flow_keeps_its_member_by_name_else_by_next_hop() {
        let group = group(&[(1, true), (1, true), (1, false)]);
        let keep = |member, next_hop| {
            group.keep(Kept { member: MemberId(member), next_hop: NextHopId(next_hop) }).map(|member| member.id.0)
        };
        assert_eq!(keep(2, 7), Some(2));
        assert_eq!(keep(2, 101), Some(2));
        assert_eq!(keep(0, 101), Some(1));
        assert_eq!(keep(9, 9), None);
        assert_eq!(keep(3, 103), None, "it is down");
    }

    #[test]
    fn flows_that_have_the_fields_in_common_have_the_same_member() {
        let snapshot = Snapshot::default();
        let one = tuples().next().unwrap();
        let other = FlowTuple { source_port: 9, destination_port: 80, ..one };
        let protocol = FlowTuple { protocol: 6, ..other };
        let hashes = |fields| [one, other, protocol].map(|tuple| snapshot.member_hash(&tuple, fields));
        let [a, b, c] = hashes(HashFields::FiveTuple);
        assert!(a != b && b != c && a != c);
        let [a, b, c] = hashes(HashFields::AddressesAndProtocol);
        assert!(a == b && b != c);
        let [a, b, c] = hashes(HashFields::Addresses);
        assert!(a == b && b == c);
        let far = FlowTuple { destination: "10.1.1.21".parse().unwrap(), ..one };
        assert_ne!(snapshot.member_hash(&far, HashFields::Addresses), a);
        let turned = one.reversed();
        assert_ne!(snapshot.member_hash(&turned, HashFields::Addresses), a, "directions differ");
    }
}
