//! ARP from tenants, from the fabric, and out of tunnels.

use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, Ipv4Packet, UdpPacket,
};

use super::bytes::{ARP_GATEWAY, FABRIC_REPLY, FABRIC_REQUEST, TUNNEL_REQUEST};
use super::*;
use crate::drops::DropReason;

/// Offsets in a frame.
const SENDER_MAC: usize = 22;
const SENDER: usize = 28;
const TARGET: usize = 38;

/// Asserts that `frame` is an ARP reply that says `address` is at `mac`, to this MAC and address.
fn assert_reply(frame: &[u8], mac: Mac, address: Ipv4Addr, to: (Mac, Ipv4Addr)) {
    let frame = EthernetFrame::new_checked(frame).unwrap();
    assert_eq!(frame.dst_addr(), EthernetAddress(to.0.0));
    assert_eq!(frame.src_addr(), EthernetAddress(mac.0));
    assert_eq!(frame.ethertype(), EthernetProtocol::Arp);
    let reply = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: EthernetAddress(mac.0),
        source_protocol_addr: address,
        target_hardware_addr: EthernetAddress(to.0.0),
        target_protocol_addr: to.1,
    };
    assert_eq!(ArpRepr::parse(&ArpPacket::new_checked(frame.payload()).unwrap()), Ok(reply));
}

#[test]
fn the_gateway_answers_its_tenant_byte_by_byte() {
    let (outcome, out) = punt(&world(), Place::Vif(WEB), Why::Arp, &bytes(ARP_GATEWAY));
    assert_eq!(outcome, Outcome::Consumed);
    // Ether(src="00:00:5e:00:01:00",dst="02:00:00:00:01:01")/ARP(op=2,hwsrc="00:00:5e:00:01:00",psrc="10.0.0.1",
    //   hwdst="02:00:00:00:01:01",pdst="10.0.0.11")
    let reply = bytes(
        "02000000010100005e000100080600010800060400020000\
                       5e0001000a0000010200000001010a00000b",
    );
    assert_eq!(frame_of(WEB, &out), reply);
}

#[test]
fn tenants_are_answered_for_what_the_vrf_has_a_route_to() {
    let answered = [(1, "the gateway"), (12, "another VIF"), (13, "behind a tunnel")];
    let silent =
        [(11, "its own"), (14, "routed to drop"), (99, "by the default route only"), (0, "10.0.0.0, the same")];
    let ask = |snapshot: &Snapshot, last: u8| {
        punt(snapshot, Place::Vif(WEB), Why::Arp, &patched(ARP_GATEWAY, TARGET, &v4(last).octets()))
    };
    for (last, what) in answered {
        let (outcome, out) = ask(&world(), last);
        assert_eq!(outcome, Outcome::Consumed, "{what}");
        assert_reply(&frame_of(WEB, &out), GATEWAY_MAC, v4(last), (WEB_MAC, v4(11)));
    }
    for (last, what) in silent {
        assert_eq!(ask(&world(), last), (Outcome::Dropped(DropReason::NeighbourNotOurs), vec![]), "{what}");
    }
    let mut open = world();
    open.vrfs.set(RED.index(), Some(Arc::new(red(true))));
    assert_reply(&frame_of(WEB, &ask(&open, 99).1), GATEWAY_MAC, v4(99), (WEB_MAC, v4(11)));
    for never in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4], [169, 254, 0, 9]] {
        let asked = punt(&open, Place::Vif(WEB), Why::Arp, &patched(ARP_GATEWAY, TARGET, &never));
        assert_eq!(asked, (Outcome::Dropped(DropReason::NeighbourNotOurs), vec![]), "{never:?}");
    }
}

