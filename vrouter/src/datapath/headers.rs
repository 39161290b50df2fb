//! Headers: puts those that a next hop has ready before a plain packet, the same bytes as by [`act`](super::act). Offsets are known when this
//! is compiled, for each shape of headers.

use super::act::{outer_v6, source_port};
use crate::packet::checksum;
use crate::packet::ether;
use crate::packet::plain::{IP4, IP6};
use crate::packet::tunnel::{GRE, MPLS, UDP, VXLAN};
use crate::tables::{Rewrite, Shape};

/// Room for headers, which end where it ends.
type Front = [u8; Rewrite::ROOM];

/// What of a packet goes into its headers.
#[derive(Clone, Copy)]
pub(super) struct Inner {
    pub ethertype: u16,
    /// Outer TOS or traffic class.
    pub class: u8,
    /// Bytes of its L3 packet.
    pub length: u16,
    pub hash: u64,
}

/// Writes headers. What is before them is nobody's and may change.
#[inline(always)]
pub(super) fn put(front: &mut Front, rewrite: &Rewrite, inner: Inner) {
    const OVER_UDP: usize = UDP + MPLS;
    const OVER_GRE: usize = GRE + MPLS;
    const IN_FRAME: usize = UDP + VXLAN + ether::HEADER;
    match rewrite.shape {
        Shape::Ethernet => {
            front[Rewrite::ROOM - 16..].copy_from_slice(&rewrite.headers[Rewrite::ROOM - 16..]);
            ethertype(front, inner);
        }
        Shape::Framed4 => {
            v4::<{ IP4 + IN_FRAME }, true>(front, rewrite, inner);
            ethertype(front, inner);
        }
        Shape::MplsUdp4 => v4::<{ IP4 + OVER_UDP }, true>(front, rewrite, inner),
        Shape::MplsGre4 => v4::<{ IP4 + OVER_GRE }, false>(front, rewrite, inner),
        Shape::Framed6 => {
            v6::<{ IP6 + IN_FRAME }, true>(front, rewrite, inner);
            ethertype(front, inner);
        }
        Shape::MplsUdp6 => v6::<{ IP6 + OVER_UDP }, true>(front, rewrite, inner),
        Shape::MplsGre6 => v6::<{ IP6 + OVER_GRE }, false>(front, rewrite, inner),
    }
}

/// As [`ip::decrement_ttl`](crate::packet::ip::decrement_ttl), of an IPv4 header: the checksum's word changes by a known amount (RFC 1624,
/// equation 3).
#[inline(always)]
pub(super) fn decrement_ttl(packet: &mut [u8; IP4]) {
    packet[8] -= 1;
    // its byte is the lower one of a word in the order of bytes of x86, as is the checksum's first; so the checksum rises by 1, and once more
    // where that carries, or would make the zero that is written 0xffff
    let sum = u16::from_le_bytes([packet[10], packet[11]]);
    let sum = sum.wrapping_add(1 + u16::from(sum >= 0xfffe));
    packet[10..12].copy_from_slice(&sum.to_le_bytes());
}

/// Of a tunnel over IPv4 whose headers from the outer IP header on have `L3` bytes: TOS, lengths, checksum, UDP's source port.
#[inline(always)]
fn v4<const L3: usize, const WITH_UDP: bool>(front: &mut Front, rewrite: &Rewrite, inner: Inner) {
    const MOST: usize = Rewrite::ROOM;
    if rewrite.len <= 64 {
        front[MOST - 64..].copy_from_slice(&rewrite.headers[MOST - 64..]);
    } else {
        *front = rewrite.headers;
    }
    let at = MOST - L3;
    let length = L3 as u16 + inner.length;
    let sum = !checksum::fold(rewrite.sum + u32::from(inner.class) + u32::from(length));
    front[at + 1] = inner.class;
    front[at + 2..at + 4].copy_from_slice(&length.to_be_bytes());
    front[at + 10..at + 12].copy_from_slice(&sum.to_be_bytes());
    if WITH_UDP {
        front[at + IP4..at + IP4 + 2].copy_from_slice(&source_port(inner.hash).to_be_bytes());
        front[at + IP4 + 4..at + IP4 + 6].copy_from_slice(&(length - IP4 as u16).to_be_bytes());
    }
}

/// The same over IPv6.
#[inline(always)]
fn v6<const L3: usize, const WITH_UDP: bool>(front: &mut Front, rewrite: &Rewrite, inner: Inner) {
    *front = rewrite.headers;
    outer_v6(&mut front[Rewrite::ROOM - L3..], inner.class, L3 as u16 + inner.length, WITH_UDP, inner.hash);
}

#[inline(always)]
fn ethertype(front: &mut Front, inner: Inner) {
    front[Rewrite::ROOM - 2..].copy_from_slice(&inner.ethertype.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::ip;

    #[test]
    fn a_ttl_is_decremented_as_the_longer_way_does_under_every_checksum() {
        for sum in 0..=u16::MAX {
            let mut packet = [0x45; IP4];
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            let mut slow = packet;
            ip::decrement_ttl(&mut slow);
            decrement_ttl(&mut packet);
            assert_eq!(packet, slow, "{sum:04x}");
        }
    }
}
