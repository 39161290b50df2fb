//! Building frames and packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol,
    Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr, UdpPacket,
};

use crate::ids::{Mac, Vni};
use crate::packet::tunnel::{GENEVE_ETHERNET, GENEVE_PORT, VXLAN_PORT};

/// Hop limit and TTL of what we originate.
pub(super) const HOP_LIMIT: u8 = 64;

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;

/// An Ethernet frame around `payload`.
pub(super) fn ethernet(destination: Mac, source: Mac, ethertype: EthernetProtocol, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; ETHERNET];
    EthernetRepr { src_addr: EthernetAddress(source.0), dst_addr: EthernetAddress(destination.0), ethertype }
        .emit(&mut EthernetFrame::new_unchecked(&mut bytes));
    bytes.extend_from_slice(payload);
    bytes
}

/// Who says what to whom in an ARP frame.
pub(super) struct Arp {
    pub(super) operation: ArpOperation,
    pub(super) sender: (Mac, Ipv4Addr),
    pub(super) target: (Mac, Ipv4Addr),
}

/// An Ethernet frame with an ARP packet, from its sender's MAC (RFC 826).
pub(super) fn arp(destination: Mac, arp: &Arp) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation: arp.operation,
        source_hardware_addr: EthernetAddress(arp.sender.0.0),
        source_protocol_addr: arp.sender.1,
        target_hardware_addr: EthernetAddress(arp.target.0.0),
        target_protocol_addr: arp.target.1,
    };
    let mut packet = vec![0; repr.buffer_len()];
    repr.emit(&mut ArpPacket::new_unchecked(&mut packet));
    ethernet(destination, arp.sender.0, EthernetProtocol::Arp, &packet)
}

/// An IPv4 packet around `payload`, at most 65,515 bytes: no options, DF set, identification 0 (RFC 6864, atomic).
pub(super) fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: IpProtocol, tos: u8, payload: &[u8]) -> Vec<u8> {
    let repr = Ipv4Repr {
        src_addr: source,
        dst_addr: destination,
        next_header: protocol,
        payload_len: payload.len(),
        hop_limit: HOP_LIMIT,
    };
    let mut bytes = vec![0; IPV4];
    let mut packet = Ipv4Packet::new_unchecked(&mut bytes);
    repr.emit(&mut packet, &ChecksumCapabilities::ignored());
    packet.set_dscp(tos >> 2);
    packet.set_ecn(tos & 3);
    packet.fill_checksum();
    bytes.extend_from_slice(payload);
    bytes
}

/// An IPv6 packet around an ICMPv6 message of at most 65,535 bytes, whose checksum is right already.
pub(super) fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8, class: u8, icmp: &[u8]) -> Vec<u8> {
    ipv6_of(IpProtocol::Icmpv6, (source, destination), hop_limit, class, icmp)
}

fn ipv6_of(
    next_header: IpProtocol,
    (source, destination): (Ipv6Addr, Ipv6Addr),
    hop_limit: u8,
    class: u8,
    payload: &[u8],
) -> Vec<u8> {
    let repr = Ipv6Repr { src_addr: source, dst_addr: destination, next_header, payload_len: payload.len(), hop_limit };
    let mut bytes = vec![0; IPV6];
    let mut packet = Ipv6Packet::new_unchecked(&mut bytes);
    repr.emit(&mut packet);
    packet.set_traffic_class(class);
    bytes.extend_from_slice(payload);
    bytes
}

/// A BFD packet: the TTL that shows that it passed no router (RFC 5881, section 5), and the class of routing protocols. Nothing for
/// addresses of two families.
pub(super) fn bfd(ends: (IpAddr, IpAddr), ports: (u16, u16), payload: &[u8]) -> Option<Vec<u8>> {
    const CLASS: u8 = 0xc0;
    let mut datagram = vec![0; UDP];
    datagram.extend_from_slice(payload);
    let mut udp = UdpPacket::new_unchecked(&mut datagram);
    udp.set_src_port(ports.0);
    udp.set_dst_port(ports.1);
    udp.set_len((UDP + payload.len()) as u16);
    udp.fill_checksum(&ends.0.into(), &ends.1.into());
    match ends {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut bytes = ipv4(source, destination, IpProtocol::Udp, CLASS, &datagram);
            let mut packet = Ipv4Packet::new_unchecked(&mut bytes);
            packet.set_hop_limit(255);
            packet.fill_checksum();
            Some(bytes)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Some(ipv6_of(IpProtocol::Udp, (source, destination), 255, CLASS, &datagram))
        }
        _ => None,
    }
}

/// The UDP port and the header of VXLAN (RFC 7348).
pub(super) fn vxlan(vni: Vni) -> (u16, [u8; 8]) {
    let [_, a, b, c] = vni.0.to_be_bytes();
    (VXLAN_PORT, [0x08, 0, 0, 0, a, b, c, 0])
}

/// The same of GENEVE without options (RFC 8926).
pub(super) fn geneve(vni: Vni) -> (u16, [u8; 8]) {
    let ([_, a, b, c], [high, low]) = (vni.0.to_be_bytes(), GENEVE_ETHERNET.to_be_bytes());
    (GENEVE_PORT, [0, 0, high, low, a, b, c, 0])
}

/// A packet of a tunnel over UDP around an inner frame, from its outer IP header on. UDP checksum 0, as VXLAN advises (RFC 7348, section 5),
/// and RFC 6935 allows over IPv6. Nothing for addresses of two families.
pub(super) fn tunnelled(ends: (IpAddr, IpAddr), port: u16, header: [u8; 8], inner: &[u8]) -> Option<Vec<u8>> {
    let mut payload = vec![0; UDP];
    let mut udp = UdpPacket::new_unchecked(&mut payload);
    udp.set_src_port(source_port(inner));
    udp.set_dst_port(port);
    udp.set_len((UDP + header.len() + inner.len()) as u16);
    payload.extend_from_slice(&header);
    payload.extend_from_slice(inner);
    match ends {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Some(ipv4(source, destination, IpProtocol::Udp, 0, &payload)),
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut packet = ipv6_of(IpProtocol::Udp, (source, destination), HOP_LIMIT, 0, &payload);
            // one conversation keeps one path (RFC 6438)
            Ipv6Packet::new_unchecked(&mut packet).set_flow_label(source_port(inner).into());
            Some(packet)
        }
        _ => None,
    }
}

/// A port in 49152-65535 from the inner addresses, so that one conversation keeps one path (RFC 7348, section 5).
fn source_port(inner: &[u8]) -> u16 {
    let hash = inner
        .iter()
        .take(2 * ETHERNET)
        .fold(0x811c_9dc5_u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    0xc000 | ((hash >> 16) ^ hash) as u16
}
