//! From the language to the contract.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::acls::{Acl, Action, AddressMatch, Group, Redirect, Rule};
use super::bridges::{Bridge, FdbEntry, FrameVni, Vtep};
use super::objects::{
    HeaderModel, Label, Lifetimes, MplsTunnel, Neighbour, Port, Route, RouterAdvertisement, Settings, TunnelHeaders,
    Via, Vif, VifKind, Vni, VniTunnel, Vrf,
};
use super::{ToProto, quotas, v1};
use crate::api::text::address_bytes;
use crate::ids::Mac;
use v1::object::Kind;

type Wrong = (String, String);

impl ToProto for Settings {
    fn to_proto(&self) -> Result<Kind, Wrong> {
        Ok(Kind::Settings(Box::new(v1::Settings {
            underlay_vrf: self.underlay_vrf.clone().unwrap_or_default(),
            vtep: v4(self.vtep),
            vtep_v6: v6(self.vtep_v6),
            router_mac: mac(self.router_mac),
            gateway_mac: mac(self.gateway_mac),
            tcp_strict: self.tcp_strict,
            mss_clamp_off: !self.mss_clamp,
            fragmentation_off: !self.fragmentation,
            lifetimes: self.lifetimes.map(v1::Lifetimes::from),
            icmp_per_second: self.icmp_per_second.unwrap_or(0),
            tunnel_headers: self.tunnel_headers.map(v1::TunnelHeaders::from),
            vif_quota: self.vif_quota.map(v1::Quota::from),
            tenant_quotas: self.tenant_quotas.iter().map(v1::TenantQuota::from).collect(),
        })))
    }
}

impl From<TunnelHeaders> for v1::TunnelHeaders {
    fn from(headers: TunnelHeaders) -> v1::TunnelHeaders {
        let model = |model| match model {
            None => v1::HeaderModel::Default.into(),
            Some(HeaderModel::Uniform) => v1::HeaderModel::Uniform.into(),
            Some(HeaderModel::Pipe) => v1::HeaderModel::Pipe.into(),
        };
        v1::TunnelHeaders {
            dscp: model(headers.dscp),
            outer_dscp: headers.outer_dscp.unwrap_or(0).into(),
            mpls_ttl: model(headers.mpls_ttl),
            mpls_tc: model(headers.mpls_tc),
            mpls_congestion_marked: headers.mpls_congestion_marked.unwrap_or(0).into(),
        }
    }
}

impl From<Lifetimes> for v1::Lifetimes {
    fn from(lifetimes: Lifetimes) -> v1::Lifetimes {
        v1::Lifetimes {
            tcp_established: lifetimes.tcp_established.unwrap_or(0),
            tcp_opening: lifetimes.tcp_opening.unwrap_or(0),
            tcp_closing: lifetimes.tcp_closing.unwrap_or(0),
            udp_unanswered: lifetimes.udp_unanswered.unwrap_or(0),
            udp_answered: lifetimes.udp_answered.unwrap_or(0),
            icmp: lifetimes.icmp.unwrap_or(0),
        }
    }
}

impl ToProto for Port {
    fn to_proto(&self) -> Result<Kind, Wrong> {
        Ok(Kind::Port(v1::Port {
            name: self.name.clone(),
            devargs: self.devargs.clone(),
            mtu: self.mtu.unwrap_or(0),
            queues: self.queues.unwrap_or(0),
            ..v1::Port::default()
        }))
    }
}

impl ToProto for Vrf {
    fn to_proto(&self) -> Result<Kind, Wrong> {
        Ok(Kind::Vrf(v1::Vrf {
            name: self.name.clone(),
            tenant: self.tenant.clone().unwrap_or_default(),
            flows_off: !self.flows,
            acl: self.acl.clone().unwrap_or_default(),
            proxy_by_default_route: self.proxy_by_default_route,
            allowed_vteps: self.allowed_vteps.iter().copied().map(address_bytes).collect(),
            tunnel_quota: self.tunnel_quota.map(v1::Quota::from),
            alarms: quotas::to_proto(&self.alarms),
        }))
    }
}

