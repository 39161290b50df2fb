//! Neighbours of fabric VIFs: static ones of controllers, learnt ones of the slow path.

use std::net::IpAddr;
use std::sync::Arc;

use super::Mode;
use crate::api::v1;
use crate::ids::{Mac, VifId};
use crate::model::read;
use crate::model::records::{Hop, Neighbour, Prefix, Vif};
use crate::model::refusal::{At, Reason, Refusal};
use crate::model::state::State;
use crate::packet::ip::is_host;
use crate::tables::VifKind;

pub(super) fn write(state: &mut State, mode: Mode, given: &v1::Neighbour) -> Result<(), Refusal> {
    let (vif, address) = key(state, given.key.as_ref()).at("key")?;
    let old = state.neighbours.get(&(vif.id, address)).filter(|neighbour| !neighbour.learnt);
    mode.allows(old.is_some())?;
    if given.learnt {
        return Err(Reason::Learnt.at("learnt"));
    }
    if let Some((_, Hop::Receive)) = state.implicit_at(vif.vrf, address, None) {
        return Err(Reason::Ours(address).at("key.address"));
    }
    if !vif.connects(address) {
        return Err(Reason::NotConnected(address).at("key.address"));
    }
    let mac = read::mac(&given.mac).at("mac")?;
    set(state, &vif, address, Some(Neighbour { mac, learnt: false })).at("")
}

pub(super) fn delete(state: &mut State, given: &v1::NeighbourKey) -> Result<(), Refusal> {
    let (vif, address) = key(state, Some(given))?;
    let there = state.neighbours.get(&(vif.id, address)).ok_or(Reason::NotThere).at("")?;
    if there.learnt {
        return Err(Reason::Learnt.at(""));
    }
    set(state, &vif, address, None).at("")
}

/// Notes what a neighbour of a connected subnet said its MAC is. False: nothing changed.
pub(in crate::model) fn learn(state: &mut State, vif: VifId, address: IpAddr, mac: Mac) -> bool {
    let Some(vif) = state.vif_by_id.get(&vif).cloned() else { return false };
    let new = Neighbour { mac, learnt: true };
    let old = state.neighbours.get(&(vif.id, address));
    let fit = vif.kind == VifKind::Fabric
        && vif.connects(address)
        && is_host(address)
        && read::mac(&mac.0).is_ok()
        && !matches!(state.implicit_at(vif.vrf, address, None), Some((_, Hop::Receive)))
        && old.is_none_or(|old| old.learnt && *old != new);
    fit && set(state, &vif, address, Some(new)).is_ok() && state.within_limits().is_ok()
}

/// Forgets a learnt neighbour. False: there was none.
pub(in crate::model) fn forget(state: &mut State, vif: VifId, address: IpAddr) -> bool {
    let Some(vif) = state.vif_by_id.get(&vif).cloned() else { return false };
    let learnt = state.neighbours.get(&(vif.id, address)).is_some_and(|neighbour| neighbour.learnt);
    learnt && set(state, &vif, address, None).is_ok()
}

/// Sets or clears a neighbour and its host route.
pub(super) fn set(state: &mut State, vif: &Vif, address: IpAddr, new: Option<Neighbour>) -> Result<(), Reason> {
    if state.neighbours.get(&(vif.id, address)).copied() == new {
        return Ok(());
    }
    state.set_neighbour((vif.id, address), new);
    state.set_implicit(vif, Prefix::host(address), new.map(|_| Hop::Neighbour(vif.id, address)))
}

fn key(state: &State, given: Option<&v1::NeighbourKey>) -> Result<(Arc<Vif>, IpAddr), Refusal> {
    let given = given.ok_or(Reason::Missing).at("")?;
    let vif = state.vif(&given.vif).at("vif")?;
    if vif.kind != VifKind::Fabric {
        return Err(Reason::NotFabricVif(given.vif.clone()).at("vif"));
    }
    Ok((vif.clone(), read::host(&given.address).at("address")?))
}
