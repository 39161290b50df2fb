//! The Ethernet header.

use super::be16;
use crate::drops::DropReason;
use crate::ids::{Mac, Tags, Vlan};

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
/// EtherType of an IEEE 802.1ad service tag, before an 802.1Q one.
pub const SERVICE_VLAN: u16 = 0x88a8;
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

/// The VLANs of the first two tags behind the addresses of `frame`, whichever kind the first is; priorities are ignored. `None`: no tag.
#[inline]
pub fn vlans(frame: &[u8]) -> Option<(Vlan, Option<Vlan>)> {
    let tagged = frame.first_chunk::<{ HEADER + TAG }>()?;
    let vlan = |at: usize| Some(Vlan(be16(frame.get(..at + 2)?, at) & 0xfff));
    if !matches!(be16(tagged, HEADER - 2), VLAN | SERVICE_VLAN) {
        return None;
    }
    let inner =
        if be16(tagged, HEADER + 2) == VLAN && frame.len() >= HEADER + 2 * TAG { vlan(HEADER + TAG) } else { None };
    Some((vlan(HEADER)?, inner))
}

/// Where what is behind the header and its tags begins.
pub fn packet_of(frame: &[u8]) -> usize {
    let tags = match vlans(frame) {
        None => 0,
        Some((_, None)) => 1,
        Some((_, Some(_))) => 2,
    };
    HEADER + tags * TAG
}

/// The tag of `vlan` with priority 0, to stand behind the two addresses.
#[inline]
pub fn tag(vlan: Vlan) -> [u8; TAG] {
    let [a, b] = VLAN.to_be_bytes();
    let [c, d] = vlan.0.to_be_bytes();
    [a, b, c, d]
}

/// The tags of a sub-interface with priority 0, to stand behind the two addresses; and how many bytes they are.
#[inline]
pub fn tags(tags: Tags) -> ([u8; 2 * TAG], usize) {
    let mut bytes = [0; 2 * TAG];
    bytes[..TAG].copy_from_slice(&tag(tags.outer));
    let Some(inner) = tags.inner else { return (bytes, TAG) };
    bytes[..2].copy_from_slice(&SERVICE_VLAN.to_be_bytes());
    bytes[TAG..].copy_from_slice(&tag(inner));
    (bytes, 2 * TAG)
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
