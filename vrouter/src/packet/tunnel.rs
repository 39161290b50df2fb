//! VXLAN (RFC 7348) and MPLS-over-UDP (RFC 7510) headers.

use super::{be16, be32};
use crate::drops::DropReason;
use crate::ids::{Label, Vni};

/// Bytes of a UDP header.
pub const UDP: usize = 8;
/// UDP destination port of VXLAN.
pub const VXLAN_PORT: u16 = 4789;
/// UDP destination port of MPLS-over-UDP.
pub const MPLS_PORT: u16 = 6635;
/// Bytes of a VXLAN header.
pub const VXLAN: usize = 8;
/// Bytes of an MPLS label stack entry.
pub const MPLS: usize = 4;

/// The payload of a UDP datagram that fills `bytes`, the IP payload.
#[inline]
pub fn udp_payload(bytes: &[u8]) -> Result<&[u8], DropReason> {
    let length = bytes.first_chunk::<UDP>().map(|header| usize::from(be16(header, 4)));
    length.and_then(|length| bytes.get(UDP..length)).ok_or(DropReason::TransportHeader)
}

/// The network of a VXLAN header: the I bit must be set, reserved bits are ignored.
#[inline]
pub fn read_vxlan(payload: &[u8]) -> Result<Vni, DropReason> {
    match payload.first_chunk::<VXLAN>() {
        Some(header) if header[0] & 0x08 != 0 => Ok(Vni(be32(header, 4) >> 8)),
        _ => Err(DropReason::VxlanHeader),
    }
}

/// The label of a stack of one entry.
#[inline]
pub fn read_mpls(payload: &[u8]) -> Result<Label, DropReason> {
    match payload.first_chunk::<MPLS>() {
        Some(entry) if entry[2] & 1 != 0 => Ok(Label(be32(entry, 0) >> 12)),
        _ => Err(DropReason::MplsHeader),
    }
}
