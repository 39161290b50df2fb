//! What the changes since the last commit come to: the puts and deletes that turn the list before into the list after.
//!
//! Read from the journal, before the commit forgets it: of each object touched the value before is the first one noted.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use prost::Message;

use super::bfd;
use super::journal::Undo;
use super::list;
use super::owners::Name;
use super::records::{
    Acl, Bfd, Bridge, FdbEntry, Group, HopGroup, LabelTarget, Learnt, Neighbour, Port, Prefix, Settings, Vif,
    VniTarget, Vrf,
};
use super::routes::{Offer, Source};
use super::state::State;
use crate::api::v1;
use crate::ids::{BridgeId, Label, Mac, NextHopId, PortIndex, VifId, Vni, VrfId};
use v1::change::Op;
use v1::object::Kind;
use v1::object_key::Kind as Key;

/// One source's offer of a route: preference and next hop.
type Noted = (Source, Option<(u32, NextHopId)>);

/// Values before, by key. `None`: it was not there.
#[derive(Default)]
struct Before {
    ports: BTreeMap<PortIndex, Option<Arc<Port>>>,
    groups: BTreeMap<Arc<str>, Option<Arc<Group>>>,
    acls: BTreeMap<Arc<str>, Option<Arc<Acl>>>,
    vrfs: BTreeMap<Arc<str>, Option<Arc<Vrf>>>,
    vifs: BTreeMap<Arc<str>, Option<Arc<Vif>>>,
    settings: Option<Arc<Settings>>,
    hop_groups: BTreeMap<Arc<str>, Option<Arc<HopGroup>>>,
    bfd: BTreeMap<Arc<str>, Option<Arc<Bfd>>>,
    neighbours: BTreeMap<(VifId, IpAddr), Option<Neighbour>>,
    bridges: BTreeMap<Arc<str>, Option<Arc<Bridge>>>,
    fdb: BTreeMap<(BridgeId, Mac), Option<FdbEntry>>,
    learnt: BTreeMap<(BridgeId, Mac), Option<Learnt>>,
    vnis: BTreeMap<Vni, Option<VniTarget>>,
    labels: BTreeMap<Label, Option<LabelTarget>>,
    routes: BTreeMap<(VrfId, Prefix), Vec<Noted>>,
    owners: BTreeMap<Name, Option<u32>>,
    /// Of those that were deleted since.
    vrf_names: HashMap<VrfId, Arc<str>>,
    vif_names: HashMap<VifId, Arc<str>>,
    bridge_names: HashMap<BridgeId, Arc<str>>,
}

/// Deletes, then puts in the order of a list, no key twice. `None`: more than `most` notes were taken.
pub(super) fn since_commit(state: &State, most: usize) -> Option<Vec<v1::Change>> {
    if state.journal.len() > most {
        return None;
    }
    Some(all(state, usize::MAX).0)
}

/// The same, at most about `room` of them, and how many more objects were created, changed and deleted.
pub(super) fn all(state: &State, room: usize) -> (Vec<v1::Change>, [u64; 3]) {
    let before = Before::of(state);
    let mut events = Events { room, ..Events::default() };
    before.objects(state, &mut events);
    before.arrivals(state, &mut events);
    for (&(vrf, prefix), noted) in &before.routes {
        before.route(state, vrf, prefix, noted, &mut events);
    }
    let beyond = events.beyond;
    (events.changes(), beyond)
}

#[derive(Default)]
struct Events {
    puts: Vec<v1::Object>,
    deletes: Vec<Key>,
    /// How many more may be told.
    room: usize,
    /// Objects created, changed and deleted that were not.
    beyond: [u64; 3],
}

impl Events {
    /// One object, before and after; `moved`: its owner is another.
    fn turn<T: PartialEq>(
        &mut self,
        (old, new, moved): (Option<&T>, Option<&T>, bool),
        put: impl FnOnce(&T) -> v1::Object,
        key: impl FnOnce() -> Key,
    ) {
        let kind = match (old, new) {
            (None, Some(_)) => 0,
            (Some(old), Some(new)) if moved || old != new => 1,
            (Some(_), None) => 2,
            _ => return,
        };
        if self.room == 0 {
            self.beyond[kind] += 1;
            return;
        }
        self.room -= 1;
        match new {
            Some(new) => self.puts.push(put(new)),
            None => self.deletes.push(key()),
        }
    }

