//! All objects, their indexes, and the journal that takes a refused batch back.
//!
//! Everything changes through the `set_*` functions of [`super::journal`], each of which is its own inverse.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::interner::{Interner, Swept};
use super::journal::Undo;
use super::limits::{Limits, PortInfo};
use super::numbers::Given;
use super::owners::Name;
use super::records::{
    Acl, Bfd, Bridge, FdbEntry, Group, Hop, HopGroup, HopGroupId, LabelTarget, Learnt, Neighbour, Path, Port, Prefix,
    Redirect, Settings, Vif, VniTarget, Vrf, Whose,
};
use super::refusal::{Reason, shown};
use super::routes::{Offer, RouteTable, Source};
use crate::ids::{BridgeId, Label, Mac, NextHopId, PortIndex, Tags, VifId, Vlan, Vni, VrfId};
use crate::tables::fib::Change;
use crate::tables::{VifKind, Watched};

/// The truth.
#[derive(Clone)]
pub(crate) struct State {
    pub limits: Limits,
    /// By [`PortIndex`], as many as the limit.
    pub ports: Vec<Option<Arc<Port>>>,
    pub settings: Arc<Settings>,
    pub vrfs: BTreeMap<Arc<str>, Arc<Vrf>>,
    pub vifs: BTreeMap<Arc<str>, Arc<Vif>>,
    pub acls: BTreeMap<Arc<str>, Arc<Acl>>,
    pub groups: BTreeMap<Arc<str>, Arc<Group>>,
    pub hop_groups: BTreeMap<Arc<str>, Arc<HopGroup>>,
    pub bfd: BTreeMap<Arc<str>, Arc<Bfd>>,
    pub neighbours: BTreeMap<(VifId, IpAddr), Neighbour>,
    pub bridges: BTreeMap<Arc<str>, Arc<Bridge>>,
    pub fdb: BTreeMap<(BridgeId, Mac), FdbEntry>,
    /// VIFs by their own MACs, with the next hop to each.
    pub stations: BTreeMap<(BridgeId, Mac), (VifId, NextHopId)>,
    /// The next hop to each VIF that is a service.
    pub services: BTreeMap<VifId, NextHopId>,
    /// Of bridges that learn; no station that is in `fdb`.
    pub learnt: BTreeMap<(BridgeId, Mac), Learnt>,
    /// Addresses of stations.
    pub pairs: BTreeMap<(BridgeId, IpAddr), BTreeSet<Whose>>,
    pub vnis: BTreeMap<Vni, VniTarget>,
    pub labels: BTreeMap<Label, LabelTarget>,
    pub routes: HashMap<VrfId, RouteTable>,
    pub hops: Interner<(VrfId, Hop)>,
    pub owners: Interner<Arc<str>>,
    /// Whose objects are, but for routes.
    pub owned: HashMap<Name, u32>,
    pub paths: Interner<Arc<[Path]>>,
    /// Stable names of paths.
    pub path_names: Interner<Arc<str>>,
    /// Ports whose link is down.
    pub links_down: HashSet<PortIndex>,
    /// Neighbours that are needed and were given up, until they answer again.
    pub lost: HashSet<(VifId, IpAddr)>,

    pub vrf_by_id: HashMap<VrfId, Arc<Vrf>>,
    /// The same as `vrfs`: each route names one.
    pub vrf_by_name: HashMap<Arc<str>, Arc<Vrf>>,
    pub vif_by_id: HashMap<VifId, Arc<Vif>>,
    pub bridge_by_id: HashMap<BridgeId, Arc<Bridge>>,
    pub hop_group_by_id: HashMap<HopGroupId, Arc<HopGroup>>,
    pub bfd_by_watched: HashMap<Watched, Arc<Bfd>>,
    pub port_by_name: HashMap<Arc<str>, PortIndex>,
    /// Who has a port as a whole.
    pub vif_by_port: Vec<Option<VifId>>,
    /// Sub-interfaces.
    pub branches: BTreeMap<(PortIndex, Tags), VifId>,
    /// Of deleted ports whose devices are not closed yet: not given again.
    pub leaving_ports: BTreeSet<PortIndex>,
    pub free_slots: BTreeSet<usize>,
    pub of_vrf: HashMap<VrfId, VrfUse>,
    pub of_vif: HashMap<VifId, VifUse>,
    pub of_bridge: HashMap<BridgeId, BridgeUse>,
    pub of_acl: HashMap<Arc<str>, AclUse>,
    /// Offers and next-hop groups by each list of paths.
    pub of_paths: HashMap<u32, usize>,
    /// Offers by each next-hop group.
    pub of_hop_group: HashMap<HopGroupId, usize>,
    /// ACLs by what their rules redirect to.
    pub of_redirect: BTreeMap<Redirect, BTreeSet<Arc<str>>>,
    /// ACLs by the group that they name.
    pub of_group: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
    pub acl_rules: usize,
    pub group_prefixes: usize,
    /// Addresses of all FDB entries.
    pub fdb_addresses: usize,
    pub offers: usize,
    /// Of all lists of paths in use.
    pub members: usize,
    pub next_vrf: u32,
    pub next_vif: u32,
    pub next_bridge: u32,
    pub next_hop_group: u32,
    pub next_bfd: u32,

