//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum::{self, IpChecksum};
use super::transport::{self, Upper};
use super::tuple::{FlowTuple, protocol};
use super::{be16, be32};
use crate::drops::DropReason;

/// An IP packet that was read and found whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class: DSCP and ECN.
    pub tos: u8,
    /// Bytes of the packet, header included.
    pub length: u16,
    /// Bytes before the transport header.
    pub header: u16,
    /// A first fragment or a later one.
    pub fragment: bool,
    /// What the fragments of one packet have in common; 0: it is whole.
    pub id: u32,
    /// Where a fragment begins in what the packet carries, in units of eight bytes, and whether more follow.
    pub offset: u16,
    pub more: bool,
    pub upper: Upper,
}

impl Ip {
    /// What identifies the packet's flow; `None` for ICMP errors, which belong to the flow they quote, and for neighbour discovery.
    #[inline]
    pub fn tuple(&self) -> Option<FlowTuple> {
        let (source_port, destination_port) = match self.upper {
            Upper::Ports { source, destination, .. } => (source, destination),
            Upper::Icmp { kind, code, id } => (id, u16::from_be_bytes([kind, code])),
            Upper::Fragment | Upper::Other => (0, 0),
            Upper::IcmpError { .. } | Upper::NeighbourDiscovery => return None,
        };
        Some(FlowTuple {
            source: self.source,
            destination: self.destination,
            protocol: self.protocol,
            fragment: matches!(self.upper, Upper::Fragment),
            source_port,
            destination_port,
        })
    }

    /// What tells the fragments of one packet from all others (RFC 791, section 3.2; RFC 8200, section 4.5, where each may name another next
    /// header).
    pub fn identity(&self) -> FlowTuple {
        let protocol = if self.source.is_ipv4() { self.protocol } else { 0 };
        let (source_port, destination_port) = ((self.id >> 16) as u16, self.id as u16);
        let (source, destination) = (self.source, self.destination);
        FlowTuple { source, destination, protocol, fragment: true, source_port, destination_port }
    }

    /// A later fragment becomes one of a packet with this tuple, whose protocol and ports it lacks.
    pub fn follow(&mut self, head: &FlowTuple) {
        self.protocol = head.protocol;
        self.upper = match (head.ports(), head.icmp()) {
            (Some((source, destination)), _) => Upper::Ports { source, destination, tcp_flags: 0 },
            (_, Some((kind, code))) => Upper::Icmp { kind, code, id: head.source_port },
            (None, None) => Upper::Other,
        };
    }

    /// Its ends alone as a tuple: for what belongs to no flow of its own.
    pub fn ends(&self) -> FlowTuple {
        let (source, destination, protocol) = (self.source, self.destination, self.protocol);
        FlowTuple { source, destination, protocol, fragment: false, source_port: 0, destination_port: 0 }
    }

    /// TCP flags, 0 for others.
    #[inline]
    pub fn tcp_flags(&self) -> u8 {
        if let Upper::Ports { tcp_flags, .. } = self.upper { tcp_flags } else { 0 }
    }
}

/// Reads the IPv4 packet at the front of `bytes`, which may be longer (padding).
#[inline]
pub fn read4(bytes: &[u8], verified: IpChecksum) -> Result<Ip, DropReason> {
    let header = usize::from(bytes.first().ok_or(DropReason::Ipv4Header)? & 15) * 4;
    if bytes[0] >> 4 != 4 || header < 20 || bytes.len() < header {
        return Err(DropReason::Ipv4Header);
    }
    let length = be16(bytes, 2);
    if usize::from(length) < header || usize::from(length) > bytes.len() {
        return Err(DropReason::IpLength);
    }
    match verified {
        IpChecksum::Good => {}
        IpChecksum::Unknown if checksum::holds(&bytes[..header]) => {}
        _ => return Err(DropReason::Ipv4Checksum),
    }
    let (more, offset) = (be16(bytes, 6) & 0x2000 != 0, be16(bytes, 6) & 0x1fff);
    let upper = match (bytes[9], offset) {
        // the tiny fragment attack of RFC 1858, section 3
        (protocol::TCP, 1) => return Err(DropReason::FragmentTooShort),
        (number, 0) => transport::read(number, false, more, &bytes[header..usize::from(length)])?,
        _ => Upper::Fragment,
    };
    Ok(Ip {
        source: Ipv4Addr::from_bits(be32(bytes, 12)).into(),
        destination: Ipv4Addr::from_bits(be32(bytes, 16)).into(),
        protocol: bytes[9],
        ttl: bytes[8],
        tos: bytes[1],
        length,
        header: header as u16,
        fragment: more || offset != 0,
        id: if more || offset != 0 { be16(bytes, 4).into() } else { 0 },
        offset,
        more,
        upper,
    })
}

/// Reads the IPv6 packet at the front of `bytes`, which may be longer (padding).
#[inline]
pub fn read6(bytes: &[u8]) -> Result<Ip, DropReason> {
    let fixed = bytes.first_chunk::<40>().ok_or(DropReason::Ipv6Header)?;
    if fixed[0] >> 4 != 6 {
        return Err(DropReason::Ipv6Header);
    }
    let length = be16(fixed, 4).checked_add(40).ok_or(DropReason::IpLength)?;
    let payload = bytes.get(40..usize::from(length)).ok_or(DropReason::IpLength)?;
    let chain = Chain::read(fixed[6], payload)?;
    let upper = match (chain.protocol, chain.offset) {
        (protocol::TCP, 1) => return Err(DropReason::FragmentTooShort),
        (number, 0) => transport::read(number, true, chain.more, &payload[chain.length..])?,
        _ => Upper::Fragment,
    };
    let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&fixed[at..at + 16]).unwrap_or_default());
    Ok(Ip {
        source: address(8).into(),
        destination: address(24).into(),
        protocol: chain.protocol,
        ttl: fixed[7],
        tos: fixed[0] << 4 | fixed[1] >> 4,
        length,
        header: 40 + chain.length as u16,
        fragment: chain.more || chain.offset != 0,
        id: chain.id,
        offset: chain.offset,
        more: chain.more,
        upper,
    })
}

