//! Headers on literal bytes, and readers beside smoltcp's, which is their twin.

use std::net::IpAddr;

use proptest::prelude::*;
use smoltcp::wire::{Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket};

use super::checksum::IpChecksum;
use super::ip::{self, Chain, Ip};
use super::transport::{self, Upper, tcp};
use super::tunnel;
use super::tuple::protocol;
use crate::drops::DropReason;
use crate::ids::{Label, Vni};

/// 10.1.1.10 -> 10.1.1.20, UDP 5000 -> 53, two bytes; RFC 791 by hand, checksum by scapy.
const UDP4: [u8; 30] = [
    0x45, 0xb8, 0x00, 0x1e, 0x12, 0x67, 0x40, 0x00, 0x40, 0x11, 0x11, 0x91, 10, 1, 1, 10, 10, 1, 1, 20, // IPv4
    0x13, 0x88, 0x00, 0x35, 0x00, 0x0a, 0x00, 0x00, b'h', b'i', // UDP
];

fn read4(bytes: &[u8]) -> Result<Ip, DropReason> {
    ip::read4(bytes, IpChecksum::Unknown)
}

/// The bytes with these changes, header checksum made right.
fn with(bytes: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    changes.iter().for_each(|&(at, byte)| bytes[at] = byte);
    Ipv4Packet::new_unchecked(&mut bytes).fill_checksum();
    bytes
}

#[test]
fn an_ipv4_header_is_read() {
    let packet = read4(&UDP4).unwrap();
    assert_eq!((packet.source, packet.destination), ("10.1.1.10".parse().unwrap(), "10.1.1.20".parse().unwrap()));
    assert_eq!((packet.protocol, packet.ttl, packet.tos, packet.length, packet.header), (17, 64, 0xb8, 30, 20));
    assert_eq!(packet.upper, Upper::Ports { source: 5000, destination: 53, tcp_flags: 0 });
    assert!(!packet.fragment);
    // Ethernet padding is not the packet's
    assert_eq!(read4(&[&UDP4[..], &[0; 16]].concat()), Ok(packet));
}

#[test]
fn bad_ipv4_headers_are_refused_by_name() {
    use DropReason::{FragmentTooShort, IpLength, Ipv4Checksum, Ipv4Header, TransportHeader};
    for length in 0..20 {
        assert_eq!(read4(&UDP4[..length]), Err(Ipv4Header), "{length} bytes");
    }
    assert_eq!(read4(&UDP4[..29]), Err(IpLength));
    assert_eq!(read4(&with(&UDP4, &[(3, 19)])), Err(IpLength));
    assert_eq!(read4(&with(&UDP4, &[(3, 27)])), Err(TransportHeader));
    for first in [0x44, 0x55, 0x05, 0x48] {
        assert_eq!(read4(&[&[first], &UDP4[1..]].concat()), Err(Ipv4Header), "{first:#x}");
    }
    let mut wrong = UDP4;
    wrong[8] = 63;
    assert_eq!(read4(&wrong), Err(Ipv4Checksum));
    // a device's word counts
    assert!(ip::read4(&wrong, IpChecksum::Good).is_ok());
    assert_eq!(ip::read4(&UDP4, IpChecksum::Bad), Err(Ipv4Checksum));
    // TCP at offset 1 could overwrite flags (RFC 1858)
    assert_eq!(read4(&with(&UDP4, &[(6, 0), (7, 1), (9, 6)])), Err(FragmentTooShort));
}

#[test]
fn fragments_are_told_apart() {
    let first = read4(&with(&UDP4, &[(6, 0x20)])).unwrap();
    assert!(first.fragment && matches!(first.upper, Upper::Ports { .. }));
    let later = read4(&with(&UDP4, &[(6, 0), (7, 5)])).unwrap();
    assert!(later.fragment);
    assert_eq!(later.upper, Upper::Fragment);
    let tuple = later.tuple().unwrap();
    assert!(tuple.fragment);
    assert_eq!((tuple.source_port, tuple.destination_port), (0, 0));
}

/// fd01::a -> fd01::14 behind this next header and payload.
fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x62, 0xe0, 0, 0, 0, payload.len() as u8, next, 64];
    bytes.extend([0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0a]);
    bytes.extend([0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14]);
    bytes.extend(payload);
    bytes
}

