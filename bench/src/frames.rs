//! Frames for benches, built by smoltcp.

use std::net::Ipv4Addr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket,
    UdpRepr,
};

/// A UDP packet of 46 bytes and more in Ethernet: a 60-byte frame with `payload` 18.
pub fn udp(macs: ([u8; 6], [u8; 6]), addresses: (Ipv4Addr, Ipv4Addr), ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let checksums = ChecksumCapabilities::default();
    let udp = UdpRepr { src_port: ports.0, dst_port: ports.1 };
    let ip = Ipv4Repr {
        src_addr: addresses.0,
        dst_addr: addresses.1,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + payload.len(),
        hop_limit: 64,
    };
    let ethernet = EthernetRepr {
        dst_addr: EthernetAddress(macs.0),
        src_addr: EthernetAddress(macs.1),
        ethertype: EthernetProtocol::Ipv4,
    };
    let mut bytes = vec![0; ethernet.buffer_len() + ip.buffer_len() + ip.payload_len];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    ethernet.emit(&mut frame);
    let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet, &checksums);
    let mut datagram = UdpPacket::new_unchecked(packet.payload_mut());
    let (source, destination) = (ip.src_addr.into(), ip.dst_addr.into());
    let fill = |body: &mut [u8]| body.copy_from_slice(payload);
    udp.emit(&mut datagram, &source, &destination, payload.len(), fill, &checksums);
    bytes
}

/// `inner` as the payload of VXLAN (RFC 7348).
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
