//! One small world, and what the tests ask of it.

mod arp;
mod bytes;
mod hostile;
mod icmp;
mod literal;
mod nd;
mod neighbour;
mod neighbour_v6;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::{Limits, Local, Outcome, Output, Punt, TunnelId, TunnelSource, Why};
use crate::ids::{Generation, Mac, NextHopId, Place, PortIndex, VifId, Vni, VrfId};
use crate::tables::fib::PrefixSet;
use crate::tables::{
    Adjacency, Encap, LocalHost, NextHop, NextHopKind, Snapshot, Template, Tunnel, TunnelHeaders, Underlay, Vif,
    VifKind, Vrf, Way, Ways,
};

const UNDERLAY: VrfId = VrfId(0);
const RED: VrfId = VrfId(1);
const BLUE: VrfId = VrfId(2);
/// Fabric: 192.0.2.1 and 198.51.100.1.
const FABRIC: VifId = VifId(0);
/// Red's 10.0.0.11, 2001:db8::11, with gateways.
const WEB: VifId = VifId(1);
/// Red's 10.0.0.12, 2001:db8::12, with the same gateways.
const DB: VifId = VifId(2);
/// Blue's 10.0.0.11: no gateway, no anti-spoofing.
const BARE: VifId = VifId(3);

const VTEP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const FABRIC_MAC: Mac = Mac([2, 0, 0, 0, 0, 0x0a]);
const PEER_MAC: Mac = Mac([2, 0, 0, 0, 0, 0x0b]);
const ROUTER_MAC: Mac = Mac([2, 0, 0, 0, 0, 0xfe]);
const GATEWAY_MAC: Mac = Mac([0, 0, 0x5e, 0, 1, 0]);
const WEB_MAC: Mac = Mac([2, 0, 0, 0, 1, 1]);
/// A host behind the VXLAN peer: 10.0.0.13, 2001:db8::13.
const REMOTE_MAC: Mac = Mac([2, 0, 0, 0, 3, 1]);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const TUNNEL: TunnelSource = TunnelSource { remote: IpAddr::V4(PEER), id: TunnelId::Vxlan(Vni(100)) };

