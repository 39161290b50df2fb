//! IPv6 neighbour discovery.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, Icmpv6Packet, Icmpv6Repr, Ipv4Packet, Ipv6Packet, NdiscNeighborFlags, NdiscRepr,
};

use super::bytes::{NA, NS_DAD_GATEWAY, NS_GATEWAY, NS_TUNNEL, RS};
use super::*;
use crate::drops::DropReason;

/// Offsets in a frame.
const SOURCE: usize = 14 + 8;
const DESTINATION: usize = 14 + 24;
const ICMP: usize = 14 + 40;
const TARGET: usize = ICMP + 8;
const OPTION: usize = TARGET + 16;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// `hex` with patches and its ICMPv6 checksum made right again.
pub(super) fn sound(hex: &str, patches: &[(usize, &[u8])]) -> Vec<u8> {
    let mut frame = bytes(hex);
    for (at, patch) in patches {
        frame[*at..at + patch.len()].copy_from_slice(patch);
    }
    mended(frame)
}

/// With its ICMPv6 checksum made right.
pub(super) fn mended(mut frame: Vec<u8>) -> Vec<u8> {
    let ip = Ipv6Packet::new_unchecked(&frame[14..]);
    let (source, destination) = (ip.src_addr(), ip.dst_addr());
    Icmpv6Packet::new_unchecked(&mut frame[ICMP..]).fill_checksum(&source, &destination);
    frame
}

fn ask(snapshot: &Snapshot, frame: &[u8]) -> (Outcome, Vec<Output>) {
    punt(snapshot, Place::Vif(WEB), Why::NeighbourDiscovery, frame)
}

/// What an advertisement says: to which MAC and address, flags, target, its MAC.
fn advert(frame: &[u8]) -> (Mac, Ipv6Addr, NdiscNeighborFlags, Ipv6Addr, Mac) {
    let frame = EthernetFrame::new_checked(frame).unwrap();
    let ip = Ipv6Packet::new_checked(frame.payload()).unwrap();
    assert_eq!((ip.version(), ip.hop_limit()), (6, 255));
    let icmp = Icmpv6Packet::new_checked(ip.payload()).unwrap();
    let repr = Icmpv6Repr::parse(&ip.src_addr(), &ip.dst_addr(), &icmp, &ChecksumCapabilities::default()).unwrap();
    let Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert { flags, target_addr, lladdr }) = repr else { panic!("{repr:?}") };
    assert_eq!(ip.src_addr(), target_addr);
    let mac = Mac(lladdr.unwrap().as_bytes().try_into().unwrap());
    assert_eq!(frame.src_addr(), EthernetAddress(mac.0));
    (Mac(frame.dst_addr().0), ip.dst_addr(), flags, target_addr, mac)
}

#[test]
fn the_gateway_answers_with_override() {
    for target in [v6(1), LINK_LOCAL] {
        let (outcome, out) = ask(&world(), &sound(NS_GATEWAY, &[(TARGET, &target.octets())]));
        assert_eq!(outcome, Outcome::Consumed);
        let expected = (WEB_MAC, v6(0x11), NdiscNeighborFlags::all(), target, GATEWAY_MAC);
        assert_eq!(advert(&frame_of(WEB, &out)), expected);
    }
}

#[test]
fn a_link_local_asker_is_answered() {
    let asker = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x11);
    let (outcome, out) = ask(&world(), &sound(NS_GATEWAY, &[(SOURCE, &asker.octets())]));
    assert_eq!(outcome, Outcome::Consumed);
    assert_eq!(advert(&frame_of(WEB, &out)).1, asker);
}

#[test]
fn proxies_do_not_override_and_answer_by_routes_only() {
    for last in [0x12, 0x13] {
        let (outcome, out) = ask(&world(), &sound(NS_GATEWAY, &[(TARGET, &v6(last).octets())]));
        assert_eq!(outcome, Outcome::Consumed);
        let flags = NdiscNeighborFlags::ROUTER | NdiscNeighborFlags::SOLICITED;
        assert_eq!(advert(&frame_of(WEB, &out)), (WEB_MAC, v6(0x11), flags, v6(last), GATEWAY_MAC));
    }
    let stranger = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x99);
    let silent = [v6(0x11), v6(0x14), v6(0x99), stranger];
    for target in silent {
        let outcome = ask(&world(), &sound(NS_GATEWAY, &[(TARGET, &target.octets())]));
        assert_eq!(outcome, (Outcome::Dropped(DropReason::NeighbourNotOurs), vec![]), "{target}");
    }
    let mut open = world();
    open.vrfs.set(RED.index(), Some(Arc::new(red(true))));
    assert_eq!(ask(&open, &sound(NS_GATEWAY, &[(TARGET, &v6(0x99).octets())])).0, Outcome::Consumed);
    let outcome = ask(&open, &sound(NS_GATEWAY, &[(TARGET, &stranger.octets())]));
    assert_eq!(outcome, (Outcome::Dropped(DropReason::NeighbourNotOurs), vec![]), "never another's link-local");
}

