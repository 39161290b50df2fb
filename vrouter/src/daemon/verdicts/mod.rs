//! How many live flows a change of ACLs gave another verdict.
//!
//! Nothing is flushed when ACLs change: each flow is decided anew by its next packet. So nobody knows at once what a change did to a million
//! flows. A thread of its own, which everything else comes before, walks the table afterwards and tells watchers. It asks of each flow what its
//! next packet would have met before the change, and what it meets after it, by the snapshots of then and now: so it does not matter which flows
//! workers have decided anew meanwhile, and nobody need count for it.

mod causes;
mod touches;
mod walk;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::clock::Clock;
use crate::api::v1;
use crate::control::log::Log;
use crate::datapath::Shared;
use crate::model::Marks;
use crate::tables::Snapshot;
use touches::Touches;
use walk::Walk;

/// How long the thread sleeps at most while there is nothing to do.
const SLEEP: Duration = Duration::from_millis(200);
/// Pairs between two looks at whether it should stop, or rest.
const PIECE: u32 = 1 << 11;
/// How long it looks on without a rest, and rests. A scheduler that has groups (of sessions, of units) may put its group before other ones' threads,
/// however idle its class: seen for as long as a walk took, half a second.
const SPELL: Duration = Duration::from_millis(2);
const REST: Duration = Duration::from_millis(1);

/// Changes to be told of, and what was told last.
pub struct Verdicts {
    shared: Arc<Shared>,
    log: Arc<Log>,
    line: Mutex<Line>,
    changed: Condvar,
    /// Held by whoever walks.
    walk: Mutex<Option<(Walk, Option<Asks>)>>,
}

#[derive(Default)]
struct Line {
    waiting: Option<Span>,
    questions: VecDeque<(Span, Touches, Asks)>,
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

/// Who asks what a change that is not made would do to flows.
type Asks = Box<dyn FnOnce(Foretold) + Send>;

/// What a change that is not made would do to flows. Routes count too, not policies alone.
pub struct Foretold {
    pub verdicts: v1::VerdictsChanged,
    /// Of those unchanged: permitted by another next hop.
    pub moved: u64,
    /// By step of the plan.
    pub steps: Vec<v1::FlowsTouched>,
}

/// Questions that may wait.
const QUESTIONS: usize = 4;

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
                line.waiting = Some(self.span(before, after, now));
            }
        }
        self.changed.notify_one();
    }

    /// Whether one more may ask.
    pub fn has_room(&self) -> bool {
        self.line.lock().questions.len() < QUESTIONS
    }

    /// What live flows would meet by this snapshot, which is not to be: told when all were looked at. `marks`: where decisions meet so many
    /// steps of its plan, by both snapshots.
    pub fn ask(
        &self,
        before: &Arc<Snapshot>,
        after: &Arc<Snapshot>,
        now: u64,
        (marks, steps): ([Marks; 2], usize),
        told: impl FnOnce(Foretold) + Send + 'static,
    ) {
        let span = self.span(before, after, now);
        self.line.lock().questions.push_back((span, Touches::new(marks, steps), Box::new(told)));
        self.changed.notify_one();
    }

    fn span(&self, before: &Arc<Snapshot>, after: &Arc<Snapshot>, since: u64) -> Span {
        let flows = [self.shared.flows.narrow().used(), self.shared.flows.wide().used()];
        let flows = flows.into_iter().map(u64::from).sum();
        Span { before: before.clone(), after: after.clone(), changes: 1, since, flows }
    }

    /// What was told last.
    pub fn last(&self) -> Option<v1::VerdictsChanged> {
        self.line.lock().last.clone()
    }

    /// Walks until `stop`.
    pub fn run(&self, clock: Clock, stop: &AtomicBool) {
        let mut rested = Instant::now();
        // relaxed: a flag that carries nothing but itself
        while !stop.load(Ordering::Relaxed) {
            if self.step_at(clock.millis(), PIECE) {
                if rested.elapsed() >= SPELL {
                    std::thread::sleep(REST);
                    rested = Instant::now();
                }
            } else {
                let mut line = self.line.lock();
                if line.waiting.is_none() && line.questions.is_empty() {
                    self.changed.wait_for(&mut line, SLEEP);
                }
            }
        }
    }

    /// Looks at so many places of the table, at this time (milliseconds). False: there was nothing to do.
    pub fn step_at(&self, now: u64, places: u32) -> bool {
        let mut walk = self.walk.lock();
        if walk.is_none() {
            let mut line = self.line.lock();
            let next = line.waiting.take().map(|span| (Walk::new(span, None), None));
            let question = |(span, touches, asks)| (Walk::new(span, Some(touches)), Some(asks));
            *walk = next.or_else(|| line.questions.pop_front().map(question));
        }
        let Some((going, _)) = &mut *walk else { return false };
        if going.step(&self.shared, places)
            && let Some((done, asks)) = walk.take()
        {
            let foretold = done.report(now);
            match asks {
                None => self.tell(foretold.verdicts),
                Some(asks) => asks(foretold),
            }
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
