//! An owner's objects as they are, and as they were: what a batch that was not confirmed leaves.

use super::batch::{self, Accepted, Batch};
use super::limits::Open;
use super::owners::{Claim, Name};
use super::routes::Source;
use super::state::State;
use super::sweep::{self, Sweep};
use super::{Model, change, describe, list, plan};
use crate::api::v1;
use crate::ids::Generation;
use v1::change::Op;
use v1::object::Kind;

/// What became of an attempt.
pub struct Reverted {
    /// Absent: nothing was to be changed. Its deletes and puts are all in `front`.
    pub accepted: Option<Accepted>,
    /// What is not as it was, for people, and why.
    pub left: Vec<String>,
}

/// Changes that were made in order, and what could not be.
type Made = (Vec<v1::Change>, Vec<String>);

impl Model {
    /// An owner's objects, in an order in which one batch can write them.
    pub fn objects_of(&self, owner: &str) -> Vec<v1::Object> {
        let state = &self.state;
        let Some(number) = state.owners.number(batch::owner(owner)) else { return Vec::new() };
        let mut names: Vec<&Name> = state.owned.iter().filter(|(_, of)| **of == number).map(|(name, _)| name).collect();
        names.sort_unstable();
        let mut objects: Vec<v1::Object> = names.iter().filter_map(|name| self.object(name)).collect();
        if state.owners.users(number) as usize > objects.len() {
            let mut routes = Vec::new();
            for (&vrf, table) in &state.routes {
                let of_owner = table.iter().filter_map(|(prefix, offers)| {
                    let offer = offers.iter().find(|offer| offer.source == Source::Owner(number))?;
                    Some((vrf, prefix, *offer))
                });
                routes.extend(of_owner);
            }
            routes.sort_unstable_by_key(|(vrf, prefix, _)| (*vrf, *prefix));
            let route = |(vrf, prefix, offer)| list::route(state, &state.vrf_name(vrf), prefix, &offer);
            objects.extend(routes.into_iter().map(|at| v1::Object::from(Kind::Route(route(at)))));
        }
        objects
    }

    /// The same, and the settings if they are nobody's: what [`Model::revert`] takes.
    pub fn before(&self, owner: &str) -> Vec<v1::Object> {
        let mut objects = self.objects_of(owner);
        if self.state.owner_of(&Name::Settings).is_none() {
            objects.extend(self.object(&Name::Settings));
        }
        objects
    }

    /// Makes an owner's objects what they were, in one batch; `in_part`: as much of it as others' objects allow.
    ///
    /// # Errors
    /// What keeps it from being made, for people; then nothing has changed.
    pub fn revert(
        &mut self,
        owner: &str,
        before: &[v1::Object],
        in_part: bool,
        open: &mut Open,
    ) -> Result<Reverted, String> {
        let owner = batch::owner(owner);
        let has_settings = self.state.owner_of(&Name::Settings).is_some_and(|of| **of == *owner);
        let is_wanted = |object: &&v1::Object| has_settings || !matches!(object.kind, Some(Kind::Settings(_)));
        let puts = before.iter().filter(is_wanted).cloned().map(|mut object| {
            // nobody's settings become those of who put others
            object.owner = String::new();
            v1::Change { op: Some(Op::Put(object)) }
        });
        let puts: Vec<v1::Change> = puts.collect();
        let (front, left) = if in_part {
            self.revert_in_part(owner, &puts, open)?
        } else {
            let whole = Batch { owner, changes: puts[..].into(), replace: Some(&[]), ..Batch::default() };
            let made = self.make(&whole, open);
            let (front, behind) = made.map_err(|refused| format!("{}: {}", refused.object, refused.reason))?;
            (front.into_iter().chain(puts).chain(behind).collect(), Vec::new())
        };
        if self.state.journal.is_empty() {
            self.state.rollback();
            return Ok(Reverted { accepted: None, left });
        }
        // the daemon's doing, which its owner is told too
        self.newest.note(&self.state, owner, Generation(self.generation().0 + 1));
        let accepted = Accepted { snapshot: self.publish(""), front, behind: Vec::new() };
        Ok(Reverted { accepted: Some(accepted), left })
    }

    /// As much as can be made.
    fn revert_in_part(&mut self, owner: &str, puts: &[v1::Change], open: &mut Open) -> Result<Made, String> {
        let made = revert(&mut self.state, owner, puts, &[], open);
        if self.state.check_redirects().is_ok() {
            return Ok(made);
        }
        self.state.rollback();
        let spare = sweep::redirected(&self.state);
        let made = revert(&mut self.state, owner, puts, &spare, open);
        match self.state.check_redirects() {
            Ok(()) => Ok(made),
            Err((object, refusal)) => {
                self.state.rollback();
                Err(format!("{object}: {}", refusal.reason))
            }
        }
    }

    fn object(&self, name: &Name) -> Option<v1::Object> {
        let state = &self.state;
        match name {
            Name::Settings => Some(list::told(state, Kind::Settings(Box::new(list::settings(state, &state.settings))))),
            name => plan::found(state, &name.key(state)?),
        }
    }
}

/// Each change for itself; these objects stay.
fn revert(state: &mut State, owner: &str, puts: &[v1::Change], spare: &[Name], open: &mut Open) -> Made {
    let claim = Claim { owner, take_over: false };
    let mut sweep = Sweep::sparing(state, owner, puts.into(), spare);
    let mut made = sweep.front(state);
    let mut left = Vec::new();
    for (put, item) in puts.iter().zip(batch::Said::from(puts).iter()) {
        let mark = state.journal.len();
        match change::make(state, claim, &item, open) {
            Ok(()) => made.push(put.clone()),
            Err(refusal) => {
                state.rollback_to(mark);
                left.push(format!("{}: {}", describe::object(put, owner), refusal.reason));
            }
        }
    }
    let (behind, stays) = sweep.behind_as_far(state);
    made.extend(behind);
    left.extend(stays);
    (made, left)
}
