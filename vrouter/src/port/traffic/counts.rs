//! What one end of a source or sink counts. Written by its worker alone (plain load and store, relaxed), read by the control thread.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::latency::BUCKETS;
use super::overflows::{Overflow, Overflows};

/// One end's numbers, in frames unless said otherwise.
#[derive(Default)]
pub struct Counts {
    /// Made, and given to the worker.
    pub made: Number,
    /// Fell due while the ring was full.
    pub missed: Number,
    /// When they were.
    pub overflows: Overflows,
    /// Sent to this end: all of them, and their bytes without FCS.
    pub taken: Number,
    pub bytes: Number,
    /// Of them with a stamp.
    pub stamped: Number,
    /// Numbers that did not come, of the streams that came.
    pub lost: Number,
    /// Came after later ones of their stream.
    pub late: Number,
    /// Came again.
    pub repeated: Number,
    /// Stamped frames by latency: see [`super::latency`].
    pub latencies: Box<[Number]>,
}

/// A number that one thread writes and others read.
#[derive(Default)]
pub struct Number(AtomicU64);

impl Number {
    /// Adds; the owning thread only.
    #[inline]
    pub fn add(&self, more: u64) {
        self.set(self.now().wrapping_add(more));
    }

    /// Sets; the owning thread only.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// The number; any thread.
    #[inline]
    pub fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counts {
    /// All zero.
    pub fn new() -> Counts {
        Counts { latencies: (0..BUCKETS).map(|_| Number::default()).collect(), ..Counts::default() }
    }
}

/// What all ends of a device counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub made: u64,
    pub missed: u64,
    /// When frames were missed: the last times of each end, in cycles.
    pub overflows: Vec<Overflow>,
    pub taken: u64,
    pub bytes: u64,
    pub stamped: u64,
    pub lost: u64,
    pub late: u64,
    pub repeated: u64,
    /// By bucket.
    pub latencies: Vec<u64>,
}

impl Totals {
    /// The sums, while the workers go on.
    pub fn of(ends: &[Counts]) -> Totals {
        let sum = |number: fn(&Counts) -> &Number| ends.iter().map(|end| number(end).now()).sum();
        Totals {
            made: sum(|end| &end.made),
            missed: sum(|end| &end.missed),
            overflows: ends.iter().flat_map(|end| end.overflows.kept()).collect(),
            taken: sum(|end| &end.taken),
            bytes: sum(|end| &end.bytes),
            stamped: sum(|end| &end.stamped),
            lost: sum(|end| &end.lost),
            late: sum(|end| &end.late),
            repeated: sum(|end| &end.repeated),
            latencies: (0..BUCKETS).map(|at| ends.iter().map(|end| end.latencies[at].now()).sum()).collect(),
        }
    }
}
