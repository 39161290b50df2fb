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
    let before = Before::of(&state.journal);
    let mut events = Events::default();
    before.objects(state, &mut events);
    before.arrivals(state, &mut events);
    for (&(vrf, prefix), noted) in &before.routes {
        before.route(state, vrf, prefix, noted, &mut events);
    }
    Some(events.changes())
}

#[derive(Default)]
struct Events {
    puts: Vec<v1::Object>,
    deletes: Vec<Key>,
}

impl Events {
    /// One object, before and after.
    fn turn<T: PartialEq>(
        &mut self,
        old: Option<&T>,
        new: Option<&T>,
        put: impl FnOnce(&T) -> Kind,
        key: impl FnOnce() -> Key,
    ) {
        match (old, new) {
            (old, Some(new)) if old != Some(new) => self.puts.push(v1::Object { kind: Some(put(new)) }),
            (Some(_), None) => self.deletes.push(key()),
            _ => {}
        }
    }

    /// What was deleted and made anew under another number has been put.
    fn changes(mut self) -> Vec<v1::Change> {
        if !self.puts.is_empty() && !self.deletes.is_empty() {
            let bytes = |key: &Key| v1::ObjectKey { kind: Some(key.clone()) }.encode_to_vec();
            let put: HashSet<Vec<u8>> =
                self.puts.iter().filter_map(|object| Some(bytes(&key(object.kind.as_ref()?)?))).collect();
            self.deletes.retain(|key| !put.contains(&bytes(key)));
        }
        let deletes = self.deletes.into_iter().rev().map(|kind| Op::Delete(v1::ObjectKey { kind: Some(kind) }));
        let puts = self.puts.into_iter().map(Op::Put);
        deletes.chain(puts).map(|op| v1::Change { op: Some(op) }).collect()
    }
}

