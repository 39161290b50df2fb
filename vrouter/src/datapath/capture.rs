//! Capture: frames that somebody looks at are copied as a port received them, as a port takes them, and as they are when they are dropped.
//! Copies wait in rings of the worker's own for whoever looks; what there is no room for is counted and goes on as it would.
//! While nobody looks this costs a burst a test of a word of the snapshot.

use crossbeam::queue::ArrayQueue;

use super::counters::Counter;
use super::punt::LARGE;
use super::shared::WorkerEnd;
use super::stages::{Stage, Taken};
use super::victims::Culprit;
use super::{Worker, vif_of};
use crate::drops::DropReason;
use crate::ids::{PortIndex, VifId};
use crate::packet::ether;
use crate::port::{BURST, Frame, HEADROOM, Port, ROOM, Rooms, TxReport};
use crate::tables::{CAPTURES, Capture, Points, Snapshot};

/// Copies of one capture that wait at a worker.
pub const WAITING: usize = 1024;
/// Bytes of a frame that a usual room holds.
pub const USUAL: usize = ROOM - HEADROOM;

/// One worker's copies for one capture. The worker's thread, and whoever takes them.
pub struct CaptureRing {
    pub copies: ArrayQueue<Copied>,
    /// None before the first capture that has this ring: who begins it makes them.
    pub rooms: Rooms,
    /// Frames that were wanted and for which there was no room.
    pub lost: Counter,
}

/// A copy of a frame.
pub struct Copied {
    pub seen: Seen,
    /// The row of counters of the VIF that it entered by.
    pub entered: usize,
    /// rx, drop: the VIF that it entered by, as far as that is known here; tx: the one that it leaves by.
    pub vif: Option<VifId>,
    /// Bytes of the frame.
    pub length: u16,
    /// Its first bytes: checksums that are left to a device are in them.
    pub frame: Frame,
    /// rx, where a trace looks: what its burst took.
    pub taken: Taken,
}

/// Where a frame was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Rx,
    Tx,
    Drop(DropReason, Culprit),
}

impl Seen {
    fn point(self) -> Points {
        match self {
            Seen::Rx => Points::RX,
            Seen::Tx => Points::TX,
            Seen::Drop(..) => Points::DROP,
        }
    }
}

impl Default for CaptureRing {
    fn default() -> CaptureRing {
        CaptureRing { copies: ArrayQueue::new(WAITING), rooms: Rooms::up_to(WAITING, LARGE), lost: Counter::default() }
    }
}

impl CaptureRing {
    /// A copy of what is wanted of a frame.
    fn copy(&self, frame: &Frame, most: usize) -> Option<Frame> {
        let bytes = frame.bytes();
        let unfinished = frame.undone.is_any() || frame.tx_ip_checksum.is_some();
        // a checksum is over all of it
        let most = if unfinished { bytes.len() } else { bytes.len().min(most) };
        let mut copy = self.rooms.copy(&bytes[..most])?;
        if unfinished {
            (copy.undone, copy.tx_ip_checksum) = (frame.undone, frame.tx_ip_checksum);
            copy.finish();
        }
        Some(copy)
    }

    pub(super) fn hand_over(&self, copied: Option<Copied>) {
        // there is a place for each room
        if copied.is_none_or(|copied| self.copies.push(copied).is_err()) {
            self.lost.add(1);
        }
    }
}

/// A frame in hand: where it is seen, the row of the VIF that it entered by, and the VIF of the place.
pub(super) type Sight = (Seen, usize, Option<VifId>);

/// Whether a capture wants a frame.
fn wants(snapshot: &Snapshot, capture: &Capture, frame: &Frame, (seen, entered, vif): Sight) -> bool {
    let here = capture.vif.is_none_or(|wanted| match seen {
        Seen::Tx => vif == Some(wanted),
        Seen::Rx | Seen::Drop(..) => snapshot.vifs.row(wanted.index()).is_some_and(|row| row.slot == entered),
    });
    here && capture.filter.matches(frame.bytes())
}