fn v4(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

/// `last` as it is written: `v6(0x11)` is 2001:db8::11.
fn v6(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// `hex` with `patch` at byte `at`.
fn patched(hex: &str, at: usize, patch: &[u8]) -> Vec<u8> {
    let mut bytes = bytes(hex);
    bytes[at..at + patch.len()].copy_from_slice(patch);
    bytes
}

fn vif(id: VifId, vrf: VrfId, mac: Mac, addresses: &[IpAddr]) -> Vif {
    let mut sources = PrefixSet::default();
    addresses.iter().for_each(|&address| sources.insert(address, if address.is_ipv4() { 32 } else { 128 }));
    Vif {
        id,
        slot: id.index(),
        name: format!("vif{id}").into(),
        kind: VifKind::Tenant,
        port: PortIndex(id.0 as u16),
        exception: None,
        vrf,
        bridge: None,
        leaf: false,
        mac,
        our_mac: GATEWAY_MAC,
        addresses: addresses.to_vec(),
        gateway_v4: Some(GATEWAY),
        gateway_v6: Some(v6(1)),
        gateway_link_local: Some(LINK_LOCAL),
        advertise: None,
        mtu: 1500,
        vlan: None,
        sources: Some(Arc::new(sources)),
        from_vif: None,
        to_vif: None,
        service: None,
        quota: Default::default(),
        stamp: Generation(1),
    }
}

fn fabric() -> Vif {
    Vif {
        kind: VifKind::Fabric,
        our_mac: FABRIC_MAC,
        gateway_v4: None,
        gateway_v6: None,
        gateway_link_local: None,
        sources: None,
        ..vif(FABRIC, UNDERLAY, FABRIC_MAC, &[Ipv4Addr::new(198, 51, 100, 1).into(), VTEP.into()])
    }
}

fn tunnel_kind() -> NextHopKind {
    let encap = Encap::Vxlan { vni: Vni(100), inner_dst: REMOTE_MAC, inner_src: ROUTER_MAC };
    let adjacency = Adjacency {
        vif: FABRIC,
        port: PortIndex(0),
        neighbour: IpAddr::from([10, 0, 0, 2]),
        dst_mac: PEER_MAC,
        src_mac: FABRIC_MAC,
        vlan: None,
    };
    let underlay = Underlay::Resolved(adjacency);
    let marking = TunnelHeaders::default().marking(true);
    NextHopKind::Tunnel(Tunnel {
        vrf: RED,
        local: VTEP.into(),
        remote: PEER.into(),
        encap,
        marking,
        ways: Ways::new(vec![Way { underlay, template: Template::EMPTY }], None),
        leads: true,
        leaf: false,
    })
}

/// Next hops: 0 ours, 1 web, 2 db, 3 a tunnel, 4 drop, 5 the fabric's subnet.
fn next_hops() -> Vec<NextHopKind> {
    let to =
        |vif: VifId, dst_mac| NextHopKind::Vif { vif, port: PortIndex(vif.0 as u16), dst_mac, src_mac: GATEWAY_MAC };
    vec![
        NextHopKind::Receive,
        to(WEB, WEB_MAC),
        to(DB, Mac([2, 0, 0, 0, 1, 2])),
        tunnel_kind(),
        NextHopKind::Drop,
        NextHopKind::Fabric(Underlay::Resolving { vif: FABRIC, neighbour: None }),
    ]
}

/// Red routes .1 to us, .11 and .12 to its VIFs, .13 and everything else to a tunnel, .14 to drop.
fn red(proxy_by_default_route: bool) -> Vrf {
    let mut red = Vrf { proxy_by_default_route, ..Vrf::new(RED, "red".into()) };
    for (last, next_hop) in [(0x01, 0), (0x11, 1), (0x12, 2), (0x13, 3), (0x14, 4)] {
        // 0x11 is .11 and ::11: decimal there, hexadecimal here.
        let decimal = last / 16 * 10 + last % 16;
        red.v4.insert(v4(decimal as u8).to_bits(), 32, NextHopId(next_hop));
        red.v6.insert(v6(last).to_bits(), 128, NextHopId(next_hop));
    }
    red.v4.insert(0, 0, NextHopId(3));
    red.v6.insert(0, 0, NextHopId(3));
    red
}

fn world() -> Snapshot {
    let mut snapshot = Snapshot {
        generation: Generation(1),
        local: LocalHost { underlay: Some(UNDERLAY), vtep: Some(VTEP), router_mac: ROUTER_MAC, ..Default::default() },
        ..Snapshot::default()
    };
    for (number, kind) in next_hops().into_iter().enumerate() {
        let mut row = NextHop::new(1500, kind);
        row.set_stamp(Generation(1));
        snapshot.next_hops.set(number, Some(Arc::new(row)));
    }
    let web = vif(WEB, RED, WEB_MAC, &[v4(11).into(), v6(0x11).into()]);
    let db = vif(DB, RED, Mac([2, 0, 0, 0, 1, 2]), &[v4(12).into(), v6(0x12).into()]);
    let bare = Vif {
        gateway_v4: None,
        gateway_v6: None,
        gateway_link_local: None,
        sources: None,
        ..vif(BARE, BLUE, WEB_MAC, &[v4(11).into()])
    };
    for vif in [fabric(), web, db, bare] {
        snapshot.vifs.set(vif.id.index(), Some(Arc::new(vif)));
    }
    let mut underlay = Vrf::new(UNDERLAY, "underlay".into());
    underlay.v4.insert(VTEP.to_bits(), 32, NextHopId(0));
    underlay.v4.insert(Ipv4Addr::new(192, 0, 2, 0).to_bits(), 24, NextHopId(5));
    for vrf in [underlay, red(false), Vrf::new(BLUE, "blue".into())] {
        snapshot.vrfs.set(vrf.id.index(), Some(Arc::new(vrf)));
    }
    snapshot
}

/// One punt of a frame with its L3 header behind Ethernet, to a fresh `Local`.
fn punt(snapshot: &Snapshot, place: Place, why: Why, frame: &[u8]) -> (Outcome, Vec<Output>) {
    let tunnel = matches!(place, Place::Tunnel(_)).then_some(TUNNEL);
    let mut out = Vec::new();
    let punt = Punt { place, why, frame, tunnel, l3_offset: 14 };
    let outcome = Local::new(Limits::default()).punt(snapshot, punt, 1000, &mut out);
    (outcome, out)
}

/// The only output, a frame out of this VIF.
fn frame_of(vif: VifId, out: &[Output]) -> Vec<u8> {
    match out {
        [Output::Frame { vif: sent, bytes }] if *sent == vif => bytes.clone(),
        other => panic!("no frame out of {vif}: {other:?}"),
    }
}

/// The only output, a packet routed in this VRF.
fn packet_of(vrf: VrfId, out: &[Output]) -> Vec<u8> {
    match out {
        [Output::Routed { vrf: routed, packet }] if *routed == vrf => packet.clone(),
        other => panic!("no packet in {vrf}: {other:?}"),
    }
}
