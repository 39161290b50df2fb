//! From the contract back to the language, for what the daemon lists.

use super::acls::{Acl, Action, AddressMatch, Group, Redirect, Rule};
use super::bridges::{Bridge, FdbEntry, FrameVni, Vtep};
use super::objects::{
    AdvertisedPrefix, HeaderModel, Label, Lifetimes, MplsTunnel, Neighbour, Port, Route, RouterAdvertisement, Settings,
    TunnelHeaders, Via, Vif, VifKind, Vni, VniTunnel, Vrf,
};
use super::quotas;
use super::v1;
use crate::api::position::At;
use crate::api::text::{self, Ports, Prefix, Protocol, TextError};

type Result<T> = std::result::Result<T, TextError>;

impl TryFrom<&v1::Settings> for Settings {
    type Error = TextError;

    fn try_from(settings: &v1::Settings) -> Result<Settings> {
        Ok(Settings {
            underlay_vrf: name(&settings.underlay_vrf),
            vtep: given(&settings.vtep, text::ipv4)?,
            vtep_v6: given(&settings.vtep_v6, text::ipv6)?,
            router_mac: given(&settings.router_mac, text::mac)?,
            gateway_mac: given(&settings.gateway_mac, text::mac)?,
            tcp_strict: settings.tcp_strict,
            mss_clamp: !settings.mss_clamp_off,
            fragmentation: !settings.fragmentation_off,
            // none of them is what no word of them says
            lifetimes: settings.lifetimes.as_ref().map(Lifetimes::from).filter(|it| *it != Lifetimes::default()),
            icmp_per_second: number(settings.icmp_per_second),
            tunnel_headers: settings.tunnel_headers.as_ref().map(TunnelHeaders::try_from).transpose()?,
            vif_quota: settings.vif_quota.map(quotas::Quota::from),
            tenant_quotas: settings.tenant_quotas.iter().map(quotas::TenantQuota::from).collect(),
            owner: None,
        })
    }
}

impl TryFrom<&v1::TunnelHeaders> for TunnelHeaders {
    type Error = TextError;

    fn try_from(headers: &v1::TunnelHeaders) -> Result<TunnelHeaders> {
        let model = |model| match model {
            v1::HeaderModel::Default => None,
            v1::HeaderModel::Uniform => Some(HeaderModel::Uniform),
            v1::HeaderModel::Pipe => Some(HeaderModel::Pipe),
        };
        let small = |given, what| u8::try_from(given).map_err(|_| TextError::Number(given, what));
        let some = |given: u8| (given != 0).then_some(given);
        Ok(TunnelHeaders {
            dscp: model(headers.dscp()),
            outer_dscp: some(small(headers.outer_dscp, "DSCP")?),
            mpls_ttl: model(headers.mpls_ttl()),
            mpls_tc: model(headers.mpls_tc()),
            mpls_congestion_marked: some(small(headers.mpls_congestion_marked, "traffic class")?),
        })
    }
}

impl From<&v1::Lifetimes> for Lifetimes {
    fn from(lifetimes: &v1::Lifetimes) -> Lifetimes {
        Lifetimes {
            tcp_established: number(lifetimes.tcp_established),
            tcp_opening: number(lifetimes.tcp_opening),
            tcp_closing: number(lifetimes.tcp_closing),
            udp_unanswered: number(lifetimes.udp_unanswered),
            udp_answered: number(lifetimes.udp_answered),
            icmp: number(lifetimes.icmp),
        }
    }
}

impl TryFrom<&v1::Vrf> for Vrf {
    type Error = TextError;

    fn try_from(vrf: &v1::Vrf) -> Result<Vrf> {
        Ok(Vrf {
            name: vrf.name.clone(),
            tenant: name(&vrf.tenant),
            flows: !vrf.flows_off,
            acl: name(&vrf.acl),
            proxy_by_default_route: vrf.proxy_by_default_route,
            allowed_vteps: vrf.allowed_vteps.iter().map(|vtep| text::address(vtep)).collect::<Result<_>>()?,
            tunnel_quota: vrf.tunnel_quota.map(quotas::Quota::from),
            alarms: quotas::from_proto(&vrf.alarms),
            owner: None,
        })
    }
}

impl TryFrom<&v1::Vif> for Vif {
    type Error = TextError;

