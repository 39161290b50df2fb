//! What was configured, and what a search from end to end finds in it.
//!
//! VIFs and VRFs have numbers that are never given twice: what is deleted and made again is another.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::acl::Acl;
use super::bfd::Session;
use super::headers::{Mac, Reason, Tuple};
use super::learning::Learnt;
use super::quotas::Quota;
pub use super::which::{Encap, Which};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    pub address: IpAddr,
    pub length: u8,
}

impl Prefix {
    pub fn host(address: IpAddr) -> Prefix {
        Prefix { address, length: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// Compares bit by bit.
    pub fn holds(&self, address: IpAddr) -> bool {
        let octets = |address: IpAddr| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let (ours, theirs) = (octets(self.address), octets(address));
        let bit = |octets: &[u8], at: usize| octets[at / 8] >> (7 - at % 8) & 1;
        ours.len() == theirs.len() && (0..usize::from(self.length)).all(|at| bit(&ours, at) == bit(&theirs, at))
    }
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub underlay: Option<u32>,
    pub vtep: Option<Ipv4Addr>,
    pub vtep_v6: Option<Ipv6Addr>,
    pub router_mac: Mac,
    pub gateway_mac: Mac,
    pub tcp_strict: bool,
    pub mss_clamp: bool,
    pub fragmentation: bool,
    pub lifetimes: Lifetimes,
    pub headers: Headers,
    /// Of tenant VIFs that have none of their own, and of tenants.
    pub vif_quota: Quota,
    pub tenant_quotas: BTreeMap<String, Quota>,
}

impl Settings {
    /// Our end of tunnels to this remote.
    pub fn vtep_towards(&self, remote: IpAddr) -> Option<IpAddr> {
        match remote {
            IpAddr::V4(_) => self.vtep.map(IpAddr::V4),
            IpAddr::V6(_) => self.vtep_v6.map(IpAddr::V6),
        }
    }
}

/// How outer and inner headers follow each other: true is the uniform model.
#[derive(Clone, Copy, Debug)]
pub struct Headers {
    pub dscp: bool,
    pub outer_dscp: u8,
    pub mpls_ttl: bool,
    pub mpls_tc: bool,
    /// The traffic class that means "congestion marked"; 0: none.
    pub congestion: u8,
}

/// In seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    pub tcp_established: u64,
    pub tcp_opening: u64,
    pub tcp_closing: u64,
    pub udp_unanswered: u64,
    pub udp_answered: u64,
    pub icmp: u64,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Lifetimes {
            tcp_established: 7200,
            tcp_opening: 30,
            tcp_closing: 15,
            udp_unanswered: 30,
            udp_answered: 180,
            icmp: 30,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Vrf {
    pub id: u32,
    pub name: String,
    pub flows: bool,
    pub acl: Option<String>,
    pub proxy_by_default_route: bool,
    pub allowed_vteps: Vec<IpAddr>,
    pub tenant: String,
    pub tunnel_quota: Quota,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tenant,
    Fabric,
}

#[derive(Clone, Debug)]
pub struct Vif {
    pub id: u32,
    /// Of counts that outlive it: the first one that no other VIF has.
    pub row: u32,
    pub name: String,
    pub kind: Kind,
    pub port: usize,
    pub vrf: u32,
    /// The bridge that it is a port of.
    pub bridge: Option<u32>,
    /// Of its E-tree.
    pub leaf: bool,
    pub mac: Mac,
    pub addresses: Vec<IpAddr>,
    pub subnets: Vec<Prefix>,
    /// The VLAN whose tag all frames carry (IEEE 802.1Q).
    pub vlan: Option<u16>,
    /// The port of the host's kernel, which has what is sent to our addresses.
    pub exception: Option<usize>,
    pub gateway_v4: Option<Ipv4Addr>,
    pub gateway_v6: Option<Ipv6Addr>,
    pub gateway_link_local: Option<Ipv6Addr>,
    /// We are a router of its link.
    pub advertisement: Option<Advertisement>,
    pub mtu: u16,
    pub acl_from_vif: Option<String>,
    pub acl_to_vif: Option<String>,
    pub spoofing_allowed: bool,
    pub allowed_sources: Vec<Prefix>,
    /// Flows pass by what is behind it.
    pub service: bool,
    pub quota: Quota,
}

/// What a router says of itself and of its link (RFC 4861, section 6.2.1); times in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Advertisement {
    pub managed: bool,
    pub other: bool,
    pub prefixes: Vec<Advertised>,
    pub lifetime: u16,
    pub max_interval: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Advertised {
    pub address: Ipv6Addr,
    pub length: u8,
    pub on_link: bool,
    pub autonomous: bool,
    pub valid: u32,
    pub preferred: u32,
}

impl Vif {
    /// Whether a connected subnet holds the address.
    pub fn connects(&self, address: IpAddr) -> bool {
        self.subnets.iter().any(|subnet| subnet.holds(address))
    }

    /// Whether the address is ours on its link: a gateway of the tenant, an address of the fabric VIF.
    pub fn is_ours(&self, address: IpAddr) -> bool {
        match address {
            _ if self.kind == Kind::Fabric => self.addresses.contains(&address),
            IpAddr::V4(address) => self.gateway_v4 == Some(address),
            IpAddr::V6(address) => [self.gateway_v6, self.gateway_link_local].contains(&Some(address)),
        }
    }

    /// Whether the tenant may send from this address.
    pub fn may_use(&self, address: IpAddr) -> bool {
        self.kind == Kind::Fabric
            || self.spoofing_allowed
            || is_link_local(address)
            || self.addresses.contains(&address)
            || self.allowed_sources.iter().any(|prefix| prefix.holds(address))
    }
}

/// One of several ways. Its weight is the product's business: any share is a choice that is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    pub name: String,
    pub which: Which,
    /// Used while no other is up.
    pub backup: bool,
}

/// What flows have in common that are given the same way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashFields {
    #[default]
    FiveTuple,
    Addresses,
    AddressesAndProtocol,
}

/// Ways that routes share.
#[derive(Clone, Debug)]
pub struct HopGroup {
    pub name: String,
    pub vrf: u32,
    /// Their number among [`Config::paths`], which each statement of the group gets anew.
    pub paths: u32,
    pub hash: HashFields,
}

#[derive(Clone, Debug)]
pub struct Route {
    pub preference: u32,
    pub which: Which,
}

/// In place of the VRF of a next hop that went out of use.
pub const GONE: u32 = u32::MAX;

/// A route's next hop, and the VRF that the route is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    pub vrf: u32,
    pub which: Which,
}

