//! Bridges of networks that are L2 too.

use std::collections::BTreeMap;

use super::super::{Bridge, FdbEntry, FrameVni, Label, MplsTunnel, Network, Vni, Vtep};
use super::scope::{Scope, VirtualNetwork};
use super::sections::{Encap, FrameNumbers, Host};
use super::site::Place;
use super::wrong::{Refused, Wrong};
use crate::api::position::At;

/// Adds the bridges of a project, with the stations that are on other hosts; those that are here are VIFs.
///
/// # Errors
/// A bridge has no number for a tunnel.
pub fn add(scope: &Scope, made: &mut Network) -> Result<(), Refused> {
    for (&name, network) in &scope.networks {
        let Some(numbers) = network.given.bridge else { continue };
        let position = network.given.position;
        let mut vteps: BTreeMap<&str, Vtep> = BTreeMap::new();
        for member in scope.of_network(name) {
            let Place::There(host) = member.place else { continue };
            let vtep = tunnel(host, network, numbers)
                .map_err(|(field, wrong)| scope.refused(position, format!("network {name}: bridge.{field}"), wrong))?;
            made.fdb.push(At {
                value: FdbEntry {
                    bridge: network.vrf.clone(),
                    mac: member.mac,
                    vif: None,
                    vxlan: vtep.vxlan.clone(),
                    geneve: vtep.geneve.clone(),
                    mpls_udp: vtep.mpls_udp.clone(),
                    mpls_gre: vtep.mpls_gre.clone(),
                    addresses: member.addresses.clone(),
                    router: false,
                    leaf: false,
                    sticky: false,
                    learnt: false,
                    pinned: false,
                    idle_seconds: None,
                    owner: None,
                },
                position: member.given.position,
            });
            vteps.insert(&host.name, vtep);
        }
        if let Some(vni) = numbers.vni {
            let vni = Vni { vni, vrf: None, bridge: Some(network.vrf.clone()), owner: None };
            made.vnis.push(At { value: vni, position });
        }
        if let Some(label) = numbers.label {
            let label = Label { label, vrf: None, vif: None, bridge: Some(network.vrf.clone()), owner: None };
            made.labels.push(At { value: label, position });
        }
        made.bridges.push(At { value: bridge(network, vteps.into_values().collect()), position });
    }
    Ok(())
}

fn bridge(network: &VirtualNetwork, vteps: Vec<Vtep>) -> Bridge {
    Bridge {
        name: network.vrf.clone(),
        vrf: network.vrf.clone(),
        vteps,
        flood_unknown: false,
        floods_per_second: None,
        suppress_off: false,
        learning: false,
        ageing: None,
        learn_limit: None,
        ip_only: true,
        owner: None,
    }
}

/// The way of frames to a host.
fn tunnel(host: &Host, network: &VirtualNetwork, numbers: FrameNumbers) -> Result<Vtep, (&'static str, Wrong)> {
    let needs = || Wrong::NoFrameNumber { host: host.name.clone(), network: network.given.name.clone() };
    let vni = || Some(FrameVni { remote: host.vtep, vni: numbers.vni? });
    let label = || Some(MplsTunnel { remote: host.vtep, label: numbers.label? });
    let by_vni = || vni().ok_or_else(|| ("vni", needs()));
    let by_label = || label().ok_or_else(|| ("label", needs()));
    Ok(match host.encap {
        Encap::Vxlan => Vtep { vxlan: Some(by_vni()?), ..Vtep::default() },
        Encap::Geneve => Vtep { geneve: Some(by_vni()?), ..Vtep::default() },
        Encap::MplsUdp => Vtep { mpls_udp: Some(by_label()?), ..Vtep::default() },
        Encap::MplsGre => Vtep { mpls_gre: Some(by_label()?), ..Vtep::default() },
    })
}