#[test]
fn an_address_of_the_same_vif_is_never_proxied() {
    let mut snapshot = world();
    let mut vrf = red(true);
    vrf.v4.insert(v4(20).to_bits(), 32, NextHopId(1));
    snapshot.vrfs.set(RED.index(), Some(Arc::new(vrf)));
    let mut web = snapshot.vifs.row(WEB.index()).unwrap().clone();
    web.addresses.push(v4(21).into());
    snapshot.vifs.set(WEB.index(), Some(Arc::new(web)));
    for (last, what) in [(20, "routed to it"), (21, "its own, without a route of its own")] {
        let asked = punt(&snapshot, Place::Vif(WEB), Why::Arp, &patched(ARP_GATEWAY, TARGET, &v4(last).octets()));
        assert_eq!(asked, (Outcome::Dropped(DropReason::NeighbourNotOurs), vec![]), "{what}");
    }
}

#[test]
fn probes_and_announcements_get_no_proxy_answer() {
    let probe_for = |last: u8| {
        let mut frame = patched(ARP_GATEWAY, SENDER, &[0; 4]);
        frame[TARGET..].copy_from_slice(&v4(last).octets());
        punt(&world(), Place::Vif(WEB), Why::Arp, &frame)
    };
    for last in [11, 12, 13] {
        assert_eq!(probe_for(last), (Outcome::Dropped(DropReason::NeighbourNotOurs), vec![]), "{last}");
    }
    // The gateway's address is ours: it is defended (RFC 5227, section 2.1.1).
    assert_reply(&frame_of(WEB, &probe_for(1).1), GATEWAY_MAC, GATEWAY, (WEB_MAC, Ipv4Addr::UNSPECIFIED));
    let announcement = patched(ARP_GATEWAY, TARGET, &v4(11).octets());
    let outcome = punt(&world(), Place::Vif(WEB), Why::Arp, &announcement);
    assert_eq!(outcome, (Outcome::Dropped(DropReason::NeighbourNotOurs), vec![]));
}

#[test]
fn malformed_and_forged_arp_is_invalid() {
    let cases: &[(&str, usize, &[u8])] = &[
        ("ethertype", 12, &[0x08, 0x00]),
        ("hardware type", 14, &[0, 6]),
        ("protocol type", 16, &[0x86, 0xdd]),
        ("hardware length", 18, &[8]),
        ("protocol length", 19, &[16]),
        ("operation", 20, &[0, 3]),
        ("a sender MAC that is not the VIF's", SENDER_MAC, &[2, 0, 0, 0, 9, 9]),
        ("a frame source that is not the VIF's", 6, &[2, 0, 0, 0, 9, 9]),
        ("a group as sender MAC", SENDER_MAC, &[0xff; 6]),
        ("no sender MAC", SENDER_MAC, &[0; 6]),
        ("another tenant's address", SENDER, &[10, 0, 0, 12]),
        ("the gateway's address", SENDER, &[10, 0, 0, 1]),
        ("a multicast sender", SENDER, &[224, 0, 0, 1]),
    ];
    for &(what, at, patch) in cases {
        let outcome = punt(&world(), Place::Vif(WEB), Why::Arp, &patched(ARP_GATEWAY, at, patch));
        assert_eq!(outcome, (Outcome::Dropped(DropReason::ArpInvalid), vec![]), "{what}");
    }
    let whole = bytes(ARP_GATEWAY);
    for length in 0..whole.len() {
        let outcome = punt(&world(), Place::Vif(WEB), Why::Arp, &whole[..length]);
        assert_eq!(outcome, (Outcome::Dropped(DropReason::ArpInvalid), vec![]), "{length} bytes");
    }
}

#[test]
fn a_vif_without_anti_spoofing_may_ask_as_anybody() {
    let mut snapshot = world();
    let row = snapshot.vifs.row(WEB.index()).unwrap().clone();
    snapshot.vifs.set(WEB.index(), Some(Arc::new(Vif { sources: None, ..row })));
    let (outcome, out) = punt(&snapshot, Place::Vif(WEB), Why::Arp, &patched(ARP_GATEWAY, SENDER, &[10, 0, 0, 77]));
    assert_eq!(outcome, Outcome::Consumed);
    assert_reply(&frame_of(WEB, &out), GATEWAY_MAC, GATEWAY, (WEB_MAC, v4(77)));
}

