//! Bridges, and where their stations are.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Mode, learning, route};
use crate::api::v1;
use crate::ids::{BridgeId, Mac, VrfId};
use crate::model::read;
use crate::model::records::{Bridge, Encap, FdbEntry, Hop, Vif};
use crate::model::refusal::{At, Reason, Refusal, shown};
use crate::model::state::State;
use crate::tables::{Carrier, VifKind};
use v1::fdb_entry::Target;
use v1::frame_tunnel;

pub(super) fn write(state: &mut State, mode: Mode, given: &v1::Bridge) -> Result<(), Refusal> {
    let name = read::name(&given.name).at("name")?;
    let old = state.bridges.get(name).cloned();
    mode.allows(old.is_some())?;
    let vrf = state.vrf(&given.vrf).at("vrf")?.id;
    if let Some(why) = state.fabric_use(vrf) {
        return Err(Reason::FabricVrf { vrf: given.vrf.clone(), why: why.into() }.at("vrf"));
    }
    if let Some(old) = old.as_ref().filter(|old| old.vrf != vrf)
        && let Some(by) = in_use(state, old.id)
    {
        return Err(Reason::InUse(by).at("vrf"));
    }
    let tunnels = read::each("vteps", &given.vteps, read::MOST_ENTRIES, |tunnel| to_tunnel(state, tunnel))?;
    let remotes: Vec<_> = tunnels.iter().map(|(remote, _)| *remote).collect();
    read::no_twins("vteps", &remotes)?;
    let floods_per_second = read::number(given.floods_per_second, 0, 1_000_000).at("floods_per_second")?;
    let vteps: Result<Vec<_>, _> = tunnels.into_iter().map(|(_, hop)| state.take_hop(vrf, hop)).collect();
    let vteps = vteps.at("vteps")?;
    let taken = vteps.clone();
    let id = if let Some(old) = &old { old.id } else { state.number_bridge(&given.name).at("")? };
    let (flood_unknown, suppress_off) = (given.flood_unknown, given.suppress_off);
    let learning = given.learning;
    let ageing = read::number(given.ageing, 0, 1_000_000).at("ageing")?;
    let learn_limit = read::number(given.learn_limit, 0, 65_536).at("learn_limit")?;
    let name = name.into();
    let ip_only = given.ip_only;
    let bridge = Bridge {
        id,
        name,
        vrf,
        vteps,
        flood_unknown,
        floods_per_second,
        suppress_off,
        learning,
        ageing,
        learn_limit,
        ip_only,
    };
    if old.is_none_or(|old| *old != bridge) {
        state.set_bridge(bridge.name.clone(), Some(Arc::new(bridge)));
        learning::settle(state, id);
    }
    taken.iter().for_each(|next_hop| state.hops.release(next_hop.0));
    Ok(())
}

pub(super) fn delete(state: &mut State, name: &str) -> Result<(), Refusal> {
    let bridge = state.bridges.get(name).ok_or(Reason::NotThere).at("")?.clone();
    if let Some(by) = in_use(state, bridge.id) {
        return Err(Reason::InUse(by).at(""));
    }
    state.set_bridge(bridge.name.clone(), None);
    learning::settle(state, bridge.id);
    Ok(())
}

fn in_use(state: &State, bridge: BridgeId) -> Option<String> {
    let of = state.of_bridge.get(&bridge)?;
    if let Some(&vif) = of.vifs.first() {
        return Some(format!("VIF {}", state.vif_name(vif)));
    }
    let counts = [(of.entries, "FDB entries"), (of.vnis, "VNIs"), (of.labels, "labels")];
    counts.into_iter().find(|&(count, _)| count > 0).map(|(count, what)| format!("{count} {what}"))
}

pub(super) fn write_entry(state: &mut State, mode: Mode, given: &v1::FdbEntry) -> Result<(), Refusal> {
    let (bridge, mac) = key(state, given.key.as_ref()).at("key")?;
    let old = state.fdb.get(&(bridge.id, mac)).cloned();
    mode.allows(old.is_some())?;
    if given.learnt || given.pinned {
        return Err(Reason::LearntStation.at(if given.learnt { "learnt" } else { "pinned" }));
    }
    if mac == state.settings.gateway_mac() {
        return Err(Reason::MacOfGateway.at("key.mac"));
    }
    if mac == state.settings.router_mac() {
        return Err(Reason::MacOfRouter.at("key.mac"));
    }
    let (vif, hop) = match given.target.as_ref().ok_or(Reason::Missing).at("target")? {
        Target::Vif(name) => {
            let vif = state.vif(name).at("vif")?;
            if vif.bridge != Some(bridge.id) {
                return Err(Reason::NotOfBridge { vif: shown(name), bridge: bridge.name.to_string() }.at("vif"));
            }
            (Some(vif.id), Hop::Bridged(vif.id))
        }
        Target::Tunnel(tunnel) => (None, to_tunnel(state, tunnel).at("tunnel")?.1),
    };
    let addresses = read::each("addresses", &given.addresses, read::MOST_ENTRIES, |a| read::host(a).at(""))?;
    read::no_twins("addresses", &addresses)?;
    let next_hop = state.take_hop(bridge.vrf, hop).at("")?;
    let (router, sticky) = (given.router, given.sticky);
    let entry = FdbEntry { vif, next_hop, addresses: addresses.into(), router, sticky };
    if state.learnt.contains_key(&(bridge.id, mac)) {
        state.set_learnt((bridge.id, mac), None);
    }
    if old.as_ref() != Some(&entry) {
        state.set_fdb((bridge.id, mac), Some(entry));
    }
    state.hops.release(next_hop.0);
    Ok(())
}

