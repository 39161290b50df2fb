//! Objects back into the contract's messages.

use std::net::IpAddr;

use super::bfd;
use super::change::{VIF_OWNER, place_of};
use super::quotas;
use super::records::{
    Acl, AddressMatch, Bridge, Encap, FdbEntry, Group, Hop, HopGroup, LabelTarget, Learnt, Neighbour, Path, Port,
    Prefix, Redirect, Rule, Settings, Vif, VniTarget, Vrf,
};
use super::routes::{Offer, Source};
use super::state::State;
use crate::api::v1;
use crate::ids::{BridgeId, Label, Mac, NextHopId, VifId, Vni, VrfId};
use crate::tables::{Carrier, HashFields, Model, RouterAdvertisement, TunnelHeaders, VifKind};
use v1::Kind;
use v1::object::Kind as Object;

/// The objects of one kind, or of all, in an order in which they can be written. Routes and, when `kind` is all, only routes are
/// narrowed to `vrf` unless it is empty.
pub(super) fn list(state: &State, kind: Kind, vrf: &str, idle: impl Fn(BridgeId, Mac) -> u32) -> Vec<v1::Object> {
    let wants = |one: Kind| kind == Kind::All || kind == one;
    let mut objects: Vec<Object> = Vec::new();
    if wants(Kind::Port) {
        objects.extend(state.ports.iter().flatten().map(|port| Object::Port(self::port(port))));
    }
    if wants(Kind::Group) {
        objects.extend(state.groups.values().map(|group| Object::Group(self::group(group))));
    }
    if wants(Kind::Acl) {
        objects.extend(state.acls.values().map(|acl| Object::Acl(self::acl(acl))));
    }
    if wants(Kind::Vrf) {
        objects.extend(state.vrfs.values().map(|vrf| Object::Vrf(self::vrf(vrf))));
    }
    if wants(Kind::Bridge) {
        objects.extend(state.bridges.values().map(|bridge| Object::Bridge(Box::new(self::bridge(state, bridge)))));
    }
    if wants(Kind::Vif) {
        objects.extend(state.vifs.values().map(|vif| Object::Vif(Box::new(self::vif(state, vif)))));
    }
    if wants(Kind::Settings) {
        objects.push(Object::Settings(Box::new(settings(state, &state.settings))));
    }
    if wants(Kind::Neighbour) {
        let one = |(&(vif, address), neighbour): (&(VifId, _), &Neighbour)| {
            Object::Neighbour(self::neighbour(state, vif, address, neighbour))
        };
        objects.extend(state.neighbours.iter().map(one));
    }
    if wants(Kind::NextHopGroup) {
        let groups = state.hop_groups.values();
        objects.extend(groups.map(|group| Object::NextHopGroup(hop_group(state, group))));
    }
    if wants(Kind::BfdSession) {
        objects.extend(state.bfd.values().map(|session| Object::BfdSession(Box::new(bfd::told(state, session)))));
    }
    if wants(Kind::FdbEntry) {
        for bridge in state.bridges.values() {
            let of = state.fdb.range((bridge.id, Mac::default())..=(bridge.id, Mac::BROADCAST));
            objects.extend(of.map(|(&(id, mac), entry)| Object::FdbEntry(fdb_entry(state, id, mac, entry))));
            let learnt = state.learnt.range((bridge.id, Mac::default())..=(bridge.id, Mac::BROADCAST));
            objects.extend(
                learnt.map(|(&(id, mac), at)| Object::FdbEntry(self::learnt(state, id, mac, at, idle(id, mac)))),
            );
        }
    }
    if wants(Kind::Vni) {
        objects.extend(state.vnis.iter().map(|(vni, target)| Object::Vni(self::vni(state, *vni, target))));
    }
    if wants(Kind::Label) {
        objects.extend(state.labels.iter().map(|(label, target)| Object::Label(self::label(state, *label, target))));
    }
    if wants(Kind::Route) {
        let vrfs = state.vrfs.values().filter(|of| vrf.is_empty() || *of.name == *vrf);
        objects.extend(vrfs.flat_map(|vrf| routes(state, vrf)));
    }
    objects.into_iter().map(|kind| told(state, kind)).collect()
}

/// An object with its owner.
pub(super) fn told(state: &State, kind: Object) -> v1::Object {
    let owner = state.owner_told(&kind);
    v1::Object { kind: Some(kind), owner }
}

