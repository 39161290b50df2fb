//! What is decided about packets without a flow before their turns come: so the burst's packets wait for memory together.

use std::net::IpAddr;

use flowtable::FlowTable;

use super::classify::Classified;
use super::decide::{Answer, Question, Recorder, Stage, decide};
use super::table::{FlowKey, Flows};
use crate::ids::{NextHopId, VrfId};
use crate::tables::acl::{Acl, Redirect};
use crate::tables::{Kept, Resolved, Snapshot, Vrf};

/// Rules that are kept of one decision: of more ACLs on the way than these it is made again, to count them.
const MET: usize = 4;
/// The end of an ACL.
const END: u32 = u32::MAX;

/// A flow that is to be installed.
pub struct Foreseen {
    pub answer: Answer,
    /// Key of the answers, and the hashes of both.
    pub reverse: FlowKey,
    pub hashes: [u64; 2],
    pub met: Met,
}

/// The rules that a decision met, to be counted when it is carried out: what is foreseen need not come.
#[derive(Clone, Copy)]
pub struct Met {
    rules: [(Stage, u32); MET],
    count: usize,
}

impl Foreseen {
    /// The decision about a packet without a flow.
    #[inline(always)]
    pub fn decided(
        snapshot: &Snapshot,
        flows: &FlowTable,
        found: &Classified,
        (key, hash): (&FlowKey, u64),
    ) -> Foreseen {
        let mut met = Met::default();
        let answer = decide(snapshot, &asked(found, key), &mut met);
        Foreseen { met, ..Foreseen::new(flows, (key, hash), answer) }
    }

    /// A flow with this key and hash, decided so.
    pub fn new(flows: &FlowTable, (key, hash): (&FlowKey, u64), answer: Answer) -> Foreseen {
        let reverse = key.turned(answer.exit.into());
        Foreseen { answer, reverse, hashes: [hash, flows.hash(&reverse)], met: Met::default() }
    }
}

/// What is asked about a packet without a flow.
#[inline(always)]
pub fn asked(found: &Classified, key: &FlowKey) -> Question {
    let (tuple, _) = key.parts();
    let (place, vrf, forward, answers) = (found.place, found.vrf, found.named(true), found.answers());
    Question { place, vrf, tuple, forward, answers, kept: [None; 2] }
}

impl Default for Met {
    fn default() -> Met {
        Met { rules: [(Stage::Vrf(VrfId(0)), END); MET], count: 0 }
    }
}

impl Met {
    /// Counts the rules that this decision met. The worker of this index only.
    #[inline]
    pub fn count(&self, snapshot: &Snapshot, worker: usize, question: impl FnOnce() -> Question) {
        if self.count > MET {
            decide(snapshot, &question(), &mut Counting(worker));
            return;
        }
        for &(stage, rule) in &self.rules[..self.count] {
            if let Some(acl) = stage.acl(snapshot) {
                acl.hits().add(worker, (rule != END).then_some(rule as usize));
            }
        }
    }
}

impl Recorder for Met {
    fn route(&mut self, _: &Vrf, _: IpAddr, _: Option<(u8, NextHopId)>) {}
    #[inline(always)]
    fn acl(&mut self, stage: Stage, _: &Acl, rule: Option<usize>, _: bool) {
        if let Some(row) = self.rules.get_mut(self.count) {
            *row = (stage, rule.map_or(END, |rule| rule as u32));
        }
        self.count += 1;
    }
    fn redirect(&mut self, _: Redirect) {}
    fn reverse_route(&mut self, _: &Vrf, _: IpAddr, _: Option<(u8, NextHopId)>) {}
    fn member(&mut self, _: &Resolved, _: Option<Kept>) {}
}

/// Counts what it meets, by the worker of this index.
struct Counting(usize);

impl Recorder for Counting {
    fn route(&mut self, _: &Vrf, _: IpAddr, _: Option<(u8, NextHopId)>) {}
    fn acl(&mut self, _: Stage, acl: &Acl, rule: Option<usize>, _: bool) {
        acl.hits().add(self.0, rule);
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
