//! The ways of a route as numbers.

use std::sync::Arc;

use crate::ids::{NextHopId, VrfId};
use crate::model::records::{Hop, Path};
use crate::model::refusal::{At, Reason, Refusal};
use crate::model::state::State;

/// A path's greatest weight: the sum of a group's fits 32 bits.
pub(super) const HEAVIEST: u32 = 65_535;

/// The next hop of a route, or its several ones.
pub(super) enum Ways {
    One(Hop),
    Several(Vec<Way>),
}

/// One of several ways.
pub(super) struct Way {
    pub name: Arc<str>,
    pub weight: u32,
    pub backup: bool,
    pub hop: Hop,
}

/// What a route's ways take before the route has them.
#[derive(Default)]
struct Taken {
    hops: Vec<NextHopId>,
    names: Vec<u32>,
    paths: Option<u32>,
}

/// Does something with the number of the next hop that these ways are.
pub(super) fn with(
    state: &mut State,
    vrf: VrfId,
    ways: &Ways,
    then: impl FnOnce(&mut State, NextHopId),
) -> Result<(), Refusal> {
    if let Ways::One(hop) = ways {
        let next_hop = state.take_hop(vrf, *hop).at("next_hop")?;
        then(state, next_hop);
        state.hops.release(next_hop.0);
        return Ok(());
    }
    let mut taken = Taken::default();
    let next_hop = taken.take(state, vrf, ways);
    if let Ok(next_hop) = next_hop {
        then(state, next_hop);
    }
    taken.release(state);
    next_hop.map(drop).at("next_hop")
}

/// Does something with the number of the list that these ways are.
pub(super) fn with_list(
    state: &mut State,
    vrf: VrfId,
    ways: &[Way],
    then: impl FnOnce(&mut State, u32),
) -> Result<(), Refusal> {
    let mut taken = Taken::default();
    let paths = taken.take_list(state, vrf, ways);
    if let Ok(paths) = paths {
        then(state, paths);
    }
    taken.release(state);
    paths.map(drop).at("paths")
}

impl Taken {
    fn take(&mut self, state: &mut State, vrf: VrfId, ways: &Ways) -> Result<NextHopId, Reason> {
        match ways {
            Ways::One(hop) => self.take_hop(state, vrf, *hop),
            Ways::Several(several) => {
                let paths = self.take_list(state, vrf, several)?;
                self.take_hop(state, vrf, Hop::Paths(paths))
            }
        }
    }

    fn take_list(&mut self, state: &mut State, vrf: VrfId, several: &[Way]) -> Result<u32, Reason> {
        let mut paths = Vec::new();
        for way in several {
            let next_hop = self.take_hop(state, vrf, way.hop)?;
            let name = state.path_names.take(&way.name, Arc::clone).ok_or(Reason::NumbersUsedUp)?;
            self.names.push(name);
            paths.push(Path { name, weight: way.weight, backup: way.backup, next_hop });
        }
        let paths = state.paths.take(&Arc::<[Path]>::from(paths), Arc::clone).ok_or(Reason::NumbersUsedUp)?;
        self.paths = Some(paths);
        Ok(paths)
    }

    fn take_hop(&mut self, state: &mut State, vrf: VrfId, hop: Hop) -> Result<NextHopId, Reason> {
        let next_hop = state.take_hop(vrf, hop)?;
        self.hops.push(next_hop);
        Ok(next_hop)
    }

    fn release(self, state: &mut State) {
        self.hops.into_iter().for_each(|next_hop| state.hops.release(next_hop.0));
        self.names.into_iter().for_each(|name| state.path_names.release(name));
        self.paths.into_iter().for_each(|paths| state.paths.release(paths));
    }
}