    /// What was deleted and made anew under another number has been put.
    fn changes(mut self) -> Vec<v1::Change> {
        if !self.puts.is_empty() && !self.deletes.is_empty() {
            let bytes = |key: &Key| v1::ObjectKey { kind: Some(key.clone()) }.encode_to_vec();
            let put: HashSet<Vec<u8>> =
                self.puts.iter().filter_map(|object| Some(bytes(&object.kind.as_ref()?.key()?))).collect();
            self.deletes.retain(|key| !put.contains(&bytes(key)));
        }
        let deletes = self.deletes.into_iter().rev().map(|kind| Op::Delete(v1::ObjectKey { kind: Some(kind) }));
        let puts = self.puts.into_iter().map(Op::Put);
        deletes.chain(puts).map(|op| v1::Change { op: Some(op) }).collect()
    }
}

impl Before {
    fn of(state: &State) -> Before {
        let mut before = Before::default();
        for undo in &state.journal {
            match undo {
                Undo::Port(index, old) => drop(before.ports.entry(*index).or_insert_with(|| old.clone())),
                Undo::Settings(old) => drop(before.settings.get_or_insert_with(|| old.clone())),
                Undo::Vrf(name, old) => {
                    before.vrf_names.extend(old.iter().map(|old| (old.id, name.clone())));
                    before.vrfs.entry(name.clone()).or_insert_with(|| old.clone());
                }
                Undo::Vif(name, old) => {
                    before.vif_names.extend(old.iter().map(|old| (old.id, name.clone())));
                    before.vifs.entry(name.clone()).or_insert_with(|| old.clone());
                }
                Undo::Acl(name, old) => drop(before.acls.entry(name.clone()).or_insert_with(|| old.clone())),
                Undo::Group(name, old) => drop(before.groups.entry(name.clone()).or_insert_with(|| old.clone())),
                Undo::HopGroup(name, old) => drop(before.hop_groups.entry(name.clone()).or_insert_with(|| old.clone())),
                Undo::Bfd(name, old) => drop(before.bfd.entry(name.clone()).or_insert_with(|| old.clone())),
                Undo::Neighbour(key, old) => _ = before.neighbours.entry(*key).or_insert(*old),
                Undo::Bridge(name, old) => {
                    before.bridge_names.extend(old.iter().map(|old| (old.id, name.clone())));
                    before.bridges.entry(name.clone()).or_insert_with(|| old.clone());
                }
                Undo::Learnt(key, old) => _ = before.learnt.entry(*key).or_insert(*old),
                Undo::Fdb(key, old) => _ = before.fdb.entry(*key).or_insert_with(|| old.clone()),
                Undo::Vni(vni, old) => _ = before.vnis.entry(*vni).or_insert(*old),
                Undo::Label(label, old) => _ = before.labels.entry(*label).or_insert(*old),
                Undo::Route(vrf, prefix, source, old) => {
                    let noted = before.routes.entry((*vrf, *prefix)).or_default();
                    if noted.iter().all(|(other, _)| other != source) {
                        noted.push((*source, *old));
                    }
                }
                Undo::Owner(name, old) => _ = before.owners.entry(name.clone()).or_insert(*old),
                Undo::Station(..)
                | Undo::Service(..)
                | Undo::NextVrf(_)
                | Undo::NextVif(_)
                | Undo::NextBridge(_)
                | Undo::NextHopGroup(_)
                | Undo::NextBfd(_) => {}
            }
        }
        before.as_they_are(state);
        before
    }

    /// What has had another owner, and is as it was otherwise.
    fn as_they_are(&mut self, state: &State) {
        for name in self.owners.keys() {
            match name {
                Name::Port(name) => {
                    let index = state.port_by_name.get(name);
                    index.map(|index| self.ports.entry(*index).or_insert_with(|| state.ports[index.index()].clone()));
                }
                Name::Group(name) => keep(&mut self.groups, name, state.groups.get(name)),
                Name::Acl(name) => keep(&mut self.acls, name, state.acls.get(name)),
                Name::Vrf(name) => keep(&mut self.vrfs, name, state.vrfs.get(name)),
                Name::Bridge(name) => keep(&mut self.bridges, name, state.bridges.get(name)),
                Name::Vif(name) => keep(&mut self.vifs, name, state.vifs.get(name)),
                Name::Settings => _ = self.settings.get_or_insert_with(|| state.settings.clone()),
                &Name::Neighbour(vif, address) => {
                    keep(&mut self.neighbours, &(vif, address), state.neighbours.get(&(vif, address)));
                }
                Name::HopGroup(name) => keep(&mut self.hop_groups, name, state.hop_groups.get(name)),
                Name::Bfd(name) => keep(&mut self.bfd, name, state.bfd.get(name)),
                &Name::Fdb(bridge, mac) => keep(&mut self.fdb, &(bridge, mac), state.fdb.get(&(bridge, mac))),
                Name::Vni(vni) => keep(&mut self.vnis, vni, state.vnis.get(vni)),
                Name::Label(label) => keep(&mut self.labels, label, state.labels.get(label)),
            }
        }
    }