impl WorkerEnd {
    /// Copies a frame for those who look at it.
    #[cold]
    #[inline(never)]
    pub(super) fn capture(&self, snapshot: &Snapshot, frame: &Frame, sight: Sight) {
        let at_once = |it: &&Capture| !(sight.0 == Seen::Rx && it.points.have(Points::STAGES));
        for capture in
            snapshot.captures.at(sight.0.point()).filter(at_once).filter(|it| wants(snapshot, it, frame, sight))
        {
            let ring = &self.captures[capture.ring];
            ring.hand_over(self.copied(capture, frame, sight));
        }
    }

    /// The same of one that was on its way out when it was dropped, which is remembered, and entered by the VIF with this row.
    pub(super) fn see_drop(&self, snapshot: &Snapshot, frame: &Frame, reason: DropReason, entered: usize) {
        let vif = || snapshot.vifs.iter().find(|(_, vif)| vif.slot == entered).map(|(_, vif)| vif.id);
        self.victims.remember_leaving(reason, vif, frame.bytes());
        if snapshot.captures.at.have(Points::DROP) {
            self.capture(snapshot, frame, (Seen::Drop(reason, Culprit::Frame), entered, None));
        }
    }

    fn copied(&self, capture: &Capture, frame: &Frame, (seen, entered, vif): Sight) -> Option<Copied> {
        let copy = self.captures[capture.ring].copy(frame, capture.most)?;
        Some(Copied { seen, entered, vif, length: frame.len() as u16, frame: copy, taken: Taken::default() })
    }

    /// Has a port send frames, which entered by VIFs with these rows, so many by each. Those that it takes are seen to leave by this VIF.
    #[cold]
    #[inline(never)]
    pub(super) fn send_seen(
        &self,
        snapshot: &Snapshot,
        port: &mut dyn Port,
        (frames, slots): (&mut Vec<Frame>, &[(usize, usize)]),
        vif: Option<VifId>,
    ) -> TxReport {
        // absent: not wanted; else the copy, if there was room. Which ones the port takes is known afterwards, when they are gone
        let mut copies: [[Option<Option<Copied>>; BURST]; CAPTURES] = std::array::from_fn(|_| [const { None }; BURST]);
        let entered = slots.iter().flat_map(|(slot, count)| std::iter::repeat_n(*slot, *count));
        for (at, (frame, entered)) in frames.iter().zip(entered).take(BURST).enumerate() {
            let sight = (Seen::Tx, entered, vif);
            for capture in snapshot.captures.at(Points::TX).filter(|it| wants(snapshot, it, frame, sight)) {
                copies[capture.ring][at] = Some(self.copied(capture, frame, sight));
            }
        }
        let report = port.tx(frames);
        for (ring, copies) in self.captures.iter().zip(copies) {
            copies.into_iter().take(report.frames).flatten().for_each(|copied| ring.hand_over(copied));
        }
        report
    }
}

impl Worker {
    /// Copies what is wanted of what a port received, before anything has changed it.
    #[cold]
    #[inline(never)]
    pub(super) fn capture_received(&mut self, port: usize) {
        self.stages.over(Stage::Rx, self.received.len());
        let Worker { snapshot, shared, index, stages, received, .. } = self;
        let end = &shared.workers[index.index()];
        let untagged = vif_of(snapshot, port).map(|vif| vif.id);
        for (at, frame) in received.iter().enumerate() {
            let of_branch = || {
                let (outer, inner) = ether::vlans(frame.bytes())?;
                snapshot.branches.find(PortIndex(port as u16), outer, inner).map(|(vif, _)| vif)
            };
            let vif = if snapshot.branches.are_on(port) { of_branch().or(untagged) } else { untagged };
            let row = vif.and_then(|vif| snapshot.vifs.row(vif.index()));
            let entered = row.map_or(end.counters.no_vif(), |row| row.slot);
            let sight = (Seen::Rx, entered, vif);
            end.capture(snapshot, frame, sight);
            let traces = snapshot.captures.at(Points::STAGES).filter(|it| wants(snapshot, it, frame, sight));
            traces.for_each(|trace| stages.wait(trace, at, end.copied(trace, frame, sight)));
        }
        stages.go_on();
    }
}
