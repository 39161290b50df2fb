//! Routes with several ways. Which way a flow has is the product's free choice among those that serve; then the flow keeps it by name.
//!
//! The choice is found by trying: an event runs once for each way that may have been chosen, and what was sent must be among what
//! came. A choice that does not show yet stays open until it does; where it leads to other flows, or holds other packets, without showing,
//! all that may be are kept side by side (`Worlds`) until something shows which of them is.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::config::{Hop, Path, Which};
use super::forward::Place;
use super::headers::Tuple;
use super::{Oracle, Outcome, Sent};

/// Runs of one event at most.
const RUNS: usize = 256;

/// The way that a flow has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// "" where the route has one way.
    pub name: String,
    pub hop: Hop,
    /// It may as well have another.
    pub open: bool,
}

/// Packets without a flow, while these ways, and those of them that serve, stay: by the route's ways and the packet's tuple.
pub type ByHash = (u32, Vec<bool>, Tuple, bool);

/// New flows while these ways, and those of them that serve, stay: by what the group looks at.
#[derive(Clone, Debug, Default)]
pub struct ByFields {
    chosen: BTreeMap<(u32, Vec<bool>, Tuple), String>,
    /// A flow had what another one has that has this in common with it.
    met: bool,
}

/// What is chosen where, in the order in which an event comes to choices.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The choice taken, of so many.
    taken: Vec<(usize, usize)>,
    at: usize,
}

impl Script {
    /// The next choice among so many; the first where nothing was written.
    fn choose(&mut self, among: usize) -> usize {
        if self.at == self.taken.len() {
            self.taken.push((0, among));
        }
        self.at += 1;
        self.taken[self.at - 1].0.min(among - 1)
    }

    /// The next script after this one has run; `None`: that was the last.
    fn next(mut self) -> Option<Script> {
        while let Some((choice, among)) = self.taken.pop() {
            if choice + 1 < among {
                self.taken.push((choice + 1, among));
                return Some(Script { at: 0, ..self });
            }
        }
        None
    }
}

impl Oracle {
    /// Runs an event with the choices that the product made, as far as they show in what came.
    pub(super) fn choosing(&mut self, came: &[Sent], event: impl Fn(&mut Oracle)) -> Outcome {
        let (mut all, fits) = self.branches(came, event);
        assert!(!fits || all.len() == 1, "unmodelled: a way that does not show when it is chosen");
        *self = all.swap_remove(0);
        self.events += 1;
        std::mem::take(&mut self.outcome)
    }

    /// All that may be after an event, as far as it fits what came; false: the first that may be, which does not fit. The outcome of
    /// each is in it.
    pub(super) fn branches(&self, came: &[Sent], event: impl Fn(&mut Oracle)) -> (Vec<Oracle>, bool) {
        let mut before = self.clone();
        before.came = came.to_vec();
        let (mut script, mut first, mut fitting) = (Some(Script::default()), None, Vec::new());
        for _ in 0..RUNS {
            let Some(next) = script else { break };
            let mut run = before.clone();
            run.script = RefCell::new(next);
            event(&mut run);
            script = run.script.take().next();
            if is_among(&run.outcome.sent, came) {
                join(&mut fitting, run);
            } else {
                first.get_or_insert(run);
            }
        }
        assert!(script.is_none(), "unmodelled: too many ways");
        match first {
            Some(first) if fitting.is_empty() => (vec![first], false),
            _ => (fitting, true),
        }
    }

    /// Takes in another that fits as well if they differ in nothing but ways that do not show yet: these are open. False: they differ.
    pub(super) fn takes_in(&mut self, other: &Oracle) -> bool {
        let same = self.outcome.sent == other.outcome.sent
            && self.outcome.drops == other.outcome.drops
            && self.behind == other.behind
            && self.pieces == other.pieces
            && self.partial == other.partial
            && self.flow_rows() == other.flow_rows()
            && format!("{:?}", self.entries) == format!("{:?}", other.entries);
        if !same {
            return false;
        }
        self.by_hash.retain(|key, name| other.by_hash.get(key) == Some(name));
        let fields = &other.by_fields.borrow().chosen;
        self.by_fields.get_mut().chosen.retain(|key, name| fields.get(key) == Some(name));
        self.chosen.retain(|flow, choice| other.chosen.get(flow) == Some(choice));
        self.unsee(other);
        for (pair, other) in self.flows.iter_mut().zip(&other.flows) {
            for (half, other) in pair.halves.iter_mut().zip(&other.halves) {
                if let Some(kept) = &mut half.kept
                    && other.kept.as_ref() != Some(kept)
                {
                    kept.open = true;
                    self.outcome.features.insert("path_open");
                }
            }
        }
        true
    }

