//! How many live flows a change of ACLs gave another verdict.
//!
//! Nothing is flushed when ACLs change: each flow is decided anew by its next packet. So nobody knows at once what a change did to a million
//! flows. A thread of its own, which everything else comes before, walks the table afterwards and tells watchers. It asks of each flow what its
//! next packet would have met before the change, and what it meets after it, by the snapshots of then and now: so it does not matter which flows
//! workers have decided anew meanwhile, and nobody need count for it.

mod causes;
mod walk;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::clock::Clock;
use crate::api::v1;
use crate::control::log::Log;
use crate::datapath::Shared;
use crate::tables::Snapshot;
use walk::Walk;

/// How long the thread sleeps at most while there is nothing to do.
const SLEEP: Duration = Duration::from_millis(200);
/// Pairs between two looks at whether it should stop.
const PIECE: u32 = 1 << 14;

/// Changes to be told of, and what was told last.
pub struct Verdicts {
    shared: Arc<Shared>,
    log: Arc<Log>,
    line: Mutex<Line>,
    changed: Condvar,
    /// Held by whoever walks.
    walk: Mutex<Option<Walk>>,
}

#[derive(Default)]
struct Line {
    waiting: Option<Span>,
    last: Option<v1::VerdictsChanged>,
}

/// Changes that are told of together.
struct Span {
    /// The snapshot before the first of them, and the one that the last made.
    before: Arc<Snapshot>,
    after: Arc<Snapshot>,
    changes: u64,
    /// When the first was made, in milliseconds.
    since: u64,
    /// Live flows then.
    flows: u64,
}

impl Verdicts {
    /// Nothing to tell yet; reports go into this log.
    pub fn new(shared: Arc<Shared>, log: Arc<Log>) -> Verdicts {
        let (line, walk) = (Mutex::default(), Mutex::default());
        Verdicts { shared, log, line, changed: Condvar::new(), walk }
    }

    /// What live flows meet is another from this snapshot on, which workers do not have yet.
    pub fn change(&self, before: &Arc<Snapshot>, after: &Arc<Snapshot>, now: u64) {
        let mut line = self.line.lock();
        match &mut line.waiting {
            Some(span) => {
                span.after = after.clone();
                span.changes += 1;
            }
            None => {
                let (before, after) = (before.clone(), after.clone());
                let flows = [self.shared.flows.narrow().used(), self.shared.flows.wide().used()];
                let flows = flows.into_iter().map(u64::from).sum();
                line.waiting = Some(Span { before, after, changes: 1, since: now, flows });
            }
        }
        self.changed.notify_one();
    }

    /// What was told last.
    pub fn last(&self) -> Option<v1::VerdictsChanged> {
        self.line.lock().last.clone()
    }

    /// Walks until `stop`.
    pub fn run(&self, clock: Clock, stop: &AtomicBool) {
        // relaxed: a flag that carries nothing but itself
        while !stop.load(Ordering::Relaxed) {
            if !self.step_at(clock.millis(), PIECE) {
                let mut line = self.line.lock();
                if line.waiting.is_none() {
                    self.changed.wait_for(&mut line, SLEEP);
                }
            }
        }
    }

    /// Looks at so many places of the table, at this time (milliseconds). False: there was nothing to do.
    pub fn step_at(&self, now: u64, places: u32) -> bool {
        let mut walk = self.walk.lock();
        if walk.is_none() {
            let span = self.line.lock().waiting.take();
            *walk = span.map(Walk::new);
        }
        let Some(going) = &mut *walk else { return false };
        if going.step(&self.shared, places)
            && let Some(done) = walk.take()
        {
            self.tell(done.report(now));
        }
        true
    }

    fn tell(&self, report: v1::VerdictsChanged) {
        let v1::VerdictsChanged { generation, flows, now_denied, now_permitted, gone, milliseconds, .. } = report;
        tracing::info!(generation, flows, now_denied, now_permitted, gone, milliseconds, "verdicts changed");
        self.line.lock().last = Some(report.clone());
        self.log.report(report);
    }
}
