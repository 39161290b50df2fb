//! Where decisions about flows meet the objects of a plan: by the numbers of the snapshot that decides.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::change::place_of;
use super::owners::Name;
use super::records::{LabelTarget, Prefix, VniTarget};
use super::state::State;
use super::{list, read};
use crate::api::v1;
use crate::ids::{BridgeId, Mac, NextHopId, VifId, VrfId};
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
    pub elsewhere: HashMap<NextHopId, Elsewhere>,
    routes: By<(VrfId, Prefix)>,
    /// Address groups, by their prefixes, with the lengths that there are, and by the ACLs that name them.
    members: By<Prefix>,
    lengths: [BTreeSet<u8>; 2],
    groups: HashMap<Arc<str>, HashSet<u32>>,
}

/// Where stations are afterwards that were behind one next hop.
#[derive(Default)]
pub struct Elsewhere {
    /// As far as it is said what they have.
    by_address: HashMap<IpAddr, Gone>,
    /// All of them have left: one of them.
    any: Option<Gone>,
}

/// Where a station is afterwards.
#[derive(Clone, Copy)]
pub struct Gone {
    /// Absent: nobody knows.
    pub next_hop: Option<NextHopId>,
    /// Frames to whom nobody knows go to everybody.
    pub floods: bool,
}

impl Elsewhere {
    /// Where the station with this address is. `None`: where it was, as far as is known.
    pub fn station(&self, address: IpAddr) -> Option<Gone> {
        self.by_address.get(&address).copied().or(self.any)
    }
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

    /// The groups that this ACL names and that hold one of these addresses; some perhaps more than once.
    pub fn groups<'a>(&'a self, acl: &str, addresses: [IpAddr; 2]) -> impl Iterator<Item = u32> + 'a {
        let named = self.groups.get(acl);
        let prefixes = addresses.into_iter().flat_map(|address| {
            let lengths = self.lengths[usize::from(address.is_ipv6())].iter();
            lengths.map(move |length| Prefix::holding(address, *length))
        });
        let steps = named.into_iter().flat_map(move |named| prefixes.clone().map(move |prefix| (named, prefix)));
        steps.flat_map(|(named, prefix)| self.members.of(&prefix).iter().filter(|step| named.contains(*step))).copied()
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

    /// Notes which stations are elsewhere in the state of after, where they were in that of before.
    pub(super) fn move_stations(&mut self, [before, after]: [&State; 2]) {
        let keys: BTreeSet<_> = before.fdb.keys().chain(before.learnt.keys()).chain(before.stations.keys()).collect();
        let mut there: HashMap<NextHopId, usize> = HashMap::new();
        let mut left: HashMap<NextHopId, usize> = HashMap::new();
        for &&(bridge, mac) in &keys {
            let Some(was) = station(before, bridge, mac) else { continue };
            *there.entry(was).or_default() += 1;
            let next_hop = station(after, bridge, mac);
            if next_hop == Some(was) {
                continue;
            }
            *left.entry(was).or_default() += 1;
            let floods = after.bridge_by_id.get(&bridge).is_some_and(|bridge| bridge.flood_unknown);
            let moved = self.elsewhere.entry(was).or_default();
            let addresses = before.fdb.get(&(bridge, mac)).map(|entry| &*entry.addresses).unwrap_or_default();
            moved.by_address.extend(addresses.iter().map(|address| (*address, Gone { next_hop, floods })));
            moved.any = Some(Gone { next_hop, floods });
        }
        for (was, moved) in &mut self.elsewhere {
            if there[was] > left[was] {
                moved.any = None;
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
                for prefix in &state.groups.get(&name)?.prefixes {
                    self.members.add(*prefix, step);
                    self.lengths[usize::from(prefix.address.is_ipv6())].insert(prefix.length);
                }
                for acl in state.of_group.get(&name)? {
                    self.groups.entry(acl.clone()).or_default().insert(step);
                }
            }
            Name::Port(name) => {
                let port = *state.port_by_name.get(&name)?;
                let vifs: HashSet<VifId> = state.vifs_on(port).collect();
                vifs.into_iter().for_each(|vif| self.vifs.add(vif, step));
            }
            Name::Bridge(name) => self.mark_bridge(state, step, state.bridges.get(&name)?.id),
            Name::Fdb(bridge, mac) => self.stations.add(station(state, bridge, mac)?, step),
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

/// The next hop to a station: a VIF's own, a given one, or where it was seen.
fn station(state: &State, bridge: BridgeId, mac: Mac) -> Option<NextHopId> {
    let key = &(bridge, mac);
    let own = state.stations.get(key).map(|(_, next_hop)| *next_hop);
    own.or_else(|| state.fdb.get(key).map(|entry| entry.next_hop)).or_else(|| {
        let learnt = state.learnt.get(key)?;
        place_of(state, state.bridge_by_id.get(&bridge)?, learnt.at)
    })
}