    /// Whether a way can be sent by: its VIF has a link, its tunnel a route, its gateway answers.
    pub(super) fn is_up(&self, vrf: u32, way: &Path) -> bool {
        match way.which {
            Which::Tunnel { remote, .. } => self.has_way(remote),
            Which::Vif { vif, .. } => self.config.vifs.get(&vif).is_some_and(|vif| self.has_link(vif)),
            Which::Gateway(gateway) => self.is_live(vrf, gateway),
            _ => true,
        }
    }

    /// The next choice of the script, among so many.
    pub(super) fn choice(&self, among: usize) -> usize {
        self.script.borrow_mut().choose(among)
    }

    /// Those that may be given to flows: those that are up, backups only if no other is; of gateways, if none is up, those that are asked
    /// for, likewise; else all.
    pub(super) fn serving(&self, vrf: u32, paths: &[Path]) -> Vec<bool> {
        let those = |are: &dyn Fn(&Path) -> bool| -> Vec<bool> { paths.iter().map(are).collect() };
        let ways = [
            those(&|way| self.is_up(vrf, way) && !way.backup),
            those(&|way| self.is_up(vrf, way)),
            those(&|way| self.is_asked(vrf, way) && !way.backup),
            those(&|way| self.is_asked(vrf, way)),
        ];
        ways.into_iter().find(|some| some.contains(&true)).unwrap_or_else(|| vec![true; paths.len()])
    }

    /// The way that a flow goes which has this one. `shows`: this packet goes it; else it may not have been chosen anew yet.
    pub(super) fn path_of_flow(&self, hop: Hop, tuple: Option<Tuple>, had: Option<&Kept>, shows: bool) -> Kept {
        let Which::Paths(number) = hop.which else { return Kept { name: String::new(), hop, open: false } };
        let paths = &self.config.paths[&number];
        let serving = self.serving(hop.vrf, paths);
        let named = |had: &Kept| paths.iter().position(|way| way.name == had.name);
        let same = |had: &Kept| paths.iter().position(|way| way.which == had.hop.which && hop.vrf == had.hop.vrf);
        let old = had.and_then(|had| named(had).or_else(|| same(had)));
        if let Some(old) = old
            && serving[old]
            && let Some(had) = had.filter(|had| !had.open)
        {
            let way = kept(hop.vrf, &paths[old]);
            // who is not asked for need not have been asked again yet, and then goes on from what it had
            return Kept { open: !shows && *had != way && self.config.are_shared(number), ..way };
        }
        // a flow that is new is chosen for by what the group looks at alone
        let common = tuple.filter(|_| had.is_none() && shows).and_then(|tuple| self.config.common(number, tuple));
        let key = common.map(|tuple| (number, serving.clone(), tuple));
        let mut by_fields = self.by_fields.borrow_mut();
        let known = key.as_ref().and_then(|key| by_fields.chosen.get(key));
        if let Some(way) = known.and_then(|name| paths.iter().find(|way| way.name == *name)) {
            by_fields.met = true;
            return kept(hop.vrf, way);
        }
        let unsure = !shows && had.is_some() && old.is_none() && self.config.are_shared(number);
        let mut allowed: Vec<usize> = (0..paths.len()).filter(|at| serving[*at]).collect();
        let stays = old.filter(|old| !shows && !serving[*old]);
        allowed.splice(0..0, stays);
        let way = allowed[self.choice(allowed.len())];
        by_fields.chosen.extend(key.map(|key| (key, paths[way].name.clone())));
        let open = unsure || stays == Some(way) && had.is_some_and(|had| had.open);
        Kept { open, ..kept(hop.vrf, &paths[way]) }
    }

