//! The truth that controllers program, and its compilation to snapshots.
//!
//! A [`Model`] is private to the control thread. A batch of changes goes through it as follows, all of it or nothing:
//!
//! 1. `change`: each change is read, checked against the objects as the batch has left them so far, and made; the journal keeps what
//!    was there before.
//! 2. A refusal rolls back. The [`Snapshot`] has not been touched.
//! 3. `compile`: what the batch touched is compiled into the next snapshot. This cannot fail.
//!
//! Decided here, beside the contract's comments:
//! - A VRF is of tenants or of the fabric, never both: one that has fabric VIFs or is the underlay takes no tenant VIF, VNI, label, ACL,
//!   nor a route to a VIF or a tunnel.
//! - Fabric VIFs may be in other VRFs than the underlay, but no tunnel uses them.
//! - Tunnels, neighbours, gateways and connected subnets of fabric VIFs are IPv4 and IPv6. A gateway is a global address: a
//!   link-local one would need its VIF.

mod batch;
mod bfd;
mod capture;
mod change;
mod compile;
mod describe;
mod events;
mod interner;
mod journal;
mod journal_bridges;
mod journal_groups;
mod journal_redirects;
mod learning;
mod limits;
mod list;
mod marks;
mod numbers;
mod owners;
mod plan;
mod quotas;
mod read;
mod records;
mod refusal;
mod restore;
mod revert;
mod routes;
mod shadow;
mod state;
mod sweep;
#[cfg(test)]
pub(crate) mod tests;

use std::net::IpAddr;
use std::sync::Arc;

pub use batch::{Accepted, Batch, Said};
pub use bfd::state_name as bfd_state;
pub use describe::object as described;
pub use learning::Counts as LearningCounts;
pub use limits::{Limits, NewPort, Open, PortInfo, Unopened};
pub use marks::{Gone, Marks};
pub use quotas::{Alarms, Holder, quota_told};
pub use revert::Reverted;

use crate::api::state::v1 as told;
use crate::api::{OPERATOR, text, v1};
use crate::ids::{Generation, Mac, NextHopId, PortIndex, VifId, VrfId};
use crate::tables::Snapshot;
use compile::Compiled;
use records::{Port, Prefix};
use refusal::Refusal;
use state::State;

/// All objects and the snapshot made of them. Control thread.
pub struct Model {
    state: State,
    compiled: Compiled,
    learning: learning::Learning,
    newest: batch::Newest,
    /// How many notes on changes may be taken of one batch; absent: none are.
    note: Option<usize>,
    noted: Vec<Noted>,
    /// Of the last batch; absent: nobody asks.
    numbers: Option<told::Numbers>,
}

/// What an accepted batch changed, or what was learnt.
#[derive(Clone, Debug, PartialEq)]
pub struct Noted {
    pub generation: Generation,
    /// Whose batch; empty: nobody's.
    pub owner: String,
    /// The deletes and puts that turn the list before into the list after; absent: too many.
    pub changes: Option<Vec<v1::Change>>,
}

impl Model {
    /// An empty model of these ports, at generation 0. A port's index is its [`crate::ids::PortIndex`].
    pub fn new(limits: Limits, ports: Vec<PortInfo>) -> Model {
        let state = State::new(limits, ports);
        let (compiled, learning) = (Compiled::new(&state), learning::Learning::default());
        Model {
            compiled,
            state,
            learning,
            newest: batch::Newest::default(),
            note: None,
            noted: Vec::new(),
            numbers: None,
        }
    }

    /// Goes on behind this generation, which another process of this host had. Only before the first batch.
    pub fn begin_after(&mut self, generation: Generation) {
        let snapshot = Arc::make_mut(&mut self.compiled.snapshot);
        snapshot.generation = snapshot.generation.max(generation);
    }

    /// Rules of ACLs are counted by so many workers. Only before the first batch.
    pub fn count_hits(&mut self, workers: usize) {
        self.compiled.workers = workers;
    }

