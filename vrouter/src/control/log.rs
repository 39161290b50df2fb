//! The log of changes that watchers follow: one for all of them, bounded in changes and bytes. A watcher has a place in it, not a copy,
//! so that however many there are and however slow, memory is the log's; one whose place is forgotten is told so.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use prost::Message;
use tokio::sync::watch;

use crate::api::v1;

/// Changes that the log keeps at most, of all generations together.
pub const CHANGES: usize = 65_536;
/// Their bytes, as they are sent.
pub const BYTES: usize = 16 << 20;
/// Reports of verdicts that it keeps.
const REPORTS: usize = 64;

/// What one generation changed.
#[derive(Debug, PartialEq)]
pub struct Entry {
    pub generation: u64,
    /// Whose batch; empty: nobody's.
    pub owner: String,
    /// Empty: too many to be here.
    pub changes: Vec<v1::Change>,
}

/// Written by the control thread, read by the socket's; the lock is held for moments.
pub struct Log {
    kept: Mutex<Kept>,
    /// The newest generation.
    newest: watch::Sender<u64>,
    changes: usize,
    bytes: usize,
}

#[derive(Default)]
struct Kept {
    entries: VecDeque<(Arc<Entry>, usize)>,
    changes: usize,
    bytes: usize,
    /// All that came after this generation is here.
    since: u64,
    /// What live flows made of changes, by generation; told later than those.
    reports: VecDeque<Arc<v1::VerdictsChanged>>,
}

/// What follows a place in the log.
#[derive(Debug, PartialEq)]
pub enum Next {
    Entry(Arc<Entry>),
    /// What followed is forgotten (or the place was never there): the log goes on after this generation.
    Lost(u64),
    /// Up to this generation nothing is to be told.
    Skip(u64),
    /// Nothing yet.
    Wait,
}

impl Log {
    /// Empty, of a model at this generation.
    pub fn new(generation: u64) -> Log {
        Log::bounded(generation, CHANGES, BYTES)
    }

    /// With other bounds.
    pub fn bounded(generation: u64, changes: usize, bytes: usize) -> Log {
        let kept = Mutex::new(Kept { since: generation, ..Kept::default() });
        Log { kept, newest: watch::Sender::new(generation), changes, bytes }
    }

    /// Adds the next generation; without changes there were too many to tell, as when they alone are beyond the bounds. Control thread.
    pub fn add(&self, generation: u64, owner: String, changes: Option<Vec<v1::Change>>) {
        let mut kept = self.kept.lock();
        match changes {
            Some(changes) if changes.is_empty() => {}
            changes => {
                let mut changes = changes.unwrap_or_default();
                let mut bytes = changes.iter().map(Message::encoded_len).sum();
                if changes.len() > self.changes || bytes > self.bytes {
                    (changes, bytes) = (Vec::new(), 0);
                }
                kept.changes += changes.len().max(1);
                kept.bytes += bytes;
                kept.entries.push_back((Arc::new(Entry { generation, owner, changes }), bytes));
                while kept.changes > self.changes || kept.bytes > self.bytes {
                    kept.forget();
                }
            }
        }
        // under the lock: who sees the generation finds its entry
        self.newest.send_replace(generation);
    }

    /// What follows this generation, but for batches of `not_owner` (empty: of everybody). Any thread.
    pub fn next(&self, after: u64, not_owner: &str) -> Next {
        let kept = self.kept.lock();
        let newest = *self.newest.borrow();
        if after < kept.since || after > newest {
            return Next::Lost(newest);
        }
        let at = kept.entries.partition_point(|(entry, _)| entry.generation <= after);
        match kept.entries.get(at) {
            None => Next::Wait,
            Some((entry, _)) if !not_owner.is_empty() && entry.owner == *not_owner => Next::Skip(entry.generation),
            Some((entry, _)) if entry.changes.is_empty() => Next::Lost(newest),
            Some((entry, _)) => Next::Entry(entry.clone()),
        }
    }

    /// Adds a report of a newer generation than those before. Any thread.
    pub fn report(&self, report: v1::VerdictsChanged) {
        let mut kept = self.kept.lock();
        kept.reports.push_back(Arc::new(report));
        if kept.reports.len() > REPORTS {
            kept.reports.pop_front();
        }
        // wakes who waits: the generation is none of the report's
        self.newest.send_modify(|_| ());
    }

    /// The first report after this generation. Any thread.
    pub fn next_report(&self, after: u64) -> Option<Arc<v1::VerdictsChanged>> {
        let kept = self.kept.lock();
        kept.reports.get(kept.reports.partition_point(|report| report.generation <= after)).cloned()
    }

    /// Rises with the log. Any thread.
    pub fn rises(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Whether somebody waits for it to rise.
    pub fn is_watched(&self) -> bool {
        self.newest.receiver_count() > 0
    }
}

impl Kept {
    fn forget(&mut self) {
        let Some((entry, bytes)) = self.entries.pop_front() else { return };
        self.since = entry.generation;
        self.changes -= entry.changes.len().max(1);
        self.bytes -= bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(count: usize) -> Option<Vec<v1::Change>> {
        let key = v1::ObjectKey { kind: Some(v1::object_key::Kind::Vrf("red".into())) };
        Some(vec![v1::Change { op: Some(v1::change::Op::Delete(key)) }; count])
    }

    fn generation(next: Next) -> u64 {
        if let Next::Entry(entry) = next { entry.generation } else { panic!("{next:?}") }
    }

    #[test]
    fn a_place_is_followed_until_it_is_forgotten() {
        let log = Log::bounded(5, 10, 1000);
        assert_eq!(log.next(5, ""), Next::Wait);
        assert_eq!(log.next(4, ""), Next::Lost(5), "before the log began");
        assert_eq!(log.next(6, ""), Next::Lost(5), "of another daemon's life");
        log.add(6, "bgp".into(), changes(4));
        log.add(7, String::new(), changes(0));
        log.add(8, String::new(), changes(4));
        assert_eq!((generation(log.next(5, "")), generation(log.next(6, "")), generation(log.next(7, ""))), (6, 8, 8));
        assert_eq!(log.next(8, ""), Next::Wait);
        log.add(9, String::new(), changes(4));
        assert_eq!(log.next(5, ""), Next::Lost(9), "beyond its changes");
        assert_eq!(generation(log.next(6, "")), 8);
        log.add(10, String::new(), changes(11));
        assert_eq!((log.next(9, ""), log.next(10, "")), (Next::Lost(10), Next::Wait), "more than it holds");
        log.add(11, String::new(), changes(1));
        log.add(12, String::new(), None);
        assert_eq!((log.next(11, ""), log.next(12, "")), (Next::Lost(12), Next::Wait));
    }

    #[test]
    fn reports_are_followed_by_generation_and_bounded() {
        let log = Log::new(0);
        assert_eq!(log.next_report(0), None);
        let report = |generation| v1::VerdictsChanged { generation, ..Default::default() };
        let rises = log.rises();
        (1..=100).for_each(|at| log.report(report(10 * at)));
        assert!(rises.has_changed().unwrap());
        let after = |generation| log.next_report(generation).map(|report| report.generation);
        assert_eq!(
            (after(0), after(369), after(370), after(995), after(1000)),
            (Some(370), Some(370), Some(380), Some(1000), None)
        );
    }

    #[test]
    fn bytes_are_bounded_too() {
        let log = Log::bounded(0, 1000, 100);
        for generation in 1..50 {
            log.add(generation, String::new(), changes(2));
            assert!(log.kept.lock().bytes <= 100);
        }
        assert!(log.kept.lock().entries.len() >= 3);
    }
}
