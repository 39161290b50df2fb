//! The decision about a flow: route and ACLs on the snapshot. Pure; the slow path and `explain` both ask it.

use std::net::IpAddr;
use std::sync::Arc;

use super::named::Named;
use super::redirect::{self, Away};
use super::victims::Culprit;
use crate::drops::DropReason;
use crate::ids::{MemberId, NextHopId, Place, VifId, VrfId};
use crate::packet::ip::is_link_local;
use crate::packet::tuple::FlowTuple;
use crate::tables::acl::{Acl, Redirect, Tuple};
use crate::tables::{Group, Kept, Member, NextHopKind, Resolved, Shadow, Snapshot, Unresolved, Vif, Vrf};

pub use crate::tables::acl::Stage;

/// A flow as its initiator sends it.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    pub place: Place,
    /// The VRF of that place.
    pub vrf: VrfId,
    pub tuple: FlowTuple,
    /// Who says by which next hop it goes, and its answers.
    pub forward: Named,
    pub answers: Named,
    /// What a live flow has, and what its answers have.
    pub kept: [Option<Kept>; 2],
}

/// What happens to one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Forward(NextHopId),
    Drop(DropReason),
    /// For an address of ours: no flow, the slow path answers.
    Local,
}

/// The decision for both directions of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub forward: Verdict,
    /// Answers, by the route to the initiator at the place of exit.
    pub reverse: Verdict,
    /// Where answers leave: elsewhere than the initiator's place when routing is asymmetric, or the source is forged.
    pub reverse_exit: Option<Place>,
    /// The ECMP members chosen for both directions.
    pub members: [MemberId; 2],
    /// The place where the initiator's packets leave, and the answers enter: the context of the reverse key.
    pub exit: Place,
    /// The VIF to charge: the initiator's, or for flows from a tunnel the one they go to.
    pub owner: Place,
    /// Who decided a drop.
    pub culprit: Culprit,
}

impl Answer {
    /// The decision as one of the answers meets it, which enters where the initiator's packets leave. A flow that is refused is refused
    /// both ways.
    pub fn turned(self, initiator: Place) -> Answer {
        let forward = if matches!(self.forward, Verdict::Drop(_)) { self.forward } else { self.reverse };
        let [there, back] = self.members;
        let (reverse, exit) = (self.forward, self.reverse_exit.unwrap_or(initiator));
        Answer { forward, reverse, reverse_exit: Some(self.exit), members: [back, there], exit, ..self }
    }
}

/// Where a next hop leaves: the place, its VRF, and the tenant VIF, if it is one.
#[derive(Clone, Copy)]
pub(super) struct Exit<'a> {
    pub place: Place,
    pub vrf: VrfId,
    pub vif: Option<&'a Vif>,
}

/// A way, or why there is none.
type Found = Result<Resolved, (DropReason, Culprit)>;

/// Follows a decision: nothing on a worker, a list of steps for `explain`.
pub trait Recorder {
    fn route(&mut self, vrf: &Vrf, destination: IpAddr, found: Option<(u8, NextHopId)>);
    fn acl(&mut self, stage: Stage, acl: &Acl, rule: Option<usize>, permit: bool);
    /// A rule sends it elsewhere: what was said of routes so far counts no more.
    fn redirect(&mut self, to: Redirect);
    fn reverse_route(&mut self, vrf: &Vrf, destination: IpAddr, found: Option<(u8, NextHopId)>);
    /// A way was chosen: which, of which group, and for a live flow what it had.
    fn member(&mut self, way: &Resolved, kept: Option<Kept>);
}

/// Whose ACLs are asked: each place has its own, or another one instead.
pub trait Policies: Copy {
    fn acl<'a>(self, stage: Stage, own: Option<&'a Arc<Acl>>) -> Option<&'a Acl>
    where
        Self: 'a;
}

/// Those that the snapshot has in force.
#[derive(Clone, Copy)]
pub struct InForce;

impl Policies for InForce {
    #[inline(always)]
    fn acl<'a>(self, _: Stage, own: Option<&'a Arc<Acl>>) -> Option<&'a Acl>
    where
        Self: 'a,
    {
        own.map(|acl| &**acl)
    }
}

impl Policies for &Shadow {
    fn acl<'a>(self, stage: Stage, own: Option<&'a Arc<Acl>>) -> Option<&'a Acl>
    where
        Self: 'a,
    {
        Shadow::acl(self, stage).unwrap_or(own).map(|acl| &**acl)
    }
}

/// Records nothing.
pub struct Silent;

