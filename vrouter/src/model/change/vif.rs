//! VIFs, with the routes that they bring.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::{Mode, bfd, bridge, learning, neighbour, router};
use crate::api::v1;
use crate::ids::{PortIndex, Tags, VifId, Vlan};
use crate::model::quotas;
use crate::model::read;
use crate::model::records::{Hop, Prefix, Redirect, Vif};
use crate::model::refusal::{At, Reason, Refusal, shown};
use crate::model::state::State;
use crate::tables::VifKind;

/// The least L3 MTU (RFC 791) and the least of IPv6 (RFC 8200).
const LEAST_MTU: u32 = 576;
const LEAST_MTU_V6: u32 = 1280;

pub(super) fn write(state: &mut State, mode: Mode, given: &v1::Vif) -> Result<(), Refusal> {
    let name = read::name(&given.name).at("name")?;
    let old = state.vifs.get(name).cloned();
    mode.allows(old.is_some())?;
    let vif = read_vif(state, given, old.as_deref())?;
    check_fields_of_kind(&vif)?;
    check_vrf(state, &vif, old.as_deref())?;
    check_branches(state, &vif)?;
    check_acls(state, &vif)?;
    check_addresses(state, &vif)?;
    bridge::check_vif(state, &vif, old.as_deref())?;
    if old.as_deref() == Some(&vif) {
        return Ok(());
    }
    if let Some(old) = &old {
        set_implicit_routes(state, old, false).at("")?;
        bridge::set_station(state, old, false).at("")?;
        state.set_service(old.id, None);
        part_from_neighbours(state, old, &vif)?;
    }
    forget_at_others(state, &vif).at("")?;
    state.set_vif(vif.name.clone(), Some(Arc::new(vif.clone())));
    set_implicit_routes(state, &vif, true).at("")?;
    bridge::set_station(state, &vif, true).at("")?;
    set_service(state, &vif).at("")?;
    let bridges = [old.as_ref().and_then(|old| old.bridge), vif.bridge];
    bridges.into_iter().flatten().for_each(|bridge| learning::settle(state, bridge));
    check_dependants(state, old.as_deref().unwrap_or(&vif))
}

pub(super) fn delete(state: &mut State, name: &str) -> Result<(), Refusal> {
    let vif = state.vifs.get(name).ok_or(Reason::NotThere).at("")?.clone();
    if let Some(by) = in_use(state, vif.id) {
        return Err(Reason::InUse(by).at(""));
    }
    for address in neighbours(state, vif.id) {
        neighbour::set(state, &vif, address, None).at("")?;
    }
    set_implicit_routes(state, &vif, false).at("")?;
    bridge::set_station(state, &vif, false).at("")?;
    state.set_service(vif.id, None);
    state.set_vif(vif.name.clone(), None);
    vif.bridge.into_iter().for_each(|bridge| learning::settle(state, bridge));
    check_dependants(state, &vif)
}