    /// The way of a flow's answers, when none of them has shown it: the place that asked if it is one, else what they had, else open.
    pub(super) fn path_of_answers(&self, hop: Hop, asker: Place, had: Option<&Kept>, shows: bool) -> Kept {
        let Which::Paths(number) = hop.which else { return self.path_of_flow(hop, None, had, shows) };
        let paths = &self.config.paths[&number];
        let asked = |way: &&Path| matches!(way.which, Which::Vif { vif, .. } if asker == Place::Vif(vif));
        match paths.iter().find(asked) {
            Some(way) => kept(hop.vrf, way),
            None if shows => self.path_of_flow(hop, None, had, true),
            None => {
                let serving = self.serving(hop.vrf, paths);
                let same = |way: &&Path| had.is_some_and(|had| way.which == had.hop.which && hop.vrf == had.hop.vrf);
                let old = had.and_then(|had| paths.iter().find(|way| way.name == had.name)).or(paths.iter().find(same));
                let stays =
                    old.is_some_and(|old| paths.iter().zip(&serving).any(|(way, serves)| *serves && way == old));
                let first = paths.iter().zip(&serving).find(|(_, serves)| **serves).map(|(way, _)| way);
                let way = old.or(first).expect("a way");
                Kept { open: !stays || had.is_none_or(|had| had.open), ..kept(hop.vrf, way) }
            }
        }
    }

    /// The way of a packet without a flow: always the same for the same tuple.
    pub(super) fn path_by_hash(&mut self, hop: Hop, tuple: Option<(Tuple, bool)>) -> Hop {
        let Which::Paths(number) = hop.which else { return hop };
        self.feature("path_by_hash");
        let paths = self.config.paths[&number].clone();
        let serving = self.serving(hop.vrf, &paths);
        let common = |tuple| self.config.common(number, tuple).unwrap_or(tuple);
        let key = tuple.map(|(tuple, error)| (number, serving.clone(), common(tuple), error));
        let known = key.as_ref().and_then(|key| self.by_hash.get(key)).cloned();
        let way = match known.and_then(|name| paths.iter().find(|way| way.name == name)) {
            Some(way) => way,
            None => {
                let allowed: Vec<usize> = (0..paths.len()).filter(|at| serving[*at]).collect();
                &paths[allowed[self.choice(allowed.len())]]
            }
        };
        if let Some(key) = key {
            self.by_hash.insert(key, way.name.clone());
        }
        Hop { vrf: hop.vrf, which: way.which }
    }

    /// Whether a flow's way was that of another flow that has in common with it what their group looks at, since the last time.
    pub(super) fn met_by_fields(&mut self) -> bool {
        std::mem::take(&mut self.by_fields.get_mut().met)
    }

    /// Names of ways that no route has any more are forgotten, also when one has the same again.
    pub(super) fn lose_names(&mut self) {
        let kept = self.flows.iter_mut().flat_map(|pair| &mut pair.halves).filter_map(|half| half.kept.as_mut());
        for kept in kept.filter(|kept| !self.config.has_name(&kept.name)) {
            kept.name.clear();
        }
    }

    /// The way by which an address is looked at by who asks for it: its own if it is one, else the first.
    pub(super) fn path_for_asker(&self, which: Which, asker: Place) -> Which {
        let Which::Paths(number) = which else { return which };
        let paths = &self.config.paths[&number];
        let own = |way: &&Path| matches!(way.which, Which::Vif { vif, .. } if asker == Place::Vif(vif));
        paths.iter().find(own).unwrap_or(&paths[0]).which
    }
}

/// The name of a direction's way, if it is sure.
pub(super) fn name(kept: Option<&Kept>, verdict: Option<&str>) -> Option<String> {
    kept.filter(|kept| verdict == Some("forward") && !kept.open).map(|kept| kept.name.clone())
}

fn kept(vrf: u32, way: &Path) -> Kept {
    Kept { name: way.name.clone(), hop: Hop { vrf, which: way.which }, open: false }
}

/// One more that may be.
pub(super) fn join(all: &mut Vec<Oracle>, one: Oracle) {
    if !all.iter_mut().any(|other| other.takes_in(&one)) {
        all.push(one);
    }
}

/// Whether all of these came.
fn is_among(sent: &[Sent], came: &[Sent]) -> bool {
    let mut came = came.to_vec();
    sent.iter().all(|one| came.iter().position(|other| other == one).map(|at| came.swap_remove(at)).is_some())
}
