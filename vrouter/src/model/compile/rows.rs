//! Rows of VRFs, with their routes, and of VIFs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hashbrown::HashMap;

use super::acls::{CompiledAcl, set_of};
use super::reach::Noticed;
use super::{Compiled, Touched, Users};
use crate::ids::{Mac, NextHopId, PortIndex, VrfId};
use crate::model::interner::Swept;
use crate::model::records::{self, Hop, Prefix};
use crate::model::state::{ChangedRoutes, Dirty, State};
use crate::packet::ip::is_link_local;
use crate::tables::acl::Acl;
use crate::tables::fib::{Change, PrefixSet};
use crate::tables::{Branch, Quota, Snapshot, TenantId, Vif, VifKind, Vrf};

/// Makes the rows of VRFs that changed, or whose routes did.
pub(super) fn compile_vrfs(
    compiled: &mut Compiled,
    state: &State,
    users: &Users,
    mut routes: HashMap<VrfId, ChangedRoutes>,
    next: &mut Snapshot,
    touched: &mut Touched,
) {
    let only_routes = routes.keys().filter(|vrf| !users.vrfs.contains(*vrf)).copied().collect::<Vec<_>>();
    for id in users.vrfs.iter().copied().chain(only_routes) {
        let Some(record) = state.vrf_by_id.get(&id) else {
            next.vrfs.set(id.index(), None);
            continue;
        };
        let old = next.vrfs.shared(id.index()).cloned();
        let mut row = old.as_deref().cloned().unwrap_or_else(|| Vrf::new(id, record.name.clone()));
        let policy = apply_record(&mut row, record, &compiled.acls) || old.is_none();
        row.tunnel_quota = record.tunnel_quota.unwrap_or_default();
        row.tenant = compiled.tenants.of(&state.settings, &record.tenant);
        if policy {
            touched.policies.insert(id);
            touched.judged |= old.is_some();
        }
        let changed = routes.remove(&id).unwrap_or_default();
        let rerouted = route(&mut row, state, changed, compiled, touched);
        if policy {
            row.raise(next.generation);
            touched.vrfs.insert(id);
        }
        if policy || rerouted != Rerouted::No || old.is_none_or(|old| unnoticed(&old) != unnoticed(&row)) {
            next.vrfs.set(id.index(), Some(Arc::new(row)));
        }
    }
}

/// What flows need not notice.
fn unnoticed(row: &Vrf) -> (bool, Quota, TenantId) {
    (row.proxy_by_default_route, row.tunnel_quota, row.tenant)
}

/// What changed routes mean to flows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rerouted {
    No,
    /// Only to or from resolved neighbours.
    Unnoticed,
    Noticed,
}

/// By address and then length, none twice: so that neighbours in the FIB are written one after the other. Those that were made together are
/// so already, which the sort sees.
fn in_order<A: Copy + Ord>(changes: &mut Vec<Change<A, NextHopId>>) {
    changes.sort_by_key(|change| (change.0, change.1));
    // the last one of a prefix counts
    changes.dedup_by(|later, kept| {
        let same = (later.0, later.1) == (kept.0, kept.1);
        if same {
            kept.2 = later.2;
        }
        same
    });
}

/// Brings the FIB up to date.
fn route(
    row: &mut Vrf,
    state: &State,
    mut changed: ChangedRoutes,
    compiled: &Compiled,
    touched: &mut Touched,
) -> Rerouted {
    in_order(&mut changed.v4);
    in_order(&mut changed.v6);
    let underlay = state.settings.underlay == Some(row.id);
    let mut rerouted = Rerouted::No;
    let mut noticed_by = Noticed::default();
    let mut note = |old: Option<NextHopId>, best: Option<NextHopId>, prefix: Prefix| {
        if old == best {
            return;
        }
        let neighbour = |id: Option<NextHopId>| id.is_none_or(|id| compiled.index.is_neighbour(id));
        let noticed = !(neighbour(old) && neighbour(best));
        rerouted = rerouted.max(if noticed { Rerouted::Noticed } else { Rerouted::Unnoticed });
        if noticed {
            noticed_by.push(prefix);
        }
        if underlay {
            touched.tunnels.extend(compiled.index.tunnels_within(prefix));
        }
    };
    row.v4.apply(&changed.v4, |&(address, length, best), old| {
        note(old, best, Prefix { address: Ipv4Addr::from_bits(address).into(), length });
    });
    row.v6.apply(&changed.v6, |&(address, length, best), old| {
        note(old, best, Prefix { address: Ipv6Addr::from_bits(address).into(), length });
    });
    if !noticed_by.is_empty() {
        touched.routes.insert(row.id, noticed_by);
    }
    rerouted
}

