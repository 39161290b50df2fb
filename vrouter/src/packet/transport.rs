//! Transport headers, as far as flows ask.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::tuple::{FlowTuple, protocol};
use super::{be16, ip};
use crate::drops::DropReason;

/// TCP flags that the flow's state follows.
pub mod tcp {
    pub const FIN: u8 = 1;
    pub const SYN: u8 = 2;
    pub const RST: u8 = 4;
    pub const ACK: u8 = 16;
}

/// What is behind the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upper {
    /// Ports; `tcp_flags` is 0 for protocols other than TCP.
    Ports { source: u16, destination: u16, tcp_flags: u8 },
    /// ICMP that is no error; `id` is 0 for messages without identifier.
    Icmp { kind: u8, code: u8, id: u16 },
    /// An ICMP error and the tuple of the packet that it quotes, as that packet was sent.
    IcmpError { quoted: FlowTuple },
    /// ICMPv6 133 to 137 (RFC 4861).
    NeighbourDiscovery,
    /// A later fragment.
    Fragment,
    /// A protocol without ports.
    Other,
}

/// Reads the transport header `bytes` of a packet that is whole or a first fragment.
#[inline]
pub fn read(number: u8, v6: bool, first_fragment: bool, bytes: &[u8]) -> Result<Upper, DropReason> {
    let short = if first_fragment { DropReason::FragmentTooShort } else { DropReason::TransportHeader };
    let need = |length: usize| if bytes.len() < length { Err(short) } else { Ok(()) };
    match number {
        protocol::TCP => {
            need(20)?;
            let header = usize::from(bytes[12] >> 4) * 4;
            if header < 20 || (header > bytes.len() && !first_fragment) {
                return Err(DropReason::TransportHeader);
            }
            Ok(Upper::Ports { source: be16(bytes, 0), destination: be16(bytes, 2), tcp_flags: bytes[13] })
        }
        protocol::UDP => {
            need(8)?;
            let length = usize::from(be16(bytes, 4));
            if length < 8 || (length > bytes.len() && !first_fragment) {
                return Err(DropReason::TransportHeader);
            }
            Ok(Upper::Ports { source: be16(bytes, 0), destination: be16(bytes, 2), tcp_flags: 0 })
        }
        protocol::SCTP | protocol::UDPLITE => {
            need(8)?;
            Ok(Upper::Ports { source: be16(bytes, 0), destination: be16(bytes, 2), tcp_flags: 0 })
        }
        protocol::ICMP if !v6 => {
            need(8)?;
            icmp4(bytes)
        }
        protocol::ICMPV6 if v6 => {
            need(8)?;
            icmp6(bytes)
        }
        _ => Ok(Upper::Other),
    }
}

fn icmp4(bytes: &[u8]) -> Result<Upper, DropReason> {
    let (kind, code) = (bytes[0], bytes[1]);
    match kind {
        3 | 4 | 5 | 11 | 12 => Ok(Upper::IcmpError { quoted: quoted4(&bytes[8..])? }),
        0 | 8 | 13 | 14 => Ok(Upper::Icmp { kind, code, id: be16(bytes, 4) }),
        _ => Ok(Upper::Icmp { kind, code, id: 0 }),
    }
}

fn icmp6(bytes: &[u8]) -> Result<Upper, DropReason> {
    let (kind, code) = (bytes[0], bytes[1]);
    match kind {
        0..=127 => Ok(Upper::IcmpError { quoted: quoted6(&bytes[8..])? }),
        128 | 129 => Ok(Upper::Icmp { kind, code, id: be16(bytes, 4) }),
        133..=137 => Ok(Upper::NeighbourDiscovery),
        _ => Ok(Upper::Icmp { kind, code, id: 0 }),
    }
}

/// The start of a packet that an ICMP error quotes: IPv4 header and eight bytes (RFC 792).
fn quoted4(bytes: &[u8]) -> Result<FlowTuple, DropReason> {
    const BAD: DropReason = DropReason::TransportHeader;
    if bytes.len() < 20 || bytes[0] >> 4 != 4 || bytes[0] & 15 < 5 {
        return Err(BAD);
    }
    let source = Ipv4Addr::from_bits(super::be32(bytes, 12)).into();
    let destination = Ipv4Addr::from_bits(super::be32(bytes, 16)).into();
    let fragment = be16(bytes, 6) & 0x1fff != 0;
    let upper = bytes.get(usize::from(bytes[0] & 15) * 4..).ok_or(BAD)?;
    quoted(source, destination, bytes[9], fragment, upper)
}

fn quoted6(bytes: &[u8]) -> Result<FlowTuple, DropReason> {
    const BAD: DropReason = DropReason::TransportHeader;
    let header = bytes.first_chunk::<40>().ok_or(BAD)?;
    if header[0] >> 4 != 6 {
        return Err(BAD);
    }
    let address =
        |at: usize| IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(&header[at..at + 16]).unwrap_or_default()));
    let chain = ip::Chain::read(header[6], &bytes[40..]).map_err(|_| BAD)?;
    quoted(address(8), address(24), chain.protocol, chain.offset != 0, &bytes[40 + chain.length..])
}

/// Whether ICMP messages of this type have an identifier (RFC 792, RFC 4443).
pub fn has_identifier(number: u8, kind: u8) -> bool {
    matches!((number, kind), (protocol::ICMP, 0 | 8 | 13 | 14) | (protocol::ICMPV6, 128 | 129))
}

fn quoted(
    source: IpAddr,
    destination: IpAddr,
    number: u8,
    fragment: bool,
    upper: &[u8],
) -> Result<FlowTuple, DropReason> {
    let mut tuple = FlowTuple { source, destination, protocol: number, fragment, source_port: 0, destination_port: 0 };
    if fragment {
        return Ok(tuple);
    }

    if tuple.ports().is_some() {
        let ports = upper.first_chunk::<4>().ok_or(DropReason::TransportHeader)?;
        (tuple.source_port, tuple.destination_port) = (be16(ports, 0), be16(ports, 2));
    } else if tuple.icmp().is_some() {
        let icmp = upper.first_chunk::<8>().ok_or(DropReason::TransportHeader)?;
        tuple.source_port = if has_identifier(number, icmp[0]) { be16(icmp, 4) } else { 0 };
        tuple.destination_port = be16(icmp, 0);
    } else {
        tuple.source_port = 0;
    }
    Ok(tuple)
}
