//! The snapshot that workers forward by.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hashbrown::HashMap;

use super::acl::Acl;
use super::fib::{Fib, PrefixSet};
use super::{
    BfdSession, Branches, Bridge, Captures, NextHop, Quota, RouterAdvertisement, Rows, Shadow, Stripes, Tenant,
    TenantId, TunnelHeaders, Watched,
};
use crate::ids::{BridgeId, Generation, Label, Mac, NextHopId, PortIndex, VifId, Vlan, Vni, VrfId};

/// Everything that forwarding asks, of one generation.
#[derive(Clone, Default)]
pub struct Snapshot {
    pub generation: Generation,
    /// Of the last change of what is permitted to live flows: of an ACL of a VIF or VRF, of which one it has, or of the VRF that a VIF is in.
    pub judged: Generation,
    pub local: LocalHost,
    /// By [`PortIndex`], as many as the limit of ports.
    pub ports: Arc<Vec<PortRow>>,
    /// Sub-interfaces of ports.
    pub branches: Arc<Branches>,
    pub vifs: Rows<Vif>,
    pub vrfs: Rows<Vrf>,
    /// When routes of all VRFs changed last; the same in all generations.
    pub stripes: Arc<Stripes>,
    pub next_hops: Rows<NextHop>,
    /// By [`MemberId`](crate::ids::MemberId), for people.
    pub member_names: Rows<Box<str>>,
    pub bridges: Rows<Bridge>,
    /// Some bridge learns.
    pub learns: bool,
    pub vnis: Arc<HashMap<Vni, VniTarget>>,
    pub labels: Arc<HashMap<Label, DecapTarget>>,
    /// With whom BFD packets are exchanged.
    pub bfd: Arc<HashMap<Watched, BfdSession>>,
    /// Whose session has failed, for people: what that means is in the rows.
    pub bfd_failed: Arc<BTreeSet<Watched>>,
    pub lifetimes: Lifetimes,
    /// New TCP without SYN is dropped.
    pub tcp_strict: bool,
    /// TCP announces no more through tunnels than fits them.
    pub mss_clamp: bool,
    /// IPv4 packets that are too big for their next hop leave in pieces where they may.
    pub fragmentation: bool,
    /// Punts and ICMP errors per VIF and second.
    pub punts_per_second: u32,
    /// Tenants with quotas, by number.
    pub tenants: Rows<Tenant>,
    /// Who looks at frames; nobody costs nothing but a test of [`Captures::at`] a burst.
    pub captures: Captures,
    /// Policies that are tried: new flows are judged by them too.
    pub shadow: Option<Arc<Shadow>>,
}

/// Who we are in the underlay and to tenants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalHost {
    /// The VRF that tunnels resolve in.
    pub underlay: Option<VrfId>,
    /// Our outer addresses.
    pub vtep: Option<Ipv4Addr>,
    pub vtep_v6: Option<Ipv6Addr>,
    /// Our inner MAC in VXLAN.
    pub router_mac: Mac,
    /// That of tenants' gateways, by which stations behind tunnels may reach them too.
    pub gateway_mac: Mac,
    /// How outer and inner headers follow each other.
    pub headers: TunnelHeaders,
}

impl LocalHost {
    /// Our end of tunnels to this address.
    pub fn vtep_towards(&self, remote: IpAddr) -> Option<IpAddr> {
        match remote {
            IpAddr::V4(_) => self.vtep.map(IpAddr::V4),
            IpAddr::V6(_) => self.vtep_v6.map(IpAddr::V6),
        }
    }

    /// Whether tunnels that arrive at this address are for us.
    #[inline]
    pub fn is_vtep(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.vtep == Some(address),
            IpAddr::V6(address) => self.vtep_v6 == Some(address),
        }
    }
}

/// A port as the datapath sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortRow {
    /// Its device is open: workers keep their ends of it while this says so.
    pub there: bool,
    pub vif: Option<VifId>,
    /// The fabric VIF whose frames go between this port and the host's kernel; then `vif` is absent.
    pub exception_of: Option<VifId>,
}

/// Which side a VIF is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VifKind {
    Tenant,
    Fabric,
}

/// A VIF.
#[derive(Clone)]
pub struct Vif {
    pub id: VifId,
    /// Row of its counters and budgets: below the VIF limit, reused after deletion.
    pub slot: usize,
    pub name: Arc<str>,
    pub kind: VifKind,
    /// Of a sub-interface its own number, which is no device's: see [`Snapshot::branches`].
    pub port: PortIndex,
    /// Fabric: the port to the host's kernel, which answers for `addresses` then.
    pub exception: Option<PortIndex>,
    pub vrf: VrfId,
    /// Tenant: the bridge that it is a port of.
    pub bridge: Option<BridgeId>,
    /// A leaf of that bridge's E-tree.
    pub leaf: bool,
    /// Tenant: the guest's. Fabric: ours.
    pub mac: Mac,
    /// Tenant: the gateway's, ours. Fabric: the same as `mac`.
    pub our_mac: Mac,
    /// Tenant: the guest's addresses. Fabric: ours.
    pub addresses: Vec<IpAddr>,
    pub gateway_v4: Option<Ipv4Addr>,
    pub gateway_v6: Option<Ipv6Addr>,
    pub gateway_link_local: Option<Ipv6Addr>,
    /// Tenant: what we advertise as its router.
    pub advertise: Option<Arc<RouterAdvertisement>>,
    /// L3 bytes.
    pub mtu: u16,
    /// Fabric: the 802.1Q tag of all its frames.
    pub vlan: Option<Vlan>,
    /// Sources that the tenant may use; `None`: any.
    pub sources: Option<Arc<PrefixSet>>,
    pub from_vif: Option<Arc<Acl>>,
    pub to_vif: Option<Arc<Acl>>,
    /// Tenant: a service, to which answers of what it sends are delivered by this next hop.
    pub service: Option<NextHopId>,
    /// Tenant: what it may take.
    pub quota: Quota,
    /// Generation of the last change that flows of this VIF must notice (policy, anti-spoofing, VRF).
    pub stamp: Generation,
}

