//! Next hops by what they depend on.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};

use hashbrown::{HashMap, HashSet};

use super::Touched;
use crate::ids::{NextHopId, VifId, VrfId};
use crate::model::interner::Swept;
use crate::model::records::{Hop, Prefix};
use crate::model::state::State;

/// The next hops that are compiled.
#[derive(Default)]
pub(super) struct Index {
    by_vif: HashMap<VifId, HashSet<NextHopId>>,
    gateways: HashMap<VrfId, HashSet<NextHopId>>,
    neighbours: HashSet<NextHopId>,
    tunnels: BTreeSet<(Ipv4Addr, NextHopId)>,
    /// The underlay next hop that a tunnel goes by.
    via: HashMap<NextHopId, NextHopId>,
    /// The tunnels that go by an underlay next hop.
    users: HashMap<NextHopId, HashSet<NextHopId>>,
}

impl Index {
    /// Adds the new next hops and touches them. Removed ones stay until [`Index::remove`].
    pub fn add_new(&mut self, state: &State, hops: &Swept<(VrfId, Hop)>, touched: &mut Touched) {
        for &number in &hops.created {
            let id = NextHopId(number);
            let Some((vrf, hop)) = state.hop(id) else { continue };
            if let Hop::Tunnel { remote, .. } = hop {
                self.tunnels.insert((remote, id));
                touched.tunnels.insert(id);
                continue;
            }
            touched.next_hops.insert(id);
            match hop {
                Hop::Vif { vif, .. } | Hop::Connected(vif) => drop(self.by_vif.entry(vif).or_default().insert(id)),
                Hop::Neighbour(vif, _) => {
                    self.by_vif.entry(vif).or_default().insert(id);
                    self.neighbours.insert(id);
                }
                Hop::Gateway(_) => drop(self.gateways.entry(vrf).or_default().insert(id)),
                Hop::Drop | Hop::Receive | Hop::Tunnel { .. } => {}
            }
        }
    }

    /// Takes one out.
    pub fn remove(&mut self, id: NextHopId, vrf: VrfId, hop: Hop) {
        match hop {
            Hop::Vif { vif, .. } | Hop::Connected(vif) => take_out(&mut self.by_vif, vif, id),
            Hop::Neighbour(vif, _) => {
                take_out(&mut self.by_vif, vif, id);
                self.neighbours.remove(&id);
            }
            Hop::Gateway(_) => take_out(&mut self.gateways, vrf, id),
            Hop::Tunnel { remote, .. } => {
                self.tunnels.remove(&(remote, id));
                self.go_by(id, None);
            }
            Hop::Drop | Hop::Receive => {}
        }
    }

    /// Notes the underlay next hop that a tunnel goes by now.
    pub fn go_by(&mut self, tunnel: NextHopId, via: Option<NextHopId>) {
        let old = match via {
            Some(via) => self.via.insert(tunnel, via),
            None => self.via.remove(&tunnel),
        };
        if old == via {
            return;
        }
        if let Some(old) = old {
            take_out(&mut self.users, old, tunnel);
        }
        if let Some(via) = via {
            self.users.entry(via).or_default().insert(tunnel);
        }
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
        let range = match prefix.address {
            IpAddr::V4(first) => {
                let hosts = u32::MAX.checked_shr(prefix.length.into()).unwrap_or(0);
                let last = Ipv4Addr::from_bits(first.to_bits() | hosts);
                Some((first, NextHopId(0))..=(last, NextHopId(u32::MAX)))
            }
            IpAddr::V6(_) => None,
        };
        range.into_iter().flat_map(|range| self.tunnels.range(range)).map(|&(_, id)| id)
    }

    /// The tunnels that go by an underlay next hop.
    pub fn users_of(&self, via: NextHopId) -> impl Iterator<Item = NextHopId> {
        self.users.get(&via).into_iter().flatten().copied()
    }

    /// Tunnels with the underlay next hop that each goes by.
    pub fn ways(&self) -> impl Iterator<Item = (NextHopId, NextHopId)> {
        self.via.iter().map(|(&tunnel, &via)| (tunnel, via))
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
