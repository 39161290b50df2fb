//! The whole pipeline on in-memory frames: a worker between a source and a sink that share their buffers.

use std::sync::Arc;

use flowtable::{Config, FlowTable, Region};
use parking_lot::Mutex;
use vrouter::api::v1;
use vrouter::api::yaml::Network;
use vrouter::datapath::shared::Limits;
use vrouter::datapath::{Shared, Worker};
use vrouter::ids::{Mac, Tick, WorkerIndex};
use vrouter::model::{self, Batch, Model, PortInfo};
use vrouter::port::{BURST, Frame, Port, RxReport, TxReport};
use vrouter::tables::{Found, Snapshot};

/// Buffers that go round between source and sink.
const BUFFERS: usize = 256;

/// Gives the packets of its list in turn, in buffers that come back through [`Sink`].
struct Source {
    free: Arc<Mutex<Vec<Frame>>>,
    packets: Vec<Vec<u8>>,
    next: usize,
}

/// Takes everything and gives the buffers back.
struct Sink {
    free: Arc<Mutex<Vec<Frame>>>,
}

impl Port for Source {
    fn rx(&mut self, frames: &mut Vec<Frame>) -> RxReport {
        let mut free = self.free.lock();
        let from = free.len().saturating_sub(BURST.min(frames.capacity() - frames.len()));
        let start = frames.len();
        frames.extend(free.drain(from..));
        for frame in &mut frames[start..] {
            frame.fill(&self.packets[self.next]);
            self.next = (self.next + 1) % self.packets.len();
        }
        RxReport { frames: frames.len() - start, ..RxReport::default() }
    }

    fn tx(&mut self, frames: &mut Vec<Frame>) -> TxReport {
        give_back(&self.free, frames)
    }
}

impl Port for Sink {
    fn rx(&mut self, _: &mut Vec<Frame>) -> RxReport {
        RxReport::default()
    }

    fn tx(&mut self, frames: &mut Vec<Frame>) -> TxReport {
        give_back(&self.free, frames)
    }
}

fn give_back(free: &Mutex<Vec<Frame>>, frames: &mut Vec<Frame>) -> TxReport {
    let count = frames.len();
    for frame in frames.iter_mut() {
        frame.finish_outer_checksum();
    }
    let bytes = frames.iter().map(Frame::len).sum();
    free.lock().append(frames);
    TxReport { frames: count, bytes }
}

/// A vRouter with the ports `tenant`, `fabric` and `second`; one of the first two gives packets, the others take them.
pub struct Pipeline {
    worker: Worker,
    shared: Arc<Shared>,
}

/// Puts of the objects of a network.
fn changes(network: &str) -> Vec<v1::Change> {
    let network = Network::parse("bench", network).expect("a network");
    network.changes().expect("changes").into_iter().map(|(change, _)| change).collect()
}

/// Which side the packets come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Tenant,
    Fabric,
}

impl Pipeline {
    /// A vRouter of this network, fed from one side, with room for a quarter of a million pairs of flows.
    ///
    /// # Panics
    /// When the network is refused.
    pub fn new(network: &str, side: Side, packets: Vec<Vec<u8>>) -> Pipeline {
        Pipeline::with_pairs(network, side, packets, 1 << 18)
    }

    /// The same with room for so many pairs of flows of IPv4, and of IPv6.
    ///
    /// # Panics
    /// When the network is refused.
    pub fn with_pairs(network: &str, side: Side, packets: Vec<Vec<u8>>, pairs: u32) -> Pipeline {
        Pipeline::with_shadow((network, None), side, packets, pairs)
    }

    /// The same where policies are tried beside those of the network.
    ///
    /// # Panics
    /// When the network or the policies are refused.
    pub fn with_shadow(
        (network, candidate): (&str, Option<&str>),
        side: Side,
        packets: Vec<Vec<u8>>,
        pairs: u32,
    ) -> Pipeline {
        let port = |name: &str, last| PortInfo {
            name: name.into(),
            devargs: String::new(),
            mac: Mac([2, 0, 0, 0, 0, last]),
            mtu: 1500,
            queues: 1,
        };
        let mut model =
            Model::new(model::Limits::default(), vec![port("tenant", 1), port("fabric", 2), port("second", 3)]);
        model.apply("bench", &changes(network)).expect("a network that is accepted");
        for (vif, address) in model.needed_neighbours() {
            model.learn(vif, address, Mac([2, 0, 0, 0, 0, 0xee]));
        }
        if let Some(candidate) = candidate {
            let changes = changes(candidate);
            let batch = Batch { owner: "bench", changes: changes.as_slice().into(), ..Batch::default() };
            let shadow = model.shadow(&batch, &Arc::new(Found::new(1))).expect("policies that can be tried");
            model.judge_by_shadow(Some(Arc::new(shadow)));
        }
        let sizes = Config { narrow_pairs: pairs, wide_pairs: pairs, seed: 7, time_base: 0 };
        let region = Region::heap(sizes.bytes().expect("sizes")).expect("memory");
        let flows = FlowTable::create(region, &sizes).expect("a table");
        let limits = Limits { vif_slots: 64, new_flows_per_second: u32::MAX };
        let shared = Arc::new(Shared::new(model.snapshot(), flows, 1, limits));
        let free = Arc::new(Mutex::new(Vec::with_capacity(BUFFERS)));
        free.lock().extend((0..BUFFERS).filter_map(|_| Frame::from_bytes(&[])));
        let source: Box<dyn Port> = Box::new(Source { free: free.clone(), packets, next: 0 });
        let sink = || -> Option<Box<dyn Port>> { Some(Box::new(Sink { free: free.clone() })) };
        let ports = match side {
            Side::Tenant => [Some(source), sink(), sink()],
            Side::Fabric => [sink(), Some(source), sink()],
        };
        let worker = Worker::new(WorkerIndex(0), shared.clone(), ports.into());
        Pipeline { worker, shared }
    }

    /// Moves one burst.
    pub fn burst(&mut self) -> usize {
        self.worker.poll(Tick(1))
    }

    /// Packets dropped so far: a bench of forwarding asserts that there are none.
    pub fn dropped(&self) -> u64 {
        self.shared.workers[0].counters.worker.dropped.count()
    }

    /// Packets so far that were of flows in the table, and that were not.
    pub fn hits_and_misses(&self) -> (u64, u64) {
        let worker = &self.shared.workers[0].counters.worker;
        (worker.flow_hits.count(), worker.flow_misses.count())
    }

    /// What it forwards by.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// Packets sent so far.
    pub fn sent(&self) -> u64 {
        self.shared.workers[0].counters.worker.sent.count()
    }
}
