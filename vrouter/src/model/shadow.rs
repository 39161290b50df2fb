//! Shadows: a batch of policies that is tried before it is made. It goes with the snapshot, as captures do.

use std::sync::Arc;

use super::batch::{Batch, owner};
use super::plan::{found, unopened};
use super::refusal::{Reason, Refusal};
use super::{Model, describe, events, refused};
use crate::api::yaml::differing;
use crate::api::{Item, v1};
use crate::ids::Generation;
use crate::tables::{Found, Shadow, Snapshot};
use v1::change::Op;
use v1::object::Kind;
use v1::object_key::Kind as Key;

/// Fields of VIFs and VRFs that may differ: their policies, and whose they are.
const POLICIES: [&str; 4] = ["acl_from_vif", "acl_to_vif", "acl", "owner"];

impl Model {
    /// The policies that a batch would put in force, and leaves everything as it is. Control thread.
    ///
    /// # Errors
    /// As when it would be made; it changes something else than policies.
    pub fn shadow(&mut self, batch: &Batch, found: &Arc<Found>) -> Result<Shadow, v1::Refused> {
        self.make(batch, &mut unopened)?;
        let changes = events::all(&self.state, usize::MAX).0;
        let changes: Vec<_> = changes.into_iter().map(|change| (self.is_anew(&change), change)).collect();
        let shadow = self.compiled.beside(&self.state, found.clone());
        self.state.rollback();
        self.only_policies(batch, &changes)?;
        Ok(shadow)
    }

    /// By these policies new flows are judged too from now on, and by no others. No flow is judged anew.
    pub fn judge_by_shadow(&mut self, shadow: Option<Arc<Shadow>>) -> Arc<Snapshot> {
        self.set_shadow(shadow);
        self.publish("")
    }

    /// The same with the next snapshot, whatever makes it; returns what there was.
    pub fn set_shadow(&mut self, shadow: Option<Arc<Shadow>>) -> Option<Arc<Shadow>> {
        std::mem::replace(&mut Arc::make_mut(&mut self.compiled.snapshot).shadow, shadow)
    }

    /// When policies, or who has which, changed last: a shadow is of its generation, or a later one.
    pub fn policies_since(&self) -> Generation {
        self.compiled.policies
    }

    /// It puts a VIF or VRF that was not there, or that was deleted before.
    fn is_anew(&self, change: &v1::Change) -> bool {
        let (state, in_force) = (&self.state, &self.compiled.snapshot);
        let Some(Op::Put(object)) = &change.op else { return false };
        match &object.kind {
            Some(Kind::Vif(vif)) => {
                let now = state.vifs.get(vif.name.as_str());
                now.is_none_or(|vif| in_force.vifs.row(vif.id.index()).is_none())
            }
            Some(Kind::Vrf(vrf)) => {
                let now = state.vrfs.get(vrf.name.as_str());
                now.is_none_or(|vrf| in_force.vrfs.row(vrf.id.index()).is_none())
            }
            _ => false,
        }
    }

    fn only_policies(&self, batch: &Batch, changes: &[(bool, v1::Change)]) -> Result<(), v1::Refused> {
        for (anew, change) in changes {
            let refusal = if *anew { Err(Reason::PoliciesOnly.at("")) } else { self.is_policy(change) };
            let Err(refusal) = refusal else { continue };
            let object = describe::object(change, owner(batch.owner));
            let told = |item: Item| describe::object(&item.into_change(), owner(batch.owner)) == object;
            let index = batch.changes.iter().position(told).unwrap_or(batch.changes.len());
            return Err(refused(index, object, refusal));
        }
        Ok(())
    }

    /// That a change to what is there, as watchers would be told it, is one of policies.
    fn is_policy(&self, change: &v1::Change) -> Result<(), Refusal> {
        let refused = |field: &str| Err(Reason::PoliciesOnly.at(field));
        match &change.op {
            Some(Op::Put(object) | Op::Create(object)) => {
                let key = match &object.kind {
                    Some(Kind::Acl(_) | Kind::Group(_)) => return Ok(()),
                    Some(Kind::Vif(vif)) => Key::Vif(vif.name.clone()),
                    Some(Kind::Vrf(vrf)) => Key::Vrf(vrf.name.clone()),
                    _ => return refused(""),
                };
                let Some(before) = found(&self.state, &key) else { return refused("") };
                let fields = differing(&before, object);
                let other = fields.iter().find(|field| !POLICIES.contains(&field.as_str()));
                other.map_or(Ok(()), |field| refused(field))
            }
            Some(Op::Delete(key)) => match &key.kind {
                Some(Key::Acl(_) | Key::Group(_)) => Ok(()),
                _ => refused(""),
            },
            None => Ok(()),
        }
    }
}
