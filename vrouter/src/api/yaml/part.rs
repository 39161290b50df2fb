//! A part of a network: an owner's, a VRF's, what controllers said.

use std::collections::BTreeSet;

use super::owned::Owned;
use super::{AddressMatch, Network, Route};
use crate::api::position::At;

/// The owner of routes that come and go with their VIF, and cannot be put.
const VIF_OWNER: &str = "vif";

/// Which routes have that say none, and are listed with.
const PREFERENCE: u32 = 100;

/// Does something with each list of objects but routes.
macro_rules! each_list {
    ($network:ident, $all:ident => $what:expr) => {{
        let Network {
            version: _,
            projects: _,
            hosts: _,
            this_host: _,
            settings: _,
            ports,
            vrfs,
            bridges,
            vifs,
            next_hop_groups,
            routes: _,
            neighbours,
            fdb,
            vnis,
            labels,
            groups,
            acls,
            bfd_sessions,
        } = $network;
        {
            let $all = ports;
            $what
        }
        {
            let $all = vrfs;
            $what
        }
        {
            let $all = bridges;
            $what
        }
        {
            let $all = vifs;
            $what
        }
        {
            let $all = next_hop_groups;
            $what
        }
        {
            let $all = neighbours;
            $what
        }
        {
            let $all = fdb;
            $what
        }
        {
            let $all = vnis;
            $what
        }
        {
            let $all = labels;
            $what
        }
        {
            let $all = groups;
            $what
        }
        {
            let $all = acls;
            $what
        }
        {
            let $all = bfd_sessions;
            $what
        }
    }};
}

fn is_of<T: Owned>(object: &At<T>, owner: &str) -> bool {
    object.value.owner() == Some(owner)
}

fn route_is_of(route: &Route, owner: &str) -> bool {
    route.owner.as_deref() == Some(owner)
}

impl Network {
    /// Forgets what the daemon made by itself, so that the rest is a file that it takes: what was learnt, routes of VIFs, settings that nobody put,
    /// how links, sessions and quotas stand, the preference that routes have by default.
    pub fn keep_what_was_put(&mut self) {
        self.settings = self.settings.take().filter(|settings| settings.owner.is_some());
        self.neighbours.retain(|neighbour| !neighbour.learnt);
        self.fdb.retain(|entry| !entry.learnt);
        self.routes.retain(|route| !route_is_of(route, VIF_OWNER));
        if let Some(settings) = &mut self.settings {
            settings.value.tenant_quotas.iter_mut().for_each(|quota| quota.alarms.clear());
        }
        for route in self.routes.iter_mut().filter(|route| route.preference == Some(PREFERENCE)) {
            route.value.preference = None;
        }
        for port in &mut self.ports {
            (port.value.mac, port.value.link_up) = (None, None);
        }
        for vrf in &mut self.vrfs {
            vrf.value.alarms.clear();
        }
        for vif in &mut self.vifs {
            vif.value.alarms.clear();
        }
        for neighbour in &mut self.neighbours {
            neighbour.value.state = None;
        }
        for entry in &mut self.fdb {
            (entry.value.pinned, entry.value.idle_seconds) = (false, None);
        }
        for session in &mut self.bfd_sessions {
            let session = &mut session.value;
            (session.state, session.diagnostic, session.failed, session.live) = (None, None, false, None);
        }
    }

    /// Forgets what is not this owner's.
    pub fn keep_owner(&mut self, owner: &str) {
        self.settings = self.settings.take().filter(|settings| is_of(settings, owner));
        self.routes.retain(|route| route_is_of(route, owner));
        each_list!(self, all => all.retain(|one| is_of(one, owner)));
    }

    /// What is this owner's does not say so: who applies the file owns it.
    pub fn leave_unsaid(&mut self, owner: &str) {
        for settings in self.settings.iter_mut().filter(|settings| is_of(settings, owner)) {
            settings.value.owner = None;
        }
        for route in self.routes.iter_mut().filter(|route| route_is_of(route, owner)) {
            route.value.owner = None;
        }
        each_list!(self, all => all.iter_mut().filter(|one| is_of(one, owner)).for_each(|one| one.value.set_owner(None)));
    }

    /// What names no owner is this one's.
    pub fn say(&mut self, owner: &str) {
        for settings in self.settings.iter_mut().filter(|settings| settings.owner.is_none()) {
            settings.value.owner = Some(owner.into());
        }
        for route in self.routes.iter_mut().filter(|route| route.owner.is_none()) {
            route.value.owner = Some(owner.into());
        }
        each_list!(self, all => {
            all.iter_mut().filter(|one| one.value.owner().is_none()).for_each(|one| one.value.set_owner(Some(owner.into())));
        });
    }

    /// Forgets what is neither of this VRF nor named by what is: its VIFs with their ports, bridges, routes, VNIs, labels, ACLs and groups.
    pub fn keep_vrf(&mut self, vrf: &str) {
        self.settings = None;
        self.vrfs.retain(|it| it.name == vrf);
        self.bridges.retain(|it| it.vrf == vrf);
        self.vifs.retain(|it| it.vrf == vrf);
        self.next_hop_groups.retain(|it| it.vrf == vrf);
        self.routes.retain(|it| it.vrf == vrf);
        self.bfd_sessions.retain(|it| it.vrf == vrf);
        let vifs: BTreeSet<String> = self.vifs.iter().map(|vif| vif.name.clone()).collect();
        let bridges: BTreeSet<String> = self.bridges.iter().map(|bridge| bridge.name.clone()).collect();
        let is_in =
            |all: &BTreeSet<String>, name: &Option<String>| name.as_ref().is_some_and(|name| all.contains(name));
        let is_vrf = |name: &Option<String>| name.as_deref() == Some(vrf);
        self.neighbours.retain(|it| vifs.contains(&it.vif));
        self.fdb.retain(|it| bridges.contains(&it.bridge));
        self.vnis.retain(|it| is_vrf(&it.vrf) || is_in(&bridges, &it.bridge));
        self.labels.retain(|it| is_vrf(&it.vrf) || is_in(&vifs, &it.vif) || is_in(&bridges, &it.bridge));
        let ports = self.vifs.iter().flat_map(|vif| [Some(&vif.port), vif.exception_port.as_ref()]).flatten();
        let ports: BTreeSet<String> = ports.cloned().collect();
        self.ports.retain(|port| ports.contains(&port.name));
        let of_vifs = self.vifs.iter().flat_map(|vif| [&vif.acl_from_vif, &vif.acl_to_vif]);
        let acls: BTreeSet<String> = self.vrfs.iter().map(|vrf| &vrf.acl).chain(of_vifs).flatten().cloned().collect();
        self.acls.retain(|acl| acls.contains(&acl.name));
        let sides = self.acls.iter().flat_map(|acl| &acl.rules).flat_map(|rule| [&rule.source, &rule.destination]);
        let groups: BTreeSet<String> = sides
            .flatten()
            .filter_map(|by| match by {
                AddressMatch::Group { group } => Some(group.clone()),
                AddressMatch::Prefix(_) => None,
            })
            .collect();
        self.groups.retain(|group| groups.contains(&group.name));
    }
}
