//! What a batch asks beside its changes: to replace all that its owner has, to be judged only, or to be the next after what it rests on.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::journal::Undo;
use super::limits::Open;
use super::owners::Claim;
use super::refusal::{At, Reason, Refusal};
use super::routes::Source;
use super::state::State;
use super::sweep::{self, Sweep};
use super::{Model, OPERATOR, change, describe, read, refused};
use crate::api::{self, Item, Other, v1};
use crate::ids::Generation;
use crate::tables::Snapshot;

/// Routes of fewer changes are made one after the other.
const FEW: usize = 16;

/// A batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Batch<'a> {
    /// Empty: `operator`.
    pub owner: &'a str,
    pub changes: Said<'a>,
    /// What other owners have may be put and deleted.
    pub take_over: bool,
    /// What the owner has of these kinds (empty: of all) and the changes do not name goes.
    pub replace: Option<&'a [v1::Kind]>,
    /// It rests on this generation.
    pub if_generation: Option<u64>,
}

/// The changes of a batch, in order.
#[derive(Clone, Copy, Debug)]
pub enum Said<'a> {
    Messages(&'a [v1::Change]),
    /// As they came.
    Encoded(&'a v1::Changes),
}

impl Default for Said<'_> {
    fn default() -> Self {
        Said::Messages(&[])
    }
}

impl<'a> Said<'a> {
    /// How many there are.
    pub fn len(self) -> usize {
        match self {
            Said::Messages(changes) => changes.len(),
            Said::Encoded(changes) => changes.len(),
        }
    }

    /// Whether nothing is said.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    pub(super) fn iter(self) -> SaidIter<'a> {
        match self {
            Said::Messages(changes) => SaidIter::Messages(changes.iter()),
            Said::Encoded(changes) => SaidIter::Encoded(changes.iter()),
        }
    }
}

/// Changes from one of them on.
#[derive(Clone)]
pub(super) enum SaidIter<'a> {
    Messages(std::slice::Iter<'a, v1::Change>),
    Encoded(api::Iter<'a>),
}

impl<'a> Iterator for SaidIter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            SaidIter::Messages(changes) => changes.next().map(|change| Item::Other(Other::Lent(change))),
            SaidIter::Encoded(changes) => changes.next(),
        }
    }
}

impl<'a> From<&'a [v1::Change]> for Said<'a> {
    fn from(changes: &'a [v1::Change]) -> Self {
        Said::Messages(changes)
    }
}

impl<'a> From<&'a v1::Changes> for Said<'a> {
    fn from(changes: &'a v1::Changes) -> Self {
        Said::Encoded(changes)
    }
}

/// A batch that was made. Its changes between these deletes, made as a batch of the same owner that takes over, do the same to the same
/// model without `replace`.
pub struct Accepted {
    pub snapshot: Arc<Snapshot>,
    /// What a replacement deleted before the first change.
    pub front: Vec<v1::Change>,
    /// What it deleted after the last one.
    pub behind: Vec<v1::Change>,
}

impl Accepted {
    /// How many objects the replacement deleted, those that were put again at once too.
    pub fn swept(&self) -> u64 {
        (self.front.len() + self.behind.len()) as u64
    }
}

/// The generations of the last batches that changed something.
#[derive(Default)]
pub(super) struct Newest {
    /// Others than routes, and its owner.
    objects: (Generation, Arc<str>),
    /// Routes, by their owner.
    routes: HashMap<Arc<str>, Generation>,
}

impl Model {
    /// Makes a batch whole, as [`Model::apply_opening`] does.
    ///
    /// # Errors
    /// What is wrong; then nothing at all has changed. What keeps an object that should go has the number of changes as its index.
    pub fn apply_batch(&mut self, batch: &Batch, open: &mut Open) -> Result<Accepted, v1::Refused> {
        let (front, behind) = self.make(batch, open)?;
        let snapshot = self.publish(owner(batch.owner));
        Ok(Accepted { snapshot, front, behind })
    }

    /// Deletes what an owner has, but for what others refer to. `None`: there is nothing that can go.
    pub fn expire(&mut self, owner: &str) -> Option<Accepted> {
        let mut front = Sweep::of_all(&self.state, owner, &[]).front(&mut self.state);
        if self.state.check_redirects().is_err() {
            self.state.rollback();
            let spare = sweep::redirected(&self.state);
            front = Sweep::of_all(&self.state, owner, &spare).front(&mut self.state);
        }
        if front.is_empty() {
            self.state.rollback();
            return None;
        }
        // the daemon's doing, which its owner is told too
        self.newest.note(&self.state, owner, Generation(self.generation().0 + 1));
        Some(Accepted { snapshot: self.publish(""), front, behind: Vec::new() })
    }

    /// Whether an owner may be called so.
    pub fn is_owner_name(&self, name: &str) -> bool {
        read::name(name).is_ok() && name != change::VIF_OWNER
    }

    /// Who has anything: how many routes, and how many other objects.
    pub fn owners(&self) -> BTreeMap<String, (u64, u64)> {
        let state = &self.state;
        let mut objects: HashMap<u32, u64> = HashMap::new();
        state.owned.values().for_each(|owner| *objects.entry(*owner).or_default() += 1);
        let told = state.owners.used_values().filter_map(|name| {
            let number = state.owners.number(name)?;
            let objects = objects.get(&number).copied().unwrap_or_default();
            Some((name.to_string(), (u64::from(state.owners.users(number)).saturating_sub(objects), objects)))
        });
        told.collect()
    }