/// Copies what is not routes; true: flows must notice.
fn apply_record(row: &mut Vrf, record: &records::Vrf, acls: &HashMap<Arc<str>, CompiledAcl>) -> bool {
    let acl = record.acl.as_ref().map(|acl| acls[acl].acl.clone());
    let allowed_vteps = (!record.allowed_vteps.is_empty()).then(|| Arc::from(&record.allowed_vteps[..]));
    let same = same_acl(&row.acl, &acl) && row.flows == record.flows && row.allowed_vteps == allowed_vteps;
    row.acl = acl;
    row.flows = record.flows;
    row.allowed_vteps = allowed_vteps;
    row.proxy_by_default_route = record.proxy_by_default_route;
    !same
}

fn same_acl(a: &Option<Arc<Acl>>, b: &Option<Arc<Acl>>) -> bool {
    a.as_ref().map(Arc::as_ptr) == b.as_ref().map(Arc::as_ptr)
}

/// Makes the rows of VIFs that changed, or whose ACLs did.
pub(super) fn compile_vifs(
    compiled: &mut Compiled,
    state: &State,
    users: &Users,
    next: &mut Snapshot,
    touched: &mut Touched,
) {
    for &id in &users.vifs {
        let before = compiled.vifs.remove(&id);
        let old = next.vifs.shared(id.index()).cloned();
        if let Some(old) = &old {
            set_port(next, old, None);
        }
        touched.next_hops.extend(compiled.index.to_vif(id));
        let record = state.vif_by_id.get(&id);
        for vrf in [old.as_ref().map(|old| old.vrf), record.map(|record| record.vrf)].into_iter().flatten() {
            touched.next_hops.extend(compiled.index.gateways(vrf));
        }
        let Some(record) = record else {
            next.vifs.set(id.index(), None);
            old.inspect(|old| raise(next, old.vrf, touched));
            continue;
        };
        let same_sources = before.is_some_and(|before| {
            let of = |vif: &records::Vif| (vif.addresses.clone(), vif.allowed_sources.clone(), vif.spoofing_allowed);
            of(&before) == of(record)
        });
        let sources = match &old {
            Some(old) if same_sources => old.sources.clone(),
            _ => sources(record).map(Arc::new),
        };
        let mut row = row(record, state, &compiled.acls, sources);
        let noticed = old.as_ref().is_none_or(|old| {
            row.stamp = old.stamp;
            let judged = old.vrf != row.vrf
                || !same_acl(&old.from_vif, &row.from_vif)
                || !same_acl(&old.to_vif, &row.to_vif)
                || old.service != row.service;
            touched.judged |= judged;
            judged || !same_sources || old.mac != row.mac
        });
        if noticed {
            row.stamp = next.generation;
            old.inspect(|old| raise(next, old.vrf, touched));
        }
        compiled.vifs.insert(id, record.clone());
        next.vifs.set(id.index(), Some(Arc::new(row)));
    }
    for id in users.vifs.iter().filter(|id| state.vif_by_id.contains_key(*id)) {
        if let Some(row) = next.vifs.shared(id.index()).cloned() {
            set_port(next, &row, state.vif_by_id.get(id).map(|record| &**record));
        }
    }
    for vrf in &touched.policies {
        for vif in state.of_vrf.get(vrf).into_iter().flat_map(|of| &of.vifs) {
            touched.next_hops.extend(compiled.index.to_vif(*vif));
        }
    }
}

/// Raises a VRF where a VIF has gone or has another policy: the answers to its flows notice it by their next hop, but where the route
/// back leads elsewhere.
fn raise(next: &mut Snapshot, vrf: VrfId, touched: &mut Touched) {
    if let Some(mut row) = next.vrfs.shared(vrf.index()).cloned().filter(|_| touched.vrfs.insert(vrf)) {
        Arc::make_mut(&mut row).raise(next.generation);
        next.vrfs.set(vrf.index(), Some(row));
    }
}

