//! Redirect: which way a flow goes past its ACLs, the first of which that redirects sends it another way.

use super::Oracle;
use super::acl::Redirect;
use super::config::{Hop, Which};
use super::ecmp::Kept;
use super::flows::{Leave, Named, has_link_local};
use super::forward::Place;
use super::headers::{Reason, Tuple};

/// A next hop and the VRFs passed, or why there is none.
type Way = Result<(Hop, Vec<u32>), Reason>;

/// Where it went.
pub(super) enum Gone {
    ForUs,
    Refused(Reason, Place),
    Away(Away),
}

pub(super) struct Away {
    pub way: Kept,
    /// The place, and its VRF.
    pub exit: (Place, u32),
    /// If that is a VIF.
    pub exit_vif: Option<u32>,
    /// By what kind of rule it was sent elsewhere.
    pub sent: Option<&'static str>,
}

/// An ACL on the way.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    FromVif(u32),
    Vrf(u32),
    ToVif(u32),
}

impl Oracle {
    /// Lets a flow go its way, `first` unless a rule has it go another. `choose` says which of several ways it has.
    pub(super) fn go(
        &self,
        place: Place,
        vrf: u32,
        tuple: Tuple,
        (first, named): (Way, Named),
        choose: impl Fn(Hop) -> Kept,
    ) -> Gone {
        let routed = named == Named::Routed;
        // its sender's rules come before its route, unless that leads to us
        let for_us = first.as_ref().is_ok_and(|(hop, _)| matches!(self.leave(choose(*hop).hop), Ok(Leave::ForUs)));
        let sender = if let Place::Vif(vif) = place { Some(vif) } else { None };
        let by_sender = sender.filter(|_| routed && !for_us).and_then(|vif| {
            let to = self.config.sends(&self.config.vifs[&vif].acl_from_vif, &tuple)?;
            Some(self.elsewhere(vrf, to, &tuple))
        });
        let mut sent = by_sender.is_some().then_some("redirected_by_sender");
        let mut asked: Vec<Stage> = sender.into_iter().filter(|_| sent.is_some()).map(Stage::FromVif).collect();
        let mut way = by_sender.unwrap_or(first);
        loop {
            let (hop, passed) = match way {
                Ok(way) => way,
                Err(reason) => return Gone::Refused(reason, place),
            };
            let chosen = choose(hop);
            let (exit, exit_vrf, exit_vif) = match self.leave(chosen.hop) {
                Err(reason) => return Gone::Refused(reason, place),
                Ok(Leave::ForUs) => {
                    let stages = self.stages(sender, &passed, None);
                    return match self.first_that_denies(&stages, &asked, &tuple) {
                        Some(reason) => Gone::Refused(reason, place),
                        None => Gone::ForUs,
                    };
                }
                Ok(Leave::At(exit, vrf, vif)) => (exit, vrf, vif),
            };
            if !chosen.hop.which.takes_frames() && has_link_local(&tuple) {
                return Gone::Refused("source_spoofed", place);
            }
            let mut passed = passed;
            if !passed.contains(&exit_vrf) {
                passed.push(exit_vrf);
            }
            let stages = self.stages(sender, &passed, exit_vif);
            let followed = sent.is_some();
            let redirects = |stage: &&Stage| !followed && self.redirect_of(**stage, place, &tuple).is_some();
            let at = stages.iter().position(|stage| redirects(&stage)).map_or(stages.len(), |at| at + 1);
            if let Some(reason) = self.first_that_denies(&stages[..at], &asked, &tuple) {
                return Gone::Refused(reason, exit);
            }
            let Some(stage) = stages.iter().find(redirects) else {
                return Gone::Away(Away { way: chosen, exit: (exit, exit_vrf), exit_vif, sent });
            };
            if !routed {
                return Gone::Refused("redirect_not_routed", place);
            }
            sent = Some(match stage {
                Stage::FromVif(_) => "redirected_by_sender",
                Stage::Vrf(_) => "redirected_by_vrf",
                Stage::ToVif(_) => "redirected_by_receiver",
            });
            let to = self.redirect_of(*stage, place, &tuple).expect("just found").clone();
            asked = stages[..at].to_vec();
            way = self.elsewhere(vrf, &to, &tuple);
        }
    }