fn read_vif(state: &mut State, given: &v1::Vif, old: Option<&Vif>) -> Result<Vif, Refusal> {
    let kind = match v1::VifKind::try_from(given.kind) {
        Ok(v1::VifKind::VifTenant) => VifKind::Tenant,
        Ok(v1::VifKind::VifFabric) => VifKind::Fabric,
        Err(_) => return Err(Reason::Unknown { kind: "kind", name: given.kind.to_string() }.at("kind")),
    };
    if old.is_some_and(|old| old.kind != kind) {
        return Err(Reason::Fixed.at("kind"));
    }
    let (port, vlan, inner_vlan) = read_place(state, given, kind, old)?;
    let exception = read::reference(&given.exception_port).map(|name| whole_port(state, &name, old));
    let exception = exception.transpose().at("exception_port")?;
    if exception == Some(port) {
        return Err(Reason::PortTaken { port: given.port.clone(), vif: given.name.clone() }.at("exception_port"));
    }
    let vrf = state.vrf(&given.vrf).at("vrf")?.id;
    let bridge =
        read::reference(&given.bridge).map(|name| bridge::of_vif(state, &name, vrf)).transpose().at("bridge")?;
    let mac = read::unless_empty(&given.mac, read::mac).at("mac")?;
    let addresses = read::each("addresses", &given.addresses, read::MOST_ENTRIES, |a| read::host(a).at(""))?;
    let subnets = read::each("subnets", &given.subnets, read::MOST_ENTRIES, read::prefix)?;
    let allowed_sources = read::each("allowed_sources", &given.allowed_sources, read::MOST_ENTRIES, read::prefix)?;
    let gateway_v4 = read::unless_empty(&given.gateway_v4, read::host_v4).at("gateway_v4")?;
    let gateway_v6 = read::unless_empty(&given.gateway_v6, read::host_v6).at("gateway_v6")?;
    let gateway_link_local = read::unless_empty(&given.gateway_link_local, read::host_v6).at("gateway_link_local")?;
    let v6 = gateway_v6.is_some() || addresses.iter().any(IpAddr::is_ipv6);
    let (least, most) = (if v6 { LEAST_MTU_V6 } else { LEAST_MTU }, state.port(port).info.mtu.into());
    let mtu = match given.mtu {
        0 => None,
        mtu => Some(read::number(mtu, least, most).at("mtu")? as u16),
    };
    let advertise =
        given.router_advertisement.as_ref().map(router::read).transpose().at("router_advertisement")?.map(Arc::new);
    let (id, slot) = numbers(state, &given.name, old, kind == VifKind::Tenant && vlan.is_some())?;
    let quota = given.quota.as_ref().map(quotas::read).transpose().at("quota")?;
    Ok(Vif {
        id,
        slot,
        name: given.name.as_str().into(),
        kind,
        port,
        vrf,
        bridge,
        leaf: given.leaf,
        mac,
        addresses,
        subnets,
        gateway_v4,
        gateway_v6,
        gateway_link_local,
        mtu,
        vlan,
        inner_vlan,
        from_vif: read::reference(&given.acl_from_vif),
        to_vif: read::reference(&given.acl_to_vif),
        spoofing_allowed: given.spoofing_allowed,
        service: given.service,
        allowed_sources,
        advertise,
        exception,
        quota,
        alarms: old.map(|old| old.alarms).unwrap_or_default(),
    })
}

/// Its number, and its row; a sub-interface's gives a port number, too.
fn numbers(state: &mut State, name: &str, old: Option<&Vif>, is_branch: bool) -> Result<(VifId, usize), Refusal> {
    let (id, slot) = match old {
        Some(old) => (old.id, old.slot),
        None => state.number_vif(name).at("")?,
    };
    let most = usize::from(u16::MAX) - state.limits.ports;
    if is_branch && slot > most {
        return Err(Reason::Limit { what: "sub-interfaces", limit: most }.at("vlan"));
    }
    Ok((id, slot))
}

/// Its port, and the VLANs of its tags there.
fn read_place(
    state: &State,
    given: &v1::Vif,
    kind: VifKind,
    old: Option<&Vif>,
) -> Result<(PortIndex, Option<Vlan>, Option<Vlan>), Refusal> {
    let vlan = read_vlan(given.vlan).at("vlan")?;
    let inner_vlan = read_vlan(given.inner_vlan).at("inner_vlan")?;
    if inner_vlan.is_some() && vlan.is_none() {
        return Err(Reason::Missing.at("vlan"));
    }
    let tags = vlan.filter(|_| kind == VifKind::Tenant).map(|outer| Tags { outer, inner: inner_vlan });
    Ok((free_port(state, &given.port, tags, old)?, vlan, inner_vlan))
}