#[test]
fn duplicate_address_detection_meets_the_gateway_only() {
    let (outcome, out) = ask(&world(), &bytes(NS_DAD_GATEWAY));
    assert_eq!(outcome, Outcome::Consumed);
    let flags = NdiscNeighborFlags::ROUTER | NdiscNeighborFlags::OVERRIDE;
    let expected = (Mac([0x33, 0x33, 0, 0, 0, 1]), ALL_NODES, flags, v6(1), GATEWAY_MAC);
    assert_eq!(advert(&frame_of(WEB, &out)), expected);
    for last in [0x11_u16, 0x12, 0x13] {
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, last).octets();
        let outcome = ask(&world(), &sound(NS_DAD_GATEWAY, &[(TARGET, &v6(last).octets()), (DESTINATION, &group)]));
        assert_eq!(outcome, (Outcome::Dropped(DropReason::NeighbourNotOurs), vec![]), "{last:x}");
    }
}

#[test]
fn what_rfc_4861_refuses_is_invalid() {
    let cases: &[(&str, Vec<u8>)] = &[
        ("hop limit", sound(NS_GATEWAY, &[(14 + 7, &[254])])),
        ("checksum", patched(NS_GATEWAY, ICMP + 2, &[0, 0])),
        ("code", sound(NS_GATEWAY, &[(ICMP + 1, &[1])])),
        ("no ND at all", sound(NS_GATEWAY, &[(ICMP, &[128])])),
        ("multicast target", sound(NS_GATEWAY, &[(TARGET, &ALL_NODES.octets())])),
        ("an option of no length", sound(NS_GATEWAY, &[(OPTION, &[1, 0])])),
        ("an option beyond the end", sound(NS_GATEWAY, &[(OPTION, &[1, 2])])),
        ("another's MAC as source", sound(NS_GATEWAY, &[(OPTION + 2, &[2, 0, 0, 0, 9, 9])])),
        ("another's MAC on the frame", sound(NS_GATEWAY, &[(6, &[2, 0, 0, 0, 9, 9])])),
        ("another's address", sound(NS_GATEWAY, &[(SOURCE, &v6(0x12).octets())])),
        ("a probe with a source MAC", sound(NS_GATEWAY, &[(SOURCE, &[0; 16])])),
        ("a probe to one node", sound(NS_DAD_GATEWAY, &[(DESTINATION, &v6(1).octets())])),
        ("multicast source", sound(NS_GATEWAY, &[(SOURCE, &ALL_NODES.octets())])),
        ("advert: solicited to a group", sound(NA, &[(ICMP + 4, &[0x40])])),
        ("advert: another's address", sound(NA, &[(TARGET, &v6(0x12).octets())])),
        ("advert: another's MAC", sound(NA, &[(OPTION + 2, &[2, 0, 0, 0, 9, 9])])),
        ("advert: no source", sound(NA, &[(SOURCE, &[0; 16])])),
    ];
    for (what, frame) in cases {
        assert_eq!(ask(&world(), frame), (Outcome::Dropped(DropReason::NdInvalid), vec![]), "{what}");
    }
    let whole = bytes(NS_GATEWAY);
    for length in 0..whole.len() {
        let outcome = ask(&world(), &whole[..length]);
        assert_eq!(outcome, (Outcome::Dropped(DropReason::NdInvalid), vec![]), "{length} bytes");
    }
}

#[test]
fn fragments_never_carry_neighbour_discovery() {
    // RFC 6980: a fragment header makes it invalid, even one that fragments nothing; a destination option does not.
    for (next, options, expected) in [
        (44, [58, 0, 0, 0, 0, 0, 0, 1], Outcome::Dropped(DropReason::NdInvalid)),
        (44, [58, 0, 0, 1, 0, 0, 0, 1], Outcome::Dropped(DropReason::NdInvalid)),
        (60, [58, 0, 1, 4, 0, 0, 0, 0], Outcome::Consumed),
    ] {
        let mut frame = bytes(NS_GATEWAY);
        frame.splice(ICMP..ICMP, options);
        frame[14 + 5] += 8;
        frame[14 + 6] = next;
        assert_eq!(ask(&world(), &frame).0, expected, "{next}: {options:?}");
    }
}

#[test]
fn adverts_are_absorbed_and_router_solicitations_are_not_ours() {
    assert_eq!(ask(&world(), &bytes(NA)), (Outcome::Consumed, vec![]));
    assert_eq!(ask(&world(), &bytes(RS)), (Outcome::Dropped(DropReason::NeighbourNotOurs), vec![]));
}

#[test]
fn solicitations_out_of_a_vni_are_answered_through_the_tunnel() {
    let place = Place::Tunnel(RED);
    let (outcome, out) = punt(&world(), place, Why::NeighbourDiscovery, &bytes(NS_TUNNEL));
    assert_eq!(outcome, Outcome::Consumed);
    let outer = packet_of(UNDERLAY, &out);
    let ip = Ipv4Packet::new_checked(outer.as_slice()).unwrap();
    assert_eq!((ip.src_addr(), ip.dst_addr()), (VTEP, PEER));
    let flags = NdiscNeighborFlags::ROUTER | NdiscNeighborFlags::SOLICITED;
    let expected = (REMOTE_MAC, v6(0x13), flags, v6(0x11), ROUTER_MAC);
    assert_eq!(advert(&ip.payload()[16..]), expected);
    let remote = punt(&world(), place, Why::NeighbourDiscovery, &sound(NS_TUNNEL, &[(TARGET, &v6(0x99).octets())]));
    assert_eq!(remote, (Outcome::Dropped(DropReason::NeighbourNotOurs), vec![]));
}
