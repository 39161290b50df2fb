//! Rows of tunnels: their ways through the underlay, and the headers of each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::next_hops::underlay_vif;
use super::template;
use crate::ids::{Generation, NextHopId, VrfId};
use crate::model::records;
use crate::model::state::State;
use crate::tables::{Encap, NextHop, NextHopKind, Snapshot, Template, Tunnel, Underlay, Way, Ways};

/// A tunnel, and the underlay next hop that it goes by.
pub(super) fn compile(
    state: &State,
    next: &Snapshot,
    vrf: VrfId,
    remote: IpAddr,
    encap: records::Encap,
) -> (NextHop, Option<NextHopId>) {
    debug_assert!(state.vrf_by_id.contains_key(&vrf));
    let encap = match encap {
        records::Encap::Vxlan { vni, inner_mac } => {
            Encap::Vxlan { vni, inner_dst: inner_mac, inner_src: next.local.router_mac }
        }
        records::Encap::MplsOverUdp { label } => Encap::MplsOverUdp { label },
        records::Encap::MplsOverGre { label } => Encap::MplsOverGre { label },
    };
    let underlay = next.local.underlay.and_then(|vrf| next.vrfs.row(vrf.index()));
    let via = underlay.and_then(|row| row.route(remote)).map(|(_, id)| id);
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
    let marking = next.local.headers.marking(!matches!(encap, Encap::Vxlan { .. }));
    let kind = NextHopKind::Tunnel(Tunnel { vrf, local, remote, encap, marking, ways });
    (NextHop { stamp: Generation(0), mtu, kind }, via)
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