#[derive(Clone, Copy, Debug)]
pub struct Neighbour {
    pub mac: Mac,
    pub learnt: bool,
}

/// Where packets of a label go.
#[derive(Clone, Copy, Debug)]
pub enum Arrival {
    Vrf(u32),
    Vif(u32),
    /// Frames.
    Bridge(u32),
}

/// An L2 network.
#[derive(Clone, Debug)]
pub struct Bridge {
    pub id: u32,
    pub name: String,
    pub vrf: u32,
    /// Tunnels to who else has stations.
    pub vteps: Vec<Which>,
    pub flood_unknown: bool,
    /// Nobody is answered for.
    pub suppress_off: bool,
    /// Stations are learnt.
    pub learning: bool,
    /// And forgotten when they are silent for so many milliseconds.
    pub ageing: u64,
    /// Other frames are not its.
    pub ip_only: bool,
}

/// What a controller says of a station.
#[derive(Clone, Debug)]
pub struct Station {
    pub which: Which,
    pub addresses: Vec<IpAddr>,
    pub router: bool,
    /// Nobody else may send as it.
    pub sticky: bool,
}

#[derive(Clone)]
pub struct Config {
    pub settings: Settings,
    pub vrfs: BTreeMap<u32, Vrf>,
    pub vifs: BTreeMap<u32, Vif>,
    /// By VRF, prefix and owner.
    pub routes: BTreeMap<(u32, Prefix, String), Route>,
    /// The ways of routes that have several, by a number that each statement of a route gets anew.
    pub paths: BTreeMap<u32, Vec<Path>>,
    pub hop_groups: BTreeMap<u32, HopGroup>,
    pub bfd: BTreeMap<String, Session>,
    pub neighbours: BTreeMap<(u32, IpAddr), Neighbour>,
    pub bridges: BTreeMap<u32, Bridge>,
    /// By bridge and MAC.
    pub fdb: BTreeMap<(u32, Mac), Station>,
    /// By bridge and MAC.
    pub learnt: BTreeMap<(u32, Mac), Learnt>,
    /// VRFs, and bridges if there are frames.
    pub vnis: BTreeMap<u32, (u32, Option<u32>)>,
    pub labels: BTreeMap<u32, Arrival>,
    pub groups: BTreeMap<String, Vec<Prefix>>,
    pub acls: BTreeMap<String, Acl>,
    /// When the ageing of a bridge was set last.
    pub ageing_since: u64,
    numbers: u32,
}

