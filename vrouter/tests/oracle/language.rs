//! The network language, read by structures of its own. A field that is not known here is an error, so that nothing is passed over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Deserialize;

use super::acl::GivenAcl;
use super::bfd;
use super::config::{Arrival, Config, Encap, Kind, Lifetimes, Path, Route, Settings, Vif, Vrf, Which, is_link_local};
use super::given_bridge::{self, GivenBridge, GivenStation};
use super::headers::Mac;
use super::quotas::Quota;
pub use super::texts::{address, mac, prefix, v4};
use super::texts::{optional, v6};
use super::{given_hop_groups, given_router};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Network {
    settings: Option<GivenSettings>,
    vrfs: Vec<GivenVrf>,
    vifs: Vec<GivenVif>,
    next_hop_groups: Vec<given_hop_groups::HopGroup>,
    bfd_sessions: Vec<bfd::GivenSession>,
    routes: Vec<GivenRoute>,
    neighbours: Vec<GivenNeighbour>,
    bridges: Vec<GivenBridge>,
    fdb: Vec<GivenStation>,
    vnis: Vec<GivenVni>,
    labels: Vec<GivenLabel>,
    groups: Vec<GivenGroup>,
    acls: Vec<GivenAcl>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct GivenSettings {
    underlay_vrf: Option<String>,
    vtep: Option<String>,
    vtep_v6: Option<String>,
    router_mac: Option<String>,
    gateway_mac: Option<String>,
    tcp_strict: bool,
    mss_clamp: Option<bool>,
    fragmentation: Option<bool>,
    lifetimes: Option<GivenLifetimes>,
    icmp_per_second: Option<u32>,
    tunnel_headers: Option<GivenHeaders>,
    vif_quota: GivenQuota,
    tenant_quotas: Vec<GivenTenant>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct GivenQuota {
    flows: u64,
    new_flows_per_second: u64,
    punts_per_second: u64,
    fragments_per_second: u64,
}

impl GivenQuota {
    fn read(&self) -> Quota {
        [self.new_flows_per_second, self.fragments_per_second, self.punts_per_second, self.flows]
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenTenant {
    tenant: String,
    quota: GivenQuota,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct GivenHeaders {
    dscp: Option<String>,
    outer_dscp: u8,
    mpls_ttl: Option<String>,
    mpls_tc: Option<String>,
    mpls_congestion_marked: u8,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct GivenLifetimes {
    tcp_established: u64,
    tcp_opening: u64,
    tcp_closing: u64,
    udp_unanswered: u64,
    udp_answered: u64,
    icmp: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenVrf {
    name: String,
    #[serde(default)]
    tenant: Option<String>,
    #[serde(default = "yes")]
    flows: bool,
    #[serde(default)]
    acl: Option<String>,
    #[serde(default)]
    proxy_by_default_route: bool,
    #[serde(default)]
    allowed_vteps: Vec<String>,
    #[serde(default)]
    tunnel_quota: GivenQuota,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenVif {
    name: String,
    #[serde(default)]
    kind: Option<String>,
    port: String,
    vrf: String,
    #[serde(default)]
    mac: Option<String>,
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    subnets: Vec<String>,
    #[serde(default)]
    vlan: Option<u16>,
    #[serde(default)]
    inner_vlan: Option<u16>,
    #[serde(default)]
    exception_port: Option<String>,
    #[serde(default)]
    gateway_v4: Option<String>,
    #[serde(default)]
    gateway_v6: Option<String>,
    #[serde(default)]
    gateway_link_local: Option<String>,
    #[serde(default)]
    mtu: Option<u16>,
    #[serde(default)]
    acl_from_vif: Option<String>,
    #[serde(default)]
    acl_to_vif: Option<String>,
    #[serde(default)]
    spoofing_allowed: bool,
    #[serde(default)]
    service: bool,
    #[serde(default)]
    allowed_sources: Vec<String>,
    #[serde(default)]
    bridge: Option<String>,
    #[serde(default)]
    leaf: bool,
    #[serde(default)]
    router_advertisement: Option<given_router::Advertisement>,
    #[serde(default)]
    quota: GivenQuota,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenRoute {
    vrf: String,
    prefix: String,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    preference: Option<u32>,
    #[serde(default)]
    via: Via,
    #[serde(default)]
    drop: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Via {
    vif: Option<String>,
    mac: Option<String>,
    gateway: Option<String>,
    vrf: Option<String>,
    vxlan: Option<GivenNetwork>,
    geneve: Option<GivenNetwork>,
    mpls_udp: Option<GivenMpls>,
    mpls_gre: Option<GivenMpls>,
    drop: bool,
    ecmp: Vec<Via>,
    group: Option<String>,
    weight: Option<u32>,
    name: Option<String>,
    backup: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenNetwork {
    remote: String,
    vni: u32,
    mac: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenMpls {
    pub remote: String,
    pub label: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenNeighbour {
    vif: String,
    address: String,
    mac: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenVni {
    vni: u32,
    #[serde(default)]
    vrf: Option<String>,
    #[serde(default)]
    bridge: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenLabel {
    label: u32,
    #[serde(default)]
    vrf: Option<String>,
    #[serde(default)]
    vif: Option<String>,
    #[serde(default)]
    bridge: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenGroup {
    name: String,
    #[serde(default)]
    prefixes: Vec<String>,
}

/// Puts what the text holds.
pub fn apply(config: &mut Config, ports: &[super::Port], text: &str) -> Result<(), String> {
    let network: Network = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    for group in network.groups {
        config.groups.insert(group.name, list(&group.prefixes, prefix)?);
    }
    for acl in network.acls {
        let (name, acl) = acl.read()?;
        config.acls.insert(name, acl);
    }
    for given in network.vrfs {
        put_vrf(config, given)?;
    }
    for given in network.bridges {
        given_bridge::put(config, given)?;
    }
    for given in network.vifs {
        put_vif(config, ports, given)?;
    }
    if let Some(given) = network.settings {
        config.settings = settings(config, given)?;
    }
    for given in network.neighbours {
        let vif = config.vif_named(&given.vif)?.id;
        config
            .neighbours
            .insert((vif, address(&given.address)?), super::config::Neighbour { mac: mac(&given.mac)?, learnt: false });
    }
    for given in network.bfd_sessions {
        bfd::put(config, given)?;
    }
    for given in network.next_hop_groups {
        given_hop_groups::put(config, given)?;
    }
    for given in network.routes {
        put_route(config, given)?;
    }
    for given in network.fdb {
        let (key, station) = given_bridge::station(config, given)?;
        config.fdb.insert(key, station);
    }
    for given in network.vnis {
        let target = match (given.vrf, given.bridge) {
            (Some(vrf), None) => (config.vrf_named(&vrf)?.id, None),
            (None, Some(bridge)) => {
                let bridge = config.bridge_named(&bridge)?;
                (bridge.vrf, Some(bridge.id))
            }
            _ => return Err(format!("vni {}: neither VRF nor bridge, or both", given.vni)),
        };
        config.vnis.insert(given.vni, target);
    }
    for given in network.labels {
        let arrival = match (given.vrf, given.vif, given.bridge) {
            (Some(vrf), None, None) => Arrival::Vrf(config.vrf_named(&vrf)?.id),
            (None, Some(vif), None) => Arrival::Vif(config.vif_named(&vif)?.id),
            (None, None, Some(bridge)) => Arrival::Bridge(config.bridge_named(&bridge)?.id),
            _ => return Err(format!("label {}: neither VRF nor VIF, or both", given.label)),
        };
        config.labels.insert(given.label, arrival);
    }
    Ok(())
}

fn put_vrf(config: &mut Config, given: GivenVrf) -> Result<(), String> {
    let id = config.vrf_named(&given.name).map(|old| old.id);
    let id = id.unwrap_or_else(|_| config.number());
    let allowed_vteps = list(&given.allowed_vteps, address)?;
    let vrf = Vrf {
        id,
        name: given.name,
        flows: given.flows,
        acl: given.acl.filter(|name| !name.is_empty()),
        proxy_by_default_route: given.proxy_by_default_route,
        allowed_vteps,
        tenant: given.tenant.unwrap_or_default(),
        tunnel_quota: given.tunnel_quota.read(),
    };
    config.vrfs.insert(id, vrf);
    Ok(())
}

fn put_vif(config: &mut Config, ports: &[super::Port], given: GivenVif) -> Result<(), String> {
    let numbered = |name: &str| ports.iter().position(|port| port.name == name).ok_or(format!("no port {name}"));
    let port = numbered(&given.port)?;
    let exception = given.exception_port.filter(|name| !name.is_empty());
    let kind = match given.kind.as_deref() {
        None | Some("tenant") => Kind::Tenant,
        Some("fabric") => Kind::Fabric,
        Some(other) => return Err(format!("kind {other}")),
    };
    let gateway_v6 = optional(&given.gateway_v6, v6)?;
    let link_local = optional(&given.gateway_link_local, v6)?;
    let vrf = config.vrf_named(&given.vrf)?.id;
    let old = config.vif_named(&given.name).ok().cloned();
    let id = old.as_ref().map_or_else(|| config.number(), |old| old.id);
    let row = old.as_ref().map_or_else(|| config.free_row(), |old| old.row);
    let mac = optional(&given.mac, mac)?.unwrap_or(ports[port].mac);
    let mut addresses = list(&given.addresses, address)?;
    if kind == Kind::Fabric && addresses.iter().any(IpAddr::is_ipv6) && !addresses.iter().any(|a| is_link_local(*a)) {
        addresses.push(IpAddr::V6(link_local_of(mac)));
    }
    let bridge = optional(&given.bridge, |name| config.bridge_named(name).map(|bridge| bridge.id))?;
    let vif = Vif {
        id,
        row,
        name: given.name,
        kind,
        port: match (kind, given.vlan) {
            (Kind::Tenant, Some(outer)) => super::branches::own(port, outer, given.inner_vlan.unwrap_or(0)),
            _ => port,
        },
        vrf,
        bridge,
        leaf: given.leaf,
        mac,
        addresses,
        subnets: list(&given.subnets, prefix)?,
        vlan: given.vlan.filter(|vlan| *vlan != 0 && kind == Kind::Fabric),
        exception: exception.map(|name| numbered(&name)).transpose()?,
        gateway_v4: optional(&given.gateway_v4, v4)?,
        gateway_v6,
        gateway_link_local: link_local.or(gateway_v6.map(|_| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1))),
        mtu: given.mtu.filter(|mtu| *mtu != 0).unwrap_or(ports[port].mtu),
        acl_from_vif: given.acl_from_vif.filter(|name| !name.is_empty()),
        acl_to_vif: given.acl_to_vif.filter(|name| !name.is_empty()),
        spoofing_allowed: given.spoofing_allowed,
        service: given.service,
        allowed_sources: list(&given.allowed_sources, prefix)?,
        advertisement: given.router_advertisement.map(given_router::read).transpose()?,
        // there are none of the fabric
        quota: if kind == Kind::Tenant { given.quota.read() } else { [0; 4] },
    };
    // what was learnt does not outlive its subnet, nor the address becoming ours
    config.neighbours.retain(|(of, address), neighbour| {
        let stays = old.as_ref().is_some_and(|old| old.vrf == vif.vrf)
            && vif.connects(*address)
            && !vif.addresses.contains(address);
        *of != id || !neighbour.learnt || stays
    });
    config.vifs.insert(id, vif);
    Ok(())
}

/// With the modified EUI-64 of this MAC (RFC 4291, appendix A).
fn link_local_of([a, b, c, d, e, f]: Mac) -> Ipv6Addr {
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

fn settings(config: &Config, given: GivenSettings) -> Result<Settings, String> {
    let underlay = match &given.underlay_vrf {
        Some(name) if !name.is_empty() => Some(config.vrf_named(name)?.id),
        _ => None,
    };
    let vtep = optional(&given.vtep, v4)?;
    let vtep_v6 = optional(&given.vtep_v6, v6)?;
    let low = vtep_v6.map_or(0, |vtep| vtep.to_bits() as u32);
    let [a, b, c, d] = vtep.map_or(low, Ipv4Addr::to_bits).to_be_bytes();
    let lifetimes = given.lifetimes.unwrap_or_default();
    let or = |seconds: u64, default: u64| if seconds == 0 { default } else { seconds };
    let _ = given.icmp_per_second;
    let headers = given.tunnel_headers.unwrap_or_default();
    let uniform = |model: &Option<String>, default: bool| match model.as_deref() {
        None => Ok(default),
        Some("uniform") => Ok(true),
        Some("pipe") => Ok(false),
        Some(other) => Err(format!("model {other}")),
    };
    let headers = super::config::Headers {
        dscp: uniform(&headers.dscp, true)?,
        outer_dscp: headers.outer_dscp,
        mpls_ttl: uniform(&headers.mpls_ttl, false)?,
        mpls_tc: uniform(&headers.mpls_tc, false)?,
        congestion: headers.mpls_congestion_marked,
    };
    Ok(Settings {
        underlay,
        vtep,
        vtep_v6,
        router_mac: optional(&given.router_mac, mac)?.unwrap_or([2, a, b, c, d, 1]),
        gateway_mac: optional(&given.gateway_mac, mac)?.unwrap_or([0, 0, 0x5e, 0, 1, 0]),
        tcp_strict: given.tcp_strict,
        mss_clamp: given.mss_clamp != Some(false),
        fragmentation: given.fragmentation != Some(false),
        headers,
        lifetimes: Lifetimes {
            tcp_established: or(lifetimes.tcp_established, 7200),
            tcp_opening: or(lifetimes.tcp_opening, 30),
            tcp_closing: or(lifetimes.tcp_closing, 15),
            udp_unanswered: or(lifetimes.udp_unanswered, 30),
            udp_answered: or(lifetimes.udp_answered, 180),
            icmp: or(lifetimes.icmp, 30),
        },
        vif_quota: given.vif_quota.read(),
        tenant_quotas: given.tenant_quotas.iter().map(|one| (one.tenant.clone(), one.quota.read())).collect(),
    })
}

fn put_route(config: &mut Config, given: GivenRoute) -> Result<(), String> {
    let vrf = config.vrf_named(&given.vrf)?.id;
    let mut via = given.via;
    via.drop |= given.drop;
    let which = if let Some(group) = via.group.take() {
        Which::Group(config.hop_group_named(&group)?)
    } else if via.ecmp.is_empty() {
        next_hop(config, via)?
    } else {
        let paths = via.ecmp.into_iter().map(|via| way(config, via)).collect::<Result<_, _>>()?;
        let number = config.number();
        config.paths.insert(number, paths);
        Which::Paths(number)
    };
    let owner = given.owner.filter(|owner| !owner.is_empty()).unwrap_or("operator".into());
    let preference = given.preference.filter(|preference| *preference != 0).unwrap_or(100);
    config.routes.insert((vrf, prefix(&given.prefix)?, owner), Route { preference, which });
    Ok(())
}

/// One of several ways; without a name it is named by what it is.
pub fn way(config: &Config, mut via: Via) -> Result<Path, String> {
    let (name, _, backup) = (via.name.take(), via.weight.take(), via.backup);
    let which = next_hop(config, via)?;
    Ok(Path { name: name.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("{which:?}")), which, backup })
}

fn next_hop(config: &Config, via: Via) -> Result<Which, String> {
    let to_mac = optional(&via.mac, mac)?;
    let mut ways = Vec::new();
    if let Some(vif) = via.vif {
        ways.push(Which::Vif { vif: config.vif_named(&vif)?.id, mac: to_mac });
    }
    if let Some(vrf) = via.vrf {
        ways.push(Which::Vrf(config.vrf_named(&vrf)?.id));
    }
    if let Some(gateway) = via.gateway {
        ways.push(Which::Gateway(address(&gateway)?));
    }
    if let Some(vxlan) = via.vxlan {
        let encap = Encap::Vxlan { vni: vxlan.vni, mac: mac(&vxlan.mac)? };
        ways.push(Which::Tunnel { remote: address(&vxlan.remote)?, encap });
    }
    if let Some(geneve) = via.geneve {
        let encap = Encap::Geneve { vni: geneve.vni, mac: mac(&geneve.mac)? };
        ways.push(Which::Tunnel { remote: address(&geneve.remote)?, encap });
    }
    if let Some(mpls) = via.mpls_udp {
        ways.push(Which::Tunnel { remote: address(&mpls.remote)?, encap: Encap::MplsOverUdp { label: mpls.label } });
    }
    if let Some(mpls) = via.mpls_gre {
        ways.push(Which::Tunnel { remote: address(&mpls.remote)?, encap: Encap::MplsOverGre { label: mpls.label } });
    }
    if via.drop {
        ways.push(Which::Drop);
    }
    if let [which] = ways[..] { Ok(which) } else { Err("a route has one next hop, or several as ecmp".into()) }
}

pub(super) fn list<T>(texts: &[String], read: fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    texts.iter().map(|text| read(text)).collect()
}