    /// How many objects are an owner's.
    pub fn owned_by(&self, name: &str) -> usize {
        let number = self.state.owners.number(owner(name));
        number.map_or(0, |number| self.state.owners.users(number) as usize)
    }

    /// Makes the changes of a batch, uncommitted. After a refusal they are taken back.
    pub(super) fn make(
        &mut self,
        batch: &Batch,
        open: &mut Open,
    ) -> Result<(Vec<v1::Change>, Vec<v1::Change>), v1::Refused> {
        let owner = owner(batch.owner);
        let named = read::name(owner).at("owner");
        if let Err(refusal) = named.and_then(|owner| self.check_fresh(owner, batch.if_generation)) {
            return Err(refused(0, String::new(), refusal));
        }
        let made = make(&mut self.state, owner, batch, open);
        if made.is_err() {
            self.state.rollback();
        }
        made
    }

    fn check_fresh(&self, owner: &str, if_generation: Option<u64>) -> Result<(), Refusal> {
        let Some(given) = if_generation else { return Ok(()) };
        let now = self.generation().0;
        if given > now {
            return Err(Reason::NotYet { given, now }.at("if_generation"));
        }
        let (objects, by) = &self.newest.objects;
        let routes = self.newest.routes.get(owner).copied().unwrap_or_default();
        let (newer, by) = if routes > *objects { (routes.0, owner) } else { (objects.0, &**by) };
        if newer > given {
            return Err(Reason::Stale { given, newer, by: by.into() }.at("if_generation"));
        }
        Ok(())
    }
}

impl Newest {
    /// Notes what the journal holds of a batch that is about to be this generation.
    pub fn note(&mut self, state: &State, owner: &str, generation: Generation) {
        let mut last = None;
        for undo in &state.journal {
            match undo {
                Undo::Route(.., Source::Owner(of), _) if last == Some(*of) => {}
                Undo::Route(.., Source::Owner(of), _) => {
                    last = Some(*of);
                    if let Some(name) = state.owners.value(*of) {
                        self.routes.insert(name.clone(), generation);
                    }
                }
                Undo::Route(..) => {}
                _ => {
                    if self.objects.0 != generation {
                        self.objects = (generation, owner.into());
                    }
                }
            }
        }
        // owners that are gone are forgotten at the price that batches which rest on something older are refused
        if self.routes.len() > 2 * state.limits.owners.max(8) {
            (self.objects, self.routes) = ((generation, owner.into()), HashMap::new());
        }
    }
}

fn make(
    state: &mut State,
    owner: &str,
    batch: &Batch,
    open: &mut Open,
) -> Result<(Vec<v1::Change>, Vec<v1::Change>), v1::Refused> {
    let claim = Claim { owner, take_over: batch.take_over };
    let mut sweep = batch.replace.map(|kinds| Sweep::new(state, owner, kinds, batch.changes));
    let front = sweep.as_mut().map(|sweep| sweep.front(state)).unwrap_or_default();
    make_all(state, claim, batch.changes, open)?;
    let many = batch.changes.len();
    let behind = sweep.as_mut().map(|sweep| sweep.behind(state)).transpose();
    let behind = behind.map_err(|(object, refusal)| refused(many, object, refusal))?.unwrap_or_default();
    if let Err((object, refusal)) = state.check_redirects() {
        let told = |change: &v1::Change| describe::object(change, owner) == object;
        let swept = front.iter().chain(&behind).any(told);
        let last = batch.changes.iter().enumerate().filter(|(_, item)| told(&item.clone().into_change())).last();
        let index = last.map_or(if swept { many } else { 0 }, |(index, _)| index);
        return Err(refused(index, object, refusal));
    }
    Ok((front, behind))
}

/// Makes all changes, in order; refuses the first one that cannot be.
fn make_all<'a>(state: &mut State, claim: Claim<'a>, said: Said<'a>, open: &mut Open) -> Result<(), v1::Refused> {
    let mut one = |state: &mut State, index, item: Item<'a>| {
        let made = change::make(state, claim, &item, open);
        made.map_err(|refusal| refused(index, describe::object(&item.into_change(), claim.owner), refusal))
    };
    let mut changes = said.iter();
    if said.len() < FEW {
        return changes.enumerate().try_for_each(|(index, item)| one(state, index, item));
    }
    let (mut index, mut next) = (0, changes.next());
    while let Some(item) = next {
        let Item::Route(first) = item else {
            one(state, index, item)?;
            (index, next) = (index + 1, changes.next());
            continue;
        };
        let (mut run, behind, begin) = (change::Run::new(claim.owner), changes.clone(), index);
        run.add(state, &first);
        loop {
            (index, next) = (index + 1, changes.next());
            let Some(Item::Route(route)) = &next else { break };
            run.add(state, route);
        }
        if !run.make(state) {
            let routes = [item].into_iter().chain(behind).take(index - begin);
            routes.enumerate().try_for_each(|(at, item)| one(state, begin + at, item))?;
        }
    }
    Ok(())
}

pub(super) fn owner(given: &str) -> &str {
    if given.is_empty() { OPERATOR } else { given }
}
