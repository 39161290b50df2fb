//! The decision about a flow: route and ACLs on the snapshot. Pure; the slow path and `explain` both ask it.

use std::net::IpAddr;

use super::named::Named;
use super::victims::Culprit;
use crate::drops::DropReason;
use crate::ids::{MemberId, NextHopId, Place, VifId, VrfId};
use crate::packet::ip::is_link_local;
use crate::packet::tuple::FlowTuple;
use crate::tables::acl::{Acl, Tuple};
use crate::tables::{Group, Kept, Member, NextHopKind, Resolved, Snapshot, Unresolved, Vif, Vrf};

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

/// Follows a decision: nothing on a worker, a list of steps for `explain`.
pub trait Recorder {
    fn route(&mut self, vrf: &Vrf, destination: IpAddr, found: Option<(u8, NextHopId)>);
    fn acl(&mut self, stage: Stage, acl: &Acl, rule: Option<usize>, permit: bool);
    fn reverse_route(&mut self, vrf: &Vrf, destination: IpAddr, found: Option<(u8, NextHopId)>);
    /// A way was chosen: which, of which group, and for a live flow what it had.
    fn member(&mut self, way: &Resolved, kept: Option<Kept>);
}

/// Where an ACL stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    FromVif(VifId),
    Vrf(VrfId),
    ToVif(VifId),
}

/// Records nothing.
pub struct Silent;

impl Recorder for Silent {
    fn route(&mut self, _: &Vrf, _: IpAddr, _: Option<(u8, NextHopId)>) {}
    fn acl(&mut self, _: Stage, _: &Acl, _: Option<usize>, _: bool) {}
    fn reverse_route(&mut self, _: &Vrf, _: IpAddr, _: Option<(u8, NextHopId)>) {}
    fn member(&mut self, _: &Resolved, _: Option<Kept>) {}
}

/// Decides about a flow. Any thread; no side effects but the recorder's.
pub fn decide(snapshot: &Snapshot, question: &Question, recorder: &mut impl Recorder) -> Answer {
    let refused = |reason, culprit| Answer {
        forward: Verdict::Drop(reason),
        reverse: Verdict::Drop(reason),
        reverse_exit: None,
        members: [MemberId(0); 2],
        exit: question.place,
        owner: question.place,
        culprit,
    };
    let found = match question.forward {
        Named::Label(next_hop) | Named::Bridged(Some(next_hop)) => Ok(Resolved::without_route(question.vrf, next_hop)),
        Named::Bridged(None) => return refused(DropReason::UnknownUnicast, Culprit::Frame),
        Named::Routed => {
            let to = question.tuple.destination;
            let choose = |group: &Group| choose(snapshot, group, &question.tuple, question.kept[0]);
            snapshot.resolve(question.vrf, to, choose, |vrf, found| recorder.route(vrf, to, found))
        }
    };
    let way = match found.map_err(lost) {
        Ok(way) => way,
        Err((reason, vrf)) => return refused(reason, Culprit::Vrf(vrf)),
    };
    let next_hop = way.next_hop;
    if way.chosen.is_some() {
        recorder.member(&way, question.kept[0]);
    }
    let (exit, exit_vrf, exit_vif) = match leave(snapshot, next_hop) {
        Ok(Some(exit)) => exit,
        Ok(None) => {
            if let Err((reason, culprit)) = judge(snapshot, question, &way, None, recorder) {
                return refused(reason, culprit);
            }
            let answer = refused(DropReason::LocalUnanswered, Culprit::NextHop(next_hop));
            return Answer { forward: Verdict::Local, ..answer };
        }
        Err(reason) => return refused(reason, Culprit::NextHop(next_hop)),
    };
    // link-local addresses are for us only (RFC 4291, section 2.5.6), and for stations of one bridge
    let bridged = matches!(question.forward, Named::Bridged(_));
    if !bridged && (is_link_local(question.tuple.source) || is_link_local(question.tuple.destination)) {
        return refused(DropReason::SourceSpoofed, Culprit::Frame);
    }
    if let Err((reason, culprit)) = judge(snapshot, question, &way, exit_vif, recorder) {
        return Answer { exit, ..refused(reason, culprit) };
    }
    let owner = match (question.place, exit_vif) {
        (Place::Tunnel(_), Some(vif)) => Place::Vif(vif.id),
        (place, _) => place,
    };
    let (reverse, reverse_exit, back) = reverse_verdict(snapshot, question, exit_vrf, recorder);
    let forward = Verdict::Forward(next_hop);
    let members = [way.member(), back];
    Answer { forward, reverse, reverse_exit, members, exit, owner, culprit: Culprit::Frame }
}

/// Routes that lead nowhere, as a drop.
pub fn lost(unresolved: Unresolved) -> (DropReason, VrfId) {
    match unresolved {
        Unresolved::NoRoute(vrf) => (DropReason::NoRoute, vrf),
        Unresolved::TooDeep(vrf) => (DropReason::VrfDepth, vrf),
        Unresolved::Gone(vrf) => (DropReason::NextHopGone, vrf),
    }
}

