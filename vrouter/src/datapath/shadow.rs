//! Shadow: new flows are judged by a second set of ACLs too, whose verdict is told and not obeyed. Packets of live flows are not looked at,
//! and while there is no shadow a decision costs a test of a word of the snapshot more.

use std::net::IpAddr;
use std::sync::Arc;

use super::decide::{Answer, InForce, Policies, Question, Recorder, Silent, Verdict, decide_by};
use super::flows::Lookup;
use super::victims::Culprit;
use crate::ids::NextHopId;
use crate::tables::acl::{Acl, Redirect, Stage};
use crate::tables::{Difference, Judged, Kept, Resolved, Shadow, Snapshot, VRF_DEPTH, Vrf};

/// ACLs that are asked about one flow at most: those of both VIFs and of the VRFs between, on two ways.
const ASKED: usize = 2 * (VRF_DEPTH + 3);

impl Lookup<'_> {
    /// Judges by the shadow too, if there is one, what came out so by the policies in force.
    #[inline(always)]
    pub(super) fn judge_by_shadow(&self, question: impl FnOnce() -> Question, answer: &Answer) {
        if let Some(shadow) = &self.snapshot.shadow {
            judge(self.snapshot, shadow, &question(), answer, self.worker);
        }
    }
}

#[cold]
#[inline(never)]
fn judge(snapshot: &Snapshot, shadow: &Shadow, question: &Question, live: &Answer, worker: usize) {
    shadow.found.count(worker);
    let other = decide_by(snapshot, shadow, question, &mut Silent);
    if is_same(live, &other) {
        return;
    }
    // who says so is asked of both only where they differ
    let live = Side::of(snapshot, InForce, question);
    let other = Side::of(snapshot, shadow, question);
    if !is_same(&live.answer, &other.answer) {
        shadow.found.note(worker, difference(snapshot, shadow, question, &live, &other));
    }
}

/// Both refuse it, or let it go the same way.
fn is_same(a: &Answer, b: &Answer) -> bool {
    matches!((a.forward, b.forward), (Verdict::Drop(_), Verdict::Drop(_))) || a.forward == b.forward
}

fn difference(snapshot: &Snapshot, shadow: &Shadow, question: &Question, live: &Side, other: &Side) -> Difference {
    let refuses = |side: &Side| matches!(side.answer.forward, Verdict::Drop(_));
    // who refuses it decides, or who sends it elsewhere
    let by_live = refuses(live) || (!refuses(other) && other.away.is_none());
    let (first, second) = if by_live { (live, other) } else { (other, live) };
    let decisive = first.decisive().or_else(|| second.decisive()).map(|(stage, _)| stage);
    let own = |stage| acl_of(snapshot, stage);
    let permits = if refuses(live) { other } else { live };
    let exit = (permits.answer.forward != Verdict::Local).then_some(permits.answer.exit);
    Difference {
        place: question.place,
        exit,
        tuple: question.tuple,
        live: live.judged(decisive, own),
        shadow: other.judged(decisive, |stage| shadow.acl(stage).unwrap_or_else(|| own(stage))),
    }
}

/// The ACL in force there.
fn acl_of(snapshot: &Snapshot, stage: Stage) -> Option<&Arc<Acl>> {
    match stage {
        Stage::FromVif(vif) => snapshot.vifs.row(vif.index())?.from_vif.as_ref(),
        Stage::ToVif(vif) => snapshot.vifs.row(vif.index())?.to_vif.as_ref(),
        Stage::Vrf(vrf) => snapshot.vrfs.row(vrf.index())?.acl.as_ref(),
    }
}

/// A decision, and who was asked.
struct Side {
    answer: Answer,
    asked: [Option<(Stage, Option<u16>)>; ASKED],
    count: usize,
    /// Which of them sent it elsewhere.
    away: Option<usize>,
}

impl Side {
    fn of(snapshot: &Snapshot, policies: impl Policies, question: &Question) -> Side {
        let mut asked = Asked { asked: [None; ASKED], count: 0, away: None };
        let answer = decide_by(snapshot, policies, question, &mut asked);
        let Asked { asked, count, away } = asked;
        Side { answer, asked, count, away }
    }

    /// The rule that refused it, or that sent it elsewhere; else none decides more than others.
    fn decisive(&self) -> Option<(Stage, Option<u16>)> {
        match self.answer.culprit {
            Culprit::AclFromVif(vif, rule) => Some((Stage::FromVif(vif), rule)),
            Culprit::AclToVif(vif, rule) => Some((Stage::ToVif(vif), rule)),
            Culprit::AclVrf(vrf, rule) => Some((Stage::Vrf(vrf), rule)),
            Culprit::Frame | Culprit::NextHop(_) | Culprit::Vrf(_) => self.asked[self.away?],
        }
    }

    /// What it says where the difference is made; if it did not ask there, what decided.
    fn judged<'a>(&self, decisive: Option<Stage>, acl: impl Fn(Stage) -> Option<&'a Arc<Acl>>) -> Judged {
        let asked = self.asked[..self.count].iter().flatten();
        let there = asked.rev().find(|(stage, _)| Some(*stage) == decisive).copied();
        let denied = match self.answer.forward {
            Verdict::Drop(reason) => Some(reason),
            Verdict::Forward(_) | Verdict::Local => None,
        };
        match there.or_else(|| self.decisive()) {
            Some((stage, rule)) => Judged { denied, stage: Some(stage), acl: acl(stage).cloned(), rule },
            None => Judged { denied, stage: decisive, acl: None, rule: None },
        }
    }
}

/// Notes who is asked.
struct Asked {
    asked: [Option<(Stage, Option<u16>)>; ASKED],
    count: usize,
    away: Option<usize>,
}

impl Recorder for Asked {
    fn route(&mut self, _: &Vrf, _: IpAddr, _: Option<(u8, NextHopId)>) {}
    fn acl(&mut self, stage: Stage, _: &Acl, rule: Option<usize>, _: bool) {
        if let Some(place) = self.asked.get_mut(self.count) {
            *place = Some((stage, rule.map(|rule| rule.min(usize::from(u16::MAX)) as u16)));
            self.count += 1;
        }
    }
    fn redirect(&mut self, _: Redirect) {
        self.away = self.count.checked_sub(1);
    }
    fn reverse_route(&mut self, _: &Vrf, _: IpAddr, _: Option<(u8, NextHopId)>) {}
    fn member(&mut self, _: &Resolved, _: Option<Kept>) {}
}
