//! Which changes of a plan touch a flow: those of objects that the decision about it meets.

use std::net::IpAddr;
use std::sync::Arc;

use super::walk::Turn;
use crate::api::v1;
use crate::datapath::Shared;
use crate::datapath::decide::{Answer, Question, Recorder, Stage, Verdict, decide};
use crate::datapath::named::{Named, question_of};
use crate::datapath::table::{FlowPair, Flows};
use crate::ids::{NextHopId, Place, VifId};
use crate::model::{Gone, Marks};
use crate::tables::acl::{Acl, Redirect};
use crate::tables::{Kept, NextHopKind, Resolved, Snapshot, Tunnel, Underlay, Vrf};

/// What a plan's steps are met by, before and after, and how many flows each touches.
pub(super) struct Touches {
    marks: Arc<[Marks; 2]>,
    steps: Vec<v1::FlowsTouched>,
    /// Of each step the last flow that met it.
    seen: Vec<u64>,
    flow: u64,
    /// The steps that this flow meets, each once.
    now: Vec<u32>,
}

impl Touches {
    /// None yet, of so many steps.
    pub fn new(marks: [Marks; 2], steps: usize) -> Touches {
        let untouched = v1::FlowsTouched::default();
        Touches {
            marks: Arc::new(marks),
            steps: vec![untouched; steps],
            seen: vec![0; steps],
            flow: 0,
            now: Vec::new(),
        }
    }

    /// By step.
    pub fn into_steps(self) -> Vec<v1::FlowsTouched> {
        self.steps
    }

    /// The next flow.
    pub fn next(&mut self) {
        self.flow += 1;
        self.now.clear();
    }

    /// The decision about it by the snapshot of before (0) or after (1); `None` where it is no flow there: its place is
    /// nothing, or its frames go to everybody.
    pub fn decide(&mut self, side: usize, snapshot: &Snapshot, shared: &Shared, pair: &FlowPair) -> Option<Answer> {
        let marks = self.marks.clone();
        let mut question = question_of(snapshot, pair, None)?;
        let to = [question.tuple.destination, question.tuple.source];
        question.forward = found_again(&marks[side], question.forward, to[0])?;
        // answers to whom nobody knows are copies for everybody: the flow goes on
        let answers = found_again(&marks[side], question.answers, to[1]);
        question.answers = answers.unwrap_or(Named::Bridged(None));
        let mut meeting = Meeting { snapshot, marks: &marks[side], question: &question, touches: self };
        let answer = decide(snapshot, &question, &mut meeting);
        meeting.meet(&marks[side].always);
        meeting.ends(&answer);
        let ways = [(answer.forward, &pair.forward.0), (answer.reverse, &pair.reverse.0)];
        for (verdict, key) in ways {
            if let Verdict::Forward(next_hop) = verdict {
                meeting.leaves(next_hop, shared.flows.hash(key));
            }
        }
        Some(answer)
    }

    /// This is what becomes of it.
    pub fn count(&mut self, turn: &Turn) {
        for step in &self.now {
            let told = &mut self.steps[*step as usize];
            told.flows += 1;
            match turn {
                Turn::Denied(..) => told.now_denied += 1,
                Turn::Permitted(..) => told.now_permitted += 1,
                Turn::Ended => told.ended += 1,
                Turn::Moved => told.moved += 1,
                Turn::Same => {}
            }
        }
    }
}

/// What the next frame to this station says, where it is elsewhere afterwards; of several behind one next hop it is told by its address, or as
/// all of them have left. `None`: it goes to everybody.
fn found_again(marks: &Marks, named: Named, station: IpAddr) -> Option<Named> {
    let Named::Bridged(Some(was)) = named else { return Some(named) };
    match marks.elsewhere.get(&was).and_then(|moved| moved.station(station)) {
        None => Some(named),
        Some(Gone { next_hop: None, floods: true }) => None,
        Some(Gone { next_hop, .. }) => Some(Named::Bridged(next_hop)),
    }
}

/// One decision.
struct Meeting<'a> {
    snapshot: &'a Snapshot,
    marks: &'a Marks,
    question: &'a Question,
    touches: &'a mut Touches,
}