/// Reads a packet that we built, without what it carries where that cannot be read: an ICMP error quotes only so much of a packet, which
/// may end before the quoted extension headers do (RFC 4443, section 2.4).
pub fn read_ours(bytes: &[u8]) -> Result<Ip, DropReason> {
    if bytes.first().is_none_or(|byte| byte >> 4 != 6) {
        return read4(bytes, IpChecksum::Unknown);
    }
    match (read6(bytes), bytes.get(6)) {
        (Err(DropReason::TransportHeader), Some(&protocol::ICMPV6)) => {
            let mut bare = [0; 40];
            bare.copy_from_slice(&bytes[..40]);
            // no next header (RFC 8200, section 4.7): the same packet, with nothing to look into
            let (length, none) = (be16(&bare, 4), 59);
            bare[4..7].copy_from_slice(&[0, 0, none]);
            read6(&bare).map(|packet| Ip { length: length + packet.length, protocol: protocol::ICMPV6, ..packet })
        }
        (read, _) => read,
    }
}

/// An IPv6 extension header chain (RFC 8200, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The protocol behind it.
    pub protocol: u8,
    /// Its bytes.
    pub length: usize,
    /// Fragment offset in units of eight bytes.
    pub offset: u16,
    /// More fragments follow.
    pub more: bool,
    /// Of the packet that it is a fragment of.
    pub id: u32,
}

impl Chain {
    /// Headers that are followed; a longer chain is refused.
    const MAX: usize = 8;

    /// Reads the chain at the front of `bytes`, whose first header is of kind `next`.
    pub fn read(next: u8, bytes: &[u8]) -> Result<Chain, DropReason> {
        let mut chain = Chain { protocol: next, length: 0, offset: 0, more: false, id: 0 };
        for _ in 0..Chain::MAX {
            let step = match chain.protocol {
                0 | 43 | 60 | 44 | 51 => {
                    let header = bytes[chain.length..].first_chunk::<8>().ok_or(DropReason::Ipv6Header)?;
                    match chain.protocol {
                        44 => {
                            chain.offset = be16(header, 2) >> 3;
                            chain.more = header[3] & 1 != 0;
                            chain.id = be32(header, 4);
                            8
                        }
                        51 => (usize::from(header[1]) + 2) * 4,
                        _ => (usize::from(header[1]) + 1) * 8,
                    }
                }
                _ => return Ok(chain),
            };
            if chain.length + step > bytes.len() {
                return Err(DropReason::Ipv6Header);
            }
            chain.protocol = bytes[chain.length];
            chain.length += step;
            if chain.offset != 0 {
                return Ok(chain);
            }
        }
        Err(DropReason::Ipv6Header)
    }
}

/// Takes one from the TTL or hop limit of the packet at the front of `bytes`, the IPv4 checksum updated incrementally. The
/// packet has been read before, with a TTL above 0.
#[inline]
pub fn decrement_ttl(bytes: &mut [u8]) {
    if bytes[0] >> 4 == 6 {
        bytes[7] -= 1;
        return;
    }
    let old = be16(bytes, 8);
    bytes[8] -= 1;
    let sum = checksum::updated(be16(bytes, 10), old, be16(bytes, 8));
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// Sets TOS and TTL (traffic class and hop limit) of the packet at the front of `bytes`, the IPv4 checksum updated incrementally. The
/// packet has been read before.
pub fn remark(bytes: &mut [u8], tos: u8, ttl: u8) {
    if bytes[0] >> 4 == 6 {
        bytes[0] = bytes[0] & 0xf0 | tos >> 4;
        bytes[1] = bytes[1] & 0x0f | tos << 4;
        bytes[7] = ttl;
        return;
    }
    let old = (be16(bytes, 0), be16(bytes, 8));
    (bytes[1], bytes[8]) = (tos, ttl);
    let sum = checksum::updated(be16(bytes, 10), old.0, be16(bytes, 0));
    let sum = checksum::updated(sum, old.1, be16(bytes, 8));
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// Whether one host can have this address, on some link: not of 0/8, 127/8 or 224/3 (RFC 1122, 3.2.1.3), nor unspecified, loopback or
/// multicast (RFC 4291). No packet of another source is forwarded.
#[inline]
pub fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => !matches!(a.octets()[0], 0 | 127 | 224..),
        IpAddr::V6(a) => !(a.is_multicast() || a.is_unspecified() || a.is_loopback()),
    }
}

/// Whether an address can be nobody's source: it is no host's.
#[inline]
pub fn never_a_source(address: IpAddr) -> bool {
    !is_host(address)
}

/// Whether a destination is a group: multicast or limited broadcast.
#[inline]
pub fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.is_multicast() || a.is_broadcast(),
        IpAddr::V6(a) => a.is_multicast(),
    }
}

/// fe80::/10
#[inline]
pub fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(a) if a.is_unicast_link_local())
}
