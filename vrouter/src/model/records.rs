//! Objects as the model keeps them: parsed and checked, with references as numbers where the number never changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::limits::PortInfo;
use super::quotas::Alarms;
use crate::ids::{BridgeId, Label, Mac, NextHopId, PortIndex, Tags, VifId, Vlan, Vni, VrfId};
use crate::tables::fib::Bits;
use crate::tables::{
    BfdStand, Carrier, HashFields, Quota, RouterAdvertisement, SeenAt, TunnelHeaders, VifKind, Watched,
};

/// An IP prefix whose bits beyond `length` are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Prefix {
    pub address: IpAddr,
    pub length: u8,
}

impl Prefix {
    /// The prefix of this length that holds `address`; `length` at most the family's width.
    pub fn holding(address: IpAddr, length: u8) -> Prefix {
        let address = match address {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits().masked(length))),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits().masked(length))),
        };
        Prefix { address, length }
    }

    /// The prefix of one address.
    pub fn host(address: IpAddr) -> Prefix {
        Prefix { address, length: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// Whether it holds `address`.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && Prefix::holding(address, self.length) == *self
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// The settings as given; what is absent has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// False until a controller puts them.
    pub given: bool,
    pub underlay: Option<VrfId>,
    pub vtep: Option<Ipv4Addr>,
    pub vtep_v6: Option<Ipv6Addr>,
    pub router_mac: Option<Mac>,
    pub gateway_mac: Option<Mac>,
    pub tcp_strict: bool,
    pub mss_clamp_off: bool,
    pub fragmentation_off: bool,
    /// Seconds in the proto's order; 0: the default.
    pub lifetimes: [u32; 6],
    /// 0: the default.
    pub icmp_per_second: u32,
    pub headers: Option<TunnelHeaders>,
    /// What each tenant VIF has of what it does not name.
    pub vif_quota: Option<Quota>,
    /// By tenant.
    pub tenant_quotas: BTreeMap<Arc<str>, (Quota, Alarms)>,
}

impl Settings {
    /// Our outer addresses, by the names of their fields.
    pub fn vteps(&self) -> impl Iterator<Item = (&'static str, IpAddr)> + use<> {
        let named = [("vtep", self.vtep.map(IpAddr::V4)), ("vtep_v6", self.vtep_v6.map(IpAddr::V6))];
        named.into_iter().filter_map(|(field, vtep)| Some((field, vtep?)))
    }

    /// 00:00:5e:00:01:00 unless given.
    pub fn gateway_mac(&self) -> Mac {
        self.gateway_mac.unwrap_or(Mac([0, 0, 0x5e, 0, 1, 0]))
    }

    /// 02:VTEP:01 unless given; the last bytes of the IPv6 VTEP where that is the only one.
    pub fn router_mac(&self) -> Mac {
        let low = self.vtep_v6.map_or(0, |vtep| vtep.to_bits() as u32);
        let [a, b, c, d] = self.vtep.map_or(low, Ipv4Addr::to_bits).to_be_bytes();
        self.router_mac.unwrap_or(Mac([2, a, b, c, d, 1]))
    }
}

/// A device with what was asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub info: PortInfo,
    /// As given; absent: the default.
    pub queues: Option<u16>,
    pub mtu: Option<u16>,
    /// Until it is known better: true.
    pub link_up: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vrf {
    pub id: VrfId,
    pub name: Arc<str>,
    pub tenant: String,
    pub flows: bool,
    pub acl: Option<Arc<str>>,
    pub proxy_by_default_route: bool,
    /// Sorted; empty: any.
    pub allowed_vteps: Vec<IpAddr>,
    pub tunnel_quota: Option<Quota>,
    pub alarms: Alarms,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bridge {
    pub id: BridgeId,
    pub name: Arc<str>,
    pub vrf: VrfId,
    /// Next hops in that VRF.
    pub vteps: Vec<NextHopId>,
    pub flood_unknown: bool,
    /// 0: the default.
    pub floods_per_second: u32,
    /// Nobody is answered for.
    pub suppress_off: bool,
    pub learning: bool,
    /// Seconds; 0: the default.
    pub ageing: u32,
    /// 0: the default.
    pub learn_limit: u32,
    pub ip_only: bool,
}

/// A station that was learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Learnt {
    pub at: SeenAt,
    /// It moved too often.
    pub pinned: bool,
}

/// Where a station of a bridge is, other than the bridge's VIFs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FdbEntry {
    /// Absent: behind a tunnel.
    pub vif: Option<VifId>,
    /// In the bridge's VRF.
    pub next_hop: NextHopId,
    pub addresses: Arc<[IpAddr]>,
    pub router: bool,
    /// Nobody else may send with its MAC.
    pub sticky: bool,
}

