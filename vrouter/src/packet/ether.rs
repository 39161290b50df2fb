//! The Ethernet header.

use super::be16;
use crate::drops::DropReason;
use crate::ids::{Mac, Vlan};

/// Bytes of an Ethernet header.
pub const HEADER: usize = 14;
/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;
/// EtherType of ARP.
pub const ARP: u16 = 0x0806;

/// EtherType of an IEEE 802.1Q tag.
pub const VLAN: u16 = 0x8100;
/// Bytes of an 802.1Q tag: its EtherType, and priority with the VLAN.
pub const TAG: usize = 4;

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ether {
    pub destination: Mac,
    pub source: Mac,
    pub ethertype: u16,
}

/// Reads the header at the front of `frame`.
#[inline]
pub fn read(frame: &[u8]) -> Result<Ether, DropReason> {
    let header = frame.first_chunk::<HEADER>().ok_or(DropReason::FrameTooShort)?;
    let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = *header;
    Ok(Ether { destination: Mac([a, b, c, d, e, f]), source: Mac([g, h, i, j, k, l]), ethertype: be16(header, 12) })
}

/// The header behind this one of `frame`, which must have the tag of `vlan`; its priority is ignored.
#[inline]
pub fn untagged(frame: &[u8], header: Ether, vlan: Vlan) -> Result<Ether, DropReason> {
    match frame.first_chunk::<{ HEADER + TAG }>() {
        Some(tagged) if header.ethertype == VLAN && be16(tagged, HEADER) & 0xfff == vlan.0 => {
            Ok(Ether { ethertype: be16(tagged, HEADER + 2), ..header })
        }
        _ => Err(DropReason::VlanUnknown),
    }
}

/// The tag of `vlan` with priority 0, to stand behind the two addresses.
#[inline]
pub fn tag(vlan: Vlan) -> [u8; TAG] {
    let [a, b] = VLAN.to_be_bytes();
    let [c, d] = vlan.0.to_be_bytes();
    [a, b, c, d]
}

/// Writes a header.
#[inline]
pub fn write(destination: Mac, source: Mac, ethertype: u16) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..6].copy_from_slice(&destination.0);
    header[6..12].copy_from_slice(&source.0);
    header[12..].copy_from_slice(&ethertype.to_be_bytes());
    header
}
