//! Dry runs: what a batch would do, object by object.

use std::sync::Arc;

use super::batch::{Batch, Newest};
use super::learning::Learning;
use super::limits::{NewPort, Unopened};
use super::marks::Marks;
use super::owners::Name;
use super::state::State;
use super::{Model, PortInfo, bfd, events, list};
use crate::api::yaml::differing;
use crate::api::{Item, Verb, v1};
use crate::ids::Mac;
use crate::tables::Snapshot;
use v1::change::Op;
use v1::object::Kind;
use v1::object_key::Kind as Key;

/// Objects that a plan tells.
const STEPS: usize = 10_000;
/// Routes that are copied at most to see what becomes of flows.
const COPIED: usize = 262_144;
/// The MTU of a device that is not opened.
const MTU: u16 = 1500;

impl Model {
    /// Judges a batch as [`Model::apply_batch`] does, without opening a device, and leaves everything as it is.
    ///
    /// # Errors
    /// As when it would be made.
    pub fn plan(&mut self, batch: &Batch) -> Result<v1::Plan, v1::Refused> {
        self.make(batch, &mut unopened)?;
        let (changes, beyond) = events::all(&self.state, STEPS);
        self.state.rollback();
        let mut plan = v1::Plan { generation: self.generation().0, ..v1::Plan::default() };
        [plan.created, plan.changed, plan.deleted] = beyond;
        plan.truncated = beyond.iter().any(|more| *more > 0);
        for change in changes {
            let step = self.step(change);
            match (&step.before, &step.after) {
                (None, _) => plan.created += 1,
                (_, None) => plan.deleted += 1,
                _ => plan.changed += 1,
            }
            plan.steps.push(step);
        }
        let is_put = |item: &Item| match item {
            Item::Route(route) => route.verb() != Verb::Delete,
            Item::Other(change) => matches!(change.op, Some(Op::Put(_) | Op::Create(_))),
        };
        let puts = batch.changes.iter().filter(is_put).count() as u64;
        plan.unchanged = puts.saturating_sub(plan.created + plan.changed);
        Ok(plan)
    }

    /// The snapshot that a batch would make, under the numbers that it would give; it is made in a copy of all objects. With where decisions
    /// meet the steps of its plan: now, and by that snapshot.
    ///
    /// # Errors
    /// As when it would be made; there are too many routes to copy.
    pub fn foresee(&self, batch: &Batch, plan: &v1::Plan) -> Result<(Arc<Snapshot>, [Marks; 2]), v1::Refused> {
        if self.state.offers > COPIED {
            let reason = format!("of more than {COPIED} routes no copy is made: there are {}", self.state.offers);
            return Err(v1::Refused { field: "flows".into(), reason, ..v1::Refused::default() });
        }
        let mut copy = Model {
            state: self.state.clone(),
            compiled: self.compiled.clone(),
            learning: Learning::default(),
            newest: Newest::default(),
            note: None,
            noted: Vec::new(),
            numbers: None,
        };
        // what it rests on was judged
        copy.make(&Batch { if_generation: None, ..*batch }, &mut unopened)?;
        let snapshot = copy.publish("");
        let steps = || (0..).zip(&plan.steps);
        let before = steps().filter_map(|(at, step)| Some((at, step.before.as_ref()?)));
        let after = steps().filter_map(|(at, step)| Some((at, step.after.as_ref()?)));
        let mut marks = [Marks::of(&self.state, before), Marks::of(&copy.state, after)];
        // of others no change moves a station
        let moves =
            |object: &v1::Object| matches!(object.kind, Some(Kind::FdbEntry(_) | Kind::Bridge(_) | Kind::Vif(_)));
        if plan.truncated || plan.steps.iter().flat_map(|step| [&step.before, &step.after]).flatten().any(moves) {
            marks[1].move_stations([&self.state, &copy.state]);
        }
        Ok((snapshot, marks))
    }

