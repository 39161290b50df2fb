//! Split: an IPv4 packet that is too big for its next hop, and may be fragmented, leaves in pieces (RFC 791, section 3.2). Each is a packet in
//! a room of the worker's own, and goes the rest of the way as others do.

use super::classify::Classified;
use super::finish::Outbox;
use super::victims::Culprit;
use super::{Work, act};
use crate::drops::DropReason;
use crate::ids::NextHopId;
use crate::packet::be16;
use crate::packet::checksum;
use crate::packet::ip;
use crate::packet::plain::IP4;
use crate::port::Frame;
use crate::tables::{NextHop, Snapshot};

/// Pieces that a worker may have under way: more than a hand-over ring holds, so that one port that stands still does not take them all.
pub const PIECES: usize = 2048;
/// Of them larger than a usual room: a burst's worth, and as many again behind a port.
pub const LARGE_PIECES: usize = 128;
/// Bits of the third word of an IPv4 header.
const DONT: u16 = 0x4000;
const MORE: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// Whether a packet that is too big for this next hop may leave in pieces. Options are not: they would have to be told apart by piece.
pub(super) fn may_split(snapshot: &Snapshot, packet: &[u8], found: &Classified, row: &NextHop) -> bool {
    let plain = found.packet.source.is_ipv4() && usize::from(found.packet.header) == IP4;
    if !snapshot.fragmentation || !plain || usize::from(row.mtu) < IP4 + 8 || packet.len() < IP4 {
        return false;
    }
    let field = be16(packet, 6);
    let last = (field & OFFSET) + (found.packet.length - found.packet.header - 1) / 8;
    field & DONT == 0 && last <= OFFSET
}

impl Outbox<'_> {
    /// Sends a packet, which has gone all other steps of `act`, in pieces by this next hop.
    pub(super) fn split(&mut self, frame: &Frame, work: &Work, next_hop: NextHopId) {
        let row = self.snapshot.next_hops.row(next_hop.index());
        let found = work.classified.as_ref().zip(row);
        let packet =
            found.and_then(|(found, _)| frame.bytes().get(usize::from(found.l3)..)?.split_first_chunk::<IP4>());
        let (Some((found, row)), Some((header, payload))) = (found, packet) else {
            return self.drop(work, frame, DropReason::NextHopGone, Culprit::Frame);
        };
        let most = usize::from(row.mtu).saturating_sub(IP4) & !7;
        let pieces = payload.len().div_ceil(most.max(8));
        self.end.counters.worker.pieces.add(pieces as u64 - 1);
        self.end.counters.vif(work.slot).pieces.add(pieces as u64 - 1);
        for (number, part) in payload.chunks(most.max(8)).enumerate() {
            let header = header_of(header, number * most, part.len(), number + 1 < pieces);
            let piece = self.end.rings.pieces.copy(part).and_then(|mut piece| {
                piece.replace_front(0, &header).ok()?;
                Some((ip::read_ours(piece.bytes()).ok()?, piece))
            });
            let Some((read, mut piece)) = piece else {
                self.drop(work, frame, DropReason::PieceNoRoom, Culprit::Frame);
                continue;
            };
            let classified = Classified { l3: 0, packet: read, remarked: false, ..*found };
            let mut work = Work { originated: true, classified: Some(classified), ..*work };
            work.fate = act::forward(self.snapshot, &mut piece, &classified, next_hop, &work);
            self.carry_out(piece, &work);
        }
    }
}

/// The header of the piece that begins so many bytes into the packet.
fn header_of(whole: &[u8; IP4], at: usize, length: usize, more: bool) -> [u8; IP4] {
    let mut header = *whole;
    let field = (be16(whole, 6) + (at / 8) as u16) | if more { MORE } else { 0 };
    header[2..4].copy_from_slice(&((IP4 + length) as u16).to_be_bytes());
    header[6..8].copy_from_slice(&field.to_be_bytes());
    header[10..12].fill(0);
    let sum = checksum::of(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}
