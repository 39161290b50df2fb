//! Next hops by what they depend on.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::Touched;
use super::reach::Reach;
use crate::ids::{NextHopId, VifId, VrfId};
use crate::model::interner::Swept;
use crate::model::records::{Hop, Path, Prefix};
use crate::model::state::State;

/// By which underlay next hop to which far end.
pub(super) type Way = (NextHopId, IpAddr);

/// The next hops that are compiled.
#[derive(Clone, Default)]
pub(super) struct Index {
    by_vif: HashMap<VifId, HashSet<NextHopId>>,
    gateways: HashMap<VrfId, HashSet<NextHopId>>,
    neighbours: HashSet<NextHopId>,
    tunnels: BTreeSet<(IpAddr, NextHopId)>,
    /// The ways of a tunnel: one, unless it goes by a less specific route.
    ways: HashMap<NextHopId, Box<[Way]>>,
    /// The tunnels that go by an underlay next hop.
    users: HashMap<NextHopId, HashSet<NextHopId>>,
    /// How many tunnels go each way.
    counts: HashMap<Way, usize>,
    /// Routes between VRFs.
    pub reach: Reach,
    /// The ways of groups, and the groups that a way is of.
    groups: HashMap<NextHopId, Arc<[Path]>>,
    groups_of: HashMap<NextHopId, HashSet<NextHopId>>,
    /// Counts ways that came or went, and gateways.
    turns: u64,
}

impl Index {
    /// Adds the new next hops and touches them. Removed ones stay until [`Index::remove`].
    pub fn add_new(&mut self, state: &State, hops: &Swept<(VrfId, Hop)>, touched: &mut Touched) {
        for &number in &hops.created {
            let id = NextHopId(number);
            let Some((vrf, hop)) = state.hop(id) else { continue };
            if let Some(ways) = state.several(hop) {
                self.group(id, ways);
                touched.groups.insert(id);
                continue;
            }
            if let Hop::Tunnel { remote, .. } = hop {
                self.tunnels.insert((remote, id));
                touched.tunnels.insert(id);
                continue;
            }
            touched.next_hops.insert(id);
            self.reach.add(state, id, vrf, hop);
            match hop {
                Hop::Vif { vif, .. } | Hop::Bridged(vif) | Hop::Connected(vif) => {
                    _ = self.by_vif.entry(vif).or_default().insert(id);
                }
                Hop::Neighbour(vif, _) => {
                    self.by_vif.entry(vif).or_default().insert(id);
                    self.neighbours.insert(id);
                }
                Hop::Gateway(_) => {
                    self.gateways.entry(vrf).or_default().insert(id);
                    self.turns += 1;
                }
                Hop::Drop | Hop::Receive | Hop::Vrf(_) | Hop::Paths(_) | Hop::Named(_) | Hop::Tunnel { .. } => {}
            }
        }
    }

    /// Notes the ways that a group has now; returns those that it had.
    pub fn group(&mut self, id: NextHopId, ways: Arc<[Path]>) -> Option<Arc<[Path]>> {
        let old = self.groups.remove(&id);
        for path in old.iter().flat_map(|ways| ways.iter()) {
            take_out(&mut self.groups_of, path.next_hop, id);
        }
        for path in ways.iter() {
            self.groups_of.entry(path.next_hop).or_default().insert(id);
        }
        self.groups.insert(id, ways);
        old
    }

    /// Notes the VRFs that these VIFs are in now.
    pub fn move_vifs(&mut self, state: &State, vifs: &HashSet<VifId>) {
        for id in vifs.iter().filter_map(|vif| self.by_vif.get(vif)).flatten() {
            if let Some((vrf, hop)) = state.hop(*id) {
                self.reach.add(state, *id, vrf, hop);
            }
        }
    }

