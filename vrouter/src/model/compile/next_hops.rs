//! Rows of next hops.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Compiled, Touched, groups, tunnels};
use crate::ids::{NextHopId, VifId, VrfId};
use crate::model::interner::Swept;
use crate::model::records::{Hop, Prefix};
use crate::model::state::{Dirty, State};
use crate::tables::{Adjacency, NextHop, NextHopKind, Snapshot, Underlay, Vif};

/// Makes the rows of the next hops that were touched: first those that lead to a VIF, then the tunnels that go by them.
pub(super) fn compile(
    compiled: &mut Compiled,
    state: &State,
    dirty: &Dirty,
    hops: &Swept<(VrfId, Hop)>,
    next: &mut Snapshot,
    mut touched: Touched,
) {
    for &(vif, address) in &dirty.neighbours {
        let Some(vif) = state.vif_by_id.get(&vif) else { continue };
        let ids = [Hop::Neighbour(vif.id, address), Hop::Gateway(address)].map(|hop| state.hop_id(vif.vrf, hop));
        touched.next_hops.extend(ids.into_iter().flatten());
        touched.tunnels.extend(compiled.index.tunnels_within(Prefix::host(address)));
    }
    let index = &mut compiled.index;
    let linked = dirty.links.iter().flat_map(|port| state.vifs_on(*port)).filter_map(|vif| state.vif_by_id.get(&vif));
    let linked = linked.flat_map(|vif| index.to_vif(vif.id).chain(index.gateways(vif.vrf)));
    touched.next_hops.extend(linked.collect::<Vec<_>>());
    for &id in &touched.next_hops {
        let Some((vrf, hop)) = state.hop(id) else { continue };
        let row = plain(state, next, vrf, hop);
        let raised = egress(&row.kind).is_some_and(|vif| {
            let vif = next.vifs.row(vif.index());
            vif.is_some_and(|vif| vif.stamp == next.generation || touched.policies.contains(&vif.vrf))
        });
        // whether a way of the underlay can be used is not in its row alone
        let fabric = matches!(row.kind, NextHopKind::Fabric(_));
        if set(next, id, row, raised) || fabric {
            touched.tunnels.extend(index.users_of(id));
            touched.groups.extend(index.groups_of(id));
        }
    }
    // ways of the underlay before the tunnels that go by them, tunnels before the groups that they are ways of
    for id in groups::compile(state, dirty, index, next, &touched.groups, true) {
        touched.tunnels.extend(index.users_of(id));
    }
    for &id in &touched.tunnels {
        let Some((vrf, Hop::Tunnel { remote, encap })) = state.hop(id) else { continue };
        let (row, routes) = tunnels::compile(state, next, vrf, remote, encap);
        index.go(id, routes.into_iter().map(|via| (via, remote)).collect());
        if set(next, id, row, false) {
            touched.groups.extend(index.groups_of(id));
        }
    }
    groups::compile(state, dirty, index, next, &touched.groups, false);
    for &(number, (vrf, hop)) in &hops.removed {
        index.remove(NextHopId(number), vrf, hop);
        next.next_hops.set(number as usize, None);
    }
}

/// Stores a row; its stamp rises if it is new, leaves by another VIF, or is `raised`. False: nothing changed.
pub(super) fn set(next: &mut Snapshot, id: NextHopId, mut row: NextHop, raised: bool) -> bool {
    row.set_stamp(next.generation);
    if let Some(old) = next.next_hops.row(id.index()) {
        let tunnel = matches!(row.kind, NextHopKind::Tunnel(_));
        if !raised && (tunnel || egress(&old.kind) == egress(&row.kind)) {
            row.set_stamp(old.stamp());
        }
        if *old == row {
            return false;
        }
    }
    next.next_hops.set(id.index(), Some(Arc::new(row)));
    true
}

fn egress(kind: &NextHopKind) -> Option<VifId> {
    match kind {
        NextHopKind::Vif { vif, .. } | NextHopKind::Bridged { vif, .. } => Some(*vif),
        NextHopKind::Fabric(underlay) => underlay_vif(underlay),
        // which uplink a tunnel goes by is no matter of flows
        NextHopKind::Tunnel(_) => None,
        NextHopKind::Drop | NextHopKind::Receive | NextHopKind::Vrf(_) | NextHopKind::Group(_) => None,
    }
}

pub(super) fn underlay_vif(underlay: &Underlay) -> Option<VifId> {
    match underlay {
        Underlay::Resolved(adjacency) => Some(adjacency.vif),
        Underlay::Resolving { vif, .. } => Some(*vif),
        Underlay::NoRoute => None,
    }
}

/// A next hop that is no tunnel.
fn plain(state: &State, next: &Snapshot, vrf: VrfId, hop: Hop) -> NextHop {
    let vif_row = |vif: VifId| next.vifs.row(vif.index());
    let mut mtu = u16::MAX;
    let mut through = |vif: &Vif, underlay: Underlay| {
        mtu = vif.mtu;
        NextHopKind::Fabric(underlay)
    };
    let kind = match hop {
        Hop::Drop | Hop::Tunnel { .. } | Hop::Paths(_) | Hop::Named(_) => NextHopKind::Drop,
        Hop::Receive => NextHopKind::Receive,
        Hop::Vrf(other) => NextHopKind::Vrf(other),
        Hop::Vif { vif, mac } => match vif_row(vif) {
            Some(row) => {
                mtu = row.mtu;
                NextHopKind::Vif { vif, port: row.port, dst_mac: mac.unwrap_or(row.mac), src_mac: row.our_mac }
            }
            None => NextHopKind::Drop,
        },
        Hop::Bridged(vif) => match vif_row(vif) {
            Some(row) => {
                mtu = row.mtu;
                NextHopKind::Bridged { vif, port: row.port }
            }
            None => NextHopKind::Drop,
        },
        Hop::Connected(vif) => match vif_row(vif) {
            Some(row) => through(row, Underlay::Resolving { vif, neighbour: None }),
            None => NextHopKind::Fabric(Underlay::NoRoute),
        },
        Hop::Neighbour(vif, address) => match vif_row(vif) {
            Some(row) => through(row, adjacency(state, row, address)),
            None => NextHopKind::Fabric(Underlay::NoRoute),
        },
        Hop::Gateway(address) => match state.connected(vrf, address).and_then(|vif| vif_row(vif.id)) {
            Some(row) => through(row, adjacency(state, row, address)),
            None => NextHopKind::Fabric(Underlay::NoRoute),
        },
    };
    NextHop::new(mtu, kind)
}

fn adjacency(state: &State, vif: &Vif, address: IpAddr) -> Underlay {
    match state.neighbours.get(&(vif.id, address)) {
        Some(neighbour) => {
            let (dst_mac, src_mac) = (neighbour.mac, vif.mac);
            Underlay::Resolved(Adjacency {
                vif: vif.id,
                port: vif.port,
                neighbour: address,
                dst_mac,
                src_mac,
                vlan: vif.vlan,
            })
        }
        None => Underlay::Resolving { vif: vif.id, neighbour: Some(address) },
    }
}