/// A VRF's routes by family, prefix, and rank.
fn routes(state: &State, vrf: &Vrf) -> impl Iterator<Item = Object> {
    let table = state.routes.get(&vrf.id);
    let mut prefixes: Vec<_> = table.into_iter().flat_map(|table| table.iter()).collect();
    prefixes.sort_unstable_by_key(|&(prefix, _)| prefix);
    prefixes.into_iter().flat_map(move |(prefix, offers)| {
        let mut offers = offers.to_vec();
        offers.sort_by_key(|offer| state.rank(offer));
        // what several VIFs bring (a gateway that they share) is one route
        offers.dedup_by_key(|offer| if matches!(offer.source, Source::Vif(_)) { None } else { Some(offer.source) });
        offers.into_iter().map(move |offer| Object::Route(route(state, &vrf.name, prefix, &offer)))
    })
}

pub(super) fn route(state: &State, vrf: &str, prefix: Prefix, offer: &Offer) -> v1::Route {
    let owner = owner(state, offer.source);
    let (paths, group) = match state.hop(offer.next_hop) {
        Some((_, hop @ Hop::Paths(_))) => (paths(state, hop), String::new()),
        Some((_, hop)) => (Vec::new(), state.hop_group(hop).map(|group| group.name.to_string()).unwrap_or_default()),
        None => (Vec::new(), String::new()),
    };
    v1::Route {
        key: Some(v1::RouteKey { vrf: vrf.into(), prefix: Some(self::prefix(prefix)), owner }),
        preference: if matches!(offer.source, Source::Vif(_)) { u32::MAX } else { offer.preference },
        next_hop: state.hop(offer.next_hop).and_then(|(_, hop)| next_hop(state, hop)),
        paths,
        group,
    }
}

fn paths(state: &State, hop: Hop) -> Vec<v1::Path> {
    let ways = state.several(hop).unwrap_or_default();
    ways.iter().map(|path| self::path(state, path)).collect()
}

pub(super) fn hop_group(state: &State, group: &HopGroup) -> v1::NextHopGroup {
    let paths = paths(state, Hop::Paths(group.paths));
    let hash = match group.hash {
        HashFields::FiveTuple => v1::HashFields::Default,
        HashFields::Addresses => v1::HashFields::Addresses,
        HashFields::AddressesAndProtocol => v1::HashFields::AddressesAndProtocol,
    };
    v1::NextHopGroup { name: group.name.to_string(), vrf: state.vrf_name(group.vrf), paths, hash: hash.into() }
}

/// A name that was not given, which has spaces, is not listed either.
fn path(state: &State, path: &Path) -> v1::Path {
    let name = state.path_name(path);
    v1::Path {
        next_hop: state.hop(path.next_hop).and_then(|(_, hop)| next_hop(state, hop)),
        weight: path.weight,
        name: if name.contains(' ') { String::new() } else { name.to_string() },
        backup: path.backup,
    }
}

/// Who offers it.
pub(super) fn owner(state: &State, source: Source) -> String {
    match source {
        Source::Vif(_) => VIF_OWNER.into(),
        Source::Owner(owner) => state.owners.value(owner).map(|name| name.to_string()).unwrap_or_default(),
    }
}

/// Absent: one that only VIFs bring.
fn next_hop(state: &State, hop: Hop) -> Option<v1::NextHop> {
    use v1::next_hop::{Kind, ViaGateway, ViaVif};
    let kind = match hop {
        Hop::Drop => Kind::Drop(v1::next_hop::Drop {}),
        Hop::Vif { vif, mac } => Kind::Vif(ViaVif { vif: state.vif_name(vif), mac: self::mac(mac) }),
        Hop::Vrf(vrf) => Kind::Vrf(state.vrf_name(vrf)),
        Hop::Gateway(address) => Kind::Gateway(ViaGateway { address: self::address(address) }),
        Hop::Bridged(_) => return None,
        Hop::Tunnel { remote, encap } => Kind::Tunnel(v1::Tunnel {
            remote: self::address(remote),
            encap: Some(match encap {
                Encap::Vxlan { vni, inner_mac } => {
                    v1::tunnel::Encap::Vxlan(v1::tunnel::Vxlan { vni: vni.0, inner_mac: inner_mac.0.into() })
                }
                Encap::Geneve { vni, inner_mac } => {
                    v1::tunnel::Encap::Geneve(v1::tunnel::Geneve { vni: vni.0, inner_mac: inner_mac.0.into() })
                }
                Encap::MplsOverUdp { label } => {
                    v1::tunnel::Encap::MplsOverUdp(v1::tunnel::MplsOverUdp { label: label.0 })
                }
                Encap::MplsOverGre { label } => {
                    v1::tunnel::Encap::MplsOverGre(v1::tunnel::MplsOverGre { label: label.0 })
                }
                Encap::Frames { .. } => return None,
            }),
        }),
        Hop::Paths(_) | Hop::Named(_) | Hop::Receive | Hop::Connected(_) | Hop::Neighbour(..) => return None,
    };
    Some(v1::NextHop { kind: Some(kind) })
}