/// Who has an address of a bridge, the most credible first: a VIF (false) or an FDB entry (true), with its MAC.
pub(crate) type Whose = (bool, Mac);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vif {
    pub id: VifId,
    pub slot: usize,
    pub name: Arc<str>,
    pub kind: VifKind,
    pub port: PortIndex,
    pub vrf: VrfId,
    /// Of that VRF.
    pub bridge: Option<BridgeId>,
    /// Of that bridge's E-tree.
    pub leaf: bool,
    /// Absent: the port's (fabric only).
    pub mac: Option<Mac>,
    pub addresses: Vec<IpAddr>,
    pub subnets: Vec<Prefix>,
    pub gateway_v4: Option<Ipv4Addr>,
    pub gateway_v6: Option<Ipv6Addr>,
    /// The given one; the default is applied by [`Vif::link_local`].
    pub gateway_link_local: Option<Ipv6Addr>,
    /// Absent: the port's.
    pub mtu: Option<u16>,
    /// Fabric: the tag of its frames. Tenant: with `inner_vlan` what tells a sub-interface's frames.
    pub vlan: Option<Vlan>,
    pub inner_vlan: Option<Vlan>,
    pub from_vif: Option<Arc<str>>,
    pub to_vif: Option<Arc<str>>,
    pub spoofing_allowed: bool,
    /// Flows pass by what is behind it.
    pub service: bool,
    pub allowed_sources: Vec<Prefix>,
    /// The port to the host's kernel (fabric only).
    pub exception: Option<PortIndex>,
    pub advertise: Option<Arc<RouterAdvertisement>>,
    /// As given.
    pub quota: Option<Quota>,
    pub alarms: Alarms,
}

impl Vif {
    /// The link-local gateway: the given one, or fe80::1 where there is an IPv6 gateway.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.gateway_link_local.or(self.gateway_v6.map(|_| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)))
    }

    /// The ports that it has as a whole, so that no other but sub-interfaces may have them.
    pub fn ports(&self) -> impl Iterator<Item = PortIndex> + use<> {
        let whole = self.tags().is_none().then_some(self.port);
        [whole, self.exception].into_iter().flatten()
    }

    /// Of a sub-interface: what tells its frames from others of its port.
    pub fn tags(&self) -> Option<Tags> {
        let outer = self.vlan.filter(|_| self.kind == VifKind::Tenant)?;
        Some(Tags { outer, inner: self.inner_vlan })
    }

    /// All its gateways.
    pub fn gateways(&self) -> impl Iterator<Item = IpAddr> + use<> {
        [self.gateway_v4.map(IpAddr::V4), self.gateway_v6.map(IpAddr::V6), self.link_local().map(IpAddr::V6)]
            .into_iter()
            .flatten()
    }

    /// What needs flows in its VRF, if anything does.
    pub fn needs_flows(&self) -> Option<&'static str> {
        if self.from_vif.is_some() || self.to_vif.is_some() {
            return Some("an ACL applies to");
        }
        self.service.then_some("a service is behind")
    }

    /// Fabric: whether the address is on a connected subnet.
    pub fn connects(&self, address: IpAddr) -> bool {
        self.subnets.iter().any(|subnet| subnet.holds(address))
    }
}

