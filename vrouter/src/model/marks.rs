//! Where decisions about flows meet the objects of a plan: by the numbers of the snapshot that decides.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::owners::Name;
use super::records::{FdbEntry, LabelTarget, Prefix, VniTarget};
use super::state::State;
use super::{compile, list, read};
use crate::api::v1;
use crate::ids::{BridgeId, NextHopId, VifId, VrfId};
use crate::tables::fib::PrefixSet;
use v1::object::Kind;

/// Steps of a plan, by their index, by what decisions meet. Of one side: as things are, or as they would be.
#[derive(Default)]
pub struct Marks {
    pub always: Vec<u32>,
    pub vifs: By<VifId>,
    pub vrfs: By<VrfId>,
    pub acls: By<Arc<str>>,
    /// Next-hop groups, by the next hop of routes that name one.
    pub hop_groups: By<NextHopId>,
    /// VNIs and labels, by the VRF that their packets come into.
    pub tunnels: By<VrfId>,
    /// Labels that name a VIF, by the next hop to it.
    pub labels: By<NextHopId>,
    /// Bridges, by their VIFs: of bridged flows.
    pub bridges: By<VifId>,
    /// Stations of bridges, by the next hop to them.
    pub stations: By<NextHopId>,
    /// Neighbours of the underlay.
    pub neighbours: By<(VifId, IpAddr)>,
    /// BFD sessions with neighbours of a VRF, and with tunnels' far ends.
    pub gateways: By<(VrfId, IpAddr)>,
    pub far_ends: By<IpAddr>,
    /// Stations that are elsewhere afterwards, by the next hop to them before.
    pub elsewhere: HashMap<NextHopId, Vec<Elsewhere>>,
    routes: By<(VrfId, Prefix)>,
    /// Address groups, by ACLs that name them.
    groups: HashMap<Arc<str>, Vec<(Arc<PrefixSet>, u32)>>,
}

/// Where a station is afterwards.
pub struct Elsewhere {
    /// What it has, as far as that is said.
    pub addresses: Arc<[IpAddr]>,
    pub next_hop: Option<NextHopId>,
    /// Frames to it go to everybody where it is not.
    pub floods: bool,
}

/// Steps by what they are met by.
pub struct By<K>(HashMap<K, Vec<u32>>);

impl<K> Default for By<K> {
    fn default() -> By<K> {
        By(HashMap::new())
    }
}

impl<K: Eq + Hash> By<K> {
    /// The steps that are met by this; mostly none.
    pub fn of<Q: Eq + Hash + hashbrown::Equivalent<K> + ?Sized>(&self, key: &Q) -> &[u32] {
        if self.0.is_empty() {
            return &[];
        }
        self.0.get(key).map_or(&[], |steps| steps)
    }

    fn add(&mut self, key: K, step: u32) {
        self.0.entry(key).or_default().push(step);
    }
}

impl Marks {
    /// The route of this length that `destination` matched.
    pub fn route(&self, vrf: VrfId, destination: IpAddr, length: u8) -> &[u32] {
        self.routes.of(&(vrf, Prefix::holding(destination, length)))
    }

