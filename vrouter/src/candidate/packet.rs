//! Packets as guests would send them.

use std::net::IpAddr;

use smoltcp::wire::{
    Icmpv4Packet, Icmpv6Packet, Ipv4Packet, Ipv6Packet, TcpPacket, TcpSeqNumber, UDP_HEADER_LEN, UdpPacket,
};

use crate::ids::{Mac, Tags};
use crate::packet::ether;
use crate::packet::tuple::protocol;

/// L3 bytes of a packet that says nothing else.
const LENGTH: u16 = 64;
/// Bytes of the header of TCP without options, of ICMP's with identifier and sequence number, and of SCTP's common one.
const TCP: usize = 20;
const ICMP: usize = 8;
const SCTP: usize = 12;
const IPV4: usize = 20;
const IPV6: usize = 40;

/// An IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    /// Of ICMP the identifier.
    pub source_port: u16,
    /// Of ICMP type and code.
    pub destination_port: u16,
    /// L3 bytes; 0: [`LENGTH`]. At least what its headers take.
    pub length: u16,
    pub dont_fragment: bool,
    /// It is an answer: of TCP, SYN and ACK.
    pub is_answer: bool,
}

impl Packet {
    /// Whether it is ICMP of its family.
    pub fn is_icmp(&self) -> bool {
        self.protocol == if self.source.is_ipv4() { protocol::ICMP } else { protocol::ICMPV6 }
    }

    /// The other end's answer; `None`: to an ICMP message that asks for none.
    pub fn answer(&self) -> Option<Packet> {
        let (source, destination) = (self.destination, self.source);
        let turned = Packet { source, destination, is_answer: true, length: 0, ..*self };
        if self.is_icmp() {
            let kind = match self.destination_port >> 8 {
                8 if source.is_ipv4() => 0,
                128 if !source.is_ipv4() => 129,
                _ => return None,
            };
            return Some(Packet { destination_port: kind << 8, ..turned });
        }
        Some(Packet { source_port: self.destination_port, destination_port: self.source_port, ..turned })
    }

    /// L3 bytes that it has.
    pub fn bytes(&self) -> u16 {
        let least = self.payload() + if self.source.is_ipv4() { IPV4 } else { IPV6 };
        let length = if self.length == 0 { LENGTH } else { self.length };
        length.max(least as u16)
    }

    /// Bytes of its transport header.
    fn payload(&self) -> usize {
        match self.protocol {
            protocol::TCP => TCP,
            protocol::UDP | protocol::UDPLITE => UDP_HEADER_LEN,
            protocol::SCTP => SCTP,
            _ if self.is_icmp() => ICMP,
            _ => 0,
        }
    }

    /// Its frame, from the Ethernet header on.
    pub fn frame(&self, destination: Mac, source: Mac, tags: Option<Tags>) -> Vec<u8> {
        let mut frame = [destination.0, source.0].concat();
        if let Some(Tags { outer, inner }) = tags {
            let kind = if inner.is_some() { ether::SERVICE_VLAN } else { ether::VLAN };
            for (kind, vlan) in [(kind, Some(outer)), (ether::VLAN, inner)] {
                let Some(vlan) = vlan else { continue };
                frame.extend([kind.to_be_bytes(), vlan.0.to_be_bytes()].concat());
            }
        }
        let kind = if self.source.is_ipv4() { ether::IPV4 } else { ether::IPV6 };
        frame.extend(kind.to_be_bytes());
        frame.extend(self.l3());
        frame
    }

    fn l3(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.bytes().into()];
        let total = self.bytes();
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.transport(&mut bytes[IPV4..]);
                let mut ip = Ipv4Packet::new_unchecked(&mut bytes);
                ip.set_version(4);
                ip.set_header_len(IPV4 as u8);
                ip.set_total_len(total);
                ip.set_ident(1);
                ip.set_dont_frag(self.dont_fragment);
                ip.set_hop_limit(64);
                ip.set_next_header(self.protocol.into());
                ip.set_src_addr(source);
                ip.set_dst_addr(destination);
                ip.fill_checksum();
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                self.transport(&mut bytes[IPV6..]);
                let mut ip = Ipv6Packet::new_unchecked(&mut bytes);
                ip.set_version(6);
                ip.set_payload_len(total - IPV6 as u16);
                ip.set_next_header(self.protocol.into());
                ip.set_hop_limit(64);
                ip.set_src_addr(source);
                ip.set_dst_addr(destination);
            }
            // no packet at all: whoever asks for one is told before
            _ => bytes.clear(),
        }
        bytes
    }

    fn transport(&self, bytes: &mut [u8]) {
        let (source, destination) = (self.source.into(), self.destination.into());
        match self.protocol {
            protocol::TCP => {
                let mut tcp = TcpPacket::new_unchecked(bytes);
                tcp.set_src_port(self.source_port);
                tcp.set_dst_port(self.destination_port);
                tcp.set_seq_number(TcpSeqNumber(1));
                tcp.set_header_len(TCP as u8);
                tcp.set_window_len(1024);
                tcp.set_syn(true);
                tcp.set_ack(self.is_answer);
                tcp.set_ack_number(TcpSeqNumber(if self.is_answer { 2 } else { 0 }));
                tcp.fill_checksum(&source, &destination);
            }
            protocol::UDP => {
                let length = bytes.len() as u16;
                let mut udp = UdpPacket::new_unchecked(bytes);
                udp.set_src_port(self.source_port);
                udp.set_dst_port(self.destination_port);
                udp.set_len(length);
                udp.fill_checksum(&source, &destination);
            }
            // nothing behind their ports is looked at
            protocol::SCTP | protocol::UDPLITE => {
                bytes[..2].copy_from_slice(&self.source_port.to_be_bytes());
                bytes[2..4].copy_from_slice(&self.destination_port.to_be_bytes());
            }
            _ if self.is_icmp() => {
                let [kind, code] = self.destination_port.to_be_bytes();
                bytes[..2].copy_from_slice(&[kind, code]);
                bytes[4..6].copy_from_slice(&self.source_port.to_be_bytes());
                match (self.source, self.destination) {
                    (IpAddr::V6(source), IpAddr::V6(destination)) => {
                        Icmpv6Packet::new_unchecked(bytes).fill_checksum(&source, &destination);
                    }
                    _ => Icmpv4Packet::new_unchecked(bytes).fill_checksum(),
                }
            }
            _ => {}
        }
    }
}
