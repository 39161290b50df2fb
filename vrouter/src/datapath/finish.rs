//! Finish: every frame of the burst leaves by its fate: a tx queue, a counted drop, or a copy for the slow path.

use flowtable::FlowTable;

use super::assembly::Assembly;
use super::branches::BranchQueues;
use super::capture::Seen;
use super::held::Held;
use super::punt::{Budget, Punt, RING, Ring, TunnelId, TunnelSource, Why};
use super::quota::{Accounts, Purse, Rate};
use super::segment::Onward;
use super::shared::WorkerEnd;
use super::victims::Culprit;
use super::vrf_drops::Of;
use super::{Fate, Work, act, exception, vif_of};
use crate::drops::DropReason;
use crate::ids::{Place, PortIndex, Tick};
use crate::packet::ether;
use crate::port::{BURST, Frame, Port};
use crate::tables::{Points, Snapshot, Vif, VifKind};

/// What there is to look up, and where it is written down.
pub type Books<'a> = (&'a Snapshot, &'a WorkerEnd);

/// Frames on their way out of one port, and the counter rows of the VIFs that they entered by.
pub struct TxQueue {
    frames: Vec<Frame>,
    /// Runs of frames: the row, and how many there are.
    slots: Vec<(usize, usize)>,
}

impl Default for TxQueue {
    fn default() -> Self {
        TxQueue { frames: Vec::with_capacity(BURST), slots: Vec::with_capacity(BURST) }
    }
}

impl TxQueue {
    /// Hands the frames to the port; what it refuses is a counted drop.
    pub fn flush(&mut self, port: &mut Option<Box<dyn Port>>, vif: Option<&Vif>, (snapshot, end): Books) {
        if self.frames.is_empty() {
            return;
        }
        let Some(port) = port else {
            self.settle(0, DropReason::NextHopGone, (snapshot, end));
            return;
        };
        let report = if snapshot.captures.at.have(Points::TX) {
            end.send_seen(snapshot, &mut **port, (&mut self.frames, &self.slots), vif.map(|vif| vif.id))
        } else {
            port.tx(&mut self.frames)
        };
        let counters = &end.counters;
        counters.worker.sent.add(report.frames as u64);
        let slot = vif.map_or(counters.no_vif(), |vif| vif.slot);
        counters.vif(slot).tx_packets.add(report.frames as u64);
        counters.vif(slot).tx_bytes.add(report.bytes as u64);
        self.settle(report.frames, port.refusal(), (snapshot, end));
    }

    /// Room for frames before the next flush.
    #[inline]
    pub fn room(&self) -> usize {
        BURST - self.frames.len()
    }

    /// Adds frames that entered by the VIF with this row, as many as there is room for.
    #[inline]
    pub fn push(&mut self, frames: &mut impl ExactSizeIterator<Item = Frame>, slot: usize) {
        let taken = frames.len().min(self.room());
        if taken == 0 {
            return;
        }
        match self.slots.last_mut() {
            Some((last, count)) if *last == slot => *count += taken,
            _ => self.slots.push((slot, taken)),
        }
        self.frames.extend(frames.take(taken));
    }

    /// Takes all frames, at most a burst, which entered by the VIF with this row, by exchanging vectors; unless frames wait here.
    #[inline]
    pub fn exchange(&mut self, frames: &mut Vec<Frame>, slot: usize) -> bool {
        let can = self.frames.is_empty();
        if can {
            self.slots.push((slot, frames.len()));
            std::mem::swap(&mut self.frames, frames);
        }
        can
    }

    /// The first `sent` frames are forwarded, the others, which are left, dropped for this reason. Empties the queue.
    fn settle(&mut self, mut sent: usize, reason: DropReason, (snapshot, end): Books) {
        let mut left = self.frames.drain(..);
        for (slot, count) in self.slots.drain(..) {
            let forwarded = count.min(sent);
            sent -= forwarded;
            end.counters.vif(slot).forwarded.add(forwarded as u64);
            if count > forwarded {
                end.counters.drop(slot, reason, (count - forwarded) as u64);
                for frame in left.by_ref().take(count - forwarded) {
                    end.see_drop(snapshot, &frame, reason, slot);
                }
            }
        }
    }
}

