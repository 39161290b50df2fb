//! Segment: a TCP segment that is larger than links take, which a guest left to us to cut, leaves in ones that fit. Each is a packet in a room of
//! the worker's own, and goes the rest of the way as others do.

use super::classify::Classified;
use super::finish::Outbox;
use super::victims::Culprit;
use super::{Fate, Work, act, bridge};
use crate::drops::DropReason;
use crate::ids::{NextHopId, Place, PortIndex};
use crate::packet::offload::Segments;
use crate::packet::{ether, ip};
use crate::port::Frame;

/// Where the segments of a frame go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onward {
    /// The packet that was classified, by this next hop.
    Routed(NextHopId),
    /// The frame that begins at `from`, by this next hop for frames.
    Bridged { next_hop: NextHopId, place: Place, from: u16 },
    /// The whole frame, out of this port.
    Sent(PortIndex),
}

/// Bytes of the largest L3 packet that the one at `l3` leaves as; `length`: its own.
#[inline]
pub(super) fn largest(frame: &Frame, l3: usize, length: u16) -> u16 {
    let Some(each) = frame.undone.segment() else { return length };
    let segments = frame.bytes().get(l3..).and_then(|packet| Segments::of(packet, each));
    segments.map_or(length, |segments| segments.largest().try_into().unwrap_or(u16::MAX))
}

/// The same of the packet in the Ethernet frame at `from`, of whose bytes `length` are behind its header.
#[inline]
pub(super) fn largest_carried(frame: &Frame, from: usize, length: u16) -> u16 {
    if !frame.undone.is_any() {
        return length;
    }
    largest(frame, from + ether::packet_of(frame.bytes().get(from..).unwrap_or_default()), length)
}

/// Completes what may be before the frame goes on, and says whether it is to be cut yet.
#[inline]
pub(super) fn is_left(frame: &mut Frame, l3: usize) -> bool {
    if frame.undone.is_any() {
        frame.complete(l3);
    }
    frame.undone.is_any()
}

impl Outbox<'_> {
    /// Whether the port's peer takes this large segment as it is.
    pub(super) fn takes_segments(&self, port: usize, frame: &Frame) -> bool {
        let port = self.ports.get(port).and_then(Option::as_ref);
        let ethertype = ether::read(frame.bytes()).map_or(0, |header| header.ethertype);
        let v6 = ethertype == ether::IPV6;
        (v6 || ethertype == ether::IPV4) && port.is_some_and(|port| port.takes_segments(v6))
    }

    /// Sends a frame, which has gone all steps before, in segments that fit.
    pub(super) fn segment(&mut self, frame: &Frame, work: &Work, onward: Onward) {
        let bytes = frame.bytes();
        let (from, l3) = match onward {
            Onward::Routed(_) => work.classified.map_or((0, 0), |found| (found.l3.into(), found.l3.into())),
            Onward::Bridged { from, .. } => (usize::from(from), behind_tags(bytes, from.into())),
            Onward::Sent(_) => (0, behind_tags(bytes, 0)),
        };
        let packet = bytes.get(l3..).unwrap_or_default();
        let Some(segments) = frame.undone.segment().and_then(|each| Segments::of(packet, each)) else {
            return self.drop(work, frame, DropReason::TransportHeader, Culprit::Frame);
        };
        let further = segments.count() as u64 - 1;
        self.end.counters.worker.pieces.add(further);
        self.end.counters.vif(work.slot).pieces.add(further);
        for number in 0..segments.count() {
            let head = &bytes[from..l3 + segments.head()];
            let Some(mut segment) = self.end.rings.pieces.join(head, &packet[segments.payload(number)]) else {
                self.drop(work, frame, DropReason::PieceNoRoom, Culprit::Frame);
                continue;
            };
            segments.dress(&mut segment.bytes_mut()[l3 - from..], number);
            let work = self.one_segment(&mut segment, work, onward);
            self.carry_out(segment, &work);
        }
    }

    /// What becomes of one of them.
    fn one_segment(&self, segment: &mut Frame, work: &Work, onward: Onward) -> Work {
        let mut work = Work { originated: true, ..*work };
        work.fate = match onward {
            Onward::Sent(port) => Fate::Send(port),
            Onward::Bridged { next_hop, place, .. } => {
                let length = segment.len().saturating_sub(ether::HEADER) as u16;
                bridge::carry(self.snapshot, segment, (next_hop, place), (0, length), &work)
            }
            Onward::Routed(next_hop) => match (work.classified, ip::read_ours(segment.bytes())) {
                (Some(found), Ok(packet)) => {
                    let found = Classified { l3: 0, packet, remarked: false, ..found };
                    work.classified = Some(found);
                    let row = self.snapshot.next_hops.row(next_hop.index());
                    // only what may leave in pieces came here although it is too big
                    if row.is_some_and(|row| packet.length > row.mtu) {
                        Fate::Split(next_hop)
                    } else {
                        act::forward(self.snapshot, segment, &found, next_hop, &work)
                    }
                }
                _ => Fate::Drop(DropReason::TransportHeader, Culprit::Frame),
            },
        };
        work
    }
}

fn behind_tags(bytes: &[u8], from: usize) -> usize {
    from + ether::packet_of(bytes.get(from..).unwrap_or_default())
}