    fn try_from(vif: &v1::Vif) -> Result<Vif> {
        Ok(Vif {
            name: vif.name.clone(),
            kind: if vif.kind() == v1::VifKind::VifFabric { VifKind::Fabric } else { VifKind::Tenant },
            port: vif.port.clone(),
            vrf: vif.vrf.clone(),
            mac: given(&vif.mac, text::mac)?,
            addresses: vif.addresses.iter().map(|address| text::address(address)).collect::<Result<_>>()?,
            subnets: vif.subnets.iter().map(Prefix::try_from).collect::<Result<_>>()?,
            gateway_v4: given(&vif.gateway_v4, text::ipv4)?,
            gateway_v6: given(&vif.gateway_v6, text::ipv6)?,
            gateway_link_local: given(&vif.gateway_link_local, text::ipv6)?,
            mtu: number(vif.mtu).map(u16::try_from).transpose().map_err(|_| TextError::Number(vif.mtu, "MTU"))?,
            acl_from_vif: name(&vif.acl_from_vif),
            acl_to_vif: name(&vif.acl_to_vif),
            spoofing_allowed: vif.spoofing_allowed,
            service: vif.service,
            allowed_sources: vif.allowed_sources.iter().map(Prefix::try_from).collect::<Result<_>>()?,
            vlan: number(vif.vlan).map(u16::try_from).transpose().map_err(|_| TextError::Number(vif.vlan, "VLAN"))?,
            inner_vlan: number(vif.inner_vlan)
                .map(u16::try_from)
                .transpose()
                .map_err(|_| TextError::Number(vif.inner_vlan, "VLAN"))?,
            exception_port: name(&vif.exception_port),
            router_advertisement: vif.router_advertisement.as_ref().map(RouterAdvertisement::try_from).transpose()?,
            bridge: name(&vif.bridge),
            leaf: vif.leaf,
            quota: vif.quota.map(quotas::Quota::from),
            alarms: quotas::from_proto(&vif.alarms),
            owner: None,
        })
    }
}

impl TryFrom<&v1::RouterAdvertisement> for RouterAdvertisement {
    type Error = TextError;

    fn try_from(advertisement: &v1::RouterAdvertisement) -> Result<RouterAdvertisement> {
        let seconds = |value: u32| u16::try_from(value).map_err(|_| TextError::Number(value, "time in seconds"));
        let prefix = |one: &v1::AdvertisedPrefix| {
            Ok(AdvertisedPrefix {
                prefix: Prefix::try_from(&one.prefix.clone().unwrap_or_default())?,
                on_link: !one.off_link,
                autonomous: !one.not_autonomous,
                valid_lifetime: one.valid_lifetime,
                preferred_lifetime: one.preferred_lifetime,
            })
        };
        Ok(RouterAdvertisement {
            managed: advertisement.managed,
            other: advertisement.other,
            prefixes: advertisement.prefixes.iter().map(prefix).collect::<Result<_>>()?,
            lifetime: advertisement.lifetime.map(seconds).transpose()?,
            max_interval: number(advertisement.max_interval).map(seconds).transpose()?,
        })
    }
}

impl TryFrom<&v1::Route> for Route {
    type Error = TextError;

    fn try_from(route: &v1::Route) -> Result<Route> {
        let key = route.key.clone().unwrap_or_default();
        Ok(Route {
            vrf: key.vrf,
            prefix: Prefix::try_from(&key.prefix.unwrap_or_default())?,
            owner: name(&key.owner),
            preference: number(route.preference),
            via: Via {
                ecmp: route.paths.iter().map(Via::try_from).collect::<Result<_>>()?,
                group: name(&route.group),
                ..route.next_hop.as_ref().map(Via::try_from).transpose()?.unwrap_or_default()
            },
            drop: false,
        })
    }
}

impl TryFrom<&v1::Path> for Via {
    type Error = TextError;

    fn try_from(path: &v1::Path) -> Result<Via> {
        let via = path.next_hop.as_ref().map(Via::try_from).transpose()?.unwrap_or_default();
        Ok(Via { weight: number(path.weight), name: name(&path.name), backup: path.backup, ..via })
    }
}

impl TryFrom<&v1::NextHop> for Via {
    type Error = TextError;