impl ToProto for Vif {
    fn to_proto(&self) -> Result<Kind, Wrong> {
        let kind = match self.kind {
            VifKind::Tenant => v1::VifKind::VifTenant,
            VifKind::Fabric => v1::VifKind::VifFabric,
        };
        Ok(Kind::Vif(Box::new(v1::Vif {
            name: self.name.clone(),
            kind: kind.into(),
            port: self.port.clone(),
            vrf: self.vrf.clone(),
            mac: mac(self.mac),
            addresses: self.addresses.iter().copied().map(address_bytes).collect(),
            subnets: self.subnets.iter().copied().map(v1::Prefix::from).collect(),
            gateway_v4: v4(self.gateway_v4),
            gateway_v6: v6(self.gateway_v6),
            gateway_link_local: v6(self.gateway_link_local),
            mtu: self.mtu.unwrap_or(0).into(),
            acl_from_vif: self.acl_from_vif.clone().unwrap_or_default(),
            acl_to_vif: self.acl_to_vif.clone().unwrap_or_default(),
            spoofing_allowed: self.spoofing_allowed,
            service: self.service,
            allowed_sources: self.allowed_sources.iter().copied().map(v1::Prefix::from).collect(),
            vlan: self.vlan.unwrap_or(0).into(),
            inner_vlan: self.inner_vlan.unwrap_or(0).into(),
            exception_port: self.exception_port.clone().unwrap_or_default(),
            router_advertisement: self.router_advertisement.as_ref().map(v1::RouterAdvertisement::from),
            bridge: self.bridge.clone().unwrap_or_default(),
            leaf: self.leaf,
            quota: self.quota.map(v1::Quota::from),
            alarms: quotas::to_proto(&self.alarms),
        })))
    }
}

impl From<&RouterAdvertisement> for v1::RouterAdvertisement {
    fn from(advertisement: &RouterAdvertisement) -> v1::RouterAdvertisement {
        let prefixes = advertisement.prefixes.iter().map(|one| v1::AdvertisedPrefix {
            prefix: Some(one.prefix.into()),
            off_link: !one.on_link,
            not_autonomous: !one.autonomous,
            valid_lifetime: one.valid_lifetime,
            preferred_lifetime: one.preferred_lifetime,
        });
        v1::RouterAdvertisement {
            managed: advertisement.managed,
            other: advertisement.other,
            prefixes: prefixes.collect(),
            lifetime: advertisement.lifetime.map(u32::from),
            max_interval: advertisement.max_interval.unwrap_or(0).into(),
        }
    }
}

impl ToProto for Route {
    fn to_proto(&self) -> Result<Kind, Wrong> {
        let mut via = self.via.clone();
        if self.drop && via.drop {
            return Err(("drop".into(), "is given twice".into()));
        }
        via.drop |= self.drop;
        let key = v1::RouteKey {
            vrf: self.vrf.clone(),
            prefix: Some(self.prefix.into()),
            owner: self.owner.clone().unwrap_or_default(),
        };
        let preference = self.preference.unwrap_or(0);
        let route = v1::Route { key: Some(key), preference, ..v1::Route::default() };
        via.ways(route).map(Kind::Route).map_err(|(field, reason)| (format!("route {} {field}", self.prefix), reason))
    }
}

impl Via {
    /// The route with its next hop, paths or group, or the field that is wrong and why.
    fn ways(&self, route: v1::Route) -> Result<v1::Route, Wrong> {
        if let Some(group) = &self.group {
            return match *self == (Via { group: Some(group.clone()), ..Via::default() }) {
                true => Ok(v1::Route { group: group.clone(), ..route }),
                false => Err(("via.group".into(), "stands alone".into())),
            };
        }
        if self.ecmp.is_empty() {
            let given = [("weight", self.weight.is_some()), ("name", self.name.is_some()), ("backup", self.backup)];
            if let Some((field, _)) = given.into_iter().find(|(_, given)| *given) {
                return Err((format!("via.{field}"), "is only for a path of ecmp".into()));
            }
            return Ok(v1::Route { next_hop: Some(self.to_proto()?), ..route });
        }
        if *self != (Via { ecmp: self.ecmp.clone(), ..Via::default() }) {
            return Err(("via.ecmp".into(), "stands alone".into()));
        }
        Ok(v1::Route { paths: Via::paths("via.ecmp", &self.ecmp)?, ..route })
    }