pub(super) fn settings(state: &State, settings: &Settings) -> v1::Settings {
    let [tcp_established, tcp_opening, tcp_closing, udp_unanswered, udp_answered, icmp] = settings.lifetimes;
    let lifetimes = v1::Lifetimes { tcp_established, tcp_opening, tcp_closing, udp_unanswered, udp_answered, icmp };
    v1::Settings {
        underlay_vrf: settings.underlay.map(|vrf| state.vrf_name(vrf)).unwrap_or_default(),
        vtep: settings.vtep.map(|vtep| vtep.octets().into()).unwrap_or_default(),
        vtep_v6: settings.vtep_v6.map(|vtep| vtep.octets().into()).unwrap_or_default(),
        router_mac: mac(settings.router_mac),
        gateway_mac: mac(settings.gateway_mac),
        tcp_strict: settings.tcp_strict,
        mss_clamp_off: settings.mss_clamp_off,
        fragmentation_off: settings.fragmentation_off,
        lifetimes: Some(lifetimes),
        icmp_per_second: settings.icmp_per_second,
        tunnel_headers: settings.headers.map(tunnel_headers),
        vif_quota: settings.vif_quota.map(quotas::quota_told),
        tenant_quotas: quotas::told_tenants(settings),
    }
}

fn tunnel_headers(headers: TunnelHeaders) -> v1::TunnelHeaders {
    let model = |model| match model {
        Model::Uniform => v1::HeaderModel::Uniform.into(),
        Model::Pipe => v1::HeaderModel::Pipe.into(),
    };
    v1::TunnelHeaders {
        dscp: model(headers.dscp),
        outer_dscp: headers.outer_dscp.into(),
        mpls_ttl: model(headers.mpls_ttl),
        mpls_tc: model(headers.mpls_tc),
        mpls_congestion_marked: headers.mpls_congestion_marked.unwrap_or(0).into(),
    }
}

pub(super) fn port(port: &Port) -> v1::Port {
    let info = &port.info;
    v1::Port {
        name: info.name.clone(),
        devargs: info.devargs.clone(),
        mac: info.mac.0.into(),
        mtu: info.mtu.into(),
        link_up: port.link_up,
        queues: info.queues.into(),
    }
}

pub(super) fn vrf(vrf: &Vrf) -> v1::Vrf {
    v1::Vrf {
        name: vrf.name.to_string(),
        tenant: vrf.tenant.clone(),
        flows_off: !vrf.flows,
        acl: name(&vrf.acl),
        proxy_by_default_route: vrf.proxy_by_default_route,
        allowed_vteps: vrf.allowed_vteps.iter().copied().map(address).collect(),
        tunnel_quota: vrf.tunnel_quota.map(quotas::quota_told),
        alarms: vrf.alarms.told(),
    }
}

pub(super) fn vif(state: &State, vif: &Vif) -> v1::Vif {
    v1::Vif {
        name: vif.name.to_string(),
        kind: match vif.kind {
            VifKind::Tenant => v1::VifKind::VifTenant,
            VifKind::Fabric => v1::VifKind::VifFabric,
        }
        .into(),
        port: state.port(vif.port).info.name.clone(),
        vrf: state.vrf_name(vif.vrf),
        mac: mac(vif.mac),
        addresses: vif.addresses.iter().copied().map(address).collect(),
        subnets: vif.subnets.iter().copied().map(prefix).collect(),
        gateway_v4: vif.gateway_v4.map(|gateway| gateway.octets().into()).unwrap_or_default(),
        gateway_v6: vif.gateway_v6.map(|gateway| gateway.octets().into()).unwrap_or_default(),
        gateway_link_local: vif.gateway_link_local.map(|gateway| gateway.octets().into()).unwrap_or_default(),
        mtu: vif.mtu.unwrap_or(0).into(),
        vlan: vif.vlan.map_or(0, |vlan| vlan.0.into()),
        inner_vlan: vif.inner_vlan.map_or(0, |vlan| vlan.0.into()),
        acl_from_vif: name(&vif.from_vif),
        acl_to_vif: name(&vif.to_vif),
        spoofing_allowed: vif.spoofing_allowed,
        service: vif.service,
        allowed_sources: vif.allowed_sources.iter().copied().map(prefix).collect(),
        exception_port: vif.exception.map(|port| state.port(port).info.name.clone()).unwrap_or_default(),
        router_advertisement: vif.advertise.as_deref().map(router_advertisement),
        bridge: vif.bridge.map(|bridge| state.bridge_name(bridge)).unwrap_or_default(),
        leaf: vif.leaf,
        quota: vif.quota.map(quotas::quota_told),
        alarms: vif.alarms.told(),
    }
}