    fn try_from(next_hop: &v1::NextHop) -> Result<Via> {
        use v1::next_hop::Kind;
        use v1::tunnel::Encap;
        let mut via = Via::default();
        match &next_hop.kind {
            None => {}
            Some(Kind::Vif(to)) => {
                via.vif = Some(to.vif.clone());
                via.mac = given(&to.mac, text::mac)?;
            }
            Some(Kind::Gateway(gateway)) => via.gateway = Some(text::address(&gateway.address)?),
            Some(Kind::Drop(_)) => via.drop = true,
            Some(Kind::Vrf(vrf)) => via.vrf = Some(vrf.clone()),
            Some(Kind::Tunnel(tunnel)) => {
                let remote = text::address(&tunnel.remote)?;
                match &tunnel.encap {
                    None => {}
                    Some(Encap::Vxlan(vxlan)) => {
                        via.vxlan = Some(VniTunnel { remote, vni: vxlan.vni, mac: text::mac(&vxlan.inner_mac)? });
                    }
                    Some(Encap::Geneve(geneve)) => {
                        via.geneve = Some(VniTunnel { remote, vni: geneve.vni, mac: text::mac(&geneve.inner_mac)? });
                    }
                    Some(Encap::MplsOverUdp(mpls)) => via.mpls_udp = Some(MplsTunnel { remote, label: mpls.label }),
                    Some(Encap::MplsOverGre(mpls)) => via.mpls_gre = Some(MplsTunnel { remote, label: mpls.label }),
                }
            }
        }
        Ok(via)
    }
}

impl TryFrom<&v1::Neighbour> for Neighbour {
    type Error = TextError;

    fn try_from(neighbour: &v1::Neighbour) -> Result<Neighbour> {
        let key = neighbour.key.clone().unwrap_or_default();
        Ok(Neighbour {
            vif: key.vif,
            address: text::address(&key.address)?,
            mac: given(&neighbour.mac, text::mac)?,
            learnt: neighbour.learnt,
            state: name(&neighbour.state),
            owner: None,
        })
    }
}

impl TryFrom<&v1::Bridge> for Bridge {
    type Error = TextError;

    fn try_from(bridge: &v1::Bridge) -> Result<Bridge> {
        Ok(Bridge {
            name: bridge.name.clone(),
            vrf: bridge.vrf.clone(),
            vteps: bridge.vteps.iter().map(Vtep::try_from).collect::<Result<_>>()?,
            flood_unknown: bridge.flood_unknown,
            floods_per_second: number(bridge.floods_per_second),
            suppress_off: bridge.suppress_off,
            learning: bridge.learning,
            ageing: number(bridge.ageing),
            learn_limit: number(bridge.learn_limit),
            ip_only: bridge.ip_only,
            owner: None,
        })
    }
}

impl TryFrom<&v1::FrameTunnel> for Vtep {
    type Error = TextError;

    fn try_from(tunnel: &v1::FrameTunnel) -> Result<Vtep> {
        use v1::frame_tunnel::Encap;
        let remote = text::address(&tunnel.remote)?;
        let mut vtep = Vtep { leaf: tunnel.leaf, ..Vtep::default() };
        match tunnel.encap {
            None => {}
            Some(Encap::Vni(vni)) => vtep.vxlan = Some(FrameVni { remote, vni }),
            Some(Encap::Geneve(vni)) => vtep.geneve = Some(FrameVni { remote, vni }),
            Some(Encap::MplsOverUdp(label)) => vtep.mpls_udp = Some(MplsTunnel { remote, label }),
            Some(Encap::MplsOverGre(label)) => vtep.mpls_gre = Some(MplsTunnel { remote, label }),
        }
        Ok(vtep)
    }
}

impl TryFrom<&v1::FdbEntry> for FdbEntry {
    type Error = TextError;

    fn try_from(entry: &v1::FdbEntry) -> Result<FdbEntry> {
        use v1::fdb_entry::Target;
        let key = entry.key.clone().unwrap_or_default();
        let (bridge, mac) = (key.bridge, text::mac(&key.mac)?);
        let (vif, tunnel) = match &entry.target {
            None => (None, None),
            Some(Target::Vif(vif)) => (Some(vif.clone()), None),
            Some(Target::Tunnel(tunnel)) => (None, Some(Vtep::try_from(tunnel)?)),
        };
        let Vtep { vxlan, geneve, mpls_udp, mpls_gre, leaf } = tunnel.unwrap_or_default();
        let addresses = entry.addresses.iter().map(|address| text::address(address)).collect::<Result<_>>()?;
        let idle_seconds = entry.learnt.then_some(entry.idle_seconds);
        Ok(FdbEntry {
            bridge,
            mac,
            vif,
            vxlan,
            geneve,
            mpls_udp,
            mpls_gre,
            addresses,
            router: entry.router,
            leaf,
            sticky: entry.sticky,
            learnt: entry.learnt,
            pinned: entry.pinned,
            idle_seconds,
            owner: None,
        })
    }
}

