//! What is plain, beside the readers of all packets, which are its twins.

use std::net::IpAddr;

use proptest::prelude::*;
use smoltcp::wire::Ipv4Packet;

use super::*;
use crate::packet::ip::{self, Ip};
use crate::packet::transport::Upper;
use crate::packet::tunnel;

/// 10.1.1.10 -> 10.1.1.20, UDP 5000 -> 53, two bytes; RFC 791 by hand, checksum by scapy.
const UDP4: [u8; 30] = [
    0x45, 0xb8, 0x00, 0x1e, 0x12, 0x67, 0x40, 0x00, 0x40, 0x11, 0x11, 0x91, 10, 1, 1, 10, 10, 1, 1, 20, // IPv4
    0x13, 0x88, 0x00, 0x35, 0x00, 0x0a, 0x00, 0x00, b'h', b'i', // UDP
];

fn tcp4() -> Vec<u8> {
    let mut bytes = UDP4[..20].to_vec();
    (bytes[3], bytes[9]) = (44, 6);
    bytes.extend([0x13, 0x88, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0, 0, 0, 0, 0, b'd', b'a', b't', b'a']);
    summed(bytes)
}

fn v6(next: u8, upper: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x6b, 0x80, 0, 0, 0, upper.len() as u8, next, 64];
    bytes.extend([0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11]);
    bytes.extend([0xfd, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    bytes.extend(upper);
    bytes
}

fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
    let header = bytes.first().map_or(0, |first| usize::from(first & 15) * 4);
    if header >= 20 && bytes.len() >= header {
        Ipv4Packet::new_unchecked(&mut bytes).fill_checksum();
    }
    bytes
}

/// Plain packets of all kinds, and tunnels' over IPv4 and IPv6.
fn plain() -> [Vec<u8>; 7] {
    let gre = [0, 0, 0x88, 0x47, 0, 1, 1, 64];
    let mut gre4 = UDP4[..20].to_vec();
    (gre4[3], gre4[9]) = (28, 47);
    gre4.extend(gre);
    let udp6 = v6(17, &UDP4[20..]);
    [UDP4.to_vec(), tcp4(), summed(gre4), udp6.clone(), v6(6, &tcp4()[20..]), v6(47, &gre), udp6]
}

/// As a plain packet would show it.
fn shown(packet: &Ip) -> (IpAddr, IpAddr, u64, u8, u8, u8, u8, u16) {
    let Upper::Ports { source, destination, tcp_flags } = packet.upper else { panic!("no ports: {packet:?}") };
    let ports = u64::from(source) << 48 | u64::from(destination) << 32;
    let Ip { source, destination, protocol, tos, ttl, length, .. } = *packet;
    (source, destination, ports, protocol, tcp_flags, tos, ttl, length)
}

fn narrow(packet: &Plain<2>) -> (IpAddr, IpAddr, u64, u8, u8, u8, u8, u16) {
    let Plain { words: [ends, ports], protocol, flags, tos, ttl, length } = *packet;
    let address = |bits: u64| IpAddr::V4((bits as u32).into());
    (address(ends >> 32), address(ends), ports, protocol, flags, tos, ttl, length)
}

fn wide(packet: &Plain<5>) -> (IpAddr, IpAddr, u64, u8, u8, u8, u8, u16) {
    let Plain { words: [a, b, c, d, ports], protocol, flags, tos, ttl, length } = *packet;
    let address = |high: u64, low: u64| IpAddr::V6((u128::from(high) << 64 | u128::from(low)).into());
    (address(a, b), address(c, d), ports, protocol, flags, tos, ttl, length)
}

/// What is plain, the other reader takes for the same.
fn agree(bytes: &[u8], verified: IpChecksum) {
    if let Some(packet) = read4(bytes, verified) {
        assert_eq!(narrow(&packet), shown(&ip::read4(bytes, verified).expect("a packet")));
        assert!(!ip::never_a_source(narrow(&packet).0) && !ip::is_group(narrow(&packet).1));
    }
    if let Some(packet) = read6(bytes) {
        assert_eq!(wide(&packet), shown(&ip::read6(bytes).expect("a packet")));
        let (source, destination, ..) = wide(&packet);
        let odd = |address| ip::is_link_local(address) || ip::is_group(address) || !ip::is_host(address);
        assert!(!odd(source) && !odd(destination) && source != destination);
    }
    if let Some(outer) = outer4(bytes, verified) {
        let packet = ip::read4(bytes, verified).expect("a packet");
        assert_eq!(IpAddr::V4(outer.source.into()), packet.source);
        assert_eq!(IpAddr::V4(outer.destination.into()), packet.destination);
        agree_outer(bytes, &packet, (outer.tos, outer.port, outer.payload, outer.end));
    }
    if let Some(outer) = outer6(bytes) {
        let packet = ip::read6(bytes).expect("a packet");
        assert_eq!(IpAddr::V6(outer.source.into()), packet.source);
        assert_eq!(IpAddr::V6(outer.destination.into()), packet.destination);
        agree_outer(bytes, &packet, (outer.tos, outer.port, outer.payload, outer.end));
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source, packet.destination) else { panic!() };
        assert!(
            outer.port.is_none() || tunnel::udp6_holds(source, destination, &bytes[40..usize::from(packet.length)])
        );
    }
}

