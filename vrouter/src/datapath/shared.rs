//! What workers and the control thread share.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use flowtable::{FlowTable, Notes};

use super::capture::CaptureRing;
use super::counters::Counters;
use super::flood::COPIES;
use super::fragments;
use super::ports::PortRings;
use super::punt::{LARGE, Rings};
use super::quota::Accounts;
use super::route_hits::RouteHits;
use super::table::FlowPair;
use super::victims::Victims;
use super::vrf_drops::VrfDrops;
use crate::port::Rooms;
use crate::tables::{CAPTURES, Snapshot};

/// The one shared state. The control thread publishes snapshots; workers write the flow table and their own ends.
pub struct Shared {
    pub snapshot: ArcSwap<Snapshot>,
    pub flows: FlowTable,
    /// Where the later fragments of packets go.
    pub notes: Notes,
    /// Who holds them, and what else has quotas.
    pub accounts: Accounts,
    pub workers: Vec<WorkerEnd>,
    /// Frames that the slow path dropped last. Written by the control thread.
    pub slow_path_victims: Victims,
    /// Rows of per-VIF counters and budgets.
    pub vif_slots: usize,
    /// New flows that each worker sets up for one VIF in a second.
    pub new_flows_per_second: u32,
    /// The newest generation that somebody waits for too long: workers put it in force at once. Written by the control thread.
    pub urged: AtomicU64,
    /// What workers may still go by when the control thread has ended: it goes with the last of all.
    pub left: OnceLock<Vec<Arc<Snapshot>>>,
}

/// Limits that are fixed at start.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub vif_slots: usize,
    pub new_flows_per_second: u32,
}

/// One worker's end of what it shares with the control thread. No other worker's is in the same cache line, nor in the one beside, which
/// processors fetch along.
#[repr(align(128))]
pub struct WorkerEnd {
    pub counters: Counters,
    pub victims: Victims,
    pub vrf_drops: VrfDrops,
    pub route_hits: RouteHits,
    pub rings: Rings,
    /// For copies of frames to everybody in a bridge.
    pub copies: Rooms,
    pub ports: PortRings,
    /// For copies of frames that are looked at, by [`Capture::ring`](crate::tables::Capture::ring).
    pub captures: [CaptureRing; CAPTURES],
}

impl Shared {
    /// State for this many workers and VIF rows, with the first snapshot, whose rows of ports say how many there may be.
    pub fn new(snapshot: Arc<Snapshot>, flows: FlowTable, workers: usize, budget: Limits) -> Shared {
        let shared = Shared::uncharged(snapshot, flows, workers, budget);
        shared.accounts.charge(&shared.flows);
        shared
    }

    /// The same, but that nobody is charged for flows: their table may be another process's yet.
    pub fn uncharged(snapshot: Arc<Snapshot>, flows: FlowTable, workers: usize, budget: Limits) -> Shared {
        let Limits { vif_slots, new_flows_per_second } = budget;
        let limit = snapshot.ports.len();
        let end = || WorkerEnd {
            counters: Counters::new(vif_slots),
            victims: Victims::default(),
            vrf_drops: VrfDrops::default(),
            route_hits: RouteHits::default(),
            rings: Rings::default(),
            copies: Rooms::filled(COPIES, LARGE),
            ports: PortRings::new(limit),
            captures: Default::default(),
        };
        let pairs = flows.narrow().capacity().max(flows.wide().capacity());
        let (accounts, notes) = (Accounts::new(vif_slots, &flows), Notes::new(fragments::buckets(pairs)));
        let (workers, urged) = ((0..workers).map(|_| end()).collect(), AtomicU64::new(0));
        Shared {
            snapshot: ArcSwap::new(snapshot),
            flows,
            notes,
            accounts,
            workers,
            slow_path_victims: Victims::default(),
            vif_slots,
            new_flows_per_second,
            urged,
            left: OnceLock::new(),
        }
    }

    /// Places of flow pairs, for [`Shared::pair`].
    pub fn pairs(&self) -> u32 {
        self.flows.narrow().capacity() + self.flows.wide().capacity()
    }

    /// The flow pair in this place, if there is one. Any thread; no lock is held, workers go on meanwhile.
    pub fn pair(&self, at: u32) -> Option<FlowPair> {
        match at.checked_sub(self.flows.narrow().capacity()) {
            None => self.flows.narrow().pair(at).map(|pair| FlowPair::v4(&pair)),
            Some(at) => self.flows.wide().pair(at).map(|pair| FlowPair::v6(&pair)),
        }
    }

    /// The oldest generation that a worker still forwards by. Control thread.
    pub fn seen(&self) -> u64 {
        let seen = |end: &WorkerEnd| end.counters.worker.generation.load(std::sync::atomic::Ordering::Acquire);
        self.workers.iter().map(seen).min().unwrap_or(u64::MAX)
    }
}