    fn moved(&self, state: &State, name: Name) -> bool {
        self.owners.get(&name).is_some_and(|old| *old != state.owned.get(&name).copied())
    }

    /// Objects by name, and settings.
    fn objects(&self, state: &State, events: &mut Events) {
        for (index, old) in &self.ports {
            let new = state.ports[index.index()].as_ref();
            let renamed = old.as_ref().filter(|old| new.is_some_and(|new| new.info.name != old.info.name));
            if let Some(old) = renamed {
                events.deletes.push(Key::Port(old.info.name.clone()));
            }
            let name = || Key::Port(old.as_ref().map(|old| old.info.name.clone()).unwrap_or_default());
            let moved = new.is_some_and(|new| self.moved(state, Name::Port(new.info.name.as_str().into())));
            let put = |port: &Arc<Port>| list::told(state, Kind::Port(list::port(port)));
            events.turn((old.as_ref(), new, moved), put, name);
        }
        for (name, old) in &self.groups {
            let put = |group: &Arc<Group>| list::told(state, Kind::Group(list::group(group)));
            let moved = self.moved(state, Name::Group(name.clone()));
            events.turn((old.as_ref(), state.groups.get(name), moved), put, || Key::Group(name.to_string()));
        }
        for (name, old) in &self.acls {
            let put = |acl: &Arc<Acl>| list::told(state, Kind::Acl(list::acl(acl)));
            let moved = self.moved(state, Name::Acl(name.clone()));
            events.turn((old.as_ref(), state.acls.get(name), moved), put, || Key::Acl(name.to_string()));
        }
        for (name, old) in &self.vrfs {
            let put = |vrf: &Arc<Vrf>| list::told(state, Kind::Vrf(list::vrf(vrf)));
            let moved = self.moved(state, Name::Vrf(name.clone()));
            events.turn((old.as_ref(), state.vrfs.get(name), moved), put, || Key::Vrf(name.to_string()));
        }
        for (name, old) in &self.bridges {
            let put = |bridge: &Arc<Bridge>| list::told(state, Kind::Bridge(Box::new(list::bridge(state, bridge))));
            let moved = self.moved(state, Name::Bridge(name.clone()));
            events.turn((old.as_ref(), state.bridges.get(name), moved), put, || Key::Bridge(name.to_string()));
        }
        for (name, old) in &self.vifs {
            let put = |vif: &Arc<Vif>| list::told(state, Kind::Vif(Box::new(list::vif(state, vif))));
            let moved = self.moved(state, Name::Vif(name.clone()));
            events.turn((old.as_ref(), state.vifs.get(name), moved), put, || Key::Vif(name.to_string()));
        }
        let moved = self.moved(state, Name::Settings);
        if self.settings.as_ref().is_some_and(|old| moved || *old != state.settings) {
            events.puts.push(list::told(state, Kind::Settings(Box::new(list::settings(state, &state.settings)))));
        }
    }