impl Config {
    /// Nothing configured.
    pub fn new() -> Config {
        let settings = Settings {
            underlay: None,
            vtep: None,
            vtep_v6: None,
            router_mac: [2, 0, 0, 0, 0, 1],
            gateway_mac: [0, 0, 0x5e, 0, 1, 0],
            tcp_strict: false,
            mss_clamp: true,
            fragmentation: true,
            lifetimes: Lifetimes::default(),
            headers: Headers { dscp: true, outer_dscp: 0, mpls_ttl: false, mpls_tc: false, congestion: 0 },
            vif_quota: [0; 4],
            tenant_quotas: BTreeMap::new(),
        };
        Config {
            settings,
            vrfs: BTreeMap::new(),
            vifs: BTreeMap::new(),
            routes: BTreeMap::new(),
            paths: BTreeMap::new(),
            hop_groups: BTreeMap::new(),
            bfd: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            bridges: BTreeMap::new(),
            fdb: BTreeMap::new(),
            learnt: BTreeMap::new(),
            vnis: BTreeMap::new(),
            labels: BTreeMap::new(),
            groups: BTreeMap::new(),
            acls: BTreeMap::new(),
            ageing_since: 0,
            numbers: 0,
        }
    }

    /// The first row that no VIF has.
    pub fn free_row(&self) -> u32 {
        (0..).find(|row| self.vifs.values().all(|vif| vif.row != *row)).expect("a row")
    }

    /// A number that nothing had before.
    pub fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    pub fn vrf_named(&self, name: &str) -> Result<&Vrf, String> {
        self.vrfs.values().find(|vrf| vrf.name == name).ok_or(format!("no VRF {name}"))
    }

    pub fn vif_named(&self, name: &str) -> Result<&Vif, String> {
        self.vifs.values().find(|vif| vif.name == name).ok_or(format!("no VIF {name}"))
    }

    pub fn hop_group_named(&self, name: &str) -> Result<u32, String> {
        let named = |(_, group): &(&u32, &HopGroup)| group.name == name;
        self.hop_groups.iter().find(named).map(|(id, _)| *id).ok_or(format!("no next-hop group {name}"))
    }

    /// Whether these ways are of a next-hop group.
    pub fn are_shared(&self, paths: u32) -> bool {
        self.hop_groups.values().any(|group| group.paths == paths)
    }

    /// A tuple without what these ways' group does not look at; `None`: it looks at all of it.
    pub fn common(&self, paths: u32, tuple: Tuple) -> Option<Tuple> {
        let hash = self.hop_groups.values().find(|group| group.paths == paths)?.hash;
        let bare = Tuple { later: false, source_port: 0, destination_port: 0, ..tuple };
        match hash {
            HashFields::FiveTuple => None,
            HashFields::AddressesAndProtocol => Some(bare),
            HashFields::Addresses => Some(Tuple { protocol: 0, ..bare }),
        }
    }

    /// The ways that a route says, itself or by a group's name.
    fn said(&self, which: Which) -> Which {
        match which {
            Which::Group(id) => Which::Paths(self.hop_groups[&id].paths),
            which => which,
        }
    }

    pub fn bridge_named(&self, name: &str) -> Result<&Bridge, String> {
        self.bridges.values().find(|bridge| bridge.name == name).ok_or(format!("no bridge {name}"))
    }

