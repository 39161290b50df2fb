//! Assembly: a tunnel's outer packet that the underlay had to fragment is put together again, up to a jumbo frame, and then goes the path of a
//! packet as if it had come whole. Pieces that overlap end it (RFC 5722, for IPv4 as well); the same piece twice is one. So many packets
//! in all and of one sender; whoever has many loses his own.
//!
//! A worker's own: devices spread fragments by their addresses alone, so that all pieces of a packet are in one queue.

use std::net::IpAddr;

use crate::drops::DropReason;
use crate::ids::{Tick, VifId};
use crate::packet::ip::Ip;
use crate::packet::plain::{IP4, IP6};
use crate::packet::{checksum, ecn, ether};
use crate::port::{BURST, Frame};

/// Packets that a worker puts together at a time, and those of one sender.
pub const PACKETS: usize = 64;
pub const OF_SENDER: usize = 8;
/// Pieces of a packet.
const PIECES: usize = 16;
/// Ticks until a packet must be whole.
const PATIENCE: u32 = 2 * Tick::PER_SECOND;
/// Bytes before the payload: Ethernet, a tag, the longer IP header.
const FRONT: usize = ether::HEADER + ether::TAG + IP6;
/// Bytes of payload at most: a jumbo frame.
const MOST: usize = 9216;
/// Bytes of the buffer of a packet.
pub const BUFFER: usize = FRONT + MOST;

/// The packets that are being put together. Allocates nothing once made.
pub(super) struct Assembly {
    packets: Vec<Packet>,
    /// Buffers of packets that there are not.
    free: Vec<Box<[u8]>>,
    /// Whole ones of the burst in hand, with the VIFs that their last pieces came by.
    pub whole: Vec<(Frame, Option<VifId>)>,
}

struct Packet {
    of: Identity,
    since: Tick,
    /// Where the pieces begin, their bytes, and by which VIFs they came.
    pieces: [(u16, u16); PIECES],
    vifs: [Option<VifId>; PIECES],
    count: usize,
    bytes: usize,
    /// Where it ends, once its last piece is there.
    end: Option<usize>,
    /// TOS or traffic class of its head; CE if any piece was marked.
    class: u8,
    marked: bool,
    /// It is no more, and why: what else comes of it ends, too.
    over: Option<DropReason>,
    /// Its payload behind `FRONT` bytes.
    buffer: Box<[u8]>,
}

/// What the fragments of one packet have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    id: u32,
}

/// What becomes of a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// Kept.
    Kept,
    /// It was there already.
    Again,
    /// The last one that was missing: of so many.
    Whole(usize),
    /// The packet has come to an end, and this piece.
    Over(DropReason),
    /// This piece alone has.
    Refused(DropReason),
}

/// A packet that is no more, by the VIFs of its pieces.
pub(super) struct Gone {
    pub of: Identity,
    pub vifs: [Option<VifId>; PIECES],
    pub count: usize,
    pub reason: DropReason,
}

impl Identity {
    pub fn of(piece: &Ip) -> Identity {
        let Ip { source, destination, protocol, id, .. } = *piece;
        Identity { source, destination, protocol, id }
    }

    /// Headers of a first fragment without a length, for people, behind an Ethernet header of zeros: what is known of pieces that were not kept as frames.
    pub fn headers(&self) -> ([u8; HEADERS], usize) {
        let mut bytes = [0; HEADERS];
        let length = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                bytes[12..15].copy_from_slice(&[8, 0, 0x45]);
                bytes[18..20].copy_from_slice(&(self.id as u16).to_be_bytes());
                (bytes[20], bytes[23]) = (0x20, self.protocol);
                bytes[26..30].copy_from_slice(&source.octets());
                bytes[30..34].copy_from_slice(&destination.octets());
                34
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                bytes[12..15].copy_from_slice(&[0x86, 0xdd, 0x60]);
                bytes[20] = 44;
                bytes[22..38].copy_from_slice(&source.octets());
                bytes[38..54].copy_from_slice(&destination.octets());
                (bytes[54], bytes[57]) = (self.protocol, 1);
                bytes[58..].copy_from_slice(&self.id.to_be_bytes());
                HEADERS
            }
            _ => 14,
        };
        (bytes, length)
    }
}

