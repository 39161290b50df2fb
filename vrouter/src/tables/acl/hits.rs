//! How often each rule of an ACL has decided: numbers that each worker has for itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Numbers between those of two workers, so that no cache line is of both, nor the one beside it.
const APART: usize = 16;

/// A number for each rule and one for the end, by worker. Without workers nothing is counted.
#[derive(Default)]
pub struct Hits {
    /// Worker by worker: the end, the rules, and a gap.
    numbers: Box<[AtomicU64]>,
    rules: usize,
    workers: usize,
}

impl Hits {
    /// Zeros, for so many rules and workers: 8 bytes each.
    pub fn new(rules: usize, workers: usize) -> Hits {
        let numbers = (0..workers * (rules + 1 + APART)).map(|_| AtomicU64::new(0)).collect();
        Hits { numbers, rules, workers }
    }

    /// Rules that it has numbers for.
    pub fn rules(&self) -> usize {
        if self.workers == 0 { 0 } else { self.rules }
    }

    fn at(&self, worker: usize, rule: Option<usize>) -> usize {
        worker * (self.rules + 1 + APART) + rule.map_or(0, |rule| rule + 1)
    }

    /// So many decisions more by the rule with this index, or by the end; -1 takes one back. The worker of this index only.
    #[inline]
    pub fn add(&self, worker: usize, rule: Option<usize>, more: i64) {
        if let Some(number) = self.numbers.get(self.at(worker, rule)) {
            number.store(number.load(Relaxed).wrapping_add_signed(more), Relaxed);
        }
    }

    /// Decisions by the rule with this index, or by the end, of all workers. Any thread; one that is taken back may be seen for a moment.
    pub fn count(&self, rule: Option<usize>) -> u64 {
        let numbers = (0..self.workers).filter_map(|worker| self.numbers.get(self.at(worker, rule)));
        numbers.map(|number| number.load(Relaxed)).sum()
    }
}