/// Raises the VRFs of next hops that nothing leads by any more and that a label or a bridge may have named: no route says so, and answers of
/// their flows go by others.
pub(super) fn raise_without(hops: &Swept<(VrfId, Hop)>, next: &mut Snapshot, touched: &mut Touched) {
    for (_, (vrf, hop)) in &hops.removed {
        if let Hop::Vif { .. } | Hop::Bridged(_) | Hop::Tunnel { encap: records::Encap::Frames { .. }, .. } = hop {
            raise(next, *vrf, touched);
        }
    }
}

/// Notes ports that came and went.
pub(super) fn compile_ports(state: &State, dirty: &Dirty, next: &mut Snapshot) {
    for port in &dirty.ports {
        Arc::make_mut(&mut next.ports)[port.index()].there = state.ports[port.index()].is_some();
    }
}

fn set_port(next: &mut Snapshot, vif: &Vif, record: Option<&records::Vif>) {
    let holder = record.map(|record| record.id);
    if vif.port.index() >= next.ports.len() {
        let branch = record.and_then(|record| Some(Branch { port: record.port, tags: record.tags()?, vif: record.id }));
        if next.branches.of(vif.port) != branch.as_ref() {
            Arc::make_mut(&mut next.branches).set(vif.port, branch);
        }
    } else if next.ports[vif.port.index()].vif != holder {
        Arc::make_mut(&mut next.ports)[vif.port.index()].vif = holder;
    }
    if let Some(exception) = vif.exception
        && next.ports[exception.index()].exception_of != holder
    {
        Arc::make_mut(&mut next.ports)[exception.index()].exception_of = holder;
    }
}

fn row(
    vif: &records::Vif,
    state: &State,
    acls: &HashMap<Arc<str>, CompiledAcl>,
    sources: Option<Arc<PrefixSet>>,
) -> Vif {
    let port = &state.port(vif.port).info;
    let mac = vif.mac.unwrap_or(port.mac);
    let acl = |name: &Option<Arc<str>>| name.as_ref().map(|name| acls[name].acl.clone());
    Vif {
        id: vif.id,
        slot: vif.slot,
        name: vif.name.clone(),
        kind: vif.kind,
        port: if vif.tags().is_some() { PortIndex((state.limits.ports + vif.slot) as u16) } else { vif.port },
        exception: vif.exception,
        vrf: vif.vrf,
        bridge: vif.bridge,
        leaf: vif.leaf,
        mac,
        our_mac: if vif.kind == VifKind::Tenant { state.settings.gateway_mac() } else { mac },
        addresses: addresses(vif, mac),
        gateway_v4: vif.gateway_v4,
        gateway_v6: vif.gateway_v6,
        gateway_link_local: vif.link_local(),
        advertise: vif.advertise.clone(),
        mtu: vif.mtu.unwrap_or(port.mtu),
        vlan: vif.vlan.filter(|_| vif.kind == VifKind::Fabric),
        sources,
        from_vif: acl(&vif.from_vif),
        to_vif: acl(&vif.to_vif),
        service: state.services.get(&vif.id).copied(),
        quota: quota(vif, state),
        stamp: Default::default(),
    }
}

/// What a tenant VIF may take.
fn quota(vif: &records::Vif, state: &State) -> Quota {
    match vif.kind {
        VifKind::Tenant => vif.quota.unwrap_or_default().or(state.settings.vif_quota.unwrap_or_default()),
        VifKind::Fabric => Quota::NONE,
    }
}

/// The addresses of a VIF: for a fabric VIF with IPv6 and no link-local address given, with the one of its MAC besides.
fn addresses(vif: &records::Vif, mac: Mac) -> Vec<IpAddr> {
    let mut addresses = vif.addresses.clone();
    let needs = vif.kind == VifKind::Fabric && addresses.iter().any(IpAddr::is_ipv6);
    if needs && !addresses.iter().any(|&address| is_link_local(address)) {
        addresses.push(mac.link_local().into());
    }
    addresses
}

/// The source addresses that a VIF may use; `None`: any. Link-local ones are for ND.
fn sources(vif: &records::Vif) -> Option<PrefixSet> {
    if vif.spoofing_allowed || vif.kind == VifKind::Fabric {
        return None;
    }
    let link_local = Prefix { address: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0).into(), length: 10 };
    let own: Vec<Prefix> = vif.addresses.iter().copied().map(Prefix::host).collect();
    Some(set_of(own.iter().chain(&vif.allowed_sources).chain([&link_local])))
}