#[test]
fn a_tenants_reply_is_absorbed() {
    let outcome = punt(&world(), Place::Vif(WEB), Why::Arp, &patched(ARP_GATEWAY, 20, &[0, 2]));
    assert_eq!(outcome, (Outcome::Consumed, vec![]));
}

#[test]
fn the_fabric_is_answered_for_our_addresses_only() {
    let ask = |frame: &[u8]| punt(&world(), Place::Vif(FABRIC), Why::Arp, frame);
    let (outcome, out) = ask(&bytes(FABRIC_REQUEST));
    assert_eq!(outcome, Outcome::Consumed);
    assert_reply(&frame_of(FABRIC, &out), FABRIC_MAC, VTEP, (PEER_MAC, PEER));
    let silent = (Outcome::Dropped(DropReason::NeighbourNotOurs), vec![]);
    assert_eq!(ask(&patched(FABRIC_REQUEST, TARGET, &[192, 0, 2, 3])), silent);
    assert_eq!(ask(&bytes(FABRIC_REPLY)), silent, "nobody asked");
    let impostor = ask(&patched(FABRIC_REQUEST, SENDER, &VTEP.octets()));
    assert_eq!(impostor, (Outcome::Dropped(DropReason::ArpInvalid), vec![]));
}

#[test]
fn arp_out_of_a_vni_is_answered_through_the_tunnel_for_local_addresses() {
    let place = Place::Tunnel(RED);
    let (outcome, out) = punt(&world(), place, Why::Arp, &bytes(TUNNEL_REQUEST));
    assert_eq!(outcome, Outcome::Consumed);
    let outer = packet_of(UNDERLAY, &out);
    let ip = Ipv4Packet::new_checked(outer.as_slice()).unwrap();
    assert!(ip.verify_checksum() && ip.dont_frag());
    assert_eq!((ip.src_addr(), ip.dst_addr(), ip.total_len()), (VTEP, PEER, outer.len() as u16));
    let udp = UdpPacket::new_checked(ip.payload()).unwrap();
    assert_eq!((udp.dst_port(), udp.checksum(), usize::from(udp.len())), (4789, 0, outer.len() - 20));
    assert!(udp.src_port() >= 49152);
    assert_eq!(udp.payload()[..8], [8, 0, 0, 0, 0, 0, 100, 0]);
    assert_reply(&udp.payload()[8..], ROUTER_MAC, v4(11), (REMOTE_MAC, v4(13)));

    let silent = (Outcome::Dropped(DropReason::NeighbourNotOurs), vec![]);
    for (last, what) in [(14, "dropped"), (99, "by another tunnel"), (13, "its own")] {
        let frame = patched(TUNNEL_REQUEST, TARGET, &v4(last).octets());
        assert_eq!(punt(&world(), place, Why::Arp, &frame), silent, "{what}");
    }
    assert_eq!(punt(&world(), place, Why::Arp, &patched(TUNNEL_REQUEST, SENDER, &[0; 4])), silent, "probe");
    let gateway = punt(&world(), place, Why::Arp, &patched(TUNNEL_REQUEST, TARGET, &GATEWAY.octets()));
    assert_eq!(gateway.0, Outcome::Consumed);
}

#[test]
fn a_place_that_is_gone_is_named() {
    let gone = punt(&world(), Place::Vif(VifId(77)), Why::Arp, &bytes(ARP_GATEWAY));
    assert_eq!(gone, (Outcome::Dropped(DropReason::NoVif), vec![]));
    let gone = punt(&world(), Place::Tunnel(VrfId(77)), Why::Arp, &bytes(TUNNEL_REQUEST));
    assert_eq!(gone, (Outcome::Dropped(DropReason::VniUnknown), vec![]));
}