/// The ways out.
pub struct Outbox<'a> {
    pub snapshot: &'a Snapshot,
    pub end: &'a WorkerEnd,
    pub accounts: &'a Accounts,
    pub flows: &'a FlowTable,
    pub tx: &'a mut [TxQueue],
    pub branches: &'a mut BranchQueues,
    pub ports: &'a mut [Option<Box<dyn Port>>],
    pub budgets: &'a mut [Budget],
    pub neighbour_budgets: &'a mut [Budget],
    pub flood_budgets: &'a mut [Budget],
    pub exception_budgets: &'a mut [Budget],
    pub held: &'a mut Held,
    pub assembly: &'a mut Assembly,
    pub now: Tick,
}

impl Outbox<'_> {
    /// Empties the burst.
    pub fn finish(&mut self, frames: &mut Vec<Frame>, burst: &mut Vec<Work>) {
        for (frame, work) in frames.drain(..).zip(&*burst) {
            self.carry_out(frame, work);
        }
        burst.clear();
    }

    pub(super) fn carry_out(&mut self, frame: Frame, work: &Work) {
        match work.fate {
            Fate::Send(port) => self.send(port.index(), frame, work),
            Fate::Split(next_hop) => self.split(&frame, work, next_hop),
            Fate::Segment(onward) => self.segment(&frame, work, onward),
            Fate::Drop(reason, culprit) => self.drop(work, &frame, reason, culprit),
            Fate::DropAndTell(reason, culprit, why) => {
                self.drop(work, &frame, reason, culprit);
                self.tell(work, &frame, why);
            }
            Fate::Punt(why) => self.punt_classified(work, &frame, why),
            Fate::PuntUnread { place, why, tunnel, from, l3 } => {
                let punt = Copied { place, why, tunnel, from, l3 };
                self.punt(work, &frame, punt);
            }
            Fate::Except { port, learn } => self.except(port.index(), frame, work, learn),
            Fate::Flood(flood) => self.flood(frame, work, flood),
            Fate::Hold => self.hold(frame, work),
            Fate::Assemble { l3, unless } => self.assemble(frame, work, l3, unless),
            // every frame was decided; these cannot be here, and if they were, nothing may vanish
            Fate::Pending | Fate::Forward(_) | Fate::Carry { .. } => {
                debug_assert!(false, "a frame without fate");
                self.drop(work, &frame, DropReason::NextHopGone, Culprit::Frame);
            }
        }
    }

    fn send(&mut self, port: usize, frame: Frame, work: &Work) {
        if frame.undone.segment().is_some() && !self.takes_segments(port, &frame) {
            return self.segment(&frame, work, Onward::Sent(PortIndex(port as u16)));
        }
        let Some(queue) = self.tx.get_mut(port) else {
            let branch = PortIndex(port as u16);
            if self.snapshot.branches.of(branch).is_none() {
                return self.drop(work, &frame, DropReason::NextHopGone, Culprit::Frame);
            }
            let way = (self.snapshot, &mut *self.ports, self.end);
            return self.branches.send(branch, &mut std::iter::once(frame), work.slot, way);
        };
        queue.push(&mut std::iter::once(frame), work.slot);
        if queue.room() == 0 {
            queue.flush(&mut self.ports[port], vif_of(self.snapshot, port), (self.snapshot, self.end));
        }
    }

    /// To the host's kernel, or from it.
    pub(super) fn except(&mut self, port: usize, mut frame: Frame, work: &Work, learn: Option<Why>) {
        let entered = work.vif.and_then(|vif| self.snapshot.vifs.row(vif.index()));
        if entered.is_some_and(|vif| vif.vlan.is_some()) {
            act::take_tags(&mut frame, 1);
        }
        if let (Some(why), Some(vif)) = (learn, work.vif) {
            let copied = Copied { place: Place::Vif(vif), why, tunnel: None, from: 0, l3: ether::HEADER as u16 };
            if self.copy(work, &frame, copied).is_ok() {
                self.end.counters.worker.copied.add(1);
            }
        }
        let budget = self.exception_budgets.get_mut(port);
        if budget.is_some_and(|budget| budget.take_at_most(exception::PER_SECOND, exception::AT_ONCE, self.now)) {
            self.send(port, frame, work);
        } else {
            self.drop(work, &frame, DropReason::ExceptionBudget, Culprit::Frame);
        }
    }

    pub(super) fn drop(&self, work: &Work, frame: &Frame, reason: DropReason, culprit: Culprit) {
        self.end.counters.drop(work.slot, reason, 1);
        let tunnel = work.tunnel();
        if let (Some(vif), Some(vrf)) = (work.vif, tunnel) {
            self.end.vrf_drops.add(self.snapshot, Of { vif, vrf, reason });
        }
        self.end.victims.remember(reason, self.now, (work.vif, tunnel), culprit, frame.bytes());
        if self.snapshot.captures.at.have(Points::DROP) {
            self.end.capture(self.snapshot, frame, (Seen::Drop(reason, culprit), work.slot, work.vif));
        }
    }

    /// A copy of a dropped packet, so that the slow path can tell its sender; none when the budget is spent.
    fn tell(&mut self, work: &Work, frame: &Frame, why: Why) {
        let Some(punt) = Copied::of(work, why).filter(|_| !work.originated) else { return };
        if self.budget(work, punt.place, why).is_ok() && self.copy(work, frame, punt).is_ok() {
            self.end.counters.worker.copied.add(1);
        }
    }

    fn punt_classified(&mut self, work: &Work, frame: &Frame, why: Why) {
        match Copied::of(work, why) {
            Some(punt) => self.punt(work, frame, punt),
            None => self.drop(work, frame, DropReason::LocalUnanswered, Culprit::Frame),
        }
    }

    /// The frame goes on as a copy in the slow path.
    fn punt(&mut self, work: &Work, frame: &Frame, punt: Copied) {
        let may = if self.underlay(&punt).is_some() { Ok(()) } else { self.budget(work, punt.place, punt.why) };
        match may.and_then(|()| self.copy(work, frame, punt)) {
            Ok(()) => {
                self.end.counters.worker.punted.add(1);
                self.end.counters.vif(work.slot).punted.add(1);
            }
            Err(reason) => self.drop(work, frame, reason, Culprit::Frame),
        }
    }

    fn copy(&self, work: &Work, frame: &Frame, punt: Copied) -> Result<(), DropReason> {
        let rings = &self.end.rings;
        let ring = self.underlay(&punt).unwrap_or(&rings.tenant);
        let bytes = frame.bytes().get(usize::from(punt.from)..).unwrap_or_default();
        let mut copy = ring.free.copy(bytes).ok_or(DropReason::PuntRingFull)?;
        let Copied { place, why, tunnel, l3, .. } = punt;
        if frame.undone.segment().is_none() {
            copy.undone = frame.undone;
            copy.complete(l3.into());
        }
        let punt = Punt { place, vif: work.vif, why, hash: work.hash, tunnel, l3, frame: copy };
        ring.punts.push(punt).map_err(|_| DropReason::PuntRingFull)
    }

    /// ARP and ND of the underlay, and BFD, have rings of their own, so that nobody's flood keeps neighbours from being resolved, nor
    /// from being found alive.
    fn underlay(&self, punt: &Copied) -> Option<&'_ Ring> {
        let Place::Vif(vif) = punt.place else { return None };
        let fabric = self.snapshot.vifs.row(vif.index()).is_some_and(|vif| vif.kind == VifKind::Fabric);
        match punt.why {
            Why::Arp | Why::NeighbourDiscovery if fabric => Some(&self.end.rings.underlay),
            Why::Bfd(_) => Some(&self.end.rings.bfd),
            _ => None,
        }
    }

    /// A token of whom it is charged to. ARP and ND have their own, so that a guest that floods the slow path otherwise still reaches its
    /// gateway. The two together fill half a ring at once, so that one flood leaves room for everybody else.
    fn budget(&mut self, work: &Work, place: Place, why: Why) -> Result<(), DropReason> {
        if !self.accounts.take(&Purse::of(self.snapshot, place), Rate::Punts, self.now) {
            return Err(DropReason::PuntQuota);
        }
        let neighbour = matches!(why, Why::Arp | Why::NeighbourDiscovery);
        let budgets = if neighbour { &mut *self.neighbour_budgets } else { &mut *self.budgets };
        let may = budgets[work.charge].take_at_most(self.snapshot.punts_per_second, RING as u32 / 4, self.now);
        if may { Ok(()) } else { Err(DropReason::PuntBudget) }
    }
}

/// Which part of a frame is copied, and as what.
struct Copied {
    place: Place,
    why: Why,
    tunnel: Option<TunnelSource>,
    from: u16,
    l3: u16,
}

impl Copied {
    /// A classified packet: from its inner Ethernet header on where it has one; for `Resolve` its L3 packet alone.
    fn of(work: &Work, why: Why) -> Option<Copied> {
        let found = work.classified?;
        let bare = matches!(why, Why::Resolve { .. })
            || matches!(found.tunnel, Some(TunnelSource { by: TunnelId::Label(_), .. }))
            || work.originated;
        let from = if bare { found.l3 } else { found.l3 - ether::HEADER as u16 };
        Some(Copied { place: found.place, why, tunnel: found.tunnel, from, l3: found.l3 - from })
    }
}
