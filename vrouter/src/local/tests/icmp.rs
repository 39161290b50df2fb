//! Echo to addresses of ours, and ICMP errors.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetFrame, Icmpv4DstUnreachable, Icmpv4Message, Icmpv4Packet, Icmpv4Repr, Icmpv4TimeExceeded, Icmpv6Message,
    Icmpv6Packet, Icmpv6Repr, Ipv4Packet, Ipv6Packet,
};

use super::bytes::{PING_GATEWAY, PING6_GATEWAY, PING6_LINK_LOCAL, UDP4, UDP6};
use super::*;
use crate::drops::DropReason;

const IP: usize = 14;

/// `hex` with patches and its IPv4 header checksum made right again.
fn sound(hex: &str, patches: &[(usize, &[u8])]) -> Vec<u8> {
    let mut frame = bytes(hex);
    for (at, patch) in patches {
        frame[*at..at + patch.len()].copy_from_slice(patch);
    }
    Ipv4Packet::new_unchecked(&mut frame[IP..]).fill_checksum();
    frame
}

/// An IPv4 packet's ends, and its ICMP message.
fn icmp_v4(packet: &[u8]) -> (Ipv4Addr, Ipv4Addr, Icmpv4Packet<&[u8]>) {
    let ip = Ipv4Packet::new_checked(packet).unwrap();
    assert!(ip.verify_checksum());
    assert_eq!(usize::from(ip.total_len()), packet.len());
    let icmp = Icmpv4Packet::new_checked(&packet[20..]).unwrap();
    assert!(icmp.verify_checksum());
    (ip.src_addr(), ip.dst_addr(), icmp)
}

fn icmp_v6(packet: &[u8]) -> (Ipv6Addr, Ipv6Addr, Icmpv6Packet<&[u8]>) {
    let ip = Ipv6Packet::new_checked(packet).unwrap();
    assert_eq!(ip.total_len(), packet.len());
    let icmp = Icmpv6Packet::new_checked(&packet[40..]).unwrap();
    assert!(icmp.verify_checksum(&ip.src_addr(), &ip.dst_addr()));
    (ip.src_addr(), ip.dst_addr(), icmp)
}

#[test]
fn the_gateway_answers_echo() {
    // Padded to the Ethernet minimum: the padding is no data.
    let mut request = bytes(PING_GATEWAY);
    request.resize(60, 0xaa);
    let (outcome, out) = punt(&world(), Place::Vif(WEB), Why::ForUs, &request);
    assert_eq!(outcome, Outcome::Consumed);
    let packet = packet_of(RED, &out);
    assert_eq!(packet[1], 0x2e, "the request's TOS (RFC 1122, section 3.2.2.6 and 3.2.1.6)");
    let (from, to, icmp) = icmp_v4(&packet);
    assert_eq!((from, to), (GATEWAY, v4(11)));
    let reply = Icmpv4Repr::EchoReply { ident: 0x1234, seq_no: 5, data: b"hello" };
    assert_eq!(Icmpv4Repr::parse(&icmp, &ChecksumCapabilities::default()), Ok(reply));
}

#[test]
fn the_gateway_answers_ipv6_echo() {
    let reply = Icmpv6Repr::EchoReply { ident: 0x1234, seq_no: 5, data: b"hello" };
    let (outcome, out) = punt(&world(), Place::Vif(WEB), Why::ForUs, &bytes(PING6_GATEWAY));
    assert_eq!(outcome, Outcome::Consumed);
    let packet = packet_of(RED, &out);
    let (from, to, icmp) = icmp_v6(&packet);
    assert_eq!((from, to), (v6(1), v6(0x11)));
    assert_eq!(Icmpv6Repr::parse(&from, &to, &icmp, &ChecksumCapabilities::default()), Ok(reply));

    let (outcome, out) = punt(&world(), Place::Vif(WEB), Why::ForUs, &bytes(PING6_LINK_LOCAL));
    assert_eq!(outcome, Outcome::Consumed);
    let frame = frame_of(WEB, &out);
    let ethernet = EthernetFrame::new_checked(frame.as_slice()).unwrap();
    assert_eq!((ethernet.dst_addr().0, ethernet.src_addr().0), (WEB_MAC.0, GATEWAY_MAC.0));
    let (from, to, icmp) = icmp_v6(&frame[IP..]);
    assert_eq!((from, to), (LINK_LOCAL, Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x11)));
    assert_eq!(Icmpv6Repr::parse(&from, &to, &icmp, &ChecksumCapabilities::default()), Ok(reply));
}

