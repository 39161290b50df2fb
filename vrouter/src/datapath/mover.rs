//! A worker that does not look at frames: the floor that measurements of forwarding subtract.

use std::sync::Arc;

use super::Shared;
use crate::drops::DropReason;
use crate::ids::WorkerIndex;
use crate::port::{BURST, Frame, Port};

/// Moves what a port receives to its neighbour: ports 0 and 1, 2 and 3, and so on; the last of an odd number to itself. One thread's.
pub struct Mover {
    shared: Arc<Shared>,
    index: WorkerIndex,
    ports: Vec<Option<Box<dyn Port>>>,
    frames: Vec<Frame>,
}

impl Mover {
    /// With this worker's ends of the ports.
    pub fn new(index: WorkerIndex, shared: Arc<Shared>, ports: Vec<Option<Box<dyn Port>>>) -> Mover {
        Mover { shared, index, ports, frames: Vec::with_capacity(BURST) }
    }

    /// One burst from each port. Returns the frames moved. What a port refuses is a counted drop.
    pub fn poll(&mut self) -> usize {
        let Mover { shared, index, ports, frames } = self;
        let counters = &shared.workers[index.index()].counters;
        let mut moved = 0;
        for at in 0..ports.len() {
            let Some(from) = &mut ports[at] else { continue };
            let report = from.rx(frames);
            let received = report.frames + report.multi_segment;
            moved += received + report.handed_over;
            if received == 0 {
                continue;
            }
            counters.worker.received.add(received as u64);
            let to = if at ^ 1 < ports.len() { at ^ 1 } else { at };
            let (sent, refusal) = match &mut ports[to] {
                Some(to) => (to.tx(frames).frames, to.refusal()),
                None => (0, DropReason::NextHopGone),
            };
            counters.worker.sent.add(sent as u64);
            let slot = counters.no_vif();
            for (reason, count) in [(DropReason::MultiSegment, report.multi_segment), (refusal, frames.len())] {
                if count > 0 {
                    counters.drop(slot, reason, count as u64);
                }
            }
            frames.clear();
        }
        counters.worker.polls.add(1);
        counters.worker.busy_polls.add(u64::from(moved > 0));
        moved
    }
}
