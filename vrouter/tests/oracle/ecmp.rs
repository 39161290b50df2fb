//! Routes with several ways. Which way a flow has is the product's free choice among those that serve; then the flow keeps it by name.
//!
//! The choice is found by trying: an event runs once for each way that may have been chosen, and what was sent must be among what
//! came. A choice that does not show yet stays open until it does; one that leads to other flows or holds other packets without
//! showing ends the comparison ("unmodelled").

use std::cell::RefCell;

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
        self.came = came.to_vec();
        if self.config.paths.is_empty() {
            event(self);
            return std::mem::take(&mut self.outcome);
        }
        let (before, mut script, mut runs) = (self.clone(), Some(Script::default()), Vec::new());
        while let Some(next) = script {
            assert!(runs.len() < RUNS, "unmodelled: too many ways");
            let mut run = before.clone();
            run.script = RefCell::new(next);
            event(&mut run);
            script = run.script.take().next();
            runs.push(run);
        }
        let first = runs[0].clone();
        let mut fitting = runs.into_iter().filter(|run| is_among(&run.outcome.sent, came));
        *self = fitting.next().unwrap_or(first);
        fitting.for_each(|other| self.reconcile(&other));
        std::mem::take(&mut self.outcome)
    }

    /// Another run fits as well: what they do not have in common is open.
    fn reconcile(&mut self, other: &Oracle) {
        let same = self.outcome.sent == other.outcome.sent
            && self.outcome.drops == other.outcome.drops
            && self.flow_rows() == other.flow_rows()
            && format!("{:?}", self.entries) == format!("{:?}", other.entries);
        assert!(same, "unmodelled: a way that does not show when it is chosen");
        self.by_hash.retain(|key, name| other.by_hash.get(key) == Some(name));
        self.outcome.features.insert("path_open");
        for (pair, other) in self.flows.iter_mut().zip(&other.flows) {
            for (half, other) in pair.halves.iter_mut().zip(&other.halves) {
                if let Some(kept) = &mut half.kept
                    && other.kept.as_ref() != Some(kept)
                {
                    kept.open = true;
                }
            }
        }
    }

    /// Whether a way can be sent by; the links of ports are not modelled.
    fn is_up(&self, vrf: u32, way: &Path) -> bool {
        !matches!(way.which, Which::Tunnel { .. }) || self.has_way(Hop { vrf, which: way.which })
    }

    /// Those that may be given to flows: those that are up, or all if none is.
    fn serving(&self, vrf: u32, paths: &[Path]) -> Vec<bool> {
        let up: Vec<bool> = paths.iter().map(|way| self.is_up(vrf, way)).collect();
        if up.contains(&true) { up } else { vec![true; paths.len()] }
    }

    /// The way that a flow goes which has this one. `shows`: this packet goes it; else it may not have been chosen anew yet.
    pub(super) fn path_of_flow(&self, hop: Hop, had: Option<&Kept>, shows: bool) -> Kept {
        let Which::Paths(number) = hop.which else { return Kept { name: String::new(), hop, open: false } };
        let paths = &self.config.paths[&number];
        let serving = self.serving(hop.vrf, paths);
        let named = |had: &Kept| paths.iter().position(|way| way.name == had.name);
        let same = |had: &Kept| paths.iter().position(|way| way.which == had.hop.which && hop.vrf == had.hop.vrf);
        let old = had.and_then(|had| named(had).or_else(|| same(had)));
        if let Some(old) = old
            && serving[old]
            && had.is_some_and(|had| !had.open)
        {
            return kept(hop.vrf, &paths[old]);
        }
        let mut allowed: Vec<usize> = (0..paths.len()).filter(|at| serving[*at]).collect();
        if let Some(old) = old.filter(|old| !shows && !serving[*old]) {
            allowed.insert(0, old);
        }
        kept(hop.vrf, &paths[allowed[self.script.borrow_mut().choose(allowed.len())]])
    }

    /// The way of a flow's answers, when none of them has shown it: the place that asked if it is one, else what they had, else open.
    pub(super) fn path_of_answers(&self, hop: Hop, asker: Place, had: Option<&Kept>, shows: bool) -> Kept {
        let Which::Paths(number) = hop.which else { return self.path_of_flow(hop, had, shows) };
        let paths = &self.config.paths[&number];
        let asked = |way: &&Path| matches!(way.which, Which::Vif { vif, .. } if asker == Place::Vif(vif));
        match paths.iter().find(asked) {
            Some(way) => kept(hop.vrf, way),
            None if shows => self.path_of_flow(hop, had, true),
            None => {
                let serving = self.serving(hop.vrf, paths);
                let same = |way: &&Path| had.is_some_and(|had| way.name == had.name || way.which == had.hop.which);
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
        let key = tuple.map(|(tuple, error)| (number, serving.clone(), tuple, error));
        let known = key.as_ref().and_then(|key| self.by_hash.get(key)).cloned();
        let way = match known.and_then(|name| paths.iter().find(|way| way.name == name)) {
            Some(way) => way,
            None => {
                let allowed: Vec<usize> = (0..paths.len()).filter(|at| serving[*at]).collect();
                let choice = self.script.borrow_mut().choose(allowed.len());
                &paths[allowed[choice]]
            }
        };
        if let Some(key) = key {
            self.by_hash.insert(key, way.name.clone());
        }
        Hop { vrf: hop.vrf, which: way.which }
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

/// Whether all of these came.
fn is_among(sent: &[Sent], came: &[Sent]) -> bool {
    let mut came = came.to_vec();
    sent.iter().all(|one| came.iter().position(|other| other == one).map(|at| came.swap_remove(at)).is_some())
}