#[test]
fn the_vtep_answers_echo_in_the_underlay() {
    let request = sound(PING_GATEWAY, &[(IP + 12, &PEER.octets()), (IP + 16, &VTEP.octets())]);
    let (outcome, out) = punt(&world(), Place::Vif(FABRIC), Why::ForUs, &request);
    assert_eq!(outcome, Outcome::Consumed);
    let packet = packet_of(UNDERLAY, &out);
    let (from, to, icmp) = icmp_v4(&packet);
    assert_eq!((from, to, icmp.msg_type()), (VTEP, PEER, Icmpv4Message::EchoReply));
}

#[test]
fn echo_out_of_a_tunnel_is_answered_in_its_vrf() {
    let (outcome, out) = punt(&world(), Place::Tunnel(RED), Why::ForUs, &bytes(PING_GATEWAY));
    assert_eq!(outcome, Outcome::Consumed);
    assert_eq!(icmp_v4(&packet_of(RED, &out)).0, GATEWAY);
    // Out of MPLS: no inner Ethernet header.
    let mut out = Vec::new();
    let bare = Punt {
        place: Place::Tunnel(RED),
        why: Why::ForUs,
        frame: &bytes(PING_GATEWAY)[IP..],
        tunnel: Some(TunnelSource { remote: PEER.into(), id: TunnelId::Label(crate::ids::Label(16)) }),
        l3_offset: 0,
    };
    assert_eq!(Local::new(Limits::default()).punt(&world(), bare, 0, &mut out), Outcome::Consumed);
    assert_eq!(icmp_v4(&packet_of(RED, &out)).1, v4(11));
}

#[test]
fn other_packets_for_us_are_named() {
    let unanswered = DropReason::LocalUnanswered;
    let cases: &[(&str, DropReason, Vec<u8>)] = &[
        ("ICMP checksum", unanswered, patched(PING_GATEWAY, IP + 22, &[0, 0])),
        ("ICMPv6 checksum", unanswered, patched(PING6_GATEWAY, IP + 42, &[0, 0])),
        ("UDP", unanswered, sound(UDP4, &[(IP + 16, &GATEWAY.octets())])),
        ("echo reply", unanswered, patched(PING_GATEWAY, IP + 20, &[0, 0, 0xa9, 0xf4])),
        ("a fragment", unanswered, sound(PING_GATEWAY, &[(IP + 6, &[0x20, 0])])),
        ("multicast source", unanswered, sound(PING_GATEWAY, &[(IP + 12, &[224, 0, 0, 1])])),
        ("not ours", unanswered, sound(PING_GATEWAY, &[(IP + 16, &v4(13).octets())])),
        ("header checksum", DropReason::Ipv4Checksum, patched(PING_GATEWAY, IP + 10, &[0, 0])),
        ("header length", DropReason::Ipv4Header, patched(PING_GATEWAY, IP, &[0x44])),
        ("total length", DropReason::Ipv4Header, sound(PING_GATEWAY, &[(IP + 2, &[0xff, 0xff])])),
        ("payload length", DropReason::Ipv6Header, patched(PING6_GATEWAY, IP + 4, &[0xff, 0xff])),
        ("version", DropReason::EthertypeUnknown, patched(PING_GATEWAY, IP, &[0x55])),
    ];
    // What follows a later fragment's header is the middle of something, here no header of a sane length.
    let mut later = with_extensions(PING6_GATEWAY, 44, &[60, 0, 0, 8, 0, 0, 0, 1]);
    later[IP + 49] = 0xff;
    let group = with_sound_icmpv6(patched(PING6_GATEWAY, IP + 8, &[0xff, 2]));
    let more = [("a later fragment of an option", unanswered, later), ("a group as source", unanswered, group)];
    for (what, reason, frame) in cases.iter().chain(&more) {
        let outcome = punt(&world(), Place::Vif(WEB), Why::ForUs, frame);
        assert_eq!(outcome, (Outcome::Dropped(*reason), vec![]), "{what}");
    }
}