#[test]
fn an_ipv6_header_and_its_chain_are_read() {
    let udp = &UDP4[20..];
    let options = [17, 0, 1, 4, 0, 0, 0, 0];
    let packet = ip::read6(&v6(60, &[&options[..], udp].concat())).unwrap();
    assert_eq!((packet.protocol, packet.ttl, packet.tos, packet.length, packet.header), (17, 64, 0x2e, 58, 48));
    assert_eq!(packet.upper, Upper::Ports { source: 5000, destination: 53, tcp_flags: 0 });
    let fragment = |offset: u16, more: u16, next| {
        let [a, b] = (offset << 3 | more).to_be_bytes();
        [&[next, 0, a, b, 0, 0, 0, 70], udp].concat()
    };
    assert!(ip::read6(&v6(44, &fragment(0, 1, 17))).unwrap().fragment);
    assert_eq!(ip::read6(&v6(44, &fragment(5, 0, 17))).unwrap().upper, Upper::Fragment);
    assert_eq!(ip::read6(&v6(44, &fragment(1, 0, 6))), Err(DropReason::FragmentTooShort));
    // an atomic fragment is whole (RFC 6946)
    assert!(!ip::read6(&v6(44, &fragment(0, 0, 17))).unwrap().fragment);
    for length in 0..40 {
        assert_eq!(ip::read6(&v6(17, udp)[..length]), Err(DropReason::Ipv6Header));
    }
    assert_eq!(ip::read6(&v6(17, udp)[..49]), Err(DropReason::IpLength));
    assert_eq!(ip::read6(&v6(60, &options[..7])), Err(DropReason::Ipv6Header));
    assert_eq!(ip::read6(&v6(60, &[60, 255, 0, 0, 0, 0, 0, 0])), Err(DropReason::Ipv6Header));
}

#[test]
fn a_chain_has_an_end() {
    let header = |next| [next, 0, 0, 0, 0, 0, 0, 0];
    let seven = [header(60); 6].concat();
    let chain = Chain::read(60, &[&seven[..], &header(59)].concat()).unwrap();
    assert_eq!((chain.protocol, chain.length), (59, 56));
    assert_eq!(Chain::read(60, &[header(60); 12].concat()), Err(DropReason::Ipv6Header));
    // authentication headers count in units of four bytes (RFC 4302)
    let chain = Chain::read(51, &[[6, 4, 0, 0, 0, 0, 0, 0], [0; 8], [0; 8]].concat()).unwrap();
    assert_eq!((chain.protocol, chain.length), (6, 24));
}

#[test]
fn icmp_errors_give_the_tuple_that_they_quote() {
    let error = |kind: u8, quoted: &[u8]| [&[kind, 0, 0, 0, 0, 0, 0, 0], quoted].concat();
    let quoted = |bytes: &[u8], number, six| match transport::read(number, six, false, bytes) {
        Ok(Upper::IcmpError { quoted }) => quoted,
        other => panic!("{other:?}"),
    };
    // eight bytes behind the header are all that RFC 792 promises
    let tuple = quoted(&error(11, &UDP4[..28]), protocol::ICMP, false);
    assert_eq!((tuple.source, tuple.destination), ("10.1.1.10".parse().unwrap(), "10.1.1.20".parse().unwrap()));
    assert_eq!((tuple.protocol, tuple.source_port, tuple.destination_port, tuple.fragment), (17, 5000, 53, false));
    let later = quoted(&error(11, &with(&UDP4, &[(6, 0), (7, 5)])[..28]), protocol::ICMP, false);
    assert!(later.fragment);
    let echo = [&UDP4[..20], &[8, 0, 0, 0, 0, 77, 0, 1]].concat();
    let echo = quoted(&error(3, &with(&echo, &[(9, 1)])), protocol::ICMP, false);
    assert_eq!((echo.source_port, echo.destination_port), (77, 8 << 8));
    let six = quoted(&error(1, &v6(17, &UDP4[20..])), protocol::ICMPV6, true);
    assert_eq!((six.protocol, six.source_port, six.destination_port), (17, 5000, 53));
    for length in 0..24 {
        let short = error(11, &UDP4[..length]);
        assert_eq!(transport::read(protocol::ICMP, false, false, &short), Err(DropReason::TransportHeader), "{length}");
    }
    for kind in 133..=137 {
        let read = transport::read(protocol::ICMPV6, true, false, &error(kind, &[]));
        assert_eq!(read, Ok(Upper::NeighbourDiscovery));
    }
    // each family's own ICMP alone
    assert_eq!(transport::read(protocol::ICMPV6, false, false, &error(1, &[])), Ok(Upper::Other));
    assert_eq!(transport::read(protocol::ICMP, true, false, &error(3, &[])), Ok(Upper::Other));
}

