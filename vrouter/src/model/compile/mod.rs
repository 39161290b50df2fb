//! The objects compiled into the next [`Snapshot`]: only what a batch touched, in the order of dependence.
//!
//! Policies first, then VRFs with their routes, VIFs, next hops, and what arrives from tunnels. A stamp is raised where flows must
//! notice; see [`crate::tables::Vif::stamp`].

mod acls;
mod bfd;
mod bridges;
mod groups;
mod hits;
mod index;
mod next_hops;
mod reach;
mod rows;
mod shadow;
mod template;
mod tunnels;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::interner::Swept;
use super::quotas::Numbers;
use super::records::{Hop, LabelTarget, Settings, Vif, VniTarget};
use super::state::{Dirty, State};
use crate::ids::{Generation, NextHopId, Tick, VifId, VrfId};
use crate::tables::fib::PrefixSet;
use crate::tables::{self, DecapTarget, Lifetimes, LocalHost, PortRow, Snapshot, Stripes, VifKind};
use acls::CompiledAcl;
use index::Index;
use reach::Noticed;

/// Punts per VIF and second unless given.
const PUNTS_PER_SECOND: u32 = 1000;

/// What was compiled so far.
#[derive(Clone)]
pub(super) struct Compiled {
    pub snapshot: Arc<Snapshot>,
    /// Who counts what rules decide.
    pub workers: usize,
    acls: HashMap<Arc<str>, CompiledAcl>,
    groups: HashMap<Arc<str>, Arc<PrefixSet>>,
    /// VIFs as they were when their rows were made.
    vifs: HashMap<VifId, Arc<Vif>>,
    settings: Arc<Settings>,
    pub tenants: Numbers,
    index: Index,
    /// When policies, or who has which, changed last.
    pub policies: Generation,
    /// The neighbours that gateways and tunnels go by, in order, without static ones.
    pub needed: Vec<(VifId, IpAddr)>,
    /// When that last changed, or one of them was lost.
    pub needed_since: Generation,
}

/// What one compilation found out for its later steps.
#[derive(Default)]
struct Touched {
    /// VRFs whose change all flows must notice.
    vrfs: BTreeSet<VrfId>,
    /// Routes whose change flows to and from there must notice, and no others.
    routes: BTreeMap<VrfId, Noticed>,
    /// VRFs whose policy flows to their VIFs must notice.
    policies: HashSet<VrfId>,
    /// Something else is permitted to flows that there may be.
    judged: bool,
    /// Next hops to compile.
    next_hops: HashSet<NextHopId>,
    /// Those of them that are tunnels.
    tunnels: HashSet<NextHopId>,
    /// Those of them that have several ways.
    groups: HashSet<NextHopId>,
}

impl Compiled {
    /// The empty model of these ports.
    pub fn new(state: &State) -> Compiled {
        let ports = state.ports.iter().map(|port| PortRow { there: port.is_some(), ..PortRow::default() }).collect();
        let stripes = Arc::new(Stripes::for_routes(state.limits.routes));
        let mut snapshot = Snapshot { ports: Arc::new(ports), stripes, ..Snapshot::default() };
        apply_settings(&mut snapshot, &state.settings);
        Compiled {
            snapshot: Arc::new(snapshot),
            workers: 0,
            acls: HashMap::new(),
            groups: HashMap::new(),
            vifs: HashMap::new(),
            settings: state.settings.clone(),
            tenants: Numbers::default(),
            index: Index::default(),
            policies: Generation(0),
            needed: Vec::new(),
            needed_since: Generation(0),
        }
    }