fn agree_outer(bytes: &[u8], packet: &Ip, (tos, port, begin, end): (u8, Option<u16>, u16, u16)) {
    assert!(!ip::never_a_source(packet.source) && packet.source != packet.destination);
    assert!(!packet.fragment && packet.tos == tos);
    let carried = &bytes[usize::from(packet.header)..usize::from(packet.length)];
    let payload = &bytes[usize::from(begin)..usize::from(end)];
    match port {
        Some(port) => {
            let Upper::Ports { destination, .. } = packet.upper else { panic!("no ports: {packet:?}") };
            assert_eq!((packet.protocol, destination, tunnel::udp_payload(carried)), (17, port, Ok(payload)));
        }
        None => {
            assert_eq!((packet.protocol, tunnel::read_gre(carried)), (47, Ok(4)));
            assert_eq!(&carried[4..], payload);
        }
    }
}

#[test]
fn ordinary_packets_are_plain() {
    let [udp4, tcp4, gre4, udp6, tcp6, gre6, _] = plain();
    for bytes in [&udp4, &tcp4] {
        assert!(read4(bytes, IpChecksum::Unknown).is_some() && read4(bytes, IpChecksum::Bad).is_none());
        // Ethernet padding is not the packet's
        assert!(read4(&[&bytes[..], &[0; 16]].concat(), IpChecksum::Unknown).is_some());
    }
    assert!(read6(&udp6).is_some() && read6(&tcp6).is_some());
    for bytes in [udp4, gre4] {
        assert!(outer4(&bytes, IpChecksum::Unknown).is_some() && outer4(&bytes, IpChecksum::Bad).is_none());
    }
    assert!(outer6(&udp6).is_some() && outer6(&gre6).is_some());
}

#[test]
fn what_asks_for_more_is_not_plain() {
    let [udp4, tcp4, _, udp6, tcp6, ..] = plain();
    let with = |bytes: &[u8], changes: &[(usize, u8)]| {
        let mut bytes = bytes.to_vec();
        changes.iter().for_each(|&(at, byte)| bytes[at] = byte);
        bytes
    };
    // TTL, options, a fragment and the last of one, source 127/8, to itself, to a group, ICMP
    let four: [&[(usize, u8)]; 8] =
        [&[(8, 1)], &[(0, 0x46)], &[(6, 0x20)], &[(7, 1)], &[(12, 127)], &[(19, 10)], &[(16, 224)], &[(9, 1)]];
    for changes in four {
        assert_eq!(read4(&summed(with(&udp4, changes)), IpChecksum::Unknown), None, "{changes:?}");
    }
    // a SYN, and one that answers
    assert_eq!(read4(&with(&tcp4, &[(33, 2)]), IpChecksum::Unknown), None);
    assert_eq!(read4(&with(&tcp4, &[(33, 0x12)]), IpChecksum::Unknown), None);
    // hop limit, extension headers, multicast, link-local
    let six: [&[(usize, u8)]; 5] = [&[(7, 1)], &[(6, 0)], &[(24, 0xff)], &[(8, 0xfe), (9, 0x80)], &[(6, 58)]];
    for changes in six {
        assert_eq!(read6(&with(&udp6, changes)), None, "{changes:?}");
        assert_eq!(read6(&with(&tcp6, changes)), None, "{changes:?}");
    }
}

#[test]
fn checksums_of_all_sums_are_judged_as_by_addition() {
    // the identification runs through every value that the sum can have
    for id in 0..=u16::MAX {
        let mut bytes = UDP4;
        bytes[4..6].copy_from_slice(&id.to_be_bytes());
        for bytes in [bytes.to_vec(), summed(bytes.to_vec())] {
            assert_eq!(read4(&bytes, IpChecksum::Unknown).is_some(), ip::read4(&bytes, IpChecksum::Unknown).is_ok());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn plain_packets_are_what_others_read(
        which in 0_usize..7,
        changes in prop::collection::vec((0_usize..64, any::<u8>()), 0..5),
        cut in prop::option::of(0_usize..70),
        right: bool,
        good: bool,
    ) {
        let mut bytes = plain()[which].clone();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        let bytes = if right && which < 3 { summed(bytes) } else { bytes };
        agree(&bytes, if good { IpChecksum::Good } else { IpChecksum::Unknown });
    }
}

proptest! {
    #[test]
    fn a_plain_geneve_header_is_as_its_reader_says(
        first in prop_oneof![3 => Just(0_u8), 1 => any::<u8>()],
        flags in prop_oneof![1 => Just(0_u8), 2 => 0..0x40_u8, 1 => any::<u8>()],
        protocol in prop_oneof![4 => Just(tunnel::GENEVE_ETHERNET), 1 => any::<u16>()],
        network: u32,
    ) {
        let header = u64::from(first) << 56 | u64::from(flags) << 48 | u64::from(protocol) << 32 | u64::from(network);
        let read = tunnel::read_geneve(&[&header.to_be_bytes()[..], &[0; 252]].concat());
        match as_vxlan(header) {
            Some(vxlan) => {
                let vni = tunnel::read_vxlan(&vxlan.to_be_bytes()).unwrap();
                prop_assert_eq!(read, Ok((vni, tunnel::GENEVE)));
            }
            None => prop_assert!(read.is_err() || first != 0 || flags & 0x40 != 0),
        }
    }
}
