//! Frames and packets, written byte by byte.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::choice::Free;
use super::headers::{Mac, ones_sum};

/// TTL and hop limit of what we originate, and of outer headers.
pub const TTL: u8 = 64;

pub fn ethernet(destination: Mac, source: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(destination);
    frame.extend(source);
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Without options, don't fragment, identification 0.
pub fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, class: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, class];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, TTL, protocol, 0, 0]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    seal_ipv4(&mut packet);
    packet.extend(payload);
    packet
}

/// Puts the header's checksum right.
pub fn seal_ipv4(packet: &mut [u8]) {
    let header = usize::from(packet[0] & 15) * 4;
    packet[10..12].fill(0);
    let sum = !ones_sum(&packet[..header]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

pub fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, class: u8, hops: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60 | class >> 4, class << 4, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([protocol, hops]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    packet
}

/// A packet around what a tunnel carries, of the family of both ends, and what is free to choose in it: the source port of UDP (17), and
/// the flow label of IPv6.
pub fn outer(local: IpAddr, remote: IpAddr, protocol: u8, class: u8, payload: &[u8]) -> (Vec<u8>, Free) {
    let (packet, header, label) = match (local, remote) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => (ipv4(local, remote, protocol, class, payload), 20, None),
        (IpAddr::V6(local), IpAddr::V6(remote)) => (ipv6(local, remote, protocol, class, TTL, payload), 40, Some(0)),
        _ => panic!("a tunnel between two families"),
    };
    (packet, Free { port: (protocol == 17).then_some(header), label })
}

/// Whether the checksum of a UDP datagram holds in IPv6; 0 is none, as tunnels may send it (RFC 6935). Padding behind it does not count.
pub fn udp6_holds(source: Ipv6Addr, destination: Ipv6Addr, payload: &[u8]) -> bool {
    let datagram = &payload[..usize::from(super::headers::be16(payload, 4))];
    datagram[6..8] == [0, 0] || ones_sum(&with_pseudo_header(source, destination, 17, datagram)) == 0xffff
}

/// The pseudo header of RFC 8200, section 8.1, and the message.
fn with_pseudo_header(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, message: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    all.extend(source.octets());
    all.extend(destination.octets());
    all.extend((message.len() as u32).to_be_bytes());
    all.extend([0, 0, 0, protocol]);
    all.extend(message);
    all
}

/// Whether an ICMP message's checksum holds.
pub fn icmp_holds(source: IpAddr, destination: IpAddr, message: &[u8]) -> bool {
    match (source, destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            ones_sum(&with_pseudo_header(source, destination, 58, message)) == 0xffff
        }
        _ => ones_sum(message) == 0xffff,
    }
}

/// Puts the checksum of an ICMP message right.
pub fn seal_icmp(source: IpAddr, destination: IpAddr, message: &mut [u8]) {
    message[2..4].fill(0);
    let sum = match (source, destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            ones_sum(&with_pseudo_header(source, destination, 58, message))
        }
        _ => ones_sum(message),
    };
    message[2..4].copy_from_slice(&(!sum).to_be_bytes());
}

/// An ICMP message in a packet of ours.
pub fn icmp(source: IpAddr, destination: IpAddr, class: u8, hops: u8, message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    seal_icmp(source, destination, &mut message);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => ipv4(source, destination, 1, class, &message),
        (IpAddr::V6(source), IpAddr::V6(destination)) => ipv6(source, destination, 58, class, hops, &message),
        _ => panic!("an answer of another family"),
    }
}

/// UDP with source port 0, which is chosen later, and without checksum.
pub fn udp(destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0, 0];
    datagram.extend(destination.to_be_bytes());
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// RFC 7348, section 5.
pub fn vxlan(vni: u32, inner: &[u8]) -> Vec<u8> {
    let mut payload = vec![0x08, 0, 0, 0];
    payload.extend((vni << 8).to_be_bytes());
    payload.extend(inner);
    udp(4789, &payload)
}

/// RFC 8926, section 3.4, without options.
pub fn geneve(vni: u32, inner: &[u8]) -> Vec<u8> {
    let mut payload = vec![0, 0, 0x65, 0x58];
    payload.extend((vni << 8).to_be_bytes());
    payload.extend(inner);
    udp(6081, &payload)
}

/// One label (RFC 3032, section 2.1).
pub fn mpls(label: u32, class: u8, ttl: u8, inner: &[u8]) -> Vec<u8> {
    let mut payload = (label << 12 | u32::from(class) << 9 | 1 << 8 | u32::from(ttl)).to_be_bytes().to_vec();
    payload.extend(inner);
    payload
}

/// Without options (RFC 2784).
pub fn gre(protocol: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0, 0];
    packet.extend(protocol.to_be_bytes());
    packet.extend(payload);
    packet
}

/// Who says what to whom: operation, sender, target (RFC 826).
pub fn arp(to: Mac, operation: u16, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4];
    packet.extend(operation.to_be_bytes());
    packet.extend(sender.0);
    packet.extend(sender.1.octets());
    packet.extend(target.0);
    packet.extend(target.1.octets());
    ethernet(to, sender.0, super::headers::ARP, &packet)
}
