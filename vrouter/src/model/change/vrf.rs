//! VRFs.

use std::sync::Arc;

use super::Mode;
use crate::api::v1;
use crate::ids::VrfId;
use crate::model::quotas;
use crate::model::read;
use crate::model::records::Vrf;
use crate::model::refusal::{At, Reason, Refusal, shown};
use crate::model::state::State;

pub(super) fn write(state: &mut State, mode: Mode, given: &v1::Vrf) -> Result<(), Refusal> {
    let name = read::name(&given.name).at("name")?;
    let old = state.vrfs.get(name).cloned();
    mode.allows(old.is_some())?;
    let mut allowed_vteps =
        read::each("allowed_vteps", &given.allowed_vteps, read::MOST_ENTRIES, |vtep| read::host(vtep).at(""))?;
    read::no_twins("allowed_vteps", &allowed_vteps)?;
    allowed_vteps.sort();
    let acl = read::reference(&given.acl);
    if let Some(acl) = &acl
        && !state.acls.contains_key(acl)
    {
        return Err(Reason::Unknown { kind: "ACL", name: shown(acl) }.at("acl"));
    }
    let vrf = Vrf {
        id: VrfId(0),
        name: name.into(),
        tenant: read::text(&given.tenant).at("tenant")?.into(),
        flows: !given.flows_off,
        acl,
        proxy_by_default_route: given.proxy_by_default_route,
        allowed_vteps,
        tunnel_quota: given.tunnel_quota.as_ref().map(quotas::read).transpose().at("tunnel_quota")?,
        alarms: old.as_ref().map(|old| old.alarms).unwrap_or_default(),
    };
    let vrf = Vrf { id: if let Some(old) = &old { old.id } else { state.number_vrf(name).at("")? }, ..vrf };
    check(state, &vrf)?;
    if old.is_none_or(|old| *old != vrf) {
        state.set_vrf(vrf.name.clone(), Some(Arc::new(vrf)));
    }
    Ok(())
}

fn check(state: &State, vrf: &Vrf) -> Result<(), Refusal> {
    if let (Some(_), Some(why)) = (&vrf.acl, state.fabric_use(vrf.id)) {
        return Err(Reason::FabricVrf { vrf: vrf.name.to_string(), why: why.into() }.at("acl"));
    }
    if vrf.flows {
        return Ok(());
    }
    let needed = |why: String| Err(Reason::FlowsNeeded(why).at("flows_off"));
    if let Some(acl) = &vrf.acl {
        return needed(format!("ACL {acl} applies to the VRF"));
    }
    let Some(of) = state.of_vrf.get(&vrf.id) else { return Ok(()) };
    let vifs = of.vifs.iter().filter_map(|vif| state.vif_by_id.get(vif));
    if let Some((vif, why)) = vifs.filter_map(|vif| Some((vif, vif.needs_flows()?))).next() {
        return needed(format!("{why} VIF {}", vif.name));
    }
    if of.foreign_routes > 0 {
        return needed(format!("{} routes lead to VIFs of other VRFs", of.foreign_routes));
    }
    Ok(())
}

pub(super) fn delete(state: &mut State, name: &str) -> Result<(), Refusal> {
    let vrf = state.vrfs.get(name).ok_or(Reason::NotThere).at("")?.clone();
    let in_use = |by: String| Err(Reason::InUse(by).at(""));
    if state.settings.underlay == Some(vrf.id) {
        return in_use("the settings (underlay_vrf)".into());
    }
    if let Some(of) = state.of_vrf.get(&vrf.id) {
        if let Some(&vif) = of.vifs.first() {
            return in_use(format!("VIF {}", state.vif_name(vif)));
        }
        let into = (of.routes_into, "routes of other VRFs");
        let counts = [(of.bridges, "bridges"), (of.vnis, "VNIs"), (of.labels, "labels"), (of.routes, "routes"), into];
        let more = [(of.hop_groups, "next-hop groups"), (of.bfd_sessions, "BFD sessions")];
        if let Some((count, what)) = counts.into_iter().chain(more).find(|&(count, _)| count > 0) {
            return in_use(format!("{count} {what}"));
        }
    }
    state.set_vrf(vrf.name.clone(), None);
    Ok(())
}
