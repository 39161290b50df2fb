//! Rows of tunnels: their ways through the underlay, and the headers of each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::next_hops::underlay_vif;
use super::template;
use crate::ids::{NextHopId, VrfId};
use crate::model::records;
use crate::model::state::State;
use crate::tables::{Encap, NextHop, NextHopKind, Snapshot, Template, Tunnel, Underlay, Watched, Way, Ways};

/// A tunnel, and the underlay next hops that it goes by or would: that of the most specific route first.
pub(super) fn compile(
    state: &State,
    next: &Snapshot,
    vrf: VrfId,
    remote: IpAddr,
    encap: records::Encap,
) -> (NextHop, Vec<NextHopId>) {
    debug_assert!(state.vrf_by_id.contains_key(&vrf));
    let leaf = matches!(encap, records::Encap::Frames { leaf: true, .. });
    let encap = match encap {
        records::Encap::Vxlan { vni, inner_mac } => {
            Encap::Vxlan { vni, inner_dst: inner_mac, inner_src: next.local.router_mac }
        }
        records::Encap::Geneve { vni, inner_mac } => {
            Encap::Geneve { vni, inner_dst: inner_mac, inner_src: next.local.router_mac }
        }
        records::Encap::MplsOverUdp { label } => Encap::MplsOverUdp { label },
        records::Encap::MplsOverGre { label } => Encap::MplsOverGre { label },
        records::Encap::Frames { carrier, .. } => Encap::Frames(carrier),
    };
    let Found { via, leads, routes } = find(state, next, remote);
    let vtep = next.local.vtep_towards(remote);
    let local = vtep.unwrap_or(match remote {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    });
    let way = |underlay: Underlay| {
        let template = match &underlay {
            Underlay::Resolved(adjacency) => template::headers(adjacency, local, remote, encap),
            Underlay::Resolving { .. } | Underlay::NoRoute => Template::EMPTY,
        };
        Way { underlay, template }
    };
    let row = via.filter(|_| vtep.is_some()).and_then(|via| next.next_hops.row(via.index()));
    let (ways, slots) = match row.map(|row| &row.kind) {
        Some(NextHopKind::Group(group)) => {
            let of = |member: NextHopId| next.next_hops.row(member.index()).map(|row| &row.kind);
            let members = group.members().iter().map(|member| towards(of(member.next_hop), remote));
            (members.map(way).collect(), group.slots())
        }
        kind => (vec![way(towards(kind, remote))], None),
    };
    let ways = Ways::new(ways, slots);
    // the smallest of all ways, in use or not: what fits goes on fitting when another way is taken
    let vifs = ways.all().filter_map(|(way, _)| next.vifs.row(underlay_vif(&way.underlay)?.index()));
    let mtu = vifs.map(|vif| vif.mtu).min().unwrap_or(u16::MAX).saturating_sub(encap.overhead(remote.is_ipv6()));
    let marking = next.local.headers.marking(encap.has_label());
    let watched = next.local.underlay.map(|vrf| Watched { vrf, remote, multihop: true });
    let failed = watched.is_some_and(|watched| state.has_failed(&watched));
    let leads = leads && vtep.is_some() && !failed;
    let kind = NextHopKind::Tunnel(Tunnel { vrf, local, remote, encap, marking, ways, leads, leaf });
    (NextHop::new(mtu, kind), routes)
}

/// The route to a far end.
struct Found {
    /// The most specific one that has a way which serves, else the most specific one.
    via: Option<NextHopId>,
    /// Whether it has.
    leads: bool,
    /// The routes that were looked at.
    routes: Vec<NextHopId>,
}

fn find(state: &State, next: &Snapshot, remote: IpAddr) -> Found {
    let vrf = next.local.underlay.and_then(|vrf| next.vrfs.row(vrf.index()));
    let mut seen = Vec::new();
    let mut route = vrf.and_then(|vrf| vrf.route(remote));
    while let Some((length, via)) = route {
        seen.push(via);
        let row = |way: NextHopId| next.next_hops.row(way.index()).map(|row| &row.kind);
        let is_way = |way| serves(state, next, &towards(row(way), remote)) && !state.is_cut(way, Some(remote));
        let leads = match row(via) {
            Some(NextHopKind::Group(group)) => group.members().iter().any(|member| is_way(member.next_hop)),
            Some(NextHopKind::Fabric(_)) => is_way(via),
            // it says where to stop
            _ => break,
        };
        if leads {
            return Found { via: Some(via), leads, routes: seen };
        }
        route = vrf.and_then(|vrf| vrf.route_above(remote, length));
    }
    Found { via: seen.first().copied(), leads: false, routes: seen }
}

/// Whether packets go this way, or may wait for its neighbour.
fn serves(state: &State, next: &Snapshot, way: &Underlay) -> bool {
    let has_link = |port| !state.links_down.contains(&port);
    match *way {
        Underlay::Resolved(adjacency) => has_link(adjacency.port),
        Underlay::Resolving { vif, neighbour } => {
            let lost = neighbour.is_some_and(|neighbour| state.lost.contains(&(vif, neighbour)));
            !lost && next.vifs.row(vif.index()).is_some_and(|vif| has_link(vif.port))
        }
        Underlay::NoRoute => false,
    }
}

/// The way by a next hop of the underlay to this far end.
fn towards(kind: Option<&NextHopKind>, remote: IpAddr) -> Underlay {
    match kind {
        Some(&NextHopKind::Fabric(Underlay::Resolving { vif, neighbour: None })) => {
            Underlay::Resolving { vif, neighbour: Some(remote) }
        }
        Some(NextHopKind::Fabric(underlay)) => underlay.clone(),
        _ => Underlay::NoRoute,
    }
}
