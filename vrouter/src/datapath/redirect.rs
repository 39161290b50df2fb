//! Redirect: a rule sends a flow another way than its routes do.

use super::decide::{Policies, Question, Recorder, Stage, choose, tuple_of};
use super::named::Named;
use super::victims::Culprit;
use crate::drops::DropReason;
use crate::ids::{Place, VifId, VrfId};
use crate::tables::acl::{Judgement, Redirect};
use crate::tables::{Group, Resolved, Snapshot, Unresolved};

/// Where a flow goes instead, and who said so.
#[derive(Clone, Copy, Debug)]
pub struct Away {
    pub redirect: Redirect,
    stage: Stage,
    rule: Option<u16>,
    /// The way that it leaves, of which so many VRFs were asked.
    left: Option<(Resolved, usize)>,
}

impl Away {
    /// As the ACL of this stage judged. `left`: the way until then, and how many of its VRFs were asked.
    pub(super) fn new(redirect: Redirect, stage: Stage, rule: Option<u16>, left: Option<(Resolved, usize)>) -> Away {
        Away { redirect, stage, rule, left }
    }

    /// Whether this VRF's ACL has been asked.
    pub(super) fn has_asked(&self, vrf: VrfId) -> bool {
        self.left.as_ref().is_some_and(|(way, count)| way.passed()[..(*count).min(way.passed().len())].contains(&vrf))
    }

    /// The rule that says so.
    pub(super) fn culprit(&self) -> Culprit {
        match self.stage {
            Stage::FromVif(vif) => Culprit::AclFromVif(vif, self.rule),
            Stage::Vrf(vrf) => Culprit::AclVrf(vrf, self.rule),
            Stage::ToVif(vif) => Culprit::AclToVif(vif, self.rule),
        }
    }

    /// The way to go.
    pub(super) fn resolve(
        &self,
        snapshot: &Snapshot,
        question: &Question,
        recorder: &mut impl Recorder,
    ) -> Result<Resolved, (DropReason, Culprit)> {
        recorder.redirect(self.redirect);
        let to = question.tuple.destination;
        match self.redirect {
            Redirect::Vif(vif) => match service(snapshot, vif) {
                Some(next_hop) => Ok(Resolved::without_route(question.vrf, next_hop)),
                None => Err((DropReason::NextHopGone, self.culprit())),
            },
            Redirect::Vrf(vrf) => {
                let choose = |group: &Group| choose(snapshot, group, &question.tuple, question.kept[0]);
                let see = |vrf: &_, found| recorder.route(vrf, to, found);
                snapshot.resolve_from(question.vrf, vrf, to, choose, see).map_err(|unresolved| match unresolved {
                    Unresolved::NoRoute(vrf) => (DropReason::NoRoute, Culprit::Vrf(vrf)),
                    Unresolved::TooDeep(vrf) => (DropReason::VrfDepth, Culprit::Vrf(vrf)),
                    Unresolved::Gone(vrf) => (DropReason::NextHopGone, Culprit::Vrf(vrf)),
                })
            }
        }
    }
}

/// What the ACL of the VIF that it came by redirects, wherever routes lead, unless that is to us.
pub(super) fn by_sender(
    snapshot: &Snapshot,
    policies: impl Policies,
    question: &Question,
    ours: impl FnOnce() -> bool,
    recorder: &mut impl Recorder,
) -> Option<Away> {
    let (Place::Vif(from), Named::Routed) = (question.place, question.forward) else { return None };
    let own = snapshot.vifs.row(from.index())?.from_vif.as_ref();
    let acl = policies.acl(Stage::FromVif(from), own).filter(|acl| acl.redirects())?;
    let judgement = acl.judge(&tuple_of(question));
    let redirect = acl.redirect(&judgement).filter(|_| !ours())?;
    recorder.acl(Stage::FromVif(from), acl, judgement.rule, judgement.permit);
    Some(Away::new(redirect, Stage::FromVif(from), number(&judgement), None))
}

/// Whether rules of this stage may redirect what entered there: services send on as their own ACL says, what came by a tunnel was redirected by
/// the host that sent it, and who is there already goes nowhere.
pub(super) fn may(snapshot: &Snapshot, place: Place, stage: Stage, to: Redirect) -> bool {
    let is_service = matches!(place, Place::Vif(vif) if service(snapshot, vif).is_some());
    match stage {
        Stage::FromVif(_) => true,
        Stage::Vrf(_) => !is_service && matches!(place, Place::Vif(_)),
        Stage::ToVif(vif) => !is_service && to != Redirect::Vif(vif),
    }
}

/// The next hop to a VIF that is a service.
pub(super) fn service(snapshot: &Snapshot, vif: VifId) -> Option<crate::ids::NextHopId> {
    snapshot.vifs.row(vif.index())?.service
}

/// The rule that decided, as victims have it.
pub(super) fn number(judgement: &Judgement) -> Option<u16> {
    judgement.rule.map(|rule| rule.min(usize::from(u16::MAX)) as u16)
}