    /// While another process's objects are taken in: their numbers there.
    pub(super) given: Given,
    pub(super) journal: Vec<Undo>,
    pub(super) dirty: Dirty,
}

/// What refers to a VRF.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct VrfUse {
    pub vifs: BTreeSet<VifId>,
    pub fabric_vifs: usize,
    pub bridges: usize,
    pub hop_groups: usize,
    pub bfd_sessions: usize,
    pub vnis: usize,
    pub labels: usize,
    /// Offers of controllers.
    pub routes: usize,
    /// Of these, the ones to VIFs, tunnels and other VRFs.
    pub tenant_routes: usize,
    /// Offers of other VRFs that lead into this one.
    pub routes_into: usize,
    /// Of these, the ones to VIFs of other VRFs.
    pub foreign_routes: usize,
    /// Gateways with how many offers go by each.
    pub gateways: BTreeMap<IpAddr, usize>,
}

/// What refers to a VIF.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct VifUse {
    pub routes: usize,
    pub static_neighbours: usize,
    pub labels: usize,
    pub fdb_entries: usize,
}

/// What refers to a bridge.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct BridgeUse {
    pub vifs: BTreeSet<VifId>,
    pub entries: usize,
    pub vnis: usize,
    pub labels: usize,
}

/// What refers to an ACL.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct AclUse {
    pub vrfs: BTreeSet<VrfId>,
    pub vifs: BTreeSet<VifId>,
}

/// What to compile anew.
#[derive(Clone, Default)]
pub(crate) struct Dirty {
    pub ports: BTreeSet<PortIndex>,
    pub settings: bool,
    pub vrfs: HashSet<VrfId>,
    pub vifs: HashSet<VifId>,
    pub acls: HashSet<Arc<str>>,
    pub groups: HashSet<Arc<str>>,
    /// The next hops of groups that have other ways.
    pub hop_groups: HashSet<NextHopId>,
    pub bridges: HashSet<BridgeId>,
    pub stations: HashSet<(BridgeId, Mac)>,
    pub pairs: HashSet<(BridgeId, IpAddr)>,
    pub vnis: HashSet<Vni>,
    pub labels: HashSet<Label>,
    pub neighbours: HashSet<(VifId, IpAddr)>,
    /// Of each VRF, with what forwards since.
    pub routes: HashMap<VrfId, ChangedRoutes>,
    /// Sessions of BFD, or how they stand.
    pub bfd: bool,
    /// Whose session failed, or does so no more.
    pub ways: HashSet<Watched>,
    /// Ports whose link came or went.
    pub links: HashSet<PortIndex>,
    /// Names of paths that came and went.
    pub path_names: Swept<Arc<str>>,
}

/// Routes of a VRF with what forwards since; the last one of a prefix counts.
#[derive(Clone, Default)]
pub(crate) struct ChangedRoutes {
    pub v4: Vec<Change<u32, NextHopId>>,
    pub v6: Vec<Change<u128, NextHopId>>,
}

impl ChangedRoutes {
    pub fn push(&mut self, prefix: Prefix, best: Option<NextHopId>) {
        match prefix.address {
            IpAddr::V4(address) => self.v4.push((address.to_bits(), prefix.length, best)),
            IpAddr::V6(address) => self.v6.push((address.to_bits(), prefix.length, best)),
        }
    }
}