fn read_vlan(given: u32) -> Result<Option<Vlan>, Reason> {
    match given {
        0 => Ok(None),
        vlan => Ok(Some(Vlan(read::number(vlan, 1, 4094)? as u16))),
    }
}

/// The port of this name, if no other VIF has what this one wants of it: the frames with these tags, or the port as a whole.
fn free_port(state: &State, name: &str, tags: Option<Tags>, old: Option<&Vif>) -> Result<PortIndex, Refusal> {
    let Some(tags) = tags else {
        let port = whole_port(state, name, old).at("port")?;
        return Ok(port);
    };
    let port = port_named(state, name).at("port")?;
    let taken = |holder| Reason::TagsTaken { port: name.into(), vif: state.vif_name(holder) };
    let field = if tags.inner.is_some() { "inner_vlan" } else { "vlan" };
    if let Some(&holder) = state.branches.get(&(port, tags)).filter(|holder| old.is_none_or(|old| old.id != **holder)) {
        return Err(taken(holder).at(field));
    }
    match state.vif_by_port[port.index()].and_then(|holder| state.vif_by_id.get(&holder)) {
        Some(kernel) if kernel.exception == Some(port) => {
            Err(Reason::PortTaken { port: name.into(), vif: kernel.name.to_string() }.at("port"))
        }
        Some(fabric) if fabric.kind == VifKind::Fabric && fabric.vlan == Some(tags.outer) => {
            Err(taken(fabric.id).at("vlan"))
        }
        _ => Ok(port),
    }
}

/// The port of this name, if no other VIF has it as a whole, as its own or for exceptions.
fn whole_port(state: &State, name: &str, old: Option<&Vif>) -> Result<PortIndex, Reason> {
    let port = port_named(state, name)?;
    match state.vif_by_port[port.index()] {
        Some(holder) if old.is_none_or(|old| old.id != holder) => {
            Err(Reason::PortTaken { port: name.into(), vif: state.vif_name(holder) })
        }
        _ => Ok(port),
    }
}

fn port_named(state: &State, name: &str) -> Result<PortIndex, Reason> {
    state.port_by_name.get(name).copied().ok_or_else(|| Reason::Unknown { kind: "port", name: shown(name) })
}

/// That a fabric VIF or the host's kernel does not take from sub-interfaces of its port what is theirs.
fn check_branches(state: &State, vif: &Vif) -> Result<(), Refusal> {
    let others =
        |port: PortIndex| state.branches.iter().filter(move |((at, _), other)| *at == port && **other != vif.id);
    if let Some((_, &branch)) = vif.exception.into_iter().flat_map(others).next() {
        let port = state.port(vif.exception.unwrap_or(vif.port)).info.name.clone();
        return Err(Reason::PortTaken { port, vif: state.vif_name(branch) }.at("exception_port"));
    }
    let tagged = vif.vlan.filter(|_| vif.kind == VifKind::Fabric);
    match tagged.and_then(|vlan| others(vif.port).find(|((_, tags), _)| tags.outer == vlan)) {
        Some((_, &branch)) => {
            let port = state.port(vif.port).info.name.clone();
            Err(Reason::TagsTaken { port, vif: state.vif_name(branch) }.at("vlan"))
        }
        None => Ok(()),
    }
}