impl Recorder for Silent {
    fn route(&mut self, _: &Vrf, _: IpAddr, _: Option<(u8, NextHopId)>) {}
    fn acl(&mut self, _: Stage, _: &Acl, _: Option<usize>, _: bool) {}
    fn redirect(&mut self, _: Redirect) {}
    fn reverse_route(&mut self, _: &Vrf, _: IpAddr, _: Option<(u8, NextHopId)>) {}
    fn member(&mut self, _: &Resolved, _: Option<Kept>) {}
}

/// Decides about a flow. Any thread; no side effects but the recorder's.
pub fn decide(snapshot: &Snapshot, question: &Question, recorder: &mut impl Recorder) -> Answer {
    decide_by(snapshot, InForce, question, recorder)
}

/// The same by these policies.
#[inline(always)]
pub(super) fn decide_by(
    snapshot: &Snapshot,
    policies: impl Policies,
    question: &Question,
    recorder: &mut impl Recorder,
) -> Answer {
    let found = by_route(snapshot, question, recorder);
    let ours = || found.is_ok_and(|way| matches!(leave(snapshot, way.next_hop), Ok(None)));
    if let Some(away) = redirect::by_sender(snapshot, policies, question, ours, recorder) {
        return redirected(snapshot, policies, question, &away, recorder);
    }
    match go(snapshot, policies, question, &found, None, recorder) {
        Ok(answer) => answer,
        Err(away) => redirected(snapshot, policies, question, &away, recorder),
    }
}

/// The decision about a flow that a rule sends elsewhere.
#[inline(never)]
fn redirected(
    snapshot: &Snapshot,
    policies: impl Policies,
    question: &Question,
    away: &Away,
    recorder: &mut impl Recorder,
) -> Answer {
    let found = match question.forward {
        Named::Routed => away.resolve(snapshot, question, recorder),
        Named::Label(_) | Named::Bridged(_) => Err((DropReason::RedirectNotRouted, away.culprit())),
    };
    match go(snapshot, policies, question, &found, Some(away), recorder) {
        Ok(answer) => answer,
        // rules are followed once
        Err(_) => refused(question, (DropReason::NextHopGone, away.culprit())),
    }
}

/// The decision about a flow that goes this way, past its ACLs. `Err`: one of them sends it elsewhere, unless it goes `away` already.
#[inline(always)]
fn go(
    snapshot: &Snapshot,
    policies: impl Policies,
    question: &Question,
    found: &Found,
    away: Option<&Away>,
    recorder: &mut impl Recorder,
) -> Result<Answer, Away> {
    let way = match found {
        Ok(way) => way,
        Err(lost) => return Ok(refused(question, *lost)),
    };
    let next_hop = way.next_hop;
    if way.chosen.is_some() {
        recorder.member(way, question.kept[0]);
    }
    let left = match leave(snapshot, next_hop) {
        Ok(left) => left,
        Err(reason) => return Ok(refused(question, (reason, Culprit::NextHop(next_hop)))),
    };
    // link-local addresses are for us only (RFC 4291, section 2.5.6), and for stations of one bridge
    let bridged = matches!(question.forward, Named::Bridged(_));
    let link_local = || is_link_local(question.tuple.source) || is_link_local(question.tuple.destination);
    if left.is_some() && !bridged && link_local() {
        return Ok(refused(question, (DropReason::SourceSpoofed, Culprit::Frame)));
    }
    let follow = left.is_some() && away.is_none();
    match judge(snapshot, policies, question, (way, away, follow), left.and_then(|exit| exit.vif), recorder) {
        Ok(None) => {}
        Ok(Some(away)) => return Err(away),
        Err(denied) => {
            let exit = left.map_or(question.place, |exit| exit.place);
            return Ok(Answer { exit, ..refused(question, denied) });
        }
    }
    Ok(match left {
        Some(exit) => forwarded(snapshot, question, (way, exit), away.is_some(), recorder),
        None => {
            let answer = refused(question, (DropReason::LocalUnanswered, Culprit::NextHop(next_hop)));
            Answer { forward: Verdict::Local, ..answer }
        }
    })
}

fn refused(question: &Question, (reason, culprit): (DropReason, Culprit)) -> Answer {
    Answer {
        forward: Verdict::Drop(reason),
        reverse: Verdict::Drop(reason),
        reverse_exit: None,
        members: [MemberId(0); 2],
        exit: question.place,
        owner: question.place,
        culprit,
    }
}

/// The way that routes lead, or who names it.
#[inline(always)]
fn by_route(snapshot: &Snapshot, question: &Question, recorder: &mut impl Recorder) -> Found {
    match question.forward {
        Named::Label(next_hop) | Named::Bridged(Some(next_hop)) => Ok(Resolved::without_route(question.vrf, next_hop)),
        Named::Bridged(None) => Err((DropReason::UnknownUnicast, Culprit::Frame)),
        Named::Routed => {
            let to = question.tuple.destination;
            let choose = |group: &Group| choose(snapshot, group, &question.tuple, question.kept[0]);
            let found = snapshot.resolve(question.vrf, to, choose, |vrf, found| recorder.route(vrf, to, found));
            found.map_err(lost).map_err(|(reason, vrf)| (reason, Culprit::Vrf(vrf)))
        }
    }
}

