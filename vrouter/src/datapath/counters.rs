//! What a worker counts. Written by that worker alone (plain load and store, relaxed), read by the control thread.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::drops::DropReason;

/// One worker's counters. The rows of VIFs are by [`Vif::slot`](crate::tables::Vif::slot); the last row is of frames without VIF.
pub struct Counters {
    vifs: Box<[VifCounters]>,
    pub worker: WorkerCounters,
}

/// A VIF's counters, in cache lines of their own. Bytes are of frames, Ethernet header included, without FCS.
#[derive(Default)]
#[repr(align(64))]
pub struct VifCounters {
    pub rx_packets: Counter,
    pub rx_bytes: Counter,
    pub tx_packets: Counter,
    pub tx_bytes: Counter,
    /// Frames that entered here and left by whatever port.
    pub forwarded: Counter,
    /// Frames that entered here and went to the slow path; and held ones that came back.
    pub punted: Counter,
    pub returned: Counter,
    /// Frames made of what entered here, beside the one that each packet that left in pieces was.
    pub pieces: Counter,
    /// Copies made of frames that entered here and went to everybody in a bridge.
    pub copied: Counter,
    /// Fragments that entered here and were kept for a while, and what went on of them.
    pub fragments_held: Counter,
    pub fragments_released: Counter,
    drops: Box<[Counter]>,
}

/// A worker's own counters.
#[derive(Default)]
pub struct WorkerCounters {
    pub polls: Counter,
    pub busy_polls: Counter,
    pub received: Counter,
    pub sent: Counter,
    pub dropped: Counter,
    /// Copies made for the slow path of frames that were dropped.
    pub copied: Counter,
    /// Frames made beside those that packets that left in pieces came in.
    pub pieces: Counter,
    /// Copies made of frames to everybody in a bridge.
    pub flooded: Counter,
    /// Fragments that were kept for a while, and what went on of them.
    pub fragments_held: Counter,
    pub fragments_released: Counter,
    /// Those of them that are one with others in what went on.
    pub fragments_joined: Counter,
    /// Sightings of stations that the control thread was not told of.
    pub unheard: Counter,
    /// Frames handed to the slow path.
    pub punted: Counter,
    /// Frames taken from the slow path.
    pub injected: Counter,
    pub flow_hits: Counter,
    pub flow_misses: Counter,
    pub revalidated: Counter,
    /// Packets whose flows a change outdated that was not in force yet: they went as decided before.
    pub overlooked: Counter,
    /// The generation that the worker forwards by.
    pub generation: AtomicU64,
}

/// A number that one thread adds to and others read.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; the owning thread only.
    #[inline]
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    /// Counts from there on; the owning thread only.
    pub fn set(&self, count: u64) {
        self.0.store(count, Relaxed);
    }

    /// The count; any thread.
    pub fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counters {
    /// Counters for `slots` VIFs.
    pub fn new(slots: usize) -> Counters {
        let row = || VifCounters {
            drops: (0..DropReason::COUNT).map(|_| Counter::default()).collect(),
            ..VifCounters::default()
        };
        Counters { vifs: (0..=slots).map(|_| row()).collect(), worker: WorkerCounters::default() }
    }

    /// Bytes that counters for `slots` VIFs take.
    pub fn bytes(slots: usize) -> usize {
        (slots + 1) * (size_of::<VifCounters>() + DropReason::COUNT * size_of::<Counter>())
    }

    /// The row of frames that belong to no VIF.
    pub fn no_vif(&self) -> usize {
        self.vifs.len() - 1
    }

    /// A VIF's row; a slot beyond the limit is the row of no VIF.
    #[inline]
    pub fn vif(&self, slot: usize) -> &VifCounters {
        self.vifs.get(slot).unwrap_or(&self.vifs[self.vifs.len() - 1])
    }

    /// Counts frames dropped for one reason; the owning worker only.
    #[inline]
    pub fn drop(&self, slot: usize, reason: DropReason, frames: u64) {
        self.vif(slot).drops[reason as usize].add(frames);
        self.worker.dropped.add(frames);
    }
}

impl VifCounters {
    /// Frames dropped for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize].count()
    }
}