    /// Takes one out.
    pub fn remove(&mut self, id: NextHopId, vrf: VrfId, hop: Hop) {
        self.reach.remove(id, vrf, hop);
        match hop {
            Hop::Vif { vif, .. } | Hop::Bridged(vif) | Hop::Connected(vif) => take_out(&mut self.by_vif, vif, id),
            Hop::Neighbour(vif, _) => {
                take_out(&mut self.by_vif, vif, id);
                self.neighbours.remove(&id);
            }
            Hop::Gateway(_) => {
                take_out(&mut self.gateways, vrf, id);
                self.turns += 1;
            }
            Hop::Tunnel { remote, .. } => {
                self.tunnels.remove(&(remote, id));
                self.go(id, Vec::new());
            }
            Hop::Paths(_) | Hop::Named(_) => {
                for path in self.groups.remove(&id).iter().flat_map(|ways| ways.iter()) {
                    take_out(&mut self.groups_of, path.next_hop, id);
                }
            }
            Hop::Drop | Hop::Receive | Hop::Vrf(_) => {}
        }
    }

    /// Notes the ways that a tunnel goes now, or would if they were not dead.
    pub fn go(&mut self, tunnel: NextHopId, ways: Vec<Way>) {
        let old = self.ways.remove(&tunnel).unwrap_or_default();
        if *old != *ways {
            for way in old {
                take_out(&mut self.users, way.0, tunnel);
                let count = self.counts.get_mut(&way).expect("a way that is gone is counted");
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&way);
                    self.turns += 1;
                }
            }
            for &way in &ways {
                self.users.entry(way.0).or_default().insert(tunnel);
                let count = self.counts.entry(way).or_default();
                *count += 1;
                self.turns += u64::from(*count == 1);
            }
        }
        if !ways.is_empty() {
            self.ways.insert(tunnel, ways.into());
        }
    }

    /// The groups that a next hop is a way of.
    pub fn groups_of(&self, way: NextHopId) -> impl Iterator<Item = NextHopId> {
        self.groups_of.get(&way).into_iter().flatten().copied()
    }

    /// Whether this is, or was until this batch, a resolved neighbour's.
    pub fn is_neighbour(&self, id: NextHopId) -> bool {
        self.neighbours.contains(&id)
    }

    /// The next hops that lead to a VIF, but for gateways.
    pub fn to_vif(&self, vif: VifId) -> impl Iterator<Item = NextHopId> {
        self.by_vif.get(&vif).into_iter().flatten().copied()
    }

    /// The gateways of a VRF.
    pub fn gateways(&self, vrf: VrfId) -> impl Iterator<Item = NextHopId> {
        self.gateways.get(&vrf).into_iter().flatten().copied()
    }

    /// All tunnels.
    pub fn all_tunnels(&self) -> impl Iterator<Item = NextHopId> {
        self.tunnels.iter().map(|&(_, id)| id)
    }

    /// The tunnels whose far end is in this prefix.
    pub fn tunnels_within(&self, prefix: Prefix) -> impl Iterator<Item = NextHopId> {
        let last: IpAddr = match prefix.address {
            IpAddr::V4(first) => {
                let hosts = u32::MAX.checked_shr(prefix.length.into()).unwrap_or(0);
                Ipv4Addr::from_bits(first.to_bits() | hosts).into()
            }
            IpAddr::V6(first) => {
                let hosts = u128::MAX.checked_shr(prefix.length.into()).unwrap_or(0);
                Ipv6Addr::from_bits(first.to_bits() | hosts).into()
            }
        };
        let range = (prefix.address, NextHopId(0))..=(last, NextHopId(u32::MAX));
        self.tunnels.range(range).map(|&(_, id)| id)
    }

    /// The tunnels that go by an underlay next hop.
    pub fn users_of(&self, via: NextHopId) -> impl Iterator<Item = NextHopId> {
        self.users.get(&via).into_iter().flatten().copied()
    }

    /// The ways that tunnels go, each once.
    pub fn ways(&self) -> impl Iterator<Item = Way> {
        self.counts.keys().copied()
    }

    /// All gateways.
    pub fn all_gateways(&self) -> impl Iterator<Item = NextHopId> {
        self.gateways.values().flatten().copied()
    }

    /// Rises when a way or a gateway comes or goes.
    pub fn turns(&self) -> u64 {
        self.turns
    }
}

fn take_out<K: Hash + Eq>(map: &mut HashMap<K, HashSet<NextHopId>>, key: K, id: NextHopId) {
    if let Some(ids) = map.get_mut(&key) {
        ids.remove(&id);
        if ids.is_empty() {
            map.remove(&key);
        }
    }
}
