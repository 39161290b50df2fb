//! VRFs, VIFs and routes of a project.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::{Label, Network, Route, Via, Vif, VifKind, Vni, Vrf};
use super::chains::{self, Joined};
use super::scope::{Member, Scope, VirtualNetwork};
use super::site::{Place, Site};
use super::wrong::{Refused, Wrong};
use crate::api::position::{At, Position};
use crate::api::text::Prefix;

/// Adds the VRFs of a project's networks, VIFs for interfaces that are here, and routes to those that are elsewhere.
///
/// # Errors
/// A network has no number for a tunnel.
pub fn add(scope: &Scope, site: &Site, joined: &Joined, made: &mut Network) -> Result<(), Refused> {
    for network in scope.networks.values() {
        let position = network.given.position;
        made.vrfs.push(At { value: vrf(scope, site, network), position });
        if let Some(vni) = network.given.vni {
            let vni = Vni { vni, vrf: Some(network.vrf.clone()), bridge: None, owner: None };
            made.vnis.push(At { value: vni, position });
        }
        if let Some(label) = network.given.label {
            let label = Label { label, vrf: Some(network.vrf.clone()), vif: None, bridge: None, owner: None };
            made.labels.push(At { value: label, position });
        }
    }
    for member in scope.members.values() {
        let network = &scope.networks[member.given.network.as_str()];
        match member.place {
            Place::Here { port, vlan } => {
                let vif = vif(scope, network, member, (port, vlan));
                made.vifs.push(At { value: vif, position: member.given.position });
            }
            Place::There(_) => add_tunnel(scope, site, (network, member), made)?,
            Place::Nowhere => {}
        }
    }
    for (pair, carrier) in joined {
        let other = if *carrier == pair.0 { pair.1 } else { pair.0 };
        let [carrier, other] = [carrier, other].map(|name| &scope.networks[name]);
        add_leak(carrier, other, made);
        add_leak(other, carrier, made);
        for member in scope.of_network(&other.given.name) {
            add_tunnel(scope, site, (carrier, member), made)?;
        }
    }
    Ok(())
}

fn vrf(scope: &Scope, site: &Site, network: &VirtualNetwork) -> Vrf {
    Vrf {
        name: network.vrf.clone(),
        tenant: Some(scope.tenant.clone()),
        flows: true,
        acl: Some(network.vrf.clone()),
        proxy_by_default_route: false,
        allowed_vteps: site.vteps(),
        tunnel_quota: None,
        alarms: Vec::new(),
        owner: None,
    }
}

fn vif(scope: &Scope, network: &VirtualNetwork, member: &Member, at: (Option<&str>, Option<u16>)) -> Vif {
    let (port, vlan) = at;
    let port = port.or(member.given.port.as_deref()).unwrap_or(&member.vif).to_owned();
    let gateways = || network.pools.iter().filter(|pool| member.addresses.iter().any(|one| pool.holds(*one)));
    let gateway_v4: Option<Ipv4Addr> = gateways().find_map(|pool| match pool.gateway {
        IpAddr::V4(gateway) => Some(gateway),
        IpAddr::V6(_) => None,
    });
    let gateway_v6: Option<Ipv6Addr> = gateways().find_map(|pool| match pool.gateway {
        IpAddr::V6(gateway) => Some(gateway),
        IpAddr::V4(_) => None,
    });
    let service = chains::service(scope, member);
    Vif {
        name: member.vif.clone(),
        kind: VifKind::Tenant,
        port,
        vrf: network.vrf.clone(),
        mac: Some(member.mac),
        addresses: member.addresses.clone(),
        subnets: Vec::new(),
        gateway_v4,
        gateway_v6,
        gateway_link_local: None,
        mtu: member.given.mtu,
        acl_from_vif: None,
        acl_to_vif: None,
        spoofing_allowed: false,
        service: service.is_some(),
        allowed_sources: service.unwrap_or_default(),
        vlan,
        inner_vlan: None,
        exception_port: None,
        router_advertisement: None,
        bridge: network.given.bridge.map(|_| network.vrf.clone()),
        leaf: false,
        quota: member.given.quota,
        alarms: Vec::new(),
        owner: None,
    }
}

/// Routes by tunnel to an interface that is elsewhere, in the VRF of the network that carries them.
fn add_tunnel(
    scope: &Scope,
    site: &Site,
    (carrier, member): (&VirtualNetwork, &Member),
    made: &mut Network,
) -> Result<(), Refused> {
    let Place::There(host) = member.place else { return Ok(()) };
    let via = site.tunnel(host, carrier).map_err(|(field, wrong): (&str, Wrong)| {
        scope.refused(carrier.given.position, format!("network {}: {field}", carrier.given.name), wrong)
    })?;
    let prefixes = member.addresses.iter().map(|address| Prefix::host(*address));
    made.routes.extend(prefixes.map(|prefix| route(carrier, prefix, via.clone(), member.given.position)));
    Ok(())
}

/// Routes of one network to another on this host.
fn add_leak(from: &VirtualNetwork, to: &VirtualNetwork, made: &mut Network) {
    let prefixes = to.pools.iter().map(|pool| pool.prefix);
    let via = Via { vrf: Some(to.vrf.clone()), ..Via::default() };
    made.routes.extend(prefixes.map(|prefix| route(from, prefix, via.clone(), from.given.position)));
}

fn route(of: &VirtualNetwork, prefix: Prefix, via: Via, position: Position) -> At<Route> {
    let route = Route { vrf: of.vrf.clone(), prefix, owner: None, preference: None, via, drop: false };
    At { value: route, position }
}