    /// What the rules of this ACL have decided, or of each (empty), in order, its end last. A rule keeps its count while it is said as it
    /// is; with what an edit put in its place counting begins.
    ///
    /// # Errors
    /// There is no such ACL.
    pub fn hits(&mut self, acl: &str) -> Result<Vec<v1::RuleHits>, String> {
        let mut names: Vec<_> =
            self.state.acls.keys().filter(|name| acl.is_empty() || &***name == acl).cloned().collect();
        if names.is_empty() && !acl.is_empty() {
            return Err(format!("acl: there is no ACL {acl}"));
        }
        names.sort();
        let mut rows = Vec::new();
        for name in names {
            let (rules, hits) = (&self.state.acls[&name].rules, self.compiled.hits(&name).unwrap_or_default());
            rows.extend(hits.into_iter().enumerate().map(|(at, hits)| v1::RuleHits {
                acl: name.to_string(),
                rule: (at < rules.len()).then_some(at as u32),
                name: rules.get(at).map(|rule| rule.name.to_string()).unwrap_or_default(),
                hits,
            }));
        }
        Ok(rows)
    }

    /// Makes all changes of a batch, in order, and returns the snapshot of the next generation. Objects that name no owner
    /// are those of `owner` (empty: `operator`).
    ///
    /// # Errors
    /// The first change that cannot be made, with its index; then nothing at all has changed.
    pub fn apply(&mut self, owner: &str, changes: &[v1::Change]) -> Result<Arc<Snapshot>, v1::Refused> {
        let none = |_: NewPort| Err(Unopened { field: "", reason: "no devices can be opened here".into() });
        self.apply_opening(owner, changes, &mut { none })
    }

    /// The same, with devices that `open` opens for the ports that the batch adds, in order. The caller closes them when the batch is
    /// refused.
    pub fn apply_opening(
        &mut self,
        owner: &str,
        changes: &[v1::Change],
        open: &mut Open,
    ) -> Result<Arc<Snapshot>, v1::Refused> {
        let batch = Batch { owner, changes: changes.into(), ..Batch::default() };
        self.apply_batch(&batch, open).map(|accepted| accepted.snapshot)
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.compiled.snapshot.clone()
    }

    /// Its generation: the count of accepted batches and of what was learnt and forgotten.
    pub fn generation(&self) -> Generation {
        self.compiled.snapshot.generation
    }

    /// The objects of one kind, or of all kinds, in an order in which one batch can write them to an empty model. `vrf` narrows routes
    /// unless empty. Routes of owner `vif` and learnt neighbours are listed, but cannot be written.
    pub fn list(&self, kind: v1::Kind, vrf: &str) -> Vec<v1::Object> {
        list::list(&self.state, kind, vrf, |bridge, mac| self.learning.idle((bridge, mac)))
    }

    /// Notes a neighbour's MAC, for a connected subnet of a fabric VIF: its host route appears, gateways and tunnels through it
    /// resolve in place, no flow is judged anew. `None`: nothing changed (known already, static, not connected, no unicast, or a
    /// limit is reached).
    pub fn learn(&mut self, vif: VifId, address: impl Into<IpAddr>, mac: Mac) -> Option<Arc<Snapshot>> {
        let address = address.into();
        if change::learn(&mut self.state, vif, address, mac) {
            self.state.lost.remove(&(vif, address));
            return Some(self.publish(""));
        }
        self.state.rollback();
        None
    }

    /// Gives up a neighbour that does not answer: one that was learnt is forgotten, and tunnels that need it go by a less specific
    /// route, if there is one; else packets through it wait again. `None`: nothing changed.
    pub fn forget(&mut self, vif: VifId, address: impl Into<IpAddr>) -> Option<Arc<Snapshot>> {
        let key = (vif, address.into());
        let forgotten = change::forget(&mut self.state, key.0, key.1);
        if !forgotten {
            self.state.rollback();
        }
        let lost = self.compiled.needed.binary_search(&key).is_ok() && self.state.lost.insert(key);
        if lost {
            self.state.dirty.neighbours.insert(key);
        }
        (forgotten || lost).then(|| self.publish(""))
    }

    /// From now on what a batch changes is noted, if it takes no more than so many notes (an object may take several).
    pub fn note_changes(&mut self, most: usize) {
        self.note = Some(most);
    }

    /// What was noted since the last time.
    pub fn take_noted(&mut self) -> Vec<Noted> {
        std::mem::take(&mut self.noted)
    }

    /// The number of the port with this name.
    pub fn port_index(&self, name: &str) -> Option<PortIndex> {
        self.state.port_by_name.get(name).copied()
    }

    /// The device of a deleted port is closed: its number is free again.
    pub fn port_closed(&mut self, port: PortIndex) {
        self.state.leaving_ports.remove(&port);
        self.state.links_down.remove(&port);
    }

