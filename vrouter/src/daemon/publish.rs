//! Publishing snapshots, and freeing the ones that no worker forwards by any more.

use std::collections::VecDeque;
use std::sync::Arc;

use super::flow_file::Numbering;
use crate::datapath::Shared;
use crate::tables::Snapshot;

/// Publishes; holds each older snapshot until every worker has a newer one, so that its memory is never freed on a
/// worker: here, or where a list of flows that reads it ends. Control thread.
pub struct Publisher {
    shared: Arc<Shared>,
    current: Arc<Snapshot>,
    retired: VecDeque<Arc<Snapshot>>,
    /// What numbers in the flow file stand for, if there is one.
    numbering: Option<Numbering>,
}

impl Publisher {
    /// Goes on from the snapshot that the workers start with.
    pub fn new(shared: Arc<Shared>) -> Publisher {
        let current = shared.snapshot.load_full();
        let numbering = Numbering::resume(shared.flows.spare(), shared.flows.config().seed, &current);
        Publisher { current, shared, retired: VecDeque::new(), numbering }
    }

    /// The newest snapshot.
    pub fn current(&self) -> &Arc<Snapshot> {
        &self.current
    }

    /// Makes this the one that workers take next.
    pub fn publish(&mut self, snapshot: Arc<Snapshot>) {
        // before a worker can put one of its numbers into a flow
        if let Some(numbering) = &mut self.numbering {
            numbering.renew(self.shared.flows.spare(), &snapshot);
        }
        self.shared.snapshot.store(snapshot.clone());
        self.retired.push_back(std::mem::replace(&mut self.current, snapshot));
        self.reclaim();
    }

    /// Frees what is free.
    pub fn reclaim(&mut self) {
        let seen = self.shared.seen();
        while self.retired.front().is_some_and(|old| old.generation.0 < seen) {
            self.retired.pop_front();
        }
    }

    /// Snapshots that wait for a worker.
    pub fn waiting(&self) -> usize {
        self.retired.len()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // workers may end after us
        _ = self.shared.left.set(std::mem::take(&mut self.retired).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::Worker;
    use crate::datapath::shared::Limits;
    use crate::ids::{Generation, Tick, WorkerIndex};
    use flowtable::{Config, FlowTable, Region};

    fn at(generation: u64) -> Arc<Snapshot> {
        Arc::new(Snapshot { generation: Generation(generation), ..Snapshot::default() })
    }

    #[test]
    fn a_snapshot_is_freed_here_once_every_worker_has_a_newer_one() {
        let config = Config { narrow_pairs: 64, wide_pairs: 64, seed: 1, time_base: 0 };
        let flows = FlowTable::create(Region::heap(config.bytes().unwrap()).unwrap(), &config).unwrap();
        let limits = Limits { vif_slots: 1, new_flows_per_second: 1 };
        let shared = Arc::new(Shared::new(at(1), flows, 2, limits));
        let mut workers = [0, 1].map(|index| Worker::new(WorkerIndex(index), shared.clone(), Vec::new()));
        let mut publisher = Publisher::new(shared);
        workers.iter_mut().for_each(|worker| _ = worker.poll(Tick(1)));
        let first = Arc::downgrade(publisher.current());
        publisher.publish(at(2));
        workers[0].poll(Tick(1));
        publisher.reclaim();
        assert_eq!(publisher.waiting(), 1, "worker 1 may still read it");
        assert!(first.upgrade().is_some());
        workers[1].poll(Tick(1));
        assert!(first.upgrade().is_some(), "a worker freed it");
        publisher.reclaim();
        assert!(first.upgrade().is_none());
        let second = Arc::downgrade(publisher.current());
        publisher.publish(at(3));
        drop(publisher);
        assert!(second.upgrade().is_some(), "a worker would free it");
    }
}