fn check_fields_of_kind(vif: &Vif) -> Result<(), Refusal> {
    let refuse = |given: bool, reason: Reason, field: &str| if given { Err(reason.at(field)) } else { Ok(()) };
    match vif.kind {
        VifKind::Tenant => {
            refuse(vif.mac.is_none(), Reason::Missing, "mac")?;
            refuse(!vif.subnets.is_empty(), Reason::FabricOnly, "subnets")?;
            refuse(vif.exception.is_some(), Reason::FabricOnly, "exception_port")?;
            let no_router = vif.advertise.is_some() && vif.link_local().is_none();
            refuse(no_router, Reason::NoLinkLocalGateway, "router_advertisement")
        }
        VifKind::Fabric => {
            refuse(vif.inner_vlan.is_some(), Reason::TenantOnly, "inner_vlan")?;
            refuse(vif.gateway_v4.is_some(), Reason::TenantOnly, "gateway_v4")?;
            refuse(vif.gateway_v6.is_some(), Reason::TenantOnly, "gateway_v6")?;
            refuse(vif.gateway_link_local.is_some(), Reason::TenantOnly, "gateway_link_local")?;
            refuse(vif.from_vif.is_some(), Reason::TenantOnly, "acl_from_vif")?;
            refuse(vif.to_vif.is_some(), Reason::TenantOnly, "acl_to_vif")?;
            refuse(vif.spoofing_allowed, Reason::TenantOnly, "spoofing_allowed")?;
            refuse(vif.service, Reason::TenantOnly, "service")?;
            refuse(!vif.allowed_sources.is_empty(), Reason::TenantOnly, "allowed_sources")?;
            refuse(vif.quota.is_some(), Reason::TenantOnly, "quota")?;
            refuse(vif.advertise.is_some(), Reason::TenantOnly, "router_advertisement")
        }
    }
}

fn check_vrf(state: &State, vif: &Vif, old: Option<&Vif>) -> Result<(), Refusal> {
    let vrf = &state.vrf_by_id[&vif.vrf];
    let redirected = || {
        let acl = state.redirected_by(&Redirect::Vif(vif.name.clone()))?;
        Some(format!("ACL {acl}, which redirects to it"))
    };
    if old.is_some_and(|old| old.vrf != vif.vrf)
        && let Some(by) = in_use(state, vif.id).or_else(redirected)
    {
        return Err(Reason::InUse(by).at("vrf"));
    }
    match vif.kind {
        VifKind::Tenant => match state.fabric_use(vif.vrf) {
            Some(why) => Err(Reason::FabricVrf { vrf: vrf.name.to_string(), why: why.into() }.at("vrf")),
            None => Ok(()),
        },
        VifKind::Fabric => match state.tenant_use(vif.vrf).or(vrf.acl.as_ref().map(|acl| format!("ACL {acl}"))) {
            Some(why) => Err(Reason::TenantVrf { vrf: vrf.name.to_string(), why }.at("vrf")),
            None => Ok(()),
        },
    }
}

/// Gives a service the next hop by which it has what is for it.
fn set_service(state: &mut State, vif: &Vif) -> Result<(), Reason> {
    if vif.service {
        let next_hop = state.take_hop(vif.vrf, Hop::Vif { vif: vif.id, mac: None })?;
        state.set_service(vif.id, Some(next_hop));
        state.hops.release(next_hop.0);
    }
    Ok(())
}

fn check_acls(state: &State, vif: &Vif) -> Result<(), Refusal> {
    let vrf = &state.vrf_by_id[&vif.vrf];
    if vif.service && !vrf.flows {
        return Err(Reason::FlowsAreOff(vrf.name.to_string()).at("service"));
    }
    for (field, acl) in [("acl_from_vif", &vif.from_vif), ("acl_to_vif", &vif.to_vif)] {
        let Some(acl) = acl else { continue };
        if !state.acls.contains_key(acl) {
            return Err(Reason::Unknown { kind: "ACL", name: shown(acl) }.at(field));
        }
        if !vrf.flows {
            return Err(Reason::FlowsAreOff(vrf.name.to_string()).at(field));
        }
    }
    Ok(())
}