    /// Several ways, or the field that is wrong and why.
    pub(super) fn paths(of: &str, all: &[Via]) -> Result<Vec<v1::Path>, Wrong> {
        let path = |(at, via): (usize, &Via)| {
            let wrong = |field: &str| format!("{of}[{at}]{}", field.trim_start_matches("via"));
            if !via.ecmp.is_empty() || via.group.is_some() {
                return Err((wrong(""), "is several itself".into()));
            }
            let next_hop = via.to_proto().map_err(|(field, reason)| (wrong(&field), reason))?;
            let name = via.name.clone().unwrap_or_default();
            Ok(v1::Path { next_hop: Some(next_hop), weight: via.weight.unwrap_or(0), name, backup: via.backup })
        };
        all.iter().enumerate().map(path).collect()
    }

    /// The next hop, or the field that is wrong and why.
    pub fn to_proto(&self) -> Result<v1::NextHop, (String, String)> {
        use v1::next_hop::{Drop, Kind, ViaGateway, ViaVif};
        use v1::tunnel::{Encap, Geneve, MplsOverGre, MplsOverUdp, Vxlan};
        let wrong = |field: &str, reason: &str| (format!("via{field}"), reason.to_owned());
        let tunnel = |remote, encap| Kind::Tunnel(v1::Tunnel { remote: address_bytes(remote), encap: Some(encap) });
        let mut kinds = Vec::new();
        if let Some(vif) = &self.vif {
            kinds.push(Kind::Vif(ViaVif { vif: vif.clone(), mac: mac(self.mac) }));
        } else if self.mac.is_some() {
            return Err(wrong(".mac", "is only for vif"));
        }
        if let Some(vrf) = &self.vrf {
            kinds.push(Kind::Vrf(vrf.clone()));
        }
        if let Some(gateway) = self.gateway {
            kinds.push(Kind::Gateway(ViaGateway { address: address_bytes(gateway) }));
        }
        if let Some(vxlan) = &self.vxlan {
            let vni = vxlan.vni().map_err(|reason| wrong(".vxlan.vni", reason))?;
            kinds.push(tunnel(vxlan.remote, Encap::Vxlan(Vxlan { vni, inner_mac: vxlan.mac.0.to_vec() })));
        }
        if let Some(geneve) = &self.geneve {
            let vni = geneve.vni().map_err(|reason| wrong(".geneve.vni", reason))?;
            kinds.push(tunnel(geneve.remote, Encap::Geneve(Geneve { vni, inner_mac: geneve.mac.0.to_vec() })));
        }
        if let Some(mpls) = &self.mpls_udp {
            let label = mpls.label().map_err(|reason| wrong(".mpls_udp.label", reason))?;
            kinds.push(tunnel(mpls.remote, Encap::MplsOverUdp(MplsOverUdp { label })));
        }
        if let Some(mpls) = &self.mpls_gre {
            let label = mpls.label().map_err(|reason| wrong(".mpls_gre.label", reason))?;
            kinds.push(tunnel(mpls.remote, Encap::MplsOverGre(MplsOverGre { label })));
        }
        if self.drop {
            kinds.push(Kind::Drop(Drop {}));
        }
        match <[Kind; 1]>::try_from(kinds) {
            Ok([kind]) => Ok(v1::NextHop { kind: Some(kind) }),
            Err(_) => Err(wrong("", "needs exactly one of vif, vrf, gateway, vxlan, geneve, mpls_udp, mpls_gre, drop")),
        }
    }
}

impl VniTunnel {
    fn vni(&self) -> Result<u32, &'static str> {
        if self.vni < 1 << 24 { Ok(self.vni) } else { Err("is beyond 16777215") }
    }
}

impl MplsTunnel {
    fn label(&self) -> Result<u32, &'static str> {
        if (16..1 << 20).contains(&self.label) { Ok(self.label) } else { Err("is not in 16 to 1048575") }
    }
}

impl ToProto for Neighbour {
    fn to_proto(&self) -> Result<Kind, Wrong> {
        let key = v1::NeighbourKey { vif: self.vif.clone(), address: address_bytes(self.address) };
        Ok(Kind::Neighbour(v1::Neighbour {
            key: Some(key),
            mac: mac(self.mac),
            learnt: self.learnt,
            state: self.state.clone().unwrap_or_default(),
        }))
    }
}