impl From<&v1::Vni> for Vni {
    fn from(vni: &v1::Vni) -> Vni {
        Vni { vni: vni.vni, vrf: name(&vni.vrf), bridge: name(&vni.bridge), owner: None }
    }
}

impl From<&v1::MplsLabel> for Label {
    fn from(label: &v1::MplsLabel) -> Label {
        use v1::mpls_label::Target;
        let (vrf, vif, bridge) = match &label.target {
            None => (None, None, None),
            Some(Target::Vrf(vrf)) => (Some(vrf.clone()), None, None),
            Some(Target::Vif(vif)) => (None, Some(vif.clone()), None),
            Some(Target::Bridge(bridge)) => (None, None, Some(bridge.clone())),
        };
        Label { label: label.label, vrf, vif, bridge, owner: None }
    }
}

impl TryFrom<&v1::AddressGroup> for Group {
    type Error = TextError;

    fn try_from(group: &v1::AddressGroup) -> Result<Group> {
        let prefixes = group.prefixes.iter().map(Prefix::try_from).collect::<Result<_>>()?;
        Ok(Group { name: group.name.clone(), prefixes, owner: None })
    }
}

impl TryFrom<&v1::Acl> for Acl {
    type Error = TextError;

    fn try_from(acl: &v1::Acl) -> Result<Acl> {
        Ok(Acl {
            name: acl.name.clone(),
            rules: acl.rules.iter().map(|rule| Rule::try_from(rule).map(At::nowhere)).collect::<Result<_>>()?,
            owner: None,
        })
    }
}

impl TryFrom<&v1::Rule> for Rule {
    type Error = TextError;

    fn try_from(rule: &v1::Rule) -> Result<Rule> {
        let byte = |number: Option<u32>, what| {
            number.map(|number| u8::try_from(number).map_err(|_| TextError::Number(number, what))).transpose()
        };
        Ok(Rule {
            name: name(&rule.name),
            action: if rule.permit { Action::Permit } else { Action::Deny },
            protocol: rule.protocol.map(Protocol::try_from).transpose()?,
            source: rule.source.as_ref().map(address_match).transpose()?.flatten(),
            destination: rule.destination.as_ref().map(address_match).transpose()?.flatten(),
            source_ports: rule.source_ports.iter().map(Ports::try_from).collect::<Result<_>>()?,
            destination_ports: rule.destination_ports.iter().map(Ports::try_from).collect::<Result<_>>()?,
            icmp_type: byte(rule.icmp_type, "ICMP type")?,
            icmp_code: byte(rule.icmp_code, "ICMP code")?,
            redirect: rule.redirect.as_ref().and_then(redirect),
        })
    }
}

/// Output fields included.
impl TryFrom<&v1::Port> for Port {
    type Error = TextError;

    fn try_from(port: &v1::Port) -> Result<Port> {
        Ok(Port {
            name: port.name.clone(),
            devargs: port.devargs.clone(),
            mac: given(&port.mac, text::mac)?,
            mtu: number(port.mtu),
            link_up: Some(port.link_up),
            queues: number(port.queues),
            owner: None,
        })
    }
}

fn redirect(to: &v1::Redirect) -> Option<Redirect> {
    use v1::redirect::To;
    Some(match to.to.as_ref()? {
        To::Vrf(vrf) => Redirect::Vrf(vrf.clone()),
        To::Vif(vif) => Redirect::Vif(vif.clone()),
    })
}

fn address_match(by: &v1::AddressMatch) -> Result<Option<AddressMatch>> {
    use v1::address_match::By;
    Ok(match &by.by {
        None => None,
        Some(By::Prefix(prefix)) => Some(AddressMatch::Prefix(prefix.try_into()?)),
        Some(By::Group(group)) => Some(AddressMatch::Group { group: group.clone() }),
    })
}

/// "" is absent.
fn name(name: &str) -> Option<String> {
    (!name.is_empty()).then(|| name.to_owned())
}

/// 0 is the default.
fn number(number: u32) -> Option<u32> {
    (number != 0).then_some(number)
}

/// No bytes are absent.
fn given<T>(bytes: &[u8], read: fn(&[u8]) -> Result<T>) -> Result<Option<T>> {
    if bytes.is_empty() { Ok(None) } else { read(bytes).map(Some) }
}
