//! What is decided about packets without a flow before their turns come: so the burst's packets wait for memory together.

use flowtable::FlowTable;

use super::classify::Classified;
use super::decide::{Answer, Question, Silent, decide};
use super::table::{FlowKey, Flows};
use crate::tables::Snapshot;

/// A flow that is to be installed.
pub struct Foreseen {
    pub answer: Answer,
    /// Key of the answers, and the hashes of both.
    pub reverse: FlowKey,
    pub hashes: [u64; 2],
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
        let (tuple, _) = key.parts();
        let (place, vrf, forward, answers) = (found.place, found.vrf, found.named(true), found.answers());
        let question = Question { place, vrf, tuple, forward, answers, kept: [None; 2] };
        Foreseen::new(flows, (key, hash), decide(snapshot, &question, &mut Silent))
    }

    /// A flow with this key and hash, decided so.
    pub fn new(flows: &FlowTable, (key, hash): (&FlowKey, u64), answer: Answer) -> Foreseen {
        let reverse = key.turned(answer.exit.into());
        Foreseen { answer, reverse, hashes: [hash, flows.hash(&reverse)] }
    }
}

/// Asks for all buckets that the installation of these looks at: close together, so that also the walks of the page table overlap.
pub fn ask_for_room(flows: &FlowTable, foreseen: &[Option<Foreseen>]) {
    let some = || foreseen.iter().flatten();
    some().for_each(|foreseen| flows.prefetch(&foreseen.reverse, foreseen.hashes[1]));
    for side in [0, 1] {
        some().for_each(|foreseen| flows.prefetch_room(&foreseen.reverse, foreseen.hashes[side]));
    }
}