impl ToProto for Bridge {
    fn to_proto(&self) -> Result<Kind, Wrong> {
        let vtep = |(at, vtep): (usize, &Vtep)| {
            vtep.to_proto().map_err(|(field, reason)| (format!("bridge {} vteps[{at}]{field}", self.name), reason))
        };
        Ok(Kind::Bridge(Box::new(v1::Bridge {
            name: self.name.clone(),
            vrf: self.vrf.clone(),
            vteps: self.vteps.iter().enumerate().map(vtep).collect::<Result<_, _>>()?,
            flood_unknown: self.flood_unknown,
            floods_per_second: self.floods_per_second.unwrap_or(0),
            suppress_off: self.suppress_off,
            learning: self.learning,
            ageing: self.ageing.unwrap_or(0),
            learn_limit: self.learn_limit.unwrap_or(0),
            ip_only: self.ip_only,
        })))
    }
}

impl Vtep {
    /// Exactly one tunnel, or the field that is wrong and why.
    fn to_proto(&self) -> Result<v1::FrameTunnel, Wrong> {
        match <[v1::FrameTunnel; 1]>::try_from(self.given()?) {
            Ok([tunnel]) => Ok(tunnel),
            Err(_) => Err((String::new(), "needs exactly one of vxlan, geneve, mpls_udp, mpls_gre".into())),
        }
    }

    /// All tunnels that are given.
    fn given(&self) -> Result<Vec<v1::FrameTunnel>, Wrong> {
        use v1::frame_tunnel::Encap;
        let wrong = |field: &str, reason: &str| (field.to_owned(), reason.to_owned());
        let tunnel =
            |remote, encap| v1::FrameTunnel { remote: address_bytes(remote), encap: Some(encap), leaf: self.leaf };
        let mut tunnels = Vec::new();
        let [vxlan, geneve] = [(&self.vxlan, ".vxlan.vni"), (&self.geneve, ".geneve.vni")];
        for ((given, field), encap) in [(vxlan, Encap::Vni as fn(u32) -> Encap), (geneve, Encap::Geneve)] {
            let Some(FrameVni { remote, vni }) = *given else { continue };
            if vni >= 1 << 24 {
                return Err(wrong(field, "is beyond 16777215"));
            }
            tunnels.push(tunnel(remote, encap(vni)));
        }
        if let Some(mpls) = &self.mpls_udp {
            let label = mpls.label().map_err(|reason| wrong(".mpls_udp.label", reason))?;
            tunnels.push(tunnel(mpls.remote, Encap::MplsOverUdp(label)));
        }
        if let Some(mpls) = &self.mpls_gre {
            let label = mpls.label().map_err(|reason| wrong(".mpls_gre.label", reason))?;
            tunnels.push(tunnel(mpls.remote, Encap::MplsOverGre(label)));
        }
        Ok(tunnels)
    }
}

impl ToProto for FdbEntry {
    fn to_proto(&self) -> Result<Kind, Wrong> {
        use v1::fdb_entry::Target;
        let wrong = |field: &str, reason: String| (format!("fdb {} {}{field}", self.bridge, self.mac), reason);
        let FdbEntry { vxlan, geneve, mpls_udp, mpls_gre, leaf, .. } = self.clone();
        if leaf && self.vif.is_some() {
            return Err(wrong(" leaf", "a station at a VIF is a leaf if its VIF is".into()));
        }
        let given = Vtep { vxlan, geneve, mpls_udp, mpls_gre, leaf }
            .given()
            .map_err(|(field, reason)| wrong(&field, reason))?;
        let mut targets: Vec<Target> = self.vif.iter().cloned().map(Target::Vif).collect();
        targets.extend(given.into_iter().map(Target::Tunnel));
        let key = v1::FdbKey { bridge: self.bridge.clone(), mac: self.mac.0.to_vec() };
        match <[Target; 1]>::try_from(targets) {
            Ok([target]) => {
                let addresses = self.addresses.iter().map(|address| address_bytes(*address)).collect();
                Ok(Kind::FdbEntry(v1::FdbEntry {
                    key: Some(key),
                    target: Some(target),
                    addresses,
                    router: self.router,
                    sticky: self.sticky,
                    learnt: self.learnt,
                    pinned: self.pinned,
                    idle_seconds: self.idle_seconds.unwrap_or(0),
                }))
            }
            Err(_) => Err(wrong("", "needs exactly one of vif, vxlan, geneve, mpls_udp, mpls_gre".into())),
        }
    }
}