fn router_advertisement(advertise: &RouterAdvertisement) -> v1::RouterAdvertisement {
    let prefixes = advertise.prefixes.iter().map(|one| v1::AdvertisedPrefix {
        prefix: Some(prefix(Prefix { address: one.address.into(), length: one.length })),
        off_link: !one.on_link,
        not_autonomous: !one.autonomous,
        valid_lifetime: one.valid_lifetime,
        preferred_lifetime: one.preferred_lifetime,
    });
    v1::RouterAdvertisement {
        managed: advertise.managed,
        other: advertise.other,
        prefixes: prefixes.collect(),
        lifetime: advertise.lifetime.map(u32::from),
        max_interval: advertise.max_interval.unwrap_or(0).into(),
    }
}

pub(super) fn neighbour(state: &State, vif: VifId, address: IpAddr, neighbour: &Neighbour) -> v1::Neighbour {
    v1::Neighbour {
        key: Some(v1::NeighbourKey { vif: state.vif_name(vif), address: self::address(address) }),
        mac: neighbour.mac.0.into(),
        learnt: neighbour.learnt,
        state: if neighbour.learnt { "reachable" } else { "static" }.into(),
    }
}

pub(super) fn bridge(state: &State, bridge: &Bridge) -> v1::Bridge {
    let vtep = |next_hop: &NextHopId| match state.hop(*next_hop) {
        Some((_, Hop::Tunnel { remote, encap: Encap::Frames { carrier, leaf } })) => {
            Some(frame_tunnel(remote, carrier, leaf))
        }
        _ => None,
    };
    v1::Bridge {
        name: bridge.name.to_string(),
        vrf: state.vrf_name(bridge.vrf),
        vteps: bridge.vteps.iter().filter_map(vtep).collect(),
        flood_unknown: bridge.flood_unknown,
        floods_per_second: bridge.floods_per_second,
        suppress_off: bridge.suppress_off,
        learning: bridge.learning,
        ageing: bridge.ageing,
        learn_limit: bridge.learn_limit,
        ip_only: bridge.ip_only,
    }
}

pub(super) fn fdb_entry(state: &State, bridge: BridgeId, mac: Mac, entry: &FdbEntry) -> v1::FdbEntry {
    use v1::fdb_entry::Target;
    let target = match state.hop(entry.next_hop).map(|(_, hop)| hop) {
        Some(Hop::Tunnel { remote, encap: Encap::Frames { carrier, leaf } }) => {
            Some(Target::Tunnel(frame_tunnel(remote, carrier, leaf)))
        }
        _ => entry.vif.map(|vif| Target::Vif(state.vif_name(vif))),
    };
    let addresses = entry.addresses.iter().copied().map(address).collect();
    let key = Some(fdb_key(state.bridge_name(bridge), mac));
    let (router, sticky) = (entry.router, entry.sticky);
    v1::FdbEntry { key, target, addresses, router, sticky, ..v1::FdbEntry::default() }
}

/// A station that was learnt; no frame came from it for so many seconds.
pub(super) fn learnt(state: &State, bridge: BridgeId, mac: Mac, learnt: &Learnt, idle_seconds: u32) -> v1::FdbEntry {
    use v1::fdb_entry::Target;
    let record = state.bridge_by_id.get(&bridge);
    let hop = record.and_then(|record| state.hop(place_of(state, record, learnt.at)?));
    let target = match hop {
        Some((_, Hop::Tunnel { remote, encap: Encap::Frames { carrier, leaf } })) => {
            Some(Target::Tunnel(frame_tunnel(remote, carrier, leaf)))
        }
        Some((_, Hop::Bridged(vif))) => Some(Target::Vif(state.vif_name(vif))),
        _ => None,
    };
    let key = Some(fdb_key(state.bridge_name(bridge), mac));
    v1::FdbEntry { key, target, learnt: true, pinned: learnt.pinned, idle_seconds, ..v1::FdbEntry::default() }
}

