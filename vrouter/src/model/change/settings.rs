//! The settings.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Mode, bfd};
use crate::api::v1;
use crate::model::quotas;
use crate::model::read;
use crate::model::records::{Encap, Hop, Settings};
use crate::model::refusal::{At, Reason, Refusal};
use crate::model::state::State;
use crate::tables::{Model, TunnelHeaders, VifKind};

/// The longest lifetime in seconds: a week.
const LONGEST: u32 = 7 * 24 * 3600;

pub(super) fn write(state: &mut State, mode: Mode, given: &v1::Settings) -> Result<(), Refusal> {
    mode.allows(state.settings.given)?;
    let underlay = match read::reference(&given.underlay_vrf) {
        Some(name) => Some(state.vrf(&name).at("underlay_vrf")?.id),
        None => None,
    };
    let settings = Settings {
        given: true,
        underlay,
        vtep: read::unless_empty(&given.vtep, read::host_v4).at("vtep")?,
        vtep_v6: read::unless_empty(&given.vtep_v6, read::host_v6).at("vtep_v6")?,
        router_mac: read::unless_empty(&given.router_mac, read::mac).at("router_mac")?,
        gateway_mac: read::unless_empty(&given.gateway_mac, read::mac).at("gateway_mac")?,
        tcp_strict: given.tcp_strict,
        mss_clamp_off: given.mss_clamp_off,
        fragmentation_off: given.fragmentation_off,
        lifetimes: lifetimes(given.lifetimes.as_ref()).at("lifetimes")?,
        icmp_per_second: read::number(given.icmp_per_second, 0, 1_000_000).at("icmp_per_second")?,
        headers: given.tunnel_headers.as_ref().map(headers).transpose().at("tunnel_headers")?,
        vif_quota: given.vif_quota.as_ref().map(quotas::read).transpose().at("vif_quota")?,
        tenant_quotas: quotas::read_tenants(&given.tenant_quotas, &state.settings.tenant_quotas)?,
    };
    check(state, &settings)?;
    if *state.settings != settings {
        state.set_settings(Arc::new(settings));
        let vrfs: Vec<_> = state.vrf_by_id.keys().copied().filter(|_| !state.bfd.is_empty()).collect();
        vrfs.into_iter().try_for_each(|vrf| bfd::check_ends(state, vrf)).at("vtep")?;
    }
    Ok(())
}

fn lifetimes(given: Option<&v1::Lifetimes>) -> Result<[u32; 6], Refusal> {
    let given = given.copied().unwrap_or_default();
    let read = |seconds, field| read::number(seconds, 0, LONGEST).at(field);
    Ok([
        read(given.tcp_established, "tcp_established")?,
        read(given.tcp_opening, "tcp_opening")?,
        read(given.tcp_closing, "tcp_closing")?,
        read(given.udp_unanswered, "udp_unanswered")?,
        read(given.udp_answered, "udp_answered")?,
        read(given.icmp, "icmp")?,
    ])
}

fn headers(given: &v1::TunnelHeaders) -> Result<TunnelHeaders, Refusal> {
    let default = TunnelHeaders::default();
    let read = |given: i32, default: Model| match v1::HeaderModel::try_from(given) {
        Ok(v1::HeaderModel::Default) => Ok(default),
        Ok(v1::HeaderModel::Uniform) => Ok(Model::Uniform),
        Ok(v1::HeaderModel::Pipe) => Ok(Model::Pipe),
        Err(_) => Err(Reason::Unknown { kind: "model", name: given.to_string() }),
    };
    let headers = TunnelHeaders {
        dscp: read(given.dscp, default.dscp).at("dscp")?,
        outer_dscp: read::number(given.outer_dscp, 0, 63).at("outer_dscp")? as u8,
        mpls_ttl: read(given.mpls_ttl, default.mpls_ttl).at("mpls_ttl")?,
        mpls_tc: read(given.mpls_tc, default.mpls_tc).at("mpls_tc")?,
        mpls_congestion_marked: match given.mpls_congestion_marked {
            0 => None,
            class => Some(read::number(class, 1, 7).at("mpls_congestion_marked")? as u8),
        },
    };
    if headers.outer_dscp != 0 && headers.dscp != Model::Pipe {
        return Err(Reason::NeedsPipe("dscp").at("outer_dscp"));
    }
    if headers.mpls_congestion_marked.is_some() && headers.mpls_tc != Model::Pipe {
        return Err(Reason::NeedsPipe("mpls_tc").at("mpls_congestion_marked"));
    }
    Ok(headers)
}

fn check(state: &State, settings: &Settings) -> Result<(), Refusal> {
    if let Some(vrf) = settings.underlay {
        if let Some(why) = state.tenant_use(vrf) {
            return Err(Reason::TenantVrf { vrf: state.vrf_name(vrf), why }.at("underlay_vrf"));
        }
        if let Some(acl) = &state.vrf_by_id[&vrf].acl {
            let why = format!("ACL {acl}");
            return Err(Reason::TenantVrf { vrf: state.vrf_name(vrf), why }.at("underlay_vrf"));
        }
    }
    for (field, vtep) in settings.vteps() {
        let underlay = settings.underlay.ok_or(Reason::NoUnderlay).at(field)?;
        if !has_vtep(state, underlay, vtep) {
            return Err(Reason::VtepNotOurs(vtep).at(field));
        }
    }
    let to_v6 = |hop: &Hop| matches!(hop, Hop::Tunnel { remote: IpAddr::V6(_), .. });
    if state.settings.vtep_v6.is_some() && settings.vtep_v6.is_none() && state.any_hop(to_v6) {
        return Err(Reason::InUse("routes by tunnels to IPv6 remotes".into()).at("vtep_v6"));
    }
    let to_vtep = |vtep: IpAddr| {
        state.any_hop(|hop| matches!(hop, Hop::Tunnel { remote, encap: Encap::Frames { .. } } if *remote == vtep))
    };
    if let Some((field, _)) = settings.vteps().find(|&(_, vtep)| to_vtep(vtep)) {
        return Err(Reason::InUse("bridges or FDB entries by tunnels to it".into()).at(field));
    }
    let (gateway, router) = (settings.gateway_mac(), settings.router_mac());
    if state.fdb.keys().any(|(_, mac)| *mac == gateway) {
        return Err(Reason::InUse("FDB entries".into()).at("gateway_mac"));
    }
    if state.fdb.keys().any(|(_, mac)| *mac == router) {
        return Err(Reason::InUse("FDB entries".into()).at("router_mac"));
    }
    if state.vifs.values().any(|vif| vif.kind == VifKind::Tenant && vif.mac == Some(gateway)) {
        return Err(Reason::MacOfGateway.at("gateway_mac"));
    }
    Ok(())
}

/// Whether the VTEP is an address of a fabric VIF in the underlay VRF.
fn has_vtep(state: &State, underlay: crate::ids::VrfId, vtep: IpAddr) -> bool {
    let vifs = state.of_vrf.get(&underlay).map(|of| &of.vifs);
    vifs.into_iter().flatten().any(|vif| {
        let vif = &state.vif_by_id[vif];
        vif.kind == VifKind::Fabric && vif.addresses.contains(&vtep)
    })
}
