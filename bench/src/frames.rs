//! Frames for benches, built by smoltcp.

use std::net::{IpAddr, Ipv4Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, IpRepr, UdpPacket, UdpRepr,
};

/// A UDP packet in Ethernet, with TTL 64: of 60 bytes with IPv4 and 18 of `payload`. Both addresses are of one family.
pub fn udp(
    macs: ([u8; 6], [u8; 6]),
    addresses: (impl Into<IpAddr>, impl Into<IpAddr>),
    ports: (u16, u16),
    payload: &[u8],
) -> Vec<u8> {
    let checksums = ChecksumCapabilities::default();
    let (source, destination) = (addresses.0.into(), addresses.1.into());
    let udp = UdpRepr { src_port: ports.0, dst_port: ports.1 };
    let length = udp.header_len() + payload.len();
    let ip = IpRepr::new(source.into(), destination.into(), IpProtocol::Udp, length, 64);
    let ethertype = if source.is_ipv4() { EthernetProtocol::Ipv4 } else { EthernetProtocol::Ipv6 };
    let ethernet = EthernetRepr { dst_addr: EthernetAddress(macs.0), src_addr: EthernetAddress(macs.1), ethertype };
    let mut bytes = vec![0; ethernet.buffer_len() + ip.buffer_len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    ethernet.emit(&mut frame);
    let packet = frame.payload_mut();
    ip.emit(&mut *packet, &checksums);
    let mut datagram = UdpPacket::new_unchecked(&mut packet[ip.header_len()..]);
    let fill = |body: &mut [u8]| body.copy_from_slice(payload);
    udp.emit(&mut datagram, &source.into(), &destination.into(), payload.len(), fill, &checksums);
    bytes
}

/// The frame `inner` as the payload of VXLAN (RFC 7348).
pub fn vxlan(
    macs: ([u8; 6], [u8; 6]),
    addresses: (Ipv4Addr, Ipv4Addr),
    source_port: u16,
    vni: u32,
    inner: &[u8],
) -> Vec<u8> {
    let header = [0x0800_0000_u32.to_be_bytes(), (vni << 8).to_be_bytes()].concat();
    udp(macs, addresses, (source_port, 4789), &[&header, inner].concat())
}

/// The frame `inner` as the payload of GENEVE without options (RFC 8926).
pub fn geneve(
    macs: ([u8; 6], [u8; 6]),
    addresses: (Ipv4Addr, Ipv4Addr),
    source_port: u16,
    vni: u32,
    inner: &[u8],
) -> Vec<u8> {
    let header = [0x0000_6558_u32.to_be_bytes(), (vni << 8).to_be_bytes()].concat();
    udp(macs, addresses, (source_port, 6081), &[&header, inner].concat())
}

/// The L3 packet `inner` behind one label over UDP (RFC 7510), with TTL 64.
pub fn mpls_udp(
    macs: ([u8; 6], [u8; 6]),
    addresses: (Ipv4Addr, Ipv4Addr),
    source_port: u16,
    label: u32,
    inner: &[u8],
) -> Vec<u8> {
    const BOTTOM: u32 = 1 << 8;
    udp(macs, addresses, (source_port, 6635), &[&(label << 12 | BOTTOM | 64).to_be_bytes(), inner].concat())
}
