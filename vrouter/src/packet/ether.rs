//! The Ethernet header.

use super::be16;
use crate::drops::DropReason;
use crate::ids::Mac;

/// Bytes of an Ethernet header.
pub const HEADER: usize = 14;
/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;
/// EtherType of ARP.
pub const ARP: u16 = 0x0806;

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

/// Writes a header.
#[inline]
pub fn write(destination: Mac, source: Mac, ethertype: u16) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..6].copy_from_slice(&destination.0);
    header[6..12].copy_from_slice(&source.0);
    header[12..].copy_from_slice(&ethertype.to_be_bytes());
    header
}
