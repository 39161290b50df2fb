//! Branches: frames of a port with sub-interfaces are told apart by their tags, which are taken off before anything else looks at them; what leaves
//! by a sub-interface has its tags put on last, and waits in one of a few queues of this worker's until its burst is whole.

use super::act;
use super::finish::TxQueue;
use super::shared::WorkerEnd;
use super::{Worker, vif_of};
use crate::drops::DropReason;
use crate::ids::{PortIndex, VifId};
use crate::packet::ether;
use crate::port::{Frame, Port};
use crate::tables::Snapshot;

/// Sub-interfaces whose frames may wait at once.
const QUEUES: usize = 16;

/// What a frame leaves by: what is known, the devices, and the books.
pub type Way<'a> = (&'a Snapshot, &'a mut [Option<Box<dyn Port>>], &'a WorkerEnd);

/// Frames on their way out of sub-interfaces.
pub struct BranchQueues([BranchQueue; QUEUES]);

#[derive(Default)]
struct BranchQueue {
    /// Whose frames wait.
    branch: Option<PortIndex>,
    waiting: TxQueue,
}

impl Default for BranchQueues {
    fn default() -> Self {
        BranchQueues(std::array::from_fn(|_| BranchQueue::default()))
    }
}

impl BranchQueues {
    /// Frames, which entered by the VIF with this row of counters, leave by the sub-interface with this port number of its own; if there is none,
    /// they are dropped.
    pub fn send(
        &mut self,
        branch: PortIndex,
        frames: &mut impl ExactSizeIterator<Item = Frame>,
        slot: usize,
        way: Way,
    ) {
        let (snapshot, ends, end) = way;
        let Some((tags, length)) = snapshot.branches.of(branch).map(|branch| ether::tags(branch.tags)) else {
            end.counters.drop(slot, DropReason::NextHopGone, frames.len() as u64);
            return frames.for_each(|frame| end.see_drop(snapshot, &frame, DropReason::NextHopGone, slot));
        };
        let queue = &mut self.0[branch.index() % QUEUES];
        if queue.branch != Some(branch) {
            queue.flush((snapshot, &mut *ends, end));
            queue.branch = Some(branch);
        }
        for mut frame in frames {
            match act::put_tags(&mut frame, &tags[..length]) {
                Ok(()) => queue.waiting.push(&mut std::iter::once(frame), slot),
                Err(reason) => {
                    end.counters.drop(slot, reason, 1);
                    end.see_drop(snapshot, &frame, reason, slot);
                }
            }
            if queue.waiting.room() == 0 {
                queue.flush((snapshot, &mut *ends, end));
            }
        }
    }

    /// Sends what waits.
    pub fn flush(&mut self, (snapshot, ends, end): Way) {
        for queue in self.0.iter_mut().filter(|queue| queue.branch.is_some()) {
            queue.flush((snapshot, &mut *ends, end));
        }
    }
}

impl BranchQueue {
    fn flush(&mut self, (snapshot, ends, end): Way) {
        let branch = self.branch.take().and_then(|branch| snapshot.branches.of(branch));
        let vif = branch.and_then(|branch| snapshot.vifs.row(branch.vif.index()));
        let device = branch.and_then(|branch| ends.get_mut(branch.port.index()));
        self.waiting.flush(device.unwrap_or(&mut None), vif, (snapshot, end));
    }
}

impl Worker {
    /// The path of a burst of a port with sub-interfaces: runs of frames of one VIF go their way one after the other.
    pub(super) fn receive_tagged(&mut self, port: usize) {
        // two vectors take turns, so that nothing is allocated
        let mut mixed = std::mem::replace(&mut self.received, std::mem::take(&mut self.mixed));
        let mut last = None;
        for mut frame in mixed.drain(..) {
            let entry = self.entry(port, &mut frame);
            if last != Some(entry) && !self.received.is_empty() {
                self.enter(port, last.flatten());
            }
            last = Some(entry);
            self.received.push(frame);
        }
        if !self.received.is_empty() {
            self.enter(port, last.flatten());
        }
        self.mixed = mixed;
    }

    /// The VIF that a frame enters by, without the tags by which it does.
    fn entry(&self, port: usize, frame: &mut Frame) -> Option<VifId> {
        let branches = &self.snapshot.branches;
        let vlans = ether::vlans(frame.bytes());
        match vlans.and_then(|(outer, inner)| branches.find(PortIndex(port as u16), outer, inner)) {
            Some((vif, tags)) => {
                act::take_tags(frame, tags);
                Some(vif)
            }
            None => vif_of(&self.snapshot, port).map(|vif| vif.id),
        }
    }
}