/// A VRF.
#[derive(Clone)]
pub struct Vrf {
    pub id: VrfId,
    pub name: Arc<str>,
    pub v4: Fib<u32>,
    pub v6: Fib<u128>,
    pub acl: Option<Arc<Acl>>,
    /// False: packet mode.
    pub flows: bool,
    /// ARP and ND proxy answer by a default route too.
    pub proxy_by_default_route: bool,
    /// Who may send into it by tunnel; `None`: any. Sorted.
    pub allowed_vteps: Option<Arc<[IpAddr]>>,
    /// What may be taken by what comes by tunnels.
    pub tunnel_quota: Quota,
    /// Its tenant, if that has a quota.
    pub tenant: TenantId,
    /// Generation of the last change of its routes or policy, or of a policy of its VIFs.
    pub stamp: Generation,
    /// The same without routes that [`Snapshot::stripes`] tells of: all flows of the VRF must notice.
    pub base: Generation,
}

/// Where a label's packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecapTarget {
    /// Routed in this VRF.
    Vrf(VrfId),
    /// Delivered by this next hop (to a VIF), without a route lookup; the VRF is that VIF's.
    Vif { vrf: VrfId, next_hop: NextHopId },
    /// Frames of this bridge.
    Bridge(BridgeId),
}

/// Where a VNI's frames go: those to our MACs into the VRF, the others into its bridge, if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VniTarget {
    pub vrf: VrfId,
    pub bridge: Option<BridgeId>,
}

/// Idle lifetimes of flow pairs, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    pub tcp_established: u32,
    pub tcp_opening: u32,
    pub tcp_closing: u32,
    pub udp_unanswered: u32,
    pub udp_answered: u32,
    pub icmp: u32,
}

impl Default for Lifetimes {
    fn default() -> Self {
        use crate::ids::Tick;
        Lifetimes {
            tcp_established: 7200 * Tick::PER_SECOND,
            tcp_opening: 30 * Tick::PER_SECOND,
            tcp_closing: 15 * Tick::PER_SECOND,
            udp_unanswered: 30 * Tick::PER_SECOND,
            udp_answered: 180 * Tick::PER_SECOND,
            icmp: 30 * Tick::PER_SECOND,
        }
    }
}

impl Vif {
    /// Whether an address is that of one of its gateways.
    #[inline]
    pub fn has_gateway(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.gateway_v4 == Some(address),
            IpAddr::V6(address) => [self.gateway_v6, self.gateway_link_local].contains(&Some(address)),
        }
    }

    /// What is sent to our MAC is routed. False: a port of its bridge alone, as which our MAC is any other's.
    #[inline]
    pub fn routes(&self) -> bool {
        let gateway = self.gateway_v4.is_some() || self.gateway_v6.is_some() || self.gateway_link_local.is_some();
        self.bridge.is_none() || gateway
    }
}

impl Vrf {
    /// An empty VRF with flows on.
    pub fn new(id: VrfId, name: Arc<str>) -> Vrf {
        Vrf {
            id,
            name,
            v4: Fib::default(),
            v6: Fib::default(),
            acl: None,
            flows: true,
            proxy_by_default_route: false,
            allowed_vteps: None,
            tunnel_quota: Quota::NONE,
            tenant: TenantId::NONE,
            stamp: Generation(0),
            base: Generation(0),
        }
    }

    /// All flows must decide anew that were decided before this generation.
    pub fn raise(&mut self, now: Generation) {
        (self.stamp, self.base) = (now, now);
    }

    /// The longest matching route that is shorter than this.
    pub fn route_above(&self, destination: IpAddr, length: u8) -> Option<(u8, NextHopId)> {
        let exact = |length: u8| match destination {
            IpAddr::V4(address) => self.v4.exact(address.to_bits(), length),
            IpAddr::V6(address) => self.v6.exact(address.to_bits(), length),
        };
        (0..length).rev().find_map(|length| Some((length, exact(length)?)))
    }

    /// The longest matching route: its prefix length and next hop.
    pub fn route(&self, destination: IpAddr) -> Option<(u8, NextHopId)> {
        match destination {
            IpAddr::V4(address) => self.v4.lookup(address.to_bits()),
            IpAddr::V6(address) => self.v6.lookup(address.to_bits()),
        }
    }
}