    /// Notes whether a port has a link: paths by its VIF are given no new flows while it has none. `None`: known already.
    pub fn link(&mut self, port: PortIndex, up: bool) -> Option<Arc<Snapshot>> {
        let old = self.state.ports.get(port.index())?.as_ref().filter(|port| port.link_up != up)?;
        let new = Port { link_up: up, ..Port::clone(old) };
        self.state.set_port(port, Some(Arc::new(new)));
        if up {
            self.state.links_down.remove(&port);
        } else {
            self.state.links_down.insert(port);
        }
        self.state.dirty.links.insert(port);
        Some(self.publish(""))
    }

    /// A VIF's name.
    pub fn vif_name(&self, vif: VifId) -> Option<Arc<str>> {
        Some(self.state.vif_by_id.get(&vif)?.name.clone())
    }

    /// A VRF's name.
    pub fn vrf_name(&self, vrf: VrfId) -> Option<Arc<str>> {
        Some(self.state.vrf_by_id.get(&vrf)?.name.clone())
    }

    /// The number of the VIF with this name.
    pub fn vif_id(&self, name: &str) -> Option<VifId> {
        Some(self.state.vifs.get(name)?.id)
    }

    /// The number of the VRF with this name.
    pub fn vrf_id(&self, name: &str) -> Option<VrfId> {
        Some(self.state.vrfs.get(name)?.id)
    }

    /// Says in steps of [`explain`](crate::daemon::view::explain) whose the routes are that were found.
    pub fn tell_owners(&self, steps: &mut [v1::Step]) {
        for step in steps {
            let found = step.prefix.as_ref().and_then(|prefix| text::Prefix::try_from(prefix).ok());
            if let (Some(prefix), Some(vrf)) = (found, self.vrf_id(&step.vrf)) {
                let prefix = Prefix { address: prefix.address(), length: prefix.length() };
                let best = self.state.offers(vrf, prefix).iter().min_by_key(|offer| self.state.rank(offer));
                step.owner = best.map(|best| list::owner(&self.state, best.source)).unwrap_or_default();
            }
        }
    }

    /// A next hop for people, e.g. `vxlan 10.0.0.2 vni 100`, `vif web1`, `drop`.
    pub fn next_hop_text(&self, next_hop: NextHopId) -> String {
        describe::next_hop(&self.state, next_hop)
    }

    /// The neighbours that gateways and tunnels go by, resolved or not, but for static ones: what the slow path asks for before
    /// traffic waits, and keeps fresh. In order, none twice.
    pub fn needed_neighbours(&self) -> Vec<(VifId, IpAddr)> {
        self.compiled.needed.clone()
    }

    /// The generation in which [`Model::needed_neighbours`] last changed, or the model lost one of them.
    pub fn needed_since(&self) -> Generation {
        self.compiled.needed_since
    }

    /// Whether this neighbour is there, static or learnt.
    pub fn has_neighbour(&self, vif: VifId, address: IpAddr) -> bool {
        self.state.neighbours.contains_key(&(vif, address))
    }

    /// What was given at start.
    pub fn limits(&self) -> &Limits {
        &self.state.limits
    }

    /// How many of everything there are.
    pub fn used(&self) -> Limits {
        self.state.used()
    }

    fn publish(&mut self, owner: &str) -> Arc<Snapshot> {
        let changes = self.note.map(|most| events::since_commit(&self.state, most));
        if !owner.is_empty() {
            self.newest.note(&self.state, owner, Generation(self.generation().0 + 1));
        }
        let (dirty, hops) = self.state.commit();
        let numbers = self.numbers.is_some().then(|| (numbers::touched(&self.state, &dirty), dirty.settings));
        let snapshot = self.compiled.advance(&self.state, dirty, hops);
        if let Some((mut numbers, settings)) = numbers {
            numbers.tenants = if settings { self.compiled.tenants.names() } else { Vec::new() };
            self.numbers = Some(numbers);
        }
        if self.compiled.needed_since == snapshot.generation {
            let needed = &self.compiled.needed;
            self.state.lost.retain(|key| needed.binary_search(key).is_ok());
        }
        if let Some(changes) = changes {
            self.noted.push(Noted { generation: snapshot.generation, owner: owner.into(), changes });
        }
        snapshot
    }
}

fn refused(index: usize, object: String, refusal: Refusal) -> v1::Refused {
    v1::Refused {
        change: index as u64,
        object,
        field: refusal.field,
        reason: refusal.reason.to_string(),
        unconfirmed: 0,
    }
}
