//! How often each rule of an ACL has decided: numbers that each worker has for itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Numbers between those of two workers, so that no cache line is of both, nor the one beside it.
const APART: usize = 16;

/// A number for each rule and one for the end, by worker. Without workers nothing is counted.
#[derive(Default)]
pub struct Hits(Box<[Box<[AtomicU64]>]>);

impl Hits {
    /// Zeros, for so many rules and workers: 8 bytes each.
    pub fn new(rules: usize, workers: usize) -> Hits {
        let row = || (0..rules + 1 + APART).map(|_| AtomicU64::new(0)).collect();
        Hits((0..workers).map(|_| row()).collect())
    }

    /// Rules that it has numbers for.
    pub fn rules(&self) -> usize {
        self.0.first().map_or(0, |row| row.len() - 1 - APART)
    }

    /// One more decision by the rule with this index, or by the end. The worker of this index only.
    pub fn add(&self, worker: usize, rule: Option<usize>) {
        let row = self.0.get(worker);
        if let Some(number) = row.and_then(|row| row.get(rule.map_or(0, |rule| rule + 1))) {
            number.store(number.load(Relaxed) + 1, Relaxed);
        }
    }

    /// Decisions by the rule with this index, or by the end, of all workers. Any thread.
    pub fn count(&self, rule: Option<usize>) -> u64 {
        let at = rule.map_or(0, |rule| rule + 1);
        self.0.iter().filter_map(|row| row.get(at)).map(|number| number.load(Relaxed)).sum()
    }
}
