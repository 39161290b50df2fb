//! Headers: reading, checking and writing them. No I/O, no clock, no tables.
//!
//! A reader checks bytes once and gives a value whose fields cannot fail; what it refuses is a [`DropReason`](crate::drops::DropReason).

pub mod bfd;
pub mod checksum;
pub mod ecn;
pub mod ether;
pub mod filter;
pub mod ip;
pub mod mss;
pub mod neighbour;
pub mod offload;
pub mod plain;
#[cfg(test)]
mod tests;
pub mod transport;
pub mod tunnel;
pub mod tuple;

/// Reads a big-endian 16-bit word at `at`; the caller has checked the length.
#[inline]
pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Reads a big-endian 32-bit word at `at`; the caller has checked the length.
#[inline]
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