pub(super) fn fdb_key(bridge: String, mac: Mac) -> v1::FdbKey {
    v1::FdbKey { bridge, mac: mac.0.into() }
}

fn frame_tunnel(remote: IpAddr, carrier: Carrier, leaf: bool) -> v1::FrameTunnel {
    use v1::frame_tunnel::Encap;
    let encap = match carrier {
        Carrier::Vxlan(vni) => Encap::Vni(vni.0),
        Carrier::Geneve(vni) => Encap::Geneve(vni.0),
        Carrier::MplsOverUdp(label) => Encap::MplsOverUdp(label.0),
        Carrier::MplsOverGre(label) => Encap::MplsOverGre(label.0),
    };
    v1::FrameTunnel { remote: address(remote), encap: Some(encap), leaf }
}

pub(super) fn vni(state: &State, vni: Vni, target: &VniTarget) -> v1::Vni {
    let none = String::new;
    match *target {
        VniTarget::Vrf(vrf) => v1::Vni { vni: vni.0, vrf: state.vrf_name(vrf), bridge: none() },
        VniTarget::Bridge(bridge) => v1::Vni { vni: vni.0, vrf: none(), bridge: state.bridge_name(bridge) },
    }
}

pub(super) fn label(state: &State, label: Label, target: &LabelTarget) -> v1::MplsLabel {
    use v1::mpls_label::Target;
    let target = match *target {
        LabelTarget::Vrf(vrf) => Target::Vrf(vrf_name(state, vrf)),
        LabelTarget::Vif(vif, _) => Target::Vif(state.vif_name(vif)),
        LabelTarget::Bridge(bridge) => Target::Bridge(state.bridge_name(bridge)),
    };
    v1::MplsLabel { label: label.0, target: Some(target) }
}

fn vrf_name(state: &State, vrf: VrfId) -> String {
    state.vrf_name(vrf)
}

pub(super) fn group(group: &Group) -> v1::AddressGroup {
    v1::AddressGroup { name: group.name.to_string(), prefixes: group.prefixes.iter().copied().map(prefix).collect() }
}

pub(super) fn acl(acl: &Acl) -> v1::Acl {
    v1::Acl { name: acl.name.to_string(), rules: acl.rules.iter().map(|rule| self::rule(rule)).collect() }
}

fn rule(rule: &Rule) -> v1::Rule {
    let ports = |ranges: &[(u16, u16)]| {
        ranges.iter().map(|&(first, last)| v1::PortRange { first: first.into(), last: last.into() }).collect()
    };
    v1::Rule {
        name: rule.name.to_string(),
        permit: rule.permit,
        protocol: rule.protocol.map(u32::from),
        source: address_match(&rule.source),
        destination: address_match(&rule.destination),
        source_ports: ports(&rule.source_ports),
        destination_ports: ports(&rule.destination_ports),
        icmp_type: rule.icmp_type.map(u32::from),
        icmp_code: rule.icmp_code.map(u32::from),
        redirect: rule.redirect.as_ref().map(|to| v1::Redirect { to: Some(redirect(to)) }),
    }
}

fn redirect(to: &Redirect) -> v1::redirect::To {
    match to {
        Redirect::Vrf(name) => v1::redirect::To::Vrf(name.to_string()),
        Redirect::Vif(name) => v1::redirect::To::Vif(name.to_string()),
    }
}

fn address_match(side: &AddressMatch) -> Option<v1::AddressMatch> {
    use v1::address_match::By;
    let by = match side {
        AddressMatch::Any => return None,
        AddressMatch::Prefix(prefix) => By::Prefix(self::prefix(*prefix)),
        AddressMatch::Group(name) => By::Group(name.to_string()),
    };
    Some(v1::AddressMatch { by: Some(by) })
}

fn name(name: &Option<std::sync::Arc<str>>) -> String {
    name.as_deref().unwrap_or_default().into()
}

fn mac(mac: Option<Mac>) -> Vec<u8> {
    mac.map(|mac| mac.0.into()).unwrap_or_default()
}

pub(super) fn address(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    }
}

pub(super) fn prefix(prefix: Prefix) -> v1::Prefix {
    v1::Prefix { address: address(prefix.address), length: prefix.length.into() }
}