fn check_addresses(state: &State, vif: &Vif) -> Result<(), Refusal> {
    if vif.kind == VifKind::Tenant && vif.mac == Some(state.settings.gateway_mac()) {
        return Err(Reason::MacOfGateway.at("mac"));
    }
    read::no_twins("addresses", &vif.addresses)?;
    read::no_twins("subnets", &vif.subnets)?;
    for (at, &address) in vif.addresses.iter().enumerate() {
        let field = format!("addresses[{at}]");
        match (read::is_link_local(Prefix::host(address)), vif.kind) {
            (true, VifKind::Tenant) => return Err(Reason::LinkLocal.at(field)),
            // ours on this link alone
            (true, VifKind::Fabric) => continue,
            (false, _) => {}
        }
        let name = vif.name.to_string();
        if vif.gateways().any(|gateway| gateway == address) {
            return Err(Reason::AddressOfGateway { address, vif: name }.at(field));
        }
        check_free(state, vif, address, false).at(&field)?;
    }
    if let Some(v6) = vif.gateway_v6.filter(|v6| v6.is_unicast_link_local()) {
        return Err(Reason::LinkLocalField(v6).at("gateway_v6"));
    }
    if let Some(link_local) = vif.gateway_link_local.filter(|address| !address.is_unicast_link_local()) {
        return Err(Reason::NotLinkLocal(link_local.into()).at("gateway_link_local"));
    }
    for (field, gateway) in
        [("gateway_v4", vif.gateway_v4.map(IpAddr::V4)), ("gateway_v6", vif.gateway_v6.map(IpAddr::V6))]
    {
        gateway.map_or(Ok(()), |gateway| check_free(state, vif, gateway, true)).at(field)?;
    }
    check_subnets(state, vif)
}

/// That no other VIF of the VRF has the address. A gateway may be that of several VIFs.
fn check_free(state: &State, vif: &Vif, address: IpAddr, is_gateway: bool) -> Result<(), Reason> {
    let Some((holder, hop)) = state.implicit_at(vif.vrf, address, Some(vif.id)) else { return Ok(()) };
    let name = state.vif_name(holder);
    match (hop, vif.kind) {
        (Hop::Receive, VifKind::Tenant) if is_gateway => Ok(()),
        (Hop::Receive, VifKind::Tenant) => Err(Reason::AddressOfGateway { address, vif: name }),
        (Hop::Neighbour(..), _) => {
            let learnt = state.neighbours.get(&(holder, address)).is_some_and(|neighbour| neighbour.learnt);
            if learnt { Ok(()) } else { Err(Reason::AddressOfNeighbour { address, vif: name }) }
        }
        _ => Err(Reason::AddressOfVif { address, vif: name }),
    }
}

fn check_subnets(state: &State, vif: &Vif) -> Result<(), Refusal> {
    for (at, &subnet) in vif.subnets.iter().enumerate() {
        let field = format!("subnets[{at}]");
        if read::is_link_local(subnet) {
            return Err(Reason::LinkLocal.at(field));
        }
        if !vif.addresses.iter().any(|&address| subnet.holds(address)) {
            return Err(Reason::SubnetWithoutAddress.at(field));
        }
        let others = state.of_vrf.get(&vif.vrf).into_iter().flat_map(|of| &of.vifs).filter(|other| **other != vif.id);
        let mut others = others.map(|other| &state.vif_by_id[other]);
        if let Some(other) = others.find(|other| other.subnets.contains(&subnet)) {
            return Err(Reason::SubnetTaken(subnet, other.name.to_string()).at(field));
        }
    }
    Ok(())
}

/// Forgets learnt neighbours that the VIF will no longer have, refuses to leave static ones behind. Before the new VIF offers its
/// own routes: an address may turn from a neighbour's into ours.
fn part_from_neighbours(state: &mut State, old: &Vif, new: &Vif) -> Result<(), Refusal> {
    for address in neighbours(state, old.id) {
        let ours = new.addresses.contains(&address);
        if old.vrf == new.vrf && new.connects(address) && !ours {
            continue;
        }
        if state.neighbours[&(old.id, address)].learnt {
            neighbour::set(state, old, address, None).at("")?;
        } else if ours {
            return Err(Reason::AddressOfNeighbour { address, vif: old.name.to_string() }.at("addresses"));
        } else {
            return Err(Reason::NoLongerConnected(address, "a static neighbour").at("subnets"));
        }
    }
    Ok(())
}