impl Meeting<'_> {
    fn meet(&mut self, steps: &[u32]) {
        let Touches { seen, flow, now, .. } = &mut *self.touches;
        for step in steps {
            if std::mem::replace(&mut seen[*step as usize], *flow) != *flow {
                now.push(*step);
            }
        }
    }

    /// Where it enters and leaves, and so do its answers.
    fn ends(&mut self, answer: &Answer) {
        let marks = self.marks;
        let question = self.question;
        let bridged = matches!(question.forward, Named::Bridged(_));
        for place in [Some(question.place), Some(answer.exit), answer.reverse_exit].into_iter().flatten() {
            match place {
                Place::Vif(vif) => self.vif(vif, bridged),
                Place::Tunnel(vrf) => {
                    self.meet(marks.vrfs.of(&vrf));
                    self.meet(marks.tunnels.of(&vrf));
                }
            }
        }
        self.meet(marks.vrfs.of(&question.vrf));
        for named in [question.forward, question.answers] {
            match named {
                Named::Routed | Named::Bridged(None) => {}
                Named::Label(next_hop) => self.meet(marks.labels.of(&next_hop)),
                Named::Bridged(Some(next_hop)) => self.meet(marks.stations.of(&next_hop)),
            }
        }
    }

    fn vif(&mut self, vif: VifId, bridged: bool) {
        let marks = self.marks;
        self.meet(marks.vifs.of(&vif));
        if bridged {
            self.meet(marks.bridges.of(&vif));
        }
        if let Some(row) = self.snapshot.vifs.row(vif.index()) {
            self.meet(marks.vrfs.of(&row.vrf));
        }
    }

    /// It goes by this next hop, as the flow with this hash.
    fn leaves(&mut self, next_hop: NextHopId, hash: u64) {
        match self.snapshot.next_hops.row(next_hop.index()).map(|row| &row.kind) {
            Some(NextHopKind::Vif { vif, .. } | NextHopKind::Bridged { vif, .. }) => self.vif(*vif, false),
            Some(NextHopKind::Tunnel(tunnel)) => self.tunnel(tunnel, hash),
            _ => {}
        }
    }

    /// By the underlay's route to the far end, and the neighbour that this flow has.
    fn tunnel(&mut self, tunnel: &Tunnel, hash: u64) {
        let marks = self.marks;
        self.meet(marks.far_ends.of(&tunnel.remote));
        let underlay = self.snapshot.local.underlay.and_then(|vrf| self.snapshot.vrfs.row(vrf.index()));
        if let Some(vrf) = underlay {
            self.looked_up(vrf, tunnel.remote, vrf.route(tunnel.remote));
        }
        let (vif, neighbour) = match &tunnel.ways.of(hash).underlay {
            Underlay::Resolved(adjacency) => (adjacency.vif, Some(adjacency.neighbour)),
            Underlay::Resolving { vif, neighbour } => (*vif, *neighbour),
            Underlay::NoRoute => return,
        };
        self.vif(vif, false);
        let neighbour = neighbour.unwrap_or(tunnel.remote);
        self.meet(marks.neighbours.of(&(vif, neighbour)));
        if let Some(vif) = self.snapshot.vifs.row(vif.index()) {
            self.meet(marks.gateways.of(&(vif.vrf, neighbour)));
        }
    }

    fn looked_up(&mut self, vrf: &Vrf, destination: IpAddr, found: Option<(u8, NextHopId)>) {
        let marks = self.marks;
        self.meet(marks.vrfs.of(&vrf.id));
        if let Some((length, next_hop)) = found {
            self.meet(marks.route(vrf.id, destination, length));
            // of the underlay: no decision of a flow tells its ways
            self.meet(marks.hop_groups.of(&next_hop));
        }
    }
}

impl Recorder for Meeting<'_> {
    fn route(&mut self, vrf: &Vrf, destination: IpAddr, found: Option<(u8, NextHopId)>) {
        self.looked_up(vrf, destination, found);
    }

    fn acl(&mut self, stage: Stage, acl: &Acl, _: Option<usize>, _: bool) {
        let marks = self.marks;
        self.meet(marks.acls.of(&*acl.name));
        for step in marks.groups(&acl.name, [self.question.tuple.source, self.question.tuple.destination]) {
            self.meet(&[step]);
        }
        match stage {
            Stage::Vrf(vrf) => self.meet(marks.vrfs.of(&vrf)),
            Stage::FromVif(vif) | Stage::ToVif(vif) => self.vif(vif, false),
        }
    }

    fn redirect(&mut self, to: Redirect) {
        match to {
            Redirect::Vrf(vrf) => self.meet(self.marks.vrfs.of(&vrf)),
            Redirect::Vif(vif) => self.vif(vif, false),
        }
    }

    fn reverse_route(&mut self, vrf: &Vrf, destination: IpAddr, found: Option<(u8, NextHopId)>) {
        self.looked_up(vrf, destination, found);
    }

    fn member(&mut self, way: &Resolved, _: Option<Kept>) {
        if let Some((group, _)) = way.chosen {
            self.meet(self.marks.hop_groups.of(&group));
        }
    }
}