    /// Makes the next generation's snapshot of what a commit touched.
    pub fn advance(&mut self, state: &State, mut dirty: Dirty, hops: Swept<(VrfId, Hop)>) -> Arc<Snapshot> {
        let mut next = (*self.snapshot).clone();
        next.generation.0 += 1;
        let mut touched = Touched::default();
        if !(dirty.acls.is_empty() && dirty.groups.is_empty() && dirty.vifs.is_empty() && dirty.vrfs.is_empty()) {
            self.policies = next.generation;
        }
        let turns = self.index.turns();
        let neighbours = !dirty.neighbours.is_empty();
        let mut lost = dirty.neighbours.iter().filter(|key| !state.neighbours.contains_key(*key));
        let lost = lost.any(|key| self.needed.binary_search(key).is_ok());
        let of_fabric = |vif: &Arc<Vif>| vif.kind == VifKind::Fabric;
        let was_or_is = |vif| [self.vifs.get(vif), state.vif_by_id.get(vif)].into_iter().flatten().any(of_fabric);
        let fabric = dirty.vifs.iter().any(was_or_is);
        self.index.add_new(state, &hops, &mut touched);
        groups::regroup(state, &dirty, &mut self.index, &next, &mut touched);
        let mut users = acls::compile(self, state, &dirty);
        users.vrfs.extend(&dirty.vrfs);
        users.vifs.extend(&dirty.vifs);
        if dirty.settings {
            self.compile_settings(state, &mut next, &mut users, &mut touched);
        }
        let vrfs = [&self.vifs, &state.vif_by_id]
            .into_iter()
            .flat_map(|vifs| users.vifs.iter().filter_map(|vif| Some(vifs.get(vif)?.vrf)));
        let sent = self.index.reach.widen(state, users.vrfs.iter().copied().chain(vrfs).collect());
        rows::compile_ports(state, &dirty, &mut next);
        let routes = std::mem::take(&mut dirty.routes);
        rows::compile_vrfs(self, state, &users, routes, &mut next, &mut touched);
        self.index.move_vifs(state, &users.vifs);
        rows::compile_vifs(self, state, &users, &mut next, &mut touched);
        if touched.judged {
            next.judged = next.generation;
        }
        rows::raise_without(&hops, &mut next, &mut touched);
        self.index.reach.raise(&mut next, &mut touched);
        self.index.reach.settle(sent);
        bfd::touch(self, state, &dirty, &mut touched);
        next_hops::compile(self, state, &dirty, &hops, &mut next, touched);
        bfd::compile(state, &dirty, fabric, &mut next);
        compile_names(state, &dirty, &mut next);
        bridges::compile(state, &dirty, &mut next);
        compile_arrivals(state, &dirty, &mut next);
        // A neighbour that is now static, or a VIF that is now connected to a gateway, changes the list as well.
        if self.index.turns() != turns || neighbours || fabric {
            self.renew_needed(state, lost, next.generation);
        }
        self.snapshot = Arc::new(next);
        self.snapshot.clone()
    }

    /// What each rule of this ACL has decided, and then its end.
    pub fn hits(&mut self, acl: &str) -> Option<Vec<u64>> {
        self.acls.get_mut(acl).map(CompiledAcl::hits)
    }

    fn renew_needed(&mut self, state: &State, lost: bool, now: Generation) {
        let on = |vrf, address| state.connected(vrf, address).map(|vif| (vif.id, address));
        let gateways = self.index.all_gateways().filter_map(|id| match state.hop(id)? {
            (vrf, Hop::Gateway(gateway)) => on(vrf, gateway),
            _ => None,
        });
        let ends = self.index.ways().filter_map(|(via, remote)| match state.hop(via)?.1 {
            Hop::Connected(vif) | Hop::Neighbour(vif, _) => Some((vif, remote)),
            _ => None,
        });
        let fixed = |key: &_| state.neighbours.get(key).is_some_and(|neighbour| !neighbour.learnt);
        let needed: BTreeSet<_> = gateways.chain(ends).filter(|key| !fixed(key)).collect();
        if lost || !self.needed.iter().eq(&needed) {
            self.needed = needed.into_iter().collect();
            self.needed_since = now;
        }
    }

