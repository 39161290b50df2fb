//! The only ways to change [`State`]: each takes the new value (`None`: gone), keeps the indexes, writes the old value into the
//! journal and marks what must be compiled anew. Undoing is the same call with the old value.

use std::net::IpAddr;
use std::sync::Arc;

use super::interner::Swept;
use super::owners::Name;
use super::records::{
    Acl, Bfd, Bridge, FdbEntry, Group, Hop, HopGroup, LabelTarget, Learnt, Neighbour, Port, Prefix, Settings, Vif,
    VniTarget, Vrf,
};
use super::refusal::Reason;
use super::routes::{Left, Source};
use super::state::{Dirty, State};
use crate::ids::{BridgeId, Label, Mac, NextHopId, PortIndex, VifId, Vni, VrfId};
use crate::tables::VifKind;

/// A value before its change.
#[derive(Clone)]
pub(crate) enum Undo {
    Port(PortIndex, Option<Arc<Port>>),
    Settings(Arc<Settings>),
    Vrf(Arc<str>, Option<Arc<Vrf>>),
    Vif(Arc<str>, Option<Arc<Vif>>),
    Acl(Arc<str>, Option<Arc<Acl>>),
    Group(Arc<str>, Option<Arc<Group>>),
    HopGroup(Arc<str>, Option<Arc<HopGroup>>),
    Bfd(Arc<str>, Option<Arc<Bfd>>),
    Neighbour((VifId, IpAddr), Option<Neighbour>),
    Bridge(Arc<str>, Option<Arc<Bridge>>),
    Fdb((BridgeId, Mac), Option<FdbEntry>),
    Learnt((BridgeId, Mac), Option<Learnt>),
    Station((BridgeId, Mac), Option<(VifId, NextHopId)>),
    Service(VifId, Option<NextHopId>),
    Vni(Vni, Option<VniTarget>),
    Label(Label, Option<LabelTarget>),
    Route(VrfId, Prefix, Source, Option<(u32, NextHopId)>),
    Owner(Name, Option<u32>),
    /// A number handed out since.
    NextVrf(u32),
    NextVif(u32),
    NextBridge(u32),
    NextHopGroup(u32),
    NextBfd(u32),
}

impl State {
    /// Keeps all changes since the last commit or rollback; returns what they touched and which next hops came and went.
    pub fn commit(&mut self) -> (Dirty, Swept<(VrfId, Hop)>) {
        self.journal = Vec::new();
        self.owners.sweep();
        let gone = self.dirty.ports.iter().filter(|port| self.ports[port.index()].is_none());
        self.leaving_ports.extend(gone);
        self.paths.sweep();
        self.dirty.path_names = self.path_names.sweep();
        (std::mem::take(&mut self.dirty), self.hops.sweep())
    }

    /// Takes all changes since the last commit or rollback back.
    pub fn rollback(&mut self) {
        self.rollback_to(0);
        self.journal = Vec::new();
        self.dirty = Dirty::default();
        self.owners.sweep_back();
        self.paths.sweep_back();
        self.path_names.sweep_back();
        self.hops.sweep_back();
    }

