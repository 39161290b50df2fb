//! VXLAN (RFC 7348), GENEVE (RFC 8926), MPLS-over-UDP (RFC 7510) and MPLS-over-GRE (RFC 4023) headers.

use std::net::Ipv6Addr;

use super::{be16, be32, checksum};
use crate::drops::DropReason;
use crate::ids::{Label, Vni};

/// Bytes of a UDP header.
pub const UDP: usize = 8;
/// UDP destination port of VXLAN.
pub const VXLAN_PORT: u16 = 4789;
/// UDP destination port of GENEVE.
pub const GENEVE_PORT: u16 = 6081;
/// UDP destination port of MPLS-over-UDP.
pub const MPLS_PORT: u16 = 6635;
/// Bytes of a VXLAN header.
pub const VXLAN: usize = 8;
/// Bytes of a GENEVE header without options: as many as of VXLAN's, which leaves both the same room.
pub const GENEVE: usize = VXLAN;
/// GENEVE's protocol type of Ethernet (RFC 8926, section 3.4).
pub const GENEVE_ETHERNET: u16 = 0x6558;
/// Bytes of an MPLS label stack entry.
pub const MPLS: usize = 4;
/// Bytes of a GRE header without options.
pub const GRE: usize = 4;
/// GRE's protocol type of MPLS with downstream-assigned labels (RFC 4023, section 3).
pub const GRE_MPLS: u16 = 0x8847;

/// The payload of a UDP datagram that fills `bytes`, the IP payload.
#[inline]
pub fn udp_payload(bytes: &[u8]) -> Result<&[u8], DropReason> {
    let length = bytes.first_chunk::<UDP>().map(|header| usize::from(be16(header, 4)));
    length.and_then(|length| bytes.get(UDP..length)).ok_or(DropReason::TransportHeader)
}

/// Whether the checksum of a UDP datagram over IPv6 holds (RFC 8200, section 8.1), or is 0, which tunnels may send (RFC 6935).
/// `packet`: the IP payload, not shorter than the datagram says.
pub fn udp6_holds(source: Ipv6Addr, destination: Ipv6Addr, packet: &[u8]) -> bool {
    const UDP_NUMBER: u32 = 17;
    let length = be16(packet, 4);
    let Some(datagram) = packet.get(..usize::from(length)) else { return false };
    let addresses =
        checksum::sum(&destination.octets(), checksum::sum(&source.octets(), UDP_NUMBER + u32::from(length)));
    be16(packet, 6) == 0 || checksum::fold(checksum::sum(datagram, addresses)) == 0xffff
}

/// The network of a VXLAN header: the I bit must be set, reserved bits are ignored.
#[inline]
pub fn read_vxlan(payload: &[u8]) -> Result<Vni, DropReason> {
    match payload.first_chunk::<VXLAN>() {
        Some(header) if header[0] & 0x08 != 0 => Ok(Vni(be32(header, 4) >> 8)),
        _ => Err(DropReason::VxlanHeader),
    }
}

/// The network of a GENEVE header, and its bytes with all options, of which we know none: those that are not critical are skipped (RFC 8926,
/// section 3.5). Reserved bits are ignored; so is the bit that says that options are critical, as each option says so itself.
#[inline]
pub fn read_geneve(payload: &[u8]) -> Result<(Vni, usize), DropReason> {
    const CONTROL: u8 = 0x80;
    let fixed = payload.first_chunk::<GENEVE>().ok_or(DropReason::GeneveHeader)?;
    let (version, words) = (fixed[0] >> 6, usize::from(fixed[0] & 0x3f));
    let length = GENEVE + 4 * words;
    let mut options = payload.get(GENEVE..length).filter(|_| version == 0).ok_or(DropReason::GeneveHeader)?;
    if fixed[1] & CONTROL != 0 {
        return Err(DropReason::GeneveControl);
    }
    if be16(fixed, 2) != GENEVE_ETHERNET {
        return Err(DropReason::GeneveProtocol);
    }
    while let Some(option) = options.first_chunk::<4>() {
        const CRITICAL: u8 = 0x80;
        let value = usize::from(option[3] & 0x1f) * 4;
        options = options.get(option.len() + value..).ok_or(DropReason::GeneveHeader)?;
        if option[2] & CRITICAL != 0 {
            return Err(DropReason::GeneveCriticalOption);
        }
    }
    Ok((Vni(be32(fixed, 4) >> 8), length))
}

/// The bytes of the GRE header in front of an MPLS packet; `packet` is the whole IP payload. A checksum is verified (RFC 2784, section
/// 2.3); a key and a sequence number are skipped: labels tell tenants apart, and MPLS does not ask for order (RFC 4023, section 3.2).
/// Routing (RFC 1701), bits that a receiver must not ignore, and other versions are refused (RFC 2784, section 2.2).
#[inline]
pub fn read_gre(packet: &[u8]) -> Result<usize, DropReason> {
    const CHECKSUM: u16 = 0x8000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const REFUSED: u16 = 0x4c07;
    let fixed = packet.first_chunk::<GRE>().ok_or(DropReason::GreHeader)?;
    let (flags, protocol) = (be16(fixed, 0), be16(fixed, 2));
    let options = (flags & (CHECKSUM | KEY | SEQUENCE)).count_ones() as usize;
    let length = GRE + 4 * options;
    if flags & REFUSED != 0 || packet.len() < length {
        return Err(DropReason::GreHeader);
    }
    if flags & CHECKSUM != 0 && !checksum::holds(packet) {
        return Err(DropReason::GreChecksum);
    }
    if protocol == GRE_MPLS { Ok(length) } else { Err(DropReason::GreProtocol) }
}

/// A label stack entry (RFC 3032, section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mpls {
    pub label: Label,
    /// Traffic class (RFC 5462), 3 bits.
    pub class: u8,
    pub ttl: u8,
}

/// A stack of one entry.
#[inline]
pub fn read_mpls(payload: &[u8]) -> Result<Mpls, DropReason> {
    match payload.first_chunk::<MPLS>() {
        Some(entry) if entry[2] & 1 != 0 => {
            Ok(Mpls { label: Label(be32(entry, 0) >> 12), class: entry[2] >> 1 & 7, ttl: entry[3] })
        }
        _ => Err(DropReason::MplsHeader),
    }
}
