//! What bridges learn of where stations are.

use crate::ids::{BridgeId, Mac, NextHopId};
use crate::model::read;
use crate::model::records::{Bridge, Hop, Learnt};
use crate::model::state::State;
use crate::tables::{SeenAt, Sighting};

/// What a sighting tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model) enum Sighted {
    /// Nothing: the station is a VIF, or has an FDB entry, or the bridge does not learn.
    Nothing,
    /// It is not at a place where this bridge learns.
    Refused,
    /// A station that nobody knew.
    New,
    Known,
    /// It was elsewhere.
    Moved,
    /// It is held elsewhere.
    Pinned,
}

/// Looks at what a sighting tells, without noting it.
pub(in crate::model) fn see(state: &State, sighting: &Sighting) -> Sighted {
    let key = (sighting.bridge, sighting.mac);
    let Some(bridge) = state.bridge_by_id.get(&key.0).filter(|bridge| bridge.learning) else { return Sighted::Nothing };
    let settings = &state.settings;
    let ours = [settings.gateway_mac(), settings.router_mac()].contains(&key.1);
    let ours = ours || state.fdb.contains_key(&key) || state.stations.contains_key(&key);
    if ours || read::mac(&key.1.0).is_err() {
        return Sighted::Nothing;
    }
    if place_of(state, bridge, sighting.at).is_none() {
        return Sighted::Refused;
    }
    match state.learnt.get(&key) {
        None => Sighted::New,
        Some(learnt) if learnt.at == sighting.at => Sighted::Known,
        Some(Learnt { pinned: true, .. }) => Sighted::Pinned,
        Some(_) => Sighted::Moved,
    }
}

/// The next hop to where stations of a bridge are seen: a VIF that may send from any MAC, or one of its VTEPs.
pub(in crate::model) fn place_of(state: &State, bridge: &Bridge, at: SeenAt) -> Option<NextHopId> {
    match at {
        SeenAt::Vif(vif) => {
            let vif = state.vif_by_id.get(&vif)?;
            let open = vif.bridge == Some(bridge.id) && vif.spoofing_allowed;
            state.hop_id(bridge.vrf, Hop::Bridged(vif.id)).filter(|_| open)
        }
        SeenAt::Vtep(from) => bridge
            .vteps
            .iter()
            .copied()
            .find(|vtep| matches!(state.hop(*vtep), Some((_, Hop::Tunnel { remote, .. })) if remote == from)),
    }
}

/// Forgets what a bridge learnt where it learns no more; its ways to the rest may have changed.
pub(super) fn settle(state: &mut State, id: BridgeId) {
    let of: Vec<_> =
        state.learnt.range((id, Mac::default())..=(id, Mac::BROADCAST)).map(|(key, at)| (*key, *at)).collect();
    let bridge = state.bridge_by_id.get(&id).cloned().filter(|bridge| bridge.learning);
    for (key, learnt) in of {
        if bridge.as_ref().is_none_or(|bridge| place_of(state, bridge, learnt.at).is_none()) {
            state.set_learnt(key, None);
        } else {
            state.dirty.stations.insert(key);
        }
    }
}
