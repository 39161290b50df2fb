//! Assemble: a piece of a tunnel's outer packet joins the others ([`super::assembly`]); a packet that is whole enters as a frame of the VIF that
//! its last piece came by.

use super::assembly::{Gone, Identity, Put};
use super::finish::Outbox;
use super::shared::WorkerEnd;
use super::victims::Culprit;
use super::{Work, Worker};
use crate::drops::DropReason;
use crate::ids::{PortIndex, Tick};
use crate::packet::checksum::IpChecksum;
use crate::packet::ip;
use crate::port::{BURST, Frame};
use crate::tables::Snapshot;

impl Outbox<'_> {
    /// Puts a piece, whose L3 packet begins at `l3`, to the others. `unless`: it is for the host's kernel by this port, unless its head was ours.
    pub(super) fn assemble(&mut self, frame: Frame, work: &Work, l3: u16, unless: Option<PortIndex>) {
        let (link, packet) = frame.bytes().split_at(usize::from(l3).min(frame.len()));
        let v6 = packet.first().is_some_and(|byte| byte >> 4 == 6);
        let read = if v6 { ip::read6(packet) } else { ip::read4(packet, IpChecksum::Good) };
        let piece = match read {
            Ok(piece) => piece,
            Err(reason) => return self.drop(work, &frame, reason, Culprit::Frame),
        };
        let of = Identity::of(&piece);
        if let Some(port) = unless.filter(|_| !self.assembly.has(&of)) {
            return self.except(port.index(), frame, work, None);
        }
        let (snapshot, end, now) = (self.snapshot, self.end, self.now);
        if let Some(gone) = self.assembly.make_room(&of) {
            forget(&gone, snapshot, end, now);
        }
        let payload = &packet[usize::from(piece.header)..usize::from(piece.length)];
        let put = self.assembly.put(&piece, payload, work.vif, now);
        if let Put::Kept | Put::Again | Put::Whole(_) = put {
            end.counters.vif(work.slot).fragments_held.add(1);
            end.counters.worker.fragments_held.add(1);
        }
        match put {
            Put::Kept => {}
            Put::Again => end.counters.worker.fragments_joined.add(1),
            Put::Refused(reason) => self.drop(work, &frame, reason, Culprit::Frame),
            Put::Over(reason) => {
                self.drop(work, &frame, reason, Culprit::Frame);
                if let Some(gone) = self.assembly.give_back(&of) {
                    forget(&gone, snapshot, end, now);
                }
            }
            Put::Whole(pieces) => {
                let whole = self.assembly.take(&of, link, |bytes| end.rings.pieces.copy(bytes)).flatten();
                end.counters.vif(work.slot).fragments_released.add(1);
                end.counters.worker.fragments_released.add(1);
                end.counters.worker.fragments_joined.add(pieces as u64 - 1);
                match whole {
                    Some(whole) if self.assembly.whole.len() < BURST => self.assembly.whole.push((whole, work.vif)),
                    _ => self.drop(work, &frame, DropReason::PieceNoRoom, Culprit::Frame),
                }
            }
        }
    }
}

/// The pieces of a packet that is no more are drops of the VIFs that they came by.
fn forget(gone: &Gone, snapshot: &Snapshot, end: &WorkerEnd, now: Tick) {
    let (headers, length) = gone.of.headers();
    for &vif in &gone.vifs[..gone.count] {
        let row = vif.and_then(|vif| snapshot.vifs.row(vif.index()));
        let slot = row.map_or(end.counters.no_vif(), |vif| vif.slot);
        end.counters.vif(slot).fragments_released.add(1);
        end.counters.worker.fragments_released.add(1);
        end.counters.drop(slot, gone.reason, 1);
        end.victims.remember(gone.reason, now, (vif, None), Culprit::Frame, &headers[..length]);
    }
}

impl Worker {
    /// Makes the packets that are whole the next burst. False: there is none.
    pub(super) fn take_whole(&mut self) -> bool {
        // in the order in which they were whole
        self.assembly.whole.reverse();
        while let Some((frame, vif)) = self.assembly.whole.pop() {
            let row = vif.and_then(|vif| self.snapshot.vifs.row(vif.index()));
            let slot = row.map_or(self.counters().no_vif(), |vif| vif.slot);
            self.frames.push(frame);
            self.burst.push(Work::new(vif, slot));
        }
        !self.frames.is_empty()
    }

    /// Drops what is not whole in time. Returns how many packets.
    pub(super) fn give_up_assembly(&mut self) -> usize {
        let mut packets = 0;
        while let Some(gone) = self.assembly.overdue(self.now) {
            forget(&gone, &self.snapshot, &self.shared.workers[self.index.index()], self.now);
            packets += 1;
        }
        packets
    }
}
