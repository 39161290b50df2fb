//! Services, and the rules that redirect to them: changes as [`super::journal`] says, and what must hold of them at the end of a batch.

use std::sync::Arc;

use super::journal::{Undo, replace};
use super::records::{Acl, Redirect};
use super::refusal::{Reason, Refusal, shown};
use super::state::State;
use crate::ids::{NextHopId, VifId, VrfId};

impl State {
    /// The next hop to a VIF that is a service; it gets a user more.
    pub fn set_service(&mut self, vif: VifId, new: Option<NextHopId>) {
        let old = replace(&mut self.services, vif, new);
        if let Some(next_hop) = new {
            self.hops.retain(next_hop.0);
        }
        if let Some(next_hop) = old {
            self.hops.release(next_hop.0);
        }
        self.journal.push(Undo::Service(vif, old));
    }

    /// Notes where an ACL redirects, or does so no more.
    pub(super) fn redirect(&mut self, acl: &Acl, there: bool) {
        for to in &acl.redirects {
            let of = self.of_redirect.entry(to.clone()).or_default();
            if there {
                of.insert(acl.name.clone());
            } else {
                of.remove(&acl.name);
            }
            if of.is_empty() {
                self.of_redirect.remove(to);
            }
        }
    }

    /// The first ACL that redirects there.
    pub fn redirected_by(&self, to: &Redirect) -> Option<&Arc<str>> {
        self.of_redirect.get(to)?.first()
    }

    /// The VRF in which flows go on that are redirected so.
    pub fn redirect_vrf(&self, to: &Redirect) -> Option<VrfId> {
        match to {
            Redirect::Vrf(name) => Some(self.vrfs.get(name)?.id),
            Redirect::Vif(name) => Some(self.vifs.get(name)?.vrf),
        }
    }

    /// That what this batch's rules redirect to is there, and what other rules redirect to still is.
    ///
    /// # Errors
    /// The object whose change it was, as [`super::describe::object`] names it, and what is wrong.
    pub fn check_redirects(&self) -> Result<(), (String, Refusal)> {
        if self.of_redirect.is_empty() {
            return Ok(());
        }
        let still = |to: Redirect, kind: &str, name: &Arc<str>| match self.redirected_by(&to) {
            Some(acl) if self.leads(&to).is_err() => {
                Err((format!("{kind} {name}"), Reason::InUse(format!("ACL {acl}, which redirects to it")).at("")))
            }
            _ => Ok(()),
        };
        for undo in &self.journal {
            match undo {
                Undo::Acl(name, _) => {
                    for to in self.acls.get(name).into_iter().flat_map(|acl| &acl.redirects) {
                        self.leads(to).map_err(|reason| (format!("acl {name}"), reason.at("redirect")))?;
                    }
                }
                Undo::Vif(name, _) => still(Redirect::Vif(name.clone()), "vif", name)?,
                Undo::Vrf(name, _) => still(Redirect::Vrf(name.clone()), "vrf", name)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn leads(&self, to: &Redirect) -> Result<(), Reason> {
        match to {
            Redirect::Vrf(name) => {
                let vrf = self.vrfs.get(name).ok_or_else(|| Reason::Unknown { kind: "VRF", name: shown(name) })?;
                match self.fabric_use(vrf.id) {
                    Some(why) => Err(Reason::FabricVrf { vrf: name.to_string(), why: why.into() }),
                    // answers that come in there must find their flows
                    None if !vrf.flows => Err(Reason::FlowsAreOff(name.to_string())),
                    None => Ok(()),
                }
            }
            Redirect::Vif(name) => {
                let vif = self.vifs.get(name).ok_or_else(|| Reason::Unknown { kind: "VIF", name: shown(name) })?;
                if vif.service { Ok(()) } else { Err(Reason::NotAService(name.to_string())) }
            }
        }
    }
}
