//! One walk over the flow table, for changes that are told of together.

use super::causes::Causes;
use super::touches::Touches;
use super::{Foretold, Span};
use crate::api::v1;
use crate::daemon::clock::tick_at;
use crate::datapath::Shared;
use crate::datapath::decide::{Answer, Silent, Verdict, decide};
use crate::datapath::named::question_of;
use crate::datapath::table::{Decided, FlowPair};
use crate::datapath::victims::Culprit;
use crate::drops::DropReason;
use crate::ids::{Generation, NextHopId, Place, Tick};
use crate::tables::Snapshot;

/// Ticks by which a worker's clock may be behind the control thread's.
const BEHIND: u32 = 1;

/// A place in the table, and what was found up to there.
pub(super) struct Walk {
    span: Span,
    next: u32,
    found: v1::VerdictsChanged,
    /// Permitted before and after, by other next hops.
    moved: u64,
    causes: Causes,
    /// Of a change that is not made: all flows are looked at then, as routes count too.
    touches: Option<Touches>,
}

/// What the next packet of a flow meets.
#[derive(Clone, Copy)]
enum Meets {
    /// By this next hop.
    Permit(NextHopId),
    Deny(DropReason, Culprit),
    /// No flow any more.
    End,
}

impl Walk {
    /// From the first place on.
    pub fn new(span: Span, touches: Option<Touches>) -> Walk {
        let (found, causes) = Default::default();
        Walk { span, next: 0, found, moved: 0, causes, touches }
    }

    /// Looks at so many places. True: there are no more.
    pub fn step(&mut self, shared: &Shared, places: u32) -> bool {
        let end = shared.pairs().min(self.next.saturating_add(places));
        for at in self.next..end {
            if let Some(pair) = shared.pair(at) {
                self.look(shared, &pair);
            }
        }
        self.next = end;
        end == shared.pairs()
    }

    /// What was found, at this time (milliseconds).
    pub fn report(self, now: u64) -> Foretold {
        let Walk { span, found, causes, moved, touches, .. } = self;
        let flows = found.now_denied + found.now_permitted + found.unchanged + found.ended;
        let verdicts = v1::VerdictsChanged {
            generation: span.after.generation.0,
            before: span.before.generation.0,
            changes: span.changes,
            flows,
            gone: span.flows.saturating_sub(flows),
            causes: causes.told(&span.before, &span.after),
            milliseconds: u32::try_from(now.saturating_sub(span.since)).unwrap_or(u32::MAX),
            ..found
        };
        Foretold { verdicts, moved, steps: touches.map(Touches::into_steps).unwrap_or_default() }
    }

    fn look(&mut self, shared: &Shared, pair: &FlowPair) {
        let young = self.is_young(pair);
        if self.touches.is_none() && !self.is_concerned(pair) {
            self.found.unchanged += u64::from(!young);
            return;
        }
        let Span { before, after, .. } = &self.span;
        let [before, after] = match &mut self.touches {
            None => [before, after].map(|snapshot| answer(snapshot, pair)),
            Some(touches) => {
                touches.next();
                [touches.decide(0, before, shared, pair), touches.decide(1, after, shared, pair)]
            }
        };
        let Some(before) = before.map(Meets::of) else { return };
        let turn = turn(before, after.map_or(Meets::End, Meets::of));
        match turn {
            // what is refused was not begun by the change: it was there
            Turn::Denied(reason, culprit) => {
                self.found.now_denied += 1;
                self.causes.denies(reason, culprit);
            }
            _ if young => return,
            Turn::Permitted(reason, culprit) => {
                self.found.now_permitted += 1;
                self.causes.denied(reason, culprit);
            }
            Turn::Ended => self.found.ended += 1,
            Turn::Moved => {
                self.found.unchanged += 1;
                self.moved += 1;
            }
            Turn::Same => self.found.unchanged += 1,
        }
        if let Some(touches) = &mut self.touches {
            touches.count(&turn);
        }
    }

    /// It may have been set up after the change: it was decided by it, and did not begin well before it.
    fn is_young(&self, pair: &FlowPair) -> bool {
        let decided = [&pair.forward.1, &pair.reverse.1].map(|entry| Decided(entry.stamp).generation());
        let then = tick_at(self.span.since);
        decided.into_iter().all(|decided| decided > self.span.before.generation.0)
            && then.since(Tick(pair.created)) <= BEHIND
    }

    /// What is permitted where it enters has changed.
    fn is_concerned(&self, pair: &FlowPair) -> bool {
        let after = &self.span.after;
        let place = Place::from(pair.forward.0.context());
        let vif = if let Place::Vif(vif) = place { after.vifs.row(vif.index()) } else { None };
        let vrf = match place {
            Place::Vif(_) => vif.map(|vif| vif.vrf),
            Place::Tunnel(vrf) => Some(vrf),
        };
        let vrf = vrf.and_then(|vrf| after.vrfs.row(vrf.index()));
        let newest = vif.map_or(Generation(0), |vif| vif.stamp).max(vrf.map_or(Generation(0), |vrf| vrf.base));
        // nowhere: it ends
        vrf.is_none() || newest > self.span.before.generation
    }
}

/// What changes of a flow.
pub(super) enum Turn {
    /// Refused by this.
    Denied(DropReason, Culprit),
    /// Refused no more by this.
    Permitted(DropReason, Culprit),
    Ended,
    /// Permitted by another next hop.
    Moved,
    Same,
}

fn turn(before: Meets, after: Meets) -> Turn {
    match (before, after) {
        (Meets::Permit(_), Meets::Deny(reason, culprit)) => Turn::Denied(reason, culprit),
        (Meets::Deny(reason, culprit), Meets::Permit(_)) => Turn::Permitted(reason, culprit),
        (_, Meets::End) => Turn::Ended,
        (Meets::Permit(old), Meets::Permit(new)) if old != new => Turn::Moved,
        (Meets::Permit(_), Meets::Permit(_)) | (Meets::Deny(..), Meets::Deny(..)) | (Meets::End, _) => Turn::Same,
    }
}

impl Meets {
    fn of(answer: Answer) -> Meets {
        match answer.forward {
            Verdict::Forward(next_hop) => Meets::Permit(next_hop),
            Verdict::Drop(reason) => Meets::Deny(reason, answer.culprit),
            Verdict::Local => Meets::End,
        }
    }
}

/// `None`: where it enters was nothing then.
fn answer(snapshot: &Snapshot, pair: &FlowPair) -> Option<Answer> {
    Some(decide(snapshot, &question_of(snapshot, pair, None)?, &mut Silent))
}
