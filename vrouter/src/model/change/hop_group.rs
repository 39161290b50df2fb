//! Next-hop groups.

use std::sync::Arc;

use super::{Mode, paths, route};
use crate::api::v1;
use crate::model::read;
use crate::model::records::{Hop, HopGroup, HopGroupId, Vrf};
use crate::model::refusal::{At, Reason, Refusal, shown};
use crate::model::state::State;
use crate::tables::HashFields;

pub(super) fn write(state: &mut State, mode: Mode, given: &v1::NextHopGroup) -> Result<(), Refusal> {
    let name = read::name(&given.name).at("name")?;
    let old = state.hop_groups.get(name).cloned();
    mode.allows(old.is_some())?;
    let vrf = state.vrf(&given.vrf).at("vrf")?.clone();
    if old.as_ref().is_some_and(|old| old.vrf != vrf.id) {
        return Err(Reason::Fixed.at("vrf"));
    }
    if given.paths.is_empty() {
        return Err(Reason::Missing.at("paths"));
    }
    let ways = route::several(state, &vrf, None, &given.paths)?;
    let hash = match v1::HashFields::try_from(given.hash)
        .map_err(|_| Reason::Unknown { kind: "choice", name: given.hash.to_string() })
        .at("hash")?
    {
        v1::HashFields::Default => HashFields::FiveTuple,
        v1::HashFields::Addresses => HashFields::Addresses,
        v1::HashFields::AddressesAndProtocol => HashFields::AddressesAndProtocol,
    };
    if hash != HashFields::FiveTuple && ways.iter().any(|way| gateway(way.hop).is_some()) {
        return Err(Reason::NotOfGateways.at("hash"));
    }
    let families = [old.as_ref().and_then(|old| family(state, old.id)), ways.first().and_then(|way| gateway(way.hop))];
    let routes = old.as_ref().and_then(|old| routes(state, old.id));
    if let (Some(routes), [was, is]) = (routes, families)
        && was != is
    {
        return Err(Reason::InUse(routes).at("paths"));
    }
    let id = if let Some(old) = &old { old.id } else { state.number_hop_group(&given.name).at("")? };
    let next_hop = state.take_hop(vrf.id, Hop::Named(id)).at("")?;
    let written = paths::with_list(state, vrf.id, &ways, |state, paths| {
        let group = HopGroup { id, name: name.into(), vrf: vrf.id, paths, hash, next_hop };
        if old.is_none_or(|old| *old != group) {
            state.set_hop_group(group.name.clone(), Some(Arc::new(group)));
        }
    });
    state.hops.release(next_hop.0);
    written
}

pub(super) fn delete(state: &mut State, name: &str) -> Result<(), Refusal> {
    let group = state.hop_groups.get(name).ok_or(Reason::NotThere).at("")?.clone();
    if let Some(routes) = routes(state, group.id) {
        return Err(Reason::InUse(routes).at(""));
    }
    state.set_hop_group(group.name.clone(), None);
    Ok(())
}

/// The next hop of a route that names a group: one of its VRF, of gateways only if they are of its family.
pub(super) fn of_route(state: &State, vrf: &Vrf, v6: bool, name: &str) -> Result<Hop, Reason> {
    let unknown = || Reason::Unknown { kind: "next-hop group", name: shown(name) };
    let group = state.hop_groups.get(name).ok_or_else(unknown)?;
    if group.vrf != vrf.id {
        return Err(Reason::GroupOfOtherVrf { group: shown(name), vrf: state.vrf_name(group.vrf) });
    }
    match family(state, group.id) {
        Some(family) if family != v6 => Err(Reason::Family),
        _ => Ok(Hop::Named(group.id)),
    }
}

fn routes(state: &State, group: HopGroupId) -> Option<String> {
    state.of_hop_group.get(&group).map(|count| format!("{count} routes"))
}

/// Whether a group's gateways are IPv6; `None`: it has none. (All paths of a group are gateways, or none is.)
fn family(state: &State, group: HopGroupId) -> Option<bool> {
    let ways = state.several(Hop::Named(group))?;
    gateway(state.hop(ways.first()?.next_hop)?.1)
}

fn gateway(hop: Hop) -> Option<bool> {
    match hop {
        Hop::Gateway(address) => Some(address.is_ipv6()),
        _ => None,
    }
}