/// Forgets learnt neighbours of other VIFs whose address is this VIF's own from now on ([`check_free`] refuses static ones).
fn forget_at_others(state: &mut State, vif: &Vif) -> Result<(), Reason> {
    for &address in &vif.addresses {
        while let Some((holder, Hop::Neighbour(..))) = state.implicit_at(vif.vrf, address, Some(vif.id)) {
            let holder = state.vif_by_id[&holder].clone();
            neighbour::set(state, &holder, address, None)?;
        }
    }
    Ok(())
}

/// That the change of a fabric VIF leaves gateways connected and the VTEP ours.
fn check_dependants(state: &State, before: &Vif) -> Result<(), Refusal> {
    if before.kind == VifKind::Tenant {
        return Ok(());
    }
    let now = state.vifs.get(&before.name);
    for vrf in [Some(before.vrf), now.map(|vif| vif.vrf)].into_iter().flatten() {
        for &gateway in state.of_vrf.get(&vrf).into_iter().flat_map(|of| of.gateways.keys()) {
            if let Some((_, Hop::Receive)) = state.implicit_at(vrf, gateway, None) {
                return Err(Reason::InUse(format!("routes by gateway {gateway}")).at("addresses"));
            }
            if state.connected(vrf, gateway).is_none() {
                return Err(Reason::NoLongerConnected(gateway, "a route by this gateway").at("subnets"));
            }
        }
    }
    for vrf in [Some(before.vrf), now.map(|vif| vif.vrf)].into_iter().flatten() {
        bfd::check_ends(state, vrf).at("addresses")?;
    }
    for (_, vtep) in state.settings.vteps() {
        let ours = |vif: &Vif| vif.addresses.contains(&vtep) && state.settings.underlay == Some(vif.vrf);
        if ours(before) && !now.is_some_and(|vif| ours(vif)) {
            return Err(Reason::VtepInUse(vtep).at("addresses"));
        }
    }
    Ok(())
}

fn in_use(state: &State, vif: VifId) -> Option<String> {
    let of = state.of_vif.get(&vif)?;
    let others = [(of.labels, "labels"), (of.fdb_entries, "FDB entries")];
    let counts = [(of.routes, "routes"), (of.static_neighbours, "static neighbours")].into_iter().chain(others);
    counts.into_iter().find(|&(count, _)| count > 0).map(|(count, what)| format!("{count} {what}"))
}

fn neighbours(state: &State, vif: VifId) -> Vec<IpAddr> {
    // IPv4 is sorted before IPv6
    let all = (vif, Ipv4Addr::UNSPECIFIED.into())..=(vif, Ipv6Addr::from_bits(u128::MAX).into());
    state.neighbours.range(all).map(|(&(_, address), _)| address).collect()
}

/// Offers or withdraws what a VIF brings: its addresses, gateways and connected subnets. Neighbours bring their own.
fn set_implicit_routes(state: &mut State, vif: &Vif, there: bool) -> Result<(), Reason> {
    for &address in vif.addresses.iter().filter(|address| !read::is_link_local(Prefix::host(**address))) {
        let hop = match vif.kind {
            VifKind::Tenant => Hop::Vif { vif: vif.id, mac: None },
            VifKind::Fabric => Hop::Receive,
        };
        state.set_implicit(vif, Prefix::host(address), there.then_some(hop))?;
    }
    for gateway in vif.gateways() {
        state.set_implicit(vif, Prefix::host(gateway), there.then_some(Hop::Receive))?;
    }
    for &subnet in vif.subnets.iter().filter(|subnet| **subnet != Prefix::host(subnet.address)) {
        state.set_implicit(vif, subnet, there.then_some(Hop::Connected(vif.id)))?;
    }
    Ok(())
}