    /// The groups that this ACL names and that hold one of these addresses.
    pub fn groups<'a>(&'a self, acl: &str, addresses: [IpAddr; 2]) -> impl Iterator<Item = u32> + 'a {
        let named = self.groups.get(acl).into_iter().flatten();
        let held = move |set: &PrefixSet| addresses.into_iter().any(|address| set.contains(address));
        named.filter(move |(set, _)| held(set)).map(|(_, step)| *step)
    }

    /// The marks of these objects, each with the index of its step, as they are in this state.
    pub(super) fn of<'a>(state: &State, objects: impl Iterator<Item = (u32, &'a v1::Object)>) -> Marks {
        let mut marks = Marks::default();
        for (step, object) in objects {
            if let Some(kind) = &object.kind {
                // what is not there any more in this state is met by nobody
                _ = marks.mark(state, step, kind);
            }
        }
        marks
    }

    /// Notes which of these stations are elsewhere in the state of after.
    pub(super) fn move_stations<'a>(&mut self, states: [&State; 2], objects: impl Iterator<Item = &'a v1::Object>) {
        let [before, after] = states;
        for object in objects {
            let Some(Name::Fdb(bridge, mac)) = object.kind.as_ref().and_then(|kind| Name::of_object(before, kind))
            else {
                continue;
            };
            let Some(FdbEntry { next_hop, addresses, .. }) = before.fdb.get(&(bridge, mac)) else { continue };
            let now = after.fdb.get(&(bridge, mac)).map(|entry| entry.next_hop);
            let now = now.or_else(|| after.stations.get(&(bridge, mac)).map(|(_, next_hop)| *next_hop));
            if now != Some(*next_hop) {
                let floods = after.bridge_by_id.get(&bridge).is_some_and(|bridge| bridge.flood_unknown);
                let elsewhere = Elsewhere { addresses: addresses.clone(), next_hop: now, floods };
                self.elsewhere.entry(*next_hop).or_default().push(elsewhere);
            }
        }
    }

    fn mark(&mut self, state: &State, step: u32, object: &Kind) -> Option<()> {
        if let Kind::Route(route) = object {
            return self.mark_route(state, step, route.key.as_ref()?);
        }
        match Name::of_object(state, object)? {
            Name::Settings => self.always.push(step),
            Name::Vrf(name) => self.vrfs.add(state.vrfs.get(&name)?.id, step),
            Name::Vif(name) => self.vifs.add(state.vifs.get(&name)?.id, step),
            Name::Acl(name) => self.acls.add(name, step),
            Name::Group(name) => {
                let set = Arc::new(compile::set_of(&state.groups.get(&name)?.prefixes));
                for acl in state.of_group.get(&name)? {
                    self.groups.entry(acl.clone()).or_default().push((set.clone(), step));
                }
            }
            Name::Port(name) => {
                let port = *state.port_by_name.get(&name)?;
                let vifs: HashSet<VifId> = state.vifs_on(port).collect();
                vifs.into_iter().for_each(|vif| self.vifs.add(vif, step));
            }
            Name::Bridge(name) => self.mark_bridge(state, step, state.bridges.get(&name)?.id),
            Name::Fdb(bridge, mac) => self.stations.add(state.fdb.get(&(bridge, mac))?.next_hop, step),
            Name::Neighbour(vif, address) => self.neighbours.add((vif, address), step),
            Name::HopGroup(name) => self.hop_groups.add(state.hop_groups.get(&name)?.next_hop, step),
            Name::Bfd(name) => {
                let watched = state.bfd.get(&name)?.watched;
                match watched.multihop {
                    true => self.far_ends.add(watched.remote, step),
                    false => self.gateways.add((watched.vrf, watched.remote), step),
                }
            }
            Name::Vni(vni) => match *state.vnis.get(&vni)? {
                VniTarget::Vrf(vrf) => self.tunnels.add(vrf, step),
                VniTarget::Bridge(bridge) => self.tunnels.add(state.bridge_by_id.get(&bridge)?.vrf, step),
            },
            Name::Label(label) => match *state.labels.get(&label)? {
                LabelTarget::Vrf(vrf) => self.tunnels.add(vrf, step),
                LabelTarget::Vif(_, next_hop) => self.labels.add(next_hop, step),
                LabelTarget::Bridge(bridge) => self.tunnels.add(state.bridge_by_id.get(&bridge)?.vrf, step),
            },
        }
        Some(())
    }

    /// One that is not in force, as another owner's is better, is met by nobody.
    fn mark_route(&mut self, state: &State, step: u32, key: &v1::RouteKey) -> Option<()> {
        let vrf = state.vrfs.get(key.vrf.as_str())?.id;
        let prefix = read::needed_prefix(key.prefix.as_ref()).ok()?;
        let best = state.offers(vrf, prefix).iter().min_by_key(|offer| state.rank(offer))?;
        if list::owner(state, best.source) == key.owner {
            self.routes.add((vrf, prefix), step);
        }
        Some(())
    }

    fn mark_bridge(&mut self, state: &State, step: u32, bridge: BridgeId) {
        for vif in state.of_bridge.get(&bridge).into_iter().flat_map(|used| &used.vifs) {
            self.bridges.add(*vif, step);
        }
    }
}
