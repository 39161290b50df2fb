//! VNIs and labels: where tunnelled packets arrive.

use super::Mode;
use crate::api::v1;
use crate::ids::VrfId;
use crate::model::read;
use crate::model::records::{Hop, LabelTarget, VniTarget};
use crate::model::refusal::{At, Reason, Refusal};
use crate::model::state::State;
use crate::tables::VifKind;
use v1::mpls_label::Target;

pub(super) fn write_vni(state: &mut State, mode: Mode, given: &v1::Vni) -> Result<(), Refusal> {
    let vni = read::vni(given.vni).at("vni")?;
    let old = state.vnis.get(&vni).copied();
    mode.allows(old.is_some())?;
    let target = match (&*given.vrf, &*given.bridge) {
        ("", bridge) if !bridge.is_empty() => VniTarget::Bridge(state.bridge(bridge).at("bridge")?.id),
        (vrf, "") => VniTarget::Vrf(tenant_vrf(state, vrf).at("vrf")?),
        _ => return Err(Reason::VrfOrBridge.at("bridge")),
    };
    if old != Some(target) {
        state.set_vni(vni, Some(target));
    }
    Ok(())
}

pub(super) fn delete_vni(state: &mut State, given: u32) -> Result<(), Refusal> {
    let vni = read::vni(given).at("vni")?;
    state.vnis.get(&vni).ok_or(Reason::NotThere).at("")?;
    state.set_vni(vni, None);
    Ok(())
}

pub(super) fn write_label(state: &mut State, mode: Mode, given: &v1::MplsLabel) -> Result<(), Refusal> {
    let label = read::label(given.label).at("label")?;
    let old = state.labels.get(&label).copied();
    mode.allows(old.is_some())?;
    match given.target.as_ref().ok_or(Reason::Missing).at("target")? {
        Target::Vrf(name) => {
            let target = LabelTarget::Vrf(tenant_vrf(state, name).at("vrf")?);
            if old != Some(target) {
                state.set_label(label, Some(target));
            }
        }
        Target::Bridge(name) => {
            let target = LabelTarget::Bridge(state.bridge(name).at("bridge")?.id);
            if old != Some(target) {
                state.set_label(label, Some(target));
            }
        }
        Target::Vif(name) => {
            let vif = state.vif(name).at("vif")?;
            if vif.kind != VifKind::Tenant {
                return Err(Reason::NotTenantVif(name.clone()).at("vif"));
            }
            let (vif, vrf) = (vif.id, vif.vrf);
            let next_hop = state.take_hop(vrf, Hop::Vif { vif, mac: None }).at("vif")?;
            let target = LabelTarget::Vif(vif, next_hop);
            if old != Some(target) {
                state.set_label(label, Some(target));
            }
            state.hops.release(next_hop.0);
        }
    }
    Ok(())
}

pub(super) fn delete_label(state: &mut State, given: u32) -> Result<(), Refusal> {
    let label = read::label(given).at("label")?;
    state.labels.get(&label).ok_or(Reason::NotThere).at("")?;
    state.set_label(label, None);
    Ok(())
}

/// A VRF that tunnelled packets may be routed in: not one of the fabric.
fn tenant_vrf(state: &State, name: &str) -> Result<VrfId, Reason> {
    let vrf = state.vrf(name)?.id;
    match state.fabric_use(vrf) {
        Some(why) => Err(Reason::FabricVrf { vrf: name.into(), why: why.into() }),
        None => Ok(vrf),
    }
}