/// The answer about a flow that may go this way.
#[inline(always)]
fn forwarded(
    snapshot: &Snapshot,
    question: &Question,
    (way, exit): (&Resolved, Exit),
    redirected: bool,
    recorder: &mut impl Recorder,
) -> Answer {
    let owner = match (question.place, exit.vif) {
        (Place::Tunnel(_), Some(vif)) => Place::Vif(vif.id),
        (place, _) => place,
    };
    // what comes back from where routes did not lead goes on where the flow came from
    let back_from_service = exit.vif.is_some_and(|vif| vif.service.is_some());
    let vrf = if redirected || back_from_service { question.vrf } else { exit.vrf };
    let (reverse, reverse_exit, back) = reverse_verdict(snapshot, question, vrf, recorder);
    let forward = Verdict::Forward(way.next_hop);
    let members = [way.member(), back];
    Answer { forward, reverse, reverse_exit, members, exit: exit.place, owner, culprit: Culprit::Frame }
}

/// Routes that lead nowhere, as a drop.
pub fn lost(unresolved: Unresolved) -> (DropReason, VrfId) {
    match unresolved {
        Unresolved::NoRoute(vrf) => (DropReason::NoRoute, vrf),
        Unresolved::TooDeep(vrf) => (DropReason::VrfDepth, vrf),
        Unresolved::Gone(vrf) => (DropReason::NextHopGone, vrf),
    }
}

/// Where a next hop leaves; `Ok(None)`: it is for us.
pub(super) fn leave(snapshot: &Snapshot, next_hop: NextHopId) -> Result<Option<Exit<'_>>, DropReason> {
    let row = snapshot.next_hops.row(next_hop.index()).ok_or(DropReason::NextHopGone)?;
    match &row.kind {
        NextHopKind::Drop => Err(DropReason::RouteDrop),
        NextHopKind::Receive => Ok(None),
        NextHopKind::Vif { vif, .. } | NextHopKind::Bridged { vif, .. } => {
            let vif = snapshot.vifs.row(vif.index()).ok_or(DropReason::NextHopGone)?;
            Ok(Some(Exit { place: Place::Vif(vif.id), vrf: vif.vrf, vif: Some(vif) }))
        }
        NextHopKind::Tunnel(tunnel) => Ok(Some(Exit { place: Place::Tunnel(tunnel.vrf), vrf: tunnel.vrf, vif: None })),
        // tenants' flows never leave into the bare underlay
        NextHopKind::Fabric(_) => Err(DropReason::NoRoute),
        // followed and chosen already
        NextHopKind::Vrf(_) | NextHopKind::Group(_) => Err(DropReason::NextHopGone),
    }
}

/// What ACLs judge of a flow.
pub fn tuple_of(question: &Question) -> Tuple {
    Tuple {
        source: question.tuple.source,
        destination: question.tuple.destination,
        protocol: question.tuple.protocol,
        ports: question.tuple.ports(),
        icmp: question.tuple.icmp(),
    }
}

/// Asks every ACL on the way, in order: the source VIF's from_vif, that of each VRF passed (once), the destination VIF's to_vif. All
/// must permit, as far as the first that redirects, unless none may (false). Of a flow that goes `away` those that were not asked before.
pub(super) fn judge(
    snapshot: &Snapshot,
    policies: impl Policies,
    question: &Question,
    (way, away, may_redirect): (&Resolved, Option<&Away>, bool),
    exit_vif: Option<&Vif>,
    recorder: &mut impl Recorder,
) -> Result<Option<Away>, (DropReason, Culprit)> {
    let tuple = tuple_of(question);
    let asking = (snapshot, policies, question, &tuple, way, may_redirect);
    if let Place::Vif(source) = question.place
        && away.is_none()
        && let Some(vif) = snapshot.vifs.row(source.index())
        && let Some(away) = ask(asking, Stage::FromVif(source), vif.from_vif.as_ref(), 0, recorder)?
    {
        return Ok(Some(away));
    }
    let last = exit_vif.map(|vif| vif.vrf).filter(|vrf| !way.passed().contains(vrf));
    for (at, vrf) in way.passed().iter().copied().chain(last).enumerate() {
        if away.is_some_and(|away| away.has_asked(vrf)) {
            continue;
        }
        let row = snapshot.vrfs.row(vrf.index());
        if let Some(away) = ask(asking, Stage::Vrf(vrf), row.and_then(|row| row.acl.as_ref()), at + 1, recorder)? {
            return Ok(Some(away));
        }
    }
    match exit_vif {
        Some(vif) => ask(asking, Stage::ToVif(vif.id), vif.to_vif.as_ref(), usize::MAX, recorder),
        None => Ok(None),
    }
}