    /// The next hop to a station: a VIF by its own MAC, before what was said of that.
    pub fn station(&self, bridge: u32, mac: Mac) -> Option<Hop> {
        let vrf = self.bridges[&bridge].vrf;
        let vif = self.vifs.values().find(|vif| vif.bridge == Some(bridge) && vif.mac == mac);
        let own = vif.map(|vif| Which::Bridged(vif.id));
        let given = own.or_else(|| self.fdb.get(&(bridge, mac)).map(|station| station.which));
        let learnt = || self.place(bridge, self.learnt.get(&(bridge, mac))?.at);
        let which = given.or_else(learnt)?;
        Some(Hop { vrf, which })
    }

    /// Who has an address of a bridge, and whether it is a router: of VIFs and of entries that say so the one with the lowest MAC, VIFs first.
    pub fn who_has(&self, bridge: u32, address: IpAddr) -> Option<(Mac, bool)> {
        if self.bridges[&bridge].suppress_off {
            return None;
        }
        let vifs = self.vifs.values().filter(|vif| vif.bridge == Some(bridge) && vif.addresses.contains(&address));
        let entries =
            self.fdb.iter().filter(|((of, _), station)| *of == bridge && station.addresses.contains(&address));
        let entry = || entries.map(|((_, mac), station)| (*mac, station.router)).min();
        vifs.map(|vif| (vif.mac, false)).min().or_else(entry)
    }

    /// Whether who is there is a leaf.
    pub fn is_leaf(&self, which: Which) -> bool {
        match which {
            Which::Bridged(vif) => self.vifs[&vif].leaf,
            which => which.leads_to_leaf(),
        }
    }

    pub fn vif_of_port(&self, port: usize) -> Option<&Vif> {
        self.vifs.values().find(|vif| vif.port == port)
    }

    pub fn vif_name(&self, vif: Option<u32>) -> String {
        vif.and_then(|vif| self.vifs.get(&vif)).map(|vif| vif.name.clone()).unwrap_or_default()
    }

    /// The MAC that we have on a VIF's link.
    pub fn our_mac(&self, vif: &Vif) -> Mac {
        if vif.kind == Kind::Tenant { self.settings.gateway_mac } else { vif.mac }
    }

    /// What the VIFs of a VRF bring; the first of a prefix wins.
    fn brought(&self, vrf: u32) -> Vec<(Prefix, Which)> {
        let mut routes = Vec::new();
        for vif in self.vifs.values().filter(|vif| vif.vrf == vrf) {
            // link-local addresses are never routed
            for &address in vif.addresses.iter().filter(|address| !is_link_local(**address)) {
                let tenant = Which::Vif { vif: vif.id, mac: None };
                routes.push((Prefix::host(address), if vif.kind == Kind::Tenant { tenant } else { Which::Receive }));
            }
            let v6 = [vif.gateway_v6, vif.gateway_link_local].into_iter().flatten().map(IpAddr::V6);
            for gateway in vif.gateway_v4.map(IpAddr::V4).into_iter().chain(v6) {
                routes.push((Prefix::host(gateway), Which::Receive));
            }
            let connected = vif.subnets.iter().filter(|subnet| **subnet != Prefix::host(subnet.address));
            routes.extend(connected.map(|&subnet| (subnet, Which::Connected(vif.id))));
        }
        // an address of ours before a neighbour that claims it
        for &(vif, address) in self.neighbours.keys() {
            if self.vifs.get(&vif).is_some_and(|vif| vif.vrf == vrf) {
                routes.push((Prefix::host(address), Which::Neighbour(vif, address)));
            }
        }
        routes
    }

    /// The longest matching route: its length and next hop. What VIFs bring wins, then the highest preference, then the owner's name.
    pub fn route(&self, vrf: u32, destination: IpAddr) -> Option<(u8, Hop)> {
        self.route_shorter_than(u8::MAX, vrf, destination)
    }

    /// The same among prefixes that are shorter.
    pub fn route_shorter_than(&self, length: u8, vrf: u32, destination: IpAddr) -> Option<(u8, Hop)> {
        let brought = self.brought(vrf);
        let given = || self.routes.iter().filter(|((of, ..), _)| *of == vrf);
        let prefixes = brought.iter().map(|(prefix, _)| *prefix).chain(given().map(|((_, prefix, _), _)| *prefix));
        let holding = prefixes.filter(|prefix| prefix.length < length && prefix.holds(destination));
        let longest = holding.max_by_key(|prefix| prefix.length)?;
        let hop = |which| Some((longest.length, Hop { vrf, which }));
        if let Some((_, which)) = brought.iter().find(|(prefix, _)| *prefix == longest) {
            return hop(*which);
        }
        let mut offers: Vec<_> = given().filter(|((_, prefix, _), _)| *prefix == longest).collect();
        offers.sort_by_key(|((_, _, owner), route)| (u32::MAX - route.preference, owner.clone()));
        hop(self.said(offers.first()?.1.which))
    }

