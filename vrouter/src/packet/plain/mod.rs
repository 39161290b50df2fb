//! Plain packets: whole TCP and UDP packets without options or extension headers, which is nearly all of them, read in one go.
//!
//! What is plain here, [`ip::read4`](super::ip::read4) and [`ip::read6`](super::ip::read6) take for the same packet; what they refuse is
//! not plain, and much of what they take is not either.

use super::checksum::IpChecksum;
use super::transport::tcp;
use super::tunnel::{GENEVE_ETHERNET, GRE, GRE_MPLS};
use super::tuple::protocol;

/// Bytes of an IPv4 header without options, and of an IPv6 header.
pub const IP4: usize = 20;
pub const IP6: usize = 40;
/// Ports, and the rest of a UDP header.
const UDP: usize = 8;
const TCP: usize = 20;

/// A plain packet of IPv4 (`K` is 2) or IPv6 (`K` is 5): a host's source, no group, not to itself, and with a TTL to spare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain<const K: usize> {
    /// Source and destination; then source port (16 bits), destination port (16), zero (32).
    pub words: [u64; K],
    /// TCP or UDP.
    pub protocol: u8,
    /// Of TCP, else 0.
    pub flags: u8,
    pub tos: u8,
    pub ttl: u8,
    /// Bytes of the packet, header included.
    pub length: u16,
}

/// The IPv4 packet at the front of `bytes`, which may be longer.
#[inline(always)]
pub fn read4(bytes: &[u8], verified: IpChecksum) -> Option<Plain<2>> {
    let head = bytes.first_chunk::<{ IP4 + UDP }>()?;
    let words = [le64(head, 0), le64(head, 8)];
    let (length, ttl, protocol) = (((words[0] >> 16) as u16).swap_bytes(), words[1] as u8, (words[1] >> 8) as u8);
    let (ends, ports) = (be64(head, 12), be64(head, IP4));
    let (source, destination) = ((ends >> 32) as u32, ends as u32);
    let whole = is_whole4(words[0]) && usize::from(length) >= IP4 + UDP && usize::from(length) <= bytes.len();
    if !whole || !is_host(source) || destination >= 0xe000_0000 || source == destination || ttl <= 1 {
        return None;
    }
    if !sums(words, destination.swap_bytes(), verified) {
        return None;
    }
    let flags = flags(bytes, IP4, protocol, ports, length)?;
    Some(Plain { words: [ends, ports & !0xffff_ffff], protocol, flags, tos: (words[0] >> 8) as u8, ttl, length })
}

/// The IPv6 packet at the front of `bytes`, which may be longer.
#[inline(always)]
pub fn read6(bytes: &[u8]) -> Option<Plain<5>> {
    let head = bytes.first_chunk::<{ IP6 + UDP }>()?;
    let first = be64(head, 0);
    let payload = (first >> 16) as u16;
    let (protocol, ttl) = ((first >> 8) as u8, first as u8);
    if first >> 60 != 6 || ttl <= 1 || usize::from(payload) < UDP || usize::from(payload) > bytes.len() - IP6 {
        return None;
    }
    let length = payload.checked_add(IP6 as u16)?;
    let [a, b, c, d] = [be64(head, 8), be64(head, 16), be64(head, 24), be64(head, 32)];
    // multicast, link-local and its neighbours
    if a >> 57 == 0x7f || c >> 57 == 0x7f {
        return None;
    }
    // unspecified and loopback
    if a == 0 && b < 2 || c == 0 && d < 2 {
        return None;
    }
    if (a ^ c) | (b ^ d) == 0 {
        return None;
    }
    let ports = be64(head, IP6);
    let flags = flags(bytes, IP6, protocol, ports, length)?;
    let words = [a, b, c, d, ports & !0xffff_ffff];
    Some(Plain { words, protocol, flags, tos: (first >> 52) as u8, ttl, length })
}

/// The outer headers of a plain packet in a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer<A> {
    pub source: A,
    pub destination: A,
    /// TOS or traffic class.
    pub tos: u8,
    /// UDP's destination port; `None`: GRE without options that carries MPLS.
    pub port: Option<u16>,
    /// Where what is behind UDP or GRE begins, from the outer IP header on, and where it ends: not behind the end of the bytes.
    pub payload: u16,
    pub end: u16,
}

/// The IPv4 and UDP or GRE headers at the front of `bytes`, which may be longer: no options, no fragment, a host's source.
#[inline(always)]
pub fn outer4(bytes: &[u8], verified: IpChecksum) -> Option<Outer<u32>> {
    let head = bytes.first_chunk::<{ IP4 + UDP }>()?;
    let words = [le64(head, 0), le64(head, 8)];
    let ends = be64(head, 12);
    let length = ((words[0] >> 16) as u16).swap_bytes();
    let (source, destination) = ((ends >> 32) as u32, ends as u32);
    let whole = is_whole4(words[0]) && usize::from(length) <= bytes.len();
    if !whole || !is_host(source) || source == destination || !sums(words, destination.swap_bytes(), verified) {
        return None;
    }
    let (port, payload, end) = carried((words[1] >> 8) as u8, be64(head, IP4), IP4 as u16, length, false)?;
    Some(Outer { source, destination, tos: (words[0] >> 8) as u8, port, payload, end })
}