impl ToProto for Vni {
    fn to_proto(&self) -> Result<Kind, Wrong> {
        if self.vni >= 1 << 24 {
            return Err((format!("vni {}", self.vni), "is beyond 16777215".into()));
        }
        if self.vrf.is_some() == self.bridge.is_some() {
            return Err((format!("vni {}", self.vni), "needs exactly one of vrf, bridge".into()));
        }
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        Ok(Kind::Vni(v1::Vni { vni: self.vni, vrf: name(&self.vrf), bridge: name(&self.bridge) }))
    }
}

impl ToProto for Label {
    fn to_proto(&self) -> Result<Kind, Wrong> {
        use v1::mpls_label::Target;
        let wrong = |reason: &str| Err((format!("label {}", self.label), reason.to_owned()));
        let target = match (&self.vrf, &self.vif, &self.bridge) {
            (Some(vrf), None, None) => Target::Vrf(vrf.clone()),
            (None, Some(vif), None) => Target::Vif(vif.clone()),
            (None, None, Some(bridge)) => Target::Bridge(bridge.clone()),
            _ => return wrong("needs exactly one of vrf, vif, bridge"),
        };
        if !(16..1 << 20).contains(&self.label) {
            return wrong("is not in 16 to 1048575");
        }
        Ok(Kind::Label(v1::MplsLabel { label: self.label, target: Some(target) }))
    }
}

impl ToProto for Group {
    fn to_proto(&self) -> Result<Kind, Wrong> {
        let prefixes = self.prefixes.iter().copied().map(v1::Prefix::from).collect();
        Ok(Kind::Group(v1::AddressGroup { name: self.name.clone(), prefixes }))
    }
}

impl ToProto for Acl {
    fn to_proto(&self) -> Result<Kind, Wrong> {
        let rules = self.rules.iter().map(|rule| v1::Rule::from(&rule.value)).collect();
        Ok(Kind::Acl(v1::Acl { name: self.name.clone(), rules }))
    }
}

impl From<&Rule> for v1::Rule {
    fn from(rule: &Rule) -> v1::Rule {
        v1::Rule {
            name: rule.name.clone().unwrap_or_default(),
            permit: rule.action == Action::Permit,
            protocol: rule.protocol.map(|protocol| protocol.0.into()),
            source: rule.source.as_ref().map(v1::AddressMatch::from),
            destination: rule.destination.as_ref().map(v1::AddressMatch::from),
            source_ports: rule.source_ports.iter().copied().map(v1::PortRange::from).collect(),
            destination_ports: rule.destination_ports.iter().copied().map(v1::PortRange::from).collect(),
            icmp_type: rule.icmp_type.map(u32::from),
            icmp_code: rule.icmp_code.map(u32::from),
            redirect: rule.redirect.as_ref().map(v1::Redirect::from),
        }
    }
}

impl From<&Redirect> for v1::Redirect {
    fn from(to: &Redirect) -> v1::Redirect {
        use v1::redirect::To;
        let to = match to {
            Redirect::Vrf(vrf) => To::Vrf(vrf.clone()),
            Redirect::Vif(vif) => To::Vif(vif.clone()),
        };
        v1::Redirect { to: Some(to) }
    }
}

impl From<&AddressMatch> for v1::AddressMatch {
    fn from(by: &AddressMatch) -> v1::AddressMatch {
        use v1::address_match::By;
        let by = match by {
            AddressMatch::Prefix(prefix) => By::Prefix((*prefix).into()),
            AddressMatch::Group { group } => By::Group(group.clone()),
        };
        v1::AddressMatch { by: Some(by) }
    }
}

fn mac(mac: Option<Mac>) -> Vec<u8> {
    mac.map(|mac| mac.0.to_vec()).unwrap_or_default()
}

fn v4(address: Option<Ipv4Addr>) -> Vec<u8> {
    address.map(|address| address.octets().to_vec()).unwrap_or_default()
}

fn v6(address: Option<Ipv6Addr>) -> Vec<u8> {
    address.map(|address| address.octets().to_vec()).unwrap_or_default()
}
