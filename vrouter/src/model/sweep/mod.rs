//! Mark and sweep: what an owner has and a batch does not say goes. The sweep is a list of plain deletes, before and after the changes.

mod refer;

use hashbrown::HashSet;

use super::batch;
use super::change;
use super::list;
use super::owners::{Claim, Name, described};
use super::read;
use super::records::{Prefix, Redirect};
use super::refusal::{Reason, Refusal};
use super::routes::Source;
use super::state::State;
use crate::api::{Item, Verb, v1};
use crate::ids::VrfId;
use v1::change::Op;
use v1::object::Kind;
use v1::object_key::Kind as Key;

/// What is to go.
pub(super) struct Sweep<'a> {
    owner: &'a str,
    /// The owner's number; absent: it has nothing.
    number: Option<u32>,
    routes: Vec<(VrfId, Prefix)>,
    /// What refers comes before what is referred to.
    names: Vec<Name>,
    said: Said,
    /// Nothing but what is given here stays where it is in the way.
    spare: Option<&'a [Name]>,
}

/// What the batch says of the owner's objects.
#[derive(Default)]
struct Said {
    routes: HashSet<(VrfId, Prefix)>,
    names: HashSet<Name>,
    /// Of these, what it deletes.
    deleted_routes: HashSet<(VrfId, Prefix)>,
    deleted: HashSet<Name>,
}

impl<'a> Sweep<'a> {
    /// Of these kinds (empty: all), what the owner has and these changes do not name.
    pub fn new(state: &State, owner: &'a str, kinds: &[v1::Kind], changes: batch::Said) -> Sweep<'a> {
        let number = state.owners.number(owner);
        let mut sweep = Sweep { owner, number, routes: vec![], names: vec![], said: Said::default(), spare: None };
        let Some(number) = number else { return sweep };
        let wants = |kind| kinds.is_empty() || kinds.contains(&kind) || kinds.contains(&v1::Kind::All);
        sweep.said = Said::by(state, owner, changes);
        let objects = state.owned.values().filter(|of| **of == number).count();
        if wants(v1::Kind::Route) && state.owners.users(number) as usize > objects {
            for (&vrf, table) in &state.routes {
                let of_owner = table.iter().filter(|(prefix, offers)| {
                    offers.iter().any(|offer| offer.source == Source::Owner(number))
                        && !sweep.said.routes.contains(&(vrf, *prefix))
                });
                sweep.routes.extend(of_owner.map(|(prefix, _)| (vrf, prefix)));
            }
            sweep.routes.sort_unstable();
        }
        let goes = |name: &Name| *name != Name::Settings && wants(name.kind()) && !sweep.said.names.contains(name);
        let owned = state.owned.iter().filter(|&(name, of)| *of == number && goes(name));
        sweep.names = owned.map(|(name, _)| name.clone()).collect();
        sweep.names.sort_unstable_by(|a, b| b.cmp(a));
        sweep
    }

    /// The same of a batch that says nothing, for as much as can go: not these.
    pub fn of_all(state: &State, owner: &'a str, spare: &'a [Name]) -> Sweep<'a> {
        Sweep { spare: Some(spare), ..Sweep::new(state, owner, &[], batch::Said::default()) }
    }