impl State {
    /// Nothing but ports.
    pub fn new(mut limits: Limits, ports: Vec<PortInfo>) -> State {
        limits.ports = limits.ports.max(ports.len());
        let named = |(at, port): (usize, &PortInfo)| (port.name.as_str().into(), PortIndex(at as u16));
        let port_by_name = ports.iter().enumerate().map(named).collect();
        let mut ports: Vec<_> = ports
            .into_iter()
            .map(|info| Some(Arc::new(Port { info, queues: None, mtu: None, link_up: true })))
            .collect();
        ports.resize(limits.ports, None);
        State {
            port_by_name,
            vif_by_port: vec![None; limits.ports],
            branches: BTreeMap::new(),
            leaving_ports: BTreeSet::new(),
            free_slots: (0..limits.vifs).collect(),
            limits,
            ports,
            settings: Arc::default(),
            vrfs: BTreeMap::new(),
            vifs: BTreeMap::new(),
            acls: BTreeMap::new(),
            groups: BTreeMap::new(),
            hop_groups: BTreeMap::new(),
            bfd: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            bridges: BTreeMap::new(),
            fdb: BTreeMap::new(),
            stations: BTreeMap::new(),
            services: BTreeMap::new(),
            learnt: BTreeMap::new(),
            pairs: BTreeMap::new(),
            vnis: BTreeMap::new(),
            labels: BTreeMap::new(),
            routes: HashMap::new(),
            hops: Interner::default(),
            owners: Interner::default(),
            owned: HashMap::new(),
            paths: Interner::default(),
            path_names: Interner::default(),
            links_down: HashSet::new(),
            lost: HashSet::new(),
            vrf_by_id: HashMap::new(),
            vrf_by_name: HashMap::new(),
            vif_by_id: HashMap::new(),
            bridge_by_id: HashMap::new(),
            hop_group_by_id: HashMap::new(),
            bfd_by_watched: HashMap::new(),
            of_vrf: HashMap::new(),
            of_vif: HashMap::new(),
            of_bridge: HashMap::new(),
            of_acl: HashMap::new(),
            of_paths: HashMap::new(),
            of_hop_group: HashMap::new(),
            of_redirect: BTreeMap::new(),
            of_group: HashMap::new(),
            acl_rules: 0,
            group_prefixes: 0,
            fdb_addresses: 0,
            offers: 0,
            members: 0,
            next_vrf: 0,
            next_vif: 0,
            next_bridge: 0,
            next_hop_group: 0,
            next_bfd: 0,
            given: Given::default(),
            journal: Vec::new(),
            dirty: Dirty::default(),
        }
    }

    /// The VRF with this name.
    pub fn vrf(&self, name: &str) -> Result<&Arc<Vrf>, Reason> {
        self.vrf_by_name.get(name).ok_or_else(|| Reason::Unknown { kind: "VRF", name: shown(name) })
    }

    /// The VIF with this name.
    pub fn vif(&self, name: &str) -> Result<&Arc<Vif>, Reason> {
        self.vifs.get(name).ok_or_else(|| Reason::Unknown { kind: "VIF", name: shown(name) })
    }

    /// The bridge with this name.
    pub fn bridge(&self, name: &str) -> Result<&Arc<Bridge>, Reason> {
        self.bridges.get(name).ok_or_else(|| Reason::Unknown { kind: "bridge", name: shown(name) })
    }

    /// The name of a bridge that is there.
    pub fn bridge_name(&self, bridge: BridgeId) -> String {
        self.bridge_by_id.get(&bridge).map_or_else(|| format!("#{bridge}"), |bridge| bridge.name.to_string())
    }

    /// The name of a VRF that is there.
    pub fn vrf_name(&self, vrf: VrfId) -> String {
        self.vrf_by_id.get(&vrf).map_or_else(|| format!("#{vrf}"), |vrf| vrf.name.to_string())
    }

    /// The name of a VIF that is there.
    pub fn vif_name(&self, vif: VifId) -> String {
        self.vif_by_id.get(&vif).map_or_else(|| format!("#{vif}"), |vif| vif.name.to_string())
    }

