//! What senders leave to whoever puts their packets on a wire: the checksum of TCP, UDP and SCTP, and cutting a TCP segment that is larger than
//! its link's into ones that are not (virtio 1.1, section 5.1.6.2).

use std::ops::Range;

use super::ip::{self, Ip};
use super::tuple::protocol;
use super::{be16, checksum};

/// What is left undone in a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undone(u16);

impl Undone {
    /// Nothing: the frame is as it goes on a wire.
    pub const NOTHING: Undone = Undone(0);
    /// The transport checksum: its field holds the sum of the pseudo-header, if anything.
    pub const CHECKSUM: Undone = Undone(1);

    /// The same of a TCP segment, which is to be cut into ones with so much payload each; not cut if that is less than two bytes.
    pub fn segments(payload: u16) -> Undone {
        Undone(payload.max(1))
    }

    /// Whether anything is.
    #[inline(always)]
    pub fn is_any(self) -> bool {
        self.0 != 0
    }

    /// Payload of the segments that it is to be cut into.
    #[inline]
    pub fn segment(self) -> Option<u16> {
        (self.0 > 1).then_some(self.0)
    }
}

/// Puts the transport checksum into an L3 packet. One that cannot be read stays as it is.
pub fn complete(packet: &mut [u8]) {
    let Ok(read) = ip::read_ours(packet) else { return };
    let Some((at, sum)) = sum_of(packet, &read) else { return };
    packet[at..at + sum.len()].copy_from_slice(&sum);
}

/// Where the transport checksum is in a packet, and what it is.
fn sum_of(packet: &[u8], read: &Ip) -> Option<(usize, SumBytes)> {
    let l4 = usize::from(read.header);
    let segment = packet.get(l4..usize::from(read.length)).filter(|_| !read.fragment)?;
    let (at, least) = match read.protocol {
        protocol::TCP => (16, 20),
        protocol::UDP => (6, 8),
        protocol::SCTP => (8, 12),
        _ => return None,
    };
    if segment.len() < least {
        return None;
    }
    if read.protocol == protocol::SCTP {
        return Some((l4 + at, SumBytes::Four(crc32c(segment, at).to_le_bytes())));
    }
    // without what the field holds now
    let words = pseudo_header(packet, read, segment.len()) + u32::from(!be16(segment, at));
    let sum = !checksum::fold(checksum::sum(segment, words));
    // RFC 768: 0 would be none
    let sum = if sum == 0 && read.protocol == protocol::UDP { 0xffff } else { sum };
    Some((l4 + at, SumBytes::Two(sum.to_be_bytes())))
}

/// A checksum as it stands in its field.
enum SumBytes {
    Two([u8; 2]),
    Four([u8; 4]),
}

impl std::ops::Deref for SumBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            SumBytes::Two(bytes) => bytes,
            SumBytes::Four(bytes) => bytes,
        }
    }
}

fn pseudo_header(packet: &[u8], read: &Ip, length: usize) -> u32 {
    let addresses = if read.source.is_ipv6() { &packet[8..40] } else { &packet[12..20] };
    checksum::sum(addresses, u32::from(read.protocol) + length as u32)
}

/// CRC-32C (RFC 9260, appendix A) of bytes whose own field, at `field`, counts as zeros.
fn crc32c(bytes: &[u8], field: usize) -> u32 {
    let step = |crc: u32, byte: u8| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    };
    let masked = bytes.iter().enumerate().map(|(at, &byte)| if (field..field + 4).contains(&at) { 0 } else { byte });
    !masked.fold(u32::MAX, step)
}

/// The headers of a packet that others complete: bytes of IP's, with extensions, and of what is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    pub l3: u16,
    pub l4: u8,
    pub v6: bool,
    /// Else it is UDP.
    pub tcp: bool,
}

impl Headers {
    /// Of this L3 packet; `None`: neither TCP nor UDP, or longer than can be said.
    pub fn of(packet: &[u8]) -> Option<Headers> {
        let read = ip::read_ours(packet).ok().filter(|read| !read.fragment && read.header < 512)?;
        let l4 = match read.protocol {
            protocol::TCP => (packet.get(usize::from(read.header) + 12)? >> 4) * 4,
            protocol::UDP => 8,
            _ => return None,
        };
        Some(Headers { l3: read.header, l4, v6: read.source.is_ipv6(), tcp: read.protocol == protocol::TCP })
    }
}

/// How a large TCP segment is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    v6: bool,
    /// Bytes before the TCP header, and before its payload.
    l4: usize,
    head: usize,
    /// Bytes of payload, in all and in each.
    payload: usize,
    each: usize,
}

/// Segments of one packet: 64 KiB in ones of 512 bytes. A guest that asks for more, by tiny ones, would have a worker make thousands of one frame.
const MOST: usize = 128;

/// FIN and PSH are said by the last segment, CWR by the first (RFC 9293; RFC 3168, section 6.1.2).
const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

impl Segments {
    /// Of this L3 packet, with so much payload each; `None`: it is no TCP segment that can be read, or there would be too
    /// many.
    pub fn of(packet: &[u8], each: u16) -> Option<Segments> {
        let read = ip::read_ours(packet).ok()?;
        if read.protocol != protocol::TCP || read.fragment || each == 0 {
            return None;
        }
        let l4 = usize::from(read.header);
        let head = l4 + usize::from(packet.get(l4 + 12)? >> 4) * 4;
        let payload = usize::from(read.length).checked_sub(head)?;
        let segments = Segments { v6: read.source.is_ipv6(), l4, head, payload, each: each.into() };
        (segments.count() <= MOST).then_some(segments)
    }

    /// How many there are, at least one.
    pub fn count(&self) -> usize {
        self.payload.div_ceil(self.each).max(1)
    }

    /// Bytes of the largest one's L3 packet.
    pub fn largest(&self) -> usize {
        self.head + self.payload.min(self.each)
    }

    /// Bytes of headers that each begins with.
    pub fn head(&self) -> usize {
        self.head
    }

    /// Bytes of headers before TCP's, and of that.
    pub fn headers(&self) -> (usize, usize) {
        (self.l4, self.head - self.l4)
    }

    /// Where the payload of one is in the packet.
    pub fn payload(&self, number: usize) -> Range<usize> {
        let at = (number * self.each).min(self.payload);
        self.head + at..self.head + (at + self.each).min(self.payload)
    }

    /// Makes what has the packet's headers and this one's payload the segment with this number.
    pub fn dress(&self, segment: &mut [u8], number: usize) {
        let length = segment.len();
        if self.v6 {
            segment[4..6].copy_from_slice(&((length - 40) as u16).to_be_bytes());
        } else {
            segment[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            let id = be16(segment, 4).wrapping_add(number as u16);
            segment[4..6].copy_from_slice(&id.to_be_bytes());
            segment[10..12].fill(0);
            let sum = checksum::of(&segment[..usize::from(segment[0] & 15) * 4]);
            segment[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        let tcp = &mut segment[self.l4..];
        let sequence = u32::from(be16(tcp, 4)) << 16 | u32::from(be16(tcp, 6));
        let sequence = sequence.wrapping_add((number * self.each) as u32);
        tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
        if number + 1 < self.count() {
            tcp[13] &= !FIN_PSH;
        }
        if number > 0 {
            tcp[13] &= !CWR;
        }
        complete(segment);
    }
}