/// What a route says, without its numbers resolved. Equal ones of a VRF share a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Hop {
    Drop,
    /// Implicit only: an address of ours.
    Receive,
    Vif {
        vif: VifId,
        mac: Option<Mac>,
    },
    /// Bridged: the frame as it is.
    Bridged(VifId),
    Gateway(IpAddr),
    /// The routes of another VRF.
    Vrf(VrfId),
    /// One of several: the number of a list of [`Path`]s.
    Paths(u32),
    /// One of those of a next-hop group, whatever they are now.
    Named(HopGroupId),
    /// Implicit only: a connected subnet of a fabric VIF.
    Connected(VifId),
    /// Implicit only: a resolved neighbour of a fabric VIF.
    Neighbour(VifId, IpAddr),
    Tunnel {
        remote: IpAddr,
        encap: Encap,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Encap {
    Vxlan {
        vni: Vni,
        inner_mac: Mac,
    },
    Geneve {
        vni: Vni,
        inner_mac: Mac,
    },
    MplsOverUdp {
        label: Label,
    },
    MplsOverGre {
        label: Label,
    },
    /// Ethernet frames.
    Frames {
        carrier: Carrier,
        /// Who is there is a leaf.
        leaf: bool,
    },
}

/// One way of a route that has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Path {
    /// The number of its stable name.
    pub name: u32,
    pub weight: u32,
    /// Only while no other is up.
    pub backup: bool,
    /// A next hop of its own, in the same VRF.
    pub next_hop: NextHopId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neighbour {
    pub mac: Mac,
    pub learnt: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LabelTarget {
    Vrf(VrfId),
    /// With the next hop that delivers to the VIF, in the VIF's VRF.
    Vif(VifId, NextHopId),
    Bridge(BridgeId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VniTarget {
    Vrf(VrfId),
    Bridge(BridgeId),
}

/// A next-hop group's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HopGroupId(pub u32);

/// Several ways that routes share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HopGroup {
    pub id: HopGroupId,
    pub name: Arc<str>,
    pub vrf: VrfId,
    /// The number of a list of [`Path`]s.
    pub paths: u32,
    pub hash: HashFields,
    /// What routes that name it have.
    pub next_hop: NextHopId,
}

/// A BFD session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bfd {
    pub id: u32,
    pub name: Arc<str>,
    pub watched: Watched,
    /// As given.
    pub local: Option<IpAddr>,
    pub least_ttl: u8,
    /// Milliseconds.
    pub min_tx: u32,
    pub min_rx: u32,
    pub multiplier: u8,
    pub admin_down: bool,
    pub stand: BfdStand,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub name: Arc<str>,
    pub prefixes: Vec<Prefix>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acl {
    pub name: Arc<str>,
    /// Those that an edit leaves alone are shared with the list before.
    pub rules: Vec<Arc<Rule>>,
    /// Where they redirect, each once.
    pub redirects: BTreeSet<Redirect>,
}

impl Acl {
    /// What tells it from a list of `before`: how many of its first rules are the same, and how many of its last (not counting those).
    pub fn in_common(&self, before: &Acl) -> (usize, usize) {
        let same = |(a, b): &(&Arc<Rule>, &Arc<Rule>)| a == b;
        let first = self.rules.iter().zip(&before.rules).take_while(same).count();
        let (rest, rest_before) = (&self.rules[first..], &before.rules[first..]);
        (first, rest.iter().rev().zip(rest_before.iter().rev()).take_while(same).count())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rule {
    pub name: Arc<str>,
    pub permit: bool,
    pub protocol: Option<u8>,
    pub source: AddressMatch,
    pub destination: AddressMatch,
    pub source_ports: Vec<(u16, u16)>,
    pub destination_ports: Vec<(u16, u16)>,
    pub icmp_type: Option<u8>,
    pub icmp_code: Option<u8>,
    pub redirect: Option<Redirect>,
}

/// Where a rule sends flows, by name: what it names may come later in the batch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Redirect {
    Vrf(Arc<str>),
    Vif(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum AddressMatch {
    Any,
    Prefix(Prefix),
    Group(Arc<str>),
}

impl Rule {
    /// The groups that it names.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<str>> {
        [&self.source, &self.destination].into_iter().filter_map(|side| match side {
            AddressMatch::Group(name) => Some(name),
            AddressMatch::Any | AddressMatch::Prefix(_) => None,
        })
    }
}