/// Ethernet, IPv6 and its fragment header (RFC 8200, section 4.5).
const HEADERS: usize = 14 + 40 + 8;

impl Assembly {
    pub fn new() -> Assembly {
        let free = (0..PACKETS).map(|_| vec![0; BUFFER].into_boxed_slice()).collect();
        Assembly { packets: Vec::with_capacity(PACKETS), free, whole: Vec::with_capacity(BURST) }
    }

    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    pub fn has(&self, of: &Identity) -> bool {
        self.packets.iter().any(|packet| packet.of == *of)
    }

    /// The packet that has to go before there is room for one of this sender.
    pub fn make_room(&mut self, of: &Identity) -> Option<Gone> {
        if self.has(of) {
            return None;
        }
        let count = |source: IpAddr| self.packets.iter().filter(|packet| packet.of.source == source).count();
        let whose = match () {
            () if count(of.source) >= OF_SENDER => of.source,
            () if self.packets.len() < PACKETS => return None,
            () => self.packets.iter().map(|packet| packet.of.source).max_by_key(|source| count(*source))?,
        };
        let theirs = self.packets.iter().enumerate().filter(|(_, packet)| packet.of.source == whose);
        let oldest = theirs.min_by_key(|(_, packet)| packet.since.0).map(|(at, _)| at)?;
        Some(self.remove(oldest, DropReason::OuterFragmentFull))
    }

    /// Takes a piece, whose payload this is; there is room.
    pub fn put(&mut self, piece: &Ip, payload: &[u8], vif: Option<VifId>, now: Tick) -> Put {
        let (of, from) = (Identity::of(piece), usize::from(piece.offset) * 8);
        if payload.is_empty()
            || piece.more && !payload.len().is_multiple_of(8)
            || from + payload.len() > usize::from(u16::MAX)
        {
            return Put::Refused(DropReason::OuterFragment);
        }
        let at = match self.packets.iter().position(|packet| packet.of == of) {
            Some(at) => at,
            None => {
                let Some(buffer) = self.free.pop() else { return Put::Refused(DropReason::OuterFragmentFull) };
                self.packets.push(Packet::new(of, now, buffer));
                self.packets.len() - 1
            }
        };
        let put = self.packets[at].put(piece, from, payload, vif);
        if let Put::Over(reason) = put {
            self.packets[at].over = Some(reason);
        }
        put
    }

    /// What was kept of a packet that is over; what else comes of it is refused for a while.
    pub fn give_back(&mut self, of: &Identity) -> Option<Gone> {
        let packet = self.packets.iter_mut().find(|packet| packet.of == *of)?;
        let (vifs, count, reason) = (packet.vifs, packet.count, packet.over?);
        packet.count = 0;
        Some(Gone { of: *of, vifs, count, reason })
    }

    /// A packet that is whole as a frame, behind this Ethernet header; its place is free afterwards.
    pub fn take<T>(&mut self, of: &Identity, link: &[u8], take: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let at = self.packets.iter().position(|packet| packet.of == *of)?;
        let packet = self.packets.swap_remove(at);
        let (mut buffer, length) = (packet.buffer, packet.bytes);
        let mut class = packet.class;
        if packet.marked {
            class |= ecn::CE;
        }
        let header = write_header(&mut buffer, of, class, length);
        let from = FRONT.checked_sub(header + link.len())?;
        buffer[from..from + link.len()].copy_from_slice(link);
        let taken = take(&buffer[from..FRONT + length]);
        self.free.push(buffer);
        Some(taken)
    }