    /// Next-hop groups, neighbours, and what arrives from tunnels.
    fn arrivals(&self, state: &State, events: &mut Events) {
        for (name, old) in &self.hop_groups {
            let put = |group: &Arc<HopGroup>| list::told(state, Kind::NextHopGroup(list::hop_group(state, group)));
            let key = || Key::NextHopGroup(name.to_string());
            let moved = self.moved(state, Name::HopGroup(name.clone()));
            events.turn((old.as_ref(), state.hop_groups.get(name), moved), put, key);
        }
        for (name, old) in &self.bfd {
            let put = |session: &Arc<Bfd>| list::told(state, Kind::BfdSession(Box::new(bfd::told(state, session))));
            let moved = self.moved(state, Name::Bfd(name.clone()));
            events.turn((old.as_ref(), state.bfd.get(name), moved), put, || Key::BfdSession(name.to_string()));
        }
        for (&(vif, address), old) in &self.neighbours {
            let put = |new: &Neighbour| list::told(state, Kind::Neighbour(list::neighbour(state, vif, address, new)));
            let moved = self.moved(state, Name::Neighbour(vif, address));
            let key =
                || Key::Neighbour(v1::NeighbourKey { vif: self.vif_name(state, vif), address: list::address(address) });
            events.turn((old.as_ref(), state.neighbours.get(&(vif, address)), moved), put, key);
        }
        let bridge_name = |bridge: BridgeId| {
            self.bridge_names.get(&bridge).map_or_else(|| state.bridge_name(bridge), |name| name.to_string())
        };
        for (&(bridge, mac), old) in &self.learnt {
            let put = |learnt: &Learnt| v1::Object::from(Kind::FdbEntry(list::learnt(state, bridge, mac, learnt, 0)));
            let key = || Key::FdbEntry(list::fdb_key(bridge_name(bridge), mac));
            events.turn((old.as_ref(), state.learnt.get(&(bridge, mac)), false), put, key);
        }
        for (&(bridge, mac), old) in &self.fdb {
            let put = |entry: &FdbEntry| list::told(state, Kind::FdbEntry(list::fdb_entry(state, bridge, mac, entry)));
            let moved = self.moved(state, Name::Fdb(bridge, mac));
            let key = || Key::FdbEntry(list::fdb_key(bridge_name(bridge), mac));
            events.turn((old.as_ref(), state.fdb.get(&(bridge, mac)), moved), put, key);
        }
        for (&vni, old) in &self.vnis {
            let put = |target: &VniTarget| list::told(state, Kind::Vni(list::vni(state, vni, target)));
            let moved = self.moved(state, Name::Vni(vni));
            events.turn((old.as_ref(), state.vnis.get(&vni), moved), put, || Key::Vni(vni.0));
        }
        for (&label, old) in &self.labels {
            let put = |target: &LabelTarget| list::told(state, Kind::Label(list::label(state, label, target)));
            let moved = self.moved(state, Name::Label(label));
            events.turn((old.as_ref(), state.labels.get(&label), moved), put, || Key::Label(label.0));
        }
    }

    /// Each owner's route to this prefix. All VIFs' offers are one route, the best.
    fn route(&self, state: &State, vrf: VrfId, prefix: Prefix, noted: &[Noted], events: &mut Events) {
        let now = state.offers(vrf, prefix);
        let offer = |source, (preference, next_hop)| Offer { source, preference, next_hop };
        let name = self.vrf_names.get(&vrf).map_or_else(|| state.vrf_name(vrf), |name| name.to_string());
        let put = |offer: &Offer| v1::Object::from(Kind::Route(list::route(state, &name, prefix, offer)));
        let key = |owner| Key::Route(v1::RouteKey { vrf: name.clone(), prefix: Some(list::prefix(prefix)), owner });
        for &(source, old) in noted.iter().filter(|(source, _)| matches!(source, Source::Owner(_))) {
            let old = old.map(|old| offer(source, old));
            let new = now.iter().find(|offer| offer.source == source);
            events.turn((old.as_ref(), new, false), put, || key(list::owner(state, source)));
        }
        let is_vif = |offer: &&Offer| matches!(offer.source, Source::Vif(_));
        let untouched =
            now.iter().filter(is_vif).filter(|offer| noted.iter().all(|(source, _)| *source != offer.source));
        let before = noted.iter().filter_map(|&(source, old)| old.map(|old| offer(source, old)));
        let before: Vec<Offer> = before.filter(|offer| is_vif(&offer)).chain(untouched.copied()).collect();
        let best = |offers: &mut dyn Iterator<Item = &Offer>| {
            let best = offers.min_by_key(|offer| state.rank(offer))?;
            Some(list::route(state, &name, prefix, best))
        };
        let (old, new) = (best(&mut before.iter()), best(&mut now.iter().filter(is_vif)));
        let owner = || key(list::owner(state, Source::Vif(VifId(0))));
        let put = |route: &v1::Route| v1::Object::from(Kind::Route(route.clone()));
        events.turn((old.as_ref(), new.as_ref(), false), put, owner);
    }

    fn vif_name(&self, state: &State, vif: VifId) -> String {
        self.vif_names.get(&vif).map_or_else(|| state.vif_name(vif), |name| name.to_string())
    }
}

/// What is there now was there before.
fn keep<K: Ord + Clone, V: Clone>(before: &mut BTreeMap<K, Option<V>>, key: &K, now: Option<&V>) {
    before.entry(key.clone()).or_insert_with(|| now.cloned());
}
