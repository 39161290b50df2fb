//! What people and programs ask of the live state: read from the shared state and a snapshot, by any thread, without the model.

pub mod capture;
pub mod explain;
pub mod flows;
mod quotas;
mod remedy;
pub mod stats;
mod steps;
mod trace;
pub mod victims;

use std::net::IpAddr;

use crate::ids::{MemberId, NextHopId, Place, VifId, VrfId};
use crate::tables::{Carrier, Encap, NextHopKind, Snapshot, Tunnel, Underlay};

/// An address as the API carries it.
pub fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// An address of 4 or 16 bytes.
pub fn read_address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    }
}

/// A VIF's name; "" when it is gone.
pub fn vif_name(snapshot: &Snapshot, vif: VifId) -> String {
    snapshot.vifs.row(vif.index()).map(|vif| vif.name.to_string()).unwrap_or_default()
}

/// The number of the VIF with this name.
pub fn vif_number(snapshot: &Snapshot, name: &str) -> Option<VifId> {
    snapshot.vifs.iter().find(|(_, vif)| &*vif.name == name).map(|(_, vif)| vif.id)
}

/// A VRF's name; "" when it is gone.
pub fn vrf_name(snapshot: &Snapshot, vrf: VrfId) -> String {
    snapshot.vrfs.row(vrf.index()).map(|vrf| vrf.name.to_string()).unwrap_or_default()
}

/// "vif NAME" or "tunnel VRF".
pub fn place_text(snapshot: &Snapshot, place: Place) -> String {
    match place {
        Place::Vif(vif) => format!("vif {}", vif_name(snapshot, vif)),
        Place::Tunnel(vrf) => format!("tunnel {}", vrf_name(snapshot, vrf)),
    }
}

/// The stable name of an ECMP member; "" when there is none any more.
pub fn member_name(snapshot: &Snapshot, member: MemberId) -> String {
    snapshot.member_names.row(member.index()).map(|name| name.to_string()).unwrap_or_default()
}

/// A next hop for people; of a tunnel the way that the flow with this hash has.
pub fn next_hop_of_flow(snapshot: &Snapshot, next_hop: NextHopId, hash: u64) -> String {
    match snapshot.next_hops.row(next_hop.index()).map(|row| &row.kind) {
        Some(NextHopKind::Tunnel(tunnel)) => {
            format!("{}, {}", tunnel_text(tunnel), underlay_text(snapshot, &tunnel.ways.of(hash).underlay))
        }
        _ => next_hop_text(snapshot, next_hop),
    }
}

/// A next hop for people.
pub fn next_hop_text(snapshot: &Snapshot, next_hop: NextHopId) -> String {
    let Some(row) = snapshot.next_hops.row(next_hop.index()) else { return format!("next hop {next_hop}, gone") };
    match &row.kind {
        NextHopKind::Drop => "drop".into(),
        NextHopKind::Receive => "local".into(),
        NextHopKind::Group(group) => {
            let members = group.members().iter().map(|member| {
                let down = if member.up { "" } else { " down" };
                let backup = if member.backup { " backup" } else { "" };
                format!("{} x{}{backup}{down}", member_name(snapshot, member.id), member.weight)
            });
            let ways = format!("ecmp {}", members.collect::<Vec<_>>().join(", "));
            group.name().map(|name| format!("group {name} of {ways}")).unwrap_or(ways)
        }
        NextHopKind::Vrf(vrf) => format!("vrf {}", vrf_name(snapshot, *vrf)),
        NextHopKind::Vif { vif, dst_mac, .. } => format!("vif {} mac {dst_mac}", vif_name(snapshot, *vif)),
        NextHopKind::Bridged { vif, .. } => format!("bridged to vif {}", vif_name(snapshot, *vif)),
        NextHopKind::Fabric(underlay) => underlay_text(snapshot, underlay),
        NextHopKind::Tunnel(tunnel) => {
            let ways: Vec<_> =
                tunnel.ways.all().map(|(way, share)| (underlay_text(snapshot, &way.underlay), share)).collect();
            match &ways[..] {
                [(way, _)] => format!("{}, {way}", tunnel_text(tunnel)),
                _ => {
                    let ways: Vec<_> = ways.iter().map(|(way, share)| format!("{way} x{share}")).collect();
                    format!("{}, by {}", tunnel_text(tunnel), ways.join(", "))
                }
            }
        }
    }
}

/// A tunnel's kind and far end.
fn tunnel_text(tunnel: &Tunnel) -> String {
    let by = match tunnel.encap {
        Encap::Vxlan { vni, inner_dst, .. } => format!("vxlan vni {vni} mac {inner_dst}"),
        Encap::Geneve { vni, inner_dst, .. } => format!("geneve vni {vni} mac {inner_dst}"),
        Encap::MplsOverUdp { label } => format!("mpls-over-udp label {label}"),
        Encap::MplsOverGre { label } => format!("mpls-over-gre label {label}"),
        Encap::Frames(Carrier::Vxlan(vni)) => format!("frames by vxlan vni {vni}"),
        Encap::Frames(Carrier::Geneve(vni)) => format!("frames by geneve vni {vni}"),
        Encap::Frames(Carrier::MplsOverUdp(label)) => format!("frames by mpls-over-udp label {label}"),
        Encap::Frames(Carrier::MplsOverGre(label)) => format!("frames by mpls-over-gre label {label}"),
    };
    format!("{by} to {}", tunnel.remote)
}

/// A way through the underlay.
fn underlay_text(snapshot: &Snapshot, underlay: &Underlay) -> String {
    match underlay {
        Underlay::Resolved(adjacency) => {
            let vlan = adjacency.vlan.map(|vlan| format!(" vlan {vlan}")).unwrap_or_default();
            format!("vif {}{vlan} neighbour {}", vif_name(snapshot, adjacency.vif), adjacency.dst_mac)
        }
        Underlay::Resolving { vif, neighbour: Some(neighbour) } => {
            format!("vif {} resolving {neighbour}", vif_name(snapshot, *vif))
        }
        Underlay::Resolving { vif, neighbour: None } => format!("vif {} connected", vif_name(snapshot, *vif)),
        Underlay::NoRoute => "no underlay route".into(),
    }
}