    /// A packet that waited too long.
    pub fn overdue(&mut self, now: Tick) -> Option<Gone> {
        let at = self.packets.iter().position(|packet| now.since(packet.since) >= PATIENCE)?;
        Some(self.remove(at, DropReason::OuterFragmentTimedOut))
    }

    fn remove(&mut self, at: usize, reason: DropReason) -> Gone {
        let Packet { of, vifs, count, buffer, .. } = self.packets.swap_remove(at);
        self.free.push(buffer);
        Gone { of, vifs, count, reason }
    }
}

impl Packet {
    fn new(of: Identity, since: Tick, buffer: Box<[u8]>) -> Packet {
        Packet {
            of,
            since,
            pieces: [(0, 0); PIECES],
            vifs: [None; PIECES],
            count: 0,
            bytes: 0,
            end: None,
            class: 0,
            marked: false,
            over: None,
            buffer,
        }
    }

    fn put(&mut self, piece: &Ip, from: usize, payload: &[u8], vif: Option<VifId>) -> Put {
        if let Some(reason) = self.over {
            return Put::Refused(reason);
        }
        let to = from + payload.len();
        if to > MOST {
            return Put::Over(DropReason::OuterFragmentTooLarge);
        }
        let there = self.pieces[..self.count].iter().map(|&(from, length)| (usize::from(from), usize::from(length)));
        let is_last = !piece.more;
        for (begin, length) in there {
            if (begin, length) == (from, payload.len())
                && self.buffer[FRONT + from..FRONT + to] == *payload
                && is_last == (self.end == Some(to))
            {
                return Put::Again;
            }
            if begin < to && from < begin + length {
                return Put::Over(DropReason::OuterFragmentOverlap);
            }
            // behind what says that it is the last
            if is_last && begin > from {
                return Put::Over(DropReason::OuterFragmentOverlap);
            }
        }
        if self.end.is_some_and(|end| is_last || to > end) {
            return Put::Over(DropReason::OuterFragmentOverlap);
        }
        if self.count == PIECES {
            return Put::Over(DropReason::OuterFragmentTooLarge);
        }
        self.pieces[self.count] = (from as u16, payload.len() as u16);
        self.vifs[self.count] = vif;
        self.count += 1;
        self.bytes += payload.len();
        self.buffer[FRONT + from..FRONT + to].copy_from_slice(payload);
        self.end = if is_last { Some(to) } else { self.end };
        self.marked |= piece.tos & ecn::MASK == ecn::CE;
        if from == 0 {
            self.class = piece.tos;
        }
        // nothing overlaps: when there are as many bytes as it has, it is whole
        if self.end == Some(self.bytes) { Put::Whole(self.count) } else { Put::Kept }
    }
}

/// Writes the IP header of a whole packet before its payload of so many bytes, without options and extension headers, which say nothing to
/// us. Returns its length.
fn write_header(buffer: &mut [u8], of: &Identity, class: u8, payload: usize) -> usize {
    match (of.source, of.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header = &mut buffer[FRONT - IP4..FRONT];
            header.copy_from_slice(&[0x45, class, 0, 0, 0, 0, 0, 0, 64, of.protocol, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            header[2..4].copy_from_slice(&((IP4 + payload) as u16).to_be_bytes());
            header[12..16].copy_from_slice(&source.octets());
            header[16..20].copy_from_slice(&destination.octets());
            let sum = checksum::of(header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            IP4
        }
        (source, destination) => {
            let octets = |address| match address {
                IpAddr::V6(address) => address.octets(),
                IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            };
            let header = &mut buffer[FRONT - IP6..FRONT];
            header[..4].copy_from_slice(&(6 << 28 | u32::from(class) << 20).to_be_bytes());
            header[4..6].copy_from_slice(&(payload as u16).to_be_bytes());
            header[6..8].copy_from_slice(&[of.protocol, 64]);
            header[8..24].copy_from_slice(&octets(source));
            header[24..40].copy_from_slice(&octets(destination));
            IP6
        }
    }
}