    /// Follows routes into other VRFs: the length of the first route, the next hop (several, perhaps), and the VRFs passed.
    pub fn resolve(&self, vrf: u32, destination: IpAddr) -> Result<(u8, Hop, Vec<u32>), Reason> {
        let (first, mut hop) = self.route(vrf, destination).ok_or("no_route")?;
        let mut passed = vec![vrf];
        while let Which::Vrf(next) = hop.which {
            if passed.len() == 8 {
                return Err("vrf_depth");
            }
            passed.push(next);
            (_, hop) = self.route(next, destination).ok_or("no_route")?;
        }
        Ok((first, hop, passed))
    }

    /// The fabric VIF of a VRF with the longest connected subnet that holds the address.
    pub fn connected(&self, vrf: u32, address: IpAddr) -> Option<&Vif> {
        let vifs = self.vifs.values().filter(|vif| vif.vrf == vrf);
        let subnets = vifs.flat_map(|vif| vif.subnets.iter().map(move |subnet| (subnet, vif)));
        let mut holding: Vec<_> = subnets.filter(|(subnet, _)| subnet.holds(address)).collect();
        holding.sort_by_key(|(subnet, _)| subnet.length);
        holding.last().map(|(_, vif)| *vif)
    }

    /// Whether some object still leads by this next hop.
    pub fn is_in_use(&self, hop: Hop) -> bool {
        let by_label = |arrival: &Arrival| match (arrival, hop.which) {
            (Arrival::Vif(vif), Which::Vif { vif: to, mac: None }) => *vif == to && self.vifs[vif].vrf == hop.vrf,
            _ => false,
        };
        let leads = |which: Which| match which {
            Which::Paths(number) => self.paths[&number].iter().any(|way| way.which == hop.which),
            which => which == hop.which,
        };
        let station = |vrf: u32, which: Which| vrf == hop.vrf && which == hop.which;
        self.bridges.values().any(|bridge| bridge.vteps.iter().any(|which| station(bridge.vrf, *which)))
            || self.fdb.iter().any(|((bridge, _), at)| station(self.bridges[bridge].vrf, at.which))
            || self.vifs.values().any(|vif| vif.bridge.is_some() && station(vif.vrf, Which::Bridged(vif.id)))
            || self.routes.iter().any(|((vrf, ..), route)| *vrf == hop.vrf && leads(self.said(route.which)))
            || self.hop_groups.values().any(|group| group.vrf == hop.vrf && leads(Which::Paths(group.paths)))
            || self.vifs.values().any(|vif| vif.service && station(vif.vrf, Which::Vif { vif: vif.id, mac: None }))
            || self.brought(hop.vrf).iter().any(|(_, which)| *which == hop.which)
            || self.labels.values().any(by_label)
    }

    /// Whether a route or a group has a way of this name.
    pub fn has_name(&self, name: &str) -> bool {
        let named =
            |which| matches!(which, Which::Paths(number) if self.paths[&number].iter().any(|way| way.name == name));
        let groups = self.hop_groups.values().map(|group| Which::Paths(group.paths));
        self.routes.values().map(|route| route.which).chain(groups).any(named)
    }

    /// Whether this is a backup of some route.
    pub fn is_backup(&self, name: &str, which: Which) -> bool {
        self.paths.values().flatten().any(|way| way.backup && way.name == name && way.which == which)
    }

    /// Whether a next-hop group has this way.
    pub fn is_of_group(&self, name: &str, hop: Hop) -> bool {
        let is = |way: &Path| way.name == name && way.which == hop.which;
        self.hop_groups.values().any(|group| group.vrf == hop.vrf && self.paths[&group.paths].iter().any(is))
    }
}

/// fe80::/10
pub fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.segments()[0] & 0xffc0 == 0xfe80)
}