pub(super) fn delete_entry(state: &mut State, given: &v1::FdbKey) -> Result<(), Refusal> {
    let (bridge, mac) = key(state, Some(given))?;
    state.fdb.get(&(bridge.id, mac)).ok_or(Reason::NotThere).at("")?;
    state.set_fdb((bridge.id, mac), None);
    Ok(())
}

fn key(state: &State, given: Option<&v1::FdbKey>) -> Result<(Arc<Bridge>, Mac), Refusal> {
    let given = given.ok_or(Reason::Missing).at("")?;
    let bridge = state.bridge(&given.bridge).at("bridge")?.clone();
    Ok((bridge, read::mac(&given.mac).at("mac")?))
}

/// A tunnel that carries frames.
fn to_tunnel(state: &State, given: &v1::FrameTunnel) -> Result<(IpAddr, Hop), Refusal> {
    use frame_tunnel::Encap::{Geneve, MplsOverGre, MplsOverUdp, Vni};
    let remote = route::remote(state, &given.remote).at("remote")?;
    if state.settings.vteps().any(|(_, vtep)| vtep == remote) {
        return Err(Reason::Ours(remote).at("remote"));
    }
    let carrier = match given.encap.ok_or(Reason::Missing).at("encap")? {
        Vni(vni) => Carrier::Vxlan(read::vni(vni).at("vni")?),
        Geneve(vni) => Carrier::Geneve(read::vni(vni).at("geneve")?),
        MplsOverUdp(label) => Carrier::MplsOverUdp(read::label(label).at("mpls_over_udp")?),
        MplsOverGre(label) => Carrier::MplsOverGre(read::label(label).at("mpls_over_gre")?),
    };
    Ok((remote, Hop::Tunnel { remote, encap: Encap::Frames { carrier, leaf: given.leaf } }))
}

/// The bridge that a VIF names, if it may be a port of it.
pub(super) fn of_vif(state: &State, name: &str, vrf: VrfId) -> Result<BridgeId, Reason> {
    let bridge = state.bridge(name)?;
    if bridge.vrf != vrf {
        return Err(Reason::OtherVrf { bridge: shown(name), vrf: state.vrf_name(bridge.vrf) });
    }
    Ok(bridge.id)
}

/// That the VIF's MAC is no other VIF's of its bridge, and that it leaves no FDB entries behind.
pub(super) fn check_vif(state: &State, vif: &Vif, old: Option<&Vif>) -> Result<(), Refusal> {
    if vif.kind == VifKind::Fabric && vif.bridge.is_some() {
        return Err(Reason::TenantOnly.at("bridge"));
    }
    if vif.leaf && vif.bridge.is_none() {
        return Err(Reason::NoBridge.at("leaf"));
    }
    let entries = state.of_vif.get(&vif.id).map_or(0, |of| of.fdb_entries);
    if entries > 0 && old.is_some_and(|old| old.bridge != vif.bridge) {
        return Err(Reason::InUse(format!("{entries} FDB entries")).at("bridge"));
    }
    let (Some(bridge), Some(mac)) = (vif.bridge, vif.mac) else { return Ok(()) };
    match state.stations.get(&(bridge, mac)) {
        Some(&(other, _)) if other != vif.id => Err(Reason::MacOfVif(state.vif_name(other)).at("mac")),
        _ => Ok(()),
    }
}

/// Sets or clears the station that a VIF itself is.
pub(super) fn set_station(state: &mut State, vif: &Vif, there: bool) -> Result<(), Reason> {
    let (Some(bridge), Some(mac)) = (vif.bridge, vif.mac) else { return Ok(()) };
    if !there {
        state.set_station((bridge, mac), None);
        return Ok(());
    }
    let next_hop = state.take_hop(vif.vrf, Hop::Bridged(vif.id))?;
    state.set_station((bridge, mac), Some((vif.id, next_hop)));
    state.hops.release(next_hop.0);
    Ok(())
}