    /// The way that a rule sends a flow that entered in this VRF.
    fn elsewhere(&self, vrf: u32, to: &Redirect, tuple: &Tuple) -> Way {
        match to {
            Redirect::Vif(name) => {
                let vif =
                    self.config.vifs.values().find(|vif| vif.name == *name && vif.service).ok_or("next_hop_gone")?;
                Ok((Hop { vrf: vif.vrf, which: Which::Vif { vif: vif.id, mac: None } }, vec![vrf]))
            }
            Redirect::Vrf(name) => {
                let into = self.config.vrfs.values().find(|other| other.name == *name).expect("a VRF that is named");
                if into.id == vrf {
                    return self.config.resolve(vrf, tuple.destination).map(|(_, hop, passed)| (hop, passed));
                }
                let (_, hop, mut passed) = self.config.resolve(into.id, tuple.destination)?;
                passed.insert(0, vrf);
                if passed.len() > 8 { Err("vrf_depth") } else { Ok((hop, passed)) }
            }
        }
    }

    fn stages(&self, sender: Option<u32>, vrfs: &[u32], to: Option<u32>) -> Vec<Stage> {
        let vrfs = vrfs.iter().copied().map(Stage::Vrf);
        sender.map(Stage::FromVif).into_iter().chain(vrfs).chain(to.map(Stage::ToVif)).collect()
    }

    fn acl_of(&self, stage: Stage) -> (&Option<String>, Reason) {
        match stage {
            Stage::FromVif(vif) => (&self.config.vifs[&vif].acl_from_vif, "acl_from_vif"),
            Stage::Vrf(vrf) => (&self.config.vrfs[&vrf].acl, "acl_vrf"),
            Stage::ToVif(vif) => (&self.config.vifs[&vif].acl_to_vif, "acl_to_vif"),
        }
    }

    fn first_that_denies(&self, stages: &[Stage], asked: &[Stage], tuple: &Tuple) -> Option<Reason> {
        let judged = stages.iter().filter(|stage| !asked.contains(stage)).map(|stage| self.acl_of(*stage));
        judged.into_iter().find(|(acl, _)| !self.config.permits(acl, tuple)).map(|(_, reason)| reason)
    }

    /// Where this stage sends it, if it may.
    fn redirect_of(&self, stage: Stage, place: Place, tuple: &Tuple) -> Option<&Redirect> {
        let to = self.config.sends(self.acl_of(stage).0, tuple)?;
        let vif = if let Place::Vif(vif) = place { self.config.vifs.get(&vif) } else { None };
        let of_service = vif.is_some_and(|vif| vif.service);
        let may = match stage {
            Stage::FromVif(_) => true,
            Stage::Vrf(_) => vif.is_some() && !of_service,
            // who is there already goes nowhere
            Stage::ToVif(there) => !of_service && *to != Redirect::Vif(self.config.vifs[&there].name.clone()),
        };
        Some(to).filter(|_| may)
    }

    /// Every ACL on the way of a flooded packet, in order: from_vif of the source VIF, of its VRF, to_vif of a VIF that it is for.
    pub(super) fn ask_acls(&self, place: Place, vrf: u32, to: Option<u32>, tuple: &Tuple) -> Result<(), Reason> {
        let sender = if let Place::Vif(vif) = place { Some(vif) } else { None };
        for stage in self.stages(sender, &[vrf], to) {
            if let Some(reason) = self.first_that_denies(&[stage], &[], tuple) {
                return Err(reason);
            }
            if self.redirect_of(stage, place, tuple).is_some() {
                return Err("redirect_not_routed");
            }
        }
        Ok(())
    }
}