#[test]
fn echo_behind_extension_headers_is_answered() {
    let options = with_extensions(PING6_GATEWAY, 60, &[58, 0, 1, 4, 0, 0, 0, 0]);
    // The reserved bits of a fragment header are no length.
    let atomic = with_extensions(PING6_GATEWAY, 44, &[58, 0xff, 0, 0, 0, 0, 0, 1]);
    for frame in [options, atomic] {
        let (outcome, out) = punt(&world(), Place::Vif(WEB), Why::ForUs, &frame);
        assert_eq!(outcome, Outcome::Consumed);
        assert_eq!(packet_of(RED, &out).len(), bytes(PING6_GATEWAY).len() - IP);
    }
}

#[test]
fn time_exceeded_names_the_gateway_and_quotes_the_packet() {
    // Padding is no part of the packet.
    let padded = |hex: &str| [bytes(hex), vec![0xaa; 11]].concat();
    let (outcome, out) = punt(&world(), Place::Vif(WEB), Why::TtlExpired, &padded(UDP4));
    assert_eq!(outcome, Outcome::Consumed);
    let packet = packet_of(RED, &out);
    let (from, to, icmp) = icmp_v4(&packet);
    assert_eq!((from, to), (GATEWAY, v4(11)));
    let repr = Icmpv4Repr::parse(&icmp, &ChecksumCapabilities::default()).unwrap();
    let Icmpv4Repr::TimeExceeded { reason: Icmpv4TimeExceeded::TtlExpired, .. } = repr else { panic!("{repr:?}") };
    assert_eq!(icmp.data(), &bytes(UDP4)[IP..]);

    let (outcome, out) = punt(&world(), Place::Vif(WEB), Why::TtlExpired, &padded(UDP6));
    assert_eq!(outcome, Outcome::Consumed);
    let packet = packet_of(RED, &out);
    let (from, to, icmp) = icmp_v6(&packet);
    assert_eq!((from, to, icmp.msg_type(), icmp.msg_code()), (v6(1), v6(0x11), Icmpv6Message::TimeExceeded, 0));
    assert_eq!(packet[48..], bytes(UDP6)[IP..]);
}

#[test]
fn too_big_tells_the_mtu_and_is_no_longer_than_allowed() {
    let grown = |hex: &str, length_at: usize, header: usize, to: usize| {
        let mut frame = bytes(hex);
        frame.resize(IP + to, 0x55);
        frame[length_at..length_at + 2].copy_from_slice(&((to - header) as u16).to_be_bytes());
        frame
    };
    let mut big = grown(UDP4, IP + 2, 0, 1500);
    Ipv4Packet::new_unchecked(&mut big[IP..]).fill_checksum();
    let (outcome, out) = punt(&world(), Place::Vif(WEB), Why::TooBig { mtu: 1450 }, &big);
    assert_eq!(outcome, Outcome::Consumed);
    let packet = packet_of(RED, &out);
    let (_, _, icmp) = icmp_v4(&packet);
    assert_eq!((icmp.msg_type(), icmp.msg_code()), (Icmpv4Message::DstUnreachable, 4));
    assert_eq!(Icmpv4DstUnreachable::from(4), Icmpv4DstUnreachable::FragRequired);
    assert_eq!(packet[24..28], [0, 0, 0x05, 0xaa]);
    assert_eq!(packet.len(), 576);
    assert_eq!(packet[28..], big[IP..IP + 548]);

    let big = grown(UDP6, IP + 4, 40, 1500);
    let (outcome, out) = punt(&world(), Place::Vif(WEB), Why::TooBig { mtu: 1450 }, &big);
    assert_eq!(outcome, Outcome::Consumed);
    let packet = packet_of(RED, &out);
    let (_, _, icmp) = icmp_v6(&packet);
    assert_eq!((icmp.msg_type(), icmp.pkt_too_big_mtu(), packet.len()), (Icmpv6Message::PktTooBig, 1450, 1280));
    assert_eq!(packet[48..], big[IP..IP + 1232]);
}