    /// What a change that would be told does to what is there now.
    fn step(&self, change: v1::Change) -> v1::Planned {
        match change.op {
            Some(Op::Delete(v1::ObjectKey { kind: Some(key) })) => {
                v1::Planned { before: found(&self.state, &key), ..v1::Planned::default() }
            }
            Some(Op::Put(after) | Op::Create(after)) => {
                let before = match after.kind.as_ref().and_then(v1::object::Kind::key) {
                    Some(key) => found(&self.state, &key),
                    None => self.state.settings.given.then(|| {
                        list::told(
                            &self.state,
                            Kind::Settings(Box::new(list::settings(&self.state, &self.state.settings))),
                        )
                    }),
                };
                let fields = before.as_ref().map(|before| differing(before, &after)).unwrap_or_default();
                v1::Planned { before, after: Some(after), fields, flows: None }
            }
            _ => v1::Planned::default(),
        }
    }
}

/// A port whose device is taken to open.
pub(super) fn unopened(wanted: NewPort) -> Result<PortInfo, Unopened> {
    Ok(PortInfo {
        name: wanted.name.into(),
        devargs: wanted.devargs.into(),
        mac: Mac::default(),
        mtu: wanted.mtu.unwrap_or(MTU),
        queues: wanted.queues.unwrap_or(1),
    })
}

/// The object with this key, as it is listed.
pub(super) fn found(state: &State, key: &Key) -> Option<v1::Object> {
    let kind = match (key, Name::of_key(state, key)) {
        (Key::Route(key), _) => route(state, key)?,
        (_, Some(Name::Port(name))) => {
            Kind::Port(list::port(state.ports[state.port_by_name.get(&name)?.index()].as_ref()?))
        }
        (_, Some(Name::Group(name))) => Kind::Group(list::group(state.groups.get(&name)?)),
        (_, Some(Name::Acl(name))) => Kind::Acl(list::acl(state.acls.get(&name)?)),
        (_, Some(Name::Vrf(name))) => Kind::Vrf(list::vrf(state.vrfs.get(&name)?)),
        (_, Some(Name::Bridge(name))) => Kind::Bridge(Box::new(list::bridge(state, state.bridges.get(&name)?))),
        (_, Some(Name::Vif(name))) => Kind::Vif(Box::new(list::vif(state, state.vifs.get(&name)?))),
        (_, Some(Name::Neighbour(vif, address))) => {
            Kind::Neighbour(list::neighbour(state, vif, address, state.neighbours.get(&(vif, address))?))
        }
        (_, Some(Name::HopGroup(name))) => Kind::NextHopGroup(list::hop_group(state, state.hop_groups.get(&name)?)),
        (_, Some(Name::Bfd(name))) => Kind::BfdSession(Box::new(bfd::told(state, state.bfd.get(&name)?))),
        (_, Some(Name::Fdb(bridge, mac))) => Kind::FdbEntry(match state.fdb.get(&(bridge, mac)) {
            Some(entry) => list::fdb_entry(state, bridge, mac, entry),
            None => list::learnt(state, bridge, mac, state.learnt.get(&(bridge, mac))?, 0),
        }),
        (_, Some(Name::Vni(vni))) => Kind::Vni(list::vni(state, vni, state.vnis.get(&vni)?)),
        (_, Some(Name::Label(label))) => Kind::Label(list::label(state, label, state.labels.get(&label)?)),
        (_, Some(Name::Settings) | None) => return None,
    };
    Some(list::told(state, kind))
}

/// An owner's route, or the best of VIFs'.
fn route(state: &State, key: &v1::RouteKey) -> Option<Kind> {
    let vrf = state.vrfs.get(key.vrf.as_str())?.id;
    let prefix = super::read::needed_prefix(key.prefix.as_ref()).ok()?;
    let offers = state.offers(vrf, prefix).iter().filter(|offer| list::owner(state, offer.source) == key.owner);
    let offer = offers.min_by_key(|offer| state.rank(offer))?;
    Some(Kind::Route(list::route(state, &key.vrf, prefix, offer)))
}