/// What is the same for all ACLs that are asked about a flow: whose they are, which flow, the way that it goes, and whether it may be sent elsewhere.
type Asking<'a, P> = (&'a Snapshot, P, &'a Question, &'a Tuple, &'a Resolved, bool);

/// Asks the ACL that stands there, if one does; so many were asked before.
#[inline(always)]
fn ask<P: Policies>(
    (snapshot, policies, question, tuple, way, may_redirect): Asking<P>,
    stage: Stage,
    own: Option<&Arc<Acl>>,
    asked: usize,
    recorder: &mut impl Recorder,
) -> Result<Option<Away>, (DropReason, Culprit)> {
    let Some(acl) = policies.acl(stage, own) else { return Ok(None) };
    let judgement = acl.judge(tuple);
    recorder.acl(stage, acl, judgement.rule, judgement.permit);
    let rule = redirect::number(&judgement);
    match (judgement.permit, stage) {
        (true, _) => {
            let to = acl.redirect(&judgement).filter(|_| may_redirect);
            let to = to.filter(|to| redirect::may(snapshot, question.place, stage, *to));
            Ok(to.map(|to| Away::new(to, stage, rule, Some((*way, asked)))))
        }
        (false, Stage::FromVif(vif)) => Err((DropReason::AclFromVif, Culprit::AclFromVif(vif, rule))),
        (false, Stage::Vrf(vrf)) => Err((DropReason::AclVrf, Culprit::AclVrf(vrf, rule))),
        (false, Stage::ToVif(vif)) => Err((DropReason::AclToVif, Culprit::AclToVif(vif, rule))),
    }
}

fn reverse_verdict(
    snapshot: &Snapshot,
    question: &Question,
    vrf: VrfId,
    recorder: &mut impl Recorder,
) -> (Verdict, Option<Place>, MemberId) {
    let to = question.tuple.source;
    if let Named::Bridged(back) = question.answers {
        let left = back.map(|back| (back, leave(snapshot, back)));
        return match left {
            Some((back, Ok(Some(exit)))) => (Verdict::Forward(back), Some(exit.place), MemberId(0)),
            Some((_, Err(reason))) => (Verdict::Drop(reason), None, MemberId(0)),
            Some((_, Ok(None))) | None => (Verdict::Drop(DropReason::UnknownUnicast), None, MemberId(0)),
        };
    }
    if let Place::Vif(vif) = question.place
        && let Some(back) = redirect::service(snapshot, vif)
    {
        return (Verdict::Forward(back), Some(question.place), MemberId(0));
    }
    let choose = |group: &Group| {
        match question.place {
            Place::Vif(vif) => group.members().iter().find(|member| is_vif(snapshot, member, vif)).copied(),
            Place::Tunnel(_) => None,
        }
        .unwrap_or_else(|| choose(snapshot, group, &question.tuple.reversed(), question.kept[1]))
    };
    let found = snapshot.resolve(vrf, to, choose, |vrf, found| recorder.reverse_route(vrf, to, found));
    let way = match found {
        Ok(way) => way,
        Err(unresolved) => return (Verdict::Drop(lost(unresolved).0), None, MemberId(0)),
    };
    if way.chosen.is_some() {
        recorder.member(&way, question.kept[1]);
    }
    match leave(snapshot, way.next_hop) {
        Ok(None) => (Verdict::Drop(DropReason::NoRoute), None, MemberId(0)),
        Err(reason) => (Verdict::Drop(reason), None, MemberId(0)),
        Ok(Some(exit)) => (Verdict::Forward(way.next_hop), Some(exit.place), way.member()),
    }
}

/// The member of a flow: the one it has, or by its hash.
pub(super) fn choose(snapshot: &Snapshot, group: &Group, tuple: &FlowTuple, kept: Option<Kept>) -> Member {
    kept.and_then(|kept| snapshot.keep(group, kept)).unwrap_or_else(|| snapshot.choose(group, tuple))
}

/// Whether a member is this VIF: answers go back to who asked, not to whom its hash would choose.
fn is_vif(snapshot: &Snapshot, member: &Member, vif: VifId) -> bool {
    let row = snapshot.next_hops.row(member.next_hop.index());
    matches!(row.map(|row| &row.kind), Some(NextHopKind::Vif { vif: to, .. }) if *to == vif)
}