#[test]
fn no_route_is_unreachable() {
    let (outcome, out) = punt(&world(), Place::Vif(WEB), Why::NoRoute, &bytes(UDP4));
    assert_eq!(outcome, Outcome::Consumed);
    let packet = packet_of(RED, &out);
    let icmp = icmp_v4(&packet).2;
    assert_eq!((icmp.msg_type(), icmp.msg_code()), (Icmpv4Message::DstUnreachable, 0));
    let (_, out) = punt(&world(), Place::Vif(WEB), Why::NoRoute, &bytes(UDP6));
    let packet = packet_of(RED, &out);
    let icmp = icmp_v6(&packet).2;
    assert_eq!((icmp.msg_type(), icmp.msg_code()), (Icmpv6Message::DstUnreachable, 0));
}

#[test]
fn the_source_is_an_address_that_the_sender_may_know() {
    let source = |place, frame: &[u8]| match &punt(&world(), place, Why::TtlExpired, frame).1[..] {
        [Output::Routed { packet, .. }] => Some(Ipv4Packet::new_checked(packet.as_slice()).unwrap().src_addr()),
        [] => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(source(Place::Tunnel(RED), &bytes(UDP4)), Some(GATEWAY), "a gateway of the VRF");
    assert_eq!(source(Place::Vif(BARE), &bytes(UDP4)), Some(Ipv4Addr::new(192, 0, 0, 8)), "no gateway: RFC 7600");
    assert_eq!(source(Place::Vif(BARE), &bytes(UDP6)), None, "IPv6 has no such address");
    assert_eq!(source(Place::Vif(FABRIC), &bytes(UDP4)), Some(Ipv4Addr::new(198, 51, 100, 1)));
}

#[test]
fn no_errors_about_errors_fragments_and_groups() {
    let icmp = |kind: u8| sound(UDP4, &[(IP + 9, &[1]), (IP + 20, &[kind])]);
    let icmp6 = |kind: u8| patched(&hex(&patched(UDP6, IP + 6, &[58])), IP + 40, &[kind]);
    let silent: &[(&str, Vec<u8>)] = &[
        ("ICMP unreachable", icmp(3)),
        ("ICMP time exceeded", icmp(11)),
        ("ICMP redirect", icmp(5)),
        ("ICMPv6 error", icmp6(1)),
        ("ICMPv6 unknown error", icmp6(127)),
        ("ICMPv6 redirect", icmp6(137)),
        ("a later fragment", sound(UDP4, &[(IP + 6, &[0, 1])])),
        ("link broadcast", patched(UDP4, 0, &[0xff; 6])),
        ("link multicast", patched(UDP6, 0, &[0x33, 0x33, 0, 0, 0, 1])),
        ("IP multicast", sound(UDP4, &[(IP + 16, &[224, 0, 0, 5])])),
        ("IP broadcast", sound(UDP4, &[(IP + 16, &[255; 4])])),
        ("source 0.0.0.0", sound(UDP4, &[(IP + 12, &[0; 4])])),
        ("source loopback", sound(UDP4, &[(IP + 12, &[127, 0, 0, 1])])),
        ("source multicast", sound(UDP4, &[(IP + 12, &[224, 0, 0, 1])])),
        ("source 255.255.255.255", sound(UDP4, &[(IP + 12, &[255; 4])])),
        ("source ::", patched(UDP6, IP + 8, &[0; 16])),
        ("source ff02::1", patched(UDP6, IP + 8, &[0xff, 2])),
        ("IPv6 multicast", patched(UDP6, IP + 24, &[0xff, 2])),
        ("truncated", bytes(UDP4)[..30].to_vec()),
    ];
    for (what, frame) in silent {
        assert_eq!(punt(&world(), Place::Vif(WEB), Why::TtlExpired, frame), (Outcome::Consumed, vec![]), "{what}");
    }
    assert_eq!(punt(&world(), Place::Vif(WEB), Why::TtlExpired, &icmp(8)).1.len(), 1, "echo may be answered");
    assert_eq!(punt(&world(), Place::Vif(WEB), Why::TtlExpired, &icmp6(128)).1.len(), 1, "echo may be answered");
    let group = patched(UDP6, IP + 24, &[0xff, 2]);
    assert_eq!(punt(&world(), Place::Vif(WEB), Why::TooBig { mtu: 1280 }, &group).1.len(), 1, "RFC 4443, 2.4 e.3");
}

/// `hex` with extension headers behind its IPv6 header; `next` is the first one's number.
fn with_extensions(hex: &str, next: u8, headers: &[u8]) -> Vec<u8> {
    let mut frame = bytes(hex);
    frame.splice(IP + 40..IP + 40, headers.iter().copied());
    frame[IP + 5] += headers.len() as u8;
    frame[IP + 6] = next;
    frame
}

fn with_sound_icmpv6(mut frame: Vec<u8>) -> Vec<u8> {
    let ip = Ipv6Packet::new_unchecked(&frame[IP..]);
    let (source, destination) = (ip.src_addr(), ip.dst_addr());
    Icmpv6Packet::new_unchecked(&mut frame[IP + 40..]).fill_checksum(&source, &destination);
    frame
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_later_ipv6_fragment_is_seen_behind_extension_headers() {
    // IPv6/IPv6ExtHdrDestOpt/IPv6ExtHdrFragment(offset=100)/b"..."
    let mut frame = bytes(UDP6);
    let payload = [[44, 0, 1, 4, 0, 0, 0, 0], [17, 0, 0x03, 0x20, 0, 0, 0, 1]].concat();
    frame.truncate(IP + 40);
    frame.extend(payload);
    frame[IP + 4..IP + 7].copy_from_slice(&[0, 16, 60]);
    assert_eq!(punt(&world(), Place::Vif(WEB), Why::TtlExpired, &frame), (Outcome::Consumed, vec![]));
    // The first fragment is answered.
    frame[IP + 50..IP + 52].copy_from_slice(&[0, 1]);
    assert_eq!(punt(&world(), Place::Vif(WEB), Why::TtlExpired, &frame).1.len(), 1);
}

#[test]
fn errors_are_rate_limited_per_place() {
    let mut snapshot = world();
    snapshot.punts_per_second = 5;
    let mut local = Local::new(Limits::default());
    let frame = bytes(UDP4);
    let mut errors = |place, now| {
        let tunnel = matches!(place, Place::Tunnel(_)).then_some(TUNNEL);
        let mut out = Vec::new();
        let punt = Punt { place, why: Why::TtlExpired, frame: &frame, tunnel, l3_offset: IP };
        assert_eq!(local.punt(&snapshot, punt, now, &mut out), Outcome::Consumed);
        out.len()
    };
    assert_eq!((0..20).map(|_| errors(Place::Vif(WEB), 0)).sum::<usize>(), 5);
    assert_eq!(errors(Place::Tunnel(RED), 0), 1);
    assert_eq!(errors(Place::Vif(WEB), 1000), 1);
    assert_eq!((local.counters().consumed, local.counters().errors_suppressed), (22, 15));
}