    /// A port that is there: a VIF's, for one.
    pub fn port(&self, port: PortIndex) -> &Port {
        self.ports[port.index()].as_ref().expect("a port that is referred to is there")
    }

    /// All VIFs of a port: the one that has it as a whole, or for exceptions, and its sub-interfaces.
    pub fn vifs_on(&self, port: PortIndex) -> impl Iterator<Item = VifId> + '_ {
        let tags = |outer, inner| Tags { outer: Vlan(outer), inner };
        let branches = self.branches.range((port, tags(0, None))..=(port, tags(u16::MAX, Some(Vlan(u16::MAX)))));
        self.vif_by_port[port.index()].into_iter().chain(branches.map(|(_, vif)| *vif))
    }

    /// The first number that no port has, nor had in this batch or until its device is closed.
    pub fn free_port(&self) -> Result<PortIndex, Reason> {
        let free = |at: &usize| {
            let index = PortIndex(*at as u16);
            self.ports[*at].is_none() && !self.leaving_ports.contains(&index) && !self.dirty.ports.contains(&index)
        };
        let limit = Reason::Limit { what: "ports", limit: self.limits.ports };
        (0..self.ports.len()).find(free).map(|at| PortIndex(at as u16)).ok_or(limit)
    }

    /// The next hop behind a number.
    pub fn hop(&self, id: NextHopId) -> Option<(VrfId, Hop)> {
        self.hops.value(id.0).copied()
    }

    /// Whether a next hop in use is so. Looks at all of them.
    pub fn any_hop(&self, is: impl Fn(&Hop) -> bool) -> bool {
        self.hops.used_values().any(|(_, hop)| is(hop))
    }

    /// The number of a next hop.
    pub fn hop_id(&self, vrf: VrfId, hop: Hop) -> Option<NextHopId> {
        self.hops.number(&(vrf, hop)).map(NextHopId)
    }

    /// The ways of a next hop that is several.
    pub fn several(&self, hop: Hop) -> Option<Arc<[Path]>> {
        match hop {
            Hop::Paths(paths) => Some(self.ways(paths)),
            Hop::Named(_) => Some(self.hop_group(hop).map(|group| self.ways(group.paths)).unwrap_or_default()),
            _ => None,
        }
    }

    /// The next-hop group of a next hop that is one's.
    pub fn hop_group(&self, hop: Hop) -> Option<&Arc<HopGroup>> {
        match hop {
            Hop::Named(group) => self.hop_group_by_id.get(&group),
            _ => None,
        }
    }

    /// The ways behind a number.
    pub fn ways(&self, paths: u32) -> Arc<[Path]> {
        self.paths.value(paths).cloned().unwrap_or_default()
    }

    /// The stable name of a path.
    pub fn path_name(&self, path: &Path) -> Arc<str> {
        self.path_names.value(path.name).cloned().unwrap_or_default()
    }

    /// All offers for this very prefix.
    pub fn offers(&self, vrf: VrfId, prefix: Prefix) -> &[Offer] {
        self.routes.get(&vrf).map_or(&[], |table| table.offers(prefix))
    }

    /// The next hop that forwards.
    pub fn best(&self, vrf: VrfId, prefix: Prefix) -> Option<NextHopId> {
        self.best_of(self.offers(vrf, prefix))
    }

    /// The best of the offers for a prefix.
    pub fn best_of(&self, offers: &[Offer]) -> Option<NextHopId> {
        match offers {
            [] => None,
            [one] => Some(one.next_hop),
            several => several.iter().min_by_key(|offer| self.rank(offer)).map(|offer| offer.next_hop),
        }
    }

    /// Sorts the best offer first: a VIF's before all others, then the highest preference, then the first owner name.
    pub fn rank(&self, offer: &Offer) -> impl Ord + use<> {
        let (class, name) = match offer.source {
            Source::Vif(vif) => (0, Err(vif)),
            Source::Owner(owner) => (1, Ok(self.owners.value(owner).cloned())),
        };
        (class, u32::MAX - offer.preference, name)
    }

    /// Whose address, gateway or neighbour this is in the VRF, but for what `but` itself has; neighbours last.
    pub fn implicit_at(&self, vrf: VrfId, address: IpAddr, but: Option<VifId>) -> Option<(VifId, Hop)> {
        let offers = self.offers(vrf, Prefix::host(address)).iter().filter_map(|offer| match offer.source {
            Source::Vif(vif) if Some(vif) != but => Some((offer.preference, vif, self.hop(offer.next_hop)?.1)),
            _ => None,
        });
        offers.max_by_key(|&(preference, ..)| preference).map(|(_, vif, hop)| (vif, hop))
    }

    /// The fabric VIF of this VRF with the longest connected subnet that holds the address.
    pub fn connected(&self, vrf: VrfId, address: IpAddr) -> Option<&Arc<Vif>> {
        let vifs = self.of_vrf.get(&vrf)?.vifs.iter().filter_map(|vif| self.vif_by_id.get(vif));
        let of = |vif: &Arc<Vif>| vif.subnets.iter().filter(|s| s.holds(address)).map(|s| s.length).max();
        vifs.filter_map(|vif| Some((of(vif)?, vif))).max_by_key(|&(length, _)| length).map(|(_, vif)| vif)
    }

    /// Why a VRF is of the fabric, if it is.
    pub fn fabric_use(&self, vrf: VrfId) -> Option<&'static str> {
        if self.settings.underlay == Some(vrf) {
            return Some("the underlay of the settings");
        }
        self.of_vrf.get(&vrf).is_some_and(|of| of.fabric_vifs > 0).then_some("it has fabric VIFs")
    }

    /// What makes a VRF one of tenants, if anything does.
    pub fn tenant_use(&self, vrf: VrfId) -> Option<String> {
        let record = self.vrf_by_id.get(&vrf);
        if let Some(acl) = record.and_then(|vrf| self.redirected_by(&Redirect::Vrf(vrf.name.clone()))) {
            return Some(format!("ACL {acl}, which redirects into it"));
        }
        let of = self.of_vrf.get(&vrf)?;
        let tenant = of.vifs.iter().find(|vif| self.vif_by_id.get(*vif).is_some_and(|v| v.kind == VifKind::Tenant));
        if let Some(&vif) = tenant {
            return Some(format!("VIF {}", self.vif_name(vif)));
        }
        let counts = [
            (of.bridges, "bridges"),
            (of.vnis, "VNIs"),
            (of.labels, "labels"),
            (of.tenant_routes, "routes to VIFs, tunnels or VRFs"),
            (of.routes_into, "routes of other VRFs that lead into it"),
        ];
        counts.into_iter().find(|&(count, _)| count > 0).map(|(count, what)| format!("{count} {what}"))
    }

    /// How many of everything there are. A neighbour has one offer and one next hop: it counts as itself alone.
    pub fn used(&self) -> Limits {
        let neighbours = self.neighbours.len();
        Limits {
            ports: self.port_by_name.len() + self.leaving_ports.len(),
            vrfs: self.vrfs.len(),
            vifs: self.vifs.len(),
            routes: self.offers - neighbours,
            next_hops: self.hops.used() - neighbours,
            paths: self.members,
            next_hop_groups: self.hop_groups.len(),
            bfd_sessions: self.bfd.len(),
            acls: self.acls.len(),
            acl_rules: self.acl_rules,
            groups: self.groups.len(),
            group_prefixes: self.group_prefixes,
            neighbours,
            bridges: self.bridges.len(),
            fdb_entries: self.fdb.len(),
            fdb_addresses: self.fdb_addresses,
            learnt: self.learnt.len(),
            vnis: self.vnis.len(),
            labels: self.labels.len(),
            owners: self.owners.used(),
        }
    }

    /// The same where nothing but a route of one way has changed.
    pub fn routes_within_limits(&self) -> Result<(), Reason> {
        let Limits { routes, next_hops, owners, .. } = self.limits;
        let neighbours = self.neighbours.len();
        let within = self.offers - neighbours <= routes && self.hops.used() - neighbours <= next_hops;
        if within && self.owners.used() <= owners { Ok(()) } else { self.within_limits() }
    }

    /// The first limit that is exceeded.
    pub fn within_limits(&self) -> Result<(), Reason> {
        let used = self.used().named();
        match self.limits.named().into_iter().zip(used).find(|((_, limit), (_, used))| used > limit) {
            Some(((what, limit), _)) => Err(Reason::Limit { what, limit }),
            None => Ok(()),
        }
    }
}