    /// The same of a batch that says these, for as much as can go: not what is to be spared.
    pub fn sparing(state: &State, owner: &'a str, changes: batch::Said, spare: &'a [Name]) -> Sweep<'a> {
        Sweep { spare: Some(spare), ..Sweep::new(state, owner, &[], changes) }
    }

    /// Deletes what nothing refers to, and returns these deletes.
    pub fn front(&mut self, state: &mut State) -> Vec<v1::Change> {
        let Some(number) = self.number else { return Vec::new() };
        let mut made = Vec::new();
        for (vrf, prefix) in std::mem::take(&mut self.routes) {
            self.withdraw(state, number, vrf, prefix, &mut made);
        }
        self.go(state, &mut made);
        if self.spare.is_none() && !self.names.is_empty() {
            // what is said anew may refer to what goes: it need not until it is said
            for (vrf, prefix) in refer::routes(state, number, &self.names) {
                if self.said.routes.contains(&(vrf, prefix)) && !self.said.deleted_routes.contains(&(vrf, prefix)) {
                    self.withdraw(state, number, vrf, prefix, &mut made);
                }
            }
            for name in refer::leaves(state, number, &self.names) {
                if self.said.names.contains(&name) && !self.said.deleted.contains(&name) {
                    made.extend(self.delete(state, &name).ok());
                }
            }
            self.go(state, &mut made);
        }
        made
    }

    /// Deletes the rest.
    ///
    /// # Errors
    /// The first object to which something refers, and what.
    pub fn behind(&mut self, state: &mut State) -> Result<Vec<v1::Change>, (String, Refusal)> {
        let mut made = Vec::new();
        for name in std::mem::take(&mut self.names) {
            if state.owned.get(&name).copied() != self.number {
                continue;
            }
            let object = described(state, &name);
            made.push(self.delete(state, &name).map_err(|mut refusal| {
                if let (Reason::InUse(by), Some(found)) = (&mut refusal.reason, refer::first(state, &name)) {
                    *by = found;
                }
                (object, refusal)
            })?);
        }
        Ok(made)
    }

    /// Deletes as much of the rest as can go; of what stays what it is, and what refers to it, for people.
    pub fn behind_as_far(&mut self, state: &mut State) -> (Vec<v1::Change>, Vec<String>) {
        let (mut made, mut stays) = (Vec::new(), Vec::new());
        for name in std::mem::take(&mut self.names) {
            if state.owned.get(&name).copied() != self.number {
                continue;
            }
            let object = described(state, &name);
            let spared = self.spare.is_some_and(|spare| spare.contains(&name));
            match if spared { Err(Reason::InUse("a rule".into()).at("")) } else { self.delete(state, &name) } {
                Ok(change) => made.push(change),
                Err(refusal) => {
                    let by = refer::first(state, &name).map(|by| format!("{by} refers to it"));
                    stays.push(format!("{object}: {}", by.unwrap_or_else(|| refusal.reason.to_string())));
                }
            }
        }
        (made, stays)
    }

    /// Those that can go.
    fn go(&mut self, state: &mut State, made: &mut Vec<v1::Change>) {
        for name in std::mem::take(&mut self.names) {
            let spared = self.spare.is_some_and(|spare| spare.contains(&name));
            match if spared { None } else { self.delete(state, &name).ok() } {
                Some(change) => made.push(change),
                None => self.names.push(name),
            }
        }
    }

    /// Leaves the state as it was when it cannot be.
    fn delete(&self, state: &mut State, name: &Name) -> Result<v1::Change, Refusal> {
        let mark = state.journal.len();
        let key = name.key(state).ok_or_else(|| Reason::NotThere.at(""))?;
        let claim = Claim { owner: self.owner, take_over: false };
        match change::delete(state, claim, &key) {
            Ok(()) => Ok(deletion(key)),
            Err(refusal) => {
                state.rollback_to(mark);
                Err(refusal)
            }
        }
    }

    fn withdraw(&self, state: &mut State, number: u32, vrf: VrfId, prefix: Prefix, made: &mut Vec<v1::Change>) {
        state.set_route(vrf, prefix, Source::Owner(number), None);
        let (vrf, prefix) = (state.vrf_name(vrf), Some(list::prefix(prefix)));
        made.push(deletion(Key::Route(v1::RouteKey { vrf, prefix, owner: self.owner.into() })));
    }
}

impl Said {
    fn by(state: &State, owner: &str, changes: batch::Said) -> Said {
        let mut said = Said { routes: HashSet::with_capacity(changes.len()), ..Said::default() };
        let mut last: Option<(&str, VrfId)> = None;
        let mut place = |vrf: &str, prefix: (&[u8], u32), of: &str, by: &str| -> Option<(VrfId, Prefix)> {
            let by = if of.is_empty() { by } else { of };
            let vrf = match last {
                Some((name, known)) if *name == *vrf => known,
                _ => state.vrf_by_name.get(vrf)?.id,
            };
            last = state.vrf_by_id.get(&vrf).map(|record| (&*record.name, vrf));
            (by == owner).then_some((vrf, read::prefix_of(prefix.0, prefix.1).ok()?))
        };
        for item in changes.iter() {
            let change = match item {
                Item::Route(route) => {
                    let key = place(route.vrf(), route.prefix(), route.owner(), owner);
                    said.routes.extend(key);
                    said.deleted_routes.extend(key.filter(|_| route.verb() == Verb::Delete));
                    continue;
                }
                Item::Other(change) => change,
            };
            let mut route = |key: Option<&v1::RouteKey>, by: &str| {
                let key = key?;
                let prefix = key.prefix.as_ref()?;
                place(&key.vrf, (&prefix.address, prefix.length), &key.owner, by)
            };
            match &change.op {
                Some(Op::Put(object) | Op::Create(object)) => {
                    let by = if object.owner.is_empty() { owner } else { &object.owner };
                    match &object.kind {
                        Some(Kind::Route(given)) => said.routes.extend(route(given.key.as_ref(), by)),
                        Some(kind) => said.names.extend(Name::of_object(state, kind)),
                        None => {}
                    }
                }
                Some(Op::Delete(v1::ObjectKey { kind: Some(Key::Route(key)) })) => {
                    let key = route(Some(key), owner);
                    said.deleted_routes.extend(key);
                    said.routes.extend(key);
                }
                Some(Op::Delete(v1::ObjectKey { kind: Some(key) })) => {
                    let name = Name::of_key(state, key);
                    said.deleted.extend(name.clone());
                    said.names.extend(name);
                }
                _ => {}
            }
        }
        said
    }
}

fn deletion(key: Key) -> v1::Change {
    v1::Change { op: Some(Op::Delete(v1::ObjectKey { kind: Some(key) })) }
}

/// What rules redirect to cannot go before the rules do.
pub(super) fn redirected(state: &State) -> Vec<Name> {
    let name = |to: &Redirect| match to {
        Redirect::Vrf(name) => Name::Vrf(name.clone()),
        Redirect::Vif(name) => Name::Vif(name.clone()),
    };
    state.of_redirect.keys().map(name).collect()
}
