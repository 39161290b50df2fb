//! Services, and the rules that redirect to them: changes as [`super::journal`] says, and what must hold of them at the end of a batch.

use std::sync::Arc;

use super::journal::{Undo, replace};
use super::records::{Acl, Redirect};
use super::refusal::{Reason, shown};
use super::state::State;
use crate::api::v1;
use crate::ids::{NextHopId, VifId, VrfId};

/// What a batch did last of what now does not hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Blamed {
    Acl(Arc<str>),
    Vif(Arc<str>),
    Vrf(Arc<str>),
}

impl Blamed {
    /// Whether it was this change.
    pub fn by(&self, change: &v1::Change) -> bool {
        use v1::change::Op;
        use v1::object::Kind;
        use v1::object_key::Kind as Key;
        let kind = match &change.op {
            Some(Op::Create(object) | Op::Put(object)) => object.kind.as_ref(),
            _ => None,
        };
        let key = match &change.op {
            Some(Op::Delete(key)) => key.kind.as_ref(),
            _ => None,
        };
        match (self, kind, key) {
            (Blamed::Acl(name), Some(Kind::Acl(acl)), _) => **name == *acl.name,
            (Blamed::Vif(name), Some(Kind::Vif(vif)), _) => **name == *vif.name,
            (Blamed::Vrf(name), Some(Kind::Vrf(vrf)), _) => **name == *vrf.name,
            (Blamed::Vif(name), _, Some(Key::Vif(key))) => **name == **key,
            (Blamed::Vrf(name), _, Some(Key::Vrf(key))) => **name == **key,
            _ => false,
        }
    }
}

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

    /// That what this batch's rules redirect to is there, and what other rules redirect to still is. An error says whose change it was.
    pub fn check_redirects(&self) -> Result<(), (Blamed, &'static str, Reason)> {
        if self.of_redirect.is_empty() {
            return Ok(());
        }
        let still = |to: Redirect, blamed: fn(Arc<str>) -> Blamed, name: &Arc<str>| match self.redirected_by(&to) {
            Some(acl) if self.leads(&to).is_err() => {
                Err((blamed(name.clone()), "", Reason::InUse(format!("ACL {acl}, which redirects to it"))))
            }
            _ => Ok(()),
        };
        for undo in &self.journal {
            match undo {
                Undo::Acl(name, _) => {
                    for to in self.acls.get(name).into_iter().flat_map(|acl| &acl.redirects) {
                        let named = |reason| (Blamed::Acl(name.clone()), "redirect", reason);
                        self.leads(to).map_err(named)?;
                    }
                }
                Undo::Vif(name, _) => still(Redirect::Vif(name.clone()), Blamed::Vif, name)?,
                Undo::Vrf(name, _) => still(Redirect::Vrf(name.clone()), Blamed::Vrf, name)?,
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