#[test]
fn tunnel_headers_are_read() {
    assert_eq!(tunnel::read_vxlan(&[8, 0, 0, 0, 0x12, 0x34, 0x56, 0]), Ok(Vni(0x12_3456)));
    assert_eq!(tunnel::read_vxlan(&[0xff, 1, 2, 3, 0, 0, 100, 0xff]), Ok(Vni(100)));
    assert_eq!(tunnel::read_vxlan(&[0xf7, 0, 0, 0, 0, 0, 100, 0]), Err(DropReason::VxlanHeader));
    assert_eq!(tunnel::read_vxlan(&[8; 7]), Err(DropReason::VxlanHeader));
    assert_eq!(
        tunnel::read_mpls(&[0xab, 0xcd, 0xef, 64]),
        Ok(tunnel::Mpls { label: Label(0xabcde), class: 7, ttl: 64 })
    );
    assert_eq!(tunnel::read_mpls(&[0xab, 0xcd, 0xe0, 64]), Err(DropReason::MplsHeader));
    assert_eq!(tunnel::read_mpls(&[0xab, 0xcd, 0xe1]), Err(DropReason::MplsHeader));
    assert_eq!(tunnel::udp_payload(&UDP4[20..]), Ok(&b"hi"[..]));
    // what is behind the datagram is not its payload
    assert_eq!(tunnel::udp_payload(&[&UDP4[20..], b"more"].concat()), Ok(&b"hi"[..]));
    assert_eq!(tunnel::udp_payload(&UDP4[20..29]), Err(DropReason::TransportHeader));
    assert_eq!(tunnel::udp_payload(&[0, 0, 0, 0, 0, 7, 0, 0]), Err(DropReason::TransportHeader));
}

#[test]
fn sources_and_groups() {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    for never in
        ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "::1", "ff02::1"]
    {
        assert!(ip::never_a_source(address(never)), "{never}");
    }
    for may in [
        "1.0.0.1",
        "10.0.0.1",
        "126.255.255.255",
        "223.255.255.255",
        "169.254.1.1",
        "fe80::1",
        "fd01::1",
        "2001:db8::1",
    ] {
        assert!(!ip::never_a_source(address(may)), "{may}");
    }
    for group in ["224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "ff05::2"] {
        assert!(ip::is_group(address(group)), "{group}");
    }
    assert!(!ip::is_group(address("10.255.255.255")) && !ip::is_group(address("fe80::1")));
    assert!(ip::is_link_local(address("febf::1")) && !ip::is_link_local(address("fec0::1")));
}

/// What is about the IP header, not about what it carries.
fn of_ip(result: &Result<Ip, DropReason>) -> bool {
    !matches!(
        result,
        Err(DropReason::Ipv4Header | DropReason::Ipv4Checksum | DropReason::Ipv6Header | DropReason::IpLength)
    )
}