    fn compile_settings(&mut self, state: &State, next: &mut Snapshot, users: &mut Users, touched: &mut Touched) {
        let (old, new) = (std::mem::replace(&mut self.settings, state.settings.clone()), &state.settings);
        apply_settings(next, new);
        if old.gateway_mac() != new.gateway_mac() {
            users.vifs.extend(state.vif_by_id.keys());
        }
        let of_tunnels = |settings: &Settings| {
            (settings.underlay, settings.vtep, settings.vtep_v6, settings.router_mac(), settings.headers)
        };
        if old.vif_quota != new.vif_quota {
            users.vifs.extend(state.vif_by_id.keys());
        }
        if old.tenant_quotas != new.tenant_quotas {
            next.tenants = self.tenants.rows(new);
        }
        if !old.tenant_quotas.keys().eq(new.tenant_quotas.keys()) {
            users.vrfs.extend(state.vrf_by_id.keys());
        }
        if of_tunnels(&old) != of_tunnels(new) {
            touched.tunnels.extend(self.index.all_tunnels());
        }
    }
}

/// VRFs and VIFs whose rows must be made anew.
#[derive(Default)]
struct Users {
    vrfs: HashSet<VrfId>,
    vifs: HashSet<VifId>,
}

fn apply_settings(next: &mut Snapshot, settings: &Settings) {
    next.local = LocalHost {
        underlay: settings.underlay,
        vtep: settings.vtep,
        vtep_v6: settings.vtep_v6,
        router_mac: settings.router_mac(),
        gateway_mac: settings.gateway_mac(),
        headers: settings.headers.unwrap_or_default(),
    };
    let default = Lifetimes::default();
    let ticks = |seconds: u32, default: u32| if seconds == 0 { default } else { seconds * Tick::PER_SECOND };
    let [established, opening, closing, unanswered, answered, icmp] = settings.lifetimes;
    next.lifetimes = Lifetimes {
        tcp_established: ticks(established, default.tcp_established),
        tcp_opening: ticks(opening, default.tcp_opening),
        tcp_closing: ticks(closing, default.tcp_closing),
        udp_unanswered: ticks(unanswered, default.udp_unanswered),
        udp_answered: ticks(answered, default.udp_answered),
        icmp: ticks(icmp, default.icmp),
    };
    next.tcp_strict = settings.tcp_strict;
    next.mss_clamp = !settings.mss_clamp_off;
    next.fragmentation = !settings.fragmentation_off;
    next.punts_per_second = if settings.icmp_per_second == 0 { PUNTS_PER_SECOND } else { settings.icmp_per_second };
}

fn compile_names(state: &State, dirty: &Dirty, next: &mut Snapshot) {
    let removed = dirty.path_names.removed.iter().map(|(number, _)| *number);
    for number in removed.chain(dirty.path_names.created.iter().copied()) {
        let name = state.path_names.value(number).map(|name| Arc::new(Box::from(&**name)));
        next.member_names.set(groups::member(number).index(), name);
    }
}

fn compile_arrivals(state: &State, dirty: &Dirty, next: &mut Snapshot) {
    if !dirty.vnis.is_empty() {
        let vnis = Arc::make_mut(&mut next.vnis);
        for vni in &dirty.vnis {
            match state.vnis.get(vni) {
                Some(&VniTarget::Vrf(vrf)) => vnis.insert(*vni, tables::VniTarget { vrf, bridge: None }),
                Some(&VniTarget::Bridge(bridge)) => {
                    let vrf = state.bridge_by_id[&bridge].vrf;
                    vnis.insert(*vni, tables::VniTarget { vrf, bridge: Some(bridge) })
                }
                None => vnis.remove(vni),
            };
        }
    }
    if !dirty.labels.is_empty() {
        let labels = Arc::make_mut(&mut next.labels);
        for label in &dirty.labels {
            let target = match state.labels.get(label) {
                Some(&LabelTarget::Vrf(vrf)) => DecapTarget::Vrf(vrf),
                Some(&LabelTarget::Bridge(bridge)) => DecapTarget::Bridge(bridge),
                Some(&LabelTarget::Vif(vif, next_hop)) => DecapTarget::Vif { vrf: state.vif_by_id[&vif].vrf, next_hop },
                None => {
                    labels.remove(label);
                    continue;
                }
            };
            labels.insert(*label, target);
        }
    }
}