    /// Takes the changes since the journal was so long back. What they touched is compiled anew all the same.
    pub fn rollback_to(&mut self, length: usize) {
        for undo in self.journal.split_off(length).into_iter().rev() {
            self.undo(undo);
        }
        self.journal.truncate(length);
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Port(index, old) => self.set_port(index, old),
            Undo::Settings(old) => self.set_settings(old),
            Undo::Vrf(name, old) => self.set_vrf(name, old),
            Undo::Vif(name, old) => self.set_vif(name, old),
            Undo::Acl(name, old) => self.set_acl(name, old),
            Undo::Group(name, old) => self.set_group(name, old),
            Undo::HopGroup(name, old) => self.set_hop_group(name, old),
            Undo::Bfd(name, old) => self.set_bfd(name, old),
            Undo::Neighbour(key, old) => self.set_neighbour(key, old),
            Undo::Bridge(name, old) => self.set_bridge(name, old),
            Undo::Fdb(key, old) => self.set_fdb(key, old),
            Undo::Learnt(key, old) => self.set_learnt(key, old),
            Undo::Station(key, old) => self.set_station(key, old),
            Undo::Service(vif, old) => self.set_service(vif, old),
            Undo::Vni(vni, old) => self.set_vni(vni, old),
            Undo::Label(label, old) => self.set_label(label, old),
            Undo::Route(vrf, prefix, source, old) => self.set_route(vrf, prefix, source, old),
            Undo::Owner(name, old) => self.set_owner(name, old),
            Undo::NextVrf(old) => self.next_vrf = old,
            Undo::NextVif(old) => self.next_vif = old,
            Undo::NextBridge(old) => self.next_bridge = old,
            Undo::NextHopGroup(old) => self.next_hop_group = old,
            Undo::NextBfd(old) => self.next_bfd = old,
        }
    }

    /// A number for a new VRF.
    pub fn number_vrf(&mut self, name: &str) -> Result<VrfId, Reason> {
        if let Some(given) = self.given.vrfs.get(name) {
            return Ok(VrfId(*given));
        }
        self.journal.push(Undo::NextVrf(self.next_vrf));
        Ok(VrfId(take_number(&mut self.next_vrf)?))
    }

    /// A number for a new VIF, and its row.
    pub fn number_vif(&mut self, name: &str) -> Result<(VifId, usize), Reason> {
        let no_slot = Reason::Limit { what: "vifs", limit: self.limits.vifs };
        if let Some((given, slot)) = self.given.vifs.get(name) {
            return if self.free_slots.contains(slot) { Ok((VifId(*given), *slot)) } else { Err(no_slot) };
        }
        self.journal.push(Undo::NextVif(self.next_vif));
        let number = VifId(take_number(&mut self.next_vif)?);
        Ok((number, *self.free_slots.first().ok_or(no_slot)?))
    }

    pub fn set_port(&mut self, index: PortIndex, new: Option<Arc<Port>>) {
        if let Some(new) = &new {
            self.port_by_name.insert(new.info.name.as_str().into(), index);
        }
        let there = new.is_some();
        let old = std::mem::replace(&mut self.ports[index.index()], new);
        if let Some(old) = old.as_ref().filter(|_| !there) {
            self.port_by_name.remove(old.info.name.as_str());
        }
        self.dirty.ports.insert(index);
        self.journal.push(Undo::Port(index, old));
    }

    pub fn set_settings(&mut self, new: Arc<Settings>) {
        let old = std::mem::replace(&mut self.settings, new);
        self.dirty.settings = true;
        self.journal.push(Undo::Settings(old));
    }

    pub fn set_vrf(&mut self, name: Arc<str>, new: Option<Arc<Vrf>>) {
        let old = replace(&mut self.vrfs, name.clone(), new.clone());
        match &new {
            Some(new) => self.vrf_by_name.insert(name.clone(), new.clone()),
            None => self.vrf_by_name.remove(&name),
        };
        if let Some(old) = &old {
            self.vrf_by_id.remove(&old.id);
            self.dirty.vrfs.insert(old.id);
            if let Some(acl) = &old.acl {
                self.use_acl(acl, |of| of.vrfs.remove(&old.id));
            }
        }
        if let Some(new) = new {
            self.dirty.vrfs.insert(new.id);
            if let Some(acl) = &new.acl {
                self.use_acl(acl, |of| of.vrfs.insert(new.id));
            }
            self.vrf_by_id.insert(new.id, new);
        }
        self.journal.push(Undo::Vrf(name, old));
    }

    pub fn set_vif(&mut self, name: Arc<str>, new: Option<Arc<Vif>>) {
        let old = replace(&mut self.vifs, name.clone(), new.clone());
        if let Some(old) = &old {
            self.dirty.vifs.insert(old.id);
            self.vif_by_id.remove(&old.id);
            old.ports().for_each(|port| self.vif_by_port[port.index()] = None);
            old.tags().map(|tags| self.branches.remove(&(old.port, tags)));
            self.free_slots.insert(old.slot);
            for acl in [&old.from_vif, &old.to_vif].into_iter().flatten() {
                self.use_acl(acl, |of| of.vifs.remove(&old.id));
            }
            let of = self.of_vrf.entry(old.vrf).or_default();
            of.vifs.remove(&old.id);
            of.fabric_vifs -= usize::from(old.kind == VifKind::Fabric);
            self.drop_unused_vrf(old.vrf);
            if let Some(bridge) = old.bridge {
                self.dirty.bridges.insert(bridge);
                self.use_bridge(bridge, |of| of.vifs.remove(&old.id));
                self.pair(bridge, &old.addresses, (false, old.mac.unwrap_or_default()), false);
            }
        }
        if let Some(new) = new {
            self.dirty.vifs.insert(new.id);
            new.ports().for_each(|port| self.vif_by_port[port.index()] = Some(new.id));
            new.tags().map(|tags| self.branches.insert((new.port, tags), new.id));
            self.free_slots.remove(&new.slot);
            for acl in [&new.from_vif, &new.to_vif].into_iter().flatten() {
                self.use_acl(acl, |of| of.vifs.insert(new.id));
            }
            let of = self.of_vrf.entry(new.vrf).or_default();
            of.vifs.insert(new.id);
            of.fabric_vifs += usize::from(new.kind == VifKind::Fabric);
            if let Some(bridge) = new.bridge {
                self.dirty.bridges.insert(bridge);
                self.use_bridge(bridge, |of| of.vifs.insert(new.id));
                self.pair(bridge, &new.addresses, (false, new.mac.unwrap_or_default()), true);
            }
            self.vif_by_id.insert(new.id, new);
        }
        self.journal.push(Undo::Vif(name, old));
    }

    pub fn set_acl(&mut self, name: Arc<str>, new: Option<Arc<Acl>>) {
        let old = replace(&mut self.acls, name.clone(), new.clone());
        if let Some(old) = &old {
            self.acl_rules -= old.rules.len();
            self.redirect(old, false);
            for group in old.rules.iter().flat_map(|rule| rule.groups()) {
                if let Some(of) = self.of_group.get_mut(group) {
                    of.remove(&name);
                    if of.is_empty() {
                        self.of_group.remove(group);
                    }
                }
            }
        }
        if let Some(new) = &new {
            self.acl_rules += new.rules.len();
            self.redirect(new, true);
            for group in new.rules.iter().flat_map(|rule| rule.groups()) {
                self.of_group.entry(group.clone()).or_default().insert(name.clone());
            }
        }
        self.dirty.acls.insert(name.clone());
        self.journal.push(Undo::Acl(name, old));
    }

    pub fn set_group(&mut self, name: Arc<str>, new: Option<Arc<Group>>) {
        self.group_prefixes += new.as_ref().map_or(0, |group| group.prefixes.len());
        let old = replace(&mut self.groups, name.clone(), new);
        self.group_prefixes -= old.as_ref().map_or(0, |group| group.prefixes.len());
        self.dirty.groups.insert(name.clone());
        self.journal.push(Undo::Group(name, old));
    }

    pub fn set_neighbour(&mut self, key: (VifId, IpAddr), new: Option<Neighbour>) {
        let old = replace(&mut self.neighbours, key, new);
        let fixed = |neighbour: Option<Neighbour>| usize::from(neighbour.is_some_and(|neighbour| !neighbour.learnt));
        let of = self.of_vif.entry(key.0).or_default();
        of.static_neighbours = of.static_neighbours + fixed(new) - fixed(old);
        self.drop_unused_vif(key.0);
        self.dirty.neighbours.insert(key);
        self.journal.push(Undo::Neighbour(key, old));
    }

    /// Sets one source's offer; it gets a user more of its next hop and of its owner.
    pub fn set_route(&mut self, vrf: VrfId, prefix: Prefix, source: Source, new: Option<(u32, NextHopId)>) {
        let table = self.routes.entry(vrf).or_default();
        let (old, left) = table.set(prefix, source, new);
        if table.is_empty() {
            self.routes.remove(&vrf);
        }
        if let Some((_, next_hop)) = new {
            self.hops.retain(next_hop.0);
            self.offers += 1;
            self.count_route(vrf, source, next_hop, 1);
        }
        if let Some((_, next_hop)) = old {
            self.count_route(vrf, source, next_hop, -1);
            self.hops.release(next_hop.0);
            self.offers -= 1;
        }
        let best = match left {
            Left::None => None,
            Left::One(next_hop) => Some(next_hop),
            Left::Several => self.best(vrf, prefix),
        };
        self.dirty.routes.entry(vrf).or_default().push(prefix, best);
        self.journal.push(Undo::Route(vrf, prefix, source, old));
    }

    /// The number of a next hop, with one user more.
    pub fn take_hop(&mut self, vrf: VrfId, hop: Hop) -> Result<NextHopId, Reason> {
        self.hops.take(&(vrf, hop), Clone::clone).map(NextHopId).ok_or(Reason::NumbersUsedUp)
    }

    /// Sets or clears what a VIF itself offers for a prefix.
    pub fn set_implicit(&mut self, vif: &Vif, prefix: Prefix, hop: Option<Hop>) -> Result<(), Reason> {
        let source = Source::Vif(vif.id);
        let Some(hop) = hop else {
            self.set_route(vif.vrf, prefix, source, None);
            return Ok(());
        };
        // Our own address before a neighbour that claims it.
        let preference = if matches!(hop, Hop::Neighbour(..)) { 0 } else { u32::MAX };
        let next_hop = self.take_hop(vif.vrf, hop)?;
        self.set_route(vif.vrf, prefix, source, Some((preference, next_hop)));
        self.hops.release(next_hop.0);
        Ok(())
    }

    pub(super) fn count_route(&mut self, vrf: VrfId, source: Source, next_hop: NextHopId, by: isize) {
        let Source::Owner(owner) = source else { return };
        if by > 0 {
            self.owners.retain(owner);
        } else {
            self.owners.release(owner);
        }
        let routes = &mut self.of_vrf.entry(vrf).or_default().routes;
        *routes = routes.strict_add_signed(by);
        match self.hop(next_hop).map(|(_, hop)| hop) {
            Some(Hop::Paths(paths)) => self.count_paths(vrf, paths, by),
            Some(Hop::Named(group)) => {
                let count = self.of_hop_group.entry(group).or_default();
                *count = count.strict_add_signed(by);
                if *count == 0 {
                    self.of_hop_group.remove(&group);
                }
            }
            hop => self.count_hop(vrf, hop, by),
        }
        self.drop_unused_vrf(vrf);
    }

    /// The first offer or group by a list of paths is a user of each of them, the last one gives them back.
    pub(super) fn count_paths(&mut self, vrf: VrfId, paths: u32, by: isize) {
        let count = self.of_paths.entry(paths).or_default();
        let first = by > 0 && *count == 0;
        *count = count.strict_add_signed(by);
        let last = *count == 0;
        if last {
            self.of_paths.remove(&paths);
        }
        if !first && !last {
            return;
        }
        let ways = self.ways(paths);
        if first {
            self.paths.retain(paths);
            self.members += ways.len();
        } else {
            self.members -= ways.len();
        }
        for path in ways.iter() {
            let hop = self.hop(path.next_hop).map(|(_, hop)| hop);
            self.count_hop(vrf, hop, by);
            if first {
                self.hops.retain(path.next_hop.0);
                self.path_names.retain(path.name);
            } else {
                self.hops.release(path.next_hop.0);
                self.path_names.release(path.name);
            }
        }
        if last {
            self.paths.release(paths);
        }
    }

    fn count_hop(&mut self, vrf: VrfId, hop: Option<Hop>, by: isize) {
        let of = self.of_vrf.entry(vrf).or_default();
        let add = |count: &mut usize| *count = count.strict_add_signed(by);
        match hop {
            Some(Hop::Vif { vif, .. }) => {
                add(&mut of.tenant_routes);
                if self.vif_by_id.get(&vif).is_some_and(|vif| vif.vrf != vrf) {
                    add(&mut of.foreign_routes);
                }
                add(&mut self.of_vif.entry(vif).or_default().routes);
                self.drop_unused_vif(vif);
            }
            Some(Hop::Tunnel { .. }) => add(&mut of.tenant_routes),
            Some(Hop::Vrf(other)) => {
                add(&mut of.tenant_routes);
                add(&mut self.of_vrf.entry(other).or_default().routes_into);
                self.drop_unused_vrf(other);
            }
            Some(Hop::Gateway(gateway)) => {
                let count = of.gateways.entry(gateway).or_default();
                add(count);
                if *count == 0 {
                    of.gateways.remove(&gateway);
                }
            }
            _ => {}
        }
    }

    fn use_acl<R>(&mut self, acl: &Arc<str>, change: impl FnOnce(&mut super::state::AclUse) -> R) {
        let of = self.of_acl.entry(acl.clone()).or_default();
        change(of);
        if *of == Default::default() {
            self.of_acl.remove(acl);
        }
    }

    pub(super) fn drop_unused_vrf(&mut self, vrf: VrfId) {
        // what is asked for each route is told by its count alone
        if self.of_vrf.get(&vrf).is_some_and(|of| of.routes == 0 && *of == Default::default()) {
            self.of_vrf.remove(&vrf);
        }
    }

    pub(super) fn drop_unused_vif(&mut self, vif: VifId) {
        if self.of_vif.get(&vif).is_some_and(|of| *of == Default::default()) {
            self.of_vif.remove(&vif);
        }
    }
}

pub(super) fn replace<K: Ord, V>(map: &mut std::collections::BTreeMap<K, V>, key: K, value: Option<V>) -> Option<V> {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    }
}

/// Below 2^31: the upper half of a flow's context says where a packet came from.
pub(super) fn take_number(next: &mut u32) -> Result<u32, Reason> {
    let number = *next;
    if number >= 1 << 31 {
        return Err(Reason::NumbersUsedUp);
    }
    *next += 1;
    Ok(number)
}
