//! What is decided about packets without a flow before their turns come: so the burst's packets wait for memory together.

use std::cell::Cell;
use std::net::IpAddr;

use flowtable::FlowTable;

use super::classify::Classified;
use super::decide::{Answer, Question, Recorder, Stage, decide};
use super::flows::Lookup;
use super::route_hits::RouteHits;
use super::table::{FlowKey, Flows};
use crate::ids::NextHopId;
use crate::tables::acl::{Acl, Redirect};
use crate::tables::{Kept, Resolved, Snapshot, Vrf};

/// A flow that is to be installed.
pub struct Foreseen {
    pub answer: Answer,
    /// Key of the answers, and the hashes of both.
    pub reverse: FlowKey,
    pub hashes: [u64; 2],
    /// It was carried out.
    taken: Cell<bool>,
}

impl Foreseen {
    /// The decision about a packet without a flow, which is counted.
    #[inline(always)]
    pub fn decided(
        snapshot: &Snapshot,
        flows: &FlowTable,
        found: &Classified,
        (key, hash): (&FlowKey, u64),
        mut counting: Counting,
    ) -> Foreseen {
        let answer = decide(snapshot, &asked(found, key), &mut counting);
        Foreseen::new(flows, (key, hash), answer)
    }

    /// A flow with this key and hash, decided so.
    pub fn new(flows: &FlowTable, (key, hash): (&FlowKey, u64), answer: Answer) -> Foreseen {
        let reverse = key.turned(answer.exit.into());
        Foreseen { answer, reverse, hashes: [hash, flows.hash(&reverse)], taken: Cell::new(false) }
    }

    /// It is carried out.
    pub fn take(&self) {
        self.taken.set(true);
    }

    pub fn is_taken(&self) -> bool {
        self.taken.get()
    }
}

/// What was decided ahead and did not come, as a packet before it made the flow, or its budget was spent, is counted no more.
#[cold]
#[inline(never)]
pub fn take_back(snapshot: &Snapshot, found: &Classified, key: &FlowKey, counting: Counting) {
    decide(snapshot, &asked(found, key), &mut Counting { more: -counting.more, ..counting });
}

/// What is asked about a packet without a flow.
#[inline(always)]
pub(super) fn asked(found: &Classified, key: &FlowKey) -> Question {
    let (tuple, _) = key.parts();
    let (place, vrf, forward, answers) = (found.place, found.vrf, found.named(true), found.answers());
    Question { place, vrf, tuple, forward, answers, kept: [None; 2] }
}

/// Counts the rules and routes that it meets: so many decisions more by the worker of this index.
pub struct Counting<'a> {
    pub snapshot: &'a Snapshot,
    pub worker: usize,
    pub routes: &'a RouteHits,
    pub more: i64,
}

impl<'a> Lookup<'a> {
    /// For one decision.
    #[inline(always)]
    pub(super) fn counting(&self) -> Counting<'a> {
        Counting { snapshot: self.snapshot, worker: self.worker, routes: self.routes, more: 1 }
    }
}

impl Recorder for Counting<'_> {
    /// Also where a rule then sends the flow elsewhere: the route was what it was decided by so far.
    #[inline(always)]
    fn route(&mut self, vrf: &Vrf, destination: IpAddr, found: Option<(u8, NextHopId)>) {
        if let Some((length, _)) = found {
            self.routes.add(self.snapshot, (vrf.id, destination, length), self.more);
        }
    }
    #[inline(always)]
    fn acl(&mut self, _: Stage, acl: &Acl, rule: Option<usize>, _: bool) {
        acl.hits().add(self.worker, rule, self.more);
    }
    fn redirect(&mut self, _: Redirect) {}
    fn reverse_route(&mut self, _: &Vrf, _: IpAddr, _: Option<(u8, NextHopId)>) {}
    fn member(&mut self, _: &Resolved, _: Option<Kept>) {}
}

/// Asks for all buckets that the installation of these looks at: close together, so that also the walks of the page table overlap.
pub fn ask_for_room(flows: &FlowTable, foreseen: &[Option<Foreseen>]) {
    let some = || foreseen.iter().flatten();
    some().for_each(|foreseen| flows.prefetch(&foreseen.reverse, foreseen.hashes[1]));
    for side in [0, 1] {
        some().for_each(|foreseen| flows.prefetch_room(&foreseen.reverse, foreseen.hashes[side]));
    }
}