/// The same of IPv6, without extension headers, and with UDP's checksum left out (RFC 6935).
#[inline(always)]
pub fn outer6(bytes: &[u8]) -> Option<Outer<u128>> {
    let head = bytes.first_chunk::<{ IP6 + UDP }>()?;
    let first = be64(head, 0);
    let length = ((first >> 16) as u16).checked_add(IP6 as u16)?;
    let [a, b, c, d] = [be64(head, 8), be64(head, 16), be64(head, 24), be64(head, 32)];
    // multicast, unspecified and loopback are nobody's source
    let odd = a >> 56 == 0xff || a == 0 && b < 2;
    if first >> 60 != 6 || usize::from(length) > bytes.len() || odd || (a, b) == (c, d) {
        return None;
    }
    let (port, payload, end) = carried((first >> 8) as u8, be64(head, IP6), IP6 as u16, length, true)?;
    let address = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
    Some(Outer { source: address(a, b), destination: address(c, d), tos: (first >> 52) as u8, port, payload, end })
}

/// The VXLAN header with the network of this GENEVE header, which must be without options, and no control packet's.
pub fn as_vxlan(geneve: u64) -> Option<u64> {
    const I: u64 = 8 << 56;
    // version, length of options, control packet, critical options; the rest is reserved
    let plain = geneve >> 54 == 0 && (geneve >> 32) as u16 == GENEVE_ETHERNET;
    plain.then_some(I | geneve & 0xffff_ffff)
}

/// Port, begin and end of what a tunnel's IP packet of so many bytes carries behind its header of `header` bytes and these eight.
#[inline(always)]
fn carried(number: u8, eight: u64, header: u16, length: u16, v6: bool) -> Option<(Option<u16>, u16, u16)> {
    match number {
        protocol::UDP => {
            let datagram = (eight >> 16) as u16;
            let whole = usize::from(datagram) >= UDP && u32::from(header) + u32::from(datagram) <= u32::from(length);
            let unsummed = !v6 || eight as u16 == 0;
            (whole && unsummed).then(|| (Some((eight >> 32) as u16), header + UDP as u16, header + datagram))
        }
        protocol::GRE => {
            let plain = eight >> 32 == u64::from(GRE_MPLS) && length >= header + UDP as u16;
            plain.then_some((None, header + GRE as u16, length))
        }
        _ => None,
    }
}

/// The TCP flags of a whole packet of TCP, 0 for UDP.
#[inline(always)]
fn flags(bytes: &[u8], header: usize, protocol: u8, ports: u64, length: u16) -> Option<u8> {
    let payload = length - header as u16;
    if protocol == protocol::UDP {
        let datagram = (ports >> 16) as u16;
        return (usize::from(datagram) >= UDP && datagram <= payload).then_some(0);
    }
    let segment = bytes.get(header..)?.first_chunk::<TCP>()?;
    let words = u16::from(segment[12] >> 4);
    let whole = protocol == protocol::TCP && words >= 5 && words * 4 <= payload;
    // one that opens a connection may have to wait for the end of another, and what it and its answer announce may be too much
    let opens = segment[13] & tcp::SYN != 0;
    (whole && !opens).then_some(segment[13])
}

/// Not of 0/8, 127/8 or 224/3.
#[inline(always)]
fn is_host(address: u32) -> bool {
    let net = address >> 24;
    net.wrapping_sub(1) < 223 && net != 127
}

/// Whether the first eight bytes of a header say: version 4, five words of header, and no fragment.
#[inline(always)]
fn is_whole4(first: u64) -> bool {
    const MASK: u64 = u64::from_le_bytes([0xff, 0, 0, 0, 0, 0, 0x3f, 0xff]);
    first & MASK == 0x45
}

/// Whether an IPv4 header, read in the order of bytes of x86, has the right checksum (RFC 1071): its 16-bit words sum to all ones. That is
/// 0 modulo 65,535, as is the sum of wider words, in whatever order of bytes.
#[inline(always)]
fn sums([first, second]: [u64; 2], last: u32, verified: IpChecksum) -> bool {
    let (sum, carry) = first.overflowing_add(second);
    let (sum, more) = (sum + u64::from(carry)).overflowing_add(last.into());
    match verified {
        IpChecksum::Unknown => (sum + u64::from(more)).is_multiple_of(0xffff),
        IpChecksum::Good => true,
        IpChecksum::Bad => false,
    }
}

/// Eight bytes at a place that is known when this is compiled, so that no check is left: as one load. (Put together from single bytes,
/// they may become single loads where a caller looks at some of them too.)
#[inline(always)]
pub(crate) fn le64<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    u64::from_le_bytes(eight(bytes, at))
}

/// The same, the first byte highest.
#[inline(always)]
pub(crate) fn be64<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    u64::from_be_bytes(eight(bytes, at))
}

#[inline(always)]
fn eight<const N: usize>(bytes: &[u8; N], at: usize) -> [u8; 8] {
    bytes[at..].first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