/// Bytes that are often nearly an IPv4 packet.
fn nearly_v4() -> impl Strategy<Value = Vec<u8>> {
    let parts = (prop::collection::vec(any::<u8>(), 0..100), 0x43_u8..0x4a, any::<bool>(), 0_usize..4, any::<bool>());
    parts.prop_map(|(mut bytes, first, mend, beyond, whole)| {
        if bytes.len() >= 20 {
            bytes[0] = first;
            let length = (bytes.len() + 1 - beyond) as u16;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            if whole {
                bytes[6..8].fill(0);
                bytes[9] = [1, 6, 17, 47][usize::from(bytes[9]) % 4];
            }
            if mend && let Ok(mut packet) = Ipv4Packet::new_checked(&mut bytes) {
                packet.fill_checksum();
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn ipv4_is_taken_when_smoltcp_takes_it(bytes in nearly_v4()) {
        let ours = read4(&bytes);
        let theirs = Ipv4Packet::new_checked(&bytes).ok().filter(|packet| {
            packet.version() == 4 && packet.header_len() >= 20 && packet.verify_checksum()
        });
        prop_assert_eq!(of_ip(&ours), theirs.is_some(), "{:?}", ours);
        if let (Ok(ours), Some(theirs)) = (ours, theirs) {
            prop_assert_eq!(ours.source, IpAddr::from(theirs.src_addr()));
            prop_assert_eq!(ours.destination, IpAddr::from(theirs.dst_addr()));
            prop_assert_eq!(ours.protocol, u8::from(theirs.next_header()));
            prop_assert_eq!((ours.ttl, ours.length), (theirs.hop_limit(), theirs.total_len()));
            prop_assert_eq!(ours.header, u16::from(theirs.header_len()));
            prop_assert_eq!(ours.tos, theirs.dscp() << 2 | theirs.ecn());
            prop_assert_eq!(ours.fragment, theirs.more_frags() || theirs.frag_offset() != 0);
        }
    }

    #[test]
    fn udp_and_tcp_are_taken_when_smoltcp_takes_them(mut bytes in prop::collection::vec(any::<u8>(), 0..64), near: bool) {
        if near && bytes.len() > 12 {
            let length = bytes.len() as u16;
            bytes[4..6].copy_from_slice(&length.to_be_bytes());
            bytes[12] = 0x40 | bytes[12] & 0x3f;
        }
        let udp = transport::read(protocol::UDP, false, false, &bytes);
        prop_assert_eq!(udp.is_ok(), UdpPacket::new_checked(&bytes).is_ok());
        let tcp_read = transport::read(protocol::TCP, true, false, &bytes);
        let theirs = TcpPacket::new_checked(&bytes);
        prop_assert_eq!(tcp_read.is_ok(), theirs.is_ok());
        if let (Ok(Upper::Ports { source, destination, tcp_flags }), Ok(theirs)) = (tcp_read, theirs) {
            prop_assert_eq!((source, destination), (theirs.src_port(), theirs.dst_port()));
            let flags = [(tcp::FIN, theirs.fin()), (tcp::SYN, theirs.syn()), (tcp::RST, theirs.rst()), (tcp::ACK, theirs.ack())];
            prop_assert!(flags.iter().all(|&(flag, theirs)| (tcp_flags & flag != 0) == theirs));
        }
    }

    #[test]
    fn ipv6_without_extensions_is_taken_when_smoltcp_takes_it(payload in prop::collection::vec(any::<u8>(), 0..60), cut in 0_usize..100, longer in 0_u8..3, first: u8) {
        let mut bytes = v6(47, &payload);
        bytes[5] += longer;
        bytes[0] = if first % 4 == 0 { first } else { bytes[0] };
        bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(60)));
        let ours = ip::read6(&bytes);
        let theirs = Ipv6Packet::new_checked(&bytes).ok().filter(|packet| packet.version() == 6);
        prop_assert_eq!(ours.is_ok(), theirs.is_some());
        if let (Ok(ours), Some(theirs)) = (ours, theirs) {
            prop_assert_eq!((ours.ttl, usize::from(ours.length)), (theirs.hop_limit(), theirs.total_len()));
            prop_assert_eq!(ours.tos, theirs.traffic_class());
            prop_assert_eq!(ours.source, IpAddr::from(theirs.src_addr()));
        }
    }

    #[test]
    fn the_ttl_goes_down_and_the_checksum_stays_right(mut bytes in prop::collection::vec(any::<u8>(), 20), ttl in 1_u8..) {
        bytes[0] = 0x45;
        bytes[2..4].copy_from_slice(&20_u16.to_be_bytes());
        bytes[8] = ttl;
        Ipv4Packet::new_unchecked(&mut bytes).fill_checksum();
        let before = bytes.clone();
        ip::decrement_ttl(&mut bytes);
        let packet = Ipv4Packet::new_checked(&bytes).unwrap();
        prop_assert!(packet.verify_checksum());
        prop_assert_eq!(packet.hop_limit(), ttl - 1);
        bytes[8] = before[8];
        bytes[10..12].copy_from_slice(&before[10..12]);
        prop_assert_eq!(bytes, before);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), number: u8, flags: (bool, bool)) {
        _ = read4(&bytes);
        _ = ip::read6(&bytes);
        _ = Chain::read(number, &bytes);
        _ = transport::read(number, flags.0, flags.1, &bytes);
        _ = (tunnel::udp_payload(&bytes), tunnel::read_vxlan(&bytes), tunnel::read_mpls(&bytes));
        _ = super::ether::read(&bytes);
        let mut six = bytes;
        if let Some(first) = six.first_mut() {
            *first = 0x60 | *first & 15;
        }
        _ = ip::read6(&six);
    }
}

#[test]
fn what_an_error_of_ours_quotes_may_be_cut() {
    let mut error = vec![0x60, 0, 0, 0, 0, 0, protocol::ICMPV6, 64];
    error.extend([[0xfd; 16], [0xfe; 16]].concat());
    error.extend([2, 0, 0, 0, 0, 0, 5, 0]);
    // the quoted packet: hop-by-hop options of 840 bytes, of which 8 are there
    error.extend([0x60, 0, 0, 0, 5, 0, 0, 64]);
    error.extend([[0xfe; 16], [0xfd; 16]].concat());
    error.extend([17, 104, 1, 4, 0, 0, 0, 0]);
    error[5] = (error.len() - 40) as u8;
    assert_eq!(ip::read6(&error), Err(DropReason::TransportHeader));
    let read = ip::read_ours(&error).expect("ours");
    assert_eq!((usize::from(read.length), read.protocol, read.ttl), (error.len(), protocol::ICMPV6, 64));
    let address = |byte: u8| IpAddr::V6([byte; 16].into());
    assert_eq!((read.source, read.destination, read.upper), (address(0xfd), address(0xfe), Upper::Other));
    // nothing else is let through
    error[4] = 1;
    assert_eq!(ip::read_ours(&error), Err(DropReason::IpLength));
}