impl Before {
    fn of(journal: &[Undo]) -> Before {
        let mut before = Before::default();
        for undo in journal {
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
                Undo::Station(..)
                | Undo::Service(..)
                | Undo::NextVrf(_)
                | Undo::NextVif(_)
                | Undo::NextBridge(_)
                | Undo::NextHopGroup(_)
                | Undo::NextBfd(_) => {}
            }
        }
        before
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
            events.turn(old.as_ref(), new, |port| Kind::Port(list::port(port)), name);
        }
        for (name, old) in &self.groups {
            let put = |group: &Arc<Group>| Kind::Group(list::group(group));
            events.turn(old.as_ref(), state.groups.get(name), put, || Key::Group(name.to_string()));
        }
        for (name, old) in &self.acls {
            let put = |acl: &Arc<Acl>| Kind::Acl(list::acl(acl));
            events.turn(old.as_ref(), state.acls.get(name), put, || Key::Acl(name.to_string()));
        }
        for (name, old) in &self.vrfs {
            let put = |vrf: &Arc<Vrf>| Kind::Vrf(list::vrf(vrf));
            events.turn(old.as_ref(), state.vrfs.get(name), put, || Key::Vrf(name.to_string()));
        }
        for (name, old) in &self.bridges {
            let put = |bridge: &Arc<Bridge>| Kind::Bridge(list::bridge(state, bridge));
            events.turn(old.as_ref(), state.bridges.get(name), put, || Key::Bridge(name.to_string()));
        }
        for (name, old) in &self.vifs {
            let put = |vif: &Arc<Vif>| Kind::Vif(list::vif(state, vif));
            events.turn(old.as_ref(), state.vifs.get(name), put, || Key::Vif(name.to_string()));
        }
        if self.settings.as_ref().is_some_and(|old| *old != state.settings) {
            let settings = list::settings(state, &state.settings);
            events.puts.push(v1::Object { kind: Some(Kind::Settings(settings)) });
        }
    }

    /// Next-hop groups, neighbours, and what arrives from tunnels.
    fn arrivals(&self, state: &State, events: &mut Events) {
        for (name, old) in &self.hop_groups {
            let put = |group: &Arc<HopGroup>| Kind::NextHopGroup(list::hop_group(state, group));
            let key = || Key::NextHopGroup(name.to_string());
            events.turn(old.as_ref(), state.hop_groups.get(name), put, key);
        }
        for (name, old) in &self.bfd {
            let put = |session: &Arc<Bfd>| Kind::BfdSession(bfd::told(state, session));
            events.turn(old.as_ref(), state.bfd.get(name), put, || Key::BfdSession(name.to_string()));
        }
        for (&(vif, address), old) in &self.neighbours {
            let put = |new: &Neighbour| Kind::Neighbour(list::neighbour(state, vif, address, new));
            let key =
                || Key::Neighbour(v1::NeighbourKey { vif: self.vif_name(state, vif), address: list::address(address) });
            events.turn(old.as_ref(), state.neighbours.get(&(vif, address)), put, key);
        }
        let bridge_name = |bridge: BridgeId| {
            self.bridge_names.get(&bridge).map_or_else(|| state.bridge_name(bridge), |name| name.to_string())
        };
        for (&(bridge, mac), old) in &self.learnt {
            let put = |learnt: &Learnt| Kind::FdbEntry(list::learnt(state, bridge, mac, learnt, 0));
            let key = || Key::FdbEntry(list::fdb_key(bridge_name(bridge), mac));
            events.turn(old.as_ref(), state.learnt.get(&(bridge, mac)), put, key);
        }
        for (&(bridge, mac), old) in &self.fdb {
            let put = |entry: &FdbEntry| Kind::FdbEntry(list::fdb_entry(state, bridge, mac, entry));
            let key = || Key::FdbEntry(list::fdb_key(bridge_name(bridge), mac));
            events.turn(old.as_ref(), state.fdb.get(&(bridge, mac)), put, key);
        }
        for (&vni, old) in &self.vnis {
            let put = |target: &VniTarget| Kind::Vni(list::vni(state, vni, target));
            events.turn(old.as_ref(), state.vnis.get(&vni), put, || Key::Vni(vni.0));
        }
        for (&label, old) in &self.labels {
            let put = |target: &LabelTarget| Kind::Label(list::label(state, label, target));
            events.turn(old.as_ref(), state.labels.get(&label), put, || Key::Label(label.0));
        }
    }

    /// Each owner's route to this prefix. All VIFs' offers are one route, the best.
    fn route(&self, state: &State, vrf: VrfId, prefix: Prefix, noted: &[Noted], events: &mut Events) {
        let now = state.offers(vrf, prefix);
        let offer = |source, (preference, next_hop)| Offer { source, preference, next_hop };
        let name = self.vrf_names.get(&vrf).map_or_else(|| state.vrf_name(vrf), |name| name.to_string());
        let put = |offer: &Offer| Kind::Route(list::route(state, &name, prefix, offer));
        let key = |owner| Key::Route(v1::RouteKey { vrf: name.clone(), prefix: Some(list::prefix(prefix)), owner });
        for &(source, old) in noted.iter().filter(|(source, _)| matches!(source, Source::Owner(_))) {
            let old = old.map(|old| offer(source, old));
            let new = now.iter().find(|offer| offer.source == source);
            events.turn(old.as_ref(), new, put, || key(list::owner(state, source)));
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
        events.turn(old.as_ref(), new.as_ref(), |route| Kind::Route(route.clone()), owner);
    }

    fn vif_name(&self, state: &State, vif: VifId) -> String {
        self.vif_names.get(&vif).map_or_else(|| state.vif_name(vif), |name| name.to_string())
    }
}

/// The key of an object; the settings have none.
fn key(object: &Kind) -> Option<Key> {
    Some(match object {
        Kind::Settings(_) => return None,
        Kind::Vrf(vrf) => Key::Vrf(vrf.name.clone()),
        Kind::Vif(vif) => Key::Vif(vif.name.clone()),
        Kind::Route(route) => Key::Route(route.key.clone()?),
        Kind::Neighbour(neighbour) => Key::Neighbour(neighbour.key.clone()?),
        Kind::Vni(vni) => Key::Vni(vni.vni),
        Kind::Label(label) => Key::Label(label.label),
        Kind::Acl(acl) => Key::Acl(acl.name.clone()),
        Kind::Group(group) => Key::Group(group.name.clone()),
        Kind::Port(port) => Key::Port(port.name.clone()),
        Kind::Bridge(bridge) => Key::Bridge(bridge.name.clone()),
        Kind::FdbEntry(entry) => Key::FdbEntry(entry.key.clone()?),
        Kind::NextHopGroup(group) => Key::NextHopGroup(group.name.clone()),
        Kind::BfdSession(session) => Key::BfdSession(session.name.clone()),
    })
}