/// The place, VRF and tenant VIF by which a next hop leaves; `Ok(None)`: it is for us.
#[allow(clippy::type_complexity)]
pub(super) fn leave(
    snapshot: &Snapshot,
    next_hop: NextHopId,
) -> Result<Option<(Place, VrfId, Option<&Vif>)>, DropReason> {
    let row = snapshot.next_hops.row(next_hop.index()).ok_or(DropReason::NextHopGone)?;
    match &row.kind {
        NextHopKind::Drop => Err(DropReason::RouteDrop),
        NextHopKind::Receive => Ok(None),
        NextHopKind::Vif { vif, .. } | NextHopKind::Bridged { vif, .. } => {
            let vif = snapshot.vifs.row(vif.index()).ok_or(DropReason::NextHopGone)?;
            Ok(Some((Place::Vif(vif.id), vif.vrf, Some(vif))))
        }
        NextHopKind::Tunnel(tunnel) => Ok(Some((Place::Tunnel(tunnel.vrf), tunnel.vrf, None))),
        // tenants' flows never leave into the bare underlay
        NextHopKind::Fabric(_) => Err(DropReason::NoRoute),
        // followed and chosen already
        NextHopKind::Vrf(_) | NextHopKind::Group(_) => Err(DropReason::NextHopGone),
    }
}

/// Asks every ACL on the way, in order: the source VIF's from_vif, that of each VRF passed (once), the destination VIF's to_vif. All
/// must permit.
pub(super) fn judge(
    snapshot: &Snapshot,
    question: &Question,
    way: &Resolved,
    exit_vif: Option<&Vif>,
    recorder: &mut impl Recorder,
) -> Result<(), (DropReason, Culprit)> {
    let tuple = Tuple {
        source: question.tuple.source,
        destination: question.tuple.destination,
        protocol: question.tuple.protocol,
        ports: question.tuple.ports(),
        icmp: question.tuple.icmp(),
    };
    let mut ask = |stage: Stage, acl: Option<&Acl>| {
        let Some(acl) = acl else { return Ok(()) };
        let judgement = acl.judge(&tuple);
        recorder.acl(stage, acl, judgement.rule, judgement.permit);
        let rule = judgement.rule.map(|rule| rule.min(usize::from(u16::MAX)) as u16);
        match (judgement.permit, stage) {
            (true, _) => Ok(()),
            (false, Stage::FromVif(vif)) => Err((DropReason::AclFromVif, Culprit::AclFromVif(vif, rule))),
            (false, Stage::Vrf(vrf)) => Err((DropReason::AclVrf, Culprit::AclVrf(vrf, rule))),
            (false, Stage::ToVif(vif)) => Err((DropReason::AclToVif, Culprit::AclToVif(vif, rule))),
        }
    };
    if let Place::Vif(source) = question.place
        && let Some(vif) = snapshot.vifs.row(source.index())
    {
        ask(Stage::FromVif(source), vif.from_vif.as_deref())?;
    }
    let last = exit_vif.map(|vif| vif.vrf).filter(|vrf| !way.passed().contains(vrf));
    for vrf in way.passed().iter().copied().chain(last) {
        let row = snapshot.vrfs.row(vrf.index());
        ask(Stage::Vrf(vrf), row.and_then(|row| row.acl.as_deref()))?;
    }
    if let Some(vif) = exit_vif {
        ask(Stage::ToVif(vif.id), vif.to_vif.as_deref())?;
    }
    Ok(())
}

fn reverse_verdict(
    snapshot: &Snapshot,
    question: &Question,
    exit_vrf: VrfId,
    recorder: &mut impl Recorder,
) -> (Verdict, Option<Place>, MemberId) {
    let to = question.tuple.source;
    if let Named::Bridged(back) = question.answers {
        let left = back.map(|back| (back, leave(snapshot, back)));
        return match left {
            Some((back, Ok(Some((exit, ..))))) => (Verdict::Forward(back), Some(exit), MemberId(0)),
            Some((_, Err(reason))) => (Verdict::Drop(reason), None, MemberId(0)),
            Some((_, Ok(None))) | None => (Verdict::Drop(DropReason::UnknownUnicast), None, MemberId(0)),
        };
    }
    let choose = |group: &Group| {
        match question.place {
            Place::Vif(vif) => group.members().iter().find(|member| is_vif(snapshot, member, vif)).copied(),
            Place::Tunnel(_) => None,
        }
        .unwrap_or_else(|| choose(snapshot, group, &question.tuple.reversed(), question.kept[1]))
    };
    let found = snapshot.resolve(exit_vrf, to, choose, |vrf, found| recorder.reverse_route(vrf, to, found));
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
        Ok(Some((exit, ..))) => (Verdict::Forward(way.next_hop), Some(exit), way.member()),
    }
}

/// The member of a flow: the one it has, or by its hash.
fn choose(snapshot: &Snapshot, group: &Group, tuple: &FlowTuple, kept: Option<Kept>) -> Member {
    kept.and_then(|kept| group.keep(kept)).copied().unwrap_or_else(|| snapshot.choose(group, tuple))
}

/// Whether a member is this VIF: answers go back to who asked, not to whom its hash would choose.
fn is_vif(snapshot: &Snapshot, member: &Member, vif: VifId) -> bool {
    let row = snapshot.next_hops.row(member.next_hop.index());
    matches!(row.map(|row| &row.kind), Some(NextHopKind::Vif { vif: to, .. }) if *to == vif)
}
