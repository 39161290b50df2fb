//! Ports that come and go while the worker runs: ends are handed to it and given back over bounded rings, and change hands where the
//! snapshot does. A worker whose snapshot names no new ports does not look here.

use std::sync::Arc;
use std::vec::Drain;

use crossbeam::queue::ArrayQueue;

use super::branches::BranchQueues;
use super::classify::vif_of;
use super::finish::TxQueue;
use super::shared::WorkerEnd;
use crate::ids::{Generation, PortIndex};
use crate::port::{Frame, Port};
use crate::tables::{PortRow, Snapshot};

/// One worker's rings. Neither is ever full: a port's number is not used again before every worker has given its end back.
pub struct PortRings {
    /// Ends of new ports, put here before the snapshot that names them is published.
    pub come: ArrayQueue<ComingPort>,
    /// One for each port that the worker's snapshot no longer names.
    pub gone: ArrayQueue<GonePort>,
}

/// A worker's end of a new port.
pub struct ComingPort {
    pub port: PortIndex,
    /// The generation that names it.
    pub since: Generation,
    pub end: Box<dyn Port>,
}

/// A worker uses this port no more.
pub struct GonePort {
    pub port: PortIndex,
    /// Absent: it had none.
    pub end: Option<Box<dyn Port>>,
}

/// A worker's ends of all ports. Allocates nothing once made.
pub(super) struct Ports {
    /// By [`PortIndex`], as many as the limit.
    pub ends: Vec<Option<Box<dyn Port>>>,
    pub tx: Vec<TxQueue>,
    pub branches: BranchQueues,
    /// Taken from the ring before their generation was published.
    early: Vec<ComingPort>,
    /// One more than the last end's index: what is polled.
    polled: usize,
}

impl PortRings {
    /// For this many ports.
    pub fn new(limit: usize) -> PortRings {
        let limit = limit.max(1);
        PortRings { come: ArrayQueue::new(limit), gone: ArrayQueue::new(limit) }
    }
}

impl Ports {
    /// These ends, and room for as many as the limit.
    pub fn new(mut ends: Vec<Option<Box<dyn Port>>>, limit: usize) -> Ports {
        let limit = limit.max(ends.len());
        ends.resize_with(limit, || None);
        let tx = ends.iter().map(|_| TxQueue::default()).collect();
        let mut ports =
            Ports { ends, tx, branches: BranchQueues::default(), early: Vec::with_capacity(limit), polled: 0 };
        ports.renew_polled();
        ports
    }

    /// How many places are polled.
    #[inline]
    pub fn polled(&self) -> usize {
        self.polled
    }

    /// Goes from one snapshot's ports to the next one's: gives back what the new one does not name, after what waits has been sent
    /// there, and takes what it does.
    pub fn turn(&mut self, old: &Snapshot, new: &Snapshot, end: &WorkerEnd) {
        let rings = &end.ports;
        if !Arc::ptr_eq(&old.branches, &new.branches) || !Arc::ptr_eq(&old.ports, &new.ports) {
            // a sub-interface's number may be another's from now on
            self.branches.flush((old, &mut self.ends, end));
        }
        if Arc::ptr_eq(&old.ports, &new.ports) {
            return;
        }
        while let Some(coming) = rings.come.pop() {
            self.early.push(coming);
        }
        for (at, row) in new.ports.iter().enumerate().filter(|(_, row)| !row.there) {
            let known = old.ports.get(at).is_some_and(|row: &PortRow| row.there);
            let early =
                self.early.iter().position(|coming| coming.port.index() == at && coming.since <= new.generation);
            let given = match early {
                // it came and went between two snapshots of this worker
                Some(early) => Some(self.early.swap_remove(early).end),
                None if known => {
                    self.tx[at].flush(&mut self.ends[at], vif_of(old, at), (old, end));
                    self.ends[at].take()
                }
                None => continue,
            };
            let gone = rings.gone.push(GonePort { port: PortIndex(at as u16), end: given });
            assert!(gone.is_ok(), "a port's number was used again too early");
            debug_assert!(row.vif.is_none(), "a VIF without a port");
        }
        while let Some(ready) = self.early.iter().position(|coming| coming.since <= new.generation) {
            let ComingPort { port, end, .. } = self.early.swap_remove(ready);
            self.ends[port.index()] = Some(end);
        }
        self.renew_polled();
    }

    /// Puts all of them into the queue of a port by exchanging vectors, if nothing waits there.
    #[inline]
    pub fn send_all(
        &mut self,
        port: PortIndex,
        frames: &mut Vec<Frame>,
        slot: usize,
        snapshot: &Snapshot,
        end: &WorkerEnd,
    ) -> bool {
        let port = port.index();
        let Some(queue) = self.tx.get_mut(port).filter(|_| !frames.is_empty()) else { return false };
        let sent = queue.exchange(frames, slot);
        if sent && queue.room() == 0 {
            queue.flush(&mut self.ends[port], vif_of(snapshot, port), (snapshot, end));
        }
        sent
    }

    /// Puts frames, which entered by the VIF with this row of counters, into the queue of a port.
    #[inline]
    pub fn send(
        &mut self,
        port: PortIndex,
        frames: &mut Drain<Frame>,
        slot: usize,
        snapshot: &Snapshot,
        end: &WorkerEnd,
    ) {
        let branch = port;
        let port = port.index();
        let Some(queue) = self.tx.get_mut(port) else {
            return self.branches.send(branch, frames, slot, (snapshot, &mut self.ends, end));
        };
        loop {
            queue.push(frames, slot);
            if queue.room() > 0 {
                break;
            }
            queue.flush(&mut self.ends[port], vif_of(snapshot, port), (snapshot, end));
        }
    }

    /// Sends what waits for each port.
    pub fn flush(&mut self, snapshot: &Snapshot, end: &WorkerEnd) {
        for (port, (queue, device)) in self.tx.iter_mut().zip(&mut self.ends).enumerate() {
            queue.flush(device, vif_of(snapshot, port), (snapshot, end));
        }
        self.branches.flush((snapshot, &mut self.ends, end));
    }

    fn renew_polled(&mut self) {
        self.polled = self.ends.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    }
}
